import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import soundfile
from bounds import U, of_network, of_tempered
from conftest import tone

from genre_utils import __main__
from genre_utils.errors import RunError
from genre_utils.evaluation.novelty import Reference
from genre_utils.evaluation.temperature_scaling import UNLIKE, Calibration
from genre_utils.inference import export, keras_model, litert_model, model_folder, prediction
from genre_utils.inference import files as prediction_files
from genre_utils.models import factory
from genre_utils.system import quiet as quiet_module

pytest.importorskip("ai_edge_litert", reason="the extra 'light' is not installed")

GENRES = ["blues", "jazz", "rock"]
HEAVY = {"tensorflow", "keras", "librosa", "numba", "pandas", "sklearn", "scipy"}


def known():
    """A calibration that changes every answer: temperatures, and a reference that the files are far from."""
    figures = np.random.default_rng(6).normal(-40, 10, (30, 16))
    reference = Reference.fit(figures, np.arange(30) // 3, np.arange(30) // 3)
    return Calibration(2.5, 0.7, reference)


def written(name, params, folder):
    """Network, parameters, folder; the paper's network in three parts, its batch norm unlike a fresh one's."""
    params = dataclasses.replace(params, model=name)
    model = factory.build(params, len(GENRES))
    rng = np.random.default_rng(5)
    for weight in model.weights:
        if "batch_normalization" in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "LARGE_BYTES", 2**20)
        export.write(model, GENRES, params, folder / name, known())
    return model, params, folder / name


@pytest.fixture(scope="module")
def paper(params, tmp_path_factory):
    return written("paper_cnn", params, tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="module")
def compact(params, tmp_path_factory):
    return written("compact_cnn", params, tmp_path_factory.mktemp("exports"))


@pytest.fixture
def files(tmp_path, params, rng):
    paths = [tmp_path / "a.wav", tmp_path / "text.wav", tmp_path / "b.wav"]
    for path in paths[::2]:
        samples = tone(300, 3.2, params.sample_rate_hz) + rng.normal(0, 0.1, round(3.2 * params.sample_rate_hz))
        soundfile.write(path, samples / 2, params.sample_rate_hz)
    paths[1].write_text("no audio")
    return paths


def answered(model, params, files):
    """What Keras answers, calibrated, and how far an export's answers may be from it: of segments and of tracks."""
    fitted = known()
    answers = list(prediction.predict(files, keras_model.compiled(model, GENRES, params, fitted)))
    raw = [answer.probabilities for answer in prediction.predict(files, keras_model.compiled(model, GENRES, params))]
    off = of_network(model, np.empty((1, params.n_mels, params.frames_per_segment)))
    least = min(some.min() for some in raw if len(some))  # a mean over segments is no less
    return answers, *(of_tempered(off, least, value) for value in (fitted.temperature, fitted.track_temperature))


@pytest.mark.parametrize("name", ["paper", "compact"])
def test_an_export_equals_keras(name, request, rng, monkeypatch):
    model, params, folder = request.getfixturevalue(name)
    monkeypatch.setattr(litert_model, "ROWS", 300)  # the last of the matrix' parts is smaller
    network = litert_model.open_exported(folder)
    assert (network.genres, network.params) == (GENRES, params)
    lengths = [params.frames_per_segment] + ([50, 90] if params.model in factory.ANY_LENGTH else [])
    for frames in lengths:
        decibels = rng.uniform(-40, 0, (5, params.n_mels, 1)) + rng.uniform(-40, 0, (5, 1, frames))
        decibels = decibels.astype(np.float32)
        expected = model.predict(decibels, verbose=0)
        assert expected.std(axis=0).max() > 1e-3  # else any answer would do
        np.testing.assert_allclose(network.run(decibels), expected, atol=of_network(model, decibels))
    assert (folder / "1.npy").exists() == (name == "paper")
    assert not folder.with_name(f"{folder.name}.partial").exists()


@pytest.mark.usefixtures("threads_parse_nothing")
def test_threads_read_no_header(paper, files):
    answers = prediction.predict(files[::2], litert_model.open_exported(paper[2]), workers=2)
    assert all(len(answer.probabilities) for answer in answers)


def test_a_wide_kernel_in_two_steps_is_the_same_network(rng, tmp_path):
    entry = keras.Input((16, 30, 1))
    x = keras.layers.Conv2D(5, (3, 20), activation="relu", name="wide")(entry)
    x = keras.layers.Conv2D(4, (3, 9), name="several_channels")(x)
    model = keras.Model(entry, keras.layers.GlobalAveragePooling2D()(x))
    found = export.with_windows(model)
    shapes = [tuple(weight.shape) for weight in found.weights if len(weight.shape) == 4]
    assert shapes == [(1, 20, 1, 20), (3, 1, 20, 5), (3, 9, 5, 4)]
    values = rng.normal(size=(2, 16, 30, 1)).astype(np.float32)
    expected = model.predict(values, verbose=0)
    assert np.abs(expected).min() > 1e-4
    np.testing.assert_allclose(found.predict(values, verbose=0), expected, atol=of_network(model, values))
    export.convert(model, tmp_path / "wide.tflite")
    answers = litert_model.interpreted(tmp_path / "wide.tflite")(values)
    np.testing.assert_allclose(answers, expected, atol=of_network(model, values))


def test_a_process_answers_without_anything_heavy(paper, files):
    model, params, folder = paper
    code = (
        "import sys; from genre_utils.__main__ import main; status = main(sys.argv[1:]); "
        f"assert not {HEAVY} & set(sys.modules), {HEAVY} & set(sys.modules); sys.exit(status)"
    )
    words = ["predict", *files, "--model", folder, "--json", "-"]
    child = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert child.stderr.splitlines()[1:] == ["3 files: 2 predicted, 1 failed"]
    assert child.returncode == 1  # a file could not be heard
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    assert [line["path"] for line in lines] == [str(path) for path in files]
    assert "cannot be read as audio" in lines[1]["fault"]
    answers, of_segments, of_tracks = answered(model, params, files)
    digits = 10**-prediction_files.DIGITS / 2  # what printing rounds off
    for line, answer in zip(lines[::2], answers[::2], strict=True):
        assert [part["start_seconds"] for part in line["timeline"]] == [0.5 * n for n in range(6)]
        printed = [part["probabilities"] for part in line["timeline"]]
        np.testing.assert_allclose(printed, answer.probabilities, atol=of_segments + digits)
        assert list(line["probabilities"]) == GENRES
        np.testing.assert_allclose(list(line["probabilities"].values()), answer.track, atol=of_tracks + digits)
        assert line["genre"] == GENRES[int(answer.track.argmax())]
        assert line["verdict"] == answer.verdict == UNLIKE
        assert line["novelty_score"] == pytest.approx(answer.novelty_score, abs=2 * digits)


def test_the_former_command_still_works_and_names_the_new_one(compact, files):
    _, _, folder = compact
    (files[0].parent / "cover.jpg").write_text("no music")
    command = [sys.executable, "-m", "genre_utils.light", folder, files[0].parent]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 1, child.stderr  # a file could not be heard
    assert "cover.jpg" in child.stderr and "python -m genre_utils predict FILE --model FOLDER --json -" in child.stderr
    assert [json.loads(line)["path"] for line in child.stdout.splitlines()] == [str(path) for path in sorted(files)]


def test_the_command_exports_the_model_of_a_folder(tmp_path, compact, files, capsys):
    model, params, _ = compact
    model.save(tmp_path / "model.keras")
    model_folder.write(tmp_path / "model", tmp_path / "model.keras", GENRES, params, known(), {}, "no card")
    assert __main__.main(["export", str(tmp_path / "model"), str(tmp_path / "exported")]) == 0
    assert f"predict FILE --model {tmp_path / 'exported'}" in capsys.readouterr().out
    mine, theirs = (keras_model.open_model(tmp_path / name) for name in ("model", "exported"))
    assert (mine.genres, mine.params) == (theirs.genres, theirs.params)
    for network, kept in zip(*(prediction.predict(files[:1], one) for one in (theirs, mine)), strict=True):
        np.testing.assert_allclose(network.track, kept.track, atol=1e-4)
    assert __main__.main(["export", str(tmp_path / "model"), str(tmp_path / "exported")]) == 1
    assert "exported exists already" in capsys.readouterr().err
    assert __main__.main(["export", str(tmp_path / "none"), str(tmp_path / "other")]) == 1


def test_python_opens_an_export_like_any_model(compact, files):
    model, params, folder = compact
    (kept,), of_segments, of_tracks = answered(model, params, files[:1])
    (exported,) = prediction.predict(files[:1], keras_model.open_model(folder))
    np.testing.assert_allclose(exported.track, kept.track, atol=of_tracks)
    np.testing.assert_allclose(exported.probabilities, kept.probabilities, atol=of_segments)


def test_an_export_of_a_demo_says_that_it_has_heard_no_recording(compact, files, tmp_path, capsys):
    model, params, _ = compact
    export.write(model, GENRES, dataclasses.replace(params, dataset="demo"), tmp_path / "demo")
    assert __main__.main(["predict", str(files[0]), "--model", str(tmp_path / "demo"), "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 and len(err.splitlines()) == 3
    assert "only on synthesised music (data set demo)" in err


def shipped(folder, about, tmp_path, monkeypatch):
    """Put a copy of an export in the place of the model that comes with genre_utils."""
    shutil.copytree(folder, tmp_path / "shipped")
    facts = json.loads((folder / "export.json").read_text())
    (tmp_path / "shipped" / "export.json").write_text(json.dumps(facts | {"about": about}))
    monkeypatch.setattr(litert_model, "SHIPPED", tmp_path / "shipped")


def test_the_shipped_model_answers_also_after_a_run(compact, paper, files, tmp_path, monkeypatch, capsys):
    shipped(compact[-1], "Ten genres of GTZAN.", tmp_path, monkeypatch)
    (tmp_path / "runs").mkdir()
    shutil.copytree(paper[-1], tmp_path / "runs" / "latest")  # it would answer otherwise
    monkeypatch.chdir(tmp_path)
    told = {}
    for words in ([], ["--model", compact[-1]], ["--model", "runs/latest"]):
        assert __main__.main(["predict", str(files[0]), "--json", "-", *map(str, words)]) == 0
        told[tuple(words)] = capsys.readouterr()
    by_default, same, other = told.values()
    assert by_default.err.splitlines()[0] == "Ten genres of GTZAN. --model names another, such as runs/latest."
    assert same.err.splitlines()[0] == f"Model {compact[-1]}. It does not say how good it is."
    assert other.err.splitlines()[0].startswith("Model runs/latest. ")
    assert by_default.out == same.out != other.out


def test_what_a_model_says_of_itself_is_one_short_line(compact, files, tmp_path, monkeypatch, capsys):
    shipped(compact[-1], "a\n\x1b[31mb" + "!" * 5_000, tmp_path, monkeypatch)
    assert __main__.main(["predict", str(files[0])]) == 0
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("a\\n\\x1b[31mb!") and len(first) < 1_100 and last.startswith("1 file")


def test_workers_with_an_interpreter_each_give_the_same_without_anything_heavy(paper, compact, files):
    for _, _, folder in (paper, compact):
        code = (
            "import sys; from pathlib import Path; from genre_utils.inference import litert_model; "
            f"litert_model.SHIPPED = Path({str(folder)!r}); from genre_utils.__main__ import main; "
            f"status = main(sys.argv[1:]); assert not {HEAVY} & set(sys.modules), {HEAVY} & set(sys.modules)"
        )
        found = []
        for workers in ("1", "3"):
            words = ["predict", *files * 4, "--csv", "-", "--workers", workers]
            child = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
            assert child.returncode == 0, child.stderr
            assert child.stderr.splitlines()[1:] == ["12 files: 8 predicted, 4 failed"]
            found.append(child.stdout)
        assert found[0] == found[1] and len(found[0].splitlines()) == 1 + 4 * (7 + 1 + 7)


def test_one_redirection_of_standard_error_at_a_time(compact, files, monkeypatch):
    """Two that overlap, here and while an MP3 is decoded, would leave it redirected."""
    held = []

    @contextlib.contextmanager
    def quiet():
        held.append(quiet_module.WITHOUT_CHATTER.lock.locked())
        yield

    monkeypatch.setattr(litert_model, "quiet_stderr", quiet)
    list(prediction.predict(files * 2, litert_model.open_exported(compact[-1], 1), workers=3))
    assert held and all(held)


METRICS = {
    "dataset": "gtzan", "protocol": "artist", "track": {"accuracy": 0.77, "low": 0.691, "high": 0.8431, "n": 1_138},
}  # fmt: skip
SAID = "Data set gtzan, protocol artist (artists apart): 77.0 % of 1,138 test tracks right [69.1, 84.3]."


def test_an_export_says_how_good_the_model_is(compact, tmp_path, files, capsys):
    model, params, _ = compact
    model.save(tmp_path / "model.keras")
    facts = {"metrics": METRICS}
    model_folder.write(tmp_path / "model", tmp_path / "model.keras", GENRES, params, known(), facts, "no card")
    export.write_from(tmp_path / "model", tmp_path / "exported")
    for name in ("model", "exported"):
        assert keras_model.open_model(tmp_path / name).about == SAID
        assert __main__.main(["predict", str(files[0]), "--model", str(tmp_path / name)]) == 0
        assert capsys.readouterr().err.splitlines()[0] == f"Model {tmp_path / name}. {SAID}"


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        (METRICS | {"track": METRICS["track"] | {"low": None}}, SAID.replace(" [69.1, 84.3]", "")),
        (METRICS | {"protocol": "filtered"}, SAID.replace("artist (artists apart)", "filtered")),
        *((other, "") for other in (None, [], {}, METRICS | {"track": {}})),
        (METRICS | {"track": METRICS["track"] | {"accuracy": "high"}}, ""),
        (METRICS | {"track": METRICS["track"] | {"accuracy": 10**400}}, ""),
    ],
)
def test_metrics_that_are_not_known_are_left_out(metrics, said):
    assert model_folder.about(metrics) == said


def test_without_trust_nothing_is_strange(compact, files, tmp_path):
    model, params, _ = compact
    export.write(model, GENRES, params, tmp_path / "plain")
    network = litert_model.open_exported(tmp_path / "plain")
    (answer,) = prediction.predict(files[:1], network)
    np.testing.assert_allclose(answer.track, answer.probabilities.mean(axis=0), atol=4 * U)
    assert json.loads(prediction_files.as_json(answer, network))["novelty_score"] is None


def test_an_export_that_differs_gets_no_name(compact, monkeypatch):
    _, params, folder = compact
    monkeypatch.setattr(export, "convert", lambda _, file: file.write_bytes((folder / "0.tflite").read_bytes()))
    other = factory.build(dataclasses.replace(params, seed=1), len(GENRES))
    with pytest.raises(RunError, match="exists already"):
        export.write(other, GENRES, params, folder)
    with pytest.raises(RunError, match="a probability differs by"):
        export.write(other, GENRES, params, folder.with_name("other"))
    assert not folder.with_name("other").exists()


def test_a_layer_that_litert_lacks_is_an_error(params, tmp_path):
    inputs = keras.Input((params.n_mels, params.frames_per_segment))
    outputs = keras.layers.GlobalAveragePooling1D()(keras.ops.real(keras.ops.fft2((inputs, 0 * inputs))[0]))
    network = keras.Model(inputs, outputs, name="odd")
    with pytest.raises(RunError, match="The network odd cannot be converted"):
        export.write(network, GENRES, params, tmp_path / "odd")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("export.json", b"{}", "not a complete exported network"),
        ("export.json", b"text", "not a complete exported network"),
        ("0.tflite", b"text", "not a complete exported network"),
        ("mel_filters.npy", b"\x93NUMPY", "not a complete exported network"),
        ("mel_filters.npy", b"", "not a complete exported network"),
        ("reference.npy", b"", "not a complete exported network"),
        ("reference.npy", "pickle", "not a complete exported network"),
        ("mel_filters.npy", "pickle", "not a complete exported network"),
        ("mel_filters.npy", "other", "differ from the mel filters of this version"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(compact, tmp_path, name, content, said):
    folder = compact[-1]
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if content == "pickle":
        np.save(tmp_path / name, np.array([{}], dtype=object))
    elif content == "other":
        np.save(tmp_path / name, 2 * np.load(folder / name))
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=said):
        litert_model.open_exported(tmp_path)


def test_a_folder_does_not_lead_out_of_itself(compact, tmp_path):
    folder = compact[-1]
    inside = tmp_path / "inside"
    inside.mkdir()
    facts = json.loads((folder / "export.json").read_text())
    facts["stages"] = ["../0.npy"]
    (inside / "export.json").write_text(json.dumps(facts))
    (inside / "mel_filters.npy").write_bytes((folder / "mel_filters.npy").read_bytes())
    np.save(tmp_path / "0.npy", np.ones((3, 3), np.float32))
    with pytest.raises(RunError, match="not a complete exported network"):
        litert_model.open_exported(inside)


def test_what_cannot_be_exported_is_told_without_tensorflow(tmp_path):
    code = f"""
import sys
from genre_utils.__main__ import main
assert main(["export", {str(tmp_path / "none")!r}, {str(tmp_path / "out")!r}]) == 1
assert "tensorflow" not in sys.modules
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "none" in found.stderr and not (tmp_path / "out").exists()
