"""The audio files that a table of predictions names: by their paths, or by ids below a folder."""

import os
from pathlib import Path

from genre_utils.datasets import tree
from genre_utils.errors import EvaluationError, by_reason

SEVERAL = "several files below the folder have this name"


def locate(paths: dict[str, str], base: Path, audio: Path | None) -> tuple[dict[str, str], list[str]]:
    """Find the audio file of each track.

    Parameters
    ----------
    paths : dict
        For each ``track_id`` the path as the table has it, or the id itself.
    base : Path
        Where relative paths start if no folder of audio is given.
    audio : Path, optional
        A folder. A path starts there; what is not there is looked for by its file name, by this name without its
        suffix, and, if the id is a number, by this number with zeros before it, at any depth.

    Returns
    -------
    found : dict
        For each ``track_id`` the absolute path, or "".
    notes : list of str
        How many were not found, and the first of them.

    Raises
    ------
    EvaluationError
        If the folder does not exist.
    """
    if audio is not None and not audio.is_dir():
        raise EvaluationError(f"{audio} is not a folder. Name the folder of the audio files.")
    start = Path(os.path.abspath(audio or base))  # noqa: PTH100  (resolve would follow links, and rename files)
    names = names_below(start) if audio is not None else {}
    found, missing = {}, dict[str, str]()
    for track, named in paths.items():
        whole = start / named
        if os.path.isfile(whole):  # noqa: PTH113  (Path's raises for names that the disk cannot have)
            found[track] = str(whole)
            continue
        name = Path(named).name
        files = next((names[key] for key in (name, Path(name).stem, number(name)) if key in names), [])
        found[track] = str(files[0]) if len(files) == 1 else ""
        if len(files) != 1:
            missing[track] = SEVERAL if files else "no such file"
    return found, about_missing(missing, len(paths), start, audio is not None)


def names_below(folder: Path) -> dict[str, list[Path]]:
    """The audio files below a folder by name, by name without suffix, and by number."""
    names: dict[str, list[Path]] = {}
    for file in filter(tree.is_audio, tree.below(folder).files):
        for key in {file.name, file.stem, number(file.name)}:
            names.setdefault(key, []).append(file)
    return names


def number(name: str) -> str:
    """A file name that is a number as FMA's 000002.mp3, without zeros before it; else the name."""
    stem = Path(name).stem
    return f"number {int(stem)}" if stem.isascii() and stem.isdigit() else name


def about_missing(missing: dict[str, str], count: int, start: Path, asked: bool) -> list[str]:
    """What was not found, in words."""
    if not missing:
        return []
    where = f"below {start}" if asked else f"from {start}; --audio FOLDER names another folder"
    if len(missing) == count and not asked:
        return [f"None of the {count:,} audio files was found {where}. Only listening needs them."]
    reasons = "; ".join(by_reason(missing, missing.values()))
    return [f"The audio of {len(missing):,} of {count:,} files was not found {where}: {reasons}."]
