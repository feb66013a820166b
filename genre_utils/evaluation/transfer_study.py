"""Transfer study: probes of a pretrained network's features against networks from scratch, on the same tracks."""

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from genre_utils.datasets import contents, labels
from genre_utils.evaluation import ablation_study, protocol_study, scoring
from genre_utils.evaluation.protocol_study import Trial
from genre_utils.features.store import Store
from genre_utils.models import pretrained
from genre_utils.params import FEATURE_NAMES, PRETRAINED, Params
from genre_utils.splits import leaks, stratification

if TYPE_CHECKING:
    from genre_utils.models.probe import Probe

WHOLE = "inner features"
# What a probe may see, by name: the columns in the words of probe.INPUTS, and tags that are hidden from it.
VIEWS: dict[str, tuple[str, tuple[str, ...]]] = {
    WHOLE: ("both", ()),
    "50 tags": ("tags", ()),
    f"{len(pretrained.GENRE_TAGS)} genre words": (
        "tags",
        tuple(tag for tag in pretrained.TAGS if tag not in pretrained.GENRE_TAGS),
    ),
    f"{len(pretrained.TAGS) - len(pretrained.GENRE_TAGS)} other tags": ("tags", pretrained.GENRE_TAGS),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Embedded:
    """A feature store with the embeddings of its rows.

    Attributes
    ----------
    store : Store
        Log-mels with ``pretrained.FEATURES``.
    values : np.ndarray [shape=(row, 1756)]
        As ``embeddings.of_store`` returns them.
    genres : list of str
        The classes.
    """

    store: Store
    values: np.ndarray
    genres: list[str]


def features(params: Params, segments: int) -> tuple[Params, Params]:
    """The features for the pretrained network and those for a network from scratch, of the same seconds of music.

    Parameters
    ----------
    params : Params
        Of a run. If its features are those of the pretrained network, the paper's are for the network from scratch.
    segments : int
        The first segments of each track that the pretrained network receives; 0: all.

    Returns
    -------
    pretrained, scratch : Params
        With other features and another ``max_segments``; the first has ``model="musicnn"``.

    References
    ----------
    Notebook: 07_transfer.
    """
    heard = dataclasses.replace(params, model=PRETRAINED, **pretrained.FEATURES, max_segments=segments)
    same = all(getattr(params, name) == pretrained.FEATURES[name] for name in pretrained.DECIDING)
    paper = {name: getattr(Params(), name) for name in FEATURE_NAMES} if same else {}
    scratch = dataclasses.replace(params, **paper)
    longest = math.ceil(round(segments * heard.segment_seconds / scratch.segment_seconds, 6))
    return heard, dataclasses.replace(scratch, max_segments=longest)


def sample(tracks: pd.DataFrame, most: int, *kinds: Params) -> pd.DataFrame:
    """Tracks that have a whole segment with each kind of features, at most a given number of them.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault stay in it.
    most : int
        Largest number of usable tracks, drawn at random in the genres' proportion; 0: all.
    *kinds : Params
        Their segments; the first also has the seed.

    Returns
    -------
    pd.DataFrame
        Fewer rows, same columns and order.

    References
    ----------
    Notebook: 07_transfer.
    """
    faulty = tracks["fault"] != ""
    long = [tracks["duration_seconds"].map(params.segments_in) > 0 for params in kinds]
    fit = tracks[~faulty & np.logical_and.reduce(long)]
    chosen = stratification.in_proportion(labels.rarest(fit["genre"]), most or len(fit), kinds[0].seed)
    return tracks[faulty | tracks.index.isin(chosen)].reset_index(drop=True)


def usable(*stores: Store) -> pd.DataFrame:
    """The tracks that have segments in all of some stores of the same catalog."""
    tracks = contents.usable(stores[0].tracks)
    for store in stores:
        tracks = tracks[tracks["track_id"].isin(store.segments["track_id"])]
    return tracks.reset_index(drop=True)


def trials(
    tracks: pd.DataFrame, params: Params, repeats: int, pairs: pd.DataFrame | None = None
) -> tuple[list[Trial], dict[str, str]]:
    """Plan trainings by file and without shared artists; where that is impossible, with the given split.

    A run of the protocol published has this split as the stricter protocol, as its other results are of the same test.

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

    Returns
    -------
    planned : list of Trial
        As ``protocol_study.trials`` returns them, the stricter protocol last.
    refused : dict
        The reason for each protocol that is not possible with this catalog.

    Raises
    ------
    SplitError
        If no protocol is possible.

    References
    ----------
    Notebook: 07_transfer.
    """
    planned, refused = protocol_study.trials(tracks, params, repeats, pairs, ("paper", "artist", "filtered"))
    possible = list(dict.fromkeys(trial.protocol for trial in planned))
    if params.protocol == "published" and "published" in possible:  # the run's own
        planned, _ = protocol_study.trials(tracks, params, repeats, pairs, [one for one in possible if one != "artist"])
    elif "artist" in possible and len(possible) == 3:  # the artist folds test each track once
        planned, _ = protocol_study.trials(tracks, params, repeats, pairs, possible[:-1])
    return planned, refused


def with_features(trial: Trial, tracks: pd.DataFrame, params: Params) -> Trial:
    """The same split of tracks for another network, whose segments are others.

    Parameters
    ----------
    trial : Trial
        The trial.
    tracks : pd.DataFrame
        Its catalog.
    params : Params
        The other features and the other network.

    Returns
    -------
    Trial
        With the protocol, the seed and the fold of the given one.

    References
    ----------
    Notebook: 07_transfer.
    """
    same = {name: getattr(trial.params, name) for name in ("protocol", "seed", "fold")}
    own = dataclasses.replace(params, **same)
    split = tracks["track_id"].map(leaks.of_tracks(trial.assignment).set_index("track_id")["split"])
    inside = tracks[split.notna()].reset_index(drop=True)
    assignment = stratification.of_segments(inside, split.dropna().to_numpy(), own)
    return dataclasses.replace(trial, params=own, assignment=assignment)


def run(planned: list[Trial], embedded: Embedded, view: str = WHOLE) -> pd.DataFrame:
    """Train a probe for every trial, and predict its test segments.

    The same as ``protocol_study.run`` with the model ``musicnn``, apart from the choice of the probe by validation;
    it needs seconds, because nothing passes through the network again.

    Parameters
    ----------
    planned : list of Trial
        The trials, with the features of the embeddings.
    embedded : Embedded
        The embeddings.
    view : str
        One of ``VIEWS``.

    Returns
    -------
    pd.DataFrame
        As ``protocol_study.run`` returns it.

    References
    ----------
    Notebook: 07_transfer.
    """
    from genre_utils.training import pipeline  # TensorFlow

    tables: list[pd.DataFrame] = []
    for trial in planned:
        train, test = (
            pipeline.examples(embedded.store, trial.assignment, s, embedded.genres) for s in ("train", "test")
        )
        found = fit(train, embedded, trial.params, view)
        seed = sum(table["protocol"].iloc[0] == trial.protocol for table in tables)
        tables.append(predicted(found, test, embedded, view).assign(protocol=trial.protocol, seed=seed))
    return pd.concat(tables, ignore_index=True)


def fit(segments: pd.DataFrame, embedded: Embedded, params: Params, view: str = WHOLE) -> "Probe":
    """Train a probe of the training tracks' mean embeddings: logistic regression, with no value to choose.

    Parameters
    ----------
    segments : pd.DataFrame
        Training segments, as ``pipeline.examples`` returns them.
    embedded : Embedded
        The embeddings.
    params : Params
        ``output`` and ``seed``.
    view : str
        One of ``VIEWS``: what it sees.

    Returns
    -------
    Probe

    References
    ----------
    Notebook: 07_transfer.
    """
    from genre_utils.models import embeddings, probe  # TensorFlow

    means, tracks = embeddings.by_track(shown(embedded, segments, view), segments)
    return probe.fit(means, labels.targets(tracks["genre"], embedded.genres), params, VIEWS[view][0])


def shown(embedded: Embedded, segments: pd.DataFrame, view: str) -> np.ndarray:
    """Embeddings of some segments; the tags that the view hides are 0 in all of them."""
    from genre_utils.models import embeddings  # TensorFlow

    values = np.array(embedded.values[segments["row"]])
    hidden = [pretrained.TAGS.index(tag) for tag in VIEWS[view][1]]
    values[:, embeddings.columns("tags")][:, hidden] = 0
    return values


def predicted(found: "Probe", segments: pd.DataFrame, embedded: Embedded, view: str = WHOLE) -> pd.DataFrame:
    """A probe's predictions of some test segments, as ``scoring.predict`` returns them."""
    probabilities = found.probabilities(shown(embedded, segments, view))
    return scoring.tabulated(segments.assign(split="test"), probabilities, embedded.store, embedded.genres)


def compare(predictions: dict[str, pd.DataFrame], seed: int = 0) -> pd.DataFrame:
    """Accuracy of each model under each protocol, and its paired difference to the first model.

    Parameters
    ----------
    predictions : dict of str to pd.DataFrame
        By model, as ``protocol_study.run`` returns them.
    seed : int
        Seed of the intervals.

    Returns
    -------
    pd.DataFrame [index=protocol, model]
        As ``ablation_study.table`` returns it, for each protocol.

    References
    ----------
    Notebook: 07_transfer.
    """
    first = next(iter(predictions.values()))
    tables = {}
    for protocol in first["protocol"].unique():
        own = {name: table[table["protocol"] == protocol] for name, table in predictions.items()}
        tables[protocol] = ablation_study.table(own, seed=seed)
    return pd.concat(tables, names=["protocol", "model"])
