"""Training steps of the paper's network: this project, Keras with oneDNN and without, and PyTorch.

By itself TensorFlow takes oneDNN where the CPU has AVX512_VNNI, AMX or the like, and leaves it where it has not.

python -m benchmarks.speed.training --torch OTHER_ENVIRONMENT/bin/python --json training.json

Each way trains in a process of its own, on the same batches; the processes take turns, epoch by epoch. Then the
weights after one step of gradient descent are compared with those of a network of float64.

--isa AVX2 limits oneDNN (and PyTorch) to the instructions of a CPU without AVX-512.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import shared  # and nothing of this project: a process of PyTorch's has it not

GENRES, MELS, FRAMES = 10, 128, 216  # 5 s of the paper's log-mel
WAYS = {
    "off": "Keras without oneDNN",
    "onednn": "the same with oneDNN",
    "batch norm": "and our batch norm",
    "ours": "and our Adam: this project",
    "torch": "PyTorch, channels last",
}
PRODUCT = 4096  # rows and columns of the matrices whose product says what the machine can do


def batches(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-mels of noise with a bright band for each genre: learnable, and the same for every way."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, GENRES, count * size)
    decibels = rng.normal(-45, 8, (count * size, MELS, FRAMES)).astype(np.float32)
    for row, label in enumerate(labels):
        decibels[row, 12 * label : 12 * label + 8] += 15
    return decibels, labels.astype(np.int64)


def keras_epoch(way: str, image: int, size: int, steps: int) -> tuple[Callable[[], list[tuple[float, float]]], Any]:
    """What trains an epoch by Keras and returns each step's seconds and loss; and the network."""
    import keras
    import tensorflow as tf

    from genre_utils.models import factory, fused
    from genre_utils.params import Params

    plain = factory.build(Params(image_height=image, image_width=image), GENRES, FRAMES)
    weights = plain.get_weights()
    keras.utils.set_random_seed(0)  # the same dropout in every way
    network = fused.network(plain) if way in ("batch norm", "ours") else keras.models.clone_model(plain)
    network.set_weights(weights)
    optimizers = fused if way == "ours" else keras.optimizers
    network.compile(optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    x, y = batches(steps, size)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(size).prefetch(2)

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
            self.started = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            found.append((time.perf_counter() - self.started, float(logs["loss"])))  # of the epoch so far

    found: list[tuple[float, float]] = []

    def epoch() -> list[tuple[float, float]]:
        found.clear()
        network.fit(data, verbose=0, shuffle=False, callbacks=[Clock()])
        return list(found)

    return epoch, network


def torch_epoch(image: int, size: int, steps: int) -> Callable[[], list[tuple[float, float]]]:
    """The same by PyTorch; needs nothing of this project."""
    import torch
    from torch import nn

    class Image(nn.Module):
        def forward(self, decibels: torch.Tensor) -> torch.Tensor:
            resized = nn.functional.interpolate(decibels[:, None], (image, image), mode="bilinear")
            return nn.functional.layer_norm(resized, resized.shape[1:])

    torch.manual_seed(0)
    layers: list[nn.Module] = [Image()]
    width = 1
    for filters, dropout in zip((32, 64, 128, 256), (0.2, 0.3, 0.3, 0.4), strict=True):
        layers += [nn.Conv2d(width, filters, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(filters, eps=1e-3)]
        layers += [nn.MaxPool2d(2), nn.Dropout(dropout)]
        width = filters
    layers += [nn.Flatten(), nn.Linear(width * (image // 16) ** 2, 512), nn.ReLU(), nn.BatchNorm1d(512, eps=1e-3)]
    network = nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(512, GENRES)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, eps=1e-7)
    x, y = map(torch.from_numpy, batches(steps, size))

    def epoch() -> list[tuple[float, float]]:
        found, losses = [], []
        for step in range(steps):
            started = time.perf_counter()
            rows = slice(step * size, (step + 1) * size)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            found.append((time.perf_counter() - started, statistics.mean(losses)))
        return found

    return epoch


def child(way: str, image: int, size: int, steps: int) -> None:
    """Answer questions: facts, an epoch's seconds and losses, or how fast a matrix product is."""
    if way == "torch":
        epoch, facts = torch_epoch(image, size, steps), {}
    else:
        from genre_utils.models import factory

        epoch, network = keras_epoch(way, image, size, steps)
        facts = {"multiply_adds": factory.multiply_adds(network, FRAMES)}
    facts["losses"] = [loss for _, loss in epoch()]  # traces and allocates

    def product() -> float:
        import tensorflow as tf

        matrix = tf.random.normal((PRODUCT, PRODUCT))
        tf.matmul(matrix, matrix)
        started = time.perf_counter()
        tf.matmul(matrix, matrix).numpy()
        return 2 * PRODUCT**3 / (time.perf_counter() - started)

    answers = {"facts": lambda: facts, "epoch": epoch, "product": product}
    shared.serve(lambda question: answers[question]())


def exact(image: int, size: int) -> None:
    """Print by how much weights differ from those of float64, after one step of gradient descent without dropout."""
    from genre_utils.models import factory, fused
    from genre_utils.params import Params

    import keras  # isort: skip

    def alike(network: keras.Model, digits: str) -> keras.Model:
        def layer(of: keras.Layer) -> keras.Layer:
            changes = {"dtype": digits} | ({"rate": 0} if isinstance(of, keras.layers.Dropout) else {})
            return type(of).from_config(of.get_config() | changes)

        twin = keras.models.clone_model(network, clone_function=layer)
        twin.set_weights(network.get_weights())
        return twin

    params = Params(image_height=image, image_width=image)
    x, y = batches(1, size)
    plain = factory.build(params, GENRES, FRAMES)
    names = ("float64", "keras", "ours")
    networks = (alike(plain, "float64"), alike(plain, "float32"), fused.network(alike(plain, "float32")))
    weights = {}
    for name, network in zip(names, networks, strict=True):
        network.compile(keras.optimizers.SGD(params.learning_rate), "sparse_categorical_crossentropy")
        network.train_on_batch(x, y)
        weights[name] = [variable.numpy() for variable in network.trainable_variables]
    start = [variable.numpy() for variable in plain.trainable_variables]

    def apart(one: list[np.ndarray], other: list[np.ndarray]) -> list[float]:
        return [float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True)]

    moved = apart(weights["float64"], start)
    found = {name: apart(weights[name], weights["float64"]) for name in ("keras", "ours")}
    errors = {name: {"weights": max(found[name]), "first layer": found[name][0] / moved[0]} for name in found}
    print(json.dumps(errors))


def environment(isa: str, way: str) -> dict[str, str]:
    """What is changed for a process: the instructions that it may use, and whether by oneDNN."""
    limits = {"ONEDNN_MAX_CPU_ISA": isa, "ATEN_CPU_CAPABILITY": isa.lower()} if isa else {}
    return {"TF_ENABLE_ONEDNN_OPTS": str(int(way != "off"))} | limits  # TensorFlow reads it when it is imported


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__)
    parser.add_argument("--torch", type=Path, metavar="PYTHON", help="of an environment with torch and numpy")
    parser.add_argument("--isa", default="", help="the most that oneDNN may use, such as AVX2")
    parser.add_argument("--repeats", type=int, default=5, help="epochs of each way; medians of their steps are told")
    parser.add_argument("--steps", type=int, default=1, help="of an epoch")
    parser.add_argument("--image", type=int, default=256, help="height and width")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--child", choices=[*WAYS, "exact"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == "exact":
        exact(options.image, options.batch)
        return 0
    if options.child:
        child(options.child, options.image, options.batch, options.steps)
        return 0

    about = {"isa": options.isa or "all of the CPU", "image": options.image, "batch": options.batch}
    about = shared.machine(("tensorflow", "keras", "numpy"), **about)
    ways = [way for way in WAYS if way != "torch" or options.torch]
    if not options.torch:
        print("PyTorch: not measured. Name a Python that has it, such as another environment's, with --torch.")
    sizes = ["--image", options.image, "--batch", options.batch]
    processes = {}
    for way in ways:
        python = options.torch if way == "torch" else sys.executable
        words = shared.command(__spec__.name, "--child", way, *sizes, "--steps", options.steps, python=python)
        processes[way] = shared.Child(words, env=shared.environment(**environment(options.isa, way)))
    facts = {way: process.ask("facts") for way, process in processes.items()}  # all have traced, and wait
    turns = {way: lambda process=process: process.ask("epoch") for way, process in processes.items()}
    found = shared.in_turn(turns | {"product": lambda: processes["ours"].ask("product")}, options.repeats)
    for process in processes.values():
        process.end()
    errors = shared.child(__spec__.name, "--child", "exact", *sizes, **environment(options.isa, "exact"))
    rows = []
    for way in ways:
        rate = options.batch / statistics.median(seconds for epoch in found[way] for seconds, _ in epoch)
        losses = [facts[way]["losses"][-1], *(epoch[-1][1] for epoch in found[way])]
        rows.append({"way": way, "segments_per_second": rate, "losses": losses})
        curve = " ".join(f"{loss:.3g}" for loss in losses)
        print(f"{WAYS[way]:>28} {rate:6.2f} segments/s   loss of each epoch: {curve}")
    rate = {row["way"]: row["segments_per_second"] for row in rows}
    product = statistics.median(found["product"])
    # Forward, and backward by weights and by inputs; the first convolution's inputs need none, 2 % of the whole.
    work = 3 * 2 * facts["ours"]["multiply_adds"] * rate["ours"]
    print(f"{work / 1e9:.0f} of the {product / 1e9:.0f} GFLOP/s of a {PRODUCT}² matrix product")
    ratios = {f"ours / {way}": rate["ours"] / rate[way] for way in ways if way != "ours"}
    ratios["share of the rate of a matrix product"] = work / product
    for what, key in (("first layer's gradient", "first layer"), ("weights after a step", "weights")):
        ratios |= {f"{what}, error of {way}": errors[way][key] for way in ("keras", "ours")}
    shared.save(options.json, about, shared.shown(ratios), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
