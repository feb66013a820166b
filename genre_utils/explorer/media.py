"""Sound and spectrogram picture of each card, small enough to be part of a page."""

import io
import itertools
import os
from collections.abc import Iterator
from typing import NamedTuple

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
NOT_FOUND = "No audio file was found for this clip."
LONGEST_SECONDS = 60.0  # of one excerpt at most: a card must be heard and seen at once


class Excerpt(NamedTuple):
    """The part of a file that a card plays and pictures.

    Attributes
    ----------
    path : str
        The audio file.
    start, end : float or None
        Seconds; an ``end`` of None is the end of the file, a ``start`` of None the segments of a run's ``params``.
    """

    path: str
    start: float | None = None
    end: float | None = None


class Clip(NamedTuple):
    """Sound and picture of an excerpt.

    Attributes
    ----------
    sound, picture : bytes
        Ogg Vorbis, mono, at the sample rate of ``params``; and WebP.
    seconds : float
        Their length.
    """

    sound: bytes
    picture: bytes
    seconds: float


def of_excerpt(excerpt: Excerpt, params: Params) -> Clip:
    """Decode a file once, and encode an excerpt as sound and picture.

    Parameters
    ----------
    excerpt : Excerpt
        What of which file.
    params : Params
        The features, and for runs the number of segments.

    Returns
    -------
    Clip
        For a run, from the first segment to the last; the picture has the log-mels side by side, as the network gets
        them: each in dB below its own maximum, with the lowest band at the bottom. Otherwise one log-mel of all.

    Raises
    ------
    AudioError
        If the file cannot be used.

    References
    ----------
    Notebook: 04_evaluation.
    """
    (found,) = of_file([excerpt], params)
    if isinstance(found, str):
        raise AudioError(excerpt.path, found)
    return found


def of_file(excerpts: list[Excerpt], params: Params) -> list[Clip | str]:
    """Excerpts of one file, which is decoded once: a :class:`Clip`, or the reason why there is none."""
    path = excerpts[0].path
    try:
        if excerpts[0].start is None:
            whole = spectrogram.segments(decoding.load(path, params), params)  # (segment, samples)
            pieces = [whole] * len(excerpts)
        else:
            pieces = [samples[np.newaxis] for samples in cut(excerpts, params)]
    except AudioError as error:
        reason = error.reason if excerpts[0].start is None else error.reason.partition("; one segment")[0]
        return [reason] * len(excerpts)  # nobody who brings a table has chosen the length of a segment
    return [encoded(piece, params) if piece.size else "ends before this clip begins" for piece in pieces]


def cut(excerpts: list[Excerpt], params: Params) -> list[np.ndarray]:
    """The samples of excerpts of one file, of at most ``LONGEST_SECONDS`` each."""
    rate = params.sample_rate_hz
    spans = [
        (round(start * rate), round(min(end or np.inf, start + LONGEST_SECONDS) * rate))
        for start, end in ((excerpt.start or 0.0, excerpt.end) for excerpt in excerpts)
    ]
    parts: list[list[np.ndarray]] = [[np.empty(0, np.float32)] for _ in excerpts]
    position = 0
    for block in decoding.blocks(excerpts[0].path, params, max(stop for _, stop in spans) / rate):
        for part, (start, stop) in zip(parts, spans, strict=True):
            part.append(block[max(start - position, 0) : max(stop - position, 0)])
        position += len(block)
    return [np.concatenate(part) for part in parts]


def encoded(segments: np.ndarray, params: Params) -> Clip:
    """Sound and picture of segments (segment, samples)."""
    seconds = segments.size / params.sample_rate_hz
    return Clip(vorbis(segments.ravel(), params), picture(spectrogram.log_mel(segments, params), params), seconds)


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


def of_excerpts(excerpts: list[Excerpt], params: Params) -> Iterator[Clip | str]:
    """Encode excerpts in parallel threads, in order.

    Parameters
    ----------
    excerpts : list of Excerpt
        Those of one file in a row.
    params : Params
        The features.

    Yields
    ------
    Clip or str
        As :func:`of_excerpt` returns it; or the reason if a file cannot be used, for instance because it was moved.
    """
    if not excerpts:
        return
    # threads are enough: decoding, transform and encoding release the interpreter's lock
    workers = joblib.Parallel(n_jobs=min(os.cpu_count() or 1, len(excerpts)), prefer="threads", return_as="generator")
    files = [list(some) for _, some in itertools.groupby(excerpts, key=lambda excerpt: excerpt.path)]
    found = itertools.chain.from_iterable(workers(joblib.delayed(of_file)(some, params) for some in files))
    yield from progress(found, len(excerpts), "explorer")
