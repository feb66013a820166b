"""Whether damage, two runs at once, wrong clocks, too little memory and bad disks are survived, or told.

.venv/bin/python -m benchmarks.reliability.faults --json faults.json
.venv/bin/python -m benchmarks.reliability.faults --short               # fewer tries of each

Small disks are tmpfs, which root may mount, and others in a namespace of their own (``unshare``); where neither works
their lines are left out, and said to be. What happens under ``kill -9``: kills.py.
"""

import contextlib
import datetime
import itertools
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import psutil
import soundfile

from benchmarks import shared
from benchmarks.reliability import disks, kills
from benchmarks.reliability.disks import Bench, Tries, house, told
from benchmarks.reliability.kills import EQUAL, TOLD
from genre_utils import errors
from genre_utils.audio import augmentation
from genre_utils.features import extraction, journal, store
from genre_utils.params import Params
from genre_utils.runs import headless
from genre_utils.system import disk
from genre_utils.training import trainer

SHORT = 0.12  # of the tries
INSIDE = "GENRE_FAULTS_INSIDE"  # a namespace of its own


def damaged(path: Path, rng: np.random.Generator) -> str:
    """Cut a file short, or turn one bit of it; what was done."""
    content = bytearray(path.read_bytes())
    place = int(rng.integers(len(content)))
    if rng.random() < 0.3:
        path.write_bytes(content[:place])
        return f"{path.name} cut to {place:,} of {len(content):,} bytes"
    content[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    return f"a bit of byte {place:,} of {path.name}"


def warned(call: Callable[[], str], *words: object) -> str:
    """The outcome of a call that must warn of damage."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outcome = call()
    said = any(all(str(word) in str(one.message) for word in words) for one in caught)
    return outcome if said else f"{outcome}, without a word"


def store_damaged(bench: Bench) -> Tries:
    """A finished store: found when it is opened, told, and made again, of its blocks only those that differ."""
    names = sorted(path.name for path in bench.store.folder.iterdir())
    for number in range(bench.some(200)):
        cache = Path(tempfile.mkdtemp(dir=bench.folder))
        folder = cache / "features" / bench.store.folder.name
        shutil.copytree(bench.store.folder, folder)
        what = damaged(folder / names[number % len(names)], bench.rng)
        yield what, warned(lambda cache=cache: bench.built(cache), folder, "damaged")
        shutil.rmtree(cache)


def partial_damaged(bench: Bench) -> Tries:
    """An interrupted extraction whose rows or journal never reached the disk, as a power cut leaves it."""
    for _ in range(bench.some(50)):
        cache = Path(tempfile.mkdtemp(dir=bench.folder))
        partial = cache / "features" / f"{bench.store.folder.name}.partial"
        shutil.copytree(bench.store.folder, partial)
        (partial / disk.CHECKSUMS).unlink()
        what = damaged(partial / (journal.ROWS if bench.rng.random() < 0.7 else journal.NAME), bench.rng)
        if bench.rng.random() < 0.3:  # pages of zeros
            with (partial / journal.ROWS).open("r+b") as file:
                file.seek(4096 * int(bench.rng.integers(10)))
                file.write(bytes(8192))
        yield what, bench.built(cache)
        shutil.rmtree(cache)


def state_damaged(bench: Bench) -> Tries:
    """The state of an interrupted training: the one before it is used, or the training begins anew."""
    kept = bench.folder / "kept"
    save = trainer.State.save

    def copying(state: trainer.State) -> None:
        save(state)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(state.root, kept / "training" / state.root.name)

    with mock.patch.object(trainer.State, "save", copying):
        (bench.folder / "saved").mkdir()
        bench.train(bench.folder / "saved")
    states = sorted(kept.glob("training/*/epoch-*"))
    for number in range(bench.some(16)):
        here = Path(tempfile.mkdtemp(dir=bench.folder))
        shutil.copytree(kept, here, dirs_exist_ok=True)
        chosen = states[-1:] if number % 4 else states
        names = sorted(path.name for path in chosen[0].iterdir())
        what = [damaged(here / state.relative_to(kept) / names[number % len(names)], bench.rng) for state in chosen]
        yield f"{len(chosen)} of 2: {what[0]}", warned(lambda here=here: bench.retrained(here), "damaged or missing")
        shutil.rmtree(here)


def at_once(bench: Bench) -> Tries:
    """Two processes at the same work, in the same place: both finish."""
    for kind, work, wanted in (("extraction", bench.build, bench.whole), ("training", bench.train, bench.trained)):
        for number in range(bench.some(5 if kind == "extraction" else 3)):
            here = Path(tempfile.mkdtemp(dir=bench.folder))
            log = bench.folder / f"log-{number}"
            pair = [kills.forked(lambda here=here, work=work: work(here), log, here) for _ in range(2)]
            status = [kills.ended(child) for child in pair]
            found = kills.contents(here if kind == "training" else here / "features" / bench.store.folder.name)
            yield kind, (EQUAL if found == wanted else "differs") if status == [0, 0] else f"{status} {log.read_text()}"
            shutil.rmtree(here)


def clocks(bench: Bench) -> Tries:
    """A clock that is set back or far off while something is written, and files from the future."""
    before = mock.patch("time.localtime", return_value=time.gmtime(4e7))  # Keras saves no network then
    with before:
        yield "1971", told(lambda: bench.train(bench.folder), errors.DiskError, "The clock", "Set the clock")
    for name, now in {"1981": 3.6e8, "2100": 4.1e9, "an hour back at each look": None}.items():
        looks = itertools.count(time.time(), -3600) if now is None else itertools.repeat(now)
        with mock.patch("time.time", looks.__next__):
            yield f"extraction, {name}", bench.built(Path(tempfile.mkdtemp(dir=bench.folder)))
            yield f"training, {name}", bench.retrained(Path(tempfile.mkdtemp(dir=bench.folder)))
    with house(bench.folder / "house", "pass") as runs, mock.patch.object(headless, "datetime") as clock:
        clock.datetime.now.return_value = datetime.datetime(2020, 1, 1)
        folders = [headless.fresh_folder("tiny", None) for _ in range(3)]
        yield "a run of that time is there", EQUAL if len(set(folders)) == 3 else f"{folders}"
        shutil.rmtree(runs)
    cache = Path(tempfile.mkdtemp(dir=bench.folder))
    folder = bench.build(cache)
    for path in (folder, *folder.iterdir(), folder.with_suffix(".lock")):
        os.utime(path, (4e9, 4e9))
    yield "a store from the future", bench.built(cache)


LIMITED = """
import resource, sys
from pathlib import Path
from genre_utils.datasets import catalog
from genre_utils.features import store
from genre_utils.params import Params
params = Params(dataset="unused", max_segments=0)
tracks = catalog.from_folder(Path(sys.argv[1]), params)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[3]) * 2**20,) * 2)
store.build(tracks, params, Path(sys.argv[2]))
"""


def memory(bench: Bench) -> Tries:
    """Too little of it: the error names the file, what is done is kept, and the next run goes on."""
    sound = bench.folder / "long"
    kills.music(sound, 1, 6, 22_050)
    soundfile.write(sound / "bass" / "hours.wav", np.tile(np.sin(np.arange(22_050) * 0.1), 1_200), 22_050)
    for megabytes in (200, 250, 300)[: bench.some(3)]:
        cache = Path(tempfile.mkdtemp(dir=bench.folder))
        words = [sys.executable, "-c", LIMITED, str(sound), str(cache), str(megabytes)]
        ended = subprocess.run(words, capture_output=True, text=True)
        # Under such a limit a C++ library may fail to end its threads, after Python has reported the error.
        said = ended.stderr.replace("terminate called without an active exception", "").strip()
        last = said.rpartition("\n")[2]
        good = "WorkerError" in last and "hours.wav" in last and "max_segments" in last
        yield f"{megabytes} MB for 20 minutes", TOLD if good else f"{ended.returncode}: {ended.stderr[-800:]}"
    versions = kills.SMALL
    wanted = kills.contents(store.build(bench.tracks, versions, bench.folder / "versions").folder)
    for _ in range(bench.some(4)):
        cache = Path(tempfile.mkdtemp(dir=bench.folder))
        partial = cache / "features" / f"{store.fingerprint(bench.tracks, versions)}.partial"
        watcher = threading.Thread(target=kill_a_worker, args=(partial, 24 + int(bench.rng.integers(1, 8))))
        watcher.start()
        slow = mock.patch.dict(os.environ, {"GENRE_HEADLESS": "1"})
        with slow:
            outcome = told(
                lambda cache=cache: store.build(bench.tracks, versions, cache),
                errors.WorkerError,
                ".wav (noise",
                "LOKY",
            )
        watcher.join()
        lines = len(journal.read(partial))
        same = kills.contents(store.build(bench.tracks, versions, cache).folder) == wanted
        yield f"a worker killed after {lines} blocks", outcome if same and lines >= 24 else "differs afterwards"
    with house(bench.folder / "dead", "import os; os.kill(os.getpid(), 9)"):
        yield "a kernel", told(lambda: headless.run("tiny"), errors.RunError, "01_only", "died", "memory")


def kill_a_worker(partial: Path, blocks: int) -> None:
    """Kill a worker process of this one once so many blocks are done."""
    while len(journal.read(partial)) < blocks if partial.exists() else True:
        time.sleep(0.001)
    for process in psutil.Process().children(recursive=True):
        if "loky" in " ".join(process.cmdline()) and "resource_tracker" not in " ".join(process.cmdline()):
            process.send_signal(signal.SIGKILL)
            return


def costs(folder: Path) -> dict[str, float]:
    """What the checksums cost: their share of an extraction, and seconds for the rows of 1,000 tracks of 30 s."""
    params, tracks = Params(dataset="unused"), 1_000
    soundfile.write(folder / "clip.wav", np.random.default_rng(0).normal(0, 0.1, 30 * 22_050), 22_050)
    original = augmentation.ORIGINAL
    blocks = [journal.Block(str(n), str(folder / "clip.wav"), original, 6 * n, 6) for n in range(tracks)]
    shape = (6 * tracks, params.n_mels, params.frames_per_segment)
    journal.allocate(folder, shape)
    started = time.perf_counter()
    noted = {block.key: extraction.extract_track(block, folder / journal.ROWS, params) for block in blocks[:50]}
    extracted = time.perf_counter() - started
    for block in blocks[50:]:  # the rows of the others stay 0, which takes as long to read
        outcome = journal.Outcome(*block.key, 6, "", 0.0, 0)
        noted[block.key] = outcome._replace(checksum=journal.checksum(outcome, bytes(2 * 6 * shape[1] * shape[2])))
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        if journal.lost(noted, blocks, folder, shape):
            raise RuntimeError("A checksum does not hold.")
        seconds.append(time.perf_counter() - started)
    check = statistics.median(seconds)
    return {"checksums_share_of_extraction": check / tracks / (extracted / 50), "check_of_1000_tracks_seconds": check}


FAULTS: dict[str, Callable[[Bench], Tries]] = {
    "two at once": at_once,  # first, see Bench
    **disks.FAULTS,
    "store cut short or a bit turned": store_damaged,
    "interrupted store cut short or a bit turned": partial_damaged,
    "training state cut short or a bit turned": state_damaged,
    "clock wrong or set back": clocks,
    "memory too small, worker or kernel killed": memory,
}


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__)
    parser.add_argument("--short", action="store_true", help="fewer tries, for continuous integration")
    parser.add_argument("--only", nargs="*", default=FAULTS, metavar="WORD", help="faults that begin with it")
    options = parser.parse_args()
    if not disks.mounts() and INSIDE not in os.environ and shutil.which("unshare"):
        inside = ["unshare", "--map-root-user", "--mount"]
        if subprocess.run([*inside, "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0:
            words = [*inside, *shared.command(__spec__.name, *sys.argv[1:])]
            return subprocess.run(words, check=False, env=shared.environment(**{INSIDE: "1"})).returncode
    faults = FAULTS if disks.mounts() else {name: FAULTS[name] for name in FAULTS if name not in disks.FAULTS}
    if len(faults) < len(FAULTS):
        print(f"No small disk can be mounted here. Left out: {'; '.join(disks.FAULTS)}.")
    about, rows = shared.machine(kills.COMPARED), []
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder, Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere),
    ):  # fmt: skip
        bench = Bench(Path(folder), SHORT if options.short else 1)
        for fault, tries in faults.items():
            if any(fault.startswith(word) for word in options.only):
                rows.append(kills.counted(fault, tries(bench)))
                print(rows[-1], file=sys.__stderr__, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        return kills.report(options.json, about, rows, costs(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
