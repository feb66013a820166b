"""The lessons of the paper on a small Free Music Archive, with the recipe and the split of its profile."""

import functools
import json

import fma as archive
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest

from genre_utils.features import store
from genre_utils.paths import NOTEBOOKS
from genre_utils.runs import profiles, provenance
from genre_utils.runs.folder import RunFolder
from genre_utils.system.progress import HEADLESS
from genre_utils.training import trainer

SMALL = {
    "sample_rate_hz": 8_000, "segment_seconds": 1.0, "max_segments": 4, "n_fft": 512, "hop_length": 128, "n_mels": 32,
    "fmax_hz": 4_000.0, "max_epochs": 1, "batch_size": 8, "listen_seconds": 1.0,
}  # fmt: skip
FREE, CLOSED = "Attribution", "Attribution-NoDerivatives 4.0 International"


def run_cells(name, values):
    """Run the code of a notebook in this process; its names."""
    cells = [cell.source for cell in nbformat.read(NOTEBOOKS / name, as_version=4).cells if cell.cell_type == "code"]
    names = {"__name__": name}
    for number, source in enumerate(cells):
        exec(compile(source, f"{name}, cell {number}", "exec"), names)
        if number == 0:
            names |= {key: value for key, value in values.items() if key in names}
    plt.close("all")
    return names


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Stores, trainings and digests in a folder of the test."""
    monkeypatch.setenv(HEADLESS, "1")
    monkeypatch.setattr(store, "build", functools.partial(store.build, cache=tmp_path / "data"))
    monkeypatch.setattr(trainer, "train", functools.partial(trainer.train, cache=tmp_path / "data"))
    monkeypatch.setattr(provenance, "CACHE", tmp_path / "data", raising=False)
    return tmp_path


@pytest.mark.filterwarnings("ignore::UserWarning")  # a handful of tracks
def test_from_the_archive_to_explorer_and_card(here):
    clips = archive.write(here)
    for number in archive.NUMBERS:
        archive.write_clip(clips, number, 5.2)  # notebook 1 has the paper's segments
    table = here / "fma_metadata" / "tracks.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines = [line.replace(archive.LICENCE, FREE if place % 3 else CLOSED) for place, line in enumerate(lines)]
    table.write_text("\n".join(lines), encoding="utf-8")
    values = profiles.read_profile("fma_small") | SMALL | {"dataset": str(clips), "run_dir": str(here / "run")}
    for notebook in profiles.notebooks()[:4]:
        names = run_cells(notebook.name, values)
    run = RunFolder(here / "run")
    assert names["params"].protocol == "published" and names["params"].mixup_alpha > 0
    assert run.metrics()["protocol"] == "published" and run.metrics()["model"] == "compact_cnn"
    tracks = run.tracks().set_index("track_id")
    assert set(tracks["licence"]) == {FREE, CLOSED}
    page = (here / "run" / "explorer" / "index.html").read_text(encoding="utf-8")
    carried = json.loads(page.partition('id="carried">')[2].partition("</script>")[0])
    facts = json.loads(page.partition('id="facts">')[2].partition("</script>")[0])
    for number, one in carried["tracks"].items():
        assert ("audio" in one) == (facts["tracks"]["licence"][int(number)] == FREE)
    card = (here / "run" / "model" / "README.md").read_text(encoding="utf-8")
    named = pd.read_csv(here / "run" / "model" / "attribution.csv", dtype=str, keep_default_na=False)
    named = named.set_index("track_id")
    learnt = run.assignment().query("split != 'test'")["track_id"].unique()
    assert {*named.index} == {*learnt}
    assert (named == tracks.loc[named.index, named.columns]).all(axis=None)
    assert f"| {FREE} |" in card and "licences-of-the-tracks" in card
