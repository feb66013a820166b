"""The results of one run for the explorer, by segment and by track, with raw and calibrated probabilities."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genre_utils.evaluation import reliability, scoring, uncertainty
from genre_utils.evaluation.temperature_scaling import temperature_scaled
from genre_utils.runs import report

PARTS = 100_000  # probabilities are integers in 1/100,000, rounded down, which keeps comparison with any 1/10,000 right


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


def of_run(
    segments: pd.DataFrame, tracks: pd.DataFrame, metrics: dict[str, Any], seed: int, temperatures: Temperatures
) -> dict[str, Any]:
    """All results of one run, by segment and by track."""
    tables = {"segment": segments, "track": tracks}
    accuracy = {name: uncertainty.accuracy(table, seed) for name, table in tables.items()}
    levels = {}
    for name, table in tables.items():
        temperature = getattr(temperatures, name)
        facts = level(table, calibrated(table, temperature, temperatures.output), seed)
        levels[name] = facts | {"temperature": temperature, "sentence": report.sentence(metrics | accuracy, name)}
    return levels


def calibrated(table: pd.DataFrame, temperature: float | None, output: str) -> pd.DataFrame | None:
    """Rows of segments or tracks with calibrated probabilities; None if there is no temperature, or it is 1."""
    if temperature is None or temperature == 1:
        return None
    return scoring.with_probabilities(table, temperature_scaled(scoring.probabilities(table), temperature, output))


def level(table: pd.DataFrame, scaled: pd.DataFrame | None, seed: int) -> dict[str, Any]:
    """Predictions and results of one run at one level.

    Parameters
    ----------
    table : pd.DataFrame
        Rows of segments or of tracks, with the network's own probabilities.
    scaled : pd.DataFrame or None
        The same rows, calibrated, if the temperature is known.
    seed : int
        Seed of the interval.

    Returns
    -------
    dict
        ``predicted`` (index of the genre) for each row; ``counts`` (true, predicted); ``precision``, ``recall``,
        ``f1`` and ``support`` by genre; ``raw`` and ``calibrated`` (None if not known), as :func:`reliability_bins`
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
        "raw": reliability_bins(table, seed),
        "calibrated": None if scaled is None else reliability_bins(scaled, seed),
    }


def reliability_bins(table: pd.DataFrame, seed: int) -> dict[str, Any]:
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
        ``p`` (row, genre) in 1/``PARTS``, rounded down; ``average_precision`` by genre; ``reliability`` and
        ``ece``. Undefined values are None.
    """
    parts = np.floor(PARTS * scoring.probabilities(table) + 1e-6)  # PARTS * 0.29 is 28,999.999… in floating point
    return {
        "p": parts.astype(int).tolist(),
        "average_precision": plain(reliability.average_precision(table)),
        "reliability": {name: plain(values) for name, values in reliability.reliability_curve(table).items()},
        "ece": reliability.expected_calibration_error(table, seed),
    }


def plain(values: pd.Series) -> list[float | None]:
    """A list for JSON: values are not rounded, which only the page does, and NaN becomes None."""
    return [None if pd.isna(value) else float(value) for value in values]
