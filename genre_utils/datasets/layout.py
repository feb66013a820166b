"""Folders of music: which of them are the genres, which the sides of a split, and what lies beside them."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from genre_utils.audio import decoding
from genre_utils.datasets.labels import key, letters, side_of
from genre_utils.datasets.tree import Below, below, is_audio
from genre_utils.errors import CatalogError, listed

# Where the levels of a tree could be read in two ways, the level that holds these is the genres' or nothing is. The
# names of GTZAN, of the ballroom data, of FMA and what else is common, letters alone.
NAMES = (
    "blues classical country disco hiphop jazz metal pop reggae rock "
    "chachacha jive quickstep rumba samba tango viennesewaltz waltz salsa "
    "electronic experimental folk instrumental international easylistening oldtimehistoric soulrnb spoken "
    "alternative ambient bluegrass dance drumandbass dub dubstep edm electro funk gospel grunge hardcore hardrock "
    "heavymetal house indie kpop latin newage opera punk rap rb rnb rhythmandblues ska soul soundtrack "
    "soundtracks swing synthpop techno trance triphop world"
)
KNOWN = frozenset(NAMES.split())


class Layout(NamedTuple):
    """How a folder of music is read."""

    root: Path  # all genres are below it; the names of tracks begin there
    tracks: list[tuple[Path, str, str]]  # a file, its genre's folder, and its side of the split or ""
    strays: list[Path]  # audio in no genre's folder
    notes: list[str]  # what is to be told


def read(folder: Path, level: int = 0) -> Layout:
    """Find the genres in a folder of music; nothing that is audio by its suffix is left without a place or a reason.

    Parameters
    ----------
    folder : Path
        Files that are hidden, or no audio by their suffix, are counted in the notes.
    level : int
        The genres are the names of the folders so many levels below ``folder``, whatever they look like. 0 finds
        the level: the first with two or more folders that hold audio, at any depth. Sides of a split (train, test
        and the like) are no genres, above them or below.

    Returns
    -------
    Layout

    Raises
    ------
    CatalogError
        If there are no two folders with audio side by side, or it is not certain which level is the genres'.
    """
    found = below(folder)
    files = [file for file in found.files if is_audio(file)]
    places = Counter(file.relative_to(folder).parts[:-1] for file in files)
    split = None if level else split_level(places, folder)
    bare = Counter[tuple[str, ...]]()
    for place, count in places.items():
        bare[without(place, split)] += count
    place_of_genre = level - 1 if level else genre_level(bare, folder, split)
    if place_of_genre is None or len({key(place[place_of_genre]) for place in bare if len(place) > place_of_genre}) < 2:
        raise CatalogError(nothing(folder, files, found, level))
    tracks, strays = [], []
    for file in files:
        place = file.relative_to(folder).parts[:-1]
        names = without(place, split)
        if len(names) <= place_of_genre:
            strays.append(file)
        elif split is not None and len(place) <= split:
            raise CatalogError(
                f"{folder} holds the sides of a split, and {file.relative_to(folder)} is of a genre and on no side. "
                f"Move it to one. {ways_out(folder, place_of_genre + 1)}"
            )
        else:
            tracks.append((file, names[place_of_genre], "" if split is None else side_of(place[split])))
    if len({side for _, _, side in tracks}) < 2:  # of what has a genre, all is on one side
        tracks = [(file, genre, "") for file, genre, _ in tracks]
    depth = place_of_genre if split is None else min(split, place_of_genre)
    root = Path(os.path.commonpath({folder.joinpath(*file.relative_to(folder).parts[:depth]) for file, _, _ in tracks}))
    above = place_of_genre + (split is not None and split <= place_of_genre)
    said = notes(folder, root, tracks, found, above)
    sides = {name for place in places for name in place if side_of(name)}
    if level and {"train", "test"} <= set(map(side_of, sides)):
        said.append(
            f"{listed(sorted(sides))} are mixed, for genre_level={level} says that they are no sides of a split."
        )
    return Layout(root, tracks, strays, said)


def without(place: tuple[str, ...], split: int | None) -> tuple[str, ...]:
    """A place without the folder that says the side."""
    return place if split is None else place[:split] + place[split + 1 :]


def split_level(places: Iterable[tuple[str, ...]], folder: Path) -> int | None:
    """The level whose folders are the sides of a split, if there is one."""
    for level in range(max(map(len, places), default=0)):
        names = sorted({place[level] for place in places if len(place) > level})
        sides = {side_of(name) for name in names}
        if len(sides) > 1 and "" not in sides:
            return level
        if {"train", "test"} <= sides:
            others = listed(name for name in names if not side_of(name))
            raise CatalogError(
                f"{folder} holds the sides of a split ({listed(name for name in names if side_of(name))}) and beside "
                f"them {others}. Move what does not belong to the split away. {ways_out(folder, level + 1)}"
            )
    return None


def genre_level(places: Counter[tuple[str, ...]], folder: Path, split: int | None) -> int | None:
    """The first level with two or more folders that hold audio, or None; refused where it is not certain."""
    for level in range(max(map(len, places), default=0)):
        names = {place[level] for place in places if len(place) > level}
        if len({key(name) for name in names}) > 1:
            if doubt := doubts(places, level):
                at = level + 1 + (split is not None and split <= level)
                raise CatalogError(f"{folder}: which folders are the genres? {doubt} {ways_out(folder, at)}")
            return level
    return None


def doubts(places: Counter[tuple[str, ...]], level: int) -> str:
    """Why the folders of a level may not be the genres; "" if nothing says so."""
    outer = sorted({place[level] for place in places if len(place) > level})
    direct = {place[level] for place in places if len(place) == level + 1}
    inner = Counter(name for name, _ in {(key(p[level + 1]), p[level]) for p in places if len(p) > level + 1})
    deeper = {letters(name) for place in places for name in place[level + 1 :]} & KNOWN
    known = [name for name in outer if letters(name) in KNOWN]
    if numbers := [name for name in outer if name.strip().isdigit()]:
        return f"{listed(numbers)} are numbers, as years or parts of a data set are, and no genres."
    if 2 * len(direct) < len(outer):
        if numbered(outer):
            return f"{listed(outer)} differ in a number or a letter alone, as parts of a data set and artists do."
        shared = [name for name, count in inner.items() if count > 1]
        decided = numbered(list(inner)) or (2 * len(known) >= len(outer) and not deeper)
        if len(shared) > 1 and 2 * len(shared) >= len(inner) and not decided:
            return f"The same names ({listed(sorted(shared))}) stand in several of the folders {listed(outer)}."
    if len(deeper) > 1 and not known and len(direct) < len(outer):
        return f"Below {listed(outer)} lie folders with the names of genres: {listed(sorted(deeper))}."
    return ""


def numbered(names: list[str]) -> bool:
    """Whether names differ in a number, or in one letter at their end, alone: set1 and set2, artist A and artist B."""
    forms = (
        {re.sub(r"\d+", "#", name) for name in names},
        {re.sub(r"(?:(?<=[\W\d_])|(?<=[a-z])(?=[A-Z]))\w$", "#", name) for name in names},
    )
    return len(names) > 1 and any(len(form) == 1 and "#" in min(form) for form in forms)


def ways_out(folder: Path, level: int) -> str:
    """What a user can do where the level is not certain."""
    return (
        f"Name the one folder that holds the genre folders; or say how many levels below {folder} the genres' folders "
        f"are, whatever lies above them: --set genre_level={level} takes these, {level + 1} the next; or describe "
        "the tracks in a CSV with the columns path and genre."
    )


def nothing(folder: Path, files: list[Path], found: Below, level: int) -> str:
    """What is said of a folder in which no genres are found."""
    others = [file for file in found.files if not is_audio(file)]
    names = listed(str(file.relative_to(folder)) for file in files)
    said = f"{len(files)} files that are audio by their suffix" + (f" ({names})" if files else "")
    if others:
        said += f", and {len(others)} that are not ({kinds(others)}); known are {', '.join(sorted(decoding.SUFFIXES))}"
    if hidden := sum(map(is_audio, found.hidden)):
        said += f"; {hidden} hidden audio files are left out"
    at = f"{level} levels down" if level else "at any depth"
    return (
        f"{folder} holds no folder of genre folders. Expected: {folder}/<genre>/<track>.wav for two or more genres, "
        f"{at}. Found: {said}. Or describe the tracks in a CSV with the columns path and genre."
    )


def kinds(files: list[Path]) -> str:
    """How many files there are of which suffix."""
    counts = Counter(file.suffix.lower() or "without a suffix" for file in files)
    return listed(f"{suffix} {count}" for suffix, count in counts.most_common())


def notes(folder: Path, root: Path, tracks: list[tuple[Path, str, str]], found: Below, above: int) -> list[str]:
    """What a user should know of how a folder is read; ``above`` is how many folders lie above a genre's."""
    said = []
    counts = Counter(genre for _, genre, _ in tracks)
    told = listed(f"{genre} {count}" for genre, count in sorted(counts.items()))
    deeper = [file for file, _, _ in tracks if len(file.relative_to(folder).parts) > above + 2]
    if deeper:
        said.append(
            f"The genres are {len(counts)} folders below {root}: {told}. {len(deeper)} of these {len(tracks)} tracks "
            f"lie deeper, such as {deeper[0].relative_to(root)}, and are of the genre that they lie in. If other "
            f"folders are the genres, say how many levels down they are: --set genre_level=… (these: {above + 1})"
        )
    if sides := Counter(side for _, _, side in tracks if side):
        said.append(
            f"{folder} is split already: {listed(f'{side} {count}' for side, count in sides.items())} tracks. "
            "This split is kept: protocol=filtered. To mix them, say how many levels down the genres are: "
            f"--set genre_level={above + 1}"
        )
    genres = {(*file.relative_to(folder).parts[:above], key(genre)) for file, genre, _ in tracks}
    beside = [path.relative_to(folder).parts for path in found.folders if path not in found.again]
    parents = {place[:-1] for place in genres}
    if empty := [p[-1] for p in beside if p[:-1] in parents and (*p[:-1], key(p[-1])) not in genres]:
        said.append(f"{len(empty)} folders beside the genres hold no audio and are none: {listed(empty)}")
    if others := [file for file in found.files if not is_audio(file) and root in file.parent.parents]:
        said.append(
            f"{len(others)} left out under {root}, not audio by their suffix: {kinds(others)}; such as "
            f"{others[0].relative_to(root)}"
        )
    for what, paths in (
        ("audio files, hidden: a name begins with a dot", [file for file in found.hidden if is_audio(file)]),
        ("folders that cannot be looked into", [Path(error.filename) for error in found.closed]),
        ("links to folders that are read already", found.again),
    ):
        if paths:
            names = listed(str(path.relative_to(folder)) for path in paths)
            said.append(f"{len(paths)} left out under {folder}, {what}: {names}")
    return said
