"""The results of one run for the explorer, by segment and by track, with raw and calibrated probabilities."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genre_utils.evaluation import reliability, scoring
from genre_utils.evaluation.temperature_scaling import temperature_scaled

PARTS = 100_000  # probabilities are integers in 1/100,000, rounded down, which keeps comparison with any 1/10,000 right
MOST_PROBABLE = 10  # genres of a row whose probabilities the page has; all of them for the genres of GTZAN
STEPS = 100  # of a threshold, from 0 to the end of its axis
ENDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)  # if the highest probability is 4 %, the axis ends at 5 %


class Temperatures(NamedTuple):
    """The temperatures of a run; None if they are not known.

    Attributes
    ----------
    segment, track : float or None
        Divides the logits of segments or tracks.
    output : str
        Output of the network: softmax or sigmoid.
    """

    segment: float | None = None
    track: float | None = None
    output: str = "softmax"


class Tested(NamedTuple):
    """The test results of one run or table.

    Attributes
    ----------
    name : str
        Of the run or table.
    tables : dict of str to pd.DataFrame
        Rows by level, ``segment`` and perhaps ``track``, as ``scoring.predict`` and ``scoring.by_track`` return them.
    sentences : dict of str to str
        Accuracy by level, in a sentence.
    temperatures : Temperatures
        Unknown by default.
    has_probabilities : bool
        False if the columns ``p_<genre>`` only repeat the predicted genre.
    """

    name: str
    tables: Mapping[str, pd.DataFrame]
    sentences: Mapping[str, str]
    temperatures: Temperatures = Temperatures()
    has_probabilities: bool = True


def of_run(tested: Tested, seed: int) -> dict[str, Any]:
    """All results of one run, by segment and by track."""
    facts: dict[str, Any] = {"name": tested.name}
    for name, table in tested.tables.items():
        temperature = getattr(tested.temperatures, name)
        scaled = calibrated(table, temperature, tested.temperatures.output)
        facts[name] = level(table, scaled, seed, tested.has_probabilities)
        facts[name] |= {"temperature": temperature, "sentence": tested.sentences[name]}
    return facts


def calibrated(table: pd.DataFrame, temperature: float | None, output: str) -> pd.DataFrame | None:
    """Rows of segments or tracks with calibrated probabilities; None if there is no temperature, or it is 1."""
    if temperature is None or temperature == 1:
        return None
    return scoring.with_probabilities(table, temperature_scaled(scoring.probabilities(table), temperature, output))


def level(table: pd.DataFrame, scaled: pd.DataFrame | None, seed: int, has_probabilities: bool) -> dict[str, Any]:
    """Predictions and results of one run at one level.

    Parameters
    ----------
    table : pd.DataFrame
        Rows of segments or of tracks, with the network's own probabilities.
    scaled : pd.DataFrame or None
        The same rows, calibrated, if the temperature is known.
    seed : int
        Seed of the interval.
    has_probabilities : bool
        As in :class:`Tested`.

    Returns
    -------
    dict
        ``predicted`` (index of the genre) for each row; ``counts`` (true, predicted); ``precision``, ``recall``,
        ``f1`` and ``support`` by genre; ``raw`` and ``calibrated`` (None if not known), as :func:`probabilities`
        returns them. Undefined values are None: the precision of a genre that was never predicted, the recall of a
        genre without rows.
    """
    genres = scoring.genres_of(table)
    by_genre = scoring.table_one(table).drop(index=scoring.AVERAGE)
    counts = scoring.confusion(table)
    predicted, rows = counts.sum(axis=0), counts.sum(axis=1)
    defined = {"precision": predicted > 0, "recall": rows > 0, "f1": predicted + rows > 0}
    return {
        "predicted": pd.Index(genres).get_indexer(table["predicted"]).tolist(),
        "counts": counts.to_numpy().tolist(),
        "support": by_genre["support"].tolist(),
        **{name: plain(by_genre[name].where(there)) for name, there in defined.items()},
        "raw": probabilities(table, seed) if has_probabilities else None,
        "calibrated": None if scaled is None else probabilities(scaled, seed),
    }


def probabilities(table: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Probabilities and their reliability.

    Parameters
    ----------
    table : pd.DataFrame
        Rows of segments or of tracks.
    seed : int
        Seed of the interval.

    Returns
    -------
    dict
        ``top``, as :func:`most_probable` returns it; ``curves`` by genre, as :func:`thresholds` returns them;
        ``average_precision`` by genre; ``reliability`` and ``ece``. Undefined values are None.
    """
    parts = np.floor(PARTS * scoring.probabilities(table) + 1e-6).astype(np.int32)  # PARTS * 0.29 is 28,999.999…
    genres = pd.Index(scoring.genres_of(table))
    truth, guess = genres.get_indexer(table["genre"]), genres.get_indexer(table["predicted"])
    return {
        "top": most_probable(parts, truth, guess),
        "curves": [thresholds(parts[:, index], truth == index) for index in range(len(genres))],
        "average_precision": plain(reliability.average_precision(table)),
        "reliability": {name: plain(values) for name, values in reliability.reliability_curve(table).items()},
        "ece": reliability.expected_calibration_error(table, seed),
    }


def most_probable(parts: np.ndarray, truth: np.ndarray, guess: np.ndarray) -> dict[str, Any]:
    """The most probable genres of each row, with the true and the predicted one always among them.

    Parameters
    ----------
    parts : np.ndarray [shape=(row, genre)]
        Probabilities in 1/``PARTS``.
    truth, guess : np.ndarray [shape=(row,)]
        Indices of the true and of the predicted genre.

    Returns
    -------
    dict
        ``count``, the genres of a row; ``genre`` and ``p``, row after row, the most probable first.
    """
    count = min(MOST_PROBABLE, parts.shape[1])
    needed = parts.copy()
    for index in (truth, guess):
        needed[np.arange(len(parts)), index] = 2 * PARTS
    chosen = np.argpartition(-needed, count - 1, axis=1)[:, :count]
    chosen.sort(axis=1)
    values = np.take_along_axis(parts, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    genre, p = (np.take_along_axis(table, order, axis=1).ravel().tolist() for table in (chosen, values))
    return {"count": count, "genre": genre, "p": p}


def thresholds(parts: np.ndarray, is_of: np.ndarray) -> dict[str, Any]:
    """For each threshold on a genre's probability, how many rows reach it.

    Parameters
    ----------
    parts : np.ndarray [shape=(row,)]
        Probabilities of the genre in 1/``PARTS``.
    is_of : np.ndarray [shape=(row,), dtype=bool]
        Whether the genre is the true one.

    Returns
    -------
    dict
        ``most``, the end of the axis, whose thresholds are 0 to ``most`` in ``STEPS`` steps; ``top``, the highest
        probability; ``predicted`` and ``hits``, for each threshold the rows and the true rows that reach it.
    """
    top = int(parts.max()) / PARTS
    most = next(end for end in ENDS if end >= top)
    last = np.minimum(STEPS, np.floor(parts / (most * PARTS / STEPS) + 1e-9).astype(int))
    reached = [np.bincount(last[rows], minlength=STEPS + 1)[::-1].cumsum()[::-1] for rows in (slice(None), is_of)]
    return {"most": most, "top": top, "predicted": reached[0].tolist(), "hits": reached[1].tolist()}


def plain(values: pd.Series) -> list[float | None]:
    """A list for JSON: values are not rounded, which only the page does, and NaN and infinity become None."""
    numbers = values.to_numpy(float, na_value=np.nan)
    return [value if finite else None for value, finite in zip(numbers.tolist(), np.isfinite(numbers), strict=True)]


def worst_tracks(tested: Tested, count: int, among: set[str] | None = None) -> set[str]:
    """The tracks of the most confidently wrong rows of each cell, or the least sure where the cell is right.

    Parameters
    ----------
    tested : Tested
        Of one run.
    count : int
        How many tracks of each cell.
    among : set of str, optional
        Those to choose from; default: all.

    Returns
    -------
    set of str
        Their ``card``, or ``track_id`` where a track has one card.
    """
    found: set[str] = set()
    for name, table in tested.tables.items():
        card = "card" if "card" in table else "track_id"
        sure = np.zeros(len(table))
        if tested.has_probabilities:
            scaled = calibrated(table, getattr(tested.temperatures, name), tested.temperatures.output)
            values = scoring.probabilities(table if scaled is None else scaled)
            place = pd.Index(scoring.genres_of(table)).get_indexer(table["predicted"])
            sure = values[np.arange(len(table)), place]
        right = table["genre"].to_numpy() == table["predicted"].to_numpy()
        ranked = table[[card, "genre", "predicted"]].assign(sure=np.where(right, -sure, sure))
        if among is not None:
            ranked = ranked[ranked[card].isin(among)]
        ranked = ranked.sort_values("sure", ascending=False, kind="stable")
        kept = ranked.drop_duplicates([card, "genre", "predicted"]).groupby(["genre", "predicted"]).head(count)
        found |= set(kept[card])
    return found
