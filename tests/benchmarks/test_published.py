"""The tables and sentences of docs/ say what benchmarks/results says."""

import json
import re

import pandas as pd
import pytest

from benchmarks.accuracy import tries
from benchmarks.reliability import page
from genre_utils.evaluation import scoring
from genre_utils.inference import litert_model
from genre_utils.paths import PROJECT


@pytest.mark.parametrize(
    ("network", "protocol", "name"),
    [
        ("paper's, image 128×64", "paper", "paper_cnn_paper"),
        ("paper's, image 128×64", "artist", "paper_cnn_artist"),
        ("`compact_cnn`, refitted", "artist", "compact_cnn_refit_artist"),
    ],
)
def test_the_readme_says_what_the_results_say(network, protocol, name):
    result = json.loads((PROJECT / "benchmarks" / "results" / "accuracy" / f"{name}.json").read_text())
    value = result["pooled"]["track"]
    low, high = 100 * value["low"], 100 * value["high"]
    figures = f"{100 * value['accuracy']:.1f} % | {low:.1f} to {high:.1f} % | {value['n']} clips"
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert f"| {network} | GTZAN, 709 log-mels | `{protocol}` | clip | {figures} |" in text
    if name.startswith("paper"):
        assert f"{100 * value['accuracy']:.1f} %" in text.partition("**The split decides.**")[2].partition("\n\n")[0]


def test_the_readme_and_the_results_page_say_which_average_holds():
    result = json.loads((PROJECT / "benchmarks" / "results" / "accuracy" / "chosen_refit.json").read_text())
    found = {row["mean"]: row for row in result["rows"]}
    text = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8").partition("### Which average to trust?")[2]
    names = {"all five, plain": "plain", "all five, calibrated": "calibrated"}
    for shown, name in (names | {"chosen by validation, calibrated": "chosen"}).items():
        row, gain = found[name], found[name]["against"]
        cells = [
            f"{100 * row[level]['accuracy']:.1f} % [{100 * row[level]['low']:.1f}, {100 * row[level]['high']:.1f}]"
            for level in ("segment", "track")
        ]
        cells.append(f"{100 * gain['difference']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]")
        cells.append(f"{100 * row['calibration_error']:.1f} %")
        assert f"| {shown} | {' | '.join(cells)} |".replace("-", "−") in text
    assert len(result["rows"]) == 6 and "six averages" in text
    assert not any("paper_cnn" in member for members in result["folds"].values() for member in members)
    error = next(value for name, value in result["calibration"].items() if name.startswith("paper_cnn"))
    assert f"expected calibration error of {100 * error['before']:.1f} %" in text
    track = found["chosen"]["track"]
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    figures = f"{100 * track['accuracy']:.1f} % | {100 * track['low']:.1f} to {100 * track['high']:.1f} %"
    named = "| average of four networks and an SVM, chosen by validation | GTZAN, 709 log-mels | `artist` | clip"
    assert f"{named} | {figures} | 709 clips |" in readme


def test_the_results_page_says_what_other_artists_are_worth():
    result = json.loads((PROJECT / "benchmarks" / "results" / "accuracy" / "artists.json").read_text())
    text = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8").replace("−", "-")
    for few, many in zip(result["rows"][::2], result["rows"][1::2], strict=True):
        intervals = [f"{100 * row['low']:.1f}, {100 * row['high']:.1f}" for row in (few, many)]
        cells = [
            f"{100 * row['accuracy']:.1f} % [{interval}], {row['artists']:.1f} artists"
            for row, interval in zip((few, many), intervals, strict=True)
        ]
        gain = [f"{100 * many[name]:+.1f}" for name in ("difference", "difference_low", "difference_high")]
        assert f"| {few['per_genre']} | {' | '.join(cells)} | {gain[0]} [{gain[1]}, {gain[2]}] |" in text
    wrong, three = result["wrong"], ("rock", "reggae", "blues")
    assert (
        f"Of {wrong['all']} clips that the refitted `compact_cnn` predicts wrong, {wrong['of_these']} are of 12" in text
    )
    for row in result["by_artist"]:
        cells = f"| {row['genre']} | {row['artist']} | {row['clips']} | {row['right']} | {row['predicted']} |"
        assert (cells in text) == (row["genre"] in three)
    for row in result["by_genre"]:
        few, many = (
            ", ".join(f"{100 * row[f'{which} artists, {size}']:.0f} %" for size in (4, 8, 16, 32))
            for which in ("few", "many")
        )
        assert (f"| {row['genre']} | {row['artists']} | {few} | {many} |" in text) == (row["genre"] in three)


def test_readme_and_results_page_say_what_the_paper_s_own_size_gave():
    folder = PROJECT / "benchmarks" / "results" / "accuracy"
    rows = json.loads((folder / "paper_cnn_256_paper.json").read_text())["rows"]
    pooled = json.loads((folder / "paper_cnn_256_paper.json").read_text())["pooled"]
    text = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8").partition("### The paper at its own size")[2]
    for row in [*rows, *json.loads((folder / "paper_cnn_paper.json").read_text())["rows"]]:
        cells = [
            f"{100 * row[level]['accuracy']:.1f} % [{100 * row[level]['low']:.1f}, {100 * row[level]['high']:.1f}]"
            for level in ("segment", "track")
        ]
        image = "×".join(map(str, row["image"]))
        front = f"| {image} | {row['parameters']:,} | {row['seed']} | {row['epochs']}, {row['best_epoch']} | "
        assert f"{front}{' | '.join(cells)} |" in text
    segment, over = pooled["segment"], pooled["over_seeds"]
    low, high = 100 * segment["low"], 100 * segment["high"]
    assert f"**At 256×256, {100 * segment['accuracy']:.1f} % of segments are correct [{low:.1f}, {high:.1f}];" in text
    spread = [f"{100 * over[level]['mean']:.1f} ± {100 * over[level]['sd']:.1f} %" for level in ("segment", "track")]
    assert f"{spread[0]} of segments, {spread[1]} of tracks." in text
    for row in pooled["table"]:
        here = " | ".join(f"{row[name]:.2f}" for name in ("precision", "recall", "f1"))
        there = " | ".join(
            f"{scoring.PAPER_TABLE.loc[row['genre'], name]:.2f}" for name in ("precision", "recall", "f1")
        )
        assert f"| {row['genre']} | {here} | {there} |" in text
    most = ", ".join(f"{pair['pair']} {pair['confused']}" for pair in pooled["confused"][:3])
    ranked = [(place, pair) for place, pair in enumerate(pooled["confused"], start=1) if pair["in_paper"]]
    paper = ", ".join(f"{pair['pair']} {pair['confused']} of {pair['of']} (place {place})" for place, pair in ranked)
    assert f"Confused most: {most}. The three pairs that the paper names: {paper}." in text
    named = "two seeds | GTZAN, 709 log-mels | `paper` | segment"
    figures = f"{100 * segment['accuracy']:.1f} % | {low:.1f} to {high:.1f} %"
    tested = f"{segment['n']:,} segments of {pooled['track']['n']} clips"
    assert f"{named} | {figures} | {tested} |" in (PROJECT / "README.md").read_text(encoding="utf-8")


def test_the_results_page_says_what_138_real_clips_gave():
    folder = PROJECT / "benchmarks" / "results" / "accuracy" / "real"
    text = (
        (PROJECT / "docs" / "results.md").read_text(encoding="utf-8").partition("### The same question on 138 real")[2]
    )

    def cell(value, low, high):
        return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"

    for row in pd.read_csv(folder / "protocols.csv").itertuples():
        segments = cell(row.segment, row.segment_low, row.segment_high)
        tracks = cell(row.track, row.track_low, row.track_high)
        line = f" | {segments} | {row.test_segments} segments | {tracks} | {row.test_tracks} tracks |"
        assert re.search(rf"\| `{row.protocol}`[^|]*{re.escape(line)}", text)
    track = json.loads((folder / "metrics.json").read_text())["track"]
    said = f"{100 * track['accuracy']:.1f} % of {track['n']} tracks correctly [{100 * track['low']:.1f}, "
    assert said in text
    scratch, probe = pd.read_csv(folder / "transfer.csv").query("protocol == 'artist'").itertuples()
    assert f"`compact_cnn` with the augmented recipe has {cell(scratch.accuracy, scratch.low, scratch.high)}" in text
    assert f"a probe of a pretrained network {cell(probe.accuracy, probe.low, probe.high)}" in text
    gain = [f"{100 * value:+.1f}" for value in (probe.difference, probe.difference_low, probe.difference_high)]
    assert f"{gain[0]} points [{gain[1]}, {gain[2]}]" in text


def test_the_page_on_transfer_says_what_the_demo_gave():
    found = pd.read_csv(PROJECT / "benchmarks" / "results" / "accuracy" / "demo" / "transfer.csv")
    page = (PROJECT / "docs" / "transfer.md").read_text(encoding="utf-8").replace("−", "-")
    for protocol, rows in found.groupby("protocol"):
        scratch, probe = rows.itertuples()
        cells = [f"{100 * row.accuracy:.1f} % [{100 * row.low:.1f}, {100 * row.high:.1f}]" for row in (probe, scratch)]
        gain = [f"{100 * value:+.1f}" for value in (probe.difference, probe.difference_low, probe.difference_high)]
        assert f"| `{protocol}` | {' | '.join(cells)} | {gain[0]} [{gain[1]}, {gain[2]}] | {probe.n} |" in page


def test_the_readme_and_the_results_page_say_the_same_of_make_run():
    readme, results = ((PROJECT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/results.md"))
    rows = [
        line.split("|", 4)[4]
        for line in readme.splitlines()
        if line.startswith("| paper's") and "| segment |" in line and "log-mels" not in line
    ]
    assert len(rows) == 2 and all(row in results for row in rows)


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


def test_the_speed_page_says_how_large_and_fast_the_explorer_is():
    result = json.loads((PROJECT / "benchmarks" / "results" / "speed" / "explorer_demo.json").read_text())
    large, *rows = result["rows"]
    hardware = result["machine"]["device"].partition(",")[0]
    text = (PROJECT / "docs" / "speed.md").read_text(encoding="utf-8")

    def clicked(row):
        opens = f"{row['size_mb']:.1f} MB | {row['median_open_ms']:.0f} ms"
        return f"| {hardware} | {opens} | {row['median_ms']:.0f} ms | {row['slowest_ms']:.0f} ms |"

    for row in rows[:2]:
        figures = f"{row['size_mb']:.1f} MB | {row['median_open_ms']:.0f} ms | | |"
        assert f"| {row['tracks']} tracks of 30 s, {row['page']} | demo | {hardware} | {figures}" in text
    assert f"| {large['segments']:,} segments, without sound | random predictions {clicked(large)}" in text
    for row in rows[2:]:
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {row['page']}: {row['clips']:,} clips, ")]
        assert line.endswith(f"| random predictions {clicked(row)}")
        assert not row["with_sound"] or f"{row['with_sound']:,} of them with sound" in line
        assert not row["with_sound"] or f"{row['write_s']:.0f} s for {row['with_sound']:,} clips" in text
    assert f"{large['clicks']} clicks" in text and f"{rows[2]['clicks']} clicks" in text


@pytest.mark.parametrize(("data", "name"), [("80 real GTZAN clips", "gtzan_mini"), ("80 demo tracks", "demo")])
def test_the_results_page_says_how_well_other_sounds_are_recognised(data, name):
    found = json.loads((PROJECT / "benchmarks" / "results" / "accuracy" / f"calibration_{name}.json").read_text())
    area = {(row["kind"], row["score"]): row["auroc"] for row in found["rows"] if row["what"] == "score"}
    verdict = {row["kind"]: row["unlike anything in training"] for row in found["rows"] if row["what"] == "verdict"}
    text = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8").partition("### Sounds that are not music")[2]
    table = text.partition(f"\n{data}")[2].partition("| sound |")[2].partition("\n\n")[0]
    head, _, *lines = table.splitlines()
    scores = [cell.strip() for cell in head.split("|")[:5]]
    kinds = [line.split("|")[1].strip() for line in lines]
    assert set(kinds) == {kind for kind, _ in area}
    for kind, line in zip(kinds, lines, strict=True):
        cells = [f"{area[kind, score]:.2f}" for score in scores] + [f"{verdict[kind]:.0%}".replace("%", " %")]
        assert line == f"| {' | '.join([kind, *cells])} |"


@pytest.mark.parametrize("name", ["gtzan_mini", "demo"])
def test_the_results_page_says_what_temperatures_change(name):
    found = json.loads((PROJECT / "benchmarks" / "results" / "accuracy" / f"calibration_{name}.json").read_text())
    by_kind = {row["what"]: row for row in found["rows"] if row["what"] != "score"}
    text = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
    data = "80 real clips, held out" if name == "gtzan_mini" else "80 demo tracks, held out"
    for level in ("segment", "track"):
        before, after = by_kind[f"{level}s"], by_kind[f"{level}s, calibrated"]
        figures = f"negative log-likelihood | {before['surprise']:.3f} | {after['surprise']:.3f} |"
        assert f"| `compact_cnn` | {data} | {level} | {before['n']} {level}s | {figures}" in text
    right = round(after["right"] * after["n"])
    unsure = [after["below half, right"], after["below half, wrong"]]
    said = f"{unsure[0]} of {right} | {unsure[1]} of {after['n'] - right} |"
    assert f"| {data.partition(',')[0]} | {said}" in text


FIVE = ["paper_cnn", "compact_cnn", "attention", "crnn", "svm"]
REFITS = ["compact_cnn_refit", "attention_refit", "svm_refit"]


@pytest.mark.parametrize("name", [*FIVE, "ensemble", *REFITS, "ensemble_refit"])
def test_the_results_page_says_what_goes_beyond_the_paper(name):
    folder = PROJECT / "benchmarks" / "results" / "accuracy"
    together = name.startswith("ensemble")
    result = json.loads((folder / (f"{name}.json" if together else f"{name}_artist.json")).read_text())
    last = result["rows"][-1] if together else result["pooled"] | {"against": result.get("against")}
    text = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8").partition("## Which network is best")[2]
    lines = text.partition("\n### ")[0].splitlines()
    start = {"ensemble": "| all five", "ensemble_refit": "| refits"}.get(name, f"| `{name}`")
    if name in REFITS:
        start = f"| refit: `{name.removesuffix('_refit')}`"
    (line,) = [line for line in lines if line.startswith(start)]
    cells = [cell.strip() for cell in line.split("|")]
    assert result["machine"]["device"].startswith(cells[4].partition(" ")[0])
    for cell, level in zip(cells[-4:-2], ("segment", "track"), strict=True):
        value = last[level]
        assert cell == f"{100 * value['accuracy']:.1f} % [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"
    if name != "paper_cnn":
        gain = last["against"] if together else last["against"]["track"]
        said = f"{100 * gain['difference']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
        assert cells[-2] == said.replace("-", "−")


@pytest.mark.parametrize("name", ["compact_cnn", "attention", "svm"])
def test_the_results_page_says_what_more_training_clips_bring(name):
    folder = PROJECT / "benchmarks" / "results" / "accuracy"
    files = [folder / f"{name}{refit}_artist.json" for refit in ("", "_refit")]
    values = [json.loads(file.read_text())["pooled"]["track"]["accuracy"] for file in files]
    shown = "support vector machine" if name == "svm" else f"`{name}`"
    text = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
    assert f"| {shown} | {' | '.join(f'{100 * value:.1f} %' for value in values)} |" in text


def test_the_page_on_prediction_says_how_the_candidates_compared():
    rows = json.loads((PROJECT / "benchmarks" / "results" / "accuracy" / "candidates.json").read_text())["rows"]
    page = (PROJECT / "docs" / "prediction.md").read_text(encoding="utf-8")
    known = {(row["candidate"], row["condition"]): row for row in rows}
    assert {row["n"] for row in rows} == {138}
    for condition in {row["condition"] for row in rows}:
        cells = []
        for candidate in "BAC":
            row = known[candidate, condition]
            cells.append(f"{100 * row['accuracy']:.1f} % [{100 * row['low']:.1f}, {100 * row['high']:.1f}]")
        a, c = (re.findall(r"[-+]\d+\.\d", known[candidate, condition]["less_b"]) for candidate in "AC")
        opposite = [f"{-float(value):+.1f}" for value in (a[0], a[2], a[1])]  # the page has B less A
        gains = [f"{gain} [{low}, {high}]".replace("-", "−") for gain, low, high in (opposite, c)]
        assert f"| {condition} | {' | '.join(cells + gains)} |" in page
        if condition == "as it is":
            assert f"is {gains[0][1:].replace(' ', ' points above that of A ', 1)}, and" in page
            assert f"C is {gains[1][1:].replace(' ', ' points below B ', 1)}: nothing" in page
    shipped = known["B", "as it is"]
    figure = f"{100 * shipped['accuracy']:.1f} % of 138 GTZAN clips"
    about = json.loads((litert_model.SHIPPED / "export.json").read_text())["about"]
    assert figure in (PROJECT / "README.md").read_text(encoding="utf-8")
    assert figure.replace("GTZAN ", "") in about and about in page


def test_the_page_on_transfer_says_how_probe_and_networks_from_scratch_compare():
    rows = json.loads((PROJECT / "benchmarks" / "results" / "accuracy" / "transfer_real.json").read_text())["rows"]
    page = (PROJECT / "docs" / "transfer.md").read_text(encoding="utf-8")
    for row in rows:
        low, high = 100 * row["low"], 100 * row["high"]
        cell = f"| {100 * row['accuracy']:.1f} % [{low:.1f}, {high:.1f}] |"
        if row["model"] != rows[0]["model"]:
            gain = [100 * row[name] for name in ("difference", "difference_low", "difference_high")]
            cell += " {:+.1f} [{:+.1f}, {:+.1f}] |".format(*gain)
        assert cell in page


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


def test_the_speed_page_says_what_make_bench_printed():
    text = (PROJECT / "docs" / "speed.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.endswith("` |")]
    assert len(rows) > 30
    for *_, intel, amd, name in rows:
        script_name, what = name.strip("`").split("`: `")
        for machine, value in (("intel", intel), ("amd", amd)):
            path = PROJECT / "benchmarks" / "results" / "speed" / machine / f"{script_name}.json"
            assert value == f"{json.loads(path.read_text())['ratios'][what]:.3g}", (machine, name)


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
