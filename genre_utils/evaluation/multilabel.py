"""Multilabel evaluation for tracks of several genres: a threshold for each genre, and scores with intervals."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import (
    confusion_matrix_at_thresholds,
    f1_score,
    label_ranking_average_precision_score,
    precision_recall_fscore_support,
)

from genre_utils.datasets.labels import SEPARATOR, targets
from genre_utils.errors import EvaluationError
from genre_utils.evaluation import reliability, scoring, uncertainty

DEFAULT_THRESHOLD = 0.5  # for a genre without validation rows


def thresholds(predictions: pd.DataFrame) -> pd.Series:
    """For each genre the threshold with the best F1 on the validation rows; no other row is used.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks, as ``scoring.predict`` or ``scoring.by_track`` returns them. Use the thresholds
        of segments only for segments, and those of tracks only for tracks, whose mean probabilities are less extreme.

    Returns
    -------
    pd.Series [index=genre, name=threshold]
        In [0, 1]; the genre is predicted from this probability on (``>=``). It is the midpoint between two
        probabilities of the validation rows. Of equally good thresholds the highest is chosen, which predicts the
        fewest rows. A genre without validation rows has ``DEFAULT_THRESHOLD``.

    Raises
    ------
    EvaluationError
        If there is no validation row.

    References
    ----------
    Z. C. Lipton, C. Elkan and B. Naryanaswamy, Optimal thresholding of classifiers to maximize F1 measure (2014):
    such a threshold is optimistic, and with few rows it is not stable.
    ``sklearn.metrics.confusion_matrix_at_thresholds``. Notebook: 04_evaluation, 06_beyond_the_paper.
    """
    validation = predictions[predictions["split"] == "validation"]
    if len(validation) == 0:
        raise EvaluationError(
            "Thresholds are chosen on validation rows, so that the test rows stay unseen. Expected rows with the split "
            f"validation, found only: {', '.join(predictions['split'].unique()) or 'no rows'}."
        )
    truth, p = arrays(validation)
    chosen = {}
    for column, genre in enumerate(scoring.genres_of(validation)):
        _, false_alarms, misses, hits, levels = confusion_matrix_at_thresholds(truth[:, column], p[:, column])
        best = (hits / (hits + (false_alarms + misses) / 2)).argmax() if truth[:, column].any() else None
        below = np.append(levels[1:], 0.0)  # the levels are in descending order
        chosen[genre] = DEFAULT_THRESHOLD if best is None else (levels[best] + below[best]) / 2
    return pd.Series(chosen, name="threshold", dtype=float).rename_axis("genre")


def decide(predictions: pd.DataFrame, thresholds: pd.Series) -> pd.Series:
    """The genres whose probability reaches their threshold.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks.
    thresholds : pd.Series [index=genre]
        As :func:`thresholds` returns it.

    Returns
    -------
    pd.Series
        Texts as in a catalog, such as ``blues|rock``; "" if no genre reaches its threshold. The column ``predicted``
        still has the most probable genre.

    Raises
    ------
    EvaluationError
        If a genre has no threshold.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    genres = np.array(scoring.genres_of(predictions))
    texts = [SEPARATOR.join(sorted(genres[row])) for row in decisions(predictions, thresholds)]
    return pd.Series(texts, index=predictions.index, name="decided", dtype=str)


def table(predictions: pd.DataFrame, thresholds: pd.Series) -> pd.DataFrame:
    """Average precision of each genre, which needs no threshold, and precision, recall and F1 with its threshold.

    Parameters
    ----------
    predictions : pd.DataFrame
        Test rows of segments or of tracks.
    thresholds : pd.Series [index=genre]
        As :func:`thresholds` returns it, from validation.

    Returns
    -------
    pd.DataFrame [index=genre, columns=support, threshold, average_precision, precision, recall, f1]
        In the order of the network's outputs. A genre that was never predicted has precision 0; a genre without rows
        has NaN as average precision, recall and F1.

    Raises
    ------
    EvaluationError
        If there is no row, or a genre has no threshold.

    References
    ----------
    ``sklearn.metrics.average_precision_score`` and ``precision_recall_fscore_support``.
    Notebook: 04_evaluation, 06_beyond_the_paper.
    """
    decided = decisions(predictions, thresholds)
    truth, _ = arrays(predictions)
    precision, recall, f1, support = precision_recall_fscore_support(truth, decided, average=None, zero_division=0)
    rows = pd.DataFrame({"average_precision": reliability.average_precision(predictions)})
    rows = rows.assign(support=support.astype(int), threshold=thresholds, precision=precision, recall=recall, f1=f1)
    rows.loc[rows["support"] == 0, ["recall", "f1"]] = np.nan
    return rows[["support", "threshold", "average_precision", "precision", "recall", "f1"]]


def scores(predictions: pd.DataFrame, thresholds: pd.Series, seed: int = 0) -> dict[str, Any]:
    """Four scores of a multilabel network, each with a 95 % interval.

    Parameters
    ----------
    predictions : pd.DataFrame
        Test rows of segments or of tracks.
    thresholds : pd.Series [index=genre]
        As :func:`thresholds` returns it, from validation.
    seed : int
        Seed of the resampling.

    Returns
    -------
    dict
        ``mean_average_precision`` and ``macro_f1``, the means over the genres that have rows (``left_out`` names
        the others); ``micro_f1``, over all decisions; ``label_ranking_average_precision``, the mean over rows. Each
        is a dict of ``value, low, high`` in [0, 1] (and ``no_interval``). Then ``n, resampled_by, clusters`` as
        ``uncertainty.accuracy``. If a resample has no row of a genre, its means are without that genre. The intervals
        do not include the uncertainty of network and thresholds. For a genre with only a handful of rows, the
        interval of average precision may be too high, because rows that are drawn twice improve the ranking.

    Raises
    ------
    EvaluationError
        If there is no row, or a genre has no threshold.

    References
    ----------
    ``sklearn.metrics.average_precision_score``, ``f1_score`` and ``label_ranking_average_precision_score``.
    Notebook: 06_beyond_the_paper.
    """
    weights, facts = row_weights(predictions, seed)
    rows = table(predictions, thresholds)
    decided = decisions(predictions, thresholds)
    truth, p = arrays(predictions)
    values = {
        "mean_average_precision": rows["average_precision"].mean(),  # without NaN
        "micro_f1": f1_score(truth, decided, average="micro", zero_division=0),
        "macro_f1": rows["f1"].mean(),
        "label_ranking_average_precision": label_ranking_average_precision_score(truth, p),
    }
    support, hits, positives = weights @ truth, weights @ (truth * decided), weights @ decided  # (resample, genre)
    with np.errstate(invalid="ignore"):
        f1 = np.where(support > 0, 2 * hits / (support + positives), np.nan)
    areas = [weighted_average_precision(of, score, weights) for of, score in zip(truth.T, p.T, strict=True)]
    drawn = {
        "mean_average_precision": np.nanmean(areas, axis=0),
        "micro_f1": 2 * hits.sum(axis=1) / (support + positives).sum(axis=1),
        "macro_f1": np.nanmean(f1, axis=1),
        "label_ranking_average_precision": weights @ ranking_precision(truth, p) / weights.sum(axis=1),
    }
    ends = {name: uncertainty.percentile_interval(resampled, facts) for name, resampled in drawn.items()}
    figures = {name: {"value": float(value)} | ends[name] for name, value in values.items()}
    return figures | {"left_out": rows.index[rows["support"] == 0].tolist()} | facts


def arrays(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Targets and probabilities, each (row, genre)."""
    truth = targets(predictions["genre"], scoring.genres_of(predictions))
    return truth.astype(int), scoring.probabilities(predictions)


def decisions(predictions: pd.DataFrame, thresholds: pd.Series) -> np.ndarray:
    """Whether each probability reaches the threshold of its genre, (row, genre)."""
    genres = scoring.genres_of(predictions)
    if missing := set(genres) - set(thresholds.index):
        raise EvaluationError(
            f"Every genre needs a threshold. Received none for {', '.join(sorted(missing))}. "
            "Choose them with multilabel.thresholds on the validation rows of the same network."
        )
    return scoring.probabilities(predictions) >= thresholds[genres].to_numpy()


def row_weights(predictions: pd.DataFrame, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """How often each resample of artists contains each row, (resample, row), and the facts of ``resampled``."""
    codes, names = pd.factorize(predictions["track_id"])
    first = ~predictions["track_id"].duplicated().to_numpy()
    tracks = np.eye(len(names))[codes] * first[:, None]  # each track counted once, (row, track)
    drawn, facts = uncertainty.resampled(pd.DataFrame(tracks, index=predictions.index), predictions, seed)
    return drawn[:, codes], facts


def weighted_average_precision(truth: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision for many row weights at once.

    Parameters
    ----------
    truth : np.ndarray [shape=(row,)]
        0 or 1.
    score : np.ndarray [shape=(row,)]
        Higher means more probable; the order of equal scores has no influence.
    weights : np.ndarray [shape=(weighting, row)]
        As ``sample_weight``.

    Returns
    -------
    np.ndarray [shape=(weighting,)]
        The same as ``sklearn.metrics.average_precision_score`` for each weighting; NaN if all rows of the genre have
        weight 0.
    """
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)  # the last of each run of equal scores
    weights = weights[:, order]
    count = weights.cumsum(axis=1)[:, ends]
    hits = (weights * truth[order]).cumsum(axis=1)[:, ends]
    with np.errstate(invalid="ignore"):
        precision = np.where(count > 0, hits / count, 0.0)
        return (np.diff(hits, axis=1, prepend=0) * precision).sum(axis=1) / hits[:, -1]


def ranking_precision(truth: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Label ranking average precision of each row, as in scikit-learn, (row,)."""
    above = p[:, None, :] >= p[:, :, None]  # (row, of genre, other)
    own = (above * truth[:, None, :]).sum(axis=2) / above.sum(axis=2)
    return (own * truth).sum(axis=1) / truth.sum(axis=1)
