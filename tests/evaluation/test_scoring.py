import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import classification_report, confusion_matrix

from genre_utils.evaluation import scoring
from genre_utils.runs import report


def test_the_papers_table_is_consistent_with_itself():
    rows = scoring.PAPER_TABLE.drop(index="average")
    assert rows["support"].sum() == scoring.PAPER_TABLE.loc["average", "support"] == 726
    weighted = np.average(rows["recall"], weights=rows["support"])
    assert weighted == pytest.approx(scoring.PAPER_ACCURACY, abs=0.005)  # recalls are rounded to two digits
    f1 = 2 * rows["precision"] * rows["recall"] / (rows["precision"] + rows["recall"])
    np.testing.assert_allclose(rows["f1"], f1, atol=0.011)  # all three are rounded to two digits


def test_table_one_equals_scikit_learn(predictions):
    table = scoring.table_one(predictions)
    report = classification_report(predictions["genre"], predictions["predicted"], output_dict=True)
    for genre in ("blues", "country", "pop", "rock"):
        theirs = [report[genre][name] for name in ("precision", "recall", "f1-score", "support")]
        np.testing.assert_allclose(table.loc[genre], theirs)
    theirs = [report["weighted avg"][name] for name in ("precision", "recall", "f1-score", "support")]
    np.testing.assert_allclose(table.loc["average"], theirs)


def test_a_genre_that_is_never_predicted_or_absent_stays_in_the_table(predictions):
    only = predictions[predictions["genre"] != "rock"].assign(predicted="pop")
    table = scoring.table_one(only)
    assert table.loc["rock"].tolist() == [0, 0, 0, 0]
    assert table.loc["blues", "precision"] == 0


def test_confusion_equals_scikit_learn(predictions):
    counts = scoring.confusion(predictions)
    np.testing.assert_array_equal(counts, confusion_matrix(predictions["genre"], predictions["predicted"]))
    assert counts.index.tolist() == counts.columns.tolist() == ["blues", "country", "pop", "rock"]


def test_by_similarity_only_reorders(predictions):
    counts = scoring.confusion(predictions)
    ordered = scoring.by_similarity(counts)
    assert sorted(ordered.index) == sorted(counts.index)
    pd.testing.assert_frame_equal(ordered.loc[counts.index, counts.columns], counts)


def test_by_similarity_puts_confused_genres_side_by_side():
    names = list("abcd")
    counts = pd.DataFrame([[9, 0, 5, 0], [0, 9, 0, 5], [5, 0, 9, 0], [0, 5, 0, 9]], names, names)
    order = "".join(scoring.by_similarity(counts).index)
    assert "ac" in order or "ca" in order
    assert "bd" in order or "db" in order


def test_a_track_is_decided_by_the_mean_of_its_probabilities(predictions):
    tracks = scoring.by_track(predictions)
    assert len(tracks) == 40
    for row in tracks.itertuples():
        own = predictions[predictions["track_id"] == row.track_id].filter(like="p_")
        assert row.predicted == own.mean().idxmax().removeprefix("p_")
        assert row.p_rock == pytest.approx(own["p_rock"].mean())


def test_one_sure_segment_can_outvote_two_unsure_ones():
    table = pd.DataFrame(
        {"track_id": "t", "split": "test", "genre": "a", "path": "", "p_a": [0.9, 0.4, 0.4], "p_b": [0.1, 0.6, 0.6]}
    )
    assert scoring.by_track(table)["predicted"].tolist() == ["a"]


@given(st.integers(0, 2**31 - 1))
def test_order_of_rows_does_not_matter(predictions, seed):
    mixed = predictions.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(scoring.table_one(mixed), scoring.table_one(predictions))
    pd.testing.assert_frame_equal(scoring.confused_pairs(mixed), scoring.confused_pairs(predictions))


def test_confused_pairs_count_both_directions():
    truth, guess = ["rock", "rock", "blues", "blues", "pop"], ["blues", "rock", "rock", "blues", "pop"]
    table = pd.DataFrame({"genre": truth, "predicted": guess, "p_blues": 0, "p_pop": 0, "p_rock": 0})
    pairs = scoring.confused_pairs(table)
    assert pairs.loc[0].to_dict() == {"pair": "blues – rock", "confused": 2, "of": 4, "share": 0.5, "in_paper": True}
    assert len(pairs) == 3


def test_one_class_alone_has_a_matrix_and_no_pairs(predictions):
    alone = predictions[predictions["genre"] == "rock"].drop(columns=["p_blues", "p_country", "p_pop"])
    counts = scoring.confusion(alone.assign(predicted="rock"))
    assert counts.to_numpy().tolist() == [[60]]
    assert scoring.by_similarity(counts).equals(counts)
    assert scoring.confused_pairs(alone.assign(predicted="rock")).empty


def test_200_classes_give_tracks_without_a_warning(rng):
    p = rng.dirichlet(np.ones(200), 600)
    table = pd.DataFrame(p, columns=[f"p_{n}" for n in range(200)]).assign(track_id=np.arange(600) // 3, genre="7")
    means = scoring.by_track(table.assign(artist="", path="x"))
    assert means.columns.tolist() == ["track_id", "genre", "predicted", *table.columns[:200], "artist", "path"]
    assert means["predicted"].tolist() == p.reshape(200, 3, 200).mean(axis=1).argmax(axis=1).astype(str).tolist()


def test_metrics_hold_the_promised_keys_and_are_json(predictions):
    facts = {"dataset": "x", "protocol": "paper"}
    metrics = json.loads(json.dumps(scoring.metrics(predictions, facts)))
    assert list(metrics) == ["dataset", "protocol", "segment", "track", "table"]
    assert list(metrics["segment"]) == ["accuracy", "low", "high", "n", "resampled_by", "clusters"]
    assert metrics["segment"]["n"] == 32 * 6  # the test tracks alone
    assert metrics["track"]["n"] == 32
    assert list(metrics["table"]["rock"]) == ["precision", "recall", "f1", "support"]
    assert metrics["table"]["rock"]["support"] == 48


def test_a_genre_without_test_rows_has_no_figure_and_is_named(predictions):
    facts = {"dataset": "music", "protocol": "paper", "model": "any"}
    assert "untested" not in scoring.metrics(predictions, facts)
    kept = predictions[(predictions["split"] != "test") | (predictions["genre"] != "pop")]
    metrics = scoring.metrics(kept, facts)
    assert metrics["untested"] == ["pop"]
    assert metrics["table"]["pop"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    json.dumps(metrics, allow_nan=False)
    assert "24 test tracks, none of them of pop)" in report.sentence(metrics, "track")
    table = scoring.table_one(kept[kept["split"] == "test"])
    assert table.loc["average", "recall"] == pytest.approx(metrics["segment"]["accuracy"])  # of what was tested
