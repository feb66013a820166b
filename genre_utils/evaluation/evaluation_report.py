"""The figures of a table of predictions: accuracy with intervals, by class, calibration, comparison, leakage."""

import json
from typing import Any

import numpy as np
import pandas as pd

from genre_utils.datasets import labels
from genre_utils.errors import EvaluationError, listed
from genre_utils.evaluation import reliability, scoring, training_overlap, uncertainty
from genre_utils.evaluation.prediction_table import PredictionTable
from genre_utils.evaluation.training_overlap import TrainingFiles
from genre_utils.paths import given
from genre_utils.system import disk


def evaluate(
    table: PredictionTable,
    against: PredictionTable | None = None,
    training: TrainingFiles | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute every figure of a table of predictions.

    Parameters
    ----------
    table : PredictionTable
        As ``prediction_table.read`` or ``prediction_table.of_arrays`` returns it.
    against : PredictionTable, optional
        Predictions of another model, to compare on the rows that both have.
    training : TrainingFiles, optional
        What the network was trained on, as ``training_overlap.read`` returns it. Default: the table's split train.
    seed : int
        Seed of the intervals.

    Returns
    -------
    dict
        Plain JSON; what is unknown is None. ``name, rows, of_rows, files, classes, splits, group, groups,
        has_probabilities``. ``by_row`` and ``by_file``: ``uncertainty.accuracy``, where a file is decided by the mean
        of its rows. ``majority``: the ``accuracy`` of always predicting the most frequent class, which is ``class``.
        ``balanced_accuracy``: the mean recall. ``table`` and ``average``: ``scoring.table_one``. ``confused``: the
        pairs of ``scoring.confused_pairs`` that are confused. ``calibration``:
        ``reliability.expected_calibration_error``. ``against``: see :func:`comparison`. ``training``: see
        ``training_overlap.overlap``. ``notes``: what is absent and what was assumed.

    Raises
    ------
    EvaluationError
        If the other table has no row of this one, or other true classes.
    """
    rows = table.tested
    nouns = {"artist": table.group.removesuffix("_id"), "track": "file" if table.has_files else "row"}
    files = by_file(rows)
    by_class = scoring.table_one(rows)
    pairs = scoring.confused_pairs(rows)
    training = training or training_overlap.of_splits(table)
    report = {
        "name": table.name,
        "rows": len(rows),
        "of_rows": len(table.rows),
        "files": rows["track_id"].nunique(),
        "classes": scoring.genres_of(rows),
        "splits": table.tested_splits,
        "group": table.group or None,
        "groups": rows.loc[rows["artist"] != "", "artist"].nunique(),
        "has_probabilities": table.has_probabilities,
        "by_row": uncertainty.accuracy(rows, seed),
        "by_file": None if files is None else uncertainty.accuracy(files, seed),
        "majority": {
            "class": labels.most_frequent(rows),
            "accuracy": labels.chance(rows),
        },
        "balanced_accuracy": by_class["recall"][by_class["support"] > 0].drop(scoring.AVERAGE).mean(),
        "table": by_class.drop(index=scoring.AVERAGE).to_dict("index"),
        "average": by_class.loc[scoring.AVERAGE].to_dict(),
        "confused": pairs[pairs["confused"] > 0].drop(columns="in_paper").to_dict("records"),
        "calibration": reliability.expected_calibration_error(rows, seed) if table.has_probabilities else None,
        "against": None if against is None else comparison(table, against, seed),
        "training": None if training is None else training_overlap.overlap(table, training, seed),
        "notes": table.notes,
    }
    for figures in report["table"].values():
        if not figures["support"]:  # nothing is known about it
            figures |= {"precision": None, "recall": None, "f1": None}
    return plain(report, nouns)


def by_file(rows: pd.DataFrame) -> pd.DataFrame | None:
    """One row for each file, None if files have several true classes."""
    several = rows["genre"] != rows.groupby("track_id", sort=False)["genre"].transform("first")
    return None if several.any() else scoring.by_track(rows)


def comparison(table: PredictionTable, against: PredictionTable, seed: int = 0) -> dict[str, Any]:
    """Two models on the rows that both tables have: the same file, and the same start or number.

    Parameters
    ----------
    table, against : PredictionTable
        Predictions of both.
    seed : int
        Seed of the interval.

    Returns
    -------
    dict
        ``name`` of the other table; ``rows`` in both, and how many of each are left out, ``left_out`` and
        ``left_out_other``; ``accuracy`` and ``accuracy_other`` on the rows in both; ``difference``, this model minus
        the other (``uncertainty.difference``); ``mcnemar`` by file (``uncertainty.mcnemar``), this model first; None
        if files have several true classes.

    Raises
    ------
    EvaluationError
        If they have no row in common, or other true classes.
    """
    first, second = matched(table, against)
    files = [by_file(one) for one in (first, second)]
    one_class = files[0] is not None and files[1] is not None
    return {
        "name": against.name,
        "rows": len(first),
        "left_out": len(table.tested) - len(first),
        "left_out_other": len(against.tested) - len(second),
        "accuracy": float(uncertainty.is_right(first).mean()),
        "accuracy_other": float(uncertainty.is_right(second).mean()),
        "difference": uncertainty.difference(second, first, seed),
        "mcnemar": uncertainty.mcnemar(*files) if one_class else None,
        "notes": [f"{against.name}: {note}" for note in against.notes if note not in table.notes],
    }


def matched(table: PredictionTable, against: PredictionTable) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tested rows that both tables have, in the same order; both with the groups of the first table.

    Raises
    ------
    EvaluationError
        If they have no row in common, or other true classes.
    """
    tables = [one.tested for one in (table, against)]
    timed = all(one["start_seconds"].notna().any() for one in tables)
    for place, one in enumerate(tables):
        when = one["start_seconds"].fillna(0).mul(1e6).round() if timed else one["segment"]
        tables[place] = one.assign(segment=when.astype(int))
    keys = ["track_id", "segment"]
    every = [pd.MultiIndex.from_frame(one[keys]) for one in tables]
    both = [one[here.isin(there)] for one, here, there in zip(tables, every, every[::-1], strict=True)]
    if not len(both[0]):
        names = [listed(one["track_id"].drop_duplicates().head(2)) for one in tables]
        raise EvaluationError(
            f"{table.name} and {against.name} have no row in common, so they cannot be compared. Expected the same "
            f"paths{' and starts' if timed else ''}. Found {names[0]} … and {names[1]} …."
        )
    first, second = (one.sort_values(keys, ignore_index=True) for one in both)
    second = second.assign(artist=first["artist"])  # the groups of this table are resampled
    if len(differ := np.flatnonzero(first["genre"] != second["genre"])):
        row = differ[0]
        raise EvaluationError(
            f"{table.name} and {against.name} differ in the true class of {len(differ):,} rows, the first of "
            f"{first['track_id'][row]}: {first['genre'][row]!r} and {second['genre'][row]!r}. Correct one of them."
        )
    return first, second


def write_json(report: dict[str, Any], out: str) -> None:
    """Write a report to a file, or to standard output if it is -."""
    whole = json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1)
    if out == "-":
        print(whole)
        return
    if given(out).is_dir():
        raise EvaluationError(f"{out} is a folder. Name a file for the figures.")
    with disk.replacing(given(out)) as beside:
        beside.write_text(f"{whole}\n", encoding="utf-8")


def plain(value: Any, nouns: dict[str, str]) -> Any:
    """Values as JSON has them, NaN as None, and the resampled artists and tracks in the words of the table."""
    if isinstance(value, dict):
        whole = {str(name): plain(one, nouns) for name, one in value.items()}
        if by := value.get("resampled_by"):
            whole["resampled_by"] = nouns[by]
            if reason := value.get("no_interval"):
                whole["no_interval"] = reason.replace(f" {by}", f" {nouns[by]}")
        return whole
    if isinstance(value, list | tuple):
        return [plain(one, nouns) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value
