"""More tracks or more artists? Accuracy on unknown artists, for as many training tracks of few and of many artists."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from genre_utils.datasets import contents, labels
from genre_utils.errors import listed, warn
from genre_utils.evaluation import scoring, uncertainty
from genre_utils.evaluation.protocol_study import Trial
from genre_utils.features import handcrafted
from genre_utils.features.store import Store, read_rows
from genre_utils.models import classifiers
from genre_utils.splits import leaks
from genre_utils.system.progress import progress

FEW, MANY = "few artists", "many artists"
GAIN = ["difference", "difference_low", "difference_high", "difference_no_interval"]
COLUMNS = ["per_genre", "which", "artists", "accuracy", "low", "high", "no_interval", "n", *GAIN]
FEWEST = 4  # training tracks per genre: with fewer, few artists would be one


def of_trials(
    planned: Sequence[Trial], store: Store, genres: list[str], draws: int, pairs: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Train on few and on many artists of each trial, for 4, 8, 16 … tracks per genre.

    Parameters
    ----------
    planned : sequence of Trial
        Trials whose training and test tracks share no artist.
    store : Store
        Log-mels of all their tracks.
    genres : list of str
        The classes.
    draws : int
        Random draws for each number and trial.
    pairs : pd.DataFrame, optional
        Near-duplicates, as ``fingerprinting.duplicates`` returns them: their artists count as one.

    Returns
    -------
    pd.DataFrame
        As :func:`predict` returns it, one trial after the other; ``draw`` counts through. All trials have the same
        numbers: less than half of the genres have fewer tracks. Empty, with a warning that says why, where there is
        no curve: no trial, no artist with two training tracks, too few tracks, or log-mels of too few frames.

    References
    ----------
    Features: ``handcrafted.of_log_mel``. Notebook: 05_honest_splits.
    """
    tracks = contents.usable(store.tracks)
    groups, tables = pd.Series(leaks.groups(tracks, pairs), tracks["track_id"]), []
    for trial in planned:
        rows = store.segments[store.segments["augmentation"] == ""].merge(trial.assignment)
        rows = rows.merge(tracks[["track_id", "genre", "artist"]]).sort_values("row", ignore_index=True)
        training = rows[rows["split"] == "train"].drop_duplicates("track_id")
        counts = labels.rarest(training["genre"]).value_counts()
        if counts.min() < 2:
            warn(f"The artist curve leaves out a training with only one track of {listed(counts.index[counts < 2])}.")
        elif training["track_id"].map(groups).is_unique:
            warn("The artist curve leaves out a training in which no known artist has two tracks.")
        else:
            tables.append((trial, rows, counts.median()))
    most = min((median for *_, median in tables), default=0)
    sizes = [2**power for power in range(int(most).bit_length()) if FEWEST <= 2**power < most]
    if not sizes or store.features.shape[2] < handcrafted.LOG_MEL_FRAMES:
        warn(
            f"No artist curve: it needs a split that keeps artists apart, more than {FEWEST} training tracks of half "
            f"of the genres, and {handcrafted.LOG_MEL_FRAMES} frames in a segment."
        )
        return pd.DataFrame(columns=["track_id", "which", "per_genre", "draw", "artists"])
    found = []
    for number, (trial, rows, _) in enumerate(tables):
        x = handcrafted.of_log_mel(read_rows(store.features, rows["row"].to_numpy()), trial.params)
        tested = predict(x, rows, groups, sizes, genres, draws, trial.params.seed)
        found.append(tested.assign(draw=tested["draw"] + number * draws))
    return pd.concat(found, ignore_index=True)


def draw(tracks: pd.DataFrame, per_genre: int, which: str, seed: int) -> list[str]:
    """Draw as many training tracks of each genre, of as few or as many artists as possible.

    Parameters
    ----------
    tracks : pd.DataFrame [columns=track_id, genre, group]
        Tracks of one genre each; ``group`` is the artist, as ``leaks.groups`` returns it.
    per_genre : int
        Number of tracks of each genre; a genre that has fewer gives all.
    which : str
        ``few artists``: all tracks of one artist, then of the next. ``many artists``: a track of each artist, then
        a second one of each.
    seed : int
        Of the order of artists and of the tracks of each. It is the same order for every number, so that a smaller
        draw is a part of a larger one.

    Returns
    -------
    list of str
        Their ``track_id``.

    References
    ----------
    Notebook: 05_honest_splits.
    """
    chosen = []
    for number, (_, own) in enumerate(tracks.groupby("genre")):
        rng = np.random.default_rng([seed, number])
        own = own.iloc[rng.permutation(len(own))]
        artists = own["group"].drop_duplicates().reset_index(drop=True)
        place = own["group"].map(pd.Series(artists.index, artists))  # whose turn it is
        turn = own.groupby("group").cumcount()
        order = np.lexsort((turn, place) if which == FEW else (place, turn))
        chosen += own["track_id"].iloc[order[:per_genre]].tolist()
    return chosen


def predict(
    x: np.ndarray,
    segments: pd.DataFrame,
    groups: pd.Series,
    per_genre: Sequence[int],
    genres: list[str],
    draws: int,
    seed: int = 0,
) -> pd.DataFrame:
    """Train on few and on many artists, and predict the same test tracks.

    Parameters
    ----------
    x : np.ndarray [shape=(segment, feature)]
        The features.
    segments : pd.DataFrame
        A row for each row of ``x``, as for ``classifiers.fit_predict``; ``split`` keeps artists apart.
    groups : pd.Series [index=track_id]
        The artist of each track, as ``leaks.groups`` returns it.
    per_genre : sequence of int
        Numbers of training tracks per genre, two or more.
    genres : list of str
        The classes.
    draws : int
        Random draws for each number.
    seed : int
        Of the draws.

    Returns
    -------
    pd.DataFrame
        Test tracks as ``scoring.by_track`` returns them, with ``which`` (few artists, many artists), ``per_genre``,
        ``draw`` and ``artists``: the number of training artists per genre, in the mean of the genres.

    Raises
    ------
    SplitError
        If a genre has only one training track.

    References
    ----------
    The classifier is the support vector machine of ``classifiers.fit_predict``. Notebook: 05_honest_splits.
    """
    training = segments[segments["split"] == "train"].drop_duplicates("track_id")
    training = training.assign(genre=labels.rarest(training["genre"]), group=training["track_id"].map(groups))
    test, found = (segments["split"] == "test").to_numpy(), []
    drawn_as = segments["track_id"].map(training.set_index("track_id")["genre"])
    segments = segments.assign(genre=drawn_as.fillna(segments["genre"]))  # of several genres, the one it is drawn for
    planned = [(size, number, which) for size in per_genre for number in range(draws) for which in (FEW, MANY)]
    for size, number, which in progress(planned, len(planned), "artist curve"):
        chosen = draw(training, size, which, seed + number)
        some = test | segments["track_id"].isin(chosen).to_numpy()
        predictions = classifiers.fit_predict(x[some], segments[some], "svm", genres)
        artists = training[training["track_id"].isin(chosen)].groupby("genre")["group"].nunique().mean()
        facts = {"which": which, "per_genre": size, "draw": number, "artists": artists}
        found.append(scoring.by_track(predictions).assign(**facts))
    return pd.concat(found, ignore_index=True)


def table(tested: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Accuracy for few and for many artists, and their paired difference.

    Parameters
    ----------
    tested : pd.DataFrame
        As :func:`predict` returns it; of several folds, one after the other.
    seed : int
        Of the intervals.

    Returns
    -------
    pd.DataFrame [columns=per_genre, which, artists, accuracy, low, high, no_interval, n, difference, …]
        Two rows per number: the training artists per genre, the accuracy of tracks with its 95 % interval, which
        resamples artists, and the number of different test tracks. ``difference``, ``difference_low``,
        ``difference_high`` and ``difference_no_interval`` are those of many to few artists, on the same test tracks.

    References
    ----------
    Notebook: 05_honest_splits.
    """
    rows: list[dict[str, Any]] = []
    for size, own in tested.assign(seed=tested["draw"]).groupby("per_genre"):
        few, many = (own[own["which"] == which] for which in (FEW, MANY))
        gain = uncertainty.difference(few, many, seed)
        for which, part in ((FEW, few), (MANY, many)):
            right = uncertainty.accuracy(part, seed)
            row = {"per_genre": size, "which": which, "artists": part["artists"].mean(), "accuracy": right["accuracy"]}
            rows.append(row | uncertainty.columns(right) | {"n": part["track_id"].nunique()})
        rows[-1] |= {"difference": gain["difference"]} | uncertainty.columns(gain, "difference_")
    return pd.DataFrame(rows, columns=COLUMNS)


def outlook(table: pd.DataFrame) -> str:
    """What other artists are worth, in one sentence.

    Parameters
    ----------
    table : pd.DataFrame
        As :func:`table` returns it.

    Returns
    -------
    str
        Of the number of tracks for which the difference is largest: both accuracies, the difference and its interval;
        or that there is no curve.

    References
    ----------
    Notebook: 05_honest_splits.
    """
    if table.empty:
        return "There is no curve."
    many = table[table["which"] == MANY].set_index("per_genre")
    few = table[table["which"] == FEW].set_index("per_genre")
    size = many["difference"].idxmax()
    best, other = many.loc[size], few.loc[size]
    interval = uncertainty.words(
        {"low": best["difference_low"], "high": best["difference_high"], "no_interval": best["difference_no_interval"]},
        signed=True, brief=True,
    )  # fmt: skip
    points = f"{100 * best['difference']:+.1f} points {interval}"
    return (
        f"Largest difference, {points}: {size} training tracks per genre of {best['artists']:.1f} artists classify "
        f"{best['accuracy']:.1%} of the tracks of unknown artists correctly, those of {other['artists']:.1f} artists "
        f"{other['accuracy']:.1%}."
    )
