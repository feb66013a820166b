"""The paper's network on a GPU: float32 and mixed precision, with batches from the host and with the store on the GPU.

Every way trains from the same weights on the same batches of the arrays that ``networks.py`` reads; their epochs take
turns. Told are segments a second and the seconds of training until the paper's share of segments is right.

Keras and no other part of TensorFlow: with KERAS_BACKEND=jax it runs where TensorFlow is not installed.

    KERAS_BACKEND=jax python -m benchmarks.speed.gpu --logmel logmel.npz --lists lists --json gpu.json

Which segments are tested: those of the protocol paper, split by file, artists on both sides. They choose nothing.
"""

import itertools
import statistics
import time
import types
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import shared
from benchmarks.accuracy import networks
from genre_utils.models import factory
from genre_utils.params import Params
from genre_utils.training import recipe

import keras  # isort: skip  (after genre_utils.models.factory, which keeps it quiet)

PAPER_ACCURACY = 0.7135  # of segments: II.E
PLAIN = "float32"
PRECISIONS = (PLAIN, "mixed_float16", "mixed_bfloat16")
HOST, RESIDENT = "from the host", "resident"


class Rows(keras.layers.Layer):
    """Rows of a store that lies on the device.

    Parameters
    ----------
    store : np.ndarray [shape=(row, mel, frame), dtype=float16]
        Log-mels in dB.
    """

    def __init__(self, store: np.ndarray):
        super().__init__(trainable=False)
        self.store = self.add_weight(
            shape=store.shape, initializer="zeros", dtype="float16", trainable=False, autocast=False
        )
        self.store.assign(store)

    def call(self, rows: keras.KerasTensor) -> keras.KerasTensor:
        """Log-mels (batch, mel, frame) of rows (batch,)."""
        return keras.ops.cast(keras.ops.take(self.store, rows, axis=0), "float32")


def in_precision(network: keras.Model, precision: str) -> keras.Model:
    """The same weights; from the first convolution to the last layer but one computed in another precision.

    What standardises a segment stays in float32, as it sums 65,536 squares of up to 6,400 each, and so does the last
    layer, of whose probabilities the loss takes logarithms.
    """
    names = [layer.name for layer in network.layers]
    kept = {*names[: names.index("standardise") + 1], names[-1]}

    def layer(of: keras.Layer) -> keras.Layer:
        return type(of).from_config(of.get_config() | ({} if of.name in kept else {"dtype": precision}))

    twin = keras.models.clone_model(network, clone_function=layer)
    twin.set_weights(network.get_weights())
    return twin


def trainer(store: np.ndarray, genres: int, params: Params, precision: str, where: str) -> keras.Model:
    """The network, compiled: from log-mels, or from rows of the store, to probabilities."""
    network = in_precision(factory.build(params, genres, frames=store.shape[2]), precision)
    keras.utils.set_random_seed(params.seed)  # the same dropout in every way
    if where == RESIDENT:
        rows = keras.Input((), dtype="int32")
        network = keras.Model(rows, network(Rows(store)(rows)))

    def adam(*words: Any, **named: Any) -> keras.Optimizer:  # float16 ends at 6e-8: small gradients would be lost
        plain = keras.optimizers.Adam(*words, **named)
        return keras.optimizers.LossScaleOptimizer(plain) if precision == "mixed_float16" else plain

    return recipe.compiled(network, params, types.SimpleNamespace(Adam=adam))


def given(where: str, store: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """What a network gets of these rows: the rows themselves, or their log-mels."""
    return rows.astype(np.int32) if where == RESIDENT else store[rows]


def measure(store: np.ndarray, label: np.ndarray, split: pd.Series, params: Params, genres: int) -> list[dict]:
    """Train every way, epoch by epoch in turn: seconds and the share of test segments right after each."""
    train, test = (np.flatnonzero(split == side) for side in ("train", "test"))
    ways = list(itertools.product(PRECISIONS, (HOST, RESIDENT)))
    trainers = {way: trainer(store, genres, params, *way) for way in ways}
    seconds: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    reached: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    for number in range(params.max_epochs):
        order = np.random.default_rng([params.seed, number]).permutation(train)
        for way, model in trainers.items():
            x = given(way[1], store, order)  # the host's shuffling is not timed
            started = time.perf_counter()
            model.fit(x, label[order], batch_size=params.batch_size, epochs=1, shuffle=False, verbose=0)
            seconds[way].append(time.perf_counter() - started)
            said = model.predict(given(way[1], store, test), batch_size=params.batch_size, verbose=0)
            reached[way].append(float((said.argmax(axis=1) == label[test]).mean()))
    rows = []
    for way in ways:
        usual = statistics.median(seconds[way][1:])  # the first one compiles
        enough = next((k for k, share in enumerate(reached[way], 1) if share >= PAPER_ACCURACY), None)
        rows.append({
            "precision": way[0], "batches": way[1], "segments_per_second": len(train) / usual,
            "epochs_to_paper": enough, "seconds_to_paper": enough and enough * usual,
            "test_segments_right": reached[way], "test_segments": len(test), "train_segments": len(train),
        })  # fmt: skip
    return rows


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from a shell."""
    parser = networks.parser(__doc__)
    parser.add_argument("--epochs", type=int, default=20, help="of each way, 6 or more for medians of five")
    parser.add_argument("--image", type=int, default=256, help="height and width")
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args(argv)
    if options.epochs < 2:
        parser.error("--epochs must be 2 or more: the first one compiles, and is not timed")
    clips, segments = networks.read_arrays(options.logmel)
    tracks = networks.catalog_of(clips, options.lists)
    params = Params.from_mapping(
        networks.ARRAYS | {"n_mels": segments.shape[2], "image_height": options.image, "image_width": options.image}
        | {"protocol": "paper", "batch_size": options.batch, "max_epochs": options.epochs}
    )  # fmt: skip
    genres = sorted(tracks["genre"].unique())
    table = networks.divided(tracks, params)[0].merge(tracks[["track_id", "genre"]], on="track_id")
    place = table["segment"].to_numpy(int)
    store = networks.in_db(segments[clips.get_indexer(table["track_id"]), place]).astype(np.float16)
    about = {"backend": keras.backend.backend(), "image": options.image, "batch": options.batch, "clips": len(clips)}
    about = shared.machine(("keras", "numpy"), networks.gpu_names(), **about)
    rows = measure(store, pd.Index(genres).get_indexer(table["genre"]), table["split"], params, len(genres))
    print(f"protocol paper, {rows[0]['train_segments']} segments to train on, {rows[0]['test_segments']} tested")
    ratios = {}
    for row in rows:
        name = f"{row['precision']}, {row['batches']}"
        ratios[f"{name} / {PLAIN}, {HOST}"] = row["segments_per_second"] / rows[0]["segments_per_second"]
        enough = "never" if row["epochs_to_paper"] is None else f"after {row['seconds_to_paper']:.1f} s"
        print(
            f"{name:>31}: {row['segments_per_second']:8.1f} segments/s; of test segments right: {PAPER_ACCURACY:.2%} "
            f"{enough}, {row['test_segments_right'][-1]:.2%} in the end"
        )
    shared.save(options.json, about, shared.shown(ratios), rows)
    return {"machine": about, "ratios": ratios, "rows": rows}


if __name__ == "__main__":
    main()
