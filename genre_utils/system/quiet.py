"""Silence for what C and C++ libraries write to standard error themselves."""

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

CHATTER = (b"Note: ", b"Warning: ", b"[src/libmpg123/")  # how the lines of libmpg123 begin


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discard what is written to file descriptor 2; exceptions still come through.

    TensorFlow logs its first lines in C++ before any setting can stop it, and Jupyter shows them in red.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class WithoutChatter:
    """A context in which the lines that libmpg123 writes to file descriptor 2 are left out, and nothing else.

    libsndfile gives no way to silence it (github.com/libsndfile/libsndfile/issues/958), and its lines name no file.
    What they say is known without them: a file that cannot be read gets a ``fault``, and one that is cut off gives less
    sound than its header promises (``fingerprinting.findings``). A descriptor belongs to the whole process, so what
    other threads write meanwhile goes to the same temporary file, and is passed on whenever a thread leaves.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.threads = 0
        self.kept: int | None = None  # a copy of the real descriptor 2
        self.caught: BinaryIO | None = None
        self.read = 0

    def __enter__(self) -> None:
        with self.lock:
            self.threads += 1
            if self.threads == 1 and hasattr(os, "pread"):  # not on Windows
                with contextlib.suppress(OSError):  # no descriptor 2, or no room for the file: show everything
                    self.caught = tempfile.TemporaryFile()
                    self.kept, self.read = os.dup(2), 0
                    os.dup2(self.caught.fileno(), 2)

    def __exit__(self, *_: Any) -> None:
        with self.lock:
            self.threads -= 1
            if self.kept is None or self.caught is None:
                return
            if not self.threads:
                os.dup2(self.kept, 2)
            self.pass_on(self.kept, self.caught)
            if not self.threads:
                os.close(self.kept)
                self.caught.close()
                self.kept = self.caught = None

    def pass_on(self, kept: int, caught: BinaryIO) -> None:
        """Pass on what is new, without the lines of libmpg123; an unfinished one waits."""
        text = os.pread(caught.fileno(), os.fstat(caught.fileno()).st_size - self.read, self.read)
        lines = text.splitlines(keepends=True)
        if self.threads and lines and lines[-1].startswith(CHATTER) and not lines[-1].endswith(b"\n"):
            text = text[: -len(lines.pop())]
        self.read += len(text)
        others = b"".join(line for line in lines if not line.startswith(CHATTER))
        with contextlib.suppress(OSError):  # nobody reads it any more
            os.write(kept, others)


WITHOUT_CHATTER = WithoutChatter()
