"""Figures of notebooks 1 and 2: the data set, and the steps from sound to the network's input."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genre_utils.features import spectrogram
from genre_utils.figures.style import LEVEL_MAP, draw_log_mel, finished, mel_axis, panels
from genre_utils.params import Params


def overview(tracks: pd.DataFrame, save: Path) -> Figure:
    """Number of tracks by genre, usable and left out, and the length of each track.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 01_eda.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    state = np.where(tracks["fault"] == "", "usable", "left out")
    counts = pd.crosstab(tracks["genre"], state).reindex(columns=["usable", "left out"], fill_value=0)
    counts.plot.barh(stacked=True, ax=left, color=[sns.color_palette()[0], sns.color_palette()[3]], width=0.8)
    left.set(title="Tracks by genre", xlabel="tracks", ylabel="")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    heights = tracks["genre"].map({genre: height for height, genre in enumerate(counts.index)})
    right.plot(tracks["duration_seconds"], heights, "o", alpha=0.4)
    right.set(title="Length of each track", xlabel="seconds")
    right.xaxis.get_major_formatter().set_useOffset(False)
    left.invert_yaxis()
    sns.despine(figure)
    return finished(figure, save)


def waveforms(samples: dict[str, np.ndarray], params: Params, save: Path) -> Figure:
    """One waveform per genre, all on the same scale.

    Parameters
    ----------
    samples : dict of str to np.ndarray [shape=(samples,)]
        One track per genre.
    params : Params
        ``sample_rate_hz``.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 01_eda.
    """
    figure, grid = panels(len(samples), height=1.5)
    for axes, (genre, track) in zip(grid, samples.items(), strict=False):
        step = max(1, len(track) // 1_000)  # 1,000 columns, each with the smallest and largest sample
        pieces = track[: len(track) // step * step].reshape(-1, step)
        seconds = np.arange(len(pieces)) * step / params.sample_rate_hz
        axes.fill_between(seconds, pieces.min(axis=1), pieces.max(axis=1), linewidth=0)
        axes.set(title=genre, ylim=(-1, 1), xlim=(0, seconds[-1]))
    figure.supxlabel("time (s)")
    figure.supylabel("amplitude")
    figure.suptitle("Waveform of one track per genre")
    return finished(figure, save)


def log_mels(decibels: dict[str, np.ndarray], params: Params, title: str, save: Path) -> Figure:
    """Log-mel spectrograms side by side, on one scale.

    Parameters
    ----------
    decibels : dict of str to np.ndarray [shape=(mel, frame)]
        For each panel its name and log-mel.
    params : Params
        The features.
    title : str
        Title of the whole figure.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction, 06_beyond_the_paper.
    """
    figure, grid = panels(len(decibels), height=1.9)
    for axes, (name, segment) in zip(grid, decibels.items(), strict=False):
        image = draw_log_mel(axes, segment, params)
        axes.set_title(name)
    figure.supxlabel("time (s)")
    figure.supylabel("frequency (Hz)")
    figure.colorbar(image, ax=list(grid), label="dB below the segment's maximum", aspect=40)
    figure.suptitle(title)
    return finished(figure, save)


def average_spectra(levels: pd.DataFrame, params: Params, save: Path) -> Figure:
    """Average spectrum of each genre.

    Parameters
    ----------
    levels : pd.DataFrame [index=genre, columns=mel band]
        Decibels.
    params : Params
        The bands.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 01_eda.
    """
    figure, axes = plt.subplots(figsize=(8, 5.5))
    image = axes.imshow(levels.T, aspect="auto", origin="lower", cmap=LEVEL_MAP, interpolation="nearest")
    mel_axis(axes, params)
    axes.set_xticks(range(len(levels)), levels.index, rotation=45, ha="right")
    axes.set(title="Average spectrum by genre", ylabel="frequency (Hz)")
    figure.colorbar(image, label="mean dB below the segment's maximum")
    return finished(figure, save)


def by_genre(table: pd.DataFrame, value: str, title: str, label: str, save: Path) -> Figure:
    """Box plot of one value by genre, with all single values.

    Parameters
    ----------
    table : pd.DataFrame [columns=genre, value]
        One row per track or segment.
    value : str
        The column.
    title, label : str
        Title of the figure, and label of the value's axis with its unit.
    save : Path
        A .png file.

    References
    ----------
    Notebook: 01_eda, 02_feature_extraction.
    """
    figure, axes = plt.subplots(figsize=(8, 4))
    order = table.groupby("genre")[value].median().sort_values().index
    sns.boxplot(table, x=value, y="genre", order=order, ax=axes, color="lightgrey", fliersize=0)
    beside = order.get_indexer(table["genre"]) + np.random.default_rng(0).uniform(-0.1, 0.1, len(table))
    axes.scatter(table[value], beside, s=9, alpha=0.6, zorder=3)
    axes.set(title=title, xlabel=label, ylabel="")
    sns.despine(figure)
    return finished(figure, save)


def segment_cuts(samples: np.ndarray, params: Params, save: Path) -> Figure:
    """Waveform of a track with its segments.

    Parameters
    ----------
    samples : np.ndarray [shape=(samples,)]
        The track.
    params : Params
        ``segment_seconds``.
    save : Path
        A .png file.

    References
    ----------
    Paper, II.B.1. Notebook: 02_feature_extraction.
    """
    figure, axes = plt.subplots(figsize=(11, 2.6))
    seconds = np.arange(0, len(samples), 20) / params.sample_rate_hz
    axes.plot(seconds, samples[::20], linewidth=0.4, color="grey")
    for index in range(params.segments_in(len(samples) / params.sample_rate_hz)):
        start = index * params.segment_seconds
        axes.axvspan(start, start + params.segment_seconds, alpha=0.25, color=sns.color_palette()[index % 2])
        axes.text(start + params.segment_seconds / 2, 0.86, f"segment {index}", ha="center", size="small")
    axes.set(title="One track, cut into segments", xlabel="time (s)", ylabel="amplitude", ylim=(-1, 1))
    axes.set_xlim(0, len(samples) / params.sample_rate_hz)
    return finished(figure, save)


def spectrogram_steps(segment: np.ndarray, params: Params, save: Path) -> Figure:
    """The steps to a log-mel: short-time Fourier transform, mel filters, log-mel.

    Parameters
    ----------
    segment : np.ndarray [shape=(samples,)]
        One segment.
    params : Params
        The features.
    save : Path
        A .png file.

    References
    ----------
    Paper, II.B.2 and II.B.3. Notebook: 02_feature_extraction.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4))
    power = spectrogram.stft_power(segment[None], params)[0].T  # (bin, frame)
    decibels = 10 * np.log10(np.maximum(power, spectrogram.POWER_FLOOR) / power.max())
    extent = (0, params.segment_seconds, 0, params.sample_rate_hz / 2)
    left.imshow(decibels, aspect="auto", origin="lower", cmap=LEVEL_MAP, vmin=-params.top_db, vmax=0, extent=extent)
    left.set(title="STFT: linear frequency", xlabel="time (s)", ylabel="frequency (Hz)")
    bins_hz = np.linspace(0, params.sample_rate_hz / 2, 1 + params.n_fft // 2)
    filters = spectrogram.mel_filters(params)
    for band in range(0, len(filters), 8):
        middle.plot(bins_hz, filters[band])
    middle.set(title="Every eighth mel filter", xlabel="frequency (Hz)", ylabel="weight", xlim=(0, params.fmax_hz))
    image = draw_log_mel(right, spectrogram.log_mel(segment[None], params)[0], params)
    right.set(title="Log-mel", xlabel="time (s)", ylabel="frequency (Hz), mel scale")
    figure.colorbar(image, label="dB below maximum")
    return finished(figure, save)


def network_input(decibels: np.ndarray, image: np.ndarray, params: Params, save: Path) -> Figure:
    """A log-mel, and the standardised image that reaches the network's first convolution.

    Parameters
    ----------
    decibels : np.ndarray [shape=(mel, frame)]
        As in the store.
    image : np.ndarray [shape=(image_height, image_width)]
        As ``factory.image_of`` returns it.
    params : Params
        The features.
    save : Path
        A .png file.

    References
    ----------
    Paper, II.B.3 and II.B.4. Notebook: 02_feature_extraction.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    bar = draw_log_mel(left, decibels, params)
    left.set(title=f"Log-mel, {decibels.shape[0]}×{decibels.shape[1]}", xlabel="time (s)", ylabel="frequency (Hz)")
    figure.colorbar(bar, ax=left, label="dB below maximum")
    bar = right.imshow(image, aspect="auto", origin="lower", cmap=LEVEL_MAP)
    right.set(title=f"Network input, {image.shape[0]}×{image.shape[1]}", xlabel="pixel", ylabel="pixel")
    figure.colorbar(bar, ax=right, label="standard deviations from the mean")
    return finished(figure, save)
