"""The table of predictions, and accuracy, confusion matrix and precision, recall and F1 from it."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_fscore_support

from genre_utils.datasets import labels
from genre_utils.evaluation import uncertainty
from genre_utils.params import Params

if TYPE_CHECKING:
    from genre_utils.features.store import Store

AVERAGE = "average"  # the last row of Table I

# Paper, III.A, Table I: precision, recall, F1, support (segments). Accuracy of segments: 71.35 %.
PAPER_ACCURACY = 0.7135
PAPER_TABLE = pd.DataFrame(
    [
        ("blues", 0.61, 0.68, 0.64, 72),
        ("classical", 0.86, 0.99, 0.92, 72),
        ("country", 0.60, 0.68, 0.64, 72),
        ("disco", 0.82, 0.62, 0.71, 72),
        ("hiphop", 0.73, 0.82, 0.77, 72),
        ("jazz", 0.84, 0.86, 0.85, 78),
        ("metal", 0.97, 0.82, 0.89, 72),
        ("pop", 0.74, 0.68, 0.71, 72),
        ("reggae", 0.63, 0.61, 0.62, 72),
        ("rock", 0.38, 0.36, 0.37, 72),
        (AVERAGE, 0.72, 0.71, 0.71, 726),
    ],
    columns=["genre", "precision", "recall", "f1", "support"],
).set_index("genre")
PAPER_PAIRS = (("blues", "rock"), ("country", "pop"), ("hiphop", "reggae"))  # III.B.3


def predict(model: Any, store: "Store", assignment: pd.DataFrame, genres: list[str], params: Params) -> pd.DataFrame:
    """Predict every validation and test segment.

    Parameters
    ----------
    model : keras.Model
        From log-mel in dB to probabilities.
    store : Store
        The features.
    assignment : pd.DataFrame [columns=track_id, segment, split]
        As a function of ``splits`` returns it.
    genres : list of str
        The classes, in the order of the network's outputs.
    params : Params
        ``batch_size``.

    Returns
    -------
    pd.DataFrame
        ``track_id, segment, start_seconds, split, genre, predicted, p_<genre>…, artist, path``, one row per
        segment; ``artist`` is "" if unknown.

    References
    ----------
    Paper, III. Notebook: 04_evaluation.
    """
    from genre_utils.training import pipeline  # here, so that reading saved predictions does not import TensorFlow

    tables = []
    for split in ("validation", "test"):
        table = pipeline.examples(store, assignment, split, genres)
        probabilities = model.predict(pipeline.in_order(store, table, params), verbose=0)  # (segment, genre)
        tables.append(tabulated(table.assign(split=split), probabilities, store, genres))
    return pd.concat(tables, ignore_index=True)


def tabulated(segments: pd.DataFrame, probabilities: np.ndarray, store: "Store", genres: list[str]) -> pd.DataFrame:
    """Probabilities (segment, genre) as the table that :func:`predict` returns.

    Parameters
    ----------
    segments : pd.DataFrame
        As ``pipeline.examples`` returns it, with ``split``.
    probabilities : np.ndarray [shape=(segment, genre)]
        Of its rows.
    store : Store
        The features.
    genres : list of str
        The classes, in the order of the columns.

    Returns
    -------
    pd.DataFrame

    References
    ----------
    Notebook: 07_transfer.
    """
    columns = pd.DataFrame(probabilities, columns=[f"p_{genre}" for genre in genres])
    table = segments.assign(predicted=np.array(genres)[probabilities.argmax(axis=1)]).reset_index(drop=True)
    table = pd.concat([table, columns], axis=1).merge(store.tracks[["track_id", "artist", "path"]], on="track_id")
    front = ["track_id", "segment", "start_seconds", "split", "genre", "predicted"]
    return table[[*front, *columns, "artist", "path"]]


def genres_of(predictions: pd.DataFrame) -> list[str]:
    """The classes, in the order of the network's outputs."""
    return [name.removeprefix("p_") for name in predictions.columns if name.startswith("p_")]


def probabilities(predictions: pd.DataFrame) -> np.ndarray:
    """The columns ``p_<genre>`` as float64 (row, genre): sums of the network's float32 would lose digits."""
    return predictions[[f"p_{genre}" for genre in genres_of(predictions)]].to_numpy(float)


def with_probabilities(predictions: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    """A copy with other probabilities (row, genre) in the columns ``p_<genre>``."""
    names = [f"p_{genre}" for genre in genres_of(predictions)]
    return predictions.assign(**dict(zip(names, values.T, strict=True)))


def by_track(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per track, predicted from the mean of its segments' probabilities.

    Parameters
    ----------
    predictions : pd.DataFrame
        As :func:`predict` returns it.

    Returns
    -------
    pd.DataFrame
        The same columns without ``segment`` and ``start_seconds``; one row per track and ``seed``, if there is one.

    References
    ----------
    Notebook: 04_evaluation, 05_honest_splits, 06_beyond_the_paper, 07_transfer.
    """
    genres = genres_of(predictions)
    columns = [f"p_{genre}" for genre in genres]
    keys = [name for name in ("track_id", "seed") if name in predictions]
    same = [name for name in ("split", "genre", "artist", "path") if name in predictions]
    groups = predictions.groupby(keys)
    means = groups[columns].mean()
    guess = np.array(genres)[means.to_numpy().argmax(axis=1)]
    table = pd.concat([groups[same].first().assign(predicted=guess), means], axis=1).reset_index()
    front = ["track_id", "seed", "split", "genre", "predicted"]
    return table[[name for name in (*front, *columns, "artist", "path") if name in table]]


def table_one(predictions: pd.DataFrame) -> pd.DataFrame:
    """Precision, recall, F1 and support by genre: the paper's Table I.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks.

    Returns
    -------
    pd.DataFrame [index=genre, columns=precision, recall, f1, support]
        One row per genre, then ``average``, weighted by support. A genre that was never predicted has precision 0;
        a genre without rows (support 0) has 0 in all columns, because nothing is known about it.

    References
    ----------
    Paper, III.A. ``sklearn.metrics.precision_recall_fscore_support``. Notebook: 04_evaluation.
    """
    genres = genres_of(predictions)
    truth, guess = labels.one_truth(predictions)["genre"], predictions["predicted"]
    columns = precision_recall_fscore_support(truth, guess, labels=genres, zero_division=0)
    table = pd.DataFrame(dict(zip(PAPER_TABLE.columns, columns, strict=True)), index=pd.Index(genres, name="genre"))
    weighted = np.average(table[["precision", "recall", "f1"]], axis=0, weights=table["support"])
    table.loc[AVERAGE] = [*weighted, table["support"].sum()]
    return table.astype({"support": int})


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """Counts of true genre (rows) against predicted genre (columns).

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks.

    Returns
    -------
    pd.DataFrame [index=true genre, columns=predicted genre]
        Counts, in the order of the network's outputs.

    References
    ----------
    ``sklearn.metrics.confusion_matrix``. Notebook: 04_evaluation.
    """
    genres = genres_of(predictions)
    truth, guess = labels.one_truth(predictions)["genre"], predictions["predicted"]
    rows, columns = (pd.Index(genres).get_indexer(one) for one in (truth, guess))
    cells = (rows * len(genres) + columns)[(rows >= 0) & (columns >= 0)]  # scikit-learn's warns if there is one class
    counts = np.bincount(cells, minlength=len(genres) ** 2).reshape(len(genres), len(genres))
    return pd.DataFrame(counts, pd.Index(genres, name="true"), pd.Index(genres, name="predicted"))


def confused_pairs(predictions: pd.DataFrame) -> pd.DataFrame:
    """All pairs of genres, sorted by how often one is predicted as the other.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks.

    Returns
    -------
    pd.DataFrame [columns=pair, confused, of, share, in_paper]
        Most confused first: the number of rows of one genre predicted as the other, the number of rows of both
        genres, the quotient, and whether the paper names the pair.

    References
    ----------
    Paper, III.B.3. Notebook: 04_evaluation.
    """
    table = confusion(predictions)
    genres, counts = list(table.index), table.to_numpy()
    first, second = np.triu_indices(len(genres), 1)
    rows = counts.sum(axis=1)
    table = pd.DataFrame(
        {
            "pair": [f"{genres[a]} – {genres[b]}" for a, b in zip(first, second, strict=True)],
            "confused": counts[first, second] + counts[second, first],
            "of": rows[first] + rows[second],
            "in_paper": [(genres[a], genres[b]) in PAPER_PAIRS for a, b in zip(first, second, strict=True)],
        }
    )
    table.insert(3, "share", table["confused"] / table["of"].clip(lower=1))
    return table.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def by_similarity(counts: pd.DataFrame) -> pd.DataFrame:
    """Sort a confusion matrix so that genres that are often confused are neighbours.

    Parameters
    ----------
    counts : pd.DataFrame
        As :func:`confusion` returns it.

    Returns
    -------
    pd.DataFrame
        The same counts, with rows and columns in the leaf order of an average-linkage clustering.

    References
    ----------
    Bar-Joseph et al., Fast optimal leaf ordering (2001), by SciPy. Notebook: 04_evaluation.
    """
    if len(counts) < 2:
        return counts
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    shares = counts.to_numpy() / np.maximum(counts.to_numpy().sum(axis=1, keepdims=True), 1)
    distance = 1 - (shares + shares.T) / 2
    np.fill_diagonal(distance, 0)
    order = leaves_list(linkage(squareform(distance), "average", optimal_ordering=True))
    return counts.iloc[order, order]


def metrics(predictions: pd.DataFrame, facts: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """The contents of ``metrics.json``.

    Parameters
    ----------
    predictions : pd.DataFrame
        As :func:`predict` returns it; only the test segments are used.
    facts : dict
        ``dataset, protocol, model, parameters, seed, epochs, seconds, versions, device, commit, data_fingerprint``.
    seed : int
        Seed of the intervals.

    Returns
    -------
    dict
        The facts, then ``segment`` and ``track`` (``uncertainty.accuracy``) and ``table`` by genre. If genres are
        missing in the test, ``untested`` names them, and their values in ``table`` are None; ``several_genres`` is
        the number of test tracks with several genres, if there are any.

    References
    ----------
    Notebook: 04_evaluation.
    """
    test = predictions[predictions["split"] == "test"]
    table = table_one(test).drop(index=AVERAGE)
    several = int(labels.of_several(by_track(test)["genre"]).sum())
    untested = sorted({*table.index} - {*labels.genres_of(test)})
    unknown = table.index[table["support"] == 0]  # includes a genre whose tracks all count for another of their genres
    table = table.astype(object)
    table.loc[unknown, ["precision", "recall", "f1"]] = None
    notes = {"untested": untested, "several_genres": several}
    return (
        facts
        | {name: value for name, value in notes.items() if value}
        | {
            "segment": uncertainty.accuracy(test, seed),
            "track": uncertainty.accuracy(by_track(test), seed),
            "table": {genre: row | {"support": int(row["support"])} for genre, row in table.to_dict("index").items()},
        }
    )
