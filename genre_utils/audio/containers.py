"""Sound in containers that libsndfile does not open, by PyAV: m4a, aac, wma, and the sound of videos."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

# What FFmpeg may take a file for: formats that hold all that they play. A playlist, for instance, names other files
# and addresses, and FFmpeg would open those.
DEMUXERS = ("aac", "ape", "asf", "avi", "flv", "matroska", "mov", "mpeg", "mpegts", "wv")
SUFFIXES = frozenset(
    {
        ".3gp", ".aac", ".ape", ".avi", ".flv", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp4", ".mpeg",
        ".mpg", ".mts", ".webm", ".wma", ".wmv", ".wv",
    }
)  # fmt: skip
TICKS_PER_SECOND = 1_000_000  # FFmpeg's, of the length of a whole file


@contextlib.contextmanager
def opened(path: str | Path, refusal: str) -> Iterator[tuple[Any, Any]]:
    """A container and its first stream of sound, by PyAV.

    Parameters
    ----------
    path : str or Path
        A file that libsndfile does not open, whatever its suffix.
    refusal : str
        What libsndfile said.

    Yields
    ------
    container : av.container.InputContainer
        Its other streams are passed over.
    stream : av.audio.stream.AudioStream
        Of the container.

    Raises
    ------
    OSError
        If there is no such stream, PyAV is not installed, or what is done with the container meets a fault in it.
    """
    with Path(path).open("rb") as file:  # FFmpeg sees no name: it would take some for addresses
        try:
            import av
            from av.stream import Discard
        except ImportError as error:
            install = 'pip install "genre_utils[formats]"'
            raise OSError(f"{refusal} If it is m4a, aac, wma or a video, this makes it readable: {install}") from error
        options = {"format_whitelist": ",".join(DEMUXERS)}
        try:
            with av.open(file, options=options, metadata_errors="ignore") as container:
                if not container.streams.audio:
                    raise ValueError("no stream of sound")
                stream = container.streams.audio[0]
                for other in container.streams:
                    if other is not stream:
                        other.discard = Discard.all
                yield container, stream
        except (av.FFmpegError, OSError, RuntimeError, ValueError) as error:
            raise OSError(f"{refusal} FFmpeg: {getattr(error, 'strerror', None) or error}") from error


def duration(path: str | Path, refusal: str) -> float:
    """Length by the header; where it does not say, by all packets, without decoding them.

    Parameters
    ----------
    path : str or Path
        As :func:`opened`.
    refusal : str
        As :func:`opened`.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    OSError
        As :func:`opened`.
    """
    with opened(path, refusal) as (container, stream):
        name = container.format.name
        if stream.duration and name != "aac":  # it has no header, and FFmpeg guesses by the size of the first packets
            return float(stream.duration * stream.time_base)
        if container.duration and name not in ("aac", "avi"):  # of an avi, the length of its pictures
            return container.duration / TICKS_PER_SECOND
        return float(stream.time_base * sum(packet.duration or 0 for packet in container.demux(stream)))


def blocks(
    path: str | Path, refusal: str, block_seconds: float, seconds: float | None
) -> Iterator[tuple[np.ndarray, int, bool]]:
    """Decoded sound, mixed down to mono.

    Parameters
    ----------
    path : str or Path
        As :func:`opened`.
    refusal : str
        As :func:`opened`.
    block_seconds : float
        Length of a block; the last frame of each may exceed it.
    seconds : float or None
        How much to decode at least; None is all.

    Yields
    ------
    mono : np.ndarray [shape=(samples,), dtype=float32]
        The next block.
    rate_hz : int
        The same for all.
    last : bool
        Whether it is the last; that one may be empty.

    Raises
    ------
    OSError
        As :func:`opened`.
    """
    with opened(path, refusal) as (container, stream):
        waiting, ready, given, rate_hz = [np.empty(0, np.float32)], 0, 0, 0
        for samples, rate_hz in frames(container, stream):
            waiting.append(samples.mean(axis=1))
            ready += len(waiting[-1])
            if seconds is not None and given + ready >= seconds * rate_hz:
                break
            if ready >= block_seconds * rate_hz:
                yield np.concatenate(waiting), rate_hz, False
                waiting, ready, given = waiting[:1], 0, given + ready
        yield np.concatenate(waiting), rate_hz, True


def frames(container: Any, stream: Any) -> Iterator[tuple[np.ndarray, int]]:
    """Frames of a stream as float32, (sample, channel), and the first one's rate in Hz.

    Within a stream the form of the samples, the channels and the rate may change; where the rate does, FFmpeg brings
    it back to the first.
    """
    from av import AudioResampler

    rate_hz = 0
    for form, alike in itertools.groupby(container.decode(stream), form_of):
        rate_hz = rate_hz or form[0]
        converter = AudioResampler("flt", rate=rate_hz)  # not planar: of eight channels PyAV 18 would read nine
        for frame in itertools.chain(alike, [None]):  # None: give what you hold back
            for converted in filter(None, converter.resample(frame)):
                yield converted.to_ndarray().reshape(converted.samples, -1), rate_hz


def form_of(frame: Any) -> tuple[int, str, str]:
    """What a converter is made for."""
    return frame.sample_rate, frame.format.name, frame.layout.name
