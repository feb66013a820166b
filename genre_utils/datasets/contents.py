"""What is in a data set, for a reader: how many tracks of which genre, and what is wrong with the others."""

import pandas as pd

from genre_utils.datasets import catalog, labels
from genre_utils.errors import NAMED, by_reason
from genre_utils.paths import CACHE
from genre_utils.system import disk


def summary(tracks: pd.DataFrame) -> str:
    """How many tracks of which genre, and how many of all have a fault, in a line."""
    counts = labels.one_a_row(tracks)["genre"].value_counts().sort_index()
    told = ", ".join(f"{genre} {count}" for genre, count in counts.items())
    return f"{len(tracks)} tracks ({told}), {len(catalog.faults(tracks))} with a fault"


def print_contents(tracks: pd.DataFrame) -> None:
    """Print what is in a data set; a list of errors that would not fit a screen goes into a file."""
    print(labels.one_a_row(tracks)["genre"].value_counts().sort_index().to_string())
    several = tracks["genre"].str.contains(labels.SEPARATOR, regex=False).sum()
    faults, whole = catalog.faults(tracks), CACHE / "left_out.csv"
    if len(faults) > NAMED:
        with disk.replacing(whole) as beside:
            faults.to_csv(beside, index=False)
    counted = f", {several} of several genres, counted under each" if several else ""
    print(f"{len(tracks)} tracks{counted}, {len(faults)} with a fault")
    for line in by_reason(faults["track_id"], faults["fault"], whole):
        print(f"  {line}")
