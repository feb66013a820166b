"""Write and read a model folder: network, genres, parameters, calibration and checksums, all checked when read."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from genre_utils.errors import GenreUtilsError, RunError, warn
from genre_utils.evaluation.temperature_scaling import Calibration
from genre_utils.params import FEATURE_NAMES, Params
from genre_utils.paths import given
from genre_utils.runs.folder import LATEST, RunFolder, versions

FOLDER = "model"  # in a run's folder
NETWORK, PARAMS, FACTS, CARD = "model.keras", "params.yml", "model.json", "README.md"
DECISIVE = ("genre_utils", "keras", "tensorflow")  # versions that can change a prediction
NETWORKS = (".keras", ".h5", ".hdf5")  # files with a network and nothing else
DECIDING, SEAL = ("genres", "params", "trust"), "sha256_of_genres_params_trust"  # in FACTS, which has no checksum
BROKEN = (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError, yaml.YAMLError)  # of a broken file
ARTISTS = {"artist": " (artists apart)", "paper": " (artists in several splits)"}  # else the name says it, or nothing
MOST_BYTES = 2**20  # of a text file: one from an untrusted folder may be endless
# Parameters that change a prediction; max_segments does not, because files are always predicted whole.
FIXED = {*FEATURE_NAMES, "output"} - {"max_segments"}


class Model(NamedTuple):
    """The contents of a model folder."""

    network: Path  # its checksum is right
    genres: list[str]
    params: Params
    calibration: Calibration
    differs: str  # which versions differ from those installed here; "" if none
    about: str = ""  # what it was trained on and how good it is; "" if that is not known


def write(
    folder: str | Path,
    network: Path,
    genres: list[str],
    params: Params,
    calibration: Calibration,
    facts: dict[str, Any],
    card: str,
) -> None:
    """Write a model folder; an older one is replaced.

    Parameters
    ----------
    folder : str or Path
        The folder; it gets this name when it is complete.
    network : Path
        A .keras file; a link is created, or a copy if that is not possible.
    genres : list of str
        The classes, in the order of its outputs.
    params : Params
        The parameters of its training.
    calibration : Calibration
        As ``calibration.fit`` returns it.
    facts : dict
        More entries for ``model.json``.
    card : str
        The text of ``README.md``.

    References
    ----------
    Notebook: 04_evaluation, by ``model_card.publish``.
    """
    folder = given(folder)
    partial, former = (folder.with_name(f"{folder.name}.{state}") for state in ("partial", "former"))
    for left in (partial, former):
        shutil.rmtree(left, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        os.link(network, partial / NETWORK)
    except OSError:  # another file system, or a file system without links
        shutil.copyfile(network, partial / NETWORK)
    learned = calibration.write(partial)
    known = {"genres": genres, "params": params.to_mapping(), "trust": learned, "versions": versions()}
    known |= {SEAL: sealed(known)}
    checksums = {path.name: checksum(path) for path in sorted(partial.iterdir())}
    text = json.dumps(known | facts | {"sha256": checksums}, indent=2, allow_nan=False)
    (partial / FACTS).write_text(text + "\n", encoding="utf-8")
    (partial / PARAMS).write_text(yaml.safe_dump(params.to_mapping(), sort_keys=False), encoding="utf-8")
    (partial / CARD).write_text(card, encoding="utf-8")
    if folder.exists():
        folder.rename(former)
    partial.rename(folder)
    shutil.rmtree(former, ignore_errors=True)


def find(path: str | Path) -> Path:
    """Find the model folder of a path.

    Parameters
    ----------
    path : str or Path
        The folder itself, a run's folder (also ``runs/latest``), or ``model.keras`` in either.

    Raises
    ------
    RunError
        If there is no model folder, or it is older than the run's network, which was trained again.
    """
    path = given(path)
    folder = path.parent if path.name == NETWORK else path
    alone = path.name == NETWORK and path.is_file() and not any((folder / name).exists() for name in (FACTS, FOLDER))
    if alone or folder.suffix in NETWORKS or (folder.is_file() and folder.name != LATEST):
        raise RunError(
            f"{path}: a file with a network is not enough, because its genres and features are not known. Expected a "
            "model folder or a run folder. Models of other programs cannot be used; make run trains one."
        )
    run = RunFolder.existing(folder)
    if (run.folder / FACTS).is_file():
        return run.folder
    folder = run.needs(FOLDER)
    trained, kept = run.folder / NETWORK, folder / NETWORK
    both = trained.exists() and kept.exists()
    if both and not (trained.samefile(kept) or checksum(trained) == checksum(kept)):
        raise RunError(f"{trained} is newer than {folder}. Run the notebook 04_evaluation with the same run_dir again.")
    return folder


def read(folder: str | Path) -> Model:
    """Read a model folder, and check everything except the contents of the network.

    The checksums detect a file that was cut off or exchanged, but not if somebody changed the checksums as well.

    Parameters
    ----------
    folder : str or Path
        As :func:`write` has written it; it may come from an untrusted source.

    Raises
    ------
    RunError
        If a file is missing or broken, or the files do not belong together.

    Warns
    -----
    UserWarning
        If the model was made with other versions, or ``params.yml`` was changed in a way that has no effect.
    """
    folder = given(folder)
    try:
        facts = json.loads(short_text(folder / FACTS))
        genres, made_with, checksums = facts["genres"], facts["versions"], facts["sha256"]
        if not (isinstance(genres, list) and all(isinstance(genre, str) and genre for genre in genres)):
            raise ValueError(f"genres in {FACTS} must be a list of names")
        if len(set(genres)) != len(genres) or not genres:
            raise ValueError(f"genres in {FACTS} must be one name or more, all different")
        differs = ", ".join(
            f"{name} {made_with.get(name)!s:.40} (here {version})"
            for name, version in versions().items()
            if name in DECISIVE and made_with.get(name) != version
        )
        differs = differs and f"It was made with other versions: {differs}."
        trained_with = of_mapping(facts["params"], FACTS, differs)
        params = of_mapping(yaml.safe_load(short_text(folder / PARAMS)), PARAMS, differs)
        for name, expected in dict(checksums).items():
            file = folder / Path(name).name  # only the last part: a name must not point outside of the folder
            if not file.is_file():
                raise ValueError(f"{file.name} is missing")
            if checksum(file) != expected:
                raise ValueError(f"{file.name} was cut off, changed or exchanged: its checksum is wrong")
        if SEAL in facts and facts[SEAL] != sealed(facts):  # older folders have none
            raise ValueError(f"{', '.join(DECIDING)} in {FACTS} were changed: their checksum is wrong")
        if NETWORK not in checksums:
            raise ValueError(f"{FACTS} has no checksum of {NETWORK}")
        calibration = Calibration.read(folder, facts["trust"], trained_with.n_mels)
    except BROKEN as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise RunError(
            f"{folder} is not a complete model folder: {reason}. Copy it again, or run the notebook 04_evaluation."
        ) from error
    changed = {
        name: f"{name} {value!r} (trained with {getattr(trained_with, name)!r})"
        for name, value in params.to_mapping().items()
        if value != getattr(trained_with, name)
    }
    changes = ", ".join(changed.values())
    if changed.keys() & FIXED:
        raise RunError(
            f"{folder / PARAMS} does not fit the network: {changes}. Restore the values in {FACTS}, or train a network "
            "with these parameters."
        )
    if differs or changed:
        also = f"{PARAMS} was changed, without effect on predictions: {changes}." if changed else ""
        warn(f"{folder}: {differs} {also}".strip(), 3)
    return Model(folder / NETWORK, genres, params, calibration, differs, about(facts.get("metrics")))


def about(metrics: Any) -> str:
    """The sentence about a model from the metrics in ``model.json``, an untrusted file; "" if they are not known.

    Parameters
    ----------
    metrics : Any
        As ``model_card.facts_of`` returns them.
    """
    try:
        track, protocol = metrics["track"], str(metrics["protocol"])
        interval = "" if track["low"] is None else f" [{100 * track['low']:.1f}, {100 * track['high']:.1f}]"
        return (
            f"Data set {metrics['dataset']}, protocol {protocol}{ARTISTS.get(protocol, '')}: "
            f"{100 * track['accuracy']:.1f} % of {track['n']:,} test tracks right{interval}."
        )
    except (*BROKEN, OverflowError):
        return ""


def of_mapping(values: Any, name: str, differs: str) -> Params:
    """Parameters from an untrusted file, with plain values only: YAML's references could make an endless message."""
    if not isinstance(values, dict) or not all(
        isinstance(value, bool | int | float | str) for value in values.values()
    ):
        raise ValueError(f"{name} must hold lines of the form name: value")
    try:
        return Params.from_mapping(values)
    except GenreUtilsError as error:
        raise ValueError(f"{name}: {error} {differs}".rstrip()) from error


def short_text(path: Path) -> str:
    """The text of an untrusted file, which must not be too long."""
    if not path.is_file():
        raise ValueError(f"{path.name} is missing")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.name} is longer than {MOST_BYTES:,} bytes")
    return path.read_text(encoding="utf-8")


def sealed(facts: dict[str, Any]) -> str:
    """SHA-256 of the entries of ``model.json`` that predictions depend on, such as the order of the genres."""
    deciding = {name: facts[name] for name in DECIDING}
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
