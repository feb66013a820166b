import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_utils.evaluation import artist_curve, protocol_study, uncertainty
from genre_utils.evaluation.artist_curve import FEW, MANY
from genre_utils.figures import splits

GENRES = ["bass", "treble"]


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
    assert artist_curve.outlook(table).startswith(
        f"{(4, 6)[best]} training tracks per genre of {(4, 6)[best]:.1f} artists instead of 1.0: "
    )
    assert f"{100 * gain[best]:+.1f} points [" in artist_curve.outlook(table)


def test_it_takes_log_mels_of_trials_and_says_where_there_is_no_curve(built, params, monkeypatch):
    monkeypatch.setattr(artist_curve, "FEWEST", 2)  # of each genre four are trained on
    planned, _ = protocol_study.trials(built.tracks, dataclasses.replace(params, folds=4), 2, None, ["artist"])
    genres = sorted(built.tracks["genre"].unique())
    tested = artist_curve.of_trials(planned, built, genres, 2)
    assert tested["draw"].nunique() == 4 and set(tested["per_genre"]) == {2}
    tests = [set(trial.assignment.query("split == 'test'")["track_id"]) for trial in planned]
    assert (
        set(tested.query("draw < 2")["track_id"]) == tests[0] != set(tested.query("draw > 1")["track_id"]) == tests[1]
    )
    assert not tested.duplicated(["which", "per_genre", "draw", "track_id"]).any()

    none = artist_curve.table(artist_curve.of_trials([], built, genres, 2))
    assert none.empty and "difference" in none
    assert artist_curve.outlook(none).startswith("No curve: it needs a split that keeps artists apart")


def test_the_figure_names_the_artists_of_each_point(heard, tmp_path):
    table = artist_curve.table(artist_curve.predict(*heard, [4, 6], GENRES, draws=2))
    (axes,) = splits.artists(table, 0.5, "title", tmp_path / "artists.png").axes
    assert [text.get_text() for text in axes.texts] == ["1.0", "1.0", "4.0", "6.0"]
    assert axes.get_xticks().tolist() == [4, 6]
    for container, which in zip(axes.containers, (FEW, MANY), strict=True):
        np.testing.assert_allclose(
            container[0].get_ydata().astype(float), table.loc[table["which"] == which, "accuracy"]
        )
