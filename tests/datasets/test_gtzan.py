import warnings

import pandas as pd
import pytest

from genre_utils.datasets import catalog, download, gtzan
from genre_utils.errors import CatalogError, DownloadError

INDEX = """## ## ## ##
## Please cite: someone

blues.00000.wav ::: John Lee Hooker ::: Sugar Mama
blues.00001.wav :::  :::
rock.00000.wav ::: Peter Tosh; Mick Jagger ::: Don’t Look Back
"""


@pytest.fixture
def lists(tmp_path):
    """The four lists, small."""
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "index.txt").write_text(INDEX, encoding="utf-8")
    (folder / "train_filtered.txt").write_text("blues/blues.00000.wav\n")
    (folder / "valid_filtered.txt").write_text("rock/rock.00000.wav\n\n")
    (folder / "test_filtered.txt").write_text("rock/rock.00001.wav")
    return folder


def test_the_index_gives_artists_and_titles(lists):
    artists = gtzan.read_artists(lists / "index.txt")
    assert artists.loc["blues.00000"].tolist() == ["John Lee Hooker", "Sugar Mama"]
    assert artists.loc["blues.00001"].tolist() == ["", ""]
    assert len(artists) == 3


def test_a_broken_line_is_named(lists):
    (lists / "index.txt").write_text("blues.00000.wav, John Lee Hooker")
    with pytest.raises(CatalogError, match=r"index\.txt, line 1: expected file ::: artist ::: title"):
        gtzan.read_artists(lists / "index.txt")


@pytest.mark.parametrize(
    ("track_id", "clip"),
    [
        ("blues/blues.00000.wav", "blues.00000"),
        ("genres/jazz/jazz.00054.flac", "jazz.00054"),
        ("pop.00014", "pop.00014"),
        ("mine/blues.wav", "blues.wav"),
    ],
)
def test_clips_go_by_gtzan_s_names_in_any_format(track_id, clip):
    assert gtzan.clip_of(track_id) == clip


def test_gtzan_is_known_by_the_names_of_all_tracks():
    assert gtzan.is_gtzan(pd.DataFrame({"track_id": ["blues/blues.00000.wav", "rock/rock.00099.au"]}))
    assert not gtzan.is_gtzan(pd.DataFrame({"track_id": ["blues/blues.00000.wav", "rock/mine.wav"]}))
    assert not gtzan.is_gtzan(pd.DataFrame({"track_id": []}))


def gtzan_folder(genre_folder, tmp_path, genres=("blues", "jazz", "rock")):
    """The small data set under GTZAN's names; jazz.00000 is unreadable, as jazz.00054 in some copies."""
    for source, genre in zip(sorted(genre_folder.iterdir()), genres, strict=True):
        (tmp_path / "genres" / genre).mkdir(parents=True)
        for number, file in enumerate(sorted(source.iterdir())[:3]):
            (tmp_path / "genres" / genre / f"{genre}.{number:05d}.wav").symlink_to(file)
    broken = tmp_path / "genres" / "jazz" / "jazz.00000.wav"
    broken.unlink()
    broken.write_bytes(b"no music")
    return tmp_path / "genres"


def test_a_gtzan_folder_gets_what_is_published_about_it(genre_folder, params, tmp_path, lists, monkeypatch):
    monkeypatch.setattr(download, "fetch_list", lambda name, _home: lists / name)
    folder = gtzan_folder(genre_folder, tmp_path)
    (folder / "mixdown.wav").touch()  # beside the genres: it changes nothing
    tracks = catalog.from_folder(folder, params).set_index("track_id").drop("mixdown.wav")
    assert list(tracks.reset_index().columns[:3]) == catalog.COLUMNS[:3]
    assert tracks.loc["rock/rock.00000.wav", ["artist", "published_split"]].tolist() == [
        "Peter Tosh; Mick Jagger",
        "validation",
    ]
    assert tracks.loc["rock/rock.00002.wav", ["artist", "title", "published_split"]].tolist() == ["", "", ""]
    assert "cannot be read as audio" in tracks.loc["jazz/jazz.00000.wav", "fault"]  # reported, not dropped
    assert len(tracks) == 9


def test_without_the_lists_a_warning_says_what_stays_unknown(genre_folder, params, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "fetch_list", missing)
    with pytest.warns(UserWarning, match="artists and published split stay unknown.*Get it by hand"):
        tracks = catalog.from_folder(gtzan_folder(genre_folder, tmp_path), params)
    assert (tracks["artist"] == "").all()


def missing(name, home):
    raise DownloadError(f"Could not download {name}. Get it by hand: put it into {home}")


def test_the_demo_set_is_not_taken_for_gtzan(genre_folder, params, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "fetch_list", missing)
    folder = gtzan_folder(genre_folder, tmp_path)
    (folder / "demo.json").write_text("{}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        catalog.from_folder(folder, params)
