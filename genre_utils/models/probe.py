"""A probe: a linear classifier of a pretrained network's inner features, and both as one Keras network."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from genre_utils.errors import SplitError
from genre_utils.models import embeddings, musicnn
from genre_utils.params import Params
from genre_utils.system.quiet import quiet_stderr

with quiet_stderr():
    import keras

# What a probe may see of the network, the most useful first.
INPUTS = {"both": ("pooled", "penultimate"), "pooled": ("pooled",), "penultimate": ("penultimate",), "tags": ("tags",)}
# Kinds of classifiers with the strengths C of their regularisation: the smaller, the stronger.
HEADS = {"logistic regression": (1.0, 0.1), "linear SVM": (0.001,)}
# Smallest standard deviation of a feature that counts. Most features of musicnn are always nearly 0, and what varies
# less is rounding: LiteRT and TensorFlow differ by up to 0.0003.
LEAST_SPREAD = 0.01
NEVER = -100.0  # logit of a genre without training tracks


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """A trained linear classifier of embeddings.

    Attributes
    ----------
    inputs : str
        One of ``INPUTS``: what it sees.
    head : str
        One of ``HEADS``.
    c : float
        Strength of its regularisation: the smaller, the stronger.
    weights, bias : np.ndarray [shape=(feature, genre) and (genre,)]
        From embeddings, not standardised, to logits.
    output : str
        softmax or sigmoid.
    """

    inputs: str
    head: str
    c: float
    weights: np.ndarray
    bias: np.ndarray
    output: str

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        return f"{self.head}, C = {self.c:g}, on {self.inputs}"

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Probabilities (n, genre) from embeddings (n, 1756)."""
        logits = seen(values, self.inputs) @ self.weights + self.bias
        return expit(logits) if self.output == "sigmoid" else softmax(logits, axis=1)


def seen(values: np.ndarray, inputs: str) -> np.ndarray:
    """The columns of embeddings (n, 1756) that a probe sees, as float64."""
    return np.concatenate([values[:, embeddings.columns(name)] for name in INPUTS[inputs]], axis=1).astype(float)


def varying(x: np.ndarray) -> np.ndarray:
    """Which features of (n, feature) vary by more than rounding, (feature,); at least the one that varies most."""
    spread = x.std(axis=0)
    return spread >= min(LEAST_SPREAD, spread.max())


def fit(
    values: np.ndarray,
    targets: np.ndarray,
    params: Params,
    inputs: str = "both",
    head: str = "logistic regression",
    c: float = 1.0,
) -> Probe:
    """Train a probe.

    Parameters
    ----------
    values : np.ndarray [shape=(n, 1756)]
        Embeddings of the training examples; a track is one example, the mean of its segments.
    targets : np.ndarray [shape=(n, genre)]
        0 or 1; with softmax exactly one 1 in each row.
    params : Params
        ``output`` and ``seed``.
    inputs, head, c : str, str, float
        As in :class:`Probe`.

    Raises
    ------
    SplitError
        If there are no two genres in training.

    References
    ----------
    G. Alain and Y. Bengio, Understanding intermediate layers using linear classifier probes (2016). Notebook:
    07_transfer.
    """
    known = np.flatnonzero(targets.any(axis=0))
    if len(known) < 2:
        raise SplitError(f"A probe needs training tracks of two genres or more. Received: {len(known)}.")
    several = params.output == "sigmoid"
    # Nothing can be learnt of a genre that every example has.
    always = np.flatnonzero(several * targets.all(axis=0))
    weights, bias = np.zeros((seen(values[:1], inputs).shape[1], targets.shape[1])), np.full(targets.shape[1], NEVER)
    bias[always] = -NEVER
    known = np.setdiff1d(known, always)
    if not len(known):
        return Probe(inputs, head, c, weights, bias, params.output)
    x = seen(values, inputs)
    varies = varying(x)
    mean, spread = x[:, varies].mean(axis=0), np.maximum(x[:, varies].std(axis=0), np.finfo(float).tiny)
    x = (x[:, varies] - mean) / spread
    if head == "linear SVM":
        machine = LinearSVC(C=c, random_state=params.seed)
    else:
        machine = LogisticRegression(C=c, max_iter=1_000)
    fitted = OneVsRestClassifier(machine) if several else machine
    with threadpool_limits(1, "blas"):  # for so few rows, threads would wait for each other
        fitted.fit(x, targets[:, known] if several else targets[:, known].argmax(axis=1))
    machines = fitted.estimators_ if several else [fitted]
    rows = np.concatenate([one.coef_ for one in machines])  # (genre, feature)
    levels = np.concatenate([one.intercept_ for one in machines])
    if len(rows) == 1 and not several:  # two genres: scikit-learn has one logit, that of the second
        rows, levels = np.concatenate([-rows, rows]) / 2, np.concatenate([-levels, levels]) / 2
    rows = rows / spread
    weights[np.ix_(varies, known)], bias[known] = rows.T, levels - rows @ mean
    return Probe(inputs, head, c, weights, bias, params.output)


def candidates(values: np.ndarray, targets: np.ndarray, params: Params) -> Iterator[Probe]:
    """Train each head on each input, the most useful first; see :func:`fit`."""
    for inputs in INPUTS:
        for head, strengths in HEADS.items():
            for c in strengths:
                yield fit(values, targets, params, inputs, head, c)


def network(found: Probe, params: Params) -> keras.Model:
    """The pretrained network with a probe on top: one network from log-mel to probabilities.

    Parameters
    ----------
    found : Probe
        The probe.
    params : Params
        The features.

    Returns
    -------
    keras.Model
        From log-mel in dB ``(batch, mel, frame)`` to probabilities ``(batch, genre)``; all layers are Keras' own.

    References
    ----------
    Notebook: 07_transfer.
    """
    model = musicnn.classifier(params, len(found.bias), INPUTS[found.inputs])
    model.get_layer("probabilities").set_weights([found.weights, found.bias])
    return model
