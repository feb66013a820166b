"""Fit the calibration of a trained network on validation and training data, and evaluate it on the test split."""

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

TEMPERATURES = (0.1, 100.0)  # at 100 all genres have nearly the same probability
ROWS = 256  # rows of the store to read at once
MOST = 5_000  # training segments to compare a file with: 320 kB; a random sample is enough (Sun et al., 2022)


def fit(predictions: pd.DataFrame, store: "Store", assignment: pd.DataFrame, params: Params) -> Calibration:
    """Fit two temperatures on the validation split, and the reference of the novelty score on the training split.

    Parameters
    ----------
    predictions : pd.DataFrame
        As ``scoring.predict`` returns it; only the validation segments are used.
    store : Store
        The features.
    assignment : pd.DataFrame [columns=track_id, segment, split]
        As a function of ``splits`` returns it.
    params : Params
        ``output``.

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
    """The store's rows of some segments (``track_id, segment``, other columns), and their summary statistics."""
    table = store.segments[store.segments["augmentation"] == ""].merge(wanted, on=["track_id", "segment"])
    rows = np.array_split(table["row"].to_numpy(), -(-len(table) // ROWS) or 1)
    return table, np.concatenate([summary_statistics(store.features[some]) for some in rows])


def temperature(predictions: pd.DataFrame, output: str) -> float:
    """The temperature with the smallest log loss, by maximum likelihood.

    The targets are smoothed as in Platt scaling, as if there were one more track without a label. Otherwise a dozen
    tracks that are all correct would make the network completely certain.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks that the network was not trained on.
    output : str
        Output of the network: softmax or sigmoid.

    Returns
    -------
    float
        In ``TEMPERATURES``; 1 if the temperature would increase the log loss without smoothing.

    References
    ----------
    Guo et al., On calibration of modern neural networks (2017). J. Platt, Probabilistic outputs for support vector
    machines (1999). Notebook: 04_evaluation.
    """
    own, truth = arrays(predictions, output)
    share = 1 / (predictions["track_id"].nunique() + 2)
    smoothed = (1 - share) * truth + share * (0.5 if output == "sigmoid" else 1 / truth.shape[1])

    def loss(temperature: float, targets: np.ndarray) -> float:
        return mean_log_loss(own / temperature, targets, output)

    bounds = np.log(TEMPERATURES)
    found = minimize_scalar(lambda logarithm: loss(np.exp(logarithm), smoothed), bounds=bounds, method="bounded")
    best = float(np.exp(found.x))
    return best if loss(best, truth) < loss(1.0, truth) else 1.0


def log_loss(predictions: pd.DataFrame, output: str) -> float:
    """Log loss: the mean negative log-likelihood of the true genres.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks.
    output : str
        Output of the network: softmax or sigmoid.

    Returns
    -------
    float
        In nats; for sigmoid, the sum over all genres.

    References
    ----------
    ``sklearn.metrics.log_loss``. Notebook: 04_evaluation.
    """
    return mean_log_loss(*arrays(predictions, output), output)


def arrays(predictions: pd.DataFrame, output: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and targets of rows of predictions, both (row, genre)."""
    targets = labels.targets(predictions["genre"], scoring.genres_of(predictions))
    return logits(scoring.probabilities(predictions), output), targets


def mean_log_loss(own: np.ndarray, truth: np.ndarray, output: str) -> float:
    """:func:`log_loss` of logits and targets, both (row, genre)."""
    if output == "sigmoid":
        likelihood = truth * log_expit(own) + (1 - truth) * log_expit(-own)
    else:
        likelihood = truth * log_softmax(own, axis=1)
    return float(-likelihood.sum(axis=1).mean())


def calibrated(predictions: pd.DataFrame, fitted: Calibration, output: str) -> pd.DataFrame:
    """Segments with calibrated probabilities.

    Parameters
    ----------
    predictions : pd.DataFrame
        As ``scoring.predict`` returns it.
    fitted : Calibration
        The temperature of segments.
    output : str
        Output of the network: softmax or sigmoid.

    Returns
    -------
    pd.DataFrame
        A copy.

    References
    ----------
    Notebook: 04_evaluation.
    """
    return scoring.with_probabilities(predictions, fitted.calibrated(scoring.probabilities(predictions), output))


def by_track(predictions: pd.DataFrame, fitted: Calibration, output: str) -> pd.DataFrame:
    """Tracks with calibrated probabilities; the predicted genre is that of ``scoring.by_track``.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments, not calibrated, as ``scoring.predict`` returns them.
    fitted : Calibration
        The temperature of tracks.
    output : str
        Output of the network: softmax or sigmoid.

    Returns
    -------
    pd.DataFrame
        As ``scoring.by_track``.
    """
    tracks = scoring.by_track(predictions)
    return scoring.with_probabilities(tracks, fitted.calibrated_tracks(scoring.probabilities(tracks), output))


def evaluated(predictions: pd.DataFrame, store: "Store", fitted: Calibration, params: Params) -> pd.DataFrame:
    """Tracks with calibrated probabilities, novelty score and verdict, as the command ``predict`` computes them.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments, not calibrated, as ``scoring.predict`` returns them.
    store : Store
        Their features.
    fitted : Calibration
        As :func:`fit` returns it.
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
    means = table.assign(novelty_score=fitted.novelty_score_of(figures)).groupby("track_id")["novelty_score"].mean()
    tracks["novelty_score"] = tracks["track_id"].map(means)
    rows = zip(scoring.probabilities(tracks), tracks["novelty_score"], strict=True)
    return tracks.assign(verdict=[fitted.verdict(track, novelty_score) for track, novelty_score in rows])


def verdicts(tracks: pd.DataFrame) -> pd.DataFrame:
    """Number of tracks with each verdict, by whether the predicted genre is right.

    Parameters
    ----------
    tracks : pd.DataFrame
        As :func:`evaluated` returns it.

    Returns
    -------
    pd.DataFrame [index=verdict, columns=right, wrong]
        Tracks; sure, not sure, and unlike anything in training, in this order.

    References
    ----------
    Notebook: 04_evaluation.
    """
    right = uncertainty.is_right(tracks).map({True: "right", False: "wrong"})
    counts = pd.crosstab(tracks["verdict"], right)
    counts = counts.reindex(index=[SURE, NOT_SURE, UNLIKE], columns=["right", "wrong"], fill_value=0)
    return counts.rename({SURE: "sure"}).rename_axis(columns=None)
