"""Augmentation of log-mels, different in every batch, for training only.

Plain NumPy. The caller seeds the random generator with epoch and step, so that a resumed training gets the same
batches as an uninterrupted one. Each function takes and returns log-mels ``(n, mel, frame)`` in dB.
"""

import numpy as np

from genre_utils.params import Params

KNOTS = 6  # points of an equaliser's curve: about as many as the tone controls of a mixing desk


def augmented(
    decibels: np.ndarray,
    following: np.ndarray,
    targets: np.ndarray,
    params: Params,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Augment a batch as ``params`` says, in the order crop, shift, equalise, mask, mix.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels in dB, float32 or float16 as in the store.
    following : np.ndarray [shape=(n, mel, frame)]
        The next segment of each, of the same type; only :func:`crop` uses it.
    targets : np.ndarray [shape=(n,) or (n, genre)]
        Labels, or shares of genres; ``mixup_alpha`` needs shares.
    params : Params
        ``crop``, ``shift_bands``, ``equalise_db``, ``mask_bands``, ``mask_seconds``, ``mixup_alpha``.
    rng : np.random.Generator
        Random generator of this batch.

    Returns
    -------
    tuple of np.ndarray
        Log-mels and targets, float32, with the same shapes.

    References
    ----------
    Paper, IV.1. Notebook: 06_beyond_the_paper.
    """
    if params.crop:
        decibels = crop(decibels, following, rng)
    decibels = decibels.astype(np.float32, copy=False)  # after the crop, which drops half of its input
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
    """Random crop: a segment that starts anywhere between one segment and the next.

    Each segment is in dB below its own maximum, so the level may jump where the two meet.

    Parameters
    ----------
    decibels, following : np.ndarray [shape=(n, mel, frame)]
        Segments, and the next segment of each in its track.
    rng : np.random.Generator
        Draws the starts.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    count, _, frames = decibels.shape
    cropped = np.empty_like(decibels)
    for place, start in enumerate(rng.integers(0, frames + 1, count)):  # by indexing elements: four times as long
        cropped[place, :, : frames - start] = decibels[place, :, start:]
        cropped[place, :, frames - start :] = following[place, :, :start]
    return cropped


def shift(decibels: np.ndarray, bands: int, rng: np.random.Generator) -> np.ndarray:
    """Shift all mel bands up or down by the same number, which roughly changes the key.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels.
    bands : int
        The largest shift; missing bands repeat the band at the edge.
    rng : np.random.Generator
        Draws the shifts.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    count, mels, _ = decibels.shape
    moved = np.arange(mels) - rng.integers(-bands, bands + 1, (count, 1))  # (n, mel)
    return decibels[np.arange(count)[:, None], moved.clip(0, mels - 1)]  # by indexing elements: four times as long


def equalise(decibels: np.ndarray, deviation_db: float, rng: np.random.Generator) -> np.ndarray:
    """Random equaliser: a gain for each frequency, smooth over frequency and constant over time.

    The same gain for all frequencies would have no effect, because the networks standardise each segment. But the
    tone of the studio and the mastering is a large part of the difference between two albums or two artists.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels.
    deviation_db : float
        Standard deviation of the gain at the points of its curve.
    rng : np.random.Generator
        Draws the curves.

    References
    ----------
    Nam, Kim and Park, FilterAugment (2022), with straight lines between the points. Notebook: 06_beyond_the_paper.
    """
    count, mels, _ = decibels.shape
    knots = rng.normal(0, deviation_db, (count, KNOTS))
    place = np.linspace(0, KNOTS - 1, mels)
    curves = np.array([np.interp(place, np.arange(KNOTS), line) for line in knots], np.float32)  # (n, mel)
    return decibels + curves[:, :, None]


def mask(decibels: np.ndarray, bands: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """SpecAugment: replace one random range of bands and one random range of time by the segment's mean.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels.
    bands, frames : int
        The largest number of masked bands and frames; the numbers are uniform from 0.
    rng : np.random.Generator
        Draws widths and places.

    References
    ----------
    Park et al., SpecAugment (2019), without time warping. Notebook: 06_beyond_the_paper.
    """
    count, mels, columns = decibels.shape
    hidden = stripes(count, mels, bands, rng)[:, :, None] | stripes(count, columns, frames, rng)[:, None, :]
    return np.where(hidden, decibels.mean(axis=(1, 2), keepdims=True), decibels)


def stripes(count: int, length: int, widest: int, rng: np.random.Generator) -> np.ndarray:
    """A mask with one random range of at most ``widest`` places in each of ``count`` rows (count, length)."""
    width = rng.integers(0, min(widest, length) + 1, count)
    start = rng.integers(0, length - width + 1)
    place = np.arange(length)
    return (place >= start[:, None]) & (place < (start + width)[:, None])


def mix(
    decibels: np.ndarray, targets: np.ndarray, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """MixUp: mix each segment with another one of the batch, and their genres in the same shares.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels; the values in dB are mixed, not the sound.
    targets : np.ndarray [shape=(n, genre)]
        Shares of genres.
    alpha : float
        Both parameters of the beta distribution of the shares: near 0 hardly any mixing, 1 uniform.
    rng : np.random.Generator
        Draws shares and partners.

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
    for place, (own, other) in enumerate(zip(share, partner, strict=True)):  # fits the cache: twice as fast as at once
        mixed[place] = own * decibels[place] + (1 - own) * decibels[other]
    genres = share[:, None]
    return mixed, genres * targets + (1 - genres) * targets[partner]
