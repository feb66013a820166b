"""Build and load networks, look inside them, and count their multiply-adds."""

import math
import zipfile
from pathlib import Path

import numpy as np

from genre_utils.errors import ParamsError, RunError
from genre_utils.models import musicnn
from genre_utils.models.architectures import ANY_LENGTH, MODELS
from genre_utils.params import PRETRAINED, Params, unknown_name
from genre_utils.paths import given
from genre_utils.system.quiet import quiet_stderr

with quiet_stderr():
    import keras
    from keras import layers, tree

MOST_EXPANSION = 10  # Keras does not compress .keras files, and weights hardly compress at all


def build(params: Params, genres: int, frames: int | None = None) -> keras.Model:
    """Build the network ``params.model`` with random weights from ``params.seed``.

    Parameters
    ----------
    params : Params
        The network and its input.
    genres : int
        Number of outputs.
    frames : int, optional
        Frames of a log-mel; default: those of one segment. Networks in ``ANY_LENGTH`` take any number.

    Returns
    -------
    keras.Model
        From log-mel in dB ``(batch, mel, frame)`` to probabilities ``(batch, genres)``. All layers are Keras' own,
        so that a saved network loads without this package.

    Raises
    ------
    ParamsError
        If no network has that name.

    References
    ----------
    Notebook: 02_feature_extraction, 03_training, 06_beyond_the_paper.
    """
    if params.model == PRETRAINED:
        return musicnn.classifier(params, genres)
    if params.model not in MODELS:
        raise ParamsError(unknown_name(params.model, MODELS).replace("parameter", "model"))
    keras.utils.set_random_seed(params.seed)
    length = None if params.model in ANY_LENGTH else frames or params.frames_per_segment
    log_mel = keras.Input((params.n_mels, length), name="log_mel")
    return keras.Model(log_mel, MODELS[params.model](log_mel, params, genres), name=params.model)


def load(path: str | Path) -> keras.Model:
    """Load a saved network.

    Parameters
    ----------
    path : str or Path
        A .keras file; one with code in it is refused (Keras' safe mode).

    Raises
    ------
    RunError
        If the file would unpack to more than ten times its size; Keras itself has only a limit of 4 GiB.

    References
    ----------
    Notebook: 03_training, 04_evaluation, 06_beyond_the_paper.
    """
    path = given(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MOST_EXPANSION * path.stat().st_size:
            raise RunError(
                f"{path} would unpack to {unpacked:,} bytes, more than {MOST_EXPANSION} times its size. No file that "
                "Keras saved does that. Do not use this file."
            )
    return keras.models.load_model(path, compile=False, safe_mode=True)


def image_of(network: keras.Model, decibels: np.ndarray) -> np.ndarray:
    """The image that reaches the first convolution of a network.

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
    """Multiply-adds for one log-mel, in convolutions, recurrent and dense layers.

    Parameters
    ----------
    network : keras.Model
        As :func:`build` makes it.
    frames : int
        Frames of the log-mel.

    Returns
    -------
    int
        A multiplication with its addition counts as one; normalisation, pooling and activations do not count.

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
