"""The pretrained network of J. Pons and X. Serra, musicnn, as a Keras network, with the weights of their package.

It was trained to predict fifty tags that listeners gave to the songs of the Million Song Dataset.
"""

import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genre_utils.models import pretrained
from genre_utils.models.pretrained import TAGS
from genre_utils.params import Params
from genre_utils.system.quiet import quiet_stderr

with quiet_stderr():
    import keras
    from keras import layers

LN_10 = math.log(10)
# Each segment gets the same loudness, or a quiet copy of a song would have other features: its maximum is set to the
# median of the segments of 138 clips of GTZAN, as log10(10,000 power).
LOUDEST = 5.75
TIMBRAL = (204, ((7, 38), (7, 67)))  # filters, and kernels (frame, mel): timbres of 40 % and 70 % of the bands
TEMPORAL = (51, (128, 64, 32))  # filters, and kernels in frames: 2 s, 1 s and half a second of rhythm
MIDDLE, POOLED, PENULTIMATE = 64, 1_506, 200


def network(params: Params, folder: str | Path | None = None) -> keras.Model:
    """The pretrained network, from log-mel to its inner features and its tags.

    Parameters
    ----------
    params : Params
        Its features must be those of ``pretrained.FEATURES``; segments may have another length.
    folder : str or Path, optional
        Of the weights; default: ``pretrained.weights``.

    Returns
    -------
    keras.Model
        From log-mel in dB ``(batch, mel, frame)`` to ``pooled`` (batch, 1506), maxima and means over time of all
        convolutions; ``penultimate`` (batch, 200), the last hidden layer; ``tags`` (batch, 50), a probability for
        each of ``pretrained.TAGS``. All layers are Keras' own, so that a saved network loads without this package.

    Raises
    ------
    MissingExtraError
        If the weights are not installed.
    ParamsError
        If the features are not those that the network was trained on.

    References
    ----------
    J. Pons and X. Serra, musicnn: pre-trained convolutional neural networks for music audio tagging, late-breaking
    session of ISMIR 2019, arXiv:1909.06654. Notebook: 07_transfer.
    """
    pretrained.check(params)
    model = architecture(params)
    load(model, Path(folder) if folder else pretrained.weights())
    return model


def classifier(params: Params, genres: int, inputs: Sequence[str] = ("pooled", "penultimate")) -> keras.Model:
    """The pretrained network with a dense layer of random weights for other classes than its tags.

    Parameters
    ----------
    params : Params
        As of :func:`network`, and ``output``: softmax or sigmoid.
    genres : int
        Number of outputs.
    inputs : sequence of str
        Outputs of :func:`network` that the layer sees, side by side.

    Returns
    -------
    keras.Model
        From log-mel in dB ``(batch, mel, frame)`` to probabilities ``(batch, genres)``.

    References
    ----------
    Notebook: 07_transfer.
    """
    backbone = network(params)
    parts = [backbone.output[name] for name in inputs]
    x = parts[0] if len(parts) == 1 else layers.Concatenate(name="embedding")(parts)
    probabilities = layers.Dense(genres, activation=params.output, name="probabilities")(x)
    return keras.Model(backbone.input, probabilities, name="musicnn")


def architecture(params: Params) -> keras.Model:
    """The network of :func:`network` with random weights."""
    log_mel = keras.Input((params.n_mels, params.frames_per_segment), name="log_mel")
    # From decibels below the maximum to log10(1 + 10,000 power), which the network was trained on: a softplus.
    x = layers.Rescaling(LN_10 / 10, offset=LN_10 * LOUDEST, name="level")(log_mel)
    x = layers.Rescaling(1 / LN_10, name="log10")(layers.Activation("softplus")(x))
    x = layers.Permute((2, 1))(x)
    x = layers.Reshape((params.frames_per_segment, params.n_mels, 1))(x)  # (batch, frame, mel, 1)
    x = layers.BatchNormalization(name="norm")(x)
    wide = layers.ZeroPadding2D(((3, 3), (0, 0)))(x)  # in time only: the kernels reach over most mel bands
    filters, kernels = TIMBRAL
    parts = [over_mels(wide, filters, kernel, "valid", f"timbral_{kernel[1]}") for kernel in kernels]
    filters, lengths = TEMPORAL
    parts += [over_mels(x, filters, (length, 1), "same", f"temporal_{length}") for length in lengths]
    front = layers.Concatenate(name="front")(parts)  # (batch, frame, 561)
    middle = [front]
    for number in (1, 2, 3):
        x = layers.Conv1D(MIDDLE, 7, padding="same", activation="relu", name=f"middle_{number}")(middle[-1])
        x = layers.BatchNormalization(name=f"middle_{number}_norm")(x)
        middle.append(x if number == 1 else layers.Add()([x, middle[-1]]))
    x = layers.Concatenate()(middle)  # (batch, frame, 753)
    x = layers.Concatenate(name="pooled")([layers.GlobalMaxPooling1D()(x), layers.GlobalAveragePooling1D()(x)])
    pooled = x
    x = layers.BatchNormalization(name="pooled_norm")(x)
    x = layers.Dense(PENULTIMATE, activation="relu", name="hidden")(x)
    penultimate = layers.BatchNormalization(name="penultimate")(x)
    tags = layers.Dense(len(TAGS), activation="sigmoid", name="tags")(penultimate)
    return keras.Model(log_mel, {"pooled": pooled, "penultimate": penultimate, "tags": tags}, name="musicnn")


def over_mels(
    x: keras.KerasTensor, filters: int, kernel: tuple[int, int], padding: str, name: str
) -> keras.KerasTensor:
    """A convolution over (batch, frame, mel, 1), and its maximum over the mel bands: (batch, frame, filter)."""
    x = layers.Conv2D(filters, kernel, padding=padding, activation="relu", name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    x = layers.MaxPooling2D((1, x.shape[2]))(x)
    return layers.Reshape((x.shape[1], filters))(x)


def load(model: keras.Model, folder: Path) -> None:
    """Read the weights of a checkpoint of TensorFlow 1 into the network of :func:`architecture`."""
    with quiet_stderr():
        import tensorflow as tf
    with tempfile.TemporaryDirectory() as scratch:  # TensorFlow takes a name that is a folder for something else
        for suffix in (".index", ".data-00000-of-00001"):
            shutil.copyfile(folder / suffix, Path(scratch) / f"weights{suffix}")
        saved = tf.train.load_checkpoint(str(Path(scratch) / "weights"))

        def values(name: str, *kinds: str) -> list[np.ndarray]:
            return [saved.get_tensor(f"{name}/{kind}") for kind in kinds]

        def numbered(kind: str, number: int) -> str:
            return f"{kind}_{number}" if number else kind

        norm = ("gamma", "beta", "moving_mean", "moving_variance")
        convolutions = [f"timbral_{kernel[1]}" for kernel in TIMBRAL[1]] + [f"temporal_{n}" for n in TEMPORAL[1]]
        convolutions += [f"middle_{number}" for number in (1, 2, 3)]
        for number, name in enumerate(convolutions):
            kernel, bias = values(numbered("conv2d", number), "kernel", "bias")
            layer = model.get_layer(name)
            layer.set_weights([kernel.reshape(layer.kernel.shape), bias])
        norms = ["norm", *(f"{name}_norm" for name in convolutions), "pooled_norm", "penultimate"]
        # The checkpoint has the maximum and the mean of each channel side by side; here all maxima come first.
        order = np.arange(POOLED).reshape(-1, 2).T.ravel()
        for number, name in enumerate(norms):
            read = values(numbered("batch_normalization", number), *norm)
            model.get_layer(name).set_weights([one[order] for one in read] if name == "pooled_norm" else read)
        kernel, bias = values("dense", "kernel", "bias")
        model.get_layer("hidden").set_weights([kernel[order], bias])
        model.get_layer("tags").set_weights(values("dense_1", "kernel", "bias"))
