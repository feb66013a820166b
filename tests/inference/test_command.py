import dataclasses
import errno
import json
import os
import sys
import types
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import tone
from halves import GENRES, loudest_half

from genre_utils import __main__
from genre_utils.datasets import catalog
from genre_utils.errors import AudioError, CatalogError, ParamsError
from genre_utils.evaluation.temperature_scaling import UNLIKE
from genre_utils.figures import results as result_figures
from genre_utils.inference import command, files, prediction, results
from genre_utils.system.progress import HEADLESS

ODD = ["=cmd.wav", "new\nline.wav", "red\x1b[31m.wav", "qu\"o'te, comma.wav", "guitar 🎸.wav", "cr\rname.wav"]
BYTES = os.fsdecode(b"latin\xe9.wav")


@pytest.fixture
def network(params, monkeypatch):
    """What ``--model`` opens, whatever is named."""
    network = prediction.Network(loudest_half, GENRES, params)
    monkeypatch.setattr(command, "open_network", lambda *_: network)
    return network


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three tracks at two depths, one that is no audio, pictures, a hidden file, and a link that leads back."""
    music = tmp_path / "music"
    (music / "deep").mkdir(parents=True)
    low, high = tone(150, 2.2, 8_000), tone(3_000, 2.2, 8_000)
    for name, samples in (("b.wav", low), ("A.FLAC", high), ("deep/c.ogg", np.concatenate([low[:12_000], high]))):
        soundfile.write(music / name, samples, 8_000)
    for name in ("text.mp3", "cover.jpg", ".hidden.wav"):
        (music / name).write_text("no music")
    (music / "deep" / "back").symlink_to(music, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return music


@pytest.fixture
def predict(network):  # noqa: ARG001
    """The command, in this process; gives its exit status."""
    return lambda *words: __main__.main(["predict", *map(str, words)])


def test_files_come_in_order_and_nothing_is_left_out_in_silence(folder):
    found = prediction.sources(["music", "elsewhere.txt"])
    below = [path.as_posix() for path in found.files]
    assert below == ["music/A.FLAC", "music/b.wav", "music/text.mp3", "music/deep/c.ogg", "elsewhere.txt"]
    assert found.not_audio == [folder.relative_to(folder.parent) / "cover.jpg"]
    assert not found.unreadable


def test_what_was_heard_is_told_and_what_failed_is_named(predict, folder, capsys):
    assert predict("music", "none.wav") == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("music/A.FLAC: treble ") and lines[1].startswith("music/b.wav: bass ")
    assert lines[2].startswith("music/text.mp3: cannot be read as audio")
    assert lines[4] == "    0:00 bass, 0:01 treble"  # segments of half a second: the change is after three
    assert lines[5].startswith("none.wav: is not there: no such file. Correct the path")
    assert "5 files: 3 predicted, 2 failed" in err and "cover.jpg" in err
    assert predict(folder / "b.wav", "--top", 9) == 0
    out, err = capsys.readouterr()
    assert "bass" in out and "treble" in out and err.splitlines()[1:] == ["1 file: 1 predicted, 0 failed"]


def test_json_lines_csv_and_python_say_the_same(predict, folder, network, capsys):
    assert predict("music", "--json", "out.json") == predict("music", "--csv", "out.csv") == 1
    answers = [json.loads(line) for line in (folder.parent / "out.json").read_text().splitlines()]
    table = pd.read_csv("out.csv")
    with pytest.warns(UserWarning, match="cover.jpg"):
        heard = files.predict(["music"], network)
    pd.testing.assert_frame_equal(table, heard.replace("", np.nan), check_dtype=False)
    tracks = table[table["level"] == "track"].set_index("path")
    assert list(tracks.index) == [answer["path"] for answer in answers]
    for answer in answers:
        row, segments = tracks.loc[answer["path"]], table[(table["path"] == answer["path"]) & table["segment"].notna()]
        if "fault" in answer:
            assert answer["fault"] == row["fault"] and segments.empty
            continue
        assert answer["genre"] == row["predicted"] and pd.isna(row["fault"])
        assert answer["probabilities"] == {genre: row[f"p_{genre}"] for genre in GENRES}
        assert [moment["start_seconds"] for moment in answer["timeline"]] == segments["start_seconds"].tolist()
        found = [moment["probabilities"] for moment in answer["timeline"]]
        np.testing.assert_array_equal(found, segments[["p_bass", "p_treble"]])
    capsys.readouterr()
    assert predict("music", "--csv", "-") == 1
    assert capsys.readouterr().out == (folder.parent / "out.csv").read_text()


def test_names_of_any_kind_come_through(predict, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", tone(150, 1.2, 8_000), 8_000)
    for name in [*ODD, BYTES]:
        (tmp_path / name).write_bytes((tmp_path / "a.wav").read_bytes())
    assert (
        predict(*ODD, BYTES) == predict(*ODD, BYTES, "--json", "o.json") == predict(*ODD, BYTES, "--csv", "o.csv") == 0
    )
    screen = capsys.readouterr().out
    assert "\x1b" not in screen and "red\\x1b[31m.wav: bass" in screen and "guitar 🎸.wav: bass" in screen
    assert len(screen.splitlines()) == 3 * 7
    lines = (tmp_path / "o.json").read_bytes().decode("utf-8", "strict").splitlines()
    assert [json.loads(line)["path"] for line in lines] == [*ODD, BYTES]
    (tmp_path / "o.csv").read_bytes().decode("utf-8", "strict")
    paths = pd.read_csv("o.csv").query("level == 'track'")["path"].tolist()
    assert paths == [f"./{ODD[0]}", *ODD[1:], "latin\\udce9.wav"]
    assert (tmp_path / paths[0]).samefile(ODD[0])


@pytest.mark.parametrize("dataset", catalog.DEMOS)
def test_a_model_that_has_heard_no_recording_says_so(predict, folder, network, capsys, monkeypatch, dataset):
    demo = dataclasses.replace(network, params=dataclasses.replace(network.params, dataset=dataset))
    monkeypatch.setattr(command, "open_network", lambda *_: demo)
    assert predict(folder / "b.wav", "--json", "-") == 0
    out, err = capsys.readouterr()
    _, first, counted = err.splitlines()
    assert "trained only on synthesised music" in first and dataset in first and counted.startswith("1 file:")
    assert json.loads(out)["genre"] == "bass"


def test_the_verdict_comes_before_the_genres(predict, folder, network, capsys, monkeypatch):
    monkeypatch.setattr(type(network.calibration), "verdict", lambda *_: UNLIKE)
    predict(folder / "b.wav")
    assert capsys.readouterr().out.startswith(f"{folder / 'b.wav'}: {UNLIKE}: bass ")


def test_of_a_long_file_the_screen_names_the_first_passages(params):
    called = np.eye(2, dtype=np.float32)[np.arange(40) % 2]
    answer = prediction.Prediction("mix.wav", called, "", called.mean(axis=0))
    network = prediction.Network(loudest_half, GENRES, dataclasses.replace(params, segment_seconds=5.0))
    second = command.on_screen(answer, network, 1).splitlines()[1]
    assert second.startswith("    0:00 bass, 0:05 treble,") and second.endswith("0:55 treble, … (28 more)")


@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_what_is_there_is_not_overwritten(predict, folder, capsys, option):
    (folder.parent / "out").write_text("mine")
    assert predict("music", option, "out") == 1
    assert "not overwritten" in capsys.readouterr().err
    assert (folder.parent / "out").read_text() == "mine"


def test_nothing_to_hear_and_no_genre_to_name_are_errors(predict, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("no music")
    with pytest.raises(CatalogError, match=r"Found only files with other suffixes \(1\)"):
        prediction.sources([tmp_path])
    assert predict(tmp_path) == predict(tmp_path, "--top", 0) == 1
    assert "--top must be 1 or more. Received: 0." in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_a_folder_that_cannot_be_looked_into_is_a_fault(predict, capsys, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("deep"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert predict("music") == 1
    out, err = capsys.readouterr()
    assert "music/deep: is a folder that cannot be read (Permission denied)" in out
    assert "4 files: 2 predicted, 2 failed" in err


def interrupting(network, after):
    """A network whose reader presses Ctrl-C."""
    heard = []

    def run(decibels):
        heard.append(1)
        if len(heard) > after:
            raise KeyboardInterrupt
        return network.run(decibels)

    return dataclasses.replace(network, run=run)


def test_ctrl_c_leaves_whole_answers(predict, folder, network, capsys, monkeypatch):
    monkeypatch.setattr(command, "open_network", lambda *_: interrupting(network, after=2))
    assert predict("music", "--json", "out.json") == 130
    answers = [json.loads(line) for line in (folder.parent / "out.json").read_text().splitlines()]
    assert [answer["path"] for answer in answers] == ["music/A.FLAC", "music/b.wav", "music/text.mp3"]
    err = capsys.readouterr().err
    assert "4 files: 2 predicted, 1 failed, 1 not processed" in err and "Interrupted." in err


class AlmostFull:
    """A file on a disk that takes half of the second answer."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.file.write(data[: self.room])
        self.room -= written
        return written

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_full_disk_leaves_whole_answers(tmp_path):
    with (tmp_path / "out").open("xb", buffering=0) as file:
        disk = AlmostFull(file, 15)
        results.append(disk, b"one answer\n")
        with pytest.raises(OSError, match="No space left"):
            results.append(disk, b"another one\n")
    assert (tmp_path / "out").read_bytes() == b"one answer\n"


@pytest.mark.usefixtures("folder")
def test_a_reader_that_goes_is_told_and_no_traceback(predict, capfd, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with monkeypatch.context() as patch, os.fdopen(writing, "w") as nobody:
        patch.setattr(sys, "stdout", nobody)
        assert predict("music") == 1
    err = capfd.readouterr().err
    assert "The output cannot be written (Broken pipe)." in err and "4 files: 0 predicted" in err


def test_the_bar_keeps_off_standard_output(predict, folder, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.delenv(HEADLESS, raising=False)  # which another test's run may have left
    predict("music")
    out, err = capsys.readouterr()
    assert "files: 100%" in err and "%|" not in out and len(out.splitlines()) == 5
    predict(folder / "b.wav")
    assert "%|" not in capsys.readouterr().err


def test_an_upload_is_saved_under_its_name_and_nowhere_else(tmp_path):
    chosen = {"name": "../../song 1.m4a", "content": memoryview(b"sound")}
    path = files.uploaded(types.SimpleNamespace(value=(chosen,)), tmp_path / "uploads")
    assert path == tmp_path / "uploads" / "song 1.m4a" and path.read_bytes() == b"sound"
    assert files.uploaded(types.SimpleNamespace(value=()), tmp_path) is None


def test_the_timeline_has_a_row_a_genre_and_a_column_a_segment(folder, network, params, tmp_path):
    name = folder / "a$_$.ogg"  # as mathematics it would be an error
    (folder / "deep" / "c.ogg").rename(name)
    heard = files.predict([name], network)
    figure = result_figures.timeline(heard, params, tmp_path / "timeline.png")
    axes = figure.axes[0]
    values = axes.images[0].get_array()
    assert values.shape == (2, 7) and axes.images[0].get_extent()[:2] == [0, 3.5]
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    assert ticks[0].startswith("treble") and ticks[1].startswith("bass")  # the more probable one on top
    segments = heard[heard["level"] == "segment"]
    np.testing.assert_allclose(values, segments[["p_treble", "p_bass"]].to_numpy(float).T)
    assert axes.get_title().startswith("a$_$.ogg\ntreble, ")
    assert (tmp_path / "timeline.png").stat().st_size > 1_000 and not plt.get_fignums()
    with warnings.catch_warnings(), pytest.raises(AudioError, match="cannot be read as audio"):
        warnings.simplefilter("ignore")
        result_figures.timeline(files.predict([folder / "text.mp3"], network), params, tmp_path / "no.png")


def test_one_text_is_one_path_and_not_its_letters(network, folder):
    table = files.predict("music/b.wav", network)
    assert set(table["path"]) == {"music/b.wav"}
    assert [answer.path for answer in prediction.predict("music/b.wav", network)] == ["music/b.wav"]
    assert prediction.sources(folder / "b.wav").files == [folder / "b.wav"]
    for named in ("", [""], ["music", ""]):
        with pytest.raises(ParamsError, match="A path must not be empty"):
            files.predict(named, network)


@pytest.mark.parametrize("words", ["predict,", "predict,x,--model,", "explore,", "run,--out,"])
def test_an_empty_path_is_no_folder(words, capsys):
    assert __main__.main(words.split(",")) == 1
    assert "A path must not be empty" in capsys.readouterr().err


def test_a_folder_that_is_named_twice_or_is_hidden_is_read_once_or_never(folder, monkeypatch):
    (folder / ".trash").mkdir()
    soundfile.write(folder / ".trash" / "old.wav", tone(150, 1.2, 8_000), 8_000)
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith(".trash"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    once = prediction.sources(["music"])
    assert not [path for path in once.files if "old" in path.name]
    assert prediction.sources(["music", "music/deep", folder]) == once
    monkeypatch.setattr(os, "scandir", refuse)
    assert prediction.sources(["music"]) == once  # nothing to report: it would not have been read
