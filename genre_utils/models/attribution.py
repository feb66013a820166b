"""Which parts of a log-mel decide a prediction: Grad-CAM heat maps and attention weights."""

import math

import numpy as np

from genre_utils.errors import EvaluationError
from genre_utils.system.quiet import quiet_stderr

with quiet_stderr():
    import keras
    import tensorflow as tf
    from keras import layers, ops


def grad_cam(network: keras.Model, decibels: np.ndarray, genre: int | np.ndarray) -> np.ndarray:
    """Grad-CAM: the places in a log-mel that raise the score of a genre, by the network's last feature map.

    The weight of a channel is the mean gradient of the genre's score over the map; negative evidence is set to 0.
    The score is the one before softmax or sigmoid, ``hidden @ kernel[:, genre]`` of the last layer: a probability
    near 0 or 1 has hardly any gradient, and under softmax it also depends on the other genres. The bias has no
    influence on the gradient.

    The mean gradient does not depend on the place. Where a ``Flatten`` follows, as in ``paper_cnn``, the map shows
    where the decisive patterns occur, not whether the dense layers use that place.

    Parameters
    ----------
    network : keras.Model
        From log-mel in dB to probabilities, as ``factory.build`` makes it. The feature map is the layer ``features``
        or, without one, the last ``Conv2D``; the last layer must be a ``Dense``.
    decibels : np.ndarray [shape=(n, mel, frame)]
        A few log-mels.
    genre : int or np.ndarray [shape=(n,)]
        Index of the genre to explain: one for all log-mels, or one for each.

    Returns
    -------
    np.ndarray [shape=(n, mel, frame), dtype=float32]
        In [0, 1], divided by the maximum of each log-mel, so that two log-mels cannot be compared. It is 0 everywhere
        if there is no evidence for the genre, and 0 in the last frames if they do not fill a step of the map.

    Raises
    ------
    EvaluationError
        If the network has no feature map, or does not end in a ``Dense``.

    References
    ----------
    Selvaraju et al., Grad-CAM (2017). If only a global average lies between map and scores, as in ``compact_cnn``,
    it equals Zhou et al., Learning deep features for discriminative localization (2016).
    Notebook: 06_beyond_the_paper.
    """
    maps = [layer for layer in network.layers if isinstance(layer, layers.Conv2D)]
    maps += [layer for layer in network.layers if layer.name == "features"]
    if not maps:
        raise EvaluationError(
            f"Grad-CAM needs a layer named 'features' or a Conv2D layer; {network.name} has neither. "
            "Choose a convolutional network."
        )
    last = network.layers[-1]
    if not isinstance(last, layers.Dense):
        raise EvaluationError(
            f"Grad-CAM needs a network whose last layer is Dense; the last layer of {network.name} is "
            f"{type(last).__name__}. Make the activation a part of the Dense layer."
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
    any_length = network.input_shape[2] is None  # otherwise the network resizes the log-mel, and its map covers it all
    covered = heat.shape[2] * frames_per_step(before) if any_length else frames
    resized = ops.convert_to_numpy(ops.image.resize(heat, (mels, covered), data_format="channels_last"))[..., 0]
    greatest = resized.max(axis=(1, 2), keepdims=True)
    resized = np.divide(resized, greatest, out=np.zeros_like(resized), where=greatest > 0)
    return np.pad(resized, ((0, 0), (0, 0), (0, frames - covered)))


def attention_weights(network: keras.Model, decibels: np.ndarray) -> np.ndarray:
    """The attention that a network gives to each moment.

    Parameters
    ----------
    network : keras.Model
        With a layer ``attention`` whose output is (batch, time, 1), as in ``architectures.attention``.
    decibels : np.ndarray [shape=(n, mel, frame)]
        A few log-mels.

    Returns
    -------
    np.ndarray [shape=(n, frame), dtype=float32]
        In [0, 1]: for each frame the weight of its step in time. A step is about half a second, and the weights of
        the steps sum to 1. The last frames are 0 if they do not fill a step.

    Raises
    ------
    EvaluationError
        If the network has no layer ``attention``.

    References
    ----------
    Paper, IV.2. Notebook: 06_beyond_the_paper.
    """
    if "attention" not in [layer.name for layer in network.layers]:
        raise EvaluationError(
            f"Attention weights need a layer named 'attention'; {network.name} has none. Train with model: attention."
        )
    head = keras.Model(network.input, network.get_layer("attention").output)
    weights = ops.convert_to_numpy(head(decibels, training=False))[..., 0]  # (n, time)
    at_frames = weights.repeat(frames_per_step(head), axis=1)
    return np.pad(at_frames, ((0, 0), (0, decibels.shape[2] - at_frames.shape[1])))


def frames_per_step(before: keras.Model) -> int:
    """Log-mel frames per time step of the output: the product of all strides, for a network that does not resize."""
    return math.prod(getattr(layer, "strides", (1,))[-1] for layer in before.layers)
