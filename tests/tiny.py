"""A network with all that a training's state is made of, batch norm and dropout, which traces in a moment."""

from keras import layers

from genre_utils import models, networks


def tiny_cnn(log_mel, params, genres):
    x = networks.standardised_image(log_mel, params)
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = layers.BatchNormalization(momentum=params.bn_momentum)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return layers.Dense(genres, activation=params.output)(x)


models.MODELS["tiny_cnn"] = tiny_cnn
