"""Files on a disk that may be full, read-only or damaged: written whole or not at all, known by their checksums."""

import contextlib
import errno
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from genre_utils.errors import DiskError

CHECKSUMS = "checksums.json"
ROOM = "Make room, or move data and runs to a larger disk: each may be a link to a folder there"
RIGHT = "Get the right to write there, or use a copy of the project elsewhere: data and runs may be links to folders"
WAYS_OUT = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EFBIG: "The file system takes no file so large: move data and runs to another one",
    errno.EROFS: RIGHT,
    errno.EACCES: RIGHT,
    errno.EPERM: RIGHT,
    errno.EIO: "The disk itself fails: move data and runs to another one",
}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the refusal of a disk into an error that says the way out; also a decorator.

    Parameters
    ----------
    path : Path
        What is written. The file that the system names is said too, if it is another.

    Yields
    ------
    None

    Raises
    ------
    DiskError
        If the disk is full, a quota used up, the folder read-only or the disk broken. Other errors pass.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in WAYS_OUT:
            raise
        where = f" ({error.filename})" if error.filename not in (None, str(path)) else ""
        raise DiskError(
            f"{path} cannot be written: {os.strerror(error.errno)}{where}. {WAYS_OUT[error.errno]}. "
            "What is finished is kept: run it again."
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside another one, renamed over it when the block ends well: a kill leaves the old file or the new one.

    Parameters
    ----------
    path : Path
        The file that readers see.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    DiskError
        As :func:`writing`; the old file is still there.
    """
    beside = path.with_name(f"partial-{path.name}")  # the suffix stays: writers go by it
    with writing(path):
        try:
            yield beside
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)  # of a failed writing, for the room that it takes


def needs(folder: Path, size: int) -> None:
    """Refuse at once what cannot end well.

    Parameters
    ----------
    folder : Path
        Where it will be written.
    size : int
        Bytes.

    Raises
    ------
    DiskError
        If there is less room. A disk that others fill meanwhile is found by the writing itself.
    """
    found = shutil.disk_usage(folder)
    if found.total and found.free < size:  # some network file systems say 0 of 0
        raise DiskError(f"{folder} needs {size:,} bytes of disk and has {found.free:,}. {ROOM}.")


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Be the only process at some work; wait for another one, and say so.

    The system lets go of a lock with the process that holds it, however that ends: none is ever stale. Where a file
    system has no locks, filelock warns, and lets the file's existence stand for one, with the owner's process in it.

    Parameters
    ----------
    path : Path
        Of the lock's file, which stays; its folder is made.

    Yields
    ------
    None

    Raises
    ------
    DiskError
        If it cannot be written.
    """
    held = FileLock(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire(timeout=1)
        except Timeout:
            print(f"waiting for another process, which holds {path}", flush=True)
            held.acquire()
    try:
        yield
    finally:
        held.release()


def seal(folder: Path, names: list[str]) -> None:
    """Write the checksums of finished files beside them.

    Parameters
    ----------
    folder : Path
        Where they lie; gets ``checksums.json``.
    names : list of str
        Of the files.
    """
    (folder / CHECKSUMS).write_text(json.dumps({name: checksum(folder / name) for name in names}))


def broken(folder: Path) -> list[str]:
    """The files that are not as they were sealed.

    Parameters
    ----------
    folder : Path
        As :func:`seal` left it, or what has become of it.

    Returns
    -------
    list of str
        Their names; ``checksums.json`` itself if it is not there or cannot be read.
    """
    try:
        known = dict(json.loads((folder / CHECKSUMS).read_text()))
        return [name for name, value in known.items() if checksum(folder / name) != value] if known else [CHECKSUMS]
    except (OSError, ValueError, TypeError):
        return [CHECKSUMS]


def checksum(path: Path) -> int | None:
    """CRC-32 of a file, None if it is not there.

    Against accidents, which it finds at 1 to 2 GB/s; whoever changes a file on purpose can change its checksum too.
    """
    value = 0
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                value = zlib.crc32(block, value)
    except FileNotFoundError:
        return None
    return value
