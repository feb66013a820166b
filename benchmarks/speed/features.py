"""Extraction of log-mels against librosa call by call, alone and in two processes, and against bare FFTs.

GENRE_DATA_HOME=… .venv/bin/python -m benchmarks.speed.features --data gtzan --json features.json

Every time is taken twice: from the start of a fresh process, imports included, and again in the same process.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import shared
from genre_utils.params import Params  # the standard library alone: what else is imported counts for who needs it

PARAMS = Params()
MEL = {"n_fft": PARAMS.n_fft, "hop_length": PARAMS.hop_length, "n_mels": PARAMS.n_mels}
MEL |= {"fmin": PARAMS.fmin_hz, "fmax": PARAMS.fmax_hz}


def librosa_file(path: Path, out: Path) -> None:
    """One track as librosa's documentation teaches it."""
    import librosa
    import numpy as np

    samples, rate_hz = librosa.load(path, sr=PARAMS.sample_rate_hz)
    decibels = []
    for segment in range(min(PARAMS.max_segments, len(samples) // PARAMS.samples_per_segment)):
        start = segment * PARAMS.samples_per_segment
        mel = librosa.feature.melspectrogram(y=samples[start : start + PARAMS.samples_per_segment], sr=rate_hz, **MEL)
        decibels.append(librosa.power_to_db(mel, ref=np.max))
    np.save(out / f"{path.parent.name} {path.stem}.npy", decibels)


def loop(clips: Path, out: Path) -> None:
    """The loop that students write."""
    for path in sorted(clips.glob("*/*")):
        librosa_file(path, out)


def processes(clips: Path, out: Path) -> None:
    """The same in two processes."""
    import joblib

    joblib.Parallel(n_jobs=2)(joblib.delayed(librosa_file)(path, out) for path in sorted(clips.glob("*/*")))


def essentia(clips: Path, out: Path) -> None:
    """The same with essentia's algorithms, frame by frame as its tutorial does it."""
    import essentia.standard as es
    import numpy as np

    window = es.Windowing(type="hann", size=PARAMS.n_fft, normalized=False, zeroPhase=False, symmetric=False)
    spectrum = es.Spectrum(size=PARAMS.n_fft)
    bands = es.MelBands(
        inputSize=1 + PARAMS.n_fft // 2, numberBands=PARAMS.n_mels, sampleRate=PARAMS.sample_rate_hz,
        lowFrequencyBound=PARAMS.fmin_hz, highFrequencyBound=PARAMS.fmax_hz, warpingFormula="slaneyMel",
        normalize="unit_tri", weighting="linear",
    )  # fmt: skip
    for path in sorted(clips.glob("*/*")):
        samples = es.MonoLoader(filename=str(path), sampleRate=PARAMS.sample_rate_hz)()
        decibels = []
        for segment in range(min(PARAMS.max_segments, len(samples) // PARAMS.samples_per_segment)):
            start = segment * PARAMS.samples_per_segment
            frames = es.FrameGenerator(
                samples[start : start + PARAMS.samples_per_segment], frameSize=PARAMS.n_fft,
                hopSize=PARAMS.hop_length, startFromZero=False, lastFrameToEndOfFile=False,
            )  # fmt: skip
            mel = np.array([bands(spectrum(window(frame))) for frame in frames])[: PARAMS.frames_per_segment]
            one = 10 * np.log10(np.maximum(mel.T, 1e-10))  # (mel, frame)
            decibels.append(np.maximum(one - one.max(), -PARAMS.top_db))
        np.save(out / f"{path.parent.name} {path.stem}.npy", decibels)


def ours(clips: Path, out: Path) -> None:
    """This project: the catalog and its feature store."""
    from genre_utils.datasets import catalog
    from genre_utils.features import store

    store.build(catalog.from_folder(clips, PARAMS), PARAMS, out)


def floor(clips: Path, _: Path) -> None:
    """Nothing but decoding and Fourier transforms, in as many threads as there are cores."""
    import joblib
    import numpy as np
    import scipy.fft
    import soundfile

    frames = np.ones((PARAMS.frames_per_segment, PARAMS.n_fft), np.float32)

    def decode_and_transform(path: Path) -> None:
        samples, _ = soundfile.read(path, dtype="float32")
        for _ in range(min(PARAMS.max_segments, len(samples) // PARAMS.samples_per_segment)):
            scipy.fft.rfft(frames)

    threads = joblib.Parallel(n_jobs=joblib.cpu_count(), prefer="threads")
    threads(joblib.delayed(decode_and_transform)(path) for path in sorted(clips.glob("*/*")))


FLOOR = "decoding and FFTs"
CONTESTANTS: dict[str, Callable[[Path, Path], None]] = {
    "librosa loop": loop,
    "librosa, 2 processes": processes,
    "essentia loop": essentia,
    "genre_utils": ours,
    FLOOR: floor,
}


def timed(name: str, clips: Path, out: Path, started: float) -> dict[str, float]:
    """One contestant, in this process: seconds from its start to the first end, and of a second time."""
    seconds = {}
    for which in ("fresh", "again"):
        (out / which).mkdir(parents=True)
        begin = time.time() if which == "again" else started
        CONTESTANTS[name](clips, out / which)
        seconds[which] = time.time() - begin
    return seconds


def peak(clips: Path, out: Path, started: float) -> dict[str, float]:
    """Extract everything once, or find it done: seconds, and this process's largest resident memory."""
    from genre_utils.datasets import catalog
    from genre_utils.features import store

    imported = time.time()
    store.build(catalog.from_folder(clips, PARAMS), PARAMS, out)
    ended = time.time()
    memory = shared.of_process("status", "VmHWM") / 1024
    return {"seconds": ended - imported, "fresh": ended - started, "peak_mb": memory}


def threads(clips: Path, out: Path) -> dict[str, dict[str, int]]:
    """How many workers there were and how many threads BLAS and SciPy's FFT would start in each."""
    import dataclasses

    from genre_utils.datasets import catalog
    from genre_utils.features import extraction, store

    extract_track = extraction.extract_track

    def watched(block: extraction.Block, *arguments) -> extraction.Outcome:
        import scipy.fft
        import threadpoolctl

        outcome = extract_track(block, *arguments)
        blas = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        facts = [str(block.version), f"{os.getpid()} {threading.get_ident()}", max(blas), scipy.fft.get_workers()]
        with (out / "watched.jsonl").open("a") as lines:
            lines.write(json.dumps(facts) + "\n")
        return outcome

    extraction.extract_track = watched
    params = dataclasses.replace(PARAMS, noise_snr_db=20.0)
    store.build(catalog.from_folder(clips, params), params, out)
    seen = [json.loads(line) for line in (out / "watched.jsonl").read_text().splitlines()]
    return {
        kind: {
            "workers": len({worker for of, worker, _, _ in seen if bool(of) == versions}),
            "blas": max(blas for of, _, blas, _ in seen if bool(of) == versions),
            "fft": max(fft for of, _, _, fft in seen if bool(of) == versions),
        }
        for kind, versions in (("tracks", False), ("versions", True))
    }


def child(job: str, clips: Path, out: Path, python: str = sys.executable) -> dict:
    """Run one job of this script in a process of its own; what it found, and the CPU that it took."""
    before = shared.cpu_seconds()
    found = shared.child(__spec__.name, "--job", job, clips, out, time.time(), python=python)
    return found | {"cpu": shared.cpu_seconds() - before}


def decibels(out: Path):
    """The log-mels that a contestant has written, (row, mel, frame); None if it writes none."""
    import numpy as np

    stored = [*out.glob("features/*/features.npy"), *sorted(out.glob("*.npy"))]
    return np.concatenate([np.load(file) for file in stored]) if stored else None


def compare(clips: Path, work: Path, repeats: int, essentia_python: str) -> tuple[list[dict], dict[str, float]]:
    """All contestants, one after the other and again: medians, their ratios to ours, and whether they agree."""
    import numpy as np

    pythons = dict.fromkeys(CONTESTANTS, sys.executable) | {"essentia loop": essentia_python}
    written = {}

    def run(name: str) -> dict[str, float]:
        found = child(name, clips, work / "out", pythons[name])
        written[name] = decibels(work / "out" / "again")
        shutil.rmtree(work / "out")
        return found

    found = shared.in_turn({name: lambda name=name: run(name) for name, python in pythons.items() if python}, repeats)
    medians = {name: shared.medians(values) for name, values in found.items()}
    ours, tracks = medians["genre_utils"], len(list(clips.glob("*/*")))
    rows, ratios = [], {}
    for name, median in medians.items():
        rows.append({"contestant": name} | median)
        if name != "genre_utils" and written[name] is not None:
            off = np.abs(written[name] - written["genre_utils"].astype(np.float32))
            rows[-1] |= {"db_median": float(np.median(off)), "db_largest": float(off.max())}
        for which in ("fresh", "again"):
            if name == FLOOR:
                ratios[f"genre_utils over {name}, {which}"] = ours[which] / median[which]
            elif name != "genre_utils":
                ratios[f"{name} over genre_utils, {which}"] = median[which] / ours[which]
    heads = {"fresh": "fresh process, s", "again": "same process, s", "each": "ms a clip", "cpu": "CPU of both, s"}
    heads = {"contestant": f"{tracks} clips"} | heads | {"db_median": "dB from ours, median", "db_largest": "largest"}
    shared.show([row | {"each": 1000 * row["again"] / tracks} for row in rows], heads)
    return rows, ratios


def grow(clips: list[Path], sizes: list[int], work: Path) -> tuple[list[dict], dict[str, float]]:
    """Larger and larger data sets: memory, seconds, and a second run that finds everything done."""
    rows = []
    for size in sizes:
        folder = shared.linked(clips, size, work / "many")
        first, second = (child("peak", folder, work / "out") for _ in range(2))
        rows.append({"tracks": size, "seconds": first["seconds"], "peak_mb": first["peak_mb"]})
        rows[-1] |= {"second_run": second["seconds"], "second_run_fresh": second["fresh"]}
        shutil.rmtree(work / "many")
        shutil.rmtree(work / "out")
    shared.show(rows)
    ratios = {
        "peak_mb": max(row["peak_mb"] for row in rows),
        "peak_largest_over_smallest": rows[-1]["peak_mb"] / rows[0]["peak_mb"],
    }
    return rows, ratios | {f"second_run_seconds, {row['tracks']} tracks": row["second_run"] for row in rows}


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__, data=True)
    parser.add_argument("--most", type=int, default=80, help="clips that are compared")
    parser.add_argument("--repeats", type=int, default=5, help="of the comparison, interleaved")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[100, 1_000], help="of data sets; 1,000 tracks are 0.3 GB"
    )
    parser.add_argument("--essentia", default="", help="a Python that has essentia")
    parser.add_argument("--job", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        job, clips, out, started = options.job
        Path(out).mkdir(parents=True, exist_ok=True)
        if job == "threads":
            found = threads(Path(clips), Path(out))
        elif job == "peak":
            found = peak(Path(clips), Path(out), float(started))
        else:
            found = timed(job, Path(clips), Path(out), float(started))
        print(json.dumps(found))
        return 0

    about = shared.machine(("numpy", "scipy", "librosa", "soundfile", "soxr", "joblib", "numba"))
    if not options.essentia:
        print("essentia: not measured. Name a Python that has it, such as another environment's, with --essentia.")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        clips = shared.copies(options.data, options.most, work / "copies")
        few = shared.linked(clips, len(clips), work / "few")
        rows, ratios = compare(few, work, options.repeats, options.essentia)
        pools = child("threads", shared.linked(clips, 4 * (os.cpu_count() or 1), work / "some"), work / "out")
        shutil.rmtree(work / "out")
        for kind in ("tracks", "versions"):
            pool = pools[kind]
            print(f"{kind}: {pool['workers']} workers, {pool['blas']} BLAS and {pool['fft']} FFT threads in each")
            ratios[f"{kind}, threads a core"] = pool["workers"] * max(pool["blas"], pool["fft"]) / about["cores"]
        grown, memory = grow(clips, options.sizes, work) if options.sizes else ([], {})
    shared.save(options.json, about, shared.shown(ratios | memory), rows + grown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
