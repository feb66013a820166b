"""Network architectures. Each takes a plain log-mel: resizing and standardisation are layers inside it."""

from collections.abc import Callable

from genre_utils.params import Params
from genre_utils.system.quiet import quiet_stderr

with quiet_stderr():
    import keras
    from keras import layers

PAPER_FILTERS = (32, 64, 128, 256)
PAPER_DROPOUT = (0.2, 0.3, 0.3, 0.4)
COMPACT_FILTERS = (32, 48, 96, 128)
COMPACT_HZ = 14.0  # frames per second in the compact networks: a sixteenth note at 210 bpm


def standardised_image(log_mel: keras.KerasTensor, params: Params) -> keras.KerasTensor:
    """Resize a log-mel to the image size of the network, then standardise each segment separately.

    Parameters
    ----------
    log_mel : KerasTensor [shape=(batch, mel, frame)]
        Decibels.
    params : Params
        ``image_height`` (mel) and ``image_width`` (time), in pixels.

    Returns
    -------
    KerasTensor [shape=(batch, image_height, image_width, 1)]
        Mean 0 and standard deviation 1 over each segment; a constant segment becomes 0.

    References
    ----------
    Paper, II.B.3 and II.B.4. Bilinear resizing. Notebook: 03_training.
    """
    x = layers.Reshape((*log_mel.shape[1:], 1), name="channel")(log_mel)
    x = layers.Resizing(params.image_height, params.image_width, name="resize")(x)
    return standardised(x)


def standardised(x: keras.KerasTensor) -> keras.KerasTensor:
    """Scale each segment to mean 0 and standard deviation 1: layer normalisation over the image, without weights."""
    return layers.LayerNormalization(axis=(1, 2, 3), epsilon=1e-6, center=False, scale=False, name="standardise")(x)


def paper_cnn(log_mel: keras.KerasTensor, params: Params, genres: int) -> keras.KerasTensor:
    """The paper's network: four convolutional blocks, then one hidden dense layer.

    Parameters
    ----------
    log_mel : KerasTensor [shape=(batch, mel, frame)]
        Decibels.
    params : Params
        Image size, ``padding`` and ``bn_momentum``; the paper fixes everything else.
    genres : int
        Number of outputs.

    Returns
    -------
    KerasTensor [shape=(batch, genres)]
        Probabilities. At 256x256 with ten genres the network has 33,951,882 parameters.

    References
    ----------
    Paper, II.C. Notebook: 03_training.
    """
    x = standardised_image(log_mel, params)
    for filters, dropout in zip(PAPER_FILTERS, PAPER_DROPOUT, strict=True):
        x = layers.Conv2D(filters, 3, padding=params.padding, activation="relu")(x)
        x = layers.BatchNormalization(momentum=params.bn_momentum)(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(dropout)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(512, activation="relu", name="dense")(x)
    x = layers.BatchNormalization(momentum=params.bn_momentum)(x)
    x = layers.Dropout(0.5)(x)
    return layers.Dense(genres, activation=params.output, name="probabilities")(x)


def compact_features(log_mel: keras.KerasTensor, params: Params) -> keras.KerasTensor:
    """The layers that all compact networks share: standardise, then four convolutions, down to ``n_mels / 16`` bands.

    The image is never enlarged. Frames are averaged to about ``COMPACT_HZ`` per second, and the first convolution
    has a stride of two bands. Batch normalisation comes before the activation, with no dropout before it, so that
    its running averages settle within a few dozen steps.

    Parameters
    ----------
    log_mel : KerasTensor [shape=(batch, mel, frame)]
        Decibels, any number of frames.
    params : Params
        ``sample_rate_hz``, ``hop_length`` and ``bn_momentum``.

    Returns
    -------
    KerasTensor [shape=(batch, mel / 16, time, 128)]
        About 1.8 steps in ``time`` per second.
    """
    frames = max(1, round(params.sample_rate_hz / params.hop_length / COMPACT_HZ))
    x = layers.Reshape((params.n_mels, -1, 1), name="channel")(log_mel)
    x = layers.AveragePooling2D((1, frames), name="frames")(x) if frames > 1 else x
    x = standardised(x)
    for number, filters in enumerate(COMPACT_FILTERS):
        first, last = number == 0, number == len(COMPACT_FILTERS) - 1
        x = layers.Conv2D(filters, 5 if first else 3, strides=(2, 1) if first else 1, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=params.bn_momentum)(x)
        x = layers.ReLU(name="features" if last else None)(x)
        x = x if last else layers.MaxPooling2D(2)(x)
    return x


def compact_cnn(log_mel: keras.KerasTensor, params: Params, genres: int) -> keras.KerasTensor:
    """The recommended network: the compact features, averaged over frequency and time.

    Parameters
    ----------
    log_mel, params, genres : KerasTensor, Params, int
        As in :func:`paper_cnn`, but with any number of frames; also returns probabilities.

    References
    ----------
    M. Lin, Q. Chen and S. Yan, Network in network (2014), for the global average. Notebook: 05_honest_splits,
    06_beyond_the_paper.
    """
    x = layers.GlobalAveragePooling2D()(compact_features(log_mel, params))
    x = layers.Dropout(0.3)(x)
    return layers.Dense(genres, activation=params.output, name="probabilities")(x)


def crnn(log_mel: keras.KerasTensor, params: Params, genres: int) -> keras.KerasTensor:
    """Convolutional-recurrent network: a bidirectional gated recurrent unit reads the compact features.

    Parameters
    ----------
    log_mel, params, genres : KerasTensor, Params, int
        As in :func:`paper_cnn`, but with any number of frames; also returns probabilities.

    References
    ----------
    Paper, IV.2 and its reference 4: Choi et al., Convolutional recurrent neural networks for music
    classification (2017). Notebook: 06_beyond_the_paper.
    """
    x = mean_over_frequency(compact_features(log_mel, params))
    x = layers.Bidirectional(layers.GRU(64), name="gru")(x)  # (batch, 128)
    x = layers.Dropout(0.3)(x)
    return layers.Dense(genres, activation=params.output, name="probabilities")(x)


def attention(log_mel: keras.KerasTensor, params: Params, genres: int) -> keras.KerasTensor:
    """Attention network: the mean of the compact features over time, weighted by learned attention.

    Parameters
    ----------
    log_mel, params, genres : KerasTensor, Params, int
        As in :func:`paper_cnn`, but with any number of frames.

    Returns
    -------
    KerasTensor [shape=(batch, genres)]
        Probabilities. The layer ``attention`` outputs the weights (batch, time, 1), which sum to 1 over time.

    References
    ----------
    Paper, IV.2. Ilse, Tomczak and Welling, Attention-based deep multiple instance learning (2018), without its
    gate. Notebook: 06_beyond_the_paper.
    """
    x = mean_over_frequency(compact_features(log_mel, params))
    scores = layers.Dense(1)(layers.Dense(64, activation="tanh")(x))  # (batch, time, 1)
    weights = layers.Softmax(axis=1, name="attention")(scores)
    x = layers.Flatten()(layers.Dot(axes=1)([weights, x]))  # (batch, 128)
    x = layers.Dropout(0.3)(x)
    return layers.Dense(genres, activation=params.output, name="probabilities")(x)


def mean_over_frequency(x: keras.KerasTensor) -> keras.KerasTensor:
    """Average over frequency: (batch, mel, time, channel) to (batch, time, channel)."""
    x = layers.AveragePooling2D((x.shape[1], 1))(x)
    return layers.Reshape((-1, x.shape[-1]))(x)


MODELS: dict[str, Callable[[keras.KerasTensor, Params, int], keras.KerasTensor]] = {
    "paper_cnn": paper_cnn,
    "compact_cnn": compact_cnn,
    "crnn": crnn,
    "attention": attention,
}
ANY_LENGTH = ("compact_cnn", "crnn", "attention")
