"""A network with all that a training's state is made of, batch norm and dropout, which traces in a moment."""

import functools

import keras
from keras import layers

from genre_utils.models import architectures, embeddings, factory


def tiny_cnn(log_mel, params, genres, dropout=0.2):
    x = architectures.standardised_image(log_mel, params)
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = layers.BatchNormalization(momentum=params.bn_momentum)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(dropout)(x) if dropout else x
    return layers.Dense(genres, activation=params.output)(x)


factory.MODELS["tiny_cnn"] = tiny_cnn
factory.MODELS["still_cnn"] = functools.partial(tiny_cnn, dropout=0)  # the same on one device and on several


def tiny_musicnn(params):
    """In place of the pretrained network: outputs of the same widths, in a moment, and without its weights."""
    keras.utils.set_random_seed(0)
    log_mel = keras.Input((params.n_mels, params.frames_per_segment))
    x = layers.GlobalAveragePooling1D()(layers.Permute((2, 1))(layers.Rescaling(0.1)(log_mel)))
    parts = {name: layers.Dense(width, activation="sigmoid")(x) for name, width in embeddings.WIDTHS.items()}
    return keras.Model(log_mel, parts)
