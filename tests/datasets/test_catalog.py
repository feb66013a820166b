import dataclasses
import shutil
import unicodedata
import warnings

import numpy as np
import pandas as pd
import pytest
import soundfile

from genre_utils.datasets import catalog, contents, download, gtzan, labels
from genre_utils.datasets.demo import composition
from genre_utils.errors import CatalogError


def test_a_folder_of_genre_folders(genre_folder, params):
    tracks = catalog.from_folder(genre_folder, params)
    assert list(tracks.columns) == catalog.COLUMNS
    assert tracks["genre"].value_counts().to_dict() == {"bass": 8, "noise": 8, "treble": 8}
    assert tracks["track_id"].tolist() == sorted(tracks["track_id"])
    assert tracks["track_id"][0] == "bass/bass.00000.wav"
    assert (tracks["fault"] == "").all()
    np.testing.assert_allclose(tracks["duration_seconds"], 2.2)


@pytest.mark.parametrize("inner", ["genres", "Data/genres_original", "a/b/c"])
def test_the_genre_folders_are_found_further_down(genre_folder, params, tmp_path, inner):
    shutil.copytree(genre_folder, tmp_path / inner)
    tracks = catalog.from_folder(tmp_path, params)
    assert len(tracks) == 24
    assert tracks["track_id"][0] == "bass/bass.00000.wav"  # whatever lies above does not change the ids


def test_bad_files_stay_in_the_table_with_their_fault(genre_folder, params, tmp_path):
    shutil.copytree(genre_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "bass" / "empty.wav").touch()
    (tmp_path / "bass" / "text.mp3").write_text("no music here")
    (tmp_path / "bass" / "broken.wav").symlink_to(tmp_path / "nowhere.wav")
    soundfile.write(tmp_path / "bass" / "short.wav", np.ones(100), 8_000)
    tracks = catalog.from_folder(tmp_path, params)
    faults = contents.faults(tracks).set_index("track_id")["fault"]
    assert set(faults.index) == {f"bass/{name}" for name in ("empty.wav", "text.mp3", "broken.wav", "short.wav")}
    assert "one segment needs" in faults["bass/short.wav"]
    assert "cannot be read as audio" in faults["bass/empty.wav"]
    assert len(contents.usable(tracks)) == 24


def test_what_is_not_audio_is_said(genre_folder, params, tmp_path):
    shutil.copytree(genre_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "bass" / "notes.txt").write_text("hello")
    (tmp_path / "bass" / "a folder.wav").mkdir()
    (tmp_path / "bass" / "._bass.00000.wav").write_text("macOS")
    with pytest.warns(UserWarning, match=r"^1 left out under .*, without an audio suffix: \.txt 1; .*bass/notes\.txt$"):
        assert len(catalog.from_folder(tmp_path, params)) == 24


@pytest.mark.parametrize("make", ["empty", "flat", "one genre"])
def test_a_folder_without_genres_says_what_is_expected(genre_folder, params, tmp_path, make):
    if make == "flat":
        shutil.copytree(genre_folder / "bass", tmp_path, dirs_exist_ok=True)
    elif make == "one genre":
        shutil.copytree(genre_folder / "bass", tmp_path / "bass")
    with pytest.raises(CatalogError, match=r"Expected: .*<genre>/<track>\.wav"):
        catalog.from_folder(tmp_path, params)


def csv(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "tracks.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_a_csv_names_tracks_relative_to_itself(genre_folder, params, tmp_path):
    shutil.copytree(genre_folder, tmp_path, dirs_exist_ok=True)
    path = csv(tmp_path, "path,genre,artist,year\nbass/bass.00000.wav,low,Ann,1999\nnoise/noise.00001.wav,hiss,,2001\n")
    tracks = catalog.from_csv(path, params)
    assert tracks[["track_id", "genre", "artist", "title", "fault"]].to_numpy().tolist() == [
        ["bass/bass.00000.wav", "low", "Ann", "", ""],
        ["noise/noise.00001.wav", "hiss", "", "", ""],
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "song,genre\na.wav,x\n",
            "must have the columns path and genre in its first line, separated by commas. Received: song",
        ),
        ("path,genre\na.wav,x\n ,y\n", "line 3: path is empty"),
        ("path,genre\na.wav,x|y\nb.wav,x|\n", "line 3: one of the genres 'x|' is empty"),
        ("path,genre\na.wav,x| |y\n", "line 2: one of the genres 'x| |y' is empty"),
        ("path,genre\na.wav,x\nb.wav,y\nc.wav,|\n", "line 4: one of the genres '|' is empty"),
        ("path,genre\na.wav,x\na.wav,y\n", "line 3: the track 'a.wav' is listed twice, first in line 2"),
        ("", "the file is empty"),
        ('path,genre\n"a.wav,x\n', "is not a UTF-8 CSV"),
    ],
)
def test_a_bad_csv_names_file_line_and_way_out(params, tmp_path, text, said):
    with pytest.raises(CatalogError) as caught:
        catalog.from_csv(csv(tmp_path, text), params)
    assert said in str(caught.value)
    assert "tracks.csv" in str(caught.value)


def test_a_missing_file_of_a_csv_stays_in_the_table(params, tmp_path):
    with pytest.warns(UserWarning, match=rf"1 of 1 files do not exist.*line 2: 'none.wav', .* {tmp_path}/none.wav"):
        tracks = catalog.from_csv(csv(tmp_path, "path,genre\nnone.wav,x\n"), params)
    assert tracks["fault"][0] == "is not there: no such file. Correct the path, or leave it out."
    assert np.isnan(tracks["duration_seconds"][0])


def test_load_takes_a_path_and_refuses_the_rest(genre_folder, params, tmp_path):
    assert len(catalog.load(dataclasses.replace(params, dataset=str(genre_folder)))) == 24
    with pytest.raises(CatalogError, match="It must be demo, demo-mixed, gtzan-mini, gtzan"):
        catalog.load(dataclasses.replace(params, dataset="gtzam"))
    shutil.copytree(genre_folder, tmp_path / "music")
    one = csv(tmp_path, "path,genre\nmusic/bass/bass.00000.wav,bass\n")
    with pytest.raises(CatalogError, match=r"1 of 1 tracks can be used, all of the genre bass; .*two or more"):
        catalog.load(dataclasses.replace(params, dataset=str(one)))
    two = csv(tmp_path, "path,genre\nmusic/bass/bass.00000.wav,low|bass\n")
    with pytest.warns(UserWarning, match="Too few usable tracks: bass 1, low 1"):
        assert labels.genres_of(catalog.load(dataclasses.replace(params, dataset=str(two)))) == ["bass", "low"]


def test_several_genres_are_read_in_any_order(params, tmp_path):
    genres = ["rock|blues", " blues | rock ", "blues|rock|blues", "rock", " rock", "hip hop|rock", "rock|rock"]
    rows = "".join(f"{place}.wav,{genre}\n" for place, genre in enumerate(genres))
    with pytest.warns(UserWarning, match="do not exist"):
        with_genres = catalog.from_csv(csv(tmp_path, "path,genre\n" + rows), params)
    expected = ["blues|rock", "blues|rock", "blues|rock", "rock", "rock", "hip hop|rock", "rock"]
    assert with_genres["genre"].tolist() == expected
    assert labels.genres_of(with_genres) == ["blues", "hip hop", "rock"]


def test_the_genres_of_a_catalog_with_one_each_are_its_genres(genre_folder, params):
    tracks = catalog.from_folder(genre_folder, params)
    assert labels.genres_of(tracks) == sorted(tracks["genre"].unique())


@pytest.mark.parametrize("inner", ["gtzan-mini/main/genres", "genres", "genres_original", "Data/genres_original"])
def test_what_is_already_there_is_not_fetched(genre_folder, params, tmp_path, monkeypatch, inner):
    shutil.copytree(genre_folder, tmp_path / inner)
    monkeypatch.setenv("GENRE_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(download, "fetch", lambda *_: pytest.fail("fetched"))
    with pytest.warns(UserWarning, match="holds 24 tracks, and gtzan-mini has 100"):
        assert len(catalog.from_remote(download.REMOTES["gtzan-mini"], params)) == 24


def test_what_is_not_there_is_fetched(genre_folder, params, tmp_path, monkeypatch):
    monkeypatch.setenv("GENRE_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(download, "fetch", lambda *_: genre_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(catalog.from_remote(download.REMOTES["gtzan"], params)) == 24


@pytest.mark.parametrize(("dataset", "genres"), [("demo", ["a", "b"]), ("demo-mixed", ["a|b", "b"])])
def test_a_demo_comes_with_its_artists(params, tmp_path, monkeypatch, dataset, genres):
    def render(folder, *_, mixed):
        folder.mkdir(parents=True)
        names = ("a|b", "b") if mixed else ("a", "b")
        rows = [{"path": f"{g[0]}.wav", "genre": g, "artist": f"The {g[0]}", "title": "One"} for g in names]
        for row in rows:
            soundfile.write(folder / row["path"], np.ones(20_000) / 2, 8_000)
        pd.DataFrame(rows).to_csv(folder / "tracks.csv", index=False)
        return folder

    monkeypatch.setattr(catalog, "CACHE", tmp_path)
    monkeypatch.setattr(composition, "render", render)
    with pytest.warns(UserWarning, match="Too few usable tracks"):
        tracks = catalog.load(dataclasses.replace(params, dataset=dataset))
    assert tracks["artist"].tolist() == ["The a", "The b"]
    assert tracks["genre"].tolist() == genres
    assert (tmp_path / dataset / "tracks.csv").is_file()  # each keeps to its own folder


def quiet_load(dataset, params, **changes):
    """The catalog and what was told of it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tracks = catalog.load(dataclasses.replace(params, dataset=str(dataset), **changes))
    return tracks, "\n".join(str(one.message) for one in told)


def test_audio_in_no_genres_folder_stays_in_the_table_with_its_reason(genre_folder, params, tmp_path):
    shutil.copytree(genre_folder, tmp_path, dirs_exist_ok=True)
    shutil.copy(tmp_path / "bass" / "bass.00000.wav", tmp_path / "mixdown.wav")
    tracks, told = quiet_load(tmp_path, params)
    assert len(tracks) == 25
    assert contents.faults(tracks).to_numpy().tolist() == [
        ["mixdown.wav", "", "is not in a genre's folder. Move it into one, or leave it out."]
    ]
    assert labels.genres_of(tracks) == ["bass", "noise", "treble"]
    assert set(labels.one_a_row(tracks)["genre"]) == {"bass", "noise", "treble"}
    assert told == ""


def test_folders_of_a_split_give_the_split_also_under_gtzans_names(genre_folder, params, tmp_path, monkeypatch):
    for number, file in enumerate(sorted(genre_folder.glob("*/*.wav"))):
        genre = {"bass": "blues", "noise": "pop", "treble": "rock"}[file.parent.name]
        folder = tmp_path / ("test" if number % 4 == 3 else "train") / genre
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{genre}.{number:05d}.wav").symlink_to(file)
    monkeypatch.setattr(gtzan, "with_published_lists", lambda tracks: tracks.assign(artist="x", published_split=""))
    tracks, told = quiet_load(tmp_path, params)
    assert tracks["published_split"].tolist() == tracks["track_id"].str.partition("/")[0].tolist()
    assert set(tracks["artist"]) == {"x"}
    assert "is already split: test 6, train 18 tracks" in told
    mixed, told = quiet_load(tmp_path, params, genre_level=2)
    assert set(mixed["published_split"]) == {""}
    assert len(mixed) == 24


def test_too_few_and_unusable_genres_are_told_and_can_be_left_out(genre_folder, params, tmp_path):
    shutil.copytree(genre_folder, tmp_path, dirs_exist_ok=True)
    for file in (tmp_path / "bass").iterdir():
        file.write_bytes(b"no music")
    for number in range(2, 8):
        (tmp_path / "noise" / f"noise.0000{number}.wav").unlink()
    shutil.copytree(genre_folder / "bass", tmp_path / "hum")
    tracks, told = quiet_load(tmp_path, params)
    assert "The genre bass is left out: none of its 8 tracks can be used. bass/bass.00000.wav, " in told
    assert "Too few usable tracks: noise 2. A split needs 3 or more" in told
    assert '--set "exclude_genres=noise"' in told
    assert len(tracks) == 26
    left, told = quiet_load(tmp_path, params, exclude_genres="noise|Bass")
    assert labels.genres_of(left) == ["hum", "treble"]
    assert told == "10 of 26 tracks are left out by exclude_genres: bass, noise."


@pytest.mark.parametrize(
    ("usable", "said"), [(0, "0 of 24 tracks can be used; a"), (1, "8 of 24 .* of the genre bass; a")]
)
def test_what_leaves_no_two_genres_is_refused_with_the_commonest_reason(genre_folder, params, tmp_path, usable, said):
    shutil.copytree(genre_folder, tmp_path, dirs_exist_ok=True)
    for genre in ["bass", "noise", "treble"][usable:]:
        for file in (tmp_path / genre).iterdir():
            soundfile.write(file, np.ones(100), 8_000)
    with pytest.raises(
        CatalogError, match=rf"{said} classifier needs two or more genres\.\n.*holds 0.01 s; one segment"
    ):
        catalog.load(dataclasses.replace(params, dataset=str(tmp_path)))


def test_a_table_of_which_nothing_can_be_used_is_refused(params, tmp_path):
    path = csv(tmp_path, "path,genre\nC:\\x\\a.wav,x\nC:\\x\\b.wav,y\n")
    with pytest.raises(CatalogError, match=r"0 of 2 tracks.*\n.*in line 2 to 3, is a Windows path"):
        catalog.load(dataclasses.replace(params, dataset=str(path)))


def test_one_genre_in_two_spellings_is_one(genre_folder, params, tmp_path):
    names = [unicodedata.normalize(form, "Électro") for form in ("NFC", "NFD")]
    for source, genre in zip(sorted(genre_folder.iterdir()), [*names, "pop"], strict=True):
        shutil.copytree(source, tmp_path / genre)
    shutil.copytree(genre_folder / "bass", tmp_path / "POP")
    tracks, told = quiet_load(tmp_path, params)
    assert tracks["genre"].value_counts().to_dict() == {names[0]: 16, "pop": 16}
    assert told == "One genre in several spellings is read as 'pop': 'pop' 8, 'POP' 8."
    assert tracks["track_id"].is_unique


def test_a_path_begins_at_the_callers_folder_and_only_a_very_name_is_a_name(
    genre_folder, params, tmp_path, monkeypatch
):
    shutil.copytree(genre_folder, tmp_path / "gtzan")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("gtzan/", "./gtzan", "~/gtzan", str(tmp_path / "gtzan")):
        assert len(catalog.load(dataclasses.replace(params, dataset=text))) == 24
        assert catalog.absolute(text) == str(tmp_path / "gtzan")
    assert catalog.absolute("gtzan") == "gtzan"
    assert catalog.path_of("demo") is None
    with pytest.raises(CatalogError, match=f"Looked at: {tmp_path}/nowhere"):
        catalog.load(dataclasses.replace(params, dataset="nowhere"))
