"""From samples to segments to log-mel: librosa's mathematics, for many segments at once."""

import functools

import librosa
import numpy as np
import scipy.fft
import scipy.signal

from genre_utils.errors import GenreUtilsError
from genre_utils.params import Params

POWER_FLOOR = 1e-10  # librosa's amin: keeps the logarithm of silence finite


def segments(samples: np.ndarray, params: Params) -> np.ndarray:
    """Cut a track into whole segments; what is left at its end is dropped.

    Parameters
    ----------
    samples : np.ndarray [shape=(samples,)]
        Mono audio at ``params.sample_rate_hz``.
    params : Params
        ``segment_seconds`` and ``max_segments``.

    Returns
    -------
    np.ndarray [shape=(n, samples_per_segment)]
        A view; ``n`` is 0 if the track is shorter than one segment.

    References
    ----------
    Paper, II.B.1. Notebook: 01_eda, 02_feature_extraction.
    """
    count = params.segments_in(len(samples) / params.sample_rate_hz)
    return samples[: count * params.samples_per_segment].reshape(count, params.samples_per_segment)


def stft_power(audio: np.ndarray, params: Params) -> np.ndarray:
    """Power spectrogram: squared magnitude of a centred, Hann-windowed short-time Fourier transform.

    Parameters
    ----------
    audio : np.ndarray [shape=(n, samples)]
        Equally long segments.
    params : Params
        ``n_fft`` and ``hop_length``, in samples.

    Returns
    -------
    np.ndarray [shape=(n, frame, bin), dtype=float32]
        Linear power; bin ``k`` lies at ``k * sample_rate_hz / n_fft`` Hz.

    References
    ----------
    Paper, II.B.2. Equal to ``abs(librosa.stft(y)) ** 2``, transposed. Notebook: 02_feature_extraction.
    """
    pad = params.n_fft // 2
    padded = np.pad(audio.astype(np.float32, copy=False), ((0, 0), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, params.n_fft, axis=1)
    frames = windows[:, :: params.hop_length] * hann(params.n_fft)  # (n, frame, n_fft)
    spectrum = scipy.fft.rfft(frames)  # (n, frame, bin), complex64
    return spectrum.real**2 + spectrum.imag**2


def mel_power(audio: np.ndarray, params: Params) -> np.ndarray:
    """Mel spectrogram: the power that falls into each mel band.

    Parameters
    ----------
    audio : np.ndarray [shape=(n, samples)]
        Equally long segments.
    params : Params
        The transform and the bands.

    Returns
    -------
    np.ndarray [shape=(n, mel, frame), dtype=float32]
        Linear power; mel band 0 is the lowest.

    References
    ----------
    Paper, II.B.2. Equal to ``librosa.feature.melspectrogram``. Notebook: 02_feature_extraction.
    """
    mel = stft_power(audio, params) @ mel_filters(params).T  # (n, frame, mel)
    return mel.transpose(0, 2, 1)


def log_mel(audio: np.ndarray, params: Params) -> np.ndarray:
    """Log-mel spectrograms of equally long segments, each on its own scale.

    Parameters
    ----------
    audio : np.ndarray [shape=(n, samples)]
        Mono audio in [-1, 1] at ``params.sample_rate_hz``.
    params : Params
        The transform, the bands and ``top_db``.

    Returns
    -------
    np.ndarray [shape=(n, mel, frame), dtype=float32]
        Decibels below each segment's own maximum, in [-top_db, 0]. Digital silence is 0 throughout.

    Raises
    ------
    GenreUtilsError
        If a segment holds NaN or infinity.

    References
    ----------
    Paper, II.B.2 and II.B.3. Equal, segment by segment, to ``librosa.power_to_db(mel, ref=np.max)``; given
    all segments at once librosa would measure every one against the loudest. Notebook: 01_eda, 02_feature_extraction.
    """
    if not np.isfinite(audio).all():
        raise GenreUtilsError("log_mel needs finite samples. Received: NaN or infinity.")
    decibels = 10 * np.log10(np.maximum(mel_power(audio, params), POWER_FLOOR))  # (n, mel, frame)
    decibels -= decibels.max(axis=(1, 2), keepdims=True)
    return np.maximum(decibels, -params.top_db)


@functools.lru_cache(maxsize=8)
def mel_filters(params: Params) -> np.ndarray:
    """Triangular mel filters (Slaney's scale and area normalisation, librosa's default).

    Parameters
    ----------
    params : Params
        ``sample_rate_hz``, ``n_fft``, ``n_mels``, ``fmin_hz``, ``fmax_hz``.

    Returns
    -------
    np.ndarray [shape=(mel, bin), dtype=float32]
        Weights of the bins in each band.

    References
    ----------
    ``librosa.filters.mel``. Notebook: 02_feature_extraction.
    """
    return librosa.filters.mel(
        sr=params.sample_rate_hz,
        n_fft=params.n_fft,
        n_mels=params.n_mels,
        fmin=params.fmin_hz,
        fmax=params.fmax_hz,
    )


@functools.lru_cache(maxsize=8)
def hann(n_fft: int) -> np.ndarray:
    """The periodic Hann window.

    Parameters
    ----------
    n_fft : int
        Samples.

    Returns
    -------
    np.ndarray [shape=(n_fft,), dtype=float32]
        In [0, 1].
    """
    return scipy.signal.get_window("hann", n_fft).astype(np.float32)
