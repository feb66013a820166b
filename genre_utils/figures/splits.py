"""Figures of splits: tracks by split, leaks between splits, and the accuracy of each protocol."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator, PercentFormatter

from genre_utils.evaluation import artist_curve, protocol_study
from genre_utils.figures.style import error_bars, finished
from genre_utils.params import SPLITS
from genre_utils.splits import leaks


def split_counts(counts: pd.DataFrame, title: str, save: Path) -> Figure:
    """Number of tracks by genre and split.

    Parameters
    ----------
    counts : pd.DataFrame [index=genre, columns=split]
        Counts of tracks.
    title : str
        With the protocol.
    save : Path
        A .png file.

    References
    ----------
    Paper, II.B.5. Notebook: 03_training.
    """
    figure, axes = plt.subplots(figsize=(8, 4))
    counts.plot.barh(stacked=True, ax=axes, width=0.8, color=sns.color_palette("colorblind", 3))
    for bars in axes.containers:
        axes.bar_label(bars, label_type="center", color="white")  # type: ignore[arg-type]
    axes.set(title=f"Tracks in each split\n{title}", xlabel="tracks", ylabel="")
    axes.invert_yaxis()
    axes.legend(title="", loc="center left", bbox_to_anchor=(1, 0.5))
    sns.despine(figure)
    return finished(figure, save)


def by_protocol(planned: list[protocol_study.Trial], tracks: pd.DataFrame, title: str, save: Path) -> Figure:
    """The split of each segment of some tracks under each protocol: one row per track, sorted by artist.

    Parameters
    ----------
    planned : list of Trial
        One per protocol.
    tracks : pd.DataFrame
        Up to about twenty tracks of the catalog, in the order in which they are shown.
    title : str
        With a description of the tracks.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 05_honest_splits.
    """
    colours = [(0.93, 0.93, 0.93), *sns.color_palette("colorblind", len(SPLITS))]
    height = 1.6 + 0.27 * len(tracks)
    figure, panels = plt.subplots(1, len(planned), figsize=(3.1 * len(planned) + 2, height), sharey=True, squeeze=False)
    code = {split: number for number, split in enumerate(SPLITS, start=1)}
    for axes, trial in zip(panels[0], planned, strict=True):
        grid = trial.assignment.assign(code=trial.assignment["split"].map(code))
        grid = grid.pivot_table(index="track_id", columns="segment", values="code").reindex(tracks["track_id"])
        axes.pcolormesh(
            grid.fillna(0), cmap=ListedColormap(colours), vmin=-0.5, vmax=3.5, edgecolors="white", linewidth=1
        )
        axes.set(title=trial.protocol, xlabel="segment", xticks=np.arange(grid.shape[1]) + 0.5)
        axes.set_xticklabels(grid.columns)
        axes.tick_params(length=0)
    names = tracks["artist"].where(tracks["artist"] != "", "(unknown)")
    panels[0][0].set_yticks(np.arange(len(tracks)) + 0.5, names)
    panels[0][0].invert_yaxis()
    patches = [Patch(color=colour, label=name) for colour, name in zip(colours, ("not used", *SPLITS), strict=True)]
    figure.legend(handles=patches, loc="outside right center")
    figure.suptitle(title)
    return finished(figure, save)


def protocols(table: pd.DataFrame, chance: float, title: str, save: Path) -> Figure:
    """Accuracy of each protocol with its interval, and the share of test tracks with a leak from training.

    Parameters
    ----------
    table : pd.DataFrame [index=protocol]
        As ``protocol_study.summary`` returns it.
    chance : float
        Accuracy of guessing, in [0, 1].
    title : str
        With data set, network and number of training tracks.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 05_honest_splits.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 1.9 + 0.75 * len(table)), sharey=True, width_ratios=(1.25, 1)
    )
    places = np.arange(len(table)) + 0.5
    for level, marker, shift in (("segment", "o", -0.12), ("track", "D", 0.12)):
        bars = error_bars(table, level, f"{level}_low", f"{level}_high")
        left.errorbar(
            table[level], places + shift, xerr=bars, fmt=marker, capsize=5, markersize=8, linewidth=2.5,
            label=f"by {level}",
        )  # fmt: skip
    left.axvline(chance, color="grey", linestyle=":", label=f"chance: {chance:.0%}")
    left.set(
        title="Accuracy on the test split",
        xlabel=f"accuracy, 95 % interval over {table['resampled_by'].iloc[0]}s",
        xlim=(0, 1.02),
    )
    left.xaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=3, fontsize="small")
    left.grid(axis="x", alpha=0.3)
    shares = table[[kind for kind in leaks.KINDS if table[kind].notna().any()]].astype(float)
    sns.heatmap(
        shares, annot=True, fmt=".0%", cmap="OrRd", vmin=0, vmax=1, cbar=False, ax=right, linewidths=1,
        annot_kws={"size": 13},
    )  # fmt: skip
    right.set(title="Share of test tracks with a leak from training", xlabel="", ylabel="")
    right.tick_params(length=0)
    names = [
        f"{'LEAKY: no valid estimate' if name == 'leaky' else name}\n{row.test_tracks} test tracks"
        for name, row in table.iterrows()
    ]
    left.set_yticks(places, names)
    left.set_ylim(len(table), 0)
    for label, name in zip(left.get_yticklabels(), table.index, strict=True):
        label.set_color("#b30000" if name == "leaky" else "black")
    figure.suptitle(title)
    return finished(figure, save)


def artists(table: pd.DataFrame, chance: float, title: str, save: Path) -> Figure:
    """Accuracy on unknown artists for as many training tracks of few and of many artists.

    Parameters
    ----------
    table : pd.DataFrame
        As ``artist_curve.table`` returns it.
    chance : float
        Accuracy of guessing, in [0, 1].
    title : str
        With data set, classifier and number of test tracks.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 05_honest_splits.
    """
    figure, axes = plt.subplots(figsize=(9, 5))
    for which, marker, shift, side in ((artist_curve.FEW, "s", 0.98, -1), (artist_curve.MANY, "o", 1.02, 1)):
        own = table[table["which"] == which]
        bars = error_bars(own, "accuracy", "low", "high")
        drawn = axes.errorbar(
            own["per_genre"] * shift, own["accuracy"], yerr=bars, marker=marker, markersize=8, capsize=5, linewidth=2.5,
            label=f"of {which}",
        )  # fmt: skip
        for row in own.itertuples():
            axes.annotate(
                f"{row.artists:.1f}", (row.per_genre * shift, row.accuracy), ha="left" if side > 0 else "right",
                xytext=(8 * side, -4 + 10 * side), textcoords="offset points", fontsize="small",
                color=drawn[0].get_color(),
            )  # fmt: skip
    axes.axhline(chance, color="grey", linestyle=":", label=f"chance, {chance:.0%}")
    axes.set_xscale("log", base=2)
    sizes = table["per_genre"].unique()
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
    label = "training tracks per genre, at most; beside each point: their artists per genre, in the mean"
    axes.set(title=title, xlabel=label, ylabel="accuracy of tracks", ylim=(0, 1.03))
    axes.margins(x=0.12)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize="small", loc="best")
    sns.despine(figure)
    return finished(figure, save)
