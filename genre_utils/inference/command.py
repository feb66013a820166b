"""``python -m genre_utils predict``: predict files and folders, and print each result as soon as it is ready."""

import contextlib
import csv
import io
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from genre_utils.errors import ParamsError, RunError
from genre_utils.inference import files, litert_model, prediction
from genre_utils.inference.prediction import printable
from genre_utils.system.progress import progress

STDOUT = "-"
PASSAGES = 12  # of a file, on the screen; a mix of hours has hundreds
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is computed by a spreadsheet


def predict(named: list[str], model: Path, top: int, form: str, out: str | None) -> int:
    """Predict files one after the other, and print each result as soon as it is ready.

    Parameters
    ----------
    named : list of str
        As :func:`genre_utils.inference.prediction.sources`.
    model : Path
        As ``keras_model.open_model``, or a folder that ``export.write`` has written.
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
    found = prediction.sources(named)
    if out not in (None, STDOUT) and os.path.lexists(out):
        raise RunError(f"{out} is there already and is not overwritten. Name another file, or remove it.")
    if hasattr(sys.stdout, "reconfigure"):  # a name may hold what the terminal's encoding, or any, does not have
        sys.stdout.reconfigure(encoding="utf-8" if out == STDOUT else None, errors="backslashreplace")
    network = open_network(model)
    if network.notice:
        print(network.notice, file=sys.stderr)
    counts, total = {"answered": 0, "failed": 0}, len(found.files) + len(found.unlisted)
    try:
        predict_each(found, network, top, form, out, counts)
    except OSError as error:  # what is wrong with a file is its fault; this is of the output
        with contextlib.suppress(io.UnsupportedOperation):  # Python writes the rest when it ends, and would complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise RunError(f"The output cannot be written ({error.strerror}).") from error
    finally:
        counts["not heard"] = total - sum(counts.values())
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name != "not heard")
        print(f"{total} files: {told}", file=sys.stderr)
        if found.others:
            print(prediction.left_out(found), file=sys.stderr)
    return 1 if counts["failed"] else 0


def open_network(folder: Path) -> prediction.Network:
    """An exported network by LiteRT, which starts at once; any other by TensorFlow."""
    if (folder / litert_model.FACTS).is_file():
        return litert_model.open_exported(folder)
    from genre_utils.inference import keras_model

    return keras_model.open_model(folder)


def predict_each(
    found: prediction.Sources, network: prediction.Network, top: int, form: str, out: str | None, counts: dict[str, int]
) -> None:
    """Tell of each file as soon as it is heard, and count; the parameters are those of :func:`predict`."""
    heard = itertools.chain(prediction.predict(found.files, network), found.unlisted)
    total = len(found.files) + len(found.unlisted)
    shown = progress(heard, total, "files") if total > 1 and sys.stderr.isatty() else heard
    in_form = litert_model.as_json if form == "json" else csv_lines
    with destination(out) as write:
        if form == "csv":
            write(csv_text([files.columns(network)]))
        for answer in shown:
            if out != STDOUT:
                print_line(on_screen(answer, network, top))
            write(in_form(answer, network))
            counts["failed" if answer.fault else "answered"] += 1


def on_screen(answer: prediction.Prediction, network: prediction.Network, top: int) -> str:
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


def print_line(text: str) -> None:
    """A line on standard output, above the bar if there is one."""
    with tqdm.external_write_mode(file=sys.stdout):
        print(f"{text}\n", end="", flush=True)  # in one write: Ctrl-C leaves a line whole here, too


def csv_lines(answer: prediction.Prediction, network: prediction.Network) -> str:
    """The rows of an answer as lines of CSV."""
    lines = [list(row.values()) for row in files.rows(answer, network)]
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
    elif out == STDOUT and not sys.stdout.isatty():  # for a program, which gets a name as it is
        stream = getattr(sys.stdout, "stream", sys.stdout)
        yield lambda text: print(f"{text}\n", end="", file=stream, flush=True)
    elif out == STDOUT:
        yield print_line
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
