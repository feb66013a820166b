import json

import numpy as np
import pandas as pd
import pytest
import soundfile

from genre_utils.errors import EvaluationError
from genre_utils.evaluation import prediction_table, raw_table, scoring
from genre_utils.evaluation.prediction_table import Columns

HEADER = "file,label,predicted,p_jazz,p_rock,start,end\n"
ROW = "a.wav,rock,rock,0.2,0.8,0,1\n"


@pytest.fixture
def table() -> pd.DataFrame:
    """Four clips of three files by two speakers."""
    return pd.DataFrame(
        {
            "path": ["b.wav", "a.wav", "a.wav", "c.wav"],
            "start": [0.0, 5.0, 0.0, 0.0],
            "end": [5.0, 10.0, 5.0, 2.5],
            "label": ["no", "yes", "yes", "no"],
            "p_yes": [0.25, 0.625, 0.75, 0.5],
            "p_no": [0.75, 0.375, 0.25, 0.5],
            "speaker": ["x", "y", "y", "x"],
            "split": ["test", "TEST", "Evaluation", "dev"],
            "microphone": ["near", "far", "far", "far"],
        }
    )


def written(folder, text, name="predictions.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder, text, **options):
    with pytest.raises(EvaluationError) as caught:
        prediction_table.read(written(folder, text), options=Columns(**options))
    return str(caught.value)


def test_every_column_has_its_place(table):
    found = prediction_table.read(table)
    assert found.rows.columns.tolist() == [
        "track_id", "segment", "start_seconds", "end_seconds", "split", "genre", "predicted", "p_no", "p_yes", "artist",
        "path", "microphone",
    ]  # fmt: skip
    assert found.rows["track_id"].tolist() == table["path"].tolist()
    assert found.rows["segment"].tolist() == [0, 1, 0, 0]  # by time, not by place
    assert found.rows["genre"].tolist() == table["label"].tolist()
    assert found.rows["predicted"].tolist() == ["no", "yes", "yes", "no"]  # of equal ones the first, as numpy's argmax
    assert found.rows["artist"].tolist() == table["speaker"].tolist()
    assert found.rows["split"].tolist() == ["test", "test", "test", "validation"]
    assert found.rows[["p_no", "p_yes"]].to_numpy().tolist() == table[["p_no", "p_yes"]].to_numpy().tolist()
    assert (found.group, found.extras, found.has_probabilities) == ("speaker", ("microphone",), True)
    assert len(found.tested) == 3


def test_names_have_no_case_and_no_start_is_the_start(table):
    table.columns = [name.replace("p_", "P_") if name.startswith("p_") else name.upper() for name in table.columns]
    table.loc[2, "START"] = np.nan
    rows = prediction_table.read(table).rows
    assert rows["genre"].tolist() == table["LABEL"].tolist()
    assert scoring.genres_of(rows) == ["no", "yes"]
    assert rows["segment"].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("form", ["csv", "tsv", "semicolons", "utf16", "with index", "parquet", "jsonl", "json"])
def test_every_form_of_file_gives_the_same_rows(table, form, tmp_path):
    table["label"] = table["label"].replace("no", "né")
    table = table.rename(columns={"p_no": "p_né"})
    path = tmp_path / f"table.{form if form in ('tsv', 'parquet', 'jsonl', 'json') else 'csv'}"
    if form == "parquet":
        table.to_parquet(path)
    elif form.startswith("json"):
        table.to_json(path, orient="records", lines=form == "jsonl", force_ascii=False, double_precision=15)
    elif form == "semicolons":
        table.to_csv(path, index=False, sep=";", decimal=",")
    else:
        encoding, separator = "utf-16" if form == "utf16" else "utf-8", "\t" if form == "tsv" else ","
        table.to_csv(path, index=form == "with index", sep=separator, encoding=encoding)
    found, expected = prediction_table.read(path), prediction_table.read(table)
    pd.testing.assert_frame_equal(found.rows, expected.rows)
    assert (found.name, expected.name) == (path.name, "predictions")


def test_numbers_come_back_bit_for_bit(tmp_path, rng):
    p = rng.dirichlet([1, 1, 1], 200)
    table = pd.DataFrame(p, columns=["p_0", "p_1", "p_2"]).assign(label=0, path=[f"{n}.wav" for n in range(200)])
    table.to_csv(tmp_path / "a.csv", index=False)
    rows = prediction_table.read(tmp_path / "a.csv").rows
    assert (scoring.probabilities(rows) == p).all()
    assert rows["p_0"].dtype == float
    assert prediction_table.read(table.astype({"p_0": "f4", "p_1": "f4", "p_2": "f4"})).rows["p_0"].dtype == np.float32


def test_this_project_s_own_predictions_read_as_they_are(predictions, tmp_path):
    predictions.to_parquet(tmp_path / "predictions.parquet")
    found = prediction_table.read(tmp_path / "predictions.parquet")
    same = [name for name in predictions.columns if name != "path"]
    pd.testing.assert_frame_equal(found.rows[same], predictions[same], check_dtype=False)
    assert found.extras == ()
    pd.testing.assert_frame_equal(
        scoring.by_track(found.tested).drop(columns="path"),
        scoring.by_track(predictions[predictions["split"] == "test"]).drop(columns="path"),
        check_dtype=False,
    )


def test_a_table_that_was_written_reads_the_same(table, tmp_path):
    arrays = prediction_table.of_arrays(["a", "b"], y_prob=[[0.7, 0.3], [0.1, 0.9]], path=["x/1.wav", "x/2.wav"])
    for place, once in enumerate((prediction_table.read(table), arrays)):
        once.rows.to_csv(tmp_path / f"{place}.csv", index=False)
        again = prediction_table.read(tmp_path / f"{place}.csv")
        pd.testing.assert_frame_equal(again.rows, once.rows)
        assert (again.group, again.extras) == ("artist" if once.group else "", once.extras)


def test_text_stays_text_and_whole_numbers_lose_their_point(tmp_path):
    path = written(tmp_path, "id,label,pred,speaker\n007,1,2.0,NA\n010,2,10,01\n")
    rows = prediction_table.read(path).rows
    assert rows["track_id"].tolist() == ["007", "010"]
    assert rows["artist"].tolist() == ["NA", "01"]
    assert rows["genre"].tolist() == ["1", "2"]
    assert scoring.genres_of(rows) == ["1", "2", "10"]  # by value
    floats = pd.DataFrame({"label": [0.0, 1.0], "pred": [1, 0], "p_0.0": [0.5, 0.5], "p_1.0": [0.5, 0.5]})
    assert scoring.genres_of(prediction_table.read(floats).rows) == ["0", "1"]


def test_without_probabilities_a_mean_over_rows_is_a_share_of_votes():
    path, guess = ["a", "a", "a", "b"], ["x", "y", "y", "x"]
    found = prediction_table.of_arrays(["y", "y", "y", "x"], guess, path=path, start=[0, 1, 2, 0])
    files = scoring.by_track(found.rows)
    assert not found.has_probabilities
    assert files["predicted"].tolist() == ["y", "x"]
    assert files["p_y"].tolist() == pytest.approx([2 / 3, 0])
    assert any("no probabilities" in note for note in found.notes)


def test_arrays_of_scikit_learn_and_pytorch_give_one_table(rng):
    classes = ["jazz", "metal", "rock"]
    p = rng.dirichlet([1, 1, 1], 30)
    y = rng.integers(0, 3, 30)
    names = prediction_table.of_arrays(np.array(classes)[y], y_prob=p).rows
    numbers = prediction_table.of_arrays(y, y_prob=p, classes=classes).rows
    both = prediction_table.of_arrays(y, p.argmax(1), p, classes).rows
    other_order = prediction_table.of_arrays(2 - y, y_prob=p[:, ::-1], classes=classes[::-1]).rows
    for rows in (numbers, both, other_order):
        pd.testing.assert_frame_equal(rows, names)
    assert names["predicted"].tolist() == [classes[place] for place in p.argmax(1)]

    class Tensor:
        def detach(self):
            return self

        def cpu(self):
            return p

    pd.testing.assert_frame_equal(prediction_table.of_arrays(y, y_prob=Tensor(), classes=classes).rows, names)


def test_arrays_that_do_not_fit_are_refused():
    for arguments, said in [
        ({"y_true": ["a", "b"], "y_pred": ["a"]}, r"as long as y_true. Found predicted \(1,\)"),
        ({"y_true": ["a", "b"], "y_prob": np.eye(3)[:2]}, r"shape \(2, 2\).*classes a, b. Found \(2, 3\)"),
        ({"y_true": ["a", "b"], "y_prob": [0.5, 0.5]}, r"shape \(2, 2\).*Found \(2,\)"),
        ({"y_true": [0, 2], "y_prob": np.eye(2), "classes": ["a", "b"]}, "positions from 0 to 1 .* found 0 to 2"),
        ({"y_true": ["a", "a"], "y_prob": np.eye(2), "classes": ["a", "a"]}, "found a twice"),
        ({"y_true": ["a", "b"]}, "neither a predicted class nor probabilities"),
        ({"y_true": [], "y_pred": []}, "no rows"),
    ]:  # fmt: skip
        with pytest.raises(EvaluationError, match=said):
            prediction_table.of_arrays(**arguments)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,x,pred\na,b,b\n", "no column for the true class. Expected one of true, label, "),
        ("file,label\na,b\n", "neither a predicted class nor probabilities"),
        ("file,label,pred\n", "has no rows"),
        ("", "it is empty"),
        ("file,label,pred\n\na,x,x\nb,,x\n", "line 4, column label: is empty"),
        ('file,label,pred\n"a\nb",x,x\nc,x,\n', "line 4, column pred: is empty"),
        ("file,label,pred\n,x,x\n", "line 2, column file: is empty"),
        (HEADER + ROW + "b.wav,rock,rock,,1,0,1\n", "line 3, column p_jazz: expected a probability from 0 to 1"),
        (HEADER + "b.wav,rock,rock,-1.5,2.5,0,1\n", "found -1.5. If these are logits, apply softmax"),
        (HEADER + "b.wav,rock,rock,20,80,0,1\n", "If they are percentages, divide them by 100."),
        (HEADER + "b.wav,rock,rock,1.01,0,0,1\n", "expected a probability from 0 to 1, found 1.01"),
        (HEADER + "b.wav,rock,rock,inf,0,0,1\n", "found inf"),
        (HEADER + "b.wav,rock,rock,high,0,0,1\n", "line 2, column p_jazz: expected a number, found 'high'."),
        (HEADER + "b.wav,rock,rock,0.2,0.8,2,2\n", "line 2, column end: expected a time after the start, 2 s"),
        (HEADER + "b.wav,rock,rock,0.2,0.8,-2,2\n", "line 2, column start: expected seconds from the start"),
        (HEADER + ROW + "\n" + ROW, "line 4: a.wav with the same start is in line 2, too"),
        ("file,label,pred\na,x,x\na,x,x\n", "line 3: a is in line 2, too"),
        ("file,label,pred\na,x,x\na,y,x\n", "line 3: a is 'y' here and 'x' in line 2"),
        ("file,label,pred\na,x,x|y\n", "line 2, column pred: expected one class, found 'x|y'"),
        ("file,label,pred\na,x,x\nb,x,x,x\n", "line 3: expected 3 cells, found 4"),
        ("file,label,label,pred\na,x,x,x\n", "the column label occurs more than once"),
        ("file,label,pred,p_1,p_1.0\na,1,1,1,1\n", "p_1 and p_1.0 are of the same class"),
        ('file,label,pred\n"a,x,x\n', "is not a table that can be read"),
        ("RIFF\0\0WAVE", "it holds the byte 0"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_with_its_line_and_column(text, said, tmp_path):
    message = refusal(tmp_path, text)
    assert said in message
    assert "predictions.csv" in message


def test_a_wrong_file_is_refused(tmp_path):
    for name, text, said in [
        ("a.jsonl", '{"file": "a", "label": "x", "pred": "x"}\n\n{"file": "b"\n', "line 3"),
        ("c.jsonl", '["file"]', "expected an object for each row, found 'file'"),
        ("b.jsonl", '{"file": "a", "label": "x", "pred": "x"}\n\n{"file": "b", "label": "x"}\n', "line 3, column pred"),
        ("a.parquet", "file,label", "is not a table that can be read"),
    ]:
        with pytest.raises(EvaluationError, match=said):
            prediction_table.read(written(tmp_path, text, name))
    with pytest.raises(EvaluationError, match="is not there"):
        prediction_table.read(tmp_path / "none.csv")
    with pytest.raises(EvaluationError, match="is not a file"):
        prediction_table.read(tmp_path)


def test_a_column_is_named_by_an_option_or_found_and_that_is_noted(tmp_path):
    text = "file,id,label,class,pred,Rater\na,1,x,p,q,r\nb,2,y,q,p,s\n"
    found = prediction_table.read(written(tmp_path, text))
    assert found.rows["genre"].tolist() == ["x", "y"]
    assert [note for note in found.notes if "taken as" in note] == [
        "The column file is taken as path, not id. --path NAME takes another one.",
        "The column label is taken as true, not class. --true NAME takes another one.",
    ]
    other = prediction_table.read(written(tmp_path, text), options=Columns(path="id", true="Class", group="rater"))
    assert other.rows["genre"].tolist() == ["p", "q"]
    assert other.rows["track_id"].tolist() == ["1", "2"]
    assert (other.group, other.extras) == ("Rater", ("file", "label"))
    assert "no column 'species', which was named as the column true. Found: file, id" in refusal(
        tmp_path, text, true="species"
    )


def test_no_other_column_takes_a_name_that_has_a_meaning():
    table = pd.DataFrame({"file": ["a", "b"], "label": ["x", "y"], "pred": ["x", "y"], "speaker": ["s", "t"]})
    found = prediction_table.read(
        table.assign(genre=["folk", "pop"], artist=["k", "l"], p_value=[0.1, 7.0]), options=Columns(group="speaker")
    )
    assert found.rows["genre"].tolist() == ["x", "y"]
    assert found.rows["artist"].tolist() == ["s", "t"]
    assert found.extras == ("given genre", "given artist", "given p_value")
    assert found.rows["given genre"].tolist() == ["folk", "pop"]
    assert scoring.genres_of(found.rows) == ["x", "y"]
    assert any("p_value is no probabilities" in note for note in found.notes)


def test_probabilities_are_those_whose_classes_occur():
    table = pd.DataFrame({"label": ["x", "y"], "p_value": [0.5, 0.5], "prob_x": [0.9, 0.1], "prob_y": [0.1, 0.9]})
    rows = prediction_table.read(table).rows
    assert rows[["p_x", "p_y"]].to_numpy().tolist() == [[0.9, 0.1], [0.1, 0.9]]


def test_what_is_unusual_is_noted():
    def notes(**arguments):
        return " ".join(prediction_table.of_arrays(**arguments).notes)

    p = np.array([[0.9, 0.8], [0.1, 0.3]])
    sigmoid = notes(y_true=["a", "b"], y_prob=p)
    assert "In 2 rows the probabilities do not sum to 1 (all sums: 0.4 to 1.7)" in sigmoid
    assert "do not sum" not in notes(y_true=["a", "b"], y_prob=[[0.333, 0.661], [0.5, 0.5]])
    assert "In 1 rows the predicted class is not the most probable" in notes(
        y_true=["a", "b"], y_pred=["b", "b"], y_prob=[[0.9, 0.1], [0.1, 0.9]]
    )
    assert "no column of probabilities for c: 0 is taken" in notes(
        y_true=["a", "c"], y_prob=[[0.9, 0.1], [0.1, 0.9]], classes=["a", "b"]
    )
    assert "differ only in case or spaces are different classes: 'Rock' and 'rock'" in notes(
        y_true=["Rock", "a"], y_pred=["rock", "a"]
    )
    assert "No predicted class is a true class. True: a, b. Predicted: 0, 1." in notes(y_true=["a", "b"], y_pred=[0, 1])
    assert "resample files, and are too narrow" in notes(y_true=["a"], y_pred=["a"], path=["x"])
    assert "each row counts as a file of its own" in notes(y_true=["a"], y_pred=["a"])


def test_a_file_of_several_classes_is_allowed_with_times_only(table):
    events = table.assign(label=["no", "yes", "no", "no"])
    found = prediction_table.read(events)
    assert any("1 of 3 files have several true classes" in note for note in found.notes)
    with pytest.raises(EvaluationError, match=r"row 2: a\.wav is 'no' here and 'yes' in row 1"):
        prediction_table.read(events.drop(columns=["start", "end"]))
    assert prediction_table.read(events.assign(label=["no|yes", "no", "no", "no"])).rows["genre"][0] == "no|yes"


@pytest.mark.parametrize(
    ("splits", "tested"),
    [
        (["train", "test", "other"], ["test"]),
        (["train", "validation", "fold 1"], ["fold 1"]),
        (["train", "valid", "dev"], ["validation"] * 2),
        (["train", "training"], ["train"] * 2),
        (["", "train"], [""]),
    ],
)
def test_the_rows_to_evaluate_are_the_test_or_what_is_nearest_to_it(splits, tested):
    count = len(splits)
    found = prediction_table.of_arrays(["a"] * count, ["a"] * count, split=splits)
    assert found.tested["split"].tolist() == tested
    assert len(found.rows) == count
    alone = prediction_table.of_arrays(["a"], ["a"])
    assert alone.tested["split"].tolist() == ["test"]


def test_audio_is_found_by_path_name_or_number(tmp_path):
    for name in ("near/a.wav", "deep/down/b.flac", "000/000007.wav", "x/twice.wav", "y/twice.wav"):
        file = tmp_path / "audio" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, np.zeros(8), 8_000)
    (tmp_path / "audio" / "b.txt").write_text("no audio")
    ids = ["near\\a.wav", "other/b.flac", "b", "7", "twice", "absent.wav", "a\0b"]
    table = pd.DataFrame({"path": ids, "label": "x", "pred": "x"})
    found = prediction_table.read(table, audio=tmp_path / "audio")
    expected = ["near/a.wav", "deep/down/b.flac", "deep/down/b.flac", "000/000007.wav", "", "", ""]
    assert found.rows["path"].tolist() == [str(tmp_path / "audio" / name) if name else "" for name in expected]
    assert found.rows["track_id"][0] == "near/a.wav"
    (note,) = [note for note in found.notes if "audio" in note]
    assert note.startswith(f"The audio of 3 of 7 files was not found below {tmp_path / 'audio'}")
    assert "twice: several files below the folder have this name" in note
    table[:1].to_csv(tmp_path / "audio" / "a.csv", index=False)
    assert prediction_table.read(tmp_path / "audio" / "a.csv").rows["path"][0].endswith("near/a.wav")
    with pytest.raises(EvaluationError, match="is not a folder"):
        prediction_table.read(table, audio=tmp_path / "none")


def test_hugging_face_s_column_of_audio_is_a_path():
    table = pd.DataFrame({"audio": [{"path": "a.wav", "bytes": b""}], "label": ["x"], "pred": ["x"]})
    assert prediction_table.read(table).rows["track_id"].tolist() == ["a.wav"]


def test_the_line_of_a_row_is_the_one_of_the_editor(tmp_path):
    lines = ["file,label,pred", *[f"{n},x,x" if n % 3 else "" for n in range(30)]]
    path = written(tmp_path, "\n".join(lines))
    raw, _ = raw_table.read(path, ["file"])
    for row, name in enumerate(raw.frame["file"]):
        assert lines[int(raw.place(row).removeprefix("line ")) - 1].startswith(f"{name},")
    path = written(tmp_path, "\n\n".join(json.dumps({"file": n}) for n in range(5)), "a.jsonl")
    assert raw_table.read(path, [])[0].place(4) == "line 9"
