"""Train and evaluate a network on log-mel arrays: how networks are compared.

The arrays are .npz files with ``ids`` (n,), clips by GTZAN's names, and ``x`` (n, 128, columns) uint8, at least 384
columns of 77.5 ms: six segments of 64 columns a clip. Each clip has a scale of its own, so that the network
standardises each segment. What is trained, chosen and tested on is said in every row.

Keras and no other part of TensorFlow: with KERAS_BACKEND=jax it runs where TensorFlow is not installed.

    python -m benchmarks.accuracy.networks --logmel logmel.npz --lists lists --protocol artist --folds 5 \
        --model paper_cnn --seeds 1 --epochs 20 --json paper_cnn.json

Another network on the same clips: the same line with --model, --json and --against paper_cnn.json.

A killed run goes on where it stopped: finished trainings stand in the JSON, their predictions beside it (.parquet).
With --fused a network is trained by genre_utils.training.trainer, which is faster on a CPU, and goes on within a
training, too. The paper's network with its own image and recipe:

    python -m benchmarks.accuracy.networks --logmel logmel.npz --lists lists --protocol paper --model paper_cnn \
        --set image_height=256 image_width=256 --fused --seeds 2 --json paper_cnn_256.json
"""

import argparse
import dataclasses
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmarks import shared
from genre_utils.datasets import gtzan
from genre_utils.errors import CatalogError, GenreUtilsError, ParamsError, SplitError
from genre_utils.evaluation import scoring, uncertainty
from genre_utils.models import factory
from genre_utils.params import RECIPES, Params
from genre_utils.splits import leaks, protocols
from genre_utils.training import recipe, spec_augment

import keras  # isort: skip  (after genre_utils.models.factory, which keeps it quiet)

SEGMENTS, COLUMNS = 6, 64  # of 77.5 ms: 4.96 s, the paper's 5 s
SECONDS_PER_COLUMN = 0.0775
MOST_PAIRS = 8  # of confused genres, shown beside those of the paper
BY_HAND = ("svm", "boosting")  # classifiers.KINDS
ARRAYS = {"hop_length": 1_709, "fmin_hz": 0.0, "fmax_hz": 11_025.0}  # at 22,050 Hz; a column every 1,709 samples


def read_arrays(paths: list[Path]) -> tuple[pd.Index, np.ndarray]:
    """Clips and their segments.

    Parameters
    ----------
    paths : list of Path
        .npz files with ``ids`` and ``x``.

    Returns
    -------
    clips : pd.Index
        GTZAN's names, ``blues.00000``.
    segments : np.ndarray [shape=(clip, segment, mel, column), dtype=uint8]
        The whole segments.

    Raises
    ------
    CatalogError
        If a file is not of that form, or a clip stands there twice.
    """
    names, parts = [], []
    for path in paths:
        try:
            with np.load(path) as arrays:
                ids, x = arrays["ids"], arrays["x"]
        except (OSError, ValueError, KeyError) as error:
            raise CatalogError(f"{path} must be an .npz with ids (n,) and x (n, mel, column): {error}") from error
        if x.dtype != np.uint8 or x.ndim != 3 or len(ids) != len(x) or x.shape[2] < SEGMENTS * COLUMNS:
            raise CatalogError(
                f"{path}: x must be uint8 (n, mel, column) with {SEGMENTS * COLUMNS} columns or more and one id each. "
                f"Received: {x.dtype} {x.shape} with {len(ids)} ids."
            )
        names += [gtzan.clip_of(str(name)) for name in ids]
        whole = x[:, :, : SEGMENTS * COLUMNS].reshape(len(x), x.shape[1], SEGMENTS, COLUMNS)
        parts.append(whole.transpose(0, 2, 1, 3))
    clips = pd.Index(names)
    if not clips.is_unique:
        raise CatalogError(f"{clips[clips.duplicated()][0]} stands twice in {', '.join(map(str, paths))}.")
    return clips, np.concatenate(parts)


def catalog_of(clips: pd.Index, lists: Path) -> pd.DataFrame:
    """Clips as a table of tracks, with artists, titles and the published split.

    Parameters
    ----------
    clips : pd.Index
        GTZAN's names.
    lists : Path
        Holds ``index.txt`` and the three ``*_filtered.txt``.

    Returns
    -------
    pd.DataFrame
        As ``catalog.load`` returns it, without paths.
    """
    tracks = pd.DataFrame({"track_id": clips, "genre": clips.str.partition(".").get_level_values(0), "fault": ""})
    tracks["duration_seconds"] = SEGMENTS * Params().segment_seconds
    if not gtzan.is_gtzan(tracks):
        raise CatalogError(f"Every id must be a clip of GTZAN, such as blues.00000. Received: {clips[0]} among others.")
    return gtzan.described(
        tracks, gtzan.read_artists(lists / gtzan.ARTISTS), gtzan.read_filtered(lists / name for name in gtzan.SPLIT_OF)
    )


def divided(tracks: pd.DataFrame, params: Params) -> tuple[pd.DataFrame, str]:
    """The split, and a sentence on what is tested.

    Where no clip of the published test list is in the arrays, the validation list is the test, and a part of
    train, by file, validates: nothing that is tested has chosen an epoch.
    """
    has_test = (tracks["published_split"] == "test").any()
    if params.protocol != "filtered" or has_test:
        return protocols.assign(tracks, params)[0], "test"
    roles = tracks["published_split"].map({"train": "train", "validation": "test"}).fillna("")
    inner = leaks.of_tracks(protocols.paper(tracks[roles == "train"], params))
    chosen = inner.loc[inner["split"] == "validation", "track_id"]
    roles = roles.where(~tracks["track_id"].isin(chosen), "validation")
    part = f"{params.validation_fraction:.0%} of train validates"
    assignment = protocols.filtered(tracks.assign(published_split=roles), params)
    return assignment, f"published validation list (no test clip is in the arrays; {part})"


class Plain(keras.utils.PyDataset):
    """Batches in order, as they are: for validation.

    Parameters
    ----------
    segments : np.ndarray [shape=(n, mel, column), dtype=uint8]
        Segments.
    targets : np.ndarray [shape=(n,) or (n, genre)]
        Labels or shares.
    params : Params
        Batch size.
    """

    def __init__(self, segments: np.ndarray, targets: np.ndarray, params: Params):
        # Two, so that Keras switches tf.data's autotuning off: at the end of an epoch TensorFlow 2.21 waits until the
        # autotuner's nap is over, and naps double up to a minute.
        super().__init__(workers=2)
        self.segments, self.targets, self.params = segments, targets, params

    def __len__(self) -> int:
        return math.ceil(len(self.segments) / self.params.batch_size)

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        rows = slice(step * self.params.batch_size, (step + 1) * self.params.batch_size)
        return in_db(self.segments[rows]), self.targets[rows]


class Batches(Plain):
    """Training batches: shuffled whole, augmented anew in every epoch, as the package's own pipeline does.

    Parameters
    ----------
    segments, following : np.ndarray [shape=(n, mel, column), dtype=uint8]
        Segments, and those that come after them in their clips.
    targets : np.ndarray [shape=(n,) or (n, genre)]
        Labels or shares.
    params : Params
        Batch size, seed and augmentation.
    """

    def __init__(self, segments: np.ndarray, following: np.ndarray, targets: np.ndarray, params: Params):
        super().__init__(segments, targets, params)
        self.following = following
        self.epoch = 0
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Another order."""
        self.order = np.random.default_rng([self.params.seed, self.epoch]).permutation(len(self.segments))
        self.epoch += 1

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        index = self.order[step * self.params.batch_size :][: self.params.batch_size]
        segments, following = in_db(self.segments[index]), in_db(self.following[index])
        rng = np.random.default_rng([self.params.seed, self.epoch, step])
        return spec_augment.augmented(segments, following, self.targets[index], self.params, rng)


def in_db(segments: np.ndarray) -> np.ndarray:
    """8-bit values as decibels, if a clip's floor is at -80: right for most, and near enough for augmentation."""
    return segments.astype(np.float32) * (Params().top_db / 255) - Params().top_db


def trained(
    batches: Batches, validation: Plain | None, genres: int, params: Params
) -> tuple[keras.Model, dict[str, Any]]:
    """Train by the recipe; keep the epoch with the best validation accuracy, under a cosine schedule the last.

    Parameters
    ----------
    batches : Batches
        Training segments.
    validation : Plain or None
        Validation segments; a recipe that chooses nothing by them can do without.
    genres : int
        Number of classes.
    params : Params
        The network and its training.

    Returns
    -------
    model : keras.Model
        With the weights that were kept.
    facts : dict
        ``epochs`` trained, ``best_epoch``, its ``validation_accuracy``, ``train_seconds``, ``parameters``.
    """
    model = recipe.compiled(factory.build(params, genres, frames=batches.segments.shape[2]), params)
    with tempfile.TemporaryDirectory() as folder:
        best = str(Path(folder) / "best.weights.h5")
        checkpoint = keras.callbacks.ModelCheckpoint(
            best, "val_accuracy", mode="max", save_best_only=params.schedule == "plateau", save_weights_only=True
        )
        started = time.monotonic()
        history = model.fit(
            batches, validation_data=validation, epochs=params.max_epochs, shuffle=False, verbose=2,
            callbacks=[*recipe.monitors(params), checkpoint],
        ).history  # fmt: skip
        seconds = time.monotonic() - started
        model.load_weights(best)
    reached = history.get("val_accuracy", [])
    epochs = len(history["loss"])
    kept = epochs - 1 if params.schedule == "cosine" else int(np.argmax(reached))
    facts = {
        "epochs": epochs,
        "best_epoch": kept + 1,
        "validation_accuracy": float(reached[kept]) if reached else None,
        "train_seconds": round(seconds, 1),
        "parameters": model.count_params(),
    }
    return model, facts


def by_trainer(
    x: np.ndarray, table: pd.DataFrame, genres: list[str], params: Params, folder: Path
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The same as :func:`by_network` by the trainer of the notebooks, whose state is in a folder."""
    from genre_utils.features import store
    from genre_utils.training import trainer

    params = dataclasses.replace(params, segment_seconds=COLUMNS * SECONDS_PER_COLUMN)
    tracks = table.drop_duplicates("track_id")[["track_id", "genre", "artist"]].assign(path="", fault="")
    rows = table[["track_id", "segment", "start_seconds"]].assign(row=range(len(table)), augmentation="")
    features = in_db(x).astype(np.float16)
    arrays = store.Store(folder, features, rows, tracks, pd.DataFrame(columns=["fault"]), 0.0, 0.0)
    assignment = table[["track_id", "segment", "split"]]
    results = folder / f"fold-{params.fold}-seed-{params.seed}"
    results.mkdir(parents=True, exist_ok=True)
    history = trainer.train(arrays, assignment, genres, params, results, folder)
    model = factory.load(results / "model.keras")
    started = time.monotonic()
    predictions = scoring.predict(model, arrays, assignment, genres, params)
    best = history.iloc[-1] if params.schedule == "cosine" else history.loc[history["val_accuracy"].idxmax()]
    facts = {
        "epochs": len(history),
        "best_epoch": int(best["epoch"]),
        "validation_accuracy": float(best["val_accuracy"]),
        "train_seconds": round(float(history["seconds"].sum()), 1),
        "parameters": model.count_params(),
        "evaluate_seconds": round(time.monotonic() - started, 1),
    }
    return predictions.drop(columns="path"), facts


def rows_of(assignment: pd.DataFrame, tracks: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """A row for each segment of a split; its clip and its place in it, which index the arrays."""
    table = assignment.merge(tracks[["track_id", "genre", "artist"]], on="track_id")
    clip = pd.Index(tracks["track_id"]).get_indexer(table["track_id"])
    place = table["segment"].to_numpy(int)
    return table.assign(start_seconds=place * COLUMNS * SECONDS_PER_COLUMN), clip, place


def one(
    tracks: pd.DataFrame,
    segments: np.ndarray,
    genres: list[str],
    params: Params,
    refit: bool = False,
    fused: Path | None = None,
) -> tuple[dict, pd.DataFrame]:
    """One training and its test: a row of the JSON, and the predictions."""
    assignment, tested_on = divided(tracks, params)
    if refit:
        assignment["split"] = assignment["split"].replace("validation", "train")
    table, clip, place = rows_of(assignment, tracks)
    x = segments[clip, place]  # (row, mel, column)
    if params.model in BY_HAND:
        predictions, facts = by_hand(x, table, genres, params)
    elif fused:
        predictions, facts = by_trainer(x, table, genres, params, fused)
    else:
        following = segments[clip, np.minimum(place + 1, SEGMENTS - 1)]  # a clip is whole on one side
        predictions, facts = by_network(x, following, table, genres, params)
    predictions = predictions.assign(fold=params.fold, seed=params.seed)
    test = predictions[predictions["split"] == "test"]
    clips = leaks.of_tracks(assignment)["split"].value_counts().to_dict()
    row = {
        "protocol": params.protocol, "model": params.model, "fold": params.fold, "seed": params.seed,
        "image": [params.image_height, params.image_width], "tested_on": tested_on, "clips": clips, **facts,
        "leaks": leaked(assignment, tracks), "validation_tracks": right(predictions), **scores(test),
    }  # fmt: skip
    return row, predictions


def by_network(
    x: np.ndarray, following: np.ndarray, table: pd.DataFrame, genres: list[str], params: Params
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Predictions of validation and test by a network, and what its training took."""
    label = pd.Index(genres).get_indexer(table["genre"])
    wanted = np.eye(len(genres), dtype=np.float32)[label] if recipe.takes_shares(params) else label
    train, validation = ((table["split"] == split).to_numpy() for split in ("train", "validation"))
    batches = Batches(x[train], following[train], wanted[train], params)
    held_out = Plain(x[validation], wanted[validation], params) if validation.any() else None
    model, facts = trained(batches, held_out, len(genres), params)
    started = time.monotonic()
    probabilities = model.predict(in_db(x[~train]), batch_size=params.batch_size, verbose=0)
    columns = {f"p_{genre}": column for genre, column in zip(genres, probabilities.T, strict=True)}
    guess = np.array(genres)[probabilities.argmax(axis=1)]
    facts["evaluate_seconds"] = round(time.monotonic() - started, 1)
    return table[~train].assign(predicted=guess, **columns), facts


def by_hand(
    x: np.ndarray, table: pd.DataFrame, genres: list[str], params: Params
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The same by features made by hand and a classifier of scikit-learn."""
    # Here, because they need the libraries for audio, which a machine for training may lack.
    from genre_utils.features import handcrafted
    from genre_utils.models import classifiers

    started = time.monotonic()
    features = handcrafted.of_log_mel(in_db(x), params)
    predictions = classifiers.fit_predict(features, table, params.model, genres, params.seed)
    seconds = round(time.monotonic() - started, 1)
    return predictions, {"epochs": 0, "train_seconds": seconds, "parameters": features.shape[1]}


def right(predictions: pd.DataFrame) -> dict[str, int]:
    """How many tracks there are, and how many of them are right: what a recipe is chosen by, on validation clips."""
    tracks = scoring.by_track(predictions[predictions["split"] == "validation"])
    return {"right": int((tracks["genre"] == tracks["predicted"]).sum()), "of": len(tracks)}


def leaked(assignment: pd.DataFrame, tracks: pd.DataFrame) -> dict[str, float]:
    """Share of test clips that have a file, song or artist in common with train."""
    table = leaks.between_splits(assignment, tracks)
    return table[table["between"] == "train – test"].set_index("what")["share"].round(4).to_dict()


def scores(test: pd.DataFrame) -> dict[str, Any]:
    """Segment and track accuracy with their intervals."""
    return {
        "segment": uncertainty.accuracy(test),
        "track": uncertainty.accuracy(scoring.by_track(test)),
    }


def said(value: dict[str, Any]) -> str:
    """One accuracy as text."""
    return (
        f"{100 * value['accuracy']:.1f} % {uncertainty.words(value, brief=True)} "
        f"(n = {value['n']}, 95 % interval over {value['clusters']} {value['resampled_by']}s)"
    )


def gpu_names() -> list[str]:
    """Names of the accelerators that the backend sees."""
    if keras.backend.backend() == "jax":
        import jax

        return [found.device_kind for found in jax.devices() if found.platform != "cpu"]
    if keras.backend.backend() == "tensorflow":
        from genre_utils.training import pipeline

        return pipeline.gpus()
    return [name for name in keras.distribution.list_devices() if "cpu" not in name]


def summary(predictions: pd.DataFrame, rows: list[dict], missing: dict[str, int]) -> dict[str, Any]:
    """All folds and seeds together: pooled accuracy, spread over seeds, Table I, absent clips."""
    predictions = predictions[predictions["split"] == "test"]
    by_seed = [scores(group) for _, group in predictions.groupby("seed")]
    chosen_by = pd.DataFrame([row["validation_tracks"] for row in rows]).sum().to_dict()
    chosen_by["accuracy"] = chosen_by["right"] / chosen_by["of"] if chosen_by["of"] else None
    return {
        "protocol": rows[0]["protocol"], "model": rows[0]["model"], "image": rows[0]["image"],
        "parameters": rows[0]["parameters"], "tested_on": rows[0]["tested_on"],
        "folds": sorted({row["fold"] for row in rows}), "seeds": sorted({row["seed"] for row in rows}),
        "leaks": pd.DataFrame([row["leaks"] for row in rows]).mean().round(4).to_dict(),
        "absent_clips": missing, "seconds": round(sum(row["train_seconds"] for row in rows), 1),
        "validation_tracks": chosen_by,
        **scores(predictions),
        "over_seeds": {
            level: uncertainty.over_seeds([score[level]["accuracy"] for score in by_seed])
            for level in ("segment", "track")
        },
        "table": scoring.table_one(predictions).reset_index().to_dict("records"),
        "confused": scoring.confused_pairs(predictions).to_dict("records"),
    }  # fmt: skip


def report(pooled: dict[str, Any], predictions: pd.DataFrame, device_name: str) -> None:
    """Print what the run came to."""
    print(f"\n{pooled['model']}, image {pooled['image']}, {pooled['parameters']:,} parameters")
    print(f"{pooled['seconds']:.0f} s of training on {device_name}, {keras.backend.backend()}")
    print(f"protocol {pooled['protocol']}, folds {pooled['folds']}, seeds {pooled['seeds']}")
    print(f"recovered log-mel of GTZAN, tested on: {pooled['tested_on']}")
    shares = ", ".join(f"{what} {share:.0%}" for what, share in pooled["leaks"].items())
    print(f"test clips that share it with train, mean of the folds: {shares}")
    print(f"absent from the arrays (left out, not counted as wrong): {pooled['absent_clips'] or 'none'}")
    for level in ("segment", "track"):
        spread = pooled["over_seeds"][level]
        print(f"{level}s right: {said(pooled[level])}")
        if spread["seeds"] > 1:
            print(f"  over {spread['seeds']} seeds {100 * spread['mean']:.1f} ± {100 * spread['sd']:.1f} %")
    chosen_by = pooled["validation_tracks"]
    if chosen_by["of"]:
        print(f"validation tracks right, all trainings: {100 * chosen_by['accuracy']:.1f} % of {chosen_by['of']}")
    print("\nTable I, segments:")
    print(scoring.table_one(predictions.query("split == 'test'")).round(2).to_string())
    print("\nconfused most, segments:")
    for place, pair in enumerate(pooled["confused"], start=1):
        if place <= MOST_PAIRS or pair["in_paper"]:
            also = ", a pair of the paper" if pair["in_paper"] else ""
            print(f"{place:2}. {pair['pair']}: {pair['confused']} of {pair['of']}{also}")


def compare(other: Path, predictions: pd.DataFrame) -> dict[str, Any]:
    """The paired difference to an earlier run on the same clips, printed and returned.

    Segments and tracks are paired seed by seed. McNemar's test needs one verdict a track: the mean of its
    probabilities over segments and seeds.
    """
    theirs = pd.read_parquet(other.with_suffix(".parquet")).query("split == 'test'")
    predictions = predictions.query("split == 'test'")
    tables = {"segment": (theirs, predictions)}
    tables["track"] = (scoring.by_track(theirs), scoring.by_track(predictions))
    gains = {level: uncertainty.difference(*pair) for level, pair in tables.items()}
    votes = [scoring.by_track(table.drop(columns="seed")) for table in (theirs, predictions)]
    test = uncertainty.mcnemar(*votes)
    print(f"\nless {other.stem} on the same clips:")
    for level, gain in gains.items():
        print(f"{level}s {100 * gain['difference']:+.1f} % {uncertainty.words(gain, signed=True, brief=True)}")
    print(
        f"tracks right: {test['only_first']} there alone, {test['only_second']} here alone, p = {test['p_value']:.2g}"
    )
    return {"other": other.name, **gains, "mcnemar": test}


def absent(tracks: pd.DataFrame, lists: Path, protocol: str) -> dict[str, int]:
    """How many clips of the published lists (or of the index) the arrays lack."""
    if protocol == "filtered":
        sides = gtzan.read_filtered(lists / name for name in gtzan.SPLIT_OF)
    else:
        index = gtzan.read_artists(lists / gtzan.ARTISTS).index
        sides = pd.Series("GTZAN", index=index)
    counts = sides[~sides.index.isin(tracks["track_id"])].value_counts()
    return {str(name): int(count) for name, count in counts.items()}


def parser(about: str) -> argparse.ArgumentParser:
    """The options of what reads log-mel arrays."""
    made = shared.parser(about, json_required=True)
    made.add_argument("--logmel", type=Path, nargs="+", required=True, help="one or more .npz files")
    made.add_argument("--lists", type=Path, required=True, help="folder with index.txt and *_filtered.txt")
    return made


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run what the command line asks for."""
    options = parser(__doc__)
    options.add_argument("--protocol", choices=("filtered", "artist", "paper"), required=True)
    options.add_argument("--model", choices=sorted([*factory.MODELS, *BY_HAND]), required=True)
    options.add_argument("--folds", type=int, default=5, help="of the protocol artist; every clip is tested once")
    options.add_argument("--only-folds", type=int, nargs="+", help="a part of the folds, where time is short")
    options.add_argument("--seeds", type=int, default=1, help="trainings of each fold: seeds 0, 1, …")
    options.add_argument("--epochs", type=int, default=Params().max_epochs, help="at most; a recipe has its own")
    options.add_argument("--recipe", choices=sorted(RECIPES), default="paper", help="how it is trained")
    options.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="parameters that win over the recipe"
    )
    options.add_argument(
        "--refit", action="store_true", help="train on the validation clips too, once all is chosen by them"
    )
    options.add_argument(
        "--fused", action="store_true", help="by the trainer of the notebooks; its state is by the JSON"
    )
    options.add_argument("--against", type=Path, help="the JSON of an earlier run on the same clips, folds and seeds")
    args = options.parse_args(argv)
    clips, segments = read_arrays(args.logmel)
    tracks = catalog_of(clips, args.lists)
    genres = sorted(tracks["genre"].unique())
    height, width = segments.shape[2:]
    named = RECIPES[args.recipe] | dict(setting(text) for text in args.set)
    fixed = {"protocol": args.protocol, "model": args.model, "n_mels": height, "folds": args.folds, **ARRAYS}
    base = Params.from_mapping(
        {"image_height": height, "image_width": width, "max_epochs": args.epochs} | named | fixed
    )
    folds = (args.only_folds or range(args.folds)) if args.protocol == "artist" else [0]
    if args.fused and (args.refit or args.model in BY_HAND):
        raise ParamsError("--fused is for networks, and needs validation clips: leave out --refit.")
    if args.refit and base.schedule == "plateau" and args.model not in BY_HAND:
        raise ParamsError("--refit leaves no validation clips, by which the schedule plateau stops. Use cosine.")
    settings = base.to_mapping() | {"clips": len(clips), "recipe": args.recipe, "set": args.set, "refit": args.refit}
    saved, beside = args.json, args.json.with_suffix(".parquet")
    rows, tables = [], []
    if saved.exists():
        before = json.loads(saved.read_text())
        if {"refit": False} | before["settings"] != settings:
            raise SplitError(f"{saved} holds a run with other settings. Name another file, or move it away.")
        rows, table = before["rows"], pd.read_parquet(beside)
        done = {(row["fold"], row["seed"]) for row in rows}  # a kill between the two files leaves one training more
        tables = [table[[pair in done for pair in zip(table["fold"], table["seed"], strict=True)]]]
        print(f"{saved}: {len(rows)} finished trainings are kept", flush=True)
    about = shared.machine(["keras"], gpu_names(), backend=keras.backend.backend())
    result: dict[str, Any] = {}
    for seed in range(args.seeds):
        for fold in folds:
            if not any((row["fold"], row["seed"]) == (fold, seed) for row in rows):
                print(f"\n{args.protocol}, fold {fold}, seed {seed}", flush=True)
                own = dataclasses.replace(base, fold=fold, seed=seed)
                state = args.json.with_suffix(".state") if args.fused else None
                row, table = one(tracks, segments, genres, own, args.refit, state)
                rows.append(row)
                tables.append(table)
                print(f"  segments {said(row['segment'])}\n  tracks   {said(row['track'])}", flush=True)
            predictions = pd.concat(tables, ignore_index=True)
            pooled = summary(predictions, rows, absent(tracks, args.lists, args.protocol))
            ratios = {f"{level}_accuracy": pooled[level]["accuracy"] for level in ("segment", "track")}
            result = {"machine": about, "settings": settings, "ratios": ratios, "pooled": pooled, "rows": rows}
            write(result, predictions, saved, beside)
    report(result["pooled"], predictions, about["device"])
    if args.against:
        result["against"] = compare(args.against, predictions)
        write(result, predictions, saved, beside)
    return result


def setting(text: str) -> tuple[str, Any]:
    """A parameter's name and value."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ParamsError(f"--set needs NAME=VALUE. Received: {text!r}.")
    return name, yaml.safe_load(value)


def write(result: dict[str, Any], predictions: pd.DataFrame, saved: Path, beside: Path) -> None:
    """Write both files beside themselves first; the JSON, which says what is done, is moved last."""
    saved.parent.mkdir(parents=True, exist_ok=True)
    for path, write_to in (
        (beside, lambda target: predictions.to_parquet(target, index=False, compression="zstd")),
        (saved, lambda target: target.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n")),
    ):
        partial = path.with_name(path.name + ".partial")
        write_to(partial)
        partial.replace(path)


if __name__ == "__main__":
    try:
        main()
    except GenreUtilsError as error:
        sys.exit(f"{type(error).__name__}: {error}")
