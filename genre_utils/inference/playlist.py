"""Write predicted files as M3U8 playlists, grouped by genre."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from genre_utils.errors import RunError
from genre_utils.evaluation.temperature_scaling import NOT_SURE, UNLIKE
from genre_utils.inference.prediction import printable
from genre_utils.paths import given

SUFFIX = ".m3u8"


class Item(NamedTuple):
    """A predicted file in a playlist."""

    path: str
    group: str  # the genre, or the verdict if it is not sure
    seconds: int  # of its segments


def targets(path: str, genres: list[str]) -> dict[str, Path]:
    """Where the playlist of each group goes, and check that nothing is there yet.

    Parameters
    ----------
    path : str
        A playlist for all groups; or a folder, or a path that ends with a slash: one playlist for each group in it.
    genres : list of str
        The genres; the verdicts *not sure* and *unlike anything in training* are groups, too.

    Returns
    -------
    dict
        The playlist of each group, in the order of the groups.

    Raises
    ------
    RunError
        If a playlist exists already, or its folder does not.
    """
    groups = [*genres, NOT_SURE, UNLIKE]
    whole = given(path)
    if not (whole.is_dir() or path.endswith(("/", os.sep))):
        if not whole.parent.is_dir():
            raise RunError(f"{whole}: there is no folder {whole.parent}. Create it, or write the playlist elsewhere.")
        found = dict.fromkeys(groups, whole)
    else:
        found, taken = {}, set[str]()
        for group in groups:
            name = re.sub(r"[^\w .&+'()-]", "_", group).strip(". ") or "_"  # a genre must not lead to another folder
            while name.casefold() in taken:
                name += "_"
            taken.add(name.casefold())
            found[group] = whole / f"{name}{SUFFIX}"
    for target in found.values():
        if os.path.lexists(target):
            raise RunError(f"{target} exists already and is not overwritten. Choose another name, or remove the file.")
    return found


def write(items: Iterable[Item], targets: dict[str, Path]) -> list[Path]:
    """Write the playlists; a group without files gets none.

    Parameters
    ----------
    items : iterable of Item
        The predicted files.
    targets : dict
        As :func:`targets` returns it.

    Returns
    -------
    list of Path
        The playlists.

    Raises
    ------
    RunError
        If a playlist cannot be written.
    """
    by_group: dict[str, list[Item]] = {group: [] for group in targets}
    for item in items:
        by_group[item.group].append(item)
    texts = dict.fromkeys(targets.values(), "")
    for group, members in by_group.items():
        target = targets[group]
        entries = "".join(entry(item, target.absolute().parent) for item in members)
        texts[target] += f"#EXTGRP:{printable(group)}\n{entries}" if members else ""
    written = [target for target, text in texts.items() if text]
    for target in written:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("x", encoding="utf-8", newline="\n") as file:
                file.write(f"#EXTM3U\n{texts[target]}")
        except OSError as error:
            raise RunError(f"The playlist {target} cannot be written ({error.strerror}).") from error
    return written


def entry(item: Item, folder: Path) -> str:
    """The two lines of a file: length and title, and its path, relative if it lies below the playlist's folder."""
    path = Path(os.path.abspath(item.path))  # noqa: PTH100  (links stay as the user named them)
    line = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    if not line.isprintable() or line != line.strip():  # a line break, or bytes that are not UTF-8
        line = path.as_uri()
    line = f"./{line}" if line.startswith("#") else line  # else it would be a comment
    return f"#EXTINF:{item.seconds},{printable(path.stem)}\n{line}\n"
