"""The command ``python -m genre_utils predict``: print each prediction, and write JSON or CSV."""

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
PASSAGES = 12  # to print for a file; a mix of some hours has hundreds
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet reads a cell that starts with one of these as a formula


def predict(named: list[str], model: Path, top: int, form: str, out: str | None) -> int:
    """Predict files one after the other, and print each result as soon as it is ready.

    Parameters
    ----------
    named : list of str
        As :func:`genre_utils.inference.prediction.sources`.
    model : Path
        As ``keras_model.open_model``, or a folder that ``export.write`` has written.
    top : int
        How many genres to print for each file.
    form : str
        Format of ``out``: json or csv.
    out : str or None
        A file that does not exist yet, or - for standard output, which then contains nothing else.

    Returns
    -------
    int
        The exit status: 0 if every file has a prediction, else 1.

    Raises
    ------
    GenreUtilsError
        If there is no audio file, no model, or ``out`` exists already.
    """
    if top < 1:
        raise ParamsError(f"--top must be 1 or more. Received: {top}.")
    found = prediction.sources(named)
    if out not in (None, STDOUT) and os.path.lexists(out):
        raise RunError(f"{out} exists already and is not overwritten. Choose another file name, or remove the file.")
    if hasattr(sys.stdout, "reconfigure"):  # a file name may have characters that the terminal's encoding lacks
        sys.stdout.reconfigure(encoding="utf-8" if out == STDOUT else None, errors="backslashreplace")
    network = open_network(model)
    if network.notice:
        print(network.notice, file=sys.stderr)
    counts, total = {"predicted": 0, "failed": 0}, len(found.files) + len(found.unreadable)
    try:
        predict_each(found, network, top, form, out, counts)
    except OSError as error:  # from the output; an error of an audio file is part of its prediction
        with contextlib.suppress(io.UnsupportedOperation):  # else Python complains at its end that it cannot flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise RunError(f"The output cannot be written ({error.strerror}).") from error
    finally:
        counts["not processed"] = total - sum(counts.values())
        summary = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name != "not processed")
        print(f"{total} file{'' if total == 1 else 's'}: {summary}", file=sys.stderr)
        if found.not_audio:
            print(prediction.left_out(found), file=sys.stderr)
    return 1 if counts["failed"] else 0


def open_network(folder: Path) -> prediction.Network:
    """Open an exported network with LiteRT, which starts at once, or any other model with TensorFlow."""
    if (folder / litert_model.FACTS).is_file():
        return litert_model.open_exported(folder)
    from genre_utils.inference import keras_model

    return keras_model.open_model(folder)


def predict_each(
    found: prediction.Sources, network: prediction.Network, top: int, form: str, out: str | None, counts: dict[str, int]
) -> None:
    """Print and write each prediction as soon as it is ready, and count; see :func:`predict` for the parameters."""
    answers = itertools.chain(prediction.predict(found.files, network), found.unreadable)
    total = len(found.files) + len(found.unreadable)
    shown = progress(answers, total, "files") if total > 1 and sys.stderr.isatty() else answers
    in_form = files.as_json if form == "json" else csv_lines
    with destination(out) as write:
        if form == "csv":
            write(csv_text([files.columns(network)]))
        for answer in shown:
            if out != STDOUT:
                print_line(on_screen(answer, network, top))
            write(in_form(answer, network))
            counts["failed" if answer.fault else "predicted"] += 1


def on_screen(answer: prediction.Prediction, network: prediction.Network, top: int) -> str:
    """A prediction as text: the genres of the file, and on the next line the genre of each passage."""
    if answer.fault:
        return printable(f"{answer.path}: {answer.fault}")
    best = np.argsort(-answer.track, kind="stable")[:top]
    verdict = f"{answer.verdict}: " if answer.verdict else ""
    first = f"{answer.path}: {verdict}{', '.join(f'{network.genres[k]} {answer.track[k]:.0%}' for k in best)}"
    predicted = answer.probabilities.argmax(axis=1)
    begins = [0, *(np.flatnonzero(np.diff(predicted)) + 1)]
    if len(begins) == 1:
        return printable(first)
    passages = []
    for begin in begins[:PASSAGES]:
        minutes, seconds = divmod(int(begin * network.params.segment_seconds), 60)
        passages.append(f"{minutes}:{seconds:02} {network.genres[predicted[begin]]}")
    passages += [f"… ({len(begins) - PASSAGES} more)"] * (len(begins) > PASSAGES)
    return f"{printable(first)}\n    {printable(', '.join(passages))}"


def print_line(text: str) -> None:
    """Print a line on standard output, above the progress bar if there is one."""
    with tqdm.external_write_mode(file=sys.stdout):
        print(f"{text}\n", end="", flush=True)  # in one write, so that Ctrl-C does not cut a line


def csv_lines(answer: prediction.Prediction, network: prediction.Network) -> str:
    """The rows of a prediction as lines of CSV."""
    lines = [list(row.values()) for row in files.rows(answer, network)]
    if answer.path.startswith(FORMULA):
        for line in lines:
            line[0] = f"./{answer.path}"  # the same file, but not a formula
    return csv_text(lines)


def csv_text(lines: list[list[Any]]) -> str:
    """Lines of CSV, without the last line break; texts are quoted, so that a name may contain anything."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(lines)
    return text.getvalue().removesuffix("\n")


@contextlib.contextmanager
def destination(out: str | None) -> Iterator[Callable[[str], None]]:
    """Where to write JSON or CSV: nowhere, to standard output, or to a new file."""
    if out is None:
        yield lambda text: None  # noqa: ARG005
    elif out == STDOUT and not sys.stdout.isatty():  # a program reads it: the real stream, with names unchanged
        stream = getattr(sys.stdout, "stream", sys.stdout)
        yield lambda text: print(f"{text}\n", end="", file=stream, flush=True)
    elif out == STDOUT:
        yield print_line
    else:
        with Path(out).open("xb", buffering=0) as file:
            yield lambda text: append(file, f"{text}\n".encode(errors="backslashreplace"))


def append(file: io.FileIO, data: bytes) -> None:
    """Write all or nothing, even on a full disk or after Ctrl-C, so that the file has only complete results."""
    begin = file.tell()
    try:
        while data:
            data = data[file.write(data) :]
    except BaseException:
        file.truncate(begin)
        raise
