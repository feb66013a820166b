import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_utils.datasets import layout, spelling, tree
from genre_utils.errors import CatalogError


def made(folder, names):
    """Empty files, which are looked at by their names alone."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def genres(found):
    return Counter(genre for _, genre, _ in found.tracks)


def of_each(form, outer=("blues", "pop", "techno"), count=8):
    """Names of files by a form with the genre ``g`` and the number ``i``."""
    return [form.format(g=g, i=i, half=i // 4, pair=i // 2) for g in outer for i in range(count)]


@pytest.mark.parametrize(
    "form",
    [
        "{g}/{i}.wav",
        "{g}/artist{half}/{i}.wav",
        "{g}/artist{half}/album{pair}/{i}.wav",
        "{g}/only album/{i}.wav",
        "{g}/Album {pair} (1999)/CD {half}/{i}.wav",
        "a/wrapper/{g}/{i}.wav",
        "a/wrapper/{g}/Greatest Hits/{i}.wav",
        "{g}/{g} artist {half}/{i}.wav",
    ],
)
def test_tracks_are_of_the_genre_that_they_lie_in_at_any_depth(tmp_path, form):
    found = layout.read(made(tmp_path, of_each(form)))
    assert genres(found) == {"blues": 8, "pop": 8, "techno": 8}
    assert found.strays == []
    deeper = form.partition("{g}")[2].count("/") > 1
    assert (
        any("blues 8, pop 8, techno 8. 24 of these 24 tracks are in deeper folders" in note for note in found.notes)
        == deeper
    )


def test_albums_of_a_part_of_the_tracks_do_not_take_them_away(tmp_path):
    names = of_each("{g}/{i}.wav", count=2) + of_each("{g}/{g} live/{i}.wav") + of_each("{g}/a/b/c/{i}.mp3", count=1)
    found = layout.read(made(tmp_path, names))
    assert genres(found) == {"blues": 11, "pop": 11, "techno": 11}
    assert found.root == tmp_path


def test_albums_of_the_same_names_in_well_known_genres_leave_no_doubt(tmp_path):
    names = [f"{g}/{a}/{i}.wav" for g in ("Blues", "Hip-Hop", "Électro") for a in ("live", "studio") for i in range(2)]
    assert genres(layout.read(made(tmp_path, names))) == {"Blues": 4, "Hip-Hop": 4, "Électro": 4}


@pytest.mark.parametrize("form", ["{side}/{g}/{i}.wav", "{g}/{side}/{i}.wav", "data/{side}/{g}/artist{i}/x.wav"])
@pytest.mark.parametrize("names", [("train", "test"), ("Training", "valid", "test_set"), ("TRAIN", "dev", "eval")])
def test_a_split_on_disk_is_the_given_split(tmp_path, form, names):
    files = [form.format(side=n, g=g, i=i) for n in names for g in ("a", "b") for i in range(3)]
    found = layout.read(made(tmp_path, files))
    assert genres(found) == {"a": 3 * len(names), "b": 3 * len(names)}
    assert Counter(side for *_, side in found.tracks) == {spelling.split_of(name): 6 for name in names}
    assert any("is already split" in note and "protocol=filtered" in note for note in found.notes)
    with_level = layout.read(tmp_path, 1 + form.split("/").index("{g}"))
    assert genres(with_level) == genres(found)  # the same tracks, mixed
    assert {side for *_, side in with_level.tracks} == {""}
    assert "are not used as splits, because genre_level=" in with_level.notes[-1]


def test_the_level_that_is_named_is_the_one_that_takes_these_folders_also_in_a_split(tmp_path):
    made(tmp_path, [f"{side}/{year}/{i}.wav" for side in ("train", "test") for year in (2019, 2020) for i in range(2)])
    with pytest.raises(CatalogError, match="--set genre_level=2 for these"):
        layout.read(tmp_path)
    assert genres(layout.read(tmp_path, 2)) == {"2019": 4, "2020": 4}


def test_what_a_side_holds_beside_its_genres_has_a_reason(tmp_path):
    names = [f"train/{g}/{i}.wav" for g in "ab" for i in range(3)] + ["test/x.wav", "y.wav"]
    found = layout.read(made(tmp_path, names))
    assert {file.relative_to(tmp_path).as_posix() for file in found.strays} == {"test/x.wav", "y.wav"}
    assert {side for *_, side in found.tracks} == {""}  # a test side without genres tests nothing


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([f"set{s}/{g}/{i}.wav" for s in (1, 2) for g in ("blues", "pop") for i in range(2)], "set1, set2 differ"),
        ([f"set{s}/{g}{s}/{i}.wav" for s in (1, 2) for g in ("x", "y") for i in range(2)], "set1, set2 differ"),
        ([f"{s}/{g}/1.wav" for s in ("mine", "yours") for g in ("bass", "noise")], "occur in several of the folders"),
        ([f"{s}/{g}/1.wav" for s in ("gtzan", "extra") for g in (s, "blues", "rock")], "The same names (blues, rock)"),
        ([f"Data/genres/{g}/1.wav" for g in ("blues", "rock")] + ["others/1.wav"], "the names of genres: blues, rock"),
        ([f"{n:03}/{n}{i}.mp3" for n in range(3) for i in range(3)], "are numbers"),
        ([f"{n}/{n}{i}.mp3" for n in ("blues", "rock", "2019") for i in range(3)], "2019 are numbers"),
        ([f"{s}/{g}/1.wav" for s in ("train", "test", "mine") for g in "ab"], "beside them mine"),
        (
            [f"{g}/{s}/1.wav" for g in "ab" for s in ("train", "test")] + ["a/2.wav"],
            "a/2.wav has a genre but no split",
        ),
        ([f"M/Artist {a}/Album {b}/1.wav" for a in "ABC" for b in range(2)], "Artist A, Artist B, Artist C differ"),
    ],
)
def test_what_is_not_certain_is_refused_with_every_way_out(tmp_path, names, said):
    with pytest.raises(CatalogError) as caught:
        layout.read(made(tmp_path, names))
    for part in (said, "Name the folder", "--set genre_level=", "CSV"):
        assert part in str(caught.value)
    level = len(names[0].split("/")) - 1
    found = layout.read(tmp_path, level)  # what is said by hand is done
    assert len(found.tracks) + len(found.strays) == len(names)


@settings(max_examples=200)
@given(
    st.lists(
        st.lists(st.sampled_from(["blues", "pop", "a", "b", "train", "test", "x1", "x2", "12"]), max_size=4),
        min_size=1, max_size=12,
    ),
    st.integers(0, 3),
)  # fmt: skip
def test_no_audio_file_vanishes(tmp_path_factory, places, level):
    folder = tmp_path_factory.mktemp("tree")
    names = ["/".join([*place, f"{number}.wav"]) for number, place in enumerate(places)]
    made(folder, names)
    try:
        found = layout.read(folder, level)
    except CatalogError as error:
        assert str(folder) in str(error)
        assert "CSV" in str(error)
        return
    paths = [file for file, _, _ in found.tracks] + found.strays
    assert sorted(path.relative_to(folder).as_posix() for path in paths) == sorted(names)
    assert all(genre in file.relative_to(folder).parts[:-1] for file, genre, _ in found.tracks)
    assert len(genres(found)) > 1


def test_what_is_left_out_is_told(tmp_path):
    names = [*of_each("{g}/{i}.wav", count=1), "pop/a.jpg", "pop/b.JPG", "pop/c.part", "jazz/x.txt", ".folk/1.wav"]
    made(tmp_path, [*names, "pop/.hidden.wav", "pop/._1.wav", "__MACOSX/pop/1.wav", "README.txt"])
    (tmp_path / "empty").mkdir()
    notes = "\n".join(layout.read(tmp_path).notes)
    assert "2 folders beside the genres hold no audio and are ignored: empty, jazz" in notes
    assert "4 left out under" in notes
    assert ": .jpg 2, " in notes
    assert ".part 1" in notes
    assert "2 left out under" in notes
    assert "pop/.hidden.wav, .folk/1.wav" in notes
    assert "._1.wav" not in notes
    assert "README" not in notes


def test_links_are_followed_once_and_never_upwards(tmp_path):
    made(tmp_path / "other", ["x.wav"])
    folder = made(tmp_path / "music", of_each("{g}/{i}.wav", count=1))
    (folder / "soul").symlink_to(tmp_path / "other")
    (folder / "again").symlink_to(tmp_path)
    (folder / "pop" / "round").symlink_to(folder / "pop")
    (folder / "a copy").symlink_to(folder / "blues")  # before the folder itself, in the alphabet
    found = layout.read(folder)
    assert genres(found) == {"blues": 1, "pop": 1, "soul": 1, "techno": 1}
    (note,) = found.notes
    assert "3 left out" in note
    assert "links to folders that are already read" in note
    assert {path.name for path in tree.below(folder).again} == {"again", "round", "a copy"}


def test_two_spellings_are_not_two_genres(tmp_path):
    names = [unicodedata.normalize(form, "Électro") for form in ("NFC", "NFD")]
    made(tmp_path, [f"{name}/1.wav" for name in names])
    with pytest.raises(CatalogError, match="no folder of genre folders"):
        layout.read(tmp_path)


@pytest.mark.parametrize("names", [[], ["a/1.wav", "a/2.wav"], ["1.wav", "2.wav"], ["a/x.doc", "b/y"]])
def test_where_no_genres_are_what_is_there_is_counted(tmp_path, names):
    with pytest.raises(CatalogError) as caught:
        layout.read(made(tmp_path, names))
    count = sum(name.endswith(".wav") for name in names)
    assert f"Found: {count} files with an audio suffix" in str(caught.value)
    assert ("without a suffix 1" in str(caught.value)) == ("b/y" in names)


def test_a_folder_below_two_others_is_read_once(tmp_path):
    made(tmp_path, ["a/1.wav", "b/2.wav"])
    (tmp_path / "b" / "link").symlink_to(tmp_path / "a")
    seen = set()
    found = [tree.below(tmp_path / name, seen) for name in ("a", "b", "a")]
    assert [[file.name for file in one.files] for one in found] == [["1.wav"], ["2.wav"], []]
