"""What all figures share: the theme, saving, the log-mel, and small multiples."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from genre_utils.features import spectrogram
from genre_utils.params import Params
from genre_utils.paths import given

LEVEL_MAP = "magma"  # perceptually uniform, also in grey and for colour-blind readers
COUNT_MAP = "cividis"
FREQUENCY_TICKS_HZ = (300, 1_000, 3_000, 8_000)

sns.set_theme(context="notebook", style="ticks", palette="colorblind")
plt.rcParams |= {"figure.dpi": 100, "savefig.dpi": 150, "figure.constrained_layout.use": True, "text.parse_math": False}


def finished(figure: Figure, save: str | Path) -> Figure:
    """Save a figure and close it, so that a notebook shows it once."""
    save = given(save)
    save.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(save)
    figure.set_layout_engine("none")  # the layout is final; a notebook draws the figure once more
    plt.close(figure)
    return figure


def mel_ticks(params: Params) -> dict[int, int]:
    """Some frequencies in Hz, and the mel band of each."""
    centres_hz = spectrogram.mel_edges_hz(params)[1:-1]
    ticks = [hz for hz in FREQUENCY_TICKS_HZ if params.fmin_hz <= hz <= params.fmax_hz]
    return {hz: int(np.abs(centres_hz - hz).argmin()) for hz in ticks}


def mel_axis(axes: plt.Axes, params: Params) -> None:
    """Label the mel bands with their frequencies."""
    ticks = mel_ticks(params)
    axes.set_yticks(list(ticks.values()), [f"{hz:,}" for hz in ticks])


def draw_log_mel(axes: plt.Axes, decibels: np.ndarray, params: Params) -> plt.cm.ScalarMappable:
    """Draw a log-mel with seconds on the x axis and Hz on the y axis."""
    seconds = decibels.shape[1] * params.hop_length / params.sample_rate_hz
    image = axes.imshow(
        decibels, aspect="auto", origin="lower", cmap=LEVEL_MAP, vmin=-params.top_db, vmax=0, interpolation="nearest",
        extent=(0, seconds, -0.5, len(decibels) - 0.5),
    )  # fmt: skip
    mel_axis(axes, params)
    return image


def panels(count: int, height: float) -> tuple[Figure, np.ndarray]:
    """A grid of small panels, at most five in a row; unused panels are removed."""
    columns = 3 if count == 6 else min(count, 5)
    rows = -(-count // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(13, 0.8 + height * rows), sharex=True, sharey=True, squeeze=False
    )
    for axes in grid.flat[count:]:
        axes.remove()
    return figure, grid.flatten()[:count]


def error_bars(table: pd.DataFrame, value: str, low: str, high: str) -> list[pd.Series]:
    """The lengths of an interval below and above its value, as Matplotlib expects them."""
    return [table[value] - table[low], table[high] - table[value]]
