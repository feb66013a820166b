import importlib.util
import re
import shutil

import keras
import numpy as np
import pytest

from genre_utils.errors import MissingExtraError, ParamsError
from genre_utils.models import factory, musicnn, pretrained
from genre_utils.params import Params
from genre_utils.paths import PROJECT

with_weights = pytest.mark.skipif(
    importlib.util.find_spec("musicnn") is None, reason=f"the weights are not installed: {pretrained.INSTALL}"
)


@pytest.fixture(scope="module")
def params():
    return Params(model="musicnn", **pretrained.FEATURES)


def original_tags(log10: np.ndarray, scratch) -> np.ndarray:
    """The tags (n, 50) of the authors' own graph, run by TensorFlow 1's session, for (n, frame, mel)."""
    import tensorflow as tf

    v1, folder = tf.compat.v1, pretrained.weights()
    meta = v1.MetaGraphDef()
    meta.ParseFromString((folder / ".meta").read_bytes())
    cut = v1.graph_util.extract_sub_graph(meta.graph_def, ["model/Sigmoid"])  # without its gradients
    for node in cut.node:
        node.attr.pop("_output_shapes", None)
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copyfile(folder / suffix, scratch / f"weights{suffix}")
    saved = tf.train.load_checkpoint(str(scratch / "weights"))
    with tf.Graph().as_default() as graph:
        v1.import_graph_def(cut, name="")
        variables = [node.name for node in cut.node if node.op == "VariableV2"]
        fed = {f"{name}:0": saved.get_tensor(name) for name in variables}
        fed |= {"model/Placeholder:0": log10, "model/Placeholder_2:0": False}  # the input; whether it is training
        with v1.Session(graph=graph) as session:
            return session.run("model/Sigmoid:0", fed)


@with_weights
def test_its_tags_are_those_of_the_original_graph(params, rng, tmp_path):
    power = 10.0 ** rng.uniform(-8, 2, (3, 187, 96))
    power[2] = 1e-12  # as good as silence
    decibels = 10 * np.log10(10_000 * power) - 10 * musicnn.LOUDEST
    ours = musicnn.network(params).predict_on_batch(decibels.transpose(0, 2, 1).astype(np.float32))["tags"]
    original = original_tags(np.log10(10_000 * power + 1).astype(np.float32), tmp_path)
    assert np.abs(ours - original).max() < 1e-5
    assert np.ptp(ours[:2], axis=0).max() > 0.01  # they depend on the input


@with_weights
def test_a_segment_has_the_length_that_the_network_was_trained_on_and_others_work_too(params):
    assert params.frames_per_segment == 187
    longer = Params(**pretrained.FEATURES | {"segment_seconds": 5.0})
    silence = np.full((1, 96, longer.frames_per_segment), -80, np.float32)
    assert musicnn.network(longer).predict_on_batch(silence)["pooled"].shape == (1, 1_506)


@with_weights
def test_a_classifier_is_saved_and_loads_without_the_package(params, rng, tmp_path, monkeypatch):
    built = factory.build(params, 3)
    built.save(tmp_path / "model.keras")
    monkeypatch.setattr(pretrained, "weights", lambda: pytest.fail("the weights are in the file"))
    loaded = factory.load(tmp_path / "model.keras")
    decibels = rng.uniform(-80, -20, (2, 96, 187)).astype(np.float32)
    assert np.array_equal(built.predict_on_batch(decibels), loaded.predict_on_batch(decibels))
    assert all(type(layer).__module__.startswith("keras.") for layer in loaded.layers)


def test_without_the_package_the_error_names_the_command(params, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install --no-deps musicnn==0\.1\.0"):
        musicnn.network(params)


def test_other_features_are_refused_with_both_values():
    with pytest.raises(ParamsError, match=r"rate_hz=16000.*fmin_hz=0.*rate_hz=22050.*fmin_hz=20"):
        musicnn.network(Params())


@pytest.mark.parametrize("name", ["Makefile", "docs/install.md", "environment.yml", ".binder/postBuild"])
def test_every_way_to_install_brings_the_same_weights(name):
    text = (PROJECT / name).read_text()
    found = set(re.findall(r"musicnn==[\w.]+", text))
    assert found == {pretrained.PACKAGE} and "--no-deps" in text


def test_there_is_a_name_for_each_tag():
    assert len(pretrained.TAGS) == len(set(pretrained.TAGS)) == 50
    assert isinstance(musicnn.architecture(Params(**pretrained.FEATURES)), keras.Model)
