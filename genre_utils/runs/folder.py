"""One folder a run: what the notebooks leave for each other and for the reader."""

import dataclasses
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from genre_utils import errors
from genre_utils.errors import ParamsError, RunError
from genre_utils.params import Params
from genre_utils.paths import RUNS, given
from genre_utils.system import disk
from genre_utils.system.progress import HEADLESS

pd.set_option("display.html.use_mathjax", False)  # a name between two $ is no formula

LATEST = "latest"  # points to the newest run
MOST_CHARACTERS = 100_000  # of a profile, which has two thousand; PyYAML reads so many in a second
LESSON = "lesson"  # the run folder of who steps through the notebooks by hand
WRITTEN = {  # by a notebook at the least
    "01_eda": ("duplicates.csv",),
    "02_feature_extraction": ("params.yml", "tracks.parquet"),
    "03_training": ("split.csv", "history.csv", "model.keras"),
    "04_evaluation": ("predictions.parquet", "metrics.json", "model", "explorer"),
    "05_honest_splits": ("protocols.csv",),
    "06_beyond_the_paper": ("ablation.csv", "ensemble.csv"),
}
PACKAGES = ("genre_utils", "tensorflow", "keras", "librosa", "numpy", "pandas", "scikit-learn")


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths and files of one run.

    Attributes
    ----------
    folder : Path
        Where they lie.

    References
    ----------
    Notebook: 02_feature_extraction, 03_training, 04_evaluation.
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", given(self.folder))

    @classmethod
    def open(cls, run_dir: str) -> "RunFolder":
        """The folder that a notebook's ``run_dir`` names.

        Parameters
        ----------
        run_dir : str
            A path, relative to the caller's folder (of a notebook by hand, its own); "" is ``runs/lesson``.

        Returns
        -------
        RunFolder
        """
        folder = followed(Path(run_dir).expanduser().absolute()) if run_dir else RUNS / LESSON
        with disk.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if os.environ.get(HEADLESS):  # by hand, a notebook may be run again, and shows its warnings again
            errors.RECORD[:] = [folder / "warnings.txt"]
        return cls(folder)

    @classmethod
    def existing(cls, path: str | Path) -> "RunFolder":
        """A run that is there already.

        Parameters
        ----------
        path : str or Path
            Its folder; also ``runs/latest`` where links are not allowed and it is a file with the folder's name.

        Returns
        -------
        RunFolder

        Raises
        ------
        RunError
            If there is no such folder.
        """
        path = given(path)
        folder = followed(path)
        if not folder.is_dir():
            found = "it is a file" if folder.exists() else "it does not exist"
            others = f"runs/{LATEST} is the newest" if followed(RUNS / LATEST).is_dir() else "make run makes the first"
            raise RunError(f"{folder} is no run folder: {found}. Name one that a run has left; {others}.")
        return cls(folder.resolve())

    @property
    def figures(self) -> Path:
        """Where the figures lie."""
        return self.folder / "figures"

    @property
    def params(self) -> Params:
        """The parameters so far.

        Raises
        ------
        RunError
            If no notebook has written them yet.
        ParamsError
            If somebody has edited them into something impossible, or into no YAML.
        """
        return Params.from_mapping(read_mapping(self.needs("params.yml")))

    def write_params(self, params: Params) -> Params:
        """Write ``params.yml``, and give the parameters back."""
        with disk.replacing(self.folder / "params.yml") as beside:
            beside.write_text(yaml.safe_dump(params.to_mapping(), sort_keys=False))
        return params

    def update_params(self, **changes: Any) -> Params:
        """Change some parameters, and write them.

        Parameters
        ----------
        **changes
            Names and values.

        Returns
        -------
        Params
        """
        return self.write_params(Params.from_mapping(self.params.to_mapping() | changes))

    def tracks(self) -> pd.DataFrame:
        """``tracks.parquet``: the catalog, with every fault that was found."""
        return pd.read_parquet(self.needs("tracks.parquet"))

    def duplicates(self) -> pd.DataFrame:
        """``duplicates.csv``: pairs of tracks with the same recording, of ``fingerprinting.duplicates``."""
        types = {"track_a": str, "track_b": str, "kind": str}
        return pd.read_csv(self.needs("duplicates.csv"), dtype=types, keep_default_na=False)

    def history(self) -> pd.DataFrame:
        """``history.csv``, one row an epoch."""
        return pd.read_csv(self.needs("history.csv"))

    def assignment(self) -> pd.DataFrame:
        """``split.csv``: ``track_id, segment, split``."""
        types = {"track_id": str, "segment": int, "split": str}
        return pd.read_csv(self.needs("split.csv"), dtype=types, keep_default_na=False)

    def predictions(self) -> pd.DataFrame:
        """``predictions.parquet``, one row a segment; its ``p_<genre>`` are the network's own, not calibrated."""
        return pd.read_parquet(self.needs("predictions.parquet"))

    def metrics(self) -> dict[str, Any]:
        """``metrics.json``."""
        return json.loads(self.needs("metrics.json").read_text())

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write ``metrics.json``."""
        with disk.replacing(self.folder / "metrics.json") as beside:
            beside.write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n")

    def write_table(self, name: str, table: pd.DataFrame, index: bool = False) -> None:
        """Write a table, so that it is there whole or not at all.

        Parameters
        ----------
        name : str
            Of the file, with .parquet or .csv.
        table : pd.DataFrame
            What it will hold.
        index : bool
            Whether with its index.

        Raises
        ------
        DiskError
            If it cannot be written.

        References
        ----------
        Notebook: 01_eda, 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper.
        """
        with disk.replacing(self.folder / name) as beside:
            table.to_parquet(beside, index=index) if beside.suffix == ".parquet" else table.to_csv(beside, index=index)

    def needs(self, *names: str) -> Path:
        """Ask at once for all files that earlier notebooks must have left.

        Parameters
        ----------
        *names : str
            Files of ``WRITTEN``.

        Returns
        -------
        Path
            Of the first one.

        Raises
        ------
        RunError
            If one is not there; the message names all that are missing, and the notebooks to run first.
        """
        missing = [name for name in names if not (self.folder / name).exists()]
        if missing:
            first = ", ".join(notebook for notebook, left in WRITTEN.items() if {*left} & {*missing})
            newest = self.folder.resolve() == followed(RUNS / LATEST).resolve()
            other = "" if newest else f'; or take what `make run` has left: run_dir = "{(RUNS / LATEST).as_posix()}"'
            raise RunError(f"{self.folder} lacks {', '.join(missing)}. Run {first} with the same run_dir first{other}.")
        return self.folder / names[0]


def followed(path: Path) -> Path:
    """A path; where links are not allowed, ``runs/latest`` is a file with the name of the folder beside it."""
    return path.with_name(path.read_text()) if path.name == LATEST and path.is_file() else path


def read_mapping(path: Path) -> dict[str, Any]:
    """Names and values of a file in YAML: a profile, or ``params.yml``.

    Parameters
    ----------
    path : Path
        Of lines ``name: value``.

    Returns
    -------
    dict

    Raises
    ------
    ParamsError
        If it cannot be read, is not valid YAML, or anything but a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ParamsError(f"{path} cannot be read as UTF-8 ({error}).") from error
    values = plain(text, f"{path} is not valid YAML")
    if not isinstance(values, dict):
        raise ParamsError(f"{path} must hold lines of the form name: value. Received: {values!r}.")
    return values


def plain(text: str, fault: str) -> Any:
    """A value written in YAML: text, numbers, lists and mappings, without references.

    Parameters
    ----------
    text : str
        YAML; somebody else may have written it.
    fault : str
        How the error's message begins.

    Returns
    -------
    Any

    Raises
    ------
    ParamsError
        If it is not valid, is longer than ``MOST_CHARACTERS``, or holds references: ten of ten of ten … are a bomb.
    """
    try:
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"longer than {MOST_CHARACTERS:,} characters")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, yaml.SafeLoader)):
            raise ValueError("references, *name, are not read: write the value out")
        value = yaml.safe_load(text)
        repr(value)  # what is too long for a message fails here, and not there
        return value
    except Exception as error:  # a number or a date that is none: whatever Python's own conversion raises
        raise ParamsError(f"{fault} ({error}).") from error


def versions() -> dict[str, str]:
    """What the result was made with: Python and the packages that decide figures."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def device(gpus: list[str]) -> str:
    """What the result was computed on.

    Parameters
    ----------
    gpus : list of str
        Names of the GPUs that the backend sees.

    Returns
    -------
    str
        The GPUs, or the processor's name and its number of cores.
    """
    if gpus:
        return ", ".join(gpus)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def machine(packages: Iterable[str], gpus: Iterable[str] = ()) -> dict[str, Any]:
    """What a measurement depends on: the header of every benchmark.

    Parameters
    ----------
    packages : iterable of str
        Those that are compared.
    gpus : iterable of str
        Names of the GPUs that the backend sees.

    Returns
    -------
    dict
        ``platform, device, cores, python`` and a version by package.
    """
    facts: dict[str, Any] = {"platform": f"{platform.system()} {platform.machine()}", "device": device(list(gpus))}
    facts |= {"cores": os.cpu_count(), "python": platform.python_version()}
    return facts | {name: importlib.metadata.version(name) for name in packages}
