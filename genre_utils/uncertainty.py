"""How sure an accuracy is: intervals, spread over seeds, two models on the same tracks."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from genre_utils.errors import EvaluationError

RESAMPLES = 2_000  # of whole clusters; more only smooths the interval's ends


def accuracy(predictions: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Share of right rows, with a 95 % interval from resampling whole artists or tracks.

    Segments of a track stand or fall together, and so do an artist's tracks: an interval that resampled
    segments would be too narrow.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks, with ``track_id``, ``genre``, ``predicted`` and, if known, ``artist``.
    seed : int
        Of the resampling.

    Returns
    -------
    dict
        ``accuracy``, ``low``, ``high`` in [0, 1]; ``n``, the number of rows; ``resampled_by`` (artist where one
        is known, else track) and ``clusters``, how many there are. The percentile bootstrap is too narrow for
        few clusters, and has no width where everything is right.

    Raises
    ------
    EvaluationError
        If there is no row.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), ch. 13.
    Notebook: 04_evaluation, 05_honest_splits.
    """
    right = (predictions["genre"] == predictions["predicted"]).astype(float)
    return {"accuracy": float(right.mean())} | interval(right, predictions, seed)


def difference(first: pd.DataFrame, second: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Accuracy of the second model less that of the first, on the same rows.

    Both models err on the same hard tracks; resampling the *pairs* takes that out, which two separate
    intervals cannot.

    Parameters
    ----------
    first, second : pd.DataFrame
        Rows of segments or of tracks, the same in both, in any order.
    seed : int
        Of the resampling.

    Returns
    -------
    dict
        ``difference`` in [-1, 1], and ``low, high, n, resampled_by, clusters`` as :func:`accuracy`.

    Raises
    ------
    EvaluationError
        If the rows are not the same.

    References
    ----------
    Notebook: 05_honest_splits.
    """
    table = paired(first, second)
    gain = table["right_second"].astype(float) - table["right_first"]
    return {"difference": float(gain.mean())} | interval(gain, table, seed)


def mcnemar(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, Any]:
    """McNemar's exact test of two models on the same tracks.

    Parameters
    ----------
    first, second : pd.DataFrame
        One row a track, as ``evaluation.by_track`` returns it. Segments are refused: those of a track are
        not independent, and the test would find differences that are not there.

    Returns
    -------
    dict
        ``only_first`` and ``only_second``, how many tracks one model alone has right, and ``p_value``,
        two-sided: how often a fair coin would part so unevenly.

    Raises
    ------
    EvaluationError
        If the tracks are not the same, or a track has several rows.

    References
    ----------
    Q. McNemar, Psychometrika 12 (1947); exact form by ``scipy.stats.binomtest``. Notebook: 05_honest_splits.
    """
    if not first["track_id"].is_unique:
        raise EvaluationError("McNemar's test needs one row a track. Received segments: use evaluation.by_track first.")
    table = paired(first, second)
    only_first = int((table["right_first"] & ~table["right_second"]).sum())
    only_second = int((table["right_second"] & ~table["right_first"]).sum())
    p_value = binomtest(only_first, only_first + only_second).pvalue if only_first + only_second else 1.0
    return {"only_first": only_first, "only_second": only_second, "p_value": float(p_value)}


def over_seeds(accuracies: list[float]) -> dict[str, float | int | None]:
    """Mean and spread of the same experiment under several seeds.

    Parameters
    ----------
    accuracies : list of float
        One a seed.

    Returns
    -------
    dict
        ``mean``; ``sd``, the sample standard deviation (None for one seed); ``low`` and ``high``, the least and
        the greatest; ``seeds``, how many. The spread is that of training, not of the choice of tracks.

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


def interval(values: pd.Series, table: pd.DataFrame, seed: int) -> dict[str, Any]:
    """95 % interval of the mean of values, by resampling whole clusters of a table's rows."""
    columns = pd.DataFrame({"sum": values, "rows": 1.0}, index=table.index)
    drawn, facts = resampled(columns, table, seed)
    return between(drawn[:, 0] / drawn[:, 1]) | facts


def resampled(columns: pd.DataFrame, table: pd.DataFrame, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Sums of columns over resampled artists, or tracks where the artist is unknown.

    Parameters
    ----------
    columns : pd.DataFrame
        Values of the table's rows.
    table : pd.DataFrame
        Rows of segments or of tracks, with ``track_id`` and, if known, ``artist``.
    seed : int
        Of the resampling.

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
        raise EvaluationError("There is no row to evaluate: an accuracy of nothing is not 0. Choose another split.")
    artist = table["artist"] if "artist" in table else pd.Series("", index=table.index)
    sums = columns.groupby(artist.where(artist != "", table["track_id"])).sum().to_numpy()  # (cluster, column)
    count = len(sums)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES) @ sums
    by = "artist" if (artist != "").any() else "track"
    return drawn, {"n": len(table), "resampled_by": by, "clusters": count}


def between(drawn: np.ndarray) -> dict[str, float]:
    """The percentile interval of a figure's resampled values, 95 %."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}


def paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The rows of both models side by side."""
    keys = [name for name in ("track_id", "segment", "seed") if name in first]
    tables = [table.assign(right=table["genre"] == table["predicted"]) for table in (first, second)]
    joined = tables[0].merge(tables[1][[*keys, "right"]], on=keys, suffixes=("_first", "_second"), validate="1:1")
    if not len(first) == len(second) == len(joined):
        raise EvaluationError(
            f"The two models must be tested on the same rows. Received {len(first)} and {len(second)} rows, "
            f"{len(joined)} of them in both."
        )
    return joined
