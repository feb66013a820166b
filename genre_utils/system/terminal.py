"""Safe text for a terminal: control characters in the names of files are written out, not obeyed."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, TextIO

# C0 and C1 move the cursor, set the title or make the terminal type; the others turn the direction of writing.
ACTING = [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
AS_TEXT = {code: ascii(chr(code))[1:-1] for code in ACTING if chr(code) not in "\n\t"}


def shown(text: str) -> str:
    r"""Write out the control characters of a text, as ``\x1b``, and what UTF-8 cannot encode.

    Parameters
    ----------
    text : str
        Lines; a carriage return at the very start stays: a progress bar overwrites itself with it.

    Returns
    -------
    str
    """
    start = len(text) - len(text.removeprefix("\r"))
    return text[:start] + text[start:].translate(AS_TEXT).encode("utf-8", "backslashreplace").decode()


class Terminal:
    """A stream that writes text with :func:`shown`, and is otherwise the stream that it wraps.

    Parameters
    ----------
    stream : TextIO
        The wrapped stream.
    """

    def __init__(self, stream: TextIO):
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Show a text."""
        return self.stream.write(shown(text))


@contextlib.contextmanager
def plain_output() -> Iterator[None]:
    """Print everything, warnings and errors too, without control characters; also a decorator."""
    with contextlib.redirect_stdout(Terminal(sys.stdout)), contextlib.redirect_stderr(Terminal(sys.stderr)):
        yield
