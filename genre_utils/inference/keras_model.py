"""Open a saved Keras network for predictions with TensorFlow."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from genre_utils.errors import RunError
from genre_utils.evaluation.temperature_scaling import Calibration
from genre_utils.inference import litert_model, model_folder
from genre_utils.inference.prediction import Network
from genre_utils.params import Params
from genre_utils.paths import given
from genre_utils.system.quiet import quiet_stderr

if TYPE_CHECKING:
    import keras


def open_model(path: str | Path) -> Network:
    """Open a model, ready for :func:`genre_utils.inference.prediction.predict`.

    Parameters
    ----------
    path : str or Path
        A model folder, a run folder (also ``runs/latest``), or the ``.keras`` file in either; or a folder that
        ``export.write`` has written, which runs with LiteRT.

    Raises
    ------
    RunError
        If a file is missing (the message names the notebook that writes it) or broken, or the files do not belong
        together.

    Warns
    -----
    UserWarning
        If the model was made with other versions, or ``params.yml`` was changed in a way that has no effect.

    References
    ----------
    Notebook: 04_evaluation.
    """
    path = given(path)
    if (path / litert_model.FACTS).is_file():
        return litert_model.open_exported(path)
    folder = model_folder.find(path)
    known = model_folder.read(folder)
    from genre_utils.models import factory  # after the checks above: TensorFlow takes seconds to import

    try:
        model = factory.load(known.network)
        found = model.input_shape[1:], model.output_shape[1:]
    except Exception as error:  # a layer of an unknown network may raise anything
        reason = str(error).partition("\n")[0]
        raise RunError(f"{known.network} cannot be loaded: {reason} {known.differs}".rstrip()) from error
    expected = (known.params.n_mels, known.params.frames_per_segment), (len(known.genres),)
    if found not in (expected, ((known.params.n_mels, None), expected[1])):
        raise RunError(
            f"{known.network} and the other files of {folder} do not belong together: expected the input "
            f"shape {expected[0]} and the output shape {expected[1]}, found {found[0]} and {found[1]}. Copy the folder "
            f"again. {known.differs}".rstrip()
        )
    network = compiled(model, known.genres, known.params, known.calibration)
    return dataclasses.replace(network, about=known.about)


def compiled(
    model: "keras.Model", genres: list[str], params: Params, calibration: Calibration | None = None
) -> Network:
    """Trace a Keras network once for any number of segments: seven times as fast as ``model.predict`` for a clip.

    Parameters
    ----------
    model : keras.Model
        From log-mel in dB to probabilities.
    genres : list of str
        The classes, in the order of its outputs.
    params : Params
        The features that it was trained on.
    calibration : Calibration, optional
        Calibrates the probabilities; without it, they stay as they are.
    """
    with quiet_stderr():
        import tensorflow as tf

    # Without training=False, keras.layers.Resizing assumes training, and passes that on to batch normalisation.
    traced = tf.function(
        lambda decibels: model(decibels, training=False),
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)],
    )
    return Network(lambda decibels: traced(decibels).numpy(), genres, params, calibration or Calibration())
