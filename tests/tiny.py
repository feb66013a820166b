"""A network with all that a training's state is made of, batch norm and dropout, which traces in a moment."""

import functools

from keras import layers

from genre_utils.models import architectures, factory


def tiny_cnn(log_mel, params, genres, dropout=0.2):
    x = architectures.standardised_image(log_mel, params)
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = layers.BatchNormalization(momentum=params.bn_momentum)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(dropout)(x) if dropout else x
    return layers.Dense(genres, activation=params.output)(x)


factory.MODELS["tiny_cnn"] = tiny_cnn
factory.MODELS["still_cnn"] = functools.partial(tiny_cnn, dropout=0)  # the same on one device and on several
