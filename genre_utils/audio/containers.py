"""Decoding with PyAV (FFmpeg), where libsndfile cannot: m4a, aac, wma, and the audio of videos."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

# The formats that FFmpeg may detect, which hold all that they play. A playlist, for instance, names other files and
# addresses, and FFmpeg would open them.
DEMUXERS = ("aac", "ape", "asf", "avi", "flv", "matroska", "mov", "mpeg", "mpegts", "wv")
SUFFIXES = frozenset(
    {
        ".3gp", ".aac", ".ape", ".avi", ".flv", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp4", ".mpeg",
        ".mpg", ".mts", ".webm", ".wma", ".wmv", ".wv",
    }
)  # fmt: skip
TICKS_PER_SECOND = 1_000_000  # FFmpeg's unit for the length of a file


@contextlib.contextmanager
def opened(path: str | Path, refusal: str) -> Iterator[tuple[Any, Any]]:
    """Open a container and its first audio stream with PyAV.

    Parameters
    ----------
    path : str or Path
        A file that libsndfile does not open, whatever its suffix.
    refusal : str
        Error message of libsndfile.

    Yields
    ------
    container : av.container.InputContainer
        Its other streams are skipped.
    stream : av.audio.stream.AudioStream
        Of the container.

    Raises
    ------
    OSError
        If there is no such stream, PyAV is not installed, or the container turns out to be damaged while it is read.
    """
    with Path(path).open("rb") as file:  # FFmpeg gets no name: it would take some names for addresses
        try:
            import av
            from av.stream import Discard
        except ImportError as error:
            install = 'pip install "genre_utils[formats]"'
            raise OSError(f"{refusal} To read m4a, aac, wma and videos, install PyAV: {install}") from error
        options = {"format_whitelist": ",".join(DEMUXERS)}
        try:
            with av.open(file, options=options, metadata_errors="ignore") as container:
                if not container.streams.audio:
                    raise ValueError("it has no audio stream")
                stream = container.streams.audio[0]
                for other in container.streams:
                    if other is not stream:
                        other.discard = Discard.all
                yield container, stream
        except (av.FFmpegError, OSError, RuntimeError, ValueError) as error:
            raise OSError(f"{refusal} FFmpeg: {getattr(error, 'strerror', None) or error}") from error


def duration(path: str | Path, refusal: str) -> float:
    """Length in seconds by the header, or else by all packets, without decoding; errors as :func:`opened`."""
    with opened(path, refusal) as (container, stream):
        name = container.format.name
        if stream.duration and name != "aac":  # aac has no header, and FFmpeg guesses from the first packets
            return float(stream.duration * stream.time_base)
        if container.duration and name not in ("aac", "avi"):  # an avi's is that of the video
            return container.duration / TICKS_PER_SECOND
        return float(stream.time_base * sum(packet.duration or 0 for packet in container.demux(stream)))


def blocks(
    path: str | Path, refusal: str, block_seconds: float, seconds: float | None
) -> Iterator[tuple[np.ndarray, int, bool]]:
    """Decode the audio block by block, mixed down to mono.

    Parameters
    ----------
    path : str or Path
        As :func:`opened`.
    refusal : str
        As :func:`opened`.
    block_seconds : float
        Length of a block; its last frame may exceed it.
    seconds : float or None
        How much to decode at least; None is the whole file.

    Yields
    ------
    mono : np.ndarray [shape=(samples,), dtype=float32]
        The next block.
    rate_hz : int
        The same for all blocks.
    last : bool
        Whether it is the last one, which may be empty.

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
    """Frames of a stream as float32, (sample, channel), and the sample rate of the first one in Hz.

    Sample format, channels and rate may change within a stream; FFmpeg then resamples to the first rate.
    """
    from av import AudioResampler

    rate_hz = 0
    for layout, alike in itertools.groupby(container.decode(stream), layout_of):
        rate_hz = rate_hz or layout[0]
        converter = AudioResampler("flt", rate=rate_hz)  # not fltp: PyAV 18 would read nine of eight channels
        for frame in itertools.chain(alike, [None]):  # None: flush the converter
            for converted in filter(None, converter.resample(frame)):
                yield converted.to_ndarray().reshape(converted.samples, -1), rate_hz


def layout_of(frame: Any) -> tuple[int, str, str]:
    """Sample rate, sample format and channels of a frame: a converter works for one of each."""
    return frame.sample_rate, frame.format.name, frame.layout.name
