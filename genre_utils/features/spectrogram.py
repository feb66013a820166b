"""From samples to segments to log-mel spectrograms: the same values as librosa, for many segments at once."""

import contextlib
import functools
import importlib.util
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import numpy as np

from genre_utils.errors import GenreUtilsError, warn
from genre_utils.params import Params

POWER_FLOOR = 1e-10  # librosa's amin: keeps the logarithm of silence finite
BANDS_AT_ONCE = 8  # mel bands per matrix product: without most of the zeros, log-mels are 1.2 times as fast
# Most multiplications in a matrix product: OpenBLAS runs larger ones in several threads, which wait for each other.
# That would more than double the time of a clip's log-mels, and more on busy cores.
ONE_THREAD = 2**18


def segments(samples: np.ndarray, params: Params) -> np.ndarray:
    """Cut a track into whole segments; the rest at its end is dropped.

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
        Linear power; bin ``k`` is at ``k * sample_rate_hz / n_fft`` Hz.

    References
    ----------
    Paper, II.B.2. Equal to ``abs(librosa.stft(y)) ** 2``, transposed. Notebook: 02_feature_extraction.
    """
    power = np.empty((len(audio), frames_in(audio.shape[1], params), 1 + params.n_fft // 2), np.float32)
    for into, of_segment in zip(power, powers(audio, params), strict=True):
        into[:] = of_segment
    return power


def powers(audio: np.ndarray, params: Params) -> Iterator[np.ndarray]:
    """Yield the power spectrograms of the segments one by one, so that memory does not grow with their number.

    Parameters
    ----------
    audio : np.ndarray [shape=(n, samples)]
        Equally long segments.
    params : Params
        ``n_fft`` and ``hop_length``, in samples.

    Yields
    ------
    np.ndarray [shape=(frame, bin), dtype=float32]
        Linear power; the next segment overwrites it.
    """
    pad = params.n_fft // 2
    padded = np.zeros(pad + audio.shape[1] + pad, np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, params.n_fft)[:: params.hop_length]  # (frame, n_fft)
    power = np.empty((len(windows), 1 + params.n_fft // 2), np.float32)
    for samples in audio:
        padded[pad : pad + len(samples)] = samples
        spectrum = rfft(windows * hann(params.n_fft))  # (frame, bin), complex64
        np.add(spectrum.real**2, spectrum.imag**2, out=power)
        yield power


def scipy_rfft() -> Callable[[np.ndarray], np.ndarray]:
    """``scipy.fft.rfft`` of the rows of a matrix.

    To import ``scipy.fft`` takes longer than to import NumPy, because it imports ``scipy.special`` and much else. A
    prediction would wait for it, so only its compiled module is loaded, in a millisecond. That module is not public: if
    this version of SciPy does not have it, ``scipy.fft`` is imported.
    """
    package = importlib.util.find_spec("scipy")
    places = package.submodule_search_locations if package else None
    spec = PathFinder.find_spec("pypocketfft", [str(Path(place) / "fft" / "_pocketfft") for place in places or ()])
    if spec and spec.loader:
        with contextlib.suppress(AttributeError, ImportError, TypeError, ValueError):
            compiled = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(compiled)
            transform = functools.partial(compiled.r2c, axes=(1,))
            if np.array_equal(transform(np.eye(2, 4, dtype=np.float32)), np.array([[1, 1, 1], [1, -1j, -1]])):
                return transform
    import scipy.fft

    return scipy.fft.rfft


rfft = scipy_rfft()


def frames_in(samples: int, params: Params) -> int:
    """Number of frames of a segment, if the first one is centred on the first sample."""
    return 1 + (samples - params.n_fft % 2) // params.hop_length


def mel_power(audio: np.ndarray, params: Params) -> np.ndarray:
    """Mel spectrogram: the power in each mel band.

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
    mel = np.empty((len(audio), frames_in(audio.shape[1], params), params.n_mels), np.float32)
    for into, power in zip(mel, powers(audio, params), strict=True):
        into[:] = in_bands(power, params)
    return mel.transpose(0, 2, 1)


def in_bands(power: np.ndarray, params: Params) -> np.ndarray:
    """The power of each frame in each mel band, computed in the caller's thread only.

    Parameters
    ----------
    power : np.ndarray [shape=(frame, bin), dtype=float32]
        A power spectrogram.
    params : Params
        As of :func:`mel_filters`.

    Returns
    -------
    np.ndarray [shape=(frame, mel), dtype=float32]
        ``power @ mel_filters(params).T``.
    """
    mel = np.empty((len(power), params.n_mels), np.float32)
    for bands, bins, weights in mel_blocks(params):
        pieces = 1 + len(power) * weights.size // ONE_THREAD
        frames = max(1, -(-len(power) // pieces))
        for start in range(0, len(power), frames):
            some = slice(start, start + frames)
            np.matmul(power[some, bins], weights, out=mel[some, bands])
    return mel


def log_mel(audio: np.ndarray, params: Params) -> np.ndarray:
    """Log-mel spectrograms of equally long segments, each relative to its own maximum.

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
    all segments at once, librosa would relate each to the loudest. Notebook: 01_eda, 02_feature_extraction.
    """
    if not np.isfinite(audio).all():
        raise GenreUtilsError("log_mel needs finite samples. Received: NaN or infinity.")
    decibels = 10 * np.log10(np.maximum(mel_power(audio, params), POWER_FLOOR))  # (n, mel, frame)
    decibels -= decibels.max(axis=(1, 2), keepdims=True)
    return np.maximum(decibels, -params.top_db)


@functools.lru_cache(maxsize=8)
def mel_filters(params: Params) -> np.ndarray:
    """Triangular mel filters (Slaney's scale and area normalisation, librosa's default).

    Computed here, because importing ``librosa.filters`` takes more than a hundred times as long, in every process.

    Parameters
    ----------
    params : Params
        ``sample_rate_hz``, ``n_fft``, ``n_mels``, ``fmin_hz``, ``fmax_hz``.

    Returns
    -------
    np.ndarray [shape=(mel, bin), dtype=float32]
        Weights of the bins in each band.

    Warns
    -----
    UserWarning
        If a band contains no bin.

    References
    ----------
    M. Slaney, Auditory Toolbox, Interval Research Corporation (1998). Equal to ``librosa.filters.mel``.
    Notebook: 02_feature_extraction.
    """
    bins_hz = np.fft.rfftfreq(params.n_fft, 1 / params.sample_rate_hz)
    edges_hz = mel_edges_hz(params)[:, np.newaxis]
    left, centre, right = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    triangles = np.minimum((bins_hz - left) / (centre - left), (right - bins_hz) / (right - centre))
    filters = (np.maximum(triangles, 0).astype(np.float32) * (2 / (right - left))).astype(np.float32)
    empty = params.n_mels - np.count_nonzero(filters.any(axis=1))
    if empty:
        warn(
            f"{empty} of {params.n_mels} mel bands lie between two frequency bins of the FFT and stay empty. "
            "Lower n_mels, or raise n_fft or fmin_hz.",
        )
    return filters


def mel_edges_hz(params: Params) -> np.ndarray:
    """Edges of the mel bands, (mel + 2,): ``k`` to ``k + 2`` are lower edge, centre and upper edge of band ``k``."""
    return hz_from_mel(np.linspace(mel_from_hz(params.fmin_hz), mel_from_hz(params.fmax_hz), params.n_mels + 2))


def mel_from_hz(hz: float) -> float:
    """Slaney's mel scale: linear up to 1 kHz, where it reaches 15, then 27 steps for a factor of 6.4."""
    return float(hz / (200 / 3) if hz < 1_000 else 15 + np.log(hz / 1_000) / (np.log(6.4) / 27))


def hz_from_mel(mel: np.ndarray) -> np.ndarray:
    """The inverse of :func:`mel_from_hz`, for an array."""
    return np.where(mel < 15, mel * (200 / 3), 1_000 * np.exp((mel - 15) * (np.log(6.4) / 27)))


@functools.lru_cache(maxsize=8)
def mel_blocks(params: Params) -> list[tuple[slice, slice, np.ndarray]]:
    """The mel filters in blocks without most of the zeros: neighbouring bands, their bins, their weights.

    Parameters
    ----------
    params : Params
        As of :func:`mel_filters`.

    Returns
    -------
    list of (slice, slice, np.ndarray [shape=(bin, mel), dtype=float32])
        With the paper's values, a twentieth of the multiplications with the full matrix.
    """
    blocks = []
    for numbers in np.array_split(np.arange(params.n_mels), -(-params.n_mels // BANDS_AT_ONCE)):
        bands = slice(numbers[0], numbers[-1] + 1)  # never a single one, which BLAS would treat as a vector
        filters = mel_filters(params)[bands]
        used = np.flatnonzero(filters.any(axis=0))
        bins = slice(used[0], used[-1] + 1) if len(used) else slice(0, 0)
        blocks.append((bands, bins, np.ascontiguousarray(filters[:, bins].T)))
    return blocks


@functools.lru_cache(maxsize=8)
def hann(n_fft: int) -> np.ndarray:
    """The periodic Hann window of so many samples, (n_fft,), in [0, 1]."""
    return (0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, n_fft + 1)[:-1])).astype(np.float32)
