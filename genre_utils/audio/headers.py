"""Files that hold more audio than their header says: find the parts, so that libsndfile decodes all of it."""

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

TOLERANCE_SECONDS = 0.2  # encoder delay and padding, which a correct header leaves out, are 0.1 s at most
FEWEST_FRAMES = 4  # consecutive MPEG frames: fewer appear by chance, in a cover picture or at a cut-off end
KBPS = {  # bit rates by (MPEG version, layer) and the header's index; 2 is MPEG-2 and 2.5, layers II and III alike
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by MPEG version
TAGS = {b"TAG": 128, b"APETAGEX": 32}  # tags between two concatenated MP3s, and their sizes in bytes
MOST_BYTES = 1 << 31  # for larger files the header is trusted: mapping may fail, and takes seconds
WIDEST_GAP = 1 << 24  # bytes without audio between two parts; what follows a wider gap is left out
FLAC_BEGINS = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # a FLAC's mark and its first block, of 34 bytes
FLAC_MARK = 8  # length of that mark in bytes


class Part(NamedTuple):
    """A part of a file that libsndfile can decode by itself."""

    pieces: list[bytes | tuple[int, int]]  # to concatenate: a new header, and ranges (start, end) of the file
    seconds: float  # by counting frames; 0: ask libsndfile
    guessed: bool = False  # the file has no frame count: libsndfile may also report too much


class Frame(NamedTuple):
    """The content of an MPEG frame's header."""

    size: int  # in bytes
    samples: int
    rate_hz: int


@dataclasses.dataclass
class Stretch:
    """Consecutive MPEG frames of one form, their ranges (start, end) in the file, and their samples."""

    form: tuple[int, ...]
    pieces: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    samples: int = 0
    samples_each: int = 1
    rate_hz: int = 0
    end: int = -1
    guessed: bool = True


class Forward(soundfile.SoundFile):
    """A file read from start to end, without seeking after each block, which a FLAC stream does not allow."""

    def seekable(self) -> bool:
        """Whether soundfile may seek in it."""
        return False


class Pieces(io.RawIOBase):
    """A file-like object made of pieces of another file, for libsndfile.

    Parameters
    ----------
    data : mmap.mmap
        The other file.
    pieces : list
        As in :class:`Part`.
    """

    def __init__(self, data: mmap.mmap, pieces: list[bytes | tuple[int, int]]):
        super().__init__()
        views = [piece if isinstance(piece, bytes) else (data, *piece) for piece in pieces]
        self.views = [(view, 0, len(view)) if isinstance(view, bytes) else view for view in views]
        self.ends = list(itertools.accumulate(end - start for _, start, end in self.views))
        self.place = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position."""
        self.place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.ends[-1]}[whence]
        return self.place

    def tell(self) -> int:
        """The current position."""
        return self.place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into a buffer; return the number of bytes."""
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
    """The parts of a file to decode, if its header says less than it holds.

    Parameters
    ----------
    path : str or Path
        The file.
    file : soundfile.SoundFile
        The same file, open: gives the length by its header.

    Returns
    -------
    list of Part
        Empty if the header is correct, or says more, as in a file that was cut off.
    """
    find = {"MP3": of_mpeg, "WAV": of_wav, "WAVEX": of_wav, "AU": of_au, "OGG": of_ogg, "FLAC": of_flac}.get(
        file.format
    )
    if find is None or not 0 < Path(path).stat().st_size <= MOST_BYTES:
        return []
    with mapped(path) as data:
        found = find(data)
    counted = [part.seconds for part in found]
    more = sum(counted) - file.frames / file.samplerate
    right = abs(more) <= TOLERANCE_SECONDS or (more < 0 and not any(part.guessed for part in found))
    return [] if right and all(counted) else found


@contextlib.contextmanager
def mapped(path: str | Path) -> Iterator[mmap.mmap]:
    """Map a file into memory; if the address space runs out, raise ``MemoryError``."""
    with Path(path).open("rb") as raw, contextlib.ExitStack() as stack:
        try:
            data = stack.enter_context(mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ))
        except OSError as error:
            raise (MemoryError(str(error)) if error.errno == errno.ENOMEM else error) from error
        yield data


def opened(path: str | Path, found: list[Part]) -> Iterator[soundfile.SoundFile]:
    """Open the parts of a file, one after the other."""
    with mapped(path) as data:
        for part in found:
            with Forward(Pieces(data, part.pieces)) as file:
                yield file


def seconds(path: str | Path, found: list[Part]) -> float:
    """Length of all parts of a file."""
    counted = [part.seconds for part in found]
    return sum(counted) if all(counted) else sum(file.frames / file.samplerate for file in opened(path, found))


@functools.cache
def frame_sizes() -> dict[int, Frame]:
    """All valid MPEG frame headers that determine a frame's size, by their second and third byte."""
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
    """Stretches of MPEG frames of one version, layer, rate and number of channels, each with a correct frame count.

    LAME writes the count into an Info frame before the first frame. If it is missing or wrong, libmpg123 guesses the
    length from the size of the first frame. Layers I and II have no count: there, frames of one stretch have one size.
    """
    known, place, size = frame_sizes(), 0, len(data)
    stretches: list[Stretch] = []
    stretch = Stretch(form=())

    def frame_at(here: int) -> tuple[Frame | None, tuple[int, ...]]:
        if here + 4 > size or data[here] != 0xFF:
            return None, ()
        second, third, fourth = data[here + 1 : here + 4]
        return known.get(second << 8 | third), form_of(second, third, fourth >> 6 == 3)

    while place < size:
        frame, form = frame_at(place)
        end = place + frame.size if frame else place
        # Right after a frame, one of the same form is accepted; elsewhere the next one must have its form, too.
        goes_on = stretch.end == place and form == stretch.form
        if frame and end <= size and (goes_on or frame_at(end)[1] == form):
            if form != stretch.form:
                stretch = Stretch(form)
                stretches.append(stretch)
            if not stretch.samples and is_info(data[place:end]):  # leave an old frame count out
                stretch.guessed = False
            else:
                stretch.pieces[-1:] = (
                    [(stretch.pieces[-1][0], end)]
                    if goes_on and stretch.pieces
                    else [*stretch.pieces[-1:], (place, end)]
                )
                end, more = run_of(data, end, form)
                stretch.pieces[-1] = (stretch.pieces[-1][0], end)
                stretch.samples += frame.samples * (1 + more)
                stretch.samples_each, stretch.rate_hz = frame.samples, frame.rate_hz
            place = stretch.end = end
        elif data[place : place + 3] == b"ID3" and place + 10 <= size:
            place += 10 + id3_size(data[place : place + 10])
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


def run_of(data: mmap.mmap, place: int, form: tuple[int, ...]) -> tuple[int, int]:
    """Where a run of MPEG frames of one form ends, and how many they are: in few steps, as a song has thousands."""
    sizes, mono, count = sizes_of(form), form[2], 0
    last = len(data) - 4
    while place <= last and data[place] == 0xFF:
        size = sizes.get(data[place + 1] << 8 | data[place + 2])
        if size is None or (data[place + 3] >> 6 == 3) != mono or place + size > last + 4:
            break
        place, count = place + size, count + 1
    return place, count


@functools.cache
def sizes_of(form: tuple[int, ...]) -> dict[int, int]:
    """The size of a frame of one form, by its second and third byte."""
    return {bits: frame.size for bits, frame in frame_sizes().items() if form_of(*divmod(bits, 256), form[2]) == form}


def form_of(second: int, third: int, mono: int) -> tuple[int, ...]:
    """What the frames of a stretch have in common: version, layer, rate, channels; except in layer III the bit rate."""
    return second & 0xFE, third & 0x0C, mono, third >> 4 if second >> 1 & 3 != 1 else 0


def id3_size(header: bytes) -> int:
    """Size of an ID3 tag in bytes, without its header of ten bytes."""
    return functools.reduce(lambda size, bits: size << 7 | bits & 127, header[6:10], 0)


def is_info(frame: bytes) -> bool:
    """Whether an MPEG frame holds a frame count instead of audio."""
    return any(name in frame[4:48] for name in (b"Xing", b"Info", b"VBRI"))


def info(header: bytes, frames: int) -> bytes:
    """An Info frame for so many frames with this header (4 bytes); empty for layers I and II."""
    second, third, fourth = header[1:]
    if second >> 1 & 3 != 1:
        return b""
    mono, mpeg_1 = fourth >> 6 == 3, second >> 3 & 3 == 3
    beside = (17 if mono else 32) if mpeg_1 else (9 if mono else 17)  # side information, all 0: silence
    second, third = second | 1, 0x90 | third & 0x0C  # no checksum; 128 or 80 kbit/s, which is long enough
    start = bytes([0xFF, second, third, fourth]) + bytes(beside) + b"Info" + struct.pack(">II", 1, frames)
    return start.ljust(frame_sizes()[second << 8 | third].size, b"\0")


def of_wav(data: mmap.mmap) -> list[Part]:
    """A wav whose audio goes on after the size of its last chunk: a killed recorder has not updated the size."""
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
            blank = size and not any(data[end : end + min(bytes_a_second, WIDEST_GAP)])  # reserved space without audio
            if chunk or blank or len(data) - end <= (bytes_a_second * TOLERANCE_SECONDS if size else 0):
                return []
            whole = struct.pack(f"{order}I", min(len(data) - begin, 0xFFFFFFFF))
            header = data[:4] + whole + data[8 : begin - 4] + whole
            return [Part([header, (begin, len(data))], 0)]
        place = end
    return []


def of_au(data: mmap.mmap) -> list[Part]:
    """An au file whose header says size 0 although audio follows."""
    order = ">" if data[:4] == b".snd" else "<"
    begin, size = struct.unpack(f"{order}II", data[4:12])
    return (
        [] if size or begin >= len(data) else [Part([data[:8] + b"\xff" * 4 + data[12:begin], (begin, len(data))], 0)]
    )


def of_ogg(data: mmap.mmap) -> list[Part]:
    """Several concatenated Ogg files: a new one begins where a first page follows other pages."""
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
    """Several concatenated FLAC files. Frames do not give their size: search the whole file, up to a wide gap."""
    begins = []
    for start in range(0, len(data), WIDEST_GAP):
        window = data[start : start + WIDEST_GAP + FLAC_MARK - 1]
        if hasattr(data, "madvise"):  # otherwise the pages would count as memory of this process
            data.madvise(mmap.MADV_DONTNEED, start, min(WIDEST_GAP, len(data) - start))
        if window.count(0) == len(window):
            break
        begins += [start + match.start() for match in FLAC_BEGINS.finditer(window)]
    return one_after_the_other(begins, len(data))


def one_after_the_other(begins: list[int], size: int) -> list[Part]:
    """One part for each of the files that begin there, if there are several."""
    return [Part([pair], 0) for pair in itertools.pairwise([*begins, size])] if len(begins) > 1 else []
