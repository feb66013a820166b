"""Progress that can be seen everywhere: a bar in a terminal or notebook, one line over another when headless."""

import contextlib
import io
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Self, TypeVar

from tqdm.auto import tqdm

HEADLESS = "GENRE_HEADLESS"  # set by the runner: a bar's control characters would fill the log
SECONDS_BETWEEN_SIGNS = 2.0  # of life, from a notebook to its runner
SECONDS_BETWEEN_LINES = (15, 60)  # of a run that is not in a terminal, at its beginning and from ten minutes on
COUNTED = r"\s*([A-Za-z][\w ]*?):? ([\d.]+)/([\d.]+)( MB)?\s*$"  # training: 3/18; Keras' own lines: Epoch 3/12

Item = TypeVar("Item")


def progress(iterable: Iterable[Item], total: int, description: str) -> Iterator[Item]:
    """Pass the items on and show how many have come.

    Parameters
    ----------
    iterable : iterable
        What is worked through.
    total : int
        How many items there will be.
    description : str
        A word or two before the figure.

    Yields
    ------
    object
        The items, unchanged.
    """
    if not os.environ.get(HEADLESS):
        yield from tqdm(iterable, total=total, desc=description)
        return
    last = time.monotonic()
    for count, item in enumerate(iterable, start=1):
        yield item
        if count == total or time.monotonic() - last >= SECONDS_BETWEEN_SIGNS:
            last = time.monotonic()
            sign(f"{description}: {count}/{total}", last=count == total)


def sign(text: str, last: bool = False) -> None:
    """Show how far some work is, over what was shown before; in an executed notebook only the last one stays.

    Parameters
    ----------
    text : str
        One line.
    last : bool
        Whether the work is done.
    """
    print(f"\r{text}", end="\n" if last else "", flush=True)


class Screen:
    """What a run of notebooks shows of them: a line that moves in a terminal, elsewhere a line now and then.

    Their tables and figures are in the executed copies. What they say on standard error is shown, each line once.
    """

    def __init__(self) -> None:
        self.out = sys.stdout
        self.started = self.last = time.monotonic()
        self.told: set[str] = set()
        form, in_terminal = "{elapsed} {desc}", self.out.isatty()
        self.bar = tqdm(bar_format=form, leave=False, disable=not in_terminal, file=self.out, dynamic_ncols=True)

    def begin(self, name: str) -> None:
        """Show what is worked on from now on: a notebook, say."""
        self.name, self.began = name, time.monotonic()
        self.counts: dict[str, str] = {}  # by what is counted
        self.rest = {"stdout": "", "stderr": ""}  # of a line whose end has not come yet
        self.bar.set_description_str(name)

    def end(self, text: str = "") -> None:
        """Say that it has ended, in a line that stays."""
        self.line(f"{self.name:<24} {time.monotonic() - self.began:5.0f} s  {text}".rstrip())

    def line(self, text: str) -> None:
        """Print a line that stays."""
        self.bar.clear()
        print(text, file=self.out, flush=True)
        self.last = time.monotonic()

    def listen(self, stream: str, text: str) -> None:
        """Take what is printed, or nothing where a second has passed.

        Parameters
        ----------
        stream : str
            stdout or stderr.
        text : str
            Any part of its lines.
        """
        if text:
            *lines, self.rest[stream] = re.split(r"[\r\n]+", self.rest[stream] + text)
            lines = [line.strip() for line in lines if line.strip()]
            for line in lines if stream == "stderr" else []:
                if line not in self.told:
                    self.told.add(line)
                    self.line(f"  {line}")
            for line in (*lines, self.rest["stdout"]) if stream == "stdout" else []:
                if counted := re.match(COUNTED, line):
                    what, count, of = counted.groups()[:3]
                    self.counts |= {what: "" if count == of else line.strip()}
        now = ", ".join(filter(None, self.counts.values())) or "working"
        self.bar.set_description_str(f"{self.name}, {now}")
        least, most = SECONDS_BETWEEN_LINES
        wait = min(max((time.monotonic() - self.started) / 10, least), most)
        if self.bar.disable and time.monotonic() - self.last >= wait:
            self.line(f"  {self.name}, {time.monotonic() - self.began:.0f} s: {now}")

    def __enter__(self) -> Self:
        self.before = os.environ.get(HEADLESS, "")
        os.environ[HEADLESS] = "1"  # the kernels inherit it
        return self

    def __exit__(self, *_: object) -> None:
        os.environ[HEADLESS] = self.before
        self.bar.close()

    @contextlib.contextmanager
    def showing(self, name: str) -> Iterator[None]:
        """Show what this process prints meanwhile as if a notebook did."""
        self.begin(name)
        with contextlib.redirect_stdout(Heard(self, "stdout")), contextlib.redirect_stderr(Heard(self, "stderr")):
            yield


class Heard(io.TextIOBase):
    """A stream into a screen."""

    def __init__(self, screen: Screen, name: str):
        self.screen = screen
        self.stream = name

    def write(self, text: str) -> int:
        """Show a text."""
        self.screen.listen(self.stream, text)
        return len(text)
