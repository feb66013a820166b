"""From an audio file to probabilities: warm, from the start of a process, and 1,000 files one after the other.

GENRE_DATA_HOME=… .venv/bin/python -m benchmarks.speed.inference --data gtzan --json inference.json

Networks have fresh weights: what is measured does not depend on them. By itself TensorFlow takes oneDNN where the CPU
has AVX512_VNNI, AMX or the like, and leaves it where it has not; genre_utils always takes it.

--isa AVX2 limits oneDNN and NumPy's products to the instructions of a CPU without AVX-512; LiteRT, which cannot be
limited, is then left out, and so is all that is not of one file, warm.
"""

import argparse
import functools
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks import shared
from benchmarks.shared import GENRES
from genre_utils.inference import litert_model, prediction
from genre_utils.params import Params

NETWORKS = ("paper_cnn", "compact_cnn")
WAYS = {  # of one file, warm: what a process of its own has in its environment
    "naive off": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "naive onednn": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "predict": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "light": {"OPENBLAS_NUM_THREADS": "1"},
}
CORES = {"AVX2": "Haswell"}  # what OpenBLAS, which is NumPy's, calls it
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
for answer in prediction.predict(files, network):
    print(answer.track.tolist(), flush=True)
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
    return lambda path: next(prediction.predict([path], network)).probabilities


def child(way: str, folder: Path) -> None:
    """Answer a network's name and some files by seconds and probabilities of each file."""
    ways = {name: answering(way, name, folder) for name in NETWORKS}

    def timed(answer: Callable[[Path], np.ndarray], path: str) -> tuple[float, list]:
        start = time.perf_counter()
        probabilities = answer(Path(path))
        return time.perf_counter() - start, probabilities.tolist()

    shared.serve(lambda name, *paths: [timed(ways[name], path) for path in paths])


def warm(paths: list[Path], folder: Path, repeats: int, isa: str) -> Iterator[dict]:
    """Seconds from a file to its probabilities in a process that does it again and again; the processes take turns."""
    limits = {"ONEDNN_MAX_CPU_ISA": isa, "OPENBLAS_CORETYPE": CORES[isa]} if isa else {}
    processes = {}
    for way in (way for way in WAYS if way != "light" or not isa):
        words = shared.command(__spec__.name, "--child", way, "--folder", folder)
        processes[way] = shared.Child(words, env=shared.environment(**WAYS[way] | limits))
    for name in NETWORKS:
        seconds: dict[str, list[float]] = {way: [] for way in processes}
        coming = itertools.cycle(map(str, paths))
        for turn in range(repeats + 1):
            chosen = list(itertools.islice(coming, UNTIMED + TIMED))
            answers = {}
            for way, process in processes.items():
                times, answers[way] = zip(*process.ask(name, *chosen), strict=True)
                if turn:  # the first one traces, allocates and reads from the disk
                    seconds[way] += times[UNTIMED:]
            for found in answers.values():
                for heard, wanted in zip(found, answers["naive off"], strict=True):  # librosa resamples the whole file
                    np.testing.assert_allclose(heard[: len(wanted)], wanted, atol=1e-3)
        for way, values in seconds.items():
            yield {"what": "one file, warm", "network": name, "way": way, "seconds": statistics.median(values)}
    for process in processes.values():
        process.end()


def process(words: list[str | Path]) -> dict[str, float]:
    """Run a process that must end well: seconds, lines and memory."""
    found = shared.watched(words, cwd=shared.ROOT)
    if found["status"]:
        raise SystemExit(f"{words} ended with {found['status']}; its message stands above.")
    return found


def commands(folder: Path, name: str) -> dict[str, list[str | Path]]:
    """What answers for files in a process of its own."""
    return {
        "light": [sys.executable, "-m", "genre_utils", "predict", "--json", "-", "--model", folder / name],
        "predict": [sys.executable, "-c", KERAS, folder / name],
    }


def from_start(path: Path, folder: Path, repeats: int) -> Iterator[dict]:
    """From the start of a process to the answer for one file, interleaved."""
    name = NETWORKS[0]  # the larger one
    cases = commands(folder, name)
    ways = {way: functools.partial(process, [*command, path]) for way, command in cases.items()}
    for way, values in shared.in_turn(ways, repeats).items():
        yield {
            "what": "process to answer", "network": name, "way": way,
            "seconds": statistics.median(figures["first"] for figures in values),
            "peak_mb": max(figures["peak_mb"] for figures in values),
        }  # fmt: skip


def streamed(paths: list[Path], folder: Path, few: int, many: int) -> Iterator[dict]:
    """A process that hears many files."""
    files = sorted(shared.linked(paths, many, folder / "many").glob("*/*"))
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
    parser = shared.parser(__doc__, data=True)
    parser.add_argument("--repeats", type=int, default=5, help="of each time; medians are told")
    parser.add_argument("--files", type=int, nargs=2, default=(100, 1_000), metavar=("FEW", "MANY"))
    parser.add_argument("--isa", choices=CORES, default="", help="the most that oneDNN and NumPy's products may use")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.folder)
        return 0
    from genre_utils.inference import export
    from genre_utils.models import factory  # not above: light's process has no TensorFlow

    packages = ("tensorflow", "keras", "ai-edge-litert", "librosa", "numpy", "scipy")
    about = shared.machine(packages, isa=options.isa or "all of the CPU")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = shared.copies(options.data, MOST_TRACKS, folder / "copies", least_seconds=30)
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
    shared.save(options.json, about, shared.shown(ratios_of(rows, *options.files)), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
