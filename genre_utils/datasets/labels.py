"""The genres of a track in one text, ``blues|rock``, and what networks and splits make of them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

from genre_utils.errors import CatalogError, ParamsError, listed, warn
from genre_utils.params import unknown_name

SEPARATOR = "|"
AUTO = "auto"  # the output that a catalog needs
SIDE_OF = {
    "train": r"tr|train|training",
    "validation": r"val|valid|validation|dev|devel|development|cv",
    "test": r"te|test|testing|tst|eval|evaluation|holdout",
}
SIDE_NAME = r"(?:{})(?:set|data|split|audio|wavs?|songs|tracks|files)?"


def key(name: str) -> str:
    """What two spellings of one genre have in common, whatever their case, blanks and Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def letters(name: str) -> str:
    """The letters and digits of a name alone: what Hip-Hop and hip hop have in common, which may be one genre."""
    return "".join(filter(str.isalnum, key(name)))


def side_of(name: str) -> str:
    """The side of a split that a folder's or a list's name says: train, validation, test, or ""."""
    plain = letters(name)
    return next((side for side, names in SIDE_OF.items() if re.fullmatch(SIDE_NAME.format(names), plain)), "")


def in_order(genre: str) -> str:
    """Genres without blanks around them, in the order of the alphabet, each once; "" if one of them is empty."""
    names = sorted({" ".join(unicodedata.normalize("NFC", name).split()) for name in genre.split(SEPARATOR)})
    return SEPARATOR.join(names) if all(names) else ""


def unified(genres: Iterable[str]) -> tuple[list[str], list[str]]:
    """The same genres, each in one spelling: the most frequent one, of equally frequent ones the last by code point.

    Parameters
    ----------
    genres : iterable of str
        One a track: ``rock``, or ``blues|rock``. Names that differ in case, blanks and Unicode form are one.

    Returns
    -------
    genres : list of str
        As many, in order.
    notes : list of str
        What has become one, and what differs in signs alone and has not.
    """
    every = [genre.split(SEPARATOR) for genre in genres]
    counts = Counter(name for names in every for name in names)
    spellings: dict[str, list[str]] = {}
    for name in sorted(counts, key=lambda name: (counts[name], name), reverse=True):
        spellings.setdefault(key(name), []).append(name)
    joined = [SEPARATOR.join(sorted({spellings[key(name)][0] for name in names})) for names in every]
    notes = []
    for first, *others in spellings.values():
        if others:
            told = ", ".join(f"{name!r} {counts[name]}" for name in (first, *others))
            notes.append(f"One genre in several spellings is read as {first!r}: {told}.")
    alike: dict[str, list[str]] = {}
    for first, *_ in spellings.values():
        alike.setdefault(letters(first) or first, []).append(first)
    notes += [
        f"{' and '.join(map(repr, names))} differ in signs alone and are taken for {len(names)} genres. Give them one "
        "name if they are one."
        for names in alike.values()
        if len(names) > 1
    ]
    return joined, notes


def genres_of(tracks: pd.DataFrame) -> list[str]:
    """The genres of a catalog, each by itself.

    Parameters
    ----------
    tracks : pd.DataFrame
        With ``genre``; several of one track are separated by ``|``; "" is a track of which none is known.

    Returns
    -------
    list of str
        In the order of the alphabet, none twice: the classes of a network.

    References
    ----------
    Notebook: 01_eda, 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper.
    """
    return sorted({label for genre in tracks["genre"].unique() for label in genre.split(SEPARATOR) if label})


def without(tracks: pd.DataFrame, names: str) -> pd.DataFrame:
    """A catalog without some genres; a track of several stays with those that are left.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.
    names : str
        Genres, separated by ``|``, or by commas where that is no genre's name; "" is none.

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
        Of how many tracks are left out.
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
    left = tracks["genre"].map(lambda g: SEPARATOR.join(name for name in g.split(SEPARATOR) if name not in gone))
    dropped = (left == "") & (tracks["genre"] != "")
    warn(f"{dropped.sum()} of {len(tracks)} tracks are left out by exclude_genres: {listed(sorted(gone))}.")
    return tracks.assign(genre=left)[~dropped].reset_index(drop=True)


def one_a_row(tracks: pd.DataFrame) -> pd.DataFrame:
    """The same table with one genre a row: a track of several stands there for each of them.

    Parameters
    ----------
    tracks : pd.DataFrame
        With ``genre``; several of one track are separated by ``|``.

    Returns
    -------
    pd.DataFrame
        Its genres are those of :func:`genres_of`; a track of one genre has one row, as before, one of none has none.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction, 03_training, 05_honest_splits.
    """
    known = tracks[tracks["genre"] != ""]
    return known.assign(genre=known["genre"].str.split(SEPARATOR)).explode("genre", ignore_index=True)


def chance(tracks: pd.DataFrame) -> float:
    """How often one is right, in [0, 1], who always guesses the most frequent genre and has not listened.

    Parameters
    ----------
    tracks : pd.DataFrame
        With ``genre``; of a track of several, each is right.

    Returns
    -------
    float
        One in as many as there are genres, where all are equally frequent and each track is of one.

    References
    ----------
    Notebook: 01_eda, 05_honest_splits.
    """
    return float(one_a_row(tracks)["genre"].value_counts().max() / (tracks["genre"] != "").sum())


def targets(genre: pd.Series, genres: list[str]) -> np.ndarray:
    """Which genres a row is of, as 0 and 1: what a network with a yes or no for each genre learns.

    Parameters
    ----------
    genre : pd.Series
        As in a catalog: ``rock``, or ``blues|rock``.
    genres : list of str
        The classes, in the order of the columns.

    Returns
    -------
    np.ndarray [shape=(row, genre), dtype=float32]
        One 1 in a row of one genre.

    Raises
    ------
    CatalogError
        If a row is of a genre that is not among the classes.

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
    """The one genre by which each row is stratified: of several the rarest, of equally rare ones the first.

    A combination of genres may occur once, and then cannot be on three sides; but of a rare genre all rows are
    kept in proportion, however it is combined. A genre that is never the rarest is left to chance in so far.

    Parameters
    ----------
    genre : pd.Series
        As in a catalog: ``rock``, or ``blues|rock``.

    Returns
    -------
    pd.Series
        The same where every row is of one genre.

    References
    ----------
    K. Sechidis, G. Tsoumakas and I. Vlahavas, On the stratification of multi-label data (2011): they, too, place
    the rarest label first. Notebook: 06_beyond_the_paper.
    """
    names = genre.str.split(SEPARATOR)
    counts = names.explode().value_counts()
    return names.map(lambda several: min(several, key=lambda name: (counts[name], name))).astype(genre.dtype)


def of_several(genre: pd.Series) -> pd.Series:
    """Whether a row is of several genres."""
    return genre.str.contains(SEPARATOR, regex=False)


def output_for(tracks: pd.DataFrame, asked: str) -> str:
    """The output that a network needs to learn a catalog's genres.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault do not count.
    asked : str
        softmax, sigmoid, or auto: sigmoid, a yes or no for each genre, if a track has several.

    Returns
    -------
    str
        softmax or sigmoid.

    Raises
    ------
    ParamsError
        If a track has several genres and softmax, which gives one answer, is asked for.

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
            f"{first['track_id']} has several genres ({first['genre']}; {len(several)} tracks have), and softmax gives "
            "one answer. Leave output at auto, set output=sigmoid, or give each track one genre."
        )
    return asked


def about_several(tracks: pd.DataFrame) -> str:
    """What tracks of several genres change, in a sentence.

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
    Notebook: 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper.
    """
    count = int(of_several(tracks["genre"]).sum())
    if not count:
        return ""
    return (
        f"{count} of {len(tracks)} tracks are of several genres. The network says yes or no to each (sigmoid), so that "
        "its probabilities do not sum to 1. Where one answer is compared with one truth, such a track stands for "
        "the one of its genres that the network finds likeliest: it is right if the called genre is any of them."
    )


def one_truth(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions with one genre a row, to be compared with the one that is called.

    Parameters
    ----------
    predictions : pd.DataFrame
        Rows of segments or of tracks, as ``scoring.predict`` or ``scoring.by_track`` returns them.

    Returns
    -------
    pd.DataFrame
        The same where each track is of one genre. A track of several, with all its segments, stands for the one of
        them that is likeliest in the mean of its rows.

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
