"""Several genres a track: a threshold for each genre, and how good the scores and the decisions are."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix_at_thresholds,
    f1_score,
    label_ranking_average_precision_score,
    precision_recall_fscore_support,
)

from genre_utils.datasets.labels import SEPARATOR, targets
from genre_utils.errors import EvaluationError
from genre_utils.evaluation import scoring, uncertainty

UNTAUGHT = 0.5  # threshold of a genre that validation does not hold: there, yes is as likely as no to the network


def thresholds(predictions: pd.DataFrame) -> pd.Series:
    """For each genre the threshold that gives the best F1 on the validation rows; no other row is looked at.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks, as ``scoring.predict`` or ``scoring.by_track`` returns them. Apply the
        thresholds to rows of the same kind: means over segments are less extreme than segments are.

    Returns
    -------
    pd.Series [index=genre, name=threshold]
        In [0, 1], to be called from (``>=``): half way between two probabilities that occur, so that no other
        threshold gives a better F1 on these rows. Of equally good ones the highest, which calls the fewest rows. For
        a genre that no validation row is of, every threshold gives an F1 of 0: it keeps ``UNTAUGHT``.

    Raises
    ------
    EvaluationError
        If there is no validation row.

    References
    ----------
    Z. C. Lipton, C. Elkan and B. Naryanaswamy, Optimal thresholding of classifiers to maximize F1 measure (2014):
    a threshold so chosen is optimistic, and on few rows it is not stable.
    ``sklearn.metrics.confusion_matrix_at_thresholds``. Notebook: 04_evaluation, 06_beyond_the_paper.
    """
    validation = predictions[predictions["split"] == "validation"]
    if len(validation) == 0:
        raise EvaluationError(
            "Thresholds are chosen on validation rows alone, so that those of test stay unseen. Received none: "
            f"split holds {', '.join(predictions['split'].unique()) or 'nothing'}."
        )
    truth, p = arrays(validation)
    chosen = {}
    for column, genre in enumerate(scoring.genres_of(validation)):
        _, false_alarms, misses, hits, levels = confusion_matrix_at_thresholds(truth[:, column], p[:, column])
        best = (hits / (hits + (false_alarms + misses) / 2)).argmax() if truth[:, column].any() else None
        below = np.append(levels[1:], 0.0)  # levels fall
        chosen[genre] = UNTAUGHT if best is None else (levels[best] + below[best]) / 2
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
        Texts as in a catalog, such as ``blues|rock``; "" where no genre reaches its threshold: none is forced, and
        ``predicted`` still names the likeliest.

    Raises
    ------
    EvaluationError
        If a genre has no threshold.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    genres = np.array(scoring.genres_of(predictions))
    texts = [SEPARATOR.join(sorted(genres[row])) for row in predicted(predictions, thresholds)]
    return pd.Series(texts, index=predictions.index, name="decided", dtype=str)


def table(predictions: pd.DataFrame, thresholds: pd.Series) -> pd.DataFrame:
    """How well each genre is ranked, whatever the threshold, and decided, with it.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks: those of the test.
    thresholds : pd.Series [index=genre]
        As :func:`thresholds` returns it, from validation.

    Returns
    -------
    pd.DataFrame [index=genre, columns=support, threshold, average_precision, precision, recall, f1]
        In the order of the network's outputs. A genre never called has precision 0; of one without rows, average
        precision, recall and F1 are NaN.

    Raises
    ------
    EvaluationError
        If there is no row, or a genre has no threshold.

    References
    ----------
    ``sklearn.metrics.average_precision_score`` and ``precision_recall_fscore_support``.
    Notebook: 04_evaluation, 06_beyond_the_paper.
    """
    genres = scoring.genres_of(predictions)
    calls = predicted(predictions, thresholds)
    truth, p = arrays(predictions)
    precision, recall, f1, support = precision_recall_fscore_support(truth, calls, average=None, zero_division=0)
    areas = [
        average_precision_score(truth[:, column], p[:, column]) if support[column] else np.nan
        for column in range(len(genres))
    ]
    columns = {
        "support": support.astype(int), "threshold": thresholds[genres].to_numpy(), "average_precision": areas,
        "precision": precision, "recall": recall, "f1": f1,
    }  # fmt: skip
    rows = pd.DataFrame(columns, index=pd.Index(genres, name="genre"))
    rows.loc[rows["support"] == 0, ["recall", "f1"]] = np.nan
    return rows


def scores(predictions: pd.DataFrame, thresholds: pd.Series, seed: int = 0) -> dict[str, Any]:
    """Four figures of a network that may name several genres, each with a 95 % interval.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks: those of the test.
    thresholds : pd.Series [index=genre]
        As :func:`thresholds` returns it, from validation.
    seed : int
        Of the resampling.

    Returns
    -------
    dict
        ``mean_average_precision`` and ``macro_f1``, the means over the genres that have rows (``left_out`` names
        the others); ``micro_f1``, over all single decisions; ``label_ranking_average_precision``, the mean over
        rows of how purely their own genres stand on top. Each is a dict of ``value, low, high`` in [0, 1] (and
        ``no_interval``). Then ``n, resampled_by, clusters`` as ``uncertainty.accuracy``. Where a resample has no row
        of a genre, that genre is left out of its means. The intervals take network and thresholds as given. Rows drawn
        twice help each other up a ranking: of a genre with a handful of rows, resampled average precisions are too
        high, and so may be the interval.

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
    calls = predicted(predictions, thresholds)
    truth, p = arrays(predictions)
    values = {
        "mean_average_precision": rows["average_precision"].mean(),  # NaN is passed over
        "micro_f1": f1_score(truth, calls, average="micro", zero_division=0),
        "macro_f1": rows["f1"].mean(),
        "label_ranking_average_precision": label_ranking_average_precision_score(truth, p),
    }
    support, hits, calls_of = weights @ truth, weights @ (truth * calls), weights @ calls  # each (resample, genre)
    with np.errstate(invalid="ignore"):
        f1 = np.where(support > 0, 2 * hits / (support + calls_of), np.nan)
    areas = [weighted_average_precision(of, score, weights) for of, score in zip(truth.T, p.T, strict=True)]
    drawn = {
        "mean_average_precision": np.nanmean(areas, axis=0),
        "micro_f1": 2 * hits.sum(axis=1) / (support + calls_of).sum(axis=1),
        "macro_f1": np.nanmean(f1, axis=1),
        "label_ranking_average_precision": weights @ ranking_precision(truth, p) / weights.sum(axis=1),
    }
    ends = {name: uncertainty.between(resampled, facts) for name, resampled in drawn.items()}
    figures = {name: {"value": float(value)} | ends[name] for name, value in values.items()}
    return figures | {"left_out": rows.index[rows["support"] == 0].tolist()} | facts


def arrays(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Targets and probabilities, each (row, genre); in float64, where a mean lies between its two numbers."""
    genres = scoring.genres_of(predictions)
    p = predictions[[f"p_{genre}" for genre in genres]].to_numpy(float)
    return targets(predictions["genre"], genres).astype(int), p


def predicted(predictions: pd.DataFrame, thresholds: pd.Series) -> np.ndarray:
    """Whether each probability reaches its genre's threshold, (row, genre)."""
    genres = scoring.genres_of(predictions)
    if missing := set(genres) - set(thresholds.index):
        raise EvaluationError(
            f"Every genre needs a threshold. Received none for {', '.join(sorted(missing))}. "
            "Choose them with multilabel.thresholds on the same network's validation rows."
        )
    return predictions[[f"p_{genre}" for genre in genres]].to_numpy(float) >= thresholds[genres].to_numpy()


def row_weights(predictions: pd.DataFrame, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """How often each row is in each resample of whole artists, (resample, row), and the facts of resampling."""
    codes, names = pd.factorize(predictions["track_id"])
    first = ~predictions["track_id"].duplicated().to_numpy()
    tracks = np.eye(len(names))[codes] * first[:, None]  # each track counted once, (row, track)
    drawn, facts = uncertainty.resampled(pd.DataFrame(tracks, index=predictions.index), predictions, seed)
    return drawn[:, codes], facts


def weighted_average_precision(truth: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision under many weightings of the rows at once.

    Parameters
    ----------
    truth : np.ndarray [shape=(row,)]
        0 or 1.
    score : np.ndarray [shape=(row,)]
        Higher is more of the genre; equal scores are one step, whatever their order.
    weights : np.ndarray [shape=(weighting, row)]
        As ``sample_weight``.

    Returns
    -------
    np.ndarray [shape=(weighting,)]
        As ``sklearn.metrics.average_precision_score`` gives it one by one; NaN where no row of the genre counts.
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
    """Of each row: at the rank of each of its genres, the share of its own down to there; their mean, (row,)."""
    above = p[:, None, :] >= p[:, :, None]  # (row, of genre, other)
    own = (above * truth[:, None, :]).sum(axis=2) / above.sum(axis=2)
    return (own * truth).sum(axis=1) / truth.sum(axis=1)
