"""The content of a data set in words: tracks per genre, and what is wrong with the files left out."""

import pandas as pd

from genre_utils.datasets import labels
from genre_utils.errors import NAMED, by_reason
from genre_utils.paths import CACHE
from genre_utils.system import disk


def usable(tracks: pd.DataFrame) -> pd.DataFrame:
    """The tracks without a fault.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.

    Returns
    -------
    pd.DataFrame
        Fewer rows, same columns.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction, 03_training, 04_evaluation, 05_honest_splits, 06_beyond_the_paper.
    """
    return tracks[tracks["fault"] == ""].reset_index(drop=True)


def faults(tracks: pd.DataFrame) -> pd.DataFrame:
    """The tracks that cannot be used and are left out, and why.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.

    Returns
    -------
    pd.DataFrame [columns=track_id, genre, fault]
        Empty if every track is usable.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction, 05_honest_splits.
    """
    return tracks.loc[tracks["fault"] != "", ["track_id", "genre", "fault"]].reset_index(drop=True)


def summary(tracks: pd.DataFrame) -> str:
    """Number of tracks per genre, and of tracks left out, in one line."""
    counts = labels.one_a_row(tracks)["genre"].value_counts().sort_index()
    genres = ", ".join(f"{genre} {count}" for genre, count in counts.items())
    return f"{len(tracks)} tracks ({genres}), {len(faults(tracks))} with an error"


def print_contents(tracks: pd.DataFrame) -> None:
    """Print the content of a data set; a list of errors too long for a screen is written to a file."""
    print(labels.one_a_row(tracks)["genre"].value_counts().sort_index().to_string())
    several = labels.of_several(tracks["genre"]).sum()
    left_out, whole = faults(tracks), CACHE / "left_out.csv"
    if len(left_out) > NAMED:
        with disk.replacing(whole) as beside:
            left_out.to_csv(beside, index=False)
    counted = f", {several} with several genres, counted in each" if several else ""
    print(f"{len(tracks)} tracks{counted}, {len(left_out)} with an error")
    for line in by_reason(left_out["track_id"], left_out["fault"], whole):
        print(f"  {line}")
