import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from genre_utils import audio, catalog, features, store, survey
from genre_utils.errors import CatalogError


@pytest.fixture
def tracks(genre_folder, params):
    return catalog.from_folder(genre_folder, params)


def test_the_store_holds_what_features_computes(tracks, params, tmp_path):
    built = store.build(tracks, params, tmp_path)
    assert built.features.shape == (96, params.n_mels, params.frames_per_segment)
    assert built.features.dtype == np.float16
    for track_id, rows in built.segments.groupby("track_id")["row"]:
        path = tracks.set_index("track_id")["path"][track_id]
        expected = features.log_mel(features.segments(audio.load(path, params), params), params)
        np.testing.assert_allclose(built.features[rows], expected, atol=0.04)
    assert built.segments.columns.tolist() == ["row", "track_id", "segment", "start_seconds", "augmentation"]
    assert built.segments["start_seconds"].tolist()[:4] == [0.0, 0.5, 1.0, 1.5]


def test_what_is_there_is_not_computed_again(tracks, params, tmp_path, monkeypatch):
    first = store.build(tracks, params, tmp_path)
    monkeypatch.setattr(store, "extract", lambda *_: pytest.fail("computed again"))
    assert store.build(tracks, params, tmp_path).folder == first.folder


def test_other_parameters_or_files_are_another_store(tracks, params, tmp_path):
    name = store.fingerprint(tracks, params)
    assert store.fingerprint(tracks, dataclasses.replace(params, n_mels=16)) != name
    assert store.fingerprint(tracks[1:], params) != name
    assert store.fingerprint(tracks, dataclasses.replace(params, learning_rate=0.1, image_width=64)) == name
    copy = tracks.assign(path=[shutil.copy2(path, tmp_path) for path in tracks["path"]])
    assert store.fingerprint(copy, params) == name  # the same files elsewhere
    os.utime(copy["path"][0])
    assert store.fingerprint(copy, params) != name


def test_faults_found_by_decoding_are_named_and_nothing_else_is_lost(genre_folder, params, tmp_path):
    music = tmp_path / "music"
    shutil.copytree(genre_folder, music)
    soundfile.write(music / "bass" / "nan.wav", np.full(20_000, np.nan), 8_000, subtype="FLOAT")
    soundfile.write(music / "bass" / "silent.wav", np.zeros(20_000), 8_000)
    (music / "noise" / "text.wav").write_text("no music")
    tracks = catalog.from_folder(music, params)
    built = store.build(tracks, params, tmp_path)
    surveyed, spectra, fingerprints = survey.survey(tracks, params)
    for table in (built.tracks, surveyed):
        faults = catalog.faults(table).set_index("track_id")["fault"]
        assert set(faults.index) == {"bass/nan.wav", "bass/silent.wav", "noise/text.wav"}
        assert "NaN" in faults["bass/nan.wav"]
        assert "silent" in faults["bass/silent.wav"]
    assert len(built.segments) == 96
    assert len(spectra) == len(fingerprints) == 24
    assert set(built.segments["track_id"]) == set(catalog.usable(built.tracks)["track_id"])
    assert (built.features[built.segments["row"]].min(axis=(1, 2)) < -10).all()  # rows point at features, not at gaps


def test_survey_measures_level_and_clipping(params, tmp_path):
    (tmp_path / "a").mkdir()
    square = np.sign(np.sin(2 * np.pi * 50 * np.arange(20_000) / 8_000) + 1e-9)
    soundfile.write(tmp_path / "a" / "loud.wav", square, 8_000)
    soundfile.write(tmp_path / "a" / "quiet.wav", square / 10, 8_000)
    table = pd.DataFrame({"path": ["a/loud.wav", "a/quiet.wav"], "genre": ["a", "a"]})
    table.to_csv(tmp_path / "tracks.csv", index=False)
    surveyed, _, _ = survey.survey(catalog.from_csv(tmp_path / "tracks.csv", params), params)
    np.testing.assert_allclose(surveyed["level_dbfs"], [0, -20], atol=0.01)
    assert surveyed["clipped_share"].tolist() == [1.0, 0.0]


def test_no_usable_track_is_an_error_with_the_reasons(params, tmp_path):
    for genre in ("a", "b"):
        (tmp_path / genre).mkdir()
        soundfile.write(tmp_path / genre / "silent.wav", np.zeros(20_000), 8_000)
    with pytest.raises(CatalogError, match=r"None of the 2 tracks gives a segment.*silent throughout"):
        store.build(catalog.from_folder(tmp_path, params), params, tmp_path / "cache")


EXTRACT = """
import sys, yaml
from pathlib import Path
from genre_utils import catalog, store
from genre_utils.params import Params
params = Params.from_mapping(yaml.safe_load(sys.argv[1]))
extract_track = store.extract_track
def slow(*arguments):
    import time
    time.sleep(0.1)
    return extract_track(*arguments)
store.extract_track = slow
store.build(catalog.from_folder(Path(sys.argv[2]), params), params, Path(sys.argv[3]))
"""


def test_a_killed_extraction_goes_on_and_gives_the_same_bytes(genre_folder, tracks, params, tmp_path):
    undisturbed = store.build(tracks, params, tmp_path / "undisturbed")
    arguments = [sys.executable, "-c", EXTRACT, yaml.safe_dump(params.to_mapping()), str(genre_folder), str(tmp_path)]
    process = subprocess.Popen(arguments, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = tmp_path / "features" / undisturbed.folder.with_suffix(".partial").name / "done.jsonl"
    while not (journal.exists() and journal.read_text().count("\n") >= 3):
        assert process.poll() is None, "the extraction ended before it could be killed"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = [json.loads(line)[0] for line in journal.read_text().splitlines()]
    assert 3 <= len(done) < 24
    with journal.open("a") as lines:
        lines.write('["torn')  # a kill in the middle of a line

    resumed = store.build(tracks, params, tmp_path)
    assert (resumed.folder / "features.npy").read_bytes() == (undisturbed.folder / "features.npy").read_bytes()
    pd.testing.assert_frame_equal(resumed.segments, undisturbed.segments)


def test_resuming_does_not_repeat_what_is_done(tracks, params, tmp_path, monkeypatch):
    built = store.build(tracks, params, tmp_path / "whole")
    folder = tmp_path / "features" / built.folder.name
    partial = folder.with_suffix(".partial")
    partial.mkdir(parents=True)
    shutil.copy(built.folder / "features.npy", partial)
    lines = [json.dumps([track_id, 4, ""]) for track_id in tracks["track_id"]]
    (partial / "done.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(store, "extract_track", lambda *_: pytest.fail("done already"))
    assert len(store.build(tracks, params, tmp_path).segments) == 96
