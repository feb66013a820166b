"""Protocol study: train one network under several split protocols, with the same number of training tracks."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import joblib
import pandas as pd

from genre_utils.errors import SplitError
from genre_utils.evaluation import scoring, uncertainty
from genre_utils.features.store import Store
from genre_utils.params import Params
from genre_utils.paths import CACHE, given
from genre_utils.splits import leaks, protocols, stratification
from genre_utils.training import parallel

ORDER = ("leaky", "paper", "artist", "filtered")  # from the worst to the best


@dataclasses.dataclass(frozen=True)
class Trial:
    """A planned training: a protocol and its split.

    Attributes
    ----------
    params : Params
        With the protocol, the seed and the fold of this trial.
    assignment : pd.DataFrame [columns=track_id, segment, split]
        The split.
    shared : pd.DataFrame
        Its leak report, as ``leaks.between_splits`` returns it.
    """

    params: Params
    assignment: pd.DataFrame
    shared: pd.DataFrame

    @property
    def protocol(self) -> str:
        """One of ``params.PROTOCOLS``."""
        return self.params.protocol

    @property
    def training_tracks(self) -> int:
        """Number of tracks with segments in train."""
        return self.assignment.loc[self.assignment["split"] == "train", "track_id"].nunique()


def trials(
    tracks: pd.DataFrame,
    params: Params,
    repeats: int,
    pairs: pd.DataFrame | None = None,
    among: Sequence[str] = ORDER,
) -> tuple[list[Trial], dict[str, str]]:
    """Plan ``repeats`` trainings of each protocol, all with the same number of training tracks.

    A repeat has another random split (leaky, paper), another fold (artist), or the same published split and another
    seed of the network (filtered).

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.
    params : Params
        Of the splits and the network.
    repeats : int
        Trainings per protocol.
    pairs : pd.DataFrame, optional
        Near-duplicates, as ``fingerprinting.duplicates`` returns them.
    among : sequence of str
        The protocols to plan.

    Returns
    -------
    planned : list of Trial
        In the order of ``among``.
    refused : dict
        The reason for each protocol that is not possible with this catalog.

    Raises
    ------
    SplitError
        If no protocol is possible.

    References
    ----------
    Notebook: 05_honest_splits.
    """
    planned, refused = [], {}
    for protocol in named(among, params):
        try:
            for repeat in range(repeats):
                own = dataclasses.replace(params, protocol=protocol, seed=params.seed + repeat)
                if protocol == "artist":  # the folds of one cross-validation, so that every track is tested once
                    fold = repeat % params.folds
                    own = dataclasses.replace(own, seed=params.seed + repeat // params.folds, fold=fold)
                planned.append(Trial(own, *protocols.assign(tracks, own, pairs)))
        except SplitError as error:
            refused[protocol] = str(error)
    if not planned:
        raise SplitError(f"No protocol is possible with this catalog. {' '.join(refused.values())}")
    count = min(trial.training_tracks for trial in planned)
    return [subsampled(trial, tracks, count, pairs) for trial in planned], refused


def named(among: Sequence[str], params: Params) -> list[str]:
    """Protocols, where the given split is called published if the run calls it so."""
    return ["published" if name == "filtered" and params.protocol == "published" else name for name in among]


def subsampled(trial: Trial, tracks: pd.DataFrame, count: int, pairs: pd.DataFrame | None = None) -> Trial:
    """Reduce a trial to a random sample of its training tracks, stratified by genre.

    A training track that is not drawn leaves the trial with all its segments. Under leaky, where training and test
    have the same tracks, the test becomes smaller too; under all other protocols it stays complete.

    Parameters
    ----------
    trial : Trial
        The trial.
    tracks : pd.DataFrame
        The catalog.
    count : int
        Number of training tracks to keep.
    pairs : pd.DataFrame, optional
        Near-duplicates, for the leak report.

    Returns
    -------
    Trial
        The same trial if it does not have more training tracks.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    if trial.training_tracks <= count:
        return trial
    training = trial.assignment.loc[trial.assignment["split"] == "train", "track_id"]
    known = tracks[tracks["track_id"].isin(training)]
    out = known.drop(stratification.in_proportion(known["genre"], count, trial.params.seed))["track_id"]
    assignment = trial.assignment[~trial.assignment["track_id"].isin(out)].reset_index(drop=True)
    return dataclasses.replace(trial, assignment=assignment, shared=leaks.between_splits(assignment, tracks, pairs))


def run(planned: list[Trial], store: Store, genres: list[str], cache: str | Path = CACHE) -> pd.DataFrame:
    """Train the network of every trial, and predict its test segments.

    Parameters
    ----------
    planned : list of Trial
        The trials.
    store : Store
        The features.
    genres : list of str
        The classes.
    cache : str or Path
        Folder for the state of trainings that are not finished.

    Returns
    -------
    pd.DataFrame
        As ``scoring.predict`` returns it, only test segments, with ``protocol`` and ``seed`` (the number of the trial
        within its protocol, from 0).

    References
    ----------
    Notebook: 05_honest_splits, 07_transfer.
    """
    cache = given(cache)
    jobs = [joblib.delayed(evaluate)(trial, store, genres, cache) for trial in planned]
    tables = list(parallel.in_order(jobs, {trial.params.model for trial in planned}))
    predictions = pd.concat(tables, keys=range(len(planned)), names=["trial"])
    predictions = predictions.reset_index(level="trial").reset_index(drop=True)
    predictions["seed"] = predictions.groupby("protocol")["trial"].rank(method="dense").astype(int) - 1
    return predictions.drop(columns="trial")


def evaluate(trial: Trial, store: Store, genres: list[str], cache: Path = CACHE) -> pd.DataFrame:
    """Train one trial, and predict its test segments."""
    with tempfile.TemporaryDirectory() as folder:
        predictions, _ = train(trial, store, genres, Path(folder), cache)
    return predictions[predictions["split"] == "test"].assign(protocol=trial.protocol)


def train(
    trial: Trial, store: Store, genres: list[str], folder: Path, cache: Path = CACHE
) -> tuple[pd.DataFrame, float]:
    """Train one network into a folder; return its predictions of validation and test, and the seconds of training."""
    from genre_utils.models import factory
    from genre_utils.training import trainer  # TensorFlow

    history = trainer.train(store, trial.assignment, genres, trial.params, folder, cache, quiet=True)
    network = factory.load(folder / "model.keras")
    predictions = scoring.predict(network, store, trial.assignment, genres, trial.params)
    return predictions, float(history["seconds"].sum())


def strictest(tracks: pd.DataFrame, params: Params, pairs: pd.DataFrame | None = None) -> Trial:
    """The split with the fewest leaks that is possible with a catalog: the given one, else artist, else paper.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog.
    params : Params
        Of the splits.
    pairs : pd.DataFrame, optional
        Near-duplicates, as ``fingerprinting.duplicates`` returns them.

    Returns
    -------
    Trial
        With all training tracks.

    Raises
    ------
    SplitError
        If none of these three is possible.

    References
    ----------
    Notebook: 06_beyond_the_paper.
    """
    refused = {}
    for protocol in reversed(named(ORDER[1:], params)):
        own = dataclasses.replace(params, protocol=protocol)
        try:
            return Trial(own, *protocols.assign(tracks, own, pairs))
        except SplitError as error:
            refused[protocol] = str(error)
    raise SplitError(f"No protocol except leaky is possible with this catalog. {' '.join(refused.values())}")


def summary(predictions: pd.DataFrame, planned: list[Trial], seed: int = 0) -> pd.DataFrame:
    """Results of each protocol: accuracy with its interval, spread over repeats, and leaks from training to test.

    Parameters
    ----------
    predictions : pd.DataFrame
        As :func:`run` returns them.
    planned : list of Trial
        The same trials.
    seed : int
        Seed of the intervals.

    Returns
    -------
    pd.DataFrame [index=protocol]
        ``segment``, ``segment_low``, ``segment_high``, ``track``, … (accuracies), and ``segment_no_interval``, …, the
        reason if an interval is missing; ``sd``, the standard deviation of the segments' accuracy over repeats;
        ``resampled_by``, ``training_tracks``, ``test_tracks`` (different ones), ``test_segments`` (of all repeats);
        and for each kind of leak the share of test tracks that have it in common with train, averaged over repeats.

    References
    ----------
    Notebook: 05_honest_splits.
    """
    rows = {}
    for protocol, own in predictions.groupby("protocol", sort=False):
        segment = uncertainty.accuracy(own, seed)
        track = uncertainty.accuracy(scoring.by_track(own), seed)
        per_repeat = uncertainty.is_right(own).groupby(own["seed"]).mean()
        reports = [trial.shared.assign(repeat=n) for n, trial in enumerate(planned) if trial.protocol == protocol]
        leaked = pd.concat(reports).query("between == 'train – test'").groupby("what")["share"].mean()
        rows[protocol] = {
            "segment": segment["accuracy"], **uncertainty.columns(segment, "segment_"),
            "track": track["accuracy"], **uncertainty.columns(track, "track_"),
            "sd": per_repeat.std(), "resampled_by": segment["resampled_by"],
            "training_tracks": next(trial.training_tracks for trial in planned if trial.protocol == protocol),
            "test_tracks": own["track_id"].nunique(), "test_segments": len(own),
            **{kind: leaked.get(kind) for kind in leaks.KINDS},
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("protocol")
