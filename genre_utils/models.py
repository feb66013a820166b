"""The networks. They take plain log-mel: resize and standardisation are layers inside them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from genre_utils.errors import ParamsError
from genre_utils.params import Params, unknown_name
from genre_utils.quiet import quiet_stderr

with quiet_stderr():
    import keras
    from keras import layers

PAPER_FILTERS = (32, 64, 128, 256)
PAPER_DROPOUT = (0.2, 0.3, 0.3, 0.4)
COMPACT_FILTERS = (16, 32, 64, 128)


def build(params: Params, genres: int, frames: int | None = None) -> keras.Model:
    """The network that ``params.model`` names, with fresh weights from ``params.seed``.

    Parameters
    ----------
    params : Params
        The network and its input.
    genres : int
        Number of outputs.
    frames : int, optional
        Frames of a log-mel; without it, those of one segment.

    Returns
    -------
    keras.Model
        From log-mel in dB ``(batch, mel, frame)`` to probabilities ``(batch, genres)``. It holds layers of
        Keras alone, so that a saved one loads without this package.

    Raises
    ------
    ParamsError
        If no network has that name.

    References
    ----------
    Notebook: 02_feature_extraction, 03_training.
    """
    if params.model not in MODELS:
        raise ParamsError(unknown_name(params.model, MODELS).replace("parameter", "model"))
    keras.utils.set_random_seed(params.seed)
    log_mel = keras.Input((params.n_mels, frames or params.frames_per_segment), name="log_mel")
    return keras.Model(log_mel, MODELS[params.model](log_mel, params, genres), name=params.model)


def load(path: Path) -> keras.Model:
    """A saved network.

    Parameters
    ----------
    path : Path
        A .keras file; code in it is refused (Keras' safe mode).

    Returns
    -------
    keras.Model

    References
    ----------
    Notebook: 03_training, 04_evaluation.
    """
    return keras.models.load_model(path, compile=False, safe_mode=True)


def image_of(network: keras.Model, decibels: np.ndarray) -> np.ndarray:
    """What a network's first convolution sees.

    Parameters
    ----------
    network : keras.Model
        As :func:`build` makes it.
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels in dB.

    Returns
    -------
    np.ndarray [shape=(n, image_height, image_width)]
        Resized and standardised.

    References
    ----------
    Notebook: 02_feature_extraction.
    """
    head = keras.Model(network.input, network.get_layer("standardise").output)
    return keras.ops.convert_to_numpy(head(decibels))[..., 0]


def standardised_image(log_mel: keras.KerasTensor, params: Params) -> keras.KerasTensor:
    """Resize a log-mel to the network's image, then standardise each segment on its own.

    Parameters
    ----------
    log_mel : KerasTensor [shape=(batch, mel, frame)]
        Decibels.
    params : Params
        ``image_height`` (mel) and ``image_width`` (time), in pixels.

    Returns
    -------
    KerasTensor [shape=(batch, image_height, image_width, 1)]
        Mean 0 and standard deviation 1 over each segment; a constant one becomes 0.

    References
    ----------
    Paper, II.B.3 and II.B.4. Bilinear resizing. Notebook: 03_training.
    """
    x = layers.Reshape((*log_mel.shape[1:], 1), name="channel")(log_mel)
    x = layers.Resizing(params.image_height, params.image_width, name="resize")(x)
    # Layer normalisation over the whole image, without weights, is per-segment standardisation.
    return layers.LayerNormalization(axis=(1, 2, 3), epsilon=1e-6, center=False, scale=False, name="standardise")(x)


def paper_cnn(log_mel: keras.KerasTensor, params: Params, genres: int) -> keras.KerasTensor:
    """The paper's network: four convolutional blocks, then one hidden dense layer.

    Parameters
    ----------
    log_mel : KerasTensor [shape=(batch, mel, frame)]
        Decibels.
    params : Params
        Image size, ``padding`` and ``bn_momentum``; the rest is the paper's.
    genres : int
        Number of outputs.

    Returns
    -------
    KerasTensor [shape=(batch, genres)]
        Probabilities. At 256x256 with ten genres the network has 33,951,882 parameters.

    References
    ----------
    Paper, II.C. Notebook: 03_training.
    """
    x = standardised_image(log_mel, params)
    for filters, dropout in zip(PAPER_FILTERS, PAPER_DROPOUT, strict=True):
        x = layers.Conv2D(filters, 3, padding=params.padding, activation="relu")(x)
        x = layers.BatchNormalization(momentum=params.bn_momentum)(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(dropout)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(512, activation="relu", name="dense")(x)
    x = layers.BatchNormalization(momentum=params.bn_momentum)(x)
    x = layers.Dropout(0.5)(x)
    return layers.Dense(genres, activation="softmax", name="probabilities")(x)


def compact_cnn(log_mel: keras.KerasTensor, params: Params, genres: int) -> keras.KerasTensor:
    """A small network for experiments that need many trainings: four blocks, then the mean over the image.

    Batch normalisation comes before the activation and no dropout before it, so that its running averages
    settle within a few dozen steps.

    Parameters
    ----------
    log_mel : KerasTensor [shape=(batch, mel, frame)]
        Decibels.
    params : Params
        Image size, ``padding`` and ``bn_momentum``.
    genres : int
        Number of outputs.

    Returns
    -------
    KerasTensor [shape=(batch, genres)]
        Probabilities.

    References
    ----------
    M. Lin, Q. Chen and S. Yan, Network in network (2014), for the global average. Notebook: 05_honest_splits.
    """
    x = standardised_image(log_mel, params)
    for filters in COMPACT_FILTERS:
        x = layers.Conv2D(filters, 3, padding=params.padding, use_bias=False)(x)
        x = layers.BatchNormalization(momentum=params.bn_momentum)(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.3)(x)
    return layers.Dense(genres, activation="softmax", name="probabilities")(x)


MODELS: dict[str, Callable[[keras.KerasTensor, Params, int], keras.KerasTensor]] = {
    "paper_cnn": paper_cnn,
    "compact_cnn": compact_cnn,
}
