"""What the files of a run folder were made of: none is read beside those of other data or another training."""

import dataclasses
import json
from typing import Any

import pandas as pd

from genre_utils.datasets import labels
from genre_utils.errors import RunError
from genre_utils.params import Params
from genre_utils.runs import provenance
from genre_utils.runs.folder import WRITTEN, RunFolder
from genre_utils.system import disk

RECORD = "origins.json"  # in a run folder: of each file that was signed, its checksum and its origin
SHOWN = 5  # of the parameters that differ


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a file was made of.

    Attributes
    ----------
    data : str
        As ``provenance.fingerprint`` gives it.
    genres : list of str
        The classes, in the order of a network's outputs; empty of a file that knows tracks alone.
    params : dict
        Names and values; empty of such a file.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper.
    """

    data: str
    genres: list[str] = dataclasses.field(default_factory=list)
    params: dict[str, Any] = dataclasses.field(default_factory=dict)

    def differs(self, now: "Origin") -> str:
        """In what a file's own origin differs from one; what that says nothing of is not compared. "" if nothing."""
        if self.genres and self.genres != now.genres:
            return f"its genres are {', '.join(self.genres)}, and now {', '.join(now.genres)}"
        if self.data != now.data:
            return f"its data had the fingerprint {self.data}, and now {now.data}: other files, genres or artists"
        changed = [
            f"{name} {value!r}, now {now.params.get(name)!r}"
            for name, value in self.params.items()
            if name != "dataset" and value != now.params.get(name)  # the data's fingerprint knows better than its path
        ]
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        return f"its parameters differ: {', '.join(changed[:SHOWN])}{more}" if changed else ""


def of(tracks: pd.DataFrame, params: Params | None = None) -> Origin:
    """The origin of what is made of a catalog.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; every file is read, to be hashed.
    params : Params, optional
        Of a split, a network or its predictions. Without them, of what knows tracks alone.

    Returns
    -------
    Origin

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper.
    """
    data = provenance.fingerprint(tracks)
    if params is None:
        return Origin(data)
    return Origin(data, labels.genres_of(tracks[tracks["fault"] == ""]), params.to_mapping())


def sign(run: RunFolder, origin: Origin, *names: str) -> None:
    """Note what files have been made of, as soon as they are written.

    Parameters
    ----------
    run : RunFolder
        Holds them.
    origin : Origin
        As :func:`of` returns it.
    *names : str
        Of the files.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction, 03_training, 04_evaluation.
    """
    facts = dataclasses.asdict(origin)
    known = read(run) | {name: {"sha256": provenance.digest(run.folder / name)} | facts for name in names}
    with disk.replacing(run.folder / RECORD) as beside:
        beside.write_text(json.dumps(known, indent=1, ensure_ascii=True) + "\n")


def check(run: RunFolder, origin: Origin, *names: str) -> Origin:
    """Refuse files that were made of something else than what is there now, or changed since.

    Parameters
    ----------
    run : RunFolder
        Holds them.
    origin : Origin
        Of what is there now.
    *names : str
        Of the files; all are there.

    Returns
    -------
    Origin
        The same.

    Raises
    ------
    RunError
        If one does not belong to the rest; the message says in what it differs, and which notebooks make it anew.

    References
    ----------
    Notebook: 04_evaluation, 05_honest_splits, 06_beyond_the_paper.
    """
    known, stale = read(run), {}
    for name in names:
        facts = dict(known.get(name, {}))
        kept = facts.pop("sha256", None)
        if kept is None:
            stale[name] = "nothing says what it was made of"
        elif reason := Origin(**facts).differs(origin):
            stale[name] = reason
        elif kept != provenance.digest(run.folder / name):
            stale[name] = "it was changed or exchanged since it was written"
    if stale:
        again = ", ".join(notebook for notebook, left in WRITTEN.items() if {*left} & {*stale})
        reasons = "; ".join(
            f"{', '.join(name for name in stale if stale[name] == reason)}: {reason}"
            for reason in dict.fromkeys(stale.values())
        )
        raise RunError(
            f"{run.folder} holds files that do not belong to the rest. {reasons}. "
            f"Run {again} with the same run_dir first, or take another run_dir."
        )
    return origin


def check_finished(run: RunFolder) -> None:
    """The same of a run that notebook 4 has finished, by what its files say alone: its audio may be elsewhere.

    Parameters
    ----------
    run : RunFolder
        A run that is older than the record is not checked.

    Raises
    ------
    RunError
        As :func:`check`.
    """
    known = read(run)
    if known:
        data = known.get("tracks.parquet", {}).get("data", "unknown")
        genres = known.get("predictions.parquet", {}).get("genres", [])
        origin = Origin(data, genres, run.params.to_mapping())
        check(run, origin, "duplicates.csv", "tracks.parquet", "split.csv", "predictions.parquet", "metrics.json")


def read(run: RunFolder) -> dict[str, dict[str, Any]]:
    """The record: by file its checksum and its origin; empty if there is none."""
    path = run.folder / RECORD
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise RunError(f"{path} cannot be read ({error}). Remove it, and run the notebooks again.") from error
