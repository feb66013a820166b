"""Sound and spectrogram picture of each track, small enough to be part of a page."""

import io
import os
from collections.abc import Iterator

import joblib
import matplotlib
import numpy as np
import soundfile
from PIL import Image

from genre_utils.audio import decoding
from genre_utils.errors import AudioError
from genre_utils.features import spectrogram
from genre_utils.figures.style import LEVEL_MAP
from genre_utils.params import Params
from genre_utils.system.progress import progress

COMPRESSION = 1.0  # 32 kb/s at 22,050 Hz: 150 tracks of 30 s stay under 30 MB, even as base64
PICTURE_WIDTH = 800  # pixels at most; frames are averaged to fit
WEBP_QUALITY = 55


def of_track(path: str, params: Params) -> tuple[bytes, bytes]:
    """Decode a file once, and encode its segments as sound and picture.

    Parameters
    ----------
    path : str
        The audio file.
    params : Params
        The features, and the number of segments.

    Returns
    -------
    tuple of bytes, bytes
        Ogg Vorbis, mono, at the sample rate of ``params``, from the first segment to the last; and a WebP picture of
        the log-mels side by side, as the network gets them: each in dB below its own maximum, with the lowest band at
        the bottom.

    Raises
    ------
    AudioError
        If the file cannot be used.

    References
    ----------
    Notebook: 04_evaluation.
    """
    segments = spectrogram.segments(decoding.load(path, params), params)  # (segment, samples)
    return vorbis(segments.ravel(), params), picture(spectrogram.log_mel(segments, params), params)


def vorbis(samples: np.ndarray, params: Params) -> bytes:
    """Encode mono samples as Ogg Vorbis: Opus is a quarter smaller, but takes libsndfile almost four times as long."""
    file = io.BytesIO()
    rate = params.sample_rate_hz
    soundfile.write(file, samples, rate, format="OGG", subtype="VORBIS", compression_level=COMPRESSION)
    return file.getvalue()


def picture(decibels: np.ndarray, params: Params) -> bytes:
    """Draw log-mels (segment, mel, frame) side by side as a WebP picture, in the colours of the figures."""
    whole = np.concatenate(list(decibels), axis=1)[::-1]  # (mel, frame), highest band first
    width = min(PICTURE_WIDTH, whole.shape[1])
    edges = np.linspace(0, whole.shape[1], width, endpoint=False).astype(int)
    pooled = np.add.reduceat(whole, edges, axis=1) / np.diff(edges, append=whole.shape[1])
    colours = matplotlib.colormaps[LEVEL_MAP](1 + pooled / params.top_db, bytes=True)[..., :3]
    file = io.BytesIO()
    Image.fromarray(colours).save(file, "WEBP", quality=WEBP_QUALITY)
    return file.getvalue()


def of_tracks(paths: list[str], params: Params) -> Iterator[tuple[bytes, bytes] | str]:
    """Encode sound and picture of all tracks in parallel threads, in order.

    Parameters
    ----------
    paths : list of str
        The audio files.
    params : Params
        The features.

    Yields
    ------
    tuple of bytes, bytes, or str
        As :func:`of_track` returns it; or the reason if a file cannot be used, for instance because it was moved.
    """
    # threads are enough: decoding, transform and encoding release the interpreter's lock
    workers = joblib.Parallel(n_jobs=min(os.cpu_count() or 1, len(paths)), prefer="threads", return_as="generator")
    yield from progress(workers(joblib.delayed(or_reason)(path, params) for path in paths), len(paths), "explorer")


def or_reason(path: str, params: Params) -> tuple[bytes, bytes] | str:
    """As :func:`of_track`, or the reason if the file cannot be used."""
    try:
        return of_track(path, params)
    except AudioError as error:
        return error.reason
