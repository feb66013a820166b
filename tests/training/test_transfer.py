import dataclasses

import numpy as np
import pandas as pd
import pytest
import tiny
from sklearn.metrics import log_loss

from genre_utils.datasets import labels
from genre_utils.evaluation import scoring
from genre_utils.models import factory, musicnn, pretrained
from genre_utils.training import pipeline, trainer, transfer

GENRES = ["bass", "noise", "treble"]


@pytest.fixture
def own(params, monkeypatch):
    monkeypatch.setattr(musicnn, "network", tiny.tiny_musicnn)
    monkeypatch.setattr(pretrained, "check", lambda _: None)
    return dataclasses.replace(params, model="musicnn")


def test_a_probe_is_trained_saved_and_used_like_any_other_model(own, built, assignment, tmp_path):
    history = trainer.train(built, assignment, GENRES, own, tmp_path, tmp_path)
    assert history["epoch"].tolist() == [*range(1, 13)]
    assert pd.read_csv(tmp_path / "history.csv")["probe"].tolist() == history["probe"].tolist()
    network = factory.load(tmp_path / "model.keras")
    predictions = scoring.predict(network, built, assignment, GENRES, own)
    held_out = predictions[predictions["split"] == "validation"]
    right = (held_out["genre"] == held_out["predicted"]).mean()
    assert right == pytest.approx(history["val_accuracy"].max()) and right > 0.8  # tones and noise; chance is a third
    again = trainer.train(built, assignment, GENRES, own, tmp_path, tmp_path)
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), again.drop(columns="seconds"))


def test_each_probe_is_measured_on_segments(own, built, assignment, tmp_path):
    history = transfer.train(built, assignment, GENRES, own, tmp_path, tmp_path)
    table = pipeline.examples(built, assignment, "validation", GENRES)
    network = factory.load(tmp_path / "model.keras")
    p = network.predict(built.features[table["row"]].astype(np.float32), verbose=0).astype(float)
    p /= p.sum(axis=1, keepdims=True)  # float32 sums to 1 within its rounding only
    best = history.loc[history["val_accuracy"].idxmax()]
    assert best["val_loss"] == pytest.approx(log_loss(table["genre"], p, labels=GENRES), rel=1e-4)


def test_the_loss_of_several_genres_is_that_of_each_yes_or_no(rng):
    p = rng.uniform(0.1, 0.9, (6, 3))
    y = rng.integers(0, 2, (6, 3))
    one = [log_loss(y[:, k], p[:, k], labels=[0, 1]) for k in range(3)]
    assert transfer.cross_entropy(y, p, "sigmoid") == pytest.approx(np.mean(one))


def test_no_genre_is_lost_between_targets_and_probabilities(own, built, assignment, tmp_path):
    trainer.train(built, assignment, GENRES[::-1], own, tmp_path, tmp_path)  # another order of the classes
    network = factory.load(tmp_path / "model.keras")
    table = pipeline.examples(built, assignment, "train", GENRES[::-1])
    p = network.predict(built.features[table["row"]].astype(np.float32), verbose=0)
    right = labels.targets(table["genre"], GENRES[::-1])[range(len(p)), p.argmax(axis=1)]
    assert right.mean() > 0.8
