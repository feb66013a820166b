"""Files whose header says less than they hold: what libsndfile must be given to decode all of it."""

import bisect
import contextlib
import dataclasses
import errno
import functools
import io
import itertools
import mmap
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import soundfile

TOLERANCE_SECONDS = 0.2  # an encoder's delay and padding, which a right header leaves out, are 0.1 s at most
FEWEST_FRAMES = 4  # of MPEG in a row: fewer look like a header by chance, in a picture or at a torn end
KBPS = {  # of MPEG-1 layers I to III, and of MPEG-2 and 2.5 layers I, then II and III, by the header's index
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by MPEG's version
TAGS = {b"TAG": 128, b"APETAGEX": 32}  # that may stand between two MP3s, and their sizes
MOST_BYTES = 1 << 31  # larger files are taken at their header's word: they may not find addresses, and take seconds
WIDEST_GAP = 1 << 24  # bytes without sound between what is joined; what comes behind more is left out, unread
FLAC_BEGINS = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # and its first block, of 34 bytes
FLAC_MARK = 8  # bytes of it


class Part(NamedTuple):
    """A stretch of a file that libsndfile decodes as one."""

    pieces: list[bytes | tuple[int, int]]  # joined: bytes that replace a header, and from where to where in the file
    seconds: float  # by the frames in it; 0 if libsndfile is to say
    guessed: bool = False  # without a count in the file: libsndfile may also promise too much


class Frame(NamedTuple):
    """What an MPEG frame's header says."""

    size: int  # in bytes
    samples: int
    rate_hz: int


@dataclasses.dataclass
class Stretch:
    """MPEG frames that are alike: their form, from where to where they lie, and how many samples they make."""

    form: tuple[int, ...]
    pieces: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    samples: int = 0
    samples_each: int = 1
    rate_hz: int = 0
    end: int = -1
    guessed: bool = True


class Forward(soundfile.SoundFile):
    """A file read from start to end, without the seek after each block that a stream of FLAC does not allow."""

    def seekable(self) -> bool:
        """Whether its reader may seek."""
        return False


class Pieces(io.RawIOBase):
    """A file made of pieces of another, for libsndfile to read.

    Parameters
    ----------
    data : mmap.mmap
        The other.
    pieces : list
        As of :class:`Part`.
    """

    def __init__(self, data: mmap.mmap, pieces: list[bytes | tuple[int, int]]):
        super().__init__()
        views = [piece if isinstance(piece, bytes) else (data, *piece) for piece in pieces]
        self.views = [(view, 0, len(view)) if isinstance(view, bytes) else view for view in views]
        self.ends = list(itertools.accumulate(end - start for _, start, end in self.views))
        self.place = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte."""
        self.place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.ends[-1]}[whence]
        return self.place

    def tell(self) -> int:
        """Where it is."""
        return self.place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as there are bytes."""
        filled = 0
        while filled < len(buffer) and self.place < self.ends[-1]:
            index = bisect.bisect_right(self.ends, self.place)
            source, _, end = self.views[index]
            begin = end - (self.ends[index] - self.place)
            taken = source[begin : min(end, begin + len(buffer) - filled)]
            buffer[filled : filled + len(taken)] = taken
            filled, self.place = filled + len(taken), self.place + len(taken)
        return filled


def parts(path: str | Path, file: soundfile.SoundFile) -> list[Part]:
    """What of a file libsndfile must be given instead of it.

    Parameters
    ----------
    path : str or Path
        The file.
    file : soundfile.SoundFile
        The same, open: what its header says.

    Returns
    -------
    list of Part
        Empty where the header says all that there is, or more, as that of a file that was cut off.
    """
    find = {"MP3": of_mpeg, "WAV": of_wav, "WAVEX": of_wav, "AU": of_au, "OGG": of_ogg, "FLAC": of_flac}.get(
        file.format
    )
    if find is None or not 0 < Path(path).stat().st_size <= MOST_BYTES:
        return []
    with mapped(path) as data:
        found = find(data)
    told = [part.seconds for part in found]
    more = sum(told) - file.frames / file.samplerate
    right = abs(more) <= TOLERANCE_SECONDS or (more < 0 and not any(part.guessed for part in found))
    return [] if right and all(told) else found


@contextlib.contextmanager
def mapped(path: str | Path) -> Iterator[mmap.mmap]:
    """A file's bytes; where addresses for them run out, as where memory does."""
    with Path(path).open("rb") as raw, contextlib.ExitStack() as stack:
        try:
            data = stack.enter_context(mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ))
        except OSError as error:
            raise (MemoryError(str(error)) if error.errno == errno.ENOMEM else error) from error
        yield data


def opened(path: str | Path, found: list[Part]) -> Iterator[soundfile.SoundFile]:
    """Each part of a file, open, one after the other."""
    with mapped(path) as data:
        for part in found:
            with Forward(Pieces(data, part.pieces)) as file:
                yield file


def seconds(path: str | Path, found: list[Part]) -> float:
    """Length of all parts of a file."""
    told = [part.seconds for part in found]
    return sum(told) if all(told) else sum(file.frames / file.samplerate for file in opened(path, found))


@functools.cache
def frame_sizes() -> dict[int, Frame]:
    """Every frame header of MPEG that says its size, by its second and third byte."""
    known = {}
    for bits in range(1 << 16):
        second, third = divmod(bits, 256)
        version, layer, index = second >> 3 & 3, 4 - (second >> 1 & 3), (third >> 4) - 1
        rate_index, padding = third >> 2 & 3, third >> 1 & 1
        if second < 0xE0 or version == 1 or layer == 4 or not 0 <= index < 14 or rate_index == 3:
            continue
        mpeg_1 = version == 3
        kbps = KBPS[(1, layer) if mpeg_1 else (2, min(layer, 2))][index]
        rate_hz = RATES_HZ[version][rate_index]
        samples = 384 if layer == 1 else 576 if layer == 3 and not mpeg_1 else 1152
        size = (12_000 * kbps // rate_hz + padding) * 4 if layer == 1 else samples * 125 * kbps // rate_hz + padding
        known[bits] = Frame(size, samples, rate_hz)
    return known


def of_mpeg(data: mmap.mmap) -> list[Part]:
    """Stretches of MPEG frames alike in version, layer, rate and number of channels, each with a header that counts.

    The count stands in an Info frame, as LAME writes it before the first one; where there is none, or a wrong one,
    libmpg123 guesses the length from the size of the first frame. Layers I and II have none: their frames are alike
    in size, too.
    """
    known, place, size = frame_sizes(), 0, len(data)
    stretches: list[Stretch] = []
    stretch = Stretch(form=())

    def frame_at(here: int) -> tuple[Frame | None, tuple[int, ...]]:
        if here + 4 > size or data[here] != 0xFF:
            return None, ()
        second, third, fourth = data[here + 1 : here + 4]
        alike = third >> 4 if second >> 1 & 3 != 1 else 0
        return known.get(second << 8 | third), (second & 0xFE, third & 0x0C, fourth >> 6 == 3, alike)

    while place < size:
        frame, form = frame_at(place)
        end = place + frame.size if frame else place
        # Where a frame ended, one like it is one; elsewhere what follows must be like it, too.
        goes_on = stretch.end == place and form == stretch.form
        if frame and end <= size and (goes_on or frame_at(end)[1] == form):
            if form != stretch.form:
                stretch = Stretch(form)
                stretches.append(stretch)
            if not stretch.samples and is_info(data[place:end]):  # an old count is left out
                stretch.guessed = False
            else:
                stretch.pieces[-1:] = (
                    [(stretch.pieces[-1][0], end)]
                    if goes_on and stretch.pieces
                    else [*stretch.pieces[-1:], (place, end)]
                )
                stretch.samples += frame.samples
                stretch.samples_each, stretch.rate_hz = frame.samples, frame.rate_hz
            place = stretch.end = end
        elif data[place : place + 3] == b"ID3" and place + 10 <= size:
            place += 10 + functools.reduce(lambda total, bits: total << 7 | bits & 127, data[place + 6 : place + 10], 0)
        else:
            tag = next((length for name, length in TAGS.items() if data[place : place + len(name)] == name), 1)
            marks = [data.find(mark, place + tag, place + WIDEST_GAP) for mark in (b"\xff", b"ID3")]
            place = min((mark for mark in marks if mark >= 0), default=size)
    found = []
    for stretch in stretches:
        if stretch.samples >= FEWEST_FRAMES * stretch.samples_each:
            begin = stretch.pieces[0][0]
            header = info(data[begin : begin + 4], stretch.samples // stretch.samples_each)
            found.append(Part([header, *stretch.pieces], stretch.samples / stretch.rate_hz, stretch.guessed))
    return found


def is_info(frame: bytes) -> bool:
    """Whether an MPEG frame holds a count of the others, and no sound."""
    return any(name in frame[4:48] for name in (b"Xing", b"Info", b"VBRI"))


def info(header: bytes, frames: int) -> bytes:
    """An Info frame for frames with this header (4 bytes); of layers I and II none."""
    second, third, fourth = header[1:]
    if second >> 1 & 3 != 1:
        return b""
    mono, mpeg_1 = fourth >> 6 == 3, second >> 3 & 3 == 3
    beside = (17 if mono else 32) if mpeg_1 else (9 if mono else 17)  # side information, all 0: silence
    second, third = second | 1, 0x90 | third & 0x0C  # without a checksum; 128 or 80 kbit/s, room enough
    start = bytes([0xFF, second, third, fourth]) + bytes(beside) + b"Info" + struct.pack(">II", 1, frames)
    return start.ljust(frame_sizes()[second << 8 | third].size, b"\0")


def of_wav(data: mmap.mmap) -> list[Part]:
    """A wav whose last chunk of sound goes on behind its size: a recorder that was killed has not written it."""
    place, order = 12, ">" if data[:4] == b"RIFX" else "<"
    bytes_a_second = 0
    while place + 8 <= len(data):
        (size,) = struct.unpack(f"{order}I", data[place + 4 : place + 8])
        begin, end = place + 8, place + 8 + size + size % 2
        if data[place : place + 4] == b"fmt ":
            (bytes_a_second,) = struct.unpack(f"{order}I", data[begin + 8 : begin + 12])
        if data[place : place + 4] == b"data":
            rest = data[end : end + 8]
            chunk = len(rest) == 8 and rest[:4].isascii() and rest[:4].decode().isprintable()
            blank = size and not any(data[end : end + min(bytes_a_second, WIDEST_GAP)])  # room that was kept, no sound
            if chunk or blank or len(data) - end <= (bytes_a_second * TOLERANCE_SECONDS if size else 0):
                return []
            whole = struct.pack(f"{order}I", min(len(data) - begin, 0xFFFFFFFF))
            header = data[:4] + whole + data[8 : begin - 4] + whole
            return [Part([header, (begin, len(data))], 0)]
        place = end
    return []


def of_au(data: mmap.mmap) -> list[Part]:
    """An au whose size is 0 though there is sound behind its header."""
    order = ">" if data[:4] == b".snd" else "<"
    begin, size = struct.unpack(f"{order}II", data[4:12])
    return (
        [] if size or begin >= len(data) else [Part([data[:8] + b"\xff" * 4 + data[12:begin], (begin, len(data))], 0)]
    )


def of_ogg(data: mmap.mmap) -> list[Part]:
    """Several Oggs in one file: one begins where a first page follows other pages."""
    begins, place, among_first = [], data.find(b"OggS"), False
    while place >= 0 and place + 27 <= len(data):
        is_first = bool(data[place + 5] & 2)
        if is_first and not among_first:
            begins.append(place)
        among_first = is_first
        count = data[place + 26]
        place += 27 + count + sum(data[place + 27 : place + 27 + count])
        place = data.find(b"OggS", place, place + WIDEST_GAP)
    return one_after_the_other(begins, len(data))


def of_flac(data: mmap.mmap) -> list[Part]:
    """Several FLACs in one file, whose frames do not say where they end: all of it is searched, up to a gap."""
    begins = []
    for start in range(0, len(data), WIDEST_GAP):
        window = data[start : start + WIDEST_GAP + FLAC_MARK - 1]
        if hasattr(data, "madvise"):  # or what was read would count as memory of this process
            data.madvise(mmap.MADV_DONTNEED, start, min(WIDEST_GAP, len(data) - start))
        if window.count(0) == len(window):
            break
        begins += [start + match.start() for match in FLAC_BEGINS.finditer(window)]
    return one_after_the_other(begins, len(data))


def one_after_the_other(begins: list[int], size: int) -> list[Part]:
    """The files that begin there, if they are more than one."""
    return [Part([pair], 0) for pair in itertools.pairwise([*begins, size])] if len(begins) > 1 else []
