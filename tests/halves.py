"""Stands for a network: it tells low sounds from high ones, needs no training, and several threads may ask it."""

import numpy as np

GENRES = ["bass", "treble"]


def loudest_half(decibels):
    """Whether the lower or the upper half of the bands has more, (segment, genre)."""
    halves = np.stack([part.mean(axis=(1, 2)) for part in np.split(decibels, 2, axis=1)], axis=1)
    weights = np.exp((halves - halves.max(axis=1, keepdims=True)) / 5)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
