"""What made a run: enough to make it again, and to say what differs if it comes out otherwise."""

import concurrent.futures
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from genre_utils.errors import ParamsError, RunError
from genre_utils.paths import PROJECT
from genre_utils.runs.folder import RunFolder, read_mapping, versions
from genre_utils.system import disk

RECORD = "run.yml"  # of a headless run: what it was told, and by which code it was done
TOLD = {"profile": str, "settings": list, "values": dict}
PROGRESS = ("notebooks", "done")  # what it was asked for, and how far it is
CHANGED = "-changed"  # ends a commit's name if code or notebooks are no longer the commit's
CAUSES = ("commit", "versions", "data_fingerprint", "device")  # in metrics.json: what figures depend on


def commit() -> str:
    """The git commit of the code that runs.

    Returns
    -------
    str
        40 hexadecimal digits, and ``-changed`` behind them if ``genre_utils`` or ``notebooks`` hold anything else than
        the commit; "" outside a git checkout (installed from a wheel, say), or without git.

    References
    ----------
    Notebook: 04_evaluation.
    """
    if not (PROJECT / ".git").exists():  # or git would name the commit of a project around an installed package
        return ""
    others = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # a hook's, say

    def git(*words: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(PROJECT), *words]
        return subprocess.run(command, env=others, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changes = git("status", "--porcelain", "--", "genre_utils", "notebooks")
        return git("rev-parse", "HEAD") + (CHANGED if changes else "")
    except (OSError, subprocess.CalledProcessError):  # no git, nothing committed yet, or a folder of somebody else's
        return ""


def fingerprint(tracks: pd.DataFrame) -> str:
    """Name of the data: a hash of what the catalog says and of every file's bytes.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; where its files lie does not count, so that the same data has one name on every machine.

    Returns
    -------
    str
        16 hexadecimal digits. A file that cannot be read counts by its name alone.

    References
    ----------
    Notebook: 04_evaluation.
    """
    columns = ["track_id", "genre", "artist", "title", "published_split"]
    with concurrent.futures.ThreadPoolExecutor() as threads:  # hashing lets go of the interpreter's lock
        digests = list(threads.map(digest, map(Path, tracks["path"])))
    facts = tracks[columns].assign(digest=digests).sort_values("track_id").to_dict("records")
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes; "" of what is no file or cannot be read."""
    if not path.is_file():  # a pipe would be waited for
        return ""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def record(run: RunFolder, made: dict[str, Any]) -> None:
    """Write ``run.yml``, before the first notebook: a run that fails says what made it, too.

    Parameters
    ----------
    run : RunFolder
        Where the notebooks will write.
    made : dict
        ``profile`` (its name), ``settings`` (as ``--set`` got them), ``values`` (both together, as the notebooks
        get them), ``notebooks`` (the stems of those that it was asked for), ``done`` (of those that have ended well).
        Of a run that goes on, ``commit`` and ``versions`` are those that began it.
    """
    facts = {name: made[name] for name in (*TOLD, *PROGRESS)}
    facts |= {"commit": made.get("commit") or commit(), "versions": made.get("versions") or versions()}
    with disk.replacing(run.folder / RECORD) as beside:
        beside.write_text(yaml.safe_dump(facts, sort_keys=False, allow_unicode=True), encoding="utf-8")


def recorded(run: RunFolder) -> dict[str, Any]:
    """What ``run.yml`` says.

    Parameters
    ----------
    run : RunFolder
        Of a headless run.

    Returns
    -------
    dict
        ``profile, settings, values, notebooks, done, commit, versions``; ``notebooks`` and ``done`` are empty in a
        record that is older than them.

    Raises
    ------
    RunError
        If it is not there or is no such file.
    """
    path = run.folder / RECORD
    if not path.is_file():
        raise RunError(
            f"{run.folder} holds no {RECORD}, which says what a run was told: it is older than that file, or was made "
            "notebook by notebook. Its params.yml has the parameters; make a new run of them with --profile and --set."
        )
    try:
        facts = read_mapping(path)
    except ParamsError as error:
        raise RunError(str(error)) from error
    if not all(isinstance(facts.get(name), kind) for name, kind in TOLD.items()) or not all(
        isinstance(facts.get(name, []), list) for name in PROGRESS
    ):
        raise RunError(f"{path} must hold {', '.join(TOLD)}, as a headless run writes them. Is it another program's?")
    return {name: [] for name in PROGRESS} | facts


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What two runs' ``metrics.json`` do not have in common, seconds left out.

    Parameters
    ----------
    before, after : dict
        As ``RunFolder.metrics`` returns them.

    Returns
    -------
    dict
        By name (``versions.keras``, ``segment.accuracy``) both values, None where there is none; first the causes
        (commit, versions, data, device), then the figures. Empty if they are the same.
    """
    one, other = (flat({name: value for name, value in of.items() if name != "seconds"}) for of in (before, after))
    names = [name for name in one | other if one.get(name) != other.get(name)]
    return {name: (one.get(name), other.get(name)) for name in sorted(names, key=lambda name: not is_cause(name))}


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """A mapping of mappings as one, its names joined by dots."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = {f"{name}.{key}": one for key, one in flat(value).items()} if isinstance(value, dict) else {}
        found |= inner or {name: value}
    return found


def is_cause(name: str) -> bool:
    """Whether a name of :func:`differences` is of what figures depend on, and no figure itself."""
    return name.partition(".")[0] in CAUSES


def broken(before: dict[str, Any], found: dict[str, tuple[Any, Any]]) -> bool:
    """Whether figures differ although nothing is known to: code, versions, data and device are the same.

    Parameters
    ----------
    before : dict
        The first run's metrics; of code that was changed after its commit it is not known whether it is the same.
    found : dict
        As :func:`differences` returns it.

    Returns
    -------
    bool
    """
    return bool(found) and not any(map(is_cause, found)) and not str(before.get("commit")).endswith(CHANGED)
