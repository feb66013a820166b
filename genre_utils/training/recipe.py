"""The training recipe that the parameters describe: loss, optimizer and callbacks. Plain Keras, for any backend."""

import math
from typing import Any

from genre_utils.params import Params
from genre_utils.system.quiet import quiet_stderr

with quiet_stderr():
    import keras

WARM_UP = 0.05  # share of a cosine schedule's epochs: Adam's first averages are over few batches


def compiled(model: keras.Model, params: Params, optimizers: Any = None) -> keras.Model:
    """Compile a network with its loss and optimizer: the paper's, unless the parameters say otherwise.

    Parameters
    ----------
    model : keras.Model
        Its outputs must be probabilities.
    params : Params
        ``learning_rate``, ``weight_decay``, ``ema_decay``, ``output`` and ``mixup_alpha``.
    optimizers : module, optional
        Another module that has ``Adam`` and ``AdamW``, such as ``fused``; default: ``keras.optimizers``.

    Returns
    -------
    keras.Model
        The same network, compiled.

    References
    ----------
    Paper, II.D. Notebook: 03_training, 06_beyond_the_paper.
    """
    optimizers = optimizers or keras.optimizers
    ema = {"use_ema": True, "ema_momentum": params.ema_decay} if params.ema_decay else {}
    if params.weight_decay:
        optimizer = optimizers.AdamW(params.learning_rate, weight_decay=params.weight_decay, **ema)
    else:
        optimizer = optimizers.Adam(params.learning_rate, **ema)
    if params.output == "sigmoid":
        model.compile(optimizer, "binary_crossentropy", metrics=[accuracy])
    elif takes_shares(params):
        model.compile(optimizer, "categorical_crossentropy", metrics=[accuracy])
    else:
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def takes_shares(params: Params) -> bool:
    """Whether the targets are shares of genres ``(n, genre)`` and not labels ``(n,)``. Notebook: 03_training."""
    return params.output == "sigmoid" or params.mixup_alpha > 0


def accuracy(targets: keras.KerasTensor, probabilities: keras.KerasTensor) -> keras.KerasTensor:
    """Whether the most probable genre is one of a row's genres, or the larger part of a mixture (n,)."""
    guess = keras.ops.argmax(probabilities, axis=-1)[:, None]
    share = keras.ops.take_along_axis(keras.ops.convert_to_tensor(targets), guess, axis=-1)[:, 0]
    return keras.ops.cast(share >= 0.5, "float32")


def monitors(params: Params) -> list[keras.callbacks.Callback]:
    """Callbacks for the learning rate, early stopping and averaged weights.

    Parameters
    ----------
    params : Params
        ``schedule`` and its settings, and ``ema_decay``.

    Returns
    -------
    list of keras.callbacks.Callback
        For the schedule plateau: the paper's early stopping and its lower learning rate on a plateau. For cosine: the
        learning rate of each epoch. With ``ema_decay``, the model has the averaged weights between two epochs.

    References
    ----------
    Paper, II.D. Loshchilov and Hutter, SGDR (2017), without restarts. Notebook: 03_training.
    """
    if params.schedule == "cosine":
        callbacks = [keras.callbacks.LearningRateScheduler(lambda epoch: cosine(epoch, params))]
    else:
        callbacks = [
            keras.callbacks.EarlyStopping("val_loss", patience=params.early_stopping_patience),
            keras.callbacks.ReduceLROnPlateau(
                "val_loss", factor=params.plateau_factor, patience=params.plateau_patience
            ),
        ]
    return callbacks + ([keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if params.ema_decay else [])


def cosine(epoch: int, params: Params) -> float:
    """The learning rate of an epoch (the first is 0): a short warm-up, then half a cosine down to nearly 0."""
    warm = max(1, round(WARM_UP * params.max_epochs))
    if epoch < warm:
        return params.learning_rate * (epoch + 1) / (warm + 1)
    along = (epoch - warm) / max(1, params.max_epochs - warm)
    return params.learning_rate * (0.5 + 0.5 * math.cos(math.pi * along))
