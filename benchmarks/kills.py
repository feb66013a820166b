"""Whether an extraction, a training and a headless run survive ``kill -9`` at any moment.

.venv/bin/python benchmarks/kills.py --json kills.json      # 50 kills of each
.venv/bin/python benchmarks/kills.py --short                # a few of each

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

from genre_utils.params import Params
from genre_utils.paths import PROJECT
from genre_utils.run_folder import machine

KINDS = ("extraction", "training", "headless run")
FULL, SHORT = 50, {"extraction": 3, "training": 3, "headless run": 2}
KILLS_A_RUN = 5  # headless runs killed one after the other, before one that must finish
SECONDS_TO_LEAVE = 15  # of kernels and workers whose parent was killed
SECONDS_TO_FINISH = 300
LESSONS = 4  # notebooks of the headless run: sound, features, training, evaluation
COMPARED = ("joblib", "keras", "tensorflow", "numpy")
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
SMALL = Params(
    dataset="unused", sample_rate_hz=8_000, segment_seconds=0.5, max_segments=4, n_fft=512, hop_length=128, n_mels=32,
    fmax_hz=4_000.0, image_height=32, image_width=32, batch_size=8, max_epochs=6, noise_snr_db=20.0,
    validation_fraction=0.25, test_fraction=0.25, model="compact_cnn",
)  # fmt: skip
RUN = """
from genre_utils import headless
later = ("protocols.csv", "ablation.csv", "ensemble.csv")  # of the notebooks that are left out
headless.ARTEFACTS = tuple(name for name in headless.ARTEFACTS if name not in later)
headless.run("four")
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
    """Kill some work so often, let it finish each time; what was killed, and what was wrong ("" if nothing)."""
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
        yield f"before change {at} of {changes}" if at else f"after {moment:.2f} of {seconds:.2f} s", wrong


def of_extraction(folder: Path, count: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Kills of ``store.build``: 24 tracks by threads, a version of each by processes."""
    from genre_utils import catalog, store

    tracks = catalog.from_folder(music(folder / "music", 8, 2.2, SMALL.sample_rate_hz), SMALL)
    yield from tries(lambda cache: store.build(tracks, SMALL, cache), folder, count, rng)


def of_training(folder: Path, count: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Kills of ``training.train``, which saves its state after each of six short epochs."""
    from genre_utils import catalog, splits, store, training

    training.SECONDS_BETWEEN_SAVES = 0
    tracks = catalog.from_folder(music(folder / "music", 8, 2.2, SMALL.sample_rate_hz), SMALL)
    features = store.build(tracks, SMALL, folder)
    assignment, genres = splits.paper(features.tracks, SMALL), sorted(set(tracks["genre"]))

    def work(here: Path) -> None:
        training.train(features, assignment, genres, SMALL, here, here, quiet=True)

    yield from tries(work, folder, count, rng)


def of_run(folder: Path, count: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Kills of a headless run of four notebooks in a copy of the project, several before one that must finish."""
    from genre_utils import headless

    project = folder / "project"
    shutil.copytree(PROJECT / "genre_utils", project / "genre_utils", ignore=shutil.ignore_patterns("__pycache__"))
    (project / "notebooks").mkdir()
    (project / "notebooks" / "profiles").mkdir()
    for notebook in headless.notebooks()[:LESSONS]:
        shutil.copy(notebook, project / "notebooks")
    sound = music(folder / "music", 6, 10.2, 22_050)
    settings = {"dataset": str(sound), "model": "compact_cnn", "max_epochs": 3, "image_height": 32, "image_width": 32}
    (project / "notebooks" / "profiles" / "four.yml").write_text(json.dumps(settings))  # which is YAML too
    words, latest = [sys.executable, "-c", RUN], project / "runs" / "latest"
    environment = os.environ | {"PYTHONPATH": str(project)}
    environment.pop("GENRE_HEADLESS", None)

    def start() -> subprocess.Popen:
        log = (folder / "log").open("w")
        return subprocess.Popen(words, cwd=project, env=environment, stdout=log, stderr=log, start_new_session=True)

    def result() -> dict:
        left = latest.resolve()
        metrics = json.loads((left / "metrics.json").read_text())
        history = pd.read_csv(left / "history.csv").drop(columns="seconds").to_dict("records")
        predictions = pd.read_parquet(left / "predictions.parquet").to_dict("records")
        return {
            "metrics.json": {name: value for name, value in metrics.items() if name not in ("seconds", "versions")},
            "history.csv": history, "predictions.parquet": predictions, "split.csv": (left / "split.csv").read_text(),
        }  # fmt: skip

    def finishes() -> str:
        before = latest.resolve()
        if status := start().wait(SECONDS_TO_FINISH):
            return f"the next one ended with {status}:\n{(folder / 'log').read_text()}"
        if latest.resolve() == before:
            return "runs/latest does not point to it"
        differ = [name for name, value in result().items() if value != wanted[name]]
        return f"differs in {', '.join(differ)}" if differ else ""

    started = time.monotonic()
    if start().wait(SECONDS_TO_FINISH):
        raise RuntimeError(f"The undisturbed one failed:\n{(folder / 'log').read_text()}")
    seconds, wanted = time.monotonic() - started, result()
    print(f"undisturbed: {seconds:.1f} s", flush=True)
    for first in range(0, count, KILLS_A_RUN):
        for cached in ("features", "training"):
            shutil.rmtree(project / "data" / cached, ignore_errors=True)
        moments = rng.uniform(0, seconds, min(KILLS_A_RUN, count - first))
        killed = []
        for number, moment in enumerate(moments):
            good, process = latest.resolve(), start()
            wrong = ""
            try:
                if process.wait(moment):
                    wrong = f"ended with {process.returncode} by itself:\n{(folder / 'log').read_text()}"
            except subprocess.TimeoutExpired:  # by turns the process alone, whose kernel must end by itself, and all
                family = psutil.Process(process.pid).children(recursive=True) if number % 2 else []
                for one in (psutil.Process(process.pid), *family):
                    one.kill()
                process.wait()
            if latest.resolve() != good and process.returncode:
                wrong = f"runs/latest points to the killed {latest.resolve()}"
            killed.append((f"after {moment:.1f} of {seconds:.1f} s", wrong))
        wrong = finishes()
        if not wrong and (behind := left_behind(lambda process: Path(process.cwd()).is_relative_to(project))):
            wrong = f"left behind: {behind}"
        yield from killed[:-1]
        yield killed[-1][0], killed[-1][1] or wrong
        for run in latest.parent.iterdir():
            if run.is_dir() and not run.is_symlink() and run != latest.resolve():
                shutil.rmtree(run)


TRIES = dict(zip(KINDS, (of_extraction, of_training, of_run), strict=True))


def count_of(kind: str, kills: int, seed: int) -> dict:
    """One line of the table, from kills in this process."""
    line: dict = {"fault": f"kill -9 of {'an' if kind[0] == 'e' else 'a'} {kind}", "tries": 0, "equal": 0, "wrong": 0}
    started, line["reasons"] = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        for what, wrong in TRIES[kind](Path(folder), kills, np.random.default_rng(seed)):
            line["tries"] += 1
            line["wrong" if wrong else "equal"] += 1
            line["reasons"] += [f"{what}: {wrong}"] if wrong else []
            print(f"{kind} killed {what}: {wrong or 'finished, equal'}", flush=True)
    return line | {"seconds": round(time.monotonic() - started, 1)}


def main() -> int:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a few kills of each, for continuous integration")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    kills = {kind: SHORT[kind] if options.short else FULL for kind in KINDS}
    if options.kind:
        options.json.write_text(json.dumps(count_of(options.kind, kills[options.kind], options.seed)))
        return 0

    facts = machine(COMPARED)
    print(", ".join(f"{name} {value}" for name, value in facts.items()), flush=True)
    with tempfile.TemporaryDirectory() as folder:  # all kinds at once: each mostly waits for imports
        files = [Path(folder) / f"{number}.json" for number in range(len(KINDS))]
        words = [sys.executable, __file__, "--seed", str(options.seed), *["--short"] * options.short]
        started = [
            subprocess.Popen([*words, "--kind", kind, "--json", str(file)])
            for kind, file in zip(KINDS, files, strict=True)
        ]
        failed = max(process.wait() for process in started)
        rows = [json.loads(file.read_text()) for file in files if file.exists()]
    print(f"\n{pd.DataFrame(rows).drop(columns='reasons').to_string(index=False)}")
    for reason in (reason for row in rows for reason in row["reasons"]):
        print(f"WRONG: {reason}")
    if options.json:
        ratios = {f"finished_and_equal_{row['fault'].split()[-1]}": row["equal"] / row["tries"] for row in rows}
        options.json.write_text(json.dumps({"machine": facts, "ratios": ratios, "rows": rows}, indent=1))
    return int(failed or any(row["wrong"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
