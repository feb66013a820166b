"""The genres of a track in one text, ``blues|rock``, and what networks and splits make of them."""

import numpy as np
import pandas as pd

from genre_utils.errors import CatalogError

SEPARATOR = "|"


def in_order(genre: str) -> str:
    """Genres without blanks around them, in the order of the alphabet, each once; "" if one of them is empty."""
    names = sorted({name.strip() for name in genre.split(SEPARATOR)})
    return SEPARATOR.join(names) if all(names) else ""


def genres_of(tracks: pd.DataFrame) -> list[str]:
    """The genres of a catalog, each by itself.

    Parameters
    ----------
    tracks : pd.DataFrame
        With ``genre``; several of one track are separated by ``|``.

    Returns
    -------
    list of str
        In the order of the alphabet, none twice: the classes of a network.

    References
    ----------
    Notebook: 01_eda, 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper.
    """
    return sorted({label for genre in tracks["genre"].unique() for label in genre.split(SEPARATOR)})


def one_a_row(tracks: pd.DataFrame) -> pd.DataFrame:
    """The same table with one genre a row: a track of several stands there for each of them.

    Parameters
    ----------
    tracks : pd.DataFrame
        With ``genre``; several of one track are separated by ``|``.

    Returns
    -------
    pd.DataFrame
        Its genres are those of :func:`genres_of`; a track of one genre has one row, as before.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction.
    """
    return tracks.assign(genre=tracks["genre"].str.split(SEPARATOR)).explode("genre", ignore_index=True)


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
    return float(one_a_row(tracks)["genre"].value_counts().max() / len(tracks))


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
    ``pandas.Series.str.get_dummies``. Notebook: 06_beyond_the_paper.
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
