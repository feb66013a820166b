"""The training loop: it saves its state after each epoch, and resumes from there after it was killed."""

import contextlib
import functools
import hashlib
import json
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genre_utils.datasets import labels
from genre_utils.errors import DiskError, ParamsError, warn
from genre_utils.features.store import Store
from genre_utils.models import factory, fused
from genre_utils.params import PRETRAINED, Params
from genre_utils.paths import CACHE, given
from genre_utils.system import disk
from genre_utils.system.progress import HEADLESS, sign
from genre_utils.system.quiet import quiet_stderr
from genre_utils.training import distribution, pipeline, recipe, transfer

with quiet_stderr():
    import keras

if distribution.task():
    distribution.strategy()  # TensorFlow can join a cluster only before its first operation

SECONDS_BETWEEN_SAVES = 30.0  # at most this much work is lost in a crash; a save can take seconds on a busy disk
# Attributes of Keras' callbacks that are lost when the process dies.
STATE_OF_CALLBACKS = ("best", "wait", "cooldown_counter", "_ema_weights_in_model")


def train(
    store: Store,
    assignment: pd.DataFrame,
    genres: list[str],
    params: Params,
    folder: str | Path,
    cache: str | Path = CACHE,
    quiet: bool = False,
) -> pd.DataFrame:
    """Train a network, and write the weights of its best epoch and the training history.

    The model ``musicnn`` is trained by :func:`transfer.train`.

    The best epoch is the one with the highest validation accuracy, as in the paper; with a cosine schedule the last
    epoch is used.

    After an epoch, but at most every 30 s, the whole state is saved under ``cache``. If the process is killed, the
    next call with the same data and parameters resumes from there, with the same result as an uninterrupted training.
    The previous state is kept as well: if the checksum of the last one is wrong, training resumes from the previous
    one, with a warning. On a full disk the training stops, and can resume when there is space again.

    Several devices, or the workers that ``TF_CONFIG`` names, share every batch; see ``distribution``. Each worker
    calls this function with the same data and parameters and its own ``folder``; all share ``cache``.

    Parameters
    ----------
    store : Store
        The features.
    assignment : pd.DataFrame [columns=track_id, segment, split]
        As a function of ``splits`` returns it.
    genres : list of str
        The classes, in the order of the network's outputs.
    params : Params
        The network and its training.
    folder : str or Path
        ``model.keras`` (without the optimizer's state) and ``history.csv`` are written here.
    cache : str or Path
        Folder for the state while training is not finished.
    quiet : bool
        Print no line and no progress bar; the runner of notebooks still gets a sign of life from each epoch.

    Returns
    -------
    pd.DataFrame [columns=epoch, accuracy, loss, val_accuracy, val_loss, learning_rate, seconds]
        One row per epoch, from 1. Accuracy is the share of correct segments; in training, with dropout and
        augmentation.

    Raises
    ------
    ParamsError
        If a track has several genres, but ``output`` is softmax.
    ClusterError
        If the workers start from different states, or one of them stops.
    DiskError
        If the state or the results cannot be written, or the system clock is before 1980.

    References
    ----------
    Paper, II.D. Notebook: 03_training, 06_beyond_the_paper.
    """
    if params.model == PRETRAINED:
        return transfer.train(store, assignment, genres, params, folder, cache)
    cache = given(cache)
    folder = given(folder)
    examples = pipeline.examples(store, assignment, "train", genres)
    held_out = pipeline.examples(store, assignment, "validation", genres)
    several = examples.loc[examples["label"] < 0, "track_id"]
    if len(several) and params.output == "softmax":
        raise ParamsError(
            f"{several.iloc[0]} has several genres, but softmax predicts exactly one. Set output to sigmoid, as "
            "notebook 3 does automatically, or give the track one genre."
        )
    dense = recipe.takes_shares(params)
    targets = [labels.targets(table["genre"], genres) if dense else None for table in (examples, held_out)]
    if time.localtime().tm_year < 1980:
        raise DiskError(
            f"The clock of this machine shows {time.ctime()}. Keras saves model.keras as a ZIP file, which cannot "
            "have a date before 1980. Set the clock, and run it again."
        )
    root = cache / "training" / fingerprint(store, assignment, genres, params)
    strategy = distribution.strategy()
    chief = strategy.extended.should_checkpoint  # only one of several workers writes the state
    with disk.lock(root.with_suffix(".lock")) if chief else contextlib.nullcontext():
        finished = root.with_suffix(".done")  # renamed before it is deleted, so that no kill leaves half a state
        if chief:
            shutil.rmtree(finished, ignore_errors=True)
        with strategy.scope():
            model = factory.build(params, len(genres))
            if strategy.num_replicas_in_sync == 1 and not pipeline.gpus():
                model = recipe.compiled(fused.network(model), params, fused)
            else:
                model = recipe.compiled(model, params)
            state = State(root, model, params, chief)
        if distribution.task():
            distribution.agree(strategy, f"{root.name} after {len(state.history)} epochs")
        if not state.stopped and len(state.history) < params.max_epochs:
            data = pipeline.shuffled(store, examples, params, len(state.history), targets[0])
            plan: dict[str, Any] = {
                "validation_data": pipeline.in_order(store, held_out, params, targets[1]),
                "initial_epoch": len(state.history),
                "epochs": params.max_epochs,
                "steps_per_epoch": math.ceil(len(examples) / params.batch_size),
                "callbacks": [*state.monitors, state, *([SignOfLife()] if quiet else [])],
                "verbose": 0 if quiet else 2 if os.environ.get(HEADLESS) else 1,
            }
            if strategy.num_replicas_in_sync == 1:
                model.fit(data, shuffle=False, **plan)  # the data set shuffles itself
            else:
                distribution.fit(model, strategy, data, **plan)
        history = pd.DataFrame(state.history)
        best = factory.build(params, len(genres))
        best.set_weights(state.best)
        results = {"model.keras": best.save, "history.csv": functools.partial(history.to_csv, index=False)}
        for name, write in results.items():
            partial = folder / f"partial{distribution.task()}-{name}"  # workers may share the folder
            with disk.writing(folder / name):
                write(partial)
                partial.replace(folder / name)
        if chief and root.exists():
            shutil.rmtree(root.rename(finished))
    return history


def fingerprint(store: Store, assignment: pd.DataFrame, genres: list[str], params: Params) -> str:
    """Name of a training's state: a hash of everything that its result depends on."""
    versions = sorted(store.segments["augmentation"].unique())
    facts = [keras.__version__, store.folder.name, versions, assignment.to_dict("records"), genres, params.to_mapping()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


class State(keras.callbacks.Callback):
    """The state of a training on disk: one folder for each of the last two saves.

    Parameters
    ----------
    root : Path
        The folder of ``epoch-NNNN``; the last one is loaded into the model.
    model : keras.Model
        Compiled, with fresh weights.
    params : Params
        They decide which callbacks there are, and which epoch is kept.
    chief : bool
        Whether this process writes; others only read.

    Attributes
    ----------
    history : list of dict
        One entry per finished epoch.
    stopped : bool
        Whether early stopping has ended the training.
    monitors : list of keras.callbacks.Callback
        As ``recipe.monitors`` returns them; they must come before this callback.
    """

    def __init__(self, root: Path, model: keras.Model, params: Params, chief: bool = True):
        super().__init__()
        self.root = root
        self.chief = chief
        self.monitors = recipe.monitors(params)
        self.keep_last = params.schedule == "cosine"
        self.folders = sorted(root.glob("epoch-????"))
        while self.folders and (files := disk.broken(self.folders[-1])):
            damaged = self.folders.pop()
            warn(
                f"{damaged}: {', '.join(files)} damaged or missing. Training resumes "
                f"{f'after {self.folders[-1].name}' if self.folders else 'from the beginning'}.",
                3,
            )
            if chief:
                shutil.rmtree(damaged)
        newest = self.folders[-1] if self.folders else None
        saved = json.loads((newest / "state.json").read_text()) if newest else {}
        self.history: list[dict[str, float]] = saved.get("history", [])
        self.stopped: bool = saved.get("stopped", False)
        self.callbacks: list[dict[str, Any]] = saved.get("callbacks", [])
        self.best: list[np.ndarray] = []
        self.last_save = time.monotonic()
        if newest:
            self.best = read_arrays(newest / "best.npz")
            print(f"resuming after epoch {len(self.history)}", flush=True)
            for variable, value in zip(state_variables(model), read_arrays(newest / "last.npz"), strict=True):
                variable.assign(value)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Restore the attributes of the callbacks, which Keras has just reset."""
        for callback, saved in zip(self.monitors, self.callbacks, strict=False):
            vars(callback).update(saved)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Add the epoch to the history, keep the best weights, and save if the last save is old."""
        row = {"epoch": epoch + 1, **(logs or {}), "seconds": round(time.monotonic() - self.started, 3)}
        if self.keep_last or all(row["val_accuracy"] > earlier["val_accuracy"] for earlier in self.history):
            self.best = self.model.get_weights()
        self.history.append(row)
        if self.chief and time.monotonic() - self.last_save >= SECONDS_BETWEEN_SAVES:
            self.save()
            self.last_save = time.monotonic()

    def save(self) -> None:
        """Write a new folder, then rename it; if the process is killed at any moment, a complete save remains."""
        partial = self.root / "partial"
        for folder in (partial, *self.folders[:-1]):  # first, so that there are never more than two complete saves
            shutil.rmtree(folder, ignore_errors=True)
        with disk.writing(partial):
            partial.mkdir(parents=True)
            # Plain arrays, because a .keras file does not have the state of dropout's random numbers.
            np.savez(partial / "last.npz", *(keras.ops.convert_to_numpy(v) for v in state_variables(self.model)))
            np.savez(partial / "best.npz", *self.best)
            callbacks = [{name: vars(c)[name] for name in STATE_OF_CALLBACKS if name in vars(c)} for c in self.monitors]
            state = {"history": self.history, "stopped": self.model.stop_training, "callbacks": callbacks}
            (partial / "state.json").write_text(json.dumps(state))
            disk.seal(partial, ["last.npz", "best.npz", "state.json"])
            whole = self.root / f"epoch-{len(self.history):04d}"
            partial.rename(whole)
        self.folders = [*self.folders[-1:], whole]


class SignOfLife(keras.callbacks.Callback):
    """Prints each epoch for the runner of notebooks, which stops a notebook that is silent for too long."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Print the number of the epoch."""
        if os.environ.get(HEADLESS):
            sign(f"epoch: {epoch + 1}/{self.params['epochs']}")


def state_variables(model: keras.Model) -> list[keras.Variable]:
    """All variables that change in training: weights, averages, the optimizer's moments, dropout's seeds."""
    model.optimizer.build(model.trainable_variables)  # has no effect the second time
    return [*model.variables, *model.optimizer.variables]


def read_arrays(path: Path) -> list[np.ndarray]:
    """The arrays of an .npz, in the order in which they were given to ``np.savez``."""
    with np.load(path) as arrays:
        return [arrays[f"arr_{index}"] for index in range(len(arrays))]
