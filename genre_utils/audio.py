"""From a file to float32 mono samples at one rate."""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from genre_utils.errors import AudioError
from genre_utils.params import Params

# Read beyond the wanted end, so that the resampler's edge lies outside what is kept.
RESAMPLING_MARGIN_SECONDS = 0.5
BLOCK_SECONDS = 31.0  # decoded at once: a clip of GTZAN, which lasts up to 30.6 s


def duration(path: str | Path) -> float:
    """Length of a file by its header, without decoding it.

    Parameters
    ----------
    path : str or Path
        Any format that libsndfile reads: wav, flac, ogg, mp3, aiff, au.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    AudioError
        If the file cannot be opened as audio.

    References
    ----------
    Notebook: 01_eda.
    """
    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise AudioError(path, unreadable(error)) from error
    return info.frames / info.samplerate


def load(path: str | Path, params: Params, seconds: float | None = None) -> np.ndarray:
    """Samples of a file: mixed down to mono, resampled, checked.

    Parameters
    ----------
    path : str or Path
        Any format that libsndfile reads: wav, flac, ogg, mp3, aiff, au.
    params : Params
        ``sample_rate_hz`` of the result and the length of a segment.
    seconds : float, optional
        How much to read from the start; without it, what ``max_segments`` needs.

    Returns
    -------
    np.ndarray [shape=(samples,), dtype=float32]
        Mono audio at ``params.sample_rate_hz``.

    Raises
    ------
    AudioError
        If the file is unreadable, shorter than one segment, silent throughout, or holds NaN or infinity.

    References
    ----------
    Paper, II.A and II.B. Resampling: soxr, quality HQ, as in librosa.
    Notebook: 01_eda, 02_feature_extraction, 04_evaluation.
    """
    parts = list(blocks(path, params, seconds))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)  # copying a clip takes as long as reading it


def blocks(path: str | Path, params: Params, seconds: float | None = None) -> Iterator[np.ndarray]:
    """The same samples one after the other, so that a file of hours takes no more memory than one of a minute.

    Parameters
    ----------
    path : str or Path
        As :func:`load`.
    params : Params
        As :func:`load`.
    seconds : float, optional
        As :func:`load`.

    Yields
    ------
    np.ndarray [shape=(samples,), dtype=float32]
        Up to ``BLOCK_SECONDS`` of mono audio at ``params.sample_rate_hz``; joined they are what :func:`load` returns.

    Raises
    ------
    AudioError
        As :func:`load`; that a file is too short or silent throughout is known, and raised, at its end.
    """
    if seconds is None and params.max_segments:
        seconds = params.max_segments * params.segment_seconds
    most = None if seconds is None else round(seconds * params.sample_rate_hz)
    given, sound = 0, False
    for mono in resampled(path, params, seconds):
        mono = mono if most is None else mono[: most - given]
        given, sound = given + len(mono), sound or bool(mono.any())
        yield mono
    if given < params.samples_per_segment:
        raise AudioError(path, too_short(given / params.sample_rate_hz, params))
    if not sound:
        raise AudioError(path, "is silent throughout: every sample is 0. Leave it out.")


def resampled(path: str | Path, params: Params, seconds: float | None) -> Iterator[np.ndarray]:
    """Mono blocks at the wanted rate, and somewhat more than the wanted seconds; the samples are finite."""
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz = file.samplerate
            left = file.frames if seconds is None else round((seconds + RESAMPLING_MARGIN_SECONDS) * rate_hz)
            # With libsndfile's own conversion of 16 bits to float, a clip takes twice as long.
            dtype = "int16" if file.subtype == "PCM_16" else "float32"
            other_rate = rate_hz != params.sample_rate_hz
            resampler = soxr.ResampleStream(rate_hz, params.sample_rate_hz, 1, quality="HQ") if other_rate else None
            last = False
            while not last:
                wanted = min(left, round(BLOCK_SECONDS * rate_hz))
                samples = file.read(wanted, dtype, always_2d=True)  # (samples, channel)
                left -= wanted
                last = left == 0 or len(samples) < wanted  # a header may promise more than there is
                # Channel after channel: five times as fast as a mean over each sample's own two values.
                scale = np.float32((2**-15 if dtype == "int16" else 1) / samples.shape[1])
                mono = functools.reduce(np.add, (channel * scale for channel in samples.T))  # (samples,)
                if not np.isfinite(mono).all():
                    raise AudioError(path, "holds NaN or infinity. Decode it again from its source, or leave it out.")
                yield resampler.resample_chunk(mono, last) if resampler else mono
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise AudioError(path, unreadable(error)) from error


def too_short(seconds: float, params: Params) -> str:
    """The reason for a track that gives no segment."""
    return (
        f"holds {seconds:.2f} s; one segment needs {params.segment_seconds:.2f} s. "
        "Leave it out or lower segment_seconds."
    )


def unreadable(error: Exception) -> str:
    """The reason for a file that libsndfile does not open."""
    detail = getattr(error, "error_string", None) or str(error)
    return f"cannot be read as audio ({detail}). Replace it by a wav, flac, ogg or mp3 file, or leave it out."
