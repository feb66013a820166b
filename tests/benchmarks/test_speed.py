"""What the benchmarks of speed compare is the same work, and their figures are what was measured."""

import io
import json
import os
import sys

import nbformat
import numpy as np
import pytest
import soundfile
from bounds import HALF, disturbed, of_decibels, of_network
from nbformat.v4 import new_code_cell, new_notebook
from tiny import tiny_cnn

from benchmarks import shared
from benchmarks.speed import features, inference, optimisations, pipeline, startup, training
from genre_utils.models import factory
from genre_utils.training import spec_augment


def test_a_process_is_measured_without_the_one_that_starts_it():
    figures = shared.watched([sys.executable, "-c", "print(1); x = bytearray(40 * 2**20); print(2)"])
    assert figures["lines"] == 2
    assert 0 < figures["first"] <= figures["seconds"]
    assert 40 < figures["peak_mb"] < 100  # TensorFlow alone, in this process, takes several times as much
    with pytest.raises(SystemExit, match="ended with 3"):
        inference.process([sys.executable, "-c", "print(1); raise SystemExit(3)"])
    assert shared.watched([sys.executable, "-c", "import time; time.sleep(60)"], 0.5)["status"] == -9


def test_what_was_not_measured_has_no_ratio():
    """Limited to AVX2, inference leaves LiteRT and whole processes out."""
    seconds = {"naive off": 6, "naive onednn": 3, "predict": 1.5}
    rows = [
        {"what": "one file, warm", "network": name, "way": way, "seconds": value}
        for name in inference.NETWORKS
        for way, value in seconds.items()
    ]
    expected = {"naive off / predict": 4.0, "naive onednn / predict": 2.0}
    assert inference.ratios_of(rows, 100, 1_000) == {
        f"{name}: warm, {ways}": ratio for name in inference.NETWORKS for ways, ratio in expected.items()
    }


def test_a_process_answers_a_turn_of_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(inference, "answering", lambda *_: lambda path: np.full(2, len(path.name)))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(["compact_cnn", "a/b.wav", "long.wav"]) + "\n"))
    inference.child("predict", tmp_path)
    (first, second) = json.loads(capsys.readouterr().out)
    assert (first[1], second[1]) == ([5.0, 5.0], [8.0, 8.0]) and min(first[0], second[0]) >= 0


def test_extraction_is_compared_with_the_same_work(tmp_path, rng):
    for genre in ("a", "b"):
        (tmp_path / "clips" / genre).mkdir(parents=True)
        soundfile.write(tmp_path / "clips" / genre / f"{genre}.wav", 0.1 * rng.normal(size=11 * 22_050), 22_050)
    for name in ("librosa loop", "genre_utils"):
        (tmp_path / name).mkdir()
        features.CONTESTANTS[name](tmp_path / "clips", tmp_path / name)
    ours, loop = (features.decibels(tmp_path / name) for name in ("genre_utils", "librosa loop"))
    assert ours.shape == loop.shape == (4, 128, 216)
    np.testing.assert_allclose(ours, loop, atol=80 * HALF + of_decibels(-80))


def test_the_seconds_of_an_executed_notebook_add_up(tmp_path):
    """Kernel 2 s, imports 3 s, two other cells 4 s and 1 s, and of the 12 s in all 2 s that are between them."""
    cells = []
    for source, start, seconds in (("import json", 2, 3), ("x = 1\nx", 5, 4), ("import math\nmath.pi", 9, 1)):
        cells.append(new_code_cell(source))
        cells[-1].metadata.papermill = {"start_time": f"2026-01-01T00:00:{start:02d}+00:00", "duration": seconds}
    notebook = new_notebook(cells=cells)
    notebook.metadata.papermill = {"start_time": "2026-01-01T00:00:00+00:00", "duration": 12.0}
    nbformat.write(notebook, tmp_path / "01_one.ipynb")
    found = startup.of_notebook(tmp_path / "01_one.ipynb")
    parts = [found[name] for name in ("of", "kernel", "imports", "cells", "saving and stopping")]
    assert parts == ["01_one", 2, 3, 5, 2]
    assert found["slowest"] == [(4, "x = 1"), (3, "import json"), (1, "import math")]


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for its page cache and memory")


@linux
def test_delivery_is_compared_with_training(tmp_path, monkeypatch):
    monkeypatch.setitem(factory.MODELS, "paper_cnn", tiny_cnn)  # traced in a moment
    command = ["--rows", "100", "--image", "16", "--repeats", "1", "--sizes", "40", "250"]
    monkeypatch.setattr(sys, "argv", ["pipeline", *command, "--json", str(tmp_path / "found.json")])
    assert pipeline.main() == 0
    found = json.loads((tmp_path / "found.json").read_text())
    rows = {(row["what"], row["recipe"], row.get("cache"), row.get("rows")): row for row in found["rows"]}
    trained = rows["training", "16 x 16", None, None]["segments_per_second"]
    for recipe in ("plain", "augmented"):
        for cache in ("warm", "cold"):
            row = rows["delivery", recipe, cache, 100]
            ratio = found["ratios"][f"{recipe}, {cache}: delivered / trained"]
            assert ratio == pytest.approx(row["segments_per_second"] / trained)
        assert rows["delivery", recipe, "warm", 100]["cached_before"] == 1
    for size in (40, 250):
        row = rows["first batch", "plain", "cold", size]
        assert found["ratios"][f"seconds to the first of {size} segments"] == row["first_seconds"] > 0


@linux
def test_a_large_store_is_read_whole_and_under_a_limit(tmp_path, monkeypatch):
    limits = []
    monkeypatch.setattr(pipeline.resource, "setrlimit", lambda *limit: limits.append(limit))
    pipeline.written(tmp_path, 700, pipeline.Params())
    monkeypatch.setattr(pipeline, "RECIPES", {"plain": pipeline.Params()})
    before = pipeline.memory_mb("VmHWM")
    (row,) = pipeline.read_limited(tmp_path, 2.5, None)
    assert limits == [(pipeline.resource.RLIMIT_DATA, (2_500_000_000, 2_500_000_000))]
    assert row["rows"] == 700 and row["peak_mb"] >= before > 100  # TensorFlow alone takes more
    (tmp_path / "cgroup.procs").touch()
    assert pipeline.read_limited(tmp_path, 2.5, tmp_path)[0]["limit"] == "cgroup"
    assert (tmp_path / "cgroup.procs").read_text() == str(os.getpid()) and len(limits) == 1
    ratios = pipeline.ratios_of([row, {"what": "training", "segments_per_second": row["segments_per_second"] / 8}])
    assert ratios["large store, plain: delivered / trained"] == pytest.approx(8)
    assert ratios["large store, plain: peak memory / limit"] == pytest.approx(row["peak_mb"] / 2_500)


@linux
def test_the_page_cache_is_seen(tmp_path):
    if not os.major(tmp_path.stat().st_dev):
        pytest.skip("the temporary folder is on no disk of its own, but in memory, on a network or an overlay")
    pipeline.written(tmp_path, 600, pipeline.Params())
    features = np.load(tmp_path / "features.npy", mmap_mode="r")
    assert (features[pipeline.BLOCK :] == features[: 600 - pipeline.BLOCK]).all() and (features <= 0).all()
    pipeline.warm(features)
    assert pipeline.resident(features) == 1
    pipeline.cool(features)
    assert pipeline.resident(features) < 0.01
    features[0].max()
    assert 0 < pipeline.resident(features) <= 1


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(optimisations, "PARAMS", optimisations.Params(segment_seconds=1.0, max_segments=1))
    for name, value in {
        "BATCH": 4, "CLIP_SECONDS": 2, "CLIPS": 2, "MATRIX": (3_000, 4), "COMPARED": 4,
        "STORE_GB": 0.001, "GENRES": ["blues", "jazz"], "COLD_BATCHES": 1, "IMAGES": (2, 8, 8, 2),
        "SECONDS": 0.0,
    }.items():  # fmt: skip
        monkeypatch.setattr(optimisations, name, value)


@linux
@pytest.mark.usefixtures("few")
# Two need other processes or an export: their results are held by tests of extraction and of exporting. One is busy.
@pytest.mark.parametrize(
    "name", sorted(optimisations.OPTIMISATIONS.keys() - {"extraction_threads", "features_busy", "light_matrix"})
)
def test_an_optimisation_gives_the_plain_result(name, tmp_path):
    (taken,) = optimisations.job(name, optimisations.BOTH, 1, tmp_path)
    for figure in optimisations.OPTIMISATIONS[name].figures:
        assert {f"{way} {figure}" for way in optimisations.WAYS} <= taken.keys()


@linux
@pytest.mark.usefixtures("few")
def test_a_wrong_optimisation_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(spec_augment, "crop", lambda decibels, *_: decibels)
    with pytest.raises(AssertionError, match="augment_crop"):
        optimisations.job("augment_crop", optimisations.BOTH, 1, tmp_path)
    optimisations.job("augment_crop", "plain", 1, tmp_path)  # in processes of their own the second one sees it
    with pytest.raises(AssertionError, match="augment_crop"):
        optimisations.job("augment_crop", "chosen", 1, tmp_path)


def test_every_way_to_train_is_the_same_training(monkeypatch):
    """From the same weights, on the same batches, with the same dropout: what differs is rounding."""
    monkeypatch.setitem(factory.MODELS, "paper_cnn", tiny_cnn)  # convolution, batch norm and dropout, one of each
    curves, heard = [], training.batches(3, 8)[0]
    for way, off in (("onednn", 0), ("ours", 0), ("ours", 1)):
        epoch, network = training.keras_epoch(way, image=16, size=8, steps=3)
        network.set_weights(disturbed(network.get_weights(), off * of_network(network, heard)))
        curves.append(np.array([[loss for _, loss in epoch()] for _ in range(2)]))
        assert type(network.optimizer).__module__.startswith("genre_utils" if way == "ours" else "keras")
    keras_own, ours, astray = curves
    assert np.ptp(ours) > 0
    np.testing.assert_allclose(ours, keras_own, atol=np.abs(astray - ours).max())
