"""Who is in train, validation and test, under four protocols, and what each of them lets through."""

import functools
from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from genre_utils.datasets.labels import genres_of, rarest, side_of
from genre_utils.errors import SplitError, listed
from genre_utils.params import SPLITS, Params
from genre_utils.splits import leaks

DESCRIPTIONS = {
    "paper": "split by file, artists on both sides",
    "filtered": "the split that came with the data (GTZAN's is published, without known faults)",
    "artist": "no artist and no song on two sides",
    "leaky": "LEAKY: segments of one file on both sides",
}
FOLLOWS = {  # from a side that lacks a genre
    "train": "the network cannot learn to name it. Add tracks, take another protocol, or leave the genre out.",
    "validation": "the best epoch is chosen without it.",
    "test": "the figures say nothing of it.",
}
ONE_OF_SEVERAL = "A track of several genres counts for its rarest."


def assign(
    tracks: pd.DataFrame, params: Params, pairs: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a catalog by ``params.protocol``, and count what is on both sides.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault are in no split.
    params : Params
        ``protocol`` and what it needs: ``seed``, the two fractions, ``folds`` and ``fold``.
    pairs : pd.DataFrame, optional
        Near-duplicates, as ``fingerprinting.duplicates`` returns them: counted under every protocol, kept on one side
        under artist. Without it they are neither.

    Returns
    -------
    assignment : pd.DataFrame [columns=track_id, segment, split]
        One row a segment of each usable track; ``split`` is train, validation or test.
    shared : pd.DataFrame
        What the sides have in common; see ``leaks.between_splits``.

    Raises
    ------
    SplitError
        If the tracks do not allow the split; the message says why and what to do.

    References
    ----------
    Paper, II.B.5. Notebook: 03_training, 05_honest_splits, 06_beyond_the_paper.
    """
    split = functools.partial(artist, pairs=pairs) if params.protocol == "artist" else PROTOCOL_OF[params.protocol]
    assignment = split(tracks, params)
    return assignment, leaks.between_splits(assignment, tracks, pairs)


def missing(assignment: pd.DataFrame, tracks: pd.DataFrame) -> list[str]:
    """What must be said beside a split: the sides that lack a genre.

    Published lists and whole artists may leave a side without, and so may tracks of several genres.

    Parameters
    ----------
    assignment : pd.DataFrame [columns=track_id, segment, split]
        As a function of this module returns it.
    tracks : pd.DataFrame
        The catalog.

    Returns
    -------
    list of str
        A sentence for each side that lacks genres, and what follows from it.

    References
    ----------
    Notebook: 03_training, 05_honest_splits, 06_beyond_the_paper.
    """
    sides = assignment.drop_duplicates(["track_id", "split"]).merge(tracks[["track_id", "genre"]], on="track_id")
    every = genres_of(usable(tracks))
    lacking = {side: sorted({*every} - {*genres_of(sides[sides["split"] == side])}) for side in SPLITS}
    return [f"No {side} track is of {', '.join(names)}: {FOLLOWS[side]}" for side, names in lacking.items() if names]


def paper(tracks: pd.DataFrame, params: Params) -> pd.DataFrame:
    """The paper's split: by file, 70/15/15, stratified by genre (of several, by :func:`labels.rarest`), seeded.

    All segments of a file land on one side. Artists do not: in GTZAN most test files share an artist with
    training, so that a figure under this protocol says little about artists never heard.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault are in no split.
    params : Params
        ``validation_fraction``, ``test_fraction`` and ``seed``.

    Returns
    -------
    pd.DataFrame [columns=track_id, segment, split]
        One row a segment of each usable track, in the catalog's order.

    Raises
    ------
    SplitError
        If a genre has fewer than three usable tracks, a side would hold fewer tracks than genres, or the tracks lie
        in folders that are the sides of a split.

    References
    ----------
    Paper, II.B.5.
    """
    chosen = usable(tracks)
    if on_disk(chosen):
        raise SplitError(
            "These tracks lie in folders that are the sides of a split, and this protocol would mix them. Keep the "
            "split: protocol=filtered. Or mix them: genre_level (1 or more) says how many levels down the genres are, "
            "and the folders above are no sides then."
        )
    return of_segments(chosen, stratified(rarest(chosen["genre"]), params, "track"), params)


def leaky(tracks: pd.DataFrame, params: Params) -> pd.DataFrame:
    """What many notebooks do: cut first, then shuffle the segments. For the lesson only.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault are in no split.
    params : Params
        As for :func:`paper`; ``protocol`` must be leaky, so that nobody gets this split by accident.

    Returns
    -------
    pd.DataFrame [columns=track_id, segment, split]
        Stratified by genre; most files are on two or three sides.

    Raises
    ------
    SplitError
        If it was not asked for by name, or there are too few segments.
    """
    if params.protocol != "leaky":
        raise SplitError(
            "This split puts segments of one file into train and test; a figure under it is not an estimate of "
            f"anything. Ask for it by name: protocol=leaky. Received: protocol={params.protocol}."
        )
    table = of_segments(usable(tracks), "", params)
    genre = table["track_id"].map(tracks.set_index("track_id")["genre"])
    return table.assign(split=stratified(rarest(genre), params, "segment"))


def filtered(tracks: pd.DataFrame, params: Params) -> pd.DataFrame:
    """The split that came with the data: for GTZAN, the fault-filtered 443/197/290; of folders, train and test.

    Where there is no validation side, ``validation_fraction`` of each genre's training tracks is taken for it.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog with the column ``published_split``; tracks where it is "" are in no split.
    params : Params
        ``validation_fraction`` and ``seed``, where there is no validation side; and how many segments a track gives.

    Returns
    -------
    pd.DataFrame [columns=track_id, segment, split]
        One row a segment of each usable track that the lists name.

    Raises
    ------
    SplitError
        If a side holds no usable track, as in a small part of GTZAN, or training none of a genre.

    References
    ----------
    C. Kereliuk, B. L. Sturm and J. Larsen, Deep learning and music adversaries, IEEE Trans. Multimedia (2015).
    """
    chosen = usable(tracks)
    chosen = chosen[chosen["published_split"].isin(SPLITS)]
    side = chosen["published_split"].copy()
    if set(side) == {"train", "test"}:
        side[held_out(rarest(chosen.loc[side == "train", "genre"]), params)] = "validation"
    counts = side.value_counts().reindex(SPLITS, fill_value=0)
    if counts.min() == 0:
        found = ", ".join(f"{split} {count}" for split, count in counts.items())
        raise SplitError(
            f"The published split names too few of these tracks: {found} of {len(tracks)}. It is known for GTZAN "
            "(its lists are fetched into the data home) and for a CSV with the column published_split "
            f"({', '.join(SPLITS)}). Use protocol=artist otherwise."
        )
    learnt = genres_of(chosen[side == "train"])
    if lacking := sorted({*genres_of(chosen)} - {*learnt}):
        raise SplitError(
            f"Every genre needs a usable training track. The given split has none of {listed(lacking)}. "
            "Add tracks there, or leave these genres out: exclude_genres."
        )
    return of_segments(chosen, side, params)


def held_out(genre: pd.Series, params: Params) -> pd.Index:
    """Of the rows of each genre ``validation_fraction``, one at the least: for the side that a given split lacks."""
    order = genre.sample(frac=1, random_state=params.seed)
    each = order.groupby(order)
    wanted = (params.validation_fraction * each.transform("size")).round().clip(lower=1)
    return order.index[each.cumcount() < wanted]


def on_disk(tracks: pd.DataFrame) -> bool:
    """Whether the folders of the tracks are the sides of a split, which the catalog has then."""
    known = tracks[tracks["published_split"] != ""]
    return len(known) > 0 and all(
        side in map(side_of, PurePosixPath(track_id).parts[:-1])
        for track_id, side in zip(known["track_id"], known["published_split"], strict=True)
    )


def artist(tracks: pd.DataFrame, params: Params, pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """No artist and no song on two sides: one fold of a stratified group k-fold tests, the next validates.

    Over all folds every track is tested once. A track whose artist and title are unknown is its own group.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog with ``artist`` and ``title``; several artists are separated by ``;``.
    params : Params
        ``folds``, ``fold`` and ``seed``.
    pairs : pd.DataFrame, optional
        Near-duplicates, which then stay on one side as well, whoever plays.

    Returns
    -------
    pd.DataFrame [columns=track_id, segment, split]
        One row a segment of each usable track, stratified by genre (of several, by
        :func:`labels.rarest`) as well as the groups allow.

    Raises
    ------
    SplitError
        If a genre has fewer groups than there are folds.

    References
    ----------
    A. Flexer, A closer look on artist filters for musical genre classification, ISMIR 2007.
    ``sklearn.model_selection.StratifiedGroupKFold``.
    """
    chosen = usable(tracks)
    group = pd.Series(leaks.groups(chosen, pairs), index=chosen.index)
    genre = rarest(chosen["genre"])
    counts = group.groupby(genre).nunique()
    if len(counts) == 0 or counts.min() < params.folds:
        few = ", ".join(f"{genre} {count}" for genre, count in counts[counts < params.folds].items())
        raise SplitError(
            f"Each of folds={params.folds} parts needs an artist of every genre. Received: {few or 'no usable track'}. "
            f"Lower folds (3 or more), add artists, or leave the genre out. {ONE_OF_SEVERAL}"
        )
    folds = StratifiedGroupKFold(params.folds, shuffle=True, random_state=params.seed)
    parts = [part for _, part in folds.split(chosen, genre, group)]
    split = np.full(len(chosen), "train", dtype=object)
    split[parts[params.fold]] = "test"
    split[parts[(params.fold + 1) % params.folds]] = "validation"
    return of_segments(chosen, split, params)


PROTOCOL_OF: dict[str, Callable[[pd.DataFrame, Params], pd.DataFrame]] = {
    "paper": paper,
    "filtered": filtered,
    "artist": artist,
    "leaky": leaky,
}


def usable(tracks: pd.DataFrame) -> pd.DataFrame:
    """The tracks without a fault."""
    return tracks[tracks["fault"] == ""].reset_index(drop=True)


def of_segments(tracks: pd.DataFrame, split: pd.Series | np.ndarray | str, params: Params) -> pd.DataFrame:
    """One row a segment, from one side a track."""
    counts = tracks["duration_seconds"].map(params.segments_in).to_numpy()
    table = tracks[["track_id"]].assign(split=split).loc[tracks.index.repeat(counts)]
    table.insert(1, "segment", np.concatenate([np.arange(count) for count in counts]) if len(counts) else [])
    return table.reset_index(drop=True)


def stratified(genre: pd.Series, params: Params, unit: str) -> pd.Series:
    """Sides of rows (tracks or segments), each genre in its share on each side."""
    counts = genre.value_counts()
    if len(genre) == 0 or counts.min() < len(SPLITS):
        few = ", ".join(f"{name} {count}" for name, count in counts[counts < len(SPLITS)].items())
        raise SplitError(
            f"Every genre needs {len(SPLITS)} usable {unit}s, one for each of {', '.join(SPLITS)}. "
            f"Received: {few or f'no usable {unit}'}. Add tracks, or leave the genre out. {ONE_OF_SEVERAL}"
        )
    assignment = pd.Series("train", index=genre.index, name="split")
    rest = genre.index
    for split, fraction in (("test", params.test_fraction), ("validation", params.validation_fraction)):
        count = round(fraction * len(genre))
        if count < len(counts) or len(rest) - count < len(counts):
            raise SplitError(
                f"{split} would hold {count} of {len(genre)} {unit}s; stratified over {len(counts)} genres it needs "
                f"at least {len(counts)}, and leaves as many for training. Add tracks or change {split}_fraction."
            )
        left = genre[rest]
        lone = left.map(left.value_counts()) == 1  # scikit-learn draws from two or more; its place comes below
        strata = left.where(~lone, left.mode()[0])
        rest, chosen = train_test_split(rest, test_size=count, stratify=strata, random_state=params.seed)
        assignment[chosen] = split
    return with_every_genre(assignment, genre, params.seed)


def with_every_genre(assignment: pd.Series, genre: pd.Series, seed: int) -> pd.Series:
    """The same sides, equally large, with every genre on each: a genre's share of a small side may round to none.

    Parameters
    ----------
    assignment : pd.Series
        A side for each row; each side has at least as many rows as there are genres.
    genre : pd.Series
        Of each row; each has at least as many rows as there are sides.
    seed : int
        Of the rows that change places: one of the genre that a side lacks, with one of the genre it has most of.

    Returns
    -------
    pd.Series
        As it was where no side lacks a genre.
    """
    counts = pd.crosstab(genre, assignment).reindex(columns=[*SPLITS], fill_value=0)
    rng, changed = np.random.default_rng(seed), assignment.copy()
    for name in counts.index[(counts == 0).any(axis=1)]:
        for side in counts.columns[counts.loc[name] == 0]:
            other, frequent = counts.loc[name].idxmax(), counts[side].idxmax()
            incoming = rng.choice(genre.index[(genre == name) & (changed == other)])
            outgoing = rng.choice(genre.index[(genre == frequent) & (changed == side)])
            changed[incoming], changed[outgoing] = side, other
            counts.loc[[name, frequent], side] += [1, -1]
            counts.loc[[name, frequent], other] += [-1, 1]
    return changed
