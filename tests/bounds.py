"""How far two right results may lie apart in float32 and float16: tolerances that hold on every CPU.

A CPU's instructions decide in which order a sum is taken, so that no difference seen on one machine is a bound for
another one. Where both sides are computed in float64 by formulas that lose no digits, the comparisons' own 1e-6 of
pytest and 1e-7 of NumPy stand: a thousand roundings of 1e-16 come to a millionth of them.
"""

from collections.abc import Sequence

import numpy as np

U = float(np.finfo(np.float32).eps) / 2  # the largest relative error of one rounding to float32
DOUBLE = float(np.finfo(np.float64).eps) / 2  # and to float64
HALF = float(np.finfo(np.float16).eps) / 2  # and to float16
GAIN = 16  # of a small network from its image to its outputs: four blocks that at most double an error


def rounded(roundings: float, magnitude: float = 1.0) -> float:
    """The error of so many roundings, one after the other, of numbers no larger than the magnitude.

    Rounding errors are as often up as down, so that they grow with the square root of their number. This is three
    standard deviations for a sum of equal terms, whatever their order.

    References
    ----------
    N. J. Higham and T. Mary, A new approach to probabilistic rounding error analysis (2019).
    """
    return magnitude * U * float(roundings) ** 0.5


def of_shares(count: int) -> float:
    """How far the sum of a softmax is from 1: a division of each, and their sum, all rounded the same way."""
    return 2 * count * U


def of_network(network, log_mels: np.ndarray) -> float:
    """The error of a Keras network's outputs: its sums over a segment's values and over the inputs of each layer."""
    inputs = sum(weight.numpy()[..., 0].size for weight in network.weights if weight.ndim > 1)
    return rounded(log_mels[0].size + inputs, GAIN)


def of_tempered(off: float, probabilities: np.ndarray, temperature: float) -> float:
    """The error of probabilities (segment, genre) after a temperature, where those before it err by ``off``.

    A logit errs by the relative error of its probability, and by 1/temperature of that afterwards. No output of a
    softmax moves by more than half of its logits' largest error.
    """
    return off / float(np.min(probabilities)) / temperature / 2


def disturbed(weights: Sequence[np.ndarray], off: float) -> list[np.ndarray]:
    """A network's weights, each up or down by a share of itself: a training from them shows what errors come to.

    How far rounding leads a training astray depends on its data, its network and Adam, which divides a gradient by its
    own size; no formula says it. With the share of :func:`of_network` the first step already errs by the bound of a
    step.
    """
    rng = np.random.default_rng(0)
    return [weight * (1 + off * rng.choice([-1.0, 1.0], weight.shape)) for weight in weights]


def of_decibels(decibels: np.ndarray | float) -> np.ndarray:
    """The error of a log-mel at so many dB below its maximum.

    An FFT's outputs err by at most 8 roundings of the largest of them, and an amplitude that errs by a share of itself
    errs by 8.7 dB times this share. The other roundings are those of two logarithms down to silence and their maxima.
    """
    return 20 / np.log(10) * rounded(64) * 10 ** (-np.asarray(decibels, float) / 20) + rounded(16, 100)
