"""A network on the files and folders that somebody names: ``python -m genre_utils predict``, and the same in Python."""

import contextlib
import csv
import io
import itertools
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from genre_utils import audio, light, listening
from genre_utils.errors import CatalogError, ParamsError, RunError
from genre_utils.progress import progress

STDOUT = "-"
PASSAGES = 12  # of a file, on the screen; a mix of hours has hundreds
NAMED = 10  # of the files left out; a folder of music may hold thousands of pictures
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is computed by a spreadsheet


class Sources(NamedTuple):
    """What files and folders come to."""

    files: list[Path]  # to be heard, in order
    others: list[Path]  # found in a folder, and not audio by their suffix
    unlisted: list[listening.Answer]  # a fault for each folder that could not be looked into


def sources(named: Iterable[str | Path]) -> Sources:
    """The audio files among and below what was named.

    Parameters
    ----------
    named : iterable of str or Path
        A file is taken whatever its suffix. Of a folder, all files with a suffix of audio, at any depth, in sorted
        order; hidden ones are left out. Links are followed, and no folder is entered twice.

    Returns
    -------
    Sources

    Raises
    ------
    CatalogError
        If there is nothing to be heard.
    """
    paths = [Path(path) for path in named]
    found, seen = Sources([], [], []), set[Path]()
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112  (Path.is_dir raises where it may not look)
            found.files.append(path)
            continue
        for folder, folders, files in os.walk(
            path, followlinks=True, onerror=lambda e: found.unlisted.append(fault(e))
        ):
            here = Path(folder)
            if here.resolve() in seen:  # links may lead in a circle
                folders.clear()
                continue
            seen.add(here.resolve())
            folders[:] = visible(folders)
            for file in visible(files):
                known = Path(file).suffix.lower() in audio.SUFFIXES
                (found.files if known else found.others).append(here / file)
    if not found.files and not found.unlisted:
        others = f" The {len(found.others)} files there are not audio by their suffix." if found.others else ""
        raise CatalogError(
            f"No audio file in {', '.join(map(str, paths))}.{others} Looked for {', '.join(sorted(audio.SUFFIXES))}, "
            "at any depth, hidden files left out. A file that is named itself is tried whatever its suffix."
        )
    return found


def visible(names: list[str]) -> list[str]:
    """Names in order, without hidden ones."""
    return sorted(name for name in names if not name.startswith("."))


def fault(error: OSError) -> listening.Answer:
    """What is said of a folder that could not be looked into."""
    reason = f"is a folder that cannot be looked into ({error.strerror}). Allow it to be read, or leave it out."
    return listening.Answer(str(error.filename), np.empty((0, 0), np.float32), reason)


def rows(answer: listening.Answer, network: listening.Network) -> Iterator[dict[str, Any]]:
    """An answer as rows of a tidy table: the track, then its segments.

    Parameters
    ----------
    answer : listening.Answer
        Of one file.
    network : listening.Network
        Whose it is.

    Yields
    ------
    dict
        ``path, level, segment, start_seconds, predicted, verdict, strangeness, p_<genre>…, fault``. ``level`` is
        track or segment; what a level does not have, and what is not known, is "".
    """
    blank = dict.fromkeys(columns(network), "") | {"path": answer.path}
    if answer.fault:
        yield blank | {"level": "track", "fault": answer.fault}
        return
    strangeness = "" if np.isnan(answer.strangeness) else round(answer.strangeness, light.DIGITS)
    heard = {"level": "track", "verdict": answer.verdict, "strangeness": strangeness}
    yield blank | heard | called(answer.track, network)
    for number, probabilities in enumerate(answer.probabilities):
        place = {"level": "segment", "segment": number, "start_seconds": number * network.params.segment_seconds}
        yield blank | place | called(probabilities, network)


def columns(network: listening.Network) -> list[str]:
    """Names of what :func:`rows` gives."""
    front = ["path", "level", "segment", "start_seconds", "predicted", "verdict", "strangeness"]
    return [*front, *(f"p_{genre}" for genre in network.genres), "fault"]


def called(probabilities: np.ndarray, network: listening.Network) -> dict[str, Any]:
    """The most probable genre and all probabilities, (genre,), as columns."""
    named = zip(network.genres, probabilities, strict=True)
    return {"predicted": network.genres[int(probabilities.argmax())]} | {
        f"p_{genre}": round(float(p), light.DIGITS) for genre, p in named
    }


def predict(named: Iterable[str | Path], network: listening.Network) -> pd.DataFrame:
    """Hear files and folders from Python: the table that ``--csv`` writes.

    Parameters
    ----------
    named : iterable of str or Path
        As :func:`sources`.
    network : Network
        As ``predict.open_model`` gives it.

    Returns
    -------
    pd.DataFrame
        The columns of :func:`rows`.

    Raises
    ------
    CatalogError
        If there is nothing to be heard.

    Warns
    -----
    UserWarning
        If a folder holds files that are not audio by their suffix.

    References
    ----------
    Notebook: 04_evaluation.
    """
    found = sources(named)
    if found.others:
        warnings.warn(left_out(found), stacklevel=2)
    heard = itertools.chain(listening.answers(found.files, network), found.unlisted)
    return pd.DataFrame([row for answer in heard for row in rows(answer, network)], columns=columns(network))


def command(named: list[str], model: Path, top: int, form: str, out: str | None) -> int:
    """What ``python -m genre_utils predict`` does: hear file after file, and tell of each at once.

    Parameters
    ----------
    named : list of str
        As :func:`sources`.
    model : Path
        As ``predict.open_model``.
    top : int
        How many genres to name on the screen.
    form : str
        Of ``out``: json or csv.
    out : str or None
        A file that is not there yet, or - for standard output, which then has nothing else.

    Returns
    -------
    int
        The exit status: 0 only if every file was answered.

    Raises
    ------
    GenreUtilsError
        If there is nothing to be heard, no model, or the file to be written is there already.
    """
    if top < 1:
        raise ParamsError(f"--top must be 1 or more. Received: {top}.")
    found = sources(named)
    if out not in (None, STDOUT) and os.path.lexists(out):
        raise RunError(f"{out} is there already and is not overwritten. Name another file, or remove it.")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name may hold what the terminal's encoding, or any, does not have
        sys.stdout.reconfigure(encoding="utf-8" if out == STDOUT else None, errors="backslashreplace")
    from genre_utils import predict as saved  # TensorFlow

    network = saved.open_model(model)
    counts, total = {"answered": 0, "failed": 0}, len(found.files) + len(found.unlisted)
    try:
        hear(found, network, top, form, out, counts)
    except OSError as error:  # what is wrong with a file is its fault; this is of the output
        with contextlib.suppress(io.UnsupportedOperation):  # Python writes the rest when it ends, and would complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise RunError(f"The output cannot be written ({error.strerror}).") from error
    finally:
        counts["not heard"] = total - sum(counts.values())
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name != "not heard")
        print(f"{total} files: {told}", file=sys.stderr)
        if found.others:
            print(left_out(found), file=sys.stderr)
    return 1 if counts["failed"] else 0


def hear(
    found: Sources, network: listening.Network, top: int, form: str, out: str | None, counts: dict[str, int]
) -> None:
    """Tell of each file as soon as it is heard, and count; the parameters are those of :func:`command`."""
    heard = itertools.chain(listening.answers(found.files, network), found.unlisted)
    total = len(found.files) + len(found.unlisted)
    shown = progress(heard, total, "files") if total > 1 and sys.stderr.isatty() else heard
    in_form = light.line if form == "json" else csv_lines
    with destination(out) as write:
        if form == "csv":
            write(csv_text([columns(network)]))
        for answer in shown:
            if out != STDOUT:
                say(on_screen(answer, network, top))
            write(in_form(answer, network))
            counts["failed" if answer.fault else "answered"] += 1


def left_out(found: Sources) -> str:
    """Which files of the folders are not heard."""
    names = [printable(str(path)) for path in found.others[:NAMED]] + ["…"] * (len(found.others) > NAMED)
    return f"Left out, for they are not audio by their suffix: {len(found.others)} ({', '.join(names)})"


def on_screen(answer: listening.Answer, network: listening.Network, top: int) -> str:
    """An answer for a reader: the track's genres, and below them the most probable one, passage by passage."""
    if answer.fault:
        return printable(f"{answer.path}: {answer.fault}")
    best = np.argsort(-answer.track, kind="stable")[:top]
    verdict = f"{answer.verdict}: " if answer.verdict else ""
    first = f"{answer.path}: {verdict}{', '.join(f'{network.genres[k]} {answer.track[k]:.0%}' for k in best)}"
    called = answer.probabilities.argmax(axis=1)
    begins = [0, *(np.flatnonzero(np.diff(called)) + 1)]
    if len(begins) == 1:
        return printable(first)
    passages = []
    for begin in begins[:PASSAGES]:
        minutes, seconds = divmod(int(begin * network.params.segment_seconds), 60)
        passages.append(f"{minutes}:{seconds:02} {network.genres[called[begin]]}")
    passages += [f"… ({len(begins) - PASSAGES} more)"] * (len(begins) > PASSAGES)
    return f"{printable(first)}\n    {printable(', '.join(passages))}"


def printable(text: str) -> str:
    """A text that a terminal shows and does not obey: a name may hold a newline or an escape sequence."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(text: str) -> None:
    """A line on standard output, above the bar if there is one."""
    with tqdm.external_write_mode(file=sys.stdout):
        print(text, flush=True)


def csv_lines(answer: listening.Answer, network: listening.Network) -> str:
    """The rows of an answer as lines of CSV."""
    lines = [list(row.values()) for row in rows(answer, network)]
    if answer.path.startswith(FORMULA):
        for line in lines:
            line[0] = f"./{answer.path}"  # the same file, and no formula
    return csv_text(lines)


def csv_text(lines: list[list[Any]]) -> str:
    """Lines of CSV, the last one without its end; texts are quoted, so that a name may hold anything."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(lines)
    return text.getvalue().removesuffix("\n")


@contextlib.contextmanager
def destination(out: str | None) -> Iterator[Callable[[str], None]]:
    """Where the answers for a program are written: nowhere, on standard output, or in a new file."""
    if out is None:
        yield lambda text: None  # noqa: ARG005
    elif out == STDOUT:
        yield say
    else:
        with Path(out).open("xb", buffering=0) as file:
            yield lambda text: append(file, f"{text}\n".encode(errors="backslashreplace"))


def append(file: io.FileIO, data: bytes) -> None:
    """Write all or nothing, also when the disk is full or Ctrl-C comes: the file holds whole answers."""
    begin = file.tell()
    try:
        while data:
            data = data[file.write(data) :]
    except BaseException:
        file.truncate(begin)
        raise
