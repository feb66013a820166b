"""Survey of the audio: decode every track once for level, clipping, silence, spectrum, fingerprint and faults."""

import hashlib
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from genre_utils.audio import decoding
from genre_utils.datasets import contents
from genre_utils.errors import AudioError
from genre_utils.features import spectrogram
from genre_utils.params import Params
from genre_utils.splits import fingerprinting
from genre_utils.system import cluster
from genre_utils.system.progress import progress

CLIPPED = 0.999  # of full scale; 16-bit files clip at 0.99997
SILENT_DBFS = -60.0  # below the noise of records and tapes, above that of 16 bits (-98)
SILENCE_SECONDS = 0.05  # one period of 20 Hz: in shorter frames, zero crossings of a bass note would count as silent

FACTS = [
    "track_id", "found", "level_dbfs", "peak", "clipped_share", "silent_share", "header_seconds", "decoded_seconds",
    "digest",
]  # fmt: skip


def survey(tracks: pd.DataFrame, params: Params) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, np.ndarray]]:
    """Decode every usable track, in parallel.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.
    params : Params
        The sample rate, the segments and the bands.

    Returns
    -------
    tracks : pd.DataFrame
        The catalog with the faults that only decoding finds, and for the others, measured on the part that the
        project uses (``max_segments`` segments, or everything if that is 0): ``level_dbfs`` (RMS below full
        scale, in dB), ``peak`` (of full scale), ``clipped_share`` (samples at full scale, in [0, 1]),
        ``silent_share`` (time below -60 dBFS, in [0, 1]), ``decoded_seconds``, ``header_seconds`` (what the header
        says of the whole file, whose ``duration_seconds`` is what there is) and ``digest`` (equal for equal mono
        samples, whatever file they come from).
    spectra : pd.DataFrame [index=track_id, columns=mel band]
        Mean log-mel over the track's segments, in dB below each segment's maximum.
    fingerprints : dict of str to np.ndarray [shape=(band, frame), dtype=float32]
        By ``track_id``, of the same part: what :func:`genre_utils.splits.fingerprinting.duplicates` compares.

    References
    ----------
    Notebook: 01_eda.
    """
    usable = contents.usable(tracks)
    pairs = zip(usable["track_id"], usable["path"], strict=True)
    jobs = [joblib.delayed(survey_track)(track_id, path, params) for track_id, path in pairs]
    with cluster.spread() as timeout:
        n_jobs = min(joblib.cpu_count(), len(jobs) or 1)
        workers = joblib.Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator", timeout=timeout)
        rows = list(progress(workers(jobs), len(jobs), "decoding"))
    facts = pd.DataFrame([facts for facts, _, _ in rows], columns=FACTS)
    spectra = {facts["track_id"]: spectrum for facts, spectrum, _ in rows if spectrum is not None}
    fingerprints = {facts["track_id"]: fingerprint for facts, _, fingerprint in rows if fingerprint is not None}
    joined = tracks.merge(facts, on="track_id", how="left")
    joined["fault"] = joined["fault"].where(joined["fault"] != "", joined.pop("found").fillna(""))
    return joined, pd.DataFrame.from_dict(spectra, orient="index"), fingerprints


def survey_track(track_id: str, path: str, params: Params) -> tuple[dict, np.ndarray | None, np.ndarray | None]:
    """The facts of one track, its average spectrum and its fingerprint, or its fault; runs in a worker."""
    cluster.visible(Path(path).parent)
    try:
        samples = decoding.load(path, params)
    except AudioError as error:
        return {"track_id": track_id, "found": error.reason}, None, None
    facts = {
        "track_id": track_id,
        "found": "",
        "level_dbfs": 10 * np.log10(np.mean(samples.astype(np.float64) ** 2)),
        "peak": np.abs(samples).max(),
        "clipped_share": np.mean(np.abs(samples) >= CLIPPED),
        "silent_share": silent_share(samples, params.sample_rate_hz),
        "header_seconds": decoding.header_seconds(path),
        "decoded_seconds": len(samples) / params.sample_rate_hz,
        "digest": hashlib.sha256(samples.tobytes()).hexdigest(),
    }
    spectrum = spectrogram.log_mel(spectrogram.segments(samples, params), params).mean(axis=(0, 2))
    return facts, spectrum, fingerprinting.fingerprint(samples, params.sample_rate_hz)


def silent_share(samples: np.ndarray, sample_rate_hz: int) -> float:
    """Share of a track, in [0, 1], with an RMS below ``SILENT_DBFS``."""
    frame = max(1, min(len(samples), round(SILENCE_SECONDS * sample_rate_hz)))
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    power = np.mean(frames.astype(np.float64) ** 2, axis=1)  # (frame,)
    return float(np.mean(power < 10 ** (SILENT_DBFS / 10)))
