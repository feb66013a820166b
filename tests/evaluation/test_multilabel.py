"""Several genres a track: scikit-learn is the oracle, and a threshold never sees the test."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, label_ranking_average_precision_score
from sklearn.preprocessing import MultiLabelBinarizer

from genre_utils.datasets import labels
from genre_utils.errors import CatalogError, EvaluationError
from genre_utils.evaluation import multilabel, reliability, scoring, uncertainty
from genre_utils.figures import beyond

GENRES = ["blues", "country", "pop", "rock"]
FIGURES = ("mean_average_precision", "micro_f1", "macro_f1", "label_ranking_average_precision")


def rows_of(own, p, split="test", artist=""):
    """One row a track: which genres are its own, and what the network gives each."""
    own, p = np.asarray(own, dtype=bool), np.asarray(p, dtype=np.float32)  # as the network gives them
    genres = GENRES[: own.shape[1]]
    table = pd.DataFrame(p, columns=[f"p_{genre}" for genre in genres])
    table["genre"] = ["|".join(np.array(genres)[row]) for row in own]
    table["predicted"] = np.array(genres)[p.argmax(axis=1)]
    return table.assign(track_id=[f"{split}{place}" for place in range(len(own))], split=split, artist=artist)


def drawn(rng, count, split, classes=4):
    """Rows of one to three genres, from a network that is often right."""
    own = rng.random((count, classes)) < 0.3
    own[np.arange(count), rng.integers(0, classes, count)] = True
    p = 1 / (1 + np.exp(-rng.normal(3 * own - 1.5, 1.5)))
    return rows_of(own, p.round(2), split, [f"{split} player {place // 3}" for place in range(count)])


@pytest.fixture(scope="module")
def both():
    """Forty tracks for validation, sixty for the test."""
    rng = np.random.default_rng(5)
    return pd.concat([drawn(rng, 40, "validation"), drawn(rng, 60, "test")], ignore_index=True)


@pytest.fixture(scope="module")
def tested(both):
    return both[both["split"] == "test"]


@pytest.fixture(scope="module")
def chosen(both):
    return multilabel.thresholds(both)


def truth_of(rows, genres=GENRES):
    """By scikit-learn, (row, genre)."""
    return MultiLabelBinarizer(classes=genres).fit_transform(rows["genre"].str.split("|"))


def p_of(rows):
    return rows[[f"p_{genre}" for genre in scoring.genres_of(rows)]].to_numpy(float)


def test_targets_are_scikit_learns(both):
    for genres in (GENRES, GENRES[::-1], [*GENRES, "zydeco"]):
        found = labels.targets(both["genre"], genres)
        np.testing.assert_array_equal(found, truth_of(both, genres))
        assert found.dtype == np.float32
    odd = pd.Series(["hip hop|r.n.b", "hip hop", "b"])
    np.testing.assert_array_equal(labels.targets(odd, ["b", "hip hop", "r.n.b"]), [[0, 1, 1], [0, 1, 0], [1, 0, 0]])


def test_a_genre_that_is_no_class_is_an_error():
    with pytest.raises(CatalogError, match=r"among the classes blues, rock\. Received: polka, zydeco\."):
        labels.targets(pd.Series(["rock|zydeco", "polka"]), ["blues", "rock"])


def best_f1(truth, p):
    """Over every decision that a threshold can make: by brute force."""
    return max(2 * (truth & (p >= level)).sum() / (truth.sum() + (p >= level).sum()) for level in p)


@settings(max_examples=25)
@given(data=st.data(), count=st.integers(1, 12))
def test_no_other_threshold_has_a_better_f1(data, count):
    own = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    steps = st.one_of(st.integers(0, 5).map(lambda k: k / 5), st.floats(0, 1, width=32))  # ties, and any number
    p = np.array(data.draw(st.lists(steps, min_size=count, max_size=count)))
    rows = rows_of(np.stack([own, ~own], axis=1), np.stack([p, 1 - p], axis=1), "validation")
    for genre, threshold in multilabel.thresholds(rows).items():
        truth, column = rows["genre"] == genre, rows[f"p_{genre}"].to_numpy(float)
        if truth.any():
            assert f1_score(truth, column >= threshold) == pytest.approx(best_f1(truth.to_numpy(), column))
        else:
            assert threshold == multilabel.DEFAULT_THRESHOLD


def test_a_threshold_lies_half_way_between_the_last_called_and_the_next():
    rows = rows_of([[1, 0], [1, 0], [0, 1], [0, 1]], [[0.75, 0.5], [0.5, 0.25], [0.25, 0.75], [0, 0.25]], "validation")
    # blues parts at 0.5 | 0.25; country: 0.75 alone and 0.75, 0.5, 0.25 together both give an F1 of 2/3
    assert multilabel.thresholds(rows).to_dict() == {"blues": 0.375, "country": 0.625}
    everyone = rows_of([[1, 0], [1, 1]], [[0.5, 0.1], [0.75, 0.9]], "validation")
    assert multilabel.thresholds(everyone)["blues"] == 0.25  # half way to 0: all are called


def test_the_test_never_enters_a_threshold(both, chosen):
    spoiled = both.copy()
    of_test = spoiled["split"] == "test"
    spoiled.loc[of_test, [f"p_{genre}" for genre in GENRES]] = 0.5
    spoiled.loc[of_test, "genre"] = "blues|country|pop|rock"
    pd.testing.assert_series_equal(multilabel.thresholds(spoiled), chosen)
    pd.testing.assert_series_equal(multilabel.thresholds(both[~of_test]), chosen)
    with pytest.raises(EvaluationError, match=r"on validation rows.*found only: test"):
        multilabel.thresholds(both[of_test])


def test_what_is_decided_is_what_reaches_its_threshold(tested, chosen):
    decided = multilabel.decide(tested, chosen)
    assert decided.index.equals(tested.index)
    assert set(decided.str.count(r"\|")) >= {0, 1}
    for place in tested.index:
        expected = [genre for genre in GENRES if tested.loc[place, f"p_{genre}"] >= chosen[genre]]
        assert decided[place] == "|".join(expected)
    assert (decided == "").any(), "nothing is forced"
    assert set(multilabel.decide(tested, chosen * 0)) == {"blues|country|pop|rock"}
    at_it = rows_of([[1, 0]], [[0.5, np.nextafter(np.float32(0.5), np.float32(0))]])
    assert multilabel.decide(at_it, pd.Series(0.5, index=GENRES)).tolist() == ["blues"]


def test_the_figures_are_scikit_learns(tested, chosen):
    truth, p = truth_of(tested), p_of(tested)
    calls = p >= chosen[GENRES].to_numpy()
    table = multilabel.table(tested, chosen)
    np.testing.assert_allclose(table["average_precision"], average_precision_score(truth, p, average=None))
    np.testing.assert_allclose(table["f1"], f1_score(truth, calls, average=None))
    assert table["support"].tolist() == truth.sum(axis=0).tolist()
    assert table["threshold"].equals(chosen)
    result = multilabel.scores(tested, chosen)
    assert [result[name]["value"] for name in FIGURES] == pytest.approx(
        [
            average_precision_score(truth, p, average="macro"),
            f1_score(truth, calls, average="micro"),
            f1_score(truth, calls, average="macro"),
            label_ranking_average_precision_score(truth, p),
        ]
    )
    assert result["left_out"] == []
    assert (result["n"], result["resampled_by"], result["clusters"]) == (60, "artist", 20)
    assert all(result[name]["low"] < result[name]["value"] < result[name]["high"] for name in FIGURES)


def test_a_resample_counts_as_a_table_of_so_many_copies(tested, chosen, monkeypatch):
    """The quick sums over all resamples are what the slow way gives, resample by resample."""
    monkeypatch.setattr(uncertainty, "RESAMPLES", 7)
    elsewhere = tested["genre"].where(tested["artist"] == "test player 0", "rock")  # few resamples have other genres
    tested = tested.assign(genre=tested["genre"].where(~tested["genre"].str.contains("pop"), elsewhere))
    kept = {}
    keep = lambda values, _: kept.setdefault(len(kept), values) is None or {}  # noqa: E731
    monkeypatch.setattr(uncertainty, "percentile_interval", keep)
    multilabel.scores(tested, chosen, seed=3)
    weights, _ = multilabel.row_weights(tested, seed=3)
    assert weights.shape == (7, 60)
    assert 0 < (weights @ truth_of(tested)[:, 2] == 0).sum() < 7, "pop is in some resamples, not in all"
    for draw, counts in enumerate(weights.astype(int)):
        copies = tested.loc[tested.index.repeat(counts)]
        with monkeypatch.context() as patch:
            patch.setattr(uncertainty, "percentile_interval", lambda *_: {})
            slow = multilabel.scores(copies, chosen)
        assert [kept[place][draw] for place in range(4)] == pytest.approx([slow[name]["value"] for name in FIGURES])


def test_resamples_are_of_whole_artists(tested):
    weights, facts = multilabel.row_weights(pd.concat([tested, tested]), seed=0)  # two segments a track
    assert facts == {"n": 120, "resampled_by": "artist", "clusters": 20}
    by_artist = weights.reshape(-1, 2, 20, 3)
    assert (by_artist == by_artist[:, :1, :, :1]).all()
    assert (weights.sum(axis=1) == 120).all()
    _, facts = multilabel.row_weights(tested.assign(artist=""), seed=0)
    assert (facts["resampled_by"], facts["clusters"]) == ("track", 60)


@settings(max_examples=20)
@given(data=st.data(), count=st.integers(1, 10))
def test_average_precision_under_weights_is_scikit_learns(data, count):
    def many(values):
        return np.array(data.draw(st.lists(values, min_size=count, max_size=count)))

    truth, score, weights = many(st.integers(0, 1)), many(st.integers(0, 4)) / 4, many(st.integers(0, 3)).astype(float)
    found = multilabel.weighted_average_precision(truth, score, np.stack([weights, np.ones(count)]))
    for value, weight in zip(found, (weights, np.ones(count)), strict=True):
        if truth @ weight:
            assert value == pytest.approx(average_precision_score(truth, score, sample_weight=weight))
        else:
            assert np.isnan(value)


def test_the_ranking_s_precision_of_each_row_is_scikit_learns(rng):
    rows = drawn(rng, 30, "test")
    rows.loc[0, "genre"] = "|".join(GENRES)  # all are its own
    truth, p = truth_of(rows), p_of(rows).round(1)  # ties
    expected = [label_ranking_average_precision_score(truth[[k]], p[[k]]) for k in range(30)]
    np.testing.assert_allclose(multilabel.ranking_precision(truth, p), expected)


def test_the_order_of_the_rows_changes_nothing(both, tested, chosen):
    mixed = both.sample(frac=1, random_state=1)
    pd.testing.assert_series_equal(multilabel.thresholds(mixed), chosen)
    mixed = mixed[mixed["split"] == "test"]
    pd.testing.assert_frame_equal(multilabel.table(mixed, chosen), multilabel.table(tested, chosen))
    pd.testing.assert_series_equal(multilabel.decide(mixed, chosen).sort_index(), multilabel.decide(tested, chosen))
    first, second = (multilabel.scores(rows, chosen) for rows in (mixed, tested))
    for name in FIGURES:
        assert first[name] == pytest.approx(second[name], abs=1e-12)


def test_perfect_scores_are_one_everywhere(both):
    truth = truth_of(both)
    perfect = both.assign(**{f"p_{genre}": 0.1 + 0.8 * truth[:, place] for place, genre in enumerate(GENRES)})
    chosen = multilabel.thresholds(perfect)
    np.testing.assert_allclose(chosen, 0.5)
    tested = perfect[perfect["split"] == "test"]
    assert multilabel.decide(tested, chosen).tolist() == tested["genre"].tolist()
    assert (multilabel.table(tested, chosen).drop(columns=["support", "threshold"]) == 1).all(axis=None)
    result = multilabel.scores(tested, chosen)
    for name in FIGURES:
        assert result[name].pop("value") == pytest.approx(1, abs=1e-12)
        assert result[name] == {"low": None, "high": None, "no_interval": "all 20 artists come out alike"}


def test_one_genre_a_track_is_a_special_case(predictions):
    """A softmax network's table, as everywhere else: what is known of it must come out."""
    tracks = scoring.by_track(predictions)
    chosen = multilabel.thresholds(tracks)
    tested = tracks[tracks["split"] == "test"]
    table = multilabel.table(tested, chosen)
    known = reliability.average_precision(tested)
    pd.testing.assert_series_equal(table["average_precision"], known, check_names=False)
    assert multilabel.scores(tested, chosen)["mean_average_precision"]["value"] == pytest.approx(known.mean())
    top = tested.assign(genre=tested["predicted"])  # if the likeliest genre were the only one, it would rank first
    result = multilabel.scores(top, chosen)["label_ranking_average_precision"]
    assert result["value"] == pytest.approx(1, abs=1e-12) and result["low"] is None
    only = tested.assign(**{f"p_{genre}": (tested["predicted"] == genre) * 1.0 for genre in GENRES})
    halves = pd.Series(0.5, index=GENRES)
    assert multilabel.decide(only, halves).tolist() == tested["predicted"].tolist()
    one_line = scoring.table_one(tested).drop(index=scoring.AVERAGE)
    pd.testing.assert_frame_equal(multilabel.table(only, halves)[["precision", "recall", "f1"]], one_line.iloc[:, :3])
    micro = multilabel.scores(only, halves)["micro_f1"]  # of one call a row, micro F1 is accuracy
    right = uncertainty.accuracy(tested)
    assert micro == pytest.approx({"value": right["accuracy"], "low": right["low"], "high": right["high"]})


def test_a_genre_without_rows_is_left_out_and_named(tested, chosen):
    absent = tested[~tested["genre"].str.contains("pop")]
    table = multilabel.table(absent, chosen)
    assert table.loc["pop", ["average_precision", "recall", "f1"]].isna().all()
    assert table.loc["pop", "precision"] == 0
    result = multilabel.scores(absent, chosen)
    assert result["left_out"] == ["pop"]
    rest = table.drop(index="pop")
    assert result["mean_average_precision"]["value"] == pytest.approx(rest["average_precision"].mean())
    assert result["macro_f1"]["value"] == pytest.approx(rest["f1"].mean())
    calls = p_of(absent) >= chosen[GENRES].to_numpy()
    assert calls[:, 2].any(), "called in vain"
    assert result["micro_f1"]["value"] == f1_score(truth_of(absent), calls, average="micro")  # which counts here


def test_what_cannot_be_computed_is_said(tested, chosen):
    with pytest.raises(EvaluationError, match="no row to evaluate"):
        multilabel.scores(tested[:0], chosen)
    with pytest.raises(EvaluationError, match=r"Received none for pop, rock\."):
        multilabel.table(tested, chosen[["blues", "country"]])


def test_the_figure_shows_the_table(tested, chosen, tmp_path):
    table = multilabel.table(tested[~tested["genre"].str.contains("pop")], chosen)
    figure = beyond.multilabel(table, "title", tmp_path / "figures" / "one.png")
    left, right = figure.axes
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names[0] == "pop (no rows)"
    assert [name.split(" ")[0] for name in names[1:]] == list(table["average_precision"].dropna().sort_values().index)
    in_order = table.loc[[name.split(" ")[0] for name in names]]
    shown = {line.get_label(): line.get_xdata() for line in left.lines}
    for column in ("precision", "recall", "average_precision"):
        np.testing.assert_allclose(shown[column.replace("_", " ")].astype(float), in_order[column])
    heights = np.array([line.get_ydata() for line in left.lines])  # (marker, genre)
    assert (
        np.ptp(heights, axis=0).max() < 1 and np.diff(np.sort(heights, axis=0), axis=0).min() > 0.1
    )  # none hides another
    np.testing.assert_allclose(right.lines[0].get_xdata().astype(float), in_order["threshold"])
    assert (tmp_path / "figures" / "one.png").stat().st_size > 1_000
    assert not plt.get_fignums()
