"""Classifiers of features made by hand: a support vector machine and boosted trees."""

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from genre_utils.datasets.labels import rarest
from genre_utils.errors import ParamsError, SplitError
from genre_utils.params import unknown_name

KINDS = ("svm", "boosting")
CALIBRATION_FOLDS = 3  # five give the same figures, for two fifths more time
BOOSTING_ROUNDS = 60


def fit_predict(x: np.ndarray, segments: pd.DataFrame, kind: str, genres: list[str], seed: int = 0) -> pd.DataFrame:
    """Train a classifier on the segments of train, and give the probabilities of all others.

    Parameters
    ----------
    x : np.ndarray [shape=(segment, feature)]
        Of any scale.
    segments : pd.DataFrame
        What the rows of ``x`` are: ``track_id, segment, split, genre`` and, if known, ``start_seconds``,
        ``artist`` and ``path``.
    kind : str
        ``svm``: standardised features, and of each genre a support vector machine with a radial kernel that tells
        it from all others; their distances become probabilities by a temperature that is fitted on training tracks
        left out in turn. ``boosting``: gradient-boosted trees on histograms.
    genres : list of str
        The classes, in the order of the table's columns.
    seed : int
        Of boosting; the machine has no chance in it.

    Returns
    -------
    pd.DataFrame
        As ``scoring.predict`` returns it: ``track_id, segment, start_seconds, split, genre, predicted,
        p_<genre>…, artist, path`` of the validation and test rows, in the given order. A genre without training
        tracks has probability 0.

    Raises
    ------
    ParamsError
        If no classifier has that name.
    SplitError
        If a genre has only one training track, so that none can be left out.

    References
    ----------
    ``sklearn.svm.SVC``; C. Guo et al., On calibration of modern neural networks, ICML 2017 (temperature);
    ``sklearn.ensemble.HistGradientBoostingClassifier``. Notebook: 06_beyond_the_paper.
    """
    if kind not in KINDS:
        raise ParamsError(unknown_name(kind, KINDS).replace("parameter", "classifier"))
    train = (segments["split"] == "train").to_numpy()
    held_out = segments["split"].isin(("validation", "test")).to_numpy()
    one = segments.assign(genre=rarest(segments["genre"]))  # they learn one genre a row
    labels = one["genre"].map({genre: label for label, genre in enumerate(genres)}).to_numpy()[train]
    chosen = svm(one[train]) if kind == "svm" else boosting(seed)
    fitted = chosen.fit(x[train], labels)

    probabilities = np.zeros((held_out.sum(), len(genres)))
    probabilities[:, fitted.classes_] = fitted.predict_proba(x[held_out])
    table = segments[held_out].reset_index(drop=True)
    table["predicted"] = np.array(genres)[probabilities.argmax(axis=1)]
    columns = pd.DataFrame(probabilities, columns=[f"p_{genre}" for genre in genres])
    front = ["track_id", "segment", "start_seconds", "split", "genre", "predicted"]
    order = [name for name in (*front, *columns, "artist", "path") if name in table or name in columns]
    return pd.concat([table, columns], axis=1)[order]


def svm(train: pd.DataFrame) -> CalibratedClassifierCV:
    """A support vector machine for each genre, calibrated on tracks of ``train`` that are left out in turn."""
    tracks = train.groupby("genre")["track_id"].nunique()
    if tracks.min() < 2:
        few = ", ".join(tracks.index[tracks < 2])
        raise SplitError(
            "The SVM's probabilities are fitted on training tracks left out in turn; every genre needs two or more. "
            f"Received one of: {few}. Add tracks, leave the genre out, or use boosting."
        )
    folds = StratifiedGroupKFold(min(CALIBRATION_FOLDS, int(tracks.min())))
    parts = list(folds.split(train, train["genre"], train["track_id"]))
    # One genre against the rest: no less accurate than SVC's own one against one, and better calibrated.
    machines = make_pipeline(StandardScaler(), OneVsRestClassifier(SVC(C=1.0, gamma="scale")))
    return CalibratedClassifierCV(machines, method="temperature", cv=parts, ensemble=False)


def boosting(seed: int) -> HistGradientBoostingClassifier:
    """Boosted trees: few and small, each node looking at a tenth of the features, so that seconds are enough."""
    return HistGradientBoostingClassifier(
        max_iter=BOOSTING_ROUNDS, max_leaf_nodes=15, max_features=0.1, early_stopping=False, random_state=seed
    )
