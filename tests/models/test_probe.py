import dataclasses

import numpy as np
import pytest
import tiny
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genre_utils.errors import SplitError
from genre_utils.models import embeddings, musicnn, probe


@pytest.fixture
def examples(rng):
    """Embeddings of forty tracks of four genres, which some features tell apart; and their genres."""
    genre = np.arange(40) % 4
    values = rng.normal(size=(40, sum(embeddings.WIDTHS.values()))).astype(np.float32)
    values[:, ::50] += genre[:, np.newaxis]
    return values, genre


def test_a_logistic_regression_is_scikit_learns(examples, params, rng):
    values, genre = examples
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1_000))
    oracle.fit(probe.seen(values, "penultimate"), genre)
    found = probe.fit(values, np.eye(4)[genre], params, "penultimate", c=0.1)
    new = rng.normal(size=(9, values.shape[1]))
    assert np.allclose(found.probabilities(new), oracle.predict_proba(probe.seen(new, "penultimate")), atol=1e-9)


def test_with_several_genres_a_track_each_genre_has_its_own(examples, params, rng):
    values, genre = examples
    targets = np.eye(4)[genre]
    targets[::5, 0] = 1
    oracle = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(max_iter=1_000)))
    oracle.fit(probe.seen(values, "tags"), targets)
    found = probe.fit(values, targets, dataclasses.replace(params, output="sigmoid"), "tags")
    new = rng.normal(size=(9, values.shape[1]))
    assert np.allclose(found.probabilities(new), oracle.predict_proba(probe.seen(new, "tags")), atol=1e-9)


def test_two_genres_and_one_without_training_tracks(examples, params):
    values, genre = examples
    two = genre < 2
    targets = np.eye(4)[genre[two]][:, [0, 3, 1]]  # the second class has no track
    found = probe.fit(values[two], targets, params, "penultimate")
    p = found.probabilities(values[two])
    oracle = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    oracle.fit(probe.seen(values[two], "penultimate"), genre[two])
    assert np.allclose(p[:, [0, 2]], oracle.predict_proba(probe.seen(values[two], "penultimate")), atol=1e-9)
    assert p[:, 1].max() < 1e-30
    with pytest.raises(SplitError, match="two genres or more"):
        probe.fit(values[two], targets * [1, 1, 0], params)


def test_what_only_rounding_moves_has_no_weight(examples, params, rng):
    values, genre = examples
    values = values.copy()
    tags = values[:, embeddings.columns("tags")]  # a view
    tags[:, :7] = 1e-6 * genre[:, np.newaxis] + rng.normal(0, 1e-9, (40, 7))  # it would tell the genres apart
    found = probe.fit(values, np.eye(4)[genre], params, "tags")
    assert (found.weights[:7] == 0).all() and (found.weights[7:] != 0).all()
    same = np.ones_like(values)
    assert np.allclose(probe.fit(same, np.eye(4)[genre], params).probabilities(same), 0.25)


def test_all_candidates_are_tried_once(examples, params):
    values, genre = examples
    names = [found.name for found in probe.candidates(values, np.eye(4)[genre], params)]
    assert len(names) == len(set(names)) == len(probe.INPUTS) * sum(len(c) for c in probe.HEADS.values())


@pytest.mark.parametrize("inputs", sorted(probe.INPUTS))
def test_probe_and_pretrained_network_become_one_network(examples, params, rng, monkeypatch, inputs):
    monkeypatch.setattr(musicnn, "network", tiny.tiny_musicnn)
    values, genre = examples
    decibels = rng.uniform(-80, 0, (5, params.n_mels, params.frames_per_segment)).astype(np.float32)
    parts = tiny.tiny_musicnn(params).predict_on_batch(decibels)
    rows = np.concatenate([parts[name] for name in embeddings.WIDTHS], axis=1)
    found = probe.fit(values, np.eye(4)[genre], params, inputs)
    one = probe.network(found, params).predict_on_batch(decibels)
    assert np.allclose(one, found.probabilities(rows), atol=1e-5)
    assert np.allclose(one.sum(axis=1), 1, atol=1e-5)


def test_a_genre_that_every_example_has_is_certain_and_hides_no_other(examples, params):
    values, genre = examples
    own = dataclasses.replace(params, output="sigmoid")
    targets = np.eye(4)[genre]
    targets[:, 2] = 1
    p = probe.fit(values, targets, own, "tags").probabilities(values)
    assert p[:, 2].min() == 1
    alone = probe.fit(values, np.delete(targets, 2, axis=1), own, "tags").probabilities(values)
    assert np.allclose(np.delete(p, 2, axis=1), alone, atol=1e-12)
    only = probe.fit(values, np.ones((40, 2)), own, "tags").probabilities(values)
    assert only.min() == 1
    one = probe.fit(values, np.stack([np.ones(40), genre == 0], axis=1), own, "tags").probabilities(values)
    assert np.allclose(one[:, 1], alone[:, 0], atol=1e-9)
