"""The pretrained network of J. Pons and X. Serra, musicnn, as a Keras network, with the weights of their package.

It was trained to predict fifty tags that listeners gave to the songs of the Million Song Dataset.
"""

import importlib.util
import shutil
import tempfile
from pathlib import Path

import numpy as np

from genre_utils.errors import MissingExtraError, ParamsError
from genre_utils.params import Params
from genre_utils.system.quiet import quiet_stderr

with quiet_stderr():
    import keras
    from keras import layers

PACKAGE = "musicnn==0.1.0"  # its code needs TensorFlow 1 and is not imported; its weights are what counts
INSTALL = f"python -m pip install --no-deps {PACKAGE}"  # with its dependencies, pip would look for TensorFlow 1
WEIGHTS = "MSD_musicnn"  # the folder of the weights in the package
# The features that the network was trained on, in the words of ``Params``; a segment has exactly 187 frames.
FEATURES = {
    "sample_rate_hz": 16_000,
    "segment_seconds": 2.976,
    "n_fft": 512,
    "hop_length": 256,
    "n_mels": 96,
    "fmin_hz": 0.0,
    "fmax_hz": 8_000.0,
    "level": "absolute",
}
DECIDING = [name for name in FEATURES if name != "segment_seconds"]  # any length will do
TIMBRAL = (204, ((7, 38), (7, 67)))  # filters, and kernels (frame, mel): timbres of 40 % and 70 % of the bands
TEMPORAL = (51, (128, 64, 32))  # filters, and kernels in frames: 2 s, 1 s and half a second of rhythm
MIDDLE, POOLED, PENULTIMATE = 64, 1_506, 200
# What listeners wrote most often, in the order of the network's outputs.
TAGS = (
    "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s", "alternative rock", "jazz",
    "beautiful", "metal", "chillout", "male vocalists", "classic rock", "soul", "indie rock", "Mellow", "electronica",
    "80s", "folk", "90s", "chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient", "acoustic",
    "experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country", "easy listening", "sexy",
    "catchy", "funk", "electro", "heavy metal", "Progressive rock", "60s", "rnb", "indie pop", "sad", "House", "happy",
)  # fmt: skip


def network(params: Params, folder: str | Path | None = None) -> keras.Model:
    """The pretrained network, from log-mel to its inner features and its tags.

    Parameters
    ----------
    params : Params
        Its features must be those of ``FEATURES``; segments may have another length.
    folder : str or Path, optional
        Of the weights; default: :func:`weights`.

    Returns
    -------
    keras.Model
        From log-mel in dB ``(batch, mel, frame)`` to ``pooled`` (batch, 1506), maxima and means over time of all
        convolutions; ``penultimate`` (batch, 200), the last hidden layer; ``tags`` (batch, 50), a probability for
        each of ``TAGS``. All layers are Keras' own, so that a saved network loads without this package.

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
    check(params)
    model = architecture(params)
    load(model, Path(folder) if folder else weights())
    return model


def check(params: Params) -> None:
    """Raise ParamsError if the features are not those that the network was trained on."""
    wrong = {name: getattr(params, name) for name in DECIDING if getattr(params, name) != FEATURES[name]}
    if wrong:
        needed = ", ".join(f"{name}={FEATURES[name]}" for name in wrong)
        received = ", ".join(f"{name}={value}" for name, value in wrong.items())
        raise ParamsError(
            f"The pretrained network needs {needed}, on which it was trained. Received: {received}. "
            "The profile transfer has these values."
        )


def architecture(params: Params) -> keras.Model:
    """The network of :func:`network` with random weights."""
    log_mel = keras.Input((params.n_mels, params.frames_per_segment), name="log_mel")
    # From this project's decibels to the logarithm of base 10 that the network was trained on.
    x = layers.Rescaling(0.1, offset=params.top_db / 10, name="log10")(log_mel)
    x = layers.Permute((2, 1))(x)
    x = layers.Reshape((params.frames_per_segment, params.n_mels, 1))(x)  # (batch, frame, mel, 1)
    x = layers.BatchNormalization(name="norm")(x)
    wide = layers.ZeroPadding2D(((3, 3), (0, 0)))(x)  # 7 frames wide, and the highest band first: padded in time only
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


def weights() -> Path:
    """The folder of the weights in the installed package.

    Raises
    ------
    MissingExtraError
        If the package is not installed.
    """
    found = importlib.util.find_spec("musicnn")  # without running its code
    for root in (found and found.submodule_search_locations) or ():
        if (Path(root) / WEIGHTS / ".index").is_file():
            return Path(root) / WEIGHTS
    raise MissingExtraError(f"The weights of the pretrained network musicnn are not installed. Install them: {INSTALL}")


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
