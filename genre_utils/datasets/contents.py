"""The content of a data set in words: tracks per genre, and what is wrong with the files left out."""

import pandas as pd

from genre_utils.datasets import catalog, labels
from genre_utils.errors import NAMED, by_reason
from genre_utils.paths import CACHE
from genre_utils.system import disk


def summary(tracks: pd.DataFrame) -> str:
    """Number of tracks per genre, and of tracks left out, in one line."""
    counts = labels.one_a_row(tracks)["genre"].value_counts().sort_index()
    genres = ", ".join(f"{genre} {count}" for genre, count in counts.items())
    return f"{len(tracks)} tracks ({genres}), {len(catalog.faults(tracks))} with an error"


def print_contents(tracks: pd.DataFrame) -> None:
    """Print the content of a data set; a list of errors too long for a screen is written to a file."""
    print(labels.one_a_row(tracks)["genre"].value_counts().sort_index().to_string())
    several = labels.of_several(tracks["genre"]).sum()
    faults, whole = catalog.faults(tracks), CACHE / "left_out.csv"
    if len(faults) > NAMED:
        with disk.replacing(whole) as beside:
            faults.to_csv(beside, index=False)
    counted = f", {several} with several genres, counted in each" if several else ""
    print(f"{len(tracks)} tracks{counted}, {len(faults)} with an error")
    for line in by_reason(faults["track_id"], faults["fault"], whole):
        print(f"  {line}")
