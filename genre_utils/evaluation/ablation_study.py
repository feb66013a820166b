"""One thing changed at a time: the same split, the same tracks, and what each change is worth."""

import dataclasses
from pathlib import Path
from typing import Any

import joblib
import pandas as pd

from genre_utils.evaluation import protocol_study, scoring, uncertainty
from genre_utils.features.store import Store
from genre_utils.paths import CACHE, given


def variants(
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
        Name of a variant to the parameters that differ. One that asks for versions of the sound
        (``pitch_semitones``, ``stretch_share``, ``noise_snr_db``) is trained on those kinds in the store.
    trial : experiment.Trial
        The split, and the parameters that all variants have in common.
    store : Store
        The features, with every version of the sound that a variant asks for.
    genres : list of str
        The classes.
    folder : str or Path
        Gets a folder a variant, with ``model.keras`` and ``history.csv``.
    cache : str or Path
        Where a training's state is kept until it is done.

    Returns
    -------
    predictions : dict of str to pd.DataFrame
        As ``scoring.predict`` returns them: validation and test segments.
    seconds : pd.Series [index=variant]
        Of training, beside another one where ``protocol_study.in_parallel`` trains two at once.

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
    found = dict(zip(changes, protocol_study.in_parallel(jobs, models), strict=True))
    predictions = {name: table for name, (table, _) in found.items()}
    seconds = {name: seconds for name, (_, seconds) in found.items()}
    return predictions, pd.Series(seconds, name="seconds").rename_axis("variant")


def table(predictions: dict[str, pd.DataFrame], seconds: pd.Series, seed: int = 0) -> pd.DataFrame:
    """Accuracy of each variant on the test tracks, and its paired difference to the first one.

    Parameters
    ----------
    predictions : dict of str to pd.DataFrame
        As :func:`variants` returns them.
    seconds : pd.Series [index=variant]
        What each took.
    seed : int
        Of the intervals.

    Returns
    -------
    pd.DataFrame [index=variant]
        ``accuracy, low, high`` of tracks; ``difference, difference_low, difference_high`` to the first variant, NaN
        for itself; ``no_interval`` and ``difference_no_interval``, why low and high are NaN elsewhere; ``n`` tracks,
        ``resampled_by`` and ``seconds``.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    tested = {name: scoring.by_track(own[own["split"] == "test"]) for name, own in predictions.items()}
    first = next(iter(tested.values()))
    rows = {}
    for name, tracks in tested.items():
        right, gain = uncertainty.accuracy(tracks, seed), uncertainty.difference(first, tracks, seed)
        rows[name] = {key: right[key] for key in ("accuracy", "n", "resampled_by")} | uncertainty.columns(right)
        if tracks is not first:
            rows[name] |= {"difference": gain["difference"]} | uncertainty.columns(gain, "difference_")
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant").join(seconds)


def proven(table: pd.DataFrame) -> str:
    """Which variants differ from the first one by more than chance, in a sentence.

    Parameters
    ----------
    table : pd.DataFrame [index=variant]
        As :func:`table` returns it.

    Returns
    -------
    str
        Those whose interval of the difference holds no 0, of how many that have an interval, and why others have none.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    others = table.iloc[1:]
    low, high = others["difference_low"], others["difference_high"]
    names = ", ".join(others.index[(low > 0) | (high < 0)])
    missing = others.loc[low.isna(), "difference_no_interval"].value_counts()
    parts = [f"interval without 0: {names or 'none'}, of {low.count()}; expect 1 in 20 by chance"] * bool(low.count())
    return "\n".join([*parts, *(f"no interval for {count} of {len(others)}: {why}" for why, count in missing.items())])
