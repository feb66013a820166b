"""The numbered notebooks, their parameters, and the profiles that set them."""

import ast
import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genre_utils.datasets import catalog
from genre_utils.errors import CatalogError, ParamsError
from genre_utils.params import as_type, unknown_name
from genre_utils.paths import NOTEBOOKS, PROFILES
from genre_utils.runs.folder import plain, read_mapping

PAPER = "1-4"  # the notebooks of the paper; later ones need all of them
# Keys of a profile that are for the runner, with their defaults.
RUNNER_KEYS: dict[str, Any] = {"silence_seconds": 1_800, "notebooks": PAPER}


def notebooks() -> list[Path]:
    """The numbered notebooks, in order."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def number_of(notebook: Path) -> int:
    """The number that a notebook's name begins with."""
    return int(notebook.name[:2])


def chosen(text: str) -> list[Path]:
    """The notebooks to run, with those of the paper that they build on before them.

    Parameters
    ----------
    text : str
        ``all``, or numbers and ranges such as ``1-4`` or ``2,5-6``.

    Returns
    -------
    list of Path
        In order.

    Raises
    ------
    ParamsError
        If the text has another form, or names a notebook that does not exist.
    """
    known = {number_of(path): path for path in notebooks()}
    if not re.fullmatch(r"all|\d\d?(-\d\d?)?(,\d\d?(-\d\d?)?)*", text):
        raise ParamsError(f"--notebooks must be all, or numbers such as {PAPER} or 2,5-6. Received: {text!r}.")
    ends = [] if text == "all" else [part.split("-") for part in text.split(",")]
    wanted = {number for pair in ends for number in range(int(pair[0]), int(pair[-1]) + 1)}
    wanted |= set(known) if text == "all" else set()
    if not wanted & set(known) or (text != PAPER and wanted - set(known)):
        raise ParamsError(f"--notebooks {text}: no such notebook. There are {', '.join(map(str, known))}.")
    before = range(1, min(max(wanted), 1 + int(PAPER[-1])))
    return [path for number, path in known.items() if number in {*wanted, *before}]


def parameters_of(notebook: Path) -> dict[str, Any]:
    """Names and defaults in the ``parameters`` cell of a notebook; a default's type is the parameter's type."""
    import papermill  # takes a second to import, and predict does not need it

    found = papermill.inspect_notebook(str(notebook))
    return {name: ast.literal_eval(facts["default"]) for name, facts in found.items()}


def read_profile(name: str) -> dict[str, Any]:
    """Read the names and values of a profile in ``notebooks/profiles``; ParamsError if there is none of that name."""
    if not PROFILES.is_dir():
        raise ParamsError(
            f"{PROFILES} does not exist: the notebooks are not installed with the package. Start this command in the "
            "project's folder, or run the notebooks one by one."
        )
    profiles = {path.stem: path for path in PROFILES.glob("*.yml")}
    if name not in profiles:
        raise ParamsError(unknown_name(name, profiles).replace("parameter", "profile"))
    return read_mapping(profiles[name])


def checked(values: Mapping[str, Any], settings: list[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a profile and ``--set``, and check names and types.

    Parameters
    ----------
    values : Mapping
        The profile.
    settings : list of str
        Texts of the form ``name=value``, which win over the profile.
    defaults : Mapping
        Every known name with a value of its type.

    Returns
    -------
    dict
        Names and values.

    Raises
    ------
    ParamsError
        If a name is unknown (the message gives the nearest) or a type is wrong; papermill would only warn.
    """
    merged = dict(values)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ParamsError(f"--set needs name=value. Received: {setting!r}.")
        is_text = isinstance(defaults.get(name), str)
        merged[name] = text if is_text else plain(text, f"--set {name}: {text!r} is not a value")
    for name, value in merged.items():
        if name not in defaults:
            raise ParamsError(unknown_name(str(name), defaults))
        merged[name] = as_type(name, value, type(defaults[name]))
    for name in {"dataset", "several_dataset"} & set(merged):  # kernels have another current folder
        with contextlib.suppress(CatalogError):  # raised again by catalog.load
            if merged[name] and (path := catalog.path_of(merged[name])) and path.exists():
                merged[name] = str(path)
    return merged


def defaults() -> dict[str, Any]:
    """Every name that a profile may set, with a value of its type."""
    return RUNNER_KEYS | {name: value for path in notebooks() for name, value in parameters_of(path).items()}
