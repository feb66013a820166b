import dataclasses
import json
import re

import pytest
from guess import run_folder

from genre_utils.datasets import catalog, labels
from genre_utils.errors import RunError
from genre_utils.explorer import data
from genre_utils.params import Params
from genre_utils.runs import origins
from genre_utils.runs.profiles import notebooks

NAMES = ("split.csv", "model.keras", "predictions.parquet")


@pytest.fixture
def tracks(genre_folder, params):
    return catalog.from_folder(genre_folder, params)


@pytest.fixture
def run(tmp_path, tracks, params):
    """A run folder as notebooks 1 to 4 leave it, signed."""
    run = run_folder(tmp_path / "run", tracks, params)
    origins.sign(run, origins.of(tracks), "duplicates.csv", "tracks.parquet")
    origins.sign(run, origins.of(tracks, params), *NAMES, "metrics.json")
    return run


def test_what_belongs_together_is_read(run, tracks, params):
    for name in ("duplicates.csv", "tracks.parquet", *NAMES):
        origins.check(run, origins.of(tracks, params), name)
    elsewhere = tracks.assign(path=tracks["path"].str.replace("/bass/", "/bass/../bass/"))
    origins.check(run, origins.of(elsewhere, dataclasses.replace(params, dataset="moved")), *NAMES)
    assert data.of_run(run).facts["genres"] == labels.genres_of(tracks)


def exchanged(tracks):
    """The same names, other sounds: the files of two genres have changed places."""
    paths = tracks["path"].tolist()
    return tracks.assign(path=paths[8:16] + paths[:8] + paths[16:])


@pytest.mark.parametrize(
    ("other_tracks", "other_params", "said"),
    [
        (lambda t: t.assign(genre=t["genre"].replace("noise", "a")), {}, "its genres are bass, noise, treble, and now"),
        (lambda t: t[t["genre"] != "noise"], {}, "its genres are bass, noise, treble, and now bass, treble"),
        (lambda t: t[t["track_id"] != t["track_id"].iloc[0]], {}, "its data had the fingerprint"),
        (exchanged, {}, "its data had the fingerprint"),
        (lambda t: t.assign(artist="one"), {}, "its data had the fingerprint"),
        (lambda t: t, {"n_mels": 64}, "its parameters differ: n_mels 32, now 64"),
        (lambda t: t, {"seed": 5, "protocol": "artist"}, "its parameters differ: seed 0, now 5, protocol"),
    ],
)  # fmt: skip
def test_a_network_of_other_data_or_parameters_is_refused(run, tracks, params, other_tracks, other_params, said):
    now = origins.of(other_tracks(tracks), dataclasses.replace(params, **other_params))
    for name, notebook in (("model.keras", "03_training"), ("predictions.parquet", "04_evaluation")):
        with pytest.raises(RunError, match=f"Run {notebook} with the same run_dir first") as caught:
            origins.check(run, now, name)
        assert f"{name}: {said}" in str(caught.value)


def test_a_training_that_was_interrupted_is_refused(run, tracks, params):
    """Notebook 3 has written another split, and was stopped before it had another network."""
    later = dataclasses.replace(params, seed=1)
    run.write_params(later)
    origins.sign(run, origins.of(tracks, later), "split.csv")
    with pytest.raises(RunError, match=r"model\.keras: its parameters differ: seed 0, now 1\. Run 03_training"):
        origins.check(run, origins.of(tracks, later), "split.csv", "model.keras")


@pytest.mark.parametrize("name", NAMES)
def test_what_was_exchanged_or_never_signed_is_refused(run, tracks, params, name):
    kept = (run.folder / name).read_bytes()
    (run.folder / name).write_bytes(kept + b" ")
    with pytest.raises(RunError, match=f"{name}: it was changed or replaced"):
        origins.check(run, origins.of(tracks, params), *NAMES)
    (run.folder / name).write_bytes(kept)
    known = json.loads((run.folder / origins.RECORD).read_text())
    del known[name]
    (run.folder / origins.RECORD).write_text(json.dumps(known))
    with pytest.raises(RunError, match=f"{name}: its origin is not recorded"):
        origins.check(run, origins.of(tracks, params), *NAMES)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda run, tracks: origins.sign(run, origins.of(tracks[1:]), "tracks.parquet"), "data had the fingerprint"),
        (lambda run, tracks: run.write_params(Params(dataset="x")), "its parameters differ"),  # noqa: ARG005
        (lambda run, tracks: run.assignment()[1:].to_csv(run.folder / "split.csv"), "changed or replaced"),  # noqa: ARG005
    ],
)  # fmt: skip
def test_the_explorer_shows_no_predictions_of_another_training(run, tracks, changed, said):
    changed(run, tracks)
    with pytest.raises(RunError, match=said):
        data.of_run(run)
    (run.folder / origins.RECORD).unlink()  # a run of an older version
    origins.check_finished(run)


READERS = {
    "run.duplicates()": "duplicates.csv", "run.history()": "history.csv", "run.assignment()": "split.csv",
    "models.load(run.needs(": "model.keras", "run.predictions()": "predictions.parquet",
    "run.tracks()": "tracks.parquet", "data.of_run(": "tracks.parquet",
}  # fmt: skip


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_checks_all_that_it_reads_before_it_writes(path):
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    text = "\n".join(cells)
    checked = re.search(r"origins\.check\(run, [^\"]*(\"[^)]*)\)", text)
    read = {name for call, name in READERS.items() if call in text}
    assert read <= ({*json.loads(f"[{checked[1]}]")} if checked else set())
    if checked:
        writes = [text.find(call) for call in ("run.write", "run.figures") if call in text]
        assert checked.start() < min(writes)
