"""The feature store: the log-mels of a catalog on disk, extracted once, in parallel, resumable after a kill."""

import dataclasses
import hashlib
import json
import mmap
import os
import shutil
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from genre_utils.datasets import contents
from genre_utils.errors import CatalogError, warn
from genre_utils.features import journal, plan
from genre_utils.features.extraction import extract
from genre_utils.params import SOUND_NAMES, Params
from genre_utils.paths import CACHE, given
from genre_utils.system import disk


@dataclasses.dataclass(frozen=True)
class Store:
    """Features and the tables that describe their rows.

    Attributes
    ----------
    folder : Path
        Of the store.
    features : np.ndarray [shape=(row, mel, frame), dtype=float16]
        Log-mel in dB, memory-mapped, read-only. float16 rounds by at most 0.03 dB.
    segments : pd.DataFrame
        ``row, track_id, segment, start_seconds, augmentation``, one row per segment: first all original tracks
        (``augmentation`` is ""), then the augmented versions, each numbered and timed from its own start.
    tracks : pd.DataFrame
        The catalog, with the faults that decoding found.
    versions : pd.DataFrame
        ``track_id, augmentation, segments, fault, seconds``, one row per augmented version: number of segments, the
        reason if there are none, and how long a worker took.
    seconds : float
        How long the extraction of the original tracks took.
    augment_seconds : float
        How long the versions took, summed over the workers: the time on one core.
    """

    folder: Path
    features: np.ndarray
    segments: pd.DataFrame
    tracks: pd.DataFrame
    versions: pd.DataFrame
    seconds: float
    augment_seconds: float

    def with_versions(self, params: Params) -> Self:
        """The same store with only those augmented versions that the parameters ask for.

        Parameters
        ----------
        params : Params
            ``pitch_semitones``, ``stretch_share``, ``noise_snr_db``: those that are not 0.

        Returns
        -------
        Store
            With fewer ``segments``; the file is the same.

        References
        ----------
        Notebook: 06_beyond_the_paper.
        """
        kinds = ["", *(name.partition("_")[0] for name in SOUND_NAMES if getattr(params, name))]
        kind = self.segments["augmentation"].str.partition(" ")[0]
        return dataclasses.replace(self, segments=self.segments[kind.isin(kinds)])


def build(tracks: pd.DataFrame, params: Params, cache: str | Path = CACHE) -> Store:
    """Extract the features if they are not on disk yet, and open the store.

    A killed extraction continues with the track where it stopped. A track that cannot be decoded gets a ``fault`` and
    no segments; the others are still extracted. A version that gives no segment causes a warning, and ``versions`` has
    the reason; the original track is not affected. An existing store is verified, file by file and row by row; what is
    damaged is extracted again, with a warning.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault stay in the table and give no segments.
    params : Params
        The features and the augmented versions; the folder is named by a hash of these and the tracks.
    cache : str or Path
        Folder of all stores.

    Returns
    -------
    Store

    Raises
    ------
    CatalogError
        If no track gives a segment.
    DiskError
        If the disk is full or read-only.
    WorkerError
        If there is not enough memory.

    References
    ----------
    Notebook: 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper, 07_transfer.
    """
    cache = given(cache)
    folder = cache / "features" / fingerprint(tracks, params)
    if not folder.exists() or damage(folder, tracks, params):  # a good one needs no lock, and may be read-only
        with disk.lock(folder.with_suffix(".lock")), disk.writing(folder):  # a second run waits, then finds it done
            if folder.exists() and (found := damage(folder, tracks, params)):
                warn(f"The store {folder} is damaged; the damaged parts are extracted again: {found}.")
                shutil.rmtree(folder.with_suffix(".partial"), ignore_errors=True)
                folder.rename(folder.with_suffix(".partial"))
            if not folder.exists():
                extract(tracks, params, folder)
    built = open_store(folder)
    lost = built.versions[built.versions["fault"] != ""]
    if len(lost):
        first = lost.iloc[0]
        warn(
            f"{len(lost)} of {len(built.versions)} augmented versions gave no segment and are left out (see "
            f"Store.versions). The first: {first['track_id']}, {first['augmentation']}: {first['fault']}"
        )
    found = built.tracks.set_index("track_id")["fault"]  # other columns of the catalog may have changed since
    return dataclasses.replace(built, tracks=tracks.assign(fault=tracks["track_id"].map(found)))


def damage(folder: Path, tracks: pd.DataFrame, params: Params) -> str:
    """Find damage in a finished store.

    Parameters
    ----------
    folder : Path
        As made by :func:`build`.
    tracks : pd.DataFrame
        The catalog that it was made from.
    params : Params
        The parameters that it was made with.

    Returns
    -------
    str
        What is damaged; "" if every file and every row is as it was written.
    """
    if files := disk.broken(folder):
        return f"{', '.join(files)} damaged or missing"
    blocks = plan.blocks_of(contents.usable(tracks), params)
    shape = plan.shape_of(blocks, params)
    if not journal.whole(folder, shape):
        return f"{journal.ROWS} is cut off or has a damaged header"
    lost = sorted(journal.lost(journal.read(folder), blocks, folder, shape))
    return f"rows of {len(lost)} blocks are damaged, the first of {' '.join(lost[0]).strip()}" if lost else ""


def open_store(folder: str | Path) -> Store:
    """Open an existing store, without the checks of :func:`build`.

    Parameters
    ----------
    folder : str or Path
        As made by :func:`build`.

    Returns
    -------
    Store
    """
    folder = given(folder)
    facts = json.loads((folder / "params.json").read_text())
    versions = folder / "versions.parquet"
    return Store(
        folder=folder,
        features=np.load(folder / journal.ROWS, mmap_mode="r"),
        segments=pd.read_parquet(folder / "segments.parquet"),
        tracks=pd.read_parquet(folder / "tracks.parquet"),
        versions=pd.read_parquet(versions) if versions.exists() else pd.DataFrame(columns=journal.Outcome._fields),
        seconds=facts["extract_seconds"],
        augment_seconds=facts.get("augment_seconds", 0.0),
    )


def fingerprint(tracks: pd.DataFrame, params: Params) -> str:
    """Name of the store's folder: a hash of everything that it depends on.

    Parameters
    ----------
    tracks : pd.DataFrame
        The catalog; a file counts by its size and modification time, which is quick.
    params : Params
        The features and the augmented versions.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    files = [(s.st_size, s.st_mtime_ns) for s in map(os.stat, contents.usable(tracks)["path"])]
    facts = [
        plan.VERSION,
        plan.feature_params(params),
        files,
        tracks[["track_id", "fault", "duration_seconds"]].to_dict("records"),
    ]
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:16]


def read_rows(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Read rows of the store's memory map (n, mel, frame), after asking the disk for all of them at once.

    Reading through the map is slow: the kernel fetches one row at a time, each with as much around it as the disk's
    read-ahead setting. With 8 MB that is a hundred times the data that is needed, and takes some 40 times as long.
    The memory of this process would also grow until it holds everything that was ever read.
    """
    if not (isinstance(features, np.memmap) and isinstance(features.base, mmap.mmap) and hasattr(os, "posix_fadvise")):
        return features[rows]  # not a memory map, only a part of one, or a system without posix_fadvise
    taken = np.empty((len(rows), *features.shape[1:]), features.dtype)
    size = features[0].nbytes
    starts = (features.offset + rows * size).tolist()
    with Path(features.filename).open("rb", buffering=0) as file:
        for start in starts:
            os.posix_fadvise(file.fileno(), start, size, os.POSIX_FADV_WILLNEED)
        for row, start in zip(taken, starts, strict=True):
            if os.preadv(file.fileno(), [row], start) < size:
                raise CatalogError(
                    f"{file.name} is cut off: it ends in the middle of a row. Delete its folder; a new run creates it "
                    "again."
                )
    return taken
