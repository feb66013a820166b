import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score

from genre_utils.errors import EvaluationError
from genre_utils.evaluation import reliability, scoring, uncertainty


def rows(sure, right, tracks=None):
    """Rows of two genres: how sure the network is of ``a``, and whether it is right."""
    sure = np.asarray(sure, dtype=float)
    return pd.DataFrame(
        {
            "track_id": [f"t{place}" for place in (range(len(sure)) if tracks is None else tracks)],
            "genre": np.where(right, "a", "b"), "predicted": "a", "p_a": sure, "p_b": 1 - sure, "artist": "",
        }
    )  # fmt: skip


def in_float32(table):
    """As the network returns its probabilities."""
    return table.astype({name: "float32" for name in table if name.startswith("p_")})


def assert_the_curve_is_scikit_learns(table):
    top = table.filter(like="p_").max(axis=1)
    right, sure = calibration_curve(table["genre"] == table["predicted"], top, n_bins=10)
    curve = reliability.reliability_curve(table)
    np.testing.assert_allclose(curve.query("n > 0")["accuracy"], right)
    np.testing.assert_allclose(curve.query("n > 0")["confidence"], sure)
    assert curve["n"].tolist() == np.histogram(np.nextafter(top.astype(float), 0), 10, (0, 1))[0].tolist()


def test_the_curve_is_scikit_learns(predictions):
    for table in (predictions, scoring.by_track(predictions), in_float32(predictions)):
        assert_the_curve_is_scikit_learns(table)


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1))
def test_the_curve_is_scikit_learns_at_every_edge(drawn):
    percent, right = zip(*drawn, strict=True)
    table = rows(np.array(percent) / 100, right)
    assert_the_curve_is_scikit_learns(table)
    assert_the_curve_is_scikit_learns(in_float32(table))


def test_an_edge_belongs_to_the_bin_below_it_and_the_ends_to_the_outer_ones():
    curve = reliability.reliability_curve(rows([0.0, 0.5, 0.6, 1.0], [False, True, True, True]))
    assert curve["n"].tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 2]  # 0 sure of a is 1 sure of b
    assert curve.loc[curve["n"] == 0, ["confidence", "accuracy"]].isna().all(axis=None)
    assert curve["low"].tolist() == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert curve["high"].tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    nothing = rows([0.0], [False]).assign(p_b=0.0)
    assert reliability.reliability_curve(nothing)["n"].tolist() == [1] + [0] * 9


def test_who_is_always_sure_and_half_right_errs_by_half():
    table = rows(np.ones(40), np.arange(40) % 2 == 0)
    assert reliability.expected_calibration_error(table)["ece"] == 0.5
    assert reliability.expected_calibration_error(rows(np.ones(40), np.ones(40, bool)))["ece"] == 0


def test_probabilities_that_are_kept_have_hardly_an_error_and_overconfidence_has(rng):
    sure = rng.uniform(0.5, 1, 100_000)
    right = rng.uniform(size=len(sure)) < sure
    tracks = np.arange(len(sure)) % 100
    assert reliability.expected_calibration_error(rows(sure, right, tracks))["ece"] < 0.01
    overconfident = reliability.expected_calibration_error(rows(np.sqrt(sure), right, tracks))
    assert overconfident["ece"] == pytest.approx((np.sqrt(sure) - sure).mean(), abs=0.01)
    assert overconfident["low"] < overconfident["ece"] < overconfident["high"]


def test_of_few_rows_the_error_is_too_large(rng):
    sure = rng.uniform(0.5, 1, 5_000)
    table = rows(sure, rng.uniform(size=len(sure)) < sure, np.arange(len(sure)) % 50)  # perfectly calibrated
    few = [reliability.expected_calibration_error(table[start : start + 50])["ece"] for start in range(0, 1_000, 50)]
    assert np.mean(few) > 5 * reliability.expected_calibration_error(table)["ece"]


def test_the_error_is_the_curves_mean_gap(predictions):
    for table in (predictions, in_float32(predictions)):
        curve = reliability.reliability_curve(table).query("n > 0")
        gap = np.average(np.abs(curve["accuracy"] - curve["confidence"]), weights=curve["n"])
        assert abs(reliability.expected_calibration_error(table)["ece"] - gap) < 1e-12


def test_who_is_always_sure_errs_as_often_as_not_right(rng):
    """The error is then 1 less the accuracy, and so is its interval."""
    artist = [""] * 10 + [*"aabbbcccdddddddddddd"]
    table = rows(np.ones(30), rng.uniform(size=30) < 0.6).assign(artist=artist)
    for seed in (0, 1):
        found, known = reliability.expected_calibration_error(table, seed), uncertainty.accuracy(table, seed)
        mirrored = [1 - known[name] for name in ("accuracy", "high", "low")]
        assert [found[name] for name in ("ece", "low", "high")] == pytest.approx(mirrored)
    assert reliability.expected_calibration_error(table, 1) != reliability.expected_calibration_error(table, 0)


def test_the_interval_resamples_what_accuracy_resamples(predictions):
    artists = predictions.assign(artist=["A" if track < "pop" else "" for track in predictions["track_id"]])
    for table in (predictions, artists):
        found, known = reliability.expected_calibration_error(table), uncertainty.accuracy(table)
        assert [found[name] for name in ("n", "resampled_by", "clusters")] == [
            known[name] for name in ("n", "resampled_by", "clusters")
        ]


def test_segments_of_a_track_stand_or_fall_together(rng):
    """Ten equal segments a track tell no more than one; single tracks would."""
    sure = rng.uniform(0.5, 1, 60)
    right = rng.uniform(size=60) < 0.6
    one = reliability.expected_calibration_error(rows(sure, right, range(60)))
    ten = reliability.expected_calibration_error(rows(np.tile(sure, 10), np.tile(right, 10), [*range(60)] * 10))
    assert [ten[name] for name in ("ece", "low", "high")] == pytest.approx(
        [one[name] for name in ("ece", "low", "high")]
    )


def test_no_row_is_refused(predictions):
    with pytest.raises(EvaluationError, match="no row"):
        reliability.expected_calibration_error(predictions.head(0))


def figures(table):
    error = reliability.expected_calibration_error(table)
    return {
        "calibration": reliability.reliability_curve(table),
        "error": pd.Series({name: error[name] for name in ("ece", "low", "high", "clusters")}),
        "average precision": reliability.average_precision(table),
    }


def assert_same(found, expected):
    for name, figure in found.items():
        getattr(pd.testing, f"assert_{'frame' if figure.ndim == 2 else 'series'}_equal")(figure, expected[name])


@settings(max_examples=10)  # each computes every figure anew
@given(st.integers(0, 2**31 - 1))
def test_the_order_of_rows_changes_nothing(predictions, seed):
    assert_same(figures(predictions.sample(frac=1, random_state=seed)), figures(predictions))


def test_a_copy_of_every_row_changes_only_how_many_there_are(predictions):
    once, twice = figures(predictions), figures(pd.concat([predictions, predictions]))
    assert (twice["calibration"]["n"] == 2 * once["calibration"]["n"]).all()
    twice["calibration"]["n"] = once["calibration"]["n"]
    assert_same(twice, once)


def test_what_is_undefined_is_nan_and_no_warning(predictions):
    absent = predictions[predictions["genre"] != "rock"]
    found = reliability.average_precision(absent)
    assert found.index[found.isna()].tolist() == ["rock"]


def test_average_precision_is_scikit_learns(predictions):
    found = reliability.average_precision(predictions)
    assert (found.index.name, found.index.tolist()) == ("genre", scoring.genres_of(predictions))
    for genre in scoring.genres_of(predictions):
        expected = average_precision_score(predictions["genre"] == genre, predictions[f"p_{genre}"])
        assert found[genre] == pytest.approx(expected, rel=1e-12)
    tied = rows([0.9, 0.9, 0.5, 0.5, 0.5, 0.1], [True, False, True, False, True, True])
    expected = average_precision_score(tied["genre"] == "a", tied["p_a"])
    assert reliability.average_precision(tied)["a"] == pytest.approx(expected, rel=1e-12)
    assert reliability.average_precision(rows([0.9, 0.8, 0.1], [True, True, False]))["a"] == 1
