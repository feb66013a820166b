import numpy as np
import pandas as pd
import pytest
import tiny

from genre_utils.errors import ParamsError
from genre_utils.models import embeddings, musicnn, pretrained


@pytest.fixture
def calls(monkeypatch):
    """The tiny network in place of the pretrained one, for these parameters, a few segments at a time; its batches."""
    seen = []

    def watched(params):
        network = tiny.tiny_musicnn(params)
        run = network.predict_on_batch

        def counted(x):
            seen.append(len(x))
            return run(x)

        monkeypatch.setattr(network, "predict_on_batch", counted)
        return network

    monkeypatch.setattr(musicnn, "network", watched)
    monkeypatch.setattr(pretrained, "check", lambda _: None)
    monkeypatch.setattr(embeddings, "AT_ONCE", 10)
    return seen


def test_they_are_what_the_network_outputs_for_each_row(built, params, tmp_path, calls):
    found = embeddings.of_store(built, params, tmp_path)
    parts = tiny.tiny_musicnn(params).predict(built.features.astype(np.float32), verbose=0)
    assert found.shape == (len(built.features), 1_756)
    for name, values in parts.items():
        assert np.allclose(found[:, embeddings.columns(name)], values, atol=1e-6)
    assert sum(calls) == len(built.features)
    again = embeddings.of_store(built, params, tmp_path)  # from the disk
    assert np.array_equal(found, again) and sum(calls) == len(built.features)


def test_a_killed_computation_continues(built, params, tmp_path, calls, monkeypatch):
    whole = np.array(embeddings.of_store(built, params, tmp_path / "whole"))
    before = len(calls)

    def stops(iterable, *_):
        for number, item in enumerate(iterable):
            if number == 3:
                raise KeyboardInterrupt
            yield item

    with monkeypatch.context() as patch:
        patch.setattr(embeddings, "progress", stops)
        with pytest.raises(KeyboardInterrupt):
            embeddings.of_store(built, params, tmp_path / "killed")
    found = embeddings.of_store(built, params, tmp_path / "killed")
    assert np.array_equal(found, whole)
    assert len(calls) - before == before  # none twice


@pytest.mark.usefixtures("calls")
def test_a_damaged_file_is_computed_again(built, params, tmp_path):
    whole = np.array(embeddings.of_store(built, params, tmp_path))
    (file,) = tmp_path.rglob(embeddings.ROWS)
    with file.open("r+b") as opened:
        opened.truncate(1_000)
    assert np.array_equal(embeddings.of_store(built, params, tmp_path), whole)


def test_other_features_are_refused(built, params, tmp_path):
    with pytest.raises(ParamsError, match="was trained"):
        embeddings.of_store(built, params, tmp_path)


def test_a_track_is_the_mean_of_its_segments(rng):
    values = rng.normal(size=(7, 3))
    segments = pd.DataFrame({"track_id": list("bbabaca"), "genre": list("xxyxyzy")})
    means, tracks = embeddings.by_track(values, segments)
    assert tracks["track_id"].tolist() == ["b", "a", "c"] and tracks["genre"].tolist() == ["x", "y", "z"]
    for mean, name in zip(means, tracks["track_id"], strict=True):
        assert np.allclose(mean, values[segments["track_id"] == name].mean(axis=0))
