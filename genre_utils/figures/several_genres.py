"""The figure of several genres a track."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from genre_utils.figures.eda import finished


def by_genre(table: pd.DataFrame, title: str, save: Path) -> Figure:
    """How well each genre is ranked, and what its threshold makes of that.

    Parameters
    ----------
    table : pd.DataFrame [index=genre, columns=support, threshold, average_precision, precision, recall, f1]
        As ``multilabel.table`` returns it; genres without rows are named as such.
    title : str
        Says data set, protocol, level and number of rows.
    save : Path
        A .png file.

    Returns
    -------
    Figure

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    rows = table.sort_values("average_precision", na_position="first")
    names = [f"{genre} ({support})" if support else f"{genre} (no rows)" for genre, support in rows["support"].items()]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.2), sharey=True, width_ratios=(3, 2))
    figure.suptitle(title)
    places = np.arange(len(rows))
    left.hlines(places[1:] - 0.5, -0.03, 1.03, color="lightgrey", linewidth=1)
    # One above the other: where two are the same, both are to be seen.
    for column, marker, above in (("precision", "<", 0.25), ("recall", ">", 0), ("average_precision", "D", -0.25)):
        left.plot(rows[column], places + above, marker, markersize=7, label=column.replace("_", " "))
    left.set_yticks(places, names)
    left.set(title="Ranked and decided", xlabel="share", ylabel="genre (rows of it)", xlim=(-0.03, 1.03))
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, frameon=False)
    right.hlines(places, 0, rows["threshold"], color="lightgrey", linewidth=3)
    right.plot(rows["threshold"], places, "o", markersize=9, color="black")
    right.axvline(0.5, color="grey", linestyle=":", label="0.5, yes as likely as no")
    right.set(title="Threshold, from validation", xlabel="probability from which it is called", xlim=(-0.03, 1.03))
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
    sns.despine(figure)
    return finished(figure, save)
