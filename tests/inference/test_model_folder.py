import dataclasses
import html
import json
import shutil
import subprocess
import sys

import keras
import mistune
import numpy as np
import pandas as pd
import pytest
import tiny  # noqa: F401  (a network for models.build)
import yaml
from bounds import HALF, U, of_network, of_tempered

from genre_utils.errors import ParamsError, RunError
from genre_utils.evaluation import calibration, scoring
from genre_utils.inference import export, keras_model, litert_model, model_card, model_folder, prediction
from genre_utils.models import factory
from genre_utils.runs.folder import RunFolder, versions

GENRES = ["bass", "noise", "treble"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, built, assignment, params):
    """A run up to notebook 4, its network with fresh weights."""
    run = RunFolder(tmp_path_factory.mktemp("run"))
    params = run.write_params(dataclasses.replace(params, model="tiny_cnn"))
    model = factory.build(params, len(GENRES))
    model.save(run.folder / "model.keras")
    predictions = scoring.predict(model, built, assignment, GENRES, params)
    predictions.to_parquet(run.folder / "predictions.parquet", index=False)
    assignment.to_csv(run.folder / "split.csv", index=False)
    built.tracks.to_parquet(run.folder / "tracks.parquet", index=False)
    history = pd.DataFrame({"epoch": [1, 2], "val_accuracy": [0.4, 0.3]})
    history.to_csv(run.folder / "history.csv", index=False)
    facts = {
        "dataset": "/home/somebody/my|music", "protocol": "paper", "model": params.model, "parameters": 12_345,
        "seed": 0, "epochs": 2, "versions": versions(), "device": "none", "seconds": {"train": 2.0},
    }  # fmt: skip
    run.write_metrics(scoring.metrics(predictions, facts))
    return run


@pytest.fixture(scope="module")
def published(run, built, assignment):
    fitted = calibration.fit(run.predictions(), built, assignment, run.params)
    judged = calibration.evaluated(run.predictions().query("split == 'test'"), built, fitted, run.params)
    return model_card.publish(run, fitted, judged), fitted, judged


@pytest.fixture
def folder(published, tmp_path):
    """A copy, as a stranger gets it."""
    return shutil.copytree(published[0], tmp_path / "model")


def test_a_published_model_answers_as_its_test_tracks_were_judged(run, published, built, monkeypatch):
    network, log_mels = keras_model.open_model(run.folder), prediction.log_mels
    _, fitted, judged = published

    def as_stored(path, params):  # the store holds float16
        yield from (decibels.astype(np.float16).astype(np.float32) for decibels in log_mels(path, params))

    monkeypatch.setattr(prediction, "log_mels", as_stored)
    off = of_network(factory.load(run.folder / "model.keras"), built.features)
    least = run.predictions().filter(like="p_").min(axis=None)
    assert (network.genres, network.params, network.calibration.temperature) == (GENRES, run.params, fitted.temperature)
    for answer, track in zip(prediction.predict(judged["path"], network), judged.itertuples(), strict=True):
        expected = [getattr(track, f"p_{genre}") for genre in GENRES]
        np.testing.assert_allclose(answer.track, expected, atol=of_tempered(off, least, fitted.track_temperature))
        # Of the values that a figure is a mean of, one may be rounded to the next number of float16.
        nearby = 2 * 80 * HALF / (built.features[0].size / 8) / fitted.reference.spread.min()
        assert answer.novelty_score == pytest.approx(track.novelty_score, abs=nearby / fitted.reference.farthest)
        assert answer.verdict == track.verdict


def test_tracks_are_judged_by_their_own_temperature(run, published, built):
    fitted = dataclasses.replace(published[1], track_temperature=0.5)
    rows = run.predictions().query("split == 'test'")
    found = calibration.evaluated(rows, built, fitted, run.params)
    means = scoring.by_track(rows).filter(like="p_").to_numpy()  # of the network's own
    np.testing.assert_allclose(found.filter(like="p_"), means**2 / (means**2).sum(axis=1, keepdims=True), rtol=8 * U)


def test_each_way_to_name_a_model_opens_it(run, published):
    for path in (run.folder, run.folder / "model.keras", published[0], published[0] / "model.keras"):
        assert model_folder.find(path) == published[0]
    latest = run.folder.with_name("latest")
    latest.write_text(run.folder.name)  # where links are not allowed
    try:
        assert model_folder.find(latest) == model_folder.find(latest / "model.keras") == published[0]
    finally:
        latest.unlink()


def test_a_run_without_a_model_folder_or_with_a_newer_network_names_the_notebook(run, published, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(run.folder / "model.keras", bare)
    with pytest.raises(RunError, match="04_evaluation"):
        keras_model.open_model(bare)
    shutil.copytree(published[0], bare / "model")
    assert model_folder.find(bare) == bare / "model"
    (bare / "model.keras").write_bytes(b"trained again")
    with pytest.raises(RunError, match="is newer than"):
        keras_model.open_model(bare)
    with pytest.raises(RunError, match="a file with a network is not enough"):
        keras_model.open_model(bare / "other.keras")
    with pytest.raises(RunError, match="is not a run folder"):
        keras_model.open_model(tmp_path / "nowhere")


def test_the_network_is_not_copied_and_a_second_publication_replaces_the_first(run, published):
    folder, fitted, judged = published
    assert (folder / "model.keras").samefile(run.folder / "model.keras")
    (folder / "stray").write_text("")
    assert model_card.publish(run, fitted, judged) == folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "model.json", "model.keras", "params.yml", "reference.npy",
    ]  # fmt: skip
    assert not list(run.folder.glob("model.*[!s]"))  # nothing partial; model.keras is


@pytest.mark.parametrize("name", ["model.keras", "reference.npy"])
@pytest.mark.parametrize("harm", ["cut off", "one bit", "exchanged", "missing"])
def test_a_file_that_was_harmed_is_named(folder, name, harm):
    path = folder / name
    content = bytearray(path.read_bytes())
    path.unlink()  # it may be a link to another's
    if harm == "cut off":
        del content[-1:]
    elif harm == "one bit":
        content[len(content) // 2] ^= 1
    elif harm == "exchanged":
        content = bytearray(b"PK\x03\x04")
    if harm != "missing":
        path.write_bytes(content)
    with pytest.raises(RunError, match=name):
        keras_model.open_model(folder)


def rewrite(folder, **values):
    facts = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(facts | values))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", "[" * 100_000, '{"genres": ["a"]}', "\xff", '{"genres": 1e999}'],
)  # fmt: skip
def test_facts_that_are_none_are_refused(folder, text):
    (folder / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match="not a complete model folder"):
        keras_model.open_model(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"genres": []}, {"genres": ["a", "a", "b"]}, {"genres": "abc"}, {"genres": [1, 2, 3]}, {"versions": []},
        {"params": []}, {"params": {"n_mels": "32"}}, {"trust": {}}, {"trust": None}, {"sha256": {}}, {"sha256": []},
        {"sha256": {"../../model.keras": "0"}}, {"sha256": {"": ""}},
    ],
)  # fmt: skip
def test_facts_that_are_impossible_are_refused(folder, values):
    rewrite(folder, **values)
    with pytest.raises(RunError, match="not a complete model folder"):
        keras_model.open_model(folder)


def test_a_checksum_leads_to_no_file_outside(folder):
    (folder.parent / "secret").write_text("")
    sums = json.loads((folder / "model.json").read_text())["sha256"]
    rewrite(folder, sha256=sums | {"../secret": model_folder.checksum(folder.parent / "secret")})
    with pytest.raises(RunError, match="secret is missing"):
        keras_model.open_model(folder)


NINE = ", ".join(["{0}"] * 9)
BOMB = f"seed: [&a [{NINE.format('x')}], &b [{NINE.format('*a')}], &c [{NINE.format('*b')}]]\n"  # 2,000 in a message


@pytest.mark.parametrize(
    "text", ["", "a: [", "- 1", "!!python/object/apply:os.system [true]", BOMB, "seed: 0\n#" + "#" * 2**20]
)
def test_parameters_that_are_none_are_refused(folder, text):
    (folder / "params.yml").write_text(text)
    with pytest.raises(RunError, match="not a complete model folder") as caught:
        keras_model.open_model(folder)
    assert len(str(caught.value)) < 1_000


def test_changed_parameters_say_what_differs(folder):
    values = yaml.safe_load((folder / "params.yml").read_text())
    (folder / "params.yml").write_text(yaml.safe_dump(values | {"n_mels": 16, "seed": 7}))
    with pytest.raises(RunError, match=r"does not fit the network: seed 7 .*, n_mels 16 \(trained with 32\)"):
        keras_model.open_model(folder)
    (folder / "params.yml").write_text(yaml.safe_dump(values | {"seed": 7}))
    with pytest.warns(UserWarning, match=r"without effect on predictions: seed 7 \(trained with 0\)"):
        assert keras_model.open_model(folder).genres == GENRES
    (folder / "params.yml").write_text(yaml.safe_dump(values | {"n_mells": 16}))
    with pytest.raises(RunError, match="Did you mean 'n_mels'"):
        keras_model.open_model(folder)


def test_other_versions_are_told_and_named_where_loading_fails(folder, monkeypatch):
    rewrite(folder, versions=versions() | {"keras": "2.0.0", "librosa": "0.0"})
    said = rf"other versions: keras 2.0.0 \(here {keras.__version__}\)\.$"
    with pytest.warns(UserWarning, match=said):
        keras_model.open_model(folder)

    def fail(_):
        raise TypeError("no such layer\nand more")

    monkeypatch.setattr(factory, "load", fail)
    with pytest.warns(UserWarning), pytest.raises(RunError, match=rf"cannot be loaded: no such layer .*{said}"):
        keras_model.open_model(folder)


def exchange(folder, model):
    """A network in a folder whose checksums say that it belongs there."""
    (folder / "model.keras").unlink()
    model.save(folder / "model.keras")
    sums = {name: model_folder.checksum(folder / name) for name in ("model.keras", "reference.npy")}
    rewrite(folder, sha256=sums)


def test_a_network_of_other_shape_or_with_code_in_it_is_refused(folder, params):
    for own, genres in ((dataclasses.replace(params, n_mels=16), 3), (params, 4)):
        exchange(folder, factory.build(dataclasses.replace(own, model="tiny_cnn"), genres))
        with pytest.raises(RunError, match="do not belong together"):
            keras_model.open_model(folder)
    inputs = keras.Input((params.n_mels, params.frames_per_segment))
    code = keras.layers.Lambda(lambda x: x[:, :3, 0], output_shape=(3,))
    exchange(folder, keras.Model(inputs, code(inputs)))
    with pytest.raises(RunError, match="cannot be loaded"):
        keras_model.open_model(folder)


def test_the_card_is_hugging_faces_and_says_what_was_measured(published, run):
    folder, fitted, judged = published
    text = (folder / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    known = yaml.safe_load(front)
    assert known["library_name"] == "keras" and known["license"] == "unknown"
    (result,) = known["model-index"][0]["results"]
    metrics = run.metrics()
    assert [figure["value"] for figure in result["metrics"]] == [
        round(metrics[level]["accuracy"], 4) for level in ("segment", "track")
    ]
    assert "somebody" not in text and "my\\|music" in body  # where the music lies is the author's own business
    for level in ("segment", "track"):
        assert f"{100 * metrics[level]['accuracy']:.1f} % of {metrics[level]['n']} test {level}s correct" in body
    rows = [line.strip("| ").split(" | ") for line in body.splitlines() if line.startswith("|")]
    verdicts = {
        row[0]: (int(row[1]), int(row[2]))
        for row in rows
        if row[0] in ("sure", "not sure", "unlike anything in training")
    }
    assert sum(map(sum, verdicts.values())) == len(judged)
    assert sum(right for right, _ in verdicts.values()) == (judged["genre"] == judged["predicted"]).sum()
    assert (
        f"temperature of {fitted.temperature:.2f}" in body and f"temperature of {fitted.track_temperature:.2f}" in body
    )
    assert "Test and training share artists" in body
    facts = json.loads((folder / "model.json").read_text())
    assert facts["calibration"]["segments"]["n"] == metrics["segment"]["n"]


def test_names_make_neither_html_nor_links_nor_tables(published, run):
    """Rendered by a parser of Markdown that lets HTML through."""
    facts = model_card.facts_of(run, published[1], published[2])
    row = facts["metrics"]["table"]["bass"]
    names = ["<script>alert(1)</script>", "a | b", "[x](javascript:y)\n# z", "`c`", "*d*", "&lt;"]
    facts["metrics"]["table"] = dict.fromkeys(names, row)
    _, _, body = model_card.text(facts, names).split("---\n", 2)
    page = mistune.create_markdown(escape=False, plugins=["table"])(body)
    assert "<script>" not in page and 'javascript:y"' not in page and page.count("<h1>") == 1
    assert "<em>d" not in page and "<code>c" not in page
    for name in names:
        assert f"<td>{html.escape(' '.join(name.split()))}</td>" in page


def test_the_card_lists_the_licences_that_it_has_learnt_from(published, run, monkeypatch):
    tracks, assignment = run.tracks(), run.assignment()
    learnt = tracks["track_id"].isin(assignment.loc[assignment["split"] != "test", "track_id"])
    names = np.where(learnt, np.where(tracks.index % 2, "Attribution 3.0 International", ""), "All rights reserved")
    monkeypatch.setattr(type(run), "tracks", lambda _: tracks.assign(licence=names, artist="Ann"))
    facts = model_card.facts_of(run, published[1], published[2])
    text = model_card.text(facts, GENRES)
    count = int((names == "Attribution 3.0 International").sum())
    link = "https://creativecommons.org/licenses/by/3.0/"
    assert f"| [Attribution 3.0 International]({link}) | {count} | 1 |" in text
    assert f"| not stated | {(names == '').sum()} | 1 |" in text and "reserved" not in text
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "other"


@pytest.mark.parametrize(
    ("dataset", "licence", "said"),
    [
        ("demo", "mit", "synthesised"),
        ("gtzan-mini", "other", "no licence"),
        ("somebody's", "unknown", "does not know"),
    ],
)
def test_the_card_says_whose_the_music_is(published, run, dataset, licence, said):
    facts = model_card.facts_of(run, published[1], published[2])
    text = model_card.text(facts | {"kind": model_card.kind_of(dataset)}, GENRES)
    assert yaml.safe_load(text.split("---\n")[1])["license"] == licence
    assert said in text.partition("## Licence")[2]


def test_the_card_of_a_pretrained_network_carries_its_notice(published, run):
    facts = model_card.facts_of(run, published[1], published[2])
    facts["metrics"]["model"] = "musicnn"
    text = model_card.text(facts, GENRES)
    assert "Universitat Pompeu Fabra 2019" in text and "this permission notice appear in all copies" in text
    assert "Million Song Dataset" in text and "Trained for" not in text


def test_genres_in_another_order_are_not_believed(folder):
    facts = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(facts | {"genres": facts["genres"][::-1]}))
    with pytest.raises(RunError, match=r"genres, params, trust in model\.json were changed"):
        keras_model.open_model(folder)
    facts["versions"]["keras"] = "3.3.0"  # which decide no name
    (folder / "model.json").write_text(json.dumps(facts))
    with pytest.warns(UserWarning, match="made with other versions"):
        keras_model.open_model(folder)


@pytest.mark.parametrize("name", ["mine.h5", "mine.keras", "alone/model.keras", "song.mp3"])
def test_a_network_alone_is_called_so(run, tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    shutil.copy(run.folder / "model.keras", tmp_path / name)
    with pytest.raises(RunError, match=r"a file with a network is not enough.*Expected a model folder"):
        keras_model.open_model(str(tmp_path / name))


def test_a_model_that_is_not_there_is_told_without_tensorflow(tmp_path):
    """In seconds' place at once."""
    code = f"""
import sys
from genre_utils import __main__
status = __main__.main(["predict", {str(tmp_path / "song.mp3")!r}, "--model", {str(tmp_path / "none")!r}])
assert status == 1 and "tensorflow" not in sys.modules and "keras" not in sys.modules
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert "is not a run folder: it does not exist" in told.stderr


def test_texts_are_paths_and_an_empty_one_is_refused(folder, tmp_path):
    network = keras_model.open_model(str(folder))
    export.write(factory.load(str(folder / "model.keras")), network.genres, network.params, str(tmp_path / "exported"))
    assert litert_model.open_exported(str(tmp_path / "exported")).genres == network.genres
    assert RunFolder(str(folder)).folder == folder
    for door in (
        keras_model.open_model,
        litert_model.open_exported,
        model_folder.find,
        factory.load,
        RunFolder,
        RunFolder.existing,
    ):
        with pytest.raises(ParamsError, match="A path must not be empty"):
            door("")
