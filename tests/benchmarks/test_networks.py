"""Networks, ensembles and the page of tries, on small arrays of three genres."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tiny  # noqa: F401  registers a network that is traced in a moment
from bounds import of_shares
from keras import layers

from benchmarks.accuracy import artists, ensemble, networks, tries
from benchmarks.speed import gpu
from genre_utils.datasets import gtzan
from genre_utils.errors import CatalogError, EvaluationError, ParamsError, SplitError
from genre_utils.evaluation import scoring
from genre_utils.evaluation.ensemble import mean
from genre_utils.models import architectures, classifiers, factory
from genre_utils.params import Params
from genre_utils.paths import PROJECT

GENRES = ("blues", "jazz", "rock")


def bands(log_mel, params, genres):
    """A network that hears which bands are loud, and is trained in a moment."""
    x = architectures.standardised_image(log_mel, params)
    x = layers.AveragePooling2D((1, params.image_width))(x)
    return layers.Dense(genres, activation="softmax")(layers.Flatten()(x))


def bands_from_zero(log_mel, params, genres):
    """The same of weights of 0, which have nothing to unlearn: at a learning rate of 0.001 it takes an epoch or two."""
    x = architectures.standardised_image(log_mel, params)
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
    monkeypatch.setitem(factory.MODELS, "bands", bands)

    def run(*arguments):
        words = ["--logmel", *map(str, arrays), "--lists", str(lists), "--model", "bands", "--epochs", "2"]
        return networks.main(
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
    clips, segments = networks.read_arrays(arrays)
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


def test_the_trainer_of_the_notebooks_tests_the_same_clips_and_leaves_its_state(run, tmp_path):
    plain = run("--protocol", "paper")
    other = tmp_path / "out" / "fused.json"
    fused = run("--protocol", "paper", "--fused", "--json", str(other))
    predictions = pd.read_parquet(other.with_suffix(".parquet"))
    first = pd.read_parquet(tmp_path / "out" / "a.parquet")
    keys = ["track_id", "segment", "start_seconds", "split", "genre", "artist", "fold", "seed"]
    both = [table.sort_values(keys[:2], ignore_index=True)[keys] for table in (predictions, first)]
    pd.testing.assert_frame_equal(*both, check_dtype=False)
    assert fused["pooled"]["segment"]["accuracy"] > 0.9 and fused["rows"][0]["epochs"] == 2
    assert fused["rows"][0].keys() == plain["rows"][0].keys()
    assert (tmp_path / "out" / "fused.state" / "fold-0-seed-0" / "history.csv").exists()
    with pytest.raises(ParamsError, match="leave out --refit"):
        run("--protocol", "paper", "--fused", "--refit")


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
    clips, _ = networks.read_arrays(arrays)
    tracks = networks.catalog_of(clips, lists)
    params = networks.Params(protocol="filtered", validation_fraction=0.25, test_fraction=0.25)
    assignment, said = networks.divided(tracks, params)
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
    monkeypatch.setattr(networks, "one", None)  # nothing is trained again
    assert run(*wanted) == before
    with pytest.raises(SplitError, match="a run with other settings"):
        run("--protocol", "paper")


def test_arrays_of_another_form_are_refused(tmp_path, lists, arrays):
    bad = tmp_path / "bad.npz"
    np.savez(bad, ids=["a"], x=np.zeros((1, 128, 300), np.uint8))
    with pytest.raises(CatalogError, match=r"384 columns or more and one id each\. Received: uint8 \(1, 128, 300\)"):
        networks.read_arrays([bad])
    np.savez(bad, spectra=np.zeros(3))
    with pytest.raises(CatalogError, match=r"must be an \.npz with ids"):
        networks.read_arrays([bad])
    with pytest.raises(CatalogError, match="stands twice"):
        networks.read_arrays([arrays[0], arrays[0]])
    with pytest.raises(CatalogError, match="Every id must be a clip of GTZAN"):
        networks.catalog_of(pd.Index(["mine"]), lists)


def test_members_are_averaged_one_after_the_other_and_the_page_says_what_each_gave(
    run, whole, lists, tmp_path, monkeypatch
):
    assert classifiers.KINDS == networks.BY_HAND
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
    together = scoring.by_track(mean(tables).query("split == 'test'"))
    assert both["track"]["accuracy"] == (together["genre"] == together["predicted"]).mean()
    assert both["alone"] == results["svm"]["pooled"]["track"]["accuracy"]
    gain = both["track"]["accuracy"] - both["alone"]
    assert both["against"]["difference"] == pytest.approx(gain)
    assert [row["n"] for row in found["lost"]["lists"]] == [23, 1]
    wrong = (together["genre"] != together["predicted"]).sum()
    assert sum(row["n"] - round(row["n"] * row["right"]) for row in found["lost"]["genres"]) == wrong

    words = ["--chosen", "--members", *members, "--against", members[1], "--json", str(out / "chosen.json")]
    kept = ensemble.main(words)
    assert json.loads((out / "chosen.json").read_text()) == kept
    by_way = {row["mean"]: row for row in kept["rows"]}
    assert by_way["plain"]["track"] == both["track"] and len(by_way) == 6
    assert set(kept["folds"]) == {"0", "1", "2"} and all(kept["folds"].values())
    assert all(0 <= error[when] <= 1 for error in kept["calibration"].values() for when in ("before", "after"))
    with pytest.raises(EvaluationError, match="one file of --held-out for each"):
        ensemble.main([*words, "--held-out", members[0]])

    monkeypatch.setattr(tries, "RESULTS", out)
    monkeypatch.setattr(tries, "HERE", tmp_path)
    tries.main()
    page = (tmp_path / "RESULTS.md").read_text()
    for model, result in results.items():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{model}`")]
        assert f"{100 * result['pooled']['track']['accuracy']:.1f} [" in line
    assert "chosen by tracks, not calibrated" in page
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
        "sys.argv = ['networks.py', '--help']\n"
        "import runpy; runpy.run_module('benchmarks.accuracy.networks', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--logmel" in done.stdout


def test_every_way_on_a_gpu_is_the_same_training(arrays, lists, tmp_path, monkeypatch):
    """Where the store lies changes nothing; another precision changes the rounding, and no weight's type."""
    monkeypatch.setitem(factory.MODELS, "paper_cnn", bands_from_zero)  # traced and trained in a moment
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
    plain = factory.build(params, len(GENRES), frames=64)
    mixed = gpu.in_precision(plain, precision)
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    heard = rng.uniform(-80, 0, (8, 128, 64)).astype(np.float32)
    np.testing.assert_array_equal(factory.image_of(mixed, heard), factory.image_of(plain, heard))
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


def test_few_and_many_artists_are_compared_and_mistakes_counted_by_artist(arrays, lists, tmp_path, capsys):
    clips = [f"{genre}.{number:05d}" for genre in GENRES for number in range(9)]
    index = "".join(f"{clip}.wav ::: {clip[:4]}{int(clip[-1]) % 5} ::: song {clip}\n" for clip in clips)
    (lists / "index.txt").write_text(index)
    of_all = [clip for clip in clips if clip[-1] != "8"]
    made = pd.DataFrame({"track_id": of_all, "genre": [clip.partition(".")[0] for clip in of_all], "segment": 0})
    made = made.assign(artist=[f"{clip[:4]}{int(clip[-1]) % 5}" for clip in of_all], predicted=made["genre"])
    made = made.assign(split="test", start_seconds=0.0, **{f"p_{genre}": made["genre"] == genre for genre in GENRES})
    wrong = made["track_id"].isin(["rock.00000", "rock.00005", "jazz.00001"])
    made.loc[wrong, ["predicted", "p_blues", "p_jazz", "p_rock"]] = ["blues", True, False, False]
    made.astype({f"p_{genre}": float for genre in GENRES}).to_parquet(tmp_path / "other.parquet")
    words = [
        "--logmel", *arrays, "--lists", lists, "--per-genre", 2, "--draws", 1,
        "--predictions", tmp_path / "other.parquet",
        "--json", tmp_path / "artists.json", "--figure", tmp_path / "artists.png",
    ]  # fmt: skip
    artists.main([str(word) for word in words])
    result = json.loads((tmp_path / "artists.json").read_text())
    few, many = result["rows"]
    assert (few["n"], few["artists"], many["artists"]) == (24, pytest.approx(1.2, abs=0.3), 2)
    assert result["by_artist"][0] == {
        "genre": "rock",
        "artist": "rock0",
        "clips": 2,
        "right": 0,
        "predicted": "blues 2",
    }
    assert result["wrong"] == {"of_these": 3, "all": 3}
    assert [row["largest"] for row in result["by_genre"]] == [2, 2, 2]
    assert "24 clips, protocol artist" in capsys.readouterr().out and (tmp_path / "artists.png").exists()
