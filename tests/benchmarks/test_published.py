"""The tables and sentences of docs/ say what benchmarks/results says."""

import json

import pytest

from benchmarks.accuracy import tries
from benchmarks.reliability import page
from genre_utils.paths import PROJECT


@pytest.mark.parametrize("model", ["paper_cnn", "compact_cnn"])
@pytest.mark.parametrize("protocol", ["paper", "filtered", "artist"])
def test_the_results_page_says_what_the_results_say(model, protocol):
    result = json.loads((PROJECT / "benchmarks" / "results" / "accuracy" / f"{model}_{protocol}.json").read_text())[
        "pooled"
    ]
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
    found = json.loads((PROJECT / "benchmarks" / "results" / "accuracy" / name).read_text())["pooled"]
    segments, tracks = (f"{100 * found[level]['accuracy']:.1f} %" for level in ("segment", "track"))
    (line,) = [
        line
        for line in (PROJECT / "docs" / "results.md").read_text().splitlines()
        if line.startswith("Refitted on the")
    ]
    assert any(f"{segments} {joined} {tracks}" in line for joined in ("of segments and", "and"))
    assert f"under `{protocol}`" in line


@pytest.mark.parametrize(
    ("data", "name"), [("demo", "fingerprinting_demo"), ("80 real GTZAN clips", "fingerprinting_gtzan")]
)
def test_the_results_page_says_what_the_audit_found(data, name):
    ratios = json.loads((PROJECT / "benchmarks" / "results" / "accuracy" / f"{name}.json").read_text())["ratios"]
    readme = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
    (line,) = [line for line in readme.splitlines() if line.startswith(f"| {data}") and "80 of 80" in line]
    cells = [cell.strip() for cell in line.split("|")]
    assert float(cells[3]) == ratios["recall"]
    assert (cells[4] == "0") == (ratios["precision"] == 1)
    expected = [f"{ratios[key]:.3f}" for key in ("lowest_true", "threshold", "highest_different")]
    assert [cells[5], f"{float(cells[6]):.3f}", cells[7]] == expected


@pytest.mark.parametrize(("data", "name"), [("demo", "explorer_demo"), ("real GTZAN clips", "explorer_gtzan_mini")])
def test_the_results_page_says_what_the_explorer_weighs(data, name):
    large, *pages = json.loads((PROJECT / "benchmarks" / "results" / "speed" / f"{name}.json").read_text())["rows"]
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
    folder = PROJECT / "benchmarks" / "results" / "accuracy"
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
    result = json.loads((PROJECT / "benchmarks" / "results" / "accuracy" / "budget_compact_cnn.json").read_text())
    (row,) = result["rows"]
    assert row["clips"]["train"] >= 640 and row["train_seconds"] < 600
    said = f"On {row['clips']['train']} of the clips its {row['epochs']} epochs took {row['train_seconds']:.0f} s"
    assert said in (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")


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
        for machine, value in zip(("intel", "amd"), values, strict=True):
            path = PROJECT / "benchmarks" / "results" / "speed" / machine / f"{script_name.strip('`')}.json"
            assert value == f"{json.loads(path.read_text())['ratios'][what.strip('`')]:.3g}", (machine, what)


def test_the_results_page_says_how_fast_the_papers_network_trains():
    result = json.loads((PROJECT / "benchmarks" / "results" / "speed" / "intel" / "training.json").read_text())
    (rate,) = [row["segments_per_second"] for row in result["rows"] if row["way"] == "ours"]
    readme = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
    assert f"trains on {rate:.1f} segments a second" in readme
    assert f"50 epochs: {4_200 * 50 / rate / 3_600:.1f} hours" in readme


def test_the_page_of_reliability_is_what_make_torture_printed():
    results = PROJECT / "benchmarks" / "results" / "reliability"
    assert page.page(results) == (PROJECT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [row for path in results.glob("*.json") for row in json.loads(path.read_text())["rows"]]
    assert not any(row.get(bad) for row in rows for bad in ("wrong", "crash", "hang"))
