"""Training on several devices or machines: the mathematics of one, each replica with its part of every batch."""

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

CONFIG = "TF_CONFIG"  # TensorFlow's own: who the workers are, and which of them this process is
# What the others get when a worker dies, depending on what they were doing.
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError)


def task() -> str:
    """Which worker of a cluster this process is, such as worker-1; "" if it trains alone."""
    config = json.loads(os.environ.get(CONFIG) or "{}")
    members = [name for kind in ("chief", "worker") for name in config.get("cluster", {}).get(kind, [])]
    return f"{config['task']['type']}-{config['task']['index']}" if len(members) > 1 else ""


@functools.cache  # a process joins a cluster once
def strategy() -> tf.distribute.Strategy:
    """How this process trains: with the workers that ``TF_CONFIG`` names, on all its devices, or on its only one.

    Returns
    -------
    tf.distribute.Strategy
        ``num_replicas_in_sync`` is 1 where nothing is distributed.

    Raises
    ------
    ClusterError
        If TensorFlow has begun to work before it could join the cluster.

    References
    ----------
    docs/scaling.md.
    """
    if task():
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            raise ClusterError(
                f"TensorFlow joins the cluster of {CONFIG} before its first operation or never ({error}). "
                "Import genre_utils.training.trainer before a network is built."
            ) from error
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def agree(strategy: tf.distribute.Strategy, begin: str) -> None:
    """Wait until every worker is here, and see that all begin with the same.

    Parameters
    ----------
    strategy : tf.distribute.Strategy
        As :func:`strategy` gives it.
    begin : str
        What they begin with.

    Raises
    ------
    ClusterError
        If another worker begins with something else.
    """
    own = int(hashlib.sha256(begin.encode()).hexdigest()[:12], 16)  # the sum of thousands fits 64 bits

    @tf.function
    def total() -> tf.Tensor:
        return strategy.reduce("SUM", strategy.run(lambda: tf.constant(own, tf.int64)), axis=None)

    if int(total()) != own * strategy.num_replicas_in_sync:
        raise ClusterError(
            f"The workers of {CONFIG} differ; this one begins with {begin}. All need the same data and parameters, "
            "and the project's folder on a file system that they share."
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
    """What ``keras.Model.fit`` does on one device, with every batch divided among the replicas.

    Keras' own loop averages the replicas' averages, though the last batch of an epoch is rarely divided evenly,
    and fails with more than one worker. Here the sum over all replicas is divided by the whole batch, and batch
    normalisation takes its statistics over all of it, so that only dropout's random numbers differ from one device.

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
        Epochs that are done.
    epochs : int
        The last one.
    steps_per_epoch : int
        Batches an epoch.
    callbacks : list of keras.callbacks.Callback
        They see the same figures in every worker.
    verbose : int
        As Keras has it.

    Raises
    ------
    ClusterError
        If another worker is gone.

    References
    ----------
    TensorFlow's guide to ``tf.distribute``, custom training loops. docs/scaling.md.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
    with strategy.scope():
        model.optimizer.build(model.trainable_variables)  # its variables cannot come into being in a step
    train, test = steps(model, strategy)
    batches, held_out = iter(divided(data, strategy)), divided(validation_data, strategy)
    everyone = keras.callbacks.CallbackList(
        callbacks, add_progbar=verbose > 0, model=model, verbose=verbose, epochs=epochs, steps=steps_per_epoch
    )
    model.stop_training = False
    try:
        strategy.run(own_dropout, (model,))
        everyone.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            everyone.on_epoch_begin(epoch)
            learnt = []
            for step in range(steps_per_epoch):
                learnt.append(train(batches))
                everyone.on_train_batch_end(step)
            logs = means(learnt)
            everyone.on_test_begin()
            once = iter(held_out)
            judged = means([test(once) for _ in range(int(validation_data.cardinality()))])
            logs |= {f"val_{name}": value for name, value in judged.items()}
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
            f"Another worker of {CONFIG} is gone ({type(error).__name__}). Start all of them again: the training goes "
            "on after the last epoch that was saved."
        ) from error


def steps(model: keras.Model, strategy: tf.distribute.Strategy) -> tuple[Callable, Callable]:
    """One batch of training and one of validation: from an iterator to sums over all replicas."""
    loss, one_answer = keras.losses.get(model.loss), keras.metrics.sparse_categorical_accuracy

    def sums(probabilities: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> dict[str, tf.Tensor]:
        right = recipe.accuracy if len(targets.shape) == 2 else one_answer
        values = {"accuracy": right(targets, probabilities), "loss": loss(targets, probabilities), "examples": 1.0}
        return {name: tf.reduce_sum(value * weights) for name, value in values.items()}

    def learn(decibels: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            own = sums(model(decibels, training=True), targets, weights)
            batch = tf.distribute.get_replica_context().all_reduce("SUM", own["examples"])
            share = model.optimizer.scale_loss(own["loss"] / batch)  # the optimizer adds up the replicas' gradients
        model.optimizer.apply(tape.gradient(share, model.trainable_variables), model.trainable_variables)
        return own

    def judge(decibels: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> dict[str, tf.Tensor]:
        return sums(model(decibels, training=False), targets, weights)

    def everywhere(step: Callable) -> Callable:
        @tf.function
        def summed(batches: Any) -> dict[str, tf.Tensor]:
            own = strategy.run(step, next(batches))
            return {name: strategy.reduce("SUM", value, axis=None) for name, value in own.items()}

        return summed

    return everywhere(learn), everywhere(judge)


def divided(data: tf.data.Dataset, strategy: tf.distribute.Strategy) -> Any:
    """A data set of whole batches, the same in every worker, as one of :func:`parts` for the replicas."""

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        own = data.flat_map(functools.partial(parts, replicas=strategy.num_replicas_in_sync))
        return own.shard(context.num_input_pipelines, context.input_pipeline_id).prefetch(1)

    return strategy.distribute_datasets_from_function(of_worker)


def parts(decibels: tf.Tensor, targets: tf.Tensor, replicas: int) -> tf.data.Dataset:
    """A batch in as many parts as there are replicas, none of which is empty.

    Parameters
    ----------
    decibels : tf.Tensor [shape=(batch, mel, frame)]
        Log-mels.
    targets : tf.Tensor [shape=(batch,) or (batch, genre)]
        Labels or shares.
    replicas : int
        How many parts; their sizes differ by at most one.

    Returns
    -------
    tf.data.Dataset
        Triples of log-mels, targets and weights ``(part,)``. The weights are 1, but where a batch has fewer examples
        than there are replicas: it is filled with its own again, which weigh 0. TensorFlow's own division leaves
        parts empty, which oneDNN's convolution does not take.
    """
    count = tf.shape(targets, tf.int64)[0]
    filled = tf.maximum(count, replicas)

    def part(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        index = tf.range(number * filled // replicas, (number + 1) * filled // replicas)
        weights = tf.cast(index < count, tf.float32)
        return tf.gather(decibels, index % count), tf.gather(targets, index % count), weights

    return tf.data.Dataset.range(replicas).map(part)


def means(steps: list[dict[str, tf.Tensor]]) -> dict[str, float]:
    """Sums over batches, divided by the number of examples."""
    total = {name: sum(float(step[name]) for step in steps) for name in steps[0]}
    return {name: total[name] / total["examples"] for name in ("accuracy", "loss")}


def own_dropout(model: keras.Model) -> None:
    """Give each replica its own random numbers; the first one keeps those of a training on one device."""
    number = tf.distribute.get_replica_context().replica_id_in_sync_group
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
            state = layer.seed_generator.state
            state.assign(state + tf.cast(tf.stack([number, 0]), state.dtype))
