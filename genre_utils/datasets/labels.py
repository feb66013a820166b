"""The genres of tracks as classes: one genre or several, ``blues|rock``, as targets, for splits and in tables."""

import numpy as np
import pandas as pd

from genre_utils.datasets.spelling import SEPARATOR, key
from genre_utils.errors import CatalogError, ParamsError, listed, warn
from genre_utils.params import unknown_name

AUTO = "auto"  # the output that a catalog needs


def genres_of(tracks: pd.DataFrame) -> list[str]:
    """The genres that occur in a catalog.

    Parameters
    ----------
    tracks : pd.DataFrame
        With ``genre``; several genres of a track are separated by ``|``; "" is unknown.

    Returns
    -------
    list of str
        In alphabetical order, each once: the classes of a network.

    References
    ----------
    Notebook: 01_eda, 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper, 07_transfer.
    """
    return sorted({label for genre in tracks["genre"].unique() for label in genre.split(SEPARATOR) if label})


def without(tracks: pd.DataFrame, names: str) -> pd.DataFrame:
    """Remove genres from a catalog; a track with other genres, too, keeps those.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.
    names : str
        Genres, separated by ``|``, or by commas if no genre has a comma in its name; "" is none.

    Returns
    -------
    pd.DataFrame
        Fewer rows, same columns.

    Raises
    ------
    CatalogError
        If there is no such genre.

    Warns
    -----
    UserWarning
        The number of tracks that are left out.
    """
    known = {key(genre): genre for genre in genres_of(tracks)}
    parts = [part for part in names.split(SEPARATOR) if part.strip()]
    out = {one for part in parts for one in ([part] if key(part) in known else part.split(","))}
    if unknown := sorted(name for name in out if key(name) not in known):
        hint = unknown_name(unknown[0].strip(), known.values()).replace("parameter", "genre")
        raise CatalogError(f"exclude_genres: {hint}")
    if not out:
        return tracks
    gone = {known[key(name)] for name in out}
    left = among(tracks["genre"], {*known.values()} - gone)
    dropped = (left == "") & (tracks["genre"] != "")
    warn(f"{dropped.sum()} of {len(tracks)} tracks are left out by exclude_genres: {listed(sorted(gone))}.")
    return tracks.assign(genre=left)[~dropped].reset_index(drop=True)


def frequent(tracks: pd.DataFrame, most: int) -> pd.DataFrame:
    """Keep only the most frequent genres of a catalog; a track keeps those of its genres that are among them.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.
    most : int
        How many genres; 0: all.

    Returns
    -------
    pd.DataFrame
        The same rows and columns. A track that keeps no genre has that as its ``fault``.

    Warns
    -----
    UserWarning
        About the genres that are left out.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    counts = one_a_row(tracks[tracks["fault"] == ""])["genre"].value_counts().sort_index()
    kept = set(counts.nlargest(most or len(counts)).index)
    if len(kept) == len(counts):
        return tracks
    left = among(tracks["genre"], kept)
    none = (left == "") & (tracks["fault"] == "")
    rest = f"{len(counts) - len(kept)} of {len(counts)} genres are left out"
    warn(f"Only the {most} most frequent genres are used; {rest}, and {none.sum()} tracks that have no other.")
    return tracks.assign(genre=left, fault=tracks["fault"].mask(none, f"has none of the {most} most frequent genres"))


def among(genre: pd.Series, kept: set[str]) -> pd.Series:
    """Of each row's genres those that are among the given ones; "" if none is."""
    return genre.map(lambda several: SEPARATOR.join(name for name in several.split(SEPARATOR) if name in kept))


def one_a_row(tracks: pd.DataFrame) -> pd.DataFrame:
    """The same table with one genre per row: a track of several genres gets a row for each of them.

    Parameters
    ----------
    tracks : pd.DataFrame
        With ``genre``; several genres of a track are separated by ``|``.

    Returns
    -------
    pd.DataFrame
        Its genres are those of :func:`genres_of`; a track of unknown genre has no row.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction, 03_training, 05_honest_splits.
    """
    known = tracks[tracks["genre"] != ""]
    return known.assign(genre=known["genre"].str.split(SEPARATOR)).explode("genre", ignore_index=True)


def chance(tracks: pd.DataFrame) -> float:
    """Accuracy, in [0, 1], of always guessing the most frequent genre.

    Parameters
    ----------
    tracks : pd.DataFrame
        With ``genre``; for a track of several genres, each of them is correct.

    Returns
    -------
    float
        1 / (number of genres) if all are equally frequent and each track has one.

    References
    ----------
    Notebook: 01_eda, 05_honest_splits, 07_transfer.
    """
    return float(one_a_row(tracks)["genre"].value_counts().max() / (tracks["genre"] != "").sum())


def most_frequent(tracks: pd.DataFrame) -> str:
    """The genre that :func:`chance` is about; of equally frequent ones, the first by name."""
    counts = one_a_row(tracks)["genre"].value_counts(sort=False)
    return str(counts.sort_index().idxmax())


def targets(genre: pd.Series, genres: list[str]) -> np.ndarray:
    """Multi-hot targets: which genres each row has, as 0 and 1.

    Parameters
    ----------
    genre : pd.Series
        As in a catalog: ``rock``, or ``blues|rock``.
    genres : list of str
        The classes, in the order of the columns.

    Returns
    -------
    np.ndarray [shape=(row, genre), dtype=float32]
        A row of one genre holds one 1.

    Raises
    ------
    CatalogError
        If a row has a genre that is not among the classes.

    References
    ----------
    ``pandas.Series.str.get_dummies``. Notebook: 03_training, 06_beyond_the_paper.
    """
    table = genre.str.get_dummies(SEPARATOR)
    if unknown := sorted(set(table) - set(genres)):
        raise CatalogError(
            f"Every genre must be among the classes {', '.join(genres)}. Received: {', '.join(unknown)}. "
            "Take the classes from the whole catalog (labels.genres_of), or leave those tracks out."
        )
    return table.reindex(columns=genres, fill_value=0).to_numpy(np.float32)


def rarest(genre: pd.Series) -> pd.Series:
    """The one genre of each row to stratify by: the rarest of several, and on a tie the first.

    A combination of genres may occur only once, which cannot be stratified. By the rarest genre, all rows of a rare
    genre are kept in proportion, however it is combined. A genre that is never the rarest is left to chance.

    Parameters
    ----------
    genre : pd.Series
        As in a catalog: ``rock``, or ``blues|rock``.

    Returns
    -------
    pd.Series
        Unchanged if every row has one genre.

    References
    ----------
    K. Sechidis, G. Tsoumakas and I. Vlahavas, On the stratification of multi-label data (2011): they, too, place
    the rarest label first. Notebook: 06_beyond_the_paper.
    """
    names = genre.str.split(SEPARATOR)
    counts = names.explode().value_counts()
    return names.map(lambda several: min(several, key=lambda name: (counts[name], name))).astype(genre.dtype)


def of_several(genre: pd.Series) -> pd.Series:
    """Whether each row has several genres."""
    return genre.str.contains(SEPARATOR, regex=False)


def output_for(tracks: pd.DataFrame, asked: str) -> str:
    """The output layer that a network needs for a catalog's genres.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault do not count.
    asked : str
        softmax, sigmoid, or auto: sigmoid if a track has several genres, else softmax.

    Returns
    -------
    str
        softmax or sigmoid.

    Raises
    ------
    ParamsError
        If softmax, which predicts one genre, is asked for, and a track has several.

    References
    ----------
    Notebook: 03_training.
    """
    several = tracks[of_several(tracks["genre"]) & (tracks["fault"] == "")]
    if asked == AUTO:
        return "sigmoid" if len(several) else "softmax"
    if asked == "softmax" and len(several):
        first = several.iloc[0]
        raise ParamsError(
            f"{first['track_id']} has several genres ({first['genre']}; {len(several)} tracks have), and softmax "
            "predicts one. Leave output at auto, set output=sigmoid, or give each track one genre."
        )
    return asked


def about_several(tracks: pd.DataFrame) -> str:
    """How tracks of several genres are handled, in words.

    Parameters
    ----------
    tracks : pd.DataFrame
        With ``genre``, one row a track.

    Returns
    -------
    str
        "" if each has one.

    References
    ----------
    Notebook: 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper, 07_transfer.
    """
    count = int(of_several(tracks["genre"]).sum())
    if not count:
        return ""
    return (
        f"{count} of {len(tracks)} tracks have several genres. The network decides about each genre by itself "
        "(sigmoid), so its probabilities do not sum to 1. Where a metric needs one true genre, it is the likeliest of "
        "the track's own genres: a prediction is correct if it is any of them."
    )


def one_truth(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions with one true genre per row, to compare with the predicted one.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks, as ``scoring.predict`` or ``scoring.by_track`` returns them.

    Returns
    -------
    pd.DataFrame
        Unchanged if each track has one genre. A track of several gets, in all its rows, the one of them with the
        highest mean probability.

    References
    ----------
    Notebook: 04_evaluation.
    """
    several = of_several(predictions["genre"])
    if not several.any():
        return predictions
    keys = [name for name in ("track_id", "seed", "protocol") if name in predictions]
    probabilities = [name for name in predictions.columns if name.startswith("p_")]
    rows = predictions[several]
    means = rows.groupby(keys)[probabilities].transform("mean")
    genres = [name.removeprefix("p_") for name in probabilities]
    own = np.where(targets(rows["genre"], genres) > 0, means.to_numpy(float), -1.0)  # (row, genre)
    found = predictions["genre"].copy()
    found[several] = np.array(genres, dtype=object)[own.argmax(axis=1)]
    return predictions.assign(genre=found)
