"""Write the model card, and publish the model folder of a run."""

import re
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml

from genre_utils.datasets import catalog, licences
from genre_utils.evaluation import calibration, novelty, reliability, scoring, temperature_scaling
from genre_utils.evaluation.temperature_scaling import Calibration
from genre_utils.inference import model_folder
from genre_utils.params import PRETRAINED, SPLITS
from genre_utils.runs import report
from genre_utils.runs.folder import RunFolder
from genre_utils.splits import protocols

GTZANS = ("gtzan", "gtzan-mini")
ATTRIBUTION = "attribution.csv"  # in the model folder, if the data set states licences
GTZAN = "https://www.tensorflow.org/datasets/catalog/gtzan"
# For each kind of data set: Hugging Face's metadata, and a text.
LICENCES: dict[str, tuple[dict[str, str], str]] = {
    "demo": (
        {"license": "mit"},
        "The music is synthesised by genre_utils' own code, which is under the MIT licence.",
    ),
    "gtzan": (
        {"license": "other", "license_name": "no-licence", "license_link": GTZAN},
        "GTZAN has no licence: its author says that no copyright permission exists. Nobody can grant rights to its "
        "music, and it is not settled whether a network trained on it may be shared. Use it for research only.",
    ),
    "licensed": (
        {"license": "other", "license_name": "licences-of-the-tracks"},
        "The table shows the licences of the tracks in training and validation, as the data set states them. It is not "
        "settled whether a network has to follow the licences of its training data: those with NonCommercial, "
        "NoDerivatives or ShareAlike may restrict what you can do with it. `attribution.csv` names artist, title and "
        "licence of each track.",
    ),
    "own": (
        {"license": "unknown"},
        "The use of this network depends on the rights to the music that it was trained on. This card does not know "
        "them. Add them here before you share the folder.",
    ),
}


def publish(run: RunFolder, fitted: Calibration, tracks: pd.DataFrame) -> Path:
    """Write the model folder of a run: network, parameters, calibration and card.

    Parameters
    ----------
    run : RunFolder
        With all files up to ``metrics.json`` and ``predictions.parquet``.
    fitted : Calibration
        As ``calibration.fit`` returns it.
    tracks : pd.DataFrame
        The test tracks, as ``calibration.evaluated`` returns them.

    Returns
    -------
    Path
        The folder ``model`` in the run folder. If the data set states licences, its ``attribution.csv`` has artist,
        title and licence of each track of training and validation.

    References
    ----------
    M. Mitchell et al., Model cards for model reporting (2019), in Hugging Face's format. Notebook: 04_evaluation.
    """
    facts = facts_of(run, fitted, tracks)
    folder = run.folder / model_folder.FOLDER
    genres = scoring.genres_of(tracks)
    network = run.needs(model_folder.NETWORK)
    model_folder.write(folder, network, genres, run.params, fitted, facts, text(facts, genres))
    if facts["licences"]:
        columns = ["track_id", "artist", "title", "licence"]
        learnt_from(run)[columns].to_csv(folder / ATTRIBUTION, index=False)
    return folder


def facts_of(run: RunFolder, fitted: Calibration, tracks: pd.DataFrame) -> dict[str, Any]:
    """The values of the card, which ``model.json`` also has.

    Parameters
    ----------
    run, fitted, tracks : RunFolder, Calibration, pd.DataFrame
        As in :func:`publish`.

    Returns
    -------
    dict
        ``metrics`` (as ``metrics.json``, but only the name of the data set), ``sides`` (tracks and segments of each
        split), ``history`` (the number of epochs and the best one), ``calibration`` on the test split, ``verdicts``
        of the test tracks, right and wrong, ``licences`` of the tracks that it has learnt from.
    """
    metrics, history, params = run.metrics(), run.history(), run.params
    assignment = run.assignment().groupby("split")["track_id"].agg(["nunique", "size"])
    test = run.predictions().query("split == 'test'")
    tables = {
        "segments": test,
        "segments, calibrated": calibration.calibrated(test, fitted, params.output),
        "tracks": scoring.by_track(test),
        "tracks, calibrated": tracks,
    }
    errors = {}
    for name, table in tables.items():
        errors[name] = reliability.expected_calibration_error(table, params.seed)
        errors[name]["surprise"] = calibration.log_loss(table, params.output)
    best = history.loc[history["val_accuracy"].idxmax()]
    return {
        "metrics": metrics | {"dataset": Path(metrics["dataset"]).name},  # the path is private
        "kind": kind_of(metrics["dataset"]),
        "sides": {
            split: {"tracks": int(row["nunique"]), "segments": int(row["size"])}
            for split, row in assignment.reindex([*SPLITS]).iterrows()
        },
        "history": {
            "epochs": len(history),
            "best_epoch": int(best["epoch"]),
            "val_accuracy": float(best["val_accuracy"]),
        },
        "calibration": errors,
        "temperatures": {"segment": fitted.temperature, "track": fitted.track_temperature},
        "reference": fitted.reference is not None,
        "verdicts": calibration.verdicts(tracks).to_dict("index"),
        "licences": licences_of(run),
    }


def learnt_from(run: RunFolder) -> pd.DataFrame:
    """The tracks in training and validation, as rows of the catalog."""
    sides = run.assignment().query("split != 'test'")["track_id"].unique()
    tracks = run.tracks()
    return tracks[tracks["track_id"].isin(sides)]


def licences_of(run: RunFolder) -> list[dict[str, Any]]:
    """The licences of the tracks in training and validation, and of how many tracks and artists they are."""
    tracks = learnt_from(run)
    if "licence" not in tracks:  # a run of an older version
        return []
    table = licences.counted(tracks["licence"])
    artists = tracks[tracks["artist"] != ""].groupby("licence")["artist"].nunique()
    table["artists"] = table["licence"].replace(licences.NOT_STATED, "").map(artists).fillna(0).astype(int)
    return table.drop(columns="changes").to_dict("records")


def kind_of(dataset: str) -> str:
    """Which entry of ``LICENCES`` a data set has."""
    return "demo" if dataset in catalog.DEMOS else "gtzan" if dataset in GTZANS else "own"


def text(facts: dict[str, Any], genres: list[str]) -> str:
    """The card as Markdown, after a header with Hugging Face's metadata.

    Parameters
    ----------
    facts : dict
        As :func:`facts_of` returns it.
    genres : list of str
        The classes.
    """
    metrics, kind = facts["metrics"], facts["kind"]
    metadata, licence = LICENCES["licensed" if kind == "own" and facts["licences"] else kind]
    figures = [
        {"type": "accuracy", "value": round(metrics[level]["accuracy"], 4), "name": f"accuracy by {level}"}
        for level in ("segment", "track")
    ]
    result = {
        "task": {"type": "audio-classification", "name": "Music genre classification"},
        "dataset": {
            "type": metrics["dataset"],
            "name": metrics["dataset"],
            "split": f"test, protocol {metrics['protocol']}",
        },
        "metrics": figures,
    }
    front = metadata | {
        "library_name": "keras",
        "pipeline_tag": "audio-classification",
        "tags": ["music", "music-genre-classification", "mel-spectrogram"],
        "metrics": ["accuracy"],
        "model-index": [{"name": metrics["model"], "results": [result]}],
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("genre_utils.inference"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain": plain, "percent": lambda share: f"{100 * share:.1f} %"}
    environment.filters["figure"] = lambda value: "not tested" if value is None else f"{value:.2f}"
    notice = environment.get_template("musicnn_licence.txt").render().strip()
    return environment.get_template("model_card.md.j2").render(
        facts,
        pretrained=notice if metrics["model"] == PRETRAINED else "",
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True),
        genres=genres,
        sentences=[plain(report.sentence(metrics, level)) for level in ("segment", "track")],
        protocol=protocols.DESCRIPTIONS[metrics["protocol"]],
        licence=licence,
        notice=report.DEMO_NOTICE if kind == "demo" else "",
        sure_from=temperature_scaling.SURE_FROM,
        accepted=novelty.ACCEPTED,
    )


def plain(name: str) -> str:
    """Escape a name for Markdown, so that it cannot become a table, a link or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&])", r"\\\1", " ".join(str(name).split()))
