"""The notebooks in order, without a browser: papermill into one run folder."""

import ast
import contextlib
import datetime
import math
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat.reader import NotJSONError
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from genre_utils import catalog, cluster, disk, download, provenance, report
from genre_utils.errors import ParamsError, RunError
from genre_utils.params import Params, as_type, unknown_name
from genre_utils.paths import CACHE, NOTEBOOKS, PROFILES, PROJECT, RUNS
from genre_utils.progress import HEADLESS
from genre_utils.run_folder import LATEST, RunFolder, plain, read_mapping

KERNEL = "python3"
ENCRYPTED = Config({"KernelManager": {"transport_encryption": "auto"}})  # or every kernel begins with a warning
RUNNER_KEYS = {"cell_timeout_seconds": 1_800}  # a profile's keys that no notebook has, with their defaults
PARAMS_NAMES = frozenset(Params().to_mapping())
ARTEFACTS = (
    provenance.RECORD,
    "duplicates.csv",
    "params.yml",
    "tracks.parquet",
    "split.csv",
    "history.csv",
    "model.keras",
    "predictions.parquet",
    "metrics.json",
    "explorer/index.html",
    "model/README.md",
    "protocols.csv",
    "ablation.csv",
    "ensemble.csv",
)


def notebooks() -> list[Path]:
    """The numbered notebooks, in order."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def parameters_of(notebook: Path) -> dict[str, Any]:
    """Names and defaults in a notebook's ``parameters`` cell.

    Parameters
    ----------
    notebook : Path
        An .ipynb file.

    Returns
    -------
    dict
        Name to literal; its type is the parameter's type.
    """
    found = papermill.inspect_notebook(str(notebook))
    return {name: ast.literal_eval(facts["default"]) for name, facts in found.items()}


def read_profile(name: str) -> dict[str, Any]:
    """A profile's names and values.

    Parameters
    ----------
    name : str
        Of a file in ``notebooks/profiles``, without its suffix.

    Returns
    -------
    dict

    Raises
    ------
    ParamsError
        If there is none of that name, or it is not a mapping.
    """
    profiles = {path.stem: path for path in PROFILES.glob("*.yml")}
    if name not in profiles:
        raise ParamsError(unknown_name(name, profiles).replace("parameter", "profile"))
    return read_mapping(profiles[name])


def checked(values: Mapping[str, Any], settings: list[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Profile and ``--set`` together, every name known and every value of its type.

    Parameters
    ----------
    values : Mapping
        The profile.
    settings : list of str
        Texts of the form ``name=value``, which win over the profile.
    defaults : Mapping
        Every known name with a value of its type.

    Returns
    -------
    dict
        Names and values.

    Raises
    ------
    ParamsError
        If a name is unknown (the message gives the nearest), or a type wrong. papermill would only warn.
    """
    merged = dict(values)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ParamsError(f"--set needs name=value. Received: {setting!r}.")
        is_text = isinstance(defaults.get(name), str)
        merged[name] = text if is_text else plain(text, f"--set {name}: {text!r} is not a value")
    for name, value in merged.items():
        if name not in defaults:
            raise ParamsError(unknown_name(str(name), defaults))
        merged[name] = as_type(name, value, type(defaults[name]))
    named = {*catalog.DEMOS, *download.REMOTES}
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # what cannot be a path the catalog refuses
        path = Path(merged.get("dataset", "")).expanduser()
        if path.parts and str(path) not in named and path.exists():  # relative to the caller's folder
            merged["dataset"] = str(path.resolve())
    return merged


def run(profile: str, settings: list[str] | None = None, out: Path | None = None, dask: str | None = None) -> RunFolder:
    """Run every notebook in one fresh run folder, and write its report.

    Parameters
    ----------
    profile : str
        demo, ci, gtzan_mini or paper.
    settings : list of str, optional
        Texts of the form ``name=value``, which win over the profile.
    out : Path, optional
        The run folder, empty or not there yet; without it ``runs/<time>-<profile>``, and ``runs/latest``
        points to it afterwards.
    dask : str, optional
        Address of a Dask scheduler: the notebooks spread extraction over its workers.

    Returns
    -------
    RunFolder
        With every artefact in it, checked.

    Raises
    ------
    ParamsError
        Before anything starts, if profile or settings do not fit the notebooks.
    ClusterError
        Before anything starts, if the Dask cluster cannot do the work.
    RunError
        If a notebook failed (executed notebooks and their HTML are kept), or left something out.
    DiskError
        If the run folder cannot be written.

    References
    ----------
    papermill. Every notebook gets its own kernel, so that it also works alone.
    """
    values = checked(read_profile(profile), settings or [], defaults())
    made = {"profile": profile, "settings": settings or [], "values": RUNNER_KEYS | values}
    return run_as(made, profile, out, dask)


def again(before: RunFolder, out: Path | None = None, dask: str | None = None) -> dict[str, tuple[Any, Any]]:
    """Repeat a headless run with its own values, whatever its profile says today; return the ``differences``."""
    made, metrics = provenance.recorded(before), before.metrics()
    try:
        values = checked(made["values"], [], defaults())
    except ParamsError as error:
        raise ParamsError(
            f"{before.folder / provenance.RECORD}: {error} It was made by the commit {made.get('commit') or 'unknown'}."
        ) from error
    result = run_as(made | {"values": RUNNER_KEYS | values}, "again", out, dask)
    return provenance.differences(metrics, result.metrics())


def defaults() -> dict[str, Any]:
    """Every name that a profile may set, with a value of its type."""
    return RUNNER_KEYS | {name: value for path in notebooks() for name, value in parameters_of(path).items()}


def run_as(made: dict[str, Any], stem: str, out: Path | None, dask: str | None) -> RunFolder:
    """Run every notebook with the ``values`` of what ``provenance.record`` writes; see :func:`run`."""
    values = made["values"]
    Params.from_mapping({name: value for name, value in values.items() if name in PARAMS_NAMES})  # possible at all?
    if dask:
        with cluster.connected(dask, CACHE):
            os.environ[cluster.ADDRESS] = dask  # the kernels inherit it
    with disk.writing(out or RUNS):
        folder = fresh_folder(stem, out)
        result = RunFolder(folder)
        provenance.record(result, made)
    started = time.monotonic()
    print(f"profile {made['profile']} into {folder}", flush=True)
    for number, notebook in enumerate(notebooks(), start=1):
        print(f"\n[{number}/{len(notebooks())}] {notebook.stem}", flush=True)
        chosen = {name: values[name] for name in parameters_of(notebook) if name in values}
        with disk.writing(folder / notebook.name):
            execute(notebook, folder, chosen | {"run_dir": str(folder)}, values["cell_timeout_seconds"])
        print(f"      done after {time.monotonic() - started:.0f} s", flush=True)
    check(result)
    index = report.write(result, made["profile"])
    if out is None:
        point_to(RUNS / LATEST, folder)
    metrics = result.metrics()
    print(f"\n{report.sentence(metrics, 'segment')}\n{report.sentence(metrics, 'track')}")
    print(f"{time.monotonic() - started:.0f} s in all. Open {index}", flush=True)
    return result


def fresh_folder(stem: str, out: Path | None) -> Path:
    """A run folder that no other run uses: ``out``, or one named by the time and ``stem``."""
    if out is not None:
        folder = out.expanduser().resolve()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"--out {folder} must be an empty folder or not exist yet, so that no run is overwritten.")
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    stem = f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{stem}"
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        with contextlib.suppress(FileExistsError):
            folder = RUNS / (stem + suffix)
            folder.mkdir(parents=True)
            return folder
    raise RunError(f"{RUNS} already holds 99 runs named {stem}.")


def execute(notebook: Path, folder: Path, values: dict[str, Any], timeout_seconds: int) -> None:
    """Execute one notebook in its own kernel; keep it and its HTML whatever happens.

    Parameters
    ----------
    notebook : Path
        The lesson.
    folder : Path
        Gets the executed copy and its HTML.
    values : dict
        For its ``parameters`` cell.
    timeout_seconds : int
        Limit for one cell.

    Raises
    ------
    RunError
        If a cell failed; the message says which and why.
    """
    executed = folder / notebook.name
    os.environ[HEADLESS] = "1"  # the kernel inherits it
    try:
        papermill.execute_notebook(
            str(notebook), str(executed), values, kernel_name=KERNEL, cwd=str(PROJECT), progress_bar=False,
            execution_timeout=timeout_seconds, stdout_file=sys.stdout, stderr_file=sys.stderr, config=ENCRYPTED,
        )  # fmt: skip
    except PapermillExecutionError as error:
        cell = f"cell {error.cell_index + 1} ([{error.exec_count}])"
        raise RunError(f"{notebook.stem}, {cell}: {error.ename}: {error.evalue}\nSee {executed}") from error
    except CellTimeoutError as error:
        raise RunError(
            f"{notebook.stem}: a cell took longer than {timeout_seconds} s. "
            f"Raise it: --set cell_timeout_seconds=…\n{error}\nSee {executed}"
        ) from error
    except (DeadKernelError, NoSuchKernel) as error:
        raise RunError(
            f"{notebook.stem}: the kernel {KERNEL} died (killed? out of memory?) or is not installed: "
            f"{error}\nSee {executed}"
        ) from error
    finally:
        with contextlib.suppress(FileNotFoundError, NotJSONError):  # torn by a full disk, whose error is under way
            page, _ = HTMLExporter().from_filename(str(executed))
            page = page.replace("<head>", f"<head>{report.NO_SCRIPTS}", 1)
            executed.with_suffix(".html").write_text(page, encoding="utf-8")


def check(result: RunFolder) -> None:
    """Assert that a run left everything, and that its figures are finite.

    Parameters
    ----------
    result : RunFolder
        After the last notebook.

    Raises
    ------
    RunError
        Naming what is missing or not finite.
    """
    missing = [name for name in ARTEFACTS if not (result.folder / name).exists()]
    if missing or not list(result.figures.glob("*.png")):
        raise RunError(f"{result.folder} lacks {', '.join(missing) or 'figures'} after the last notebook.")
    metrics = result.metrics()
    scores = [metrics[level] for level in ("segment", "track")]
    values = [score[name] for score in scores for name in ("accuracy", "low", "high") if score[name] is not None]
    if not all(map(math.isfinite, values)) or not result.history().map(math.isfinite).all(axis=None):
        raise RunError(f"{result.folder}: metrics.json or history.csv holds a figure that is not finite.")


def point_to(link: Path, folder: Path) -> None:
    """Make ``runs/latest`` the newest run: a link, or where links are not allowed a file with its name."""
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    with disk.replacing(link) as beside:
        beside.unlink(missing_ok=True)  # of a run that was killed here
        try:
            beside.symlink_to(folder.name, target_is_directory=True)
        except OSError:  # Windows without developer mode
            beside.write_text(folder.name)
