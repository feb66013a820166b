"""The feature store: log-mels of a catalog on disk, made once, by parallel workers, resumable."""

import dataclasses
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from filelock import FileLock

from genre_utils import audio, catalog, features
from genre_utils.errors import AudioError, CatalogError
from genre_utils.params import FEATURE_NAMES, Params
from genre_utils.paths import CACHE
from genre_utils.progress import progress

VERSION = 1  # part of the folder's name: raise it when the features of the same audio change


@dataclasses.dataclass(frozen=True)
class Store:
    """Features and the tables that say what each row is.

    Attributes
    ----------
    folder : Path
        Where it lies.
    features : np.ndarray [shape=(row, mel, frame), dtype=float16]
        Log-mel in dB, memory-mapped, read-only. float16 rounds by at most 0.03 dB.
    segments : pd.DataFrame
        ``row, track_id, segment, start_seconds, augmentation``, one row a segment.
    tracks : pd.DataFrame
        The catalog, with the faults that decoding found.
    seconds : float
        How long the extraction took.
    """

    folder: Path
    features: np.ndarray
    segments: pd.DataFrame
    tracks: pd.DataFrame
    seconds: float


def build(tracks: pd.DataFrame, params: Params, cache: Path = CACHE) -> Store:
    """Extract what is not there yet, and open the store.

    A killed extraction goes on with the track where it stopped. A track that cannot be decoded gets its
    ``fault`` and no segments; the others are still extracted.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault are kept in the table and give no segments.
    params : Params
        The features; together with the tracks they name the folder.
    cache : Path
        Where stores are kept.

    Returns
    -------
    Store

    Raises
    ------
    CatalogError
        If no track gives a segment.

    References
    ----------
    Notebook: 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits.
    """
    folder = cache / "features" / fingerprint(tracks, params)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):  # of two runs at once, the second waits and finds it done
        if not folder.exists():
            extract(tracks, params, folder)
    built = open_store(folder)
    found = built.tracks.set_index("track_id")["fault"]  # what else is known of a track may have changed since
    return dataclasses.replace(built, tracks=tracks.assign(fault=tracks["track_id"].map(found)))


def open_store(folder: Path) -> Store:
    """Open a store that is already built.

    Parameters
    ----------
    folder : Path
        As made by :func:`build`.

    Returns
    -------
    Store
    """
    return Store(
        folder=folder,
        features=np.load(folder / "features.npy", mmap_mode="r"),
        segments=pd.read_parquet(folder / "segments.parquet"),
        tracks=pd.read_parquet(folder / "tracks.parquet"),
        seconds=json.loads((folder / "params.json").read_text())["extract_seconds"],
    )


def extract(tracks: pd.DataFrame, params: Params, folder: Path) -> None:
    """Fill a partial folder track by track, then rename it into place.

    Parameters
    ----------
    tracks : pd.DataFrame
        The catalog.
    params : Params
        The features.
    folder : Path
        Must not exist yet; the work is done in ``<folder>.partial``.

    Raises
    ------
    CatalogError
        If no track gives a segment.
    """
    started = time.monotonic()
    usable = catalog.usable(tracks)
    counts = usable["duration_seconds"].map(params.segments_in).to_numpy()
    first_rows = np.concatenate([[0], np.cumsum(counts)])  # a track's rows are known before it is decoded
    shape = (int(first_rows[-1]), params.n_mels, params.frames_per_segment)

    partial = folder.with_suffix(".partial")
    journal = partial / "done.jsonl"
    done = read_journal(journal) if partial.exists() else {}
    if not done:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        np.lib.format.open_memmap(partial / "features.npy", "w+", np.float16, shape).flush()

    jobs = [
        joblib.delayed(extract_track)(track_id, path, partial / "features.npy", row, count, params)
        for track_id, path, row, count in zip(
            usable["track_id"], usable["path"], first_rows, counts.tolist(), strict=False
        )
        if track_id not in done
    ]
    workers = joblib.Parallel(n_jobs=min(os.cpu_count() or 1, len(jobs) or 1), return_as="generator_unordered")
    with journal.open("a") as lines:
        for track_id, count, fault in progress(workers(jobs), len(jobs), "log-mel"):
            done[track_id] = (count, fault)
            print(json.dumps([track_id, count, fault]), file=lines, flush=True)

    found = usable["track_id"].map(lambda track_id: done[track_id][0]).to_numpy()
    if not found.sum():
        raise CatalogError(
            f"None of the {len(tracks)} tracks gives a segment. First faults: "
            f"{'; '.join(explain(tracks, done)['fault'].head(3))}"
        )
    table = pd.DataFrame(
        {
            "row": np.concatenate([row + np.arange(n) for row, n in zip(first_rows, found, strict=False)]),
            "track_id": np.repeat(usable["track_id"].to_numpy(), found),
            "segment": np.concatenate([np.arange(n) for n in found]),
        }
    )
    table["start_seconds"] = table["segment"] * params.segment_seconds
    table["augmentation"] = ""
    table.to_parquet(partial / "segments.parquet", index=False)
    explain(tracks, done).to_parquet(partial / "tracks.parquet", index=False)
    facts = feature_params(params) | {"version": VERSION, "extract_seconds": time.monotonic() - started}
    (partial / "params.json").write_text(json.dumps(facts, indent=2))
    journal.unlink()
    partial.rename(folder)


def extract_track(track_id: str, path: str, file: Path, row: int, room: int, params: Params) -> tuple[str, int, str]:
    """Decode one track and write its log-mels straight into the map: what a worker does.

    Parameters
    ----------
    track_id : str
        Passed through, as results come in any order.
    path : str
        The audio file.
    file : Path
        ``features.npy`` of the partial store.
    row : int
        Where the track's rows begin.
    room : int
        How many there are by the file's header; a header may promise less than decoding gives, and the next
        track's rows are not this one's.
    params : Params
        The features.

    Returns
    -------
    tuple of str, int, str
        The id, how many segments were written, and the fault ("" if none).
    """
    try:
        samples = audio.load(path, params)
    except AudioError as error:
        return track_id, 0, error.reason
    decibels = features.log_mel(features.segments(samples, params), params)
    mapped = np.lib.format.open_memmap(file, "r+")
    mapped[row : row + room] = decibels[:room]
    return track_id, min(room, len(decibels)), ""


def read_journal(journal: Path) -> dict[str, tuple[int, str]]:
    """Tracks that an interrupted extraction finished: id to segments and fault."""
    done = {}
    for line in journal.read_text().splitlines() if journal.exists() else []:
        try:
            track_id, count, fault = json.loads(line)
        except ValueError:
            continue  # a line that was being written when the process was killed
        done[track_id] = (count, fault)
    return done


def explain(tracks: pd.DataFrame, done: dict[str, tuple[int, str]]) -> pd.DataFrame:
    """The catalog with the faults that decoding found."""
    found = tracks["track_id"].map({track_id: fault for track_id, (_, fault) in done.items()})
    return tracks.assign(fault=tracks["fault"].where(tracks["fault"] != "", found.fillna("")))


def feature_params(params: Params) -> dict[str, float]:
    """The part of the parameters that decides the features."""
    return {name: getattr(params, name) for name in FEATURE_NAMES}


def fingerprint(tracks: pd.DataFrame, params: Params) -> str:
    """Name of the store: a hash of what makes it.

    Parameters
    ----------
    tracks : pd.DataFrame
        The catalog; a file counts by its size and time of change, so that 1,000 tracks cost no decoding.
    params : Params
        The features.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    files = [(s.st_size, s.st_mtime_ns) for s in map(os.stat, catalog.usable(tracks)["path"])]
    facts = [
        VERSION,
        feature_params(params),
        files,
        tracks[["track_id", "fault", "duration_seconds"]].to_dict("records"),
    ]
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:16]
