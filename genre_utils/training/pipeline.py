"""The tf.data input pipeline: shuffle all row numbers, then gather each batch from the feature store's file."""

import numpy as np
import pandas as pd

from genre_utils.features.store import Store, read_rows
from genre_utils.params import Params
from genre_utils.system.quiet import quiet_stderr
from genre_utils.training import spec_augment

with quiet_stderr():
    import tensorflow as tf

tf.get_logger().setLevel("ERROR")  # it warns of every further network in a process, because each is traced again

AHEAD = 2  # batches to prepare in advance: two keep up with any network here, more would only use memory
# No function below has Python statements that AutoGraph must convert, and its conversion makes the first batch take
# four times as long.
as_written = tf.autograph.experimental.do_not_convert


def examples(store: Store, assignment: pd.DataFrame, split: str, genres: list[str]) -> pd.DataFrame:
    """List the segments of one split, with their labels.

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
        The store's ``segments`` of that split in order of ``row``, with ``genre``, ``label`` (the index of the genre;
        -1 for a track of several genres) and ``next_row``, the row of the next segment of the track (for the last
        segment its own row). Augmented versions (``augmentation`` is not "") are included only for train.

    References
    ----------
    Notebook: 03_training, 06_beyond_the_paper.
    """
    chosen = assignment.loc[assignment["split"] == split, ["track_id", "segment"]]
    rows = store.segments if split == "train" else store.segments[store.segments["augmentation"] == ""]
    table = rows.merge(chosen, on=["track_id", "segment"]).merge(store.tracks[["track_id", "genre"]], on="track_id")
    label_of = {genre: label for label, genre in enumerate(genres)}
    table["label"] = table["genre"].map(label_of).fillna(-1).astype(int)
    table = table.sort_values("row", ignore_index=True)
    following = table.groupby(["track_id", "augmentation"])[["row", "segment"]].shift(-1)
    adjacent = following["segment"] == table["segment"] + 1  # under leaky the next segment may be in another split
    table["next_row"] = following["row"].where(adjacent, table["row"]).astype(int)
    return table


def in_order(store: Store, table: pd.DataFrame, params: Params, targets: np.ndarray | None = None) -> tf.data.Dataset:
    """Each segment once, in the order of the table: for validation and test.

    Parameters
    ----------
    store : Store
        The features.
    table : pd.DataFrame
        As :func:`examples` returns it.
    params : Params
        ``batch_size``.
    targets : np.ndarray [shape=(n, genre)], optional
        Used instead of the table's labels; see ``labels.targets``.

    Returns
    -------
    tf.data.Dataset
        Pairs of log-mel ``(batch, mel, frame)`` float32 in dB and labels ``(batch,)`` int32, or targets
        ``(batch, genre)`` float32; the last batch may be smaller. There is no augmentation.

    References
    ----------
    Notebook: 03_training, 06_beyond_the_paper.
    """
    plain = tf.constant(-1, tf.int64)
    return batches(store, table, tf.data.Dataset.range(len(table)), plain, params, targets)


def shuffled(
    store: Store, table: pd.DataFrame, params: Params, first_epoch: int = 0, targets: np.ndarray | None = None
) -> tf.data.Dataset:
    """All segments in random order, epoch after epoch without end: for training.

    The order of an epoch and its augmentation depend only on ``params.seed`` and the number of the epoch. So a
    training that resumes at epoch ``k`` gets the same batches as an uninterrupted one.

    Parameters
    ----------
    store : Store
        The features.
    table : pd.DataFrame
        As :func:`examples` returns it.
    params : Params
        ``batch_size``, ``seed``, and those of ``spec_augment.augmented``.
    first_epoch : int
        Number of epochs already trained.
    targets : np.ndarray [shape=(n, genre)], optional
        Used instead of the table's labels; MixUp needs them.

    Returns
    -------
    tf.data.Dataset
        As :func:`in_order`; ``ceil(len(table) / batch_size)`` batches per epoch.

    References
    ----------
    Paper, II.D and IV.1. Notebook: 03_training, 06_beyond_the_paper.
    """

    @as_written
    def epoch_order(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(table), dtype=tf.int64), seed=tf.stack([tf.constant(params.seed, tf.int64), epoch])
        )
        return batches(store, table, tf.data.Dataset.from_tensor_slices(order), epoch, params, targets)

    return tf.data.Dataset.counter(first_epoch).flat_map(epoch_order).prefetch(AHEAD)


def batches(
    store: Store,
    table: pd.DataFrame,
    order: tf.data.Dataset,
    epoch: tf.Tensor,
    params: Params,
    targets: np.ndarray | None,
) -> tf.data.Dataset:
    """Gather batches from the store in the given order of the table's rows; epoch -1 means no augmentation."""
    rows, next_rows = table["row"].to_numpy(), table["next_row"].to_numpy()
    wanted = table["label"].to_numpy(np.int32) if targets is None else targets
    kind = tf.as_dtype(wanted.dtype)
    _, mels, frames = store.features.shape

    def gather(index: np.ndarray, epoch: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        decibels, target = read_rows(store.features, rows[index]), wanted[index]
        if epoch < 0:
            return decibels.astype(np.float32), target
        following = read_rows(store.features, next_rows[index]) if params.crop else decibels
        rng = np.random.default_rng([params.seed, epoch, step])
        return spec_augment.augmented(decibels, following, target, params, rng)

    @as_written
    def load(step: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        decibels, target = tf.numpy_function(gather, [index, epoch, step], (tf.float32, kind), stateful=False)
        return tf.ensure_shape(decibels, (None, mels, frames)), tf.ensure_shape(target, (None, *wanted.shape[1:]))

    steps = order.batch(params.batch_size).enumerate()
    return steps.map(load, num_parallel_calls=AHEAD).prefetch(AHEAD)


def gpus() -> list[str]:
    """Names of the GPUs that TensorFlow sees."""
    devices = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in devices]
