"""Figures of notebook 7: tags of a pretrained network, its embedding space, and what its features are worth."""

from pathlib import Path

import matplotlib.patheffects as effects
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter
from matplotlib.transforms import Bbox

from genre_utils.datasets import labels
from genre_utils.figures.beyond import PERCENT, POINTS, ROUND
from genre_utils.figures.style import COUNT_MAP, error_bars, finished

MARKERS = "osD^v<>PX*p"  # eleven, beside the palette's ten colours: 110 genres look different
TELLING = 0.05  # smallest probability that is written in the map of tags: others would only be noise


def tags(table: pd.DataFrame, title: str, save: Path) -> Figure:
    """The mean probability of tags by genre.

    Parameters
    ----------
    table : pd.DataFrame [index=genre, columns=tag]
        As ``embedding_space.top_tags`` returns it.
    title : str
        With data set and number of tracks.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 07_transfer.
    """
    shown = table.T  # tags have long names, which are readable beside rows
    figure, axes = plt.subplots(figsize=(3.2 + 0.72 * len(table), 2.3 + 0.33 * len(shown)))
    numbers = shown.map(lambda value: f"{100 * value:.0f}" if value >= TELLING else "")
    sns.heatmap(
        shown, annot=numbers.to_numpy(), fmt="", cmap=COUNT_MAP, vmin=0, ax=axes, linewidths=1,
        annot_kws={"size": 11}, cbar_kws={"label": "mean probability", "format": PercentFormatter(1, 0)},
    )  # fmt: skip
    axes.set(title=title, xlabel="genre of the tracks", ylabel="tag (numbers: percent)")
    axes.tick_params(length=0)
    axes.set_xticklabels(axes.get_xticklabels(), rotation=45, ha="right")
    axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
    return finished(figure, save)


def embedding_space(places: np.ndarray, shares: np.ndarray, tracks: pd.DataFrame, title: str, save: Path) -> Figure:
    """Tracks in the two main directions of their embeddings, with the name of each genre near its median.

    Parameters
    ----------
    places : np.ndarray [shape=(track, 2)]
        As ``embedding_space.projected`` returns them.
    shares : np.ndarray [shape=(2,)]
        The share of the variance along each direction, in [0, 1].
    tracks : pd.DataFrame
        A row for each of them, with ``genre``; a track of several genres is drawn once for each.
    title : str
        With data set and number of tracks.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 07_transfer.
    """
    each = labels.one_a_row(tracks[["genre"]].assign(x=places[:, 0], y=places[:, 1]))
    figure, axes = plt.subplots(figsize=(11, 7))
    colours = sns.color_palette("colorblind", 10)
    outline = [effects.withStroke(linewidth=4, foreground="white")]
    for number, (genre, own) in enumerate(each.groupby("genre")):
        colour, marker = colours[number % len(colours)], MARKERS[number % len(MARKERS)]
        size = 110 if marker in "*Xv^<>" else 70  # these have less area
        axes.scatter(
            own["x"], own["y"], s=size, color=colour, marker=marker, alpha=0.85, edgecolor="0.25", linewidth=0.6,
            label=genre,
        )  # fmt: skip
        where = (own["x"].median(), own["y"].median())
        axes.text(*where, genre, size=15, weight="bold", ha="center", va="center", path_effects=outline, zorder=3)
    axes.set(
        title=title,
        xlabel=f"first direction ({shares[0]:.0%} of the variance)",
        ylabel=f"second direction ({shares[1]:.0%})",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    figure.legend(loc="outside right upper", title="genre", fontsize="small", markerscale=1.2)
    sns.despine(figure)
    spread(figure, axes)
    return finished(figure, save)


def spread(figure: Figure, axes: plt.Axes) -> None:
    """Move texts down until none covers another, from the highest to the lowest."""
    for text in axes.texts:
        text.set_in_layout(False)  # or the axes would shrink with each move
    figure.draw_without_rendering()
    placed: list[Bbox] = []
    for text in sorted(axes.texts, key=lambda text: -text.get_position()[1]):
        box = text.get_window_extent()
        while any(box.overlaps(other) for other in placed):
            box = box.translated(0, -box.height / 8)
        placed.append(box.padded(2))  # pixels: with another resolution, letters have slightly other widths
        x, y = axes.transData.inverted().transform(((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2))
        text.set_position((x, y))


def comparison(table: pd.DataFrame, chance: float, title: str, save: Path) -> Figure:
    """Accuracy of models under each protocol, and their paired differences to the first model.

    Parameters
    ----------
    table : pd.DataFrame [index=protocol, model]
        As ``transfer_study.compare`` returns it.
    chance : float
        Accuracy of guessing, in [0, 1].
    title : str
        With data set and level.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 07_transfer.
    """
    protocols = list(table.index.get_level_values("protocol").unique())
    models = list(table.index.get_level_values("model").unique())
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 2.2 + 0.45 * len(table)), sharey=True)
    dots = {"capsize": 5, "markersize": 9, "linewidth": 2.5, "linestyle": "none"}
    step = 0.5 / len(models)  # between the models of one protocol
    for number, model in enumerate(models):
        own = table.xs(model, level="model").loc[protocols]
        places = np.arange(len(protocols)) + step * (number - (len(models) - 1) / 2)
        look = dots | {"color": sns.color_palette("colorblind")[number], "marker": "osD^"[number % 4]}
        left.errorbar(own["accuracy"], places, xerr=error_bars(own, "accuracy", "low", "high"), label=model, **look)
        if number:
            bars = error_bars(own, "difference", "difference_low", "difference_high")
            right.errorbar(own["difference"], places, xerr=bars, **look)
    left.axvline(chance, color="grey", linestyle=":", label=f"chance, {chance:.0%}")
    right.axvline(0, color="grey", linestyle=":")
    counts = table["n"].groupby(level="protocol").first()
    left.set_yticks(range(len(protocols)), [f"{name}\n{counts[name]} tests" for name in protocols])
    left.set(title="Accuracy of tracks", xlabel="accuracy, 95 % interval", ylim=(len(protocols) - 0.5, -0.5))
    right.set(title=f"Difference to {models[0]}", xlabel="percentage points, 95 % interval, same tracks")
    right.tick_params(axis="y", length=0)
    left.xaxis.set_major_formatter(PERCENT)
    right.xaxis.set_major_formatter(POINTS)
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=ROUND))
        for between in range(1, len(protocols)):
            axes.axhline(between - 0.5, color="lightgrey", linewidth=1)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
    figure.suptitle(title)
    sns.despine(figure)
    return finished(figure, save)


def learning_curve(table: pd.DataFrame, others: dict[str, float], chance: float, title: str, save: Path) -> Figure:
    """Accuracy of test tracks by the number of training tracks.

    Parameters
    ----------
    table : pd.DataFrame
        As ``learning_curve.table`` returns it.
    others : dict of str to float
        Accuracies of other models with all tracks, in [0, 1]: a horizontal line each.
    chance : float
        Accuracy of guessing, in [0, 1].
    title : str
        With data set, protocol and number of tracks.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 07_transfer.
    """
    figure, axes = plt.subplots(figsize=(9, 5))
    sizes = table["tracks_per_genre"]
    axes.errorbar(
        sizes, table["accuracy"], yerr=error_bars(table, "accuracy", "low", "high"), marker="o", markersize=8,
        capsize=5, linewidth=2.5, label="probe, 95 % interval",
    )  # fmt: skip
    for number, (name, value) in enumerate(others.items(), 1):
        colour = sns.color_palette("colorblind")[number]
        axes.axhline(value, color=colour, linestyle=["-.", "--"][number % 2], linewidth=2, label=name)
    axes.axhline(chance, color="grey", linestyle=":", label=f"chance, {chance:.0%}")
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.set(title=title, xlabel="training tracks per genre, at most (the last: all)", ylabel="accuracy of tracks")
    axes.set_ylim(0, 1.03)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize="small", loc="best")
    sns.despine(figure)
    return finished(figure, save)
