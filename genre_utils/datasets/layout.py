"""Reading a folder of music: which of its folders are the genres, which the splits, and what else there is."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from genre_utils.audio import decoding
from genre_utils.datasets.spelling import key, letters, split_of
from genre_utils.datasets.tree import Below, below, is_audio
from genre_utils.errors import CatalogError, listed

# Well-known genres (GTZAN, Ballroom, FMA and other common ones), only their letters: where two levels of folders could
# be the genres, these names decide, or make the doubt.
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
    """The tracks in a folder of music, and how it was read."""

    root: Path  # the folder of the genre folders; track ids are paths relative to it
    tracks: list[tuple[Path, str, str]]  # file, name of its genre's folder, and its split or ""
    strays: list[Path]  # audio files outside the genre folders
    notes: list[str]  # warnings for the user


def read(folder: Path, level: int = 0) -> Layout:
    """Find the genres in a folder of music; every file with an audio suffix gets a place or a reason.

    Parameters
    ----------
    folder : Path
        Hidden files, and files without an audio suffix, are counted in the notes.
    level : int
        How many levels below ``folder`` the genre folders are. 0 finds the level: the first one with two or more
        folders that hold audio, at any depth. Folders of a split (train, test and the like) are not genres; they
        may lie above or below the genres.

    Returns
    -------
    Layout

    Raises
    ------
    CatalogError
        If no level has two folders with audio, or it is not certain which level holds the genres.
    """
    found = below(folder)
    files = [file for file in found.files if is_audio(file)]
    places = {file.relative_to(folder).parts[:-1] for file in files}
    split = None if level else split_level(places, folder)
    bare = {without(place, split) for place in places}
    place_of_genre = level - 1 if level else genre_level(bare, folder, split)
    if place_of_genre is None or len({key(place[place_of_genre]) for place in bare if len(place) > place_of_genre}) < 2:
        raise CatalogError(no_genres(folder, files, found, level))
    tracks, strays = [], []
    for file in files:
        place = file.relative_to(folder).parts[:-1]
        names = without(place, split)
        if len(names) <= place_of_genre:
            strays.append(file)
        elif split is not None and len(place) <= split:
            raise CatalogError(
                f"{folder} holds folders of a split, and {file.relative_to(folder)} has a genre but no split. "
                f"Move it into a split. {ways_out(folder, place_of_genre + 1)}"
            )
        else:
            tracks.append((file, names[place_of_genre], "" if split is None else split_of(place[split])))
    if len({name for _, _, name in tracks}) < 2:  # all tracks are in one split
        tracks = [(file, genre, "") for file, genre, _ in tracks]
    depth = place_of_genre if split is None else min(split, place_of_genre)
    root = Path(os.path.commonpath({folder.joinpath(*file.relative_to(folder).parts[:depth]) for file, _, _ in tracks}))
    above = place_of_genre + (split is not None and split <= place_of_genre)
    warnings = notes(folder, root, tracks, found, above)
    splits = {name for place in places for name in place if split_of(name)}
    if level and {"train", "test"} <= set(map(split_of, splits)):
        warnings.append(f"{listed(sorted(splits))} are not used as splits, because genre_level={level} is set.")
    return Layout(root, tracks, strays, warnings)


def without(place: tuple[str, ...], split: int | None) -> tuple[str, ...]:
    """The folders of a file without the one that names its split."""
    return place if split is None else place[:split] + place[split + 1 :]


def split_level(places: Iterable[tuple[str, ...]], folder: Path) -> int | None:
    """The level whose folders are the splits, if there is one."""
    for level in range(max(map(len, places), default=0)):
        names = sorted({place[level] for place in places if len(place) > level})
        splits = {split_of(name) for name in names}
        if len(splits) > 1 and "" not in splits:
            return level
        if {"train", "test"} <= splits:
            others = listed(name for name in names if not split_of(name))
            raise CatalogError(
                f"{folder} holds folders of a split ({listed(name for name in names if split_of(name))}), and beside "
                f"them {others}. Move away what does not belong to the split. {ways_out(folder, level + 1)}"
            )
    return None


def genre_level(places: set[tuple[str, ...]], folder: Path, split: int | None) -> int | None:
    """The first level with two or more folders that hold audio, or None; an error if it is not certain."""
    for level in range(max(map(len, places), default=0)):
        names = {place[level] for place in places if len(place) > level}
        if len({key(name) for name in names}) > 1:
            if reason := doubt(places, level):
                at = level + 1 + (split is not None and split <= level)
                raise CatalogError(f"{folder}: which folders are the genres? {reason} {ways_out(folder, at)}")
            return level
    return None


def doubt(places: set[tuple[str, ...]], level: int) -> str:
    """A reason why the folders of a level may not be the genres, or ""."""
    outer = sorted({place[level] for place in places if len(place) > level})
    direct = {place[level] for place in places if len(place) == level + 1}
    inner = Counter(name for name, _ in {(key(p[level + 1]), p[level]) for p in places if len(p) > level + 1})
    deeper = {letters(name) for place in places for name in place[level + 1 :]} & KNOWN
    known = [name for name in outer if letters(name) in KNOWN]
    if numbers := [name for name in outer if name.strip().isdigit()]:
        return f"{listed(numbers)} are numbers, which may be years or parts of a data set."
    if 2 * len(direct) < len(outer):
        if numbered(outer):
            return f"{listed(outer)} differ only in a number or a letter, and may be parts of a data set or artists."
        shared = [name for name, count in inner.items() if count > 1]
        decided = numbered(list(inner)) or (2 * len(known) >= len(outer) and not deeper)
        if len(shared) > 1 and 2 * len(shared) >= len(inner) and not decided:
            return f"The same names ({listed(sorted(shared))}) occur in several of the folders {listed(outer)}."
    if len(deeper) > 1 and not known and len(direct) < len(outer):
        return f"Below {listed(outer)} are folders with the names of genres: {listed(sorted(deeper))}."
    return ""


def numbered(names: list[str]) -> bool:
    """Whether names differ only in a number or in their last letter: set1 and set2, artist A and artist B."""
    forms = (
        {re.sub(r"\d+", "#", name) for name in names},
        {re.sub(r"(?:(?<=[\W\d_])|(?<=[a-z])(?=[A-Z]))\w$", "#", name) for name in names},
    )
    return len(names) > 1 and any(len(form) == 1 and "#" in min(form) for form in forms)


def ways_out(folder: Path, level: int) -> str:
    """What a user can do if the level of the genres is not certain."""
    return (
        f"Name the folder that holds the genre folders; or set how many levels below {folder} the genre folders are: "
        f"--set genre_level={level} for these, {level + 1} for those below; or list the tracks in a CSV with "
        "the columns path and genre."
    )


def no_genres(folder: Path, files: list[Path], found: Below, level: int) -> str:
    """The error message for a folder in which no genres are found."""
    others = [file for file in found.files if not is_audio(file)]
    names = listed(str(file.relative_to(folder)) for file in files)
    counts = f"{len(files)} files with an audio suffix" + (f" ({names})" if files else "")
    if others:
        counts += f", and {len(others)} others ({kinds(others)}); audio is {', '.join(sorted(decoding.SUFFIXES))}"
    if hidden := sum(map(is_audio, found.hidden)):
        counts += f"; {hidden} hidden audio files are left out"
    at = f"{level} levels down" if level else "at any depth"
    return (
        f"{folder} holds no folder of genre folders. Expected: {folder}/<genre>/<track>.wav for two or more genres, "
        f"{at}. Found: {counts}. Or list the tracks in a CSV with the columns path and genre."
    )


def kinds(files: list[Path]) -> str:
    """Number of files by suffix."""
    counts = Counter(file.suffix.lower() or "without a suffix" for file in files)
    return listed(f"{suffix} {count}" for suffix, count in counts.most_common())


def notes(folder: Path, root: Path, tracks: list[tuple[Path, str, str]], found: Below, above: int) -> list[str]:
    """What a user should know about how a folder was read; ``above`` is the number of folders above a genre's."""
    texts = []
    counts = Counter(genre for _, genre, _ in tracks)
    genre_counts = listed(f"{genre} {count}" for genre, count in sorted(counts.items()))
    deeper = [file for file, _, _ in tracks if len(file.relative_to(folder).parts) > above + 2]
    if deeper:
        texts.append(
            f"The genres are {len(counts)} folders below {root}: {genre_counts}. {len(deeper)} of these {len(tracks)} "
            f"tracks are in deeper folders, such as {deeper[0].relative_to(root)}, and get the genre of the folder "
            f"that they are in. If other folders are the genres, set how many levels down they are: "
            f"--set genre_level=… (these: {above + 1})"
        )
    if splits := Counter(split for _, _, split in tracks if split):
        texts.append(
            f"{folder} is already split: {listed(f'{split} {count}' for split, count in splits.items())} tracks. "
            "This split is kept: protocol=filtered. To ignore it, set how many levels down the genres are: "
            f"--set genre_level={above + 1}"
        )
    genres = {(*file.relative_to(folder).parts[:above], key(genre)) for file, genre, _ in tracks}
    beside = [path.relative_to(folder).parts for path in found.folders if path not in found.again]
    parents = {place[:-1] for place in genres}
    if empty := [p[-1] for p in beside if p[:-1] in parents and (*p[:-1], key(p[-1])) not in genres]:
        texts.append(f"{len(empty)} folders beside the genres hold no audio and are ignored: {listed(empty)}")
    if others := [file for file in found.files if not is_audio(file) and root in file.parent.parents]:
        texts.append(
            f"{len(others)} left out under {root}, without an audio suffix: {kinds(others)}; such as "
            f"{others[0].relative_to(root)}"
        )
    for what, paths in (
        (
            "hidden audio files, with a dot before a name",
            [file for file in found.hidden if is_audio(file)],
        ),
        ("folders that cannot be listed", [Path(error.filename) for error in found.closed]),
        ("links to folders that are already read", found.again),
    ):
        if paths:
            names = listed(str(path.relative_to(folder)) for path in paths)
            texts.append(f"{len(paths)} left out under {folder}, {what}: {names}")
    return texts
