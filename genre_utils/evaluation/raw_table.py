"""Any table of a file, as it is: its columns, its values as text or numbers, and the line of each row."""

import contextlib
import csv
import dataclasses
import json
import re
import unicodedata
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genre_utils.errors import EvaluationError, listed

PARQUET = (".parquet", ".pq")
JSON = (".json", ".jsonl", ".ndjson")
DELIMITERS = ",;\t|"
MISSING = ["", "nan", "NaN", "NAN", "null", "NULL", "None", "NA", "N/A", "n/a", "<NA>"]  # in a column of numbers
BLOCK_LINES = 5_000  # of JSON at once: as Python's objects, lines of 200 numbers take ten times their final size


@dataclasses.dataclass(frozen=True)
class RawTable:
    """A table as its file has it.

    Attributes
    ----------
    frame : pd.DataFrame
        Its columns under their own names.
    name : str
        Of the file, or how messages name the table.
    file : Path, optional
        Where it was read, if rows have lines there.
    delimiter : str
        Of a CSV file; else "".
    encoding : str
        Of a CSV file.
    """

    frame: pd.DataFrame
    name: str
    file: Path | None = None
    delimiter: str = ""
    encoding: str = "utf-8"

    def place(self, row: int) -> str:
        """Where a row is: ``line 7``, as an editor counts, or ``row 5``, counted from 0, if there are no lines."""
        if self.file is None:
            return f"row {row}"
        with self.file.open(encoding=self.encoding, newline="") as file:
            if not self.delimiter:
                numbers = (number for number, line in enumerate(file, 1) if line.strip())
                return f"line {next(number for place, number in enumerate(numbers) if place == row)}"
            reader, place, begin = csv.reader(file, delimiter=self.delimiter), -2, 0  # the header is -1
            for fields in reader:
                place += bool(fields)
                if place == row:
                    break
                begin = reader.line_num
            return f"line {begin + 1}"

    def wrong(self, row: int, column: str, text: str) -> EvaluationError:
        """The error for a value: file, line, column, and what is wrong."""
        return EvaluationError(f"{self.name}, {self.place(row)}, column {column}: {text}")

    def texts(self, column: str, label: bool = False) -> np.ndarray:
        """A column as text without spaces around it, "" if missing; a label 3.0 is 3."""
        values = self.frame[column]
        if values.dtype == object and len(values) and isinstance(values.iloc[0], dict):  # Hugging Face's column audio
            values = values.map(lambda value: value.get("path") if isinstance(value, dict) else value)
        try:
            codes, distinct = pd.factorize(values)
        except TypeError as error:
            raise self.wrong(0, column, f"expected a text or a number, found {values.iloc[0]!r:.60}.") from error
        names = np.array([*(as_text(value, label) for value in distinct), ""], dtype=object)
        return names[codes]  # a missing value has the code -1, the last

    def numbers(self, column: str) -> np.ndarray:
        """A column as float64, NaN if missing; another text than a number is an error."""
        values = self.frame[column]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            return values.to_numpy(float, na_value=np.nan)
        texts = pd.Series(self.texts(column))
        plain = texts.str.replace(",", ".", regex=False) if self.delimiter not in ("", ",") else texts
        found = pd.to_numeric(plain, errors="coerce").to_numpy(float)
        if len(bad := np.flatnonzero(np.isnan(found) & ~texts.isin(MISSING))):
            raise self.wrong(int(bad[0]), column, f"expected a number, found {texts[bad[0]]!r:.60}.")
        return found


def as_text(value: Any, label: bool = False) -> str:
    """A value as text, in one Unicode form; a whole number has no ``.0``, and no label has."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    text = unicodedata.normalize("NFC", str(value).strip())
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text) if label else text


def read(path: Path, text_columns: Collection[str]) -> tuple[RawTable, list[str]]:
    """Read a file as a table.

    Parameters
    ----------
    path : Path
        Parquet, JSON lines (or one JSON list) by its suffix; anything else is CSV, separated by commas, semicolons,
        tabs or ``|``.
    text_columns : collection of str
        Names of columns, without case, that hold text: in a CSV ``007`` and ``NA`` stay what they are.

    Returns
    -------
    table : RawTable
        With one row or more.
    notes : list of str
        How it was read, if that was not sure.

    Raises
    ------
    EvaluationError
        If it cannot be read or is empty.
    """
    suffix, notes = path.suffix.lower(), list[str]()
    if not path.is_file():
        raise EvaluationError(f"{path} is not {'a file' if path.exists() else 'there'}. Name a table of predictions.")
    try:
        if suffix in PARQUET:
            raw = RawTable(pd.read_parquet(path), path.name)
        elif suffix in JSON:
            raw = of_json(path)
        else:
            raw, notes = of_csv(path, {name.casefold() for name in text_columns})
    except (OSError, ValueError, csv.Error, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split())
        raise EvaluationError(
            f"{path} is not a table that can be read: {reason:.200}. Expected CSV with a header line, Parquet or JSON "
            "lines."
        ) from error
    return of_frame(raw.frame, raw), notes


def of_frame(frame: pd.DataFrame, raw: RawTable) -> RawTable:
    """A table with plain names of columns and rows numbered from 0; its index is a column, if it has a name."""
    names = [name for name in frame.index.names if name is not None]
    frame = frame.reset_index() if names and not {*names} & {*frame.columns} else frame.reset_index(drop=True)
    frame.columns = pd.Index([str(name).strip() for name in frame.columns])
    if twice := sorted({*frame.columns[frame.columns.duplicated()]}):
        raise EvaluationError(f"{raw.name} has the column {listed(twice)} more than once. Keep one of them.")
    if not len(frame):
        raise EvaluationError(f"{raw.name} has no rows. Expected one row for each prediction.")
    return dataclasses.replace(raw, frame=frame)


def of_csv(path: Path, text_columns: set[str]) -> tuple[RawTable, list[str]]:
    """Read text with separators, in UTF-8, UTF-16 or else Windows-1252."""
    with path.open("rb") as file:
        head = file.read(4_096)
    utf16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    if head[:4] == b"PK\3\4":
        raise ValueError("it is a workbook or another archive; save the table as CSV in UTF-8")
    if not head.strip() or (b"\0" in head and not utf16):
        raise ValueError("it holds the byte 0" if head.strip() else "it is empty")
    try:
        return decoded(path, "utf-16" if utf16 else "utf-8-sig", text_columns), []
    except UnicodeDecodeError:
        raw = decoded(path, "cp1252", text_columns)
        return raw, [f"{path.name} is not UTF-8 and was read as Windows-1252: check the names."]


def decoded(path: Path, encoding: str, text_columns: set[str]) -> RawTable:
    """Read text with separators in one encoding."""
    with path.open(encoding=encoding, newline="") as file:
        head = next((line for line in file if line.strip()), "")
    delimiter = max(DELIMITERS, key=lambda mark: len(next(csv.reader([head], delimiter=mark))))
    blanks = f"{delimiter} " in head  # as in the rows
    header = [name.strip() for name in next(csv.reader([head], delimiter=delimiter, skipinitialspace=blanks))]
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise ValueError(f"the column {listed(twice)} occurs more than once; keep one of them")
    names = [name or f"\0{place}" for place, name in enumerate(header)]  # pandas' own index has no name
    text = dict.fromkeys([name for name in names if name.casefold() in text_columns], str)
    with warnings.catch_warnings(), complete_rows(path, encoding, delimiter, len(header)):
        frame = pd.read_csv(
            path, sep=delimiter, names=names, header=0, index_col=False, dtype=text, encoding=encoding,
            skipinitialspace=blanks, keep_default_na=False, low_memory=False,
            na_values={name: MISSING for name in names if name not in text},
        )  # fmt: skip
    frame = frame[[name for name in names if not name.startswith("\0")]]
    return RawTable(frame, path.name, path, delimiter, encoding)


@contextlib.contextmanager
def complete_rows(path: Path, encoding: str, delimiter: str, width: int) -> Iterator[None]:
    """Name the first row with more cells than the header has, which pandas would only warn of."""
    warnings.simplefilter("error", pd.errors.ParserWarning)
    try:
        yield
    except (pd.errors.ParserWarning, pd.errors.ParserError) as error:
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            if found := next((fields for fields in reader if len(fields) > width), []):
                raise ValueError(f"line {reader.line_num}: expected {width} cells, found {len(found)}") from error
        raise


def of_json(path: Path) -> RawTable:
    """Read JSON lines, or one list of objects."""
    with path.open(encoding="utf-8-sig") as file:
        if file.read(1_024).lstrip().startswith("["):
            file.seek(0)
            return RawTable(pd.DataFrame(objects(json.load(file))), path.name)
        file.seek(0)
        frames, block = [], list[Any]()
        for number, line in enumerate(file, 1):
            try:
                block += objects([json.loads(line)]) if line.strip() else []
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            if len(block) == BLOCK_LINES:
                frames.append(pd.DataFrame(block))
                block = []
    frames += [pd.DataFrame(block)] if block else []
    return RawTable(pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(), path.name, path)


def objects(values: list[Any]) -> list[dict[str, Any]]:
    """The objects of a list; anything else than objects is an error."""
    if wrong := [value for value in values if not isinstance(value, dict)]:
        raise ValueError(f"expected an object for each row, found {wrong[0]!r:.60}")
    return values
