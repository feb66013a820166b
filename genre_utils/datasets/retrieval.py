"""One file over HTTP: verified by its checksum, and continued where a broken transfer ended."""

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import pooch

from genre_utils.system import disk
from genre_utils.system.progress import HEADLESS, SECONDS_BETWEEN_SIGNS, sign

RETRIES = 2  # pooch waits 1 s, then 2 s: enough for a short failure, not long for a dead server
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 2**18  # pooch's default of 1 kB would write GTZAN in a million pieces
PAUSE_SECONDS = 1.0  # before a broken transfer is continued


def retrieve(name: str, url: str, known_hash: str, folder: Path, part: Path | None = None) -> Path:
    """Download a file with pooch: to a temporary file, which is moved if its checksum is correct.

    Parameters
    ----------
    name : str
        Of the file in ``folder``.
    url : str
        http or https.
    known_hash : str
        ``algorithm:digest``.
    folder : Path
        Created if it does not exist.
    part : Path, optional
        Keeps the beginning of the file when a transfer breaks off, if the server can continue it. The next call
        continues it, also in another process; no two may do so at once.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OSError, ValueError
        If it cannot be downloaded, or has another checksum.
    DiskError
        If the disk has no room for the file and its unpacked content.

    References
    ----------
    RFC 9110, 14: range requests. ``pooch.HTTPDownloader``.
    """
    source = pooch.create(
        path=folder, base_url="", registry={name: known_hash}, urls={name: url}, retry_if_failed=RETRIES
    )
    return Path(source.fetch(name, downloader=Continued(part) if part else download))


def download(url: str, output_file: Any, source: Any, **options: Any) -> None:
    """One attempt over HTTP, with a progress bar, or with lines when headless."""
    bar: Any = Lines() if os.environ.get(HEADLESS) else True
    http = pooch.HTTPDownloader(progressbar=bar, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_SECONDS, **options)
    http(url, output_file, source)


class Continued:
    """A downloader for pooch that asks only for the missing rest of a file, as long as each attempt brings some of it.

    Parameters
    ----------
    part : Path
        The beginning of the file. It is deleted if the server cannot continue it. The checksum of the whole file
        finds a beginning that belongs to another version.
    """

    def __init__(self, part: Path):
        self.part = part

    def __call__(self, url: str, output_file: str, source: Any) -> None:
        self.part.parent.mkdir(parents=True, exist_ok=True)
        while not self.is_complete_after(url, source):
            pooch.get_logger().info("The transfer broke off; continuing '%s'.", self.part)
            time.sleep(PAUSE_SECONDS)
        self.part.replace(output_file)

    def is_complete_after(self, url: str, source: Any) -> bool:
        """One attempt; False if it broke off and the next one can continue."""
        import requests

        self.stays, before = True, size_of(self.part)
        begin = max(0, before - 1)  # the last byte again: an empty range is an error
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begin}-"} if begin else {})
        try:
            with self.part.open("ab") as self.file:
                download(url, self.file, source, headers=headers, hooks={"response": partial(self.check, begin)})
            return True
        except requests.RequestException:
            if self.stays and size_of(self.part) > before:
                return False
            if not self.stays or not before:
                self.part.unlink()
            raise

    def check(self, begin: int, response: Any, **_: Any) -> None:
        """Decide by the head of an answer: continue at ``begin``, or start again."""
        import requests

        if response.status_code == 200:  # the whole file
            self.file.truncate(0)
            self.stays = response.headers.get("Accept-Ranges") == "bytes"
        elif response.status_code == 206:
            self.stays = response.headers.get("Content-Range", "").startswith(f"bytes {begin}-")
            if not self.stays:
                raise requests.RequestException(f"asked for bytes from {begin}, received another range")
            self.file.truncate(begin)
        else:
            self.stays = response.status_code != 416  # which says that the file is shorter
            return
        rest = int(response.headers.get("Content-Length", 0))
        disk.needs(self.part.parent, rest + begin + rest)  # an archive of music is about as large when it is unpacked


def size_of(path: Path) -> int:
    """Bytes of a file; 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


class Lines:
    """A progress bar for pooch that prints a line now and then, for logs."""

    total = 0  # set by pooch, bytes
    count = 0
    last_seconds = 0.0

    def update(self, count: int) -> None:
        """Add bytes, and print the sum if the last line is old or this is the end."""
        self.count += count
        if self.count == self.total or time.monotonic() - self.last_seconds >= SECONDS_BETWEEN_SIGNS:
            sign(f"download: {self.count / 1e6:.1f}/{self.total / 1e6:.1f} MB", last=self.count == self.total)
            self.last_seconds = time.monotonic()

    def reset(self) -> None:
        """Start again at 0, as pooch does before it adds the total."""
        self.count = 0

    def close(self) -> None:
        """Required by pooch."""
