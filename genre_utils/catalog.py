"""A data set is a table of tracks: where they are, what they are, and what is wrong with them."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from genre_utils import audio, demo, download, gtzan, paths
from genre_utils.errors import AudioError, CatalogError, DownloadError, warn
from genre_utils.labels import genres_of, in_order
from genre_utils.params import Params
from genre_utils.paths import CACHE, PROJECT

DEMOS = ("demo", "demo-mixed")
COLUMNS = ["track_id", "path", "genre", "artist", "title", "published_split", "fault", "duration_seconds"]
FOLDERS_IN_A_HOME = ("genres", "genres_original", "Data/genres_original")  # the author's tar, Kaggle's copy


def load(params: Params) -> pd.DataFrame:
    """The catalog of ``params.dataset``; fetched or made first, if it is not there.

    Parameters
    ----------
    params : Params
        ``dataset`` is ``demo``, ``demo-mixed`` (half of its tracks in two genres), ``gtzan-mini``, ``gtzan``, the
        path of a folder with one folder a genre, or the path of a CSV with the columns ``path`` and ``genre``.

    Returns
    -------
    pd.DataFrame
        ``track_id, path, genre, artist, title, published_split, fault, duration_seconds``, sorted by
        ``track_id``, which is the path below the data set's folder. A bad file stays in it, with its ``fault``
        filled in; unknown texts are "". A track of several genres has them in order, as ``blues|rock``. GTZAN's
        artists, titles and split are joined from published lists.

    Raises
    ------
    CatalogError
        If there is no such data set, or it holds fewer than two genres.
    DownloadError
        If it could not be fetched; the message says how to bring it by hand.

    References
    ----------
    Paper, II.A. Notebook: 01_eda, 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits,
    06_beyond_the_paper.
    """
    if params.dataset in DEMOS:
        folder = demo.render(CACHE / params.dataset, *demo.SIZES[params.dataset], mixed=params.dataset == DEMOS[1])
        tracks = from_csv(folder / "tracks.csv", params)
    elif params.dataset in download.REMOTES:
        tracks = from_remote(download.REMOTES[params.dataset], params)
    else:
        try:
            path = (PROJECT / Path(params.dataset).expanduser()).resolve()
            is_folder, is_file = path.is_dir(), path.is_file()
        except (OSError, RuntimeError, ValueError) as error:  # too long, a home that nobody has, a NUL
            raise CatalogError(f"No data set {params.dataset[:99]!r}: it cannot be a path ({error!s:.99}).") from error
        if is_folder:
            tracks = from_folder(path, params)
        elif is_file and path.suffix.lower() == ".csv":
            tracks = from_csv(path, params)
        else:
            raise CatalogError(
                f"No data set {params.dataset!r}. It must be {', '.join([*DEMOS, *download.REMOTES])}, an "
                f"existing folder that holds one folder a genre, or an existing .csv. Looked at: {path}"
            )
    if len(genres_of(tracks)) < 2:
        raise CatalogError(f"{params.dataset} holds the genres {genres_of(tracks)}; a classifier needs two or more.")
    return tracks


def from_remote(remote: download.Remote, params: Params) -> pd.DataFrame:
    """The catalog of a published data set: as it lies in the data home, or else downloaded.

    Parameters
    ----------
    remote : Remote
        What it is and where it is published.
    params : Params
        Says how short is too short.

    Returns
    -------
    pd.DataFrame
        See :func:`load`.
    """
    home = download.data_home()
    candidates = [home / remote.name, *(home / name for name in FOLDERS_IN_A_HOME)]
    present = next((folder for folder in candidates if genre_root(folder)), None)
    folder = present or download.fetch(remote, home)
    tracks = from_folder(folder, params)
    if len(tracks) != remote.tracks:
        warn(
            f"{folder} holds {len(tracks)} tracks where {remote.name} has {remote.tracks}; "
            "what is there is used. Move the folder away to have the whole fetched.",
        )
    return tracks


def from_folder(folder: str | Path, params: Params) -> pd.DataFrame:
    """The catalog of a folder that holds one folder a genre, at the top or up to three levels down.

    Parameters
    ----------
    folder : str or Path
        For instance GTZAN's ``genres``, or a folder that holds it.
    params : Params
        Says how short is too short.

    Returns
    -------
    pd.DataFrame
        See :func:`load`.

    Raises
    ------
    CatalogError
        If there are no two folders with audio files side by side.
    """
    folder = paths.given(folder)
    root = genre_root(folder)
    if root is None:
        raise CatalogError(
            f"{folder} holds no folder of genre folders. Expected: {folder}/<genre>/<track>.wav for two or more genres "
            f"({', '.join(sorted(audio.SUFFIXES))}). Or describe the tracks in a CSV with the columns path and genre."
        )
    files = [(genre.name, file) for genre in visible(root) if genre.is_dir() for file in visible(genre)]
    if nameless := [genre for genre, _ in files if not in_order(genre)]:
        raise CatalogError(f"{root}: one of the genres of the folder {nameless[0]!r} is empty. Rename it: | separates.")
    others = [file for _, file in files if not is_audio(file)]
    for why, found in (
        ("folders inside a genre's", [path for path in others if path.is_dir()]),
        ("not audio by their suffix", [path for path in others if not path.is_dir()]),
    ):
        if found:
            names = ", ".join(str(path.relative_to(root)) for path in found[:3])
            warn(f"{len(found)} left out under {root}, {why}: {names}{', …' if len(found) > 3 else ''}")
    tracks = table(
        [
            {"track_id": file.relative_to(root).as_posix(), "path": file, "genre": in_order(genre)}
            for genre, file in files
            if is_audio(file)
        ],
        params,
    )
    is_demo = (root / demo.LABEL).exists()  # its files are named alike
    return with_published_lists(tracks) if gtzan.is_gtzan(tracks) and not is_demo else tracks


def with_published_lists(tracks: pd.DataFrame) -> pd.DataFrame:
    """GTZAN's tracks with their artists, titles and fault-filtered split, fetched if need be.

    Parameters
    ----------
    tracks : pd.DataFrame
        Named as GTZAN names its clips.

    Returns
    -------
    pd.DataFrame
        The same tracks; as they were, with a warning, if the lists can neither be found nor fetched.
    """
    home = download.data_home()
    try:
        artists = gtzan.read_artists(download.fetch_list(gtzan.ARTISTS, home))
        filtered = gtzan.read_filtered([download.fetch_list(name, home) for name in gtzan.SPLIT_OF])
    except DownloadError as error:
        warn(f"GTZAN's artists and published split stay unknown. {error}")
        return tracks
    return gtzan.described(tracks, artists, filtered)


def from_csv(path: str | Path, params: Params) -> pd.DataFrame:
    """The catalog that a CSV describes.

    Parameters
    ----------
    path : str or Path
        UTF-8, with the columns ``path`` (absolute, or relative to the CSV) and ``genre``, and if known
        ``artist``, ``title``, ``published_split`` and ``track_id``; others are ignored. Several genres of a track
        are separated by ``|``; blanks around them, their order and repetitions do not matter.
    params : Params
        Says how short is too short.

    Returns
    -------
    pd.DataFrame
        See :func:`load`.

    Raises
    ------
    CatalogError
        If it cannot be parsed, lacks a column, leaves a path or a genre empty, or names a track twice.
    """
    path = paths.given(path)
    try:
        # No header: pandas would take a first column too many for an index, and rename the second of a name
        cells = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError, pd.errors.ParserError) as error:  # a wrong encoding is a ValueError too
        raise CatalogError(f"{path} is not a UTF-8 CSV with a header line ({error}).") from error
    names = cells.iloc[0].tolist()
    if not {"path", "genre"} <= {*names}:
        raise CatalogError(f"{path} needs the columns path and genre. Received: {', '.join(names)}.")
    if several := [column for column in COLUMNS if names.count(column) > 1]:
        raise CatalogError(f"{path} has the column {several[0]} more than once. Remove all but one.")
    rows = cells[1:].set_axis(names, axis=1).reset_index(drop=True)
    for column in ("path", "genre"):
        empty = rows.index[rows[column].str.strip() == ""]
        if len(empty):
            raise CatalogError(f"{path}, line {empty[0] + 2}: {column} is empty. Fill it in or remove the line.")
    ordered = rows["genre"].map(in_order)
    nameless = rows.index[ordered == ""]
    if len(nameless):
        raise CatalogError(
            f"{path}, line {nameless[0] + 2}: one of the genres {rows['genre'][nameless[0]]!r} is empty. "
            "Separate several as blues|rock, without a | at either end."
        )
    rows = rows.assign(track_id=rows.get("track_id", rows["path"]), genre=ordered)
    rows["path"] = [path.parent / file for file in rows["path"]]
    twice = rows.index[rows["track_id"].duplicated()]
    if len(twice):
        raise CatalogError(
            f"{path}, line {twice[0] + 2}: the track {rows['track_id'][twice[0]]!r} stands there twice. "
            "Remove one line, or tell them apart in a column track_id."
        )
    return table(rows[rows.columns.intersection(COLUMNS)].to_dict("records"), params)


def table(rows: list[dict], params: Params) -> pd.DataFrame:
    """Fill in what the files' headers say: duration and fault.

    Parameters
    ----------
    rows : list of dict
        ``track_id``, ``path``, ``genre`` and, if known, ``artist``, ``title`` and ``published_split``.
    params : Params
        Says how short is too short.

    Returns
    -------
    pd.DataFrame
        See :func:`load`.
    """
    checked = []
    for given in rows:
        row = {name: str(value).encode("utf-8", "backslashreplace").decode() for name, value in given.items()}
        try:
            if row["path"] != str(given["path"]) or "\r" in row["path"]:
                raise AudioError(row["path"], "has a name that no table holds: not UTF-8, or in two lines. Rename it.")
            seconds, fault = audio.duration(row["path"]), ""
            if not params.segments_in(seconds):
                fault = audio.too_short(seconds, params)
        except AudioError as error:
            seconds, fault = float("nan"), error.reason
        blank = {"artist": "", "title": "", "published_split": ""}
        checked.append(blank | row | {"fault": fault, "duration_seconds": seconds})
    return pd.DataFrame(checked, columns=COLUMNS).sort_values("track_id", ignore_index=True)


def usable(tracks: pd.DataFrame) -> pd.DataFrame:
    """The tracks without a fault.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.

    Returns
    -------
    pd.DataFrame
        Fewer rows, same columns.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper.
    """
    return tracks[tracks["fault"] == ""].reset_index(drop=True)


def faults(tracks: pd.DataFrame) -> pd.DataFrame:
    """The tracks that are left out of everything that follows, and why.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.

    Returns
    -------
    pd.DataFrame [columns=track_id, genre, fault]
        Empty if every track is usable.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction, 05_honest_splits.
    """
    return tracks.loc[tracks["fault"] != "", ["track_id", "genre", "fault"]].reset_index(drop=True)


def genre_root(folder: Path) -> Path | None:
    """The folder whose folders hold the audio: breadth first, at most three levels down."""
    level = [folder] if folder.is_dir() else []
    for _ in range(4):
        for root in level:
            genres = (genre for genre in visible(root) if genre.is_dir() and any(map(is_audio, visible(genre))))
            if len(list(itertools.islice(genres, 2))) == 2:
                return root
        level = [child for root in level for child in visible(root) if child.is_dir()]
    return None


def visible(folder: Path) -> Iterator[Path]:
    """Entries in order, without hidden ones (``._*`` of macOS among them) and its ``__MACOSX``."""
    return (path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__MACOSX")))


def is_audio(path: Path) -> bool:
    """Whether the name says that it is one."""
    return path.suffix.lower() in audio.SUFFIXES and not path.is_dir()
