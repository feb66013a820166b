"""A data set is a table of tracks: where they are, what they are, and what is wrong with them."""

import os
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from genre_utils import paths
from genre_utils.audio import decoding
from genre_utils.datasets import download, gtzan, labels, layout, tables
from genre_utils.datasets.demo import composition
from genre_utils.datasets.labels import SEPARATOR, genres_of, in_order, one_a_row
from genre_utils.errors import AudioError, CatalogError, by_reason, listed, warn
from genre_utils.params import SPLITS, Params
from genre_utils.paths import CACHE

DEMOS = ("demo", "demo-mixed")
COLUMNS = ["track_id", "path", "genre", "artist", "title", "published_split", "fault", "duration_seconds"]
FOLDERS_IN_A_HOME = ("genres", "genres_original", "Data/genres_original")  # the author's tar, Kaggle's copy


def load(params: Params) -> pd.DataFrame:
    """The catalog of ``params.dataset``; fetched or made first, if it is not there.

    Parameters
    ----------
    params : Params
        ``dataset`` is ``demo``, ``demo-mixed`` (half of its tracks in two genres), ``gtzan-mini``, ``gtzan``, the
        path of a folder with one folder a genre, or the path of a CSV with the columns ``path`` and ``genre``; a
        relative one begins at the caller's folder. ``exclude_genres`` are left out.

    Returns
    -------
    pd.DataFrame
        ``track_id, path, genre, artist, title, published_split, fault, duration_seconds``, sorted by
        ``track_id``, which is the path below the data set's folder. A bad file stays in it, with its ``fault``
        filled in, also one without a genre; unknown texts are "". A track of several genres has them in order, as
        ``blues|rock``. GTZAN's artists, titles and split are joined from published lists.

    Raises
    ------
    CatalogError
        If there is no such data set, it cannot be read with certainty, or its usable tracks are of fewer than two
        genres.
    DownloadError
        If it could not be fetched; the message says how to bring it by hand.

    Warns
    -----
    UserWarning
        Of genres with no or too few usable tracks, and of all that is left out or not read as it is written.

    References
    ----------
    Paper, II.A. Notebook: 01_eda, 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits,
    06_beyond_the_paper.
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
        tracks = from_csv(path, params)
    else:
        raise CatalogError(
            f"No data set {params.dataset!r}. It must be {', '.join([*DEMOS, *download.REMOTES])}, an "
            f"existing folder that holds one folder a genre, or an existing .csv. Looked at: {path}"
        )
    tracks = labels.without(tracks, params.exclude_genres)
    check(tracks, params.dataset)
    tell_of_few(tracks)
    return tracks


def path_of(dataset: str) -> Path | None:
    """The path that ``dataset`` is, from the caller's folder; None if it is the name of a data set.

    Parameters
    ----------
    dataset : str
        As ``Params.dataset``. Only the very name is one: ``gtzan/`` and ``./gtzan`` are folders.

    Returns
    -------
    Path or None
        Absolute.

    Raises
    ------
    CatalogError
        If it cannot be a path.
    """
    if dataset in DEMOS or dataset in download.REMOTES:
        return None
    try:
        path = Path(dataset).expanduser().resolve()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, a home that nobody has, a NUL
        raise CatalogError(f"No data set {dataset[:99]!r}: it cannot be a path ({error!s:.99}).") from error
    return path


def absolute(dataset: str) -> str:
    """The same data set for a reader in any folder: a path is made absolute, a name stays.

    References
    ----------
    Notebook: 02_feature_extraction.
    """
    return str(path_of(dataset) or dataset)


def check(tracks: pd.DataFrame, dataset: str) -> None:
    """Refuse a catalog of which too little can be used.

    Parameters
    ----------
    tracks : pd.DataFrame
        With the faults that are known so far.
    dataset : str
        Its name, for the message.

    Raises
    ------
    CatalogError
        If the usable tracks are of fewer than two genres; the message has the commonest reasons.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction.
    """
    sound = usable(tracks)
    if len(genres := genres_of(sound)) < 2:
        why = by_reason(*(faults(tracks)[column] for column in ("track_id", "fault")))
        what = f", all of the genre {genres[0]}" if genres else ""
        told = f"{len(sound)} of {len(tracks)} tracks can be used{what}" if len(tracks) else "there is no track"
        raise CatalogError("\n".join([f"{dataset}: {told}; a classifier needs two or more genres.", *why]))


def tell_of_few(tracks: pd.DataFrame) -> None:
    """Warn of genres that have no usable track, or too few for a split."""
    counts = one_a_row(usable(tracks))["genre"].value_counts()
    few = {genre: counts.get(genre, 0) for genre in genres_of(tracks) if counts.get(genre, 0) < len(SPLITS)}
    for genre in (genre for genre, count in few.items() if not count):
        bad = one_a_row(tracks).query("genre == @genre")
        first = by_reason(bad["track_id"], bad["fault"])[0]
        warn(f"The genre {genre} is left out, for none of its {len(bad)} tracks can be used. {first}")
    if scarce := [genre for genre, count in few.items() if count]:
        warn(
            f"Too few usable tracks: {listed(f'{genre} {few[genre]}' for genre in scarce)}. A split needs "
            f"{len(SPLITS)} or more of each genre, for {', '.join(SPLITS)}. Add tracks, or leave these genres out: "
            f'--set "exclude_genres={SEPARATOR.join(scarce)}"'
        )


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
    present = next(filter(holds_genres, candidates), None)
    folder = present or download.fetch(remote, home)
    tracks = from_folder(folder, params)
    if len(tracks) != remote.tracks:
        warn(
            f"{folder} holds {len(tracks)} tracks where {remote.name} has {remote.tracks}; "
            "what is there is used. Move the folder away to have the whole fetched.",
        )
    return tracks


def from_folder(folder: str | Path, params: Params) -> pd.DataFrame:
    """The catalog of a folder that holds one folder a genre, at the top or further down.

    Parameters
    ----------
    folder : str or Path
        For instance GTZAN's ``genres``, or a folder that holds it. See :func:`layout.read` for the rule.
    params : Params
        ``genre_level``, and how short is too short.

    Returns
    -------
    pd.DataFrame
        See :func:`load`. Audio files that lie in no genre's folder are in it, with that as their ``fault``. Folders
        that are the sides of a split give ``published_split``.

    Raises
    ------
    CatalogError
        If there are no two folders with audio side by side, or which are the genres is not certain.

    Warns
    -----
    UserWarning
        Of what is left out, and of how the folder is read where tracks lie deeper or it is split already.
    """
    folder = paths.given(folder)
    found = layout.read(folder, params.genre_level)
    if nameless := [genre for _, genre, _ in found.tracks if not in_order(genre)]:
        raise CatalogError(
            f"{found.root}: one of the genres of the folder {nameless[0]!r} is empty. Rename it: | separates."
        )
    for note in found.notes:
        warn(note)
    stray = "lies in no genre's folder. Move it into one, or leave it out."
    rows = [(file, in_order(genre), side, "") for file, genre, side in found.tracks]
    rows += [(file, "", "", stray) for file in found.strays]
    names = [Path(os.path.relpath(file, found.root)).as_posix() for file, *_ in rows]
    columns = ("track_id", "path", "genre", "published_split", "fault")
    tracks = table(
        (dict(zip(columns, (name, *row), strict=True)) for name, row in zip(names, rows, strict=True)), params
    )
    is_demo = (found.root / composition.LABEL).exists()  # its files are named alike
    if is_demo or not gtzan.is_gtzan(tracks[tracks["genre"] != ""]):
        return tracks
    known, own = gtzan.with_published_lists(tracks), tracks["published_split"]
    return known.assign(published_split=own) if own.any() else known


def from_csv(path: str | Path, params: Params) -> pd.DataFrame:
    """The catalog that a CSV describes.

    Parameters
    ----------
    path : str or Path
        With the columns ``path`` (absolute, or relative to the CSV) and ``genre``, and if known ``artist``,
        ``title``, ``published_split`` and ``track_id``; others are ignored. Several genres of a track are separated
        by ``|``; blanks around them, their order and repetitions do not matter. What else is read: docs/data.md.
    params : Params
        Says how short is too short.

    Returns
    -------
    pd.DataFrame
        See :func:`load`. A track without a genre is in it, with that as its ``fault``.

    Raises
    ------
    CatalogError
        If it cannot be parsed, lacks a column, leaves a path empty, names a file twice, or can be read in two ways.

    Warns
    -----
    UserWarning
        Of what is not written as above and how it is read, and of files that are not there.
    """
    rows, notes = tables.read(paths.given(path))
    for note in notes:
        warn(note)
    return table(rows, params)


def table(rows: Iterable[dict], params: Params) -> pd.DataFrame:
    """Fill in what the files' headers say: duration and fault.

    Parameters
    ----------
    rows : list of dict
        ``track_id``, ``path``, ``genre`` and, if known, ``artist``, ``title``, ``published_split``, and a ``fault``
        with which the file is not looked at.
    params : Params
        Says how short is too short.

    Returns
    -------
    pd.DataFrame
        See :func:`load`.
    """
    rows = list(rows)
    genres, notes = labels.unified(row["genre"] for row in rows)
    for note in notes:
        warn(note)
    checked = []
    for given, genre in zip(rows, genres, strict=True):
        row = {name: str(value).encode("utf-8", "backslashreplace").decode() for name, value in given.items()}
        seconds, fault = float("nan"), row.get("fault", "")
        try:
            if row["path"] != str(given["path"]) or "\r" in row["path"]:
                raise AudioError(row["path"], "has a name that no table holds: not UTF-8, or in two lines. Rename it.")
            if not fault:
                seconds = decoding.duration(row["path"])
                fault = "" if params.segments_in(seconds) else decoding.too_short(seconds, params)
        except AudioError as error:
            fault = error.reason
        blank = {"artist": "", "title": "", "published_split": ""}
        checked.append(blank | row | {"genre": genre, "fault": fault, "duration_seconds": seconds})
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


def holds_genres(folder: Path) -> bool:
    """Whether a folder can be read as a data set."""
    try:
        return bool(layout.read(folder).tracks)
    except CatalogError:
        return False
