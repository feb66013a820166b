"""Reading a table of tracks in the forms that people write; what can be read in two ways is an error."""

import ast
import csv
import io
import os
import re
import tokenize
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from genre_utils.datasets.spelling import SEPARATOR, in_order, key, split_of
from genre_utils.errors import CatalogError, listed

SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "|"}
COLUMNS = ("path", "genre", "artist", "title", "licence", "published_split", "track_id")
ALSO = {  # other usual names of a column; used if exactly one of them occurs
    "path": ("file", "filename", "filepath", "file_path", "file_name", "audio", "audio_path", "audio_file", "location"),
    "genre": ("genres", "genre_top", "label", "labels", "class", "category"),
    "licence": ("license",),
}
MISSING = {"", "nan", "na", "n/a", "#n/a", "<na>", "null", "none", "nil", "-", "--", "?", "[]", "()", "{}"}


class Line(NamedTuple):
    """A row of a table: the number of its first line, and its cells by column."""

    number: int
    cells: dict[str, str]


def read(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    """Read the tracks of a table.

    Parameters
    ----------
    path : Path
        See ``catalog.from_csv``.

    Returns
    -------
    rows : list of dict
        ``track_id``, ``path``, ``genre`` ("" if there is none), ``artist``, ``title``, ``licence``,
        ``published_split``; and a ``fault`` if one is known without opening the file.
    notes : list of str
        Warnings for the user: how the table was read if it has another form than documented, and missing files.

    Raises
    ------
    CatalogError
        If it cannot be read, or in two ways; the message names the line.
    """
    text, notes = text_of(path)
    lines, more = records(path, text)
    notes += more
    genres = genres_in(path, lines, notes)
    rows, first, missing, cleaned = [], dict[str, Line](), [], []
    for line, genre in zip(lines, genres, strict=True):
        named = line.cells["path"]
        if not named.strip():
            raise CatalogError(f"{path}, line {line.number}: path is empty. Fill it in, or remove the line.")
        file, fault = located(named, path.parent)
        there = os.path.lexists(file)
        # A file in a linked folder is the same file; a linked file counts as another track, and the audit finds it.
        place = named if "\0" in str(file) else str(Path(os.path.realpath(file.parent), file.name))
        same = first.setdefault(place, line)
        if same is not line:
            raise CatalogError(f"{path}, line {line.number}: {twice(line, same)}")
        if not there and not fault:
            missing.append((line, file))
        elif there and file != path.parent / named:
            cleaned.append((line, file))
        if fault:
            fault = f"in line {line.number}, {fault}"
        if not genre:
            fault = f"has no genre in line {line.number}. Fill it in, or remove the line."
        split = line.cells.get("published_split", "")
        if split.strip() and not split_of(split):
            raise CatalogError(
                f"{path}, line {line.number}: published_split must be train, validation, test or empty. Received: "
                f"{split!r}."
            )
        row = line.cells | {"path": str(file), "genre": genre, "published_split": split_of(split), "fault": fault}
        rows.append({"track_id": named} | row)
    ids = dict[str, int]()
    for line, row in zip(lines, rows, strict=True):
        if (before := ids.setdefault(row["track_id"], line.number)) != line.number:
            raise CatalogError(
                f"{path}, line {line.number}: the track_id {row['track_id']!r} was used before, in line {before}. "
                "Give each track its own."
            )
    warnings = [f"{path} was read with these assumptions: {'; '.join(notes)}."] if notes else []
    if cleaned:
        line, file = cleaned[0]
        warnings.append(
            f"{path}: {len(cleaned)} of {len(lines)} paths do not exist as written, and were found in another "
            f"spelling. The first, line {line.number}: {line.cells['path']!r}, found as {file}."
        )
    if missing:
        line, file = missing[0]
        warnings.append(
            f"{path}: {len(missing)} of {len(lines)} files do not exist. The first, line {line.number}: "
            f"{line.cells['path']!r}, looked for as {file}.{hint(line.cells['path'], file, path.parent)}"
        )
    return rows, warnings


def text_of(path: Path) -> tuple[str, list[str]]:
    """The text of a table, and a note on its encoding if it is not UTF-8."""
    try:
        data = path.read_bytes()
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data.decode("utf-16"), ["encoding UTF-16"]
        if data[:4] == b"PK\3\4":
            raise ValueError("it is a workbook or another archive: save the table as CSV in UTF-8")
        if b"\0" in data:
            raise ValueError("it holds the byte 0")
        try:
            return data.decode("utf-8-sig"), []
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            return data.decode("cp1252"), [f"encoding Windows-1252, because line {line} is not UTF-8 (check the names)"]
    except (OSError, ValueError) as error:
        raise CatalogError(f"{path} is not a UTF-8 CSV with a header line ({error}).") from error


def records(path: Path, text: str) -> tuple[list[Line], list[str]]:
    """The rows of a table by column, and notes on what in it differs from the documented form."""
    notes, skipped, rest = [], 0, text
    delimiters = list(DELIMITERS)
    names: list[str] = []
    while rest:
        head = re.split(r"\r\n|\r|\n", rest, maxsplit=1)[0]
        if match := re.fullmatch(r'"?sep=(.)"?[\s,;]*', head):
            delimiters = [match[1]]
        elif head.strip(" ,;\t"):
            names = columns(path, head.lstrip("# "), delimiters) if head.startswith("#") else []
            if names or not head.startswith("#"):
                break
            notes.append(f"line {skipped + 1} is a comment")
        rest = rest[len(head) :]
        rest = rest[2 if rest.startswith("\r\n") else 1 :]
        skipped += 1
    names = names or columns(path, head if rest else "", delimiters)
    if not names:
        received = listed(head.split(delimiters[0])) if rest else "nothing: the file is empty"
        raise CatalogError(
            f"{path} must have the columns path and genre in its first line, separated by commas. Received: {received}."
        )
    delimiter = names.pop()
    if delimiter != ",":
        notes.append(f"separated by {DELIMITERS.get(delimiter, delimiter)}")
    taken = {column: chosen(path, column, names, notes) for column in COLUMNS}
    lines, empty, width = [], 0, len(names)
    for number, fields in numbered(path, rest, delimiter, skipped):
        if not any(field.strip() for field in fields):
            empty += 1
            continue
        if any(field.strip() for field in fields[width:]):
            raise CatalogError(
                f"{path}, line {number}: expected {width} fields, found {len(fields)}. Put texts that contain "
                f"{delimiter!r} in quotes."
            )
        fields += [""] * (width - len(fields))
        lines.append(Line(number, {column: fields[place] for column, place in taken.items() if place is not None}))
    if empty:
        notes.append(f"{empty} empty lines are skipped")
    return lines, notes


def columns(path: Path, head: str, delimiters: list[str]) -> list[str]:
    """The names of the columns, and the first delimiter that gives a path and a genre as last item; or []."""
    for delimiter in delimiters:
        cells = next((fields for _, fields in numbered(path, head, delimiter, -1)), [])
        names = [name.strip().strip("\"'").strip().casefold() for name in cells]
        if all({column, *ALSO[column]} & {*names} for column in ("path", "genre")):
            return [*names, delimiter]
    return []


def chosen(path: Path, column: str, names: list[str], notes: list[str]) -> int | None:
    """The position of a column: by its own name, or else by the only other usual name that occurs."""
    for known in ((column,), ALSO.get(column, ())):
        found = [name for name in names if name in known]
        if len(found) > 1:
            raise CatalogError(
                f"{path} has the column {found[0]} more than once. Keep one of them."
                if len({*found}) == 1
                else f"{path}: which column is the {column}: {', '.join(found)}? Name it {column}."
            )
        if found:
            if found[0] != column:
                notes.append(f"{found[0]} is the {column}")
            return names.index(found[0])
    return None


def numbered(path: Path, text: str, delimiter: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of their first line, without the header if ``skipped`` (the lines before it) is not -1."""
    blanks = delimiter + " " in text.partition("\n")[0]  # as in the header
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=blanks)
    try:
        if skipped >= 0:
            next(reader, None)
        begin = reader.line_num
        for fields in reader:
            yield skipped + begin + 1, fields
            begin = reader.line_num
    except csv.Error as error:
        line = max(skipped, 0) + reader.line_num
        raise CatalogError(f"{path} is not a UTF-8 CSV with a header line (line {line}: {error}).") from error


def genres_in(path: Path, lines: list[Line], notes: list[str]) -> list[str]:
    """The genres of each row, as ``blues|rock``; "" if there is none."""
    texts = [line.cells["genre"].strip() for line in lines]
    listings = [literal(path, line.number, text) for line, text in zip(lines, texts, strict=True)]
    plain = [text for text, several in zip(texts, listings, strict=True) if several is None]
    alone = {key(name) for text in plain for name in text.split(SEPARATOR)}
    genres, split = [], 0
    for line, text, several in zip(lines, texts, listings, strict=True):
        if key(text) in MISSING:
            genres.append("")
            continue
        names = text.split(SEPARATOR) if several is None else several
        if several is None and re.search("[,;]", text):
            names = [part for name in names for part in re.split("[,;]", name)]
            if not {key(name) for name in names} <= alone:
                raise CatalogError(
                    f"{path}, line {line.number}: is {text!r} one genre or several? Write several as "
                    f"{SEPARATOR.join(name.strip() for name in names)}, and one without comma and semicolon."
                )
        split += text != SEPARATOR.join(names) and len(names) > 1
        ordered = in_order(SEPARATOR.join(names))
        if not ordered or any(key(name) in MISSING for name in names):
            raise CatalogError(
                f"{path}, line {line.number}: one of the genres {text!r} is empty. "
                "Separate several as blues|rock, without a | at the ends."
            )
        genres.append(ordered)
    if split:
        notes.append(f"{split} lists are read as several genres")
    if empty := sum(not genre for genre in genres):
        notes.append(f"{empty} lines have no genre")
    return genres


def literal(path: Path, number: int, text: str) -> list[str] | None:
    """The names in a Python or JSON list, ``['rock', 'pop']`` or ``[21, 25]``; None if the text is not a list."""
    if text[:1] + text[-1:] not in ("[]", "()", "{}") or key(text) in MISSING:
        return None
    try:
        values = ast.literal_eval(text)
        quoted = [
            token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.STRING
        ]
        if not isinstance(values, list | tuple | set) or not all(type(value) in (str, int) for value in values):
            raise ValueError
        if len(quoted) != sum(isinstance(value, str) for value in values):  # NumPy prints lists without commas
            raise ValueError
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, tokenize.TokenError) as error:
        raise CatalogError(
            f"{path}, line {number}: which genres are {text:.99}? Separate several as blues|rock."
        ) from error
    return [str(value) for value in values]


def located(named: str, base: Path) -> tuple[Path, str]:
    """The file that a path means, and the reason if it cannot be used, as far as that is known without opening it.

    The path as written comes first. If there is no such file: without quotes and spaces around it, as a file: address,
    with ~ for the home, with / for the \\ of Windows, and in the Unicode form of the disk.
    """
    plain = named.strip()
    while len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "'\"":
        plain = plain[1:-1].strip()
    if plain.lower().startswith("file:"):
        plain = unquote(urlsplit(plain).path)
    if os.sep == "/":
        plain = plain.replace("\\", "/")
    tried = [named, os.path.expanduser(plain)]  # noqa: PTH111  (Path's raises where there is no such user)
    tried += [unicodedata.normalize(form, tried[1]) for form in ("NFC", "NFD")]
    there = next((base / one for one in tried if os.path.lexists(base / one)), None)
    if there and os.path.isdir(there):  # noqa: PTH112  (Path's raises where it may not look)
        return there, "is a folder, not a file. Name each file in it."
    if there:
        return there, ""
    if re.match(r"\w\w+://", plain):
        return base / named, "is a web address. Download it, and name the file."
    if os.sep == "/" and (drive := re.match(r"/?([A-Za-z]:)/", plain)):
        return base / named, f"is a Windows path, and this machine has no {drive[1]}. Write the path on this machine."
    return base / tried[1], ""


def hint(named: str, file: Path, base: Path) -> str:
    """A possible reason why a file is missing."""
    if Path(named).is_absolute() or not file.is_relative_to(base):
        return ""
    here = os.path.lexists(file.relative_to(base))
    found = f" It exists below {Path.cwd()}: put the table there, or write absolute paths." if here else ""
    return f" Relative paths start at the folder of the table.{found}"


def twice(line: Line, same: Line) -> str:
    """The error message for a file in two lines."""
    one, other = line.cells["path"], same.cells["path"]
    genres = f"{same.cells['genre']}|{line.cells['genre']}" if line.cells["genre"] != same.cells["genre"] else ""
    what = f"the track {one!r} is listed twice" if one == other else f"{one!r} is the same file as {other!r}"
    several = f" If it has several genres, write one line with {genres}." if genres else ""
    return f"{what}, first in line {same.number}. Remove one of the lines.{several}"
