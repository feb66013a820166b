"""Leakage between splits: shared files, songs, artists and near-duplicates."""

import itertools

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from genre_utils.params import SPLITS

KINDS = ("file", "song", "artist", "near-duplicate")


def between_splits(assignment: pd.DataFrame, tracks: pd.DataFrame, pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Count what each pair of splits shares.

    Parameters
    ----------
    assignment : pd.DataFrame [columns=track_id, segment, split]
        As ``protocols.assign`` returns it.
    tracks : pd.DataFrame
        The catalog. A song is a title by any artist: covers count as one song, and so do two songs of one name.
    pairs : pd.DataFrame [columns=track_a, track_b, …], optional
        Copies and near-duplicates, as ``fingerprinting.duplicates`` returns them; by default they are not counted.

    Returns
    -------
    pd.DataFrame [columns=between, what, shared, tracks, of, share, unknown]
        For each pair of splits and each of file, song, artist, near-duplicate (by pair): how many are ``shared``;
        how many ``tracks`` of the second split share one with the first, out of ``of``, as ``share``.
        For ``unknown`` tracks the catalog has no artist or title: with them the share is a lower bound.

    References
    ----------
    B. L. Sturm, The GTZAN dataset (2013), arXiv:1306.1461. Notebook: 03_training, 05_honest_splits.
    """
    splits = of_tracks(assignment)
    table = names(tracks, pairs).merge(splits, on="track_id")
    rows = []
    for (first, second), what in itertools.product(itertools.combinations(SPLITS, 2), KINDS):
        if what == KINDS[3] and pairs is None:
            continue
        here, there = (table[(table["split"] == split) & (table["what"] == what)] for split in (first, second))
        of = int((splits["split"] == second).sum())
        common = there[there["name"].isin(here["name"])]
        affected = common["track_id"].nunique()
        unknown = 0 if what == KINDS[3] else of - there["track_id"].nunique()
        share = affected / of if of else 0.0
        rows.append((f"{first} – {second}", what, common["name"].nunique(), affected, of, share, unknown))
    return pd.DataFrame(rows, columns=["between", "what", "shared", "tracks", "of", "share", "unknown"])


def of_tracks(assignment: pd.DataFrame) -> pd.DataFrame:
    """The splits in which each track has segments.

    Parameters
    ----------
    assignment : pd.DataFrame [columns=track_id, segment, split]
        As ``protocols.assign`` returns it.

    Returns
    -------
    pd.DataFrame [columns=track_id, split]
        One row per track; with the protocol leaky up to three.

    References
    ----------
    Notebook: 03_training, 05_honest_splits.
    """
    return assignment[["track_id", "split"]].drop_duplicates(ignore_index=True)


def repeats(tracks: pd.DataFrame) -> pd.DataFrame:
    """Tracks with the same artist and title: the same recording or song, according to the catalog.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault count, too.

    Returns
    -------
    pd.DataFrame [columns=artist, title, tracks, genres, track_ids]
        One row per repeated title: number of tracks, their genres (several contradict each other) and their ids.

    References
    ----------
    B. L. Sturm, The GTZAN dataset (2013), arXiv:1306.1461. Notebook: 01_eda.
    """
    known = tracks[(tracks["artist"] != "") & (tracks["title"] != "")]
    table = known.groupby(["artist", "title"], as_index=False).agg(
        tracks=("track_id", "size"),
        genres=("genre", lambda genre: ", ".join(sorted(set(genre)))),
        track_ids=("track_id", ", ".join),
    )
    return table[table["tracks"] > 1].reset_index(drop=True)


def names(tracks: pd.DataFrame, pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """The names by which tracks are connected: file, artists, song, copies.

    Parameters
    ----------
    tracks : pd.DataFrame
        With ``track_id``, ``artist`` (several are separated by ``;``) and ``title``.
    pairs : pd.DataFrame [columns=track_a, track_b, …], optional
        Each pair is a name that both tracks get.

    Returns
    -------
    pd.DataFrame [columns=track_id, what, name]
        Artists without case; titles without case, spaces and punctuation; no rows for empty texts.
    """
    artist = tracks["artist"].str.split(";").explode().str.strip().str.casefold()
    song = tracks["title"].str.casefold().str.replace(r"\W", "", regex=True)
    parts = [
        pd.DataFrame({"track_id": tracks["track_id"], "what": "file", "name": tracks["track_id"]}),
        pd.DataFrame({"track_id": tracks["track_id"].loc[artist.index], "what": "artist", "name": artist}),
        pd.DataFrame({"track_id": tracks["track_id"], "what": "song", "name": song}),
    ]
    if pairs is not None:
        label = pairs["track_a"] + " = " + pairs["track_b"]
        parts += [
            pd.DataFrame({"track_id": pairs[end], "what": KINDS[3], "name": label}) for end in ("track_a", "track_b")
        ]
    table = pd.concat(parts, ignore_index=True)
    return table[table["name"] != ""]


def groups(tracks: pd.DataFrame, pairs: pd.DataFrame | None = None) -> np.ndarray:
    """Group tracks that are connected by a chain of shared artists, songs or copies.

    Parameters
    ----------
    tracks : pd.DataFrame
        With ``track_id``, ``artist`` and ``title``.
    pairs : pd.DataFrame [columns=track_a, track_b, …], optional
        Copies and near-duplicates; those of other tracks are ignored.

    Returns
    -------
    np.ndarray [shape=(track,), dtype=int]
        The number of each track's group.

    References
    ----------
    Notebook: 05_honest_splits, 07_transfer.
    """
    table = names(tracks, pairs)
    table = table[table["track_id"].isin(tracks["track_id"])]
    rows = pd.Index(tracks["track_id"]).get_indexer(table["track_id"])
    columns, kinds = pd.factorize(table["what"] + " " + table["name"])
    size = len(tracks) + len(kinds)  # a graph of tracks and names
    links = coo_array((np.ones(len(rows)), (rows, len(tracks) + columns)), shape=(size, size))
    return connected_components(links, directed=False)[1][: len(tracks)]
