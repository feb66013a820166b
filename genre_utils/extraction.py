"""Extraction: log-mels of tracks, and of other versions of them, written by parallel workers, resumable."""

import functools
import json
import shutil
import time
from pathlib import Path
from typing import NamedTuple, TextIO

import joblib
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from genre_utils import audio, catalog, cluster, features, waveform
from genre_utils.errors import AudioError, CatalogError, GenreUtilsError
from genre_utils.params import FEATURE_NAMES, SOUND_NAMES, Params
from genre_utils.progress import progress

VERSION = 1  # part of the store's name: raise it when the features of the same audio change


class Block(NamedTuple):
    """Rows of one version of one track, known before anything is decoded."""

    track_id: str
    path: str
    version: waveform.Version
    row: int  # where they begin
    room: int  # how many there are by the file's header


class Outcome(NamedTuple):
    """What came of a block: a line of the journal."""

    track_id: str
    augmentation: str
    segments: int
    fault: str
    seconds: float  # of the worker


def extract(tracks: pd.DataFrame, params: Params, folder: Path) -> None:
    """Fill a partial folder block by block, then rename it into place.

    Parameters
    ----------
    tracks : pd.DataFrame
        The catalog.
    params : Params
        The features and the versions of the sound.
    folder : Path
        Must not exist yet; the work is done in ``<folder>.partial``.

    Raises
    ------
    CatalogError
        If no track gives a segment.
    """
    started = time.monotonic()
    blocks = plan(catalog.usable(tracks), params)
    originals = [block for block in blocks if block.version == waveform.ORIGINAL]
    shape = (sum(block.room for block in blocks), params.n_mels, params.frames_per_segment)

    partial = folder.with_suffix(".partial")
    journal = partial / "done.jsonl"
    done = read_journal(journal) if partial.exists() else {}
    if not done:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        np.lib.format.open_memmap(partial / "features.npy", "w+", np.float16, shape).flush()

    with journal.open("a") as lines:
        work(originals, partial / "features.npy", params, done, lines, "log-mel", "threads")
        seconds = time.monotonic() - started
        told = explain(tracks, done)
        if not any(done[block.track_id, ""].segments for block in originals):
            raise CatalogError(
                f"None of the {len(tracks)} tracks gives a segment. First faults: {'; '.join(told['fault'].head(3))}"
            )
        sound = set(catalog.usable(told)["track_id"])  # what cannot be decoded has no versions either
        versions = [block for block in blocks[len(originals) :] if block.track_id in sound]
        work(versions, partial / "features.npy", params, done, lines, "log-mel of versions", "processes")

    segment_table(originals + versions, done, params).to_parquet(partial / "segments.parquet", index=False)
    told.to_parquet(partial / "tracks.parquet", index=False)
    facts = feature_params(params) | {"version": VERSION, "extract_seconds": seconds}
    if versions:
        outcomes = pd.DataFrame([done[block.track_id, str(block.version)] for block in versions])
        outcomes.to_parquet(partial / "versions.parquet", index=False)
        facts["augment_seconds"] = outcomes["seconds"].sum()
    (partial / "params.json").write_text(json.dumps(facts, indent=2))
    journal.unlink()
    partial.rename(folder)


def plan(usable: pd.DataFrame, params: Params) -> list[Block]:
    """Where everything will lie in the file.

    Parameters
    ----------
    usable : pd.DataFrame
        Tracks without a fault.
    params : Params
        The segments and the versions of the sound.

    Returns
    -------
    list of Block
        Every track as it is, then the versions of every track, both in the catalog's order: the rows of a store
        without versions begin every store with them.
    """
    tracks = list(zip(usable["track_id"], usable["path"], usable["duration_seconds"], strict=True))
    versions = [(track, version) for track in tracks for version in waveform.versions(track[0], params)]
    blocks, row = [], 0
    for (track_id, path, seconds), version in [(track, waveform.ORIGINAL) for track in tracks] + versions:
        room = params.segments_in(seconds / version.rate)
        blocks.append(Block(track_id, path, version, row, room))
        row += room
    return blocks


def work(
    blocks: list[Block],
    file: Path,
    params: Params,
    done: dict[tuple[str, str], Outcome],
    lines: TextIO,
    description: str,
    prefer: str,
) -> None:
    """Fill the blocks that are not done yet, in parallel, and note each in ``done`` and in the journal.

    Parameters
    ----------
    blocks : list of Block
        What is wanted.
    file : Path
        ``features.npy`` of the partial store.
    params : Params
        The features.
    done : dict of (str, str) to Outcome
        By track and version; grows.
    lines : TextIO
        The journal, open for appending.
    description : str
        Beside the progress.
    prefer : str
        threads for what libsndfile, soxr, SciPy and NumPy do: they let go of the interpreter's lock, and threads
        start at once, where two processes take 20 times as long to import what two clips need. processes for
        librosa's phase vocoder, which holds the lock.
    """
    jobs = [
        joblib.delayed(extract_track)(block, file, params)
        for block in blocks
        if (block.track_id, str(block.version)) not in done
    ]
    if not jobs:
        return
    n_jobs = min(joblib.cpu_count(), len(jobs))  # of this machine; a cluster has its own number
    # Threads of threads would wait for each other; joblib sees to processes.
    with cluster.spread() as timeout, threadpool_limits(1, "blas"):
        workers = joblib.Parallel(n_jobs=n_jobs, prefer=prefer, return_as="generator_unordered", timeout=timeout)
        for outcome in progress(workers(jobs), len(jobs), description):
            done[outcome.track_id, outcome.augmentation] = outcome
            print(json.dumps(outcome), file=lines, flush=True)


def extract_track(block: Block, file: Path, params: Params) -> Outcome:
    """Decode one track and write the log-mels of one version straight into the array: what a worker does.

    Doing it twice changes nothing, so that a cluster may give a lost worker's track to another one.

    Parameters
    ----------
    block : Block
        The track, the version and its rows. A header may promise less than decoding gives, and the next block's
        rows are not this one's.
    file : Path
        ``features.npy`` of the partial store.
    params : Params
        The features.

    Returns
    -------
    Outcome
        How many segments were written, and the fault ("" if none).

    Raises
    ------
    ClusterError
        If the track's or the store's folder is not there: another machine, without the file system of the first.
    """
    started = time.monotonic()
    keep_freed_memory()
    cluster.visible(Path(block.path).parent, file.parent)
    # A faster version needs more of the track to last as long.
    seconds = params.max_segments * params.segment_seconds * max(1.0, block.version.rate)
    try:
        samples = audio.load(block.path, params, seconds if params.max_segments else None)
        samples = waveform.render(samples, block.version, block.track_id, params)
        decibels = features.log_mel(features.segments(samples, params), params)[: block.room]
        if not len(decibels):
            raise AudioError(block.path, audio.too_short(len(samples) / params.sample_rate_hz, params))
        write(decibels, file, block.row)
        count, fault = len(decibels), ""
    except GenreUtilsError as error:
        count, fault = 0, error.reason if isinstance(error, AudioError) else str(error)
    return Outcome(block.track_id, str(block.version), count, fault, time.monotonic() - started)


@functools.cache
def keep_freed_memory() -> None:
    """Let this process keep the memory of one track for the next.

    glibc hands free memory back to the system as soon as it exceeds twice the largest block freed so far, and every
    track then takes eleven times as many page faults, an eighth of its time. A block of just under 32 MB, the most
    that glibc learns from, ends that; it is never touched, and elsewhere it does nothing.
    """
    np.empty(31 << 20, np.uint8)


def write(decibels: np.ndarray, file: Path, row: int) -> None:
    """Put log-mels into ``features.npy`` from a row on.

    By a plain write and not through the map: two machines on NFS would each send whole pages of 4 kB, and with a
    page that holds the end of one track and the beginning of the next, the second would undo the first.
    """
    array = np.lib.format.open_memmap(file, "r")
    with file.open("r+b") as whole:
        whole.seek(array.offset + row * array.strides[0])
        whole.write(np.ascontiguousarray(decibels, array.dtype).data)


def segment_table(blocks: list[Block], done: dict[tuple[str, str], Outcome], params: Params) -> pd.DataFrame:
    """What each written row is, in order of ``row``."""
    found = [done[block.track_id, str(block.version)].segments for block in blocks]
    table = pd.DataFrame(
        {
            "row": np.concatenate([block.row + np.arange(count) for block, count in zip(blocks, found, strict=True)]),
            "track_id": np.repeat([block.track_id for block in blocks], found),
            "segment": np.concatenate([np.arange(count) for count in found]),
        }
    )
    table["start_seconds"] = table["segment"] * params.segment_seconds
    table["augmentation"] = np.repeat([str(block.version) for block in blocks], found)
    return table


def read_journal(journal: Path) -> dict[tuple[str, str], Outcome]:
    """What an interrupted extraction finished, by track and version."""
    done = {}
    for line in journal.read_text().splitlines() if journal.exists() else []:
        try:
            outcome = Outcome(*json.loads(line))
        except (ValueError, TypeError):
            continue  # a line that was being written when the process was killed
        done[outcome.track_id, outcome.augmentation] = outcome
    return done


def explain(tracks: pd.DataFrame, done: dict[tuple[str, str], Outcome]) -> pd.DataFrame:
    """The catalog with the faults that decoding found."""
    found = {track_id: outcome.fault for (track_id, augmentation), outcome in done.items() if not augmentation}
    return tracks.assign(fault=tracks["fault"].where(tracks["fault"] != "", tracks["track_id"].map(found).fillna("")))


def feature_params(params: Params) -> dict[str, float]:
    """The part of the parameters that decides the store; of the versions of the sound only where there are any."""
    versions = (*SOUND_NAMES, "seed") if any(getattr(params, name) for name in SOUND_NAMES) else ()
    return {name: getattr(params, name) for name in (*FEATURE_NAMES, *versions)}
