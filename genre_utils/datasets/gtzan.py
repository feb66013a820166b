"""Published lists about GTZAN's clips: artists and titles, and a split without the known faulty clips."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pandas as pd

from genre_utils.errors import CatalogError, DownloadError, warn

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
CLIP = re.compile(rf"((?:{'|'.join(GENRES)})\.\d{{5}})(?:\.\w+)?")
ARTISTS = "index.txt"
SPLIT_OF = {"train_filtered.txt": "train", "valid_filtered.txt": "validation", "test_filtered.txt": "test"}


def clip_of(track_id: str) -> str:
    """GTZAN's name of a clip: ``blues.00000`` for ``genres/blues/blues.00000.wav``; other files keep their name."""
    name = PurePosixPath(track_id).name
    return match[1] if (match := CLIP.fullmatch(name)) else name


def is_gtzan(tracks: pd.DataFrame) -> bool:
    """Whether all tracks of a catalog are named like GTZAN's clips."""
    return len(tracks) > 0 and all(CLIP.fullmatch(clip_of(track_id)) for track_id in tracks["track_id"])


def text_of(path: Path) -> str:
    """The text of a list, which must be UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CatalogError(f"{path} cannot be read as UTF-8 ({error}). Remove it to download it again.") from error


def read_artists(path: Path) -> pd.DataFrame:
    """Artist and title of each clip, from Sturm's index.

    Parameters
    ----------
    path : Path
        ``index.txt``: lines ``file ::: artist ::: title``; lines that begin with ``##`` are comments.

    Returns
    -------
    pd.DataFrame [index=clip, columns=artist, title]
        Unknown texts are "". Several artists of one clip are separated by ``;``.

    Raises
    ------
    CatalogError
        If it is not UTF-8, or a line has another form.

    References
    ----------
    B. L. Sturm, The state of the art ten years after a state of the art, J. New Music Research 43 (2014).
    """
    rows = {}
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        if not line.strip() or line.startswith("##"):
            continue
        parts = [part.strip() for part in line.split(":::")]
        if len(parts) != 3:
            raise CatalogError(f"{path}, line {number}: expected file ::: artist ::: title, found {line!r}.")
        rows[clip_of(parts[0])] = parts[1:]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["artist", "title"])


def read_filtered(paths: Iterable[Path]) -> pd.Series:
    """The published fault-filtered split.

    Parameters
    ----------
    paths : iterable of Path
        ``train_filtered.txt``, ``valid_filtered.txt`` and ``test_filtered.txt``, one file name per line.

    Returns
    -------
    pd.Series [index=clip]
        train (443 clips), validation (197) or test (290); the other 70 of GTZAN's 1,000 are left out.

    Raises
    ------
    CatalogError
        If a list is not UTF-8.

    References
    ----------
    C. Kereliuk, B. L. Sturm and J. Larsen, Deep learning and music adversaries, IEEE Trans. Multimedia (2015).
    """
    splits = {clip_of(line): SPLIT_OF[path.name] for path in paths for line in text_of(path).split()}
    return pd.Series(splits, name="published_split", dtype=str)


def described(tracks: pd.DataFrame, artists: pd.DataFrame, filtered: pd.Series) -> pd.DataFrame:
    """Add artists, titles and the published split to a catalog of GTZAN's clips.

    Parameters
    ----------
    tracks : pd.DataFrame [columns=track_id, …]
        Named like GTZAN's clips.
    artists : pd.DataFrame
        As :func:`read_artists` returns it.
    filtered : pd.Series
        As :func:`read_filtered` returns it.

    Returns
    -------
    pd.DataFrame
        The same tracks, with ``artist``, ``title`` and ``published_split`` filled in, "" where unknown.
    """
    clips = tracks["track_id"].map(clip_of)
    known = artists.reindex(clips).fillna("").set_index(tracks.index)
    return tracks.assign(**known, published_split=clips.map(filtered).fillna("").to_numpy())


def with_published_lists(tracks: pd.DataFrame) -> pd.DataFrame:
    """Add artists, titles and the published split to GTZAN's tracks; only warn if the lists cannot be downloaded."""
    from genre_utils.datasets import download  # needs pooch, which the functions above do not

    home = download.data_home()
    try:
        artists = read_artists(download.fetch_list(ARTISTS, home))
        filtered = read_filtered([download.fetch_list(name, home) for name in SPLIT_OF])
    except DownloadError as error:
        warn(f"GTZAN's artists and published split stay unknown. {error}")
        return tracks
    return described(tracks, artists, filtered)
