"""What two sides of a split have in common: files, songs, artists, near-duplicates."""

import itertools

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from genre_utils.params import SPLITS

KINDS = ("file", "song", "artist", "near-duplicate")


def between_splits(assignment: pd.DataFrame, tracks: pd.DataFrame, pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Count what each two sides share.

    Parameters
    ----------
    assignment : pd.DataFrame [columns=track_id, segment, split]
        As ``protocols.assign`` returns it.
    tracks : pd.DataFrame
        The catalog. A song is a title, whoever plays it: covers count, and so do two songs of one name.
    pairs : pd.DataFrame [columns=track_a, track_b, …], optional
        Copies and near-duplicates, as ``fingerprinting.duplicates`` returns them; without it they have no rows.

    Returns
    -------
    pd.DataFrame [columns=between, what, shared, tracks, of, share, unknown]
        For each two sides and each of file, song, artist, near-duplicate (by pair): how many are ``shared``;
        how many ``tracks`` of the second side have something on the first, ``of`` how many, as ``share``.
        For ``unknown`` tracks the catalog does not say: with them the share is a lower bound.

    References
    ----------
    B. L. Sturm, The GTZAN dataset (2013), arXiv:1306.1461. Notebook: 03_training, 05_honest_splits.
    """
    sides = of_tracks(assignment)
    table = names(tracks, pairs).merge(sides, on="track_id")
    rows = []
    for (first, second), what in itertools.product(itertools.combinations(SPLITS, 2), KINDS):
        if what == KINDS[3] and pairs is None:
            continue
        here, there = (table[(table["split"] == split) & (table["what"] == what)] for split in (first, second))
        of = int((sides["split"] == second).sum())
        common = there[there["name"].isin(here["name"])]
        affected = common["track_id"].nunique()
        unknown = 0 if what == KINDS[3] else of - there["track_id"].nunique()
        share = affected / of if of else 0.0
        rows.append((f"{first} – {second}", what, common["name"].nunique(), affected, of, share, unknown))
    return pd.DataFrame(rows, columns=["between", "what", "shared", "tracks", "of", "share", "unknown"])


def of_tracks(assignment: pd.DataFrame) -> pd.DataFrame:
    """The sides on which each track has segments.

    Parameters
    ----------
    assignment : pd.DataFrame [columns=track_id, segment, split]
        As ``protocols.assign`` returns it.

    Returns
    -------
    pd.DataFrame [columns=track_id, split]
        One row a track; under the protocol leaky up to three.

    References
    ----------
    Notebook: 03_training, 05_honest_splits.
    """
    return assignment[["track_id", "split"]].drop_duplicates(ignore_index=True)


def repeats(tracks: pd.DataFrame) -> pd.DataFrame:
    """Tracks with the same artist and title as another: by the catalog's texts, the same recording or song.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; with a fault or without.

    Returns
    -------
    pd.DataFrame [columns=artist, title, tracks, genres, track_ids]
        One row a repeated title: how many tracks, their genres (more than one is a contradiction in the labels),
        and their ids.

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
    """What identifies a track: itself, its artists, its song, its copies.

    Parameters
    ----------
    tracks : pd.DataFrame
        With ``track_id``, ``artist`` (several are separated by ``;``) and ``title``.
    pairs : pd.DataFrame [columns=track_a, track_b, …], optional
        A pair is a name that both of its tracks have.

    Returns
    -------
    pd.DataFrame [columns=track_id, what, name]
        Artists without case, titles without case, spaces and punctuation; nothing where a text is "".
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
    """Numbers that tracks have in common if a chain of shared artists, songs or copies links them.

    Parameters
    ----------
    tracks : pd.DataFrame
        With ``track_id``, ``artist`` and ``title``.
    pairs : pd.DataFrame [columns=track_a, track_b, …], optional
        Copies and near-duplicates; of other tracks they are passed over.

    Returns
    -------
    np.ndarray [shape=(track,), dtype=int]
        Who shares nothing has a number alone.

    References
    ----------
    Notebook: 05_honest_splits.
    """
    table = names(tracks, pairs)
    table = table[table["track_id"].isin(tracks["track_id"])]
    rows = pd.Index(tracks["track_id"]).get_indexer(table["track_id"])
    columns, kinds = pd.factorize(table["what"] + " " + table["name"])
    size = len(tracks) + len(kinds)  # a graph of tracks and names
    links = coo_array((np.ones(len(rows)), (rows, len(tracks) + columns)), shape=(size, size))
    return connected_components(links, directed=False)[1][: len(tracks)]
