"""The page in a real browser: what a click does, what is heard, and what no name can do."""

import dataclasses
import io
import re
import urllib.parse

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe
from guess import run_folder
from playwright.sync_api import expect
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from genre_utils.datasets import catalog
from genre_utils.evaluation import calibration, scoring
from genre_utils.explorer import data, media
from genre_utils.explorer import page as explorer_page
from genre_utils.figures import style
from genre_utils.inference import model_folder
from genre_utils.params import Params
from genre_utils.runs import report


@pytest.fixture(scope="module")
def tracks(genre_folder, params):
    found = catalog.from_folder(genre_folder, params)
    return found.assign(artist=[f"artist {number % 5}" for number in range(len(found))], title="song")


@pytest.fixture(scope="module")
def runs(tracks, params, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [run_folder(folder / name, tracks, params, seed) for seed, name in enumerate(("first", "second"))]


@pytest.fixture(scope="module")
def one(runs):
    return data.of_run(runs[0])


@pytest.fixture(scope="module")
def tables(runs, one):
    """The first run's test by level and kind of probability."""
    fitted = model_folder.read(runs[0].folder / "model").calibration
    return {
        ("segments", "raw"): one.rows,
        ("segments", "calibrated"): calibration.calibrated(one.rows, fitted, "softmax"),
        ("tracks", "raw"): scoring.by_track(one.rows),
        ("tracks", "calibrated"): calibration.by_track(one.rows, fitted, "softmax"),
    }


@pytest.fixture(scope="module")
def two(runs):
    return data.of_run(*runs)


@pytest.fixture(scope="module")
def address(one, tmp_path_factory):
    return explorer_page.write(one, tmp_path_factory.mktemp("one")).as_uri()


@pytest.fixture(scope="module")
def address_of_two(two, tmp_path_factory):
    return explorer_page.write(two, tmp_path_factory.mktemp("two")).as_uri()


def choose(page, text):
    """One of the buttons above the matrix."""
    page.locator(".gx-controls").get_by_text(text, exact=True).click()


def cell(page, true, called):
    return page.get_by_role("button", name=re.compile(rf"^{re.escape(true)} predicted as {re.escape(called)}: "))


def picture_is_there(page, card):
    """Wait until a card's picture is drawn; without a source yet, an image calls itself complete."""
    image = card.locator("img.gx-image").first.element_handle()
    page.wait_for_function("image => image.naturalWidth > 0", arg=image)


def clock(seconds):
    return f"0:0{seconds:.1f}".removesuffix(".0")


def headings_of(rows, of):
    """The headings of the cards of some segments, in their order: those of a track share a card."""
    found = []
    for track, its in rows.groupby("track_id", sort=False):
        start, end = (its["start_seconds"].iloc[0] + length for length in (0, 0.5))
        where = f"{clock(start)} to {clock(end)}" if len(its) == 1 else f"{len(its)} of {of} segments"
        found.append(f"{track} {where}")
    return found


def shown_counts(page, genres):
    """The matrix as a reader finds it, by the cells' names."""
    return [
        [int(re.search(r": ([\d,]+) ", cell(page, true, called).get_attribute("aria-label"))[1]) for called in genres]
        for true in genres
    ]


def test_counts_are_scikit_learns_at_both_levels(page, address, one):
    page.goto(address)
    genres = one.facts["genres"]
    for level, table in (("segments", one.rows), ("tracks", scoring.by_track(one.rows))):
        page.get_by_text(level, exact=True).click()
        expected = confusion_matrix(table["genre"], table["predicted"], labels=genres)
        assert shown_counts(page, genres) == expected.tolist()
        for show, share in (("count", None), ("row %", 1), ("column %", 0)):
            page.get_by_text(show, exact=True).click()
            for i, true in enumerate(genres):
                for j, called in enumerate(genres):
                    text = cell(page, true, called).locator("b").inner_text()
                    whole = expected.sum(axis=share)[i if share else j] if share is not None else 1
                    value = expected[i, j] if share is None else 100 * expected[i, j] / max(whole, 1)
                    assert abs(float(text.strip("%")) - value) <= 0.5


def test_the_cell_its_row_and_its_column_in_figures(page, address, one, tables):
    page.goto(address)
    cell(page, "noise", "treble").click()
    truth, called = one.rows["genre"], one.rows["predicted"]
    hits = one.rows[(truth == "noise") & (called == "treble")]
    honest = lambda kind: 100 * tables["segments", kind].loc[hits.index, "p_treble"].mean()  # noqa: E731
    lines = page.locator(".gx-figures dd").all_inner_texts()
    assert lines[0] == (
        f"{len(hits)} segments: {100 * len(hits) / (truth == 'noise').sum():.1f} % of noise, "
        f"{100 * len(hits) / (called == 'treble').sum():.1f} % of all predicted as treble; "
        f"mean calibrated probability of treble: {honest('calibrated'):.1f} %"
    )
    choose(page, "raw")
    assert (
        page.locator(".gx-figures dd")
        .first.inner_text()
        .endswith(f"mean raw probability of treble: {honest('raw'):.1f} %")
    )
    table = scoring.table_one(one.rows)
    assert lines[1].startswith(f"recall {100 * table.loc['noise', 'recall']:.1f} % of 32 segments; F1 ")
    assert lines[1].endswith(f"F1 {table.loc['noise', 'f1']:.2f}")
    assert lines[2].startswith(
        f"precision {100 * table.loc['treble', 'precision']:.1f} % of {(called == 'treble').sum()} "
    )
    assert lines[2].endswith(f"F1 {table.loc['treble', 'f1']:.2f}")


def test_genres_stand_by_similarity_or_by_alphabet(page, address, one):
    page.goto(address)
    heads = lambda: page.locator("table[role=grid] th[scope=col]").all_inner_texts()  # noqa: E731
    similar = scoring.by_similarity(scoring.confusion(one.rows)).index.tolist()
    assert heads() == similar and similar != sorted(similar)
    assert page.locator("table[role=grid] th[scope=row]").all_inner_texts() == similar
    page.get_by_text("alphabet", exact=True).click()
    assert heads() == sorted(similar)


@pytest.mark.parametrize("kind", ["calibrated", "raw"])
def test_a_click_lists_the_cells_clips_most_confidently_wrong_first(page, address, tables, kind):
    page.goto(address)
    choose(page, kind)
    table = tables["segments", kind]
    wrong = table[(table["genre"] == "noise") & (table["predicted"] == "bass")]
    cell(page, "noise", "bass").click()
    page.wait_for_selector(".gx-clip")
    assert page.get_by_role("heading", name="noise, predicted as bass").is_visible()
    headings = page.locator(".gx-clip h4")
    expected = wrong.sort_values("p_bass", ascending=False)["track_id"]
    assert headings.all_text_contents() == headings_of(wrong.loc[expected.index], of=4)
    first = page.locator(".gx-clip").first
    best = wrong.loc[expected.index[0]]
    its = wrong[wrong["track_id"] == best["track_id"]]
    start = best["start_seconds"]
    of_which = f", {clock(start)} to {clock(start + 0.5)}" if len(its) > 1 else ""
    assert f"true noise, predicted bass ✗ wrong\n\n{kind} probability{of_which}\n" in first.inner_text()
    assert first.locator(".gx-marked").count() == len(its)
    expect(first.get_by_role("button", name=re.compile("^▶ "))).to_have_count(1)
    sure = best[["p_bass", "p_noise", "p_treble"]].astype(float).sort_values(ascending=False)
    assert [text.split() for text in first.locator(".gx-top li").all_inner_texts()] == [
        [name.removeprefix("p_"), f"{100 * value:.1f}", "%"] for name, value in sure.items()
    ]
    assert best["artist"] in first.inner_text()
    assert len(first.locator(".gx-timeline button").all()) == 4  # what each segment of the track was called


def test_of_a_genre_the_wrong_come_first_and_the_least_sure_right_ones_next(page, address, one, tables):
    page.goto(address)
    page.get_by_role("button", name="all noise", exact=True).click()
    rows = tables["segments", "calibrated"].query("genre == 'noise'")
    sure = rows[[f"p_{genre}" for genre in one.facts["genres"]]].max(axis=1)
    right = rows["genre"] == rows["predicted"]
    order = sure.where(~right, -sure).sort_values(ascending=False).index
    shown = page.locator(".gx-clip h4")
    assert shown.all_text_contents() == headings_of(rows.loc[order], of=4)
    page.get_by_role("button", name="All segments").click()  # of 24 tracks, 10 at once
    expect(shown).to_have_count(10)
    page.get_by_role("button", name="Show 10 more of 14").press("Enter")
    expect(shown).to_have_count(20)
    assert page.evaluate("document.activeElement.innerText") == shown.nth(10).inner_text()


def test_on_a_narrow_screen_a_click_brings_its_clips_into_view(page, address):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address)
    for true, called in (("noise", "bass"), ("bass", "noise")):
        cell(page, true, called).click()
        panel = page.get_by_role("region", name=f"{true}, predicted as {called}", exact=True)
        for part in (panel.get_by_role("heading", level=3), panel.locator("p").first):
            box = part.bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= 844
        panel.get_by_role("button", name="Pin to compare").click()
    cell(page, "noise", "bass").click()
    selected, pinned = (page.locator(".gx-panel").nth(place).bounding_box() for place in (0, 1))
    assert pinned["y"] == selected["y"] and selected["x"] + selected["width"] <= pinned["x"] < 390  # beside, in sight
    assert page.evaluate("document.scrollingElement.scrollWidth") == 390


def heard_times(page, audio):
    """Follows an audio element: ``window.heard`` grows by its times in seconds."""
    page.wait_for_function("audio => audio.readyState > 0", arg=audio.element_handle())
    audio.evaluate("audio => { window.heard = []; audio.ontimeupdate = () => heard.push(audio.currentTime); }")


def test_play_is_heard_from_the_segments_start_to_its_end(page, address, one):
    wrong = one.rows.query("genre != predicted").groupby(["track_id", "predicted"]).filter(lambda its: len(its) == 1)
    row = wrong.query("segment == 2").iloc[0]  # alone of its track in its cell
    page.goto(address)
    cell(page, row["genre"], row["predicted"]).click()
    card = page.locator(".gx-clip", has=page.get_by_role("heading", name=f"{row['track_id']} 0:01 to 0:01.5"))
    card.scroll_into_view_if_needed()
    audio = card.locator("audio")
    picture_is_there(page, card)
    heard_times(page, audio)
    before = card.locator(".gx-playhead").bounding_box()["x"]
    card.get_by_role("button", name="▶ 0:01 to 0:01.5").click()
    page.wait_for_function("audio => audio.paused && audio.currentTime > 1.05", arg=audio.element_handle())
    heard = page.evaluate("heard")
    assert min(heard) >= 1.0 and audio.evaluate("audio => audio.currentTime > 1.4 && !audio.ended")
    assert card.locator(".gx-playhead").bounding_box()["x"] > before


def test_the_segments_of_a_card_are_heard_one_after_the_other_and_nothing_between(page, address, one):
    page.goto(address)
    its = one.rows.query("track_id == 'noise/noise.00004.wav' and genre == 'noise' and predicted == 'bass'")
    assert its["segment"].tolist() == [0, 1, 3]
    card = page.locator(".gx-clip", has=page.get_by_role("heading", name="noise/noise.00004.wav 3 of 4 segments"))
    audio = card.locator("audio")
    audio.scroll_into_view_if_needed()
    heard_times(page, audio)
    card.get_by_role("button", name="▶ these 3 segments").click()
    page.wait_for_function("audio => audio.paused && audio.currentTime > 1.9", arg=audio.element_handle())
    heard = np.array(page.evaluate("heard"))
    for start in its["start_seconds"]:
        assert ((heard > start) & (heard < start + 0.5)).any()
    assert not ((heard > 1.2) & (heard < 1.5)).any()


def test_picture_and_timeline_are_places_to_play_from(page, address):
    page.goto(address)
    page.get_by_text("tracks", exact=True).click()
    page.get_by_role("button", name="all treble", exact=True).click()
    card = page.locator(".gx-clip").first
    audio = card.locator("audio").element_handle()
    page.wait_for_function("audio => audio.readyState > 0", arg=audio)
    audio.evaluate("audio => { window.heard = []; audio.ontimeupdate = () => heard.push(audio.currentTime); }")
    card.locator(".gx-timeline button").nth(1).click()  # its second segment, of half a second
    page.wait_for_function("audio => audio.paused && audio.currentTime > 0.9", arg=audio)
    heard = page.evaluate("heard")
    assert min(filter(None, heard)) >= 0.5 and not audio.evaluate("audio => audio.ended")  # it stands at 0 before
    picture = card.locator(".gx-picture")
    box = picture.bounding_box()
    page.evaluate("heard.length = 0")
    picture.click(position={"x": 0.25 * box["width"], "y": 20})
    page.wait_for_function("audio => audio.ended", arg=audio)  # to the end of the sound, not of a segment
    assert 0.4 < page.evaluate("Math.min(...heard)") < 1
    assert card.locator(".gx-playhead").bounding_box()["x"] == pytest.approx(box["x"] + box["width"], abs=3)


def test_the_pictures_axes_have_units(page, address, params):
    page.goto(address)
    page.get_by_role("button", name="all treble", exact=True).click()
    card = page.locator(".gx-clip").first
    assert card.locator(".gx-hz span").all_inner_texts() == ["Hz", "300", "1k", "3k"]
    low, high = (card.locator(".gx-hz").get_by_text(text, exact=True).bounding_box()["y"] for text in ("300", "3k"))
    assert low > high
    assert card.locator(".gx-seconds span").all_inner_texts() == ["0", "0.5", "1", "1.5", "2 s"]
    assert card.locator(".gx-db").inner_text().split("\n") == ["0 dB", f"−{params.top_db:g}"]


def test_what_is_known_of_a_track_stands_on_its_card(page, address, tracks):
    page.goto(address + "#level=track")
    page.get_by_role("button", name="all treble", exact=True).click()
    card = page.locator(".gx-clip", has=page.get_by_role("heading", name="treble/treble.00000.wav"))
    artist = tracks.set_index("track_id").loc["treble/treble.00000.wav", "artist"]
    assert card.locator(".gx-by").text_content() == f"{artist} – song"
    others = tracks[(tracks["artist"] == artist) & (tracks["track_id"] != "treble/treble.00000.wav")]
    expected = {f"repeat: same artist and title as {other}" for other in others["track_id"]}
    expected |= {
        f"label in doubt: same artist and title as {other.track_id}, which is labelled {other.genre}"
        for other in others.itertuples() if other.genre != "treble"
    }  # fmt: skip
    assert len(expected) > 4 and set(card.locator(".gx-badges li").all_text_contents()) == expected


def test_one_clip_is_heard_at_a_time(page, address):
    page.goto(address)
    page.get_by_text("tracks", exact=True).click()
    page.get_by_role("button", name="all bass", exact=True).click()
    sounds = [page.locator("audio").nth(place) for place in (0, 1)]
    for sound in sounds:
        sound.scroll_into_view_if_needed()
        page.wait_for_function("audio => audio.readyState > 0", arg=sound.element_handle())
        sound.evaluate("audio => { audio.loop = true; return audio.play(); }")
    page.wait_for_function("audio => audio.paused", arg=sounds[0].element_handle())
    assert not sounds[1].evaluate("audio => audio.paused")


def test_the_keyboard_reaches_every_cell_and_chooses(page, address):
    page.goto(address + "#order=alphabet")
    page.wait_for_selector("table[role=grid]")
    grid = page.locator("table[role=grid]")
    for _ in range(30):
        page.keyboard.press("Tab")
        if grid.evaluate("grid => grid.contains(document.activeElement)"):
            break
    focused = lambda: page.evaluate("document.activeElement.getAttribute('aria-label')")  # noqa: E731
    assert focused().startswith("noise predicted as bass: "), "The chosen cell, at first the largest confusion."
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    path = {
        "ArrowDown": "bass predicted as bass", "ArrowRight": "bass predicted as noise",
        "ArrowUp": "all predicted as noise", "Home": "all predicted as bass", "End": "all predicted as treble",
    }  # fmt: skip
    for key, name in path.items():
        page.keyboard.press(key)
        assert focused().split(":")[0] == name
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector(".gx-clip")
    assert page.get_by_role("heading", name="noise, predicted as treble").is_visible()
    assert focused().startswith("noise predicted as treble"), "Choosing must not lose the place in the matrix."
    page.keyboard.press("Tab")
    assert not grid.evaluate("grid => grid.contains(document.activeElement)"), "One Tab leaves the matrix."


def test_the_keyboard_keeps_its_place(page, address):
    page.goto(address + "#tab=genre&genre=bass")
    for _ in range(3):
        page.get_by_role("slider", name="Threshold").press("ArrowRight")
        assert page.evaluate("document.activeElement.type") == "range"
    assert "threshold=0.53" in page.url
    page.get_by_role("combobox").press("ArrowDown")
    expect(page.locator("[role=tabpanel] h3")).to_have_text("noise against the rest")
    assert page.evaluate("document.activeElement.tagName") == "SELECT"
    cell(page, "noise", "bass").click()
    page.get_by_role("button", name="Pin to compare").press("Enter")
    assert page.evaluate("document.activeElement.innerText") == "Unpin"
    cell(page, "noise", "noise").click()
    page.get_by_role("button", name="Unpin").press("Enter")
    assert page.evaluate("document.activeElement.role") == "tabpanel"


def test_arrows_step_over_a_hidden_diagonal(page, address):
    page.goto(address + "#order=alphabet&diagonal=hidden")
    cell(page, "noise", "bass").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("noise predicted as treble")
    assert page.locator("td.gx-hidden").count() == 3


def saved(page, panel, name):
    with page.expect_download() as download:
        panel.get_by_role("button", name="Save as CSV").click()
    assert download.value.suggested_filename == name
    return pd.read_csv(io.StringIO(download.value.path().read_text(encoding="utf-8")), keep_default_na=False)


def test_the_selection_is_saved_as_it_stands_in_the_predictions(page, address, tables):
    page.goto(address)
    cell(page, "bass", "treble").click()
    columns = ["track_id", "segment", "start_seconds", "genre", "predicted", "artist"]
    for kind in ("calibrated", "raw"):
        choose(page, kind)
        table = saved(page, page.locator(".gx-panel"), "bass-predicted-as-treble-segments.csv")
        table = table.sort_values(["track_id", "segment"], ignore_index=True)
        expected = tables["segments", kind].query("genre == 'bass' and predicted == 'treble'").reset_index(drop=True)
        pd.testing.assert_frame_equal(table[columns], expected[columns])
        assert (table["probabilities"] == kind).all()
        assert np.abs(table["p_noise"] - expected["p_noise"]).max() < 1.1e-5
    choose(page, "tracks")
    page.get_by_role("button", name="all bass", exact=True).click()
    assert len(saved(page, page.locator(".gx-panel"), "all-bass-tracks.csv")) == 8


def test_a_link_restores_the_view(page, address):
    page.goto(address)
    for choice in ("tracks", "raw", "column %", "alphabet", "hide"):
        choose(page, choice)
    page.get_by_role("button", name="all noise", exact=True).click()
    page.get_by_role("button", name="Pin to compare").click()
    cell(page, "bass", "noise").click()
    parts = page.locator(".gx > :not([role=status])")  # what is said once is not said again
    seen = parts.all_inner_texts()
    link = page.get_by_role("link", name="Link to this view").first.evaluate("link => link.href")
    assert link == page.url
    page.goto("about:blank")
    page.goto(link)
    page.wait_for_selector(".gx-panel")
    assert parts.all_inner_texts() == seen
    assert page.locator(".gx-panel").count() == 2


def test_a_link_to_what_is_not_there_says_so(page, address):
    of_two_runs = urllib.parse.urlencode({"select": '["change","won"]'})
    page.goto(f"{address}#{of_two_runs}")
    expect(page.get_by_role("status")).to_have_text("Not available in this explorer: change, won.")
    wanted = urllib.parse.urlencode(
        {
            "select": '["cell","salsa","bass"]',
            "level": "album",
            "show": "toString",
            "constructor": "1",
            "order": "alphabet",
        }
    )
    page.goto(f"{address}#{wanted}")
    page.wait_for_selector("table[role=grid]")
    said = page.get_by_role("status").inner_text()
    assert said == ("Not available in this explorer: cell, salsa, bass; level album; show toString; constructor.")
    assert page.locator("table[role=grid] th[scope=col]").all_inner_texts() == ["bass", "noise", "treble"]


@pytest.mark.parametrize("kind", ["calibrated", "raw"])
def test_one_genre_against_the_rest_reads_as_scikit_learn(page, address, tables, kind):
    page.goto(f"{address}#tab=genre&genre=noise&threshold=0.35&probability={kind}")
    p, truth = tables["segments", kind]["p_noise"].to_numpy(float), tables["segments", kind]["genre"] == "noise"
    text = page.locator("[aria-live]").inner_text()
    assert f"{(p >= 0.35).sum()} segments would be predicted as noise" in text
    assert f"precision {100 * precision_score(truth, p >= 0.35):.1f} %" in text
    assert f"recall {100 * recall_score(truth, p >= 0.35):.1f} % of {truth.sum()}" in text
    expect(page.locator("[role=tabpanel]")).to_contain_text(
        f"The highest {kind} probability of noise is {100 * p.max():.1f}"
    )
    page.get_by_role("slider", name="Threshold").fill("0.8")
    expect(page.locator("[aria-live]")).to_contain_text(f"{(p >= 0.8).sum()} segment")


def test_a_genre_of_low_probabilities_has_its_curve_and_what_is_undefined_is_a_dash(page, runs, tmp_path):
    """Ranked perfectly, called never, and never more probable than 4 %."""
    low = runs[0].predictions()
    of_it = low["genre"] == "bass"
    low = low.assign(p_bass=np.where(of_it, 0.04, 0.01), p_noise=0.5, p_treble=0.4, predicted="noise")
    run = run_folder(tmp_path / "run", runs[0].tracks(), runs[0].params, temperatures=None)
    run.write_table("predictions.parquet", low)
    address = explorer_page.write(data.of_run(run), tmp_path / "page").as_uri()
    page.goto(f"{address}#tab=genre&genre=bass&level=track")
    assert page.get_by_text("Average precision 100.0 %").is_visible()
    box = page.locator(".gx-line.gx-recall").bounding_box()
    assert box["width"] > 0.9 * page.locator(".gx-chart").bounding_box()["width"] * 330 / 420  # of an axis up to 5 %
    assert box["height"] > 100
    reading = page.locator("[aria-live]")
    assert reading.inner_text().startswith(
        "With a threshold of 2.00 %, 8 tracks would be predicted as bass: precision 100.0 %, recall 100.0 %"
    )
    page.get_by_role("slider", name="Threshold").fill("0.05")
    expect(reading).to_have_text(
        "With a threshold of 5.00 %, 0 tracks would be predicted as bass: precision –, recall 0.0 % of 8."
    )
    page.get_by_role("button", name="all predicted as bass", exact=True).click()
    assert page.locator(".gx-figures dd").all_inner_texts() == [
        "recall 0.0 % of 8 tracks; F1 0.00", "precision – of 0 tracks predicted as bass; F1 0.00"
    ]  # fmt: skip
    assert "– of all predicted as bass" in cell(page, "bass", "bass").get_attribute("aria-label")
    choose(page, "column %")
    assert cell(page, "bass", "bass").inner_text() == "–"
    expect(page.get_by_role("radio", name="raw")).to_have_count(0)
    page.get_by_role("tab", name="Clips").click()
    assert page.locator(".gx-panel").get_by_text("0 tracks.").is_visible()
    cell(page, "bass", "noise").click()
    expect(page.locator(".gx-kind").first).to_have_text("probability, not calibrated")


def test_reliability_stands_before_and_after_with_error_interval_and_counts(page, address, one, tables):
    page.goto(f"{address}#tab=trust")
    for level in ("segment", "track"):
        choose(page, f"{level}s")
        for kind, name in (("raw", "Before calibration: raw"), ("calibrated", "After calibration")):
            about = one.facts["runs"][0][level][kind]["ece"]
            ece = f"{100 * about['ece']:.1f} %"
            part = page.get_by_role("region", name=name)
            expect(part).to_contain_text(f"error {ece}, no interval: 5 artists are too few, 10 are needed")
            rows = tables[f"{level}s", kind]
            sure = rows[["p_bass", "p_noise", "p_treble"]].to_numpy(float).max(axis=1)
            bins = np.histogram(np.ceil(10 * sure), np.arange(0.5, 11))[0]
            assert [int(text) for text in part.locator(".gx-count").all_text_contents()] == [n for n in bins if n]
            part.get_by_text("Show as a table").click()
            counts = part.locator(".gx-table tbody tr td:nth-child(2)").all_inner_texts()
            assert sum(map(int, counts)) == len(rows)
        temperature = one.facts["runs"][0][level]["temperature"]
        expect(page.locator("[role=tabpanel]")).to_contain_text(f"divided: {temperature:.2f}, from validation")


def test_a_run_without_a_model_is_said_to_be_not_calibrated(page, runs, tmp_path):
    bare = run_folder(tmp_path / "bare", runs[0].tracks(), runs[0].params, temperatures=None)
    page.goto(explorer_page.write(data.of_run(bare, runs[1]), tmp_path / "page").as_uri() + "#tab=trust")
    expect(page.locator("[role=tabpanel]")).to_contain_text("Not calibrated: the run has no model folder")
    assert page.locator("[role=tabpanel] .gx-chart").count() == 1
    page.get_by_role("radio", name="B", exact=True).check(force=True)
    assert page.locator("[role=tabpanel] .gx-chart").count() == 2
    cell(page, "noise", "bass").click()
    kinds = page.locator(".gx-clip").first.locator(".gx-kind").all_inner_texts()
    assert kinds == ["probability, not calibrated", "calibrated probability"]
    choose(page, "raw")
    kinds = page.locator(".gx-clip").first.locator(".gx-kind").all_inner_texts()
    assert kinds == ["probability, not calibrated", "raw probability"]


def test_names_of_genres_are_whole_beside_a_pinned_cell(page, one, tmp_path):
    facts = one.facts | {"genres": ["classical", "instrumental", "bluegrass"]}
    address = explorer_page.write(dataclasses.replace(one, facts=facts), tmp_path / "page").as_uri()
    view = urllib.parse.urlencode({"select": '["row","instrumental"]', "pin": '["row","classical"]'})
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto("about:blank")
        page.goto(f"{address}#{view}")
        page.wait_for_selector(".gx-timeline button")
        for name in (".gx-timeline button > :first-child", ".gx-top li > :first-child", "table[role=grid] th span"):
            cut = page.locator(name).evaluate_all(
                """all => all.filter(one => {
                    const [box, around] = [one, one.parentElement].map(node => node.getBoundingClientRect());
                    return one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1
                        || box.left < around.left - 1 || box.right > around.right + 1;
                }).map(one => one.textContent)"""
            )
            assert cut == [], f"{name} at {width} px"


def test_two_runs_which_clips_changed(page, address_of_two, two):
    page.goto(f"{address_of_two}#tab=runs")
    first, second = (np.array(run["segment"]["predicted"]) for run in two.facts["runs"])
    truth = np.array([two.facts["tracks"]["genre"][track] for track in two.facts["segments"]["track"]])
    won = int(((first != truth) & (second == truth)).sum())
    gain = two.facts["paired"]["segment"]
    difference = f"{100 * gain['difference']:+.1f} %".replace("-", "−")
    text = page.locator("[role=tabpanel]").inner_text()
    assert f"Accuracy of B minus A: {difference} of 96 segments, no interval: {gain['no_interval']}." in text
    page.get_by_role("button", name=f"{won} wrong in A, right in B").click()
    assert f"{won} segments" in page.locator(".gx-panel").inner_text()
    called = page.locator(".gx-clip").first.locator(".gx-prediction > :first-child").all_inner_texts()
    assert called[0].startswith("A: ") and called[0].endswith("✗ wrong") and called[1].endswith("✓ right")
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    assert f"{won} segments" in page.locator(".gx-panel").inner_text()

    page.get_by_text("B − A", exact=True).click()
    page.get_by_text("count", exact=True).click()
    genres = two.facts["genres"]
    change = np.subtract(two.facts["runs"][1]["segment"]["counts"], two.facts["runs"][0]["segment"]["counts"])
    for i, true in enumerate(genres):
        for j, called in enumerate(genres):
            shown = cell(page, true, called).locator("b").inner_text()
            assert shown == (f"{change[i, j]:+d}".replace("-", "−") if change[i, j] else "0")


def test_without_network_and_from_one_file(page, one, tmp_path):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    lonely = tmp_path / "alone.html"
    explorer_page.write(one, tmp_path / "page", single_file=True).rename(lonely)
    page.goto(lonely.as_uri())
    cell(page, "noise", "bass").click()
    audio = page.locator("audio").first
    audio.scroll_into_view_if_needed()  # what is out of sight is not read
    page.wait_for_function("audio => audio.readyState > 0", arg=audio.element_handle())
    audio.evaluate("audio => audio.play()")
    page.wait_for_function("audio => audio.currentTime > 0.1", arg=audio.element_handle())
    assert {urllib.parse.urlparse(url).scheme for url in asked} <= {"file", "data", "blob"}
    assert [url for url in asked if url.startswith("file:")] == [lonely.as_uri()]


def test_a_track_without_sound_says_why(page, one, tmp_path):
    gone = dataclasses.replace(one, excerpts=[media.Excerpt("/gone.wav")] * len(one.excerpts))
    page.goto(explorer_page.write(gone, tmp_path / "page").as_uri())
    cell(page, "noise", "bass").click()
    page.locator(".gx-sound").first.scroll_into_view_if_needed()
    expect(page.locator(".gx-waiting").first).to_contain_text("the file is not there")


NO_VORBIS = "HTMLMediaElement.prototype.canPlayType = () => '';"


@pytest.mark.parametrize(
    ("plays_vorbis", "reason"),
    [(True, "cannot play its file media/00000.ogg: it is missing or damaged"), (False, "does not play Ogg Vorbis")],
)
def test_a_sound_that_the_browser_cannot_play_is_said_and_passed_over(new_page, one, tmp_path, plays_vorbis, reason):
    written = explorer_page.write(one, tmp_path / "page")
    sounds = sorted((written.parent / "media").glob("*.ogg"))
    sounds[0].write_bytes(b"no sound")
    page = new_page()
    if not plays_vorbis:
        page.add_init_script(NO_VORBIS)
    view = urllib.parse.urlencode({"select": '["all"]', "level": "track", "sort": "name"})
    page.goto(f"{written.as_uri()}#{view}")
    cards = page.locator(".gx-clip")
    broken = one.facts["tracks"]["id"][0]
    card = cards.filter(has=page.get_by_role("heading", name=broken))
    card.scroll_into_view_if_needed()
    expect(card.locator(".gx-waiting")).to_contain_text(reason)
    expect(card.locator("audio")).to_be_hidden()
    picture_is_there(page, card)
    place = cards.locator("h4").all_inner_texts().index(broken)
    assert place == 0, "The order by name begins with the first track."
    page.get_by_role("button", name="▶ Play all").click()
    page.wait_for_function("audio => audio.currentTime > 0.1", arg=cards.nth(1).locator("audio").element_handle())


def test_licences_stand_on_the_cards_and_of_the_page(page, tracks, params, tmp_path):
    free, closed = "Attribution-ShareAlike 3.0 International", "Attribution-NoDerivatives 4.0 International"
    known = tracks.assign(licence=[free if number % 2 else closed for number in range(len(tracks))])
    made = data.of_run(run_folder(tmp_path / "run", known, params))
    page.goto(explorer_page.write(made, tmp_path / "page", clips=None).as_uri())
    link = "https://creativecommons.org/licenses/by-sa/3.0/"
    heard = sum(name == free for name in made.facts["tracks"]["licence"])
    notice = page.locator("details.gx-notice")
    expect(notice).to_contain_text(f"The sound of {heard} tracks is here")
    expect(notice).to_contain_text(f"That of {len(known) - heard} tracks is left out")
    notice.locator("summary").click()
    expect(notice.locator("li")).to_have_text(f"{free}: {heard} tracks")
    expect(notice.get_by_role("link")).to_have_attribute("href", link)
    row = known.set_index("track_id")
    seen = set()
    for genre in made.facts["genres"]:
        page.locator(f"""[data-selection='["row","{genre}"]']""").click()
        cards = page.locator(".gx-clip:visible")
        for card in cards.all():
            name = card.locator("h4").text_content().split(" ")[0]
            expect(card).to_contain_text(row["licence"][name])
            card.scroll_into_view_if_needed()
            if row["licence"][name] == closed:
                expect(card).to_contain_text("the licence of this track forbids changed versions")
                expect(card.locator("audio")).to_be_hidden()
            else:
                picture_is_there(page, card)
            seen.add(row["licence"][name])
    assert seen == {free, closed}


def test_hostile_names_do_nothing(page, params, tmp_path):
    """Real files of such names, through the catalog into the page."""
    genres = ["<svg onload=alert(1)>", "'\"><b id=owned>", "__proto__"]
    rng = np.random.default_rng(0)
    for genre in genres:
        for name in ("<img src=x onerror=alert(1)>", "<script>alert(1)<:script>", "${alert(1)}"):
            (tmp_path / genre).mkdir(exist_ok=True)
            soundfile.write(tmp_path / genre / f"{name}.wav", rng.normal(0, 0.1, 10_000), params.sample_rate_hz)
    tracks = catalog.from_folder(tmp_path, params).assign(
        artist="<img src=x onerror=alert(2)>", title='"</li>", <iframe>'
    )
    page.on("dialog", lambda dialog: pytest.fail(f"a name ran: {dialog.message}"))
    run = run_folder(tmp_path / "run", tracks, params)
    run.write_metrics(run.metrics() | {"dataset": "<img src=x onerror=alert(3)>"})
    page.goto(explorer_page.write(data.of_run(run, run), tmp_path / "page").as_uri())
    for genre in genres:
        page.get_by_role("button", name=f"all {genre}", exact=True).click()
        page.wait_for_selector(".gx-clip")
    for tab in ("One genre", "Reliability", "Two runs", "Clips"):
        page.get_by_role("tab", name=tab).click()
    assert "<img src=x onerror=alert(1)>.wav" in page.locator(".gx-clip h4").all_inner_texts()[0] + "".join(
        page.locator(".gx-clip h4").all_inner_texts()
    )
    sources = page.locator(".gx img").evaluate_all("images => images.map(image => image.getAttribute('src'))")
    assert all(source is None or re.fullmatch(r"media/\d{5}\.webp", source) for source in sources)
    assert page.locator("#owned, .gx iframe, .gx svg[onload], .gx script").count() == 0
    table = saved(page, page.locator(".gx-panel"), "all-proto-segments-a.csv")
    assert set(table["artist"]) == set(tracks["artist"]) and set(table["title"]) == set(tracks["title"])
    assert set(table["genre"]) == {"__proto__"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_no_serious_violation_and_nothing_sticks_out(page, address_of_two, scheme, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    chosen = {"select": '["cell","noise","bass"]'}
    views = [{"tab": tab} for tab in ("clips", "genre", "trust", "runs")]
    views += [chosen | {"run": "difference"}, chosen | {"pin": '["row","noise"]', "level": "track"}]
    for view in views:
        page.goto("about:blank")
        page.goto(f"{address_of_two}#{urllib.parse.urlencode(view)}")
        page.wait_for_selector("table[role=grid]")
        found = Axe().run(page).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
        assert serious == [], view
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width, f"{view} sticks out at {width} px"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_fits_and_leads_to_the_explorer_and_back(page, runs, one, scheme, width):
    run = runs[0]
    run.write_metrics(
        run.metrics() | {
            "parameters": 1, "seed": 0, "epochs": 2, "device": "none", "commit": "0123456789abcdef" * 4, "seconds": {},
            "data_fingerprint": "fedcba9876543210" * 4, "versions": {"python": "3"}, "dataset": "/m" + "usic/" * 20,
        }
    )  # fmt: skip
    run.write_table("history.csv", pd.DataFrame({"epoch": [1, 2], "val_accuracy": [0.1, 0.2]}))
    run.figures.mkdir(exist_ok=True)
    for place, name in enumerate(report.MAIN_FIGURES):
        figure, _ = plt.subplots(figsize=((7, 6), (8, 3), (13, 5))[place % 3])
        style.finished(figure, run.figures / name)
    made = {"profile": "ci", "values": {}, "notebooks": ["01_eda", "02_feature_extraction"], "done": ["01_eda"]}
    report.write(run, made)
    explorer_page.write(one, run.folder / "explorer")
    address = report.write(run, made)  # which links the explorer that is there now
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(address.as_uri())
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    heads = [head.bounding_box() for head in page.locator("table").first.locator("th").all()]
    assert len(heads) == 5 and all(box["x"] + box["width"] <= width for box in heads)  # Table I, without scrolling
    serious = [one["id"] for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    assert serious == []
    page.get_by_role("link", name="Explore the confusion matrix by ear").click()
    page.wait_for_selector("table[role=grid]")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    page.get_by_role("link", name="Report of the run").click()
    assert page.url == address.as_uri()


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:.*holds 80 tracks:UserWarning")
def test_real_music_is_heard(page, tmp_path):
    params = Params(dataset="gtzan-mini")
    run = run_folder(tmp_path / "run", catalog.load(params), params)
    page.goto(explorer_page.write(data.of_run(run), tmp_path / "page").as_uri())
    page.get_by_text("tracks", exact=True).click()
    page.get_by_role("button", name="all blues", exact=True).click()
    audio = page.locator("audio").first
    page.wait_for_function("audio => audio.readyState > 0", arg=audio.element_handle())
    assert audio.evaluate("audio => audio.duration") == pytest.approx(30, abs=0.1)
    audio.evaluate("audio => audio.play()")
    page.wait_for_function("audio => audio.currentTime > 1", arg=audio.element_handle())
