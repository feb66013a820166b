"""Several predictions of the same rows, averaged, and what each of them adds."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from genre_utils.errors import EvaluationError
from genre_utils.evaluation import scoring, uncertainty

DIFFERENCE = ("difference", "difference_low", "difference_high", "difference_no_interval")
ROW = ("track_id", "segment", "seed", "split", "genre")  # what tells rows apart, and what members must agree on


def mean(tables: Sequence[pd.DataFrame], weights: Sequence[float] | None = None) -> pd.DataFrame:
    """The mean of the members' probabilities, row by row.

    Parameters
    ----------
    tables : sequence of pd.DataFrame
        Predictions of the same segments or tracks, as ``scoring.predict`` or ``scoring.by_track`` returns
        them, in any order of rows. Members that are trainings of one table (``seed``) come without that column,
        which would tell their rows apart.
    weights : sequence of float, optional
        One a member, 0 or more; without them all count the same.

    Returns
    -------
    pd.DataFrame
        The first table, with the mean probabilities and what they predict.

    Raises
    ------
    EvaluationError
        If the rows or the genres are not the same, or the weights cannot be.

    References
    ----------
    J. Kittler et al., On combining classifiers, IEEE Trans. Pattern Anal. Mach. Intell. 20 (1998): the sum rule.
    Notebook: 06_beyond_the_paper.
    """
    if not tables:
        raise EvaluationError("An ensemble needs one member or more. Received: none.")
    if weights is not None and (len(weights) != len(tables) or min(weights) < 0 or sum(weights) == 0):
        raise EvaluationError(
            f"An ensemble of {len(tables)} needs as many weights, 0 or more and not all 0. Received: {list(weights)}."
        )
    first, genres = tables[0], scoring.genres_of(tables[0])
    columns = [f"p_{genre}" for genre in genres]
    rows = rows_of(first)
    members = []
    for number, table in enumerate(tables):
        if set(scoring.genres_of(table)) != set(genres):
            raise EvaluationError(
                f"Members must know the same genres. Member 0: {', '.join(genres)}; "
                f"member {number}: {', '.join(scoring.genres_of(table))}."
            )
        others = rows_of(table)
        if others.names != rows.names:
            raise EvaluationError(
                f"Members must predict the same rows. Those of member 0 are told apart by {', '.join(rows.names)}, "
                f"those of member {number} by {', '.join(others.names)}. Use evaluation.by_track on all or on none."
            )
        differ = rows.symmetric_difference(others)
        if len(differ):
            raise EvaluationError(
                f"Members must predict the same rows. Member 0 has {len(rows)}, member {number} {len(others)}; in "
                f"only one of them ({', '.join(rows.names)}): {'; '.join(str(row) for row in differ[:3])}. Use one "
                "split for all; drop the column seed to average trainings."
            )
        members.append(table[columns].to_numpy()[others.get_indexer(rows)])
    probabilities = np.average(members, axis=0, weights=weights)  # (row, genre)
    predicted = np.array(genres)[probabilities.argmax(axis=1)]
    return first.assign(predicted=predicted, **dict(zip(columns, probabilities.T, strict=True)))


def rows_of(table: pd.DataFrame) -> pd.MultiIndex:
    """What each row is of; an error where two are of the same."""
    rows = pd.MultiIndex.from_frame(table[[name for name in ROW if name in table]])
    if not rows.is_unique:
        raise EvaluationError(
            f"A member must predict each row once. Received twice: {rows[rows.duplicated()][0]}. "
            "Give each training as a table of its own."
        )
    return rows


def crops(
    predict: Callable[[np.ndarray], np.ndarray], decibels: np.ndarray, share: float = 0.8, count: int = 3
) -> np.ndarray:
    """Test-time crops: the mean over what a network says of a segment and of shorter windows of it.

    Parameters
    ----------
    predict : callable
        From log-mels ``(n, mel, frame)`` of any length to probabilities ``(n, genre)``: for a network that takes
        any length, ``lambda x: network.predict(x, verbose=0)``.
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels in dB.
    share : float
        Length of a window, as a share of the segment's; in (0, 1].
    count : int
        How many windows; the first begins with the segment, the last ends with it.

    Returns
    -------
    np.ndarray [shape=(n, genre)]
        The mean over the windows and the whole. With ``share`` 1 it is the plain prediction.

    Raises
    ------
    EvaluationError
        If there is no such window.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, ImageNet classification with deep convolutional neural networks,
    NeurIPS 2012, 4.1, there in space. Notebook: 06_beyond_the_paper.
    """
    if not 0 < share <= 1 or count < 1:
        raise EvaluationError(
            f"Crops need a share in (0, 1] and a count of 1 or more. Received: share={share}, count={count}."
        )
    frames = decibels.shape[2]
    width = max(1, round(share * frames))
    starts = np.linspace(0, frames - width, count).round().astype(int)
    windows = [decibels[:, :, start : start + width] for start in starts]
    return np.mean([predict(window) for window in (decibels, *windows)], axis=0)


def gain_per_second(rows: Sequence[tuple[str, pd.DataFrame, float]], seed: int = 0) -> pd.DataFrame:
    """What each member adds to the mean of those before it, and at what price.

    Parameters
    ----------
    rows : sequence of tuple
        Member after member, in the order in which they are added: a name, its predictions of segments (the test
        segments count) and the seconds it took.
    seed : int
        Of the intervals.

    Returns
    -------
    pd.DataFrame
        One row a member: ``member``; ``accuracy, low, high`` by track of the mean up to and with it; ``difference,
        difference_low, difference_high``, paired, to the row before (NaN for the first); ``no_interval`` and
        ``difference_no_interval``, why low and high are NaN elsewhere; ``seconds``; ``points_per_100_s``, the
        difference in percentage points for 100 s. Intervals are 95 %.

    Raises
    ------
    EvaluationError
        If the members are not of the same rows, or there is no test row.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    tables = [table[table["split"] == "test"] for _, table, _ in rows]
    steps = [scoring.by_track(mean(tables[: count + 1])) for count in range(len(tables))]
    lines = []
    for number, ((name, _, seconds), step) in enumerate(zip(rows, steps, strict=True)):
        right = uncertainty.accuracy(step, seed)
        line = {"member": name, "accuracy": right["accuracy"]} | uncertainty.columns(right)
        if number:
            gain = uncertainty.difference(steps[number - 1], step, seed)
            line |= {"difference": gain["difference"]} | uncertainty.columns(gain, "difference_")
        lines.append(line | {"seconds": float(seconds)})
    table = pd.DataFrame(lines, columns=["member", "accuracy", "low", "high", "no_interval", *DIFFERENCE, "seconds"])
    return table.assign(points_per_100_s=100 * table["difference"] / (table["seconds"] / 100))
