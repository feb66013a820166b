"""The data of the explorer, computed from predictions and catalog of one run or two."""

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from genre_utils.datasets import labels
from genre_utils.datasets.catalog import DEMOS
from genre_utils.errors import EvaluationError
from genre_utils.evaluation import scoring, uncertainty
from genre_utils.explorer import facts, levels, track_notes
from genre_utils.explorer.media import Excerpt
from genre_utils.inference import model_folder
from genre_utils.params import Params
from genre_utils.runs import origins, report
from genre_utils.runs.folder import RunFolder

AUDIO_NOTICE = "This page contains audio from your data set. Share it only if the licence of the music allows it."
KEYS = ["track_id", "segment"]


@dataclasses.dataclass(frozen=True)
class Exploration:
    """The test results of one run or table, or of two on the same rows, ready for the explorer.

    Attributes
    ----------
    rows : pd.DataFrame
        The predictions of the test segments (of the first run, if there are two), as ``scoring.predict``
        returns them; segment ``i`` of the page is row ``i``.
    excerpts : list of media.Excerpt or None
        The sound of each card, in the order of the page; None where there is none.
    params : Params
        Parameters of the log-mels.
    facts : dict
        Everything that the page shows except sound and pictures; plain JSON.
    tested : tuple of levels.Tested
        The results of each run.
    said : tuple of str
        What a user of the command should know, such as files that were not found.

    References
    ----------
    Notebook: 04_evaluation.
    """

    rows: pd.DataFrame
    excerpts: list[Excerpt | None]
    params: Params
    facts: dict[str, Any]
    tested: tuple[levels.Tested, ...]
    said: tuple[str, ...] = ()


def of_run(run: RunFolder, against: RunFolder | None = None, doubts: pd.DataFrame | None = None) -> Exploration:
    """Read the results of a run folder, and of a second one to compare it with.

    Parameters
    ----------
    run : RunFolder
        With the files of the notebooks 01 to 04.
    against : RunFolder, optional
        Another run that was tested on some of the same segments.
    doubts : pd.DataFrame [columns=track_id, note], optional
        Doubted labels, as ``track_notes.read_doubts`` returns them.

    Raises
    ------
    RunError
        If a file is missing or comes from other data or another training, or the model folder is broken or older than
        the network; the message names the notebook that writes it. A run without a model folder is shown without
        calibration.
    EvaluationError
        If the two runs have no test segment in common, or different genres or labels.

    References
    ----------
    Notebook: 04_evaluation.
    """
    folders = [one for one in (run, against) if one is not None]
    for one in folders:
        one.needs("duplicates.csv", "params.yml", "tracks.parquet", "split.csv", "predictions.parquet", "metrics.json")
        origins.check_finished(one)
    tracks, assignment = run.tracks(), run.assignment()
    notes = [track_notes.of_tracks(tracks, assignment, run.duplicates())]
    if doubts is not None:
        notes.append(track_notes.of_doubts(doubts))
    runs = [(one.predictions(), one.metrics()) for one in folders]
    names = [one.folder.resolve().name for one in folders]
    if against is not None and against.params.segment_seconds != run.params.segment_seconds:
        raise EvaluationError(
            f"The runs {names[0]} and {names[1]} have segments of different length ({run.params.segment_seconds} and "
            f"{against.params.segment_seconds} s), which cannot be compared. Use the same segment_seconds for both."
        )
    calibrations = [temperatures(one) for one in folders]
    return build(runs, names, tracks, pd.concat(notes), run.params, calibrations, assignment)


def temperatures(run: RunFolder) -> levels.Temperatures:
    """The temperatures in a run's model folder; unknown if there is no model folder."""
    if not (run.folder / model_folder.FOLDER).is_dir():
        return levels.Temperatures()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about other versions, which do not change predictions that were made already
        calibration = model_folder.read(model_folder.find(run.folder)).calibration
    return levels.Temperatures(calibration.temperature, calibration.track_temperature, run.params.output)


def build(
    runs: list[tuple[pd.DataFrame, dict[str, Any]]],
    names: list[str],
    tracks: pd.DataFrame,
    notes: pd.DataFrame,
    params: Params,
    calibrations: Sequence[levels.Temperatures] = (levels.Temperatures(),) * 2,
    assignment: pd.DataFrame | None = None,
) -> Exploration:
    """Build the data of the explorer from tables.

    Parameters
    ----------
    runs : list of (pd.DataFrame, dict)
        One or two: predictions as ``scoring.predict`` returns them, and metrics as ``metrics.json`` has them.
    names : list of str
        Names of the runs.
    tracks : pd.DataFrame
        The catalog.
    notes : pd.DataFrame [columns=track_id, kind, text]
        As ``track_notes.of_tracks`` returns it.
    params : Params
        Parameters of the first run.
    calibrations : sequence of levels.Temperatures
        One per run; without a temperature, the probabilities stay as they are.
    assignment : pd.DataFrame [columns=track_id, segment, split], optional
        The split, for clips of training and validation to compare with.

    Raises
    ------
    EvaluationError
        If two runs have no test segment in common, or different genres or labels.
    """
    found = [table[table["split"] == "test"].sort_values(KEYS, ignore_index=True) for table, _ in runs]
    genres = scoring.genres_of(found[0])
    sizes = [len(table) for table in found]
    found = in_common(found, names) if len(found) == 2 else found
    several = labels.about_several(scoring.by_track(found[0]))
    found = [labels.one_truth(table) for table in found]
    found = [table.assign(end_seconds=table["start_seconds"] + params.segment_seconds) for table in found]
    tested = []
    for name, table, (_, metrics), known in zip(names, found, runs, calibrations[: len(runs)], strict=True):
        tables = {"segment": table, "track": scoring.by_track(table)}
        accuracy = {level: uncertainty.accuracy(rows, params.seed) for level, rows in tables.items()}
        named = metrics | accuracy | {"dataset": Path(metrics["dataset"]).name}  # a page has no path of this machine
        sentences = {level: report.sentence(named, level) for level in tables}
        tested.append(levels.Tested(name, tables, sentences, known))
    ids = tested[0].tables["track"]["track_id"]
    catalog = (tracks if "licence" in tracks else tracks.assign(licence="")).set_index("track_id", drop=False)
    shown = catalog.loc[ids].assign(genre=tested[0].tables["track"]["genre"].to_numpy(), split="test")
    if assignment is not None:
        others = assignment[~assignment["track_id"].isin(ids)].drop_duplicates("track_id").set_index("track_id")
        rest = catalog[catalog.index.isin(others.index)].rename_axis(None)
        rest = rest.assign(split=others["split"].rename_axis(None), card=rest["track_id"])
        shown = pd.concat([shown, facts.references(rest, genres)])
    shown = shown.assign(
        card=shown["track_id"],
        seconds=[params.segments_in(seconds) * params.segment_seconds for seconds in shown["duration_seconds"]],
    )
    title = " against ".join(f"{metrics['model']} on {Path(metrics['dataset']).name}" for _, metrics in runs)
    licensed = bool((shown["licence"] != "").any())
    said = notices([metrics for _, metrics in runs], names, sizes, len(found[0]), licensed) + [several] * bool(several)
    made = facts.assemble(tested, shown, notes, params, title, said)
    return Exploration(found[0], [Excerpt(path) for path in shown["path"]], params, made, tuple(tested))


def in_common(tested: list[pd.DataFrame], names: list[str]) -> list[pd.DataFrame]:
    """The segments that both runs tested, in the same order."""
    first, second = tested
    if scoring.genres_of(first) != scoring.genres_of(second):
        raise EvaluationError(
            f"The runs {names[0]} and {names[1]} have different genres ({', '.join(scoring.genres_of(first))}; "
            f"{', '.join(scoring.genres_of(second))}) and cannot be compared. Explore each run separately."
        )
    if labels.of_several(first["genre"]).any():
        raise EvaluationError(
            f"The runs {names[0]} and {names[1]} have tracks of several genres, which count for the most probable of "
            "their genres. It can differ between two networks, so they cannot be compared. Explore each run separately."
        )
    same = first[[*KEYS, "genre"]].merge(second[[*KEYS, "genre"]], on=KEYS, suffixes=("_a", "_b"))
    if same.empty:
        raise EvaluationError(
            f"The runs {names[0]} and {names[1]} have no test segment in common. Train them on the same data set with "
            "the same protocol, fold and seed."
        )
    differ = same[same["genre_a"] != same["genre_b"]]
    if len(differ):
        raise EvaluationError(
            f"{differ['track_id'].iloc[0]} is {differ['genre_a'].iloc[0]} in the run {names[0]} and "
            f"{differ['genre_b'].iloc[0]} in the run {names[1]}. Runs with different labels cannot be compared."
        )
    return [same[KEYS].merge(table, on=KEYS).sort_values(KEYS, ignore_index=True) for table in tested]


def notices(
    metrics: list[dict[str, Any]], names: list[str], sizes: list[int], kept: int, licensed: bool = False
) -> list[str]:
    """The notices at the top of the page; with known licences, the page lists them itself."""
    datasets = {one["dataset"] for one in metrics}
    texts = [report.DEMO_NOTICE] if datasets & set(DEMOS) else [] if licensed else [AUDIO_NOTICE]
    if "leaky" in {one["protocol"] for one in metrics}:
        texts.append(report.LEAKY_NOTICE)
    if len(metrics) == 2:
        others = [f"{size - kept} of {name}" for name, size in zip(names, sizes, strict=True) if size > kept]
        left_out = f"; left out: {' and '.join(others)}" if others else ""
        texts.append(f"Two runs, compared on the {kept} test segments that both have{left_out}.")
        texts.append(f"Notes such as 'artist in training' refer to the training of {names[0]}.")
    return texts
