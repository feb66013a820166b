"""Export a network into a folder that gives predictions without TensorFlow: see ``litert_model``."""

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

LARGE_BYTES = 32 * 2**20  # weights of a dense layer that become a file of their own; see litert_model.product
TOLERANCE = 1e-4  # between a probability of Keras and one of the export


def write(
    model: keras.Model, genres: list[str], params: Params, folder: str | Path, calibration: Calibration | None = None
) -> None:
    """Write all that is needed to answer for an audio file: network, genres, parameters, mel filters and calibration.

    The written network is run against the given one before the folder gets its name.

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
        How its probabilities are to be read; without it, as they are.

    Raises
    ------
    RunError
        If the folder is there already, or LiteRT lacks a layer of the network or computes something else.
    """
    folder = given(folder)
    if folder.exists():
        raise RunError(f"{folder} is there already. Name another folder, or remove it.")
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
    facts |= {"trust": (calibration or Calibration()).write(partial)}
    (partial / litert_model.FACTS).write_text(json.dumps(facts, indent=2) + "\n")

    rng, half_db = np.random.default_rng(0), params.top_db / 2
    bands = rng.uniform(-half_db, 0, (4, params.n_mels, 1))
    decibels = (bands + rng.uniform(-half_db, 0, (4, 1, params.frames_per_segment))).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(model(decibels, training=False))
    difference = np.abs(litert_model.open_exported(partial).run(decibels) - wanted).max()
    if not difference <= TOLERANCE:
        raise RunError(
            f"The export of {model.name} differs from it by {difference:.1e}; at most {TOLERANCE:.0e} is allowed. "
            f"It is left in {partial}. Use the network with keras_model.open_model, which needs TensorFlow."
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
        If there is no whole model, or it cannot be exported.
    """
    known = model_folder.read(model_folder.find(path))
    write(factory.load(known.network), known.genres, known.params, folder, known.calibration)


def parts(model: keras.Model) -> list[keras.Model | np.ndarray]:
    """What a network is written as: itself, or what comes before its large matrix, the matrix, and what comes after.

    Parameters
    ----------
    model : keras.Model
        Functional.

    Returns
    -------
    list of keras.Model or np.ndarray [shape=(input, output)]
        One part or three.
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


def convert(model: keras.Model, file: Path) -> None:
    """Write a network as .tflite, for one segment at a time, of any length if the network takes any."""
    only_its_own = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}  # others would need TensorFlow to run
    signature = [tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)]
    try:
        with quiet_stderr():
            model.export(file, "litert", verbose=False, input_signature=signature, target_spec=only_its_own)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise RunError(
            f"LiteRT cannot hold the network {model.name}: {reason}. "
            "Use it with predict.open_model, which needs TensorFlow."
        ) from error
