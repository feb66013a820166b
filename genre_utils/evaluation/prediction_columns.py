"""What each column of a table of predictions is, and its values in this project's form, checked."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from genre_utils.datasets.spelling import SEPARATOR, split_of
from genre_utils.errors import EvaluationError, listed
from genre_utils.evaluation import audio_lookup
from genre_utils.evaluation.raw_table import RawTable

NAMES = {  # usual names of a column, without case; of several, the first is taken
    "path": ("path", "file", "filename", "filepath", "file_path", "audio", "wav", "track_id", "id"),
    "true": ("true", "label", "genre", "target", "y_true", "class", "true_label", "category"),
    "predicted": ("predicted", "prediction", "pred", "y_pred", "predicted_label"),
    "group": ("group", "artist", "speaker", "speaker_id", "recorder", "recordist", "author", "performer"),
    "start": ("start_seconds", "start", "begin", "onset"),
    "end": ("end_seconds", "end", "stop", "offset"),
    "split": ("split", "subset", "set"),
}
TEXT = ("path", "true", "predicted", "group", "split")  # roles that are not read as numbers: 007 stays 007
FRONT = ("track_id", "segment", "start_seconds", "end_seconds", "split", "genre", "predicted")
OWN = {*FRONT, "artist", "path", "seed", "card"}  # names that have a meaning here, and that other columns must not have


@dataclasses.dataclass(frozen=True)
class Columns:
    """Names of a table's columns; "" takes the usual names, see ``NAMES``.

    Attributes
    ----------
    path, true, predicted, group, start, end, split : str
        The audio file; the true and the predicted class; who or what several files share, such as the artist or the
        speaker; start and end in the file, in seconds; train, validation or test.
    """

    path: str = ""
    true: str = ""
    predicted: str = ""
    group: str = ""
    start: str = ""
    end: str = ""
    split: str = ""


def roles_of(raw: RawTable, options: Columns, notes: list[str]) -> dict[str, str]:
    """The column of each role, "" for none.

    Parameters
    ----------
    raw : RawTable
        The table.
    options : Columns
        Names that the caller has given.
    notes : list of str
        Grows by what was assumed.

    Returns
    -------
    dict
        By role, as ``NAMES``.

    Raises
    ------
    EvaluationError
        If a column that was named is not there.
    """
    asked, every = dataclasses.asdict(options), list(raw.frame.columns)
    for role, name in asked.items():
        same = [column for column in every if column == name] or [
            column for column in every if column.casefold() == name.casefold()
        ]
        if name and len(same) != 1:
            raise EvaluationError(
                f"{raw.name} has no column {name!r}, which was named as the column {role}. Found: {listed(every)}."
            )
        asked[role] = same[0] if name else ""
    taken = {*asked.values()}
    for role, names in NAMES.items():
        if asked[role]:
            continue
        found = [column for name in names for column in every if column.casefold() == name and column not in taken]
        if role == "path" and len(own := [one for one in found if one.casefold() in ("track_id", "path")]) == 2:
            found = [own[1], *(one for one in found if one not in own)]  # this project's own form, see files_of
        asked[role] = found[0] if found else ""
        if len(found) > 1:
            notes.append(
                f"The column {found[0]} is taken as {role}, not {listed(found[1:])}. --{role} NAME takes another one."
            )
    return asked


def times(raw: RawTable, roles: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of each row in seconds, NaN if unknown; a start must lie before its end."""
    none = np.full(len(raw.frame), np.nan)
    start, end = (raw.numbers(roles[role]) if roles[role] else none for role in ("start", "end"))
    for role, values in (("start", start), ("end", end)):
        if len(wrong := np.flatnonzero((values < 0) | np.isinf(values))):
            text = f"expected seconds from the start of the file, found {values[wrong[0]]:g}."
            raise raw.wrong(int(wrong[0]), roles[role], text)
    if len(wrong := np.flatnonzero(np.nan_to_num(start) >= end)):
        row = int(wrong[0])
        text = f"expected a time after the start, {np.nan_to_num(start[row]):g} s. Found {end[row]:g} s."
        raise raw.wrong(row, roles["end"], text)
    return start, end


def splits(raw: RawTable, roles: dict[str, str], notes: list[str]) -> np.ndarray:
    """The split of each row: train, validation, test, or another name as it is; all are test if there is no column."""
    if not roles["split"]:
        return np.full(len(raw.frame), "test", object)
    values = raw.texts(roles["split"])
    names = {name: split_of(name) or name for name in {*values}}
    other = sorted(name for name in {*names.values()} if name not in ("train", "validation", "test"))
    if other:
        notes.append(f"The column {roles['split']} has names that are no usual split: {listed(map(repr, other))}.")
    return np.array([names[value] for value in values], dtype=object)


def named(raw: RawTable, name: str) -> str:
    """The column of this name without case, "" if there is none."""
    return next((column for column in raw.frame.columns if column.casefold() == name), "")


def beside(raw: RawTable, column: str) -> str:
    """The column ``path`` of this project's own tables, where the column of the file is ``track_id``; else ""."""
    return named(raw, "path") if column.casefold() == "track_id" else ""


def segments(raw: RawTable, track: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The number of each row within its track: a column ``segment`` of the table, or in the order of time."""
    own = named(raw, "segment")
    frame = pd.DataFrame({"track": track, "start": np.nan_to_num(start, nan=-1.0)})
    if own and pd.api.types.is_integer_dtype(raw.frame[own]):
        return raw.frame[own].to_numpy(int)
    return frame.sort_values("start", kind="stable").groupby("track").cumcount().sort_index().to_numpy(int)


def files_of(
    raw: RawTable, column: str, base: Path, audio: Path | None, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The id of each row's track, which is its path as written, and the absolute path of its audio."""
    if not column:
        notes.append("There is no column for the audio file: each row counts as a file of its own, without sound.")
        width = len(str(len(raw.frame)))
        ids = np.array([f"row {row:0{width}}" for row in range(len(raw.frame))], dtype=object)
        return ids, np.full(len(ids), "", object)
    written = raw.texts(column)
    if len(empty := np.flatnonzero(written == "")):
        raise raw.wrong(int(empty[0]), column, "is empty. Expected an audio file. Fill it in, or remove the row.")
    codes, distinct = pd.factorize(written)
    ids = np.array([name.replace("\\", "/") for name in distinct], dtype=object)[codes]
    codes, tracks = pd.factorize(ids)
    where = raw.texts(beside(raw, column)) if beside(raw, column) else ids
    places = {one: place or one for one, place in zip(ids, where, strict=True)}
    found, more = audio_lookup.locate(places, base, audio)
    notes += more
    return ids, np.array([found[one] for one in tracks], dtype=object)[codes]


def no_conflicts(raw: RawTable, rows: pd.DataFrame, timed: bool, notes: list[str]) -> None:
    """Refuse a file with several true classes, if its rows have no times, and equal rows.

    Parameters
    ----------
    raw : RawTable
        The table.
    rows : pd.DataFrame
        With ``track_id, segment, start_seconds, genre``.
    timed : bool
        Whether the table has starts.
    notes : list of str
        Grows if files have several true classes.

    Raises
    ------
    EvaluationError
        It names both rows.
    """
    genre, files = rows["genre"], rows["track_id"]
    other = genre != rows.groupby("track_id", sort=False)["genre"].transform("first")
    if other.any() and not timed:
        row = int(np.flatnonzero(other)[0])
        first = int(np.flatnonzero(files == files[row])[0])
        raise EvaluationError(
            f"{raw.name}, {raw.place(row)}: {rows['track_id'][row]} is {genre[row]!r} here and {genre[first]!r} in "
            f"{raw.place(first)}. A file has one true class, unless its rows have a start (column start). Several true "
            f"classes of one file are written as {genre[first]}{SEPARATOR}{genre[row]}."
        )
    if other.any():
        notes.append(
            f"{files[other].nunique():,} of {files.nunique():,} files have several true classes at different times "
            "(sound events): there are no figures by file."
        )
    keys = ["start_seconds"] if timed else ["segment"] if named(raw, "segment") else []
    same = rows.groupby(["track_id", *keys], dropna=False, sort=False).ngroup()
    if len(again := np.flatnonzero(same.duplicated())):
        row = int(again[0])
        first = int(np.flatnonzero(same == same[row])[0])
        start = " with the same start" if timed else ""
        raise EvaluationError(
            f"{raw.name}, {raw.place(row)}: {rows['track_id'][row]}{start} is in {raw.place(first)}, too. Expected one "
            "row for each file, or for each start in a file (column start). Write several models into several tables."
        )


def extras_of(raw: RawTable, used: set[str], notes: list[str]) -> pd.DataFrame:
    """All other columns; one whose name has a meaning here gets another name."""
    frame = raw.frame[[column for column in raw.frame.columns if column not in used]]
    taken = {name: f"given {name}" for name in frame.columns if name in OWN or name.startswith("p_")}
    if taken:
        notes.append(f"These columns are kept under other names: {listed(f'{a} as {b}' for a, b in taken.items())}.")
    return frame.rename(columns=taken)
