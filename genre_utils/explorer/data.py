"""What the explorer shows, as one data object: pure functions from predictions and catalog."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from genre_utils.datasets import labels
from genre_utils.datasets.catalog import DEMOS
from genre_utils.errors import EvaluationError
from genre_utils.evaluation import scoring, uncertainty
from genre_utils.explorer import faults, levels
from genre_utils.features import spectrogram
from genre_utils.figures.eda import FREQUENCY_TICKS_HZ
from genre_utils.inference import model_folder
from genre_utils.params import Params
from genre_utils.runs import origins, report
from genre_utils.runs.folder import RunFolder

AUDIO_NOTICE = "This page carries audio of your data set. Share it only if its licence lets you."
KEYS = ["track_id", "segment"]


@dataclasses.dataclass(frozen=True)
class Exploration:
    """One run's test, or two runs' test on the same segments, ready to be looked at.

    Attributes
    ----------
    rows : pd.DataFrame
        The predictions of the test segments (of the first run, if there are two), as ``scoring.predict``
        returns them; what the page calls segment ``i`` is row ``i``.
    paths : list of str
        The audio file of each track, in the page's order.
    params : Params
        Of the (first) run.
    facts : dict
        All that the page shows besides sound and pictures; plain JSON.

    References
    ----------
    Notebook: 04_evaluation.
    """

    rows: pd.DataFrame
    paths: list[str]
    params: Params
    facts: dict[str, Any]


def of_run(run: RunFolder, against: RunFolder | None = None) -> Exploration:
    """What a run folder holds, and if wanted a second one's beside it.

    Parameters
    ----------
    run : RunFolder
        With the files of the notebooks 01 to 04.
    against : RunFolder, optional
        Another run, tested on some of the same segments.

    Returns
    -------
    Exploration

    Raises
    ------
    RunError
        If a file is missing or of other data or another training than the rest, or the model folder broken or older
        than the network; the message names the notebook that writes it. A run without a model folder is shown, as not
        calibrated.
    EvaluationError
        If the two runs have no tested segment in common, or different genres or labels.

    References
    ----------
    Notebook: 04_evaluation.
    """
    for one in filter(None, (run, against)):
        one.needs("duplicates.csv", "params.yml", "tracks.parquet", "split.csv", "predictions.parquet", "metrics.json")
        origins.check_finished(one)
    about = faults.of_tracks(run.tracks(), run.assignment(), run.duplicates())
    folders = [one for one in (run, against) if one is not None]
    runs = [(one.predictions(), one.metrics()) for one in folders]
    names = [one.folder.resolve().name for one in folders]
    if against is not None and against.params.segment_seconds != run.params.segment_seconds:
        raise EvaluationError(
            f"The runs {names[0]} and {names[1]} cut tracks differently ({run.params.segment_seconds} and "
            f"{against.params.segment_seconds} s a segment): their segments cannot be compared."
        )
    return build(runs, names, run.tracks(), about, run.params, [temperatures(one) for one in folders])


def temperatures(run: RunFolder) -> levels.Temperatures:
    """What a run's model folder calibrates by; nothing if it has none."""
    if not (run.folder / model_folder.FOLDER).is_dir():
        return levels.Temperatures()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other versions: they decide what a network answers, not what it answered
        calibration = model_folder.read(model_folder.find(run.folder)).calibration
    return levels.Temperatures(calibration.temperature, calibration.track_temperature, run.params.output)


def build(
    runs: list[tuple[pd.DataFrame, dict[str, Any]]],
    names: list[str],
    tracks: pd.DataFrame,
    about: pd.DataFrame,
    params: Params,
    calibrations: Sequence[levels.Temperatures] = (levels.Temperatures(),) * 2,
) -> Exploration:
    """The data object from tables.

    Parameters
    ----------
    runs : list of (pd.DataFrame, dict)
        One or two: predictions as ``scoring.predict`` returns them, and metrics as ``metrics.json`` has them.
    names : list of str
        Of the runs.
    tracks : pd.DataFrame
        The catalog.
    about : pd.DataFrame [columns=track_id, kind, text]
        As ``faults.of_tracks`` returns it.
    params : Params
        Of the first run.
    calibrations : sequence of levels.Temperatures
        One a run; where nothing is known, its probabilities stay as the network gave them.

    Returns
    -------
    Exploration

    Raises
    ------
    EvaluationError
        If two runs have no tested segment in common, or different genres or labels.
    """
    tested = [table[table["split"] == "test"].sort_values(KEYS, ignore_index=True) for table, _ in runs]
    genres = scoring.genres_of(tested[0])
    sizes = [len(table) for table in tested]
    tested = in_common(tested, names) if len(tested) == 2 else tested
    several = labels.about_several(scoring.by_track(tested[0]))
    tested = [labels.one_truth(table) for table in tested]
    rows = tested[0]
    by_track = [scoring.by_track(table) for table in tested]
    ids = by_track[0]["track_id"]
    catalog = tracks.set_index("track_id").loc[ids].assign(genre=by_track[0]["genre"].to_numpy())
    badges = about.groupby("track_id")[["kind", "text"]].apply(lambda table: table.to_dict("records"))
    place = {genre: index for index, genre in enumerate(genres)}
    similar = scoring.by_similarity(scoring.confusion(rows)).index
    facts = {
        "title": " against ".join(f"{metrics['model']} on {metrics['dataset']}" for _, metrics in runs),
        "notices": notices([metrics for _, metrics in runs], names, sizes, len(rows)) + [several] * bool(several),
        "genres": genres,
        "similarity": [place[genre] for genre in similar],
        "segment_seconds": params.segment_seconds,
        "scale": scale(params),
        "tracks": [
            {
                "id": row.Index,
                "genre": place[row.genre],
                "artist": row.artist,
                "title": row.title,
                "seconds": params.segments_in(row.duration_seconds) * params.segment_seconds,
                "badges": badges.get(row.Index, []),
            }
            for row in catalog.itertuples()
        ],
        "segments": {"track": pd.Index(ids).get_indexer(rows["track_id"]).tolist(), "number": rows["segment"].tolist()},
        "runs": [
            {"name": name} | levels.of_run(segments, whole, facts, params.seed, known)
            for name, segments, whole, (_, facts), known in zip(
                names, tested, by_track, runs, calibrations[: len(runs)], strict=True
            )
        ],
        "paired": paired(tested, by_track, params.seed) if len(runs) == 2 else None,
    }
    return Exploration(rows, catalog["path"].tolist(), params, facts)


def in_common(tested: list[pd.DataFrame], names: list[str]) -> list[pd.DataFrame]:
    """The segments that both runs tested, in one order."""
    first, second = tested
    if scoring.genres_of(first) != scoring.genres_of(second):
        raise EvaluationError(f"The runs {names[0]} and {names[1]} have different genres: they cannot be compared.")
    if labels.of_several(first["genre"]).any():
        raise EvaluationError(
            f"The runs {names[0]} and {names[1]} have tracks of several genres, each of which stands for the one that "
            "a network finds likeliest: they cannot be set side by side. Explore them one by one."
        )
    same = first[[*KEYS, "genre"]].merge(second[[*KEYS, "genre"]], on=KEYS, suffixes=("_a", "_b"))
    if same.empty:
        raise EvaluationError(
            f"The runs {names[0]} and {names[1]} tested no segment in common. Train them on one data set with the "
            "same protocol, fold and seed."
        )
    differ = same[same["genre_a"] != same["genre_b"]]
    if len(differ):
        raise EvaluationError(
            f"{differ['track_id'].iloc[0]} is {differ['genre_a'].iloc[0]} in the run {names[0]} and "
            f"{differ['genre_b'].iloc[0]} in the run {names[1]}: with other labels they cannot be compared."
        )
    return [same[KEYS].merge(table, on=KEYS).sort_values(KEYS, ignore_index=True) for table in tested]


def notices(metrics: list[dict[str, Any]], names: list[str], sizes: list[int], kept: int) -> list[str]:
    """What must be read before the figures."""
    datasets = {one["dataset"] for one in metrics}
    texts = [report.DEMO_NOTICE if datasets & set(DEMOS) else AUDIO_NOTICE]
    if "leaky" in {one["protocol"] for one in metrics}:
        texts.append(report.LEAKY_NOTICE)
    if len(metrics) == 2:
        others = [f"{size - kept} of {name}" for name, size in zip(names, sizes, strict=True) if size > kept]
        left_out = f"; left out: {' and '.join(others)}" if others else ""
        texts.append(f"Two runs on the {kept} test segments that both tested{left_out}.")
        texts.append(f"What is said of a track and training is of the training of {names[0]}.")
    return texts


def paired(segments: list[pd.DataFrame], tracks: list[pd.DataFrame], seed: int) -> dict[str, Any]:
    """The second run's accuracy less the first's, at both levels, and McNemar's test of the tracks."""
    return {
        "segment": uncertainty.difference(segments[0], segments[1], seed),
        "track": uncertainty.difference(tracks[0], tracks[1], seed),
        "mcnemar": uncertainty.mcnemar(tracks[0], tracks[1]),
    }


def scale(params: Params) -> dict[str, Any]:
    """Axes of the spectrogram pictures: where some frequencies lie (0 bottom, 1 top), and the range in dB."""
    centres_hz = spectrogram.mel_edges_hz(params)[1:-1]
    ticks = [hz for hz in FREQUENCY_TICKS_HZ if params.fmin_hz <= hz <= params.fmax_hz]
    heights = [(float(np.abs(centres_hz - hz).argmin()) + 0.5) / params.n_mels for hz in ticks]
    return {"hz": [list(pair) for pair in zip(ticks, heights, strict=True)], "top_db": params.top_db}
