"""What tested files share with the training files: the file itself, the artist or another group, the title."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from genre_utils.errors import EvaluationError, listed
from genre_utils.evaluation import prediction_columns as columns
from genre_utils.evaluation import raw_table, uncertainty
from genre_utils.evaluation.prediction_columns import Columns
from genre_utils.evaluation.prediction_table import PredictionTable
from genre_utils.evaluation.raw_table import RawTable
from genre_utils.paths import given
from genre_utils.splits import leaks

TITLES = ("title", "song", "track_title")  # usual names of the column, without case
KINDS = {"file": "files", "artist": "groups", "song": "titles"}  # of ``leaks.names``, and their names here
NAMED = 5  # names that are shared, for each kind


@dataclasses.dataclass(frozen=True)
class TrainingFiles:
    """The files that a network was trained on.

    Attributes
    ----------
    tracks : pd.DataFrame [columns=track_id, artist, title, path]
        One row for each file; ``artist`` is the group; "" is unknown.
    name : str
        Where they are from.
    notes : tuple of str
        What was assumed.
    """

    tracks: pd.DataFrame
    name: str
    notes: tuple[str, ...] = ()


def read(table: Any, *, audio: Any = None, options: Columns | None = None) -> TrainingFiles:
    """Read the files that a network was trained on.

    Parameters
    ----------
    table : str, Path or pd.DataFrame
        One row or more for each file: a column for the path, and if possible for the group and the title. If it has
        splits, those of the split train.
    audio : str or Path, optional
        The folder of the audio files, as for the predictions.
    options : Columns, optional
        Names of columns; those that this table does not have are not used.

    Returns
    -------
    TrainingFiles

    Raises
    ------
    EvaluationError
        If there is no column for the path.
    """
    asked = dataclasses.asdict(options or Columns())
    notes: list[str] = []
    if isinstance(table, pd.DataFrame):
        raw, base = raw_table.of_frame(table, RawTable(table, "the training table")), Path()
    else:
        names = [name for role in columns.TEXT for name in columns.NAMES[role]]
        raw, notes = raw_table.read(given(table), [*names, *TITLES, *filter(None, asked.values())])
        base = given(table).parent
    known = {name.casefold() for name in raw.frame.columns}
    here = Columns(**{role: name if name.casefold() in known else "" for role, name in asked.items()})
    assumed: list[str] = []
    roles = columns.roles_of(raw, here, assumed)
    notes += [note for note in assumed if any(f"taken as {role}" in note for role in ("path", "group", "split"))]
    if not roles["path"]:
        raise EvaluationError(
            f"{raw.name} has no column for the training files. Expected one of {', '.join(columns.NAMES['path'])}, or "
            f"--path NAME. Found: {listed(raw.frame.columns)}."
        )
    ids, paths = columns.files_of(raw, roles["path"], base, None if audio is None else given(audio), [])
    title = titles_in(raw.frame.columns)
    tracks = pd.DataFrame(
        {
            "track_id": ids,
            "artist": raw.texts(roles["group"]) if roles["group"] else "",
            "title": raw.texts(title) if title else "",
            "path": paths,
        }
    )
    if roles["split"]:
        inside = columns.splits(raw, roles, []) == "train"
        if inside.any() and not inside.all():
            tracks = tracks[inside]
            notes.append(f"Of {raw.name}, the rows of the split train are used: {inside.sum():,} of {len(inside):,}.")
    return TrainingFiles(tracks.drop_duplicates(ignore_index=True), raw.name, tuple(notes))


def of_splits(table: PredictionTable) -> TrainingFiles | None:
    """The files of a table's own split train, if it has one that is not evaluated."""
    rows = table.rows[table.rows["split"] == "train"]
    if rows.empty or "train" in table.tested_splits:
        return None
    return TrainingFiles(tracks_of(rows, table), f"split train of {table.name}")


def tracks_of(rows: pd.DataFrame, table: PredictionTable) -> pd.DataFrame:
    """The files of some rows, as :class:`TrainingFiles` has them."""
    title = titles_in(table.extras)
    tracks = rows[["track_id", "artist", "path"]].assign(title=rows[title].fillna("").astype(str) if title else "")
    return tracks[["track_id", "artist", "title", "path"]].drop_duplicates(ignore_index=True)


def titles_in(names: Iterable[str]) -> str:
    """The column of titles, "" if there is none."""
    return next((name for usual in TITLES for name in names if name.casefold() == usual), "")


def overlap(table: PredictionTable, training: TrainingFiles, seed: int = 0) -> dict[str, Any]:
    """What the tested rows share with the training files, and the accuracy with and without rows that share.

    Parameters
    ----------
    table : PredictionTable
        The predictions.
    training : TrainingFiles
        What the network was trained on.
    seed : int
        Seed of the intervals.

    Returns
    -------
    dict
        ``name`` and number of ``training_files``. For each of ``files``, ``groups`` and ``titles``: how many are
        ``shared``, the first ``names`` of them, how many tested files are ``affected``, ``of`` how many, and for how
        many the name is ``unknown``; None if all are unknown on one side. ``rows_known`` of ``rows`` are of a file or
        a group that is in training, too; ``accuracy_known`` and ``accuracy_unknown`` are ``uncertainty.accuracy`` of
        these rows and of all others, None if there are none. ``notes``.

    References
    ----------
    B. L. Sturm, The GTZAN dataset (2013), arXiv:1306.1461. ``splits.leaks``.
    """
    rows = table.tested
    tested, trained = tracks_of(rows, table), training.tracks
    same = dict(zip(tested["path"], tested["track_id"], strict=True))
    same.pop("", None)  # no audio was found
    pairs = zip(trained["path"], trained["track_id"], strict=True)
    ids = pd.Series([same.get(path, one) for path, one in pairs], dtype=str)  # one file by two paths is one file
    sides = {"train": trained.assign(track_id=ids.to_numpy()), "test": tested}
    names = {split: leaks.names(side.reset_index(drop=True)) for split, side in sides.items()}
    count = tested["track_id"].nunique()
    report: dict[str, Any] = {"name": training.name, "training_files": int(ids.nunique())}
    affected = dict[str, set[str]]()
    for kind, plural in KINDS.items():
        here, there = (names[split][names[split]["what"] == kind] for split in ("train", "test"))
        common = there[there["name"].isin(here["name"])]
        affected[kind] = {*common["track_id"]}
        shared = common["name"].drop_duplicates()
        report[plural] = None
        if len(here) and len(there):
            report[plural] = {
                "shared": len(shared),
                "names": shared.head(NAMED).tolist(),
                "affected": len(affected[kind]),
                "of": count,
                "unknown": count - there["track_id"].nunique(),
            }
    known = rows["track_id"].isin(affected["file"] | affected["artist"])
    parts = {"accuracy_known": rows[known], "accuracy_unknown": rows[~known]}
    report |= {"rows": len(rows), "rows_known": int(known.sum())}
    report |= {name: uncertainty.accuracy(part, seed) if len(part) else None for name, part in parts.items()}
    return report | {"notes": [*training.notes, *doubts(table, report, tested["track_id"], ids)]}


def doubts(table: PredictionTable, report: dict[str, Any], tested: pd.Series, trained: pd.Series) -> list[str]:
    """What the comparison cannot see, in words."""
    notes = []
    if not report["groups"]:
        where = report["name"] if table.group else table.name
        notes.append(f"{where} has no groups: artists or speakers who are in training, too, are not found.")
    if not report["files"] and not report["groups"] and not report["titles"]:
        notes.append("Nothing can be compared.")
    ends = [{PurePosixPath(one).name for one in ids} for ids in (tested, trained)]
    if not {*tested} & {*trained} and (alike := sorted(ends[0] & ends[1])):
        notes.append(
            f"No path is in both, but {len(alike):,} file names are ({listed(alike[:NAMED])}). If they are the same "
            "files, write their paths in the same way, or name their folder by --audio."
        )
    return notes
