import json
import re

import pytest

from genre_utils import paths
from genre_utils.errors import RunError
from genre_utils.runs import folder
from genre_utils.runs.folder import LATEST, WRITTEN, RunFolder
from genre_utils.runs.profiles import notebooks, parameters_of

LEFT = [name for names in WRITTEN.values() for name in names]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Instead of the project's runs."""
    monkeypatch.setattr(folder, "RUNS", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "whole").mkdir(parents=True)
    for name in LEFT:
        (tmp_path / "runs" / "whole" / name).touch()
    return tmp_path / "runs"


def test_all_that_is_missing_is_named_at_once_with_both_ways_out(runs):
    run = RunFolder.open("")
    (run.folder / "params.yml").touch()
    with pytest.raises(RunError) as caught:
        run.needs("duplicates.csv", "params.yml", "split.csv", "model.keras")
    text = str(caught.value)
    assert text.startswith(f"{runs / 'lesson'} lacks duplicates.csv, split.csv, model.keras. Run 01_eda, 03_training ")
    assert f'run_dir = "{runs / LATEST}"' in text  # right wherever the notebook runs
    assert RunFolder(runs / "whole").needs(*LEFT) == runs / "whole" / LEFT[0]


@pytest.mark.parametrize("linked", [True, False])
def test_the_newest_run_is_followed_and_not_told_to_take_itself(runs, linked):
    if linked:
        (runs / LATEST).symlink_to("whole")
    else:  # where links are not allowed
        (runs / LATEST).write_text("whole")
    assert RunFolder.open("runs/latest").folder.resolve() == (runs / "whole").resolve()
    (runs / "whole" / "split.csv").unlink()
    with pytest.raises(RunError, match=r"lacks split\.csv\. Run 03_training with the same run_dir first\.$"):
        RunFolder.open("runs/latest").assignment()


def test_a_run_dir_begins_at_the_callers_folder(runs, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert RunFolder.open("mine").folder == tmp_path / "elsewhere" / "mine"
    assert RunFolder.open("../runs/whole").folder.resolve() == runs / "whole"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RunFolder.open("~/runs/whole").folder == runs / "whole"
    assert RunFolder.open("").folder == runs / "lesson"


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_asks_for_what_earlier_ones_write_before_anything_else(path):
    """Who steps through by hand is told once, not file by file."""
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    text = "\n".join(cells)
    readers = {
        "run.params": {"params.yml"}, "run.update_params(": {"params.yml"}, "run.duplicates()": {"duplicates.csv"},
        "run.history()": {"history.csv"}, "run.assignment()": {"split.csv"}, 'needs("model.keras")': {"model.keras"},
        "run.predictions()": {"predictions.parquet"}, "data.of_run(": {"duplicates.csv", "tracks.parquet"},
    }  # fmt: skip
    used = set().union(*(names for call, names in readers.items() if call in text))
    asked = re.search(r"^run = RunFolder\.open\(run_dir\)\nrun\.needs\((.*)\)$", text, flags=re.MULTILINE)
    assert {*json.loads(f"[{asked[1]}]")} == used if used else asked is None


def test_every_writer_is_a_notebook():
    assert {*WRITTEN} <= {path.stem for path in paths.NOTEBOOKS.glob("*.ipynb")}
    assert all("run_dir" in parameters_of(path) for path in notebooks())
