import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, precision_recall_fscore_support

from genre_utils.__main__ import main
from genre_utils.errors import EvaluationError
from genre_utils.evaluation import evaluation_report, evaluation_text, prediction_table, training_overlap
from genre_utils.params import SPLITS
from genre_utils.splits import leaks

CLASSES = ["blackbird", "robin", "wren"]


@pytest.fixture(scope="module")
def clips() -> pd.DataFrame:
    """60 recordings of three clips, by 15 people; about two thirds are right."""
    rng = np.random.default_rng(5)
    truth = np.repeat(np.arange(60) % 3, 3)
    p = rng.dirichlet([1, 1, 1], 180) + 0.35 * np.eye(3)[truth]
    table = pd.DataFrame(p / p.sum(axis=1, keepdims=True), columns=[f"p_{name}" for name in CLASSES])
    return table.assign(
        path=[f"rec{row // 3:02d}.wav" for row in range(180)],
        start=[5.0 * (row % 3) for row in range(180)],
        label=np.array(CLASSES)[truth],
        speaker=[f"person {row // 12}" for row in range(180)],
    )


@pytest.fixture(scope="module")
def table(clips) -> prediction_table.PredictionTable:
    return prediction_table.read(clips)


def test_every_figure_is_scikit_learn_s(clips, table):
    report = evaluation_report.evaluate(table)
    truth = clips["label"].to_numpy()
    guess = np.array(CLASSES)[clips[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1)]
    assert report["by_row"]["accuracy"] == accuracy_score(truth, guess)
    assert report["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, guess))
    for place, name in enumerate(("precision", "recall", "f1", "support")):
        columns = precision_recall_fscore_support(truth, guess, labels=CLASSES)[place]
        assert [report["table"][one][name] for one in CLASSES] == columns.tolist()
        if name != "support":
            whole = precision_recall_fscore_support(truth, guess, average="weighted")[place]
            assert report["average"][name] == pytest.approx(whole)
    counts = confusion_matrix(truth, guess, labels=CLASSES)
    pairs = {pair["pair"]: pair["confused"] for pair in report["confused"]}
    assert pairs["blackbird – wren"] == counts[0, 2] + counts[2, 0]
    assert sum(pairs.values()) == counts.sum() - np.trace(counts)
    files = clips.groupby("path")[[f"p_{name}" for name in CLASSES]].mean()
    by_file = accuracy_score(clips.groupby("path")["label"].first(), np.array(CLASSES)[files.to_numpy().argmax(1)])
    assert report["by_file"]["accuracy"] == by_file
    assert report["majority"] == {"class": "blackbird", "accuracy": pytest.approx(1 / 3)}
    assert (report["rows"], report["files"], report["groups"], report["group"]) == (180, 60, 15, "speaker")
    assert report["by_row"]["resampled_by"] == "speaker"
    assert report["by_row"]["clusters"] == 15


def test_intervals_are_over_files_where_no_group_is_known(clips):
    alone = evaluation_report.evaluate(prediction_table.read(clips.drop(columns="speaker")))
    assert (alone["by_row"]["resampled_by"], alone["by_row"]["clusters"]) == ("file", 60)
    few = prediction_table.read(clips[:60].assign(speaker_id="one").drop(columns="speaker"))
    assert evaluation_report.evaluate(few)["by_row"]["no_interval"] == "1 speaker is too few, 10 are needed"
    rows = prediction_table.of_arrays(["a", "b"], ["a", "b"])
    assert evaluation_report.evaluate(rows)["by_row"]["no_interval"] == "2 rows are too few, 10 are needed"


def test_only_the_tested_split_counts(clips, table):
    mixed = pd.concat([clips.assign(split="test"), clips.assign(split="train", path="x" + clips["path"], label="wren")])
    report = evaluation_report.evaluate(prediction_table.read(mixed))
    assert (report["rows"], report["of_rows"], report["splits"]) == (180, 360, ["test"])
    assert report["by_row"] == evaluation_report.evaluate(table)["by_row"]
    assert report["training"]["name"] == "split train of predictions"
    assert report["training"]["groups"]["affected"] == 60


def test_a_class_without_rows_has_no_figures_and_one_class_alone_has_no_pairs():
    found = prediction_table.of_arrays(["a", "b"], y_prob=[[0.6, 0.3, 0.1], [0.1, 0.9, 0.0]], classes=["a", "b", "c"])
    report = evaluation_report.evaluate(found)
    assert report["table"]["c"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert report["balanced_accuracy"] == 1
    alone = evaluation_report.evaluate(prediction_table.of_arrays(["a"] * 3, ["a"] * 3))
    assert (alone["confused"], alone["calibration"], alone["by_row"]["accuracy"]) == ([], None, 1)
    assert "Calibration" not in evaluation_text.text(alone)


def test_two_models_are_compared_on_the_rows_of_both(clips, table):
    better = clips.assign(**{f"p_{name}": (clips["label"] == name).astype(float) for name in CLASSES})
    other = prediction_table.read(better[6:].drop(columns="speaker").sample(frac=1, random_state=0))
    found = evaluation_report.evaluate(table, other)["against"]
    here = table.rows[6:]
    accuracy = (here["genre"] == here["predicted"]).mean()
    assert (found["rows"], found["left_out"], found["left_out_other"]) == (174, 6, 0)
    assert (found["accuracy"], found["accuracy_other"]) == (pytest.approx(accuracy), 1.0)
    assert found["difference"]["difference"] == pytest.approx(accuracy - 1)
    assert found["difference"]["high"] < 0
    assert (found["difference"]["resampled_by"], found["difference"]["clusters"]) == ("speaker", 15)
    files = evaluation_report.by_file(here)
    wrong = (files["genre"] != files["predicted"]).sum()
    assert (found["mcnemar"]["only_first"], found["mcnemar"]["only_second"]) == (0, wrong)
    swapped = evaluation_report.evaluate(other, table)["against"]
    assert swapped["difference"]["difference"] == pytest.approx(1 - accuracy)


def test_tables_that_cannot_be_compared_are_refused(clips, table):
    with pytest.raises(EvaluationError, match=r"no row in common.*rec00\.wav.*xrec00\.wav"):
        evaluation_report.evaluate(table, prediction_table.read(clips.assign(path="x" + clips["path"])))
    with pytest.raises(
        EvaluationError, match=r"differ in the true class of 3 rows, the first of rec00\.wav: 'blackbird'"
    ):
        other = clips.assign(label=["wren"] * 3 + clips["label"].tolist()[3:])
        evaluation_report.evaluate(table, prediction_table.read(other))


def test_what_is_in_training_too_is_what_the_leaks_count(clips):
    train = pd.DataFrame(
        {
            "file": ["rec00.wav", "rec01.wav", "new.wav", "newer.wav"],
            "speaker": ["person 0", "person 0", "Person 2", "nobody"],
            "title": ["?", "?", "Dawn, Song!", "x"],
        }
    )
    titled = prediction_table.read(clips.assign(title=["dawn song"] + ["?"] * 179))
    found = evaluation_report.evaluate(titled, training=training_overlap.read(train))["training"]
    assert (found["files"]["affected"], found["groups"]["affected"], found["titles"]["affected"]) == (2, 8, 1)
    assert (found["groups"]["names"], found["groups"]["of"]) == (["person 0", "person 2"], 60)
    sides = [
        train.rename(columns={"file": "track_id", "speaker": "artist"}),
        training_overlap.tracks_of(titled.rows, titled),
    ]
    splits = [side[["track_id"]].assign(split=split, segment=0) for side, split in zip(sides, SPLITS[::2], strict=True)]
    counted = leaks.between_splits(pd.concat(splits), pd.concat(sides, ignore_index=True)).query(
        "between == 'train – test'"
    )
    for what, kind in training_overlap.KINDS.items():
        (row,) = counted[counted["what"] == what].to_dict("records")
        expected = (row["shared"], row["tracks"], row["of"], row["unknown"])
        assert tuple(found[kind][key] for key in ("shared", "affected", "of", "unknown")) == expected
    known = titled.rows["artist"].isin(["person 0", "person 2"])  # the two files are of person 0
    right = titled.rows["genre"] == titled.rows["predicted"]
    assert (found["rows_known"], found["rows"]) == (24, 180)
    assert found["accuracy_known"]["accuracy"] == right[known].mean()
    assert found["accuracy_unknown"]["accuracy"] == right[~known].mean()


def test_a_network_that_knows_its_artists_is_told_what_remains(clips):
    known = [f"person {number}" for number in range(10)]
    sure = clips["speaker"].isin(known)
    table = prediction_table.read(
        clips.assign(pred=clips["label"].where(sure, "wren")), options=prediction_table.Columns()
    )
    training = training_overlap.read(pd.DataFrame({"path": [f"t{n}" for n in range(10)], "artist": known}))
    found = evaluation_report.evaluate(table, training=training)["training"]
    assert found["accuracy_known"]["accuracy"] == 1
    assert found["accuracy_unknown"]["accuracy"] == (clips["label"][~sure] == "wren").mean()
    assert found["files"]["affected"] == 0
    everything = training_overlap.read(
        pd.DataFrame({"path": ["x"] * 15, "speaker": [f"person {n}" for n in range(15)]})
    )
    assert evaluation_report.evaluate(table, training=everything)["training"]["accuracy_unknown"] is None


def test_what_the_leaks_cannot_see_is_said(table, tmp_path):
    elsewhere = training_overlap.read(pd.DataFrame({"path": ["/home/me/rec00.wav", "/home/me/rec01.wav"]}))
    found = evaluation_report.evaluate(table, training=elsewhere)["training"]
    assert found["groups"] is None
    assert [note.partition(":")[0].partition(" (")[0] for note in found["notes"]] == [
        "the training table has no groups", "No path is in both, but 2 file names are",
    ]  # fmt: skip
    with pytest.raises(EvaluationError, match="has no column for the training files"):
        training_overlap.read(pd.DataFrame({"who": ["a"]}))
    own = pd.DataFrame({"path": ["a", "b", "c"], "split": ["train", "test", "train"]})
    assert training_overlap.read(own).tracks["track_id"].tolist() == ["a", "c"]
    for name in ("a", "b"):  # one file by two paths
        (tmp_path / f"{name}.wav").write_bytes(b"")
    here = prediction_table.read(pd.DataFrame({"path": ["a.wav"], "label": "x", "pred": "x"}), audio=tmp_path)
    absolute = training_overlap.read(pd.DataFrame({"path": [str(tmp_path / "a.wav"), "c"]}), audio=tmp_path)
    assert evaluation_report.evaluate(here, training=absolute)["training"]["files"]["shared"] == 1


def test_sound_events_have_no_figures_by_file(clips):
    table = prediction_table.read(clips.assign(label=np.roll(clips["label"], 1)))
    report = evaluation_report.evaluate(table, table)
    assert report["by_file"] is None
    assert report["against"]["mcnemar"] is None
    assert "\n  by file" not in evaluation_text.text(report)


def test_the_text_has_every_figure_and_80_columns(clips, table):
    training = training_overlap.read(clips[["path", "speaker"]][:30])
    other = prediction_table.read(clips.assign(pred="wren")[:150])
    report = evaluation_report.evaluate(table, other, training)
    said = evaluation_text.text(report)
    assert max(map(len, said.splitlines())) <= 80
    for figure in ("by_row", "by_file"):
        assert f"{100 * report[figure]['accuracy']:.1f} %   95 % interval" in said
    for name, row in report["table"].items():
        cells = [f"{100 * row[key]:.1f} %" for key in ("precision", "recall", "f1")]
        assert re.search(r"\s+".join([name, *map(re.escape, cells), str(row["support"])]), said)
    assert f"{100 * report['calibration']['ece']:.1f} %" in said
    assert f"{100 * report['against']['difference']['difference']:+.1f} %" in said
    assert "30 rows of this table, 0 of the other" in said
    for kind in ("accuracy_known", "accuracy_unknown"):
        assert f"{100 * report['training'][kind]['accuracy']:.1f} %" in said


def test_of_many_classes_the_worst_are_shown():
    names = [f"class {number:02d}" for number in range(40)]
    guess = [names[0] if number >= 30 else name for number, name in enumerate(names)]
    said = evaluation_text.text(evaluation_report.evaluate(prediction_table.of_arrays(names, guess)))
    assert "The 15 classes of lowest F1, of 40" in said
    shown = re.findall(r"^  (class \d\d) ", said.partition("lowest F1")[2].partition("average")[0], flags=re.M)
    assert {*shown} >= {f"class {number}" for number in range(30, 40)}
    assert len(shown) == 15


def test_the_command_prints_it_and_writes_json(clips, tmp_path, capsys):
    clips.to_csv(tmp_path / "a.csv", index=False)
    clips.rename(columns={"label": "bird"}).to_csv(tmp_path / "b.csv", index=False)
    assert main(["evaluate", str(tmp_path / "a.csv"), "--json", str(tmp_path / "out.json")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("a.csv: 180 rows, 60 files, 3 classes, 15 speakers\nevaluated: all rows\n")
    saved = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert saved == evaluation_report.evaluate(prediction_table.read(tmp_path / "a.csv"))
    assert main(["evaluate", str(tmp_path / "b.csv"), "--true", "bird", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["by_row"] == saved["by_row"]
    assert main(["evaluate", str(tmp_path / "b.csv")]) == 1
    assert "b.csv has no column for the true class" in capsys.readouterr().err


def test_the_command_does_not_wait_for_tensorflow(clips, tmp_path):
    clips.to_csv(tmp_path / "a.csv", index=False)
    script = (
        "import sys\nfrom genre_utils.__main__ import main\n"
        f"assert main(['evaluate', {str(tmp_path / 'a.csv')!r}]) == 0\n"
        "assert not {'tensorflow', 'keras', 'librosa', 'matplotlib'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
