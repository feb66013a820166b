"""Write predictions as lines of JSON or CSV, and continue a file whose writing was stopped."""

import contextlib
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from genre_utils.errors import RunError
from genre_utils.inference import files
from genre_utils.inference.prediction import Network, Prediction

STDOUT = "-"
JSON_STARTS = b'{"path": "'  # each line of JSON
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet reads a cell that starts with one of these as a formula


class Entry(NamedTuple):
    """What a file of results says about one audio file."""

    path: str  # as it is written there
    genre: str  # "" if there is an error
    verdict: str
    fault: str
    segments: int


class Kept(NamedTuple):
    """What stays of a file that is continued."""

    entries: list[Entry]
    end: int  # in bytes; what follows is not complete


def text_of(answer: Prediction, network: Network, form: str) -> str:
    """A prediction in one of the forms ``json`` and ``csv``, without the last line break."""
    return files.as_json(answer, network) if form == "json" else csv_lines(answer, network)


def csv_lines(answer: Prediction, network: Network) -> str:
    """The rows of a prediction as lines of CSV."""
    lines = [list(row.values()) for row in files.rows(answer, network)]
    for line in lines:
        line[0] = without_formula(answer.path)
    return csv_text(lines)


def without_formula(path: str) -> str:
    """The same path, but not a formula."""
    return f"./{path}" if path.startswith(FORMULA) else path


def csv_text(lines: list[list[Any]]) -> str:
    """Lines of CSV, without the last line break; texts are quoted, so that a name may contain anything."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(lines)
    return text.getvalue().removesuffix("\n")


def header(network: Network) -> str:
    """The first line of a CSV."""
    return csv_text([files.columns(network)])


def as_written(path: str, form: str) -> str:
    """A path as it is read back from a file of results."""
    return path if form == "json" else without_formula(path).encode(errors="backslashreplace").decode()


def kept(out: str, network: Network, form: str) -> Kept:
    """Read which results a file has already; at its end, some may be incomplete.

    Parameters
    ----------
    out : str
        A file that ``predict`` has written.
    network : Network
        The network that continues it.
    form : str
        json or csv.

    Returns
    -------
    Kept
        The complete results, and where they end.

    Raises
    ------
    RunError
        If the file cannot be read, or is not one that ``predict`` has written with these genres.
    """
    try:
        with Path(out).open("rb") as file:
            return json_kept(file, network) if form == "json" else csv_kept(file, network)
    except OSError as error:
        raise RunError(f"{out} cannot be continued: it cannot be read ({error.strerror}).") from error
    except (csv.Error, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise RunError(
            f"{out} cannot be continued: it is not a file that --{form} has written with a model of these genres: "
            f"{', '.join(network.genres)}. Name the model that it was begun with (--model), or another file."
        ) from error


def json_kept(file: BinaryIO, network: Network) -> Kept:
    """The lines of JSON that are complete."""
    entries, end = [], 0
    for line in file:
        if not line.endswith(b"\n"):
            if not (line.startswith(JSON_STARTS) or JSON_STARTS.startswith(line)):
                raise ValueError("not a line of ours that was stopped")
            break
        answer = json.loads(line)
        fault, timeline = answer.get("fault", ""), answer.get("timeline", [])
        if not fault and list(answer["probabilities"]) != network.genres:
            raise ValueError("other genres")
        genre, verdict = ("", "") if fault else (answer["genre"], answer["verdict"])
        entries.append(Entry(answer["path"], genre, verdict, fault, len(timeline)))
        end += len(line)
    return Kept(entries, end)


def csv_kept(file: BinaryIO, network: Network) -> Kept:
    """The rows of CSV that are complete; those of the last file are not, unless it has an error, which is one row."""
    columns, first = files.columns(network), f"{header(network)}\n".encode(errors="backslashreplace")
    found = file.read(len(first))
    if found != first:
        if not first.startswith(found):
            raise ValueError("other columns")
        return Kept([], 0)  # stopped within the first line
    end = len(first)

    def lines() -> Iterator[str]:
        nonlocal end
        for line in file:
            if not line.endswith(b"\n"):
                return
            end += len(line)
            yield line.decode()

    entries: list[Entry] = []
    begins, complete = [], end  # where the rows of each file begin; where the last row ends
    try:
        for row in csv.reader(lines(), strict=True):  # a row may have several lines
            values = dict(zip(columns, row, strict=True))
            if values["level"] == "track":
                begins.append(complete)
                entries.append(Entry(values["path"], values["predicted"], values["verdict"], values["fault"], 0))
            elif values["path"] != entries[-1].path:
                raise ValueError("a segment without its track")
            else:
                entries[-1] = entries[-1]._replace(segments=entries[-1].segments + 1)
            complete = end
    except csv.Error:
        if file.read(1):
            raise  # else stopped within a name of several lines
    if entries and not entries[-1].fault:
        entries.pop()
        complete = begins.pop()
    return Kept(entries, complete)


@contextlib.contextmanager
def destination(
    out: str | None, print_line: Callable[[str], None], end: int | None = None
) -> Iterator[Callable[[str], None]]:
    """Where to write JSON or CSV: nowhere, to standard output, to a new file, or to one that is kept up to ``end``."""
    if out is None:
        yield lambda text: None  # noqa: ARG005
    elif out == STDOUT and not sys.stdout.isatty():  # a program reads it: the real stream, with names unchanged
        stream = getattr(sys.stdout, "stream", sys.stdout)
        yield lambda text: print(f"{text}\n", end="", file=stream, flush=True)
    elif out == STDOUT:
        yield print_line
    else:
        with Path(out).open("xb" if end is None else "r+b", buffering=0) as file:
            if end is not None:
                file.truncate(end)
                file.seek(end)
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
