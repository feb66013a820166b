"""What benchmarks/speed/scaling.py computes from its measurements."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import shared
from benchmarks.speed import scaling
from genre_utils.params import Params
from genre_utils.paths import PROJECT


def test_a_line_is_found_again():
    sizes = np.array([100, 1_000, 10_000])
    table = pd.DataFrame({"seconds": 3.0 + 0.05 * sizes}, index=sizes)
    assert scaling.fit(table, "seconds") == pytest.approx((3.0, 0.05))


def test_larger_collections_follow_from_the_formula_of_the_docs():
    lines = {"cpu_seconds": (3.0, 0.036), "catalog_seconds": (0.0, 0.0), "parent_mb": (200.0, 0.01)}
    short, whole, million = scaling.collections(lines, 60.0, Params())
    assert million["cpu_hours"] == pytest.approx(10.0, rel=1e-3)  # 36 ms each
    assert million["disk_gb"] == pytest.approx(6e6 * 128 * 216 * 2 / 1e9)
    assert million["parent_gb"] == pytest.approx(10.2)
    assert short["segments"] == 6 * 106_574
    assert whole["segments"] == 55 * 106_574
    assert whole["cpu_hours"] / short["cpu_hours"] == pytest.approx(343 * 86_400 / 106_574 / 30, rel=1e-3)
    assert whole["parent_gb"] - short["parent_gb"] == pytest.approx(2 * 49 * 106_574 * 60 / 1e9)


def test_tracks_are_links_and_take_no_room(tmp_path):
    source = tmp_path / "one.wav"
    source.write_bytes(b"music")
    music = shared.linked([source], 25, tmp_path / "music")
    assert sum(len(list(genre.iterdir())) for genre in music.iterdir()) == 25
    assert source.stat().st_nlink == 26
    assert len(list(music.iterdir())) == 10


def test_the_document_says_what_the_command_printed():
    result = json.loads((PROJECT / "benchmarks" / "results" / "speed" / "amd" / "scaling.json").read_text())
    text = (PROJECT / "docs" / "scaling.md").read_text(encoding="utf-8")
    names = ["cpu_seconds", "wall_seconds", "catalog_seconds", "again_seconds", "parent_mb", "disk_mb"]
    measured = (
        pd.DataFrame([row for row in result["rows"] if "collection" not in row]).groupby("tracks")[names].median()
    )
    for tracks, row in measured.iterrows():
        seconds = [f"{value:.2f}" for value in row[names[:4]]]
        assert " | ".join([f"| {tracks:,}", *seconds, f"{row['parent_mb']:.0f}", f"{row['disk_mb']:,.0f} |"]) in text
    for fixed, each in map(result["lines"].get, ("cpu_seconds", "catalog_seconds", "again_seconds", "parent_mb")):
        assert f"{fixed:.3f} |" in text and f"{each:.6f} |" in text
    for row in result["rows"]:
        if "collection" in row:
            disk, memory = f"{row['disk_gb']:.0f} GB", f"{row['parent_gb']:.1f} GB |"
            assert " | ".join([f"{row['segments']:,}", f"{row['cpu_hours']:.2f}", disk, memory]) in text
    assert f"{result['ratios']['cores_kept_busy']:.0%}".replace("%", " %") in text
