"""The feature store: log-mels of a catalog on disk, made once, by parallel workers, resumable."""

import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from genre_utils.datasets import catalog
from genre_utils.errors import warn
from genre_utils.features import journal
from genre_utils.features.extraction import VERSION, extract, feature_params, plan, shape_of
from genre_utils.params import SOUND_NAMES, Params
from genre_utils.paths import CACHE, given
from genre_utils.system import disk


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
        ``row, track_id, segment, start_seconds, augmentation``, one row a segment: first every track as it is
        (``augmentation`` is ""), then its other versions, each numbered and timed from its own start.
    tracks : pd.DataFrame
        The catalog, with the faults that decoding found.
    versions : pd.DataFrame
        ``track_id, augmentation, segments, fault, seconds``, one row a version besides the original: how many
        segments it gave, why if none, and how long a worker took.
    seconds : float
        How long the extraction took, the versions left out.
    augment_seconds : float
        How long the versions took, summed over the workers: what one core would have needed.
    """

    folder: Path
    features: np.ndarray
    segments: pd.DataFrame
    tracks: pd.DataFrame
    versions: pd.DataFrame
    seconds: float
    augment_seconds: float

    def with_versions(self, params: Params) -> Self:
        """The same store with those versions of the sound that the parameters ask for, and no others.

        Parameters
        ----------
        params : Params
            ``pitch_semitones``, ``stretch_share``, ``noise_snr_db``: those that are not 0.

        Returns
        -------
        Store
            Its ``segments`` are fewer; the file is the same.

        References
        ----------
        Notebook: 06_beyond_the_paper.
        """
        kinds = ["", *(name.partition("_")[0] for name in SOUND_NAMES if getattr(params, name))]
        kind = self.segments["augmentation"].str.partition(" ")[0]
        return dataclasses.replace(self, segments=self.segments[kind.isin(kinds)])


def build(tracks: pd.DataFrame, params: Params, cache: str | Path = CACHE) -> Store:
    """Extract what is not there yet, and open the store.

    A killed extraction goes on with the track where it stopped. A track that cannot be decoded gets its
    ``fault`` and no segments; the others are still extracted. A version of a track that gives no segment is
    warned of and says why in ``versions``; the track itself loses nothing. A store that is there is checked, file by
    file and row by row, and what is damaged is made again, with a warning.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault are kept in the table and give no segments.
    params : Params
        The features and the versions of the sound; together with the tracks they name the folder.
    cache : str or Path
        Where stores are kept.

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
        If the memory does not suffice.

    References
    ----------
    Notebook: 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper.
    """
    cache = given(cache)
    folder = cache / "features" / fingerprint(tracks, params)
    if not folder.exists() or damage(folder, tracks, params):  # a whole one needs no lock, and no right to write
        with disk.lock(folder.with_suffix(".lock")), disk.writing(folder):  # a second run waits, and finds it done
            if folder.exists() and (found := damage(folder, tracks, params)):
                warn(f"The store {folder} is damaged and made again where it is: {found}.")
                shutil.rmtree(folder.with_suffix(".partial"), ignore_errors=True)
                folder.rename(folder.with_suffix(".partial"))
            if not folder.exists():
                extract(tracks, params, folder)
    built = open_store(folder)
    lost = built.versions[built.versions["fault"] != ""]
    if len(lost):
        first = lost.iloc[0]
        warn(
            f"{len(lost)} of {len(built.versions)} versions of tracks gave no segment and are left out (see "
            f"Store.versions). The first: {first['track_id']}, {first['augmentation']}: {first['fault']}"
        )
    found = built.tracks.set_index("track_id")["fault"]  # what else is known of a track may have changed since
    return dataclasses.replace(built, tracks=tracks.assign(fault=tracks["track_id"].map(found)))


def damage(folder: Path, tracks: pd.DataFrame, params: Params) -> str:
    """What is wrong with a finished store on the disk.

    Parameters
    ----------
    folder : Path
        As made by :func:`build`.
    tracks : pd.DataFrame
        The catalog that it was made of.
    params : Params
        Likewise.

    Returns
    -------
    str
        "" if every file and every row is as it was written.
    """
    if files := disk.broken(folder):
        return f"{', '.join(files)} damaged or missing"
    blocks = plan(catalog.usable(tracks), params)
    shape = shape_of(blocks, params)
    if not journal.whole(folder, shape):
        return f"{journal.ROWS} is cut short or begins as no array"
    lost = sorted(journal.lost(journal.read(folder), blocks, folder, shape))
    return f"rows of {len(lost)} blocks differ, first of {' '.join(lost[0]).strip()}" if lost else ""


def open_store(folder: str | Path) -> Store:
    """Open a store that is already built, without the check of :func:`build`.

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
        features=np.load(folder / "features.npy", mmap_mode="r"),
        segments=pd.read_parquet(folder / "segments.parquet"),
        tracks=pd.read_parquet(folder / "tracks.parquet"),
        versions=pd.read_parquet(versions) if versions.exists() else pd.DataFrame(columns=journal.Outcome._fields),
        seconds=facts["extract_seconds"],
        augment_seconds=facts.get("augment_seconds", 0.0),
    )


def fingerprint(tracks: pd.DataFrame, params: Params) -> str:
    """Name of the store: a hash of what makes it.

    Parameters
    ----------
    tracks : pd.DataFrame
        The catalog; a file counts by its size and time of change, so that 1,000 tracks cost no decoding.
    params : Params
        The features and the versions of the sound.

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
