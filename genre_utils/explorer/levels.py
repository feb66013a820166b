"""One run's segments and tracks in figures: what is counted, and what is promised, raw and calibrated."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genre_utils.evaluation import reliability, scoring, uncertainty
from genre_utils.evaluation.temperature_scaling import temperature_scaled
from genre_utils.runs import report

PARTS = 100_000  # a probability is carried in these, rounded down: what reaches a threshold in 1/10,000 still does


class Temperatures(NamedTuple):
    """What makes calibrated probabilities of a run's own, if that is known.

    Attributes
    ----------
    segment, track : float or None
        Divides the logits at this level.
    output : str
        The network's: softmax or sigmoid.
    """

    segment: float | None = None
    track: float | None = None
    output: str = "softmax"


def of_run(
    segments: pd.DataFrame, tracks: pd.DataFrame, metrics: dict[str, Any], seed: int, temperatures: Temperatures
) -> dict[str, Any]:
    """Everything of one run, by segment and by track."""
    tables = {"segment": segments, "track": tracks}
    accuracy = {name: uncertainty.accuracy(table, seed) for name, table in tables.items()}
    levels = {}
    for name, table in tables.items():
        temperature = getattr(temperatures, name)
        facts = level(table, calibrated(table, temperature, temperatures.output), seed)
        levels[name] = facts | {"temperature": temperature, "sentence": report.sentence(metrics | accuracy, name)}
    return levels


def calibrated(table: pd.DataFrame, temperature: float | None, output: str) -> pd.DataFrame | None:
    """Rows of segments or of tracks with the probabilities that ``predict`` would give; None if these are they."""
    if temperature is None or temperature == 1:
        return None
    names = [f"p_{genre}" for genre in scoring.genres_of(table)]
    values = temperature_scaled(table[names].to_numpy(), temperature, output)
    return table.assign(**dict(zip(names, values.T, strict=True)))


def level(table: pd.DataFrame, honest: pd.DataFrame | None, seed: int) -> dict[str, Any]:
    """Predictions of one run at one level, and what is computed from them.

    Parameters
    ----------
    table : pd.DataFrame
        Rows of segments or of tracks, as the network gave them.
    honest : pd.DataFrame or None
        The same, calibrated, if that is known.
    seed : int
        Of the interval.

    Returns
    -------
    dict
        ``predicted`` (index of the genre), row by row; ``counts`` (true, predicted); ``precision``, ``recall``,
        ``f1`` and ``support`` by genre; ``raw`` and ``calibrated`` (None if not known), as :func:`promised` returns
        them. What is undefined is None: the precision of a genre that nothing was called, the recall of one
        without rows.
    """
    genres = scoring.genres_of(table)
    by_genre = scoring.table_one(table).drop(index=scoring.AVERAGE)
    counts = scoring.confusion(table)
    called, rows = counts.sum(axis=0), counts.sum(axis=1)
    defined = {"precision": called > 0, "recall": rows > 0, "f1": called + rows > 0}
    return {
        "predicted": pd.Index(genres).get_indexer(table["predicted"]).tolist(),
        "counts": counts.to_numpy().tolist(),
        "support": by_genre["support"].tolist(),
        **{name: plain(by_genre[name].where(there)) for name, there in defined.items()},
        "raw": reliability_bins(table, seed),
        "calibrated": None if honest is None else reliability_bins(honest, seed),
    }


def reliability_bins(table: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Probabilities, and how far they can be trusted.

    Parameters
    ----------
    table : pd.DataFrame
        Rows of segments or of tracks.
    seed : int
        Of the interval.

    Returns
    -------
    dict
        ``p`` (row, genre) in 1/``PARTS``, rounded down; ``average_precision`` by genre; ``reliability`` and
        ``ece``. What is undefined is None.
    """
    genres = scoring.genres_of(table)
    # The least more than a float is off: 0.29 of a table is 28,999.999…
    parts = np.floor(PARTS * table[[f"p_{genre}" for genre in genres]].to_numpy(float) + 1e-6)
    return {
        "p": parts.astype(int).tolist(),
        "average_precision": plain(reliability.average_precision(table).reindex(genres)),
        "reliability": {name: plain(values) for name, values in reliability.reliability_curve(table).items()},
        "ece": reliability.expected_calibration_error(table, seed),
    }


def plain(values: pd.Series) -> list[float | None]:
    """Unrounded (the page rounds once, when it shows a figure), and None where undefined: what JSON can hold."""
    return [None if pd.isna(value) else float(value) for value in values]
