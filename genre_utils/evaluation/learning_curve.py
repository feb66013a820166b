"""The learning curve of a probe: its accuracy by the number of training tracks per genre."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from genre_utils.datasets import labels
from genre_utils.evaluation import scoring, transfer_study, uncertainty
from genre_utils.evaluation.protocol_study import Trial
from genre_utils.evaluation.transfer_study import Embedded
from genre_utils.system.progress import progress


def predict(planned: list[Trial], embedded: Embedded, draws: int) -> dict[int, pd.DataFrame]:
    """Train probes on more and more tracks, and predict the test tracks of each trial.

    Parameters
    ----------
    planned : list of Trial
        Trials of one protocol, with the features of the embeddings.
    embedded : Embedded
        The embeddings.
    draws : int
        Random draws of the training tracks, for each number and trial. All of them can be drawn only in one way.

    Returns
    -------
    dict of int to pd.DataFrame
        By the largest number of training tracks per genre (a genre that has fewer gives all): the test tracks as
        ``scoring.by_track`` returns them, with ``draw``, ``seed`` (of trial and draw) and ``training_tracks``.

    References
    ----------
    Notebook: 07_transfer.
    """
    from genre_utils.training import pipeline  # TensorFlow

    genre = strata(embedded)
    numbers = sizes(planned, embedded)
    tables: dict[int, list[pd.DataFrame]] = {size: [] for size in numbers}
    for number, trial in enumerate(progress(planned, len(planned), "learning curve")):
        train, test = (
            pipeline.examples(embedded.store, trial.assignment, split, embedded.genres) for split in ("train", "test")
        )
        for size in numbers:
            for draw in range(draws):
                order = train["track_id"].drop_duplicates().sample(frac=1, random_state=trial.params.seed + draw)
                chosen = order[order.groupby(order.map(genre)).cumcount() < size]
                if draw == 0 or size < numbers[-1]:
                    some = train[train["track_id"].isin(chosen)]
                    found = transfer_study.fit(some, embedded, trial.params)
                    tested = scoring.by_track(transfer_study.predicted(found, test, embedded))
                facts = {"draw": draw, "seed": number * draws + draw, "training_tracks": len(chosen)}
                tables[size].append(tested.assign(**facts))
    return {size: pd.concat(own, ignore_index=True) for size, own in tables.items()}


def strata(embedded: Embedded) -> pd.Series:
    """The genre of each track, by its name; of several, the rarest."""
    tracks = embedded.store.tracks
    return labels.rarest(tracks["genre"]).set_axis(tracks["track_id"])


def sizes(planned: Sequence[Trial], embedded: Embedded) -> list[int]:
    """Numbers of training tracks per genre for a learning curve: powers of two, and last all that there are."""
    genre, most = strata(embedded), 0
    for trial in planned:
        training = trial.assignment.loc[trial.assignment["split"] == "train", "track_id"].unique()
        most = max(most, int(genre[training].value_counts().max()))
    return [*(2**power for power in range(most.bit_length()) if 2**power < most), most]


def table(tested: dict[int, pd.DataFrame], seed: int = 0) -> pd.DataFrame:
    """A learning curve as a table.

    Parameters
    ----------
    tested : dict of int to pd.DataFrame
        As :func:`predict` returns it.
    seed : int
        Seed of the intervals.

    Returns
    -------
    pd.DataFrame [columns=tracks_per_genre, training_tracks, accuracy, low, high, no_interval, sd, draws, n]
        One row per number: the largest number of training tracks of a genre, that of all genres in the mean, the
        accuracy of tracks with its 95 % interval, the standard deviation over draws, and the number of different test
        tracks.

    References
    ----------
    Notebook: 07_transfer.
    """
    rows: list[dict[str, Any]] = []
    for size, table in tested.items():
        right = uncertainty.accuracy(table, seed)
        each = uncertainty.is_right(table).groupby(table["draw"]).mean()
        row = {"tracks_per_genre": size, "training_tracks": table["training_tracks"].mean()}
        row |= {"accuracy": right["accuracy"]} | uncertainty.columns(right)
        rows.append(row | {"sd": each.std(), "draws": len(each), "n": table["track_id"].nunique()})
    return pd.DataFrame(rows)


def outlook(tested: dict[int, pd.DataFrame], seed: int = 0) -> str:
    """What the last step of a learning curve says about more tracks, in one sentence.

    Parameters
    ----------
    tested : dict of int to pd.DataFrame
        As :func:`predict` returns it.
    seed : int
        Seed of the interval.

    Returns
    -------
    str
        With the paired difference of the last two numbers of tracks.

    References
    ----------
    Notebook: 07_transfer.
    """
    if len(tested) < 2:
        return "With one training track per genre there is no curve."
    few, many = list(tested)[-2:]
    gain = uncertainty.difference(tested[few], tested[many], seed)
    start = (
        f"From {few} to {many} training tracks per genre the accuracy changes by {100 * gain['difference']:+.1f} "
        f"points ({uncertainty.words(gain, signed=True)})"
    )
    if gain.get("no_interval") or gain["low"] <= 0 <= gain["high"]:
        return f"{start}: this does not show whether more tracks would help."
    if gain["high"] < 0:
        return f"{start}: more tracks do not help here."
    return f"{start}: the curve still rises, so more tracks would probably help."
