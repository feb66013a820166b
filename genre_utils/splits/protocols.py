"""The protocols that split tracks into train, validation and test; three of them let something leak."""

import functools
from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from genre_utils.datasets.contents import usable
from genre_utils.datasets.labels import genres_of, rarest
from genre_utils.datasets.spelling import split_of
from genre_utils.errors import SplitError, listed
from genre_utils.params import SPLITS, Params
from genre_utils.splits import leaks, stratification

DESCRIPTIONS = {
    "paper": "split by file, artists in several splits",
    "published": "the split that came with the data",
    "filtered": "the split that came with the data (GTZAN's is published, without known faulty clips)",
    "artist": "no artist and no song in two splits",
    "leaky": "LEAKY: segments of one file in several splits",
}
CONSEQUENCES = {  # of a split that lacks a genre
    "train": "the network cannot learn it. Add tracks, use another protocol, or leave the genre out.",
    "validation": "the best epoch is selected without it.",
    "test": "the test results do not cover it.",
}


def assign(
    tracks: pd.DataFrame, params: Params, pairs: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a catalog by ``params.protocol``, and count what the splits share.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault are in no split.
    params : Params
        ``protocol`` and what it needs: ``seed``, the two fractions, ``folds`` and ``fold``.
    pairs : pd.DataFrame, optional
        Near-duplicates, as ``fingerprinting.duplicates`` returns them: counted with every protocol, and kept in one
        split with the protocol artist.

    Returns
    -------
    assignment : pd.DataFrame [columns=track_id, segment, split]
        One row per segment of each usable track; ``split`` is train, validation or test.
    shared : pd.DataFrame
        What the splits have in common; see ``leaks.between_splits``.

    Raises
    ------
    SplitError
        If the tracks cannot be split so; the message says why and what to do.

    References
    ----------
    Paper, II.B.5. Notebook: 03_training, 05_honest_splits, 06_beyond_the_paper.
    """
    split = functools.partial(artist, pairs=pairs) if params.protocol == "artist" else PROTOCOL_OF[params.protocol]
    assignment = split(tracks, params)
    return assignment, leaks.between_splits(assignment, tracks, pairs)


def missing(assignment: pd.DataFrame, tracks: pd.DataFrame) -> list[str]:
    """Find splits that lack a genre, as published lists, splits by artist and tracks of several genres may.

    Parameters
    ----------
    assignment : pd.DataFrame [columns=track_id, segment, split]
        As a function of this module returns it.
    tracks : pd.DataFrame
        The catalog.

    Returns
    -------
    list of str
        A sentence for each split that lacks genres, with the consequence.

    References
    ----------
    Notebook: 03_training, 05_honest_splits, 06_beyond_the_paper, 07_transfer.
    """
    found = leaks.of_tracks(assignment).merge(tracks[["track_id", "genre"]], on="track_id")
    every = genres_of(usable(tracks))
    lacking = {split: sorted({*every} - {*genres_of(found[found["split"] == split])}) for split in SPLITS}
    return [
        f"No {split} track has the genre {', '.join(names)}: {CONSEQUENCES[split]}"
        for split, names in lacking.items()
        if names
    ]


def paper(tracks: pd.DataFrame, params: Params) -> pd.DataFrame:
    """The paper's split: by file, 70/15/15, stratified by genre (of several, by :func:`labels.rarest`), seeded.

    All segments of a file are in one split, but not all tracks of an artist: in GTZAN most test files share an artist
    with training, so a result with this protocol says little about unseen artists.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault are in no split.
    params : Params
        ``validation_fraction``, ``test_fraction`` and ``seed``.

    Returns
    -------
    pd.DataFrame [columns=track_id, segment, split]
        One row per segment of each usable track, in the catalog's order.

    Raises
    ------
    SplitError
        If a genre has fewer than three usable tracks, a split would hold fewer tracks than genres, or the tracks are
        already split into folders.

    References
    ----------
    Paper, II.B.5.
    """
    chosen = usable(tracks)
    if on_disk(chosen):
        raise SplitError(
            "These tracks are already split into folders, and this protocol would mix them. To keep the split, set "
            "protocol=filtered. To mix them, set genre_level to the number of levels down to the genre folders."
        )
    return stratification.of_segments(
        chosen, stratification.stratified(rarest(chosen["genre"]), params, "track"), params
    )


def leaky(tracks: pd.DataFrame, params: Params) -> pd.DataFrame:
    """A wrong split that many notebooks use: cut tracks first, then shuffle the segments. For the lesson only.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault are in no split.
    params : Params
        As for :func:`paper`; ``protocol`` must be leaky, so that nobody uses this split by accident.

    Returns
    -------
    pd.DataFrame [columns=track_id, segment, split]
        Stratified by genre; most files are in two or three splits.

    Raises
    ------
    SplitError
        If ``protocol`` is not leaky, or there are too few segments.
    """
    if params.protocol != "leaky":
        raise SplitError(
            "This split puts segments of one file into train and test; its results do not estimate anything. Expected "
            f"protocol=leaky, received protocol={params.protocol}."
        )
    table = stratification.of_segments(usable(tracks), "", params)
    genre = table["track_id"].map(tracks.set_index("track_id")["genre"])
    return table.assign(split=stratification.stratified(rarest(genre), params, "segment"))


def filtered(tracks: pd.DataFrame, params: Params) -> pd.DataFrame:
    """The split that came with the data, also named ``published``: FMA's 80/10/10, folders named train and test.

    For GTZAN it is the fault-filtered 443/197/290, from which the name comes.
    If it has no validation split, ``validation_fraction`` of each genre's training tracks becomes one.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog with the column ``published_split``; tracks where it is "" are in no split.
    params : Params
        ``validation_fraction`` and ``seed``, if there is no validation split; and the segments.

    Returns
    -------
    pd.DataFrame [columns=track_id, segment, split]
        One row per segment of each usable track in the lists.

    Raises
    ------
    SplitError
        If a split has no usable track, as in a small part of GTZAN, or no training track of a genre.

    References
    ----------
    C. Kereliuk, B. L. Sturm and J. Larsen, Deep learning and music adversaries, IEEE Trans. Multimedia (2015).
    M. Defferrard et al., FMA: a dataset for music analysis, ISMIR 2017.
    """
    chosen = usable(tracks)
    chosen = chosen[chosen["published_split"].isin(SPLITS)]
    split = chosen["published_split"].copy()
    if set(split) == {"train", "test"}:
        split[stratification.held_out(rarest(chosen.loc[split == "train", "genre"]), params)] = "validation"
    counts = split.value_counts().reindex(SPLITS, fill_value=0)
    if counts.min() == 0:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise SplitError(
            f"The published split has too few of these tracks: {found} of {len(tracks)}. There is one for GTZAN (its "
            "lists are downloaded into the data home), for FMA, and for a CSV with the column published_split "
            f"({', '.join(SPLITS)}). For other data, use protocol=artist."
        )
    learnt = genres_of(chosen[split == "train"])
    if lacking := sorted({*genres_of(chosen)} - {*learnt}):
        raise SplitError(
            f"Every genre needs a usable training track. The given split has none of {listed(lacking)}. "
            "Add training tracks, or leave these genres out: exclude_genres."
        )
    return stratification.of_segments(chosen, split, params)


def on_disk(tracks: pd.DataFrame) -> bool:
    """Whether the tracks are already split into folders."""
    known = tracks[tracks["published_split"] != ""]
    return len(known) > 0 and all(
        split in map(split_of, PurePosixPath(track_id).parts[:-1])
        for track_id, split in zip(known["track_id"], known["published_split"], strict=True)
    )


def protocol_for(tracks: pd.DataFrame, asked: str) -> str:
    """The protocol for a catalog: tracks that are split into folders keep their split, if ``asked`` is paper.

    References
    ----------
    Notebook: 03_training.
    """
    return "filtered" if asked == "paper" and on_disk(tracks) else asked


def artist(tracks: pd.DataFrame, params: Params, pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """No artist and no song in two splits: one fold of a stratified group k-fold for testing, the next for validation.

    Over all folds every track is tested once. A track with unknown artist and title is its own group.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog with ``artist`` and ``title``; several artists are separated by ``;``.
    params : Params
        ``folds``, ``fold`` and ``seed``.
    pairs : pd.DataFrame, optional
        Near-duplicates, which are then kept in one split, too.

    Returns
    -------
    pd.DataFrame [columns=track_id, segment, split]
        One row per segment of each usable track, stratified by genre (of several, by :func:`labels.rarest`) as well
        as the groups allow.

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
            f"Lower folds (3 or more), add artists, or leave the genre out. {stratification.ONE_OF_SEVERAL}"
        )
    folds = StratifiedGroupKFold(params.folds, shuffle=True, random_state=params.seed)
    parts = [part for _, part in folds.split(chosen, genre, group)]
    split = np.full(len(chosen), "train", dtype=object)
    split[parts[params.fold]] = "test"
    split[parts[(params.fold + 1) % params.folds]] = "validation"
    return stratification.of_segments(chosen, split, params)


PROTOCOL_OF: dict[str, Callable[[pd.DataFrame, Params], pd.DataFrame]] = {
    "paper": paper,
    "filtered": filtered,
    "published": filtered,
    "artist": artist,
    "leaky": leaky,
}
