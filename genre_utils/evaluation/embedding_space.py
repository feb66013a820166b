"""The space of a pretrained network's embeddings: tags by genre, nearest neighbours, and a plane through it."""

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from genre_utils.datasets import labels
from genre_utils.errors import ParamsError
from genre_utils.evaluation import uncertainty
from genre_utils.models import pretrained
from genre_utils.params import unknown_name

RELATIONS = ("any track", "unrelated tracks only")  # among which the nearest one is searched


def tags_by_genre(values: np.ndarray, tracks: pd.DataFrame) -> pd.DataFrame:
    """The mean probability of each tag in the tracks of each genre.

    Parameters
    ----------
    values : np.ndarray [shape=(track, 50)]
        Probabilities of ``pretrained.TAGS``.
    tracks : pd.DataFrame
        A row for each of them, with ``genre``; a track of several genres counts for each.

    Returns
    -------
    pd.DataFrame [index=genre, columns=tag]
        In [0, 1].

    References
    ----------
    Notebook: 07_transfer.
    """
    table = pd.DataFrame(values, columns=list(pretrained.TAGS))
    each = labels.one_a_row(tracks[["genre"]].reset_index(drop=True).assign(place=range(len(tracks))))
    return table.iloc[each["place"]].groupby(each["genre"].to_numpy()).mean().rename_axis("genre")


def top_tags(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """The columns of tags that are among the ``count`` most probable ones of a genre, the most probable first."""
    top = {tag for _, row in table.iterrows() for tag in row.nlargest(count).index}
    return table[table.mean().sort_values(ascending=False).index.intersection(top, sort=False)]


def standardised(values: np.ndarray) -> np.ndarray:
    """The inner features of embeddings (n, 1756) that vary, each with mean 0 and standard deviation 1."""
    from genre_utils.models import probe  # TensorFlow

    features = probe.seen(values, "both")
    return StandardScaler().fit_transform(features[:, probe.varying(features)])


def neighbours(apart: np.ndarray, tracks: pd.DataFrame, track_id: str = "", count: int = 5) -> pd.DataFrame:
    """A track, the nearest others, and the farthest one.

    Parameters
    ----------
    apart : np.ndarray [shape=(track, track)]
        Cosine distances, as ``sklearn.metrics.pairwise.cosine_distances`` returns them.
    tracks : pd.DataFrame
        A row for each of them.
    track_id : str
        The track; "": the first one.
    count : int
        Number of neighbours.

    Returns
    -------
    pd.DataFrame [index=what, columns=track_id, genre, artist, title, distance, path]
        The track itself first, then the nearest, in order of their distance, and the farthest last.

    Raises
    ------
    ParamsError
        If there is no such track.

    References
    ----------
    Notebook: 07_transfer.
    """
    names = tracks["track_id"].tolist()
    if track_id and track_id not in names:
        raise ParamsError(unknown_name(track_id, names).replace("parameter", "track"))
    place = names.index(track_id) if track_id else 0
    order = np.argsort(apart[place], kind="stable")
    others = order[order != place]
    near, far = others[:-1][:count], others[-1:]
    table = tracks.iloc[[place, *near, *far]].assign(distance=apart[place, [place, *near, *far]])
    table.index = pd.Index(
        ["the track", *(f"{n}. neighbour" for n in range(1, len(near) + 1)), *["farthest"] * len(far)]
    )
    return table[["track_id", "genre", "artist", "title", "distance", "path"]]


def nearest(apart: np.ndarray, group: np.ndarray) -> dict[str, np.ndarray]:
    """The row of each track's nearest other track, among all, and among those of other groups.

    Parameters
    ----------
    apart : np.ndarray [shape=(track, track)]
        Cosine distances, as ``sklearn.metrics.pairwise.cosine_distances`` returns them.
    group : np.ndarray [shape=(track,)]
        Tracks with something in common, as ``leaks.groups`` returns them.

    Returns
    -------
    dict of str to np.ndarray [shape=(track,)]
        For each of ``RELATIONS``; -1 where there is no such track.

    References
    ----------
    Notebook: 07_transfer.
    """
    found = {}
    for name, hidden in zip(RELATIONS, (np.eye(len(apart), dtype=bool), group[:, None] == group), strict=True):
        rest = np.where(hidden, np.inf, apart)
        found[name] = np.where(hidden.all(axis=1), -1, rest.argmin(axis=1))
    return found


def neighbour_shares(apart: np.ndarray, tracks: pd.DataFrame, group: np.ndarray, seed: int = 0) -> pd.DataFrame:
    """How many tracks have a nearest neighbour of their genre, with and without tracks that are related to them.

    Parameters
    ----------
    apart : np.ndarray [shape=(track, track)]
        Cosine distances, as ``sklearn.metrics.pairwise.cosine_distances`` returns them.
    tracks : pd.DataFrame
        A row for each of them. A track of several genres agrees with a track of any of them.
    group : np.ndarray [shape=(track,)]
        As ``leaks.groups`` returns them.
    seed : int
        Seed of the intervals.

    Returns
    -------
    pd.DataFrame [index=nearest of]
        ``same_genre`` and its interval ``low, high`` (``no_interval`` says why there is none); ``related``, the share
        of nearest neighbours of the same group; ``n`` tracks and ``resampled_by``. If all tracks are related, there
        is only the first row.

    References
    ----------
    Notebook: 07_transfer.
    """
    genres = labels.targets(tracks["genre"], labels.genres_of(tracks))
    rows = {}
    for name, other in nearest(apart, group).items():
        known = other >= 0
        if not known.any():
            continue
        own, table = other[known], tracks[known].reset_index(drop=True)
        same = pd.Series((genres[known] * genres[own]).any(axis=1).astype(float))
        facts = uncertainty.interval(same, table, seed)
        rows[name] = {"same_genre": same.mean()} | uncertainty.columns(facts)
        rows[name] |= {"related": (group[known] == group[own]).mean(), "n": facts["n"]}
        rows[name] |= {"resampled_by": facts["resampled_by"]}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("nearest of")


def projected(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two directions in which the points differ most.

    Parameters
    ----------
    points : np.ndarray [shape=(track, feature)]
        As :func:`standardised` returns them.

    Returns
    -------
    places : np.ndarray [shape=(track, 2)]
        Coordinates along the two directions.
    shares : np.ndarray [shape=(2,)]
        The share of the variance that each of them has, in [0, 1].

    References
    ----------
    ``sklearn.decomposition.PCA``. Notebook: 07_transfer.
    """
    pca = PCA(2, svd_solver="full")
    return pca.fit_transform(points), pca.explained_variance_ratio_
