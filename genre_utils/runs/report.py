"""The report of a run, ``index.html``: results, figures and links to all files."""

import dataclasses
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from genre_utils.datasets import catalog, contents
from genre_utils.errors import by_reason
from genre_utils.evaluation import scoring, uncertainty
from genre_utils.params import Params
from genre_utils.runs.folder import RunFolder
from genre_utils.splits import protocols
from genre_utils.system import disk

MAIN_FIGURES = {
    "confusion_segments.png": "Counts and row percent of true against predicted genre, by segment",
    "beside_the_paper.png": "F1 by genre here and in the paper's Table I",
    "accuracies.png": "Accuracy by segment and by track with 95 % intervals, the paper's figure and chance",
    "confused_pairs.png": "The pairs of genres that are most often confused",
    "ensemble.png": "What each further member of an ensemble adds, and the seconds that all of them take",
    "reliability.png": "Accuracy of predictions by their probability, before and after calibration",
    "protocols.png": "One small network with four split protocols, and what their test splits share with training",
    "artists.png": "As many training tracks of few and of many artists, tested on artists that are in neither",
    "ablation.png": "The effect of each kind of augmentation, as paired difference to none",
    "listening.png": "What networks respond to: Grad-CAM over a log-mel, and attention over time",
    "several_genres.png": "Tracks of several genres: ranking and decision quality of each genre, and its threshold",
    "transfer.png": "A classifier of a pretrained network's features against networks trained from scratch",
    "learning_curve.png": "Accuracy of that classifier by the number of training tracks per genre",
    "tags.png": "What the tags of the pretrained network give, with and without its genre words",
    "tags_by_genre.png": "The tags that the pretrained network hears in the tracks of each genre",
    "embedding_space.png": "The tracks in the two main directions of the pretrained network's features",
    "curves.png": "Loss, accuracy and learning rate by epoch",
    "log_mels.png": "A log-mel spectrogram of each genre",
}
# For the report and the notebooks' pages: nothing is loaded and no script runs, whatever a file name contains.
NO_SCRIPTS = (
    """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; """
    """img-src 'self' file: data:; media-src data:; font-src data:; base-uri 'none'; form-action 'none'">"""
)
DEMO_NOTICE = (
    "The demo data set is synthesised by this project's own code. Its accuracy shows that the system works; "
    "it says nothing about real music."
)
LEAKY_NOTICE = (
    "LEAKY SPLIT: segments of the same file are in training and in the test. The results on this page show how well "
    "the network recognises files again; they estimate nothing else."
)


def sentence(metrics: dict[str, Any], level: str) -> str:
    """An accuracy in one sentence, with interval, number of samples, data set and protocol.

    Parameters
    ----------
    metrics : dict
        As ``scoring.metrics`` returns it.
    level : str
        segment or track.

    Returns
    -------
    str
        Accuracy and 95 % interval in percent (or why there is none), what was resampled, number, data set and protocol.

    References
    ----------
    Notebook: 04_evaluation.
    """
    value, protocol = metrics[level], metrics["protocol"]
    untested = f", none of them of {', '.join(metrics['untested'])}" if metrics.get("untested") else ""
    count = metrics.get("several_genres", 0)
    several = f", {count} with several genres, the likeliest of which counts as true" if count else ""
    return (
        f"{100 * value['accuracy']:.1f} % of {value['n']} test {level}s correct, {uncertainty.words(value)} "
        f"(data set {Path(metrics['dataset']).name}, protocol {protocol}: {protocols.DESCRIPTIONS[protocol]}, "
        f"{metrics['track']['n']} test tracks{untested}{several})"
    )


def departures(params: Params) -> dict[str, tuple[Any, Any]]:
    """The parameters that differ from the paper.

    Parameters
    ----------
    params : Params
        Of the run.

    Returns
    -------
    dict
        The run's value and the paper's, by name.
    """
    paper = Params()
    unused = {"seed"} if params.protocol == "artist" else {"seed", "folds", "fold"}
    names = [field.name for field in dataclasses.fields(Params) if field.name not in unused]
    pairs = {name: (getattr(params, name), getattr(paper, name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def write(run: RunFolder, made: dict[str, Any], stopped: str = "") -> Path:
    """Write ``index.html`` with the results so far, also for a run that stopped early.

    Parameters
    ----------
    run : RunFolder
        With the files of its notebooks so far.
    made : dict
        As ``provenance.recorded`` returns it: ``profile``, ``values``, ``notebooks`` and ``done`` count.
    stopped : str
        What stopped the run early, and where.

    Returns
    -------
    Path
        The page; it needs no network and no server. All names in it are escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("genre_utils.runs"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    there = {path.name for path in run.folder.iterdir()}
    params = run.params if "params.yml" in there else None
    metrics = {"commit": "", "data_fingerprint": "unknown"} | run.metrics() if "metrics.json" in there else None
    history = run.history() if "history.csv" in there else None
    faults = contents.faults(run.tracks() if "tracks.parquet" in there else pd.DataFrame(columns=catalog.COLUMNS))
    test = run.predictions().query("split == 'test'") if metrics else None
    of_paper = params is None or params.model == Params().model
    dataset, protocol = ((metrics or made["values"]).get(name, "") for name in ("dataset", "protocol"))
    page = environment.get_template("report.html.j2").render(
        policy=NO_SCRIPTS,
        profile=made["profile"],
        stopped=stopped,
        dataset=Path(dataset).name,
        metrics=metrics,
        sentences=[sentence(metrics, "segment"), sentence(metrics, "track")] if metrics else [],
        notices=[
            *([DEMO_NOTICE] if dataset in catalog.DEMOS else []),
            *([LEAKY_NOTICE] if protocol == "leaky" else []),
        ],
        departures=departures(params) if params and of_paper else None,
        explorer=(run.folder / "explorer" / "index.html").exists(),
        figures={name: alt for name, alt in MAIN_FIGURES.items() if (run.figures / name).exists()},
        others=sorted(path.name for path in run.figures.glob("*.png") if path.name not in MAIN_FIGURES),
        notebooks=states(run, made),
        files=sorted(
            path.relative_to(run.folder).as_posix()
            for path in (*run.folder.iterdir(), *run.folder.glob("model/*"))
            if path.suffix in (".yml", ".csv", ".json", ".parquet", ".keras", ".md", ".npy")
        ),
        table=scoring.table_one(test).reset_index().to_dict("records") if metrics else [],
        paper=scoring.PAPER_TABLE.to_dict("index") if of_paper else {},
        left_out=by_reason(faults["track_id"] + " (" + faults["genre"] + ")", faults["fault"], "tracks.parquet"),
        best_epoch=None if history is None else int(history.loc[history["val_accuracy"].idxmax(), "epoch"]),
    )
    path = run.folder / "index.html"
    with disk.replacing(path) as beside:
        beside.write_text(page, encoding="utf-8")
    return path


def states(run: RunFolder, made: dict[str, Any]) -> dict[str, str]:
    """The state of each notebook of a run: done, stopped, or not run."""
    there = {path.stem for path in run.folder.glob("*.ipynb")}
    names = sorted({*made["notebooks"], *there})
    return {name: "done" if name in made["done"] else "stopped" if name in there else "not run" for name in names}
