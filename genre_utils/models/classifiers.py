"""Classifiers of hand-crafted features: a support vector machine and boosted trees."""

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
CALIBRATION_FOLDS = 3  # five give the same accuracy and take two fifths longer
BOOSTING_ROUNDS = 60


def fit_predict(x: np.ndarray, segments: pd.DataFrame, kind: str, genres: list[str], seed: int = 0) -> pd.DataFrame:
    """Train a classifier on the training segments, and predict the validation and test segments.

    Parameters
    ----------
    x : np.ndarray [shape=(segment, feature)]
        The features; their scale does not matter.
    segments : pd.DataFrame
        A row for each row of ``x``: ``track_id, segment, split, genre`` and, if known, ``start_seconds``,
        ``artist`` and ``path``.
    kind : str
        ``svm``: standardised features, then for each genre a support vector machine with a radial kernel against all
        other genres; temperature scaling, fitted by cross-validation over the training tracks, turns their distances
        into probabilities. ``boosting``: gradient-boosted trees on histograms.
    genres : list of str
        The classes, in the order of the columns ``p_<genre>``.
    seed : int
        Seed of boosting; the support vector machine has no randomness.

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
        If a genre has only one training track, so that cross-validation is not possible.

    References
    ----------
    ``sklearn.svm.SVC``; C. Guo et al., On calibration of modern neural networks, ICML 2017 (temperature);
    ``sklearn.ensemble.HistGradientBoostingClassifier``. Notebook: 06_beyond_the_paper.
    """
    if kind not in KINDS:
        raise ParamsError(unknown_name(kind, KINDS).replace("parameter", "classifier"))
    train = (segments["split"] == "train").to_numpy()
    held_out = segments["split"].isin(("validation", "test")).to_numpy()
    one = segments.assign(genre=rarest(segments["genre"]))  # both classifiers need exactly one genre per row
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
    """A support vector machine for each genre, with probabilities calibrated by cross-validation over tracks."""
    tracks = train.groupby("genre")["track_id"].nunique()
    if tracks.min() < 2:
        few = ", ".join(tracks.index[tracks < 2])
        raise SplitError(
            "The SVM needs two or more training tracks of every genre, because its probabilities are calibrated by "
            f"cross-validation. Found only one of: {few}. Add tracks, leave the genre out, or use boosting."
        )
    folds = StratifiedGroupKFold(min(CALIBRATION_FOLDS, int(tracks.min())))
    parts = list(folds.split(train, train["genre"], train["track_id"]))
    # One genre against the rest: as accurate as SVC's own one against one, and better calibrated.
    machines = make_pipeline(StandardScaler(), OneVsRestClassifier(SVC(C=1.0, gamma="scale")))
    return CalibratedClassifierCV(machines, method="temperature", cv=parts, ensemble=False)


def boosting(seed: int) -> HistGradientBoostingClassifier:
    """Boosted trees that train in seconds: few and small, and each split considers a tenth of the features."""
    return HistGradientBoostingClassifier(
        max_iter=BOOSTING_ROUNDS, max_leaf_nodes=15, max_features=0.1, early_stopping=False, random_state=seed
    )
