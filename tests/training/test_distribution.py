"""Training on several devices and machines: the loop, the division of batches, then real processes on loopback."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tiny  # noqa: F401  (registers the networks that these tests train)
import yaml
from bounds import U, disturbed, of_network
from processes import SECONDS, free_ports, processes

from genre_utils.datasets import labels
from genre_utils.errors import ClusterError
from genre_utils.models import factory
from genre_utils.training import distribution, pipeline, recipe, trainer

GENRES = ["bass", "noise", "treble"]


@pytest.fixture(scope="module")
def uneven(params):
    """48 segments to train on: five batches of 9 and one of 3, of which two replicas can halve none."""
    return dataclasses.replace(params, model="still_cnn", batch_size=9)


def config(index, kind="worker", **cluster):
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("text", "task"),
    [
        (None, ""),
        ("{}", ""),
        (config(0, worker=["a:1"]), ""),
        (config(1, worker=["a:1", "b:1"]), "worker-1"),
        (config(0, "chief", chief=["a:1"], worker=["b:1"]), "chief-0"),
    ],
)
def test_a_process_is_one_of_several_where_the_environment_says_so(monkeypatch, text, task):
    monkeypatch.setenv(distribution.CONFIG, text) if text else monkeypatch.delenv(distribution.CONFIG, False)
    assert distribution.task() == task


def test_one_device_alone_is_left_to_keras():
    assert distribution.strategy() is tf.distribute.get_strategy()
    assert distribution.strategy().num_replicas_in_sync == 1
    assert distribution.strategy().extended.should_checkpoint


def test_too_late_to_join_a_cluster_says_what_to_do(monkeypatch):
    tf.constant(0)
    monkeypatch.setenv(distribution.CONFIG, config(0, worker=["a:1", "b:1"]))
    with pytest.raises(ClusterError, match=r"only before its first operation.*Import genre_utils.training.trainer"):
        distribution.strategy.__wrapped__()


@pytest.mark.parametrize(("count", "replicas"), [(8, 2), (9, 2), (1, 2), (5, 4), (9, 8), (3, 8), (7, 1)])
def test_a_batch_is_divided_evenly_and_nothing_counts_twice(count, replicas):
    decibels, targets = np.arange(count * 2.0).reshape(count, 2, 1), np.arange(count)
    found = [[array.numpy() for array in part] for part in distribution.parts(decibels, targets, replicas)]
    sizes = [len(targets) for _, targets, _ in found]
    assert len(sizes) == replicas
    assert max(sizes) - min(sizes) <= 1 <= min(sizes)
    images, labels, weights = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    np.testing.assert_array_equal(labels[weights == 1], targets)
    np.testing.assert_array_equal(images, decibels[labels])
    assert weights.sum() == count


def test_the_loop_does_what_keras_does(built, assignment, uneven):
    """On one device even dropout and batch normalisation are the same: what differs is rounding."""
    params = dataclasses.replace(uneven, model="tiny_cnn", mixup_alpha=0.4, ema_decay=0.5, weight_decay=0.01)
    train, held_out = (pipeline.examples(built, assignment, side, GENRES) for side in ("train", "validation"))
    targets = [labels.targets(table["genre"], GENRES) for table in (train, held_out)]
    seen, weights = [], []
    keras_own = tf.distribute.get_strategy()
    for strategy, off in ((keras_own, 0), (tf.distribute.MirroredStrategy(["/cpu:0"]), 0), (keras_own, 1)):
        with strategy.scope():
            model = recipe.compiled(factory.build(params, 3), params)
        model.set_weights(disturbed(model.get_weights(), off * of_network(model, built.features)))
        log = trainer.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((epoch, logs)))
        plan = {
            "validation_data": pipeline.in_order(built, held_out, params, targets[1]), "initial_epoch": 0, "epochs": 2,
            "steps_per_epoch": math.ceil(len(train) / 9), "callbacks": [*recipe.monitors(params), log], "verbose": 0,
        }  # fmt: skip
        data = pipeline.shuffled(built, train, params, 0, targets[0])
        if strategy is not keras_own:
            distribution.fit(model, strategy, data, **plan)
        else:
            model.fit(data, shuffle=False, **plan)
        weights.append(model.get_weights())
    assert [epoch for epoch, _ in seen] == 3 * [0, 1]
    keras, own, astray = (pd.DataFrame([logs for _, logs in seen[start : start + 2]]) for start in (0, 2, 4))
    assert set(own) == set(keras)
    for name in own:
        off = np.abs(astray[name] - keras[name]).max()
        np.testing.assert_allclose(own[name], keras[name], rtol=4 * U, atol=off)
    assert farthest(weights[1], weights[0]) <= farthest(weights[2], weights[0])


def farthest(one, other):
    """How far apart two networks' weights are."""
    return max(np.abs(a - b).max() for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def alone(built, assignment, uneven, tmp_path_factory):
    """History and weights of the same training by one process on one device; and from weights that err."""
    build, found = factory.build, []
    for name, off in (("alone", 0), ("astray", 1)):

        def erring(*arguments, off=off):
            model = build(*arguments)
            model.set_weights(disturbed(model.get_weights(), off * of_network(model, built.features)))
            return model

        folder = tmp_path_factory.mktemp(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(factory, "build", erring)
            history = trainer.train(built, assignment, GENRES, uneven, folder, folder)
        found.append((history.drop(columns="seconds"), factory.load(folder / "model.keras").get_weights()))
    return found


def same(folder, alone):
    (history, weights), (other_history, other_weights) = alone
    found = pd.read_csv(folder / "history.csv").drop(columns="seconds")
    assert list(found) == list(history)
    for name in found:
        off = np.abs(other_history[name] - history[name]).max()
        np.testing.assert_allclose(found[name], history[name], rtol=4 * U, atol=off)
    assert farthest(factory.load(folder / "model.keras").get_weights(), weights) <= farthest(other_weights, weights)


TRAIN = """
import sys, time, yaml
from pathlib import Path
import genre_utils, tensorflow as tf
parameters, store, out, cache, devices, seconds = sys.argv[1:]
cpu = tf.config.list_physical_devices("CPU")[0]
if int(devices) > 1:
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(devices))
import pandas as pd, tiny
from genre_utils.training import distribution, trainer
from genre_utils.features import store as stores
from genre_utils.params import Params

trainer.SECONDS_BETWEEN_SAVES = 0
begin = trainer.State.on_epoch_begin
def slow(self, epoch, logs=None):
    time.sleep(float(seconds) * epoch)  # from the second epoch on there is time to be killed
    begin(self, epoch, logs)
trainer.State.on_epoch_begin = slow
arguments = [
    stores.open_store(Path(store)), pd.read_csv(Path(cache) / "split.csv"), ["bass", "noise", "treble"],
    Params.from_mapping(yaml.safe_load(parameters)),
]
trainer.train(*arguments, Path(out), Path(cache))
"""

DROPOUT = """
import dataclasses, numpy as np
from genre_utils.models import factory
strategy = distribution.strategy()
arguments[3] = dataclasses.replace(arguments[3], model="tiny_cnn")
fit, seeds = distribution.fit, []
def noted(model, *positional, **named):
    fit(model, *positional, **named)
    state = next(layer for layer in model.layers if "dropout" in layer.name).seed_generator.state.value
    seeds.append([part.numpy().tolist() for part in strategy.experimental_local_results(state)])
distribution.fit = noted
def killed(self, epoch, logs=None):
    if epoch == 2 and not seeds[1:]:
        seeds.append("killed")
        raise KeyboardInterrupt
    begin(self, epoch, logs)
found = []
for name in ("undisturbed", "resumed"):
    folder = Path(cache) / name
    folder.mkdir()
    for attempt in range(2 if name == "resumed" else 1):
        try:
            trainer.train(*arguments, folder, folder)
        except KeyboardInterrupt:
            print("killed")
    found.append(factory.load(folder / "model.keras").get_weights())
    trainer.State.on_epoch_begin = killed
assert seeds[0] == seeds[2] and seeds[1] == "killed", seeds
assert seeds[0][0] != seeds[0][1], "both replicas draw the same"
assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))
print("equal")
"""


@pytest.fixture
def start(built, assignment, uneven, tmp_path):
    """Start a training in a process of its own; its state is in ``tmp_path``."""
    assignment.to_csv(tmp_path / "split.csv", index=False)
    with processes(tmp_path) as started:

        def start(out, script=TRAIN, devices=1, seconds=0.0, change=None, **environment):
            (tmp_path / out).mkdir(exist_ok=True)
            parameters = yaml.safe_dump(dataclasses.replace(uneven, **change or {}).to_mapping())
            words = ["-c", script, parameters, built.folder, tmp_path / out, tmp_path, devices, seconds]
            return started.start(*words, **environment)

        start.processes = started
        yield start


@pytest.mark.cluster
def test_two_devices_train_as_one(start, alone, tmp_path):
    process = start("both", TRAIN + DROPOUT, devices=2)
    printed = start.processes.ended(process)
    assert "killed" in printed
    assert printed.endswith("equal\n")
    same(tmp_path / "both", alone)


@pytest.mark.cluster
def test_two_workers_train_as_one_and_go_on_after_one_has_died(start, alone, tmp_path):
    def workers(seconds=0.0, change=None):
        addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
        return [
            start(
                f"worker-{index}", seconds=seconds, change=change if index else None,
                TF_CONFIG=config(index, worker=addresses),
            )
            for index in range(2)
        ]  # fmt: skip

    def failed(process):
        process.wait(SECONDS)
        assert process.returncode != 0
        return start.processes.log(start.processes.started.index(process)).read_text()

    chief, other = workers(change={"seed": 1})
    assert "The workers of TF_CONFIG do not start from the same state" in failed(chief)
    assert "The workers of TF_CONFIG do not start from the same state" in failed(other)

    chief, other = workers(seconds=10.0)
    start.processes.until(lambda: list(tmp_path.glob("training/*/epoch-0001")), chief, other)
    other.kill()
    assert "ClusterError: Another worker of TF_CONFIG has stopped" in failed(chief)
    assert len(list(tmp_path.glob("training/*/epoch-*"))) == 1

    for process in workers():
        assert "resuming after epoch" in start.processes.ended(process)
    for index in range(2):
        same(tmp_path / f"worker-{index}", alone)
    assert not list(tmp_path.glob("training/*/epoch-*"))  # the state is gone
    first, second = (Path(tmp_path / f"worker-{index}" / "model.keras") for index in range(2))
    for one, other in zip(*(factory.load(path).get_weights() for path in (first, second)), strict=True):
        np.testing.assert_array_equal(one, other)
