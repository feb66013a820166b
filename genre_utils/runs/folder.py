"""The run folder: the files that notebooks write for each other and for the reader."""

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

pd.set_option("display.html.use_mathjax", False)  # a name between two $ is not a formula

LATEST = "latest"  # points to the newest run
MOST_CHARACTERS = 100_000  # of YAML; a profile has two thousand, and PyYAML reads this many in a second
LESSON = "lesson"  # the run folder for notebooks that are run by hand
WRITTEN = {  # files that each notebook writes at least
    "01_eda": ("duplicates.csv", "average_spectra.csv"),
    "02_feature_extraction": ("params.yml", "tracks.parquet"),
    "03_training": ("split.csv", "history.csv", "model.keras"),
    "04_evaluation": ("predictions.parquet", "metrics.json", "model", "explorer"),
    "05_honest_splits": ("protocols.csv", "protocol_predictions.parquet", "artist_curve.csv"),
    "06_beyond_the_paper": ("ablation.csv", "ensemble.csv", "several_predictions.parquet"),
    "07_transfer": ("transfer.csv", "learning_curve.csv"),
}
PACKAGES = ("genre_utils", "tensorflow", "keras", "librosa", "numpy", "pandas", "scikit-learn")


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The folder of one run, and its files.

    Attributes
    ----------
    folder : Path
        Its path.

    References
    ----------
    Notebook: 02_feature_extraction, 03_training, 04_evaluation.
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", given(self.folder))

    @classmethod
    def open(cls, run_dir: str) -> "RunFolder":
        """Open the run folder of a notebook, and create it if needed.

        Parameters
        ----------
        run_dir : str
            A path, relative to the current folder (for a notebook run by hand, its own); "" is ``runs/lesson``.

        Returns
        -------
        RunFolder
        """
        folder = followed(Path(run_dir).expanduser().absolute()) if run_dir else RUNS / LESSON
        with disk.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if os.environ.get(HEADLESS):  # a notebook that is run again by hand shows its warnings again
            errors.RECORD[:] = [folder / "warnings.txt"]
        return cls(folder)

    @classmethod
    def existing(cls, path: str | Path) -> "RunFolder":
        """Open the folder of a run that exists.

        Parameters
        ----------
        path : str or Path
            The folder, or ``runs/latest``, even if that is a file because links are not allowed.

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
            raise RunError(f"{folder} is not a run folder: {found}. Name the folder of a run; {others}.")
        return cls(folder.resolve())

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.folder / "figures"

    @property
    def params(self) -> Params:
        """The parameters in ``params.yml``.

        Raises
        ------
        RunError
            If no notebook has written them yet.
        ParamsError
            If the file is not valid YAML, or a value breaks a rule.
        """
        return Params.from_mapping(read_mapping(self.needs("params.yml")))

    def write_params(self, params: Params) -> Params:
        """Write ``params.yml``, and return the parameters."""
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
        """``tracks.parquet``: the catalog, with all faults found so far."""
        return pd.read_parquet(self.needs("tracks.parquet"))

    def duplicates(self) -> pd.DataFrame:
        """``duplicates.csv``: pairs of tracks with the same recording, from ``fingerprinting.duplicates``."""
        types = {"track_a": str, "track_b": str, "kind": str}
        return pd.read_csv(self.needs("duplicates.csv"), dtype=types, keep_default_na=False)

    def history(self) -> pd.DataFrame:
        """``history.csv``, one row per epoch."""
        return pd.read_csv(self.needs("history.csv"))

    def assignment(self) -> pd.DataFrame:
        """``split.csv``: ``track_id, segment, split``."""
        types = {"track_id": str, "segment": int, "split": str}
        return pd.read_csv(self.needs("split.csv"), dtype=types, keep_default_na=False)

    def predictions(self) -> pd.DataFrame:
        """``predictions.parquet``, one row per segment; its ``p_<genre>`` are not calibrated."""
        return pd.read_parquet(self.needs("predictions.parquet"))

    def metrics(self) -> dict[str, Any]:
        """``metrics.json``."""
        return json.loads(self.needs("metrics.json").read_text())

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write ``metrics.json``."""
        with disk.replacing(self.folder / "metrics.json") as beside:
            beside.write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n")

    def write_table(self, name: str, table: pd.DataFrame, index: bool = False) -> None:
        """Write a table, completely or not at all.

        Parameters
        ----------
        name : str
            Of the file, with the suffix .parquet or .csv.
        table : pd.DataFrame
            Its rows.
        index : bool
            Whether to write the index, too.

        Raises
        ------
        DiskError
            If it cannot be written.

        References
        ----------
        Notebook: 01_eda, 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper,
        07_transfer.
        """
        with disk.replacing(self.folder / name) as beside:
            table.to_parquet(beside, index=index) if beside.suffix == ".parquet" else table.to_csv(beside, index=index)

    def needs(self, *names: str) -> Path:
        """Check that files of earlier notebooks exist.

        Parameters
        ----------
        *names : str
            Files of ``WRITTEN``.

        Returns
        -------
        Path
            The first of them.

        Raises
        ------
        RunError
            If some are missing; the message names all of them, and the notebooks to run first.
        """
        missing = [name for name in names if not (self.folder / name).exists()]
        if missing:
            first = ", ".join(notebook for notebook, left in WRITTEN.items() if {*left} & {*missing})
            newest = self.folder.resolve() == followed(RUNS / LATEST).resolve()
            other = "" if newest else f'; or use the last `make run`: run_dir = "{(RUNS / LATEST).as_posix()}"'
            raise RunError(f"{self.folder} lacks {', '.join(missing)}. Run {first} with the same run_dir first{other}.")
        return self.folder / names[0]


def followed(path: Path) -> Path:
    """The path that ``runs/latest`` stands for, if it is a file with a name because links are not allowed."""
    return path.with_name(path.read_text()) if path.name == LATEST and path.is_file() else path


def read_mapping(path: Path) -> dict[str, Any]:
    """Read names and values from lines ``name: value``, YAML: a profile, or ``params.yml``; ParamsError if invalid."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ParamsError(f"{path} cannot be read as UTF-8 ({error}).") from error
    values = plain(text, f"{path} is not valid YAML")
    if not isinstance(values, dict):
        raise ParamsError(f"{path} must hold lines of the form name: value. Received: {values!r}.")
    return values


def plain(text: str, fault: str) -> Any:
    """Parse YAML: text, numbers, lists and mappings, without references.

    Parameters
    ----------
    text : str
        Untrusted YAML.
    fault : str
        The start of the error message.

    Returns
    -------
    Any

    Raises
    ------
    ParamsError
        If it is invalid, longer than ``MOST_CHARACTERS``, or has references, which could expand without limit.
    """
    try:
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"longer than {MOST_CHARACTERS:,} characters")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, yaml.SafeLoader)):
            raise ValueError("references, *name, are not allowed: write the value itself")
        value = yaml.safe_load(text)
        repr(value)  # fails here if it is too long for a message
        return value
    except Exception as error:  # for an invalid number or date, Python's conversions raise various errors
        raise ParamsError(f"{fault} ({error}).") from error


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def device(gpus: list[str]) -> str:
    """The device that results are computed on: the names of the GPUs, or the processor with its number of cores."""
    if gpus:
        return ", ".join(gpus)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def machine(packages: Iterable[str], gpus: Iterable[str] = ()) -> dict[str, Any]:
    """The machine, for the header of every benchmark.

    Parameters
    ----------
    packages : iterable of str
        Packages whose versions matter.
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
