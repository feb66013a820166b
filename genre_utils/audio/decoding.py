"""Decode an audio file to float32 mono samples at one sample rate."""

import contextlib
import functools
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from genre_utils.audio import containers, headers
from genre_utils.errors import AudioError
from genre_utils.params import Params
from genre_utils.system import quiet

# Decoded beyond the end, so that the edge effects of the resampler are cut off.
RESAMPLING_MARGIN_SECONDS = 0.5
BLOCK_SECONDS = 31.0  # decoded at once: a whole clip of GTZAN, which lasts up to 30.6 s
BLOCK_VALUES = 1 << 23  # over all channels: 32 MB, more than a clip; 31 s of eight channels at 192 kHz would take 190
RATES_HZ = range(1_000, 1_000_001)  # accepted sample rates; at 1 Hz a small file would last for days
LOUDEST = 2.0**31  # 32-bit integers that were not scaled reach this; the power of much larger values is infinite
UNKNOWN = 1 << 62  # libsndfile reports this many frames or more where the header has no length
MOST_TAGS = 8  # ID3 tags before the audio
SUFFIXES = containers.SUFFIXES | {
    ".8svx", ".aif", ".aifc", ".aiff", ".au", ".avr", ".bwf", ".caf", ".flac", ".mp1", ".mp2", ".mp3", ".mpga", ".nist",
    ".oga", ".ogg", ".opus", ".paf", ".pvf", ".rf64", ".sds", ".snd", ".sph", ".svx", ".voc", ".w64", ".wav", ".wave",
}  # fmt: skip
NOT_THERE = "is not there: no such file. Correct the path"
SIGNS = {  # what files with an audio suffix turn out to be, by their first bytes
    b"<!doctype html": "a web page", b"<html": "a web page", b"<?xml": "XML", b"%pdf": "a PDF",
    b"version https://git-lfs": "a Git LFS pointer; `git lfs pull` downloads the file",
    b"pk\3\4": "a zip archive", b"\x1f\x8b": "a gzip archive", b"rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive",
    b"\xff\xd8\xff": "a picture", b"\x89png": "a picture", b"gif8": "a picture", b"#extm3u": "a playlist",
    b"mthd": "MIDI, which holds notes and no audio",
}  # fmt: skip


def duration(path: str | Path) -> float:
    """Length of a file without decoding it: by its header, or by its data if that is longer.

    Parameters
    ----------
    path : str or Path
        Any format that libsndfile reads (wav, flac, ogg, mp3, aiff, au) or, with PyAV, FFmpeg (m4a, wma, videos).

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
        seconds = decoded_seconds(path)
        if not 0 <= seconds <= Path(path).stat().st_size:  # in no audio format does a byte last a second
            raise OSError(f"its header says {seconds:.0f} s, more than a file of this size can hold")
        return seconds
    except (OSError, RuntimeError, ValueError) as error:
        raise AudioError(path, unreadable(path, error)) from error


def decoded_seconds(path: str | Path) -> float:
    """Seconds by the header, or by the data if that is longer; with libsndfile, else with PyAV."""
    try:
        with opened(path) as file, chatty(file.format == "MP3"):
            found = headers.parts(path, file)
            promised = declared(file)
            return headers.seconds(path, found) if found else promised
    except soundfile.LibsndfileError as refusal:
        return containers.duration(path, explained(refusal))


def header_seconds(path: str | Path) -> float:
    """Seconds by the header alone; the module ``headers`` finds files that hold more."""
    try:
        with opened(path) as file:
            return declared(file)
    except soundfile.LibsndfileError as refusal:
        return containers.duration(path, explained(refusal))


def declared(file: soundfile.SoundFile) -> float:
    """Seconds by an open file's header; a FLAC stream without a length is decoded to count them."""
    rate_hz = in_range(file.samplerate)
    frames = file.frames if file.frames < UNKNOWN else sum(len(mono) for mono, _ in read(file, None))
    return frames / rate_hz


def load(path: str | Path, params: Params, seconds: float | None = None) -> np.ndarray:
    """Load the samples of a file: mixed down to mono, resampled, checked.

    Parameters
    ----------
    path : str or Path
        Any format that libsndfile reads (wav, flac, ogg, mp3, aiff, au) or, with PyAV, FFmpeg (m4a, wma, videos).
    params : Params
        ``sample_rate_hz`` of the result and the length of a segment.
    seconds : float, optional
        How much to read from the start; by default what ``max_segments`` needs.

    Returns
    -------
    np.ndarray [shape=(samples,), dtype=float32]
        Mono audio at ``params.sample_rate_hz``.

    Raises
    ------
    AudioError
        If the file is unreadable, shorter than one segment, silent, or holds NaN or infinity.

    References
    ----------
    Paper, II.A and II.B. Resampling: soxr, quality HQ, as in librosa.
    Notebook: 01_eda, 02_feature_extraction, 04_evaluation, 07_transfer.
    """
    return np.concatenate(list(blocks(path, params, seconds)))


def blocks(path: str | Path, params: Params, seconds: float | None = None) -> Iterator[np.ndarray]:
    """Load the same samples block by block: a file of hours takes no more memory than one of a minute.

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
        Up to ``BLOCK_SECONDS`` of mono audio at ``params.sample_rate_hz``; concatenated, the result of :func:`load`.

    Raises
    ------
    AudioError
        As :func:`load`; a file that is too short or silent raises it at its end.
    """
    if seconds is None and params.max_segments:
        seconds = params.max_segments * params.segment_seconds
    most = None if seconds is None else round(seconds * params.sample_rate_hz)
    given, audible = 0, False
    for mono in resampled(path, params, seconds):
        mono = mono if most is None else mono[: most - given]
        given, audible = given + len(mono), audible or bool(mono.any())
        yield mono
    if given < params.samples_per_segment:
        raise AudioError(path, too_short(given / params.sample_rate_hz, params))
    if not audible:
        raise AudioError(path, "is silent throughout: every sample is 0. Leave it out.")


def resampled(path: str | Path, params: Params, seconds: float | None) -> Iterator[np.ndarray]:
    """Mono blocks at the target rate, with finite samples, for slightly more than the given seconds."""
    resampler = None
    try:
        for mono, rate_hz, last in decoded(path, seconds and seconds + RESAMPLING_MARGIN_SECONDS):
            if not np.abs(mono).max(initial=0) <= LOUDEST:  # false for NaN, too
                raise AudioError(
                    path,
                    f"holds NaN or infinity, or samples above {LOUDEST:.0f}. Convert it again, or leave it out.",
                )
            if in_range(rate_hz) != params.sample_rate_hz:
                resampler = resampler or soxr.ResampleStream(rate_hz, params.sample_rate_hz, 1, quality="HQ")
            yield resampler.resample_chunk(mono, last) if resampler else mono
            resampler = None if last else resampler
    except (soundfile.LibsndfileError, OSError, RuntimeError, ValueError) as error:
        raise AudioError(path, unreadable(path, error)) from error


def decoded(path: str | Path, seconds: float | None) -> Iterator[tuple[np.ndarray, int, bool]]:
    """Mono blocks, their rate in Hz, and whether the rate may change after them; by libsndfile, else PyAV."""
    try:
        file = opened(path)
    except soundfile.LibsndfileError as refusal:
        yield from containers.blocks(path, explained(refusal), BLOCK_SECONDS, seconds)
        return
    with file:
        found = headers.parts(path, file)
        for part in headers.opened(path, found) if found else [file]:
            left = None if seconds is None else round(seconds * part.samplerate)
            for mono, last in read(part, left):
                yield mono, part.samplerate, last
                seconds = seconds and seconds - len(mono) / part.samplerate
            if seconds is not None and seconds <= 0:
                return


def read(file: soundfile.SoundFile, left: int | None) -> Iterator[tuple[np.ndarray, bool]]:
    """Mono blocks of an open file, ``left`` samples or all, and whether each is the last one."""
    left = file.frames if left is None else left
    most = min(round(BLOCK_SECONDS * file.samplerate), BLOCK_VALUES // file.channels)
    # libsndfile's own conversion of 16 bits to float would take twice as long.
    dtype = "int16" if file.subtype == "PCM_16" else "float32"
    last = False
    while not last:
        wanted = min(left, most)
        with chatty(file.format == "MP3"):
            samples = file.read(wanted, dtype, always_2d=True)  # (samples, channel)
        left -= wanted
        last = left == 0 or len(samples) < wanted  # a header may say more than there is
        scale = np.float32((2**-15 if dtype == "int16" else 1) / samples.shape[1])
        # Adding whole channels is five times as fast as a sum over axis 1, but slower with hundreds of channels.
        few = samples.shape[1] <= 8
        total = functools.reduce(np.add, (c * scale for c in samples.T)) if few else samples.sum(1, np.float32) * scale
        yield total, last  # (samples,)


def opened(path: str | Path) -> soundfile.SoundFile:
    """Open a plain file (a pipe would block, a device never end) by the bytes of its name, which may be no text."""
    if not os.fspath(path):
        raise OSError("its path is empty")
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a regular file")
    if not status.st_size:
        raise OSError("it is empty, 0 bytes")
    if is_ircam(path):
        raise OSError("it is IRCAM, a format in which a file can make libsndfile overwrite memory: CVE-2025-52194")
    with chatty(Path(path).suffix.lower() == ".mp3"):
        return headers.Forward(os.fsencode(path) if os.name == "posix" else path)


def chatty(is_mp3: bool) -> contextlib.AbstractContextManager[None]:
    """A context for decoding, in which libmpg123's lines on standard error are left out: they name no file."""
    return quiet.WITHOUT_CHATTER if is_mp3 else contextlib.nullcontext()


def explained(refusal: soundfile.LibsndfileError) -> str:
    """The error message of libsndfile; for an MP3 without audio it wrongly says that the file does not exist."""
    return "It holds no MP3 frames." if refusal.error_string.startswith("File does not exist") else refusal.error_string


def is_ircam(path: str | Path) -> bool:
    """Whether libsndfile would detect a file as IRCAM, by its first bytes or those after its ID3 tags."""
    with Path(path).open("rb") as file:
        for _ in range(MOST_TAGS):
            head = file.read(10)
            if head[:3] != b"ID3":
                return head[:2] == b"\x64\xa3" or head[2:4] == b"\xa3\x64"
            file.seek(headers.id3_size(head), os.SEEK_CUR)
    return True  # it could be hidden behind so many tags


def in_range(rate_hz: int) -> int:
    """The same rate, if it is an accepted one."""
    if rate_hz not in RATES_HZ:
        raise OSError(f"its sample rate must be {RATES_HZ[0]} to {RATES_HZ[-1]} Hz, and its header says {rate_hz} Hz")
    return rate_hz


def too_short(seconds: float, params: Params) -> str:
    """The reason for a track that gives no segment."""
    seconds = math.floor(round(100 * seconds, 6)) / 100  # rounded down: 4.999 must not look like 5
    return (
        f"holds {seconds:.2f} s; one segment needs {params.segment_seconds:.2f} s. "
        "Leave it out or lower segment_seconds."
    )


def unreadable(path: str | Path, error: Exception) -> str:
    """The reason for a file that cannot be read."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        what = "is a link to a file that does not exist. Repair the link" if os.path.islink(path) else NOT_THERE  # noqa: PTH114
        return f"{what}, or leave it out."
    detail = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    with contextlib.suppress(OSError, ValueError):
        if os.path.isdir(path):  # noqa: PTH112  (a path may be text)
            return "is a folder, not a file. Name a file in it, or leave it out."
        if stat.S_ISREG(Path(path).stat().st_mode):
            with Path(path).open("rb") as file:
                head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
            detail = next((f"it is {what}" for sign, what in SIGNS.items() if head.startswith(sign)), detail)
    return f"cannot be read as audio ({detail}). Replace it with a wav, flac, ogg or mp3 file, or leave it out."
