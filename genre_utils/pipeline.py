"""The tf.data input: indices shuffled whole, batches gathered from the memory map."""

import numpy as np
import pandas as pd

from genre_utils.params import Params
from genre_utils.quiet import quiet_stderr
from genre_utils.store import Store

with quiet_stderr():
    import tensorflow as tf

tf.get_logger().setLevel("ERROR")  # it warns of every further network in a process, as each is traced anew


def examples(store: Store, assignment: pd.DataFrame, split: str, genres: list[str]) -> pd.DataFrame:
    """The segments of one split, with their labels.

    Parameters
    ----------
    store : Store
        Features of the catalog.
    assignment : pd.DataFrame [columns=track_id, segment, split]
        As a function of ``splits`` returns it.
    split : str
        train, validation or test.
    genres : list of str
        The classes, in the order of the network's outputs.

    Returns
    -------
    pd.DataFrame
        The store's ``segments`` of that split in order of ``row``, with ``genre`` and ``label`` (its index).

    References
    ----------
    Notebook: 03_training.
    """
    chosen = assignment.loc[assignment["split"] == split, ["track_id", "segment"]]
    table = store.segments.merge(chosen, on=["track_id", "segment"]).merge(
        store.tracks[["track_id", "genre"]], on="track_id"
    )
    table["label"] = table["genre"].map({genre: label for label, genre in enumerate(genres)})
    return table.sort_values("row", ignore_index=True)


def in_order(store: Store, table: pd.DataFrame, params: Params) -> tf.data.Dataset:
    """Each segment once, in the order of the table: for validation and test.

    Parameters
    ----------
    store : Store
        Where the features are gathered from.
    table : pd.DataFrame
        As :func:`examples` returns it.
    params : Params
        ``batch_size``.

    Returns
    -------
    tf.data.Dataset
        Pairs of log-mel ``(batch, mel, frame)`` float32 in dB and labels ``(batch,)`` int32; the last batch
        may be smaller.

    References
    ----------
    Notebook: 03_training.
    """
    return batches(store, table, tf.data.Dataset.range(len(table)), params)


def shuffled(store: Store, table: pd.DataFrame, params: Params, first_epoch: int = 0) -> tf.data.Dataset:
    """Epoch after epoch without end, each a permutation of all segments: for training.

    The permutation of an epoch follows from ``params.seed`` and the epoch's number alone, so that a training
    resumed at epoch ``k`` sees what an undisturbed one sees.

    Parameters
    ----------
    store : Store
        Where the features are gathered from.
    table : pd.DataFrame
        As :func:`examples` returns it.
    params : Params
        ``batch_size`` and ``seed``.
    first_epoch : int
        Epochs already trained.

    Returns
    -------
    tf.data.Dataset
        As :func:`in_order`; ``ceil(len(table) / batch_size)`` batches an epoch.

    References
    ----------
    Paper, II.D. Notebook: 03_training.
    """

    def epoch_order(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(table), dtype=tf.int64), seed=tf.stack([tf.constant(params.seed, tf.int64), epoch])
        )
        return batches(store, table, tf.data.Dataset.from_tensor_slices(order), params)

    return tf.data.Dataset.counter(first_epoch).flat_map(epoch_order).prefetch(tf.data.AUTOTUNE)


def batches(store: Store, table: pd.DataFrame, order: tf.data.Dataset, params: Params) -> tf.data.Dataset:
    """Gather batches from the memory map in the given order of the table's lines."""
    rows, labels = table["row"].to_numpy(), table["label"].to_numpy(np.int32)
    _, mels, frames = store.features.shape

    def gather(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return store.features[rows[index]].astype(np.float32), labels[index]

    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        decibels, label = tf.numpy_function(gather, [index], (tf.float32, tf.int32), stateful=False)
        return tf.ensure_shape(decibels, (None, mels, frames)), tf.ensure_shape(label, (None,))

    return order.batch(params.batch_size).map(load, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def gpus() -> list[str]:
    """Names of the GPUs that TensorFlow sees."""
    devices = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in devices]
