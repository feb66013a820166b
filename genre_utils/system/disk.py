"""Safe files on a disk that may be full, read-only or damaged: atomic writing, locks, checksums."""

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
RIGHT = "Get permission to write there, or use a copy of the project elsewhere: data and runs may be links to folders"
WAYS_OUT = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EFBIG: "The file system does not allow files of this size: move data and runs to another one",
    errno.EROFS: RIGHT,
    errno.EACCES: RIGHT,
    errno.EPERM: RIGHT,
    errno.EIO: "The disk is failing: move data and runs to another one",
}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the errors of a disk into a :class:`DiskError` that says what to do; also a decorator.

    Parameters
    ----------
    path : Path
        What is written. If the system names another file, the message has both.

    Yields
    ------
    None

    Raises
    ------
    DiskError
        If the disk is full, a quota used up, the folder read-only or the disk broken. Other errors pass unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in WAYS_OUT:
            raise
        where = f" ({error.filename})" if error.filename not in (None, str(path)) else ""
        raise DiskError(
            f"{path} cannot be written: {os.strerror(error.errno)}{where}. {WAYS_OUT[error.errno]}. "
            "Finished work is kept: run it again."
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file atomically: write beside it, and rename at the end. A kill leaves the old file or the new one.

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
    beside = path.with_name(f"partial-{path.name}")  # with the same suffix, which some writers need
    with writing(path):
        try:
            yield beside
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)  # after an error: it would take up space


def needs(folder: Path, size: int) -> None:
    """Raise a DiskError at once if the disk of a folder has less room than so many bytes."""
    found = shutil.disk_usage(folder)
    if found.total and found.free < size:  # some network file systems report 0 of 0
        raise DiskError(f"{folder} needs {size:,} bytes of disk and has {found.free:,}. {ROOM}.")


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Let only one process at a time do some work; if another one does it, print that and wait.

    The system releases a lock when the process that holds it ends, in whatever way, so that no lock is ever stale.
    Where a file system has no locks, filelock warns and uses the existence of the file, with the process in it.

    Parameters
    ----------
    path : Path
        Of the lock file, which is not deleted; its folder is created.

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
            print(f"waiting for another process, which holds the lock {path}", flush=True)
            held.acquire()
    try:
        yield
    finally:
        held.release()


def seal(folder: Path, names: list[str]) -> None:
    """Save the checksums of finished files beside them, in ``checksums.json``."""
    (folder / CHECKSUMS).write_text(json.dumps({name: checksum(folder / name) for name in names}))


def broken(folder: Path) -> list[str]:
    """The files that differ from their saved checksums; ``checksums.json`` itself if it is missing or unreadable."""
    try:
        known = dict(json.loads((folder / CHECKSUMS).read_text()))
        return [name for name, value in known.items() if checksum(folder / name) != value] if known else [CHECKSUMS]
    except (OSError, ValueError, TypeError):
        return [CHECKSUMS]


def checksum(path: Path) -> int | None:
    """CRC-32 of a file, or None if it is missing.

    It finds accidental damage, at 1 to 2 GB/s, and not tampering: who changes a file can change its checksum too.
    """
    value = 0
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                value = zlib.crc32(block, value)
    except FileNotFoundError:
        return None
    return value
