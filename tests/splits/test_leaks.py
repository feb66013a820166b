import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from genre_utils.splits import leaks

TRACKS = pd.DataFrame(
    [
        ("t1", "Miles Davis", "So What"),
        ("t2", "Metallica", "so what?"),  # a song of the same name
        ("t3", "Peter Tosh; Mick Jagger", "Don't Look Back"),
        ("t4", "peter tosh", "Legalize It"),
        ("t5", "", ""),
        ("t6", "Mick Jagger", ""),
        ("t7", "", "Every Breath You Take"),
    ],
    columns=["track_id", "artist", "title"],
)


def sides(**split_of):
    return pd.DataFrame(
        [(track, segment, split) for track, splits in split_of.items() for segment, split in enumerate(splits.split())],
        columns=["track_id", "segment", "split"],
    )


def counted(assignment, pairs=None):
    return leaks.between_splits(assignment, TRACKS, pairs).set_index(["between", "what"])


def test_a_split_without_leaks_counts_none():
    table = counted(sides(t1="train train", t4="test test", t5="validation"))
    assert (table["shared"] == 0).all()
    assert (table["tracks"] == 0).all()
    assert table.loc[("train – test", "artist"), "of"] == 1
    assert table.loc[("train – validation", "artist"), "unknown"] == 1


def test_artists_songs_and_files_are_counted_in_tracks_of_the_second_side():
    table = counted(sides(t1="train", t3="train test", t4="test", t6="test", t2="test", t7="test"))
    row = table.loc[("train – test", "artist")]
    assert (row["shared"], row["tracks"], row["of"], row["unknown"]) == (
        2,
        3,
        5,
        1,
    )  # Tosh, Jagger: t3, t4, t6; t7 is unknown
    assert row["share"] == 3 / 5
    assert table.loc[("train – test", "file"), "tracks"] == 1  # t3
    assert table.loc[("train – test", "song"), "tracks"] == 2  # t2 by its name, t3 itself
    assert table.loc[("train – test", "song"), "unknown"] == 1  # t6


def test_pairs_count_across_sides_alone_and_in_either_order():
    pairs = pd.DataFrame({"track_a": ["t1", "t2", "t4"], "track_b": ["t2", "t3", "t5"]})
    table = counted(sides(t1="train", t2="test", t3="test", t4="test", t5="train"), pairs)
    row = table.loc[("train – test", "near-duplicate")]
    assert (row["shared"], row["tracks"], row["unknown"]) == (2, 2, 0)
    assert "near-duplicate" not in counted(sides(t1="train", t2="test")).index.get_level_values("what")


def test_groups_follow_chains_of_artists_and_songs():
    group = dict(zip(TRACKS["track_id"], leaks.groups(TRACKS), strict=True))
    assert group["t3"] == group["t4"] == group["t6"]
    assert group["t1"] == group["t2"]
    assert len(set(group.values())) == 4


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "b", "c", "a; b", "C"]), st.sampled_from(["", "x", "y"])), max_size=12)
)
def test_groups_are_the_components_of_a_graph(rows):
    """Oracle: join by hand until nothing changes."""
    tracks = pd.DataFrame(rows, columns=["artist", "title"]).assign(track_id=lambda t: t.index.astype(str))
    tracks[["artist", "title"]] = tracks[["artist", "title"]].astype(str)
    names = [
        {f"artist {part.strip().lower()}" for part in artist.split(";") if part}
        | ({f"song {title}"} if title else set())
        for artist, title in rows
    ]
    expected = list(range(len(rows)))
    for _ in rows:
        for i, one in enumerate(names):
            for j, two in enumerate(names):
                if one & two:
                    expected[i] = expected[j] = min(expected[i], expected[j])
    got = leaks.groups(tracks) if rows else []
    assert np.array_equal(np.equal.outer(expected, expected), np.equal.outer(got, got))


def test_an_artist_named_like_a_song_is_not_that_song():
    named_alike = pd.DataFrame({"track_id": ["x", "y"], "artist": ["Queen", "Abba"], "title": ["Radio", "Queen"]})
    assert len(set(leaks.groups(named_alike))) == 2


def test_copies_link_groups_and_those_of_other_tracks_are_passed_over():
    pairs = pd.DataFrame({"track_a": ["t1", "t0"], "track_b": ["t5", "t7"]})
    group = dict(zip(TRACKS["track_id"], leaks.groups(TRACKS, pairs), strict=True))
    assert group["t1"] == group["t2"] == group["t5"]
    assert len(set(group.values())) == 3


def test_repeats_are_songs_that_stand_twice():
    tracks = TRACKS.assign(genre=["jazz", "metal", "reggae", "reggae", "pop", "rock", "pop"])
    again = tracks.iloc[[0]].assign(track_id="t8", genre="blues")
    (row,) = leaks.repeats(pd.concat([tracks, again], ignore_index=True)).to_dict("records")
    assert row == {
        "artist": "Miles Davis",
        "title": "So What",
        "tracks": 2,
        "genres": "blues, jazz",
        "track_ids": "t1, t8",
    }
    assert leaks.repeats(tracks).empty
