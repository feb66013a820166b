import pandas as pd
import pytest

from genre_utils import labels

TRACKS = pd.DataFrame({"track_id": [*"abcd"], "genre": ["pop", "country|pop", "rock", "country|pop"]})


def test_a_track_of_several_genres_counts_for_each_and_for_no_combination():
    each = labels.one_a_row(TRACKS)
    assert sorted(each["genre"].unique()) == labels.genres_of(TRACKS) == ["country", "pop", "rock"]
    assert each["genre"].value_counts().to_dict() == {"pop": 3, "country": 2, "rock": 1}
    assert each["track_id"].tolist() == [*"abbcdd"]
    single = TRACKS.assign(genre="x")
    pd.testing.assert_frame_equal(labels.one_a_row(single), single)


def test_chance_is_the_share_of_tracks_that_have_the_most_frequent_genre():
    assert labels.chance(TRACKS) == pytest.approx(3 / 4)
    assert labels.chance(TRACKS.assign(genre=[*"aabc"])) == 0.5
