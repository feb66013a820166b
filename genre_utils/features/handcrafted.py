"""Hand-crafted features, as used before neural networks."""

import itertools
import os
import shutil
from pathlib import Path

import joblib
import librosa
import numpy as np
import pandas as pd
import scipy.fft

from genre_utils.audio import decoding
from genre_utils.datasets import contents
from genre_utils.errors import AudioError, CatalogError, GenreUtilsError, warn
from genre_utils.features import spectrogram, store
from genre_utils.params import Params
from genre_utils.paths import CACHE, given
from genre_utils.system import cluster, disk
from genre_utils.system.progress import progress

VERSION = 1  # part of the folder's name: raise it when the features of the same audio change

CONTRAST_FMIN_HZ = 200.0  # librosa's default; up to six octaves above it, below half the sample rate
DELTA_FRAMES = 9  # librosa's default width of a delta

CEPSTRA = 24
FINE_BANDS, COARSE_BANDS = 32, 16
MODULATION_HZ = 6.4  # faster than any beat; above it is the sound of single notes
RATE_EDGES = np.array([0, 2, 4, 6, 8, 11, 14, 18, 22, 27, 31]) / 31  # finer for beats than for notes
RATES = len(RATE_EDGES) - 1
LOG_MEL_FRAMES = 2 * RATES + 2
SEGMENTS_AT_ONCE = 512  # 6,000 segments of 128 bands x 216 frames at once would take several GB


def of_audio(samples: np.ndarray, params: Params) -> tuple[list[str], np.ndarray]:
    """Timbre, harmony and rhythm of each whole segment of a track, by librosa.

    Mean and spread (standard deviation) over time of 20 MFCC and their deltas, 12 chroma, the spectral contrast of
    up to 7 bands and the onset strength; and the tempo. They do not depend on the loudness of the track, except
    where values reach the floor ``top_db``.

    Parameters
    ----------
    samples : np.ndarray [shape=(samples,)]
        Mono audio at ``params.sample_rate_hz``.
    params : Params
        The segments, the transform and the bands.

    Returns
    -------
    names : list of str
        ``mfcc_0_mean`` to ``tempo``.
    values : np.ndarray [shape=(segment, feature), dtype=float32]
        MFCC, contrast and onset strength in dB, chroma in [0, 1], the tempo in beats a minute.

    Raises
    ------
    GenreUtilsError
        If a segment holds fewer than 9 frames, which a delta needs.

    References
    ----------
    G. Tzanetakis and P. Cook, Musical genre classification of audio signals, IEEE Trans. Speech Audio Process. 10
    (2002); ``librosa.feature``. Notebook: 06_beyond_the_paper.
    """
    if params.frames_per_segment < DELTA_FRAMES:
        raise GenreUtilsError(
            f"Deltas need segments of {DELTA_FRAMES} frames or more. Received: {params.frames_per_segment}. "
            "Raise segment_seconds or lower hop_length."
        )
    rate_hz, hop = params.sample_rate_hz, params.hop_length
    power = spectrogram.stft_power(spectrogram.segments(samples, params), params)  # (n, frame, bin)
    mel = np.array([spectrogram.in_bands(one, params) for one in power]).transpose(0, 2, 1)  # (n, mel, frame)
    power = power.transpose(0, 2, 1)  # (n, bin, frame)
    octaves = int(np.clip(np.ceil(np.log2(rate_hz / 2 / CONTRAST_FMIN_HZ)), 1, 6))

    # One by one: at once, librosa would relate all segments to the loudest.
    decibels = np.array([librosa.power_to_db(one, ref=np.max, top_db=params.top_db) for one in mel])
    contrast = [
        librosa.feature.spectral_contrast(S=one, sr=rate_hz, fmin=CONTRAST_FMIN_HZ, n_bands=octaves)
        for one in np.sqrt(power)
    ]
    mfcc = librosa.feature.mfcc(S=decibels, n_mfcc=20)  # (n, 20, frame)
    onset = librosa.onset.onset_strength(S=decibels, sr=rate_hz, n_fft=params.n_fft, hop_length=hop)  # (n, frame)
    over_time = {
        "mfcc": mfcc,
        "delta": librosa.feature.delta(mfcc, width=DELTA_FRAMES),
        # A = 440 Hz: estimating the tuning costs as much as all else, and warns where nothing has a pitch.
        "chroma": librosa.feature.chroma_stft(S=power, sr=rate_hz, n_fft=params.n_fft, hop_length=hop, tuning=0.0),
        "contrast": np.array(contrast),
        "onset": onset[:, np.newaxis],
    }
    tempo = librosa.feature.tempo(onset_envelope=onset, sr=rate_hz, hop_length=hop)  # (n, 1)

    names, columns = [], []
    for name, values in over_time.items():
        for summary, of in (("mean", values.mean(axis=2)), ("spread", values.std(axis=2))):
            names += [f"{name}_{index}_{summary}" for index in range(of.shape[1])]
            columns.append(of)
    return [*names, "tempo"], np.concatenate([*columns, tempo.reshape(-1, 1)], axis=1).astype(np.float32)


def of_log_mel(decibels: np.ndarray, params: Params) -> np.ndarray:
    """Features of log-mels, for data without audio, or to compare with a network on the same input.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels of equally long segments, in dB; 22 frames or more. Loudness changes nothing.
    params : Params
        ``sample_rate_hz`` and ``hop_length``, which give the time between frames.

    Returns
    -------
    np.ndarray [shape=(n, feature), dtype=float32]
        The blocks of :func:`blocks`, side by side.

    Raises
    ------
    GenreUtilsError
        If there are too few frames.

    References
    ----------
    See :func:`blocks`. Notebook: 06_beyond_the_paper.
    """
    starts = range(0, max(len(decibels), 1), SEGMENTS_AT_ONCE)
    parts = [blocks(decibels[start : start + SEGMENTS_AT_ONCE], params) for start in starts]
    return np.concatenate([np.concatenate(list(part.values()), axis=1) for part in parts])


def blocks(decibels: np.ndarray, params: Params) -> dict[str, np.ndarray]:
    """Block-level features of log-mels, by name: each describes a whole segment, not a frame.

    Parameters
    ----------
    decibels : np.ndarray [shape=(n, mel, frame)]
        Log-mels of equally long segments, in dB.
    params : Params
        ``sample_rate_hz`` and ``hop_length``.

    Returns
    -------
    dict of str to np.ndarray [shape=(n, feature), dtype=float32]
        ``mfcc``: mean, spread and spread of the differences over time of 24 cepstral coefficients.
        ``spectral``: percentiles over time of 32 bands' level, relative to the segment's mean.
        ``delta_spectral``: percentiles of these bands' change from frame to frame: strength and number of onsets.
        ``fluctuation``: strength of modulation of 16 bands at ten rates up to 6.4 Hz: rhythm, independent of phase.
        ``correlation``: correlation between 16 bands over time.

    Raises
    ------
    GenreUtilsError
        If there are fewer than 22 frames, which the ten rates need.

    References
    ----------
    E. Pampalk, A. Rauber and D. Merkl, Content-based organization and visualization of music archives, ACM
    Multimedia 2002 (fluctuation patterns). K. Seyerlehner, G. Widmer and T. Pohle, Fusing block-level features for
    music similarity estimation, DAFx 2010 (the others, there over blocks of a few seconds).
    """
    frames = decibels.shape[2]
    if frames < LOG_MEL_FRAMES:
        raise GenreUtilsError(
            f"Block-level features need log-mels of {LOG_MEL_FRAMES} frames or more. Received: {frames}. "
            "Raise segment_seconds or lower hop_length."
        )
    decibels = decibels.astype(np.float32)
    decibels -= decibels.mean(axis=(1, 2), keepdims=True)
    fine = grouped(decibels, FINE_BANDS, axis=1)  # (n, band, frame)
    change = np.diff(fine, axis=2)
    cepstra = scipy.fft.dct(decibels, axis=1, norm="ortho")[:, :CEPSTRA]  # (n, coefficient, frame)

    pulse = (fine - fine.mean(axis=2, keepdims=True)) * np.hanning(frames)
    rates = np.log1p(np.abs(scipy.fft.rfft(pulse, axis=2)))  # (n, band, rate)
    seconds = frames * params.hop_length / params.sample_rate_hz
    fastest = min(max(int(MODULATION_HZ * seconds), RATES), frames // 2 - 1)  # the last bin; bin 0 is the mean
    edges = 1 + np.maximum(np.round(RATE_EDGES * fastest), np.arange(RATES + 1)).astype(int)
    rates = np.stack([rates[..., low:high].mean(axis=2) for low, high in itertools.pairwise(edges)], axis=2)
    rates = grouped(rates, COARSE_BANDS, axis=1)  # (n, band, rate)

    coarse = grouped(fine - fine.mean(axis=2, keepdims=True), COARSE_BANDS, axis=1)
    coarse /= coarse.std(axis=2, keepdims=True) + 1e-3  # in dB; a constant band then correlates with no other
    correlation = coarse @ coarse.transpose(0, 2, 1) / frames  # (n, band, band)
    above = np.triu_indices(correlation.shape[1], k=1)

    found = {
        "mfcc": [cepstra[:, 1:].mean(axis=2), cepstra.std(axis=2), np.diff(cepstra, axis=2).std(axis=2)],
        "spectral": [*np.percentile(fine, (10, 50, 90), axis=2)],
        "delta_spectral": [*np.percentile(np.abs(change), (50, 90, 98), axis=2), np.percentile(change, 95, axis=2)],
        "fluctuation": [rates.reshape(len(rates), rates.shape[1] * RATES)],
        "correlation": [correlation[:, *above]],
    }
    return {name: np.concatenate(parts, axis=1).astype(np.float32) for name, parts in found.items()}


def grouped(values: np.ndarray, groups: int, axis: int) -> np.ndarray:
    """Means over ``groups`` runs of neighbours along an axis, divided as by ``np.array_split``."""
    runs = np.array_split(np.arange(values.shape[axis]), min(groups, values.shape[axis]))
    return np.stack([values.take(run, axis=axis).mean(axis=axis) for run in runs], axis=axis)


def extract(tracks: pd.DataFrame, params: Params, cache: str | Path = CACHE) -> pd.DataFrame:
    """The features of :func:`of_audio` for a whole catalog, computed once and kept on disk.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault give no rows, nor do tracks that cannot be decoded, which cause a warning.
    params : Params
        The features; the folder is named by a hash of these and the tracks.
    cache : str or Path
        Folder for the features.

    Returns
    -------
    pd.DataFrame
        ``track_id, segment``, then a column per feature; one row per segment, in the catalog's order.

    Raises
    ------
    CatalogError
        If no track gives a segment.
    DiskError
        If the disk is full or read-only.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    cache = given(cache)
    folder = cache / "classical" / f"{store.fingerprint(tracks, params)}-{VERSION}"
    if not folder.exists() or disk.broken(folder):
        with disk.lock(folder.with_suffix(".lock")), disk.writing(folder):  # a second run waits, then finds it done
            if folder.exists() and (files := disk.broken(folder)):
                warn(f"{folder}: {', '.join(files)} damaged or missing. The features are computed again.")
                shutil.rmtree(folder)
            if not folder.exists():
                compute(tracks, params, folder)
    faults = pd.read_parquet(folder / "faults.parquet")
    if len(faults):
        first = "; ".join(f"{track_id} {fault}" for track_id, fault in faults.head(3).to_numpy())
        warn(f"{len(faults)} of {len(tracks)} tracks give no features: {first}")
    return pd.read_parquet(folder / "features.parquet")


def compute(tracks: pd.DataFrame, params: Params, folder: Path) -> None:
    """Compute the features into a partial folder, then rename it into place."""
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    table, faults = of_tracks(contents.usable(tracks), params)
    table.to_parquet(partial / "features.parquet", index=False)
    faults.to_parquet(partial / "faults.parquet", index=False)
    disk.seal(partial, ["features.parquet", "faults.parquet"])
    partial.rename(folder)


def of_tracks(usable: pd.DataFrame, params: Params) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The features of all tracks, in parallel, and the tracks that gave none, with the reason."""
    pairs = zip(usable["track_id"], usable["path"], strict=True)
    jobs = [joblib.delayed(of_track)(track_id, path, params) for track_id, path in pairs]
    tables, faults = [], []
    with cluster.spread() as timeout:
        n_jobs = min(os.cpu_count() or 1, len(jobs) or 1)
        workers = joblib.Parallel(n_jobs=n_jobs, return_as="generator", timeout=timeout)
        for track_id, table, fault in progress(workers(jobs), len(jobs), "hand-crafted features"):
            if fault:
                faults.append((track_id, fault))
            else:
                tables.append(table)
    if not tables:
        reasons = "; ".join(fault for _, fault in faults[:3])
        raise CatalogError(f"None of the {len(usable)} usable tracks gives a segment. First reasons: {reasons}")
    return pd.concat(tables, ignore_index=True), pd.DataFrame(faults, columns=["track_id", "fault"], dtype=str)


def of_track(track_id: str, path: str, params: Params) -> tuple[str, pd.DataFrame | None, str]:
    """The features of one track, or the reason why there are none; runs in a worker."""
    cluster.leave_with_parent()
    cluster.visible(Path(path).parent)
    try:
        names, values = of_audio(decoding.load(path, params), params)
    except AudioError as error:
        return track_id, None, error.reason
    table = pd.DataFrame(values, columns=names)
    table.insert(0, "track_id", track_id)
    table.insert(1, "segment", np.arange(len(values)))
    return track_id, table, ""
