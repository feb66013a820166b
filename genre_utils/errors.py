"""Errors and warnings of this package: every message says what is wrong, where, and what to do."""

import contextlib
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

NAMED = 10  # files and reasons that a message lists at most; there may be thousands
RECORD: list[Path] = []  # a file with the warnings that this run has shown; empty: show every warning


class GenreUtilsWarning(UserWarning):
    """Something was left out or done differently, and the work continues; printed without a line of code."""


class GenreUtilsError(Exception):
    """Base class of every error that this package raises on purpose."""


class ParamsError(GenreUtilsError):
    """A parameter or a profile breaks a rule."""


class CatalogError(GenreUtilsError):
    """A data set cannot be found, read or used as it is."""


class DownloadError(CatalogError):
    """A data set could not be downloaded, verified or unpacked."""


class SplitError(GenreUtilsError):
    """The tracks cannot be split as asked."""


class EvaluationError(GenreUtilsError):
    """A metric cannot be computed from these predictions."""


class RunError(GenreUtilsError):
    """A run folder is incomplete or inconsistent, or a notebook failed."""


class ClusterError(GenreUtilsError):
    """A cluster cannot be reached, or one of its machines lacks something or is gone."""


class DiskError(GenreUtilsError):
    """A disk is full, read-only or broken."""


class WorkerError(GenreUtilsError):
    """There is not enough memory, or a worker process was killed."""


class MissingExtraError(GenreUtilsError, ImportError):
    """An optional library is not installed."""


class AudioError(GenreUtilsError):
    """An audio file cannot be used.

    Parameters
    ----------
    path : str or Path
        The file.
    reason : str
        What is wrong, the rule, and what to do.
    """

    def __init__(self, path: str | Path, reason: str):
        super().__init__(path, reason)  # both, so that the error can be pickled in a worker
        self.path = Path(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def warn(text: str, stacklevel: int = 2) -> None:
    """Show a :class:`GenreUtilsWarning`; ``stacklevel`` as in ``warnings.warn``."""
    warnings.warn(text, GenreUtilsWarning, stacklevel=stacklevel + 1)


def listed(names: Iterable[str]) -> str:
    """The first ``NAMED`` names, joined by commas, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - NAMED:,} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more


def by_reason(names: Iterable[str], reasons: Iterable[str], whole: str | Path = "") -> list[str]:
    """Summarise what is wrong with many files: one line per reason, the most frequent first.

    Parameters
    ----------
    names : iterable of str
        Of the files.
    reasons : iterable of str
        Of each file. Reasons that differ only in their numbers count as one.
    whole : str or Path
        Where the whole list is; added if the summary does not name every file.

    Returns
    -------
    list of str
        ``a.mp3, b.mp3 and 3 more: holds 1.20 to 4.90 s; one segment needs 5.00 s.``; up to ``NAMED`` names and
        ``NAMED`` reasons. Up to ``NAMED`` files, all are named.

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
    """Whether a warning is new in this run, and record it; without a record every warning is new."""
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
    """Format this package's warnings as plain text, each once per run, and leave all others as they are."""
    if not issubclass(category, GenreUtilsWarning):
        return before(message, category, filename, lineno, line)
    return f"{message}\n" if is_new(str(message)) else ""


if warnings.formatwarning.__module__ != __name__:  # not yet replaced: a test may import this file again
    before = warnings.formatwarning
    warnings.formatwarning = shown
