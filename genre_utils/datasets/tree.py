"""What lies below a folder: all its files, wherever links lead, and none twice."""

import os
from pathlib import Path
from typing import NamedTuple

from genre_utils.audio import decoding


class Below(NamedTuple):
    """What lies below a folder, in order."""

    files: list[Path]
    folders: list[Path]
    hidden: list[Path]  # files whose own name or a folder's begins with a dot; not what macOS puts beside others
    again: list[Path]  # folders that were read already, or that hold the one that was named: links lead there
    closed: list[OSError]  # of folders that cannot be looked into


def below(top: Path) -> Below:
    """All files and folders below a folder: links are followed, no folder is entered twice.

    Parameters
    ----------
    top : Path
        A folder.

    Returns
    -------
    Below
    """
    found, seen, home = Below([], [], [], [], []), set(), os.path.realpath(top)
    for folder, folders, names in os.walk(top, followlinks=True, onerror=found.closed.append):
        here, real = Path(folder), os.path.realpath(folder)
        if real in seen or (here != top and Path(home).is_relative_to(real)):
            found.again.append(here)
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if name != "__MACOSX"]
        folders.sort(key=lambda name: (name.startswith("."), (here / name).is_symlink(), name))
        secret = any(part.startswith(".") for part in here.relative_to(top).parts)
        for name in sorted(names):
            if not name.startswith("._"):
                (found.hidden if secret or name.startswith(".") else found.files).append(here / name)
        found.folders.extend(here / name for name in folders if not (secret or name.startswith(".")))
    return found


def is_audio(path: Path) -> bool:
    """Whether the name says that it is one."""
    return path.suffix.lower() in decoding.SUFFIXES
