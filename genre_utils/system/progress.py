"""Progress of long work: a bar in a terminal or notebook, an overwritten line when headless."""

import contextlib
import io
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Self, TypeVar

HEADLESS = "GENRE_HEADLESS"  # set by the runner, where a bar's control characters would fill the log
SECONDS_BETWEEN_SIGNS = 2.0  # signs of life that a notebook prints for its runner
SOONEST_SECONDS = 5.0  # of work, from which the time left can be told
SECONDS_BETWEEN_LINES = (15, 60)  # outside a terminal: at the start of a run, and after ten minutes
# log-mel: 40/240, 00:12 left; also Keras' own Epoch 3/12
COUNTED = r"\s*([A-Za-z][\w -]*?):? ([\d.]+)/([\d.]+)( MB)?(, [\d:]+ left)?\s*$"

Item = TypeVar("Item")

# tqdm is imported where it is used: `predict` of one file shows no progress, and would wait for it.


def progress(iterable: Iterable[Item], total: int, description: str) -> Iterator[Item]:
    """Yield the items of an iterable, and show how many of them are done.

    Parameters
    ----------
    iterable : iterable
        The items.
    total : int
        How many items there will be.
    description : str
        A word or two before the count.

    Yields
    ------
    object
        The items, unchanged.
    """
    if not os.environ.get(HEADLESS):
        from tqdm.auto import tqdm

        yield from tqdm(iterable, total=total, desc=description)
        return
    started = last = time.monotonic()
    for count, item in enumerate(iterable, start=1):
        yield item
        now = time.monotonic()
        if count == total or now - last >= SECONDS_BETWEEN_SIGNS:
            last = now
            sign(f"{description}: {count}/{total}{time_left(now - started, count, total)}", last=count == total)


def progress_lines(iterable: Iterable[Item], total: int, description: str) -> Iterator[Item]:
    """Yield the items of an iterable; now and then, print on standard error how many are done and the time left.

    For standard error that is no terminal, such as a log file.

    Parameters
    ----------
    iterable : iterable
        The items.
    total : int
        How many items there will be.
    description : str
        A word or two before the count.

    Yields
    ------
    object
        The items, unchanged.
    """
    started = last = time.monotonic()
    for count, item in enumerate(iterable, start=1):
        yield item
        now = time.monotonic()
        if count < total and now - last >= seconds_between_lines(now - started):
            last = now
            left = time_left(now - started, count, total)
            print(f"{description}: {count:,} of {total:,}{left}", file=sys.stderr, flush=True)


def time_left(seconds: float, count: int, total: int) -> str:
    """How long the rest takes at the pace so far, as ``, 01:30 left``; "" at the beginning and at the end."""
    if count == total or seconds < SOONEST_SECONDS:
        return ""
    from tqdm.auto import tqdm

    return f", {tqdm.format_interval(seconds / count * (total - count))} left"


def above_bar() -> contextlib.AbstractContextManager[None]:
    """A context for printing on standard output above a progress bar, if there is one."""
    shown = sys.modules.get("tqdm.auto")
    return shown.tqdm.external_write_mode(file=sys.stdout) if shown else contextlib.nullcontext()


def seconds_between_lines(elapsed: float) -> float:
    """The pause between two lines so many seconds after the start: first short, then longer."""
    least, most = SECONDS_BETWEEN_LINES
    return min(max(elapsed / 10, least), most)


def sign(text: str, last: bool = False) -> None:
    """Print how far the work is, over the previous line; an executed notebook keeps only the last one."""
    print(f"\r{text}", end="\n" if last else "", flush=True)


class Screen:
    """The output of a run of notebooks: a moving line in a terminal, elsewhere a new line now and then.

    Tables and figures are in the executed copies. Lines on standard error are shown, each once.
    """

    def __init__(self) -> None:
        from tqdm.auto import tqdm

        self.out = sys.stdout
        self.started = self.last = time.monotonic()
        self.shown: set[str] = set()
        form, in_terminal = "{elapsed} {desc}", self.out.isatty()
        self.bar = tqdm(bar_format=form, leave=False, disable=not in_terminal, file=self.out, dynamic_ncols=True)

    def begin(self, name: str) -> None:
        """Show what runs from now on, such as a notebook."""
        self.name, self.began = name, time.monotonic()
        self.counts: dict[str, str] = {}  # the last line of each kind of count
        self.rest = {"stdout": "", "stderr": ""}  # the start of a line whose end has not come yet
        self.bar.set_description_str(name)

    def end(self, text: str = "") -> None:
        """Print that it has ended, in a line that stays."""
        self.line(f"{self.name:<24} {time.monotonic() - self.began:5.0f} s  {text}".rstrip())

    def line(self, text: str) -> None:
        """Print a line that stays."""
        self.bar.clear()
        print(text, file=self.out, flush=True)
        self.last = time.monotonic()

    def listen(self, stream: str, text: str) -> None:
        """Handle any part of the lines on stdout or stderr; call it with an empty text every second."""
        if text:
            *lines, self.rest[stream] = re.split(r"[\r\n]+", self.rest[stream] + text)
            lines = [line.strip() for line in lines if line.strip()]
            for line in lines if stream == "stderr" else []:
                if line not in self.shown:
                    self.shown.add(line)
                    self.line(f"  {line}")
            for line in (*lines, self.rest["stdout"]) if stream == "stdout" else []:
                if counted := re.match(COUNTED, line):
                    what, count, of = counted.groups()[:3]
                    self.counts |= {what: "" if count == of else line.strip()}
        now = ", ".join(filter(None, self.counts.values())) or "working"
        self.bar.set_description_str(f"{self.name}, {now}")
        wait = seconds_between_lines(time.monotonic() - self.started)
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
        """Show what this process prints meanwhile, as for a notebook."""
        self.begin(name)
        with (
            contextlib.redirect_stdout(Redirected(self, "stdout")),
            contextlib.redirect_stderr(Redirected(self, "stderr")),
        ):
            yield


class Redirected(io.TextIOBase):
    """A stream whose text goes to a screen."""

    def __init__(self, screen: Screen, name: str):
        self.screen = screen
        self.stream = name

    def write(self, text: str) -> int:
        """Show a text."""
        self.screen.listen(self.stream, text)
        return len(text)
