"""Predict audio files from Python as a pandas table, and write predictions as rows or JSON."""

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_utils.errors import warn
from genre_utils.inference import prediction
from genre_utils.paths import given

if TYPE_CHECKING:
    import pandas as pd

TEXTS = ("path", "level", "predicted", "verdict", "fault")  # columns of a table; the others are numbers
DIGITS = 6  # of a probability


def rows(answer: prediction.Prediction, network: prediction.Network) -> Iterator[dict[str, Any]]:
    """A prediction as rows of a tidy table: the track, then its segments.

    Parameters
    ----------
    answer : prediction.Prediction
        The prediction of one file.
    network : prediction.Network
        The network that made it.

    Yields
    ------
    dict
        ``path, level, segment, start_seconds, predicted, verdict, novelty_score, p_<genre>…, fault``. ``level`` is
        track or segment; ``p_<genre>`` is calibrated at both levels. A value that is not known, or that a level does
        not have, is None for a number and "" for a text.
    """
    blank = {name: "" if name in TEXTS else None for name in columns(network)} | {"path": answer.path}
    if answer.fault:
        yield blank | {"level": "track", "fault": answer.fault}
        return
    track = {"level": "track", "verdict": answer.verdict, "novelty_score": novelty_score(answer)}
    yield blank | track | predicted(answer.track, network)
    for number, probabilities in enumerate(answer.probabilities):
        place = {"level": "segment", "segment": number, "start_seconds": number * network.params.segment_seconds}
        yield blank | place | predicted(probabilities, network)


def columns(network: prediction.Network) -> list[str]:
    """Names of the columns of :func:`rows`."""
    front = ["path", "level", "segment", "start_seconds", "predicted", "verdict", "novelty_score"]
    return [*front, *(f"p_{genre}" for genre in network.genres), "fault"]


def predicted(probabilities: np.ndarray, network: prediction.Network) -> dict[str, Any]:
    """The most probable genre and all probabilities, (genre,), as columns."""
    named = zip(network.genres, probabilities, strict=True)
    return {"predicted": network.genres[int(probabilities.argmax())]} | {
        f"p_{genre}": round(float(p), DIGITS) for genre, p in named
    }


def novelty_score(answer: prediction.Prediction) -> float | None:
    """The novelty score, rounded; None if it is not known."""
    return None if np.isnan(answer.novelty_score) else round(answer.novelty_score, DIGITS)


def as_json(answer: prediction.Prediction, network: prediction.Network) -> str:
    """A prediction as one line of JSON.

    Parameters
    ----------
    answer : prediction.Prediction
        The prediction of one file.
    network : prediction.Network
        The network that made it.

    Returns
    -------
    str
        ``path``, and either ``fault`` or ``genre`` (the most probable), ``verdict`` (see ``Calibration``),
        ``novelty_score`` (null if it is not known), ``probabilities`` by genre, and ``timeline``: for each segment its
        ``start_seconds`` and its probabilities in the order of the genres. All probabilities are calibrated.
    """
    if answer.fault:
        return json.dumps({"path": answer.path, "fault": answer.fault})
    track, *segments = ([round(float(p), DIGITS) for p in row] for row in (answer.track, *answer.probabilities))
    seconds = network.params.segment_seconds
    facts = {
        "path": answer.path,
        "genre": network.genres[int(answer.track.argmax())],
        "verdict": answer.verdict,
        "novelty_score": novelty_score(answer),
        "probabilities": dict(zip(network.genres, track, strict=True)),
        "timeline": [{"start_seconds": n * seconds, "probabilities": p} for n, p in enumerate(segments)],
    }
    return json.dumps(facts)


def predict(named: str | Path | Iterable[str | Path], network: prediction.Network) -> "pd.DataFrame":
    """Predict files and folders: the table that the option ``--csv`` writes.

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
        If there is no audio file.

    Warns
    -----
    UserWarning
        If a folder has files without the suffix of an audio file.

    References
    ----------
    Notebook: 04_evaluation.
    """
    import pandas as pd  # here, because the command works without pandas

    found = prediction.sources(named)
    if found.not_audio:
        warn(prediction.left_out(found))
    answers = itertools.chain(prediction.predict(found.files, network), found.unreadable)
    table = pd.DataFrame([row for answer in answers for row in rows(answer, network)], columns=columns(network))
    return table.astype(dict.fromkeys(table.columns.difference(TEXTS), float))


def uploaded(upload: Any, folder: str | Path) -> Path | None:
    """Save the file that was chosen in a notebook's upload button.

    Parameters
    ----------
    upload : ipywidgets.FileUpload
        The button.
    folder : str or Path
        The file is saved here, under its own name.

    Returns
    -------
    Path or None
        The saved file; None if no file was chosen, as in a headless run.

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
