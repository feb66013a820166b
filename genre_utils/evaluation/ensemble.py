"""Ensembles: average the predictions of several networks, and measure what each member adds."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from genre_utils.errors import EvaluationError
from genre_utils.evaluation import calibration, scoring, uncertainty
from genre_utils.evaluation.temperature_scaling import temperature_scaled

DIFFERENCE = ("difference", "difference_low", "difference_high", "difference_no_interval")
ROW = ("track_id", "segment", "seed", "split", "genre")  # columns that identify a row


def mean(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Average the probabilities of all members, row by row.

    Parameters
    ----------
    tables : sequence of pd.DataFrame
        Predictions of the same segments or tracks, as ``scoring.predict`` or ``scoring.by_track`` returns
        them, with the rows in any order. Drop the column ``seed`` to average trainings of different seeds.

    Returns
    -------
    pd.DataFrame
        The first table, with the mean probabilities and the genre that they predict.

    Raises
    ------
    EvaluationError
        If the members have different rows or genres.

    References
    ----------
    J. Kittler et al., On combining classifiers, IEEE Trans. Pattern Anal. Mach. Intell. 20 (1998): the sum rule.
    Notebook: 06_beyond_the_paper.
    """
    if not tables:
        raise EvaluationError("An ensemble needs one member or more. Received: none.")
    first, genres = tables[0], scoring.genres_of(tables[0])
    columns = [f"p_{genre}" for genre in genres]
    rows = rows_of(first)
    members = []
    for number, table in enumerate(tables):
        if set(scoring.genres_of(table)) != set(genres):
            raise EvaluationError(
                f"All members must have the same genres. Member 0: {', '.join(genres)}; "
                f"member {number}: {', '.join(scoring.genres_of(table))}."
            )
        others = rows_of(table)
        if others.names != rows.names:
            raise EvaluationError(
                f"All members must predict the same rows. Member 0 has the columns {', '.join(rows.names)}, member "
                f"{number} has {', '.join(others.names)}. Use scoring.by_track for all members or for none."
            )
        differ = rows.symmetric_difference(others)
        if len(differ):
            raise EvaluationError(
                f"All members must predict the same rows. Member 0 has {len(rows)} rows, member {number} has "
                f"{len(others)}. Found in only one of them ({', '.join(rows.names)}): "
                f"{'; '.join(str(row) for row in differ[:3])}. Use the same split for all, and drop the column seed to "
                "average trainings of different seeds."
            )
        members.append(table[columns].to_numpy()[others.get_indexer(rows)])
    probabilities = np.mean(members, axis=0)  # (row, genre)
    predicted = np.array(genres)[probabilities.argmax(axis=1)]
    return scoring.with_probabilities(first, probabilities).assign(predicted=predicted)


def calibrated(
    predictions: pd.DataFrame, output: str = "softmax", held_out: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Predictions with calibrated probabilities, so that a member that is too sure of itself has no more votes.

    Parameters
    ----------
    predictions : pd.DataFrame
        As ``scoring.predict`` returns them.
    output : str
        softmax or sigmoid.
    held_out : pd.DataFrame, optional
        Predictions of segments that the member has not learnt from; default: its own of the validation split.

    Returns
    -------
    pd.DataFrame
        The same rows; the probabilities are scaled with the temperature of ``held_out``.

    References
    ----------
    C. Guo et al., On calibration of modern neural networks (2017). Notebook: 06_beyond_the_paper.
    """
    own = predictions[predictions["split"] == "validation"] if held_out is None else held_out
    temperature = calibration.temperature(own, output)
    scaled = temperature_scaled(scoring.probabilities(predictions), temperature, output)
    return scoring.with_probabilities(predictions, scaled)


def chosen(members: Mapping[str, pd.DataFrame], output: str = "softmax") -> list[str]:
    """Choose members by their validation segments: add the best one, as long as the mean gets better.

    Parameters
    ----------
    members : mapping of str to pd.DataFrame
        By name: predictions as ``scoring.predict`` returns them. Only validation rows are used.
    output : str
        softmax or sigmoid.

    Returns
    -------
    list of str
        One name or more, in the order in which they were added. Better is a smaller negative log-likelihood, which
        says more of few tracks than the accuracy does.

    References
    ----------
    R. Caruana et al., Ensemble selection from libraries of models, ICML 2004. Notebook: 06_beyond_the_paper.
    """
    held_out = {name: table[table["split"] == "validation"] for name, table in members.items()}
    names: list[str] = []
    lowest = np.inf
    while rest := [name for name in held_out if name not in names]:
        tried = {name: mean([held_out[one] for one in (*names, name)]) for name in rest}
        losses = {name: calibration.log_loss(table, output) for name, table in tried.items()}
        best = min(losses, key=losses.__getitem__)
        if losses[best] >= lowest:
            break
        names, lowest = [*names, best], losses[best]
    return names


def rows_of(table: pd.DataFrame) -> pd.MultiIndex:
    """The columns that identify each row; an error if a row occurs twice."""
    rows = pd.MultiIndex.from_frame(table[[name for name in ROW if name in table]])
    if not rows.is_unique:
        raise EvaluationError(
            f"A member must predict each row once. Received twice: {rows[rows.duplicated()][0]}. "
            "Pass each training as a separate table."
        )
    return rows


def crops(
    predict: Callable[[np.ndarray], np.ndarray], decibels: np.ndarray, share: float = 0.8, count: int = 3
) -> np.ndarray:
    """Test-time crops: average the predictions for a segment and for shorter windows of it.

    Parameters
    ----------
    predict : callable
        From log-mels ``(n, mel, frame)`` of any length to probabilities ``(n, genre)``, such as
        ``lambda x: network.predict(x, verbose=0)`` for a network that takes any length.
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels in dB.
    share : float
        Length of a window as a share of the segment, in (0, 1].
    count : int
        Number of windows; the first starts with the segment, the last ends with it.

    Returns
    -------
    np.ndarray [shape=(n, genre)]
        Mean over the windows and the whole segment. With ``share`` 1 it is the plain prediction.

    Raises
    ------
    EvaluationError
        If ``share`` or ``count`` is out of range.

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
    """What each member adds to the ensemble of those before it, and its cost in seconds.

    Parameters
    ----------
    rows : sequence of tuple
        For each member, in the order in which they are added: its name, its predictions of segments (only test
        segments are used) and its training time in seconds.
    seed : int
        Seed of the intervals.

    Returns
    -------
    pd.DataFrame
        One row per member: ``member``; ``accuracy, low, high`` by track of the ensemble up to this member;
        ``difference, difference_low, difference_high``, paired, to the row before (NaN for the first);
        ``no_interval`` and ``difference_no_interval``, the reason if low and high are NaN; ``seconds``;
        ``points_per_100_s``, the difference in percentage points per 100 s. Intervals are 95 %.

    Raises
    ------
    EvaluationError
        If the members have different rows, or there is no test row.

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
