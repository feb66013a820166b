"""What tf.data delivers, shuffled whole, from a cold and a warm page cache, beside what the paper's network takes.

.venv/bin/python -m benchmarks.speed.pipeline --json pipeline.json

The log-mels are random numbers of the paper's size, real bytes on the disk that holds the temporary folder (TMPDIR
chooses another). With --large a store of 12 GB is read as well, by a process of its own that may use 4 GB. Linux alone.
"""

import argparse
import ctypes
import functools
import gc
import itertools
import json
import math
import mmap
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import shared
from benchmarks.shared import GENRES
from genre_utils.datasets import labels
from genre_utils.features.store import Store
from genre_utils.models import factory
from genre_utils.params import RECIPES as KNOWN
from genre_utils.params import Params
from genre_utils.training import pipeline, recipe

RECIPES = {"plain": Params(), "augmented": Params(**KNOWN["augmented"])}
ROWS = 6_000  # of GTZAN: 1,000 tracks of six segments
LARGE_GB, LIMIT_GB = 12.0, 4.0
BLOCK = 500  # rows that are written together


def written(folder: Path, rows: int, params: Params) -> None:
    """Write a feature store's array: a block of random dB, again and again."""
    shape = (rows, params.n_mels, params.frames_per_segment)
    features = np.lib.format.open_memmap(folder / "features.npy", "w+", np.float16, shape)
    block = np.random.default_rng(0).uniform(-80, 0, (BLOCK, *shape[1:])).astype(np.float16)
    for start in range(0, rows, BLOCK):
        features[start : start + BLOCK] = block[: rows - start]


def opened(folder: Path) -> tuple[Store, pd.DataFrame]:
    """The store in a folder with tables made up for it, and all its segments as examples to train on."""
    features = np.load(folder / "features.npy", mmap_mode="r")
    row = np.arange(len(features))
    tracks = pd.DataFrame({"track_id": [f"{track:06d}" for track in range(row[-1] // 6 + 1)]})
    tracks["genre"] = np.resize(GENRES, len(tracks))
    segments = pd.DataFrame({"row": row, "track_id": tracks["track_id"].to_numpy()[row // 6], "segment": row % 6})
    segments["augmentation"] = ""
    store = Store(folder, features, segments, tracks, versions=pd.DataFrame(), seconds=0, augment_seconds=0)
    return store, pipeline.examples(store, segments.assign(split="train"), "train", GENRES)


def resident(features: np.memmap) -> float:
    """The share of a memory map that is in the page cache."""
    size = len(features.base)
    pages = (ctypes.c_ubyte * math.ceil(size / mmap.PAGESIZE))()
    address = ctypes.c_void_p(features.ctypes.data - features.offset)
    if ctypes.CDLL(None, use_errno=True).mincore(address, ctypes.c_size_t(size), pages):
        raise OSError(ctypes.get_errno(), "mincore")
    return float((np.frombuffer(pages, np.uint8) & 1).mean())


def cool(features: np.memmap) -> None:
    """Drop a memory map's pages from this process, then its file's from the page cache; the disk keeps its own."""
    features.base.madvise(mmap.MADV_DONTNEED)
    with Path(features.filename).open("rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def warm(features: np.memmap) -> None:
    """Read the file once."""
    with Path(features.filename).open("rb") as file:
        while file.read(2**24):
            pass


def epoch(store: Store, table: pd.DataFrame, params: Params, number: int, each: Callable = lambda: None) -> dict:
    """Ask for an epoch and take its batches: seconds to the first, segments/s after it, CPU and disk."""
    targets = labels.targets(table["genre"], GENRES) if recipe.takes_shares(params) else None
    steps = math.ceil(len(table) / params.batch_size)
    cpu, disk = time.process_time(), shared.of_process("io", "read_bytes")
    start = time.perf_counter()
    batches = iter(pipeline.shuffled(store, table, params, number, targets))
    taken = len(next(batches)[0])
    first = time.perf_counter()
    for _ in range(steps - 1):
        next(batches)
        each()
    end = time.perf_counter()
    return {
        "first_seconds": first - start,
        "segments_per_second": (len(table) - taken) / (end - first) if steps > 1 else float("nan"),
        "cpu_ms_a_batch": 1000 * (time.process_time() - cpu) / steps,
        "disk_over_store": (shared.of_process("io", "read_bytes") - disk) / store.features.nbytes,
    }


def delivery(store: Store, table: pd.DataFrame, repeats: int, image: int) -> Iterator[dict]:
    """Epochs of all kinds and steps of training, interleaved; medians."""
    params = Params(image_height=image, image_width=image)
    model = recipe.compiled(factory.build(params, len(GENRES)), params)
    batch = next(iter(pipeline.in_order(store, table, params).as_numpy_iterator()))
    model.train_on_batch(*batch)  # traces
    numbers = itertools.count()

    def case(name: str, cache: str) -> dict:
        {"warm": warm, "cold": cool}[cache](store.features)
        cached = resident(store.features)
        return epoch(store, table, RECIPES[name], next(numbers)) | {"cached_before": cached}

    def step() -> dict:
        start = time.perf_counter()
        model.train_on_batch(*batch)
        return {"seconds": time.perf_counter() - start}

    cases = list(itertools.product(RECIPES, ("warm", "cold")))
    found = shared.in_turn({words: functools.partial(case, *words) for words in cases} | {"step": step}, repeats)
    for name, cache in cases:
        figures = shared.medians(found[name, cache])
        yield {"what": "delivery", "recipe": name, "cache": cache, "rows": len(table)} | figures
    rate = len(batch[0]) / shared.medians(found["step"])["seconds"]
    yield {"what": "training", "recipe": f"{image} x {image}", "segments_per_second": rate}


def first_batches(store: Store, table: pd.DataFrame, sizes: list[int], repeats: int) -> Iterator[dict]:
    """From asking for an epoch to its first batch, out of a cold page cache; more segments are the same rows again."""
    numbers = itertools.count()

    def first(size: int) -> float:
        more = table.iloc[np.resize(np.arange(len(table)), size)]
        cool(store.features)
        start = time.perf_counter()
        next(iter(pipeline.shuffled(store, more, RECIPES["plain"], next(numbers))))
        return time.perf_counter() - start

    seconds = shared.in_turn({size: functools.partial(first, size) for size in sizes}, repeats)
    for size, values in seconds.items():
        yield {"what": "first batch", "recipe": "plain", "cache": "cold", "rows": size,
               "first_seconds": statistics.median(values), "slowest_seconds": max(values)}  # fmt: skip


def memory_mb(what: str = "VmRSS") -> float:
    """Resident memory of this process, pages of files included; VmHWM is the most that it ever was."""
    return shared.of_process("status", what) * 1024 / 1e6


def read_limited(folder: Path, limit_gb: float, cgroup: Path | None) -> list[dict]:
    """Epochs of a large store under a limit of memory, and how memory grows from their first batches to the last."""
    if cgroup:
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
    else:  # of what a process may allocate: a limit of addresses would forbid to map the store at all
        resource.setrlimit(resource.RLIMIT_DATA, (int(limit_gb * 1e9),) * 2)
    limited = {"limit": "cgroup" if cgroup else "RLIMIT_DATA", "limit_gb": limit_gb}
    store, table = opened(folder)
    rows = []
    for name, params in RECIPES.items():
        cool(store.features)
        held: list[float] = []
        found = epoch(store, table, params, 0, lambda held=held: held.append(memory_mb()))
        tenth = math.ceil(len(held) / 10)
        rows.append(
            {"what": "large store", "recipe": name, "cache": "cold", "rows": len(table), **limited}
            | {"store_gb": store.features.nbytes / 1e9, "peak_mb": memory_mb("VmHWM")}
            | {"last_over_first_tenth": max(held[-tenth:]) / max(held[:tenth])}
            | found
        )
    return rows


def large(size_gb: float, limit_gb: float, cgroup: Path | None) -> list[dict]:
    """Write a large store, have it read by a process under a limit, and remove it."""
    rows = int(size_gb * 1e9 / (2 * Params().n_mels * Params().frames_per_segment))
    with tempfile.TemporaryDirectory() as folder:
        free = shutil.disk_usage(folder).free / 1e9
        if free < 1.5 * size_gb:
            raise SystemExit(f"{folder} has {free:.0f} GB free; a store of {size_gb:.0f} GB needs half as much again.")
        written(Path(folder), rows, Params())
        words = ["--read", folder, "--limit-gb", limit_gb, *(["--cgroup", cgroup] if cgroup else [])]
        return shared.child(__spec__.name, *words)


def ratios_of(rows: list[dict]) -> dict[str, float]:
    """What the rows come to."""
    trained = next(row["segments_per_second"] for row in rows if row["what"] == "training")
    ratios = {}
    for row in rows:
        if row["what"] == "delivery":
            ratios[f"{row['recipe']}, {row['cache']}: delivered / trained"] = row["segments_per_second"] / trained
        elif row["what"] == "first batch":
            ratios[f"seconds to the first of {row['rows']} segments"] = row["first_seconds"]
        elif row["what"] == "large store":
            name = f"large store, {row['recipe']}"
            ratios[f"{name}: delivered / trained"] = row["segments_per_second"] / trained
            ratios[f"{name}: memory at the end / at the start"] = row["last_over_first_tenth"]
            ratios[f"{name}: peak memory / limit"] = row["peak_mb"] / 1e3 / row["limit_gb"]
    return ratios


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="segments in the store")
    parser.add_argument("--image", type=int, default=256, help="side of the paper network's image")
    parser.add_argument("--repeats", type=int, default=5, help="of each time; medians are told")
    parser.add_argument("--sizes", type=int, nargs="*", default=[ROWS, 100_000, 1_000_000], help="for the first batch")
    parser.add_argument("--large", action="store_true", help="write and read a store larger than the memory allowed")
    parser.add_argument("--large-gb", type=float, default=LARGE_GB, help="its size")
    parser.add_argument("--limit-gb", type=float, default=LIMIT_GB, help="the memory allowed")
    parser.add_argument("--cgroup", type=Path, help="of a limited memory controller, which the reader joins")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read_limited(options.read, options.limit_gb, options.cgroup)))
        return 0
    about = shared.machine(("tensorflow", "keras", "numpy"), pipeline.gpus())
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder), options.rows, Params())
        store, table = opened(Path(folder))
        rows = [
            *first_batches(store, table, options.sizes, options.repeats),
            *delivery(store, table, options.repeats, options.image),
        ]
    gc.collect()
    if options.large:
        rows += large(options.large_gb, options.limit_gb, options.cgroup)
    heads = {
        "what": "what", "recipe": "recipe", "cache": "cache", "rows": "rows", "first_seconds": "first s",
        "slowest_seconds": "slowest", "segments_per_second": "segments/s", "cpu_ms_a_batch": "CPU ms/batch",
        "disk_over_store": "disk/store", "cached_before": "cached", "peak_mb": "peak MB",
    }  # fmt: skip
    shared.show(rows, heads)
    shared.save(options.json, about, shared.shown(ratios_of(rows)), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
