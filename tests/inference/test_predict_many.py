"""Predicting a whole library: stop and continue, several files at once, playlists; and one song from a pipe."""

import dataclasses
import errno
import hashlib
import io
import itertools
import json
import os
import re
import struct
import sys
import threading
import types
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
import soundfile
from conftest import tone
from halves import GENRES, loudest_half
from hypothesis import given
from hypothesis import strategies as st

from genre_utils import __main__
from genre_utils.errors import RunError
from genre_utils.evaluation.temperature_scaling import NOT_SURE, UNLIKE
from genre_utils.inference import command, playlist, prediction, results

NAMES = ["=sum.wav", "new\nline.wav", "b.wav", "bad.wav", "#1.wav", "qu\"o'te, comma.wav", "naïve 🎸.wav"]


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Seven files with awkward names, one of which is no audio."""
    folder = tmp_path_factory.mktemp("library")
    for number, name in enumerate(NAMES):
        soundfile.write(folder / name, tone(150 if number % 2 else 3_000, 0.6 + number / 2, 8_000), 8_000)
    (folder / "bad.wav").write_text("no audio")
    return folder


@pytest.fixture
def network(params, monkeypatch):
    network = prediction.Network(loudest_half, GENRES, params)
    monkeypatch.setattr(command, "open_network", lambda *_: network)
    return network


@pytest.fixture
def predict(network, music, monkeypatch):  # noqa: ARG001
    """The command, in the folder of the music."""
    monkeypatch.chdir(music)
    return lambda *words: __main__.main(["predict", *map(str, words)])


@pytest.fixture(params=["csv", "json"])
def form(request):
    return request.param


@pytest.fixture
def whole(predict, form, tmp_path):
    """What an uninterrupted run writes, as bytes."""
    assert predict(*NAMES, f"--{form}", tmp_path / "whole") == 1  # one is no audio
    return (tmp_path / "whole").read_bytes()


def asked(monkeypatch):
    """Records which files are predicted."""
    paths, log_mels = [], prediction.log_mels

    def recorded(path, params):
        paths.append(str(path))
        return log_mels(path, params)

    monkeypatch.setattr(prediction, "log_mels", recorded)
    return paths


def test_a_run_stopped_at_any_byte_and_continued_is_as_one_that_was_not(
    predict, whole, form, tmp_path, capsys, monkeypatch
):
    out, paths = tmp_path / "out", asked(monkeypatch)
    capsys.readouterr()
    line_ends = [match.end() for match in re.finditer(rb"\n", whole)]
    for kept in sorted({0, 1, len(whole) - 1, len(whole), *line_ends, *range(0, len(whole), 97)}):
        out.write_bytes(whole[:kept])
        paths.clear()
        assert predict(*NAMES, f"--{form}", out, "--continue") == 1
        assert out.read_bytes() == whole
        err = capsys.readouterr().err
        done = int(re.search(r"(\d) of 7 files are already in ", err)[1])
        assert paths == NAMES[done:]
        assert "7 files: 6 predicted, 1 failed" in err
    assert done == (7 if form == "json" else 6)  # of a CSV, the last file may lack rows


def test_ctrl_c_and_continue(predict, whole, form, network, tmp_path, monkeypatch):
    heard, out = [], tmp_path / "out"

    def run(decibels):
        heard.append(1)
        if len(heard) > 3:
            raise KeyboardInterrupt
        return network.run(decibels)

    with monkeypatch.context() as patch:
        patch.setattr(command, "open_network", lambda *_: dataclasses.replace(network, run=run))
        assert predict(*NAMES, f"--{form}", out, "--workers", 2) == 130
    assert whole.startswith(out.read_bytes()) and out.read_bytes() != whole
    assert predict(*NAMES, f"--{form}", out, "--continue", "--workers", 3) == 1
    assert out.read_bytes() == whole


def test_what_was_added_to_the_library_since_is_predicted(predict, form, tmp_path, monkeypatch):
    out = tmp_path / "out"
    predict("b.wav", "bad.wav", f"--{form}", out, "--continue")  # there is nothing to continue yet
    paths = asked(monkeypatch)
    assert predict("#1.wav", "b.wav", "b.wav", "bad.wav", f"--{form}", out, "--continue") == 1
    assert paths == ["#1.wav", "b.wav"]  # which was named twice now


def test_what_is_not_complete_is_cut_off(predict, whole, form, tmp_path):
    out = tmp_path / "out"
    out.write_bytes(whole[:-5])
    assert predict(*NAMES[:4], f"--{form}", out, "--continue") == 1  # nothing to add
    left = out.read_bytes()
    assert whole.startswith(left) and left.endswith(b"\n") and NAMES[-2].encode()[:2] in left
    assert NAMES[-1].encode() not in left and json.dumps(NAMES[-1]).encode() not in left


def test_a_folder_that_cannot_be_read_is_named_once(predict, form, tmp_path, monkeypatch, capsys):
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    texts = []
    for _ in range(2):
        assert predict("b.wav", tmp_path / "closed", f"--{form}", tmp_path / "out", "--continue") == 1
        texts.append((tmp_path / "out").read_bytes())
        assert "2 files: 1 predicted, 1 failed" in capsys.readouterr().err
    assert texts[0] == texts[1] and b"cannot be read (Permission denied)" in texts[0]


@pytest.mark.parametrize("other", ["genres", "text", "a song", "no newline", "middle", "folder"])
def test_what_is_not_ours_is_not_continued(predict, whole, form, tmp_path, capsys, other):
    out = tmp_path / "out"
    texts = {
        "genres": whole.replace(b"treble", b"trebel"), "text": b"my notes\n", "no newline": b"notes",
        "a song": Path("b.wav").read_bytes(), "middle": whole[:200] + b'"\n\xff{}\n' + whole[200:],
    }  # fmt: skip
    if other == "folder":
        out.mkdir()
    else:
        out.write_bytes(texts[other])
    assert predict(*NAMES, f"--{form}", out, "--continue") == 1
    assert f"{out} cannot be continued" in capsys.readouterr().err
    assert other == "folder" or out.read_bytes() == texts[other]


def test_continue_needs_a_file(predict, tmp_path, capsys):
    for words in ([], ["--csv", "-"], ["-", "--csv", tmp_path / "out"]):
        assert predict("b.wav", *words, "--continue") == 1
        assert "--continue needs a file" in capsys.readouterr().err


@given(st.text(st.characters(codec="utf-8"), min_size=1) | st.sampled_from([*NAMES, "latin\udce9.wav"]), st.text("a\n"))
def test_a_path_is_read_back_as_it_was_written(params, tmp_path_factory, path, fault):
    network = prediction.Network(loudest_half, GENRES, params)
    none = np.empty((0, 2), np.float32)
    sure = prediction.Prediction(path, np.eye(2, dtype=np.float32), "", np.array([0.9, 0.1]))
    answers = [sure, prediction.Prediction(path, none, f"no {fault}"), sure]
    for form, end in (("json", 3), ("csv", 2)):
        text = "".join(f"{results.text_of(answer, network, form)}\n" for answer in answers)
        out = tmp_path_factory.getbasetemp() / f"one.{form}"
        first = f"{results.header(network)}\n" * (form == "csv")
        out.write_bytes((first + text).encode(errors="backslashreplace"))
        found = results.kept(str(out), network, form)
        entry = (results.as_written(path, form), "bass", "", "", 2)
        assert found.entries == [entry, (entry[0], "", "", f"no {fault}", 0), entry][:end]


def test_any_number_of_workers_gives_the_same(predict, whole, form, network, tmp_path, monkeypatch):
    threads = set()

    def run(decibels):
        threads.add(threading.current_thread().name)
        return network.run(decibels)

    monkeypatch.setattr(command, "open_network", lambda *_: dataclasses.replace(network, run=run))
    for workers in (1, 3):
        threads.clear()
        assert predict(*NAMES, f"--{form}", tmp_path / f"{workers}", "--workers", workers) == 1
        assert (tmp_path / f"{workers}").read_bytes() == whole
        assert threading.current_thread().name not in threads
        assert len(threads) <= workers


def test_workers_work_at_once_and_stop_at_once(music, network):
    meeting = threading.Barrier(2, timeout=60)

    def run(decibels):
        meeting.wait()  # ends only if two are here
        return network.run(decibels)

    twice = [music / "b.wav", music / "#1.wav"]
    assert len(list(prediction.predict(twice, dataclasses.replace(network, run=run), workers=2))) == 2
    drawn = itertools.count()
    endless = (music / ("b.wav" if next(drawn) else "bad.wav") for _ in itertools.count())
    answers = prediction.predict(endless, network, workers=2)
    assert "cannot be read" in next(answers).fault
    answers.close()
    assert next(drawn) <= 2 * prediction.AHEAD + 2


def test_a_worker_stops_in_the_middle_of_a_file(network, monkeypatch):
    going, asked = threading.Event(), itertools.count()

    def endless(path, params):
        if path == "short":
            yield np.zeros((1, params.n_mels, params.frames_per_segment), np.float32)
            return
        while next(asked) < 100_000:
            going.set()
            yield np.zeros((1, params.n_mels, params.frames_per_segment), np.float32)

    monkeypatch.setattr(prediction, "log_mels", endless)
    answers = prediction.predict(["short", "endless"], network, workers=2)
    next(answers)
    assert going.wait(60)
    answers.close()  # returns when the worker has stopped
    assert next(asked) < 100_000


def test_workers_are_counted_from_one(predict, capsys):
    for workers in (0, -2):
        assert predict("b.wav", "--workers", workers) == 1
        assert f"--workers must be 1 or more. Received: {workers}." in capsys.readouterr().err


def fingerprints(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*.wav"))}


def played(path):
    """The files and groups of a playlist, as a player reads it."""
    first, *lines = path.read_text(encoding="utf-8").split("\n")
    assert first == "#EXTM3U"
    group, files = "", []
    for line in lines:
        if line.startswith("#EXTGRP:"):
            group = line.partition(":")[2]
        elif line and not line.startswith("#"):
            place = Path(unquote(urlparse(line).path)) if line.startswith("file://") else path.parent / line
            files.append((place.resolve(), group))
    return files


def test_a_playlist_names_every_file_once_and_changes_none(predict, music, tmp_path, capsys):
    before = fingerprints(music)
    expected = sorted(music / name for name in NAMES if name != "bad.wav")
    assert predict(*NAMES, "--write-playlist", tmp_path / "genre.m3u8") == 1
    files = played(tmp_path / "genre.m3u8")
    assert sorted(path for path, _ in files) == expected
    assert [group for _, group in files] == sorted(group for _, group in files)  # as the genres come
    wanted = {music / name: "bass" if number % 2 else "treble" for number, name in enumerate(NAMES)}
    assert all(wanted[path] == group for path, group in files)
    assert "#EXTINF:2,b\n" in (tmp_path / "genre.m3u8").read_text()  # 1.5 s in segments
    assert f"Playlist: {tmp_path / 'genre.m3u8'}" in capsys.readouterr().err
    assert predict(*NAMES, "--write-playlist", f"{tmp_path}/each/") == 1
    assert sorted(path.name for path in (tmp_path / "each").iterdir()) == ["bass.m3u8", "treble.m3u8"]
    each = [one for name in GENRES for one in played(tmp_path / "each" / f"{name}.m3u8")]
    assert sorted(each) == sorted(files)
    assert fingerprints(music) == before


def test_a_playlist_beside_the_music_moves_with_it(predict, music):
    target = music / "all.m3u8"
    try:
        predict(*NAMES, "--write-playlist", "all.m3u8")
        lines = target.read_text().splitlines()
    finally:
        target.unlink()
    assert {"b.wav", "=sum.wav", "./#1.wav"} <= set(lines) and str(music / "b.wav") not in lines


def test_what_is_not_sure_has_its_own_playlist(predict, network, tmp_path, monkeypatch):
    verdicts = iter([NOT_SURE, UNLIKE])
    monkeypatch.setattr(type(network.calibration), "verdict", lambda *_: next(verdicts))
    predict("b.wav", "#1.wav", "--write-playlist", tmp_path)  # a folder that is there
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted([NOT_SURE, UNLIKE])


def test_a_playlist_is_never_overwritten(predict, tmp_path, capsys, monkeypatch):
    paths = asked(monkeypatch)
    (tmp_path / "treble.m3u8").write_text("mine")
    for target in (tmp_path / "treble.m3u8", tmp_path):
        assert predict("b.wav", "--write-playlist", target) == 1
        assert "treble.m3u8 exists already" in capsys.readouterr().err
    assert predict("b.wav", "--write-playlist", tmp_path / "none" / "x.m3u8") == 1
    assert "there is no folder" in capsys.readouterr().err
    assert (tmp_path / "treble.m3u8").read_text() == "mine" and not paths


def test_a_continued_run_has_the_playlist_of_the_whole(predict, whole, form, tmp_path):
    predict(*NAMES, "--write-playlist", tmp_path / "a.m3u8")
    (tmp_path / "out").write_bytes(whole[: len(whole) // 2])
    predict(*NAMES, f"--{form}", tmp_path / "out", "--continue", "--write-playlist", tmp_path / "b.m3u8")
    assert (tmp_path / "a.m3u8").read_bytes() == (tmp_path / "b.m3u8").read_bytes()


def test_a_genre_leads_to_no_other_folder(tmp_path):
    genres = ["../up", "R&B/Soul", "R&B?Soul", "Rock", "rock", "..", "a\nb"]
    targets = playlist.targets(f"{tmp_path}/", genres)
    assert {path.parent for path in targets.values()} == {tmp_path}
    assert len({path.name.casefold() for path in targets.values()}) == len(genres) + 2
    playlist.write([playlist.Item("x.mp3", genre, 1) for genre in genres], targets)
    assert len(list(tmp_path.iterdir())) == len(genres)


class Pipe(io.BytesIO):
    """Standard input that is no terminal and cannot seek, as a pipe."""

    def seek(self, *_):
        raise OSError("Illegal seek")

    def seekable(self):
        return False


@pytest.fixture
def piped(monkeypatch):
    def put(data, terminal=False):
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=Pipe(data), isatty=lambda: terminal))

    return put


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, None])
def test_a_pipe_is_a_song(predict, piped, music, tmp_path, capsys, size):
    """FFmpeg and SoX cannot go back in a pipe to write the true length of a wav."""
    data = (music / "new\nline.wav").read_bytes()
    assert data[36:40] == b"data"
    if size:
        info = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf61.7.100\0\0"
        length = struct.pack("<I", size)
        data = data[:4] + length + data[8:36] + info + b"data" + length + data[44:]
    piped(data)
    assert predict("-", "--json", "-") == 0
    answer = json.loads(capsys.readouterr().out)
    assert predict("new\nline.wav", "--json", "-") == 0
    assert answer == json.loads(capsys.readouterr().out) | {"path": "standard input"}
    piped(data)
    assert predict("-", "b.wav", "--write-playlist", tmp_path / "a.m3u8") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("standard input: bass ") and shown[1].startswith("b.wav: treble ")
    assert [path.name for path, _ in played(tmp_path / "a.m3u8")] == ["b.wav"]


def test_a_pipe_without_sound_says_so(predict, piped, capsys, monkeypatch):
    piped(b"")
    assert predict("-") == 1
    assert "Standard input is empty" in capsys.readouterr().err
    piped(b"", terminal=True)
    assert predict("-") == 1
    assert "nothing is piped in" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", None)
    assert predict("-") == 1
    assert "nothing is piped in" in capsys.readouterr().err
    piped(b"no audio")
    assert predict("-") == 1
    assert capsys.readouterr().out.startswith("standard input: cannot be read as audio")


def test_what_is_wrong_is_told_before_a_pipe_is_read(predict, piped, tmp_path, capsys):
    piped(b"the sound of hours")
    (tmp_path / "a.m3u8").touch()  # which is looked at with the model's genres, so the model is open by then
    assert predict("-", "--write-playlist", tmp_path / "a.m3u8") == 1
    assert "exists already" in capsys.readouterr().err
    assert sys.stdin.buffer.tell() == 0


def test_standard_input_leaves_no_file(predict, piped, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    piped(b"no audio")
    predict("-")
    assert not list(tmp_path.iterdir())


def test_the_shipped_model_that_is_missing_is_told(tmp_path, music, monkeypatch, capsys):
    monkeypatch.setattr(command.litert_model, "SHIPPED", tmp_path / "shipped")
    with pytest.raises(RunError, match=r"is missing.*Install genre_utils again.*--model FOLDER"):
        command.open_network(tmp_path / "shipped")
    assert __main__.main(["predict", str(music / "b.wav")]) == 1
    assert "The model that comes with genre_utils is missing" in capsys.readouterr().err
