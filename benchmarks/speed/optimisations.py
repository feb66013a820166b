"""What each optimisation in genre_utils brings: the plain way against the chosen one, which must give the same result.

.venv/bin/python -m benchmarks.speed.optimisations --json optimisations.json

A comment in genre_utils gives the figure. Sound and log-mels are random numbers; the cold read takes real blocks of the
disk that holds the temporary folder (TMPDIR chooses another). Two minutes; Linux alone.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from benchmarks import shared
from benchmarks.shared import GENRES, of_process
from genre_utils.params import Params  # and no more: what else is imported counts for who needs it

os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is imported, as all else here is, by whom it measures
PARAMS = Params()
BATCH = 32
CLIP_SECONDS, CLIPS = 30, 40
MATRIX = (65_536, 512)  # the paper network's largest: 134 MB
BUSY_SECONDS = 15  # more than that one takes
COMPARED = 56  # fingerprints, the most that are compared at once
STORE_GB, COLD_BATCHES = 1.5, 3
IMAGES = (8, 256, 256, 32)  # the outputs of the paper network's first convolution, for a quarter of a batch
SECONDS = 1.0  # where both ways are quick
WAYS, BOTH = ("plain", "chosen"), "both"
Way = Callable[[], Any]


class Pair(NamedTuple):
    """Two ways to one result, and what comes before each, unmeasured."""

    plain: Way
    chosen: Way
    before: Callable[[], None] = lambda: None


class Optimisation(NamedTuple):
    """Where the chosen way is, what the plain one would be, and which figures tell them apart."""

    place: str
    plain: str
    figures: tuple[str, ...]
    pair: Callable[[Path], Pair]
    alone: bool = False  # each way, each time, in a process of its own
    tolerance: float = 0.0  # between two results


def under(change: Any, way: Way) -> Way:
    """A way while something is patched."""

    def changed() -> Any:
        with change:
            return way()

    return changed


def once(file: Path, make: Callable[[Path], None]) -> Path:
    """A file that several of them or several processes need."""
    if not file.exists():
        make(file)
    return file


def clip(folder: Path, number: int = 0) -> Path:
    """A clip of noise: mono, 16 bits, at the paper's rate."""
    import soundfile

    def write(file: Path) -> None:
        samples = np.random.default_rng(number).normal(0, 0.1, CLIP_SECONDS * PARAMS.sample_rate_hz)
        soundfile.write(file, samples.clip(-1, 1), PARAMS.sample_rate_hz)

    return once(folder / f"{number}.wav", write)


def decibels(rows: int, kind: type = np.float32) -> np.ndarray:
    """Log-mels of noise (row, mel, frame)."""
    shape = (rows, PARAMS.n_mels, PARAMS.frames_per_segment)
    return np.random.default_rng(rows).uniform(-80, 0, shape).astype(kind)


def audio_integers(folder: Path) -> Pair:
    """The 16 bits of a file."""
    import soundfile

    from genre_utils.audio import decoding

    chosen = functools.partial(decoding.load, clip(folder), PARAMS)
    return Pair(under(patch.object(soundfile.SoundFile, "subtype", "FLOAT"), chosen), chosen)


def audio_channels(_: Path) -> Pair:
    """Two channels to one, as audio.py's line does it."""
    samples = (
        np.random.default_rng(0).integers(-(2**15), 2**15, (CLIP_SECONDS * PARAMS.sample_rate_hz, 2)).astype(np.int16)
    )
    scale = np.float32(2**-15)
    return Pair(
        lambda: (samples * scale).mean(axis=1),
        lambda: functools.reduce(np.add, (channel * (scale / 2) for channel in samples.T)),
    )


def augment_crop(_: Path) -> Pair:
    """Random starts."""
    from genre_utils.training import spec_augment

    these, following = decibels(BATCH, np.float16), decibels(BATCH + 1, np.float16)[1:]

    def plain() -> np.ndarray:
        start = np.random.default_rng(0).integers(0, these.shape[2] + 1, len(these))
        column = start[:, None, None] + np.arange(these.shape[2])  # (n, 1, frame)
        return np.take_along_axis(np.concatenate([these, following], axis=2), column, axis=2)

    return Pair(plain, lambda: spec_augment.crop(these, following, np.random.default_rng(0)))


def augment_shift(_: Path) -> Pair:
    """Random keys."""
    from genre_utils.training import spec_augment

    these, bands = decibels(BATCH), 4

    def plain() -> np.ndarray:
        moved = np.arange(these.shape[1]) - np.random.default_rng(0).integers(-bands, bands + 1, (len(these), 1))
        return np.take_along_axis(these, moved.clip(0, these.shape[1] - 1)[:, :, None], axis=1)

    return Pair(plain, lambda: spec_augment.shift(these, bands, np.random.default_rng(0)))


def augment_mix(_: Path) -> Pair:
    """MixUp."""
    from genre_utils.training import spec_augment

    these, targets, alpha = decibels(BATCH), np.ones((BATCH, len(GENRES)), np.float32), 0.2

    def plain() -> np.ndarray:
        rng = np.random.default_rng(0)
        share, partner = rng.beta(alpha, alpha, (BATCH, 1, 1)).astype(np.float32), rng.permutation(BATCH)
        return share * these + (1 - share) * these[partner]

    return Pair(plain, lambda: spec_augment.mix(these, targets, alpha, np.random.default_rng(0))[0])


def features_bands(_: Path) -> Pair:
    """The mel bands of a clip's segments."""
    from genre_utils.features import spectrogram

    segments = np.random.default_rng(0).normal(0, 0.1, (6, PARAMS.samples_per_segment)).astype(np.float32)
    whole = [(slice(None), slice(None), np.ascontiguousarray(spectrogram.mel_filters(PARAMS).T))]
    chosen = functools.partial(spectrogram.log_mel, segments, PARAMS)
    return Pair(under(patch.object(spectrogram, "mel_blocks", lambda _: whole), chosen), chosen)


def features_threads(_: Path) -> Pair:
    """The same, where BLAS may start a thread a core."""
    from threadpoolctl import threadpool_limits

    from genre_utils.features import spectrogram

    threadpool_limits(os.cpu_count() or 1, "blas")
    pair = features_bands(Path())
    return Pair(under(patch.object(spectrogram, "ONE_THREAD", 2**62), pair.plain), pair.chosen)


def features_busy(_: Path) -> Pair:
    """The same, on a machine that has something else to do on every core."""
    loop = f"import time\nend = time.monotonic() + {BUSY_SECONDS}\nwhile time.monotonic() < end: pass"
    for _ in range(os.cpu_count() or 1):
        subprocess.Popen([sys.executable, "-c", loop])
    return features_threads(Path())


def features_filters(_: Path) -> Pair:
    """The mel filters, in a process that has what any log-mel needs."""
    from genre_utils.features import spectrogram

    def plain() -> np.ndarray:
        import librosa.filters

        return librosa.filters.mel(
            sr=PARAMS.sample_rate_hz, n_fft=PARAMS.n_fft, n_mels=PARAMS.n_mels, fmin=PARAMS.fmin_hz, fmax=PARAMS.fmax_hz
        )

    return Pair(plain, lambda: spectrogram.mel_filters(PARAMS))


def built(folder: Path, tracks: int) -> Way:
    """A store of so many tracks, made anew each time."""
    import pandas as pd

    from genre_utils.features import store

    paths = [str(clip(folder, number)) for number in range(tracks)]
    table = pd.DataFrame({"track_id": paths, "path": paths, "genre": "noise", "artist": "", "title": ""})
    table = table.assign(fault="", duration_seconds=float(CLIP_SECONDS))
    return lambda: np.array(store.build(table, PARAMS, Path(tempfile.mkdtemp(dir=folder))).features)


def extraction_threads(folder: Path) -> Pair:
    """A clip for each of two workers, which are started for them."""
    from joblib.externals.loky import get_reusable_executor

    from genre_utils.features import extraction

    chosen, work = built(folder, 2), extraction.work
    chosen()  # writes Parquet for the first time
    processes = patch.object(extraction, "work", lambda *words: work(*words[:-1], "processes"))
    return Pair(under(processes, chosen), chosen, lambda: get_reusable_executor().shutdown(kill_workers=True))


def matrix(folder: Path) -> Path:
    """Weights (input, output) of a dense layer."""
    return once(
        folder / "matrix.npy",
        lambda file: np.save(file, np.random.default_rng(0).normal(0, 0.01, MATRIX).astype(np.float32)),
    )


def light_threads(folder: Path) -> Pair:
    """The products of the segments of ten clips."""
    from threadpoolctl import ThreadpoolController, threadpool_limits

    from genre_utils.inference import litert_model

    product, values = litert_model.product(matrix(folder)), np.random.default_rng(0).normal(0, 1, (6, MATRIX[0]))

    def chosen() -> np.ndarray:
        return np.stack([product(values.astype(np.float32)) for _ in range(10)])

    threadpool_limits(os.cpu_count() or 1, "blas")  # such a process has one thread
    unlimited = patch.object(ThreadpoolController, "limit", lambda *_, **__: contextlib.nullcontext())
    return Pair(under(unlimited, chosen), chosen)


def light_rows(folder: Path) -> Pair:
    """The same, and how much of the matrix is in memory."""
    from genre_utils.inference import litert_model

    product, values = litert_model.product(matrix(folder)), np.ones((6, MATRIX[0]), np.float32)
    return Pair(lambda: values @ np.load(matrix(folder), mmap_mode="r"), lambda: product(values))


def light_matrix(folder: Path) -> Pair:
    """A clip's answer from the exported network."""
    from genre_utils.inference import litert_model, prediction

    def exported(name: str, large_bytes: int) -> None:
        from genre_utils.inference import export
        from genre_utils.models import factory

        with patch.object(export, "LARGE_BYTES", large_bytes):
            model = factory.load(once(folder / "paper.keras", factory.build(PARAMS, len(GENRES)).save))
            export.write(model, GENRES, PARAMS, folder / name)

    for name, large_bytes in (("whole", 2**40), ("in parts", 32 * 2**20)):
        once(folder / name, lambda _, name=name, large_bytes=large_bytes: exported(name, large_bytes))

    def answered(name: str) -> np.ndarray:
        return next(prediction.predict([clip(folder)], litert_model.open_exported(folder / name))).probabilities

    return Pair(lambda: answered("whole"), lambda: answered("in parts"))


def listening_threads(folder: Path) -> Pair:
    """Files of two blocks, stereo at 44.1 kHz."""
    import soundfile

    from genre_utils.inference import prediction

    def write(file: Path) -> None:
        samples, _ = soundfile.read(clip(folder), dtype="int16")
        soundfile.write(file, np.resize(samples, (2 * CLIP_SECONDS * 44_100, 2)), 44_100)

    file = once(folder / "stereo.wav", write)
    network = prediction.Network(lambda heard: heard.mean(axis=(1, 2))[:, None], ["noise"], PARAMS)

    def heard(threads: int) -> np.ndarray:
        return np.stack([answer.probabilities for answer in prediction.predict([file] * 12, network, threads)])

    return Pair(lambda: heard(10), lambda: heard(2))


def prints(bands: int) -> dict[str, np.ndarray]:
    """Fingerprints of clips, half of which are copies of the others."""
    rng = np.random.default_rng(0)
    clips = rng.normal(0, 5, (COMPARED // 2, bands, 600)).astype(np.float32)
    return {f"{number:02d}": each for number, each in enumerate([*clips, *(clips + np.roll(clips, 1) / 5)])}


def found(fingerprints: dict[str, np.ndarray]) -> np.ndarray:
    """Which of them are copies, (pair, two)."""
    from genre_utils.splits import fingerprinting

    return fingerprinting.near_duplicates(fingerprints)[["track_a", "track_b"]].to_numpy().astype(int)


def audit_bands(_: Path) -> Pair:
    """The comparison of each with each."""
    many, few = prints(64), prints(32)
    return Pair(lambda: found(many), lambda: found(few))


def audit_tiles(_: Path) -> Pair:
    """The same of clips that are not equally long, and what it takes of memory."""
    from genre_utils.splits import fingerprinting

    lengths = {name: each[:, : 600 - int(name)] for name, each in prints(fingerprinting.BANDS).items()}
    chosen = functools.partial(found, lengths)
    return Pair(under(patch.object(fingerprinting, "TILE_VALUES", fingerprinting.TILE_VALUES // 16), chosen), chosen)


def pipeline_cold(folder: Path) -> Pair:
    """Batches from a store that is not in the page cache, in real blocks on the disk."""
    from benchmarks.speed import pipeline as delivery
    from genre_utils.features import store

    rows = max(COLD_BATCHES * BATCH, round(STORE_GB * 1e9 / (2 * PARAMS.n_mels * PARAMS.frames_per_segment)))
    once(folder / "features.npy", lambda file: delivery.written(file.parent, rows, PARAMS))
    features = np.load(folder / "features.npy", mmap_mode="r")
    chosen = np.random.default_rng(0).choice(len(features), (COLD_BATCHES, BATCH), replace=False)
    return Pair(
        lambda: np.stack([features[batch] for batch in chosen]),
        lambda: np.stack([store.read_rows(features, batch) for batch in chosen]),
        lambda: delivery.cool(features),
    )


def examples(rows: int) -> tuple[Any, Any]:
    """A store in memory and its segments."""
    import pandas as pd

    from genre_utils.features.store import Store

    table = pd.DataFrame({"row": np.arange(rows), "next_row": np.arange(rows), "label": 0})
    nothing = pd.DataFrame()
    return Store(Path(), decibels(rows, np.float16), nothing, nothing, nothing, 0, 0), table


def pipeline_graph(_: Path) -> Pair:
    """A process's first batch."""
    from genre_utils.training import pipeline

    store, table = examples(BATCH)
    pipeline.tf.constant(0)
    chosen = functools.partial(lambda: next(iter(pipeline.shuffled(store, table, PARAMS)))[0].numpy())
    return Pair(under(patch.object(pipeline, "as_written", lambda function: function), chosen), chosen)


def predict_traced(_: Path) -> Pair:
    """A clip's segments through the compact network."""
    from genre_utils.inference import keras_model
    from genre_utils.models import factory

    params = dataclasses.replace(PARAMS, model="compact_cnn")
    model, heard = factory.build(params, len(GENRES)), decibels(6)
    traced = keras_model.compiled(model, GENRES, params)
    return Pair(lambda: model.predict(heard, verbose=0), lambda: traced.run(heard))


def classifiers_folds(_: Path) -> Pair:
    """The machine's answers for segments of ten genres."""
    import pandas as pd

    from genre_utils.models import classifiers

    rng, label = np.random.default_rng(0), np.arange(30 * len(GENRES)) % len(GENRES)
    x = rng.normal(0, 2, (len(GENRES), 40))[label] + rng.normal(0, 1, (len(label), 40))
    table = pd.DataFrame({"track_id": np.arange(len(label)), "segment": 0, "genre": np.array(GENRES)[label]})
    table["split"] = np.where(table["track_id"] % 3, "train", "test")

    def chosen() -> np.ndarray:
        said = classifiers.fit_predict(x, table, "svm", GENRES)["predicted"]
        return pd.Categorical(said, GENRES).codes

    return Pair(under(patch.object(classifiers, "CALIBRATION_FOLDS", 5), chosen), chosen)


def fused_moments(_: Path) -> Pair:
    """Mean and variance of each channel."""
    from genre_utils.models import fused

    images = fused.tf.random.stateless_normal(IMAGES, (0, 0)) + 1
    plain = fused.tf.function(lambda: fused.tf.concat(fused.tf.nn.moments(images, (0, 1, 2)), 0))
    chosen = fused.tf.function(lambda: fused.tf.concat(fused.moments(images), 0))
    return Pair(lambda: plain().numpy(), lambda: chosen().numpy())


OPTIMISATIONS = {
    one.pair.__name__: one
    for one in (
        Optimisation("decoding.decoded, 16 bits", "libsndfile converts to float", ("cpu_ms",), audio_integers),
        Optimisation("decoding.decoded, stereo", "mean(axis=1)", ("cpu_ms",), audio_channels, tolerance=1e-6),
        Optimisation("spec_augment.crop", "take_along_axis", ("cpu_ms",), augment_crop),
        Optimisation("spec_augment.shift", "take_along_axis", ("cpu_ms",), augment_shift),
        Optimisation("spec_augment.mix", "the whole batch at once", ("cpu_ms",), augment_mix, tolerance=1e-4),
        Optimisation("spectrogram.BANDS_AT_ONCE", "all bands", ("cpu_ms",), features_bands, tolerance=1e-3),
        Optimisation("spectrogram.ONE_THREAD", "one product", ("ms", "cpu_ms"), features_threads, tolerance=1e-3),
        Optimisation("the same, busy cores", "one product", ("ms", "cpu_ms"), features_busy, tolerance=1e-3),
        Optimisation("spectrogram.mel_filters", "librosa.filters.mel", ("ms",), features_filters, True, 1e-7),
        Optimisation("extraction.extract, threads", "processes", ("ms",), extraction_threads),
        Optimisation("litert_model, one BLAS thread", "one a core", ("ms", "cpu_ms"), light_threads, True, 1e-3),
        Optimisation("litert_model.ROWS", "all at once", ("peak_mb",), light_rows, True, 1e-3),
        Optimisation("litert_model.product", "LiteRT's own", ("peak_mb", "cpu_ms"), light_matrix, True, 1e-4),
        Optimisation("prediction.THREADS = 2", "10", ("grown_mb",), listening_threads, True),
        Optimisation("fingerprinting.BANDS = 32", "64", ("cpu_ms",), audit_bands),
        Optimisation("fingerprinting.TILE_VALUES", "a sixteenth", ("grown_mb",), audit_tiles, True),
        Optimisation("pipeline.as_written", "made into a graph", ("ms",), pipeline_graph, True),
        Optimisation("store.read_rows, cold", "through the map", ("disk_mb", "ms"), pipeline_cold),
        Optimisation("keras_model.compiled", "model.predict", ("ms",), predict_traced, tolerance=1e-4),
        Optimisation("classifiers.CALIBRATION_FOLDS = 3", "5", ("cpu_ms",), classifiers_folds),
        Optimisation("fused.moments", "tf.nn.moments", ("ms",), fused_moments, tolerance=1e-3),
    )
}


def measured(way: Way) -> tuple[Any, dict[str, float]]:
    """A way's result, and what it took of this process."""
    Path("/proc/self/clear_refs").write_text("5")  # what it held while it prepared is no peak
    held = of_process("status", "VmRSS")
    faults, disk = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, of_process("io", "read_bytes")
    cpu, start = time.process_time(), time.perf_counter()
    result = way()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    peak = of_process("status", "VmHWM")
    return result, {
        "ms": 1000 * seconds,
        "cpu_ms": 1000 * cpu_seconds,
        "page_faults": resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults,
        "disk_mb": (of_process("io", "read_bytes") - disk) / 1e6,
        "peak_mb": peak * 1024 / 1e6,
        "grown_mb": (peak - held) * 1024 / 1e6,
    }


def job(name: str, way: str, repeats: int, folder: Path) -> list[dict[str, float]]:
    """In such a process: one way once, or both in turn, so often and for a second; their results must be the same."""
    one, taken = OPTIMISATIONS[name], []
    pair = one.pair(folder)
    if way != BOTH:
        pair.before()
        result, figures = measured(getattr(pair, way))
        other = once(folder / f"{name}.npy", lambda file: np.save(file, result))
        np.testing.assert_allclose(result, np.load(other), rtol=0, atol=one.tolerance, err_msg=name)
        return [figures]
    started = time.perf_counter()
    while len(taken) <= repeats or time.perf_counter() - started < SECONDS:
        results = []
        taken.append({})
        for way in WAYS:
            pair.before()
            result, figures = measured(getattr(pair, way))
            results.append(result)
            taken[-1] |= {f"{way} {figure}": value for figure, value in figures.items()}
        np.testing.assert_allclose(*results, rtol=0, atol=one.tolerance, err_msg=name)
    return taken[1:]  # the first time allocates and traces


def compare(name: str, folder: Path, repeats: int) -> list[dict]:
    """Medians of an optimisation's figures; no process finds the memory that another one has left."""
    one = OPTIMISATIONS[name]
    run = functools.partial(shared.child, __spec__.name, OPENBLAS_NUM_THREADS="1")
    if one.alone:
        found = shared.in_turn({way: lambda way=way: run("--job", name, way, 1, folder)[0] for way in WAYS}, repeats)
        taken = {way: shared.medians(found[way]) for way in WAYS}
    else:
        both = shared.medians(run("--job", name, BOTH, repeats, folder))
        taken = {way: {key.removeprefix(f"{way} "): value for key, value in both.items()} for way in WAYS}
    return [
        {"name": name, "place": one.place, "plain_way": one.plain, "figure": figure}
        | {way: taken[way][figure] for way in WAYS}
        for figure in one.figures
    ]


def read_ahead_kb(folder: Path) -> int | None:
    """How much Linux reads around what is asked for through a map, on the device that holds a folder."""
    device = folder.stat().st_dev
    file = Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
    partition = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/../queue/read_ahead_kb")
    return next((int(found.read_text()) for found in (file, partition) if found.exists()), None)


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=OPTIMISATIONS,
        default=list(OPTIMISATIONS),
        metavar="NAME",
        help="of OPTIMISATIONS, by name",
    )
    parser.add_argument("--repeats", type=int, default=5, help="of each way; medians are told")
    parser.add_argument("--job", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        name, way, repeats, folder = options.job
        print(json.dumps(job(name, way, int(repeats), Path(folder))))
        return 0

    packages = ("numpy", "scipy", "soundfile", "librosa", "joblib", "tensorflow", "keras", "ai-edge-litert")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        about = shared.machine(packages, read_ahead_kb=read_ahead_kb(Path(temporary)))
        print(f"{'place':>32} {'the plain way':>32} {'figure':>12}     plain    chosen   plain/chosen   difference")
        for name in options.only:
            for row in compare(name, Path(temporary), options.repeats):
                rows.append(row)
                plain, chosen = row["plain"], row["chosen"]
                print(
                    f"{row['place']:>32} {row['plain_way']:>32} {row['figure']:>12} {plain:9,.4g} {chosen:9,.4g}"
                    f" {plain / chosen:14.2f} {plain - chosen:12,.4g}",
                    flush=True,
                )
    ratios = {f"{row['name']}, {row['figure']}": row["plain"] / row["chosen"] for row in rows}
    shared.save(options.json, about, ratios, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
