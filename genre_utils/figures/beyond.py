"""Figures of notebook 6: attribution maps, the effect of each addition, and tracks of several genres."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from genre_utils.figures.style import draw_log_mel, error_bars, finished, mel_axis
from genre_utils.params import Params

# From transparent to orange over a grey log-mel, which stays visible; readable without seeing colours.
HEAT_MAP = LinearSegmentedColormap.from_list("heat", [(1.0, 0.45, 0.0, 0.0), (1.0, 0.45, 0.0, 0.85)])

ROUND = (1, 2, 5, 10)  # steps of 2.5 would need a decimal
PERCENT = FuncFormatter(lambda value, _: f"{100 * value:.3g}%")
POINTS = FuncFormatter(lambda value, _: f"{100 * value:+.3g}" if value else "0")


def attribution(decibels: np.ndarray, maps: dict[str, np.ndarray], params: Params, title: str, save: Path) -> Figure:
    """A log-mel, and below it Grad-CAM heat maps and attention weights of some networks.

    Parameters
    ----------
    decibels : np.ndarray [shape=(mel, frame)]
        The input of the networks.
    maps : dict of str to np.ndarray [shape=(mel, frame) or (frame,)]
        For each panel, in this order, its title and a heat map in [0, 1] as ``attribution.grad_cam`` returns it, or
        weights as ``attribution.attention_weights`` returns them.
    params : Params
        The features.
    title : str
        With the segment and its genre.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    heights = [1.0] + [1.0 if values.ndim == 2 else 0.6 for values in maps.values()]
    figure, grid = plt.subplots(
        len(heights), 1, figsize=(10, 0.9 + 2.1 * sum(heights)), sharex=True, squeeze=False, height_ratios=heights
    )
    panels = grid[:, 0]
    figure.colorbar(draw_log_mel(panels[0], decibels, params), ax=panels[0], label="dB below max.")
    panels[0].set(title="log-mel", ylabel="frequency (Hz)")
    left, right, bottom, top = panels[0].images[0].get_extent()
    place = {"aspect": "auto", "origin": "lower", "extent": (left, right, bottom, top)}
    for axes, (name, values) in zip(panels[1:], maps.items(), strict=True):
        axes.set_title(name)
        if values.ndim == 2:
            axes.imshow(decibels, cmap="gray", vmin=-params.top_db, vmax=0, interpolation="nearest", **place)
            heat = axes.imshow(values, cmap=HEAT_MAP, vmin=0, vmax=1, **place)
            figure.colorbar(heat, ax=axes, label="heat")
            mel_axis(axes, params)
            axes.set_ylabel("frequency (Hz)")
        else:
            axes.stairs(values, np.linspace(left, right, len(values) + 1), fill=True)
            axes.axhline(values[values > 0].mean(), color="black", linestyle="--", label="equal weights")
            axes.set(ylabel="weight", ylim=(0, None))
            axes.legend(loc="upper right", fontsize="small")
    panels[-1].set_xlabel("time (s)")
    figure.suptitle(title)
    return finished(figure, save)


def ablation(table: pd.DataFrame, title: str, save: Path) -> Figure:
    """Accuracy of each variant, and its paired difference to the first variant.

    Parameters
    ----------
    table : pd.DataFrame [index=variant]
        ``accuracy, low, high`` and, for the paired difference to the first row, ``difference, difference_low,
        difference_high``, all in [-1, 1]; ``seconds`` of training, if known. The differences of the first row are not
        used.
    title : str
        With data set, protocol, level and number of rows.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 06_beyond_the_paper, 07_transfer.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 1.9 + 0.42 * len(table)), sharey=True)
    blue, orange = sns.color_palette("colorblind")[0], sns.color_palette("colorblind")[3]
    places = np.arange(len(table))
    dots = {"fmt": "o", "capsize": 5, "markersize": 8, "linewidth": 2.5}
    left.errorbar(table["accuracy"], places, xerr=error_bars(table, "accuracy", "low", "high"), color=blue, **dots)
    left.axvline(table["accuracy"].iloc[0], color="grey", linestyle=":")
    left.set(title="Accuracy", xlabel="accuracy, 95 % interval")
    left.set_yticks(places, table.index)

    others = table.iloc[1:]
    sure = (others["difference_low"] > 0) | (others["difference_high"] < 0)
    none = others["difference_low"].isna()
    kinds = [
        (sure, orange, orange, "the interval excludes 0"),
        (~sure & ~none, "grey", "white", "the interval includes 0"),
        (none, "grey", "grey", "no interval: too few tracks, or all have the same difference"),
    ]
    for chosen, color, filled, label in kinds if none.any() else kinds[:2]:
        part = others[chosen]
        bars = error_bars(part, "difference", "difference_low", "difference_high")
        right.errorbar(
            part["difference"], places[1:][chosen], xerr=bars, color=color, markerfacecolor=filled, label=label, **dots
        )
    right.axvline(0, color="grey", linestyle=":")
    right.set(title=f"Difference to {table.index[0]}, same tracks", xlabel="percentage points, 95 % interval")
    right.xaxis.set_major_formatter(POINTS)
    right.tick_params(axis="y", length=0)
    left.xaxis.set_major_formatter(PERCENT)
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=ROUND))
    if "seconds" in table:
        seconds_axis(right, table["seconds"], "training time")
    left.set_ylim(len(table) - 0.5, -0.5)
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=3, fontsize="small")
    figure.suptitle(title)
    sns.despine(figure)
    return finished(figure, save)


def gains(table: pd.DataFrame, title: str, save: Path) -> Figure:
    """Accuracy of an ensemble after each added member, and the training time so far.

    Parameters
    ----------
    table : pd.DataFrame [index=member]
        In the order in which they are added: ``accuracy, low, high`` of the ensemble up to this member, in [0, 1],
        and the ``seconds`` of training of all of them.
    title : str
        With data set, protocol, level and number of rows.
    save : Path
        A .png file.

    References
    ----------
    Paper, IV.3. Notebook: 06_beyond_the_paper.
    """
    figure, axes = plt.subplots(figsize=(9, 1.9 + 0.5 * len(table)))
    places = np.arange(len(table))
    axes.plot(table["accuracy"], places, color="lightgrey", linewidth=3)
    bars = error_bars(table, "accuracy", "low", "high")
    axes.errorbar(table["accuracy"], places, xerr=bars, fmt="o", capsize=5, markersize=9, linewidth=2.5)
    axes.set(xlabel="accuracy, 95 % interval", ylabel="members", ylim=(len(table) - 0.5, -0.5))
    axes.set_yticks(places, [f"{'+ ' if place else ''}{name}" for place, name in enumerate(table.index)])
    axes.xaxis.set_major_formatter(PERCENT)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=ROUND))
    axes.grid(axis="x", alpha=0.3)
    seconds_axis(axes, table["seconds"], "training time up to this member")
    figure.suptitle(title)
    sns.despine(figure)
    return finished(figure, save)


def seconds_axis(axes: plt.Axes, seconds: pd.Series, label: str) -> None:
    """Write the time of each row on the right side."""
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(np.arange(len(seconds)), [f"{value:,.0f} s" for value in seconds])
    beside.tick_params(length=0)
    beside.spines["right"].set_visible(False)
    beside.set_ylabel(label, labelpad=8)


def multilabel(table: pd.DataFrame, title: str, save: Path) -> Figure:
    """Average precision, precision and recall of each genre, and its threshold, for tracks of several genres.

    Parameters
    ----------
    table : pd.DataFrame [index=genre, columns=support, threshold, average_precision, precision, recall, f1]
        As ``multilabel.table`` returns it; genres without rows are marked.
    title : str
        With data set, protocol, level and number of rows.
    save : Path
        A .png file.

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
    # At different heights, so that equal values do not cover each other.
    for column, marker, above in (("precision", "<", 0.25), ("recall", ">", 0), ("average_precision", "D", -0.25)):
        left.plot(rows[column], places + above, marker, markersize=7, label=column.replace("_", " "))
    left.set_yticks(places, names)
    left.set(title="Ranking and decisions", xlabel="value", ylabel="genre (number of rows)", xlim=(-0.03, 1.03))
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, frameon=False)
    right.hlines(places, 0, rows["threshold"], color="lightgrey", linewidth=3)
    right.plot(rows["threshold"], places, "o", markersize=9, color="black")
    right.axvline(0.5, color="grey", linestyle=":", label="0.5: yes and no are equally probable")
    right.set(title="Threshold from validation", xlabel="smallest probability for a yes", xlim=(-0.03, 1.03))
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
    sns.despine(figure)
    return finished(figure, save)
