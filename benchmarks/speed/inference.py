"""From an audio file to probabilities: warm, from the start of a process, and 1,000 files one after the other.

GENRE_DATA_HOME=… .venv/bin/python -m benchmarks.speed.inference --data gtzan --json inference.json

Networks have fresh weights: what is measured does not depend on them. By itself TensorFlow takes oneDNN where the CPU
has AVX512_VNNI, AMX or the like, and leaves it where it has not; genre_utils always takes it.

--isa AVX2 limits oneDNN and NumPy's products to the instructions of a CPU without AVX-512; LiteRT, which cannot be
limited, is then left out, and so is all that is not of one file, warm.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from genre_utils.inference import litert_model, prediction
from genre_utils.params import Params
from genre_utils.paths import PROJECT
from genre_utils.runs.folder import machine

GENRES = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"]
NETWORKS = ("paper_cnn", "compact_cnn")
WAYS = {  # of one file, warm: what a process of its own has in its environment
    "naive off": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "naive onednn": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "predict": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "light": {"OPENBLAS_NUM_THREADS": "1"},
}
CORES = {"AVX2": "Haswell"}  # what OpenBLAS, which is NumPy's, calls it
FEW, MANY = 100, 1_000  # files in one process
MOST_TRACKS = 80
UNTIMED, TIMED = 3, 3  # files of a turn: at first, the core is idle, and threads of the last process still spin
KERAS = """
import json, sys
from pathlib import Path
from genre_utils.inference import keras_model, prediction
from genre_utils.models import factory
from genre_utils.params import Params
folder, *files = sys.argv[1:]
facts = json.loads((Path(folder) / "export.json").read_text())
trained = factory.load(Path(folder).with_suffix(".keras"))
network = keras_model.compiled(trained, facts["genres"], Params(**facts["params"]))
for answer in prediction.answers(files, network):
    print(answer.track.tolist(), flush=True)
"""

# A small process between, as what a process has at its fork counts for the peak of what is started in it.
WATCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
lines = [child.stdout.readline()]
first = time.perf_counter() - start
lines += child.stdout
_, status, usage = os.wait4(child.pid, 0)
seconds = time.perf_counter() - start
print(json.dumps({"first": first, "seconds": seconds, "lines": len(lines), "peak_mb": usage.ru_maxrss}))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def naive(path: Path, model, params: Params) -> np.ndarray:
    """A track as students write it: librosa segment by segment, then ``model.predict``; (segment, genre)."""
    import librosa

    samples, rate_hz = librosa.load(path, sr=params.sample_rate_hz)
    decibels = []
    for segment in range(min(params.max_segments, len(samples) // params.samples_per_segment)):
        start = segment * params.samples_per_segment
        mel = librosa.feature.melspectrogram(
            y=samples[start : start + params.samples_per_segment], sr=rate_hz, n_fft=params.n_fft,
            hop_length=params.hop_length, n_mels=params.n_mels, fmin=params.fmin_hz, fmax=params.fmax_hz,
        )  # fmt: skip
        decibels.append(librosa.power_to_db(mel, ref=np.max))
    return model.predict(np.stack(decibels), verbose=0)


def answering(way: str, name: str, folder: Path) -> Callable[[Path], np.ndarray]:
    """What turns a file into probabilities, one way, by a network that is loaded here."""
    params = Params(model=name)
    if way == "light":
        network = litert_model.open_exported(folder / name)
    else:
        from genre_utils.inference import keras_model
        from genre_utils.models import factory

        model = factory.load(folder / f"{name}.keras")
        if way != "predict":
            return lambda path: naive(path, model, params)
        network = keras_model.compiled(model, GENRES, params)
    return lambda path: next(prediction.answers([path], network)).probabilities


def child(way: str, folder: Path) -> None:
    """Answer each line, a network and some files, with a line: seconds, and probabilities, of each file."""
    answers = {name: answering(way, name, folder) for name in NETWORKS}
    for line in sys.stdin:
        name, *paths = json.loads(line)
        found = []
        for path in paths:
            start = time.perf_counter()
            probabilities = answers[name](Path(path))
            found.append((time.perf_counter() - start, probabilities.tolist()))
        print(json.dumps(found), flush=True)


def started(way: str, folder: Path, isa: str) -> subprocess.Popen:
    """A process that answers one way."""
    limits = {"ONEDNN_MAX_CPU_ISA": isa, "OPENBLAS_CORETYPE": CORES[isa]} if isa else {}
    return subprocess.Popen(
        [sys.executable, "-m", __spec__.name, "--child", way, "--folder", str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | WAYS[way] | limits,
    )  # fmt: skip


def asked(process: subprocess.Popen, name: str, paths: list[Path]) -> list[tuple[float, np.ndarray]]:
    """Seconds and probabilities of a process's answers for some files, one after the other."""
    process.stdin.write(json.dumps([name, *map(str, paths)]) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args} ended without an answer; its message stands above.")
    return [(seconds, np.array(probabilities)) for seconds, probabilities in json.loads(line)]


def warm(paths: list[Path], folder: Path, repeats: int, isa: str) -> Iterator[dict]:
    """Seconds from a file to its probabilities in a process that does it again and again; the processes take turns."""
    processes = {way: started(way, folder, isa) for way in WAYS if way != "light" or not isa}
    for name in NETWORKS:
        seconds: dict[str, list[float]] = {way: [] for way in processes}
        coming = itertools.cycle(paths)
        for turn in range(repeats + 1):
            chosen = list(itertools.islice(coming, UNTIMED + TIMED))
            answers = {}
            for way, running in processes.items():
                times, answers[way] = zip(*asked(running, name, chosen), strict=True)
                if turn:  # the first one traces, allocates and reads from the disk
                    seconds[way] += times[UNTIMED:]
            for found in answers.values():
                for heard, wanted in zip(found, answers["naive off"], strict=True):  # librosa resamples the whole file
                    np.testing.assert_allclose(heard[: len(wanted)], wanted, atol=1e-3)
        for way, values in seconds.items():
            yield {"what": "one file, warm", "network": name, "way": way, "seconds": statistics.median(values)}
    for running in processes.values():
        running.stdin.close()
        running.wait()


def process(command: list[str | Path]) -> dict[str, float]:
    """Run a process: seconds to its first line and to its end, its number of lines, its peak memory in MB."""
    watched = [sys.executable, "-I", "-c", WATCH, *map(str, command)]
    figures = json.loads(subprocess.run(watched, stdout=subprocess.PIPE, cwd=PROJECT, check=True).stdout)
    figures["peak_mb"] /= 2**20 if sys.platform == "darwin" else 2**10
    return figures


def commands(folder: Path, name: str) -> dict[str, list[str | Path]]:
    """What answers for files in a process of its own."""
    return {
        "light": [sys.executable, "-m", "genre_utils.inference.litert_model", folder / name],
        "predict": [sys.executable, "-c", KERAS, folder / name],
    }


def from_start(path: Path, folder: Path, repeats: int) -> Iterator[dict]:
    """From the start of a process to the answer for one file, interleaved."""
    name = NETWORKS[0]  # the larger one
    cases = commands(folder, name)
    found: dict[str, list[dict[str, float]]] = {way: [] for way in cases}
    for _ in range(repeats):
        for way, command in cases.items():
            found[way].append(process([*command, path]))
    for way, values in found.items():
        yield {
            "what": "process to answer", "network": name, "way": way,
            "seconds": statistics.median(figures["first"] for figures in values),
            "peak_mb": max(figures["peak_mb"] for figures in values),
        }  # fmt: skip


def streamed(paths: list[Path], folder: Path, few: int, many: int) -> Iterator[dict]:
    """A process that hears many files: hard links to the tracks, in the same file system where that is possible."""
    with tempfile.TemporaryDirectory(dir=paths[0].parent if os.access(paths[0].parent, os.W_OK) else None) as links:
        files = [Path(links) / f"{number:04d}{paths[number % len(paths)].suffix}" for number in range(many)]
        for number, file in enumerate(files):
            try:
                file.hardlink_to(paths[number % len(paths)])
            except OSError:  # another file system
                file.symlink_to(paths[number % len(paths)].resolve())
        for way, command in commands(folder, "compact_cnn").items():
            for count in (few, many):
                figures = process([*command, *files[:count]])
                assert figures["lines"] == count
                yield {
                    "what": f"{count} files", "network": "compact_cnn", "way": way,
                    "seconds": figures["seconds"], "peak_mb": figures["peak_mb"],
                }  # fmt: skip


def ratios_of(rows: list[dict], few: int, many: int) -> dict[str, float]:
    """What the rows come to; above 1 is better, but for memory, where 1 is flat."""
    row = {(row["what"], row["network"], row["way"]): row for row in rows}
    ratios = {}
    for name in NETWORKS:
        for stock, ours in itertools.product(("naive off", "naive onednn"), ("predict", "light")):
            once = [row.get(("one file, warm", name, way)) for way in (stock, ours)]
            if all(once):
                ratios[f"{name}: warm, {stock} / {ours}"] = once[0]["seconds"] / once[1]["seconds"]
        start = [row.get(("process to answer", name, way)) for way in ("predict", "light")]
        if all(start):
            ratios[f"{name}: process to answer, predict / light"] = start[0]["seconds"] / start[1]["seconds"]
    for way in ("light", "predict"):
        peaks = [row.get((f"{count} files", "compact_cnn", way)) for count in (many, few)]
        if all(peaks):
            ratios[f"peak memory of {way}, {many} / {few} files"] = peaks[0]["peak_mb"] / peaks[1]["peak_mb"]
    return ratios


def main() -> int:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="demo", help="demo, gtzan-mini, gtzan, a folder of genre folders, or a CSV")
    parser.add_argument("--repeats", type=int, default=5, help="of each time; medians are told")
    parser.add_argument("--files", type=int, nargs=2, default=(FEW, MANY), metavar=("FEW", "MANY"))
    parser.add_argument("--isa", choices=CORES, default="", help="the most that oneDNN and NumPy's products may use")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.folder)
        return 0
    from genre_utils.datasets import catalog
    from genre_utils.inference import export
    from genre_utils.models import factory  # not above: light's process has no TensorFlow

    about = machine(("tensorflow", "keras", "ai-edge-litert", "librosa", "numpy", "scipy"))
    about |= {"isa": options.isa or "all of the CPU"}
    print("  ".join(f"{name} {value}" for name, value in about.items()))
    tracks = catalog.usable(catalog.load(Params(dataset=options.data)))
    tracks = tracks[tracks["duration_seconds"] >= 30].head(MOST_TRACKS)
    paths = [Path(path) for path in tracks["path"]]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in NETWORKS:
            model = factory.build(Params(model=name), len(GENRES))
            model.save(folder / f"{name}.keras")
            export.write(model, GENRES, Params(model=name), folder / name)
        print(f"{'':>18} {'network':>12} {'way':>12} seconds  peak MB")
        measured = [warm(paths, folder, options.repeats, options.isa)]
        if not options.isa:
            measured += [from_start(paths[0], folder, options.repeats), streamed(paths, folder, *options.files)]
        for row in itertools.chain(*measured):
            rows.append(row)
            peak = f"{row['peak_mb']:8.0f}" if "peak_mb" in row else ""
            print(f"{row['what']:>18} {row['network']:>12} {row['way']:>12} {row['seconds']:7.3f} {peak}", flush=True)
    ratios = ratios_of(rows, *options.files)
    for name, value in ratios.items():
        print(f"{name}: {value:.2f}")
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "ratios": ratios, "rows": rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
