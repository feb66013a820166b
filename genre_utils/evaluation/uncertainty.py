"""Uncertainty of an accuracy: 95 % intervals, spread over seeds, and paired comparison of two models."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from genre_utils.datasets import labels
from genre_utils.errors import EvaluationError

RESAMPLES = 2_000  # more would only make the ends of the interval a little more stable
MANY = 5_000  # clusters; weights of more, 2,000 of each, would take 80 MB and seconds, and are not kept
BLOCK = 50  # resamples at once for many clusters: 40 MB of weights for 100,000 of them
FEWEST = 10  # clusters for an interval: with 3, three intervals in ten miss the truth; with 10, one in eleven


def accuracy(predictions: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Accuracy with a 95 % interval by cluster bootstrap: whole artists or tracks are resampled.

    The segments of a track are mostly right or wrong together, and so are the tracks of an artist. An interval from
    resampled segments would be too narrow.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks, with ``track_id``, ``genre``, ``predicted`` and, if known, ``artist``.
    seed : int
        Seed of the resampling.

    Returns
    -------
    dict
        ``accuracy``, ``low``, ``high`` in [0, 1]; ``n``, the number of rows; ``resampled_by`` (artist if any artist
        is known, else track) and ``clusters``, their number. If there is no interval, ``low`` and ``high`` are None,
        and ``no_interval`` is the reason: see :func:`percentile_interval`.

    Raises
    ------
    EvaluationError
        If there is no row.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), ch. 13.
    Notebook: 04_evaluation, 05_honest_splits.
    """
    right = is_right(predictions).astype(float)
    return {"accuracy": float(right.mean())} | interval(right, predictions, seed)


def difference(first: pd.DataFrame, second: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Accuracy of the second model minus that of the first, on the same rows, with a 95 % interval.

    Hard tracks are hard for both models. Resampling *pairs* removes this common part, which two separate intervals
    cannot do.

    Parameters
    ----------
    first, second : pd.DataFrame
        Rows of segments or of tracks, the same in both, in any order.
    seed : int
        Seed of the resampling.

    Returns
    -------
    dict
        ``difference`` in [-1, 1], and ``low, high, n, resampled_by, clusters`` (and ``no_interval``) as
        :func:`accuracy`.

    Raises
    ------
    EvaluationError
        If the two models have different rows.

    References
    ----------
    Notebook: 05_honest_splits, 07_transfer.
    """
    table = paired(first, second)
    gain = table["right_second"].astype(float) - table["right_first"]
    return {"difference": float(gain.mean())} | interval(gain, table, seed)


def mcnemar(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, Any]:
    """McNemar's exact test of two models on the same tracks.

    Parameters
    ----------
    first, second : pd.DataFrame
        One row per track, as ``scoring.by_track`` returns it. Segments are refused: the segments of a track are not
        independent, and the test would find differences that do not exist.

    Returns
    -------
    dict
        ``only_first`` and ``only_second``, the number of tracks that only one model predicts correctly, and
        ``p_value``, two-sided: the probability of such an uneven result, or a more uneven one, if both models are
        equally good. It is exact for any number of tracks.

    Raises
    ------
    EvaluationError
        If the models have different tracks, or a track has several rows.

    References
    ----------
    Q. McNemar, Psychometrika 12 (1947); exact form by ``scipy.stats.binomtest``. Notebook: 05_honest_splits,
    07_transfer.
    """
    if not first["track_id"].is_unique:
        raise EvaluationError("McNemar's test needs one row per track. Received segments: use scoring.by_track first.")
    table = paired(first, second)
    only_first = int((table["right_first"] & ~table["right_second"]).sum())
    only_second = int((table["right_second"] & ~table["right_first"]).sum())
    p_value = binomtest(only_first, only_first + only_second).pvalue if only_first + only_second else 1.0
    return {"only_first": only_first, "only_second": only_second, "p_value": float(p_value)}


def significance(test: Mapping[str, Any]) -> str:
    """The p-value of McNemar's test as text, with a remark if there are too few tracks for a p-value below 0.05.

    Parameters
    ----------
    test : mapping
        As :func:`mcnemar` returns it.

    References
    ----------
    Notebook: 05_honest_splits, 07_transfer.
    """
    differ = test["only_first"] + test["only_second"]
    least = min(1.0, 2 * 0.5**differ)  # if only one model is right on all these tracks
    few = f" ({counted(differ, 'track')} cannot give less than {least:.3f})" if least >= 0.05 else ""
    value = f"p = {test['p_value']:.3f}" if test["p_value"] >= 0.0005 else "p < 0.001"
    return f"{value}{few}"


def over_seeds(accuracies: list[float]) -> dict[str, float | int | None]:
    """Mean and spread of the accuracy over several seeds of the same experiment.

    Parameters
    ----------
    accuracies : list of float
        One per seed.

    Returns
    -------
    dict
        ``mean``; ``sd``, the sample standard deviation (None for one seed); ``low`` and ``high``, the smallest and
        the largest; ``seeds``, their number. The spread is that of training, not that of the choice of tracks.

    References
    ----------
    Notebook: 05_honest_splits.
    """
    values = pd.Series(accuracies, dtype=float)
    return {
        "mean": float(values.mean()),
        "sd": float(values.std()) if len(values) > 1 else None,
        "low": float(values.min()),
        "high": float(values.max()),
        "seeds": len(values),
    }


def is_right(predictions: pd.DataFrame) -> pd.Series:
    """Whether the predicted genre is the true one, for several genres the most probable of them (``one_truth``)."""
    return labels.one_truth(predictions)["genre"] == predictions["predicted"]


def interval(values: pd.Series, table: pd.DataFrame, seed: int) -> dict[str, Any]:
    """95 % interval of the mean of some values, by cluster bootstrap over a table's rows."""
    columns = pd.DataFrame({"sum": values, "rows": 1.0}, index=table.index)
    drawn, facts = resampled(columns, table, seed)
    return percentile_interval(drawn[:, 0] / drawn[:, 1], facts) | facts


def resampled(columns: pd.DataFrame, table: pd.DataFrame, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Sums of columns over resampled artists, or over resampled tracks if the artist is unknown.

    Parameters
    ----------
    columns : pd.DataFrame
        Values of the table's rows.
    table : pd.DataFrame
        Rows of segments or of tracks, with ``track_id`` and, if known, ``artist``.
    seed : int
        Seed of the resampling.

    Returns
    -------
    tuple of np.ndarray [shape=(RESAMPLES, column)], dict
        The sums, and ``n``, ``resampled_by`` and ``clusters`` as :func:`accuracy`.

    Raises
    ------
    EvaluationError
        If there is no row.
    """
    if len(table) == 0:
        raise EvaluationError("There is no row to evaluate, so there is no accuracy. Choose another split.")
    artist = table["artist"] if "artist" in table else pd.Series("", index=table.index)
    sums = columns.groupby(artist.where(artist != "", table["track_id"])).sum().to_numpy()  # (cluster, column)
    count, rng = len(sums), np.random.default_rng(seed)
    if count <= MANY:
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) @ sums
    else:
        drawn = drawn_of_many(sums, rng)
    by = "artist" if (artist != "").any() else "track"
    return drawn, {"n": len(table), "resampled_by": by, "clusters": count}


def drawn_of_many(sums: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sums over resamples of many clusters: the distribution of one multinomial draw, in less time and memory.

    Clusters with the same values are drawn together: how often any of them is drawn is a multinomial count, too. If
    most have values of their own, each resample counts numbers of clusters drawn at random.

    Parameters
    ----------
    sums : np.ndarray [shape=(cluster, column)]
        Of each cluster.
    rng : np.random.Generator
        The source of randomness.

    Returns
    -------
    np.ndarray [shape=(RESAMPLES, column)]
    """
    count = len(sums)
    distinct, often = np.unique(sums, axis=0, return_counts=True)
    if len(distinct) <= MANY:
        return rng.multinomial(count, often / count, size=RESAMPLES) @ distinct
    blocks = []
    for start in range(0, RESAMPLES, BLOCK):
        size = min(BLOCK, RESAMPLES - start)
        weights = [np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(size)]
        blocks.append(np.array(weights, dtype=float) @ sums)  # (resample, column)
    return np.concatenate(blocks)


def percentile_interval(drawn: np.ndarray, facts: Mapping[str, Any]) -> dict[str, Any]:
    """95 % percentile interval of bootstrap values, or the reason why there is none.

    With few clusters, percentile intervals are too narrow. At an accuracy of 70 %, with tracks of six segments, the
    share of intervals that miss the truth is three in ten for 3 tracks (it should be one in twenty), one in eleven for
    10 tracks, one in seventeen for 30. (At 90 % it is one in five for 10 tracks, one in ten for 30.) If all clusters
    have the same value, for instance if everything is right, the interval has no width: it would look certain, but
    the opposite is true.

    Parameters
    ----------
    drawn : np.ndarray [shape=(RESAMPLES,)]
        The value of each resample.
    facts : mapping
        ``resampled_by`` and ``clusters``, as :func:`resampled` returns them.

    Returns
    -------
    dict
        ``low`` and ``high``; if there is no interval both are None, and ``no_interval`` is the reason.

    References
    ----------
    A. C. Cameron and D. L. Miller, A practitioner's guide to cluster-robust inference, J. Human Resources 50 (2015),
    VI: few clusters may mean fewer than 20 or fewer than 50, and intervals from them are too narrow.
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), ch. 13.
    """
    count, by = facts["clusters"], facts["resampled_by"]
    low, high = np.quantile(drawn, [0.025, 0.975])
    if count < FEWEST:
        reason = f"{counted(count, by)} {'is' if count == 1 else 'are'} too few, {FEWEST} are needed"
    elif np.isclose(low, high):
        reason = f"all {counted(count, by)} come out alike"
    else:
        return {"low": float(low), "high": float(high)}
    return {"low": None, "high": None, "no_interval": reason}


def words(value: Mapping[str, Any], signed: bool = False, brief: bool = False) -> str:
    """An interval as text, or the reason why there is none.

    Parameters
    ----------
    value : mapping
        As :func:`accuracy` or :func:`difference` returns it.
    signed : bool
        Write + and -, for a difference.
    brief : bool
        Only the numbers in brackets, for a table.

    Returns
    -------
    str
        ``95 % interval 60.0 to 78.8 % over 24 artists``; if brief, ``[60.0, 78.8]``; without an interval, ``no
        interval: 3 tracks are too few, 10 are needed``.

    References
    ----------
    Notebook: 04_evaluation, 05_honest_splits, 07_transfer.
    """
    if value.get("no_interval"):
        text = f"no interval: {value['no_interval']}"
        return f"[{text}]" if brief else text
    low, high = (f"{100 * value[end]:{'+' if signed else ''}.1f}" for end in ("low", "high"))
    if brief:
        return f"[{low}, {high}]"
    return f"95 % interval {low} to {high} % over {counted(value['clusters'], value['resampled_by'])}"


def columns(value: Mapping[str, Any], prefix: str = "") -> dict[str, float | str]:
    """An interval as cells of a table: ``low``, ``high`` (NaN for none) and ``no_interval`` ("" where there is one)."""
    ends = {f"{prefix}{end}": np.nan if value[end] is None else value[end] for end in ("low", "high")}
    return ends | {f"{prefix}no_interval": value.get("no_interval", "")}


def counted(count: int, noun: str) -> str:
    """``1 track``, ``2 tracks``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Join the rows of two models."""
    keys = [name for name in ("track_id", "segment", "seed") if name in first]
    tables = [table.assign(right=is_right(table)) for table in (first, second)]
    joined = tables[0].merge(tables[1][[*keys, "right"]], on=keys, suffixes=("_first", "_second"), validate="1:1")
    if not len(first) == len(second) == len(joined):
        raise EvaluationError(
            f"The two models must be tested on the same rows. Received {len(first)} and {len(second)} rows, "
            f"{len(joined)} of them in both. Use the same split for both."
        )
    return joined
