"""What can go wrong, by name: every message says what is wrong, where, and what to do."""

import contextlib
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

NAMED = 10  # files of one reason, and reasons, in a list that may have thousands
RECORD: list[Path] = []  # of the warnings that a run has shown, where each is to be shown once


class GenreUtilsWarning(UserWarning):
    """Something was left out or done otherwise than asked, and the work goes on; shown without a line of code."""


class GenreUtilsError(Exception):
    """Base of every error that this package raises on purpose."""


class ParamsError(GenreUtilsError):
    """A parameter or a profile breaks a rule."""


class CatalogError(GenreUtilsError):
    """A data set cannot be found, read or used as it is."""


class DownloadError(CatalogError):
    """A data set could not be fetched, checked or unpacked."""


class SplitError(GenreUtilsError):
    """The tracks cannot be divided as asked."""


class EvaluationError(GenreUtilsError):
    """Predictions cannot give the figure that was asked for."""


class RunError(GenreUtilsError):
    """A run folder lacks something, or a notebook failed."""


class ClusterError(GenreUtilsError):
    """A cluster cannot be reached, a member of it lacks something, or one is gone."""


class DiskError(GenreUtilsError):
    """A disk is full, read-only or broken."""


class WorkerError(GenreUtilsError):
    """The memory does not suffice, or a worker process is gone."""


class MissingExtraError(GenreUtilsError, ImportError):
    """A library is not installed that only a part of this package needs."""


class AudioError(GenreUtilsError):
    """An audio file cannot give what was asked of it.

    Parameters
    ----------
    path : str or Path
        The file.
    reason : str
        The rule, what was received, and the way out.
    """

    def __init__(self, path: str | Path, reason: str):
        super().__init__(path, reason)  # both, so that the error survives a worker's pickle
        self.path = Path(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def warn(text: str, stacklevel: int = 2) -> None:
    """Warn of something that a user should know; ``stacklevel`` as ``warnings.warn`` takes it."""
    warnings.warn(text, GenreUtilsWarning, stacklevel=stacklevel + 1)


def listed(names: Iterable[str]) -> str:
    """The first ``NAMED`` of some names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - NAMED:,} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more


def by_reason(names: Iterable[str], reasons: Iterable[str], whole: str | Path = "") -> list[str]:
    """What is wrong with many files, in a few lines: one a reason, the most frequent first.

    Parameters
    ----------
    names : iterable of str
        Of the files.
    reasons : iterable of str
        Of each file. Those that differ in their numbers alone are one.
    whole : str or Path
        Where the whole list is, to be said where not every file is named.

    Returns
    -------
    list of str
        ``a.mp3, b.mp3 and 3 more: holds 1.20 to 4.90 s; one segment needs 5.00 s.``; up to ``NAMED`` names and
        ``NAMED`` reasons. Up to ``NAMED`` files are all named.

    References
    ----------
    Notebook: 01_eda.
    """
    kinds = defaultdict(list)
    for name, reason in zip(names, reasons, strict=True):
        pieces = re.split(r"(\d+(?:\.\d+)?)", reason)  # text, number, text, number, … text
        kinds[tuple(pieces[::2])].append((name, pieces))
    lines, left, most = [], 0, sorted(kinds.values(), key=len, reverse=True)
    for kind in most[:NAMED]:
        columns = [list(set(column)) for column in zip(*(pieces for _, pieces in kind), strict=True)]
        reason = "".join(c[0] if len(c) == 1 else f"{min(c, key=float)} to {max(c, key=float)}" for c in columns)
        lines.append(f"{listed(name for name, _ in kind)}: {reason}")
        left += max(0, len(kind) - NAMED)
    if others := sum(map(len, most[NAMED:])):
        lines.append(f"{others:,} more, for {len(most) - NAMED:,} other reasons")
    if whole and left + others:
        lines.append(f"All of them: {whole}")
    return lines


def is_new(text: str) -> bool:
    """Whether the run has not shown this warning yet; from then on it has. Where nothing is recorded all are new."""
    if not RECORD:
        return True
    line = " ".join(text.split())
    with contextlib.suppress(OSError), RECORD[0].open("a+", encoding="utf-8", errors="backslashreplace") as file:
        file.seek(0)
        if f"{line}\n" in list(file):
            return False
        file.write(f"{line}\n")
    return True


def shown(message: Any, category: type[Warning], filename: str, lineno: int, line: Any = None) -> str:
    """This package's warnings as their text alone, each once a run; all others look as they did."""
    if not issubclass(category, GenreUtilsWarning):
        return before(message, category, filename, lineno, line)
    return f"{message}\n" if is_new(str(message)) else ""


if warnings.formatwarning.__module__ != __name__:  # not already ours: a test may read this file again
    before = warnings.formatwarning
    warnings.formatwarning = shown
