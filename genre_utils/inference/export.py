"""Export a Keras network to a folder from which ``litert_model`` predicts without TensorFlow."""

import json
import shutil
from pathlib import Path

import numpy as np

from genre_utils.errors import RunError
from genre_utils.evaluation.temperature_scaling import Calibration
from genre_utils.features import spectrogram
from genre_utils.inference import litert_model, model_folder
from genre_utils.models import factory
from genre_utils.params import Params
from genre_utils.paths import given
from genre_utils.system.quiet import quiet_stderr

with quiet_stderr():
    import keras
    import tensorflow as tf

LARGE_BYTES = 32 * 2**20  # a dense layer with more than this becomes a separate file; see litert_model.product
WIDE = 8  # columns of a kernel; cutting the windows of a narrower one gains nothing
TOLERANCE = 1e-4  # largest difference between a probability of Keras and one of the export


def write(
    model: keras.Model,
    genres: list[str],
    params: Params,
    folder: str | Path,
    calibration: Calibration | None = None,
    about: str = "",
) -> None:
    """Write everything that predictions need: network, genres, parameters, mel filters and calibration.

    The exported network is compared with the given one before the folder gets its final name.

    Parameters
    ----------
    model : keras.Model
        From log-mel in dB to probabilities.
    genres : list of str
        The classes, in the order of its outputs.
    params : Params
        The features that it was trained on.
    folder : str or Path
        Must not exist yet.
    calibration : Calibration, optional
        Calibrates the probabilities; without it, they stay as they are.
    about : str
        A sentence that ``predict`` shows: what the network was trained on and how good it is.

    Raises
    ------
    RunError
        If the folder exists already, or LiteRT does not have a layer of the network or computes other values.
    """
    folder = given(folder)
    if folder.exists():
        raise RunError(f"{folder} exists already. Choose another folder, or remove it.")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    stages = []
    for number, part in enumerate(parts(model)):
        if isinstance(part, np.ndarray):
            stages.append(f"{number}.npy")
            np.save(partial / stages[-1], part)
        else:
            stages.append(f"{number}.tflite")
            convert(part, partial / stages[-1])
    np.save(partial / litert_model.FILTERS, spectrogram.mel_filters(params))
    facts = {"genres": genres, "params": params.to_mapping(), "stages": stages}
    facts |= {"trust": (calibration or Calibration()).write(partial), "about": about}
    (partial / litert_model.FACTS).write_text(json.dumps(facts, indent=2) + "\n")

    rng, half_db = np.random.default_rng(0), params.top_db / 2
    bands = rng.uniform(-half_db, 0, (4, params.n_mels, 1))
    decibels = (bands + rng.uniform(-half_db, 0, (4, 1, params.frames_per_segment))).astype(np.float32)
    expected = keras.ops.convert_to_numpy(model(decibels, training=False))
    difference = np.abs(litert_model.open_exported(partial).run(decibels) - expected).max()
    if not difference <= TOLERANCE:
        raise RunError(
            f"The exported network does not predict the same as {model.name}: a probability differs by "
            f"{difference:.1e}, and at most {TOLERANCE:.0e} is allowed. The export stays in {partial}. Use the network "
            "with keras_model.open_model, which needs TensorFlow."
        )
    partial.rename(folder)


def write_from(path: str | Path, folder: str | Path) -> None:
    """Export the model of a run.

    Parameters
    ----------
    path : str or Path
        A model folder, or a run folder such as ``runs/latest``.
    folder : str or Path
        As :func:`write` takes it.

    Raises
    ------
    RunError
        If the model is not complete, or cannot be exported.
    """
    known = model_folder.read(model_folder.find(path))
    write(factory.load(known.network), known.genres, known.params, folder, known.calibration, known.about)


def parts(model: keras.Model) -> list[keras.Model | np.ndarray]:
    """Split a network at its large matrix into three parts: before it, the matrix, and after it.

    Parameters
    ----------
    model : keras.Model
        Functional.

    Returns
    -------
    list of keras.Model or np.ndarray [shape=(input, output)]
        Three parts, or the whole network as one part if it has no large matrix.
    """
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense) and layer.use_bias]
    large = [layer for layer in dense if 4 * layer.kernel.shape[0] * layer.kernel.shape[1] > LARGE_BYTES]
    if not large:
        return [model]
    layer = large[0]
    product = keras.Input((layer.units,))
    hidden = layer.activation(product + layer.bias)
    after = keras.Model(product, keras.Model(layer.output, model.output)(hidden))
    return [keras.Model(model.input, layer.input), keras.ops.convert_to_numpy(layer.kernel), after]


def with_windows(model: keras.Model) -> keras.Model:
    """The same network, with each wide convolution of one channel in two steps: cut windows, then multiply them.

    LiteRT is slow at convolutions of one channel: with the windows as channels, the shipped network takes two thirds of
    the time. The sums are the same.

    Parameters
    ----------
    model : keras.Model
        Functional; it stays as it is, and shares its other layers with the new one.
    """

    def call(layer: keras.Layer, *args, **kwargs):
        if not isinstance(layer, keras.layers.Conv2D) or not is_wide(layer):
            return layer(*args, **kwargs)
        height, width, _, filters = layer.kernel.shape
        windows = keras.layers.Conv2D(width, (1, width), use_bias=False)
        product = keras.layers.Conv2D(
            filters, (height, 1), activation=layer.activation, use_bias=layer.use_bias, name=layer.name
        )
        answer = product(windows(*args))
        windows.set_weights([np.eye(width, dtype=np.float32).reshape(1, width, 1, width)])
        kernel, *bias = layer.get_weights()
        product.set_weights([kernel.transpose(0, 2, 1, 3), *bias])
        return answer

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def is_wide(layer: keras.layers.Conv2D) -> bool:
    """Whether a convolution has a wide kernel on one channel, without padding or steps."""
    plain = layer.padding == "valid" and layer.strides == layer.dilation_rate == (1, 1) and layer.groups == 1
    return plain and layer.kernel.shape[1] >= WIDE and layer.kernel.shape[2] == 1


def convert(model: keras.Model, file: Path) -> None:
    """Write a network as .tflite, for one segment at a time, of any length if the network takes any."""
    only_its_own = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}  # other operations would need TensorFlow
    signature = [tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)]
    try:
        with quiet_stderr():
            with_windows(model).export(
                file, "litert", verbose=False, input_signature=signature, target_spec=only_its_own
            )
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise RunError(
            f"The network {model.name} cannot be converted to LiteRT: {reason}. "
            "Use it with keras_model.open_model, which needs TensorFlow."
        ) from error
