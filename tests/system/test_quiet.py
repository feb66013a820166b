import os
import subprocess
import sys
import warnings

import joblib
import pandas as pd
import pytest
import soundfile

from genre_utils import errors
from genre_utils.audio import decoding
from genre_utils.datasets import catalog, contents
from genre_utils.errors import GenreUtilsWarning, warn
from genre_utils.params import Params
from genre_utils.paths import PROJECT
from genre_utils.splits import survey
from genre_utils.splits.fingerprinting import findings
from genre_utils.system import quiet

PARAMS = Params(segment_seconds=1.0, max_segments=6)


@pytest.fixture
def damaged(tmp_path, rng):
    """MP3s of 6 s: one with holes, one cut in two, one whole, and a page."""
    noise = rng.uniform(-0.1, 0.1, 6 * 22_050)
    for name in ("hole", "cut", "whole"):
        soundfile.write(tmp_path / f"{name}.mp3", noise, 22_050)
    content = (tmp_path / "whole.mp3").read_bytes()
    half = len(content) // 2
    holes = b"".join(bytes(400) + content[place + 400 : place + 1_500] for place in range(3_000, len(content), 1_500))
    (tmp_path / "hole.mp3").write_bytes(content[:3_000] + holes)
    (tmp_path / "cut.mp3").write_bytes(content[:half])
    (tmp_path / "page.mp3").write_text("<!DOCTYPE html>404")
    return tmp_path


def written(text):
    os.write(2, text.encode())  # sys.stderr leads elsewhere under pytest


def frames(path):
    """How much of a file libsndfile reads, and what libmpg123 says to it where nobody stops it."""
    with soundfile.SoundFile(path) as file:
        return len(file.read())


def test_libmpg123_says_nothing_of_a_damaged_file(damaged, capfd):
    assert frames(damaged / "hole.mp3") < 6 * 22_050
    said = capfd.readouterr().err
    assert said.startswith(quiet.CHATTER[0].decode()), f"libmpg123 has become silent, or speaks otherwise: {said}"
    tracks = catalog.table([{"track_id": p.name, "path": p, "genre": "x"} for p in damaged.iterdir()], PARAMS)
    for path in contents.usable(tracks)["path"]:
        decoding.load(path, PARAMS)
    assert capfd.readouterr().err == ""
    assert contents.faults(tracks)["track_id"].tolist() == ["page.mp3"]
    assert "it is a web page" in contents.faults(tracks)["fault"][0]


def test_what_others_write_meanwhile_comes_through_in_order(capfd):
    def write(number):
        with quiet.WITHOUT_CHATTER:
            written(f"line {number}\n")
            subprocess.run([sys.executable, "-c", "import os; os.write(2, b'Note: nothing\\n')"], check=True)

    joblib.Parallel(4, prefer="threads")(joblib.delayed(write)(number) for number in range(8))
    written("after\n")
    lines = capfd.readouterr().err.splitlines()
    assert sorted(lines[:-1]) == [f"line {number}" for number in range(8)]
    assert lines[-1] == "after"


def test_a_line_that_is_not_finished_waits_only_if_it_may_be_chatter(capfd):
    with quiet.WITHOUT_CHATTER:
        with quiet.WITHOUT_CHATTER:
            written("\rhalf a bar")
        assert capfd.readouterr().err == "\rhalf a bar"
        with quiet.WITHOUT_CHATTER:
            written("\nNote: Illegal")
        assert capfd.readouterr().err == "\n"
        written(" Audio-MPEG-Header\n")
    assert capfd.readouterr().err == ""


def test_an_error_comes_through_and_standard_error_is_its_own_again(damaged, capfd):
    with pytest.raises(decoding.AudioError):
        decoding.load(damaged / "page.mp3", PARAMS)
    written("Note: mine\n")
    assert capfd.readouterr().err == "Note: mine\n"


def test_a_file_that_breaks_off_is_a_finding_with_both_lengths(damaged):
    tracks = catalog.table([{"track_id": p.name, "path": p, "genre": "x"} for p in damaged.iterdir()], PARAMS)
    tracks, _, _ = survey.survey(tracks, PARAMS)
    found = findings(tracks, pd.DataFrame(columns=["track_a", "track_b", "kind", "similarity", "lag_seconds"]), PARAMS)
    damage = found[found["finding"] == "damage"].set_index("track_id")["detail"]
    assert list(damage.index) == ["cut.mp3", "hole.mp3"]
    assert damage["cut.mp3"].startswith("its header says 6.0 s, ")


def leave_out():
    warn("3 files are left out")


def shown(text, category=GenreUtilsWarning):
    return warnings.formatwarning(text, category, "somewhere.py", 3, "some(code)")


def test_only_this_package_s_warnings_are_shown_without_code():
    assert shown("3 files are left out") == "3 files are left out\n"
    assert shown("theirs", UserWarning) == "somewhere.py:3: UserWarning: theirs\n  some(code)\n"
    with pytest.warns(UserWarning, match="left out") as told:  # whoever catches or filters warnings still can
        leave_out()
    assert told[0].filename == __file__


def test_a_run_shows_each_warning_once(tmp_path, monkeypatch):
    monkeypatch.setattr(errors, "RECORD", [tmp_path / "warnings.txt"])
    assert [shown("one\nof two lines"), shown("other"), shown("one\nof two lines")] == [
        "one\nof two lines\n",
        "other\n",
        "",
    ]
    assert (tmp_path / "warnings.txt").read_text() == "one of two lines\nother\n"
    assert shown("other", UserWarning)  # not ours to hide
    monkeypatch.setattr(errors, "RECORD", [tmp_path / "no folder" / "warnings.txt"])
    assert shown("other") == "other\n"


def test_a_headless_run_records_them_in_its_folder_and_a_lesson_does_not(tmp_path):
    code = """
import sys
from genre_utils.errors import warn
from genre_utils.runs.folder import RunFolder
RunFolder.open(sys.argv[1])
warn("left out")
"""
    for environment, expected in (({"GENRE_HEADLESS": "1"}, ["left out\n", ""]), ({}, ["left out\n", "left out\n"])):
        folder = tmp_path / f"run{len(environment)}"
        environment = {"PATH": "", "PYTHONPATH": str(PROJECT), **environment}
        said = [
            subprocess.run(
                [sys.executable, "-c", code, folder], env=environment, capture_output=True, text=True, check=True
            ).stderr
            for _ in range(2)
        ]  # two notebooks, each with its own kernel
        assert said == expected
