"""A saved network on anybody's audio files, by TensorFlow."""

import numpy as np
import pandas as pd

from genre_utils import catalog, labels, models
from genre_utils.listening import Answer, Network
from genre_utils.params import Params
from genre_utils.quiet import quiet_stderr
from genre_utils.run_folder import RunFolder

with quiet_stderr():
    import keras
    import tensorflow as tf


def of_run(run: RunFolder) -> Network:
    """The network of a run, ready for :func:`genre_utils.listening.answers`.

    Parameters
    ----------
    run : RunFolder
        With ``params.yml``, ``tracks.parquet`` and ``model.keras``.

    Returns
    -------
    Network

    Raises
    ------
    RunError
        If the notebooks that write them have not run yet.
    """
    genres = labels.genres_of(catalog.usable(run.tracks()))
    return compiled(models.load(run.needs("model.keras", "03_training")), genres, run.params)


def compiled(model: keras.Model, genres: list[str], params: Params) -> Network:
    """A network traced once, whatever the number of segments: ``model.predict`` takes ten times as long for a clip.

    Parameters
    ----------
    model : keras.Model
        From log-mel in dB to probabilities.
    genres : list of str
        The classes, in the order of its outputs.
    params : Params
        The features that it was trained on.

    Returns
    -------
    Network
    """
    # training=False is said: keras.layers.Resizing takes training for true, and hands that on to batch norm.
    traced = tf.function(
        lambda decibels: model(decibels, training=False),
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)],
    )
    return Network(lambda decibels: traced(decibels).numpy(), genres, params)


def timeline(answer: Answer, network: Network) -> pd.DataFrame:
    """An answer segment by segment.

    Parameters
    ----------
    answer : Answer
        Of one file.
    network : Network
        Whose it is.

    Returns
    -------
    pd.DataFrame
        ``path, segment, start_seconds, predicted, p_<genre>…``, one row a segment; none if there is a fault.
    """
    number = np.arange(len(answer.probabilities))
    front = {
        "path": answer.path,
        "segment": number,
        "start_seconds": number * network.params.segment_seconds,
        "predicted": np.array(network.genres)[answer.probabilities.argmax(axis=1)],
    }
    columns = {f"p_{genre}": p for genre, p in zip(network.genres, answer.probabilities.T, strict=True)}
    return pd.DataFrame(front | columns)


def by_file(answers: list[Answer], network: Network) -> pd.DataFrame:
    """Answers file by file.

    Parameters
    ----------
    answers : list of Answer
        As :func:`genre_utils.listening.answers` gives them.
    network : Network
        Whose they are.

    Returns
    -------
    pd.DataFrame
        ``path, segments, predicted, p_<genre>…, fault``, one row a file, the probabilities those of its segments in
        the mean; with a fault there are none, and ``predicted`` is "".
    """
    names = [f"p_{genre}" for genre in network.genres]
    rows = []
    for answer in answers:
        heard = not answer.fault
        track = answer.track if heard else np.full(len(names), np.nan)
        rows.append(
            {
                "path": answer.path,
                "segments": len(answer.probabilities),
                "predicted": network.genres[int(track.argmax())] if heard else "",
                **dict(zip(names, track, strict=True)),
                "fault": answer.fault,
            }
        )
    return pd.DataFrame(rows, columns=["path", "segments", "predicted", *names, "fault"])
