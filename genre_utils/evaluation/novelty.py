"""How sure a network is of a file, and whether the file is like anything that it was trained on: no TensorFlow."""

import dataclasses
import math
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.special import expit, softmax

SURE, NOT_SURE, UNLIKE = "", "not sure", "unlike anything in training"  # verdicts of a file
# Chow's rule where a wrong genre costs twice as much as none: below, it is rather wrong than right.
SURE_FROM = 0.5
POINTS = "reference.npy"
LEAST = float(np.finfo(np.float32).tiny)  # of the probabilities that a network tells from 0
LEAST_BELOW_ONE = float(np.finfo(np.float32).epsneg) / 2  # from here on it answers 1
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
    def learned(cls, figures: np.ndarray, track: np.ndarray, group: np.ndarray) -> Self | None:
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


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """What is known of a network besides its weights.

    Attributes
    ----------
    temperature : float
        Divides the logits of a segment; above 1 where the network promises too much.
    track_temperature : float
        The same for a whole file, of the mean over its segments: a mean of several promises less than each.
    reference : Reference or None
        What its training sounds like, if known.

    References
    ----------
    Guo et al., On calibration of modern neural networks (2017). C. K. Chow, On optimum recognition error and
    reject tradeoff (1970). Notebook: 04_evaluation.
    """

    temperature: float = 1.0
    track_temperature: float = 1.0
    reference: Reference | None = None

    def calibrated(self, probabilities: np.ndarray, output: str) -> np.ndarray:
        """Probabilities of segments, by the temperature.

        Parameters
        ----------
        probabilities : np.ndarray [shape=(segment, genre)]
            As the network gives them.
        output : str
            The network's: softmax or sigmoid.

        Returns
        -------
        np.ndarray [shape=(segment, genre), dtype=float64]
            In the same order in each row.
        """
        return temperature_scaled(probabilities, self.temperature, output)

    def calibrated_tracks(self, means: np.ndarray, output: str) -> np.ndarray:
        """Probabilities of whole files, by the tracks' temperature.

        Parameters
        ----------
        means : np.ndarray [shape=(track, genre)]
            Of the network's own probabilities. The mean of calibrated ones may be greatest elsewhere: a track would
            be called otherwise than where its accuracy was measured.
        output : str
            The network's: softmax or sigmoid.

        Returns
        -------
        np.ndarray [shape=(track, genre), dtype=float64]
            In the same order in each row.
        """
        return temperature_scaled(means, self.track_temperature, output)

    def strangeness(self, decibels: np.ndarray) -> np.ndarray:
        """How far each segment is from the nearest one of the training.

        Parameters
        ----------
        decibels : np.ndarray [shape=(n, mel, frame)]
            Log-mels.

        Returns
        -------
        np.ndarray [shape=(n,)]
            0 for a segment of the training; a file whose mean is above 1 is unlike it. NaN without a reference.
        """
        return self.strangeness_of(summary_statistics(decibels))

    def strangeness_of(self, figures: np.ndarray) -> np.ndarray:
        """The same from what :func:`described` gives of the segments."""
        if self.reference is None:
            return np.full(len(figures), np.nan)
        placed = (figures - self.reference.mean) / self.reference.spread
        return nearest(placed, self.reference.points) / self.reference.farthest

    def verdict(self, track: np.ndarray, strangeness: float) -> str:
        """What is to be said of a file.

        Parameters
        ----------
        track : np.ndarray [shape=(genre,)]
            Its calibrated probabilities.
        strangeness : float
            The mean of its segments.

        Returns
        -------
        str
            ``UNLIKE``, else ``NOT_SURE`` where no genre has a probability of ``SURE_FROM``, else ``SURE``.
        """
        if strangeness > 1:
            return UNLIKE
        return SURE if track.max() >= SURE_FROM else NOT_SURE

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the reference's points into a folder; the rest is returned, for its JSON file."""
        temperatures = {"temperature": self.temperature, "track_temperature": self.track_temperature}
        if self.reference is None:
            return temperatures
        np.save(folder / POINTS, self.reference.points, allow_pickle=False)
        scale = {"mean_db": self.reference.mean.tolist(), "spread_db": self.reference.spread.tolist()}
        return temperatures | {"farthest": self.reference.farthest} | scale

    @classmethod
    def read(cls, folder: Path, facts: Any, mels: int) -> Self:
        """What :meth:`write` has written, everything checked: a folder may be anybody's.

        Parameters
        ----------
        folder : Path
            With the points, if there is a reference.
        facts : Any
            What :meth:`write` returned, out of a JSON file.
        mels : int
            Bands of a log-mel.

        Returns
        -------
        Trust

        Raises
        ------
        ValueError, OSError, KeyError, TypeError
            If something is missing or impossible.
        """
        temperature, of_track, reference = float(facts["temperature"]), float(facts["track_temperature"]), None
        positive = [temperature, of_track]
        if "farthest" in facts:
            points = read_array(folder / POINTS)
            mean, spread = (np.array(facts[name], float) for name in ("mean_db", "spread_db"))
            figures = (2 * min(GROUPS, mels),)
            if points.dtype != np.float32 or points.ndim != 2 or not len(points) or not np.isfinite(points).all():
                raise ValueError(f"{POINTS} must hold finite float32 by (segment, figure), not {points.dtype}")
            if not mean.shape == spread.shape == points.shape[1:] == figures or not np.isfinite(mean).all():
                raise ValueError(f"{POINTS}, mean_db and spread_db must have {figures[0]} finite figures")
            reference = Reference(mean, spread, points, float(facts["farthest"]))
            positive += [reference.farthest, *spread]
        if not all(math.isfinite(value) and value > 0 for value in positive):
            raise ValueError("temperatures, farthest and spread_db must be finite and above 0")
        return cls(temperature, of_track, reference)


def logits(probabilities: np.ndarray, output: str) -> np.ndarray:
    """The logits of probabilities.

    A network answers in float32: what that rounds to 0 counts as 1.2e-38 (less is 0 or coarse, as the library likes),
    and a sigmoid's 1 as 1 - 3e-8. A higher floor would be seen: no network could be sure at a temperature above 1.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n, genre)]
        As the network gives them, or means of such.
    output : str
        softmax, or sigmoid, where each genre stands against its own no.

    Returns
    -------
    np.ndarray [shape=(n, genre), dtype=float64]
        Of a softmax up to a constant in each row.
    """
    p = np.asarray(probabilities, float)  # (n, genre)
    yes = np.log(np.maximum(p, LEAST))
    return yes - np.log(np.maximum(1 - p, LEAST_BELOW_ONE)) if output == "sigmoid" else yes


def temperature_scaled(probabilities: np.ndarray, temperature: float, output: str) -> np.ndarray:
    """Probabilities as they are with their logits divided by a temperature.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n, genre)]
        At temperature 1.
    temperature : float
        Above 0.
    output : str
        softmax or sigmoid.

    Returns
    -------
    np.ndarray [shape=(n, genre), dtype=float64]
        In the same order in each row: float32 would make some alike that were not.
    """
    own = logits(probabilities, output)
    return expit(own / temperature) if output == "sigmoid" else softmax(own / temperature, axis=1)


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
