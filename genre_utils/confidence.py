"""How far a network's probabilities can be trusted, and what makes them more so."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from sklearn.metrics import average_precision_score

from genre_utils import evaluation, labels, leaks, uncertainty
from genre_utils.params import Params
from genre_utils.trust import NOT_SURE, SURE, TINY, UNLIKE, Reference, Trust, described, tempered

if TYPE_CHECKING:
    from genre_utils.store import Store

BINS = 10  # equally wide; more would leave most of them empty on a few hundred rows
EDGES = np.arange(BINS + 1) / BINS
THRESHOLDS = np.arange(101) / 100
TEMPERATURES = (0.1, 100.0)  # the last one makes all genres alike
ROWS = 256  # of the store read at once


def calibration(predictions: pd.DataFrame) -> pd.DataFrame:
    """How often the network is right, by how sure it is.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks, as ``evaluation.predict`` or ``evaluation.by_track`` returns them.

    Returns
    -------
    pd.DataFrame [columns=low, high, n, confidence, accuracy]
        A row a bin of the called genre's probability, ``low`` < probability <= ``high`` (0 is in the first one):
        how many rows, their mean probability, and the share of them that is right; NaN in an empty bin.

    References
    ----------
    DeGroot and Fienberg, The Statistician 32 (1983). ``sklearn.calibration.calibration_curve`` of being right
    has the same bins, less the empty ones. Notebook: 04_evaluation.
    """
    n, sure, right = in_bins(predictions).to_numpy().sum(axis=0).reshape(BINS, 3).T  # each (bin,)
    with np.errstate(invalid="ignore"):
        shares = {"confidence": sure / n, "accuracy": right / n}
    return pd.DataFrame({"low": EDGES[:-1], "high": EDGES[1:], "n": n.astype(int)} | shares)


def expected_calibration_error(predictions: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Mean gap between how sure the network is and how often it is right.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks.
    seed : int
        Of the interval.

    Returns
    -------
    dict
        ``ece`` in [0, 1]: over the bins of :func:`calibration`, the mean of ``|accuracy - confidence|``, by
        rows; ``low, high, n, resampled_by, clusters`` as ``uncertainty.accuracy``. Chance parts the two even in
        a network that is perfectly calibrated: of few rows the error is too large, and so is its interval.

    Raises
    ------
    EvaluationError
        If there is no row.

    References
    ----------
    Naeini, Cooper and Hauskrecht, AAAI (2015); Guo et al., On Calibration of Modern Neural Networks (2017).
    Notebook: 04_evaluation.
    """
    columns = in_bins(predictions)
    drawn, facts = uncertainty.resampled(columns, predictions, seed)
    ece = float(mean_gap(columns.to_numpy().sum(axis=0)))
    return {"ece": ece} | uncertainty.between(mean_gap(drawn)) | facts


def in_bins(predictions: pd.DataFrame) -> pd.DataFrame:
    """For each row 1, its probability and whether it is right, in the three columns of its bin."""
    probabilities = predictions[[f"p_{genre}" for genre in evaluation.genres_of(predictions)]]
    sure = probabilities.to_numpy(float).max(axis=1)  # float32, the network's, would be summed to seven digits
    right = (predictions["genre"] == predictions["predicted"]).to_numpy()
    place = np.searchsorted(EDGES[1:-1], sure)  # 0 is in the first bin, 1 in the last
    inside = place[:, None] == np.arange(BINS)  # (row, bin)
    values = np.stack([inside, inside * sure[:, None], inside * right[:, None]], axis=2)  # (row, bin, what)
    return pd.DataFrame(values.reshape(len(predictions), BINS * 3), predictions.index)


def mean_gap(sums: np.ndarray) -> np.ndarray:
    """The calibration error of sums of the columns of :func:`in_bins`, in the last axis."""
    n, sure, right = np.moveaxis(sums.reshape(*sums.shape[:-1], BINS, 3), -1, 0)  # each (…, bin)
    return np.abs(right - sure).sum(axis=-1) / n.sum(axis=-1)


def thresholds(predictions: pd.DataFrame) -> pd.DataFrame:
    """One genre against the rest: what is called so if a threshold on its probability decides.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks.

    Returns
    -------
    pd.DataFrame [columns=genre, threshold, called, precision, recall]
        For each genre and each threshold 0, 0.01, …, 1: how many rows have a probability of at least that, the
        share of them that is of the genre (NaN where there is none), and the share of the genre that is among
        them (NaN for a genre without rows).

    References
    ----------
    ``sklearn.metrics.precision_recall_curve``. Notebook: 04_evaluation.
    """
    tables = []
    for genre in evaluation.genres_of(predictions):
        called = predictions[f"p_{genre}"].to_numpy()[:, None] >= THRESHOLDS  # (row, threshold)
        truth = (predictions["genre"] == genre).to_numpy()
        hits, count = called[truth].sum(axis=0), called.sum(axis=0)
        with np.errstate(invalid="ignore"):
            shares = {"precision": hits / count, "recall": hits / truth.sum()}
        tables.append(pd.DataFrame({"genre": genre, "threshold": THRESHOLDS, "called": count} | shares))
    return pd.concat(tables, ignore_index=True)


def average_precision(predictions: pd.DataFrame) -> pd.Series:
    """Area under one genre's precision against its recall: 1 is perfect, the genre's share of rows is chance.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks.

    Returns
    -------
    pd.Series [index=genre]
        In [0, 1]; NaN for a genre without rows.

    References
    ----------
    ``sklearn.metrics.average_precision_score``. Notebook: 04_evaluation.
    """
    areas = {}
    for genre in evaluation.genres_of(predictions):
        truth = predictions["genre"] == genre
        areas[genre] = average_precision_score(truth, predictions[f"p_{genre}"]) if truth.any() else np.nan
    return pd.Series(areas, dtype=float).rename_axis("genre")


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
    table, figures = described_rows(store, training)
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
