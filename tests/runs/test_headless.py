import errno
import json
import os
import shutil
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import psutil
import pytest
import soundfile
import yaml
from nbformat.v4 import new_code_cell, new_notebook

from genre_utils import __main__
from genre_utils.datasets import contents
from genre_utils.errors import CatalogError, DiskError, ParamsError, RunError, SplitError
from genre_utils.evaluation import scoring, uncertainty
from genre_utils.params import Params
from genre_utils.paths import PROFILES, profile_summary
from genre_utils.runs import execution, headless, preflight, profiles, provenance, report
from genre_utils.runs.folder import RunFolder
from genre_utils.splits import leaks
from genre_utils.system import disk


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A project with one profile and two notebooks; returns the function that writes a notebook."""
    folder = tmp_path / "notebooks"
    (folder / "profiles").mkdir(parents=True)
    (folder / "profiles" / "tiny.yml").write_text("# Small. In no time.\nepochs: 2\nname: demo\n")
    monkeypatch.setattr(profiles, "NOTEBOOKS", folder)
    monkeypatch.setattr(profiles, "PROFILES", folder / "profiles")
    monkeypatch.setattr(headless, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(headless, "WRITTEN", {})
    monkeypatch.setattr(execution, "PROJECT", tmp_path)
    monkeypatch.setattr(execution, "IMPORTED", ())  # which takes each kernel seconds; one test has them

    def write(stem, *cells):
        parameters = new_code_cell('run_dir = ""  # here\nepochs = 1  # of training\nname = ""\nrate = 0.5')
        parameters.metadata["tags"] = ["parameters"]
        notebook = new_notebook(cells=[parameters, *map(new_code_cell, cells)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, folder / f"{stem}.ipynb")

    return write


IMPORTED = execution.IMPORTED
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
        profiles.checked(profile, settings, DEFAULTS)
    assert said in str(caught.value)


def test_settings_win_over_the_profile_and_keep_their_type():
    checked = profiles.checked({"epochs": 2, "rate": 1}, ["epochs=3", "name=007"], DEFAULTS)
    assert checked == {"epochs": 3, "rate": 1.0, "name": "007"}
    assert type(checked["rate"]) is float


def test_a_relative_data_set_is_relative_to_the_caller(tmp_path, monkeypatch):
    (tmp_path / "music").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    for name in ("dataset", "several_dataset"):
        for text in ("music", "./music", "music/", "~/music"):
            monkeypatch.setenv("HOME", str(tmp_path))
            assert profiles.checked({}, [f"{name}={text}"], {name: ""})[name] == str(tmp_path / "music")
        assert profiles.checked({}, [f"{name}=demo"], {name: ""})[name] == "demo"  # the very name alone is the name
        assert profiles.checked({}, [f"{name}=demo/"], {name: ""})[name] == str(tmp_path / "demo")


def test_every_profile_fits_the_notebooks():
    names = {path.stem for path in profiles.PROFILES.glob("*.yml")}
    assert {"demo", "ci", "gtzan_mini", "paper"} <= names
    for name in names:
        profiles.checked(profiles.read_profile(name), [], profiles.defaults())
        said = profile_summary(PROFILES / f"{name}.yml").lower()
        assert "minutes" in said or "hours" in said, "Say how long it takes."
        assert "silence_seconds" in profiles.read_profile(name), "Say how long a cell may be silent."


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1-4", [1, 2, 3, 4]),
        ("all", [1, 2, 3, 4, 5, 6, 7]),
        ("1", [1]),
        ("3", [1, 2, 3]),  # what it builds on
        ("6", [1, 2, 3, 4, 6]),
        ("5-6", [1, 2, 3, 4, 5, 6]),
        ("1-4,7", [1, 2, 3, 4, 7]),
        ("6,1-2", [1, 2, 3, 4, 6]),
    ],
)
def test_notebooks_are_chosen_with_what_they_build_on(text, numbers):
    assert [profiles.number_of(path) for path in profiles.chosen(text)] == numbers


@pytest.mark.parametrize("text", ["", "0", "8", "5-9", "four", "1-", "1;2", "-1", "1 - 4", "2-1", "1-999999999"])
def test_notebooks_that_are_not_there_are_an_error(text):
    with pytest.raises(ParamsError, match="--notebooks"):
        profiles.chosen(text)


def test_an_unknown_profile_names_the_nearest():
    with pytest.raises(ParamsError, match=r"Unknown profile 'dmo'\. Did you mean 'demo'"):
        headless.run("dmo")


def test_an_impossible_value_is_an_error_before_anything_starts(tmp_path):
    with pytest.raises(ParamsError, match="padding must be 'same' or 'valid'"):
        headless.run("demo", ["padding=full"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def ran(tmp_path, capsys):
    """Run the command in the house; returns exit status, run folder, and what was printed."""

    def run(*words):
        status = __main__.main(["run", *map(str, words)])
        latest = tmp_path / "runs" / "latest"
        return status, RunFolder.existing(latest).folder if latest.exists() else None, capsys.readouterr()

    return run


def test_a_run_that_stops_is_reported_and_goes_on_where_it_stopped(house, ran, tmp_path):
    house("01_fine", "print('epochs', epochs)", "open(run_dir + '/log', 'a').write('1')")
    house("02_broken", "x = 1", "import pathlib", "assert pathlib.Path('mended').exists(), 'too <loud>'")
    house("03_last", "open(run_dir + '/log', 'a').write('3')")
    status, folder, printed = ran("--profile", "tiny", "--set", "epochs=5")
    assert status == 1
    assert sorted(path.name for path in folder.iterdir()) == [
        "01_fine.html", "01_fine.ipynb", "02_broken.html", "02_broken.ipynb", "index.html", "log", "run.yml",
    ]  # fmt: skip
    assert "too &lt;loud&gt;" in (folder / "02_broken.html").read_text()
    said = "02_broken, cell 5 ([5]): AssertionError: too <loud>"
    assert printed.err.strip() == said
    page = (folder / "index.html").read_text()
    assert said.replace("<loud>", "&lt;loud&gt;") in page and "03_last: not run" in page
    assert '<a href="02_broken.html">02_broken</a> (<a href="02_broken.ipynb">ipynb</a>): stopped' in page
    assert f"run --continue {os.path.relpath(folder)}" in printed.out
    (tmp_path / "mended").touch()
    assert ran("--continue", tmp_path / "runs" / "latest")[0] == 0
    assert (folder / "log").read_text() == "13"  # what is done is not done again
    assert "stopped" not in (folder / "index.html").read_text()
    status, _, printed = ran("--continue", folder)
    assert status == 1 and "01_fine, 02_broken, 03_last are done" in printed.err
    house("05_more", "open(run_dir + '/log', 'a').write(f'5 {epochs}')")
    assert ran("--continue", folder, "--notebooks", "all")[0] == 0
    assert (folder / "log").read_text() == "135 5"
    assert provenance.recorded(RunFolder(folder))["done"] == ["01_fine", "02_broken", "03_last", "05_more"]


def test_what_cells_print_is_no_flood_and_what_they_warn_of_is_told_once(house, ran):
    noise = "import sys\nfor n in range(99): print('row', n)\nprint('odd file', file=sys.stderr)"
    house("01_loud", noise, noise)
    house("02_loud", noise)
    status, _, printed = ran("--profile", "tiny")
    assert status == 0
    assert printed.out.count("odd file") == 1 and "row" not in printed.out
    assert len(printed.out.splitlines()) < 20
    assert "tiny: Small. In no time." in printed.out


def test_of_signs_of_life_the_last_one_stays_in_the_notebook(house, ran):
    work = "for _ in progress(range(3), 3, 'reading'):\n    sign('epoch: 1/9')"
    house("01_works", "from genre_utils.system.progress import progress, sign", work)
    status, folder, _ = ran("--profile", "tiny")
    (output,) = nbformat.read(folder / "01_works.ipynb", 4).cells[-1].outputs
    assert status == 0 and output.text == "reading: 3/3\n"


def test_a_cell_that_says_nothing_is_stopped_and_one_that_is_slow_is_not(house, ran):
    house("01_slow", "import time\nfor _ in range(8):\n    time.sleep(0.5)\n    print('.', flush=True)")
    house("02_silent", "import time", "time.sleep(60)")
    status, folder, printed = ran("--profile", "tiny", "--set", "silence_seconds=3")
    assert status == 1
    assert "02_silent, cell 4: it printed nothing for 3 s" in printed.err
    assert "KeyboardInterrupt" in (folder / "02_silent.html").read_text()  # and so says where


def test_a_kernel_that_does_not_heed_the_interruption_is_killed(house, ran, monkeypatch):
    house("01_deaf", "import signal, time", "signal.signal(2, signal.SIG_IGN)", "time.sleep(60)")
    monkeypatch.setattr(execution, "GRACE_SECONDS", 1)
    status, _, printed = ran("--profile", "tiny", "--set", "silence_seconds=3")
    assert status == 1
    assert "01_deaf, cell 5: it printed nothing for 3 s" in printed.err


def test_a_kernel_that_dies_is_told(house, ran):
    house("01_dead", "import os", "os.kill(os.getpid(), 9)")
    status, folder, printed = ran("--profile", "tiny")
    assert status == 1 and "01_dead, cell 4: its process died" in printed.err
    assert (folder / "index.html").exists()


def test_a_kernel_that_does_not_start_leaves_no_folder(house, ran, tmp_path, monkeypatch):
    house("01_fine", "pass")
    spec = execution.get_kernel_dict() | {"argv": ["/nonexistent/python", "-m", "ipykernel_launcher"]}
    monkeypatch.setattr(execution, "get_kernel_dict", lambda *_: spec)
    status, _, printed = ran("--profile", "tiny")
    assert status == 1
    assert "the kernel 'python3' (/nonexistent/python -m ipykernel_launcher) does not start" in printed.err
    assert "-m pip install --force-reinstall ipykernel" in printed.err
    assert list((tmp_path / "runs").iterdir()) == []


def test_the_next_kernel_starts_ahead_knows_nothing_and_does_not_outlive_the_run(house, ran, monkeypatch):
    monkeypatch.setattr(execution, "IMPORTED", IMPORTED)
    quiet = "import logging\nassert logging.getLogger('asyncio').level == 50  # which complains when a kernel ends"
    known = f"assert not {{'mine', 'np', 'genre_utils', 'logging'}} & set(globals())\n{quiet}"
    names = "import os", known, "mine = print(os.getpid())"
    house("01_first", *names)
    house("02_stops", *names, f"import sys\nassert not {set(IMPORTED)} - set(sys.modules)", "assert 0, 'on purpose'")
    house("03_never", "pass")
    status, folder, printed = ran("--profile", "tiny")
    assert status == 1 and "02_stops, cell 7 ([7]): AssertionError: on purpose" in printed.err
    cells = [cell for path in folder.glob("0[12]*.ipynb") for cell in nbformat.read(path, 4).cells]
    numbers = [cell.outputs[0].text for cell in cells if cell.source.startswith("mine")]
    assert len(numbers) == len(set(numbers)) == 2
    assert not [process for process in psutil.Process().children() if "ipykernel_launcher" in process.cmdline()]


def test_a_kernelspec_of_another_environment_is_not_used(house, ran, tmp_path, monkeypatch):
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text('{"argv": ["/nonexistent/python"], "display_name": "x", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    house("01_fine", "import sys", f"assert sys.executable == {sys.executable!r}")
    assert ran("--profile", "tiny")[0] == 0


def test_an_interrupted_run_is_reported(house, ran, monkeypatch):
    house("01_fine", "pass")
    house("02_never", "pass")

    def execute(notebook, folder, *_, **__):
        (folder / notebook.name).touch()
        if notebook.stem == "02_never":
            raise KeyboardInterrupt

    monkeypatch.setattr(execution, "execute", execute)
    status, folder, _ = ran("--profile", "tiny")
    assert status == 130
    assert "02_never was interrupted." in (folder / "index.html").read_text()


def test_a_full_disk_is_told_though_it_tore_the_notebook(house, tmp_path, monkeypatch):
    def full(_, executed, *__, **___):
        Path(executed).write_text('{"cells": [')
        raise OSError(errno.ENOSPC, "full")

    house("01_fine", "pass")
    monkeypatch.setattr(execution.papermill, "execute_notebook", full)
    with pytest.raises(DiskError, match=r"out/01_fine\.ipynb cannot be written: No space left.*Make room"):
        headless.run("tiny", [], tmp_path / "out")


def test_a_run_that_leaves_something_out_has_failed(house, tmp_path, monkeypatch):
    house("02_fine", "pass")
    monkeypatch.setattr(headless, "WRITTEN", {"02_fine": ("params.yml", "tracks.parquet")})
    with pytest.raises(RunError, match=r"lacks params\.yml, tracks\.parquet after 02_fine"):
        headless.run("tiny", [], tmp_path / "out")


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        (["dataset=nowhere"], CatalogError, "No data set 'nowhere'"),
        (["model=paper_cmn"], ParamsError, "Unknown model 'paper_cmn'. Did you mean 'paper_cnn'?"),
        (["recipe=augmentd"], ParamsError, "Unknown recipe 'augmentd'. Did you mean 'augmented'?"),
        (["recipe=augmented", "segment_seconds=0.5"], ParamsError, "mask_seconds must be in"),
        (["lesson_model=cnn"], ParamsError, "Unknown lesson_model 'cnn'"),
        (["several_dataset=nowhere"], CatalogError, "No data set 'nowhere'"),
        (["several_dataset=TWO"], SplitError, "several_dataset=.*No protocol except leaky"),
        (["dataset=TWO"], SplitError, "Every genre needs 3 usable tracks.*treble 2"),
        (["dataset=TWO", "exclude_genres=trebel"], CatalogError, "Unknown genre 'trebel'. Did you mean 'treble'?"),
        (
            ["dataset=TWO", "exclude_genres=treble,bass"],
            CatalogError,
            "8 of 8 tracks can be used, all of the genre noise",
        ),
        (["dataset=MUSIC", "genre_level=2"], CatalogError, "for two or more genres, 2 levels down. Found: 24 files"),
        (["dataset=MUSIC", "protocol=artist", "folds=9"], SplitError, "Each of folds=9 parts needs an artist"),
        (["dataset=MUSIC", "segment_seconds=9"], CatalogError, "0 of 24 tracks can be used.*\n.*holds 2.2. s"),
    ],
)
def test_what_can_be_known_is_said_before_anything_starts(tmp_path, monkeypatch, genre_folder, settings, error, said):
    few = shutil.copytree(genre_folder, tmp_path / "two")
    for number in range(2, 8):
        (few / "treble" / f"treble.{number:05d}.wav").unlink()
    small = [
        f"dataset={genre_folder}", "segment_seconds=0.5", "sample_rate_hz=8000", "fmax_hz=4000", "n_fft=512",
        "hop_length=128", "n_mels=32",
    ]  # fmt: skip
    settings = [text.replace("TWO", str(few)).replace("MUSIC", str(genre_folder)) for text in settings]
    monkeypatch.setattr(execution, "execute", lambda *_, **__: 1 / 0)
    with warnings.catch_warnings(), pytest.raises(error, match=said):
        warnings.simplefilter("ignore")
        headless.run("demo", small + settings, tmp_path / "out", numbers="all")
    assert not (tmp_path / "out").exists()


def test_a_split_on_disk_is_the_split_of_the_run_and_said(tmp_path, monkeypatch, genre_folder, capsys):
    for file in genre_folder.glob("*/*.wav"):
        side = "test" if "0000" in file.name and int(file.stem[-1]) > 5 else "train"
        (tmp_path / "music" / side / file.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "music" / side / file.parent.name / file.name).symlink_to(file)
    small = [f"dataset={tmp_path / 'music'}", "segment_seconds=0.5", "sample_rate_hz=8000", "fmax_hz=4000", "n_fft=512"]
    given = []

    def execute(notebook, folder, values, *_, **__):
        (folder / notebook.name).touch()
        given.append(values)

    monkeypatch.setattr(execution, "execute", execute)
    monkeypatch.setattr(headless, "WRITTEN", {})
    with pytest.warns(UserWarning, match="is already split: test 6, train 18 tracks. This split is kept"):
        run = headless.run("demo", small, tmp_path / "out", numbers="1-3")
    assert given[2]["protocol"] == provenance.recorded(run)["values"]["protocol"] == "filtered"
    assert "24 tracks (bass 8, noise 8, treble 8), 0 with an error" in capsys.readouterr().out


def test_the_home_of_the_data_is_the_callers_also_for_the_kernels(tmp_path, monkeypatch, genre_folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENRE_DATA_HOME", "mine")
    seen = []
    monkeypatch.setattr(headless, "WRITTEN", {})
    monkeypatch.setattr(execution, "execute", lambda *_, **__: seen.append(os.environ["GENRE_DATA_HOME"]))
    small = [f"dataset={genre_folder}", "segment_seconds=0.5"]
    headless.run("demo", small, tmp_path / "out", numbers="1")
    assert seen == [str(tmp_path / "mine")]


def test_a_disk_without_room_is_said_before_anything_starts(tmp_path, monkeypatch, genre_folder):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10**12, free=10**7))
    monkeypatch.setattr(execution, "execute", lambda *_, **__: 1 / 0)
    small = [f"dataset={genre_folder}", "segment_seconds=0.5"]
    with pytest.raises(DiskError, match=r"needs [\d,]+ bytes of disk and has 10,000,000"):
        headless.run("demo", small, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_size_of_many_features_is_said_before_they_are_extracted(tmp_path, monkeypatch, capsys):
    tracks = pd.DataFrame({"track_id": ["a"], "path": [__file__], "fault": "", "duration_seconds": 30.0})
    many = pd.concat([tracks] * 8_000, ignore_index=True)  # 48,000 segments of 128 bands and 216 frames in float16
    monkeypatch.setattr(disk, "needs", lambda *_: None)
    preflight.check_room(many, Params(), 0, tmp_path)
    assert "The log-mels of 8,000 tracks will have 2.7 GB." in capsys.readouterr().err
    preflight.check_room(tracks, Params(), 0, tmp_path)
    assert "log-mels" not in capsys.readouterr().err


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


MADE = {"profile": "demo", "values": {}, "notebooks": [], "done": []}


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
    for name in ("run.yml", *(name for names in headless.WRITTEN.values() for name in names)):
        if not (tmp_path / name).exists():
            (tmp_path / name).touch()
    facts = {
        "dataset": "demo", "protocol": "paper", "model": "paper_cnn", "parameters": 1, "seed": 0, "epochs": 2,
        "seconds": {"extract": 1.0, "train": 2.0, "evaluate": 3.0}, "versions": {"python": "3"}, "device": "cpu",
    }  # fmt: skip
    run.write_metrics(scoring.metrics(predictions, facts))
    return run


def test_a_whole_run_passes_the_check(finished):
    for name in headless.WRITTEN:
        headless.check(finished, name)


@pytest.mark.parametrize(
    ("notebook", "name"),
    [
        ("04_evaluation", "metrics.json"),
        ("03_training", "history.csv"),
        ("03_training", "model.keras"),
        ("04_evaluation", "predictions.parquet"),
    ],
)
def test_a_missing_artefact_fails_the_check(finished, notebook, name):
    (finished.folder / name).unlink()
    with pytest.raises(RunError, match=name):
        headless.check(finished, notebook)


def test_a_figure_that_is_not_finite_fails_the_check(finished):
    history = finished.history()
    history.loc[1, "val_accuracy"] = np.nan
    history.to_csv(finished.folder / "history.csv", index=False)
    with pytest.raises(RunError, match="not finite"):
        headless.check(finished, "03_training")
    metrics = finished.metrics()
    metrics["segment"]["accuracy"] = float("nan")
    with pytest.raises(ValueError, match="JSON compliant"):
        finished.write_metrics(metrics)


def test_a_figure_without_an_interval_passes_the_check_and_says_why(finished, predictions):
    few = predictions[predictions["track_id"].isin(predictions["track_id"].unique()[:3])]
    finished.write_metrics(finished.metrics() | {"track": uncertainty.accuracy(scoring.by_track(few))})
    headless.check(finished, "04_evaluation")
    page = report.write(finished, MADE).read_text()
    assert "% of 3 test tracks correct, no interval: 3 tracks are too few, 10 are needed (data set demo" in page


def test_the_report_says_what_a_figure_is_and_escapes_names(finished):
    page = report.write(finished, MADE).read_text()
    metrics = finished.metrics()
    assert f"{100 * metrics['segment']['accuracy']:.1f} % of 192 test segments correct, 95 % interval" in page
    assert "data set demo, protocol paper: split by file, artists in several splits, 32 test tracks" in page
    assert "says nothing about real music" in page
    assert "<td>image_width</td><td>128</td><td>256</td>" in page
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.wav (&lt;b&gt;): odd &amp; bad" in page
    assert "://" not in page and "default-src 'none'" in page  # nothing is fetched
    assert "LEAKY SPLIT" not in page
    assert '<a href="explorer/index.html">' in page
    assert '<a href="model/README.md">' in page
    assert "no git checkout. Data: unknown" in page  # an older run
    finished.write_metrics(metrics | {"commit": "<c0ffee>", "data_fingerprint": "20d752ba"})
    assert "Code: commit &lt;c0ffee&gt;. Data: 20d752ba." in report.write(finished, MADE).read_text()


def test_a_report_of_another_network_is_not_compared_with_the_paper(finished):
    said = "The paper reports 71.35 %", "What differs from the paper", "Table I, here and in the paper"
    page = report.write(finished, MADE).read_text()
    assert all(text in page for text in said)
    params = yaml.safe_load((finished.folder / "params.yml").read_text())
    (finished.folder / "params.yml").write_text(yaml.safe_dump(params | {"model": "musicnn"}))
    page = report.write(finished, MADE).read_text()
    assert not any(text in page for text in said) and "<h2>By genre</h2>" in page


def test_every_figure_of_a_leaky_run_is_marked(finished):
    metrics = finished.metrics() | {"protocol": "leaky"}
    finished.write_metrics(metrics)
    assert "LEAKY SPLIT" in report.write(finished, MADE).read_text()
    for level in ("segment", "track"):
        assert "LEAKY: segments of one file in several splits" in report.sentence(metrics, level)


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
    with pytest.raises(RunError, match="Run 02_feature_extraction"):
        _ = run.params
    with pytest.raises(RunError, match="Run 03_training"):
        run.history()


def test_params_survive_the_run_folder(tmp_path):
    run = RunFolder(tmp_path)
    run.write_params(Params(dataset="demo"))
    assert run.update_params(seed=3, learning_rate=1e-5).seed == 3
    assert run.params == Params(dataset="demo", seed=3, learning_rate=1e-5)
    assert json.loads(json.dumps(run.params.to_mapping()))["learning_rate"] == 1e-5


def test_fetch_prints_what_is_there(genre_folder, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "CACHE", tmp_path)
    music = shutil.copytree(genre_folder, tmp_path / "music")
    for number in range(12):
        soundfile.write(music / "bass" / f"a{number:02}.wav", np.ones(800) / 2, 8_000)
    assert __main__.main(["fetch", str(music), "--set", "segment_seconds=0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[4] == "36 tracks, 12 with an error"
    assert lines[5].startswith("  bass/a00.wav, bass/a01.wav, ")
    assert " and 2 more: holds 0.10 s" in lines[5]
    assert lines[6:] == [f"  All of them: {tmp_path / 'left_out.csv'}"]
    assert len(pd.read_csv(tmp_path / "left_out.csv")) == 12
    monkeypatch.chdir(tmp_path)
    assert __main__.main(["fetch", "music"]) == 1  # 2.2 s are too short for the paper's segments
    assert "0 of 36 tracks can be used; a classifier needs two or more genres.\n" in capsys.readouterr().err
    assert __main__.main(["fetch", "gtzam"]) == 1
    assert "No data set 'gtzam'" in capsys.readouterr().err
