"""The inner features of the pretrained network for all segments of a feature store, computed once and kept on disk."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from genre_utils.features.store import Store, read_rows
from genre_utils.models import musicnn, pretrained
from genre_utils.params import Params
from genre_utils.paths import CACHE, given
from genre_utils.system import disk
from genre_utils.system.progress import progress

VERSION = 1  # part of the folder's name: raise it when the embeddings of the same log-mels change
ROWS, DONE = "embeddings.npy", "done.txt"
AT_ONCE = 32  # segments: a second or so of work, which is lost if the process is killed
# The columns: what the network outputs, side by side.
WIDTHS = {"pooled": musicnn.POOLED, "penultimate": musicnn.PENULTIMATE, "tags": len(pretrained.TAGS)}


def columns(name: str) -> slice:
    """The columns of ``pooled``, ``penultimate`` or ``tags``; these stand in this order."""
    start = sum(WIDTHS[before] for before in list(WIDTHS)[: list(WIDTHS).index(name)])
    return slice(start, start + WIDTHS[name])


def of_store(store: Store, params: Params, cache: str | Path = CACHE) -> np.ndarray:
    """The embeddings of all rows of a feature store.

    A killed computation continues where it stopped, and a second process waits for the first. Files whose checksums
    are wrong are computed again.

    Parameters
    ----------
    store : Store
        Log-mels with ``pretrained.FEATURES``.
    params : Params
        Of the features.
    cache : str or Path
        Folder for the embeddings.

    Returns
    -------
    np.ndarray [shape=(row, 1756), dtype=float32]
        A memory map, by the store's rows; :func:`columns` says what is where.

    Raises
    ------
    MissingExtraError
        If the weights of the network are not installed.
    ParamsError
        If the features are not those that the network was trained on.
    DiskError
        If the disk is full or read-only.

    References
    ----------
    J. Pons and X. Serra, musicnn (2019). Notebook: 07_transfer.
    """
    pretrained.check(params)
    folder = given(cache) / "embeddings" / f"{store.folder.name}-{VERSION}"
    if not folder.exists() or disk.broken(folder):
        with disk.lock(folder.with_suffix(".lock")), disk.writing(folder):
            if folder.exists() and disk.broken(folder):
                shutil.rmtree(folder)
            if not folder.exists():
                compute(store, params, folder)
    return np.load(folder / ROWS, mmap_mode="r")


def compute(store: Store, params: Params, folder: Path) -> None:
    """Compute the embeddings in a partial folder, from where it stopped, then rename it into place."""
    partial = folder.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    count, width = len(store.features), sum(WIDTHS.values())
    done = int((partial / DONE).read_text()) if (partial / DONE).exists() else 0
    if not done:
        np.lib.format.open_memmap(partial / ROWS, "w+", np.float32, (count, width)).flush()
    rows = np.load(partial / ROWS, mmap_mode="r+")
    starts = range(done, count, AT_ONCE)
    if len(starts):
        network = musicnn.network(params)
        for start in progress(starts, len(starts), "embeddings"):
            some = np.arange(start, min(start + AT_ONCE, count))
            found = network.predict_on_batch(read_rows(store.features, some).astype(np.float32))
            rows[some] = np.concatenate([found[name] for name in WIDTHS], axis=1)
            rows.flush()  # before it counts as done
            with disk.replacing(partial / DONE) as written:
                written.write_text(str(some[-1] + 1))
    (partial / DONE).unlink(missing_ok=True)
    disk.seal(partial, [ROWS])
    partial.rename(folder)


def by_track(values: np.ndarray, segments: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """The mean embedding of each track.

    Parameters
    ----------
    values : np.ndarray [shape=(segment, feature)]
        Embeddings.
    segments : pd.DataFrame
        A row for each of them, with ``track_id``.

    Returns
    -------
    means : np.ndarray [shape=(track, feature), dtype=float64]
        In the order in which the tracks first occur.
    tracks : pd.DataFrame
        The first row of each track.

    References
    ----------
    Notebook: 07_transfer.
    """
    number, names = pd.factorize(segments["track_id"])
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, number, values)
    return sums / np.bincount(number)[:, np.newaxis], segments.drop_duplicates("track_id").reset_index(drop=True)
