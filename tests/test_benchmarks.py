"""The benchmarks are scripts for people; what they compute is still held here, on small arrays."""

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys

import nbformat
import numpy as np
import pandas as pd
import pytest
import soundfile
import tiny  # registers a network that is traced in a moment
from bounds import HALF, disturbed, of_decibels, of_network, of_shares
from keras import layers
from nbformat.v4 import new_code_cell, new_notebook
from sklearn.metrics import roc_auc_score

from genre_utils import augment, classifiers, evaluation, gtzan, models, networks
from genre_utils.ensemble import mean
from genre_utils.errors import CatalogError, ParamsError, SplitError
from genre_utils.params import Params
from genre_utils.paths import PROJECT


def script(name):
    spec = importlib.util.spec_from_file_location(name, PROJECT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


names = (
    "accuracy",
    "pipeline",
    "ensemble",
    "features",
    "gpu",
    "inference",
    "reasons",
    "startup",
    "training",
    "tries",
    "trust",
)
accuracy, delivery, ensemble, extraction, gpu, inference, reasons, startup, steps, tries, trust = map(script, names)

GENRES = ("blues", "jazz", "rock")


def bands(log_mel, params, genres):
    """A network that hears which bands are loud, and is trained in a moment."""
    x = networks.standardised_image(log_mel, params)
    x = layers.AveragePooling2D((1, params.image_width))(x)
    return layers.Dense(genres, activation="softmax")(layers.Flatten()(x))


def bands_from_zero(log_mel, params, genres):
    """The same of weights of 0, which have nothing to unlearn: at a learning rate of 0.001 it takes an epoch or two."""
    x = networks.standardised_image(log_mel, params)
    x = layers.AveragePooling2D((1, params.image_width))(x)
    return layers.Dense(genres, activation="softmax", kernel_initializer="zeros")(layers.Flatten()(x))


@pytest.fixture
def arrays(tmp_path):
    return write_arrays(tmp_path)


def write_arrays(folder):
    """Eight clips a genre, each genre bright in a band of its own and each clip on a scale of its own."""
    rng = np.random.default_rng(0)
    ids, x = [], []
    for place, genre in enumerate(GENRES):
        for number in range(8):
            image = rng.integers(0, 60, (128, 387))
            image[40 * place : 40 * place + 30] += 80
            ids.append(f"{genre}.{number:05d}")
            x.append((image * rng.uniform(0.5, 1.5)).astype(np.uint8))
    half = len(ids) // 2
    for name, part in (("one.npz", slice(0, half)), ("two.npz", slice(half, None))):
        np.savez(folder / name, ids=np.array(ids[part]), x=np.stack(x[part]))
    return [folder / "one.npz", folder / "two.npz"]


@pytest.fixture
def lists(tmp_path):
    return write_lists(tmp_path)


def write_lists(folder):
    """Four artists a genre; the published lists name a clip of each genre that the arrays lack."""
    clips = [f"{genre}.{number:05d}" for genre in GENRES for number in range(9)]
    index = "".join(f"{clip}.wav ::: {clip[:4]}{int(clip[-1]) % 4} ::: song {clip}\n" for clip in clips)
    (folder / "index.txt").write_text(index)
    for name, numbers in (("train", "0125"), ("valid", "67"), ("test", "348")):
        lines = [f"{genre}/{genre}.0000{number}.wav" for genre in GENRES for number in numbers]
        (folder / f"{name}_filtered.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def run(arrays, lists, tmp_path, monkeypatch):
    return runner(arrays, lists, tmp_path, monkeypatch)


def runner(arrays, lists, folder, monkeypatch):
    monkeypatch.setitem(models.MODELS, "bands", bands)

    def run(*arguments):
        words = ["--logmel", *map(str, arrays), "--lists", str(lists), "--model", "bands", "--epochs", "2"]
        return accuracy.main(
            [
                *words,
                "--set",
                "batch_size=4",
                "learning_rate=0.01",
                "--json",
                str(folder / "out" / "a.json"),
                *arguments,
            ]
        )

    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run over all folds: its folder and its result."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        run = runner(write_arrays(folder), write_lists(folder), folder, patch)
        return folder / "out", run("--protocol", "artist", "--folds", "3")


def test_segments_are_cut_from_the_columns_in_order(arrays):
    clips, segments = accuracy.read_arrays(arrays)
    assert segments.shape == (24, 6, 128, 64)
    with np.load(arrays[0]) as first:
        np.testing.assert_array_equal(np.concatenate(list(segments[3]), axis=1), first["x"][3][:, :384])
        assert clips[3] == first["ids"][3]


def test_folds_test_every_clip_once_and_the_json_says_all_that_belongs_to_a_figure(whole):
    out, result = whole
    assert json.loads((out / "a.json").read_text()) == result
    assert set(result) == {"machine", "settings", "ratios", "pooled", "rows"}
    assert [(row["fold"], row["seed"]) for row in result["rows"]] == [(fold, 0) for fold in range(3)]
    predictions = pd.read_parquet(out / "a.parquet")
    assert predictions.groupby(["split", "seed", "track_id"]).size().eq(6).all()
    predictions = predictions.query("split == 'test'")
    assert predictions["track_id"].nunique() == 24
    pooled = result["pooled"]
    assert pooled["segment"]["accuracy"] == pytest.approx((predictions["genre"] == predictions["predicted"]).mean())
    assert pooled["segment"]["accuracy"] > 0.9  # bands are learnt, whatever the clip's scale
    assert (pooled["segment"]["n"], pooled["track"]["n"]) == (144, 24)
    assert (pooled["track"]["resampled_by"], pooled["track"]["clusters"]) == ("artist", 12)
    assert pooled["absent_clips"] == {"GTZAN": 3}
    assert pooled["leaks"] == {"file": 0.0, "song": 0.0, "artist": 0.0}
    assert pooled["table"][0]["genre"] == "blues"
    assert result["ratios"]["segment_accuracy"] == pooled["segment"]["accuracy"]


def test_a_refit_trains_on_all_that_is_not_tested_and_needs_a_recipe_that_chooses_nothing(run, tmp_path):
    with pytest.raises(ParamsError, match="Use cosine"):
        run("--protocol", "artist", "--folds", "3", "--refit")
    words = ["--protocol", "artist", "--folds", "3", "--only-folds", "0", "--refit"]
    result = run(*words, "--set", "batch_size=4", "learning_rate=0.01", "schedule=cosine")
    (row,) = result["rows"]
    assert set(row["clips"]) == {"train", "test"} and sum(row["clips"].values()) == 24
    assert row["leaks"]["artist"] == 0 and row["validation_accuracy"] is None
    assert result["pooled"]["validation_tracks"] == {"right": 0, "of": 0, "accuracy": None}
    assert pd.read_parquet(tmp_path / "out" / "a.parquet")["split"].unique().tolist() == ["test"]
    with pytest.raises(SplitError, match="other settings"):
        run(*words[:-1], "--set", "batch_size=4", "learning_rate=0.01", "schedule=cosine")


def test_absent_clips_are_not_wrong_and_two_runs_are_compared_pair_by_pair(run, tmp_path, capsys):
    pooled = run("--protocol", "filtered")["pooled"]
    assert pooled["tested_on"] == "test"
    assert pooled["absent_clips"] == {"test": 3}  # number 8 of each genre
    assert pooled["track"]["n"] == 6
    assert pooled["leaks"]["artist"] == 0.5  # artist 0 plays number 4 and is in train, artist 3 is not
    other = tmp_path / "out" / "other.json"
    predictions = pd.read_parquet(tmp_path / "out" / "a.parquet")
    wrong = predictions["track_id"] == "blues.00003"
    chances = predictions.filter(like="p_").columns
    predictions.loc[wrong, "predicted"] = "rock"
    predictions.loc[wrong, chances] = [0.0, 0.0, 1.0]
    predictions.to_parquet(other.with_suffix(".parquet"))
    against = run("--protocol", "filtered", "--against", str(other))["against"]
    assert against["segment"]["difference"] == pytest.approx(against["track"]["difference"]) == 1 / 6
    assert against["mcnemar"] == {"only_first": 0, "only_second": 1, "p_value": 1.0}
    assert "tracks right: 0 there alone, 1 here alone, p = 1" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "a.json").read_text())["against"] == against


def test_without_any_test_clip_the_validation_list_is_tested_and_chooses_nothing(arrays, lists):
    for path in arrays:
        with np.load(path) as old:
            keep = np.array([name[-1] not in "34" for name in old["ids"]])
            ids, x = old["ids"][keep], old["x"][keep]
        np.savez(path, ids=ids, x=x)
    clips, _ = accuracy.read_arrays(arrays)
    tracks = accuracy.catalog_of(clips, lists)
    params = accuracy.Params(protocol="filtered", validation_fraction=0.25, test_fraction=0.25)
    assignment, said = accuracy.divided(tracks, params)
    published = gtzan.read_filtered(lists / name for name in gtzan.SPLIT_OF)
    side = assignment.drop_duplicates("track_id").set_index("track_id")["split"]
    assert set(published[side.index[side == "test"]]) == {"validation"}
    assert set(published[side.index[side != "test"]]) == {"train"}
    assert (side == "validation").sum() == 3
    assert "25% of train validates" in said


def test_finished_trainings_are_kept(run, tmp_path, monkeypatch):
    wanted = ("--model", "svm", "--protocol", "artist", "--folds", "4", "--only-folds", "0", "--seeds", "2")
    before = run(*wanted)
    assert before["pooled"]["over_seeds"]["track"]["seeds"] == 2
    saved = tmp_path / "out" / "a.json"
    saved.write_text(json.dumps(before | {"rows": before["rows"][:1]}))  # killed before the JSON named the second
    assert run(*wanted)["pooled"]["track"] == before["pooled"]["track"]
    before = json.loads(saved.read_text())
    monkeypatch.setattr(accuracy, "one", None)  # nothing is trained again
    assert run(*wanted) == before
    with pytest.raises(SplitError, match="a run with other settings"):
        run("--protocol", "paper")


def test_arrays_of_another_form_are_refused(tmp_path, lists, arrays):
    bad = tmp_path / "bad.npz"
    np.savez(bad, ids=["a"], x=np.zeros((1, 128, 300), np.uint8))
    with pytest.raises(CatalogError, match=r"384 columns or more and one id each\. Received: uint8 \(1, 128, 300\)"):
        accuracy.read_arrays([bad])
    np.savez(bad, spectra=np.zeros(3))
    with pytest.raises(CatalogError, match=r"must be an \.npz with ids"):
        accuracy.read_arrays([bad])
    with pytest.raises(CatalogError, match="stands twice"):
        accuracy.read_arrays([arrays[0], arrays[0]])
    with pytest.raises(CatalogError, match="Every id must be a clip of GTZAN"):
        accuracy.catalog_of(pd.Index(["mine"]), lists)


def test_members_are_averaged_one_after_the_other_and_the_page_says_what_each_gave(
    run, whole, lists, tmp_path, monkeypatch
):
    assert classifiers.KINDS == accuracy.BY_HAND
    out = tmp_path / "out"
    wanted = ("--protocol", "artist", "--folds", "3", "--model", "svm", "--json", str(out / "svm_artist.json"))
    results = {"bands": whole[1], "svm": run(*wanted)}
    for path in whole[0].iterdir():
        shutil.copy(path, out / f"bands_artist{path.suffix}")
    for model in results:
        assert results[model]["pooled"]["track"]["accuracy"] > 0.6
        predictions = pd.read_parquet(out / f"{model}_artist.parquet")
        assert predictions.groupby(["split", "seed", "track_id"]).size().eq(6).all()
    listed = lists / "train_filtered.txt"
    listed.write_text("\n".join(listed.read_text().split("\n")[1:]))  # one clip is left out for a fault
    members, saved = [str(out / f"{model}_artist.json") for model in results], out / "ensemble.json"
    found = ensemble.main(["--members", *members, "--against", members[1], "--lists", str(lists), "--json", str(saved)])
    assert json.loads(saved.read_text()) == found
    assert [row["added"] for row in found["rows"]] == ["bands_artist, seed 0", "svm_artist, seed 0"]
    first, both = found["rows"]
    assert first["track"] == results["bands"]["pooled"]["track"]
    tables = [pd.read_parquet(out / f"{model}_artist.parquet").drop(columns="seed") for model in results]
    together = evaluation.by_track(mean(tables).query("split == 'test'"))
    assert both["track"]["accuracy"] == (together["genre"] == together["predicted"]).mean()
    assert both["alone"] == results["svm"]["pooled"]["track"]["accuracy"]
    gain = both["track"]["accuracy"] - both["alone"]
    assert both["against"]["difference"] == pytest.approx(gain)
    assert [row["n"] for row in found["lost"]["lists"]] == [23, 1]
    wrong = (together["genre"] != together["predicted"]).sum()
    assert sum(row["n"] - round(row["n"] * row["right"]) for row in found["lost"]["genres"]) == wrong

    monkeypatch.setattr(tries, "RESULTS", out)
    monkeypatch.setattr(tries, "HERE", tmp_path)
    tries.main()
    page = (tmp_path / "RESULTS.md").read_text()
    for model, result in results.items():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{model}`")]
        assert f"{100 * result['pooled']['track']['accuracy']:.1f} [" in line
    assert "## Where the rest is lost" in page and "| svm_artist, seed 0 |" in page

    tested = pd.read_parquet(out / "svm_artist.parquet").query("split == 'test'")  # as a refit leaves it
    tested.to_parquet(out / "svm_artist.parquet")
    refit = ensemble.main(["--members", *members, "--json", str(saved)])["rows"]
    assert [row["validation_tracks"] for row in refit] == [None, None]
    assert [row["track"] for row in refit] == [row["track"] for row in found["rows"]]
    part = json.loads((out / "bands_artist.json").read_text())
    part["pooled"]["folds"] = [0, 1]
    (out / "bands_artist.json").write_text(json.dumps(part))
    tries.main()
    page = (tmp_path / "RESULTS.md").read_text()
    assert "| `bands`" not in page and "| `svm`" in page  # a run that has stopped half-way is none yet


def test_the_accuracy_benchmark_needs_no_tensorflow_and_no_audio_library():
    """Where only Keras and JAX are, its imports must still work."""
    script = (
        "import sys\n"
        "blocked = ('tensorflow', 'librosa', 'soundfile', 'soxr', 'pooch', 'papermill')\n"
        "class Wall:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in blocked and 'keras' not in str(path):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Wall())\n"
        "import types; sys.modules['keras'] = types.ModuleType('keras')\n"
        "keras = sys.modules['keras']; keras.layers = types.ModuleType('layers')\n"
        "keras.Model = keras.KerasTensor = object\n"
        "keras.tree = keras.callbacks = keras.utils = types.SimpleNamespace(Callback=object, PyDataset=object)\n"
        "keras.__version__ = ''\n"
        "sys.argv = ['accuracy.py', '--help']\n"
        "import runpy; runpy.run_path('benchmarks/accuracy.py', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--logmel" in done.stdout


def test_every_way_on_a_gpu_is_the_same_training(arrays, lists, tmp_path, monkeypatch):
    """Where the store lies changes nothing; another precision changes the rounding, and no weight's type."""
    monkeypatch.setitem(models.MODELS, "paper_cnn", bands_from_zero)  # traced and trained in a moment
    words = ["--logmel", *map(str, arrays), "--lists", str(lists), "--image", "16", "--batch", "4", "--epochs", "3"]
    found = gpu.main([*words, "--json", str(tmp_path / "gpu.json")])
    assert json.loads((tmp_path / "gpu.json").read_text()) == found
    rows = {(row["precision"], row["batches"]): row for row in found["rows"]}
    assert len(rows) == 6
    for (precision, _), row in rows.items():
        shares = row["test_segments_right"]
        assert shares == rows[precision, gpu.HOST]["test_segments_right"]
        enough = row["epochs_to_paper"]
        assert enough == 1 + [share >= gpu.PAPER_ACCURACY for share in shares].index(True)
        usual = row["train_segments"] / row["segments_per_second"]
        assert row["seconds_to_paper"] == pytest.approx(enough * usual)
    assert found["ratios"]["float32, from the host / float32, from the host"] == 1


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_rounds_what_is_between_the_image_and_the_probabilities(precision, rng):
    params = Params(image_height=16, image_width=16)
    plain = models.build(params, len(GENRES), frames=64)
    mixed = gpu.in_precision(plain, precision)
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    heard = rng.uniform(-80, 0, (8, 128, 64)).astype(np.float32)
    np.testing.assert_array_equal(models.image_of(mixed, heard), models.image_of(plain, heard))
    ours, theirs = mixed.predict(heard, verbose=0), plain.predict(heard, verbose=0)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours.sum(axis=1), 1, atol=of_shares(len(GENRES)))
    assert 1e-6 < np.abs(ours - theirs).max() < 0.01


def test_a_store_on_the_device_gives_the_losses_of_batches_from_the_host(rng):
    params = Params(model="tiny_cnn", image_height=16, image_width=16, batch_size=8)
    store, label = rng.uniform(-80, 0, (24, 128, 64)).astype(np.float16), rng.integers(0, len(GENRES), 24)
    rows = rng.permutation(24)
    losses = {}
    for where in (gpu.HOST, gpu.RESIDENT):
        model = gpu.trainer(store, len(GENRES), params, "float32", where)
        x = gpu.given(where, store, rows)
        losses[where] = model.fit(x, label[rows], batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_array_equal(losses[gpu.RESIDENT], losses[gpu.HOST])  # where rows lie is no arithmetic


@pytest.mark.parametrize("model", ["paper_cnn", "compact_cnn"])
@pytest.mark.parametrize("protocol", ["paper", "filtered", "artist"])
def test_the_results_page_says_what_the_results_say(model, protocol):
    result = json.loads((PROJECT / "benchmarks" / "results" / f"{model}_{protocol}.json").read_text())["pooled"]
    readme = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
    (line,) = [line for line in readme.splitlines() if line.startswith(f"| `{protocol}`:")]
    cells = [cell.strip() for cell in line.split("|")]
    for place, level in enumerate(("segment", "track"), start=4 if model == "paper_cnn" else 6):
        value = result[level]
        low, high = 100 * value["low"], 100 * value["high"]
        assert cells[place] == f"{100 * value['accuracy']:.1f} % [{low:.1f}, {high:.1f}]"
    assert cells[3] == f"{result['segment']['n']:,} segments of {result['track']['n']} clips"
    for what in ("artist", "song"):
        if result["leaks"][what]:
            assert f"{what} {result['leaks'][what]:.0%}".replace("%", " %") in cells[2]


@pytest.mark.parametrize("protocol", ["paper", "filtered", "artist"])
def test_the_results_page_says_what_a_refit_comes_to(protocol):
    name = f"compact_cnn_refit_{protocol}.json"
    found = json.loads((PROJECT / "benchmarks" / "results" / name).read_text())["pooled"]
    segments, tracks = (f"{100 * found[level]['accuracy']:.1f} %" for level in ("segment", "track"))
    (line,) = [
        line
        for line in (PROJECT / "docs" / "results.md").read_text().splitlines()
        if line.startswith("Refitted on the")
    ]
    assert any(f"{segments} {joined} {tracks}" in line for joined in ("of segments and", "and"))
    assert f"under `{protocol}`" in line


@pytest.mark.parametrize(("data", "name"), [("demo", "audit_demo"), ("80 real GTZAN clips", "audit_gtzan")])
def test_the_results_page_says_what_the_audit_found(data, name):
    ratios = json.loads((PROJECT / "benchmarks" / "results" / f"{name}.json").read_text())["ratios"]
    readme = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
    (line,) = [line for line in readme.splitlines() if line.startswith(f"| {data}") and "80 of 80" in line]
    cells = [cell.strip() for cell in line.split("|")]
    assert float(cells[3]) == ratios["recall"]
    assert (cells[4] == "0") == (ratios["precision"] == 1)
    expected = [f"{ratios[key]:.3f}" for key in ("lowest_true", "threshold", "highest_different")]
    assert [cells[5], f"{float(cells[6]):.3f}", cells[7]] == expected


@pytest.mark.parametrize(("data", "name"), [("demo", "explorer_demo"), ("real GTZAN clips", "explorer_gtzan_mini")])
def test_the_results_page_says_what_the_explorer_weighs(data, name):
    large, *pages = json.loads((PROJECT / "benchmarks" / "results" / f"{name}.json").read_text())["rows"]
    readme = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
    for row in pages:
        figures = f"| {row['size_mb']:.1f} MB | {row['median_open_ms']:.0f} ms | |"
        assert f"| {row['tracks']} tracks of 30 s, {data}, {row['page']} {figures}" in readme
    if data == "demo":
        figures = f"{large['size_mb']:.1f} MB | {large['median_open_ms']:.0f} ms | {large['slowest_ms']:.0f} ms |"
        assert f"| {large['segments']:,} segments, without sound | {figures}" in readme
        assert f"{large['clicks']} clicks" in readme


FIVE = ["paper_cnn", "compact_cnn", "attention", "crnn", "svm"]
REFITS = ["compact_cnn_refit", "attention_refit", "svm_refit"]


@pytest.mark.parametrize("name", [*FIVE, "ensemble", *REFITS, "ensemble_refit"])
def test_the_results_page_says_what_goes_beyond_the_paper(name):
    folder = PROJECT / "benchmarks" / "results"
    together = name.startswith("ensemble")
    result = json.loads((folder / (f"{name}.json" if together else f"{name}_artist.json")).read_text())
    last = result["rows"][-1] if together else result["pooled"] | {"against": result.get("against")}
    lines = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8").splitlines()
    start = {"ensemble": "| all of them", "ensemble_refit": "| refits"}.get(name, f"| `{name}`")
    if name in REFITS:
        start = f"| refit: `{name.removesuffix('_refit')}`"
    (line,) = [line for line in lines if line.startswith(start)]
    cells = [cell.strip() for cell in line.split("|")]
    for cell, level in zip(cells[-4:-2], ("segment", "track"), strict=True):
        value = last[level]
        assert cell == f"{100 * value['accuracy']:.1f} % [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"
    if name != "paper_cnn":
        gain = last["against"] if together else last["against"]["track"]
        said = f"{100 * gain['difference']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
        assert cells[-2] == said.replace("-", "−")


def test_the_page_of_tries_is_made_from_the_results_in_the_tree(tmp_path, monkeypatch):
    made = (PROJECT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    monkeypatch.setattr(tries, "HERE", tmp_path)
    tries.main()
    assert (tmp_path / "RESULTS.md").read_text(encoding="utf-8") == made


def test_the_results_page_says_how_long_the_recommended_network_trains():
    result = json.loads((PROJECT / "benchmarks" / "results" / "budget_compact_cnn.json").read_text())
    (row,) = result["rows"]
    assert row["clips"]["train"] >= 640 and row["train_seconds"] < 600
    said = f"On {row['clips']['train']} of the clips its {row['epochs']} epochs took {row['train_seconds']:.0f} s"
    assert said in (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")


def test_a_process_is_measured_without_the_one_that_starts_it():
    figures = inference.process([sys.executable, "-c", "print(1); x = bytearray(40 * 2**20); print(2)"])
    assert figures["lines"] == 2
    assert 0 < figures["first"] <= figures["seconds"]
    assert 40 < figures["peak_mb"] < 100  # TensorFlow alone, in this process, takes several times as much
    with pytest.raises(subprocess.CalledProcessError):
        inference.process([sys.executable, "-c", "print(1); raise SystemExit(3)"])


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
        extraction.CONTESTANTS[name](tmp_path / "clips", tmp_path / name)
    ours, loop = (extraction.decibels(tmp_path / name) for name in ("genre_utils", "librosa loop"))
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
    monkeypatch.setitem(models.MODELS, "paper_cnn", bands)  # traced in a moment
    command = ["--rows", "100", "--image", "16", "--repeats", "1", "--sizes", "40", "250"]
    monkeypatch.setattr(sys, "argv", ["pipeline.py", *command, "--json", str(tmp_path / "found.json")])
    assert delivery.main() == 0
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
    monkeypatch.setattr(delivery.resource, "setrlimit", lambda *limit: limits.append(limit))
    delivery.written(tmp_path, 700, delivery.Params())
    monkeypatch.setattr(delivery, "RECIPES", {"plain": delivery.Params()})
    before = delivery.memory_mb("VmHWM")
    (row,) = delivery.read_limited(tmp_path, 2.5, None)
    assert limits == [(delivery.resource.RLIMIT_DATA, (2_500_000_000, 2_500_000_000))]
    assert row["rows"] == 700 and row["peak_mb"] >= before > 100  # TensorFlow alone takes more
    (tmp_path / "cgroup.procs").touch()
    assert delivery.read_limited(tmp_path, 2.5, tmp_path)[0]["limit"] == "cgroup"
    assert (tmp_path / "cgroup.procs").read_text() == str(os.getpid()) and len(limits) == 1
    ratios = delivery.ratios_of([row, {"what": "training", "segments_per_second": row["segments_per_second"] / 8}])
    assert ratios["large store, plain: delivered / trained"] == pytest.approx(8)
    assert ratios["large store, plain: peak memory / limit"] == pytest.approx(row["peak_mb"] / 2_500)


@linux
def test_the_page_cache_is_seen(tmp_path):
    if not os.major(tmp_path.stat().st_dev):
        pytest.skip("the temporary folder is on no disk of its own, but in memory, on a network or an overlay")
    delivery.written(tmp_path, 600, delivery.Params())
    features = np.load(tmp_path / "features.npy", mmap_mode="r")
    assert (features[delivery.BLOCK :] == features[: 600 - delivery.BLOCK]).all() and (features <= 0).all()
    delivery.warm(features)
    assert delivery.resident(features) == 1
    delivery.cool(features)
    assert delivery.resident(features) < 0.01
    features[0].max()
    assert 0 < delivery.resident(features) <= 1


@pytest.fixture
def few_reasons(monkeypatch):
    monkeypatch.setattr(reasons, "PARAMS", reasons.Params(segment_seconds=1.0, max_segments=1))
    for name, value in {
        "BATCH": 4, "CLIP_SECONDS": 2, "CLIPS": 2, "STORES": 2, "MATRIX": (3_000, 4), "COMPARED": 4,
        "VALIDATIONS": (1,), "STORE_GB": 0.001, "GENRES": ["blues", "jazz"], "COLD_BATCHES": 1, "IMAGES": (2, 8, 8, 2),
        "SECONDS": 0.0,
    }.items():  # fmt: skip
        monkeypatch.setattr(reasons, name, value)


@linux
@pytest.mark.usefixtures("few_reasons")
# Two need other processes or an export: their results are held by tests of extraction and of exporting. One is busy.
@pytest.mark.parametrize(
    "name", sorted(reasons.REASONS.keys() - {"extraction_threads", "features_busy", "light_matrix"})
)
def test_an_optimisation_gives_the_plain_result(name, tmp_path):
    (taken,) = reasons.job(name, reasons.BOTH, 1, tmp_path)
    for figure in reasons.REASONS[name].figures:
        assert {f"{way} {figure}" for way in reasons.WAYS} <= taken.keys()


@linux
@pytest.mark.usefixtures("few_reasons")
def test_a_wrong_optimisation_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(augment, "crop", lambda decibels, *_: decibels)
    with pytest.raises(AssertionError, match="augment_crop"):
        reasons.job("augment_crop", reasons.BOTH, 1, tmp_path)
    reasons.job("augment_crop", "plain", 1, tmp_path)  # in processes of their own the second one sees it
    with pytest.raises(AssertionError, match="augment_crop"):
        reasons.job("augment_crop", "chosen", 1, tmp_path)


def test_every_way_to_train_is_the_same_training(monkeypatch):
    """From the same weights, on the same batches, with the same dropout: what differs is rounding."""
    monkeypatch.setitem(models.MODELS, "paper_cnn", tiny.tiny_cnn)  # convolution, batch norm and dropout, one of each
    curves, heard = [], steps.batches(3, 8)[0]
    for way, off in (("onednn", 0), ("ours", 0), ("ours", 1)):
        epoch, network = steps.keras_epoch(way, image=16, size=8, steps=3)
        network.set_weights(disturbed(network.get_weights(), off * of_network(network, heard)))
        curves.append(np.array([[loss for _, loss in epoch()] for _ in range(2)]))
        assert type(network.optimizer).__module__.startswith("genre_utils" if way == "ours" else "keras")
    keras_own, ours, astray = curves
    assert np.ptp(ours) > 0
    np.testing.assert_allclose(ours, keras_own, atol=np.abs(astray - ours).max())


def test_the_results_page_says_what_make_bench_printed():
    text = (
        (PROJECT / "docs" / "results.md")
        .read_text(encoding="utf-8")
        .partition("### How fast it is")[2]
        .partition("\n##")[0]
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 10
    for script_name, what, *values in rows:
        for machine, value in zip(("fast", "fast_amd"), values, strict=True):
            path = PROJECT / "benchmarks" / "results" / machine / f"{script_name.strip('`')}.json"
            assert value == f"{json.loads(path.read_text())['ratios'][what.strip('`')]:.3g}", (machine, what)


def test_the_results_page_says_how_fast_the_papers_network_trains():
    result = json.loads((PROJECT / "benchmarks" / "results" / "fast" / "training.json").read_text())
    (rate,) = [row["segments_per_second"] for row in result["rows"] if row["way"] == "ours"]
    readme = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
    assert f"trains on {rate:.1f} segments a second" in readme
    assert f"50 epochs: {4_200 * 50 / rate / 3_600:.1f} hours" in readme


def test_scores_are_compared_within_a_fold_as_scikit_learn_compares_them(rng):
    """In the second fold every score is 100 higher: pooled, the first fold's sounds would all be let through."""
    folds = []
    for number in range(2):
        own = pd.DataFrame(
            {"kind": "held out", "name": [f"{number} {k}" for k in range(20)], "score": rng.normal(size=20)}
        )
        noise = pd.DataFrame({"kind": "noise", "name": [*"abcde"], "score": rng.normal(1.5, 1, 5).round(1)})
        folds.append(pd.concat([own, noise]).assign(fold=number))
    scores = pd.concat(folds)
    areas = [roc_auc_score(fold["kind"] == "noise", fold["score"]) for fold in folds]
    shifted = scores.assign(score=scores["score"] + 100 * scores["fold"])
    for table in (scores, shifted):
        found = trust.told_apart(table, "score", "noise")
        assert found["auroc"] == pytest.approx(np.mean(areas))
        assert 0 < found["auroc_low"] < found["auroc"] < found["auroc_high"] <= 1
    own, noise = (scores.loc[scores["kind"] == kind, "score"] for kind in ("held out", "noise"))
    passed = trust.told_apart(scores, "score", "noise")["passed"]
    assert passed == pytest.approx((noise <= np.quantile(own, 0.95)).mean())
    assert (found["sounds"], found["tracks"]) == (5, 40)


def test_strange_sounds_are_as_long_as_a_clip_and_go_by_other_names(monkeypatch, capsys):
    monkeypatch.setattr(trust.shutil, "which", lambda _: None)
    monkeypatch.setattr(trust, "SECONDS", 1.0)
    sounds = list(trust.strange_sounds(22_050))
    assert "espeak-ng is not there" in capsys.readouterr().out
    assert len({(kind, name) for kind, name, _ in sounds}) == len(sounds) == 31
    for _, _, samples in sounds:
        assert samples.shape == (22_050,) and 0 < np.abs(samples).max() <= 1.01
    powers = np.abs(np.fft.rfft(trust.coloured(np.random.default_rng(0), 2**16, 1))) ** 2
    low, high = powers[500:1_000].mean(), powers[4_000:8_000].mean()
    assert low / high == pytest.approx(8, rel=0.2)  # pink: half the power at twice the frequency
    room = trust.in_a_room(np.eye(1, 22_050)[0], np.random.default_rng(0), 22_050)
    assert np.abs(room[:300]).max() == pytest.approx(0.8) and np.abs(room[20_000:]).max() < 0.1


def test_two_runs_are_the_same_but_for_seconds_and_places(tmp_path, monkeypatch):
    monkeypatch.setitem(models.MODELS, "bands", bands)
    twice = script("determinism")
    one, other = tmp_path / "one", tmp_path / "other"
    (one / "figures").mkdir(parents=True)
    for name in ("split.csv", "history.csv"):
        (one / name).write_text("epoch,loss,seconds\n1,0.123456789012345,2.0\n")
    for name in ("tracks.parquet", "predictions.parquet"):
        pd.DataFrame({"p": [0.25], "path": ["/here/a.wav"]}).to_parquet(one / name)
    (one / "params.yml").write_text("seed: 0\n")
    (one / "metrics.json").write_text(json.dumps({"seed": 0, "seconds": {"train": 1}}))
    (one / "figures" / "curves.png").write_bytes(b"png")
    models.build(Params(model="bands", image_height=16, image_width=16, max_segments=1), 2).save(one / "model.keras")
    shutil.copytree(one, other)
    (other / "metrics.json").write_text(json.dumps({"seconds": {"train": 2}, "seed": 0}))
    (other / "history.csv").write_text("epoch,loss,seconds\n1,0.123456789012345,3.0\n")
    pd.DataFrame({"p": [0.25], "path": ["/there/a.wav"]}).to_parquet(other / "predictions.parquet")
    assert set(twice.compared(one, other)) == {*twice.NEEDED, "figures/curves.png"}
    assert all(twice.compared(one, other).values())
    (other / "history.csv").write_text("epoch,loss,seconds\n1,0.123456789012346,3.0\n")
    (other / "figures" / "curves.png").write_bytes(b"gnp")
    network = models.load(other / "model.keras")
    network.set_weights([weights + 1e-7 for weights in network.get_weights()])
    network.save(other / "model.keras")
    (one / "split.csv").unlink()
    found = twice.compared(one, other)
    assert {name for name, same in found.items() if not same} == {
        "history.csv", "figures/curves.png", "model.keras", "split.csv",
    }  # fmt: skip


def test_the_page_of_reliability_is_what_make_torture_printed():
    results = PROJECT / "benchmarks" / "results" / "torture"
    page = script("reliability").page(results)
    assert page == (PROJECT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [row for path in results.glob("*.json") for row in json.loads(path.read_text())["rows"]]
    assert not any(row.get(bad) for row in rows for bad in ("wrong", "crash", "hang"))
