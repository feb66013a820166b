"""Predictions of any program as this project's own table: from a file, a DataFrame or arrays."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genre_utils.datasets.spelling import SEPARATOR
from genre_utils.errors import EvaluationError, listed
from genre_utils.evaluation import prediction_classes, raw_table
from genre_utils.evaluation import prediction_columns as columns
from genre_utils.evaluation.prediction_columns import Columns
from genre_utils.evaluation.raw_table import RawTable
from genre_utils.paths import given


@dataclasses.dataclass(frozen=True)
class PredictionTable:
    """Predictions in the form of ``scoring.predict``, and what is not known about them.

    Attributes
    ----------
    rows : pd.DataFrame
        All rows, of every split: ``track_id`` (the path as the table has it), ``segment`` (its number within the
        track, by time), ``start_seconds`` and ``end_seconds`` (NaN: of the whole file), ``split``, ``genre`` (the true
        class), ``predicted``, ``p_<class>…`` (1 for the predicted class if there are no probabilities, so that a mean
        is a share of votes), ``artist`` (the group, "" if unknown), ``path`` (absolute, "" if no file was found), and
        the extras.
    name : str
        Of the file, or "predictions".
    has_probabilities : bool
        Whether the table has any.
    group : str
        The column that intervals resample, "" if there is none.
    extras : tuple of str
        Other columns of the table.
    notes : tuple of str
        Sentences: what is absent, and what was assumed.
    has_files : bool
        Whether the table says of which file a row is; else each row has a ``track_id`` of its own.
    """

    rows: pd.DataFrame
    name: str
    has_probabilities: bool
    group: str
    extras: tuple[str, ...]
    notes: tuple[str, ...]
    has_files: bool = True

    @property
    def tested(self) -> pd.DataFrame:
        """The rows to evaluate: those of :attr:`tested_splits`."""
        inside = self.rows["split"].isin(self.tested_splits)
        return self.rows if inside.all() else self.rows[inside].reset_index(drop=True)

    @property
    def tested_splits(self) -> tuple[str, ...]:
        """``test``; without it all splits of other names; without those ``validation``; at last ``train``."""
        every = sorted({*self.rows["split"]})
        others = tuple(name for name in every if name not in ("train", "validation", "test"))
        return next(names for names in (("test",), others, ("validation",), ("train",)) if {*names} & {*every})


def read(table: Any, *, audio: Any = None, options: Columns | None = None) -> PredictionTable:
    """Read predictions in any usual form.

    Parameters
    ----------
    table : str, Path or pd.DataFrame
        CSV, TSV, Parquet or JSON lines, one row for each prediction; ``prediction_columns`` has the usual
        names of columns.
        The true class, and the predicted class or probabilities, must be there.
    audio : str or Path, optional
        The folder of the audio files (``audio_lookup.locate``). Default: paths start at the folder of the table.
    options : Columns, optional
        Names of columns, if they have others.

    Returns
    -------
    PredictionTable

    Raises
    ------
    EvaluationError
        If a value is missing, impossible or contradicts another; the message names file, line and column.
    """
    options = options or Columns()
    notes: list[str] = []
    if isinstance(table, pd.DataFrame):
        raw, base = raw_table.of_frame(table, RawTable(table, "predictions")), Path()
    else:
        path = given(table)
        names = [name for role in columns.TEXT for name in columns.NAMES[role]]
        raw, notes = raw_table.read(path, [*names, *filter(None, dataclasses.astuple(options))])
        base = path.parent
    return canonical(raw, options, base, None if audio is None else given(audio), notes)


def of_arrays(
    y_true: Any,
    y_pred: Any = None,
    y_prob: Any = None,
    classes: Any = None,
    *,
    path: Any = None,
    group: Any = None,
    start: Any = None,
    end: Any = None,
    split: Any = None,
    audio: Any = None,
    name: str = "predictions",
) -> PredictionTable:
    """Predictions from arrays, as scikit-learn and PyTorch have them.

    Parameters
    ----------
    y_true : array-like [shape=(row,)]
        The true classes; if ``classes`` are names, also their positions there.
    y_pred : array-like [shape=(row,)], optional
        The predicted classes, in the same form. Default: the most probable class.
    y_prob : array-like [shape=(row, class)], optional
        Probabilities, as ``predict_proba`` returns them, not logits.
    classes : array-like [shape=(class,)], optional
        The classes of the columns of ``y_prob``. Default: the classes of ``y_true`` in sorted order, as ``classes_``.
    path, group, start, end, split : array-like [shape=(row,)], optional
        As the columns of a table, see :class:`Columns`.
    audio : str or Path, optional
        The folder of the audio files.
    name : str
        How messages name the table.

    Returns
    -------
    PredictionTable

    Raises
    ------
    EvaluationError
        If the arrays do not fit each other, or as :func:`read`.
    """
    truth = array(y_true)
    names = None if classes is None else [raw_table.as_text(one, label=True) for one in array(classes)]
    arrays: dict[str, np.ndarray] = {"true": truth}
    many = {"predicted": y_pred, "path": path, "group": group, "start": start, "end": end, "split": split}
    arrays |= {role: array(values) for role, values in many.items() if values is not None}
    if wrong := [f"{role} {values.shape}" for role, values in arrays.items() if values.shape != truth.shape[:1]]:
        raise EvaluationError(f"{name}: expected arrays of one value a row, as long as y_true. Found {listed(wrong)}.")
    notes: list[str] = []
    for role in ("true", "predicted"):
        values = arrays.get(role)
        if names and values is not None and values.dtype.kind in "iufb" and not all(map(str.isdigit, names)):
            values = values.astype(int) if (values == values.astype(int)).all() else values
            if len(values) and not 0 <= values.min() <= values.max() < len(names):
                raise EvaluationError(
                    f"{name}: expected positions from 0 to {len(names) - 1} in classes, found {values.min()} to "
                    f"{values.max()} in the {role} classes."
                )
            arrays[role] = np.array(names, dtype=object)[values]
    frame = pd.DataFrame(arrays)
    if y_prob is not None:
        scores = array(y_prob)
        names = names or [raw_table.as_text(one, label=True) for one in np.unique(truth)]
        if scores.shape != (len(truth), len(names)):
            raise EvaluationError(
                f"{name}: expected y_prob of shape {(len(truth), len(names))}, one row for each of y_true and one "
                f"column for each of the classes {listed(names)}. Found {scores.shape}. Give classes in the order of "
                "the columns."
            )
        if twice := sorted({one for one in names if names.count(one) > 1}):
            raise EvaluationError(f"{name}: expected each class once in classes, found {listed(twice)} twice.")
        frame = pd.concat([frame, pd.DataFrame(scores, columns=[f"p_{one}" for one in names])], axis=1)
    raw = raw_table.of_frame(frame, RawTable(frame, name))
    return canonical(raw, Columns(), Path(), None if audio is None else given(audio), notes)


def array(values: Any) -> np.ndarray:
    """An array-like as an array, also one of PyTorch that is on a GPU or has a gradient."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def canonical(raw: RawTable, options: Columns, base: Path, audio: Path | None, notes: list[str]) -> PredictionTable:
    """Bring a table into this project's form.

    Parameters
    ----------
    raw : RawTable
        The table as it was given.
    options : Columns
        Names of its columns.
    base : Path
        Where relative paths start.
    audio : Path, optional
        The folder of the audio files.
    notes : list of str
        What is known about the table already; grows.

    Returns
    -------
    PredictionTable

    Raises
    ------
    EvaluationError
        As :func:`read`.
    """
    roles = columns.roles_of(raw, options, notes)
    if not roles["true"]:
        raise EvaluationError(
            f"{raw.name} has no column for the true class. Expected one of {', '.join(columns.NAMES['true'])}, or "
            f"--true NAME. Found: {listed(raw.frame.columns)}."
        )
    genre = prediction_classes.classes_in(raw, roles["true"], several=True)
    guess = prediction_classes.classes_in(raw, roles["predicted"]) if roles["predicted"] else np.array([], object)
    labels = {part for text in {*genre} for part in text.split(SEPARATOR)} | {*guess}
    of_class = prediction_classes.probability_columns(raw, roles, labels, notes)
    if not (of_class or roles["predicted"]):
        raise EvaluationError(
            f"{raw.name} has neither a predicted class nor probabilities. Expected one of "
            f"{', '.join(columns.NAMES['predicted'])}, or --predicted NAME, or a column p_CLASS for each class. Found: "
            f"{listed(raw.frame.columns)}. CLASS is spelled as in the column of the true class: "
            f"{listed(sorted(labels)[:5])}."
        )
    classes = prediction_classes.in_order(labels | {*of_class})
    names, every = pd.Index(classes, dtype=object), np.arange(len(genre))
    if of_class:
        values = prediction_classes.probabilities(raw, of_class, classes, notes)
        if not roles["predicted"]:
            guess = names.to_numpy()[values.argmax(axis=1)]
            notes.append("There is no column for the predicted class: it is the most probable class.")
        if other := int((values[every, names.get_indexer(guess)] < values.max(axis=1)).sum()):
            notes.append(f"In {other:,} rows the predicted class is not the most probable one. It is kept as it is.")
    else:
        values = np.zeros((len(genre), len(classes)), np.float32)  # (row, class)
        values[every, names.get_indexer(guess)] = 1
        notes.append("There are no probabilities: confidence and calibration are unknown.")
    track, found = columns.files_of(raw, roles["path"], base, audio, notes)
    group = raw.texts(roles["group"]) if roles["group"] else np.full(len(genre), "", object)
    if not (grouped := bool((group != "").any())):
        what = "files" if roles["path"] else "rows"
        absent = f"The column {roles['group']} is empty" if roles["group"] else "There is no column for groups"
        notes.append(
            f"{absent}, such as artist or speaker: intervals resample {what}, and are too narrow if one speaker has "
            f"several {what}."
        )
    start, end = columns.times(raw, roles)
    front = pd.DataFrame(
        {
            "track_id": track,
            "segment": columns.segments(raw, track, start),
            "start_seconds": start,
            "end_seconds": end,
            "split": columns.splits(raw, roles, notes),
            "genre": genre,
            "predicted": guess,
        }
    )
    columns.no_conflicts(raw, front, bool(np.isfinite(start).any()), notes)
    prediction_classes.about_classes(classes, genre, guess, notes)
    shares = pd.DataFrame(values, columns=[f"p_{name}" for name in classes], copy=False)
    back = pd.DataFrame({"artist": group, "path": found})
    own = {columns.named(raw, "segment"), columns.beside(raw, roles["path"])}
    extras = columns.extras_of(raw, {*roles.values(), *of_class.values(), *own}, notes)
    rows = pd.concat([front, shares, back, extras], axis=1)
    return PredictionTable(
        rows=rows,
        name=raw.name,
        has_probabilities=bool(of_class),
        group=roles["group"] if grouped else "",
        extras=tuple(extras.columns),
        notes=tuple(notes),
        has_files=bool(roles["path"]),
    )
