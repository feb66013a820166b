"""What makes a trained network's answers more honest: learned on validation and training, judged on the test."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from genre_utils.datasets import labels
from genre_utils.evaluation import scoring, uncertainty
from genre_utils.evaluation.novelty import Reference, summary_statistics
from genre_utils.evaluation.temperature_scaling import NOT_SURE, SURE, UNLIKE, Calibration, logits
from genre_utils.params import Params
from genre_utils.splits import leaks

if TYPE_CHECKING:
    from genre_utils.features.store import Store

TEMPERATURES = (0.1, 100.0)  # the last one makes all genres alike
ROWS = 256  # of the store read at once
MOST = 5_000  # segments that a file is compared with: 320 kB; of more, some drawn at random do (Sun et al., 2022)


def fit(predictions: pd.DataFrame, store: "Store", assignment: pd.DataFrame, params: Params) -> Calibration:
    """What a trained network's answers are read by: two temperatures, and what its training sounds like.

    Parameters
    ----------
    predictions : pd.DataFrame
        As ``scoring.predict`` returns it; the validation segments count.
    store : Store
        The features.
    assignment : pd.DataFrame [columns=track_id, segment, split]
        As a function of ``splits`` returns it.
    params : Params
        ``output``.

    Returns
    -------
    Calibration

    References
    ----------
    Notebook: 04_evaluation.
    """
    tracks = store.tracks.assign(group=leaks.groups(store.tracks))[["track_id", "group"]]
    training = assignment[assignment["split"] == "train"].merge(tracks, on="track_id")
    drawn = training.sample(min(MOST, len(training)), random_state=params.seed)
    table, figures = statistics_of_rows(store, drawn)
    reference = Reference.fit(figures, table["track_id"].to_numpy(str), table["group"].to_numpy())
    held_out = predictions[predictions["split"] == "validation"]
    of_segments, of_tracks = (temperature(rows, params.output) for rows in (held_out, scoring.by_track(held_out)))
    return Calibration(of_segments, of_tracks, reference)


def statistics_of_rows(store: "Store", wanted: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Segments (``track_id, segment``, any more columns) as they are recorded, and what describes their sound."""
    table = store.segments[store.segments["augmentation"] == ""].merge(wanted, on=["track_id", "segment"])
    rows = np.array_split(table["row"].to_numpy(), -(-len(table) // ROWS) or 1)
    return table, np.concatenate([summary_statistics(store.features[some]) for some in rows])


def temperature(predictions: pd.DataFrame, output: str) -> float:
    """The temperature that makes the truth most probable.

    The truth is softened as Platt did it for his sigmoid, as if one track beside the n that there are told nothing:
    twelve tracks that are all right would else make a network certain of everything.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks that the network has not been trained on.
    output : str
        The network's: softmax or sigmoid.

    Returns
    -------
    float
        In ``TEMPERATURES``; 1 where it would make the rows' own genres less probable.

    References
    ----------
    Guo et al., On calibration of modern neural networks (2017). J. Platt, Probabilistic outputs for support vector
    machines (1999). Notebook: 04_evaluation.
    """
    own, truth = arrays(predictions, output)
    doubt = 1 / (predictions["track_id"].nunique() + 2)
    softened = (1 - doubt) * truth + doubt * (0.5 if output == "sigmoid" else 1 / truth.shape[1])

    def at(value: float, wanted: np.ndarray) -> float:
        return mean_log_loss(own / value, wanted, output)

    bounds = np.log(TEMPERATURES)
    found = minimize_scalar(lambda logarithm: at(np.exp(logarithm), softened), bounds=bounds, method="bounded")
    best = float(np.exp(found.x))
    return best if at(best, truth) < at(1.0, truth) else 1.0


def log_loss(predictions: pd.DataFrame, output: str) -> float:
    """How improbable the truth is.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks.
    output : str
        The network's: softmax or sigmoid.

    Returns
    -------
    float
        Mean negative log-likelihood of the rows' genres in nats; of a sigmoid's, the sum over its yes and no.

    References
    ----------
    ``sklearn.metrics.log_loss``. Notebook: 04_evaluation.
    """
    return mean_log_loss(*arrays(predictions, output), output)


def arrays(predictions: pd.DataFrame, output: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and truth of rows of predictions, both (row, genre)."""
    genres = scoring.genres_of(predictions)
    probabilities = predictions[[f"p_{genre}" for genre in genres]].to_numpy()
    return logits(probabilities, output), labels.targets(predictions["genre"], genres)


def mean_log_loss(own: np.ndarray, truth: np.ndarray, output: str) -> float:
    """:func:`surprise` of logits and truth, both (row, genre)."""
    if output == "sigmoid":
        likelihood = truth * log_expit(own) + (1 - truth) * log_expit(-own)
    else:
        likelihood = truth * log_softmax(own, axis=1)
    return float(-likelihood.sum(axis=1).mean())


def calibrated(predictions: pd.DataFrame, fitted: Calibration, output: str) -> pd.DataFrame:
    """Rows of segments with the probabilities that a temperature makes of theirs.

    Parameters
    ----------
    predictions : pd.DataFrame
        As ``scoring.predict`` returns it.
    fitted : Calibration
        The temperature.
    output : str
        The network's: softmax or sigmoid.

    Returns
    -------
    pd.DataFrame
        A copy.

    References
    ----------
    Notebook: 04_evaluation.
    """
    names = [f"p_{genre}" for genre in scoring.genres_of(predictions)]
    values = fitted.calibrated(predictions[names].to_numpy(), output)
    return predictions.assign(**dict(zip(names, values.T, strict=True)))


def by_track(predictions: pd.DataFrame, fitted: Calibration, output: str) -> pd.DataFrame:
    """Rows of tracks with calibrated probabilities; a track is called as ``scoring.by_track`` calls it.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments, not calibrated, as ``scoring.predict`` returns them.
    fitted : Calibration
        The tracks' temperature.
    output : str
        The network's: softmax or sigmoid.

    Returns
    -------
    pd.DataFrame
        As ``scoring.by_track``.
    """
    tracks = scoring.by_track(predictions)
    names = [f"p_{genre}" for genre in scoring.genres_of(tracks)]
    values = fitted.calibrated_tracks(tracks[names].to_numpy(), output)
    return tracks.assign(**dict(zip(names, values.T, strict=True)))


def evaluated(predictions: pd.DataFrame, store: "Store", fitted: Calibration, params: Params) -> pd.DataFrame:
    """Tracks as a stranger's files would be answered: calibrated, with a verdict.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments, not calibrated, as ``scoring.predict`` returns them.
    store : Store
        Their features.
    fitted : Calibration
        As :func:`learned` returns it.
    params : Params
        ``output``.

    Returns
    -------
    pd.DataFrame
        As ``scoring.by_track``, with ``novelty_score`` and ``verdict``.

    References
    ----------
    Notebook: 04_evaluation.
    """
    tracks = by_track(predictions, fitted, params.output)
    table, figures = statistics_of_rows(store, predictions[["track_id", "segment"]])
    strange = table.assign(novelty_score=fitted.novelty_score_of(figures)).groupby("track_id")["novelty_score"].mean()
    tracks["novelty_score"] = tracks["track_id"].map(strange)
    names = [f"p_{genre}" for genre in scoring.genres_of(tracks)]
    rows = zip(tracks[names].to_numpy(), tracks["novelty_score"], strict=True)
    return tracks.assign(verdict=[fitted.verdict(track, novelty_score) for track, novelty_score in rows])


def verdicts(judged: pd.DataFrame) -> pd.DataFrame:
    """How often each verdict is given, and what the network's genre is worth then.

    Parameters
    ----------
    judged : pd.DataFrame
        As :func:`judged` returns it.

    Returns
    -------
    pd.DataFrame [index=verdict, columns=right, wrong]
        Tracks; sure, not sure, and unlike anything in training, in this order.

    References
    ----------
    Notebook: 04_evaluation.
    """
    right = uncertainty.is_right(judged).map({True: "right", False: "wrong"})
    counts = pd.crosstab(judged["verdict"], right)
    counts = counts.reindex(index=[SURE, NOT_SURE, UNLIKE], columns=["right", "wrong"], fill_value=0)
    return counts.rename({SURE: "sure"}).rename_axis(columns=None)
