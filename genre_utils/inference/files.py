"""Predict the genre of audio files and folders from Python: a tidy table of tracks and segments."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_utils.errors import warn
from genre_utils.inference import litert_model, prediction
from genre_utils.paths import given

if TYPE_CHECKING:
    import pandas as pd

TEXTS = ("path", "level", "predicted", "verdict", "fault")  # columns of a table; the others are numbers


def rows(answer: prediction.Prediction, network: prediction.Network) -> Iterator[dict[str, Any]]:
    """An answer as rows of a tidy table: the track, then its segments.

    Parameters
    ----------
    answer : prediction.Prediction
        Of one file.
    network : prediction.Network
        Whose it is.

    Yields
    ------
    dict
        ``path, level, segment, start_seconds, predicted, verdict, novelty_score, p_<genre>…, fault``. ``level`` is
        track or segment, and ``p_<genre>`` calibrated at both; of what a level does not have, and what is not known,
        a number is None and a text "".
    """
    blank = {name: "" if name in TEXTS else None for name in columns(network)} | {"path": answer.path}
    if answer.fault:
        yield blank | {"level": "track", "fault": answer.fault}
        return
    novelty_score = None if np.isnan(answer.novelty_score) else round(answer.novelty_score, litert_model.DIGITS)
    heard = {"level": "track", "verdict": answer.verdict, "novelty_score": novelty_score}
    yield blank | heard | predicted(answer.track, network)
    for number, probabilities in enumerate(answer.probabilities):
        place = {"level": "segment", "segment": number, "start_seconds": number * network.params.segment_seconds}
        yield blank | place | predicted(probabilities, network)


def columns(network: prediction.Network) -> list[str]:
    """Names of what :func:`rows` gives."""
    front = ["path", "level", "segment", "start_seconds", "predicted", "verdict", "novelty_score"]
    return [*front, *(f"p_{genre}" for genre in network.genres), "fault"]


def predicted(probabilities: np.ndarray, network: prediction.Network) -> dict[str, Any]:
    """The most probable genre and all probabilities, (genre,), as columns."""
    named = zip(network.genres, probabilities, strict=True)
    return {"predicted": network.genres[int(probabilities.argmax())]} | {
        f"p_{genre}": round(float(p), litert_model.DIGITS) for genre, p in named
    }


def predict(named: str | Path | Iterable[str | Path], network: prediction.Network) -> "pd.DataFrame":
    """Hear files and folders from Python: the table that ``--csv`` writes.

    Parameters
    ----------
    named : str or Path, or iterable of them
        As :func:`genre_utils.inference.prediction.sources`.
    network : Network
        As ``keras_model.open_model`` gives it.

    Returns
    -------
    pd.DataFrame
        The columns of :func:`rows`; a number that is not known is NaN.

    Raises
    ------
    CatalogError
        If there is nothing to be heard.

    Warns
    -----
    UserWarning
        If a folder holds files that are not audio by their suffix.

    References
    ----------
    Notebook: 04_evaluation.
    """
    import pandas as pd  # which the command does without

    found = prediction.sources(named)
    if found.others:
        warn(prediction.left_out(found))
    heard = itertools.chain(prediction.predict(found.files, network), found.unlisted)
    table = pd.DataFrame([row for answer in heard for row in rows(answer, network)], columns=columns(network))
    return table.astype(dict.fromkeys(table.columns.difference(TEXTS), float))


def uploaded(upload: Any, folder: str | Path) -> Path | None:
    """The file that a reader has chosen in a notebook.

    Parameters
    ----------
    upload : ipywidgets.FileUpload
        Where it was chosen.
    folder : str or Path
        Gets it, by its name.

    Returns
    -------
    Path or None
        None if none was chosen, as in a headless run.

    References
    ----------
    Notebook: 04_evaluation.
    """
    if not upload.value:
        return None
    folder = given(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / Path(upload.value[0]["name"]).name
    path.write_bytes(upload.value[0]["content"])
    return path
