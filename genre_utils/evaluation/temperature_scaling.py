"""Calibrated probabilities and a verdict for a file, from what a network answers: no TensorFlow."""

import dataclasses
import math
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.special import expit, softmax

from genre_utils.evaluation.novelty import GROUPS, POINTS, Reference, nearest, read_array, summary_statistics

SURE, NOT_SURE, UNLIKE = "", "not sure", "unlike anything in training"  # verdicts of a file
# Chow's rule where a wrong genre costs twice as much as none: below, it is rather wrong than right.
SURE_FROM = 0.5
LEAST = float(np.finfo(np.float32).tiny)  # of the probabilities that a network tells from 0
LEAST_BELOW_ONE = float(np.finfo(np.float32).epsneg) / 2  # from here on it answers 1


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

    def novelty_score(self, decibels: np.ndarray) -> np.ndarray:
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
        return self.novelty_score_of(summary_statistics(decibels))

    def novelty_score_of(self, figures: np.ndarray) -> np.ndarray:
        """The same from what :func:`described` gives of the segments."""
        if self.reference is None:
            return np.full(len(figures), np.nan)
        placed = (figures - self.reference.mean) / self.reference.spread
        return nearest(placed, self.reference.points) / self.reference.farthest

    def verdict(self, track: np.ndarray, novelty_score: float) -> str:
        """What is to be said of a file.

        Parameters
        ----------
        track : np.ndarray [shape=(genre,)]
            Its calibrated probabilities.
        novelty_score : float
            The mean of its segments.

        Returns
        -------
        str
            ``UNLIKE``, else ``NOT_SURE`` where no genre has a probability of ``SURE_FROM``, else ``SURE``.
        """
        if novelty_score > 1:
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
