"""Files and folders that somebody names, heard whole: from Python a tidy table of tracks and segments."""

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genre_utils import audio, light, listening
from genre_utils.errors import CatalogError, warn

NAMED = 10  # of the files left out; a folder of music may hold thousands of pictures

TEXTS = ("path", "level", "predicted", "verdict", "fault")  # columns of a table; the others are numbers


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
        names = ", ".join(printable(str(path)) for path in paths)
        others = f" The {len(found.others)} files there are not audio by their suffix." if found.others else ""
        raise CatalogError(
            f"No audio file in {names}.{others} Looked for {', '.join(sorted(audio.SUFFIXES))}, at any depth, hidden "
            "files left out. A file that is named itself is tried whatever its suffix."
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
        track or segment; of what a level does not have, and what is not known, a number is None and a text "".
    """
    blank = {name: "" if name in TEXTS else None for name in columns(network)} | {"path": answer.path}
    if answer.fault:
        yield blank | {"level": "track", "fault": answer.fault}
        return
    strangeness = None if np.isnan(answer.strangeness) else round(answer.strangeness, light.DIGITS)
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
        The columns of :func:`rows`; a number that is not known is NaN.

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
        warn(left_out(found))
    heard = itertools.chain(listening.answers(found.files, network), found.unlisted)
    table = pd.DataFrame([row for answer in heard for row in rows(answer, network)], columns=columns(network))
    return table.astype(dict.fromkeys(table.columns.difference(TEXTS), float))


def left_out(found: Sources) -> str:
    """Which files of the folders are not heard."""
    names = [printable(str(path)) for path in found.others[:NAMED]] + ["…"] * (len(found.others) > NAMED)
    return f"Left out, for they are not audio by their suffix: {len(found.others)} ({', '.join(names)})"


def printable(text: str) -> str:
    """A text that a terminal shows and does not obey: a name may hold a newline or an escape sequence."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def uploaded(upload: Any, folder: Path) -> Path | None:
    """The file that a reader has chosen in a notebook.

    Parameters
    ----------
    upload : ipywidgets.FileUpload
        Where it was chosen.
    folder : Path
        Gets it, by its name.

    Returns
    -------
    Path or None
        None if none was chosen, as in a headless run.

    References
    ----------
    Notebook: 04_evaluation.
    """
    if not upload.value:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / Path(upload.value[0]["name"]).name
    path.write_bytes(upload.value[0]["content"])
    return path
