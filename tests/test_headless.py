import errno
import json
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from genre_utils import __main__, evaluation, headless, leaks, report, uncertainty
from genre_utils.errors import DiskError, ParamsError, RunError
from genre_utils.params import Params
from genre_utils.run_folder import RunFolder


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A project with one profile and two notebooks; returns the function that writes a notebook."""
    folder = tmp_path / "notebooks"
    (folder / "profiles").mkdir(parents=True)
    (folder / "profiles" / "tiny.yml").write_text("epochs: 2\nname: demo\n")
    for name, path in {
        "NOTEBOOKS": folder, "PROFILES": folder / "profiles", "RUNS": tmp_path / "runs", "PROJECT": tmp_path
    }.items():  # fmt: skip
        monkeypatch.setattr(headless, name, path)

    def write(stem, *cells):
        parameters = new_code_cell('run_dir = ""  # here\nepochs = 1  # of training\nname = ""\nrate = 0.5')
        parameters.metadata["tags"] = ["parameters"]
        notebook = new_notebook(cells=[parameters, *map(new_code_cell, cells)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, folder / f"{stem}.ipynb")

    return write


DEFAULTS = {"epochs": 1, "rate": 0.5, "name": "", "dataset": ""}


@pytest.mark.parametrize(
    ("profile", "settings", "said"),
    [
        ({"epoch": 2}, [], "Unknown parameter 'epoch'. Did you mean 'epochs'?"),
        ({}, ["epochs=two"], "epochs must be int. Received: 'two'."),
        ({}, ["epochs=2.5"], "epochs must be int. Received: 2.5."),
        ({}, ["epochs"], "--set needs name=value. Received: 'epochs'."),
        ({}, ["epochs=[1"], "is not a value"),
        ({"name": 7}, [], "name must be str. Received: 7."),
        ({"rate": "fast"}, [], "rate must be float"),
    ],
)
def test_a_bad_name_or_type_is_an_error_before_anything_starts(profile, settings, said):
    with pytest.raises(ParamsError) as caught:
        headless.checked(profile, settings, DEFAULTS)
    assert said in str(caught.value)


def test_settings_win_over_the_profile_and_keep_their_type():
    checked = headless.checked({"epochs": 2, "rate": 1}, ["epochs=3", "name=007"], DEFAULTS)
    assert checked == {"epochs": 3, "rate": 1.0, "name": "007"}
    assert type(checked["rate"]) is float


def test_a_relative_data_set_is_relative_to_the_caller(tmp_path, monkeypatch):
    (tmp_path / "music").mkdir()
    monkeypatch.chdir(tmp_path)
    assert headless.checked({}, ["dataset=music"], DEFAULTS)["dataset"] == str(tmp_path / "music")
    assert headless.checked({}, ["dataset=demo"], DEFAULTS)["dataset"] == "demo"


def test_every_profile_fits_the_notebooks():
    defaults = headless.RUNNER_KEYS | {
        name: value for path in headless.notebooks() for name, value in headless.parameters_of(path).items()
    }
    names = {path.stem for path in headless.PROFILES.glob("*.yml")}
    assert {"demo", "ci", "gtzan_mini", "paper"} <= names
    for name in names:
        headless.checked(headless.read_profile(name), [], defaults)


def test_an_unknown_profile_names_the_nearest():
    with pytest.raises(ParamsError, match=r"Unknown profile 'dmo'\. Did you mean 'demo'"):
        headless.run("dmo")


def test_an_impossible_value_is_an_error_before_anything_starts(tmp_path):
    with pytest.raises(ParamsError, match="padding must be 'same' or 'valid'"):
        headless.run("demo", ["padding=full"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failing_cell_is_named_and_what_was_executed_is_kept(house, tmp_path, capsys):
    house("01_fine", "print('epochs', epochs)")
    house("02_broken", "x = 1", "raise ValueError('too loud')")
    house("03_never", "open(run_dir + '/never', 'w')")
    out = tmp_path / "out"
    assert __main__.main(["run", "--profile", "tiny", "--set", "epochs=5", "--out", str(out)]) == 1
    assert sorted(path.name for path in out.iterdir()) == [
        "01_fine.html", "01_fine.ipynb", "02_broken.html", "02_broken.ipynb", "run.yml",
    ]  # fmt: skip
    assert "too loud" in (out / "02_broken.html").read_text()
    printed = capsys.readouterr()
    assert "epochs 5" in printed.out  # progress of the cells is seen while they run
    assert printed.err.strip().splitlines()[-2:] == [
        "02_broken, cell 4 ([4]): ValueError: too loud", f"See {out / '02_broken.ipynb'}",
    ]  # fmt: skip


def test_a_cell_that_takes_too_long_is_stopped(house, tmp_path):
    house("01_slow", "import time; time.sleep(60)")
    with pytest.raises(RunError, match="took longer than 1 s"):
        headless.run("tiny", ["cell_timeout_seconds=1"], tmp_path / "out")
    assert (tmp_path / "out" / "01_slow.html").exists()


def test_a_full_disk_is_told_though_it_tore_the_notebook(house, tmp_path, monkeypatch):
    def full(_, executed, *__, **___):
        Path(executed).write_text('{"cells": [')
        raise OSError(errno.ENOSPC, "full")

    house("01_fine", "pass")
    monkeypatch.setattr(headless.papermill, "execute_notebook", full)
    with pytest.raises(DiskError, match=r"out/01_fine\.ipynb cannot be written: No space left.*Make room"):
        headless.run("tiny", [], tmp_path / "out")


def test_a_run_that_leaves_something_out_has_failed(house, tmp_path):
    house("01_fine", "pass")
    with pytest.raises(RunError, match=r"lacks duplicates\.csv, params\.yml, tracks\.parquet"):
        headless.run("tiny", [], tmp_path / "out")


def test_a_used_folder_is_not_overwritten(tmp_path):
    (tmp_path / "something").touch()
    with pytest.raises(RunError, match="must be an empty folder or not exist yet"):
        headless.fresh_folder("demo", tmp_path)


def test_two_runs_in_one_second_get_two_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(headless, "RUNS", tmp_path)
    assert len({headless.fresh_folder("demo", None) for _ in range(5)}) == 5


def test_latest_moves_on(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / "partial-latest").symlink_to("killed")  # before it could be renamed
        headless.point_to(tmp_path / "latest", tmp_path / name)
        assert (tmp_path / "latest").resolve() == tmp_path / name


@pytest.mark.parametrize("links", [True, False])
def test_latest_is_found_again_with_and_without_links(tmp_path, monkeypatch, links):
    (tmp_path / "one").mkdir()
    if not links:
        monkeypatch.setattr(Path, "symlink_to", lambda *_, **__: (_ for _ in ()).throw(OSError("not allowed")))
    headless.point_to(tmp_path / "latest", tmp_path / "one")
    assert (tmp_path / "latest").is_symlink() == links
    assert RunFolder.existing(tmp_path / "latest").folder == tmp_path / "one"


@pytest.fixture
def finished(tmp_path, predictions):
    """A run folder as the notebooks leave it."""
    run = RunFolder(tmp_path)
    run.write_params(Params(dataset="demo", image_width=128))
    run.figures.mkdir()
    (run.figures / "curves.png").write_bytes(b"png")
    for name in ("explorer/index.html", "model/README.md"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    predictions.to_parquet(tmp_path / "predictions.parquet")
    pd.DataFrame({"epoch": [1, 2], "val_accuracy": [0.5, 0.4]}).to_csv(tmp_path / "history.csv", index=False)
    tracks = pd.DataFrame({"track_id": ["<script>alert(1)</script>.wav"], "genre": ["<b>"], "fault": ["odd & bad"]})
    tracks.to_parquet(tmp_path / "tracks.parquet")
    others = ("duplicates", "split", "protocols", "ablation", "ensemble")
    for name in ("run.yml", "model.keras", *(f"{stem}.csv" for stem in others)):
        (tmp_path / name).touch()
    facts = {
        "dataset": "demo", "protocol": "paper", "model": "paper_cnn", "parameters": 1, "seed": 0, "epochs": 2,
        "seconds": {"extract": 1.0, "train": 2.0, "evaluate": 3.0}, "versions": {"python": "3"}, "device": "cpu",
    }  # fmt: skip
    run.write_metrics(evaluation.metrics(predictions, facts))
    return run


def test_a_whole_run_passes_the_check(finished):
    headless.check(finished)


@pytest.mark.parametrize("name", ["metrics.json", "history.csv", "model.keras", "predictions.parquet"])
def test_a_missing_artefact_fails_the_check(finished, name):
    (finished.folder / name).unlink()
    with pytest.raises(RunError, match=name):
        headless.check(finished)


def test_a_figure_that_is_not_finite_fails_the_check(finished):
    history = finished.history()
    history.loc[1, "val_accuracy"] = np.nan
    history.to_csv(finished.folder / "history.csv", index=False)
    with pytest.raises(RunError, match="not finite"):
        headless.check(finished)
    metrics = finished.metrics()
    metrics["segment"]["accuracy"] = float("nan")
    with pytest.raises(ValueError, match="JSON compliant"):
        finished.write_metrics(metrics)


def test_a_figure_without_an_interval_passes_the_check_and_says_why(finished, predictions):
    few = predictions[predictions["track_id"].isin(predictions["track_id"].unique()[:3])]
    finished.write_metrics(finished.metrics() | {"track": uncertainty.accuracy(evaluation.by_track(few))})
    headless.check(finished)
    page = report.write(finished, "demo").read_text()
    assert "% of 3 test tracks right, no interval: 3 tracks are too few, 10 are needed (data set demo" in page


def test_the_report_says_what_a_figure_is_and_escapes_names(finished):
    page = report.write(finished, "demo").read_text()
    metrics = finished.metrics()
    assert f"{100 * metrics['segment']['accuracy']:.1f} % of 192 test segments right, 95 % interval" in page
    assert "data set demo, protocol paper: split by file, artists on both sides, 32 test tracks" in page
    assert "says nothing about music" in page
    assert "<td>image_width</td><td>128</td><td>256</td>" in page
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.wav (&lt;b&gt;): odd &amp; bad" in page
    assert "://" not in page and "default-src 'none'" in page  # nothing is fetched
    assert "LEAKY SPLIT" not in page
    assert '<a href="explorer/index.html">' in page
    assert '<a href="model/README.md">' in page
    assert "no git checkout. Data: unknown" in page  # an older run
    finished.write_metrics(metrics | {"commit": "<c0ffee>", "data_fingerprint": "20d752ba"})
    assert "Code: commit &lt;c0ffee&gt;. Data: 20d752ba." in report.write(finished, "demo").read_text()


def test_every_figure_of_a_leaky_run_is_marked(finished):
    metrics = finished.metrics() | {"protocol": "leaky"}
    finished.write_metrics(metrics)
    assert "LEAKY SPLIT" in report.write(finished, "demo").read_text()
    for level in ("segment", "track"):
        assert "LEAKY: segments of one file on both sides" in report.sentence(metrics, level)


@pytest.mark.parametrize("rows", [0, 2])
def test_duplicates_survive_the_run_folder(tmp_path, rows):
    """No pair is the usual case, and must not become a table of numbers."""
    row = {"track_a": "1", "track_b": "NA", "kind": "exact copy", "similarity": 1.0, "lag_seconds": 0.0}
    pd.DataFrame([row] * rows, columns=list(row)).to_csv(tmp_path / "duplicates.csv", index=False)
    pairs = RunFolder(tmp_path).duplicates()
    assert list(pairs.columns) == list(row)
    tracks = pd.DataFrame({"track_id": ["1", "NA"], "artist": "", "title": ""})
    assert len(set(leaks.groups(tracks, pairs))) == (1 if rows else 2)


def test_a_notebook_out_of_order_says_which_to_run_first(tmp_path):
    run = RunFolder(tmp_path)
    with pytest.raises(RunError, match="Run the notebook 02_feature_extraction"):
        _ = run.params
    with pytest.raises(RunError, match="Run the notebook 03_training"):
        run.history()


def test_params_survive_the_run_folder(tmp_path):
    run = RunFolder(tmp_path)
    run.write_params(Params(dataset="demo"))
    assert run.update_params(seed=3, learning_rate=1e-5).seed == 3
    assert run.params == Params(dataset="demo", seed=3, learning_rate=1e-5)
    assert json.loads(json.dumps(run.params.to_mapping()))["learning_rate"] == 1e-5


def test_fetch_prints_what_is_there(genre_folder, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(__main__, "CACHE", tmp_path)
    assert __main__.main(["fetch", str(genre_folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[4] == "24 tracks, 24 with a fault"  # 2.2 s are too short for the paper's segments
    assert lines[5].startswith("  bass/bass.00000.wav, bass/bass.00001.wav, ")
    assert " and 14 more: holds 2.20 s" in lines[5]
    assert lines[6:] == [f"  All of them: {tmp_path / 'left_out.csv'}"]
    assert len(pd.read_csv(tmp_path / "left_out.csv")) == 24
    assert __main__.main(["fetch", "gtzam"]) == 1
    assert "No data set 'gtzam'" in capsys.readouterr().err
