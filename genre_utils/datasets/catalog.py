"""The catalog: a data set as a table of tracks, with their files, genres, artists and faults."""

import dataclasses
import os
from pathlib import Path

import pandas as pd

from genre_utils import paths
from genre_utils.audio import decoding
from genre_utils.datasets import contents, download, fma, gtzan, labels, layout, tables
from genre_utils.datasets.demo import composition
from genre_utils.datasets.labels import genres_of, one_a_row
from genre_utils.datasets.spelling import SEPARATOR, in_order, unified
from genre_utils.errors import AudioError, CatalogError, by_reason, listed, warn
from genre_utils.params import SPLITS, Params
from genre_utils.paths import CACHE

DEMOS = ("demo", "demo-mixed")
COLUMNS = ["track_id", "path", "genre", "artist", "title", "licence", "published_split", "fault", "duration_seconds"]


def load(params: Params) -> pd.DataFrame:
    """Load the catalog of ``params.dataset``; download or synthesise the data set first if needed.

    Parameters
    ----------
    params : Params
        ``dataset`` is ``demo``, ``demo-mixed`` (half of its tracks in two genres), ``gtzan-mini``, ``gtzan``,
        ``fma-small``, ``fma-medium``, the path of a folder with one folder per genre or of FMA, or the path of a CSV
        with the columns ``path`` and ``genre``; relative paths start at the current folder. ``exclude_genres`` are
        left out. ``all_genres`` is for FMA.

    Returns
    -------
    pd.DataFrame
        ``track_id, path, genre, artist, title, licence, published_split, fault, duration_seconds``, sorted by
        ``track_id``, the path below the data set's folder. A file that cannot be used stays in the table, with
        the reason as its ``fault``; unknown texts are "". Several genres of a track are in order, as
        ``blues|rock``. GTZAN's artists, titles and split are joined from published lists, and
        FMA's are in its own table.

    Raises
    ------
    CatalogError
        If there is no such data set, it can be read in two ways, or its usable tracks have fewer than two genres.
    DownloadError
        If it could not be downloaded; the message says how to get it by hand.

    Warns
    -----
    UserWarning
        About genres with no or too few usable tracks, everything left out, and unusual forms of a table.

    References
    ----------
    Paper, II.A. Notebook: 01_eda, 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits,
    06_beyond_the_paper, 07_transfer.
    """
    path = path_of(params.dataset)
    if params.dataset in DEMOS:
        folder = composition.render(
            CACHE / params.dataset, *composition.SIZES[params.dataset], mixed=params.dataset == DEMOS[1]
        )
        tracks = from_csv(folder / "tracks.csv", params)
    elif path is None:
        tracks = from_remote(download.REMOTES[params.dataset], params)
    elif path.is_dir():
        tracks = from_folder(path, params)
    elif path.is_file() and path.suffix.lower() in tables.SUFFIXES:
        tracks = from_folder(path, params) if fma.is_table(path) else from_csv(path, params)
    else:
        raise CatalogError(
            f"No data set {params.dataset!r}. It must be {', '.join([*DEMOS, *download.REMOTES])}, an "
            f"existing folder with one folder per genre, or an existing .csv. Looked at: {path}"
        )
    tracks = labels.without(tracks, params.exclude_genres)
    check(tracks, params.dataset)
    warn_of_few(tracks)
    return tracks


def path_of(dataset: str) -> Path | None:
    """The absolute path of a data set, or None if ``dataset`` is one of the names.

    Parameters
    ----------
    dataset : str
        As ``Params.dataset``. ``gtzan`` is a name, ``gtzan/`` and ``./gtzan`` are folders.

    Returns
    -------
    Path or None
        It need not exist.

    Raises
    ------
    CatalogError
        If it is neither a name nor a valid path.
    """
    if dataset in DEMOS or dataset in download.REMOTES:
        return None
    try:
        path = Path(dataset).expanduser().resolve()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, the home of an unknown user, a NUL
        raise CatalogError(f"No data set {dataset[:99]!r}: it cannot be a path ({error!s:.99}).") from error
    return path


def is_fma(dataset: str) -> bool:
    """Whether a data set is a part of the Free Music Archive, by its name or by what the folder holds."""
    path = path_of(dataset)
    if path is None:
        return dataset.startswith("fma-")
    return (path.is_dir() or fma.is_table(path)) and fma.find(path) is not None


def of_several(params: Params, tracks: pd.DataFrame, dataset: str = "") -> Params:
    """The parameters of a data set whose tracks have several genres.

    Parameters
    ----------
    params : Params
        Of a run.
    tracks : pd.DataFrame
        Its catalog.
    dataset : str
        As ``Params.dataset``. If it is empty, the run's own data set is taken, if it is FMA or has such tracks; else
        ``demo-mixed``.

    Returns
    -------
    Params
        FMA has all genres of each track.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    if not dataset:
        own = params.genre_level == 0 and is_fma(params.dataset)  # folders of FMA may be taken as genres
        if own or labels.of_several(tracks["genre"]).any():
            return dataclasses.replace(params, all_genres=own)
    chosen = dataset or DEMOS[1]
    return dataclasses.replace(params, dataset=chosen, genre_level=0, exclude_genres="", all_genres=is_fma(chosen))


def absolute(dataset: str) -> str:
    """The same data set for a process in any folder: a path becomes absolute, a name stays.

    References
    ----------
    Notebook: 02_feature_extraction.
    """
    return str(path_of(dataset) or dataset)


def check(tracks: pd.DataFrame, dataset: str) -> None:
    """Raise an error if the usable tracks of a catalog have fewer than two genres.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.
    dataset : str
        Its name, for the message.

    Raises
    ------
    CatalogError
        The message gives the most frequent reasons.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction.
    """
    good = contents.usable(tracks)
    if len(genres := genres_of(good)) < 2:
        why = by_reason(*(contents.faults(tracks)[column] for column in ("track_id", "fault")))
        only = f", all of the genre {genres[0]}" if genres else ""
        count = f"{len(good)} of {len(tracks)} tracks can be used{only}" if len(tracks) else "there are no tracks"
        raise CatalogError("\n".join([f"{dataset}: {count}; a classifier needs two or more genres.", *why]))


def warn_of_few(tracks: pd.DataFrame) -> None:
    """Warn about genres with no usable track, or too few for a split."""
    counts = one_a_row(contents.usable(tracks))["genre"].value_counts()
    few = {genre: counts.get(genre, 0) for genre in genres_of(tracks) if counts.get(genre, 0) < len(SPLITS)}
    for genre in (genre for genre, count in few.items() if not count):
        bad = one_a_row(tracks).query("genre == @genre")
        first = by_reason(bad["track_id"], bad["fault"])[0]
        warn(f"The genre {genre} is left out: none of its {len(bad)} tracks can be used. {first}")
    if scarce := [genre for genre, count in few.items() if count]:
        warn(
            f"Too few usable tracks: {listed(f'{genre} {few[genre]}' for genre in scarce)}. A split needs "
            f"{len(SPLITS)} or more of each genre, for {', '.join(SPLITS)}. Add tracks, or leave these genres out: "
            f'--set "exclude_genres={SEPARATOR.join(scarce)}"'
        )


def from_remote(remote: download.Remote, params: Params) -> pd.DataFrame:
    """The catalog of a published data set, from the data home if it is there, else downloaded; see :func:`load`."""
    home = download.data_home()
    candidates = [home / remote.name, *(home / name for name in remote.folders)]
    present = next(filter(holds_genres, candidates), None)
    if remote.metadata and not present:
        download.fetch(remote.metadata, home)
        present = next(filter(holds_genres, candidates), None)
    folder = present or download.fetch(remote, home)
    tracks = from_folder(folder, params)
    if len(tracks) != remote.tracks:
        warn(
            f"{folder} holds {len(tracks)} tracks, and {remote.name} has {remote.tracks}. The tracks found are used. "
            "To download the whole data set, move the folder away."
        )
    return tracks


def from_folder(folder: str | Path, params: Params) -> pd.DataFrame:
    """The catalog of a folder with one folder per genre, at the top or further down.

    Parameters
    ----------
    folder : str or Path
        For instance GTZAN's ``genres``, or a folder that holds it. See :func:`layout.read` for the rule, and
        :func:`fma.find` for FMA, whose folders are no genres, and whose table can be named instead.
    params : Params
        ``genre_level``, ``all_genres``, and ``segment_seconds``: shorter tracks get a ``fault``.

    Returns
    -------
    pd.DataFrame
        See :func:`load`. Audio files outside the genre folders get a ``fault``. Folders named train, test and the
        like give ``published_split``.

    Raises
    ------
    CatalogError
        If no level has two folders with audio, it is not certain which folders are the genres, or FMA's metadata are
        missing.

    Warns
    -----
    UserWarning
        About what is left out, tracks in deeper folders, and a split on disk.
    """
    folder = paths.given(folder)
    if (folder.is_file() or not params.genre_level) and (place := fma.find(folder)):
        rows, notes = fma.read(place, params.all_genres)
        for note in notes:
            warn(note)
        return table(rows, params)
    found = layout.read(folder, params.genre_level)
    if nameless := [genre for _, genre, _ in found.tracks if not in_order(genre)]:
        raise CatalogError(
            f"{found.root}: one of the genres of the folder {nameless[0]!r} is empty. Rename it: | separates genres."
        )
    for note in found.notes:
        warn(note)
    stray = "is not in a genre's folder. Move it into one, or leave it out."
    rows = [{"path": file, "genre": in_order(genre), "published_split": split} for file, genre, split in found.tracks]
    rows += [{"path": file, "genre": "", "fault": stray} for file in found.strays]
    names = [Path(os.path.relpath(str(row["path"]), found.root)).as_posix() for row in rows]
    tracks = table([{"track_id": name} | row for name, row in zip(names, rows, strict=True)], params)
    is_demo = (found.root / composition.LABEL).exists()  # its files have names like GTZAN's
    if is_demo or not gtzan.is_gtzan(tracks[tracks["genre"] != ""]):
        return tracks
    known, own = gtzan.with_published_lists(tracks), tracks["published_split"]
    return known.assign(published_split=own) if own.any() else known


def from_csv(path: str | Path, params: Params) -> pd.DataFrame:
    """The catalog from a CSV file.

    Parameters
    ----------
    path : str or Path
        With the columns ``path`` (absolute, or relative to the CSV) and ``genre``, and if known ``artist``,
        ``title``, ``licence``, ``published_split`` and ``track_id``; others are ignored. Several genres of a track are
        separated by ``|``; spaces around them, their order and repetitions do not matter. Other forms: docs/data.md.
    params : Params
        ``segment_seconds``: shorter tracks get a ``fault``.

    Returns
    -------
    pd.DataFrame
        See :func:`load`. A track without a genre gets a ``fault``.

    Raises
    ------
    CatalogError
        If it cannot be parsed, lacks a column or a path, names a file twice, or can be read in two ways.

    Warns
    -----
    UserWarning
        About unusual forms and how they are read, and about missing files.
    """
    rows, notes = tables.read(paths.given(path))
    for note in notes:
        warn(note)
    return table(rows, params)


def table(rows: list[dict], params: Params) -> pd.DataFrame:
    """Make a catalog: read each file's duration, and find files that cannot be used.

    Parameters
    ----------
    rows : list of dict
        ``track_id``, ``path``, ``genre`` and, if known, ``artist``, ``title``, ``licence``, ``published_split``; a
        file that has a ``fault`` already is not opened.
    params : Params
        ``segment_seconds``: shorter tracks get a ``fault``.

    Returns
    -------
    pd.DataFrame
        See :func:`load`.
    """
    genres, notes = unified(row["genre"] for row in rows)
    for note in notes:
        warn(note)
    checked = []
    for given, genre in zip(rows, genres, strict=True):
        row = {name: str(value).encode("utf-8", "backslashreplace").decode() for name, value in given.items()}
        seconds, fault = float("nan"), row.get("fault", "")
        try:
            if row["path"] != str(given["path"]) or "\r" in row["path"]:
                raise AudioError(row["path"], "has a name with a line break or that is not UTF-8. Rename it.")
            if not fault:
                seconds = decoding.duration(row["path"])
                fault = "" if params.segments_in(seconds) else decoding.too_short(seconds, params)
        except AudioError as error:
            fault = error.reason
        blank = {"artist": "", "title": "", "licence": "", "published_split": ""}
        checked.append(blank | row | {"genre": genre, "fault": fault, "duration_seconds": seconds})
    return pd.DataFrame(checked, columns=COLUMNS).sort_values("track_id", ignore_index=True)


def holds_genres(folder: Path) -> bool:
    """Whether a folder can be read as FMA or as a folder of genre folders."""
    try:
        return fma.find(folder) is not None or bool(layout.read(folder).tracks)
    except CatalogError:
        return False
