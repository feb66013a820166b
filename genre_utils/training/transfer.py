"""Transfer learning: train a classifier of a pretrained network's features, chosen by validation."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genre_utils.datasets import labels
from genre_utils.features.store import Store
from genre_utils.models import embeddings, probe
from genre_utils.params import Params
from genre_utils.paths import CACHE, given
from genre_utils.system import disk
from genre_utils.training import pipeline

LEAST = 1e-7  # Keras' epsilon: keeps the logarithm finite


def train(
    store: Store,
    assignment: pd.DataFrame,
    genres: list[str],
    params: Params,
    folder: str | Path,
    cache: str | Path = CACHE,
) -> pd.DataFrame:
    """Try several probes, and write the one that classifies most validation segments correctly as one network.

    Parameters
    ----------
    store, assignment, genres, params : Store, pd.DataFrame, list of str, Params
        As ``trainer.train`` takes them; the features must be ``pretrained.FEATURES``.
    folder : str or Path
        ``model.keras`` and ``history.csv`` are written here.
    cache : str or Path
        Folder for the embeddings.

    Returns
    -------
    pd.DataFrame [columns=epoch, accuracy, loss, val_accuracy, val_loss, seconds, probe]
        One row per probe, in the order in which they were tried; the first of the best is kept. ``epoch`` is its
        number, from 1.

    References
    ----------
    Notebook: 07_transfer.
    """
    folder = given(folder)
    started = time.monotonic()
    values = embeddings.of_store(store, params, cache)
    tables = {split: pipeline.examples(store, assignment, split, genres) for split in ("train", "validation")}
    x = {split: np.asarray(values[table["row"]]) for split, table in tables.items()}
    y = {split: labels.targets(table["genre"], genres) for split, table in tables.items()}
    means, tracks = embeddings.by_track(x["train"], tables["train"])
    rows: list[dict[str, Any]] = []
    tried: list[probe.Probe] = []
    for found in probe.candidates(means, labels.targets(tracks["genre"], genres), params):
        row: dict[str, Any] = {"epoch": len(rows) + 1}
        for split, prefix in (("train", ""), ("validation", "val_")):
            probabilities = found.probabilities(x[split])
            right = y[split][np.arange(len(y[split])), probabilities.argmax(axis=1)]  # 1 if it is one of the genres
            row[f"{prefix}accuracy"] = float(right.mean())
            row[f"{prefix}loss"] = cross_entropy(y[split], probabilities, params.output)
        tried.append(found)
        seconds, started = time.monotonic() - started, time.monotonic()
        rows.append(row | {"seconds": round(seconds, 3), "probe": found.name})
    history = pd.DataFrame(rows)
    best = tried[int(history["val_accuracy"].argmax())]
    with disk.replacing(folder / "model.keras") as partial:
        probe.network(best, params).save(partial)
    with disk.replacing(folder / "history.csv") as partial:
        history.to_csv(partial, index=False)
    return history


def cross_entropy(targets: np.ndarray, probabilities: np.ndarray, output: str) -> float:
    """The mean cross-entropy of (n, genre), as Keras computes it for this output."""
    p = np.clip(probabilities, LEAST, 1 - LEAST)
    yes, no = targets * np.log(p), (1 - targets) * np.log(1 - p)
    return float(-(yes + no).mean() if output == "sigmoid" else -yes.sum(axis=1).mean())
