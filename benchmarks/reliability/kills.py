"""Whether an extraction, a training and a headless run survive ``kill -9`` at any moment.

.venv/bin/python -m benchmarks.reliability.kills --json kills.json      # 50 kills of each
.venv/bin/python -m benchmarks.reliability.kills --short                # a few of each

Each is killed in a process of its own, half of the times at a random moment, half of the times just before a marked
call that changes the disk: a file opened for writing, a rename, a deletion. The next run must finish, and leave what an
undisturbed one leaves. Several kills of a headless run follow each other before the run that must finish.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import soundfile

from benchmarks import shared
from genre_utils.params import Params

# What is tried at the same time, how often, and how often in the short form: 50 kills of each kind. The short form has
# no headless runs, which take minutes: tests/runs has one that stops and continues.
TRIED = (
    ("extraction", 50, 3), ("training", 50, 3), ("headless run", 25, 0), ("headless run", 25, 0), ("two runs", 2, 0),
)  # fmt: skip
KILLS_A_RUN = 5  # headless runs killed one after the other, before one that must finish
SECONDS_TO_LEAVE = 15  # of kernels and workers whose parent was killed
SECONDS_TO_FINISH = 300
LESSONS = ("02_feature_extraction", "03_training", "04_evaluation")  # of the headless run; the last one
LAST_CELL = "run.write_metrics(metrics)"  # as far as this, and without the figures of the first
EQUAL, TOLD = "finished, equal", "told"
COMPARED = ("joblib", "keras", "tensorflow", "numpy")
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
SMALL = Params(
    dataset="unused", sample_rate_hz=8_000, segment_seconds=0.5, max_segments=4, n_fft=512, hop_length=128, n_mels=32,
    fmax_hz=4_000.0, image_height=32, image_width=32, batch_size=8, max_epochs=6, noise_snr_db=20.0,
    validation_fraction=0.25, test_fraction=0.25, model="compact_cnn",
)  # fmt: skip
RUN = """
from genre_utils.runs import headless
headless.WRITTEN["04_evaluation"] = ("predictions.parquet", "metrics.json")
headless.run("three")
"""


def music(folder: Path, tracks: int, seconds: float, rate_hz: int) -> Path:
    """Three genres: low tones, high tones, noise."""
    rng = np.random.default_rng(1)
    for genre, hz in (("bass", 150.0), ("noise", 0.0), ("treble", 2_500.0)):
        (folder / genre).mkdir(parents=True)
        for number in range(tracks):
            clock = np.arange(round(seconds * rate_hz)) / rate_hz
            samples = rng.normal(0, 0.05, len(clock)) + 0.5 * np.sin(2 * np.pi * hz * (1 + 0.02 * number) * clock)
            soundfile.write(folder / genre / f"{number:05d}.wav", samples, rate_hz)
    return folder


def forked(work: Callable[[], object], log: Path, folder: Path, at: int = 0) -> int:
    """Do some work in a child, which kills its session before its ``at``-th change below the folder; its process id.

    The imports are those of this process; the child counts its changes into ``<log>.changes``.
    """
    child = os.fork()
    if child:
        return child
    status, changes = 1, 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal changes
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in CHANGES) and str(folder) in os.fsdecode(str(arguments[0])):
            changes += 1
            if changes == at:
                os.killpg(0, signal.SIGKILL)

    try:
        os.setsid()
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.addaudithook(watch)
        work()
        sys.modules["joblib"].externals.loky.get_reusable_executor(1).shutdown()
        log.with_suffix(".changes").write_text(str(changes))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def ended(child: int, seconds: float = SECONDS_TO_FINISH) -> int | None:
    """The exit status of a child that ends in time, negative if killed; else None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def left_behind(mine: Callable[[psutil.Process], bool]) -> list[str]:
    """The processes that are still there some seconds after their parent was killed."""
    end = time.monotonic() + SECONDS_TO_LEAVE
    while True:
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid() and mine(process):
                    found.append(" ".join(process.cmdline())[:100])
            except psutil.Error:
                continue
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.1)


def contents(folder: Path) -> dict[str, object]:
    """What a store or a training has left, without its recorded seconds; a file's bytes where they hold none."""
    found: dict[str, object] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"):
        name = str(path.relative_to(folder))
        if path.name == "params.json":
            facts = json.loads(path.read_text())
            found[name] = {key: value for key, value in facts.items() if not key.endswith("_seconds")}
        elif path.name == "done.jsonl":
            found[name] = [[*line[:4], *line[5:]] for line in map(json.loads, path.read_text().splitlines())]
        elif path.name == "versions.parquet":
            found[name] = pd.read_parquet(path).drop(columns="seconds").to_dict("records")
        elif path.name == "history.csv":
            found[name] = pd.read_csv(path).drop(columns="seconds").to_dict("records")
        elif path.suffix == ".keras":
            found[name] = weights(path)
        elif path.name != "checksums.json":  # of files with seconds in them
            found[name] = path.read_bytes()
    return found


def weights(path: Path) -> dict[str, bytes]:
    """The arrays of a ``.keras`` file, by name."""
    import io
    import zipfile

    import h5py

    found: dict[str, bytes] = {}
    with zipfile.ZipFile(path) as file, h5py.File(io.BytesIO(file.read("model.weights.h5"))) as arrays:
        arrays.visititems(
            lambda name, item: found.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
        )
    return found


def tries(
    work: Callable[[Path], object], folder: Path, count: int, rng: np.random.Generator
) -> Iterator[tuple[str, str]]:
    """Kill some work so often, let it finish each time; what was killed, and what came of it."""
    log = folder / "log"
    whole = folder / "undisturbed"
    whole.mkdir()
    started = time.monotonic()
    if ended(forked(lambda: work(whole), log, whole)):
        raise RuntimeError(f"The undisturbed one failed:\n{log.read_text()}")
    seconds, changes = time.monotonic() - started, int(log.with_suffix(".changes").read_text())
    wanted = contents(whole)
    print(f"undisturbed: {seconds:.1f} s, {changes} changes of the disk", flush=True)
    marked = np.linspace(1, changes, count // 2).round().astype(int).tolist()
    killed = 0
    while killed < count:
        here = folder / str(killed)
        here.mkdir()
        at = marked[killed] if killed < len(marked) else 0
        child = forked(lambda here=here: work(here), log, here, at)
        moment = rng.uniform(0, seconds)
        status = ended(child) if at else ended(child, moment)
        if status is None:  # by turns the process alone, whose workers must end by themselves, and all of them
            os.kill(child, signal.SIGKILL) if killed % 2 else os.killpg(child, signal.SIGKILL)
            status = ended(child)
        if status == 0 and not at:  # done before its moment: another one
            shutil.rmtree(here)
            continue
        wrong = "" if status == -signal.SIGKILL else f"ended with {status} before it was killed:\n{log.read_text()}"
        if not wrong and (status := ended(forked(lambda here=here: work(here), log, here))):
            wrong = f"the next one ended with {status}:\n{log.read_text()}"
        if not wrong and (found := contents(here)) != wanted:
            differ = [name for name in {*found, *wanted} if found.get(name) != wanted.get(name)]
            wrong = f"differs in {', '.join(sorted(differ))}"
        if not wrong and (behind := left_behind(lambda process, child=child: os.getsid(process.pid) == child)):
            wrong = f"left behind: {behind}"
        shutil.rmtree(here)
        killed += 1
        yield f"before change {at} of {changes}" if at else f"after {moment:.2f} of {seconds:.2f} s", wrong or EQUAL


def of_extraction(folder: Path, count: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Kills of ``store.build``: 24 tracks by threads, a version of each by processes."""
    from genre_utils.datasets import catalog
    from genre_utils.features import store

    tracks = catalog.from_folder(music(folder / "music", 8, 2.2, SMALL.sample_rate_hz), SMALL)
    yield from tries(lambda cache: store.build(tracks, SMALL, cache), folder, count, rng)


def of_training(folder: Path, count: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Kills of ``trainer.train``, which saves its state after each of six short epochs."""
    from genre_utils.datasets import catalog
    from genre_utils.features import store
    from genre_utils.splits import protocols
    from genre_utils.training import trainer

    trainer.SECONDS_BETWEEN_SAVES = 0
    tracks = catalog.from_folder(music(folder / "music", 8, 2.2, SMALL.sample_rate_hz), SMALL)
    features = store.build(tracks, SMALL, folder)
    assignment, genres = protocols.paper(features.tracks, SMALL), sorted(set(tracks["genre"]))

    def work(here: Path) -> None:
        trainer.train(features, assignment, genres, SMALL, here, here, quiet=True)

    yield from tries(work, folder, count, rng)


class Project:
    """A copy of the package and of three notebooks, and what an undisturbed run of them leaves."""

    def __init__(self, folder: Path) -> None:
        import nbformat

        from genre_utils.runs import profiles

        self.folder, self.log = shared.tree(folder / "project", "genre_utils"), folder / "log"
        (self.folder / "notebooks" / "profiles").mkdir(parents=True)
        for stem in LESSONS:
            notebook = nbformat.read(profiles.NOTEBOOKS / f"{stem}.ipynb", as_version=4)
            last = next((n for n, cell in enumerate(notebook.cells) if LAST_CELL in cell.source), len(notebook.cells))
            notebook.cells = [cell for cell in notebook.cells[: last + 1] if not cell.source.startswith("figures.")]
            for cell in notebook.cells:  # the first lesson, which finds duplicates, is left out
                cell.source = cell.source.replace('"duplicates.csv", ', "")
            nbformat.write(notebook, self.folder / "notebooks" / f"{stem}.ipynb")
        sound = music(folder / "music", 6, 10.2, 22_050)
        profile = {"dataset": str(sound), "model": "compact_cnn", "max_epochs": 3}
        profile |= {"image_height": 32, "image_width": 32}
        (self.folder / "notebooks" / "profiles" / "three.yml").write_text(json.dumps(profile))  # which is YAML too
        self.latest = self.folder / "runs" / "latest"
        started = time.monotonic()
        if self.start().wait(SECONDS_TO_FINISH):
            raise RuntimeError(f"The undisturbed one failed:\n{self.log.read_text()}")
        self.seconds, self.wanted = time.monotonic() - started, self.result(self.latest)
        print(f"undisturbed: {self.seconds:.1f} s", flush=True)

    def start(self) -> subprocess.Popen:
        """A run."""
        words, env = [sys.executable, "-c", RUN], shared.environment(self.folder)
        with self.log.open("w") as log:
            return subprocess.Popen(words, cwd=self.folder, env=env, stdout=log, stderr=log)

    def result(self, run: Path) -> dict[str, object]:
        """What a run has left, without what differs by nature."""
        metrics = json.loads((run / "metrics.json").read_text())
        return {
            "metrics.json": {name: value for name, value in metrics.items() if name not in ("seconds", "versions")},
            "history.csv": pd.read_csv(run / "history.csv").drop(columns="seconds").to_dict("records"),
            "predictions.parquet": pd.read_parquet(run / "predictions.parquet").to_dict("records"),
            "split.csv": (run / "split.csv").read_text(),
        }

    def finished(self, process: subprocess.Popen, run: Path) -> str:
        """What is wrong with a run that leaves this folder, "" if nothing."""
        if status := process.wait(SECONDS_TO_FINISH):
            return f"ended with {status}:\n{self.log.read_text()}"
        return self.differing(run)

    def differing(self, run: Path) -> str:
        """What of a whole run is not as in the undisturbed one, "" if nothing."""
        differ = [name for name, value in self.result(run).items() if value != self.wanted[name]]
        return f"differs in {', '.join(differ)}" if differ else ""

    def forget(self) -> None:
        """Features, states of trainings and runs, but for the latest run."""
        for cached in ("features", "training"):
            shutil.rmtree(self.folder / "data" / cached, ignore_errors=True)
        for run in self.latest.parent.iterdir():
            if run.is_dir() and not run.is_symlink() and run != self.latest.resolve():
                shutil.rmtree(run)


def of_run(folder: Path, count: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Kills of a headless run, several before one that must finish."""
    project = Project(folder)
    for first in range(0, count, KILLS_A_RUN):
        project.forget()
        killed = []
        while len(killed) < min(KILLS_A_RUN, count - first):
            good, process, wrong = project.latest.resolve(), project.start(), ""
            moment, started = rng.uniform(0, project.seconds), time.monotonic()
            try:
                process.wait(moment)
                if not (wrong := project.finished(process, project.latest)):  # before its moment: another one
                    project.seconds = min(project.seconds, time.monotonic() - started)
                    project.forget()
                    continue
            except subprocess.TimeoutExpired:  # by turns the process alone, whose kernel must end by itself, and all
                family = psutil.Process(process.pid).children(recursive=True) if len(killed) % 2 else []
                for one in (psutil.Process(process.pid), *family):
                    one.kill()
                process.wait()
                if project.latest.resolve() != good:  # it was done, but for its last words
                    wrong = project.differing(project.latest)
            killed.append((f"after {moment:.1f} of {project.seconds:.1f} s", wrong or EQUAL))
        good = project.latest.resolve()
        wrong = project.finished(project.start(), project.latest)
        if project.latest.resolve() == good:
            wrong = wrong or "runs/latest does not point to the run that finished"
        behind = left_behind(lambda process: Path(process.cwd()).is_relative_to(project.folder))
        if behind:
            wrong = wrong or f"left behind: {behind}"
        yield from killed[:-1]
        what, outcome = killed[-1]
        yield what, wrong if wrong and outcome == EQUAL else outcome


def of_pair(folder: Path, count: int, _: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Two headless runs at once, without features: one waits for the other where both would write."""
    project = Project(folder)
    while count > 0:
        count -= 2
        project.forget()
        before = {project.latest.resolve()}
        pair = [project.start() for _ in range(2)]
        statuses = [process.wait(2 * SECONDS_TO_FINISH) for process in pair]
        runs = {run for run in project.latest.parent.iterdir() if run.is_dir() and not run.is_symlink()} - before
        for number, process in enumerate(pair):
            wrong = project.finished(process, sorted(runs)[number])
            yield f"two at once, {statuses}", wrong or (EQUAL if len(runs) == 2 else f"left {runs}")


KINDS = {"extraction": of_extraction, "training": of_training, "headless run": of_run, "two runs": of_pair}


def counted(fault: str, tries: Iterator[tuple[str, str]]) -> dict:
    """A line of the table, with the reasons of what came out wrong."""
    started, outcomes = time.monotonic(), []
    for what, outcome in tries:
        outcomes.append((what, outcome))
        print(f"{fault}, {what}: {outcome}", flush=True)
    wrong = [f"{what}: {outcome}" for what, outcome in outcomes if outcome not in (EQUAL, TOLD)]
    equal, told = (sum(outcome == good for _, outcome in outcomes) for good in (EQUAL, TOLD))
    line = {"fault": fault, "tries": len(outcomes), "equal": equal, "told": told, "wrong": len(wrong)}
    return line | {"seconds": round(time.monotonic() - started, 1), "reasons": wrong}


def report(file: Path | None, about: dict, rows: list[dict], costs: dict[str, float] | None = None) -> int:
    """Print and write the table and what is wrong; the exit status."""
    wrong = [f"WRONG: {row['fault']}, {reason}" for row in rows for reason in row.pop("reasons")]
    shared.show(rows)
    print("\n".join(wrong))
    ratios = (costs or {}) | {f"right: {row['fault']}": 1 - row["wrong"] / row["tries"] for row in rows}
    shared.save(file, about, shared.shown(ratios), rows)
    return int(bool(wrong))


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__)
    parser.add_argument("--short", action="store_true", help="a few kills of each, for continuous integration")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kind:
        fault = "two headless runs at once" if options.kind == "two runs" else f"kill -9, {options.kind}"
        with tempfile.TemporaryDirectory(prefix="kills-") as folder:
            tried = KINDS[options.kind](Path(folder), options.count, np.random.default_rng(options.seed))
            options.json.write_text(json.dumps(counted(fault, tried)))
        return 0

    about = shared.machine(COMPARED)
    started, failed, rows = [], False, []
    with tempfile.TemporaryDirectory() as folder:  # all at once: each mostly waits for imports
        for number, (kind, full, short) in enumerate(TRIED):
            if count := short if options.short else full:
                file = Path(folder) / f"{number}.json"
                words = ["--kind", kind, "--count", count, "--seed", options.seed + number, "--json", file]
                words = shared.command(__spec__.name, *words)
                started.append((subprocess.Popen(words, env=shared.environment()), file))
        for process, file in started:
            failed |= process.wait() != 0
            rows += [json.loads(file.read_text())] if file.exists() else []
    sums = dict.fromkeys(("tries", "equal", "told", "wrong", "reasons"), "sum") | {"seconds": "max"}
    table = pd.DataFrame(rows).groupby("fault", sort=False, as_index=False).agg(sums)
    return int(failed | report(options.json, about, table.to_dict("records")))


if __name__ == "__main__":
    sys.exit(main())
