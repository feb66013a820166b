"""Checks before the first notebook of a run starts, so that it does not fail after hours of work."""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from genre_utils.datasets import catalog, contents, labels
from genre_utils.errors import ParamsError, SplitError
from genre_utils.evaluation import protocol_study
from genre_utils.features import plan, store
from genre_utils.models import pretrained
from genre_utils.params import MODELS, PRETRAINED, RECIPES, SOUND_NAMES, Params, of_recipe, unknown_name
from genre_utils.paths import CACHE
from genre_utils.splits import protocols
from genre_utils.system import disk

TRAINS, LEAVES, TRANSFER = 3, 6, 7  # first notebook that splits the tracks; beyond the paper; pretrained network
STATES = 10  # times the weights: two training states, each with Adam's moments and the best weights, and copies
MEDIA_BYTES = 150_000  # per track in the explorer: 30 s of Vorbis and the spectrogram
TOLD_BYTES = 1e9  # of features, from which their size is said before
ROOM_BYTES = 50_000_000  # executed notebooks, figures, tables


def check(values: Mapping[str, Any], numbers: set[int], runs: Path) -> dict[str, Any]:
    """Check a run's parameters, data set and disk space; download or synthesise the data set if needed.

    Parameters
    ----------
    values : Mapping
        Names and values of the notebooks' parameters.
    numbers : set of int
        Of the notebooks that will run.
    runs : Path
        Where the run folder will be.

    Returns
    -------
    dict
        Names and values that the data set decides: the protocol, if it is already split.

    Raises
    ------
    ParamsError
        If a value breaks a rule, a network is unknown, or softmax is set although tracks have several genres.
    CatalogError
        If a data set does not exist, cannot be read or has fewer than two genres.
    SplitError
        If the tracks cannot be split with the protocol.
    DiskError
        If there is not enough disk space.
    """
    names = {field.name for field in dataclasses.fields(Params)}
    output = values.get("output", labels.AUTO)
    undecided = {"output"} if output == labels.AUTO else set()
    for name, known in {"model": (*MODELS, PRETRAINED), "lesson_model": MODELS, "recipe": (*RECIPES,)}.items():
        if values.get(name, known[0]) not in known:
            raise ParamsError(unknown_name(values[name], known).replace("parameter", name))
    named = of_recipe(values["recipe"]) if "recipe" in values else {}
    params = Params.from_mapping(named | {name: value for name, value in values.items() if name in names - undecided})
    if params.model == PRETRAINED or TRANSFER in numbers:
        pretrained.weights()
    if params.model == PRETRAINED:
        pretrained.check(params)
    if "dataset" not in values:  # notebooks without data
        return {}
    tracks = catalog.load(params)
    print(contents.summary(tracks), file=sys.stderr)
    decided: dict[str, Any] = {}
    if (protocol := protocols.protocol_for(tracks, params.protocol)) != params.protocol:
        decided = {"protocol": protocol}
        params = dataclasses.replace(params, **decided)
    if numbers & set(range(TRAINS, 100)):
        labels.output_for(tracks, output)
        protocols.assign(tracks, params)
    if LEAVES in numbers:
        check_several(params, tracks, values["several_dataset"])
    versions = sum(bool(values.get(name)) for name in SOUND_NAMES) if LEAVES in numbers else 0
    heard = None
    if TRANSFER in numbers:
        heard = dataclasses.replace(params, **pretrained.FEATURES, max_segments=values["transfer_segments"])
    check_room(tracks, params, versions, runs, heard)
    return decided


def check_several(params: Params, tracks: pd.DataFrame, dataset: str) -> None:
    """Check the data set of tracks with several genres; the demo's is synthesised when it is needed."""
    several = catalog.of_several(params, tracks, dataset)
    if several.dataset in catalog.DEMOS:
        return
    try:
        protocol_study.strictest(catalog.load(several), several)
    except SplitError as error:
        raise SplitError(f"several_dataset={several.dataset}: {error}") from error


def check_room(tracks: pd.DataFrame, params: Params, versions: int, runs: Path, heard: Params | None = None) -> None:
    """Compare the size of what a run writes, also for a pretrained network's features, with the free disk space."""
    usable = contents.usable(tracks)
    features = plan.size_of(usable, params)
    there = (CACHE / "features" / store.fingerprint(tracks, params)).exists()
    pixels = params.image_height * params.image_width // 16**2 if params.model == "paper_cnn" else 1
    weights = 4 * (400_000 + 512 * 256 * pixels)  # float32; all but one layer is small
    needed = {CACHE: features * ((not there) + versions) + STATES * weights}
    needed[CACHE] += 2 * plan.size_of(usable, heard) if heard else 0  # embeddings are no larger than their log-mels
    written = 2 * weights + MEDIA_BYTES * round(params.test_fraction * len(usable)) + ROOM_BYTES
    nearest = next(folder for folder in (runs, *runs.parents) if folder.exists())
    same = CACHE.exists() and CACHE.stat().st_dev == nearest.stat().st_dev
    needed[nearest] = written + (needed[CACHE] if same else 0)
    for folder, size in needed.items():
        if folder.exists():
            disk.needs(folder, size)
    if not there and features > TOLD_BYTES:
        print(f"The log-mels of {len(usable):,} tracks will have {features / 1e9:.1f} GB.", file=sys.stderr)
