"""Where things lie, whatever folder a notebook or a command was started in."""

import itertools
import os
from pathlib import Path

from genre_utils.errors import ParamsError

PROJECT = Path(__file__).resolve().parents[1]
CACHE = PROJECT / "data"  # what can be computed again: demo music, features, training states
RUNS = PROJECT / "runs"
NOTEBOOKS = PROJECT / "notebooks"
PROFILES = NOTEBOOKS / "profiles"


def given(path: str | os.PathLike[str]) -> Path:
    """A path that a caller names, as a text or a Path; an empty text, which would be the current folder, is refused."""
    if not os.fspath(path):
        raise ParamsError("A path must not be empty. Name a file or a folder; a dot is the current folder.")
    return Path(path)


def several(paths: object) -> list[Path]:
    """Paths that a caller names: a text or a Path is one, and not its letters."""
    return [given(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]  # type: ignore[attr-defined]


def profile_summary(profile: Path) -> str:
    """What a profile is and how long it takes: the comment at the top of its file."""
    lines = profile.read_text(encoding="utf-8").splitlines()
    return " ".join(line.removeprefix("# ") for line in itertools.takewhile(lambda line: line.startswith("#"), lines))
