"""The novelty score: how far the sound of a file is from all training data (out-of-distribution detection)."""

import dataclasses
from pathlib import Path
from typing import Self

import numpy as np

POINTS = "reference.npy"
# Of neighbouring mel bands; more describe single songs instead of the sound: benchmarks/accuracy/calibration.py.
GROUPS = 8
LEAST_DB = 1.0  # added to each standard deviation: otherwise a band that is always silent would dominate the distance
ACCEPTED = 0.95  # share of the training tracks with a novelty score of at most 1
AT_ONCE = 512  # segments to compare at once: 20 MB


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """The training segments as points in a space of a few summary statistics.

    Attributes
    ----------
    mean, spread : np.ndarray [shape=(statistic,)]
        Mean and standard deviation (plus ``LEAST_DB``) of each statistic over the training segments, in dB.
    points : np.ndarray [shape=(segment, statistic), dtype=float32]
        The training segments, standardised.
    farthest : float
        The largest distance from the nearest point at which a track still counts as similar to training.

    References
    ----------
    Sun et al., Out-of-distribution detection with deep nearest neighbors (2022), here on statistics of the log-mel
    instead of a network's features: it needs no second output, and detects more.
    benchmarks/accuracy/calibration.py compares both.
    """

    mean: np.ndarray
    spread: np.ndarray
    points: np.ndarray
    farthest: float

    @classmethod
    def fit(cls, figures: np.ndarray, track: np.ndarray, group: np.ndarray) -> Self | None:
        """Standardise the training segments, and find the usual distance between training tracks.

        A track is not compared with itself or with tracks of the same group (artist or song), so that the distance
        is that of new music. Training tracks can be used because no network is involved that has memorised them.

        Parameters
        ----------
        figures : np.ndarray [shape=(segment, statistic)]
            As :func:`summary_statistics` returns them.
        track, group : np.ndarray [shape=(segment,)]
            The track of each segment, and its group; tracks of one group are not compared.

        Returns
        -------
        Reference or None
            None if all tracks are in one group, or all of them sound the same.
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
    """Read a .npy file from an untrusted source; ValueError if it is broken, whatever NumPy's reader raises."""
    try:
        # As a memory map: if the header promises too much, the error comes before any memory is allocated.
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:
        raise ValueError(f"{path.name} is not a .npy array: {error}") from error


def summary_statistics(decibels: np.ndarray) -> np.ndarray:
    """Summarise a log-mel: the mean and the standard deviation over time of a few groups of mel bands.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels.

    Returns
    -------
    np.ndarray [shape=(n, 2 * groups)]
        The means of up to ``GROUPS`` groups, then their standard deviations, in dB.
    """
    bands = np.array_split(np.arange(decibels.shape[1]), min(GROUPS, decibels.shape[1]))
    level = np.stack([decibels[:, group].mean(axis=1, dtype=float) for group in bands], axis=1)  # (n, group, frame)
    return np.concatenate([level.mean(axis=2), level.std(axis=2)], axis=1)


def nearest(points: np.ndarray, others: np.ndarray, group: np.ndarray | None = None) -> np.ndarray:
    """Distance of each point to the nearest of the others.

    Parameters
    ----------
    points : np.ndarray [shape=(n, axis)]
        The points.
    others : np.ndarray [shape=(m, axis)]
        The points to compare with.
    group : np.ndarray [shape=(n,)], optional
        Only if ``others`` are the same points: the group of each point, which is not compared with itself.

    Returns
    -------
    np.ndarray [shape=(n,)]
        Root mean square difference over the axes.
    """
    points, others = np.asarray(points, float), np.ascontiguousarray(np.transpose(others), float)  # (axis, m)
    found = [np.empty(0)]
    for start in range(0, len(points), AT_ONCE):
        some = points[start : start + AT_ONCE]
        products = np.einsum("pa,am->pm", some, others)  # without BLAS, whose threads would wait for each other
        squares = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=0) - 2 * products  # (point, m)
        if group is not None:
            squares[group[start : start + AT_ONCE, None] == group] = np.inf
        found.append(np.sqrt(np.maximum(squares.min(axis=1), 0) / points.shape[1]))
    return np.concatenate(found)
