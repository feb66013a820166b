"""The explorer of anybody's table of predictions: what it counts, cuts, keeps and refuses."""

import io
import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import tone
from sklearn.metrics import average_precision_score, confusion_matrix, precision_score, recall_score

from genre_utils import __main__
from genre_utils.errors import AudioError, EvaluationError
from genre_utils.evaluation import prediction_table, scoring
from genre_utils.explorer import facts, levels, media, page, predictions, track_notes

RATE_HZ = 8_000
CLASSES = [f"class {number:02}" for number in range(14)]  # more than the ten whose probabilities a row has


def table_of(count=200, probabilities=True, seed=3):
    """Predictions of short files: two thirds right, with a speaker, a length and a microphone."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(len(CLASSES), 0.4), count)
    truth = np.where(rng.random(count) < 0.66, p.argmax(axis=1), rng.integers(len(CLASSES), size=count))
    table = pd.DataFrame(
        {
            "file": [f"{number:03}.wav" for number in range(count)],
            "label": [CLASSES[index] for index in truth],
            "predicted": [CLASSES[index] for index in p.argmax(axis=1)],
            "speaker": [f"s{number % 20}" for number in range(count)],
            "loudness": rng.normal(-20, 5, count).round(1),
            "microphone": rng.choice(["near", "far"], count),
        }
    )
    shares = pd.DataFrame(p, columns=[f"p_{name}" for name in CLASSES])
    return pd.concat([table, shares], axis=1) if probabilities else table


def explored(table, against=None, **options):
    tables = [None if one is None else prediction_table.read(one, **options) for one in (table, against)]
    return predictions.of_table(*tables)


@pytest.fixture(scope="module")
def table():
    return table_of()


@pytest.fixture(scope="module")
def made(table):
    return explored(table)


# Numbers


@pytest.mark.parametrize("probabilities", [True, False])
@pytest.mark.parametrize("bare", [True, False])
def test_counts_equal_scikit_learns(table, probabilities, bare):
    """With and without probabilities, groups and other columns."""
    given = table.drop(columns=[] if probabilities else [name for name in table if name.startswith("p_")])
    given = given.drop(columns=["speaker", "loudness", "microphone"] if bare else [])
    found = explored(given.sample(frac=1, random_state=1)).facts
    level = found["runs"][0]["segment"]
    assert level["counts"] == confusion_matrix(table["label"], table["predicted"], labels=found["genres"]).tolist()
    assert level["support"] == table["label"].value_counts().reindex(found["genres"]).tolist()
    assert level["calibrated"] is None and (level["raw"] is not None) == probabilities
    assert (found["map"] is not None) == probabilities
    assert found["levels"] == ["segment"] and found["tracks"]["id"] == table["file"].tolist()
    assert found["heard"] is False and predictions.NO_AUDIO in found["notices"]
    assert any("no probabilities" in text for text in found["notices"]) == (not probabilities)
    assert [column["name"] for column in found["columns"]] == ([] if bare else ["loudness", "microphone"])
    assert found["tracks"]["artist"] == ([""] * len(table) if bare else table["speaker"].tolist())
    json.dumps(found, allow_nan=False)
    if bare:
        return
    loudness, microphone = found["columns"]
    assert loudness["numbers"] == table["loudness"].tolist()
    assert [microphone["texts"][code] for code in microphone["codes"]] == table["microphone"].tolist()


def test_a_row_has_its_most_probable_classes_with_the_true_and_the_predicted_one(made, table):
    """Of 14 classes ten: what is left out is never more probable than what is there, but for those two."""
    given = table.assign(predicted=table["predicted"].where(table.index % 3 > 0, CLASSES[13]))  # kept as it is
    for found, rows in ((made, table), (explored(given), given)):
        top = found.facts["runs"][0]["segment"]["raw"]["top"]
        genre, p = (np.array(top[name]).reshape(len(rows), top["count"]) for name in ("genre", "p"))
        shares = rows[[f"p_{name}" for name in CLASSES]].to_numpy()
        assert top["count"] == levels.MOST_PROBABLE and (np.diff(p, axis=1) <= 0).all()
        np.testing.assert_allclose(p / levels.PARTS, np.take_along_axis(shares, genre, axis=1), atol=1 / levels.PARTS)
        for row, (truth, guess) in enumerate(zip(rows["label"], rows["predicted"], strict=True)):
            both = {CLASSES.index(truth), CLASSES.index(guess)}
            assert both <= {*genre[row]} and len({*genre[row]}) == levels.MOST_PROBABLE
            kept = [shares[row][index] for index in genre[row] if index not in both]
            left_out = [shares[row][index] for index in range(len(CLASSES)) if index not in {*genre[row]}]
            assert min(kept) >= max(left_out) - 1 / levels.PARTS


def test_thresholds_give_scikit_learns_precision_and_recall(made, table):
    raw = made.facts["runs"][0]["segment"]["raw"]
    for index, name in enumerate(CLASSES):
        curve, p, truth = raw["curves"][index], table[f"p_{name}"].to_numpy(), table["label"] == name
        assert curve["top"] == pytest.approx(p.max(), abs=1 / levels.PARTS)
        for step in (1, 17, 35, 58, 80):
            called = p >= step / levels.STEPS * curve["most"]
            assert curve["predicted"][step] == called.sum()
            precision, recall = (
                score(truth, called, zero_division=np.nan) for score in (precision_score, recall_score)
            )
            hits, here = curve["hits"][step], curve["predicted"][step]
            assert (hits / here if here else np.nan) == pytest.approx(precision, nan_ok=True)
            assert hits / curve["hits"][0] == pytest.approx(recall)
        assert raw["average_precision"][index] == pytest.approx(average_precision_score(truth, p))


def test_the_curve_of_rare_probabilities_ends_soon_after_them():
    """A probability on a step reaches it, although 0.29 has no exact binary form."""
    parts = np.array([0, 290, 1_000, 4_000])
    curve = levels.thresholds(parts, np.array([False, True, False, True]))
    assert (curve["most"], curve["top"]) == (0.05, 0.04)
    assert [curve["predicted"][step] for step in (0, 5, 6, 20, 21, 80, 81)] == [4, 3, 2, 2, 1, 1, 0]
    assert [curve["hits"][step] for step in (0, 5, 6, 20, 21, 80, 81)] == [2, 2, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("probabilities", [True, False])
def test_the_worst_are_the_most_confidently_wrong_of_each_cell(table, count, probabilities):
    """Against a slow search; of right ones the least sure."""
    given = table if probabilities else table.drop(columns=[name for name in table if name.startswith("p_")])
    (tested,) = explored(given).tested
    expected, rows = set(), table.to_dict("records")
    for truth, guess in itertools.product(CLASSES, CLASSES):
        cell = [row for row in rows if (row["label"], row["predicted"]) == (truth, guess)]
        if probabilities:
            cell.sort(key=lambda row: row[f"p_{row['predicted']}"], reverse=truth != guess)
        expected |= {row["file"] for row in cell[:count]}
    assert levels.worst_tracks(tested, count) == expected
    assert count > 1 or len(expected) < len(table)


# Cards


def long_and_short():
    """Two files of three rows each: of 4 s, and of 90 s."""
    begins = [0.0, 1.0, 2.5, 0.0, 30.0, 60.5]
    return pd.DataFrame(
        {
            "file": ["short.wav"] * 3 + ["long.wav"] * 3,
            "start": begins,
            "end": [1.0, 2.5, 4.0, 30.0, 60.5, 90.0],
            "label": ["a", "a", "a", "b", "b", "b"],
            "predicted": ["a", "b", "a", "b", "a", "b"],
        }
    )


def test_a_short_file_has_one_card_and_a_long_one_a_card_for_each_row():
    found = explored(long_and_short())
    shown = found.facts["tracks"]
    assert shown["id"] == ["long.wav 0 to 30 s", "long.wav 30 to 60.5 s", "long.wav 60.5 to 90 s", "short.wav"]
    assert shown["seconds"] == [30.0, 30.5, 29.5, 4.0]
    assert found.facts["segments"]["track"] == [0, 1, 2, 3, 3, 3]
    assert found.rows["track_id"].tolist() == ["long.wav"] * 3 + ["short.wav"] * 3
    of_short = explored(long_and_short().query("file == 'short.wav'")).facts
    assert of_short["tracks"]["id"] == ["short.wav"] and of_short["levels"] == ["segment", "track"]
    assert of_short["runs"][0]["track"]["counts"] == [[1, 0], [0, 0]]  # two votes of three


def test_rows_of_a_card_begin_within_its_sound():
    """Each card of the long file is cut from the file at its own start."""
    found = explored(long_and_short()).facts
    assert found["tracks"]["begins"] == [0, 30, 60.5, 0]
    assert found["segments"]["start"] == [0, 0, 0, 0, 1, 2.5]
    assert found["segments"]["end"] == [30, 30.5, 29.5, 1, 2.5, 4]


def test_a_card_has_its_own_place_on_the_map():
    """Their names are not in the order of time: "9 to 10 s" comes after "10 to 11 s"."""
    start = np.arange(0.0, 12) * 10
    windows = pd.DataFrame({"file": "long.wav", "start": start, "end": start + 10, "label": "a", "predicted": "a"})
    found = explored(windows.assign(x=start, y=[np.nan, *start[1:]])).facts["map"]
    assert found["x"] == [None, *np.round(1000 * np.arange(11) / 10)] and "1 have none" in found["text"]


@pytest.mark.parametrize("other", ["a", pd.Timestamp("2024-01-01")])
def test_columns_x_and_y_that_are_no_numbers_are_no_places(table, other):
    assert "principal components" in explored(table.assign(x=other, y=1.0)).facts["map"]["text"]
    assert explored(table.assign(x=1.0, y=2.0), table).facts["map"] is not None  # only one of two has them


def test_what_is_empty_or_infinite_is_plain_json(table):
    strange = table.assign(title=None, snr=[np.inf, *np.zeros(len(table) - 1)], card="SD 7")
    found = explored(strange).facts
    json.dumps(found, allow_nan=False)
    assert {*found["tracks"]["title"]} == {""}
    columns = {column["name"]: column for column in found["columns"]}
    assert columns["snr"]["numbers"][0] is None and columns["given card"]["texts"] == ["SD 7"]


def test_one_class_and_equal_probabilities_have_no_map(table):
    one = pd.DataFrame({"file": ["1.wav", "2.wav", "3.wav"], "label": "wren", "p_wren": [0.2, 0.5, 1.0]})
    assert explored(one).facts["map"] is None
    shares = [name for name in table if name.startswith("p_")]
    assert explored(table.assign(**dict.fromkeys(shares, 1 / len(shares)))).facts["map"] is None


def test_files_of_several_classes_are_said_and_have_the_baseline_of_evaluate():
    table = pd.DataFrame({"file": ["1.wav", "2.wav"], "label": ["tit|wren", "wren"], "predicted": ["tit", "wren"]})
    found = explored(table).facts
    assert "Always saying wren: 100.0 %" in found["runs"][0]["segment"]["sentence"]
    assert any("several" in text for text in found["notices"])


def test_a_file_of_two_classes_has_a_card_for_each_row():
    """A card has one true class."""
    table = long_and_short().iloc[:3].assign(label=["a", "b", "a"])
    assert len(explored(table).facts["tracks"]["id"]) == 3
    close = table.assign(start=[9_999.11, 9_999.12, 9_999.13], end=10_000.0)  # one name, if times have six digits
    assert len({*explored(close).facts["tracks"]["id"]}) == 3


def test_files_of_training_are_there_to_compare_with(table):
    split = np.where(table.index % 4 == 0, "train", "test")
    found = explored(table.assign(split=split)).facts
    shown = pd.DataFrame({name: found["tracks"][name] for name in ("id", "genre", "split")})
    assert shown["split"].tolist() == ["test"] * found["tested"] + ["train"] * (len(shown) - found["tested"])
    others = shown[shown["split"] == "train"]
    assert len(others) and others["genre"].value_counts().max() <= facts.REFERENCES["train"]
    truth = table.set_index("file")["label"]
    assert [found["genres"][genre] for genre in others["genre"]] == truth[others["id"]].tolist()
    assert {*others["id"]} <= {*table["file"][split == "train"]}


# Two tables


def test_two_tables_are_compared_on_the_rows_that_both_have(table):
    """In any order; a class that one does not know has probability 0 there."""
    second = table_of(seed=4).assign(label=table["label"]).iloc[20:].sample(frac=1, random_state=2)
    second = second.rename(columns={"p_class 13": "p_other"}).replace({"predicted": {"class 13": "other"}})
    found = explored(table.sample(frac=1, random_state=5), second)
    both = found.facts
    assert both["tracks"]["id"] == table["file"].tolist()[20:] and "other" in both["genres"]
    expected = second.sort_values("file")
    for run, rows in zip(both["runs"], (table.iloc[20:], expected), strict=True):
        assert [both["genres"][index] for index in run["segment"]["predicted"]] == rows["predicted"].tolist()
        truth = rows["label"]
        counts = confusion_matrix(truth, rows["predicted"], labels=both["genres"])
        assert run["segment"]["counts"] == counts.tolist()
    right = [(rows["label"] == rows["predicted"]).mean() for rows in (table.iloc[20:], expected)]
    assert both["paired"]["segment"]["difference"] == pytest.approx(right[1] - right[0])
    assert any("the 180 rows that both have; left out: 20 of predictions" in text for text in both["notices"])


def test_tables_that_disagree_on_the_truth_are_not_compared(table):
    with pytest.raises(EvaluationError):
        explored(table, table.assign(label=table["label"].shift(1, fill_value=CLASSES[0])))
    with pytest.raises(EvaluationError):
        explored(table, table.assign(file="x" + table["file"]))


# Doubts


def test_doubts_are_read_back_as_badges(table, tmp_path):
    saved = tmp_path / "doubts.csv"
    saved.write_text('"track_id","genre","note"\r\n"007.wav","class 01","a, ""door"""\r\n"gone.wav","",""\r\n')
    found = predictions.read(table, doubts=saved)
    assert found.facts["tracks"]["badges"] == {"7": [{"kind": "label doubted", "text": 'a, "door"'}]}
    assert json.loads(json.dumps(found.facts)) == found.facts
    for text, match in (("a,b\n1,2\n", "columns a, b. Expected: track_id and note"), ("", "cannot be read")):
        saved.write_text(text)
        with pytest.raises(EvaluationError, match=match):
            track_notes.read_doubts(saved)
    with pytest.raises(EvaluationError, match="cannot be read"):
        track_notes.read_doubts(tmp_path / "gone.csv")


# Sound


@pytest.fixture(scope="module")
def changing(tmp_path_factory):
    """A file of 3 s: 400 Hz for 1 s, then 1,200 Hz."""
    path = tmp_path_factory.mktemp("sound") / "changing.wav"
    samples = np.concatenate([tone(400, 1.0, RATE_HZ), tone(1_200, 2.0, RATE_HZ)])
    soundfile.write(path, 0.5 * samples, RATE_HZ)
    return str(path)


def hertz(samples, rate_hz):
    return np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * rate_hz / len(samples)


def test_an_excerpt_is_that_part_of_the_file_alone(changing):
    """In one decoding, in any order: what is before, after and across the change."""
    spans = [(1.0, 2.0, 1.0), (0.0, 1.0, 1.0), (0.5, 1.5, 1.0), (2.5, None, 0.5), (2.5, 9.0, 0.5), (0.0, None, 3.0)]
    excerpts = [media.Excerpt(changing, start, end) for start, end, _ in spans]
    found = list(media.of_excerpts(excerpts, predictions.PARAMS))
    heard = []
    for clip, (_, _, length) in zip(found, spans, strict=True):
        samples, rate_hz = soundfile.read(io.BytesIO(clip.sound))
        assert clip.seconds == pytest.approx(length, abs=1e-3)
        assert len(samples) / rate_hz == pytest.approx(length, abs=0.02)
        heard.append(samples)
    edge = round(0.05 * rate_hz)  # lossy coding smears a cut
    for samples, expected in zip(heard[:2], (1_200, 400), strict=True):
        for part in np.array_split(samples[edge:-edge], 3):
            assert hertz(part, rate_hz) == pytest.approx(expected, abs=10)
    half = len(heard[2]) // 2
    assert hertz(heard[2][edge : half - edge], rate_hz) == pytest.approx(400, abs=10)
    assert hertz(heard[2][half + edge : -edge], rate_hz) == pytest.approx(1_200, abs=10)


def test_a_clip_after_the_end_of_its_file_says_so(changing):
    found = list(
        media.of_excerpts([media.Excerpt(changing, 0.0, 1.0), media.Excerpt(changing, 5.0, 6.0)], predictions.PARAMS)
    )
    assert isinstance(found[0], media.Clip) and found[1] == "ends before this clip begins"
    with pytest.raises(AudioError, match="ends before"):
        media.of_excerpt(media.Excerpt(changing, 5.0, 6.0), predictions.PARAMS)


def test_tracks_of_one_file_each_have_its_sound(genre_folder, params):
    path = str(genre_folder / "bass" / "bass.00000.wav")
    first, second = media.of_excerpts([media.Excerpt(path)] * 2, params)
    assert first.picture == second.picture and first.seconds == second.seconds == 2.0
    sounds = [soundfile.read(io.BytesIO(clip.sound))[0] for clip in (first, second)]  # Ogg has a random number inside
    np.testing.assert_array_equal(*sounds)


# The command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of twelve files of 0.3 s in a folder of its own; the last file is not there."""
    root = tmp_path_factory.mktemp("table")
    (root / "sound").mkdir()
    table = table_of(12)
    for number, name in enumerate(table["file"][:-1]):
        soundfile.write(root / "sound" / name, 0.5 * tone(300 + 100 * number, 0.3, RATE_HZ), RATE_HZ)
    table.to_csv(root / "table.csv", index=False)
    return root


def carried(path):
    scripts = re.findall(r'<script type="application/json" id="(\w+)">(.*?)</script>', path.read_text(encoding="utf-8"))
    return {name: json.loads(text) for name, text in scripts}


def test_a_table_is_explored_from_the_shell(folder, tmp_path, capsys):
    command = ["explore", str(folder / "table.csv"), "--audio", str(folder / "sound")]
    assert __main__.main([*command, "--out", str(tmp_path / "page")]) == 0
    assert "sound and pictures of 11 clips" in capsys.readouterr().out
    held = carried(tmp_path / "page" / "index.html")
    found = predictions.read(folder / "table.csv", audio=folder / "sound")
    assert held["facts"] == found.facts and found.facts["title"] == "table.csv"
    sounds = held["carried"]["tracks"]
    assert sorted(map(int, sounds)) == list(range(12)) and sounds.pop("11") == {"absent": media.NOT_FOUND}
    for one in sounds.values():
        assert one["seconds"] == pytest.approx(0.3) and (tmp_path / "page" / one["picture"]).is_file()
        assert soundfile.info(tmp_path / "page" / one["audio"]).duration == pytest.approx(0.3, abs=0.02)
    assert str(folder) not in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")


def test_few_clips_are_the_worst_of_each_cell(folder, tmp_path):
    found = predictions.read(folder / "table.csv", audio=folder / "sound")
    for count in (1, 2):
        numbers = page.with_sound(found, count)
        ids = found.facts["tracks"]["id"]
        worst = levels.worst_tracks(found.tested[0], count, {*ids} - {"011.wav"})  # it has no file: the next is taken
        assert {ids[number] for number in numbers} == worst
    assert page.with_sound(found, None) == list(range(11))
    page.write(found, tmp_path / "page", clips=1)
    assert carried(tmp_path / "page" / "index.html")["carried"]["clips"] == 1


def test_what_the_command_refuses_it_names(folder, tmp_path, capsys):
    (tmp_path / "wrong.csv").write_text("file,label,p_a,p_b\nx.wav,a,0.5,0.5\ny.wav,b,zero,1\n")
    table = str(folder / "table.csv")
    for arguments, text in (
        ([table, "--clips", "0"], "--clips must be a number from 1, or all. Received: 0."),
        ([table, "--clips", "few"], "Received: few."),
        (
            [str(tmp_path), "--audio", str(folder)],
            f"--audio is for a table of predictions, but {tmp_path} is not a file",
        ),
        ([str(tmp_path), "--true", "label"], "--true is for a table of predictions"),
        ([str(tmp_path / "wrong.csv")], "wrong.csv, line 3"),
        ([table, "--true", "nothing"], "no column 'nothing'"),
        ([table, "--against", str(tmp_path / "gone.csv")], "gone.csv"),
        ([table, "--doubts", table], "Expected: track_id and note"),
    ):
        assert __main__.main(["explore", *arguments, "--out", str(tmp_path / "page")]) == 1, arguments
        assert text in capsys.readouterr().err, arguments
    assert not (tmp_path / "page").exists()


def test_the_rows_are_those_of_the_table(made, table):
    """What ``select`` and ``selected`` of a notebook return."""
    assert made.rows["track_id"].tolist() == table["file"].tolist()
    assert made.rows[["genre", "predicted"]].to_numpy().tolist() == table[["label", "predicted"]].to_numpy().tolist()
    np.testing.assert_array_equal(scoring.probabilities(made.rows), table[[f"p_{name}" for name in CLASSES]])
