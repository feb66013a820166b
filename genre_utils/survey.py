"""What decoding every track of a catalog tells: level, clipping, average spectrum, and more faults."""

import os

import joblib
import numpy as np
import pandas as pd

from genre_utils import audio, catalog, features
from genre_utils.errors import AudioError
from genre_utils.params import Params
from genre_utils.progress import progress

CLIPPED = 0.999  # of full scale; 16-bit files clip at 0.99997


def survey(tracks: pd.DataFrame, params: Params) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decode every usable track, in parallel.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.
    params : Params
        The rate, the segments and the bands.

    Returns
    -------
    tracks : pd.DataFrame
        The catalog with the faults that only decoding finds, and for the others ``level_dbfs`` (RMS below
        full scale, in dB), ``peak`` (of full scale) and ``clipped_share`` (samples at full scale, in [0, 1]).
    spectra : pd.DataFrame [index=track_id, columns=mel band]
        Mean log-mel over the track's segments, in dB below each segment's maximum.

    References
    ----------
    Notebook: 01_eda.
    """
    usable = catalog.usable(tracks)
    pairs = zip(usable["track_id"], usable["path"], strict=True)
    jobs = [joblib.delayed(survey_track)(track_id, path, params) for track_id, path in pairs]
    workers = joblib.Parallel(n_jobs=min(os.cpu_count() or 1, len(jobs) or 1), return_as="generator")
    rows = list(progress(workers(jobs), len(jobs), "decoding"))
    facts = pd.DataFrame([row for row, _ in rows], columns=["track_id", "found", "level_dbfs", "peak", "clipped_share"])
    spectra = {row["track_id"]: spectrum for row, spectrum in rows if spectrum is not None}
    joined = tracks.merge(facts, on="track_id", how="left")
    joined["fault"] = joined["fault"].where(joined["fault"] != "", joined.pop("found").fillna(""))
    return joined, pd.DataFrame.from_dict(spectra, orient="index")


def survey_track(track_id: str, path: str, params: Params) -> tuple[dict, np.ndarray | None]:
    """The facts of one track and its average spectrum, or its fault and None: what a worker does."""
    try:
        samples = audio.load(path, params)
    except AudioError as error:
        return {"track_id": track_id, "found": error.reason}, None
    facts = {
        "track_id": track_id,
        "found": "",
        "level_dbfs": 10 * np.log10(np.mean(samples.astype(np.float64) ** 2)),
        "peak": np.abs(samples).max(),
        "clipped_share": np.mean(np.abs(samples) >= CLIPPED),
    }
    return facts, features.log_mel(features.segments(samples, params), params).mean(axis=(0, 2))
