"""The figures of what goes beyond the paper: where networks listen, and what each addition is worth."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from genre_utils.figures.eda import draw_log_mel, finished, mel_axis
from genre_utils.params import Params

# From clear to orange over a grey log-mel: the sound stays to be seen, and no hue is needed to tell the two apart.
HEAT_MAP = LinearSegmentedColormap.from_list("heat", [(1.0, 0.45, 0.0, 0.0), (1.0, 0.45, 0.0, 0.85)])

ROUND = (1, 2, 5, 10)  # steps of 2.5 would need a decimal
PERCENT = FuncFormatter(lambda value, _: f"{100 * value:.3g}%")
POINTS = FuncFormatter(lambda value, _: f"{100 * value:+.3g}" if value else "0")


def listening(decibels: np.ndarray, maps: dict[str, np.ndarray], params: Params, title: str, save: Path) -> Figure:
    """Where networks listen: a log-mel, the heat of each over it, and weights of attention along it.

    Parameters
    ----------
    decibels : np.ndarray [shape=(mel, frame)]
        What they were given.
    maps : dict of str to np.ndarray [shape=(mel, frame) or (frame,)]
        Title of a panel, and a heat in [0, 1] as ``attribution.grad_cam`` gives it or weights as
        ``attribution.attention_weights`` gives them. Each gets a panel, in this order.
    params : Params
        The features.
    title : str
        Says which segment it is, and its genre.
    save : Path
        A .png file.

    Returns
    -------
    Figure

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
            axes.axhline(values[values > 0].mean(), color="black", linestyle="--", label="the same everywhere")
            axes.set(ylabel="weight", ylim=(0, None))
            axes.legend(loc="upper right", fontsize="small")
    panels[-1].set_xlabel("time (s)")
    figure.suptitle(title)
    return finished(figure, save)


def ablation(table: pd.DataFrame, title: str, save: Path) -> Figure:
    """What each variant reaches, and how far it is from the first one on the same tracks.

    Parameters
    ----------
    table : pd.DataFrame [index=variant]
        ``accuracy, low, high`` and, for the paired difference to the first row, ``difference, difference_low,
        difference_high``, all in [-1, 1]; ``seconds`` that it took. The differences of the first row are not read.
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
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 1.9 + 0.42 * len(table)), sharey=True)
    blue, orange = sns.color_palette("colorblind")[0], sns.color_palette("colorblind")[3]
    places = np.arange(len(table))
    dots = {"fmt": "o", "capsize": 5, "markersize": 8, "linewidth": 2.5}
    left.errorbar(table["accuracy"], places, xerr=arms(table, "accuracy", "low", "high"), color=blue, **dots)
    left.axvline(table["accuracy"].iloc[0], color="grey", linestyle=":")
    left.set(title="Right", xlabel="accuracy, 95 % interval")
    left.set_yticks(places, table.index)

    others = table.iloc[1:]
    sure = (others["difference_low"] > 0) | (others["difference_high"] < 0)
    none = others["difference_low"].isna()
    kinds = [
        (sure, orange, orange, "the interval excludes 0"),
        (~sure & ~none, "grey", "white", "the interval holds 0"),
        (none, "grey", "grey", "no interval: too few tracks, or all alike"),
    ]
    for chosen, color, filled, label in kinds if none.any() else kinds[:2]:
        part = others[chosen]
        bars = arms(part, "difference", "difference_low", "difference_high")
        right.errorbar(
            part["difference"], places[1:][chosen], xerr=bars, color=color, markerfacecolor=filled, label=label, **dots
        )
    right.axvline(0, color="grey", linestyle=":")
    right.set(title=f"Difference to {table.index[0]}, same tracks", xlabel="points, 95 % interval")
    right.xaxis.set_major_formatter(POINTS)
    right.tick_params(axis="y", length=0)
    left.xaxis.set_major_formatter(PERCENT)
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=ROUND))
    seconds_axis(right, table["seconds"], "time spent")
    left.set_ylim(len(table) - 0.5, -0.5)
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=3, fontsize="small")
    figure.suptitle(title)
    sns.despine(figure)
    return finished(figure, save)


def gains(table: pd.DataFrame, title: str, save: Path) -> Figure:
    """What each further member of an ensemble adds, and the time that all of them cost.

    Parameters
    ----------
    table : pd.DataFrame [index=member]
        In the order in which they are added: ``accuracy, low, high`` of all up to this one, in [0, 1], and the
        ``seconds`` that all of them took.
    title : str
        Says data set, protocol, level and number of rows.
    save : Path
        A .png file.

    Returns
    -------
    Figure

    References
    ----------
    Paper, IV.3. Notebook: 06_beyond_the_paper.
    """
    figure, axes = plt.subplots(figsize=(9, 1.9 + 0.5 * len(table)))
    places = np.arange(len(table))
    axes.plot(table["accuracy"], places, color="lightgrey", linewidth=3)
    bars = arms(table, "accuracy", "low", "high")
    axes.errorbar(table["accuracy"], places, xerr=bars, fmt="o", capsize=5, markersize=9, linewidth=2.5)
    axes.set(xlabel="accuracy, 95 % interval", ylabel="members", ylim=(len(table) - 0.5, -0.5))
    axes.set_yticks(places, [f"{'+ ' if place else ''}{name}" for place, name in enumerate(table.index)])
    axes.xaxis.set_major_formatter(PERCENT)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=ROUND))
    axes.grid(axis="x", alpha=0.3)
    seconds_axis(axes, table["seconds"], "seconds spent, all up to this one")
    figure.suptitle(title)
    sns.despine(figure)
    return finished(figure, save)


def seconds_axis(axes: plt.Axes, seconds: pd.Series, label: str) -> None:
    """Write at the right of each row how long it took."""
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(np.arange(len(seconds)), [f"{value:,.0f} s" for value in seconds])
    beside.tick_params(length=0)
    beside.spines["right"].set_visible(False)
    beside.set_ylabel(label, labelpad=8)


def arms(table: pd.DataFrame, value: str, low: str, high: str) -> list[pd.Series]:
    """How far an interval reaches below and above its value, as Matplotlib wants it."""
    return [table[value] - table[low], table[high] - table[value]]
