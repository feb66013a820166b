"""Where a network listens: the heat of Grad-CAM, and the weights of attention."""

import math

import numpy as np

from genre_utils.errors import EvaluationError
from genre_utils.system.quiet import quiet_stderr

with quiet_stderr():
    import keras
    import tensorflow as tf
    from keras import layers, ops


def grad_cam(network: keras.Model, decibels: np.ndarray, genre: int | np.ndarray) -> np.ndarray:
    """What in a log-mel speaks for a genre, as the network's last feature map hears it.

    Each channel of the map counts as much as the genre's score rises with it, averaged over the map; what speaks
    against the genre is left out. The score is the one before softmax or sigmoid, ``hidden @ kernel[:, genre]`` of
    the last layer: a probability hardly moves any more where the network is sure, and under softmax also moves with
    what the other genres gain. The bias moves nothing.

    The average over the map forgets places: where a ``Flatten`` follows, as in ``paper_cnn``, the map shows where the
    decisive patterns are heard, not whether the dense layers care for that place.

    Parameters
    ----------
    network : keras.Model
        From log-mel in dB to probabilities, as ``factory.build`` makes it. Its feature map is the layer ``features``
        or else its last ``Conv2D``; its last layer is a ``Dense``.
    decibels : np.ndarray [shape=(n, mel, frame)]
        A few log-mels.
    genre : int or np.ndarray [shape=(n,)]
        Index of the output that is asked about: one for all, or one a log-mel.

    Returns
    -------
    np.ndarray [shape=(n, mel, frame), dtype=float32]
        In [0, 1], each log-mel's heat by its own maximum, so that heats of two log-mels cannot be compared; 0
        throughout where nothing speaks for the genre, and at frames at the end that fill no whole step in time.

    Raises
    ------
    EvaluationError
        If the network has no feature map, or does not end in a ``Dense``.

    References
    ----------
    Selvaraju et al., Grad-CAM (2017). Where the mean over the map alone is between map and scores, as in
    ``compact_cnn``, it equals Zhou et al., Learning deep features for discriminative localization (2016).
    Notebook: 06_beyond_the_paper.
    """
    maps = [layer for layer in network.layers if isinstance(layer, layers.Conv2D)]
    maps += [layer for layer in network.layers if layer.name == "features"]
    if not maps:
        raise EvaluationError(
            f"Grad-CAM needs a layer named 'features' or a Conv2D. Received: {network.name}, without one. "
            "Choose a convolutional network."
        )
    last = network.layers[-1]
    if not isinstance(last, layers.Dense):
        raise EvaluationError(
            f"Grad-CAM needs a network that ends in a Dense layer. Received: {network.name}, which ends in "
            f"{type(last).__name__}. Give the Dense layer the activation."
        )
    before, after = keras.Model(network.input, maps[-1].output), keras.Model(maps[-1].output, last.input)
    features = before(decibels, training=False)  # (n, height, time, channel)
    kernel = last.get_weights()[0][:, np.broadcast_to(genre, len(decibels))].T  # (n, hidden)
    with tf.GradientTape() as tape:
        tape.watch(features)
        score = ops.sum(after(features, training=False) * kernel)
    weights = ops.mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)  # (n, 1, 1, channel)
    heat = ops.relu(ops.sum(weights * features, axis=-1, keepdims=True))  # (n, height, time, 1)

    mels, frames = decibels.shape[1:]
    any_length = network.input_shape[2] is None  # else an image as wide as the log-mel is long is made of it first
    heard = heat.shape[2] * frames_a_step(before) if any_length else frames
    resized = ops.convert_to_numpy(ops.image.resize(heat, (mels, heard), data_format="channels_last"))[..., 0]
    greatest = resized.max(axis=(1, 2), keepdims=True)
    resized = np.divide(resized, greatest, out=np.zeros_like(resized), where=greatest > 0)
    return np.pad(resized, ((0, 0), (0, 0), (0, frames - heard)))


def attention_weights(network: keras.Model, decibels: np.ndarray) -> np.ndarray:
    """How much of its attention a network gives each moment.

    Parameters
    ----------
    network : keras.Model
        With a layer ``attention`` that gives weights (batch, time, 1), as ``models.attention`` has it.
    decibels : np.ndarray [shape=(n, mel, frame)]
        A few log-mels.

    Returns
    -------
    np.ndarray [shape=(n, frame), dtype=float32]
        In [0, 1]: the weight of a step in time at each of its frames; a step is about half a second, and the
        weights of a log-mel's steps sum to 1. Frames at the end that fill no whole step get 0.

    Raises
    ------
    EvaluationError
        If the network has no such layer.

    References
    ----------
    Paper, IV.2. Notebook: 06_beyond_the_paper.
    """
    if "attention" not in [layer.name for layer in network.layers]:
        raise EvaluationError(
            f"Weights of attention need a layer named 'attention'. Received: {network.name}, without one. "
            "Train with model: attention."
        )
    head = keras.Model(network.input, network.get_layer("attention").output)
    weights = ops.convert_to_numpy(head(decibels, training=False))[..., 0]  # (n, time)
    at_frames = weights.repeat(frames_a_step(head), axis=1)
    return np.pad(at_frames, ((0, 0), (0, decibels.shape[2] - at_frames.shape[1])))


def frames_a_step(before: keras.Model) -> int:
    """Frames of a log-mel in each step in time of what layers without a resize make of it: their strides."""
    return math.prod(getattr(layer, "strides", (1,))[-1] for layer in before.layers)
