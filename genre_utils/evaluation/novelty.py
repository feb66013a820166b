"""How far a file is from anything that a network was trained on: an out-of-distribution score, without TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Self

import numpy as np

POINTS = "reference.npy"
GROUPS = 8  # of neighbouring mel bands: finer ones describe the songs, not the sound (benchmarks/trust.py)
LEAST_DB = 1.0  # added to each spread: where training is always silent, a decibel must not count a hundredfold
ACCEPTED = 0.95  # of the training's tracks, each compared with the others
AT_ONCE = 512  # segments compared: 20 MB


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """What the segments of a training sound like, as points in a space of a few plain figures.

    Attributes
    ----------
    mean, spread : np.ndarray [shape=(figure,)]
        Of each figure over the training, in dB: they scale the space.
    points : np.ndarray [shape=(segment, figure), dtype=float32]
        The training's segments in it.
    farthest : float
        Distance from the nearest point up to which a track is like training.

    References
    ----------
    Sun et al., Out-of-distribution detection with deep nearest neighbors (2022), on the sound instead of a
    network's features: it needs no second output, and tells more. benchmarks/trust.py has both.
    """

    mean: np.ndarray
    spread: np.ndarray
    points: np.ndarray
    farthest: float

    @classmethod
    def fit(cls, figures: np.ndarray, track: np.ndarray, group: np.ndarray) -> Self | None:
        """Place a training's segments, and find how far from the others its own tracks are.

        No track is compared with itself nor with what shares its artist or song, so that the distance is that
        of music never heard, and training tracks can decide on it: no network has learned them by heart here.

        Parameters
        ----------
        figures : np.ndarray [shape=(segment, figure)]
            As :func:`described` gives them.
        track, group : np.ndarray [shape=(segment,)]
            The track of each segment, and the group of tracks that are not to be compared.

        Returns
        -------
        Reference or None
            None where all tracks are of one group, or all of them sound the same.
        """
        mean, spread = figures.mean(axis=0), figures.std(axis=0) + LEAST_DB
        points = ((figures - mean) / spread).astype(np.float32)
        if len(np.unique(group)) < 2:
            return None
        _, place = np.unique(track, return_inverse=True)
        of_track = np.bincount(place, nearest(points, points, group)) / np.bincount(place)
        farthest = float(np.quantile(of_track, ACCEPTED, method="higher"))
        return cls(mean, spread, points, farthest) if farthest > 0 else None


def read_array(path: Path) -> np.ndarray:
    """A stranger's .npy file; ValueError if it is none, whatever NumPy's reader says of a broken header."""
    try:
        # Mapped: a header that promises more than there is must be an error before memory is asked for.
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:
        raise ValueError(f"{path.name} is no array: {error}") from error


def summary_statistics(decibels: np.ndarray) -> np.ndarray:
    """A log-mel in a few plain figures: how loud groups of bands are beside the loudest moment, and how unsteady.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels.

    Returns
    -------
    np.ndarray [shape=(n, 2 * groups)]
        Mean over time of each of ``GROUPS`` groups of mel bands, then standard deviations, in dB.
    """
    bands = np.array_split(np.arange(decibels.shape[1]), min(GROUPS, decibels.shape[1]))
    level = np.stack([decibels[:, group].mean(axis=1, dtype=float) for group in bands], axis=1)  # (n, group, frame)
    return np.concatenate([level.mean(axis=2), level.std(axis=2)], axis=1)


def nearest(points: np.ndarray, others: np.ndarray, group: np.ndarray | None = None) -> np.ndarray:
    """How far each point is from the nearest of others.

    Parameters
    ----------
    points : np.ndarray [shape=(n, axis)]
        From where.
    others : np.ndarray [shape=(m, axis)]
        To where.
    group : np.ndarray [shape=(n,)], optional
        Of each point, where the others are the same points: those of its own group do not count.

    Returns
    -------
    np.ndarray [shape=(n,)]
        Root mean square over the axes.
    """
    points, others = np.asarray(points, float), np.ascontiguousarray(np.transpose(others), float)  # (axis, m)
    found = [np.empty(0)]
    for start in range(0, len(points), AT_ONCE):
        some = points[start : start + AT_ONCE]
        products = np.einsum("pa,am->pm", some, others)  # not by BLAS, whose threads would wait for each other
        squares = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=0) - 2 * products  # (point, m)
        if group is not None:
            squares[group[start : start + AT_ONCE, None] == group] = np.inf
        found.append(np.sqrt(np.maximum(squares.min(axis=1), 0) / points.shape[1]))
    return np.concatenate(found)
