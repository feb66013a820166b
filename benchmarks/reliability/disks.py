"""Whether a disk that is full or read-only is told, loses nothing, and lets the work go on once it is mended.

A part of faults.py. Small disks are tmpfs, which root may mount, and others in a namespace of their own (``unshare``).
"""

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import nbformat
import numpy as np
import pandas as pd

from benchmarks.reliability import kills
from benchmarks.reliability.kills import EQUAL, TOLD
from genre_utils import errors
from genre_utils.datasets import catalog
from genre_utils.datasets.demo import composition
from genre_utils.evaluation import scoring
from genre_utils.explorer import data, page
from genre_utils.features import handcrafted, store
from genre_utils.models import factory
from genre_utils.params import Params
from genre_utils.runs import execution, folder, headless, profiles
from genre_utils.splits import protocols
from genre_utils.system import disk
from genre_utils.training import trainer

PLAIN = Params.from_mapping(kills.SMALL.to_mapping() | {"noise_snr_db": 0.0, "max_epochs": 4})
MB = 1 << 20
trainer.SECONDS_BETWEEN_SAVES = 0
Tries = Iterator[tuple[str, str]]


class Bench:
    """The music, and what an undisturbed extraction and training leave."""

    def __init__(self, folder: Path, share: float) -> None:
        self.folder, self.share, self.rng = folder, share, np.random.default_rng(0)
        self.tracks = catalog.from_folder(kills.music(folder / "music", 8, 2.2, PLAIN.sample_rate_hz), PLAIN)
        self.store = store.build(self.tracks, PLAIN, folder / "undisturbed")
        self.split = protocols.paper(self.store.tracks, PLAIN)
        self.genres = sorted(set(self.tracks["genre"]))
        (folder / "trained").mkdir()
        # In a child: a process in which TensorFlow has computed cannot be forked, as those of "two at once" are.
        if kills.ended(kills.forked(lambda: self.train(folder / "trained"), folder / "log", folder)):
            raise RuntimeError(f"The undisturbed training failed:\n{(folder / 'log').read_text()}")
        self.whole, self.trained = kills.contents(self.store.folder), kills.contents(folder / "trained")

    def some(self, count: int) -> int:
        """So many tries, fewer in the short form."""
        return max(2, round(count * self.share))

    def build(self, cache: Path) -> Path:
        """Extract."""
        return store.build(self.tracks, PLAIN, cache).folder

    def train(self, here: Path) -> None:
        """Train, the state and the results in one folder."""
        trainer.train(self.store, self.split, self.genres, PLAIN, here, here, quiet=True)

    def built(self, cache: Path) -> str:
        """Whether a store is what the undisturbed one is."""
        return EQUAL if kills.contents(self.build(cache)) == self.whole else "differs"

    def retrained(self, here: Path) -> str:
        """Whether a training ends as the undisturbed one."""
        self.train(here)
        return EQUAL if kills.contents(here) == self.trained else "differs"


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes."""
    where = Path(tempfile.mkdtemp(dir=folder))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", where], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", where], check=True)


def remount(where: Path, options: str) -> None:
    """Change a small disk."""
    subprocess.run(["mount", "-o", f"remount,{options}", where], check=True)


def told(call: Callable[[], object], kind: type[Exception], *words: object) -> str:
    """Whether a call fails with an error of this kind that says these words."""
    try:
        call()
    except kind as error:
        missing = [str(word) for word in words if str(word) not in str(error)]
        return f"does not say {missing}: {error}" if missing else TOLD
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def full_disk(
    bench: Bench, work: Callable[[Path], object], check: Callable[[Path], str], most: int, count: int
) -> Tries:
    """A disk that is full after so many bytes, then has room: told, no torn file, and finished afterwards."""
    for size in np.linspace(4096, most, count).astype(int).tolist():
        with small_disk(bench.folder, size) as where:
            try:
                work(where)
                outcome = EQUAL
            except errors.DiskError as error:
                outcome = TOLD if str(where) in str(error) and "Make room" in str(error) else str(error)
            except BaseException as error:
                outcome = f"{type(error).__name__}: {error}"
            remount(where, f"size={64 * MB}")
            after = check(where)
            yield f"{size:,} bytes", outcome if after == EQUAL else f"afterwards {after}"


def extraction_full(bench: Bench) -> Tries:
    """By the check before the work, and by the writing itself when others fill the disk meanwhile."""
    size = sum(path.stat().st_size for path in bench.store.folder.iterdir())
    yield from full_disk(bench, bench.build, bench.built, size, bench.some(6))
    with mock.patch.object(disk, "needs"):
        yield from full_disk(bench, bench.build, bench.built, 2 * size, bench.some(30))


def training_full(bench: Bench) -> Tries:
    """While a state, the network or the history is written."""
    most = sum(path.stat().st_size for path in (bench.folder / "trained").rglob("*")) * 12
    yield from full_disk(bench, bench.train, bench.retrained, most, bench.some(12))


def results_full(bench: Bench) -> Tries:
    """While what a run leaves is written: each file is the old one, the new one, or not there."""
    run = folder.RunFolder(bench.folder / "trained")
    run.write_params(PLAIN)
    network = factory.load(run.folder / "model.keras")
    predictions = scoring.predict(network, bench.store, bench.split, bench.genres, PLAIN)
    predictions.to_parquet(run.folder / "predictions.parquet", index=False)
    bench.store.tracks.to_parquet(run.folder / "tracks.parquet", index=False)
    bench.split.to_csv(run.folder / "split.csv", index=False)
    run.write_table("duplicates.csv", pd.DataFrame(columns=["track_a", "track_b", "kind", "similarity", "lag_seconds"]))
    facts = {"dataset": "tones", "protocol": "paper", "model": PLAIN.model, "seed": 0}
    metrics = scoring.metrics(predictions, facts | {"padding": "x" * 20_000})
    run.write_metrics(metrics)
    exploration = data.of_run(run)
    writers: dict[str, Callable[[folder.RunFolder], object]] = {
        "params.yml": lambda run: run.write_params(PLAIN),
        "metrics.json": lambda run: run.write_metrics(metrics),
        "predictions.parquet": lambda run: run.write_table("predictions.parquet", predictions),
        "split.csv": lambda run: run.write_table("split.csv", bench.split),
        "explorer/index.html": lambda run: page.write(exploration, run.folder / "explorer"),
    }
    for name, write in writers.items():
        write(run)
        size = sum(path.stat().st_size for path in (run.folder / name).parent.rglob("*") if name.startswith("expl"))
        size = size or (run.folder / name).stat().st_size

        def check(where: Path, name: str = name, write: Callable = write) -> str:
            torn = (where / name).exists() and (where / name).read_bytes() != (run.folder / name).read_bytes()
            write(folder.RunFolder(where))
            same = (where / name).read_bytes() == (run.folder / name).read_bytes()
            return "a torn file" if torn else EQUAL if same else "differs"

        for what, outcome in full_disk(
            bench, lambda where, write=write: write(folder.RunFolder(where)), check, size, bench.some(3)
        ):
            yield f"{name}, {what}", outcome


@contextlib.contextmanager
def house(folder: Path, source: str) -> Iterator[Path]:
    """A project of one notebook; its folder of runs."""
    notebooks = folder / "notebooks"
    (notebooks / "profiles").mkdir(parents=True)
    (notebooks / "profiles" / "tiny.yml").write_text("{}\n")
    cells = [nbformat.v4.new_code_cell('run_dir = ""'), nbformat.v4.new_code_cell(source)]
    cells[0].metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, notebooks / "01_only.ipynb")
    with (
        mock.patch.multiple(profiles, NOTEBOOKS=notebooks, PROFILES=notebooks / "profiles"),
        mock.patch.multiple(headless, RUNS=folder / "runs", WRITTEN={}),
        mock.patch.object(execution, "PROJECT", folder),
    ):
        yield folder / "runs"


def run_full(bench: Bench) -> Tries:
    """While papermill keeps a notebook, by what the notebook itself writes."""
    for size in np.linspace(4096, 200_000, bench.some(4)).astype(int).tolist():
        with small_disk(bench.folder, 40_000 + size) as where, house(where, "print('x' * 300_000)"):
            yield f"{size:,} bytes", told(lambda: headless.run("tiny"), errors.DiskError, where, "Make room")


def read_only(bench: Bench) -> Tries:
    """Folders that cannot be written: told, with the way out; a finished store still opens."""
    with small_disk(bench.folder, 64 * MB) as where, house(where, "pass"):
        bench.build(where / "finished")
        (where / "cache").mkdir()
        remount(where, "ro")
        way = "data and runs may be links"
        yield "features", told(lambda: bench.build(where / "cache"), errors.DiskError, where / "cache", way)
        yield "finished features", bench.built(where / "finished")
        yield "training", told(lambda: bench.train(where), errors.DiskError, where, way)
        yield "runs", told(lambda: headless.run("tiny"), errors.DiskError, where / "runs", way)
        yield "--out", told(lambda: headless.run("tiny", [], where / "out"), errors.DiskError, where / "out", way)
        with mock.patch.object(folder, "RUNS", where / "runs"):
            yield "run folder", told(lambda: folder.RunFolder.open(""), errors.DiskError, where / "runs", way)
        run = folder.RunFolder(where)
        yield "params.yml", told(lambda: run.write_params(PLAIN), errors.DiskError, where / "params.yml", way)
        yield "demo music", told(lambda: composition.render(where / "demo", 1, 1), errors.DiskError, where, way)
        call = lambda: handcrafted.extract(bench.tracks, PLAIN, where / "cache")  # noqa: E731
        yield "features made by hand", told(call, errors.DiskError, where, way)


FAULTS: dict[str, Callable[[Bench], Tries]] = {
    "disk full, extraction": extraction_full,
    "disk full, training": training_full,
    "disk full, results of a run": results_full,
    "disk full, headless run": run_full,
    "read-only folder": read_only,
}


def mounts() -> bool:
    """Whether this process may mount a small disk."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError), tempfile.TemporaryDirectory() as folder:
        words = ["mount", "-t", "tmpfs", "-o", "size=4096", "tmpfs", folder]
        subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
        subprocess.run(["umount", folder], check=True)
        return True
    return False
