"""Provenance of a run: what is needed to repeat it, and to explain differences."""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import stat
import subprocess
import time
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from genre_utils.errors import DiskError, ParamsError, RunError
from genre_utils.paths import CACHE, INSTALLED, PROJECT
from genre_utils.runs.folder import RunFolder, read_mapping, versions
from genre_utils.system import disk

RECORD = "run.yml"  # of a headless run: its settings and the version of the code
REQUIRED = {"profile": str, "settings": list, "values": dict}
PROGRESS = ("notebooks", "done")  # the notebooks that were requested, and those that are finished
CHANGED = "-changed"  # after a commit's name, if code or notebooks were changed since
SETTLED_NS = 2 * 10**9  # a file changed more recently may change again within the resolution of its times
CAUSES = ("commit", "versions", "data_fingerprint", "device")  # entries of metrics.json that results depend on


def commit() -> str:
    """The git commit of the code that runs.

    Returns
    -------
    str
        40 hexadecimal digits, and ``-changed`` if ``genre_utils`` or ``notebooks`` differ from the commit; "" outside
        a git checkout (as after an install from a wheel), or without git.

    References
    ----------
    Notebook: 04_evaluation.
    """
    if INSTALLED or not (PROJECT / ".git").exists():  # otherwise git would name the commit of a project around it
        return ""
    others = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # set in hooks

    def git(*words: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(PROJECT), *words]
        return subprocess.run(command, env=others, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changes = git("status", "--porcelain", "--", "genre_utils", "notebooks")
        return git("rev-parse", "HEAD") + (CHANGED if changes else "")
    except (OSError, subprocess.CalledProcessError):  # no git, no commit yet, or a folder of another user
        return ""


def fingerprint(tracks: pd.DataFrame) -> str:
    """Fingerprint of the data: a hash of the catalog and of the content of every file.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; the paths do not count, so that the same data has the same fingerprint on every machine.

    Returns
    -------
    str
        16 hexadecimal digits. A file that cannot be read counts only by its name.

    References
    ----------
    Notebook: 04_evaluation.
    """
    columns = ["track_id", "genre", "artist", "title", "published_split"]
    facts = tracks[columns].assign(digest=digests([Path(path) for path in tracks["path"]])).sort_values("track_id")
    return hashlib.sha256(json.dumps(facts.to_dict("records")).encode()).hexdigest()[:16]


def digests(paths: list[Path]) -> list[str]:
    """SHA-256 of each file of a catalog, hashed again only if it has changed: six notebooks ask for the same files."""
    name = hashlib.sha256(json.dumps([str(path.absolute()) for path in paths]).encode()).hexdigest()[:16]
    cache, now = CACHE / "digests" / f"{name}.json", time.time_ns()
    known, states = read_digests(cache), [state(path) for path in paths]

    def known_or_new(path: Path, now: list[int]) -> str:
        before, value = known.get(str(path), ([], ""))
        return value if now and before == now else digest(path)

    with concurrent.futures.ThreadPoolExecutor() as threads:  # hashing releases the interpreter's lock
        values = list(threads.map(known_or_new, paths, states))
    settled = {
        str(path): [before, value]
        for path, before, value in zip(paths, states, values, strict=True)
        if value and before and max(before[-2:]) < now - SETTLED_NS and state(path) == before
    }
    if settled != known:
        text = json.dumps(settled)
        with contextlib.suppress(OSError, DiskError):  # a cache that cannot be written only costs time
            cache.parent.mkdir(parents=True, exist_ok=True)
            with disk.lock(cache.with_suffix(".lock")), disk.replacing(cache) as beside:
                beside.write_text(f"{zlib.crc32(text.encode())}\n{text}")
    return values


def read_digests(cache: Path) -> dict[str, list[Any]]:
    """State and digest of each file by its path; empty if there is no cache, or it is damaged."""
    try:
        checksum, _, text = cache.read_text().partition("\n")
        return json.loads(text) if int(checksum) == zlib.crc32(text.encode()) else {}
    except (OSError, ValueError):
        return {}


def state(path: Path) -> list[int]:
    """Device, inode, size and times of change of a file: another state may be other content. [] if it is no file."""
    try:
        facts = path.stat()
    except OSError:
        return []
    times = [facts.st_mtime_ns, facts.st_ctime_ns]  # the second changes with every write, whatever sets the first
    return [facts.st_dev, facts.st_ino, facts.st_size, *times] if stat.S_ISREG(facts.st_mode) else []


def digest(path: Path) -> str:
    """SHA-256 of a file's content; "" if it is not a regular file or cannot be read."""
    if not path.is_file():  # a pipe would block
        return ""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def record(run: RunFolder, made: dict[str, Any]) -> None:
    """Write ``run.yml``; also before the first notebook, so that a run that fails has one.

    Parameters
    ----------
    run : RunFolder
        The folder of the run.
    made : dict
        ``profile`` (its name), ``settings`` (from ``--set``), ``values`` (both merged, as the notebooks get them),
        ``notebooks`` (the stems of those requested), ``done`` (of those finished). If a run is continued,
        ``commit`` and ``versions`` are those of its start.
    """
    facts = {name: made[name] for name in (*REQUIRED, *PROGRESS)}
    facts |= {"commit": made.get("commit") or commit(), "versions": made.get("versions") or versions()}
    with disk.replacing(run.folder / RECORD) as beside:
        beside.write_text(yaml.safe_dump(facts, sort_keys=False, allow_unicode=True), encoding="utf-8")


def recorded(run: RunFolder) -> dict[str, Any]:
    """Read ``run.yml``.

    Parameters
    ----------
    run : RunFolder
        Of a headless run.

    Returns
    -------
    dict
        ``profile, settings, values, notebooks, done, commit, versions``; ``notebooks`` and ``done`` are empty if the
        file is from an older version.

    Raises
    ------
    RunError
        If it is missing or not valid.
    """
    path = run.folder / RECORD
    if not path.is_file():
        raise RunError(
            f"{run.folder} holds no {RECORD}, the record of a headless run: it is from an older version, or was run "
            "notebook by notebook. Its params.yml has the parameters; start a new run with them by --profile and --set."
        )
    try:
        facts = read_mapping(path)
    except ParamsError as error:
        raise RunError(str(error)) from error
    if not all(isinstance(facts.get(name), kind) for name, kind in REQUIRED.items()) or not all(
        isinstance(facts.get(name, []), list) for name in PROGRESS
    ):
        raise RunError(f"{path} must hold {', '.join(REQUIRED)}, as a headless run writes them.")
    return {name: [] for name in PROGRESS} | facts


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The differences between two runs' ``metrics.json``, without the seconds.

    Parameters
    ----------
    before, after : dict
        As ``RunFolder.metrics`` returns them.

    Returns
    -------
    dict
        Both values by name (``versions.keras``, ``segment.accuracy``), None if missing; first the causes (commit,
        versions, data, device), then the results. Empty if they are the same.
    """
    one, other = (flat({name: value for name, value in of.items() if name != "seconds"}) for of in (before, after))
    names = [name for name in one | other if one.get(name) != other.get(name)]
    return {name: (one.get(name), other.get(name)) for name in sorted(names, key=lambda name: not is_cause(name))}


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """Flatten nested mappings; names are joined by dots."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = {f"{name}.{key}": one for key, one in flat(value).items()} if isinstance(value, dict) else {}
        found |= inner or {name: value}
    return found


def is_cause(name: str) -> bool:
    """Whether a name from :func:`differences` is something that results depend on, not a result."""
    return name.partition(".")[0] in CAUSES


def broken(before: dict[str, Any], found: dict[str, tuple[Any, Any]]) -> bool:
    """Whether results differ although code, versions, data and device are the same.

    Parameters
    ----------
    before : dict
        The first run's metrics; code that was changed after its commit is unknown, and may explain anything.
    found : dict
        As :func:`differences` returns it.

    Returns
    -------
    bool
    """
    return bool(found) and not any(map(is_cause, found)) and not str(before.get("commit")).endswith(CHANGED)
