"""The origin of each file in a run folder, so that files of other data or another training are not mixed."""

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

RECORD = "origins.json"  # in a run folder: checksum and origin of each signed file
SHOWN = 5  # differing parameters in an error message


@dataclasses.dataclass(frozen=True)
class Origin:
    """The data, genres and parameters that a file was made from.

    Attributes
    ----------
    data : str
        Their ``provenance.fingerprint``.
    genres : list of str
        The classes, in the order of a network's outputs; empty for a file that depends only on the tracks.
    params : dict
        Names and values; empty for such a file.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper.
    """

    data: str
    genres: list[str] = dataclasses.field(default_factory=list)
    params: dict[str, Any] = dataclasses.field(default_factory=dict)

    def differs(self, now: "Origin") -> str:
        """How this origin differs from the current one, or ""; genres and parameters are compared if it has some."""
        if self.genres and self.genres != now.genres:
            return f"its genres are {', '.join(self.genres)}, and now {', '.join(now.genres)}"
        if self.data != now.data:
            return f"its data had the fingerprint {self.data}, and now {now.data}: files, genres or artists differ"
        changed = [
            f"{name} {value!r}, now {now.params.get(name)!r}"
            for name, value in self.params.items()
            if name != "dataset" and value != now.params.get(name)  # its fingerprint is compared, not its path
        ]
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        return f"its parameters differ: {', '.join(changed[:SHOWN])}{more}" if changed else ""


def of(tracks: pd.DataFrame, params: Params | None = None) -> Origin:
    """The origin of files that are made from a catalog.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; files that are new or have changed are hashed.
    params : Params, optional
        For a split, a network or its predictions; without them for files that depend only on the tracks.

    Returns
    -------
    Origin

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper,
    07_transfer.
    """
    data = provenance.fingerprint(tracks)
    if params is None:
        return Origin(data)
    return Origin(data, labels.genres_of(tracks[tracks["fault"] == ""]), params.to_mapping())


def sign(run: RunFolder, origin: Origin, *names: str) -> None:
    """Record the origin of files, right after they are written.

    Parameters
    ----------
    run : RunFolder
        The folder of the run.
    origin : Origin
        From :func:`of`.
    *names : str
        Of the files.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction, 03_training, 04_evaluation, 07_transfer.
    """
    facts = dataclasses.asdict(origin)
    known = read(run) | {name: {"sha256": provenance.digest(run.folder / name)} | facts for name in names}
    with disk.replacing(run.folder / RECORD) as beside:
        beside.write_text(json.dumps(known, indent=1, ensure_ascii=True) + "\n")


def check(run: RunFolder, origin: Origin, *names: str) -> Origin:
    """Check that files have the given origin and are unchanged.

    Parameters
    ----------
    run : RunFolder
        The folder of the run.
    origin : Origin
        The current one.
    *names : str
        Of the files, which must exist.

    Returns
    -------
    Origin
        The same.

    Raises
    ------
    RunError
        If a file differs; the message says how, and which notebooks write it again.

    References
    ----------
    Notebook: 04_evaluation, 05_honest_splits, 06_beyond_the_paper, 07_transfer.
    """
    known, stale = read(run), {}
    for name in names:
        facts = dict(known.get(name, {}))
        kept = facts.pop("sha256", None)
        if kept is None:
            stale[name] = "its origin is not recorded"
        elif reason := Origin(**facts).differs(origin):
            stale[name] = reason
        elif kept != provenance.digest(run.folder / name):
            stale[name] = "it was changed or replaced after it was written"
    if stale:
        again = ", ".join(notebook for notebook, left in WRITTEN.items() if {*left} & {*stale})
        reasons = "; ".join(
            f"{', '.join(name for name in stale if stale[name] == reason)}: {reason}"
            for reason in dict.fromkeys(stale.values())
        )
        raise RunError(
            f"{run.folder} holds files that do not belong together. {reasons}. "
            f"Run {again} with the same run_dir first, or use another run_dir."
        )
    return origin


def check_finished(run: RunFolder) -> None:
    """Check that the files of a run that notebook 4 has finished belong together, without reading its audio.

    Parameters
    ----------
    run : RunFolder
        The run; one from an older version, without a record, is not checked.

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
    """Read the record: checksum and origin by file; empty if there is none."""
    path = run.folder / RECORD
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise RunError(f"{path} cannot be read ({error}). Remove it, and run the notebooks again.") from error
