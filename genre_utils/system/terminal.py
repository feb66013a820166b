"""Text for a terminal: names of files are anybody's, and a terminal obeys what is between their letters."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, TextIO

# C0 and C1, which move the cursor, set the title or make the terminal type, and what turns the direction of writing.
ACTING = [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
AS_TEXT = {code: ascii(chr(code))[1:-1] for code in ACTING if chr(code) not in "\n\t"}


def shown(text: str) -> str:
    r"""A text with its control characters written out, as ``\x1b``, and so that UTF-8 can hold it.

    Parameters
    ----------
    text : str
        Lines; a carriage return at the very start stays, by which a bar of progress draws over itself.

    Returns
    -------
    str
    """
    start = len(text) - len(text.removeprefix("\r"))
    return text[:start] + text[start:].translate(AS_TEXT).encode("utf-8", "backslashreplace").decode()


class Terminal:
    """A stream that shows what it is given; in all else the stream itself.

    Parameters
    ----------
    stream : TextIO
        Where it is shown.
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
    """What is printed meanwhile, warnings and errors too, does nothing to the terminal; also a decorator."""
    with contextlib.redirect_stdout(Terminal(sys.stdout)), contextlib.redirect_stderr(Terminal(sys.stderr)):
        yield
