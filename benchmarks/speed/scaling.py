"""How the cost of extraction grows with the number of tracks, and what it makes of FMA-full and of a million.

.venv/bin/python -m benchmarks.speed.scaling --json scaling.json            # 100 and 1,000 tracks
.venv/bin/python -m benchmarks.speed.scaling --mp3 --large --json OUT       # as FMA has them, and 10,000 (4 GB of disk)
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
import time
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from genre_utils.datasets import catalog
from genre_utils.features import store
from genre_utils.params import Params
from genre_utils.paths import CACHE
from genre_utils.runs.folder import machine

SIZES = (100, 1_000)
LARGE = 10_000
REPEATS = 5
MOST_CLIPS = 100  # that are copied; the tracks are hard links to them
GENRES = 10
COMPARED = ("joblib", "numpy", "scipy", "soundfile", "soxr")
# Tracks and their mean length. FMA: Defferrard et al., FMA: a dataset for music analysis (2017), 343 days of audio.
COLLECTIONS = {
    "FMA-full, 30 s of each": (106_574, 30.0),
    "FMA-full, whole tracks": (106_574, 343 * 86_400 / 106_574),
    "a million, 30 s of each": (1_000_000, 30.0),
}


def clips(params: Params, folder: Path, mp3: bool) -> list[Path]:
    """Copies of the data set's clips on the disk of the measurement; their paths."""
    tracks = catalog.usable(catalog.load(params))
    tracks = tracks.sample(min(MOST_CLIPS, len(tracks)), random_state=0)
    folder.mkdir()
    found = []
    for number, source in enumerate(map(Path, tracks["path"])):
        target = folder / f"{number:03d}{'.mp3' if mp3 else source.suffix}"
        if mp3:
            soundfile.write(target, *soundfile.read(source), format="MP3")
        else:
            shutil.copy(source, target)
        found.append(target)
    return found


def linked(sources: list[Path], count: int, folder: Path) -> Path:
    """A folder of genre folders with so many tracks, all of them hard links."""
    for number in range(count):
        genre = folder / f"genre-{number % GENRES}"
        genre.mkdir(parents=True, exist_ok=True)
        source = sources[number % len(sources)]
        os.link(source, genre / f"{number:07d}{source.suffix}")
    return folder


def cpu_seconds() -> float:
    """Of the processes that have ended, and of their workers."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    """Most memory that this process has had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure(music: Path, cache: Path) -> dict[str, float]:
    """One extraction, in a process that has done nothing else: seconds, memory, disk."""
    params = Params(dataset=str(music))
    imported, started = peak_mb(), time.perf_counter()
    tracks = catalog.load(params)
    listed = time.perf_counter()
    built = store.build(tracks, params, cache)
    done = time.perf_counter()
    store.build(tracks, params, cache)
    return {
        "catalog_seconds": listed - started,
        "wall_seconds": done - listed,
        "again_seconds": time.perf_counter() - done,
        "imported_mb": imported,
        "parent_mb": peak_mb(),
        "disk_mb": sum(path.stat().st_size for path in built.folder.iterdir()) / 1e6,
        "segments": len(built.segments),
        "segment_bytes": built.segments.memory_usage(deep=True).sum() / len(built.segments),
        "audio_seconds": float(tracks["duration_seconds"].clip(upper=30.0).sum()),
    }


def fit(table: pd.DataFrame, name: str) -> tuple[float, float]:
    """Fixed cost and cost a track, by least squares of the relative error."""
    slope, fixed = np.polyfit(table.index, table[name], 1, w=1 / table[name])
    return fixed, slope


def collections(lines: dict[str, tuple[float, float]], segment_bytes: float, params: Params) -> list[dict]:
    """What the fit makes of larger collections: seconds go with the length of a track, memory with its segments."""
    row_bytes = params.n_mels * params.frames_per_segment * 2  # float16
    rows = []
    for name, (tracks, seconds) in COLLECTIONS.items():
        longer = seconds / (params.max_segments * params.segment_seconds)  # than what was measured
        segments = int(seconds // params.segment_seconds)
        table_mb = tracks * (segments - params.max_segments) * segment_bytes / 1e6
        rows.append(
            {
                "collection": name,
                "tracks": tracks,
                "segments": tracks * segments,
                "cpu_hours": (lines["cpu_seconds"][0] + lines["cpu_seconds"][1] * tracks * longer) / 3600,
                "catalog_hours": lines["catalog_seconds"][1] * tracks / 3600,
                "disk_gb": tracks * segments * row_bytes / 1e9,
                "parent_gb": (lines["parent_mb"][0] + lines["parent_mb"][1] * tracks + 2 * table_mb) / 1e3,
            }
        )
    return rows


def main() -> int:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="demo", help="demo, gtzan-mini, gtzan, a folder of genre folders, or a CSV")
    parser.add_argument("--mp3", action="store_true", help="the clips as MP3")
    parser.add_argument("--large", action="store_true", help=f"{LARGE:,} tracks too, once")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="of each size, in turn")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--measure", type=Path, nargs=2, metavar=("MUSIC", "CACHE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return 0

    facts = machine(COMPARED)
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    rows = []
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name)
        sources = clips(Params(dataset=options.data), folder / "clips", options.mp3)
        sizes = [*SIZES, *([LARGE] if options.large else [])]
        music = {size: linked(sources, size, folder / str(size)) for size in sizes}
        turns = [size for _ in range(options.repeats) for size in SIZES] + sizes[len(SIZES) :]
        for size in turns:
            cache = folder / "cache"
            words = [sys.executable, "-m", __spec__.name, "--measure", str(music[size]), str(cache)]
            before = cpu_seconds()
            found = subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            used = {"cpu_seconds": cpu_seconds() - before}  # the start of the process included
            rows.append({"tracks": size} | used | json.loads(found.stdout))
            shutil.rmtree(cache)
            print(
                f"{size:7,} tracks: {rows[-1]['wall_seconds']:7.1f} s, {rows[-1]['cpu_seconds']:7.1f} s of CPU",
                flush=True,
            )

    table = pd.DataFrame(rows).groupby("tracks").agg(statistics.median)
    print(f"\nmedians\n{table.T.round(2).to_string()}")
    names = ("cpu_seconds", "catalog_seconds", "again_seconds", "parent_mb", "disk_mb")
    lines = {name: fit(table, name) for name in names}
    print("\nfixed + tracks x each")
    for name, (fixed, each) in lines.items():
        print(f"{name:>16} {fixed:10.3f} + tracks x {each:.6f}")
    least, most = table.index.min(), table.index.max()
    each = table.div(table.index, axis=0)
    ratios = {
        "cpu_a_track_most_to_least": float(each.loc[most, "cpu_seconds"] / each.loc[least, "cpu_seconds"]),
        "parent_memory_most_to_least": float(table.loc[most, "parent_mb"] / table.loc[least, "parent_mb"]),
        "audio_seconds_a_cpu_second": float(table.loc[most, "audio_seconds"] / table.loc[most, "cpu_seconds"]),
        "cores_kept_busy": float(
            table.loc[most, "cpu_seconds"] / table.loc[most, "wall_seconds"] / (os.cpu_count() or 1)
        ),
    }
    if options.large:  # 1 if what a track costs does not depend on how many there are
        slopes = np.diff(table["cpu_seconds"]) / np.diff(table.index)
        ratios["cpu_of_one_more_track_late_to_early"] = float(slopes[-1] / slopes[0])
    print("\n" + "\n".join(f"{name:>36} {value:8.2f}" for name, value in ratios.items()))
    computed = collections(lines, table["segment_bytes"].iloc[-1], Params())
    print(f"\ncomputed\n{pd.DataFrame(computed).round(2).to_string(index=False)}")
    if options.json:
        options.json.write_text(
            json.dumps({"machine": facts, "ratios": ratios, "rows": [*rows, *computed], "lines": lines}, indent=1)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
