"""The project's folders, independent of the current folder; without the project, the current folder."""

import itertools
import os
from pathlib import Path

from genre_utils.errors import ParamsError

CLONE = Path(__file__).resolve().parents[1]
INSTALLED = CLONE.name in ("site-packages", "dist-packages")  # by pip, without the project around it, as in Colab
PROJECT = Path.cwd() if INSTALLED else CLONE  # data and runs do not belong among Python's packages
CACHE = PROJECT / "data"  # all of it can be computed again: demo music, features, training states
RUNS = PROJECT / "runs"
NOTEBOOKS = PROJECT / "notebooks"
PROFILES = NOTEBOOKS / "profiles"


def given(path: str | os.PathLike[str]) -> Path:
    """A caller's path, a text or a Path; an empty text, which would mean the current folder, is an error."""
    if not os.fspath(path):
        raise ParamsError("A path must not be empty. Name a file or a folder; the current folder is a dot.")
    return Path(path)


def several(paths: object) -> list[Path]:
    """A caller's paths: one text or Path, or an iterable of them."""
    return [given(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]  # type: ignore[attr-defined]


def profile_summary(profile: Path) -> str:
    """What a profile does and how long it takes: the comment at the top of its file."""
    lines = profile.read_text(encoding="utf-8").splitlines()
    return " ".join(line.removeprefix("# ") for line in itertools.takewhile(lambda line: line.startswith("#"), lines))
