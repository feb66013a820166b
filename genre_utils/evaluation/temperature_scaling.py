"""Apply a calibration without TensorFlow: temperature-scaled probabilities, novelty score and verdict of a file."""

import dataclasses
import math
from pathlib import Path
from typing import Any, Self

import numpy as np

from genre_utils.evaluation.novelty import GROUPS, POINTS, Reference, nearest, read_array, summary_statistics

SURE, NOT_SURE, UNLIKE = "", "not sure", "unlike anything in training"  # verdicts for a file
# Chow's rule, if a wrong genre costs twice as much as none: below, the genre is more likely wrong than right.
SURE_FROM = 0.5
LEAST = float(np.finfo(np.float32).tiny)  # the smallest normal float32
LEAST_BELOW_ONE = float(np.finfo(np.float32).epsneg) / 2  # float32 rounds 1 minus this to 1
UNLIKELY = -40.0  # logit from which down float64 rounds 1 + exp(-logit) to exp(-logit)


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """Temperatures and novelty reference of a trained network.

    Attributes
    ----------
    temperature : float
        Divides the logits of a segment; above 1 if the network is overconfident.
    track_temperature : float
        The same for the mean probabilities of a whole file, which are less extreme than those of segments.
    reference : Reference or None
        Summary statistics of the training segments, if known.

    References
    ----------
    Guo et al., On calibration of modern neural networks (2017). C. K. Chow, On optimum recognition error and
    reject tradeoff (1970). Notebook: 04_evaluation.
    """

    temperature: float = 1.0
    track_temperature: float = 1.0
    reference: Reference | None = None

    def calibrated(self, probabilities: np.ndarray, output: str) -> np.ndarray:
        """Calibrate the probabilities of segments.

        Parameters
        ----------
        probabilities : np.ndarray [shape=(segment, genre)]
            As the network outputs them.
        output : str
            Output of the network: softmax or sigmoid.

        Returns
        -------
        np.ndarray [shape=(segment, genre), dtype=float64]
            The order of the genres in each row stays the same.
        """
        return temperature_scaled(probabilities, self.temperature, output)

    def calibrated_tracks(self, means: np.ndarray, output: str) -> np.ndarray:
        """Calibrate the probabilities of whole files.

        Parameters
        ----------
        means : np.ndarray [shape=(track, genre)]
            Means of the probabilities that the network outputs. Means of calibrated ones could predict another
            genre than the one whose accuracy was measured.
        output : str
            Output of the network: softmax or sigmoid.

        Returns
        -------
        np.ndarray [shape=(track, genre), dtype=float64]
            The order of the genres in each row stays the same.
        """
        return temperature_scaled(means, self.track_temperature, output)

    def novelty_score(self, decibels: np.ndarray) -> np.ndarray:
        """Distance of each segment to the nearest training segment.

        Parameters
        ----------
        decibels : np.ndarray [shape=(n, mel, frame)]
            Log-mels.

        Returns
        -------
        np.ndarray [shape=(n,)]
            0 for a training segment; a file with a mean above 1 is unlike the training data. NaN without a reference.
        """
        return self.novelty_score_of(summary_statistics(decibels))

    def novelty_score_of(self, figures: np.ndarray) -> np.ndarray:
        """The same from the ``summary_statistics`` of the segments."""
        if self.reference is None:
            return np.full(len(figures), np.nan)
        placed = (figures - self.reference.mean) / self.reference.spread
        return nearest(placed, self.reference.points) / self.reference.farthest

    def verdict(self, track: np.ndarray, novelty_score: float) -> str:
        """The verdict for a file.

        Parameters
        ----------
        track : np.ndarray [shape=(genre,)]
            Calibrated probabilities of the file.
        novelty_score : float
            Mean over its segments.

        Returns
        -------
        str
            ``UNLIKE`` above a novelty score of 1, ``NOT_SURE`` below a probability of ``SURE_FROM``, else ``SURE``.
        """
        if novelty_score > 1:
            return UNLIKE
        return SURE if track.max() >= SURE_FROM else NOT_SURE

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the reference points into a folder, and return everything else for a JSON file."""
        temperatures = {"temperature": self.temperature, "track_temperature": self.track_temperature}
        if self.reference is None:
            return temperatures
        np.save(folder / POINTS, self.reference.points, allow_pickle=False)
        scale = {"mean_db": self.reference.mean.tolist(), "spread_db": self.reference.spread.tolist()}
        return temperatures | {"farthest": self.reference.farthest} | scale

    @classmethod
    def read(cls, folder: Path, facts: Any, mels: int) -> Self:
        """Read what :meth:`write` has written, and check everything: the folder may be untrusted.

        Parameters
        ----------
        folder : Path
            Contains the points, if there is a reference.
        facts : Any
            What :meth:`write` returned, read from a JSON file.
        mels : int
            Bands of a log-mel.

        Raises
        ------
        ValueError, OSError, KeyError, TypeError
            If a value is missing or not valid.
        """
        temperature, of_track, reference = float(facts["temperature"]), float(facts["track_temperature"]), None
        positive = [temperature, of_track]
        if "farthest" in facts:
            points = read_array(folder / POINTS)
            mean, spread = (np.array(facts[name], float) for name in ("mean_db", "spread_db"))
            figures = (2 * min(GROUPS, mels),)
            if points.dtype != np.float32 or points.ndim != 2 or not len(points) or not np.isfinite(points).all():
                raise ValueError(f"{POINTS}: expected finite float32 values (segment, statistic), found {points.dtype}")
            if not mean.shape == spread.shape == points.shape[1:] == figures or not np.isfinite(mean).all():
                raise ValueError(f"{POINTS}, mean_db and spread_db: expected {figures[0]} finite statistics each")
            reference = Reference(mean, spread, points, float(facts["farthest"]))
            positive += [reference.farthest, *spread]
        if not all(math.isfinite(value) and value > 0 for value in positive):
            raise ValueError("temperatures, farthest and spread_db must be finite and above 0")
        return cls(temperature, of_track, reference)


def logits(probabilities: np.ndarray, output: str) -> np.ndarray:
    """Convert probabilities to logits.

    Networks compute in float32. A probability that is rounded to 0 counts as 1.2e-38 (libraries treat smaller
    numbers differently), and a sigmoid's 1 as 1 - 3e-8. Larger limits would have a visible effect: no network could
    be sure at a temperature above 1.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n, genre)]
        As the network outputs them, or means of them.
    output : str
        Output of the network: softmax or sigmoid.

    Returns
    -------
    np.ndarray [shape=(n, genre), dtype=float64]
        For softmax, up to a constant in each row.
    """
    p = np.asarray(probabilities, float)  # (n, genre)
    yes = np.log(np.maximum(p, LEAST))
    return yes - np.log(np.maximum(1 - p, LEAST_BELOW_ONE)) if output == "sigmoid" else yes


def temperature_scaled(probabilities: np.ndarray, temperature: float, output: str) -> np.ndarray:
    """Temperature scaling: divide the logits of probabilities by a temperature.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n, genre)]
        At temperature 1.
    temperature : float
        Above 0.
    output : str
        Output of the network: softmax or sigmoid.

    Returns
    -------
    np.ndarray [shape=(n, genre), dtype=float64]
        The order of the genres in each row stays the same; in float32 some would become equal.
    """
    own = logits(probabilities, output)
    return expit(own / temperature) if output == "sigmoid" else softmax(own / temperature)


# As scipy.special, whose import takes as long as that of NumPy: ``predict`` would wait for it.


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (n, genre) of logits (n, genre), as ``scipy.special.softmax(logits, axis=1)``."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def expit(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits, each for itself, as ``scipy.special.expit(logits)``."""
    usual = 1 / (1 + np.exp(-np.maximum(logits, UNLIKELY)))
    return np.where(logits < UNLIKELY, np.exp(np.minimum(logits, UNLIKELY)), usual)
