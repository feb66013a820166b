"""Unpacking untrusted archives: completely or not at all, and never outside the target folder."""

import contextlib
import gzip
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from genre_utils.errors import DownloadError
from genre_utils.system import disk
from genre_utils.system.progress import progress

CHUNK_BYTES = 2**18  # read and counted in chunks, so that a bomb fills neither memory nor disk
MAX_HEADER_BYTES = 2**20  # tarfile reads the name of an entry at once, and a tar.gz of 4 MB can declare one of 4 GB
MAX_ENTRIES = 30_000  # FMA's medium part has about 25,000; a million empty files would pass any limit in bytes


def unpack(archive: Path, folder: Path, limit_bytes: int) -> None:
    """Unpack a zip, tar or tar.gz into a new folder: all of it, or nothing.

    It writes only regular files with default permissions, and only below ``folder``; macOS' ``._*`` and ``__MACOSX``
    are left out. It unpacks into a hidden folder beside ``folder`` and renames that at the end.

    Parameters
    ----------
    archive : Path
        Not changed.
    folder : Path
        Must be empty or not exist.
    limit_bytes : int
        The largest total size of the files.

    Raises
    ------
    DownloadError
        If the archive is corrupt, too large, or holds a link, a device or a path that could leave the
        folder; the message names the archive and the entry. Nothing is left on disk.
    DiskError
        If a zip is larger than the room on the disk.
    """
    growing = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(growing, ignore_errors=True)  # left by a killed run
    try:
        growing.mkdir(parents=True)
        with archive.open("rb") as file:
            is_zip = file.read(2) == b"PK"
        if is_zip:
            with zipfile.ZipFile(archive) as opened:
                disk.needs(growing, min(limit_bytes, sum(info.file_size for info in opened.infolist())))
        with contextlib.closing(zip_entries(archive) if is_zip else tar_entries(archive)) as entries:
            write(entries, growing, limit_bytes)
        growing.rename(folder)
    except CORRUPT as error:
        raise DownloadError(
            f"Could not unpack {archive} ({type(error).__name__}: {error}); nothing was kept. "
            "Remove it and run again, or use another copy."
        ) from error
    finally:
        shutil.rmtree(growing, ignore_errors=True)


class Refused(Exception):
    """An archive's entry breaks a rule."""


# Refused, and what zipfile, tarfile and gzip raise for corrupt archives
CORRUPT = (
    *(Refused, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, ValueError, RuntimeError, LookupError, ArithmeticError, struct.error),
)


class Entry(NamedTuple):
    """One entry of a zip or tar archive."""

    name: str
    kind: str  # "file", "folder" or "link or device"
    size_bytes: int  # as declared
    open: Callable[[], Any]


def zip_entries(archive: Path) -> Generator[Entry, None, None]:
    """The entries of a zip in order; reading one to its end checks its CRC."""
    with zipfile.ZipFile(archive) as opened:
        every = opened.infolist()
        for info in progress(every, len(every), "unpacking"):
            mode = stat.S_IFMT(info.external_attr >> 16)  # 0 if it was not made on Unix
            kind = "file" if mode in (0, stat.S_IFREG) else "link or device"
            kind = "folder" if info.is_dir() else kind
            yield Entry(info.filename, kind, info.file_size, partial(opened.open, info))


def tar_entries(archive: Path) -> Generator[Entry, None, None]:
    """The entries of a tar or tar.gz in order; a missing end and a wrong CRC of the gzip are errors."""
    with archive.open("rb") as raw, gzip.GzipFile(fileobj=raw) as unzipped:
        is_gzip = raw.peek(2)[:2] == b"\x1f\x8b"
        file: Any = InPieces(unzipped if is_gzip else raw)
        with tarfile.open(fileobj=file, mode="r:") as opened:
            for info in opened:
                kind = "file" if info.isfile() else "folder" if info.isdir() else "link or device"
                yield Entry(info.name, kind, info.size, partial(open_member, opened, info))
            file.seek(opened.offset)  # tarfile takes any broken header as the end
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("the archive is cut off")
            if len(file.read(2**20)) == 2**20:  # up to the gzip's end, where its CRC is checked; tar pads with 10 kB
                raise tarfile.ReadError("the archive has data after its end")


class InPieces:
    """A file-like object for tarfile that refuses to read more than ``MAX_HEADER_BYTES`` at once.

    Parameters
    ----------
    file : binary file
        Read from its beginning.
    """

    def __init__(self, file: Any):
        self.file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes."""
        if size > MAX_HEADER_BYTES:
            raise Refused(f"an entry's header declares {size} bytes")
        return self.file.read(size)


def open_member(opened: tarfile.TarFile, info: tarfile.TarInfo) -> Any:
    """Open a file of a tar, after Python's own safety rules: a second check beside those of ``write``."""
    tarfile.data_filter(info, "/nowhere")
    return opened.extractfile(info)


def write(entries: Iterable[Entry], folder: Path, limit_bytes: int) -> None:
    """Write the files of an archive below a folder.

    Parameters
    ----------
    entries : iterable of Entry
        In their order in the archive.
    folder : Path
        Empty, and written to by nobody else. Links are refused, so all files stay below it.
    limit_bytes : int
        The largest total size, both as declared and as read.

    Raises
    ------
    Refused
        At the first entry that breaks a rule.
    """
    left = limit_bytes
    for count, entry in enumerate(entries, start=1):
        name = PurePosixPath(entry.name)
        rules = {
            f"is a {entry.kind}; expected a file or a folder": entry.kind in ("file", "folder"),
            "has an absolute path": not name.is_absolute(),
            "has '..' in its path": ".." not in name.parts,
            "has a backslash or a colon in its path": not {"\\", ":"} & set(entry.name),
            "has an unprintable character in its path": entry.name.isprintable(),
            f"brings the total above {limit_bytes} bytes": 0 <= entry.size_bytes <= left,
            f"is one of more than {MAX_ENTRIES}": count <= MAX_ENTRIES,
        }
        for why, holds in rules.items():
            if not holds:
                raise Refused(f"entry {entry.name!r} {why}")
        macos = any(part.startswith("._") or part == "__MACOSX" for part in name.parts)
        if entry.kind == "folder" or macos:
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with entry.open() as source, target.open("xb") as file:
            while chunk := source.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise Refused(f"entry {entry.name!r} holds more than it declares")
                file.write(chunk)
