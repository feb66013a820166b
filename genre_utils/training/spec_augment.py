"""Augmentation of log-mels, new in every batch: for training alone.

Plain NumPy on a batch, drawn from a generator that the caller seeds by epoch and step, so that a training resumed
after a kill sees what an undisturbed one sees. Each takes and returns log-mels ``(n, mel, frame)`` in dB.
"""

import numpy as np

from genre_utils.params import Params

KNOTS = 6  # of an equaliser's curve: about as many bands as a producer's tone controls


def augmented(
    decibels: np.ndarray,
    following: np.ndarray,
    targets: np.ndarray,
    params: Params,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """A batch with everything that ``params`` asks for, in the order crop, shift, equalise, mask, mix.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels in dB, float32 or as the store has them.
    following : np.ndarray [shape=(n, mel, frame)]
        The segments after them, of the same type; of use to :func:`crop` alone.
    targets : np.ndarray [shape=(n,) or (n, genre)]
        Labels; with ``mixup_alpha`` they must be shares of genres.
    params : Params
        ``crop``, ``shift_bands``, ``equalise_db``, ``mask_bands``, ``mask_seconds``, ``mixup_alpha``.
    rng : np.random.Generator
        Of this batch.

    Returns
    -------
    tuple of np.ndarray
        Log-mels and targets, float32, of the same shapes.

    References
    ----------
    Paper, IV.1. Notebook: 06_beyond_the_paper.
    """
    if params.crop:
        decibels = crop(decibels, following, rng)
    decibels = decibels.astype(np.float32, copy=False)  # after the crop, as half of what it takes is thrown away
    if params.shift_bands:
        decibels = shift(decibels, params.shift_bands, rng)
    if params.equalise_db:
        decibels = equalise(decibels, params.equalise_db, rng)
    if params.mask_bands or params.mask_seconds:
        frames = round(params.mask_seconds * params.sample_rate_hz / params.hop_length)
        decibels = mask(decibels, params.mask_bands, frames, rng)
    if params.mixup_alpha:
        decibels, targets = mix(decibels, targets, params.mixup_alpha, rng)
    return decibels, targets


def crop(decibels: np.ndarray, following: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A segment that begins anywhere between the start of one and the start of the next.

    Segments are in dB below their own maximum, so that the level may step where the two meet.

    Parameters
    ----------
    decibels, following : np.ndarray [shape=(n, mel, frame)]
        Segments, and those that come after them in their tracks.
    rng : np.random.Generator
        Of the starts.

    Returns
    -------
    np.ndarray [shape=(n, mel, frame)]

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    count, _, frames = decibels.shape
    cropped = np.empty_like(decibels)
    for place, start in enumerate(rng.integers(0, frames + 1, count)):  # element by element: four times as long
        cropped[place, :, : frames - start] = decibels[place, :, start:]
        cropped[place, :, frames - start :] = following[place, :, :start]
    return cropped


def shift(decibels: np.ndarray, bands: int, rng: np.random.Generator) -> np.ndarray:
    """All mel bands up or down by the same number: another key, roughly.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels.
    bands : int
        The widest shift; the bands that are left at the edge repeat the edge.
    rng : np.random.Generator
        Of the shifts.

    Returns
    -------
    np.ndarray [shape=(n, mel, frame)]

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    count, mels, _ = decibels.shape
    moved = np.arange(mels) - rng.integers(-bands, bands + 1, (count, 1))  # (n, mel)
    return decibels[np.arange(count)[:, None], moved.clip(0, mels - 1)]  # whole bands: four times as fast as elements


def equalise(decibels: np.ndarray, deviation_db: float, rng: np.random.Generator) -> np.ndarray:
    """Another tone: a random gain for each frequency, smooth over frequency and constant over time.

    One gain for all frequencies would change nothing, as the networks standardise each segment. What tells two
    albums of one artist apart, and one artist from another, is to a large part the tone of studio and mastering.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels.
    deviation_db : float
        Standard deviation of the gain at the knots of its curve.
    rng : np.random.Generator
        Of the curves.

    Returns
    -------
    np.ndarray [shape=(n, mel, frame)]

    References
    ----------
    Nam, Kim and Park, FilterAugment (2022), with straight lines between the knots. Notebook: 06_beyond_the_paper.
    """
    count, mels, _ = decibels.shape
    knots = rng.normal(0, deviation_db, (count, KNOTS))
    place = np.linspace(0, KNOTS - 1, mels)
    curves = np.array([np.interp(place, np.arange(KNOTS), line) for line in knots], np.float32)  # (n, mel)
    return decibels + curves[:, :, None]


def mask(decibels: np.ndarray, bands: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """SpecAugment: one stripe of bands and one stretch of time are overwritten by the segment's mean.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels.
    bands, frames : int
        The widest stripe and the longest stretch; widths are uniform from 0.
    rng : np.random.Generator
        Of widths and places.

    Returns
    -------
    np.ndarray [shape=(n, mel, frame)]

    References
    ----------
    Park et al., SpecAugment (2019), without time warping. Notebook: 06_beyond_the_paper.
    """
    count, mels, columns = decibels.shape
    hidden = stripes(count, mels, bands, rng)[:, :, None] | stripes(count, columns, frames, rng)[:, None, :]
    return np.where(hidden, decibels.mean(axis=(1, 2), keepdims=True), decibels)


def stripes(count: int, length: int, widest: int, rng: np.random.Generator) -> np.ndarray:
    """For each of ``count`` lines of ``length`` places, where its random stripe lies (count, length)."""
    width = rng.integers(0, min(widest, length) + 1, count)
    start = rng.integers(0, length - width + 1)
    place = np.arange(length)
    return (place >= start[:, None]) & (place < (start + width)[:, None])


def mix(
    decibels: np.ndarray, targets: np.ndarray, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """MixUp: each segment with another of the batch, and their genres in the same shares.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels; what is mixed is dB, the network's input, not sound.
    targets : np.ndarray [shape=(n, genre)]
        Shares of genres.
    alpha : float
        Both parameters of the beta distribution of the shares: near 0 hardly any mixing, 1 uniform.
    rng : np.random.Generator
        Of shares and partners.

    Returns
    -------
    tuple of np.ndarray
        Log-mels and targets.

    References
    ----------
    Zhang et al., mixup (2018). Notebook: 06_beyond_the_paper.
    """
    share = rng.beta(alpha, alpha, len(decibels)).astype(np.float32)
    partner = rng.permutation(len(decibels))
    mixed = np.empty_like(decibels)
    for place, (own, other) in enumerate(zip(share, partner, strict=True)):  # twice as fast, from a core's cache
        mixed[place] = own * decibels[place] + (1 - own) * decibels[other]
    genres = share[:, None]
    return mixed, genres * targets + (1 - genres) * targets[partner]
