import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_distances
from sklearn.neighbors import NearestNeighbors

from genre_utils.errors import ParamsError
from genre_utils.evaluation import embedding_space
from genre_utils.models import pretrained


@pytest.fixture
def tracks():
    """Thirty tracks of three genres; five of each artist, the last five of unknown ones."""
    names = [f"{number:02}.wav" for number in range(30)]
    genre = [("blues", "pop", "rock")[number % 3] for number in range(30)]
    artist = [f"artist {number // 5}" if number < 25 else "" for number in range(30)]
    return pd.DataFrame({"track_id": names, "genre": genre, "artist": artist, "title": "", "path": names})


@pytest.fixture
def group():
    return np.array([number // 5 if number < 25 else number for number in range(30)])


@pytest.fixture
def points(rng):
    return rng.normal(size=(30, 12))


def test_neighbours_are_scikit_learns_and_the_farthest_is_last(points, tracks):
    apart = cosine_distances(points)
    oracle = NearestNeighbors(n_neighbors=30, metric="cosine").fit(points)
    far, order = oracle.kneighbors(points)
    for place, name in enumerate(tracks["track_id"]):
        table = embedding_space.neighbours(apart, tracks, name)
        assert table["track_id"].tolist() == tracks["track_id"].iloc[order[place, [0, 1, 2, 3, 4, 5, -1]]].tolist()
        np.testing.assert_allclose(table["distance"], far[place, [0, 1, 2, 3, 4, 5, -1]], atol=1e-12)
    assert table.index.tolist() == ["the track", *(f"{n}. neighbour" for n in (1, 2, 3, 4, 5)), "farthest"]
    first = embedding_space.neighbours(apart, tracks)
    assert first["track_id"].iloc[0] == "00.wav"


def test_of_few_tracks_all_are_shown_once(points, tracks):
    for count in (1, 2, 3):
        apart = cosine_distances(points[:count])
        table = embedding_space.neighbours(apart, tracks[:count])
        assert sorted(table["track_id"]) == tracks["track_id"][:count].tolist()


def test_an_unknown_track_is_an_error_that_names_the_nearest(points, tracks):
    with pytest.raises(ParamsError, match=r"Unknown track '7.wav'. Did you mean '27.wav'"):
        embedding_space.neighbours(cosine_distances(points), tracks, "7.wav")


def test_copies_of_one_track_do_not_hide_it(points, tracks):
    points[1] = points[0]
    apart = cosine_distances(points)
    assert embedding_space.neighbours(apart, tracks, "01.wav")["track_id"].tolist()[:2] == ["01.wav", "00.wav"]


def test_the_nearest_of_another_group_is_found_by_search(points, group):
    apart = cosine_distances(points)
    found = embedding_space.nearest(apart, group)
    for place in range(30):
        others = [other for other in range(30) if other != place]
        unrelated = [other for other in others if group[other] != group[place]]
        assert found["any track"][place] == min(others, key=lambda other: apart[place, other])
        assert found["unrelated tracks only"][place] == min(unrelated, key=lambda other: apart[place, other])
    alone = embedding_space.nearest(apart, np.zeros(30, dtype=int))
    assert (alone["unrelated tracks only"] == -1).all() and (alone["any track"] >= 0).all()


def test_shares_count_tracks_with_a_neighbour_of_their_genre(points, tracks, group):
    apart = cosine_distances(points)
    table = embedding_space.neighbour_shares(apart, tracks, group)
    for name, other in embedding_space.nearest(apart, group).items():
        same = tracks["genre"].to_numpy() == tracks["genre"].to_numpy()[other]
        row = table.loc[name]
        assert row["same_genre"] == pytest.approx(same.mean()) and row["n"] == 30
        assert row["related"] == pytest.approx((group == group[other]).mean())
        assert row["low"] <= row["same_genre"] <= row["high"] and row["resampled_by"] == "artist"
    assert table.loc["unrelated tracks only", "related"] == 0


def test_artists_that_sound_alike_are_no_genre(rng, tracks, group):
    """Each artist has a sound and several genres: any neighbour is of the artist, and of its genre only by chance."""
    points = rng.normal(size=(30, 12))[group] + 0.01 * rng.normal(size=(30, 12))
    own = tracks.assign(genre=[f"genre {number % 2}" for number in group])
    table = embedding_space.neighbour_shares(cosine_distances(points), own, group)
    assert table.loc["any track", "related"] == pytest.approx(25 / 30)
    assert table.loc["any track", "same_genre"] > 0.8 > table.loc["unrelated tracks only", "same_genre"]


def test_one_of_several_genres_is_enough(tracks):
    points = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    own = tracks[:4].assign(genre=["blues|rock", "rock", "pop", "blues|rock"], artist="")
    table = embedding_space.neighbour_shares(cosine_distances(points), own, np.arange(4))
    assert table.loc["any track", "same_genre"] == 0.5


def test_where_all_are_related_nothing_is_said_about_unrelated_ones(points, tracks):
    table = embedding_space.neighbour_shares(cosine_distances(points), tracks, np.zeros(30, dtype=int))
    assert table.index.tolist() == ["any track"] and table["related"].iloc[0] == 1


def test_tags_are_averaged_by_genre_and_a_track_of_two_counts_in_both(rng):
    values = rng.uniform(size=(6, 50))
    tracks = pd.DataFrame({"genre": ["a", "b", "a|b", "a", "b", "c"]}, index=[5, 3, 9, 1, 0, 2])
    table = embedding_space.tags_by_genre(values, tracks)
    assert table.index.tolist() == ["a", "b", "c"] and tuple(table.columns) == pretrained.TAGS
    np.testing.assert_allclose(table.loc["a"], values[[0, 2, 3]].mean(axis=0))
    np.testing.assert_allclose(table.loc["b"], values[[1, 2, 4]].mean(axis=0))
    np.testing.assert_allclose(table.loc["c"], values[5])
    top = embedding_space.top_tags(table, 2)
    assert set(top.columns) == {tag for genre in table.index for tag in table.loc[genre].nlargest(2).index}
    assert top.mean().is_monotonic_decreasing
    pd.testing.assert_frame_equal(top, table[top.columns])


def test_the_plane_is_that_of_the_singular_values(points):
    places, shares = embedding_space.projected(points)
    centred = points - points.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(places), np.abs(left[:, :2] * sizes[:2]), atol=1e-9)
    np.testing.assert_allclose(shares, (sizes**2 / (sizes**2).sum())[:2])


def test_inner_features_are_standardised_and_tags_left_out(rng):
    values = rng.normal(3, 2, size=(20, 1_756)).astype(np.float32)
    values[:, 7] = 1.0  # a unit that never responds
    values[:, 8] = rng.normal(0, 1e-12, 20)  # another, with rounding
    found = embedding_space.standardised(values)
    assert found.shape == (20, 1_704)  # what does not vary is no direction
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(found.std(axis=0), 1)
    values[:, 1_706:] = 0
    np.testing.assert_array_equal(found, embedding_space.standardised(values))
