import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, ks_2samp
from sklearn.metrics import accuracy_score

from genre_utils.errors import EvaluationError
from genre_utils.evaluation import scoring, uncertainty


def table_of(right, artist=None):
    """One row a track."""
    right = np.asarray(right)
    table = pd.DataFrame({"track_id": np.arange(len(right)).astype(str), "genre": "a"})
    table["predicted"] = np.where(right, "a", "b")
    return table if artist is None else table.assign(artist=artist)


def test_accuracy_equals_scikit_learn_and_lies_in_its_interval(predictions):
    for table in (predictions, scoring.by_track(predictions)):
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
    tracks = scoring.by_track(predictions)
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


def coverage(clusters, share, rng, tables=1_000):
    """How many intervals hold the truth, of tables whose tracks of six segments differ (intraclass correlation 0.5)."""
    chance = rng.beta(share, 1 - share, (tables, clusters))  # of each track's segments
    right = rng.binomial(6, chance) / 6
    weights = rng.multinomial(clusters, np.full(clusters, 1 / clusters), uncertainty.RESAMPLES)
    ends = [np.quantile(weights @ own / clusters, [0.025, 0.975]) for own in right]
    return np.mean([low <= share + 1e-9 and high >= share - 1e-9 for low, high in ends])


@pytest.mark.parametrize("share", [0.5, 0.7])
def test_so_few_clusters_as_are_refused_miss_the_truth_far_more_often_than_they_say(share, rng):
    found = {clusters: coverage(clusters, share, rng) for clusters in (3, uncertainty.FEWEST, 30)}
    error = 3 * np.sqrt(0.1 * 0.9 / 1_000)  # three standard deviations of a share near 0.9
    assert found[3] < 0.8 + error
    assert found[uncertainty.FEWEST] > 0.9 - error
    assert found[30] > 0.93 - error


def test_the_intervals_whose_coverage_is_measured_are_those_that_are_given(rng):
    right = rng.random(uncertainty.FEWEST) < 0.6
    weights = rng.multinomial(len(right), np.full(len(right), 1 / len(right)), uncertainty.RESAMPLES)
    result = uncertainty.accuracy(table_of(right))
    # both in steps of a tenth, by other draws
    assert np.abs(np.quantile(weights @ right / 10, [0.025, 0.975]) - [result["low"], result["high"]]).max() < 0.11


def test_fewer_clusters_than_bear_it_have_no_interval_and_say_so():
    few, enough = (uncertainty.accuracy(table_of(np.arange(n) % 2)) for n in (9, 10))
    assert (few["accuracy"], few["low"], few["high"]) == (4 / 9, None, None)
    assert few["no_interval"] == "9 tracks are too few, 10 are needed"
    assert "no_interval" not in enough and enough["low"] < 0.5 < enough["high"]
    many_tracks = uncertainty.accuracy(table_of(np.arange(40) % 2, ["a"] * 20 + ["b"] * 20))
    assert many_tracks["no_interval"] == "2 artists are too few, 10 are needed"
    assert uncertainty.accuracy(table_of([1]))["no_interval"] == "1 track is too few, 10 are needed"


@pytest.mark.parametrize("right", [0, 1])
def test_where_all_come_out_alike_there_is_no_interval_however_unequal_the_artists(right):
    artists = np.repeat([f"artist {n}" for n in range(12)], [9, 2, *[1] * 10])
    result = uncertainty.accuracy(table_of([right] * len(artists), artists))
    assert result["accuracy"] == right
    assert (result["low"], result["high"], result["no_interval"]) == (None, None, "all 12 artists come out alike")


@pytest.mark.parametrize("digits", [0, 6])  # two kinds of clusters; nearly all with values of their own
def test_many_clusters_are_resampled_as_few_are(digits, rng, monkeypatch):
    sums = np.column_stack([rng.random(600).round(digits), rng.integers(1, 4, 600)]).astype(float)
    weights = rng.multinomial(600, np.full(600, 1 / 600), uncertainty.RESAMPLES)
    monkeypatch.setattr(uncertainty, "MANY", 100)
    found, expected = uncertainty.drawn_of_many(sums, np.random.default_rng(1)), weights @ sums
    assert found.shape == expected.shape
    for part, whole in zip(found.T, expected.T, strict=True):
        assert ks_2samp(part, whole).pvalue > 1e-4
    assert np.corrcoef(found.T)[0, 1] == pytest.approx(np.corrcoef(expected.T)[0, 1], abs=0.1)


def test_the_interval_of_100_000_tracks_is_the_binomial_s():
    result = uncertainty.accuracy(table_of(np.arange(100_000) % 5 > 0))
    low, high = binom(100_000, 0.8).ppf([0.025, 0.975]) / 100_000
    assert (result["accuracy"], result["clusters"]) == (0.8, 100_000)
    assert abs(result["low"] - low) < 3e-4
    assert abs(result["high"] - high) < 3e-4
    assert uncertainty.accuracy(table_of(np.ones(6_000)))["no_interval"] == "all 6,000 tracks come out alike"


def test_words_of_an_interval_and_of_none():
    wide = {"low": -0.0123, "high": 0.5, "clusters": 1_200, "resampled_by": "artist"}
    none = {"low": None, "high": None, "clusters": 3, "resampled_by": "track", "no_interval": "3 tracks are too few"}
    assert uncertainty.words(wide) == "95 % interval -1.2 to 50.0 % over 1,200 artists"
    assert uncertainty.words(wide, signed=True) == "95 % interval -1.2 to +50.0 % over 1,200 artists"
    assert uncertainty.words(wide, signed=True, brief=True) == "[-1.2, +50.0]"
    assert uncertainty.words(none, signed=True) == "no interval: 3 tracks are too few"
    assert uncertainty.words(none, brief=True) == "[no interval: 3 tracks are too few]"
    assert uncertainty.columns(wide, "x_") == {"x_low": -0.0123, "x_high": 0.5, "x_no_interval": ""}
    cells = pd.DataFrame([uncertainty.columns(none)])
    assert cells[["low", "high"]].isna().all(axis=None)
    assert cells.dtypes[["low", "high"]].map(str).tolist() == ["float64", "float64"]
    assert cells["no_interval"].tolist() == ["3 tracks are too few"]


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
    assert uncertainty.difference(predictions, predictions)["no_interval"] == "all 40 tracks come out alike"
    tracks = scoring.by_track(predictions)
    assert uncertainty.mcnemar(tracks, tracks) == {"only_first": 0, "only_second": 0, "p_value": 1.0}


@pytest.mark.parametrize(("b", "c"), [(0, 6), (1, 9), (5, 5), (12, 3)])
def test_mcnemar_is_a_fair_coin_over_the_tracks_that_differ(b, c):
    both = [(1, 1)] * 10 + [(0, 0)] * 7 + [(1, 0)] * b + [(0, 1)] * c
    result = uncertainty.mcnemar(table_of([x for x, _ in both]), table_of([y for _, y in both]))
    tail = 2 * binom(b + c, 0.5).cdf(min(b, c))  # the exact two-sided test, by hand
    assert (result["only_first"], result["only_second"]) == (b, c)
    assert result["p_value"] == pytest.approx(min(tail, 1))


def test_of_five_tracks_that_differ_or_fewer_it_is_said_that_they_prove_nothing():
    for differ in range(9):
        least = min(
            uncertainty.mcnemar(
                table_of([1] * n + [0] * (differ - n) + [1]), table_of([0] * n + [1] * (differ - n) + [1])
            )["p_value"]
            for n in range(differ + 1)
        )
        said = uncertainty.significance({"only_first": differ, "only_second": 0, "p_value": least})
        assert said.startswith(f"p = {least:.3f}")
        assert said.endswith(f"cannot give less than {least:.3f})") == (least >= 0.05) == (differ <= 5)


def test_no_p_value_is_said_to_be_zero():
    facts = {"only_first": 30, "only_second": 5}
    assert uncertainty.significance(facts | {"p_value": 4e-4}) == "p < 0.001"
    assert uncertainty.significance(facts | {"p_value": 6e-4}) == "p = 0.001"


def test_other_rows_or_segments_are_refused(predictions):
    tracks = scoring.by_track(predictions)
    with pytest.raises(EvaluationError, match="one row per track"):
        uncertainty.mcnemar(predictions, predictions)
    with pytest.raises(EvaluationError, match="40 and 39 rows, 39 of them in both"):
        uncertainty.difference(tracks, tracks[1:])


def test_seeds_have_a_mean_and_a_spread():
    spread = uncertainty.over_seeds([0.5, 0.6, 0.7])
    assert spread == {
        "mean": pytest.approx(0.6), "sd": pytest.approx(0.1), "low": 0.5, "high": 0.7, "seeds": 3,
    }  # fmt: skip
    assert uncertainty.over_seeds([0.5])["sd"] is None
