"""What an extraction has done: rows in one file, and for each block of them a line that says so."""

import io
import json
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genre_utils.audio import augmentation
from genre_utils.system import disk

NAME = "done.jsonl"  # stays in the finished store, whose rows are checked by it
ROWS = "features.npy"


class Block(NamedTuple):
    """Rows of one version of one track, known before anything is decoded."""

    track_id: str
    path: str
    version: augmentation.Version
    row: int  # where they begin
    room: int  # how many there are by the file's header

    @property
    def key(self) -> tuple[str, str]:
        """Track and version."""
        return self.track_id, str(self.version)


class Outcome(NamedTuple):
    """What came of a block: a line of the journal."""

    track_id: str
    augmentation: str
    segments: int
    fault: str
    seconds: float  # of the worker
    checksum: int  # of this line without the seconds, and of the rows

    @property
    def key(self) -> tuple[str, str]:
        """Track and version."""
        return self.track_id, self.augmentation


def checksum(outcome: Outcome, rows: bytes | memoryview) -> int:
    """CRC-32 of what an outcome says, its seconds left out, and of its rows.

    A fiftieth of an extraction or less. At each opening the whole store is read, the rows of 1,000 tracks in some
    0.2 s (``benchmarks/faults.py`` prints both): hardly more than asking for the dates of their files, and an epoch
    reads them anyhow.
    """
    return zlib.crc32(rows, zlib.crc32(json.dumps(outcome[:4]).encode()))


def read(folder: Path) -> dict[tuple[str, str], Outcome]:
    """What an extraction says that it finished, by track and version.

    Parameters
    ----------
    folder : Path
        Of a store, finished or not.

    Returns
    -------
    dict of (str, str) to Outcome
    """
    done = {}
    lines = (folder / NAME).read_bytes().splitlines() if (folder / NAME).exists() else []
    for line in lines:
        try:
            outcome = Outcome(*json.loads(line))
            done[outcome.key] = outcome
        except (ValueError, TypeError):
            continue  # a line that was being written when the process was killed
    return done


def write(done: dict[tuple[str, str], Outcome], folder: Path) -> None:
    """Replace the journal, in the given order."""
    with disk.replacing(folder / NAME) as beside:
        beside.write_text("".join(json.dumps(outcome) + "\n" for outcome in done.values()))


def lost(
    noted: dict[tuple[str, str], Outcome], blocks: list[Block], folder: Path, shape: tuple[int, int, int]
) -> set[tuple[str, str]]:
    """The blocks whose rows on the disk are not those that were written.

    Parameters
    ----------
    noted : dict of (str, str) to Outcome
        The journal.
    blocks : list of Block
        The plan.
    folder : Path
        Of the store. Its ``features.npy`` may be cut short, so that it is read and not mapped.
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
    """How a ``features.npy`` of that shape begins."""
    begin = io.BytesIO()
    facts = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(begin, facts)
    return begin.getvalue()


def allocate(folder: Path, shape: tuple[int, int, int]) -> None:
    """Give ``features.npy`` its beginning and its size; rows that are there stay.

    Parameters
    ----------
    folder : Path
        Of the store.
    shape : (int, int, int)
        Of the features: row, mel, frame.

    Raises
    ------
    DiskError
        If they do not fit on the disk: before the work, not after hours of it.
    """
    file = folder / ROWS
    begin, size = header(shape), 2 * math.prod(shape)
    taken = 512 * getattr(file.stat(), "st_blocks", 0) if file.exists() else 0  # of an interrupted extraction
    disk.needs(folder, len(begin) + size - taken)
    with file.open("r+b" if file.exists() else "w+b") as whole:
        whole.write(begin)
        whole.truncate(len(begin) + size)


def whole(folder: Path, shape: tuple[int, int, int]) -> bool:
    """Whether ``features.npy`` has the beginning and the size that :func:`allocate` gave it."""
    begin = header(shape)
    with (folder / ROWS).open("rb") as file:
        return file.read(len(begin)) == begin and file.seek(0, 2) == len(begin) + 2 * math.prod(shape)


def put(rows: np.ndarray, file: Path, row: int) -> None:
    """Write rows into ``features.npy`` from one on.

    By a plain write and not through the map: two machines on NFS would each send whole pages of 4 kB, and with a
    page that holds the end of one track and the beginning of the next, the second would undo the first. And on a full
    disk a write is refused where a map would end the process.

    Parameters
    ----------
    rows : np.ndarray [shape=(n, mel, frame), dtype=float16]
        Of one block, C-contiguous.
    file : Path
        As :func:`allocate` left it.
    row : int
        Where they begin.

    Raises
    ------
    DiskError
        If the disk does not take them.
    """
    with disk.writing(file), file.open("r+b") as opened:
        np.lib.format.read_magic(opened)
        np.lib.format.read_array_header_1_0(opened)
        opened.seek(opened.tell() + row * rows[0].nbytes)
        opened.write(rows.data)
