import dataclasses
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_utils.errors import GenreUtilsWarning
from genre_utils.evaluation import artist_curve, protocol_study, uncertainty
from genre_utils.evaluation.artist_curve import FEW, MANY
from genre_utils.figures import splits
from genre_utils.models import classifiers

GENRES = ["bass", "treble"]
CLASSES = ["bass", "noise", "treble"]


def tracks_of(sizes):
    """Artists with so many tracks, in each of two genres."""
    names = [(genre, f"{genre} {artist}") for genre in GENRES for artist, size in enumerate(sizes) for _ in range(size)]
    tracks = pd.DataFrame(names, columns=["genre", "artist"])
    return tracks.assign(track_id=[f"t{number}" for number in range(len(tracks))], group=tracks["artist"])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 40), st.integers(0, 99))
def test_few_are_whole_artists_and_many_are_a_round_of_all(sizes, per_genre, seed):
    tracks = tracks_of(sizes)
    for which in (FEW, MANY):
        chosen = artist_curve.draw(tracks, per_genre, which, seed)
        assert len(chosen) == len(set(chosen)) == 2 * min(per_genre, sum(sizes))
        assert set(artist_curve.draw(tracks, per_genre - 1, which, seed)) <= set(chosen)
        for _, own in tracks.groupby("genre"):
            taken = own["track_id"].isin(chosen).groupby(own["artist"]).agg(["sum", "size"])
            begun = taken[taken["sum"] > 0]
            if which == FEW:
                assert (begun["sum"] < begun["size"]).sum() <= 1  # the last artist
            else:
                left = taken[taken["sum"] < taken["size"]]
                assert len(begun) == min(per_genre, len(sizes))
                assert left.empty or taken["sum"].max() - left["sum"].min() <= 1


@pytest.fixture
def heard(rng):
    """A weak sign of the genre, under a strong one of the artist: whoever knows one artist knows only that artist."""
    tracks = tracks_of([6] * 8)
    voice = {artist: rng.normal(size=20) for artist in tracks["artist"].unique()}
    signal = np.eye(20)[0] * 1.5
    tracks["split"] = np.where(tracks["artist"].str[-1].isin(["6", "7"]), "test", "train")
    segments = tracks.loc[tracks.index.repeat(2)].reset_index(drop=True)
    segments = segments.assign(segment=segments.groupby("track_id").cumcount(), start_seconds=0.0)
    means = [voice[artist] + (genre == "treble") * signal for artist, genre in segments[["artist", "genre"]].to_numpy()]
    return np.array(means) + 0.1 * rng.normal(size=(len(segments), 20)), segments, tracks.set_index("track_id")["group"]


def test_where_voices_hide_the_genre_other_artists_are_worth_more(heard):
    tested = artist_curve.predict(*heard, [4, 6, 36], GENRES, draws=4)
    assert tested.groupby(["which", "per_genre", "draw"]).size().eq(24).all()  # all test tracks, each time
    table = artist_curve.table(tested)
    assert table["artists"].tolist() == [1, 4, 1, 6, 6, 6]
    gain = table["difference"].to_numpy()[1::2]
    assert gain[1] > 0.15 and gain[2] == 0  # all that there are can be drawn in only one way
    few, many = (
        tested.query("which == @which and per_genre == 6").assign(seed=tested["draw"]) for which in (FEW, MANY)
    )
    assert gain[1] == pytest.approx(uncertainty.is_right(many).mean() - uncertainty.is_right(few).mean())
    best = int(np.argmax(gain))
    assert artist_curve.outlook(table).startswith(f"Largest difference, {100 * gain[best]:+.1f} points [")
    assert f": {(4, 6)[best]} training tracks per genre of {(4, 6)[best]:.1f} artists classify" in artist_curve.outlook(
        table
    )


@pytest.fixture
def store(built):
    """Two tracks of each artist."""
    number = built.tracks.groupby("genre").cumcount() // 2
    return dataclasses.replace(built, tracks=built.tracks.assign(artist=built.tracks["genre"] + number.astype(str)))


@pytest.fixture
def planned(store, params, monkeypatch):
    monkeypatch.setattr(artist_curve, "FEWEST", 2)  # of each genre four tracks are trained on
    return protocol_study.trials(store.tracks, dataclasses.replace(params, folds=4), 2, None, ["artist"])[0]


def test_it_takes_log_mels_of_trials(store, planned):
    tested = artist_curve.of_trials(planned, store, CLASSES, 2)
    assert tested["draw"].nunique() == 4 and set(tested["per_genre"]) == {2}
    tests = [set(trial.assignment.query("split == 'test'")["track_id"]) for trial in planned]
    assert (
        set(tested.query("draw < 2")["track_id"]) == tests[0] != set(tested.query("draw > 1")["track_id"]) == tests[1]
    )
    assert not tested.duplicated(["which", "per_genre", "draw", "track_id"]).any()


def test_a_training_with_one_track_of_a_genre_is_left_out_and_said(store, planned):
    train = planned[0].assignment.merge(store.tracks[["track_id", "genre"]]).query("split == 'train'")
    gone = train.loc[train["genre"] == "noise", "track_id"].unique()[1:]
    rest = planned[0].assignment[~planned[0].assignment["track_id"].isin(gone)]
    poor = dataclasses.replace(planned[0], assignment=rest)
    with pytest.warns(GenreUtilsWarning, match="leaves out a training with only one track of noise"):
        left = artist_curve.of_trials([poor, planned[1]], store, CLASSES, 2)
    pd.testing.assert_frame_equal(left, artist_curve.of_trials(planned[1:], store, CLASSES, 2))


def test_where_there_is_no_curve_it_says_why(store, planned, monkeypatch):
    nobody = dataclasses.replace(store, tracks=store.tracks.assign(artist="", title=""))
    short = dataclasses.replace(store, features=store.features[..., :21])
    for some, trials, fewest, reason in (
        (nobody, planned, 2, "a training in which no known artist has two tracks"),
        (store, [], 2, "No artist curve: it needs a split that keeps artists apart"),
        (store, planned, 4, "No artist curve: .* more than 4 training tracks"),
        (short, planned, 2, "22 frames"),
    ):
        monkeypatch.setattr(artist_curve, "FEWEST", fewest)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            none = artist_curve.table(artist_curve.of_trials(trials, some, CLASSES, 2))
        assert re.search(reason, " ".join(str(one.message) for one in caught))
        assert none.empty and "difference" in none and artist_curve.outlook(none) == "There is no curve."


def test_a_track_of_several_genres_trains_for_the_one_that_it_was_drawn_for(heard, monkeypatch):
    x, segments, groups = heard
    both = segments["artist"].str[-1].isin(["1", "3", "5"]) & (segments["genre"] == "treble")
    segments = segments.assign(genre=segments["genre"].where(~both, "bass|treble"))
    trained, fit = [], classifiers.fit_predict

    def watched(x, segments, *rest):
        trained.append(segments[segments["split"] == "train"].drop_duplicates("track_id")["genre"].value_counts())
        return fit(x, segments, *rest)

    monkeypatch.setattr(classifiers, "fit_predict", watched)
    artist_curve.predict(x, segments, groups, [8], GENRES, draws=3)
    assert all(counts.to_dict() == {"bass": 8, "treble": 8} for counts in trained)


def test_the_figure_names_the_artists_of_each_point(heard, tmp_path):
    table = artist_curve.table(artist_curve.predict(*heard, [4, 6], GENRES, draws=2))
    (axes,) = splits.artists(table, 0.5, "title", tmp_path / "artists.png").axes
    assert [text.get_text() for text in axes.texts] == ["1.0", "1.0", "4.0", "6.0"]
    assert axes.get_xticks().tolist() == [4, 6]
    for container, which in zip(axes.containers, (FEW, MANY), strict=True):
        np.testing.assert_allclose(
            container[0].get_ydata().astype(float), table.loc[table["which"] == which, "accuracy"]
        )
