"""Extraction of log-mels against librosa call by call, alone and in two processes, and against bare FFTs.

GENRE_DATA_HOME=… .venv/bin/python -m benchmarks.speed.features --data gtzan --json features.json

Every time is taken twice: from the start of a fresh process, imports included, and again in the same process.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

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
    high = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return {"seconds": ended - imported, "fresh": ended - started, "peak_mb": int(high.split()[1]) / 1024}


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


def child(python: str, job: str, clips: Path, out: Path) -> dict:
    """Run one job of this script in a process of its own; what it prints."""
    command = [
        python,
        "-m",
        __spec__.name,
        "--job",
        job,
        "--clips",
        str(clips),
        "--out",
        str(out),
        "--started",
        str(time.time()),
    ]
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    )
    if done.returncode:
        raise RuntimeError(f"{job} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def linked(clips: list[Path], count: int, folder: Path) -> Path:
    """So many tracks, hard links of the clips, in ten genres."""
    for number in range(count):
        clip = clips[number % len(clips)]
        link = folder / f"genre {number % 10}" / f"{number:06d}{clip.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(clip, link)
    return folder


def decibels(out: Path):
    """The log-mels that a contestant has written, (row, mel, frame); None if it writes none."""
    import numpy as np

    stored = [*out.glob("features/*/features.npy"), *sorted(out.glob("*.npy"))]
    return np.concatenate([np.load(file) for file in stored]) if stored else None


def compare(clips: Path, work: Path, repeats: int, essentia_python: str) -> tuple[list[dict], dict[str, float]]:
    """All contestants, one after the other and again: medians, their ratios to ours, and whether they agree."""
    import numpy as np

    names = [name for name in CONTESTANTS if name != "essentia loop" or essentia_python]
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    written = {}
    for _ in range(repeats):
        for name in names:
            python = essentia_python if name == "essentia loop" else sys.executable
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds[name].append(child(python, name, clips, work / "out"))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds[name][-1]["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            written[name] = decibels(work / "out" / "again")
            shutil.rmtree(work / "out")
    tracks = len(list(clips.glob("*/*")))
    median = {
        (name, which): statistics.median(one[which] for one in seconds[name])
        for name in names
        for which in ("fresh", "again", "cpu")
    }
    rows, ratios = [], {}
    print(
        f"\n{tracks} clips, median of {repeats}      fresh process   × ours   same process   × ours   ms a clip"
        "   CPU of both   dB from ours: median, largest"
    )
    for name in names:
        row = {"contestant": name} | {which: median[name, which] for which in ("fresh", "again", "cpu")}
        rows.append(row)
        of = {which: row[which] / median["genre_utils", which] for which in ("fresh", "again")}
        if name == FLOOR:
            ratios |= {f"genre_utils over {name}, {which}": 1 / of[which] for which in of}
        elif name != "genre_utils":
            ratios |= {f"{name} over genre_utils, {which}": of[which] for which in of}
        print(
            f"{name:>25} {row['fresh']:15.2f} s {of['fresh']:8.2f} {row['again']:12.2f} s {of['again']:8.2f} "
            f"{1000 * row['again'] / tracks:11.1f} {row['cpu']:11.1f} s",
            end="",
        )
        if name != "genre_utils" and written[name] is not None:
            off = np.abs(written[name] - written["genre_utils"].astype(np.float32))
            row |= {"db_median": float(np.median(off)), "db_largest": float(off.max())}
            print(f"{row['db_median']:20.3f} {row['db_largest']:7.3f}", end="")
        print()
    of = {which: ratios[f"genre_utils over {FLOOR}, {which}"] for which in ("fresh", "again")}
    print(f"genre_utils takes {of['again']:.2f} times as long as {FLOOR}, {of['fresh']:.2f} with all imports")
    return rows, ratios


def grow(clips: list[Path], sizes: list[int], work: Path) -> tuple[list[dict], dict[str, float]]:
    """Larger and larger data sets: memory, seconds, and a second run that finds everything done."""
    rows = []
    print("\n tracks  extraction    a track   peak memory   second run   with its imports")
    for size in sizes:
        folder = linked(clips, size, work / "many")
        first = child(sys.executable, "peak", folder, work / "out")
        second = child(sys.executable, "peak", folder, work / "out")
        rows.append({"tracks": size, "seconds": first["seconds"], "peak_mb": first["peak_mb"]})
        rows[-1] |= {"second_run": second["seconds"], "second_run_fresh": second["fresh"]}
        print(
            f"{size:7,} {first['seconds']:9.1f} s {1000 * first['seconds'] / size:7.1f} ms {first['peak_mb']:10.0f} MB"
            f" {second['seconds']:10.2f} s {second['fresh']:14.2f} s"
        )
        shutil.rmtree(work / "many")
        shutil.rmtree(work / "out")
    ratios = {
        "peak_mb": max(row["peak_mb"] for row in rows),
        "peak_largest_over_smallest": rows[-1]["peak_mb"] / rows[0]["peak_mb"],
    }
    return rows, ratios | {f"second_run_seconds, {row['tracks']} tracks": row["second_run"] for row in rows}


def main() -> int:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="demo", help="demo, gtzan-mini, gtzan, a folder of genre folders, or a CSV")
    parser.add_argument("--most", type=int, default=80, help="clips that are compared")
    parser.add_argument("--repeats", type=int, default=5, help="of the comparison, interleaved")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[100, 1_000], help="of data sets; 1,000 tracks are 0.3 GB"
    )
    parser.add_argument("--essentia", default="", help="a Python that has essentia")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--clips", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        options.out.mkdir(parents=True, exist_ok=True)
        if options.job == "threads":
            found = threads(options.clips, options.out)
        elif options.job == "peak":
            found = peak(options.clips, options.out, options.started)
        else:
            found = timed(options.job, options.clips, options.out, options.started)
        print(json.dumps(found))
        return 0

    from genre_utils.datasets import catalog
    from genre_utils.runs.folder import machine

    about = machine(("numpy", "scipy", "librosa", "soundfile", "soxr", "joblib", "numba"))
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    tracks = catalog.usable(catalog.load(Params(dataset=options.data)))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "copies").mkdir()
        clips = [
            Path(shutil.copy(path, work / "copies" / f"{number:03d}{Path(path).suffix}"))
            for number, path in enumerate(tracks["path"][: options.most])
        ]
        few = linked(clips, len(clips), work / "few")
        rows, ratios = compare(few, work, options.repeats, options.essentia)
        if not options.essentia:
            print("essentia: not measured. Name a Python that has it, such as another environment's, with --essentia.")
        pools = child(sys.executable, "threads", linked(clips, 4 * (os.cpu_count() or 1), work / "some"), work / "out")
        shutil.rmtree(work / "out")
        for kind, pool in pools.items():
            print(f"{kind}: {pool['workers']} workers, {pool['blas']} BLAS and {pool['fft']} FFT threads in each")
            ratios[f"{kind}, threads a core"] = pool["workers"] * max(pool["blas"], pool["fft"]) / about["cores"]
        grown, memory = grow(clips, options.sizes, work) if options.sizes else ([], {})
    if options.json:
        facts = {"machine": about, "ratios": ratios | memory, "rows": rows + grown}
        options.json.write_text(json.dumps(facts, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
