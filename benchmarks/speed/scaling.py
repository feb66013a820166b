"""How the cost of extraction grows with the number of tracks, and what it makes of FMA-full and of a million.

.venv/bin/python -m benchmarks.speed.scaling --json scaling.json            # 100 and 1,000 tracks
.venv/bin/python -m benchmarks.speed.scaling --mp3 --large --json OUT       # as FMA has them, and 10,000 (4 GB of disk)
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import shared
from genre_utils.datasets import catalog
from genre_utils.features import store
from genre_utils.params import Params
from genre_utils.paths import CACHE

SIZES = (100, 1_000)
LARGE = 10_000
MOST_CLIPS = 100  # that are copied; the tracks are hard links to them
COMPARED = ("joblib", "numpy", "scipy", "soundfile", "soxr")
# Tracks and their mean length. FMA: Defferrard et al., FMA: a dataset for music analysis (2017), 343 days of audio.
COLLECTIONS = {
    "FMA-full, 30 s of each": (106_574, 30.0),
    "FMA-full, whole tracks": (106_574, 343 * 86_400 / 106_574),
    "a million, 30 s of each": (1_000_000, 30.0),
}


def measure(music: Path, cache: Path) -> dict[str, float]:
    """One extraction, in a process that has done nothing else: seconds, memory, disk."""
    params = Params(dataset=str(music))
    imported, started = shared.of_process("status", "VmHWM"), time.perf_counter()
    tracks = catalog.load(params)
    listed = time.perf_counter()
    built = store.build(tracks, params, cache)
    done = time.perf_counter()
    store.build(tracks, params, cache)
    return {
        "catalog_seconds": listed - started,
        "wall_seconds": done - listed,
        "again_seconds": time.perf_counter() - done,
        "imported_mb": imported * 1024 / 1e6,
        "parent_mb": shared.of_process("status", "VmHWM") * 1024 / 1e6,
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
    parser = shared.parser(__doc__, data=True)
    parser.add_argument("--mp3", action="store_true", help="the clips as MP3")
    parser.add_argument("--large", action="store_true", help=f"{LARGE:,} tracks too, once")
    parser.add_argument("--repeats", type=int, default=5, help="of each size, in turn")
    parser.add_argument("--measure", type=Path, nargs=2, metavar=("MUSIC", "CACHE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return 0

    about = shared.machine(("joblib", "numpy", "scipy", "soundfile", "soxr"))
    rows = []
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name)
        clips = shared.copies(options.data, MOST_CLIPS, folder / "clips", options.mp3)
        for size in [*SIZES * options.repeats, *([LARGE] if options.large else [])]:
            music, cache = folder / str(size), folder / "cache"
            if not music.exists():
                shared.linked(clips, size, music)
            before = shared.cpu_seconds()
            found = shared.child(__spec__.name, "--measure", music, cache)
            used = {"cpu_seconds": shared.cpu_seconds() - before}  # the start of the process included
            rows.append({"tracks": size} | used | found)
            shutil.rmtree(cache)
            print(f"{size:7,} tracks: {found['wall_seconds']:7.1f} s, {used['cpu_seconds']:7.1f} s of CPU", flush=True)

    table = pd.DataFrame(rows).groupby("tracks").agg(statistics.median)
    print(f"\nmedians\n{table.T.round(2).to_string()}")
    names = ("cpu_seconds", "catalog_seconds", "again_seconds", "parent_mb", "disk_mb")
    lines = {name: fit(table, name) for name in names}
    print("\nfixed + tracks x each")
    for name, (fixed, each) in lines.items():
        print(f"{name:>16} {fixed:10.3f} + tracks x {each:.6f}")
    least, most = table.iloc[0], table.iloc[-1]
    ratios = {
        "cpu_a_track_most_to_least": most["cpu_seconds"] / most.name / (least["cpu_seconds"] / least.name),
        "parent_memory_most_to_least": most["parent_mb"] / least["parent_mb"],
        "audio_seconds_a_cpu_second": most["audio_seconds"] / most["cpu_seconds"],
        "cores_kept_busy": most["cpu_seconds"] / most["wall_seconds"] / (os.cpu_count() or 1),
    }
    if options.large:  # 1 if what a track costs does not depend on how many there are
        slopes = np.diff(table["cpu_seconds"]) / np.diff(table.index)
        ratios["cpu_of_one_more_track_late_to_early"] = slopes[-1] / slopes[0]
    computed = collections(lines, most["segment_bytes"], Params())
    print(f"\ncomputed\n{pd.DataFrame(computed).round(2).to_string(index=False)}\n")
    shared.save(options.json, about, shared.shown(ratios), [*rows, *computed], lines=lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
