"""Figures of training and evaluation, of notebooks 3 and 4."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator, PercentFormatter

from genre_utils.errors import AudioError
from genre_utils.evaluation import scoring, uncertainty
from genre_utils.figures.style import COUNT_MAP, finished
from genre_utils.params import Params


def curves(history: pd.DataFrame, title: str, save: Path) -> Figure:
    """Training curves: loss, accuracy and learning rate by epoch; of probes, the accuracy of each.

    Parameters
    ----------
    history : pd.DataFrame
        As ``trainer.train`` returns it.
    title : str
        With the protocol.
    save : Path
        A .png file.

    References
    ----------
    Paper, II.D. Notebook: 03_training.
    """
    if "probe" in history:
        return probes(history, title, save)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.1))
    figure.suptitle(title)
    for axes, name in ((left, "loss"), (middle, "accuracy")):
        axes.plot(history["epoch"], history[name], "o-", label="training (with dropout)")
        axes.plot(history["epoch"], history[f"val_{name}"], "s--", label="validation")
    best = history.loc[history["val_accuracy"].idxmax()]
    middle.plot(best["epoch"], best["val_accuracy"], "*", markersize=18, color="black", label="kept for evaluation")
    left.set(title="Cross-entropy", ylabel="loss", xlabel="epoch")
    middle.set(title="Accuracy of segments", ylabel="accuracy", xlabel="epoch", ylim=(0, 1))
    middle.yaxis.set_major_formatter(PercentFormatter(1))
    right.plot(history["epoch"], history["learning_rate"], "o-", drawstyle="steps-mid")
    right.set(title="Learning rate", ylabel="learning rate", xlabel="epoch")
    right.set_ylim(0, 1.1 * history["learning_rate"].max())
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    figure.legend(*middle.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    for axes in (left, middle, right):
        axes.set_xlim(0.5, len(history) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    sns.despine(figure)
    return finished(figure, save)


def probes(history: pd.DataFrame, title: str, save: Path) -> Figure:
    """Accuracy of each probe on training and validation segments, and which one is kept; see :func:`curves`."""
    figure, axes = plt.subplots(figsize=(8, 1.6 + 0.24 * len(history)))
    places = np.arange(len(history))
    axes.plot(history["accuracy"], places, "o", label="training")
    axes.plot(history["val_accuracy"], places, "s", label="validation")
    best = int(history["val_accuracy"].argmax())
    axes.plot(history["val_accuracy"][best], best, "*", markersize=16, color="black", label="kept for evaluation")
    axes.set(xlabel="accuracy of segments", xlim=(0, 1.02), title=title)
    axes.set_yticks(places, history["probe"], fontsize="small")
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return finished(figure, save)


def confusion_matrix(counts: pd.DataFrame, title: str, save: Path) -> Figure:
    """Confusion matrix with counts and row percentages.

    Parameters
    ----------
    counts : pd.DataFrame [index=true genre, columns=predicted genre]
        Counts, in the order in which the genres are shown.
    title : str
        With data set, protocol, level and number of rows.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 04_evaluation.
    """
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    labels = [
        [f"{count}\n{share:.0%}" if count else "" for count, share in zip(*row, strict=True)]
        for row in zip(counts.to_numpy(), shares.to_numpy(), strict=True)
    ]
    figure, axes = plt.subplots(figsize=(9.5, 8))
    sns.heatmap(
        shares, annot=np.array(labels), fmt="", cmap=COUNT_MAP, vmin=0, vmax=1, square=True, ax=axes,
        linewidths=1, annot_kws={"size": 12},
        cbar_kws={"label": "share of the true genre", "format": PercentFormatter(1)},
    )  # fmt: skip
    axes.set_title(title, fontsize=14)
    axes.set_xlabel("predicted genre", fontsize=13)
    axes.set_ylabel("true genre", fontsize=13)
    axes.tick_params(labelsize=13, length=0)
    axes.set_xticklabels(axes.get_xticklabels(), rotation=45, ha="right")
    axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
    return finished(figure, save)


def beside_the_paper(table: pd.DataFrame, title: str, save: Path) -> Figure:
    """F1 by genre here and in the paper's Table I.

    Parameters
    ----------
    table : pd.DataFrame [index=genre, columns=precision, recall, f1, support]
        As ``scoring.table_one`` returns it.
    title : str
        With data set, protocol, level and number of rows.
    save : Path
        A .png file.

    References
    ----------
    Paper, III.A. Notebook: 04_evaluation.
    """
    both = pd.DataFrame({"here": table["f1"], "paper": scoring.PAPER_TABLE["f1"].reindex(table.index)})
    both = both.drop(index=scoring.AVERAGE).sort_values("here")
    figure, axes = plt.subplots(figsize=(8, 4.5))
    axes.hlines(both.index, both.min(axis=1), both.max(axis=1), color="lightgrey", linewidth=3)
    axes.plot(both["here"], both.index, "o", markersize=9, label="here")
    axes.plot(both["paper"], both.index, "D", markersize=8, label="paper, Table I (GTZAN)")
    axes.set(title=title, xlabel="F1", xlim=(-0.02, 1.02))
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return finished(figure, save)


def accuracies(metrics: dict[str, Any], chance: float, title: str, save: Path) -> Figure:
    """Accuracy by segment and by track with their intervals, the paper's accuracy, and chance.

    Parameters
    ----------
    metrics : dict
        As ``scoring.metrics`` returns it.
    chance : float
        Accuracy of guessing, in [0, 1].
    title : str
        With data set and protocol.
    save : Path
        A .png file.

    References
    ----------
    Paper, III.A. Notebook: 04_evaluation.
    """
    figure, axes = plt.subplots(figsize=(8, 2.8))
    for height, level in enumerate(("track", "segment")):
        value = metrics[level]
        ends = uncertainty.columns(value)
        bars = [[value["accuracy"] - ends["low"]], [ends["high"] - value["accuracy"]]]
        axes.errorbar(value["accuracy"], height, xerr=bars, fmt="o", capsize=6, markersize=9, linewidth=3)
    names = [f"by {level}\n(n = {metrics[level]['n']})" for level in ("track", "segment")]
    axes.axvline(scoring.PAPER_ACCURACY, color="black", linestyle="--", label="paper: 71.35 % of GTZAN segments")
    axes.axvline(chance, color="grey", linestyle=":", label=f"chance: {chance:.0%}")
    axes.set_yticks([0, 1], names)
    axes.set(
        title=title,
        xlabel=f"accuracy, 95 % interval resampled by {metrics['track']['resampled_by']}",
        xlim=(0, 1.02),
        ylim=(-0.6, 1.6),
    )
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    sns.despine(figure)
    return finished(figure, save)


def confused_pairs(pairs: pd.DataFrame, title: str, save: Path) -> Figure:
    """The ten most confused pairs of genres and the paper's three, which are marked.

    Parameters
    ----------
    pairs : pd.DataFrame
        As ``scoring.confused_pairs`` returns it.
    title : str
        With data set, protocol and level.
    save : Path
        A .png file.

    References
    ----------
    Paper, III.B.3. Notebook: 04_evaluation.
    """
    shown = pairs[(pairs.index < 10) | pairs["in_paper"]].assign(
        named=lambda table: np.where(table["in_paper"], "named by the paper", "not named by the paper")
    )
    figure, axes = plt.subplots(figsize=(8, 4.5))
    order = {"named by the paper": sns.color_palette()[3], "not named by the paper": sns.color_palette()[0]}
    sns.barplot(shown, x="share", y="pair", hue="named", palette=order, ax=axes, dodge=False, legend=False)
    axes.set(title=title, xlabel="share of both genres predicted as the other", ylabel="")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    patches = [Patch(color=color, label=name) for name, color in order.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return finished(figure, save)


def reliability(curves: dict[str, pd.DataFrame], title: str, save: Path) -> Figure:
    """Reliability diagram: accuracy by the probability of the predicted genre.

    Parameters
    ----------
    curves : dict of str to pd.DataFrame [columns=low, high, n, confidence, accuracy]
        Title of a panel, and a curve as ``reliability.reliability_curve`` returns it; the panels are side by side.
    title : str
        With data set, protocol, level and number of rows.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 04_evaluation.
    """
    figure, axes = plt.subplots(
        2, len(curves), figsize=(1 + 5.4 * len(curves), 6.8), sharex=True, sharey="row", height_ratios=(3, 1),
        squeeze=False,
    )  # fmt: skip
    figure.suptitle(title)
    blue, _, _, orange = sns.color_palette()[:4]
    for (above, below), (name, curve) in zip(axes.T, curves.items(), strict=True):
        filled = curve[curve["n"] > 0]
        sure, right = filled["confidence"], filled["accuracy"]
        above.plot([0, 1], [0, 1], linestyle="--", color="black", label="accuracy = probability")
        above.vlines(sure, right, sure, color=orange, linewidth=3, label="gap (below the line: overconfident)")
        above.plot(sure, right, "o", markersize=9, color=blue, label="accuracy in a bin")
        above.set(title=name, xlim=(-0.02, 1.02), ylim=(-0.03, 1.05))
        bars = below.bar(curve["low"], curve["n"], 1 / len(curve), align="edge", color="lightgrey", edgecolor="grey")
        below.bar_label(bars, [f"{n:,}" if n else "" for n in curve["n"]], padding=2, fontsize="small")
        below.set(yticks=[], xlabel="probability of the predicted genre (points: mean of the bin)")
        below.margins(y=0.25)
        below.xaxis.set_major_locator(MultipleLocator(0.2))
        for axis in (above.xaxis, above.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
    axes[0, 0].set_ylabel("accuracy")
    axes[1, 0].set_ylabel("rows in a bin")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return finished(figure, save)


def timeline(table: pd.DataFrame, params: Params, save: Path, by: str = "") -> Figure:
    """Predicted probabilities of one file over time.

    Parameters
    ----------
    table : pd.DataFrame
        The prediction of one file, as ``files.predict`` returns it.
    params : Params
        The length of a segment.
    save : Path
        A .png file.
    by : str
        Which model predicted it, for the title.

    Raises
    ------
    AudioError
        If the file has no prediction because of an error.

    References
    ----------
    Notebook: 04_evaluation.
    """
    track, segments = table.iloc[0], table[table["level"] == "segment"]
    if track["fault"]:
        raise AudioError(track["path"], track["fault"])
    sure = track.filter(like="p_").astype(float).sort_values(ascending=False)
    begins = segments["start_seconds"].to_numpy(float)
    shares = segments[sure.index].to_numpy(float).T  # (genre, segment)
    figure, axes = plt.subplots(figsize=(9, 4.2))
    image = axes.imshow(
        shares, cmap=COUNT_MAP, vmin=0, vmax=np.ceil(10 * shares.max()) / 10, aspect="auto", interpolation="nearest",
        extent=(0, begins[-1] + params.segment_seconds, len(sure) - 0.5, -0.5),
    )  # fmt: skip
    genres = sure.index.str.removeprefix("p_")
    axes.set_yticks(range(len(sure)), [f"{genre}  {p:.0%}" for genre, p in zip(genres, sure, strict=True)])
    name = Path(track["path"]).name.encode(errors="replace").decode()
    verdict = f" ({track['verdict']})" if track["verdict"] else ""
    axes.set_title(
        f"{name}{by and f', by {by}'}\n{genres[0]}, calibrated probability {sure.iloc[0]:.0%}{verdict}",
        parse_math=False,
    )
    axes.set(xlabel="time (s)", ylabel="genre (probability in the whole file)")
    figure.colorbar(image, label="calibrated probability in a segment", format=PercentFormatter(1))
    return finished(figure, save)
