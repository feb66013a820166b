"""All files and folders below a folder: links are followed, and nothing is read twice."""

import os
from pathlib import Path
from typing import NamedTuple

from genre_utils.audio import decoding


class Below(NamedTuple):
    """The content of a folder, at any depth, in sorted order."""

    files: list[Path]
    folders: list[Path]
    hidden: list[Path]  # files whose own name, or that of a folder, begins with a dot, but not macOS' ._*
    again: list[Path]  # folders that links lead to and that are read already, or lie above the top
    closed: list[OSError]  # one for each folder that cannot be listed


def below(top: Path, seen: set[str] | None = None) -> Below:
    """All files and folders below a folder: links are followed, no folder is entered twice.

    Parameters
    ----------
    top : Path
        A folder.
    seen : set of str, optional
        Real paths of folders to skip because they are read already; grows. Pass one set to several calls, so that
        none of them enters a folder of another one.

    Returns
    -------
    Below
    """
    found, home = Below([], [], [], [], []), os.path.realpath(top)
    seen = set() if seen is None else seen
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
    """Whether a file has an audio suffix."""
    return path.suffix.lower() in decoding.SUFFIXES
