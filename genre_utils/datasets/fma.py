"""The Free Music Archive (FMA): where its clips and its metadata are, and a row of the catalog for each clip."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from genre_utils.datasets.spelling import SEPARATOR, in_order, split_of
from genre_utils.datasets.tree import below, is_audio
from genre_utils.errors import CatalogError, listed

TABLE, GENRES = "tracks.csv", "genres.csv"
URL = "https://os.unil.cloud.switch.ch/fma/fma_metadata.zip"
SUBSETS = ("small", "medium", "large")  # each contains those before it, and the table names the first
FIELDS = {  # of the catalog, by the first two header lines of the table, which has 52 columns
    "genre": ("track", "genre_top"),
    "genres": ("track", "genres_all"),
    "artist": ("artist", "name"),
    "title": ("track", "title"),
    "licence": ("track", "license"),
    "split": ("set", "split"),
    "subset": ("set", "subset"),
}
NEEDED = ("genre", "genres")
INNER = ("", "fma_metadata", "fma_metadata/fma_metadata")  # the last is Kaggle's, and that of an unpacked download


class Place(NamedTuple):
    """Where a part of FMA is on disk."""

    clips: Path  # the folder of 000/000002.mp3
    table: Path  # tracks.csv; genres.csv is beside it
    beside: list[str]  # other folders where the clips' folder was found, which are not read


def find(path: Path) -> Place | None:
    """Find FMA's clips and metadata.

    Parameters
    ----------
    path : Path
        ``fma_small`` or any other folder of FMA's clips, the folder above, that of the metadata, or the table of
        tracks. The metadata are looked for in the folder of the clips, and in the two above it, each also in
        ``fma_metadata``.

    Returns
    -------
    Place or None
        None if there is nothing of FMA.

    Raises
    ------
    CatalogError
        If clips or metadata are missing, or there are several folders of clips.

    References
    ----------
    M. Defferrard, K. Benzi, P. Vandergheynst and X. Bresson, FMA: a dataset for music analysis, ISMIR 2017.
    """
    folder, named = (path.parent, path) if path.is_file() else (path, path / TABLE)
    found = clip_folders(folder)
    if not found and is_table(named):
        found = clip_folders(folder.parent) or clip_folders(folder.parent.parent)
        if not found:
            raise CatalogError(
                f"{named} is FMA's table, and its clips are missing. Expected beside {folder}: a folder such "
                "as fma_small with 000/000002.mp3 and so on. Name the folder that holds the clips and the metadata."
            )
    if not found:
        return None
    if len(found) > 1:
        raise CatalogError(
            f"{folder} holds several parts of FMA: {listed(path.name for path in found)}. Name one of these folders."
        )
    clips = found[0]
    places = [
        named,
        *(above / inner / TABLE for above in (clips, clips.parent, clips.parent.parent) for inner in INNER),
    ]
    if table := next(filter(is_table, places), None):
        beside = [] if clips == folder else sorted(path.name for path in clips.parent.iterdir() if path.is_dir())
        return Place(clips, table, [name for name in beside if not name.startswith(("fma_", "."))])
    others = [path for path in places if path.is_file()]
    but = f" {others[0]} is another table, without FMA's three header lines." if others else ""
    raise CatalogError(
        f"{clips} holds clips of FMA, and the metadata with their genres are missing.{but} Download {URL} (342 MiB), "
        f"and unpack it beside the clips: {clips.parent / INNER[1] / TABLE}, {GENRES} and others. If these "
        "clips are not FMA's, --set genre_level=1 takes the folders as genres."
    )


def clip_folders(folder: Path) -> list[Path]:
    """The folders with FMA's clips: this one, or else those in it that are named fma_small or alike."""
    if holds_clips(folder):
        return [folder]
    inner = [path for pattern in ("fma_*", "fma_*/fma_*") for path in sorted(folder.glob(pattern))]
    return [path for path in inner if holds_clips(path)]


def holds_clips(folder: Path) -> bool:
    """Whether a folder holds a clip such as 000/000002.mp3."""
    return any(number_of(path) is not None for path in folder.glob("[0-9][0-9][0-9]/*"))


def number_of(path: Path) -> int | None:
    """FMA's number of a track from the name of its clip; None if it has another form."""
    return int(path.stem) if re.fullmatch(r"\d{6}", path.stem, re.ASCII) and is_audio(path) else None


def is_table(path: Path) -> bool:
    """Whether a file has the three header lines of FMA's table of tracks."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            first, second, third = (file.readline(20_000) for _ in range(3))
    except (OSError, ValueError):
        return False
    return first.startswith(",") and second.startswith(",") and third.startswith("track_id,")


def read(place: Place, all_genres: bool = False) -> tuple[list[dict[str, Any]], list[str]]:
    """The tracks of a part of FMA: its clips on disk, and the missing ones of the subset that it is.

    Parameters
    ----------
    place : Place
        As :func:`find` returns it.
    all_genres : bool
        Every genre of a track by name, sub-genres too, instead of its one top-level genre.

    Returns
    -------
    rows : list of dict
        For ``catalog.table``; a clip that has no genre or no row in the table has a ``fault``.
    notes : list of str
        Warnings for the user.

    Raises
    ------
    CatalogError
        If a table cannot be read, lacks a column, has a track twice, or names an unknown genre.

    References
    ----------
    M. Defferrard, K. Benzi, P. Vandergheynst and X. Bresson, FMA: a dataset for music analysis, ISMIR 2017.
    """
    known = table_of(place.table)
    names = names_of(place.table.with_name(GENRES)) if all_genres else {}
    files = [path for path in below(place.clips).files if is_audio(path)]
    numbers = [number_of(path) for path in files]
    there = known.index.intersection([number for number in numbers if number is not None])
    sizes = known["subset"].map({name: size for size, name in enumerate(SUBSETS)})
    largest = sizes.reindex(there).max()  # the subset that these files are of; NaN if the table does not say
    missing = known.index[sizes <= largest].difference(there)
    paths = [*files, *(place.clips / f"{number // 1_000:03}" / f"{number:06}.mp3" for number in missing)]
    rows = []
    records = known.to_dict("index")
    for path, number in zip(paths, [*numbers, *missing], strict=True):
        row: dict[str, Any] = {"track_id": path.relative_to(place.clips).as_posix(), "path": path, "genre": ""}
        track = records.get(number)
        if track is None:
            rows.append(row | {"fault": f"is not in FMA's table {place.table}. Move it away, or leave it out."})
            continue
        row |= {name: track[name] for name in ("artist", "title", "licence")}
        row["published_split"] = split_of(track["split"])
        genres = track["genre"]
        if all_genres:
            genres = SEPARATOR.join(name_of(one, names, place) for one in re.findall(r"\d+", track["genres"]))
        row["genre"] = in_order(genres)
        if not row["genre"]:
            ways = "Leave it out" + ("." if all_genres else ", or use all its genres: --set all_genres=true")
            row["fault"] = f"has no {'genre' if all_genres else 'single top-level genre'} in FMA's table. {ways}"
        rows.append(row)
    notes = [f"Only {place.clips} is read, not the folders beside it: {listed(place.beside)}."] if place.beside else []
    if len(missing):
        notes.append(
            f"{place.clips}: {len(missing)} of the {(sizes <= largest).sum()} files of FMA's subset "
            f"{SUBSETS[int(largest)]} do not exist. The first: {paths[len(files)]}"
        )
    return rows, notes


def name_of(genre_id: str, names: dict[str, str], place: Place) -> str:
    """The name of a genre."""
    if genre_id not in names:
        raise CatalogError(f"{place.table} has the genre {genre_id}, and {place.table.with_name(GENRES)} does not.")
    return names[genre_id]


def table_of(path: Path) -> pd.DataFrame:
    """FMA's table of tracks: texts by track number, in the columns of ``FIELDS``; unknown ones are ""."""
    try:
        heads = pd.read_csv(path, header=None, nrows=2, dtype=str, keep_default_na=False)
        columns = {(heads[place][0], heads[place][1]): place for place in heads}
        places = {columns[field]: name for name, field in FIELDS.items() if field in columns}
        table = pd.read_csv(
            path, header=None, skiprows=3, usecols=[0, *places], index_col=0, dtype=str, keep_default_na=False
        ).rename(columns=places)
        table.index = table.index.astype(int)
    except (OSError, ValueError) as error:  # pandas' own are ValueErrors
        raise CatalogError(f"{path} cannot be read as FMA's table ({error}). Unpack it again from {URL}.") from error
    if lacking := [", ".join(FIELDS[name]) for name in NEEDED if name not in table]:
        raise CatalogError(f"{path} lacks FMA's column ({lacking[0]}). Unpack it again from {URL}.")
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()][0]
        raise CatalogError(f"{path} has the track {twice} twice. Unpack it again from {URL}.")
    return table.reindex(columns=[*FIELDS], fill_value="")


def names_of(path: Path) -> dict[str, str]:
    """The name of each genre, by its number, from FMA's ``genres.csv``."""
    try:
        table = pd.read_csv(path, usecols=["genre_id", "title"], dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise CatalogError(f"{path} cannot be read ({error}). Unpack it again from {URL}.") from error
    return dict(zip(table["genre_id"], table["title"], strict=True))
