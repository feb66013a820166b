"""Audio from a pipe: ``-`` in place of a file is standard input."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from genre_utils.errors import ParamsError, RunError

SIGN = "-"
SHOWN = "standard input"  # in place of a path, in everything that is written
EXAMPLE = "ffmpeg -i song.mkv -f wav - | python -m genre_utils predict -"


@contextlib.contextmanager
def spooled() -> Iterator[Path]:
    """Save standard input to a temporary file, because a decoder must seek in it.

    Yields
    ------
    Path
        The file; it is removed at the end.

    Raises
    ------
    ParamsError
        If standard input is a terminal or closed.
    RunError
        If nothing comes, or the disk is full.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise ParamsError(f"{SIGN} reads audio from a pipe, but nothing is piped in. For example: {EXAMPLE}")
    with tempfile.TemporaryDirectory(prefix="genre_utils-") as folder:
        path = Path(folder) / "audio"
        try:
            with path.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        except OSError as error:
            raise RunError(
                f"Standard input cannot be saved in {tempfile.gettempdir()} ({error.strerror}). Make room there, or "
                "name another folder in the environment variable TMPDIR."
            ) from error
        if not path.stat().st_size:
            raise RunError(
                "Standard input is empty: the program before the | wrote nothing. Read its messages, or run it alone."
            )
        yield path
