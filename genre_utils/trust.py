"""How sure a network is of a file, and whether the file is like anything that it was trained on: NumPy alone."""

import dataclasses

import numpy as np

SURE, NOT_SURE, UNLIKE = "", "not sure", "unlike anything in training"  # verdicts of a file
# Chow's rule for the case that an error costs as much as two refusals: below it the answer is rather wrong than right.
SURE_FROM = 0.5
TINY = 1e-12  # a probability that float32 has rounded to 0 still has a logit


@dataclasses.dataclass(frozen=True)
class Trust:
    """What was learned about a network after its training.

    Attributes
    ----------
    temperature : float
        Divides the logits; above 1 where the network promises too much.

    References
    ----------
    Guo et al., On calibration of modern neural networks (2017). C. K. Chow, On optimum recognition error and reject
    tradeoff (1970).
    """

    temperature: float = 1.0

    def calibrated(self, probabilities: np.ndarray, output: str) -> np.ndarray:
        """Probabilities as they would be with the logits divided by the temperature.

        Parameters
        ----------
        probabilities : np.ndarray [shape=(n, genre)]
            As the network gives them.
        output : str
            The network's: softmax or sigmoid.

        Returns
        -------
        np.ndarray [shape=(n, genre)]
            The order of a row's genres stays.
        """
        return tempered(probabilities, self.temperature, output)

    def strangeness(self, decibels: np.ndarray) -> np.ndarray:
        """How far each segment is from the training's, (n,): NaN without a reference."""
        return np.full(len(decibels), np.nan)

    def verdict(self, track: np.ndarray, strangeness: float) -> str:
        """What is to be said of a file beside its genre: ``SURE``, ``NOT_SURE`` or ``UNLIKE``."""
        return SURE if track.max() >= SURE_FROM else NOT_SURE


def tempered(probabilities: np.ndarray, temperature: float, output: str) -> np.ndarray:
    """Probabilities of a network whose logits are divided by a temperature.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n, genre)]
        At temperature 1.
    temperature : float
        Above 0.
    output : str
        The network's: softmax or sigmoid.

    Returns
    -------
    np.ndarray [shape=(n, genre), dtype=float32]
        In the same order in each row.
    """
    p = np.clip(np.asarray(probabilities, float), TINY, None)
    powers = p ** (1 / temperature)
    if output == "sigmoid":  # of each genre against its own no
        return (powers / (powers + np.clip(1 - p, TINY, None) ** (1 / temperature))).astype(np.float32)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
