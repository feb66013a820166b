"""The files of an extraction: all rows in one array, and a journal with one line per finished block of rows."""

import io
import json
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genre_utils.audio import augmentation
from genre_utils.system import disk

NAME = "done.jsonl"  # kept in the finished store, to check its rows
ROWS = "features.npy"
MAGIC = np.lib.format.magic(1, 0)  # two bytes with the length of the header follow


class Block(NamedTuple):
    """The rows planned for one version of one track, before it is decoded."""

    track_id: str
    path: str
    version: augmentation.Version
    row: int  # the first one
    room: int  # number of rows by the duration in the file's header

    @property
    def key(self) -> tuple[str, str]:
        """Track and version."""
        return self.track_id, str(self.version)


class Outcome(NamedTuple):
    """The result of a block: a line of the journal."""

    track_id: str
    augmentation: str
    segments: int
    fault: str
    seconds: float  # that the worker took
    checksum: int  # of this line without the seconds, and the rows

    @property
    def key(self) -> tuple[str, str]:
        """Track and version."""
        return self.track_id, self.augmentation


def checksum(outcome: Outcome, rows: bytes | memoryview) -> int:
    """CRC-32 of an outcome, without its seconds, and of its rows.

    It costs a fiftieth of an extraction or less. Opening a store checks all of it, 1,000 tracks in about 0.2 s.
    """
    return zlib.crc32(rows, zlib.crc32(json.dumps(outcome[:4]).encode()))


def read(folder: Path) -> dict[tuple[str, str], Outcome]:
    """Read the journal of a finished or partial store: the finished blocks, by track and version."""
    done = {}
    lines = (folder / NAME).read_bytes().splitlines() if (folder / NAME).exists() else []
    for line in lines:
        try:
            outcome = Outcome(*json.loads(line))
            done[outcome.key] = outcome
        except (ValueError, TypeError):
            continue  # a line that a killed process left unfinished
    return done


def write(done: dict[tuple[str, str], Outcome], folder: Path) -> None:
    """Write the journal anew, in the given order."""
    with disk.replacing(folder / NAME) as beside:
        beside.write_text("".join(json.dumps(outcome) + "\n" for outcome in done.values()))


def lost(
    noted: dict[tuple[str, str], Outcome], blocks: list[Block], folder: Path, shape: tuple[int, int, int]
) -> set[tuple[str, str]]:
    """Find blocks whose rows on the disk differ from those that were written.

    Parameters
    ----------
    noted : dict of (str, str) to Outcome
        The journal.
    blocks : list of Block
        The plan.
    folder : Path
        Of the store. Its ``features.npy`` may be cut off, so it is read instead of mapped.
    shape : (int, int, int)
        Of the features: row, mel, frame.

    Returns
    -------
    set of (str, str)
        By track and version.
    """
    begin, size = len(header(shape)), 2 * math.prod(shape[1:])
    planned = {block.key: block for block in blocks}
    found = set()
    with (folder / ROWS).open("rb", buffering=0) as file:
        for key, outcome in noted.items():
            block = planned.get(key)
            if block and 0 <= outcome.segments <= block.room:
                file.seek(begin + block.row * size)
                if checksum(outcome, file.read(outcome.segments * size)) == outcome.checksum:
                    continue
            found.add(key)
    return found


def header(shape: tuple[int, int, int]) -> bytes:
    """The header of a ``features.npy`` of this shape."""
    begin = io.BytesIO()
    facts = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(begin, facts)
    return begin.getvalue()


def allocate(folder: Path, shape: tuple[int, int, int]) -> None:
    """Create ``features.npy`` in its full size, or keep its rows; DiskError if the disk has too little room."""
    file = folder / ROWS
    begin, size = header(shape), 2 * math.prod(shape)
    taken = 512 * getattr(file.stat(), "st_blocks", 0) if file.exists() else 0  # by an interrupted extraction
    disk.needs(folder, len(begin) + size - taken)
    with file.open("r+b" if file.exists() else "w+b") as whole:
        whole.write(begin)
        whole.truncate(len(begin) + size)


def whole(folder: Path, shape: tuple[int, int, int]) -> bool:
    """Whether ``features.npy`` has the header and the size that :func:`allocate` gave it."""
    begin = header(shape)
    with (folder / ROWS).open("rb") as file:
        return file.read(len(begin)) == begin and file.seek(0, 2) == len(begin) + 2 * math.prod(shape)


def put(rows: np.ndarray, file: Path, row: int) -> None:
    """Write rows into ``features.npy``.

    With a plain write instead of a memory map: on NFS, two machines would each write whole pages of 4 kB, and where a
    page holds the rows of two tracks, one would overwrite the other's. And a full disk makes a write fail, but kills a
    process that uses a map. Of the header, only the length is read: NumPy would parse the rest as Python, which
    CPython 3.11 cannot do in several threads at once (SystemError, gh-106905).

    Parameters
    ----------
    rows : np.ndarray [shape=(n, mel, frame), dtype=float16]
        Of one block, C-contiguous.
    file : Path
        As created by :func:`allocate`.
    row : int
        Number of the first one.

    Raises
    ------
    DiskError
        If the disk refuses them.
    """
    with disk.writing(file), file.open("r+b") as opened:
        begin = len(MAGIC) + 2
        begin += int.from_bytes(opened.read(begin)[-2:], "little")
        opened.seek(begin + row * rows[0].nbytes)
        opened.write(rows.data)
