"""The explorer of a table in a real browser: many classes, keys, filters, doubts, queues and the map."""

import io
import json
import re
import urllib.parse

import numpy as np
import pandas as pd
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe
from conftest import tone
from guess import run_folder
from playwright.sync_api import expect
from sklearn.metrics import confusion_matrix

from genre_utils.datasets import catalog
from genre_utils.evaluation import prediction_table
from genre_utils.explorer import data, predictions
from genre_utils.explorer import page as explorer_page

RATE_HZ = 8_000
SECONDS = 0.4
MANY = [f"class {number:02}" for number in range(50)]
FEW = ["cat", "dog", "owl"]


def table_of(classes, count, seed=0):
    """Predictions of files that say their class and number; about two thirds are right."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % len(classes)
    p = rng.dirichlet(np.full(len(classes), 0.3), count)
    p[np.arange(count), truth] += np.where(rng.random(count) < 0.6, 1, 0)
    p /= p.sum(axis=1, keepdims=True)
    table = pd.DataFrame(
        {
            "file": [f"{classes[index]} {number:03}.wav" for number, index in enumerate(truth)],
            "label": [classes[index] for index in truth],
            "predicted": [classes[index] for index in p.argmax(axis=1)],
            "speaker": [f"speaker {number % 12}" for number in range(count)],
            "loudness": rng.normal(-20, 5, count).round(1),
            "room": rng.choice(["bath", "hall", "roof"], count),
        }
    )
    return pd.concat([table, pd.DataFrame(p, columns=[f"p_{name}" for name in classes])], axis=1)


def written(table, folder, **options):
    found = prediction_table.read(table, **options)
    return explorer_page.write(predictions.of_table(found), folder, clips=None).as_uri()


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """The files of the table of few classes, each of 0.4 s."""
    folder = tmp_path_factory.mktemp("sounds")
    for number, name in enumerate(table_of(FEW, 30)["file"]):
        soundfile.write(folder / name, 0.3 * tone(300 + 50 * number, SECONDS, RATE_HZ), RATE_HZ)
    return folder


@pytest.fixture(scope="module")
def few(sounds, tmp_path_factory):
    """Three classes, 30 files with sound and probabilities."""
    return written(table_of(FEW, 30), tmp_path_factory.mktemp("few"), audio=sounds)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The same table without probabilities and sound."""
    table = table_of(FEW, 30)
    kept = [name for name in table if not name.startswith("p_")]
    return written(table[kept], tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Fifty classes, without sound."""
    return written(table_of(MANY, 1_000), tmp_path_factory.mktemp("many"))


def link(address, **view):
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in view.items()}
    return f"{address}#{urllib.parse.urlencode(texts)}"


def asked_for(page):
    """The view in the URL."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlparse(page.url).fragment))


def confusions_of(table):
    """The off-diagonal cells as [[count, true, predicted], …], the largest first."""
    classes = sorted({*table["label"]})
    counts = confusion_matrix(table["label"], table["predicted"], labels=classes)
    np.fill_diagonal(counts, 0)
    cells = [(int(counts[i, j]), classes[i], classes[j]) for i, j in zip(*counts.nonzero(), strict=True)]
    return sorted(cells, key=lambda one: (-one[0], one[1], one[2]))


# Many classes


def test_of_many_classes_the_largest_confusions_are_listed_and_lead_to_their_clips(page, many):
    table = table_of(MANY, 1_000)
    expected = confusions_of(table)
    page.goto(many)
    expect(page.locator(".gx-confusions li")).to_have_count(15)
    shown = page.locator(".gx-confusions li button").all_inner_texts()
    assert shown == [f"{count} {truth} → {guess}" for count, truth, guess in expected[:15]]
    wrong = sum(count for count, *_ in expected)
    share = 100 * sum(count for count, *_ in expected[:15]) / wrong
    expect(page.locator(".gx-confusions")).to_contain_text(
        f"These are {share:.0f} % of {wrong} mistakes, which are in {len(expected)} cells."
    )
    assert json.loads(asked_for(page)["select"]) == ["cell", *expected[0][1:]]  # the largest is chosen at first
    count, truth, guess = expected[4]
    entry = page.locator(".gx-confusions li button").nth(4)
    entry.click()
    expect(entry).to_have_attribute("aria-pressed", "true")
    panel = page.get_by_role("region", name=f"{truth}, predicted as {guess}", exact=True)
    expect(panel.locator(".gx-clip")).to_have_count(count)
    cell = table[(table["label"] == truth) & (table["predicted"] == guess)]
    order = cell.sort_values(f"p_{guess}", ascending=False)["file"].tolist()
    assert panel.locator(".gx-clip h4").all_text_contents() == order
    pressed = page.locator("table[role=grid] button[aria-pressed=true]")
    assert pressed.get_attribute("aria-label").startswith(f"{truth} predicted as {guess}: {count} clip")
    assert page.locator("table[role=grid] th[scope=row]").count() == 12


def test_the_overview_is_read_and_chosen_by_arrow_keys_and_by_the_pointer(page, many):
    table = table_of(MANY, 1_000)
    page.goto(link(many, order="alphabet", select=["cell", MANY[3], MANY[3]]))
    canvas = page.get_by_role("application")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    count = lambda i, j: int(((table["label"] == MANY[i]) & (table["predicted"] == MANY[j])).sum())  # noqa: E731
    share = 100 * count(4, 4) / (table["label"] == MANY[4]).sum()
    said = page.locator(".gx-whole .gx-reading")
    nouns = "clip" if count(4, 4) == 1 else "clips"
    expect(said).to_have_text(f"{MANY[4]} predicted as {MANY[4]}: {count(4, 4)} {nouns}, {share:.1f} % of {MANY[4]}")
    page.keyboard.press("Enter")
    assert json.loads(asked_for(page)["select"]) == ["cell", MANY[4], MANY[4]]
    expect(page.locator(".gx-panel h3")).to_have_text(f"{MANY[4]}, predicted as {MANY[4]} (right)")
    assert canvas.evaluate("node => node === document.activeElement"), "Choosing must not lose the place."
    box = page.locator(".gx-canvas canvas").bounding_box()
    at = {"x": box["width"] * 10.5 / 50, "y": box["height"] * 10.5 / 50}
    page.locator(".gx-canvas canvas").hover(position=at)
    expect(said).to_contain_text(f"{MANY[10]} predicted as {MANY[10]}: {count(10, 10)} clips")
    page.locator(".gx-canvas canvas").click(position=at)
    assert json.loads(asked_for(page)["select"]) == ["cell", MANY[10], MANY[10]]
    painted = page.locator(".gx-canvas canvas").evaluate(
        """canvas => { const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const seen = new Set(); for (let at = 0; at < data.length; at += 4) seen.add(data.slice(at, at + 3).join());
            return seen.size; }"""
    )
    assert painted > 5


def test_a_class_is_found_and_more_classes_are_shown_around_it(page, many):
    page.goto(many)
    search = page.get_by_role("combobox", name="Find a class")
    search.fill(MANY[37])
    search.press("Enter")
    expect(page.locator(".gx-panel h3")).to_have_text(f"all {MANY[37]}")
    heads = page.locator("table[role=grid] th[scope=row]")
    assert MANY[37] in heads.all_inner_texts()
    page.get_by_label("Cells of").select_option("24")
    expect(heads).to_have_count(24)
    assert MANY[37] in heads.all_inner_texts() and asked_for(page)["classes"] == "24"


# What is absent


def test_without_probabilities_and_sound_what_needs_them_is_absent_and_said(page, bare):
    table = table_of(FEW, 30)
    page.goto(bare)
    assert page.get_by_role("tab").all_inner_texts() == ["Clips", "Doubts"]
    notices = page.locator(".gx-notice").all_inner_texts()
    assert any("no sound and no picture, because no audio file was found" in text for text in notices)
    assert any("no probabilities" in text for text in notices)
    page.get_by_role("button", name="All clips").click()
    page.get_by_role("button", name="Show 10 more of 20").click()
    expect(page.locator(".gx-panel > p").first).to_have_text("30 clips, wrong ones first.")
    wrong = int((table["label"] != table["predicted"]).sum())
    texts = page.locator(".gx-clip .gx-prediction").all_inner_texts()
    assert [text.endswith("✗ wrong") for text in texts] == ([True] * wrong + [False] * 30)[:20]
    assert page.locator(".gx-clip audio, .gx-clip .gx-top, .gx-clip img").count() == 0
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    saved = pd.read_csv(io.StringIO(download.value.path().read_text(encoding="utf-8")))
    assert not [name for name in saved if name.startswith("p_")] and {*saved["probabilities"]} == {"none"}
    merged = saved.merge(table, left_on="track_id", right_on="file", suffixes=("", "_given"))
    assert len(merged) == 30 and (merged["predicted"] == merged["predicted_given"]).all()
    assert (merged["loudness"] == merged["loudness_given"]).all() and (merged["room"] == merged["room_given"]).all()
    page.goto("about:blank")
    page.goto(link(bare, tab="map"))
    expect(page.get_by_role("status")).to_have_text("Not available in this explorer: tab map.")


# Keys and doubts


def current(page):
    return page.locator(".gx-clip.gx-current h4").inner_text()


def is_playing(page):
    return page.locator("audio").evaluate_all("all => all.some(audio => !audio.paused)")


def test_keys_walk_play_and_doubt(page, few):
    page.goto(link(few, select=["all"]))
    names = page.locator(".gx-clip h4").all_text_contents()
    page.keyboard.press("j")
    assert current(page) == names[0]
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert current(page) == names[1] == page.evaluate("document.activeElement.innerText")
    page.locator("audio").nth(1).evaluate("audio => { audio.loop = true; }")
    page.keyboard.press("p")
    sound = page.locator("audio").nth(1).element_handle()
    page.wait_for_function("audio => !audio.paused && audio.currentTime > 0.05", arg=sound)
    page.keyboard.press("p")
    page.wait_for_function("audio => audio.paused", arg=sound)
    page.keyboard.press("d")
    doubted = page.locator(".gx-clip", has=page.get_by_role("heading", name=names[1])).locator("[data-doubt]")
    expect(doubted).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("tab", name="Doubts (1)")).to_be_visible()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.type("jpd")  # letters in a field are letters
    expect(page.get_by_role("tab", name="Doubts (1)")).to_be_visible()
    assert page.evaluate("document.activeElement.value") == "jpd"


def test_doubts_survive_a_reload_and_are_saved(page, few, sounds, tmp_path):
    page.goto(link(few, select=["all"]))
    names = page.locator(".gx-clip h4").all_text_contents()
    for name in names[:2]:
        card = page.locator(".gx-clip", has=page.get_by_role("heading", name=name))
        card.get_by_role("button", name="Doubt the label").click()
        card.get_by_label(f"Note on the label of {name}").fill(f'"{name[0]}", or not')
    page.keyboard.press("Tab")  # a note is kept when its field is left
    page.reload()
    card = page.locator(".gx-clip", has=page.get_by_role("heading", name=names[1]))
    expect(card.get_by_role("textbox")).to_have_value(f'"{names[1][0]}", or not')
    page.get_by_role("tab", name="Doubts (2)").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    assert download.value.suggested_filename == "doubts.csv"
    saved = tmp_path / "doubts.csv"
    download.value.save_as(saved)
    table = pd.read_csv(saved)
    assert table["track_id"].tolist() == names[:2]
    assert table["note"].tolist() == [f'"{name[0]}", or not' for name in names[:2]]
    assert table["genre"].tolist() == [name.split()[0] for name in names[:2]]
    read_back = predictions.read(table_of(FEW, 30), audio=sounds, doubts=saved).facts["tracks"]["badges"]
    assert sorted(one["text"] for (one,) in read_back.values()) == sorted(table["note"])
    page.get_by_role("button", name=names[0]).first.click()
    assert page.locator(".gx-clip h4").all_text_contents() == [names[0]]
    page.get_by_role("tab", name="Doubts (2)").click()
    page.get_by_role("button", name=f"Remove {names[0]}").click()
    expect(page.get_by_role("tab", name="Doubts (1)")).to_be_visible()
    page.get_by_role("button", name="Remove all").click()
    expect(page.get_by_text("None yet.")).to_be_visible()


# Search, filter and sort


def add_filter(page, name, value):
    page.get_by_label("Filter by").select_option(name)
    page.get_by_role("combobox", name="Value").fill(value)
    page.get_by_role("button", name="Add filter").click()


def test_filters_change_the_list_and_are_in_the_link(page, few):
    table = table_of(FEW, 30)
    sure = 100 * table[[f"p_{name}" for name in FEW]].max(axis=1)
    page.goto(link(few, select=["all"]))
    page.get_by_text("Search, filter, sort").click()
    add_filter(page, "room", "HALL")
    expect(page.locator(".gx-panel > p").first).to_contain_text(f"{(table['room'] == 'hall').sum()} clips")
    add_filter(page, "probability, %", "> 80")
    both = table[(table["room"] == "hall") & (sure > 80)]
    assert 1 < len(both) < 20
    names = page.locator(".gx-clip h4")
    expect(names).to_have_count(len(both))
    assert {*names.all_text_contents()} == {*both["file"]}
    assert json.loads(asked_for(page)["filter"]) == [["room", "HALL"], ["probability, %", "> 80"]]
    expect(page.locator(".gx-filters summary")).to_have_text(f"Search, filter, sort: {len(both)} of 30 clips")
    shown, address = names.all_text_contents(), page.url
    page.goto("about:blank")
    page.goto(address)
    expect(names).to_have_count(len(shown))
    assert names.all_text_contents() == shown
    page.get_by_role("button", name="Remove the filter room HALL").click()
    expect(names).to_have_count(min(20, int((sure > 80).sum())))
    add_filter(page, "loudness", "-22 to -18")
    inside = table[(sure > 80) & table["loudness"].between(-22, -18)]
    expect(names).to_have_count(len(inside))
    page.goto("about:blank")
    page.goto(link(few, select=["all"], sort="name", search="owl speaker"))
    expect(names).to_have_count(10)
    assert names.all_text_contents() == sorted(table["file"][table["label"] == "owl"])


# Sound


def follow(page):
    """``window.plays``: the names of the clips whose sound begins, in order, and what has ended."""
    page.evaluate(
        """() => { window.plays = []; window.ends = [];
            const name = event => event.target.closest(".gx-clip").querySelector("h4").innerText;
            document.addEventListener("play", event => plays.push(name(event)), true);
            document.addEventListener("ended", event => ends.push(name(event)), true); }"""
    )


def test_all_clips_play_one_after_the_other_until_stop(page, few):
    page.goto(few)
    names = page.locator(".gx-clip h4").all_text_contents()
    assert len(names) > 2
    follow(page)
    expect(page.get_by_role("button", name="■ Stop")).to_be_hidden()
    page.get_by_role("button", name="▶ Play all").click()
    expect(page.get_by_role("button", name="■ Stop")).to_be_visible()
    page.wait_for_function("count => ends.length === count", arg=len(names))
    assert page.evaluate("plays") == page.evaluate("ends") == names
    expect(page.get_by_role("button", name="■ Stop")).to_be_hidden()
    page.evaluate("plays.length = ends.length = 0")
    page.locator("audio").evaluate_all("all => all.forEach(audio => { audio.playbackRate = 0.25; })")
    page.get_by_role("button", name="▶ Play all").click()
    page.wait_for_function("() => plays.length === 1 && document.querySelector('audio').currentTime > 0.02")
    page.get_by_role("button", name="■ Stop").click()
    expect(page.get_by_role("button", name="■ Stop")).to_be_hidden()
    page.wait_for_timeout(300)
    assert page.evaluate("[plays.length, ends.length]") == [1, 0] and not is_playing(page)


def test_two_cells_play_in_turn(page, few):
    page.goto(link(few, select=["row", "cat"], pin=["row", "owl"]))
    names = [page.locator(".gx-panel").nth(place).locator(".gx-clip h4").all_text_contents() for place in (0, 1)]
    follow(page)
    page.get_by_role("button", name="▶ Play both in turn").click()
    page.wait_for_function("() => ends.length >= 4")
    page.get_by_role("button", name="■ Stop").click()
    assert page.evaluate("ends")[:4] == [names[0][0], names[1][0], names[0][1], names[1][1]]


# Map and references


def test_a_window_of_a_long_file_is_heard_whole(page, tmp_path):
    """Its card has the sound from the window's start to its end, and nothing of the rest of the file."""
    soundfile.write(tmp_path / "long.wav", 0.3 * tone(400, 90, RATE_HZ), RATE_HZ)
    rows = {"file": "long.wav", "start": [30.0, 60.0], "end": [30.6, 60.6], "label": ["owl", "cat"], "predicted": "dog"}
    page.goto(link(written(pd.DataFrame(rows), tmp_path / "page", audio=tmp_path), select='["cell","owl","dog"]'))
    audio = page.locator("audio").first.element_handle()
    page.wait_for_function("audio => audio.readyState > 0", arg=audio)
    assert audio.evaluate("audio => audio.currentTime") == 0
    audio.evaluate("audio => { window.heard = []; audio.ontimeupdate = () => { heard.push(audio.currentTime); }; }")
    page.get_by_role("button", name="Play all").click()
    page.wait_for_function("audio => audio.ended", arg=audio)
    assert min(filter(None, page.evaluate("heard"))) < 0.4 and page.locator(".gx-marked").count() == 0
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    saved = pd.read_csv(io.StringIO(download.value.path().read_text(encoding="utf-8")))
    assert saved["start_seconds"].tolist() == [30.0]


def test_a_click_on_the_map_chooses_the_track_there(page, few, sounds):
    found = predictions.read(table_of(FEW, 30), audio=sounds).facts
    place = found["map"]
    page.goto(link(few, tab="map"))
    canvas = page.locator("canvas.gx-map")
    box = canvas.bounding_box()
    width, height, edge = 560, 460, 14
    scale = min((width - 2 * edge) / max(place["x"]), (height - 2 * edge) / max(place["y"]))
    number = int(np.argmax(place["x"]))  # the rightmost one: nobody is nearer to it
    x = edge + (width - 2 * edge - scale * max(place["x"])) / 2 + scale * place["x"][number]
    top = (height - 2 * edge - scale * max(place["y"])) / 2
    y = edge + top + scale * (max(place["y"]) - place["y"][number])
    at = {"x": x / width * box["width"], "y": y / height * box["height"]}
    name = found["tracks"]["id"][number]
    canvas.hover(position=at)
    expect(page.locator("[role=tabpanel] .gx-reading")).to_contain_text(name)
    canvas.click(position=at)
    assert json.loads(asked_for(page)["select"]) == ["one", name] and asked_for(page)["tab"] == "map"
    assert page.locator(".gx-clip h4").all_text_contents() == [name]
    page.wait_for_function("() => document.querySelector('.gx-clip audio').currentTime > 0.05")  # it is heard at once
    choice = page.get_by_role("combobox", name="Choose a clip")
    choice.focus()
    choice.select_option(found["tracks"]["id"][0])
    expect(page.locator(".gx-clip h4")).to_have_text(found["tracks"]["id"][0])


def test_clips_of_training_are_there_to_compare_with(page, genre_folder, params, tmp_path):
    tracks = catalog.from_folder(genre_folder, params)
    run = run_folder(tmp_path / "run", tracks, params)
    trained = tracks["track_id"][tracks["track_id"].str.contains("0000[0-3]")]
    table = run.predictions()
    run.write_table("predictions.parquet", table[~table["track_id"].isin(trained)])
    split = run.assignment()
    split.loc[split["track_id"].isin(trained), "split"] = "train"
    run.write_table("split.csv", split)
    page.goto(link(explorer_page.write(data.of_run(run), tmp_path / "page").as_uri(), select=["row", "bass"]))
    more = page.locator(".gx-references")
    more.locator("summary").click()
    cards = more.locator(".gx-clip")
    expect(cards.first).to_be_visible()
    texts = cards.locator("h4").all_text_contents()
    assert texts and all(re.fullmatch(r"bass/bass\.0000[0-3]\.wav bass, train", text) for text in texts)
    cards.first.locator("audio").scroll_into_view_if_needed()
    page.wait_for_function("audio => audio.readyState > 0", arg=cards.first.locator("audio").element_handle())
    assert not [text for text in page.locator(".gx-panel > ol h4").all_text_contents() if "0000[0-3]" in text]


# For everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_no_serious_violation_and_nothing_sticks_out(page, few, bare, many, scheme, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    views = [
        (bare, {"select": ["all"]}), (many, {"select": ["row", MANY[7]], "show": "all"}), (few, {"tab": "map"}),
        (few, {"tab": "doubts"}), (few, {"select": ["all"], "filter": [["room", "hall"], ["loudness", "> -30"]]}),
    ]  # fmt: skip
    for address, view in views:
        page.goto("about:blank")
        page.goto(link(address, **view))
        page.wait_for_selector("table[role=grid]")
        expect(page.locator(".gx")).not_to_contain_text(re.compile(r"\[object|undefined|NaN|null|false"))
        if view.get("tab") == "doubts":
            page.get_by_role("tab", name="Clips").click()
            page.get_by_role("button", name="Doubt the label").first.click()
            page.get_by_role("tab", name="Doubts").click()
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width, f"{view} sticks out at {width} px"
        if address == bare:  # it has nothing that the others do not have
            continue
        found = Axe().run(page).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
        assert serious == [], view
