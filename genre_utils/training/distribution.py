"""Training on several devices or machines, with the same results as on one: every batch is divided among replicas."""

import functools
import hashlib
import json
import os
from collections.abc import Callable
from typing import Any

from genre_utils.errors import ClusterError
from genre_utils.system.quiet import quiet_stderr
from genre_utils.training import recipe

with quiet_stderr():
    import keras
    import tensorflow as tf

CONFIG = "TF_CONFIG"  # TensorFlow's environment variable: the addresses of all workers, and the number of this one
# Errors that the other workers get when a worker dies, depending on what they were doing.
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError)


def task() -> str:
    """The name of this worker in its cluster, such as worker-1; "" if this process trains alone."""
    config = json.loads(os.environ.get(CONFIG) or "{}")
    members = [name for kind in ("chief", "worker") for name in config.get("cluster", {}).get(kind, [])]
    return f"{config['task']['type']}-{config['task']['index']}" if len(members) > 1 else ""


@functools.cache  # a process joins a cluster once
def strategy() -> tf.distribute.Strategy:
    """Choose TensorFlow's strategy: the workers that ``TF_CONFIG`` names, else all devices of this process, else one.

    Returns
    -------
    tf.distribute.Strategy
        ``num_replicas_in_sync`` is 1 if there is only one device.

    Raises
    ------
    ClusterError
        If TensorFlow has run an operation before it could join the cluster.

    References
    ----------
    docs/scaling.md.
    """
    if task():
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            raise ClusterError(
                f"TensorFlow can join the cluster of {CONFIG} only before its first operation ({error}). "
                "Import genre_utils.training.trainer before you build a network."
            ) from error
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def agree(strategy: tf.distribute.Strategy, begin: str) -> None:
    """Wait for all workers, and check that they start from the same state.

    Parameters
    ----------
    strategy : tf.distribute.Strategy
        As :func:`strategy` returns it.
    begin : str
        A description of this worker's state.

    Raises
    ------
    ClusterError
        If another worker has another state.
    """
    own = int(hashlib.sha256(begin.encode()).hexdigest()[:12], 16)  # small enough that a sum of thousands fits 64 bits

    @tf.function
    def total() -> tf.Tensor:
        return strategy.reduce("SUM", strategy.run(lambda: tf.constant(own, tf.int64)), axis=None)

    if int(total()) != own * strategy.num_replicas_in_sync:
        raise ClusterError(
            f"The workers of {CONFIG} do not start from the same state; this one starts with {begin}. Give all workers "
            "the same data and parameters, and put the project's folder on a file system that they share."
        )


def fit(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    data: tf.data.Dataset,
    validation_data: tf.data.Dataset,
    initial_epoch: int,
    epochs: int,
    steps_per_epoch: int,
    callbacks: list[keras.callbacks.Callback],
    verbose: int,
) -> None:
    """Train like ``keras.Model.fit`` on one device, with every batch divided among the replicas.

    Keras' own loop fails with more than one worker. It also averages the means of the replicas, which is wrong if
    the last batch of an epoch is not divided evenly. Here the sum over all replicas is divided by the size of the
    whole batch, and batch normalisation uses the statistics of the whole batch. So only the random numbers of dropout
    differ from training on one device.

    Parameters
    ----------
    model : keras.Model
        Compiled by ``recipe.compiled`` in the strategy's scope.
    strategy : tf.distribute.Strategy
        With several replicas.
    data : tf.data.Dataset
        Whole batches without end, the same in every worker.
    validation_data : tf.data.Dataset
        Whole batches, the same in every worker.
    initial_epoch : int
        Number of epochs that are done.
    epochs : int
        Number of the last epoch.
    steps_per_epoch : int
        Batches per epoch.
    callbacks : list of keras.callbacks.Callback
        They get the same loss and accuracy in every worker.
    verbose : int
        As in ``keras.Model.fit``.

    Raises
    ------
    ClusterError
        If another worker has stopped.

    References
    ----------
    TensorFlow's guide to ``tf.distribute``, custom training loops. docs/scaling.md.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
    with strategy.scope():
        model.optimizer.build(model.trainable_variables)  # variables cannot be created inside a step
    train, test = steps(model, strategy)
    batches, held_out = iter(divided(data, strategy)), divided(validation_data, strategy)
    everyone = keras.callbacks.CallbackList(
        callbacks, add_progbar=verbose > 0, model=model, verbose=verbose, epochs=epochs, steps=steps_per_epoch
    )
    model.stop_training = False
    try:
        strategy.run(reseed_dropout, (model,))
        everyone.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            everyone.on_epoch_begin(epoch)
            sums = []
            for step in range(steps_per_epoch):
                sums.append(train(batches))
                everyone.on_train_batch_end(step)
            logs = means(sums)
            everyone.on_test_begin()
            once = iter(held_out)
            validation = means([test(once) for _ in range(int(validation_data.cardinality()))])
            logs |= {f"val_{name}": value for name, value in validation.items()}
            everyone.on_test_end()
            everyone.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        model.optimizer.finalize_variable_values(model.trainable_variables)
        everyone.on_train_end()
    except LOST as error:
        if not task():
            raise
        raise ClusterError(
            f"Another worker of {CONFIG} has stopped ({type(error).__name__}). Start all workers again: training "
            "resumes after the last saved epoch."
        ) from error


def steps(model: keras.Model, strategy: tf.distribute.Strategy) -> tuple[Callable, Callable]:
    """The training step and the validation step: each takes an iterator, and returns sums over all replicas."""
    loss = keras.losses.get(model.loss)

    def sums(probabilities: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> dict[str, tf.Tensor]:
        accuracy = recipe.accuracy if len(targets.shape) == 2 else keras.metrics.sparse_categorical_accuracy
        values = {"accuracy": accuracy(targets, probabilities), "loss": loss(targets, probabilities), "examples": 1.0}
        return {name: tf.reduce_sum(value * weights) for name, value in values.items()}

    def train(decibels: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            own = sums(model(decibels, training=True), targets, weights)
            batch = tf.distribute.get_replica_context().all_reduce("SUM", own["examples"])
            share = model.optimizer.scale_loss(own["loss"] / batch)  # the optimizer adds up the replicas' gradients
        model.optimizer.apply(tape.gradient(share, model.trainable_variables), model.trainable_variables)
        return own

    def validate(decibels: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> dict[str, tf.Tensor]:
        return sums(model(decibels, training=False), targets, weights)

    def on_all_replicas(step: Callable) -> Callable:
        @tf.function
        def summed(batches: Any) -> dict[str, tf.Tensor]:
            own = strategy.run(step, next(batches))
            return {name: strategy.reduce("SUM", value, axis=None) for name, value in own.items()}

        return summed

    return on_all_replicas(train), on_all_replicas(validate)


def divided(data: tf.data.Dataset, strategy: tf.distribute.Strategy) -> Any:
    """Divide every batch of a data set, which is the same in all workers, among the replicas; see :func:`parts`."""

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        own = data.flat_map(functools.partial(parts, replicas=strategy.num_replicas_in_sync))
        return own.shard(context.num_input_pipelines, context.input_pipeline_id).prefetch(1)

    return strategy.distribute_datasets_from_function(of_worker)


def parts(decibels: tf.Tensor, targets: tf.Tensor, replicas: int) -> tf.data.Dataset:
    """Divide a batch into one part per replica, none of them empty.

    Parameters
    ----------
    decibels : tf.Tensor [shape=(batch, mel, frame)]
        Log-mels.
    targets : tf.Tensor [shape=(batch,) or (batch, genre)]
        Labels, or shares of genres.
    replicas : int
        Number of parts; their sizes differ by at most one.

    Returns
    -------
    tf.data.Dataset
        Triples of log-mels, targets and weights ``(part,)``. The weights are 1. If a batch has fewer examples than
        there are replicas, examples are repeated with weight 0. (TensorFlow's own division leaves parts empty, on
        which oneDNN's convolution fails.)
    """
    count = tf.shape(targets, tf.int64)[0]
    filled = tf.maximum(count, replicas)

    def part(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        index = tf.range(number * filled // replicas, (number + 1) * filled // replicas)
        weights = tf.cast(index < count, tf.float32)
        return tf.gather(decibels, index % count), tf.gather(targets, index % count), weights

    return tf.data.Dataset.range(replicas).map(part)


def means(steps: list[dict[str, tf.Tensor]]) -> dict[str, float]:
    """Mean accuracy and loss per example, from the sums of all batches."""
    total = {name: sum(float(step[name]) for step in steps) for name in steps[0]}
    return {name: total[name] / total["examples"] for name in ("accuracy", "loss")}


def reseed_dropout(model: keras.Model) -> None:
    """Give each replica other random numbers for dropout; the first replica keeps those of training on one device."""
    number = tf.distribute.get_replica_context().replica_id_in_sync_group
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
            state = layer.seed_generator.state
            state.assign(state + tf.cast(tf.stack([number, 0]), state.dtype))
