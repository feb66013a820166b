"""The Free Music Archive as a data set: found anywhere, named genres, published split, missing and broken clips."""

import dataclasses
import shutil
import warnings

import fma as archive
import pandas as pd
import pytest

from genre_utils.datasets import catalog, contents, fma, labels
from genre_utils.errors import CatalogError
from genre_utils.splits import protocols


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("music")
    archive.write(home)
    return home


@pytest.fixture
def home(made, tmp_path):
    return shutil.copytree(made, tmp_path / "music")


def loaded(dataset, params, **changes):
    """The catalog and what was told of it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tracks = catalog.load(dataclasses.replace(params, dataset=str(dataset), **changes))
    return tracks, "\n".join(str(one.message) for one in told)


def test_each_clip_gets_its_row_of_the_table(home, params):
    tracks, told = loaded(home / "fma_small", params)
    assert told == ""
    assert tracks["track_id"].tolist() == [
        archive.clip_of(home, number).relative_to(home).as_posix() for number in archive.NUMBERS
    ]
    assert tracks["genre"].tolist() == ["Rock", "Hip-Hop"] * 4
    assert tracks["published_split"].tolist() == ["train"] * 4 + ["validation"] * 2 + ["test"] * 2
    assert tracks["artist"].tolist() == ["Artist 0", "NA", *(f"Artist {place}" for place in range(2, 8))]
    assert tracks["title"].tolist() == [f'"Song" {place}, né' for place in range(8)]
    assert set(tracks["licence"]) == {archive.LICENCE}
    assert set(tracks["fault"]) == {""}
    assert tracks["duration_seconds"].between(2.1, 2.4).all()


@pytest.mark.parametrize(
    ("metadata", "clips", "named"),
    [
        ("fma_metadata", "fma_small", ""),
        ("fma_metadata", "fma_small", "fma_small"),
        ("fma_metadata", "fma_small", "fma_metadata"),
        ("fma_metadata", "fma_small", "fma_metadata/tracks.csv"),
        ("", "fma_small", ""),
        ("", "fma_small", "tracks.csv"),
        ("mine", "mine", "mine"),
        ("mine/fma_metadata", "mine", "mine"),
        ("fma_metadata/fma_metadata", "fma_small/fma_small", ""),
        ("fma_metadata/fma_metadata", "fma-small/fma_small", "fma-small"),
    ],
)
def test_it_is_found_however_it_was_unpacked(home, params, tmp_path, metadata, clips, named):
    other = tmp_path / "other"
    shutil.copytree(home / "fma_small", other / clips)
    shutil.copytree(home / "fma_metadata", other / metadata, dirs_exist_ok=True)
    tracks, told = loaded(other / named, params)
    assert labels.genres_of(tracks) == ["Hip-Hop", "Rock"]
    assert len(tracks) == 8 and told == ""


def test_all_genres_have_names(home, params):
    tracks, told = loaded(home, params, all_genres=True)
    assert (
        tracks["genre"].tolist()
        == ["Punk|Rock", "Alternative, Hip-Hop|Hip-Hop", "Rock", "Alternative, Hip-Hop|Hip-Hop"] * 2
    )
    assert "Punk 2" in told
    (home / "fma_metadata" / "genres.csv").write_text("genre_id,title\n12,Rock\n21,Hip-Hop\n")
    with pytest.raises(CatalogError, match=r"tracks.csv has the genre (25|100), and .*genres.csv does not"):
        loaded(home, params, all_genres=True)
    (home / "fma_metadata" / "genres.csv").unlink()
    with pytest.raises(CatalogError, match=r"genres.csv cannot be read"):
        loaded(home, params, all_genres=True)


@pytest.mark.parametrize("named", ["", "fma_small"])
def test_without_the_metadata_an_error_says_where_they_are_and_belong(home, params, named):
    shutil.rmtree(home / "fma_metadata")
    with pytest.raises(CatalogError, match="metadata with their genres are missing") as caught:
        loaded(home / named, params)
    assert fma.URL in str(caught.value) and str(home / "fma_metadata" / "tracks.csv") in str(caught.value)
    (home / "tracks.csv").write_text("path,genre\na.wav,x\n")
    with pytest.raises(CatalogError, match=f"{home}/tracks.csv is another table"):
        loaded(home / named, params)


def test_a_table_of_another_name_can_be_named(home, params):
    table = (home / "fma_metadata" / "tracks.csv").rename(home / "some_tracks.csv")
    tracks, told = loaded(table, params, genre_level=1)
    assert len(tracks) == 8 and told == ""


def test_other_folders_beside_the_clips_are_named(home, params):
    shutil.copytree(home / "fma_small" / "001", home / "rock")
    tracks, told = loaded(home, params)
    assert len(tracks) == 8
    assert told == f"Only {home}/fma_small is read, not the folders beside it: rock."


def test_metadata_without_clips_say_so(home, params):
    shutil.rmtree(home / "fma_small")
    shutil.copy(home / "fma_metadata" / "tracks.csv", home / "mine.csv")
    for named in ("fma_metadata", "fma_metadata/tracks.csv", "mine.csv"):
        with pytest.raises(CatalogError, match="its clips are missing"):
            loaded(home / named, params)


def test_of_several_parts_one_must_be_named(home, params):
    shutil.copytree(home / "fma_small", home / "fma_medium")
    with pytest.raises(CatalogError, match="several parts of FMA: fma_medium, fma_small"):
        loaded(home, params)
    assert len(loaded(home / "fma_medium", params)[0]) == 8


def test_missing_clips_are_counted_once_and_those_of_larger_subsets_are_not_missing(home, params):
    for number in (5, 155_066):
        archive.clip_of(home / "fma_small", number).unlink()
    tracks, told = loaded(home, params)
    first = archive.clip_of(home / "fma_small", 5)
    assert told == (
        f"{home}/fma_small: 2 of the 8 files of FMA's subset small do not exist. The first: {first}\n"
        "Too few usable tracks: Hip-Hop 2. A split needs 3 or more of each genre, for train, validation, test. Add "
        'tracks, or leave these genres out: --set "exclude_genres=Hip-Hop"'
    )
    assert contents.faults(tracks)["track_id"].tolist() == ["000/000005.mp3", "155/155066.mp3"]
    archive.write_clip(home / "fma_small", 5)
    archive.write_clip(home / "fma_small", archive.LARGE)
    tracks, told = loaded(home, params)
    assert "2 of the 10 files of FMA's subset large do not exist" in told
    no_top = tracks.set_index("track_id")["fault"]["000/000026.mp3"]
    assert "no single top-level genre" in no_top and "all_genres=true" in no_top


def test_short_broken_and_unknown_files_stay_with_their_fault(home, params):
    clips = home / "fma_small"
    archive.write_clip(clips, 2, seconds=0.2)
    archive.clip_of(clips, 5).write_bytes(b"")
    shutil.copy(archive.clip_of(clips, 10), archive.clip_of(clips, 11))
    shutil.copy(archive.clip_of(clips, 10), clips / "mine.mp3")
    (clips / "checksums").write_text("")
    tracks, told = loaded(clips, params)
    assert told == ""
    faults = contents.faults(tracks).set_index("track_id")["fault"]
    assert sorted(faults.index) == ["000/000002.mp3", "000/000005.mp3", "000/000011.mp3", "mine.mp3"]
    assert "one segment needs" in faults["000/000002.mp3"]
    assert all("is not in FMA's table" in faults[name] for name in ("000/000011.mp3", "mine.mp3"))


@pytest.mark.parametrize("damage", ["column", "twice", "number", "cut", "bytes"])
def test_a_damaged_table_is_an_error_that_names_it(home, params, damage):
    path = home / "fma_metadata" / "tracks.csv"
    text = path.read_text(encoding="utf-8")
    if damage == "column":
        text = text.replace("genre_top", "genre_tip")
    elif damage == "twice":
        archive.write_tables(path.parent, [archive.row(10, 0)])
        text = path.read_text(encoding="utf-8")
    elif damage == "number":
        text = text.replace("\n140,", "\nx140,")
    elif damage == "cut":
        text = text[: text.index("quote") + 2]
    path.write_bytes(text.encode() if damage != "bytes" else text.encode("cp1252"))
    with pytest.raises(CatalogError, match=rf"{path}.*{fma.URL}"):
        loaded(home, params)


def test_the_lesson_on_several_genres_takes_fmas_own(home, params):
    tracks, _ = loaded(home, params)
    run = dataclasses.replace(params, dataset=str(home), exclude_genres="Rock")
    several = catalog.of_several(run, tracks)
    assert (several.dataset, several.all_genres, several.exclude_genres) == (str(home), True, "Rock")
    assert labels.of_several(loaded(home, several, exclude_genres="")[0]["genre"]).any()
    demo = dataclasses.replace(params, dataset="demo")
    one = tracks.assign(genre="rock")
    assert catalog.of_several(demo, one) == dataclasses.replace(demo, dataset="demo-mixed")
    assert catalog.of_several(demo, one, str(home)) == dataclasses.replace(demo, dataset=str(home), all_genres=True)
    assert catalog.of_several(demo, tracks.assign(genre="rock|pop")).dataset == "demo"
    (home / "mine.csv").write_text("path,genre\nfma_small/000/000002.mp3,rock\n")
    own = dataclasses.replace(params, dataset=str(home / "mine.csv"))
    assert catalog.of_several(own, one).dataset == "demo-mixed"  # a table of one's own beside the clips
    folders = dataclasses.replace(run, genre_level=1)
    assert catalog.of_several(folders, one).dataset == "demo-mixed"
    assert [catalog.is_fma(name) for name in ("fma-medium", "gtzan", str(home.parent))] == [True, False, False]


def test_folders_that_are_taken_as_genres_on_purpose_stay_so(home, params):
    tracks, _ = loaded(home / "fma_small", params, genre_level=1)
    assert labels.genres_of(tracks) == ["000", "001", "155"]


@pytest.mark.parametrize("protocol", ["published", "filtered"])
def test_the_published_split_is_a_protocol_with_its_leaks(home, params, protocol):
    tracks, _ = loaded(home, params)
    tracks.loc[7, "artist"] = tracks.loc[0, "artist"]
    assignment, shared = protocols.assign(tracks, dataclasses.replace(params, protocol=protocol))
    split = assignment.drop_duplicates("track_id").set_index("track_id")["split"]
    assert split.to_dict() == dict(zip(tracks["track_id"], tracks["published_split"], strict=True))
    assert isinstance(shared, pd.DataFrame) and (shared == 1).any(axis=None)
