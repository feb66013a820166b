"""A saved network on anybody's audio files, by TensorFlow."""

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
    """A network with all that it needs, ready for :func:`genre_utils.inference.prediction.predict`.

    Parameters
    ----------
    path : str or Path
        A model folder, a run folder (also ``runs/latest``), or the ``.keras`` file in either; also what
        ``export.write`` has written, which LiteRT runs.

    Returns
    -------
    Network

    Raises
    ------
    RunError
        If something is missing (the message names the notebook that writes it), broken, or does not fit the rest.

    Warns
    -----
    UserWarning
        If it was made with other versions, or parameters have changed that do not decide an answer.

    References
    ----------
    Notebook: 04_evaluation.
    """
    path = given(path)
    if (path / litert_model.FACTS).is_file():
        return litert_model.open_exported(path)
    folder = model_folder.find(path)
    known = model_folder.read(folder)
    from genre_utils.models import (
        factory,  # TensorFlow takes seconds to come, and a model that is not there is told at once
    )

    try:
        model = factory.load(known.network)
        entering, leaving = model.input_shape[1:], model.output_shape[1:]
    except Exception as error:  # whatever a layer of an unknown network raises
        reason = str(error).partition("\n")[0]
        raise RunError(f"{known.network} cannot be loaded: {reason} {known.differs}".rstrip()) from error
    wanted = (known.params.n_mels, known.params.frames_per_segment)
    if entering not in (wanted, (wanted[0], None)) or leaving != (len(known.genres),):
        raise RunError(
            f"{known.network} takes a log-mel of {entering} and gives {leaving}; by {folder} it must take {wanted} and "
            f"give {(len(known.genres),)}. They do not belong together: copy the folder again. {known.differs}".rstrip()
        )
    return compiled(model, known.genres, known.params, known.calibration)


def compiled(
    model: "keras.Model", genres: list[str], params: Params, calibration: Calibration | None = None
) -> Network:
    """A network traced once, whatever the number of segments: ``model.predict`` takes seven times as long for a clip.

    Parameters
    ----------
    model : keras.Model
        From log-mel in dB to probabilities.
    genres : list of str
        The classes, in the order of its outputs.
    params : Params
        The features that it was trained on.
    calibration : Calibration, optional
        How its probabilities are to be read; without it, as they are.

    Returns
    -------
    Network
    """
    with quiet_stderr():
        import tensorflow as tf

    # training=False is said: keras.layers.Resizing takes training for true, and hands that on to batch norm.
    traced = tf.function(
        lambda decibels: model(decibels, training=False),
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)],
    )
    return Network(lambda decibels: traced(decibels).numpy(), genres, params, calibration or Calibration())
