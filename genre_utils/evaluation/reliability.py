"""How far a network's probabilities can be trusted."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from genre_utils.datasets import labels
from genre_utils.evaluation import scoring, uncertainty

BINS = 10  # equally wide; more would leave most of them empty on a few hundred rows
EDGES = np.arange(BINS + 1) / BINS


def reliability_curve(predictions: pd.DataFrame) -> pd.DataFrame:
    """How often the network is right, by how sure it is.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks, as ``scoring.predict`` or ``scoring.by_track`` returns them.

    Returns
    -------
    pd.DataFrame [columns=low, high, n, confidence, accuracy]
        A row a bin of the called genre's probability, ``low`` < probability <= ``high`` (0 is in the first one):
        how many rows, their mean probability, and the share of them that is right; NaN in an empty bin.

    References
    ----------
    DeGroot and Fienberg, The Statistician 32 (1983). ``sklearn.calibration.calibration_curve`` of being right
    has the same bins, less the empty ones. Notebook: 04_evaluation.
    """
    n, sure, right = in_bins(predictions).to_numpy().sum(axis=0).reshape(BINS, 3).T  # each (bin,)
    with np.errstate(invalid="ignore"):
        shares = {"confidence": sure / n, "accuracy": right / n}
    return pd.DataFrame({"low": EDGES[:-1], "high": EDGES[1:], "n": n.astype(int)} | shares)


def expected_calibration_error(predictions: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Mean gap between how sure the network is and how often it is right.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks.
    seed : int
        Of the interval.

    Returns
    -------
    dict
        ``ece`` in [0, 1]: over the bins of :func:`calibration`, the mean of ``|accuracy - confidence|``, by
        rows; ``low, high, n, resampled_by, clusters`` as ``uncertainty.accuracy``. Chance parts the two even in
        a network that is perfectly calibrated: of few rows the error is too large, and so is its interval.

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
    return {"ece": ece} | uncertainty.between(mean_gap(drawn), facts) | facts


def in_bins(predictions: pd.DataFrame) -> pd.DataFrame:
    """For each row 1, its probability and whether it is right, in the three columns of its bin."""
    probabilities = predictions[[f"p_{genre}" for genre in scoring.genres_of(predictions)]]
    sure = probabilities.to_numpy(float).max(axis=1)  # float32, the network's, would be summed to seven digits
    right = uncertainty.is_right(predictions).to_numpy()
    place = np.searchsorted(EDGES[1:-1], sure)  # 0 is in the first bin, 1 in the last
    inside = place[:, None] == np.arange(BINS)  # (row, bin)
    values = np.stack([inside, inside * sure[:, None], inside * right[:, None]], axis=2)  # (row, bin, what)
    return pd.DataFrame(values.reshape(len(predictions), BINS * 3), predictions.index)


def mean_gap(sums: np.ndarray) -> np.ndarray:
    """The calibration error of sums of the columns of :func:`in_bins`, in the last axis."""
    n, sure, right = np.moveaxis(sums.reshape(*sums.shape[:-1], BINS, 3), -1, 0)  # each (…, bin)
    return np.abs(right - sure).sum(axis=-1) / n.sum(axis=-1)


def average_precision(predictions: pd.DataFrame) -> pd.Series:
    """Area under one genre's precision against its recall: 1 is perfect, the genre's share of rows is chance.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks.

    Returns
    -------
    pd.Series [index=genre]
        In [0, 1]; NaN for a genre without rows.

    References
    ----------
    ``sklearn.metrics.average_precision_score``. Notebook: 04_evaluation.
    """
    areas, genres = {}, scoring.genres_of(predictions)
    for genre, truth in zip(genres, labels.targets(predictions["genre"], genres).T, strict=True):
        areas[genre] = average_precision_score(truth, predictions[f"p_{genre}"]) if truth.any() else np.nan
    return pd.Series(areas, dtype=float).rename_axis("genre")
