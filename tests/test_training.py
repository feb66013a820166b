import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml

from genre_utils import catalog, evaluation, models, splits, store, training

GENRES = ["bass", "noise", "treble"]


@pytest.fixture(scope="module")
def built(genre_folder, params, tmp_path_factory):
    return store.build(catalog.from_folder(genre_folder, params), params, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def assignment(built, params):
    return splits.paper(built.tracks, params)


@pytest.fixture(scope="module")
def undisturbed(built, assignment, params, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, training.train(built, assignment, GENRES, params, folder, folder)


def test_the_history_is_complete_and_the_state_is_gone(undisturbed):
    folder, history = undisturbed
    assert history["epoch"].tolist() == [1, 2, 3]
    assert np.isfinite(history).all(axis=None)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "history.csv"), history)
    assert not [path for path in (folder / "training").iterdir() if path.is_dir()]


def test_low_tones_high_tones_and_noise_are_learnt(built, assignment, params, tmp_path):
    longer = dataclasses.replace(params, max_epochs=12, early_stopping_patience=12)
    training.train(built, assignment, GENRES, longer, tmp_path, tmp_path)
    network = models.load(tmp_path / "model.keras")
    predictions = evaluation.predict(network, built, assignment, GENRES, longer)
    assert evaluation.accuracy(predictions)["accuracy"] > 0.9
    assert set(predictions["split"]) == {"validation", "test"}
    assert predictions.columns.tolist() == [
        "track_id", "segment", "start_seconds", "split", "genre", "predicted",
        "p_bass", "p_noise", "p_treble", "path",
    ]  # fmt: skip
    np.testing.assert_allclose(predictions.filter(like="p_").sum(axis=1), 1, atol=1e-5)


def test_the_epoch_of_best_validation_accuracy_is_kept(built, assignment, params, tmp_path, monkeypatch):
    """Validation accuracies are dictated; the weights kept must be those of the second epoch."""
    seen = []
    on_epoch_end = training.State.on_epoch_end

    def dictated(self, epoch, logs=None):
        seen.append(self.model.get_weights())
        on_epoch_end(self, epoch, {**logs, "val_accuracy": (0.1, 0.7, 0.7)[epoch]})

    monkeypatch.setattr(training.State, "on_epoch_end", dictated)
    training.train(built, assignment, GENRES, params, tmp_path, tmp_path)
    kept = models.load(tmp_path / "model.keras").get_weights()
    assert [all(np.array_equal(a, b) for a, b in zip(kept, weights, strict=True)) for weights in seen] == [
        False,
        True,
        False,
    ]


def test_early_stopping_and_the_scheduler_follow_their_patience(built, assignment, params, tmp_path, monkeypatch):
    """Validation losses are dictated: only the first epoch is an improvement."""
    losses = iter([1.0] + [2.0] * 20)
    on_epoch_end = training.keras.callbacks.EarlyStopping.on_epoch_end

    def dictated(self, epoch, logs=None):
        logs["val_loss"] = next(losses)  # the same dictionary goes to the scheduler next
        on_epoch_end(self, epoch, logs)

    monkeypatch.setattr(training.keras.callbacks.EarlyStopping, "on_epoch_end", dictated)
    longer = dataclasses.replace(params, max_epochs=20)
    history = training.train(built, assignment, GENRES, longer, tmp_path, tmp_path)
    assert len(history) == 1 + longer.early_stopping_patience
    np.testing.assert_allclose(history["learning_rate"] / longer.learning_rate, [1, 1, 1, 0.5, 0.5, 0.25], rtol=1e-5)


TRAIN = """
import sys, yaml
from pathlib import Path
from genre_utils import store, training
from genre_utils.params import Params
import pandas as pd
params = Params.from_mapping(yaml.safe_load(sys.argv[1]))
folder = Path(sys.argv[3])
training.train(
    store.open_store(Path(sys.argv[2])), pd.read_csv(folder / "split.csv"), ["bass", "noise", "treble"],
    params, folder, folder,
)
"""


def test_a_killed_training_goes_on_and_ends_as_an_undisturbed_one(built, assignment, params, undisturbed, tmp_path):
    assignment.to_csv(tmp_path / "split.csv", index=False)
    arguments = [sys.executable, "-c", TRAIN, yaml.safe_dump(params.to_mapping()), str(built.folder), str(tmp_path)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("training/*/epoch-0001")):
        assert process.poll() is None, "the training ended before it could be killed"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "model.keras").exists()

    history = training.train(built, assignment, GENRES, params, tmp_path, tmp_path)
    folder, expected = undisturbed
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), expected.drop(columns="seconds"))
    ours = models.load(tmp_path / "model.keras").get_weights()
    theirs = models.load(folder / "model.keras").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_training_killed_after_its_last_epoch_does_not_train_again(built, assignment, params, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(training.shutil, "rmtree", lambda *_, **__: None)  # the state stays, as after a kill
        training.train(built, assignment, GENRES, params, tmp_path, tmp_path)
    monkeypatch.setattr(training.keras.Model, "fit", lambda *_, **__: pytest.fail("trained again"))
    history = training.train(built, assignment, GENRES, params, tmp_path, tmp_path)
    assert len(history) == 3
