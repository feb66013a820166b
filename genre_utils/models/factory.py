"""Networks with weights: built, loaded, looked into, and what they cost."""

import math
import zipfile
from pathlib import Path

import numpy as np

from genre_utils.errors import ParamsError, RunError
from genre_utils.models.architectures import ANY_LENGTH, MODELS
from genre_utils.params import Params, unknown_name
from genre_utils.paths import given
from genre_utils.system.quiet import quiet_stderr

with quiet_stderr():
    import keras
    from keras import layers, tree

MOST_EXPANSION = 10  # Keras does not compress; whoever did so later gains little on weights


def build(params: Params, genres: int, frames: int | None = None) -> keras.Model:
    """The network that ``params.model`` names, with fresh weights from ``params.seed``.

    Parameters
    ----------
    params : Params
        The network and its input.
    genres : int
        Number of outputs.
    frames : int, optional
        Frames of a log-mel; without it, those of one segment. Networks in ``ANY_LENGTH`` take any number.

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
    Notebook: 02_feature_extraction, 03_training, 06_beyond_the_paper.
    """
    if params.model not in MODELS:
        raise ParamsError(unknown_name(params.model, MODELS).replace("parameter", "model"))
    keras.utils.set_random_seed(params.seed)
    length = None if params.model in ANY_LENGTH else frames or params.frames_per_segment
    log_mel = keras.Input((params.n_mels, length), name="log_mel")
    return keras.Model(log_mel, MODELS[params.model](log_mel, params, genres), name=params.model)


def load(path: str | Path) -> keras.Model:
    """A saved network.

    Parameters
    ----------
    path : str or Path
        A .keras file; code in it is refused (Keras' safe mode).

    Returns
    -------
    keras.Model

    Raises
    ------
    RunError
        If it would unpack to far more than it is: Keras itself refuses only what has more than 4 GiB.

    References
    ----------
    Notebook: 03_training, 04_evaluation, 06_beyond_the_paper.
    """
    path = given(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MOST_EXPANSION * path.stat().st_size:
            raise RunError(f"{path} would unpack to {unpacked:,} bytes, as no network of Keras does. Do not use it.")
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


def multiply_adds(network: keras.Model, frames: int) -> int:
    """What one log-mel costs: multiply-adds of convolutions, recurrent and dense layers.

    Parameters
    ----------
    network : keras.Model
        As :func:`build` makes it.
    frames : int
        Frames of the log-mel.

    Returns
    -------
    int
        A multiplication and an addition count as one; normalisation, pooling and activations are left out.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    total = 0
    shapes = {network.input.name: (1, *network.input.shape[1:-1], frames)}
    for layer in network.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        entering = [shapes[tensor.name] for tensor in tree.flatten(layer.input)]
        leaving = layer.compute_output_shape(entering[0] if len(entering) == 1 else entering)
        shapes[layer.output.name] = leaving
        matrices = [weight for weight in layer.trainable_weights if len(weight.shape) > 1 and weight.name != "bias"]
        times = entering[0][1] if isinstance(layer, layers.Bidirectional) else math.prod(leaving[1:-1])
        total += times * sum(math.prod(matrix.shape) for matrix in matrices)
    return total
