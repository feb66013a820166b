import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_utils.datasets import labels, spelling
from genre_utils.errors import CatalogError, ParamsError
from genre_utils.evaluation import scoring, uncertainty

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
    assert labels.chance(TRACKS.assign(genre=[*"aab", ""])) == pytest.approx(2 / 3)  # of no known genre: not guessed


@given(st.lists(st.sampled_from(["Blues", "blues", "BLUES ", "\u00c9lectro", "E\u0301lectro", "rock", "rock  n roll"])))
def test_a_genre_is_one_whatever_its_spelling(names):
    joined, notes = spelling.unified(map(spelling.in_order, names))
    assert len(joined) == len(names)
    assert [spelling.key(name) for name in joined] == [spelling.key(name) for name in names]
    assert len(set(joined)) == len({spelling.key(name) for name in names})  # one genre, said once
    said = " ".join(notes)
    assert all(name in said for name in map(spelling.in_order, names) if name not in joined)


def test_the_most_frequent_spelling_is_kept_also_within_several():
    assert spelling.unified(["Rock", "rock", "rock|Blues", "blues|Rock", "Blues"])[0] == [
        "rock", "rock", "Blues|rock", "Blues|rock", "Blues",
    ]  # fmt: skip
    nfc, nfd = (unicodedata.normalize(form, "Électro") for form in ("NFC", "NFD"))
    assert spelling.unified([spelling.in_order(nfd), spelling.in_order(nfc)]) == ([nfc, nfc], [])


def test_names_that_differ_in_signs_alone_are_told_and_not_joined():
    joined, notes = spelling.unified(["Hip-Hop", "hip hop", "rock"])
    assert joined == ["Hip-Hop", "hip hop", "rock"]
    assert len(notes) == 1
    assert "'Hip-Hop'" in notes[0]
    assert "'hip hop'" in notes[0]


@pytest.mark.parametrize("names", ["POP", " pop |", "pop,pop"])
def test_a_genre_is_left_out_and_a_track_of_several_stays(names):
    with pytest.warns(UserWarning, match="1 of 4 tracks are left out by exclude_genres: pop"):
        left = labels.without(TRACKS, names)
    assert left[["track_id", "genre"]].to_numpy().tolist() == [["b", "country"], ["c", "rock"], ["d", "country"]]


def test_only_the_most_frequent_genres_are_kept():
    genre = ["rock|punk", "rock", "pop", "pop|surf", "surf", "rock"]
    tracks = pd.DataFrame({"genre": genre, "fault": ["", "", "", "", "", "broken"]})
    with pytest.warns(UserWarning, match="Only the 3 most frequent genres are used; 1 of 4 genres are left out, and 0"):
        kept = labels.frequent(tracks, 3)  # rock, pop and surf have two usable tracks each
    assert kept["genre"].tolist() == ["rock", "rock", "pop", "pop|surf", "surf", "rock"]
    assert kept["fault"].tolist() == tracks["fault"].tolist()
    with pytest.warns(UserWarning, match="and 1 tracks"):
        kept = labels.frequent(tracks, 2)
    assert kept["fault"].tolist() == ["", "", "", "", "has none of the 2 most frequent genres", "broken"]
    assert labels.frequent(tracks, 0) is tracks and labels.frequent(tracks, 4) is tracks


def test_a_name_with_a_comma_is_left_out_and_an_unknown_one_refused():
    tracks = TRACKS.assign(genre=["R&B, Soul", "rock", "rock", ""])
    with pytest.warns(UserWarning, match="1 of 4"):
        assert labels.without(tracks, "r&b, soul")["genre"].tolist() == ["rock", "rock", ""]
    assert labels.without(tracks, "") is tracks
    with pytest.raises(CatalogError, match=r"Unknown genre 'rok'. Did you mean 'rock'\?"):
        labels.without(tracks, "rok")


def predicted(rows):
    """Rows (track, genre, p_blues, p_pop, p_rock), called by their likeliest."""
    table = pd.DataFrame(rows, columns=["track_id", "genre", "p_blues", "p_pop", "p_rock"])
    called = table[["p_blues", "p_pop", "p_rock"]].to_numpy().argmax(axis=1)
    return table.assign(predicted=np.array(["blues", "pop", "rock"])[called], split="test", segment=range(len(rows)))


def test_a_track_of_several_genres_stands_for_its_likeliest_with_all_its_segments():
    table = predicted(
        [
            ("a", "blues|rock", 0.2, 0.9, 0.6),  # pop is called, and is none of its own
            ("a", "blues|rock", 0.7, 0.1, 0.4),
            ("b", "blues|pop", 0.3, 0.8, 0.9),
            ("c", "pop", 0.9, 0.2, 0.1),
        ]
    )
    assert labels.one_truth(table)["genre"].tolist() == ["rock", "rock", "pop", "pop"]  # 0.45 and 0.5 of the track a
    one = table[table["genre"] == "pop"]
    assert labels.one_truth(one) is one


@given(st.lists(st.lists(st.integers(0, 100), min_size=3, max_size=3), min_size=1, max_size=12))
def test_of_whole_tracks_any_own_genre_is_right(rows):
    """Oracle: the called genre is among the track's own."""
    genres = ["blues|rock", "blues|pop", "pop", "blues|pop|rock"]
    table = predicted([(str(n), genres[n % 4], *(p / 100 for p in row)) for n, row in enumerate(rows)])
    own = [one.predicted in one.genre.split("|") for one in table.itertuples()]
    ties = table[["p_blues", "p_pop", "p_rock"]].nunique(axis=1) < 3
    right = uncertainty.is_right(table)
    assert (right == own)[~ties].all()
    assert scoring.confusion(table).to_numpy().sum() == len(table)  # none is left out
    assert scoring.confusion(table).to_numpy().trace() == right.sum()


def test_the_output_is_what_the_tracks_need():
    one = pd.DataFrame({"track_id": ["a", "b"], "genre": ["pop", "blues|rock"], "fault": ["", "odd"]})
    several = one.assign(fault="")
    assert [labels.output_for(table, "auto") for table in (one, several)] == ["softmax", "sigmoid"]
    assert labels.output_for(one, "sigmoid") == "sigmoid"
    with pytest.raises(ParamsError, match=r"b has several genres \(blues\|rock; 1 tracks have\).*output=sigmoid"):
        labels.output_for(several, "softmax")
    assert labels.about_several(one[:1]) == ""
    assert labels.about_several(several).startswith("1 of 2 tracks have several genres")
