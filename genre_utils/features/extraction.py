"""Extraction of log-mels from tracks and their augmented versions, in parallel, resumable after a kill."""

import json
import time
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import TextIO

import joblib
import numpy as np
import pandas as pd

from genre_utils.audio import augmentation, decoding
from genre_utils.datasets import contents
from genre_utils.errors import AudioError, CatalogError, GenreUtilsError, WorkerError, by_reason
from genre_utils.features import journal, plan, spectrogram
from genre_utils.features.journal import Block, Outcome
from genre_utils.params import Params
from genre_utils.system import cluster, disk
from genre_utils.system.progress import progress


def extract(tracks: pd.DataFrame, params: Params, folder: Path) -> None:
    """Extract into a partial folder, block by block, then rename it into place.

    Blocks that are already in the partial folder are kept if their checksums match. So there is no need to flush each
    block to the disk: what a power cut destroys is found here, or by ``store.build``.

    Parameters
    ----------
    tracks : pd.DataFrame
        The catalog.
    params : Params
        The features and the augmented versions.
    folder : Path
        Must not exist yet; the work is done in ``<folder>.partial``.

    Raises
    ------
    CatalogError
        If no track gives a segment.
    DiskError
        If the disk is full or read-only.
    WorkerError
        If there is not enough memory.
    """
    started = time.monotonic()
    blocks = plan.blocks_of(contents.usable(tracks), params)
    originals = [block for block in blocks if block.version == augmentation.ORIGINAL]
    shape = plan.shape_of(blocks, params)
    partial = folder.with_suffix(".partial")
    partial.mkdir(exist_ok=True)
    journal.allocate(partial, shape)
    noted = journal.read(partial)
    damaged = journal.lost(noted, blocks, partial, shape)
    done = {key: outcome for key, outcome in noted.items() if key not in damaged}
    if noted:
        again = f"; {len(damaged)} are damaged and extracted again" if damaged else ""
        print(f"{folder.name}: {len(done)} of {len(blocks)} blocks are already extracted{again}", flush=True)
    journal.write(done, partial)

    with (partial / journal.NAME).open("a") as lines:
        work(originals, partial, params, done, lines, "log-mel", "threads")
        seconds = time.monotonic() - started
        explained = explain(tracks, done)
        if not any(done[block.key].segments for block in originals):
            why = "\n".join(by_reason(explained["track_id"], explained["fault"]))
            raise CatalogError(f"None of the {len(tracks)} tracks gives a segment.\n{why}")
        good = set(contents.usable(explained)["track_id"])  # no versions of tracks that cannot be decoded
        versions = [block for block in blocks[len(originals) :] if block.track_id in good]
        work(versions, partial, params, done, lines, "log-mel of versions", "processes")

    segment_table(originals + versions, done, params).to_parquet(partial / "segments.parquet", index=False)
    explained.to_parquet(partial / "tracks.parquet", index=False)
    facts = plan.feature_params(params) | {"version": plan.VERSION, "extract_seconds": seconds}
    names = ["segments.parquet", "tracks.parquet", "params.json", journal.NAME]
    if versions:
        outcomes = pd.DataFrame([done[block.key] for block in versions])
        outcomes.to_parquet(partial / "versions.parquet", index=False)
        facts["augment_seconds"] = outcomes["seconds"].sum()
        names.append("versions.parquet")
    (partial / "params.json").write_text(json.dumps(facts, indent=2))
    journal.write({block.key: done[block.key] for block in originals + versions}, partial)
    disk.seal(partial, names)
    partial.rename(folder)


def work(
    blocks: list[Block],
    partial: Path,
    params: Params,
    done: dict[tuple[str, str], Outcome],
    lines: TextIO,
    description: str,
    prefer: str,
) -> None:
    """Extract the blocks that are not done yet, in parallel, and record each in ``done`` and in the journal.

    Parameters
    ----------
    blocks : list of Block
        The blocks to extract.
    partial : Path
        The partial store.
    params : Params
        The features.
    done : dict of (str, str) to Outcome
        By track and version; grows.
    lines : TextIO
        The journal, open for appending.
    description : str
        For the progress bar.
    prefer : str
        threads for libsndfile, soxr, SciPy and NumPy, which release the interpreter's lock: threads start at once,
        while processes need seconds for their imports. processes for librosa's phase vocoder, which holds the lock.
    """
    missing = [block for block in blocks if block.key not in done]
    if not missing:
        return
    jobs = [joblib.delayed(extract_track)(block, partial / journal.ROWS, params) for block in missing]
    n_jobs = min(joblib.cpu_count(), len(jobs))  # on this machine; a cluster has its own number
    with cluster.spread() as timeout:
        # Batches of one: joblib would join quick blocks, and a process that dies would lose all of them.
        workers = joblib.Parallel(n_jobs, prefer=prefer, return_as="generator_unordered", timeout=timeout, batch_size=1)
        try:
            for outcome in progress(workers(jobs), len(jobs), description):
                done[outcome.key] = outcome
                with disk.writing(partial / journal.NAME):
                    print(json.dumps(outcome), file=lines, flush=True)
        except BrokenExecutor as error:
            left = [f"{block.path} ({block.version})" for block in missing if block.key not in done]
            raise WorkerError(
                "A worker process was killed, probably because memory ran out. It was working on one of these: "
                f"{', '.join(left[: 2 * n_jobs])}. Finished work is kept: {cluster.FEWER}, leave the track out, or "
                "lower max_segments."
            ) from error


def extract_track(block: Block, file: Path, params: Params) -> Outcome:
    """Decode one track and write the log-mels of one version into the array; runs in a worker.

    Repeating it is harmless, so a cluster may give the block of a lost worker to another one.

    Parameters
    ----------
    block : Block
        The track, the version and its rows. Segments beyond its rows are cut off, if the header says less than
        decoding gives.
    file : Path
        The array of the partial store, ``features.npy``.
    params : Params
        The features.

    Returns
    -------
    Outcome
        Number of segments written, and the reason if there are none.

    Raises
    ------
    ClusterError
        If the folder of the track or of the store does not exist on this machine.
    DiskError
        If the disk refuses the rows.
    WorkerError
        If the track needs more memory than there is.
    """
    started = time.monotonic()
    cluster.leave_with_parent()
    cluster.visible(Path(block.path).parent, file.parent)
    # A faster version needs more of the track for the same duration.
    seconds = params.max_segments * params.segment_seconds * max(1.0, block.version.rate)
    rows, fault = np.empty(0, np.float16), ""
    try:
        samples = decoding.load(block.path, params, seconds if params.max_segments else None)
        samples = augmentation.render(samples, block.version, block.track_id, params)
        rows = spectrogram.log_mel(spectrogram.segments(samples, params), params)[: block.room]
        rows = np.ascontiguousarray(rows, np.float16)  # (segment, mel, frame), as they lie in the file
        if not len(rows):
            raise AudioError(block.path, decoding.too_short(len(samples) / params.sample_rate_hz, params))
    except GenreUtilsError as error:
        fault = error.reason if isinstance(error, AudioError) else str(error)
    except MemoryError as error:  # not a fault of the track: with more memory it would work
        raise WorkerError(
            f"{block.path}: not enough memory for {block.room} segments ({error}). "
            f"Lower max_segments, leave the track out, or {cluster.FEWER}."
        ) from error
    if len(rows):
        journal.put(rows, file, block.row)
    outcome = Outcome(block.track_id, str(block.version), len(rows), fault, time.monotonic() - started, checksum=0)
    return outcome._replace(checksum=journal.checksum(outcome, rows.data))


def segment_table(blocks: list[Block], done: dict[tuple[str, str], Outcome], params: Params) -> pd.DataFrame:
    """The track, segment and version of each row, in order of ``row``."""
    found = [done[block.key].segments for block in blocks]
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


def explain(tracks: pd.DataFrame, done: dict[tuple[str, str], Outcome]) -> pd.DataFrame:
    """Add the faults that decoding found to the catalog."""
    found = {outcome.track_id: outcome.fault for outcome in done.values() if not outcome.augmentation}
    return tracks.assign(fault=tracks["fault"].where(tracks["fault"] != "", tracks["track_id"].map(found).fillna("")))
