import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.metrics import accuracy_score

from genre_utils import evaluation, uncertainty
from genre_utils.errors import EvaluationError


def table_of(right, artist=None):
    """One row a track."""
    right = np.asarray(right)
    table = pd.DataFrame({"track_id": np.arange(len(right)).astype(str), "genre": "a"})
    table["predicted"] = np.where(right, "a", "b")
    return table if artist is None else table.assign(artist=artist)


def test_accuracy_equals_scikit_learn_and_lies_in_its_interval(predictions):
    for table in (predictions, evaluation.by_track(predictions)):
        result = uncertainty.accuracy(table)
        assert result["accuracy"] == pytest.approx(accuracy_score(table["genre"], table["predicted"]))
        assert result["low"] < result["accuracy"] < result["high"]
        assert result["n"] == len(table)


def test_the_interval_of_independent_tracks_is_the_binomial_s():
    right = np.arange(200) < 120
    result = uncertainty.accuracy(table_of(right))
    low, high = binom(200, 0.6).ppf([0.025, 0.975]) / 200  # physics: the bootstrap of 0 and 1 is binomial
    assert result["accuracy"] == 0.6
    assert abs(result["low"] - low) <= 0.005
    assert abs(result["high"] - high) <= 0.005
    assert (result["n"], result["clusters"], result["resampled_by"]) == (200, 200, "track")


def test_copies_of_a_track_s_segments_tell_nothing_new(predictions):
    tracks = evaluation.by_track(predictions)
    copied = pd.concat([tracks] * 6, ignore_index=True)
    once, again = uncertainty.accuracy(tracks), uncertainty.accuracy(copied)
    assert (once["low"], once["high"]) == (again["low"], again["high"])


def test_artists_are_resampled_whole_where_known(rng):
    artist = np.repeat(np.arange(20), 10).astype(str)
    right = np.repeat(rng.random(20) < 0.6, 10)  # an artist's tracks stand or fall together
    by_artist, by_track = uncertainty.accuracy(table_of(right, artist)), uncertainty.accuracy(table_of(right))
    assert (by_artist["resampled_by"], by_artist["clusters"]) == ("artist", 20)
    width = {name: r["high"] - r["low"] for name, r in (("artist", by_artist), ("track", by_track))}
    assert 2.5 < width["artist"] / width["track"] < 4  # sqrt(10)


def test_unknown_artists_are_clusters_of_their_own():
    result = uncertainty.accuracy(table_of([1, 0, 1, 0], ["x", "x", "", ""]))
    assert (result["resampled_by"], result["clusters"]) == ("artist", 3)
    assert uncertainty.accuracy(table_of([1, 0], ["", ""]))["resampled_by"] == "track"


def test_the_order_of_the_rows_changes_nothing(predictions):
    mixed = predictions.sample(frac=1, random_state=1)
    assert uncertainty.accuracy(mixed) == uncertainty.accuracy(predictions)


def test_where_all_is_right_there_is_no_width_however_unequal_the_artists():
    result = uncertainty.accuracy(table_of([1] * 12, ["a"] * 9 + ["b", "b", "c"]))
    assert result["low"] == result["accuracy"] == result["high"] == 1


def test_nothing_is_not_zero(predictions):
    with pytest.raises(EvaluationError, match="no row to evaluate"):
        uncertainty.accuracy(predictions[:0])


def test_a_paired_difference_is_sharper_than_two_intervals(rng):
    hard = rng.random(300) < 0.5  # the same tracks are hard for both
    first = table_of(~hard)
    second = table_of(~hard | (rng.random(300) < 0.06))
    gain = uncertainty.difference(first, second.sample(frac=1, random_state=0))
    alone = uncertainty.accuracy(first)
    expected = (second["predicted"] == "a").mean() - (first["predicted"] == "a").mean()
    assert gain["difference"] == pytest.approx(expected)
    assert 0 < gain["low"] < expected < gain["high"]
    assert gain["high"] - gain["low"] < 0.6 * (alone["high"] - alone["low"])
    swapped = uncertainty.difference(second, first)
    assert swapped["difference"] == pytest.approx(-expected)


def test_a_model_does_not_differ_from_itself(predictions):
    assert uncertainty.difference(predictions, predictions)["high"] == 0
    tracks = evaluation.by_track(predictions)
    assert uncertainty.mcnemar(tracks, tracks) == {"only_first": 0, "only_second": 0, "p_value": 1.0}


@pytest.mark.parametrize(("b", "c"), [(0, 6), (1, 9), (5, 5), (12, 3)])
def test_mcnemar_is_a_fair_coin_over_the_tracks_that_differ(b, c):
    both = [(1, 1)] * 10 + [(0, 0)] * 7 + [(1, 0)] * b + [(0, 1)] * c
    result = uncertainty.mcnemar(table_of([x for x, _ in both]), table_of([y for _, y in both]))
    tail = 2 * binom(b + c, 0.5).cdf(min(b, c))  # the exact two-sided test, by hand
    assert (result["only_first"], result["only_second"]) == (b, c)
    assert result["p_value"] == pytest.approx(min(tail, 1))


def test_other_rows_or_segments_are_refused(predictions):
    tracks = evaluation.by_track(predictions)
    with pytest.raises(EvaluationError, match="one row a track"):
        uncertainty.mcnemar(predictions, predictions)
    with pytest.raises(EvaluationError, match="40 and 39 rows, 39 of them in both"):
        uncertainty.difference(tracks, tracks[1:])


def test_seeds_have_a_mean_and_a_spread():
    spread = uncertainty.over_seeds([0.5, 0.6, 0.7])
    assert spread == {
        "mean": pytest.approx(0.6), "sd": pytest.approx(0.1), "low": 0.5, "high": 0.7, "seeds": 3,
    }  # fmt: skip
    assert uncertainty.over_seeds([0.5])["sd"] is None
