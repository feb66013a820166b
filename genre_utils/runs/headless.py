"""Headless runs: execute the notebooks in order with papermill, in one run folder, and write the report."""

import contextlib
import datetime
import math
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from genre_utils.datasets import download
from genre_utils.errors import DiskError, ParamsError, RunError
from genre_utils.paths import CACHE, RUNS, profile_summary
from genre_utils.runs import execution, preflight, profiles, provenance, report
from genre_utils.runs.folder import LATEST, WRITTEN, RunFolder
from genre_utils.runs.profiles import RUNNER_KEYS, checked, chosen, defaults, notebooks, number_of
from genre_utils.system import cluster, disk
from genre_utils.system.progress import Screen


def run(
    profile: str,
    settings: list[str] | None = None,
    out: Path | None = None,
    dask: str | None = None,
    numbers: str = "",
) -> RunFolder:
    """Run notebooks in a new run folder, and write its report.

    Parameters
    ----------
    profile : str
        demo, ci, gtzan_mini, paper, fma_small or transfer.
    settings : list of str, optional
        Texts of the form ``name=value``, which override the profile.
    out : Path, optional
        The run folder, empty or new; by default ``runs/<time>-<profile>``, to which ``runs/latest`` points
        afterwards.
    dask : str, optional
        Address of a Dask scheduler, whose workers do the extraction.
    numbers : str
        Which notebooks, in the form of :func:`chosen`; by default those of the profile, or the paper's.

    Returns
    -------
    RunFolder
        With all files of these notebooks, checked.

    Raises
    ------
    ParamsError, CatalogError, SplitError, ClusterError, DiskError
        Before anything starts, if profile, settings, data set, protocol, cluster or disk are not fit for the run.
    RunError
        If a notebook failed or did not write a file. What was executed is kept and reported, ``runs/latest`` points
        to it, and :func:`resume` continues from there.

    References
    ----------
    papermill. Every notebook gets its own kernel, so that it also works alone.
    """
    values = RUNNER_KEYS | checked(profiles.read_profile(profile), settings or [], defaults())
    wanted = chosen(numbers or values["notebooks"])
    summary = profile_summary(profiles.PROFILES / f"{profile}.yml")
    print(f"{profile}: {summary}", flush=True)
    made = {"profile": profile, "settings": settings or [], "values": values}
    return begin(made, profile, out, dask, wanted)


def again(before: RunFolder, out: Path | None = None, dask: str | None = None) -> dict[str, tuple[Any, Any]]:
    """Repeat a headless run with its own values, not the current profile's; return the ``differences``."""
    made, metrics = recorded(before) | {"commit": "", "versions": {}}, before.metrics()
    result = begin(made, "again", out, dask, asked(made))
    return provenance.differences(metrics, result.metrics())


def compare_again(before: RunFolder, out: Path | None = None, dask: str | None = None) -> int:
    """Repeat a run and print the differences; return 1 if results differ without a known cause, else 0."""
    metrics = before.metrics()
    found = again(before, out, dask)
    if not found:
        print(f"The same metrics.json as {before.folder}, apart from the seconds.")
    for name, (was, now) in found.items():
        print(f"{name}: {was!r} in {before.folder.name}, now {now!r}")
    if provenance.broken(metrics, found):
        print("The results differ, although code, versions, data and device are the same.", file=sys.stderr)
        return 1
    return 0


def resume(before: RunFolder, dask: str | None = None, numbers: str = "") -> RunFolder:
    """Continue a run that stopped, or run more notebooks in it; finished notebooks are not run again.

    Parameters
    ----------
    before : RunFolder
        Of a headless run.
    dask : str, optional
        As for :func:`run`.
    numbers : str
        Which notebooks, in the form of :func:`chosen`; by default those requested for the run.

    Returns
    -------
    RunFolder
        The same, with all files of these notebooks.

    Raises
    ------
    GenreUtilsError
        As :func:`run`.
    """
    made = recorded(before)
    wanted = chosen(numbers) if numbers else asked(made)
    names = {path.stem for path in wanted} | set(made["notebooks"])
    left = [path for path in wanted if path.stem not in made["done"]]
    if not left:
        raise RunError(f"{before.folder}: {', '.join(made['done'])} are done. More: --notebooks all, or a new run.")
    made["notebooks"] = [path.stem for path in notebooks() if path.stem in names]
    with Screen() as screen:
        ready(made["values"], left, before.folder, dask, screen)
        return go_on(before, made, left, before.folder.parent == RUNS.resolve(), screen)


def recorded(before: RunFolder) -> dict[str, Any]:
    """The settings of a run, checked against the parameters of today's notebooks."""
    made = provenance.recorded(before)
    try:
        return made | {"values": RUNNER_KEYS | checked(made["values"], [], defaults())}
    except ParamsError as error:
        raise ParamsError(
            f"{before.folder / provenance.RECORD}: {error} It was made by the commit {made.get('commit') or 'unknown'}."
        ) from error


def asked(made: dict[str, Any]) -> list[Path]:
    """The notebooks requested for a run; all of them for a run of a version without that choice."""
    return [path for path in notebooks() if path.stem in (made["notebooks"] or [path.stem])]


def ready(values: dict[str, Any], wanted: list[Path], runs: Path, dask: str | None, screen: Screen) -> None:
    """Check everything before the run starts; ``values`` get what the data set decides."""
    if os.environ.get(download.HOME):
        os.environ[download.HOME] = str(download.data_home())  # kernels have another current folder
    if dask:
        with cluster.connected(dask, CACHE):
            os.environ[cluster.ADDRESS] = dask  # the kernels inherit it
    with screen.showing("data set"):
        known = {name: value for path in wanted for name, value in profiles.parameters_of(path).items()}
        values |= preflight.check(known | values, {number_of(path) for path in wanted}, runs)
    screen.end()


def begin(made: dict[str, Any], stem: str, out: Path | None, dask: str | None, wanted: list[Path]) -> RunFolder:
    """Run notebooks in a new folder, with the settings in ``made``; see :func:`run` and ``provenance.record``."""
    with Screen() as screen:
        ready(made["values"], wanted, out or RUNS, dask, screen)
        with disk.writing(out or RUNS):
            folder = fresh_folder(stem, out)
        made = made | {"notebooks": [path.stem for path in wanted], "done": []}
        return go_on(RunFolder(folder), made, wanted, out is None, screen)


def go_on(result: RunFolder, made: dict[str, Any], left: list[Path], latest: bool, screen: Screen) -> RunFolder:
    """Execute the notebooks in ``left``, and write the report, however it ends."""
    folder, stopped = result.folder, ""
    try:
        provenance.record(result, made)
        for notebook in left:
            screen.begin(notebook.stem)
            values = {name: made["values"][name] for name in profiles.parameters_of(notebook) if name in made["values"]}
            with disk.writing(folder / notebook.name):
                seconds = made["values"]["silence_seconds"]
                values["run_dir"] = str(folder)
                execution.execute(notebook, folder, values, seconds, screen.listen, more=notebook != left[-1])
            check(result, notebook.stem)
            made["done"].append(notebook.stem)
            provenance.record(result, made)
            screen.end()
    except BaseException as error:
        stopped = str(error) or f"{screen.name} was interrupted."
        screen.end("stopped")
        raise
    finally:
        execution.stop_waiting()
        with contextlib.suppress(DiskError) if stopped else contextlib.nullcontext():
            if any(folder.glob("*.ipynb")):
                index = report.write(result, made, stopped)
                if latest:
                    point_to(RUNS / LATEST, folder)
                print_summary(result, made, index, screen)
            else:  # nothing was executed
                shutil.rmtree(folder)
    return result


def print_summary(result: RunFolder, made: dict[str, Any], index: Path, screen: Screen) -> None:
    """Print the results of a run, where its report is, and how to continue."""
    if (result.folder / "metrics.json").exists():
        metrics = result.metrics()
        print(f"\n{report.sentence(metrics, 'segment')}\n{report.sentence(metrics, 'track')}")
    page = result.folder / "explorer" / "index.html"
    print(f"\n{time.monotonic() - screen.started:.0f} s in total. Open the report:\n  {index}")
    if page.exists():
        print(f"Listen to its mistakes, cell by cell of the confusion matrix:\n  {page}")
    missing = [path.stem for path in notebooks() if path.stem not in made["done"]]
    left = [stem for stem in made["notebooks"] if stem in missing]
    this = Path(os.path.relpath(result.folder))
    if left:
        print(f"To continue with {left[0]} after fixing the error:\n  {program()} run --continue {this}")
    elif missing:
        print(f"To continue with {', '.join(missing)}:\n  {program()} run --continue {this} --notebooks all")
    print(flush=True)


def program() -> str:
    """The command of this program in the user's current folder."""
    python = Path(sys.executable)
    within = python.is_relative_to(Path.cwd())
    return f"{python.relative_to(Path.cwd()) if within else python} -m genre_utils"


def fresh_folder(stem: str, out: Path | None) -> Path:
    """Create a run folder that no other run uses: ``out``, or one named by the time and ``stem``."""
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


def check(result: RunFolder, name: str) -> None:
    """Raise a RunError if a notebook did not write all its files, or a metric is not finite."""
    missing = [file for file in WRITTEN.get(name, ()) if not (result.folder / file).exists()]
    if missing:
        raise RunError(f"{result.folder} lacks {', '.join(missing)} after {name}.")
    numbers = []
    if "metrics.json" in WRITTEN.get(name, ()):
        metrics = result.metrics()
        numbers = [metrics[level][end] for level in ("segment", "track") for end in ("accuracy", "low", "high")]
    if "history.csv" in WRITTEN.get(name, ()):
        numbers = result.history().select_dtypes("number").to_numpy().ravel().tolist()
    if not all(math.isfinite(number) for number in numbers if number is not None):
        raise RunError(f"{result.folder}: metrics.json or history.csv holds a number that is not finite.")


def point_to(link: Path, folder: Path) -> None:
    """Point ``runs/latest`` to the newest run: a link, or a file with its name if links are not allowed."""
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    with disk.replacing(link) as beside:
        beside.unlink(missing_ok=True)  # left by a run that was killed here
        try:
            beside.symlink_to(folder.name, target_is_directory=True)
        except OSError:  # Windows without developer mode
            beside.write_text(folder.name)
