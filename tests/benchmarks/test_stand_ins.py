"""The stand-ins of benchmarks/speed/fma.py are read as the Free Music Archive, and the page says what was measured."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks.speed import fma
from genre_utils.datasets import catalog, labels
from genre_utils.paths import PROJECT
from genre_utils.splits import protocols

RESULT = PROJECT / "benchmarks" / "results" / "speed" / "amd" / "fma.json"


@pytest.mark.filterwarnings("ignore::UserWarning")  # few tracks of the sub-genres
def test_stand_ins_have_genres_licences_and_a_split_by_artist(tmp_path, params, monkeypatch):
    noise = np.random.default_rng(0).normal(0, 0.1, 8_000)
    monkeypatch.setattr(fma, "encoded", lambda *args: fma.soundfile.write(args[-1], noise, 8_000, format="MP3"))
    monkeypatch.setattr(fma.joblib, "Parallel", lambda _: lambda jobs: [call(*args) for call, args, _ in jobs])
    clips = fma.stand_ins(tmp_path, 800)
    tracks = catalog.load(dataclasses.replace(params, dataset=str(clips)))
    assert len(tracks) == 800 and set(tracks["fault"]) == {""}
    assert tracks["genre"].value_counts().to_dict() == dict.fromkeys(fma.TOPS.values(), 100)
    assert set(tracks["licence"]) == set(fma.LICENCES)
    assignment, shared = protocols.assign(tracks, dataclasses.replace(params, protocol="published"))
    sides = assignment.drop_duplicates("track_id")["split"].value_counts(normalize=True)
    assert sides.round(2).to_dict() == {"train": 0.8, "validation": 0.1, "test": 0.1}
    assert shared.query("between == 'train – test' and what == 'artist'")["tracks"].item() == 0
    several = catalog.load(dataclasses.replace(params, dataset=str(clips), all_genres=True))
    assert labels.of_several(several["genre"]).mean() == 0.5


def test_the_page_says_what_was_measured():
    result = json.loads(RESULT.read_text())
    text = (PROJECT / "docs" / "data.md").read_text(encoding="utf-8")
    for row in result["rows"]:
        assert f"| {row['notebook']} | {row['seconds'] / 60:.1f} | {row['peak_mb'] / 1e3:.1f} |" in text
    hours = result["epochs"] * result["epoch_seconds"] / 3_600
    assert f"{result['epochs']} epochs take {hours:.1f} hours" in text
    assert result["machine"]["tracks"] == 8_000
