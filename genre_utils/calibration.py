"""What makes a trained network's answers more honest: learned on validation and training, judged on the test."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from genre_utils import evaluation, labels, leaks
from genre_utils.params import Params
from genre_utils.trust import NOT_SURE, SURE, TINY, UNLIKE, Reference, Trust, described, tempered

if TYPE_CHECKING:
    from genre_utils.store import Store

TEMPERATURES = (0.1, 100.0)  # the last one makes all genres alike
ROWS = 256  # of the store read at once
MOST = 5_000  # segments that a file is compared with: 320 kB; of more, some drawn at random do (Sun et al., 2022)


def learned(predictions: pd.DataFrame, store: "Store", assignment: pd.DataFrame, params: Params) -> Trust:
    """What a trained network's answers are read by: two temperatures, and what its training sounds like.

    Parameters
    ----------
    predictions : pd.DataFrame
        As ``evaluation.predict`` returns it; the validation segments count.
    store : Store
        The features.
    assignment : pd.DataFrame [columns=track_id, segment, split]
        As a function of ``splits`` returns it.
    params : Params
        ``output``.

    Returns
    -------
    Trust

    References
    ----------
    Notebook: 04_evaluation.
    """
    tracks = store.tracks.assign(group=leaks.groups(store.tracks))[["track_id", "group"]]
    training = assignment[assignment["split"] == "train"].merge(tracks, on="track_id")
    drawn = training.sample(min(MOST, len(training)), random_state=params.seed)
    table, figures = described_rows(store, drawn)
    reference = Reference.learned(figures, table["track_id"].to_numpy(str), table["group"].to_numpy())
    held_out = predictions[predictions["split"] == "validation"]
    of_segments = Trust(temperature(held_out, params.output))
    means = evaluation.by_track(calibrated(held_out, of_segments, params.output))
    return Trust(of_segments.temperature, temperature(means, params.output), reference)


def described_rows(store: "Store", wanted: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Segments (``track_id, segment``, any more columns) as they are recorded, and what describes their sound."""
    table = store.segments[store.segments["augmentation"] == ""].merge(wanted, on=["track_id", "segment"])
    rows = np.array_split(table["row"].to_numpy(), -(-len(table) // ROWS) or 1)
    return table, np.concatenate([described(store.features[some]) for some in rows])


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
    probabilities, truth = arrays(predictions)
    doubt = 1 / (predictions["track_id"].nunique() + 2)
    softened = (1 - doubt) * truth + doubt * (0.5 if output == "sigmoid" else 1 / truth.shape[1])

    def at(value: float, wanted: np.ndarray) -> float:
        return mean_surprise(tempered(probabilities, value, output), wanted, output)

    bounds = np.log(TEMPERATURES)
    found = minimize_scalar(lambda logarithm: at(np.exp(logarithm), softened), bounds=bounds, method="bounded")
    best = float(np.exp(found.x))
    return best if at(best, truth) < at(1.0, truth) else 1.0


def surprise(predictions: pd.DataFrame, output: str) -> float:
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
    return mean_surprise(*arrays(predictions), output)


def arrays(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and truth of rows of predictions, both (row, genre)."""
    genres = evaluation.genres_of(predictions)
    return predictions[[f"p_{genre}" for genre in genres]].to_numpy(), labels.targets(predictions["genre"], genres)


def mean_surprise(probabilities: np.ndarray, truth: np.ndarray, output: str) -> float:
    """:func:`surprise` of arrays (row, genre)."""
    p = probabilities.astype(float)
    likelihood = truth * np.log(np.clip(p, TINY, 1))
    if output == "sigmoid":
        likelihood += (1 - truth) * np.log(np.clip(1 - p, TINY, 1))
    return float(-likelihood.sum(axis=1).mean())


def calibrated(predictions: pd.DataFrame, trust: Trust, output: str) -> pd.DataFrame:
    """Rows of segments with the probabilities that a temperature makes of theirs.

    Parameters
    ----------
    predictions : pd.DataFrame
        As ``evaluation.predict`` returns it.
    trust : Trust
        The temperature.
    output : str
        The network's: softmax or sigmoid.

    Returns
    -------
    pd.DataFrame
        A copy.
    """
    names = [f"p_{genre}" for genre in evaluation.genres_of(predictions)]
    values = trust.calibrated(predictions[names].to_numpy(), output)
    return predictions.assign(**dict(zip(names, values.T, strict=True)))


def judged(predictions: pd.DataFrame, store: "Store", trust: Trust, params: Params) -> pd.DataFrame:
    """Tracks as a stranger's files would be answered: calibrated, with a verdict.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments, as ``evaluation.predict`` returns it.
    store : Store
        Their features.
    trust : Trust
        As :func:`learned` returns it.
    params : Params
        ``output``.

    Returns
    -------
    pd.DataFrame
        As ``evaluation.by_track``, with ``strangeness`` and ``verdict``.

    References
    ----------
    Notebook: 04_evaluation.
    """
    tracks = evaluation.by_track(calibrated(predictions, trust, params.output))
    names = [f"p_{genre}" for genre in evaluation.genres_of(tracks)]
    probabilities = trust.of_tracks(tracks[names].to_numpy(), params.output)
    tracks[names] = probabilities
    table, figures = described_rows(store, predictions[["track_id", "segment"]])
    strange = table.assign(strangeness=trust.strangeness_of(figures)).groupby("track_id")["strangeness"].mean()
    tracks["strangeness"] = tracks["track_id"].map(strange)
    rows = zip(probabilities, tracks["strangeness"], strict=True)
    return tracks.assign(verdict=[trust.verdict(track, strangeness) for track, strangeness in rows])


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
    right = (judged["genre"] == judged["predicted"]).map({True: "right", False: "wrong"})
    counts = pd.crosstab(judged["verdict"], right)
    counts = counts.reindex(index=[SURE, NOT_SURE, UNLIKE], columns=["right", "wrong"], fill_value=0)
    return counts.rename({SURE: "sure"}).rename_axis(columns=None)
