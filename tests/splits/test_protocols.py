import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_utils.datasets import labels
from genre_utils.errors import ParamsError, SplitError
from genre_utils.params import PROTOCOLS, SPLITS, Params
from genre_utils.splits import leaks, protocols, stratification


def catalog_of(counts: dict[str, int], faulty: int = 0, artists: int = 0) -> pd.DataFrame:
    """Tracks of 30 s; with ``artists``, so many a genre play in turn, else nobody is known."""
    rows = [
        {
            "track_id": f"{genre}/{number}.wav",
            "genre": genre,
            "artist": f"{genre} player {number % artists}" if artists else "",
            "title": f"{genre} song {number}",
            "published_split": SPLITS[number % 3],
            "fault": "odd" if number >= count else "",
            "duration_seconds": 30.0,
        }
        for genre, count in counts.items()
        for number in range(count + faulty)
    ]
    return pd.DataFrame(rows)


def named(protocol: str, **changes) -> Params:
    return Params(protocol=protocol, **changes)


@st.composite
def any_catalog(draw):
    """Two to six genres; artists in one genre or several, some unknown; songs played twice; faults; any length."""
    rows = []
    for genre in range(draw(st.integers(2, 6))):
        for number in range(draw(st.integers(9, 25))):
            guest = draw(st.integers(0, 9)) == 0
            players = [f"{genre}-{draw(st.integers(0, 8))}", *(["everybody's friend"] if guest else [])]
            rows.append(
                {
                    "track_id": f"{genre}/{number}.wav",
                    "genre": f"genre {genre}",
                    "artist": draw(st.sampled_from(["", "; ".join(players), "; ".join(players)])),
                    "title": draw(st.sampled_from(["", "So What", *(f"song {genre} {number // 2}" for _ in range(8))])),
                    "published_split": draw(st.sampled_from(["", *SPLITS])),
                    "fault": draw(st.sampled_from(["", "", "", "", "odd"])),
                    "duration_seconds": draw(st.sampled_from([5.0, 12.0, 30.0, 400.0])),
                }
            )
    return pd.DataFrame(rows)


@settings(max_examples=25)
@given(data=st.data(), tracks=any_catalog(), protocol=st.sampled_from(PROTOCOLS), seed=st.integers(0, 2**31 - 1))
def test_any_catalog_is_split_whole_or_refused(data, tracks, protocol, seed):
    params = named(protocol, seed=seed, folds=3)
    track_ids = st.sampled_from(list(tracks["track_id"]))  # those with a fault among them
    copies = data.draw(st.lists(st.tuples(track_ids, track_ids), max_size=4))
    try:
        assignment, shared = protocols.assign(
            tracks, params, pd.DataFrame(copies, columns=["track_a", "track_b"], dtype=str)
        )
    except SplitError as error:
        known = ("Received", "published", "would hold", "needs a usable training track")
        assert any(said in str(error) for said in known), error
        return
    assert list(assignment.columns) == ["track_id", "segment", "split"]
    assert not assignment.duplicated(["track_id", "segment"]).any()
    assert set(assignment["split"]) == set(SPLITS)
    wanted = tracks[tracks["fault"] == ""]
    if protocol in ("filtered", "published"):
        wanted = wanted[wanted["published_split"] != ""]
    segments = assignment.groupby("track_id")["segment"].agg(list)
    assert set(segments.index) == set(wanted["track_id"])  # none lost, none invented
    lengths = wanted.set_index("track_id")["duration_seconds"].map({5.0: 1, 12.0: 2, 30.0: 6, 400.0: 6})
    assert all(segments[track] == list(range(lengths[track])) for track in segments.index)
    between = shared.pivot_table(index="between", columns="what", values="shared", aggfunc="sum")
    if protocol != "leaky":
        assert leaks.of_tracks(assignment)["track_id"].is_unique
        assert (between["file"] == 0).all()
    if protocol == "artist":
        assert (between == 0).all(axis=None)


@given(
    sizes=st.lists(st.lists(st.integers(1, 9), min_size=5, max_size=9), min_size=2, max_size=5),
    fold=st.integers(0, 4),
    seed=st.integers(0, 2**31 - 1),
)
def test_artists_of_any_size_stay_on_one_side(sizes, fold, seed):
    """As many artists as folds or more in each genre: the split exists, and parts them."""
    rows = [
        {"track_id": f"{genre}/{artist}/{number}", "genre": str(genre), "artist": f"{genre} {artist}"}
        for genre, artists in enumerate(sizes)
        for artist, count in enumerate(artists)
        for number in range(count)
    ]
    tracks = pd.DataFrame(rows).assign(title="", fault="", duration_seconds=30.0)
    sides = leaks.of_tracks(protocols.artist(tracks, named("artist", seed=seed, fold=fold))).merge(
        tracks, on="track_id"
    )
    assert sides[["artist", "split"]].drop_duplicates()["artist"].is_unique
    assert set(sides["split"]) == set(SPLITS)


@settings(max_examples=25)
@given(tracks=any_catalog(), seed=st.integers(0, 2**31 - 1), folds=st.integers(3, 5))
def test_every_track_is_tested_in_one_fold(tracks, seed, folds):
    params = named("artist", seed=seed, folds=folds)
    try:
        sides = [leaks.of_tracks(protocols.artist(tracks, dataclasses.replace(params, fold=k))) for k in range(folds)]
    except SplitError:
        return
    tested, validated = (
        [set(s.loc[s["split"] == split, "track_id"]) for s in sides] for split in ("test", "validation")
    )
    assert sum(map(len, tested)) == len(set().union(*tested)) == (tracks["fault"] == "").sum()
    assert validated == tested[1:] + tested[:1]


@given(
    counts=st.lists(st.integers(8, 40), min_size=2, max_size=10),
    seed=st.integers(0, 2**31 - 1),
    faulty=st.integers(0, 2),
)
def test_the_paper_s_sides_have_their_sizes(counts, seed, faulty):
    tracks = catalog_of({f"genre {index}": count for index, count in enumerate(counts)}, faulty)
    sizes = leaks.of_tracks(protocols.paper(tracks, Params(seed=seed)))["split"].value_counts()
    assert sizes["test"] == sizes["validation"] == round(0.15 * sum(counts))


@given(seed=st.integers(0, 2**31 - 1), count=st.sampled_from([20, 80, 100]))
def test_every_genre_has_its_share_on_each_side(seed, count):
    tracks = catalog_of({f"genre {index}": count for index in range(10)})
    table = leaks.of_tracks(protocols.paper(tracks, Params(seed=seed))).merge(tracks, on="track_id")
    shares = pd.crosstab(table["genre"], table["split"])
    assert ((shares["test"] - 0.15 * count).abs() < 1).all()
    assert ((shares["validation"] - 0.15 * count).abs() < 1).all()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31 - 1))
def test_artist_folds_are_stratified_where_groups_allow(seed):
    tracks = catalog_of({f"genre {index}": 20 for index in range(6)}, artists=10)  # of two tracks each
    table = leaks.of_tracks(protocols.artist(tracks, named("artist", seed=seed))).merge(tracks, on="track_id")
    shares = pd.crosstab(table["genre"], table["split"])
    assert (shares["test"] == 4).all()
    assert (shares["train"] == 12).all()


def test_tracks_of_nobody_known_are_groups_of_their_own():
    tracks = catalog_of({"a": 15, "b": 15})
    assignment, shared = protocols.assign(tracks, named("artist"))
    assert leaks.of_tracks(assignment)["split"].value_counts().to_dict() == {"train": 18, "test": 6, "validation": 6}
    unknown = shared.set_index(["between", "what"])["unknown"]
    assert unknown["train – test", "artist"] == 6
    assert unknown["train – test", "song"] == 0


def test_the_published_split_is_taken_as_it_is():
    tracks = catalog_of({"a": 9, "b": 9}, faulty=1)
    tracks.loc[0, "published_split"] = ""  # as GTZAN's lists leave out clips with known faults
    sides = leaks.of_tracks(protocols.filtered(tracks, named("filtered"))).set_index("track_id")["split"]
    expected = tracks[(tracks["fault"] == "") & (tracks["published_split"] != "")]
    assert sides.to_dict() == dict(zip(expected["track_id"], expected["published_split"], strict=True))


def on_two_sides(counts):
    """A catalog as folders train and test give it."""
    tracks = catalog_of(counts)
    sides = np.where(np.arange(len(tracks)) % 3 == 0, "test", "train")
    return tracks.assign(track_id=sides + "/" + tracks["track_id"].astype(object), published_split=sides)


@settings(max_examples=25)
@given(st.lists(st.integers(5, 40), min_size=2, max_size=5), st.integers(0, 2**31 - 1), st.floats(0.01, 0.5))
def test_a_side_that_a_given_split_lacks_is_taken_from_training(counts, seed, fraction):
    tracks = on_two_sides({f"genre {number}": count for number, count in enumerate(counts)})
    params = named("filtered", seed=seed, validation_fraction=fraction, test_fraction=0.2)
    sides = leaks.of_tracks(protocols.filtered(tracks, params)).merge(tracks, on="track_id")
    assert len(sides) == len(tracks)
    assert ((sides["split"] == "test") == (sides["published_split"] == "test")).all()  # what is given stays
    of_genre = pd.crosstab(sides["genre"], sides["split"])
    assert set(of_genre.columns) == set(SPLITS)
    assert (of_genre > 0).all().all()  # each genre on each side
    training = of_genre["train"] + of_genre["validation"]
    assert (of_genre["validation"] - np.maximum(1, fraction * training)).abs().max() <= 0.5
    pd.testing.assert_frame_equal(protocols.filtered(tracks, params), protocols.filtered(tracks, params))


def test_a_split_on_disk_is_never_mixed_unasked():
    tracks = on_two_sides({"a": 20, "b": 20})
    assert protocols.on_disk(tracks)
    assert [protocols.protocol_for(tracks, asked) for asked in ("paper", "artist")] == ["filtered", "artist"]
    with pytest.raises(SplitError, match=r"would mix them.*protocol=filtered.*genre_level"):
        protocols.assign(tracks, named("paper"))
    for other in (catalog_of({"a": 20, "b": 20}), tracks.assign(published_split="")):  # GTZAN's lists; mixed by hand
        assert not protocols.on_disk(other)
        assert protocols.protocol_for(other, "paper") == "paper"
        protocols.assign(other, named("paper"))


def test_a_genre_that_a_given_split_does_not_train_is_refused():
    tracks = on_two_sides({"a": 20, "b": 20})
    lacking = tracks[(tracks["genre"] == "a") | (tracks["published_split"] == "test")]
    with pytest.raises(SplitError, match=r"The given split has none of b\..*exclude_genres"):
        protocols.filtered(lacking, named("filtered"))


def test_a_published_split_that_does_not_fit_is_refused():
    tracks = catalog_of({"a": 9, "b": 9})
    few = tracks[tracks["published_split"] != "test"]
    with pytest.raises(SplitError, match=r"train 6, validation 6, test 0 of 12.*use protocol=artist"):
        protocols.filtered(few, named("filtered"))


def test_leaky_is_refused_unless_asked_for_by_name():
    tracks = catalog_of({"a": 20, "b": 20})
    with pytest.raises(SplitError, match=r"Expected protocol=leaky, received protocol=paper"):
        protocols.leaky(tracks, Params())
    _, shared = protocols.assign(tracks, named("leaky"))
    assert shared.set_index(["between", "what"]).loc[("train – test", "file"), "share"] > 0.9


def test_a_protocol_that_nobody_knows_is_an_error():
    with pytest.raises(ParamsError, match="protocol must be one of paper, filtered, published, artist, leaky"):
        Params(protocol="random")
    assert set(protocols.PROTOCOL_OF) == set(protocols.DESCRIPTIONS) == set(PROTOCOLS)


@pytest.mark.parametrize("protocol", ["paper", "artist", "leaky"])
def test_the_seed_decides(protocol):
    tracks = catalog_of({"a": 20, "b": 20}, artists=8)
    one = protocols.assign(tracks, named(protocol, seed=1))[0]
    assert one.equals(protocols.assign(tracks, named(protocol, seed=1))[0])
    assert not one.equals(protocols.assign(tracks, named(protocol, seed=2))[0])


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"a": 20, "b": 2}, "Every genre needs 3 usable tracks.*Received: b 2"),
        ({}, "no usable track"),
        ({"a": 3, "b": 3}, "test would hold 1 of 6 tracks"),
    ],
)
def test_too_few_tracks_is_an_error_that_says_so(counts, said):
    tracks = catalog_of(counts) if counts else catalog_of({"a": 0}, faulty=3)
    with pytest.raises(SplitError, match=said):
        protocols.paper(tracks, Params())


def test_too_few_artists_is_an_error_that_says_so():
    tracks = pd.concat([catalog_of({"a": 20}, artists=4), catalog_of({"b": 20}, artists=7)], ignore_index=True)
    with pytest.raises(SplitError, match=r"folds=5 .*an artist of every genre\. Received: a 4\. Lower folds"):
        protocols.artist(tracks, named("artist"))
    with pytest.raises(SplitError, match="no usable track"):
        protocols.artist(catalog_of({"a": 0}, faulty=3), named("artist"))


def test_fractions_are_parameters():
    tracks = catalog_of({"a": 50, "b": 50})
    params = dataclasses.replace(Params(), validation_fraction=0.1, test_fraction=0.4)
    sizes = leaks.of_tracks(protocols.paper(tracks, params))["split"].value_counts()
    assert sizes.to_dict() == {"train": 50, "test": 40, "validation": 10}


def test_leaky_shuffles_segments_and_not_tracks():
    tracks = catalog_of({"a": 50, "b": 50})
    assignment = protocols.leaky(tracks, named("leaky"))
    assert assignment["split"].value_counts().to_dict() == {"train": 420, "test": 90, "validation": 90}
    per_track = assignment[assignment["split"] == "test"].groupby("track_id").size()
    assert np.median(per_track) <= 2  # not six at a time


def several(rng, count=120):
    """Tracks of one to three genres, rock in most of them; each by an artist of two tracks."""
    names = np.array(["blues", "country", "metal", "rock"])
    own = rng.random((count, 4)) < [0.15, 0.2, 0.25, 0.7]
    own[~own.any(axis=1), 3] = True
    tracks = catalog_of({"any": count}, artists=count // 2).assign(duration_seconds=5.0)  # one segment each
    return tracks.assign(genre=["|".join(names[row]) for row in own])


@settings(max_examples=15)
@given(genres=st.lists(st.sampled_from(["blues", "rock", "hip hop", "a.b"]), max_size=30))
def test_where_every_track_has_one_genre_it_is_what_is_stratified(genres):
    genre = pd.Series(genres, dtype=str, name="genre", index=range(1, len(genres) + 1))
    pd.testing.assert_series_equal(labels.rarest(genre), genre)


def test_of_several_genres_the_rarest_is_stratified():
    genre = pd.Series(["rock", "rock", "blues|rock", "blues|metal|rock", "country|metal", "blues|country"])
    # rock 4, blues 3, metal and country 2
    assert labels.rarest(genre).tolist() == ["rock", "rock", "blues", "metal", "country", "country"]


@pytest.mark.parametrize("protocol", ["paper", "artist", "leaky"])
def test_tracks_of_several_genres_are_split_in_proportion(protocol, rng):
    tracks = several(rng)
    assert tracks["genre"].value_counts().min() == 1  # such a combination could not be stratified
    assignment, shared = protocols.assign(tracks, named(protocol))
    assert assignment["track_id"].nunique() == len(tracks)
    if protocol == "artist":
        assert (shared["shared"] == 0).all()
    table = assignment.merge(tracks.assign(genre=tracks["genre"].str.split("|")), on="track_id").explode("genre")
    sides = pd.crosstab(table["genre"], table["split"], normalize="index")
    expected = 1 / 5 if protocol == "artist" else 0.15
    assert ((sides["test"] - expected).abs() < 0.1).all()
    assert ((sides["validation"] - expected).abs() < 0.1).all()


def test_a_genre_that_is_too_rare_says_how_several_are_counted(rng):
    tracks = several(rng)
    tracks.loc[tracks.index[:2], "genre"] = "polka|rock"
    with pytest.raises(SplitError, match=r"Received: polka 2\. .*A track of several genres counts as its rarest one\."):
        protocols.paper(tracks, Params())
    with pytest.raises(SplitError, match=r"Received: polka 2\. .*A track of several genres counts as its rarest one\."):
        protocols.artist(tracks, named("artist"))


@given(
    counts=st.lists(st.one_of(st.integers(3, 9), st.integers(3, 300)), min_size=2, max_size=8),
    seed=st.integers(0, 2**31 - 1),
    test=st.floats(0.05, 0.45),
    validation=st.floats(0.05, 0.45),
    protocol=st.sampled_from(["paper", "leaky"]),
)
def test_every_genre_that_is_let_in_is_on_every_side(counts, seed, test, validation, protocol):
    """The rule that is checked is kept: a genre of three tracks among hundreds has one on each side."""
    tracks = catalog_of({f"g{number}": count for number, count in enumerate(counts)})
    params = named(protocol, seed=seed, test_fraction=test, validation_fraction=validation)
    try:
        assignment, _ = protocols.assign(tracks, params)
    except SplitError as error:
        assert "would hold" in str(error)  # a side smaller than the number of genres
        return
    units = assignment if protocol == "leaky" else assignment.drop_duplicates("track_id")
    sides = pd.crosstab(units["track_id"].str.split("/").str[0], units["split"])
    assert list(sides.columns) == sorted(SPLITS) and (sides > 0).all(axis=None)
    assert sides["test"].sum() == round(test * len(units))
    assert sides["validation"].sum() == round(validation * len(units))
    assert protocols.missing(assignment, tracks) == []


def test_what_every_side_has_already_is_left_as_it_is():
    """And so figures of ordinary data stay."""
    genre = pd.Series(["a"] * 20 + ["b"] * 12)
    assignment = pd.Series((["train"] * 3 + ["validation", "test"]) * 6 + ["train"] * 2)
    assert stratification.with_every_genre(assignment, genre, 0).equals(assignment)


def test_a_genre_that_a_side_lacks_is_named():
    tracks = catalog_of({"a": 9, "b": 9})
    tracks.loc[(tracks["genre"] == "b") & (tracks["published_split"] == "test"), "published_split"] = ""
    assignment, _ = protocols.assign(tracks, named("filtered"))
    assert protocols.missing(assignment, tracks) == ["No test track has the genre b: the test results do not cover it."]
