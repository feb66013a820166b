"""How far two right results may lie apart in float32 and float16: tolerances that hold on every CPU.

A CPU's instructions decide in which order a sum is taken, so that no difference seen on one machine is a bound for
another one.
"""

import numpy as np

U = float(np.finfo(np.float32).eps) / 2  # the largest relative error of one rounding to float32
HALF = float(np.finfo(np.float16).eps) / 2  # and to float16


def rounded(roundings: float, magnitude: float = 1.0) -> float:
    """The error of so many roundings, one after the other, of numbers no larger than the magnitude.

    Rounding errors are as often up as down, so that they grow with the square root of their number: at most three
    standard deviations of a sum of which each rounding is of the whole sum.

    References
    ----------
    N. J. Higham and T. Mary, A new approach to probabilistic rounding error analysis (2019).
    """
    return magnitude * U * roundings**0.5
