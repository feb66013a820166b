"""Ablation study: change one thing at a time on the same split, and measure the difference on the same tracks."""

import dataclasses
from pathlib import Path
from typing import Any

import joblib
import pandas as pd

from genre_utils.evaluation import protocol_study, scoring, uncertainty
from genre_utils.features.store import Store
from genre_utils.paths import CACHE, given
from genre_utils.training import parallel


def train_variants(
    changes: dict[str, dict[str, Any]],
    trial: protocol_study.Trial,
    store: Store,
    genres: list[str],
    folder: str | Path,
    cache: str | Path = CACHE,
) -> tuple[dict[str, pd.DataFrame], pd.Series]:
    """Train a network for each variant of the parameters, all on one split.

    Parameters
    ----------
    changes : dict of str to dict
        For each variant, by name, the parameters that differ. A variant with augmented sound (``pitch_semitones``,
        ``stretch_share``, ``noise_snr_db``) is trained on those versions in the store.
    trial : protocol_study.Trial
        The split, and the parameters that all variants have in common.
    store : Store
        The features, with all augmented versions that a variant needs.
    genres : list of str
        The classes.
    folder : str or Path
        A folder is created here for each variant, with ``model.keras`` and ``history.csv``.
    cache : str or Path
        Folder for the state of trainings that are not finished.

    Returns
    -------
    predictions : dict of str to pd.DataFrame
        As ``scoring.predict`` returns them: validation and test segments.
    seconds : pd.Series [index=variant]
        Training time; ``parallel.in_order`` may have trained another network at the same time.

    References
    ----------
    Paper, IV. Notebook: 06_beyond_the_paper.
    """
    cache = given(cache)
    folder = given(folder)
    jobs, models = [], set()
    for name, change in changes.items():
        own = dataclasses.replace(trial, params=dataclasses.replace(trial.params, **change))
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        jobs.append(joblib.delayed(protocol_study.train)(own, store.with_versions(own.params), genres, place, cache))
        models.add(own.params.model)
    found = dict(zip(changes, parallel.in_order(jobs, models), strict=True))
    predictions = {name: table for name, (table, _) in found.items()}
    seconds = {name: seconds for name, (_, seconds) in found.items()}
    return predictions, pd.Series(seconds, name="seconds").rename_axis("variant")


def table(predictions: dict[str, pd.DataFrame], seconds: pd.Series | None = None, seed: int = 0) -> pd.DataFrame:
    """Accuracy of each variant on the test tracks, and its paired difference to the first variant.

    Parameters
    ----------
    predictions : dict of str to pd.DataFrame
        As :func:`train_variants` returns them.
    seconds : pd.Series [index=variant], optional
        Training time of each, for a column of the same name.
    seed : int
        Seed of the intervals.

    Returns
    -------
    pd.DataFrame [index=variant]
        ``accuracy, low, high`` of tracks; ``difference, difference_low, difference_high`` to the first variant, which
        itself has NaN; ``no_interval`` and ``difference_no_interval``, the reason if low and high are NaN; ``n``
        tracks, ``resampled_by`` and, if given, ``seconds``.

    References
    ----------
    Notebook: 06_beyond_the_paper, 07_transfer.
    """
    tested = {name: scoring.by_track(own[own["split"] == "test"]) for name, own in predictions.items()}
    first = next(iter(tested.values()))
    rows = {}
    for name, tracks in tested.items():
        right, gain = uncertainty.accuracy(tracks, seed), uncertainty.difference(first, tracks, seed)
        rows[name] = {key: right[key] for key in ("accuracy", "n", "resampled_by")} | uncertainty.columns(right)
        if tracks is not first:
            rows[name] |= {"difference": gain["difference"]} | uncertainty.columns(gain, "difference_")
    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")
    return found if seconds is None else found.join(seconds)


def conclusion(table: pd.DataFrame) -> str:
    """Which variants differ significantly from the first one, as text.

    Parameters
    ----------
    table : pd.DataFrame [index=variant]
        As :func:`table` returns it.

    Returns
    -------
    str
        The variants whose interval of the difference excludes 0, out of all with an interval, and why others have none.

    References
    ----------
    Notebook: 06_beyond_the_paper, 07_transfer.
    """
    others = table.iloc[1:]
    low, high = others["difference_low"], others["difference_high"]
    names = ", ".join(others.index[(low > 0) | (high < 0)])
    missing = others.loc[low.isna(), "difference_no_interval"].value_counts()
    lines = [f"no interval for {count} of {len(others)}: {reason}" for reason, count in missing.items()]
    if low.count():
        lines.insert(0, f"the interval excludes 0: {names or 'none'}, of {low.count()}; expect 1 in 20 by chance")
    return "\n".join(lines)
