"""Reliability of probabilities: reliability curve, expected calibration error, average precision."""

from typing import Any

import numpy as np
import pandas as pd

from genre_utils.datasets import labels
from genre_utils.evaluation import scoring, uncertainty

BINS = 10  # of equal width; with more, most would be empty for a few hundred rows
EDGES = np.arange(BINS + 1) / BINS


def reliability_curve(predictions: pd.DataFrame) -> pd.DataFrame:
    """Accuracy by the probability of the predicted genre.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks, as ``scoring.predict`` or ``scoring.by_track`` returns them.

    Returns
    -------
    pd.DataFrame [columns=low, high, n, confidence, accuracy]
        One row per bin of the predicted genre's probability, ``low`` < probability <= ``high`` (0 is in the first
        bin): number of rows, their mean probability, and their accuracy; NaN in an empty bin.

    References
    ----------
    DeGroot and Fienberg, The Statistician 32 (1983). ``sklearn.calibration.calibration_curve`` has the same bins,
    without the empty ones. Notebook: 04_evaluation.
    """
    n, sure, right = in_bins(predictions).to_numpy().sum(axis=0).reshape(BINS, 3).T  # each (bin,)
    with np.errstate(invalid="ignore"):
        shares = {"confidence": sure / n, "accuracy": right / n}
    return pd.DataFrame({"low": EDGES[:-1], "high": EDGES[1:], "n": n.astype(int)} | shares)


def expected_calibration_error(predictions: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Expected calibration error: the mean difference between probability and accuracy.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks.
    seed : int
        Seed of the interval.

    Returns
    -------
    dict
        ``ece`` in [0, 1]: the mean of ``|accuracy - confidence|`` over the bins of :func:`reliability_curve`, weighted
        by their rows; ``low, high, n, resampled_by, clusters`` as ``uncertainty.accuracy``. With few rows, the error
        and its interval are too large, because the two differ by chance even for a perfectly calibrated network.

    Raises
    ------
    EvaluationError
        If there is no row.

    References
    ----------
    Naeini, Cooper and Hauskrecht, AAAI (2015); Guo et al., On Calibration of Modern Neural Networks (2017).
    Notebook: 04_evaluation.
    """
    columns = in_bins(predictions)
    drawn, facts = uncertainty.resampled(columns, predictions, seed)
    ece = float(mean_gap(columns.to_numpy().sum(axis=0)))
    return {"ece": ece} | uncertainty.percentile_interval(mean_gap(drawn), facts) | facts


def in_bins(predictions: pd.DataFrame) -> pd.DataFrame:
    """Three columns per bin: for the rows in it 1, their probability, and whether they are right; else 0."""
    sure = scoring.probabilities(predictions).max(axis=1)
    right = uncertainty.is_right(predictions).to_numpy()
    place = np.searchsorted(EDGES[1:-1], sure)  # 0 is in the first bin, 1 in the last
    inside = place[:, None] == np.arange(BINS)  # (row, bin)
    values = np.stack([inside, inside * sure[:, None], inside * right[:, None]], axis=2)  # (row, bin, what)
    return pd.DataFrame(values.reshape(len(predictions), BINS * 3), predictions.index)


def mean_gap(sums: np.ndarray) -> np.ndarray:
    """The calibration error from sums of the columns of :func:`in_bins`, along the last axis."""
    n, sure, right = np.moveaxis(sums.reshape(*sums.shape[:-1], BINS, 3), -1, 0)  # each (…, bin)
    return np.abs(right - sure).sum(axis=-1) / n.sum(axis=-1)


def average_precision(predictions: pd.DataFrame) -> pd.Series:
    """Average precision of each genre, the area under its precision-recall curve: 1 is perfect.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks.

    Returns
    -------
    pd.Series [index=genre]
        In [0, 1]; guessing gives the genre's share of all rows. NaN for a genre without rows.

    References
    ----------
    ``sklearn.metrics.average_precision_score`` has the same values, and takes nine times as long for 100,000 rows.
    Notebook: 04_evaluation.
    """
    areas, genres = {}, scoring.genres_of(predictions)
    for genre, truth in zip(genres, labels.targets(predictions["genre"], genres).T, strict=True):
        score = predictions[f"p_{genre}"].to_numpy()
        every, own = np.sort(score), np.sort(score[truth > 0])
        hits = len(own) - np.searchsorted(own, own)  # rows of the genre with this score or a higher one
        areas[genre] = (hits / (len(every) - np.searchsorted(every, own))).mean() if len(own) else np.nan
    return pd.Series(areas, dtype=float).rename_axis("genre")
