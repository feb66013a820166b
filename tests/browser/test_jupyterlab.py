"""Notebook 4 as a reader meets it: in JupyterLab, in a browser."""

import dataclasses
import json
import re

import pandas as pd
import pytest
from playwright.sync_api import expect

from browser import jupyterlab
from browser.conftest import watched
from genre_utils.datasets import contents
from genre_utils.paths import NOTEBOOKS
from genre_utils.runs import origins
from genre_utils.runs.folder import RunFolder
from genre_utils.splits import fingerprinting, survey


@pytest.fixture(scope="module")
def lab_run(genre_folder, built, assignment, params, tmp_path_factory):
    """A run folder after notebook 3."""
    import tiny  # noqa: F401  (registers the network)

    from genre_utils.training import trainer

    run = RunFolder(tmp_path_factory.mktemp("run"))
    chosen = dataclasses.replace(params, dataset=str(genre_folder), model="tiny_cnn", max_epochs=2)
    run.write_params(chosen)
    tracks, _, fingerprints = survey.survey(built.tracks, chosen)
    fingerprinting.duplicates(tracks, fingerprints).to_csv(run.folder / "duplicates.csv", index=False)
    built.tracks.to_parquet(run.folder / "tracks.parquet", index=False)
    assignment.to_csv(run.folder / "split.csv", index=False)
    genres = sorted(contents.usable(built.tracks)["genre"].unique())
    trainer.train(built, assignment, genres, chosen, run.folder, tmp_path_factory.mktemp("state"), quiet=True)
    made = ["duplicates.csv", "tracks.parquet", "split.csv", "history.csv", "model.keras"]
    origins.sign(run, origins.of(built.tracks, chosen), *made)
    return run


@pytest.fixture(scope="module")
def notebook_file(lab_run, tmp_path_factory):
    """A copy of notebook 4 whose ``run_dir`` is ``lab_run``."""
    notebook = json.loads((NOTEBOOKS / "04_evaluation.ipynb").read_text(encoding="utf-8"))
    (cell,) = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    cell["source"] = "".join(cell["source"]).replace('run_dir = ""', f"run_dir = {str(lab_run.folder)!r}")
    path = tmp_path_factory.mktemp("notebooks") / "04_evaluation.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def notebook_4(browser, notebook_file, built, tmp_path_factory):
    """The page of notebook 4 in JupyterLab, run to its end."""
    cache = built.folder.parents[1]
    with (
        jupyterlab.server(notebook_file.parent, tmp_path_factory.mktemp("lab"), cache) as address,
        watched(browser) as page,
    ):
        jupyterlab.open_notebook(page, address, notebook_file.name)
        jupyterlab.run_all(page)
        yield page


def cell(page, true, called):
    return page.locator(".gx").get_by_role("button", name=re.compile(f"^{true} predicted as {called}: "))


def selected(page):
    """What ``.selected`` is in the kernel."""
    text = jupyterlab.run_code(page, "print(matrix.selected.to_json(orient='split', index=False))")
    return pd.DataFrame(**json.loads(text))


def test_notebook_4_runs_in_jupyterlab(notebook_4):
    cell = notebook_4.locator(".jp-CodeCell", has_text="results.confusion_matrix(counts")
    picture = cell.locator(".jp-RenderedImage img")
    picture.scroll_into_view_if_needed()
    notebook_4.wait_for_function("picture => picture.naturalWidth > 300", arg=picture.element_handle())
    assert picture.is_visible()


def test_python_shows_the_cell_that_it_selects(notebook_4):
    page = notebook_4
    jupyterlab.run_code(page, "matrix.select('treble', 'treble')")
    expect(cell(page, "treble", "treble")).to_have_attribute("aria-pressed", "true")
    assert page.locator(".gx [aria-pressed=true]").count() == 1


def test_a_cell_is_clicked_and_its_rows_are_in_python(notebook_4, lab_run):
    test = lab_run.predictions().query("split == 'test'").reset_index(drop=True)
    true, called = test.groupby(["genre", "predicted"]).size().idxmax()
    cell(notebook_4, true, called).click()
    expected = test[(test["genre"] == true) & (test["predicted"] == called)].reset_index(drop=True)
    keys = ["track_id", "segment", "genre", "predicted", "path"]
    assert len(expected) and selected(notebook_4)[keys].equals(expected[keys])

    notebook_4.locator(".gx").get_by_text("tracks", exact=True).click()
    notebook_4.locator(".gx").get_by_role("button", name=f"all {true}", exact=True).click()
    whole = test[test["genre"] == true].reset_index(drop=True)  # of a track, every segment
    assert selected(notebook_4)[keys].equals(whole[keys])


def test_a_song_of_ones_own_is_heard(notebook_4, genre_folder, lab_run, tmp_path):
    page, song = notebook_4, tmp_path / "my song.wav"
    song.write_bytes((genre_folder / "bass" / "bass.00000.wav").read_bytes())
    heard = page.locator(".jp-CodeCell", has_text="files.uploaded(")
    expect(heard.locator(".jp-OutputArea")).to_contain_text("No file is chosen")
    button = page.locator("button.widget-upload")
    with page.expect_file_chooser() as chooser:
        button.click()
    chooser.value.set_files(song)
    expect(button).to_have_text("your song (1)")
    heard.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    jupyterlab.settle(page)
    expect(heard.locator(".jp-OutputArea")).to_contain_text("my song.wav, the whole file:")
    expect(heard.locator(".jp-OutputArea")).to_contain_text("It gives no answer: the file holds 2.20 s")  # it needs 3 s
    own = page.locator(".jp-CodeCell", has_text="keras_model.open_model(folder)")
    own.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    jupyterlab.settle(page)
    picture = own.locator(".jp-RenderedImage img").element_handle()
    page.wait_for_function("picture => picture.naturalWidth > 300", arg=picture)
    assert own.locator("table tbody tr").count() == 1 + 4  # the track and its segments
    assert (lab_run.folder / "uploads" / "my song.wav").read_bytes() == song.read_bytes()


def test_it_follows_jupyterlabs_theme(notebook_4):
    nothing = notebook_4.locator(".gx-swatches span").first  # the colour of an empty cell
    colours = "(nothing) => [getComputedStyle(nothing).backgroundColor, getComputedStyle(nothing.closest('.gx')).color]"
    light = nothing.evaluate(colours)
    notebook_4.evaluate("document.body.dataset.jpThemeLight = 'false'")  # as choosing a dark theme does
    dark = nothing.evaluate(colours)
    notebook_4.evaluate("document.body.dataset.jpThemeLight = 'true'")
    assert light == ["rgb(255, 255, 255)", "rgb(22, 24, 29)"] and dark == ["rgb(32, 34, 38)", "rgb(236, 238, 242)"]


def test_a_clip_is_heard_in_the_notebook(notebook_4):
    audio = notebook_4.locator(".gx audio").first
    audio.scroll_into_view_if_needed()
    notebook_4.wait_for_function("audio => audio.readyState > 0", arg=audio.element_handle())
    audio.evaluate("audio => audio.play()")
    notebook_4.wait_for_function("audio => audio.currentTime > 0.1", arg=audio.element_handle())
    picture = notebook_4.locator(".gx img.gx-image").first.element_handle()
    notebook_4.wait_for_function("picture => picture.naturalWidth > 0", arg=picture)


def test_the_saved_notebook_holds_neither_sound_nor_pictures(notebook_4, notebook_file):
    """After clips were heard: they were sent on demand, and are in no trait."""
    saved = jupyterlab.save(notebook_4, notebook_file)
    state = saved["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    (front,) = [model["state"] for model in state.values() if model["model_name"] == "AnyModel"]
    assert front["view"]["level"] == "track" and front["numbers"]
    shown = [cell["outputs"] for cell in saved["cells"] if "".join(cell["source"]).endswith("\nmatrix")]
    code = len(json.dumps([front.pop("_esm"), front.pop("_css")]))
    assert code < 200_000 and len(json.dumps(front)) + len(json.dumps(shown)) < 5_000
