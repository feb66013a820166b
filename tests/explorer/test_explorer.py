"""The explorer's Python side: what it counts, what it carries, and what it lets no name do."""

import base64
import dataclasses
import functools
import io
import json
import re
from html.parser import HTMLParser

import ipywidgets
import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import tone
from guess import run_folder
from PIL import Image
from sklearn.metrics import average_precision_score, confusion_matrix

from genre_utils import __main__
from genre_utils.datasets import catalog as catalogs
from genre_utils.datasets import licences
from genre_utils.errors import AudioError, EvaluationError, RunError
from genre_utils.evaluation import reliability, scoring, uncertainty
from genre_utils.explorer import data, facts, levels, media, page, track_notes, widget
from genre_utils.features import spectrogram
from genre_utils.inference import model_folder, prediction
from genre_utils.params import Params
from genre_utils.system.progress import HEADLESS

SCORES = ("precision", "recall", "f1")


def every(results):
    """All probabilities (row, genre) in parts; with at most ten genres, the page has all of each row."""
    count = results["top"]["count"]
    genre, p = (np.array(results["top"][name]).reshape(-1, count) for name in ("genre", "p"))
    assert (np.diff(p, axis=1) <= 0).all()  # the most probable first
    return np.take_along_axis(p, genre.argsort(axis=1), axis=1)


NO_PAIRS = pd.DataFrame({"track_a": [], "track_b": [], "kind": []}, dtype=str)
HOSTILE = [
    "<img src=x onerror=alert(1)>.wav",
    "</script><script>alert(2)</script>",
    '"><svg onload=alert(3)>',
    "a\u2028b",
]


@pytest.fixture(autouse=True, scope="module")
def the_same_sound_is_encoded_once():
    """Encoding takes most of a page's seconds."""
    encode = media.vorbis
    once = functools.cache(lambda samples, params: encode(np.frombuffer(samples, np.float32), params))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media, "vorbis", lambda samples, params: once(samples.tobytes(), params))
        yield


@pytest.fixture(scope="module")
def catalog(predictions):
    one = predictions.drop_duplicates("track_id")[["track_id", "path", "genre", "artist"]]
    return one.assign(title="", published_split="", fault="", duration_seconds=30.0).sort_values(
        "track_id", ignore_index=True
    )


@pytest.fixture(scope="module")
def metrics(predictions):
    return scoring.metrics(predictions, {"dataset": "music", "protocol": "paper", "model": "tiny_cnn"})


@pytest.fixture
def built_with(predictions, metrics, catalog):
    """The data object of the fixture's predictions, and of others if they are given."""
    blank = pd.DataFrame(columns=["track_id", "kind", "text"])

    def build(*others, tracks=catalog, about=blank):
        runs = [(table, metrics) for table in (others or (predictions,))]
        return data.build(runs, ["first", "second"][: len(runs)], tracks, about, Params())

    return build


@pytest.fixture
def sounding(built_with, predictions, genre_folder, params, catalog):
    """The data object of a few tracks, with the sound of ``genre_folder``'s first track behind each."""
    few = predictions[predictions["track_id"].isin(sorted(predictions["track_id"].unique())[::4])]
    path = sorted(genre_folder.glob("*/*.wav"))[0]
    made = built_with(few, tracks=catalog.assign(path=str(path)))
    return dataclasses.replace(made, params=params)


def test_counts_equal_scikit_learns(built_with, predictions):
    facts = built_with().facts
    test = predictions[predictions["split"] == "test"]
    for name, table in (("segment", test), ("track", scoring.by_track(test))):
        level = facts["runs"][0][name]
        raw = level["raw"]
        assert level["calibrated"] is None and level["temperature"] is None  # nothing is known of this network
        assert level["counts"] == confusion_matrix(table["genre"], table["predicted"], labels=facts["genres"]).tolist()
        assert raw["ece"]["ece"] == pytest.approx(reliability.expected_calibration_error(table)["ece"])
        assert level["sentence"].startswith(
            f"{100 * (table['genre'] == table['predicted']).mean():.1f} % of {len(table)}"
        )
        for index, genre in enumerate(facts["genres"]):
            area = average_precision_score(table["genre"] == genre, table[f"p_{genre}"])
            assert raw["average_precision"][index] == pytest.approx(area)


def test_what_is_undefined_is_none_and_what_is_0_is_0(built_with, predictions):
    """No row is pop, and nothing is called blues."""
    table = predictions[predictions["genre"] != "pop"].replace({"predicted": {"blues": "rock"}})
    level = built_with(table).facts["runs"][0]["segment"]
    shown = {name: dict(zip(["blues", "country", "pop", "rock"], level[name], strict=True)) for name in SCORES}
    nothing = {(name, genre) for name in SCORES for genre, value in shown[name].items() if value is None}
    assert nothing == {("precision", "blues"), ("recall", "pop")}
    assert shown["recall"]["blues"] == shown["f1"]["blues"] == shown["precision"]["pop"] == shown["f1"]["pop"] == 0
    assert level["raw"]["average_precision"][2] is None


def test_what_the_page_calls_a_row_is_the_row_of_the_predictions(built_with):
    made = built_with()
    facts, level = made.facts, made.facts["runs"][0]["segment"]
    assert [facts["tracks"]["id"][track] for track in facts["segments"]["track"]] == made.rows["track_id"].tolist()
    assert facts["segments"]["number"] == made.rows["segment"].tolist()
    assert [facts["genres"][index] for index in level["predicted"]] == made.rows["predicted"].tolist()
    probabilities = made.rows[[f"p_{genre}" for genre in facts["genres"]]].to_numpy()
    beyond = probabilities - every(level["raw"]) / levels.PARTS
    assert beyond.min() > -1e-9 and beyond.max() < 1 / levels.PARTS  # never more than there is: thresholds are exact
    assert (made.rows["split"] == "test").all() and sorted(facts["similarity"]) == list(range(len(facts["genres"])))


def test_the_order_of_rows_changes_nothing(built_with, predictions):
    assert built_with(predictions.sample(frac=1, random_state=1)).facts == built_with(predictions).facts


def other_model(predictions):
    """The same rows by a network that calls everything what its second guess was, in places."""
    columns = [name for name in predictions if name.startswith("p_")]
    turned = predictions[columns].to_numpy().copy()
    turned[::3] = np.roll(turned[::3], 1, axis=1)
    names = np.array(columns)[turned.argmax(axis=1)]
    return predictions.assign(
        **dict(zip(columns, turned.T, strict=True)), predicted=[name.removeprefix("p_") for name in names]
    )


def test_two_runs_are_compared_on_what_both_tested(built_with, predictions):
    second = other_model(predictions)
    second = second[second["track_id"] != "blues/0.wav"]
    made = built_with(predictions, second)
    both = [table[(table["split"] == "test") & (table["track_id"] != "blues/0.wav")] for table in (predictions, second)]
    assert len(made.rows) == len(both[0])
    assert made.facts["paired"]["segment"] == uncertainty.difference(*both)
    tracks = [scoring.by_track(table) for table in both]
    assert made.facts["paired"]["track"] == uncertainty.difference(*tracks)
    assert made.facts["paired"]["mcnemar"] == uncertainty.mcnemar(*tracks)
    assert f"on the {len(both[0])} test segments that both have; left out: 6 of first" in made.facts["notices"][-2]
    assert made.facts["notices"][-1].endswith("the training of first.")


def test_runs_that_cannot_be_compared_say_why(built_with, predictions):
    with pytest.raises(EvaluationError, match="have no test segment in common"):
        built_with(predictions, predictions.assign(track_id="elsewhere/" + predictions["track_id"]))
    with pytest.raises(EvaluationError, match="different genres"):
        built_with(predictions, predictions.rename(columns={"p_pop": "p_salsa"}))
    swapped = predictions["genre"].replace({"pop": "rock", "rock": "pop"})
    with pytest.raises(EvaluationError, match="is pop in the run first and rock in the run second"):
        built_with(predictions, predictions.assign(genre=swapped))


def test_a_leaky_run_says_so(predictions, metrics, catalog):
    blank = pd.DataFrame(columns=["track_id", "kind", "text"])
    made = data.build([(predictions, metrics | {"protocol": "leaky"})], ["x"], catalog, blank, Params())
    assert any("LEAKY" in notice for notice in made.facts["notices"])


# From run folders


@pytest.fixture(scope="module")
def left(genre_folder, params, tmp_path_factory):
    """Two run folders over ``genre_folder``."""
    folder = tmp_path_factory.mktemp("runs")
    tracks = catalogs.from_folder(genre_folder, params)
    return [run_folder(folder / name, tracks, params, seed) for seed, name in enumerate(("first", "second"))]


def facts_of(path):
    return json.loads(Elements(path.read_text()).scripts[0])


def test_a_run_is_explored_from_the_shell(left, tmp_path, capsys):
    first, second = (run.folder for run in left)
    (first / "explorer" / "index.html").unlink(missing_ok=True)
    assert __main__.main(["explore", str(first)]) == 0
    assert facts_of(first / "explorer" / "index.html") == data.of_run(left[0]).facts
    assert __main__.main(["explore", str(first), "--against", str(second)]) == 0
    both = facts_of(first / "explorer-against-second" / "index.html")
    assert [run["name"] for run in both["runs"]] == ["first", "second"]
    assert both["title"] == "tiny_cnn on music against tiny_cnn on music"
    assert __main__.main(["explore", str(second), "--single-file", "--out", str(tmp_path / "page")]) == 0
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["index.html"]
    assert capsys.readouterr().out.count("with sound and pictures of 24 clips") == 3


def test_what_is_no_run_is_an_error_that_names_it(left, tmp_path, capsys):
    assert __main__.main(["explore", str(tmp_path / "gone")]) == 1
    assert f"{tmp_path / 'gone'} is not a run folder" in capsys.readouterr().err
    assert __main__.main(["explore", str(left[0].folder), "--against", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "lacks duplicates.csv, params.yml" in error and "Run 01_eda, 02_feature_extraction, 03_training" in error


def test_runs_that_cut_tracks_differently_are_not_compared(left, params, tmp_path):
    other = run_folder(tmp_path / "longer", left[0].tracks(), dataclasses.replace(params, segment_seconds=1.0))
    with pytest.raises(EvaluationError, match=r"segments of different length \(0\.5 and 1\.0 s\)"):
        data.of_run(left[0], other)


# Probabilities


def test_probabilities_are_what_predict_answers_and_calls_are_the_networks(left, params):
    """At both levels, with the temperatures of the model folder; the oracle is what ``predict`` computes."""
    made = data.of_run(left[0])
    genres, fitted = made.facts["genres"], model_folder.read(left[0].folder / "model").calibration
    network = prediction.Network(None, genres, params, fitted)
    columns = [f"p_{genre}" for genre in genres]
    shown = {name: made.facts["runs"][0][name] for name in ("segment", "track")}
    tracks, begun = scoring.by_track(made.rows), 0
    for place, (_, rows) in enumerate(made.rows.groupby("track_id")):
        answer = prediction.prediction_of("", rows[columns].to_numpy(), "", [0.0], network)
        of_segments = every(shown["segment"]["calibrated"])[begun : begun + len(rows)]
        begun += len(rows)
        of_track = every(shown["track"]["calibrated"])[place]
        for parts, expected in ((of_segments, answer.probabilities), (of_track, answer.track)):
            np.testing.assert_allclose(parts / levels.PARTS, expected, atol=1.001 / levels.PARTS)
        assert genres[answer.track.argmax()] == tracks["predicted"][place] == genres[shown["track"]["predicted"][place]]


def test_before_and_after_are_of_one_matrix(left):
    """The same rows, calls and counts; only probabilities and what is computed from them differ."""
    calibrated, raw = (
        data.build(
            [(left[0].predictions(), left[0].metrics())],
            ["x"],
            left[0].tracks(),
            track_notes.of_tracks(left[0].tracks(), left[0].assignment(), left[0].duplicates()),
            left[0].params,
            *known,
        ).facts["runs"][0]
        for known in ([[data.temperatures(left[0])]], [])
    )
    for name, temperature in (("segment", 2.0), ("track", 0.6)):
        assert calibrated[name]["temperature"] == temperature
        assert calibrated[name]["raw"] == raw[name]["raw"] and calibrated[name]["counts"] == raw[name]["counts"]
        # Both are rounded down to parts: each probability lies between what the least and the most of all would give.
        parts = every(raw[name]["raw"])
        least, most = ((some / levels.PARTS) ** (1 / temperature) for some in (parts, parts + 1))
        found = every(calibrated[name]["calibrated"])
        low = least / (least + most.sum(axis=1, keepdims=True) - most)
        high = most / (most + least.sum(axis=1, keepdims=True) - least)
        assert (found >= np.floor(levels.PARTS * low)).all() and (found <= levels.PARTS * high).all()
        assert calibrated[name]["calibrated"]["ece"] != raw[name]["raw"]["ece"]


def test_a_run_without_a_model_or_with_temperature_1_is_not_calibrated(left, params, tmp_path):
    bare = run_folder(tmp_path / "bare", left[0].tracks(), params, temperatures=None)
    half = run_folder(tmp_path / "half", left[0].tracks(), params, temperatures={"track_temperature": 0.6})
    one, other = data.of_run(bare, half).facts["runs"]
    assert [one[name]["temperature"] for name in ("segment", "track")] == [None, None]
    assert one["segment"]["calibrated"] is one["track"]["calibrated"] is other["segment"]["calibrated"] is None
    assert other["segment"]["temperature"] == 1 and other["track"]["calibrated"] is not None


def test_a_model_that_is_not_the_runs_is_an_error(left, params, tmp_path):
    run = run_folder(tmp_path / "run", left[0].tracks(), params)
    (run.folder / "model.keras").unlink()
    (run.folder / "model.keras").write_bytes(b"trained again")
    with pytest.raises(RunError, match="is newer than"):
        data.of_run(run)


# What is known of a track


def tracks_named(**columns):
    count = len(next(iter(columns.values())))
    blank = {"artist": "", "title": "", "published_split": "", "fault": "", "genre": "pop"}
    return pd.DataFrame({name: columns.get(name, [value] * count) for name, value in blank.items()}).assign(
        track_id=[f"t{number}" for number in range(count)]
    )


def known(tracks, train=(), pairs=NO_PAIRS):
    assignment = pd.DataFrame({"track_id": tracks["track_id"], "segment": 0, "split": "test"})
    assignment.loc[assignment["track_id"].isin(train), "split"] = "train"
    table = track_notes.of_tracks(tracks, assignment, pairs)
    return {(row.track_id, row.kind): row.text for row in table.itertuples()}


def test_a_copy_is_a_repeat_and_its_other_label_a_doubt():
    pairs = pd.DataFrame({"track_a": ["t0"], "track_b": ["t2"], "kind": ["near-duplicate"]})
    assert known(tracks_named(genre=["pop", "pop", "rock"]), train=["t2"], pairs=pairs) == {
        ("t0", "repeat"): "near-duplicate of t2, which is in training",
        ("t0", "label in doubt"): "near-duplicate of t2, which is labelled rock",
        ("t2", "repeat"): "near-duplicate of t0",
        ("t2", "label in doubt"): "near-duplicate of t0, which is labelled pop",
    }


def test_a_song_is_known_again_by_its_name_but_not_without_one():
    found = known(tracks_named(artist=["A", "A", "", ""], title=["S", "S", "", ""]))
    assert found == {("t0", "repeat"): "same artist and title as t1", ("t1", "repeat"): "same artist and title as t0"}


def test_a_song_that_is_known_by_ear_and_by_name_is_named_once():
    pairs = pd.DataFrame({"track_a": ["t1"], "track_b": ["t0"], "kind": ["exact copy"]})
    tracks = tracks_named(artist=["A", "A"], title=["S", "S"])
    table = track_notes.of_tracks(tracks, pd.DataFrame({"track_id": ["t0"], "segment": 0, "split": "test"}), pairs)
    assert table["text"].tolist() == ["exact copy of t0", "exact copy of t1"]


def test_the_neighbour_of_an_unreadable_file_is_marked_in_its_genre_alone():
    tracks = tracks_named(fault=["", "cannot be read", "", "", ""], genre=["pop", "pop", "rock", "pop", "rock"])
    assert known(tracks) == {
        ("t0", "unreadable neighbour"): "t1: cannot be read", ("t3", "unreadable neighbour"): "t1: cannot be read"
    }  # fmt: skip


def test_an_artist_in_training_is_said_of_those_who_are_not():
    assert known(tracks_named(artist=["A; B", "b", "C"]), train=["t1"]) == {("t0", "artist in training"): ""}


def test_who_is_in_no_published_list_is_left_out_only_where_there_is_one():
    assert known(tracks_named(published_split=["train", ""])) == {("t1", "left out"): "not in the published split"}
    clips = tracks_named(published_split=["train", ""]).assign(track_id=["blues.00000.wav", "rock.00001.wav"])
    told = track_notes.of_tracks(clips, clips[["track_id"]].assign(split="test"), NO_PAIRS)["text"]
    assert told.tolist() == ["not in the published fault-filtered split"]
    assert known(tracks_named(published_split=["", ""])) == {}


# Sound and pictures


def test_the_sound_is_that_of_the_segments(genre_folder, params):
    path = genre_folder / "bass" / "bass.00000.wav"
    sound = media.of_excerpt(media.Excerpt(str(path)), params).sound
    heard, rate_hz = soundfile.read(io.BytesIO(sound))
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert abs(spectrum.argmax() * rate_hz / len(heard) - 150) < 3  # the tone of its first track
    assert len(heard) / rate_hz == pytest.approx(params.segments_in(2.2) * params.segment_seconds, abs=0.02)


def test_a_tone_is_seen_where_the_axis_says_its_frequency(params):
    for hz in (1_000, 3_000):
        segments = tone(hz, 2.0, params.sample_rate_hz).reshape(4, -1).astype(np.float32)
        image = np.asarray(
            Image.open(io.BytesIO(media.picture(spectrogram.log_mel(segments, params), params))), dtype=float
        )
        brightest = image.sum(axis=(1, 2)).argmax()
        height = 1 - (brightest + 0.5) / len(image)
        assert dict(facts.scale(params)["hz"])[hz] == pytest.approx(height, abs=1.5 / params.n_mels)


def test_a_wide_picture_keeps_its_order(params):
    """Silence, then full level: bright on the right alone, whatever the width."""
    decibels = np.full((40, params.n_mels, 63), -params.top_db)
    decibels[30:] = 0
    image = np.asarray(Image.open(io.BytesIO(media.picture(decibels, params))), dtype=float)
    assert image.shape[1] == media.PICTURE_WIDTH
    bright = image.mean(axis=(0, 2)) > 128
    assert not bright[:595].any() and bright[605:].all()


def test_a_track_without_sound_gives_its_reason_and_no_error(genre_folder, params):
    good = str(genre_folder / "bass" / "bass.00000.wav")
    results = list(
        media.of_excerpts([media.Excerpt(path) for path in (good, str(genre_folder / "gone.wav"), good)], params)
    )
    assert [isinstance(found, str) for found in results] == [False, True, False]
    assert "is not there" in results[1]
    with pytest.raises(AudioError):
        media.of_excerpt(media.Excerpt(str(genre_folder / "gone.wav")), params)


# The page


class Elements(HTMLParser):
    """Tags with their attributes, and the text of each script."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, text):
        if self.cdata_elem == "script":
            self.scripts[-1] += text


def test_names_cannot_become_markup(built_with, catalog, predictions):
    renamed = dict(zip(catalog["track_id"], HOSTILE * 10, strict=False))
    evil = {f"p_{name}": f"p_{trap}" for name, trap in zip(scoring.genres_of(predictions), HOSTILE, strict=True)}
    genre = {old.removeprefix("p_"): new.removeprefix("p_") for old, new in evil.items()}
    numbered = {old: f"{name}{place}" for place, (old, name) in enumerate(renamed.items())}
    table = predictions.rename(columns=evil).replace({"genre": genre, "predicted": genre, "track_id": numbered})
    tracks = catalog.replace({"track_id": numbered, "genre": genre}).assign(artist=HOSTILE[0], title=HOSTILE[1])
    facts = built_with(table, tracks=tracks.sort_values("track_id")).facts | {"title": HOSTILE[1]}
    text = page.html(facts, {0: {"fault": HOSTILE[1]}})
    found = Elements(text)
    assert [tag for tag, _ in found.tags if tag in ("img", "svg", "script")] == ["script"] * 3
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    assert json.loads(found.scripts[0]) == facts and json.loads(found.scripts[1])["tracks"] == {
        "0": {"fault": HOSTILE[1]}
    }


def test_the_browser_is_told_to_run_this_code_alone(built_with):
    found = Elements(page.html(built_with().facts, {}))
    policy = next(attributes["content"] for tag, attributes in found.tags if attributes.get("http-equiv"))
    assert "default-src 'none'" in policy and f"script-src '{page.digest(found.scripts[-1])}'" in policy
    assert "connect-src" not in policy and "http" not in policy


def test_the_page_lies_beside_its_media_or_holds_them(sounding, params, tmp_path, capsys):
    beside = page.write(sounding, tmp_path / "beside")
    printed = capsys.readouterr().out
    count = len(sounding.excerpts)
    size = sum(path.stat().st_size for path in (tmp_path / "beside").rglob("*.*"))
    assert f"{size / 1e6:.1f} MB with sound and pictures of {count} clips" in printed
    carried = [*json.loads(Elements(beside.read_text()).scripts[1])["tracks"].values()]
    assert len(carried) == count
    for one in carried:
        assert soundfile.info(tmp_path / "beside" / one["audio"]).samplerate == params.sample_rate_hz
        with Image.open(tmp_path / "beside" / one["picture"]) as picture:
            assert picture.format == "WEBP"

    inside = page.write(sounding, tmp_path / "inside", single_file=True)
    assert [path.name for path in (tmp_path / "inside").iterdir()] == ["index.html"]
    held = json.loads(Elements(inside.read_text()).scripts[2])
    first = io.BytesIO(base64.b64decode(held["audio"].partition("base64,")[2]))
    np.testing.assert_array_equal(
        soundfile.read(first)[0], soundfile.read(tmp_path / "beside" / carried[0]["audio"])[0]
    )


def test_the_page_leads_back_to_the_report_of_its_run_where_there_is_one(sounding, tmp_path, monkeypatch):
    home = lambda folder, **options: [  # noqa: E731
        attributes["href"]
        for tag, attributes in Elements(page.write(sounding, folder, **options).read_text()).tags
        if tag == "a"
    ]
    run = tmp_path / "run"
    run.mkdir()
    (run / "metrics.json").write_text("{}")
    assert home(run / "explorer") == []  # lessons that are stepped through leave no report
    monkeypatch.setenv(HEADLESS, "1")
    assert home(run / "explorer") == ["../index.html"]  # to be written when the notebooks are done
    assert home(tmp_path / "elsewhere") == []
    monkeypatch.delenv(HEADLESS)
    (run / "index.html").write_text("report")
    assert home(run / "explorer") == ["../index.html"]
    assert home(run / "handed-on", single_file=True) == []


def with_licences(sounding, *names):
    """The same exploration with these licences, in turn."""
    cards = len(sounding.facts["tracks"]["id"])
    found = pd.DataFrame({"licence": [names[number % len(names)] for number in range(cards)]})
    links = {row.licence: row.link for row in licences.counted(found["licence"]).itertuples() if row.link}
    tracks = sounding.facts["tracks"] | {"licence": found["licence"].tolist()}
    return dataclasses.replace(sounding, facts=sounding.facts | {"tracks": tracks, "links": links})


def test_what_must_not_be_passed_on_has_no_sound_in_the_page(sounding, tmp_path, capsys):
    free, closed = "Attribution 3.0 International", "Attribution-NoDerivatives 4.0 International"
    made = with_licences(sounding, free, closed, "")
    names = pd.Series(made.facts["tracks"]["licence"])
    held = json.loads(Elements(page.write(made, tmp_path / "page").read_text()).scripts[1])
    heard = [number for number, one in held["tracks"].items() if "audio" in one]
    assert heard == [str(number) for number in names.index[names == free]]
    silent = {one["absent"] for number, one in held["tracks"].items() if number not in heard}
    assert silent == {page.WITHHELD}
    count = int((names == free).sum())
    assert held["licences"] == {
        "heard": count,
        "withheld": len(names) - count,
        "private": False,
        "names": [[free, "https://creativecommons.org/licenses/by/3.0/", count]],
    }
    assert f"without sound: {len(names) - count} clips, by licence" in capsys.readouterr().out
    assert len([*(tmp_path / "page" / "media").glob("*.ogg")]) == count

    both = json.loads(Elements(page.write(made, tmp_path / "all", all_licences=True).read_text()).scripts[1])
    assert sum("audio" in one for one in both["tracks"].values()) == len(names)
    assert both["licences"]["private"] and not held["licences"]["private"]
    assert both["licences"]["withheld"] == 0 and ["not stated", "", names.eq("").sum()] in both["licences"]["names"]
    assert json.loads(Elements(page.write(sounding, tmp_path / "own").read_text()).scripts[1])["licences"] is None


def test_of_a_cell_those_that_may_be_heard_are_chosen(built_with, catalog, predictions):
    closed = {track for number, track in enumerate(sorted(predictions["track_id"].unique())) if number % 2}
    licence = ["Attribution-NoDerivs" if track in closed else "Attribution" for track in catalog["track_id"]]
    made = built_with(tracks=catalog.assign(licence=licence))
    allowed = np.array([track not in closed for track in made.facts["tracks"]["id"]])
    chosen = page.with_sound(made, 1, allowed)
    assert chosen and allowed[chosen].all()
    for level in made.tested[0].tables.values():
        cells = level[~level["track_id"].isin(closed)].groupby(["genre", "predicted"])["track_id"].agg(set)
        heard = {made.facts["tracks"]["id"][number] for number in chosen}
        assert all(tracks & heard for tracks in cells)


def test_without_files_nothing_is_withheld_by_licence(sounding, tmp_path, capsys):
    made = with_licences(sounding, "Attribution-NoDerivs")
    silent = dataclasses.replace(made, excerpts=[None] * len(made.excerpts))
    held = json.loads(Elements(page.write(silent, tmp_path / "page").read_text()).scripts[1])
    assert held["licences"] is None and "by licence" not in capsys.readouterr().out
    assert {one["absent"] for one in held["tracks"].values()} == {media.NOT_FOUND}


def test_a_folder_is_called_by_its_name_alone(predictions, metrics, catalog):
    about = pd.DataFrame(columns=["track_id", "kind", "text"])
    own = metrics | {"dataset": "/home/somebody/demo"}
    facts = data.build([(predictions, own)], ["first"], catalog, about, Params()).facts
    assert "somebody" not in json.dumps(facts) and facts["title"] == "tiny_cnn on demo"
    assert data.AUDIO_NOTICE in facts["notices"]  # it is not the demo music


def test_with_known_licences_the_page_does_not_doubt_them(built_with, catalog):
    def notices(tracks):
        return built_with(tracks=tracks).facts["notices"]

    assert data.AUDIO_NOTICE in notices(catalog)
    assert data.AUDIO_NOTICE not in notices(catalog.assign(licence="Attribution"))


def test_no_path_of_this_machine_is_in_the_page(sounding, tmp_path):
    assert str(tmp_path.parent) not in page.write(sounding, tmp_path / "page").read_text()


def test_an_older_page_is_replaced_and_anything_else_is_not_touched(sounding, tmp_path, capsys, monkeypatch):
    page.write(sounding, tmp_path / "page")
    (tmp_path / "page" / "mine.txt").write_text("kept")
    page.write(sounding, tmp_path / "page", single_file=True)
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == ["index.html", "mine.txt"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("mine")
    with pytest.raises(RunError, match="is neither empty nor an explorer"):
        page.write(sounding, tmp_path / "photos")
    with pytest.raises(RunError, match="is neither empty nor an explorer"):
        page.write(sounding, tmp_path / "photos" / "cat.jpg")
    (tmp_path / "site" / "media").mkdir(parents=True)
    (tmp_path / "site" / "index.html").write_text("my site")
    with pytest.raises(RunError, match="is neither empty nor an explorer"):
        page.write(sounding, tmp_path / "site")
    assert (tmp_path / "site" / "media").is_dir() and (tmp_path / "site" / "index.html").read_text() == "my site"
    monkeypatch.setattr(page.RunFolder, "existing", page.RunFolder)
    monkeypatch.setattr(page, "of_run", lambda *_: pytest.fail("read before the folder was looked at"))
    (tmp_path / "table.csv").write_text("this,is,no table\n")
    for read in (tmp_path, tmp_path / "table.csv"):
        assert __main__.main(["explore", str(read), "--out", str(tmp_path / "site")]) == 1
        assert "is neither empty nor an explorer" in capsys.readouterr().err


def test_a_killed_writing_does_not_bar_the_way(sounding, tmp_path):
    (tmp_path / "page" / ".writing-abc" / "media").mkdir(parents=True)
    page.write(sounding, tmp_path / "page")
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == ["index.html", "media"]


def test_an_older_page_stays_whole_until_the_new_one_is(sounding, tmp_path, monkeypatch):
    held = lambda: {path: path.read_bytes() for path in (tmp_path / "page").rglob("*.*")}  # noqa: E731
    page.write(sounding, tmp_path / "page")
    before = held()
    monkeypatch.setattr(page, "html", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        page.write(sounding, tmp_path / "page", single_file=True)
    assert held() == before


def test_a_track_that_has_moved_is_named_and_shown_without_sound(sounding, tmp_path, capsys):
    gone = dataclasses.replace(sounding, excerpts=[media.Excerpt("/gone.wav"), *sounding.excerpts[1:]])
    text = page.write(gone, tmp_path / "page").read_text()
    assert re.search(r"without sound: blues/0.wav is not there", capsys.readouterr().out)
    assert "is not there" in json.loads(Elements(text).scripts[1])["tracks"]["0"]["fault"]
    assert len(list((tmp_path / "page" / "media").iterdir())) == 2 * (len(gone.excerpts) - 1)


# The widget


@pytest.fixture
def notebook(sounding, tmp_path, monkeypatch):
    monkeypatch.delenv(HEADLESS, raising=False)
    return widget.Explorer(sounding, tmp_path / "figure.png")


def sent(monkeypatch, front):
    messages = []
    monkeypatch.setattr(front, "send", lambda content, buffers=None: messages.append((content, buffers)))
    return messages


def test_the_widget_answers_what_the_browser_asks(notebook, monkeypatch):
    messages = sent(monkeypatch, notebook.widget)
    notebook.widget.answer(None, {"id": "1", "what": "facts"}, [])
    notebook.widget.answer(None, {"id": "2", "what": "media", "track": 3}, [])
    assert messages[0] == ({"id": "1", "facts": notebook.exploration.facts}, None)
    assert (
        messages[1][0] == {"id": "2", "seconds": 2.0} and soundfile.info(io.BytesIO(messages[1][1][0])).format == "OGG"
    )
    notebook.exploration.excerpts[3] = media.Excerpt("/gone.wav")
    notebook.widget.answer(None, {"id": "3", "what": "media", "track": 3}, [])
    assert "is not there" in messages[2][0]["fault"]


@pytest.mark.parametrize(
    "asked",
    [
        {}, [], "facts", None, {"id": "1"}, {"id": "1", "what": "media"}, {"id": "1", "what": ["facts"]},
        *({"id": "1", "what": "media", "track": track} for track in (-1, 10**6, "0", 0.0, True, "/etc/passwd", [0])),
    ],
)  # fmt: skip
def test_what_the_widget_does_not_know_gets_no_file(notebook, monkeypatch, asked):
    messages = sent(monkeypatch, notebook.widget)
    notebook.widget.answer(None, asked, [])
    ((content, buffers),) = messages
    assert "does not support" in content["fault"] and buffers is None


def test_a_number_that_is_no_row_is_not_selected(notebook):
    notebook.widget.set_trait("numbers", [-1, 5, 10**9])
    pd.testing.assert_frame_equal(notebook.selected, notebook.exploration.rows.iloc[[5]])


def test_a_saved_widget_is_small_whatever_the_run(notebook):
    state = json.dumps(ipywidgets.Widget.get_manager_state(widgets=[notebook.widget]))
    code = json.dumps([page.script("widget.js"), page.style()])
    assert len(state) - len(code) < 2_000 and len(state) < 150_000


def test_what_the_browser_selects_are_rows_of_the_predictions(notebook):
    assert notebook.selected.empty
    notebook.widget.set_trait("numbers", [5, 7])
    pd.testing.assert_frame_equal(notebook.selected, notebook.exploration.rows.iloc[[5, 7]])


def test_python_selects_as_a_click_does(notebook, monkeypatch):
    rows = notebook.exploration.rows
    expected = rows[(rows["genre"] == "rock") & (rows["predicted"] == "pop")]
    assert len(expected) and notebook.select("rock", "pop").equals(expected)
    assert notebook.widget.view == {"select": ["cell", "rock", "pop"]}
    with pytest.raises(EvaluationError, match=r"'salsa' is not a genre of this run\. Expected one of: blues, country"):
        notebook.select("rock", "salsa")
    monkeypatch.setenv(HEADLESS, "1")
    assert notebook.select("pop", "pop").equals(rows[(rows["genre"] == "pop") & (rows["predicted"] == "pop")])


def test_without_a_browser_its_picture_is_shown(notebook, monkeypatch):
    Image.new("RGB", (4, 4)).save(notebook.figure)
    shown = []
    monkeypatch.setattr(widget, "display", shown.append)
    monkeypatch.setenv(HEADLESS, "1")
    notebook._ipython_display_()
    assert shown[0].data == notebook.figure.read_bytes()
    assert "widget" not in vars(notebook), "a headless notebook must not carry a widget's state"
    monkeypatch.delenv(HEADLESS)
    notebook._ipython_display_()
    assert shown[1] is notebook.widget
