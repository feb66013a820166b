"""Train and evaluate a network on log-mel arrays: how networks are compared.

The arrays are .npz files with ``ids`` (n,), clips by GTZAN's names, and ``x`` (n, 128, columns) uint8, at least 384
columns of 77.5 ms: six segments of 64 columns a clip. Each clip has a scale of its own, so that the network
standardises each segment. What is trained, chosen and tested on is said in every row.

Keras and no other part of TensorFlow: with KERAS_BACKEND=jax it runs where TensorFlow is not installed.

    python benchmarks/accuracy.py --logmel logmel.npz --lists lists --protocol artist --folds 5 \
        --model paper_cnn --seeds 1 --epochs 20 --json paper_cnn.json

Another network on the same clips: the same line with --model, --json and --against paper_cnn.json.

A killed run goes on where it stopped: finished trainings stand in the JSON, their predictions beside it (.parquet).
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genre_utils import evaluation, gtzan, leaks, models, splits, uncertainty
from genre_utils.errors import CatalogError, GenreUtilsError, SplitError
from genre_utils.params import SPLITS, Params
from genre_utils.run_folder import device

import keras  # isort: skip  (after genre_utils.models, which keeps it quiet)

SEGMENTS, COLUMNS = 6, 64  # of 77.5 ms: 4.96 s, the paper's 5 s
SECONDS_PER_COLUMN = 0.0775


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
        return splits.assign(tracks, params)[0], "test"
    roles = tracks["published_split"].map({"train": "train", "validation": "test"}).fillna("")
    inner = leaks.of_tracks(splits.paper(tracks[roles == "train"], params))
    chosen = inner.loc[inner["split"] == "validation", "track_id"]
    roles = roles.where(~tracks["track_id"].isin(chosen), "validation")
    part = f"{params.validation_fraction:.0%} of train validates"
    assignment = splits.filtered(tracks.assign(published_split=roles), params)
    return assignment, f"published validation list (no test clip is in the arrays; {part})"


def train(
    arrays: dict[str, tuple[np.ndarray, np.ndarray]], genres: int, params: Params
) -> tuple[keras.Model, dict[str, Any]]:
    """Train by the paper's recipe and keep the epoch with the best validation accuracy.

    Parameters
    ----------
    arrays : dict
        For train and validation: segments (n, mel, column) float32 and labels (n,).
    genres : int
        Number of classes.
    params : Params
        The network and its training.

    Returns
    -------
    model : keras.Model
        With the weights of the best epoch.
    facts : dict
        ``epochs`` trained, ``best_epoch``, its ``validation_accuracy``, ``train_seconds``, ``parameters``.
    """
    x, y = arrays["train"]
    model = models.build(params, genres, frames=x.shape[2])
    model.compile(keras.optimizers.Adam(params.learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    with tempfile.TemporaryDirectory() as folder:
        best = str(Path(folder) / "best.weights.h5")
        callbacks = [
            keras.callbacks.ModelCheckpoint(best, "val_accuracy", save_best_only=True, save_weights_only=True),
            keras.callbacks.ReduceLROnPlateau(
                "val_loss", factor=params.plateau_factor, patience=params.plateau_patience
            ),
            keras.callbacks.EarlyStopping("val_loss", patience=params.early_stopping_patience),
        ]
        started = time.monotonic()
        history = model.fit(
            x, y, validation_data=arrays["validation"], batch_size=params.batch_size, epochs=params.max_epochs,
            callbacks=callbacks, verbose=2,
        ).history  # fmt: skip
        seconds = time.monotonic() - started
        model.load_weights(best)
    reached = history["val_accuracy"]
    facts = {
        "epochs": len(reached),
        "best_epoch": int(np.argmax(reached)) + 1,
        "validation_accuracy": float(max(reached)),
        "train_seconds": round(seconds, 1),
        "parameters": model.count_params(),
    }
    return model, facts


def one(tracks: pd.DataFrame, segments: np.ndarray, genres: list[str], params: Params) -> tuple[dict, pd.DataFrame]:
    """One training and its test: a row of the JSON, and the predictions."""
    assignment, tested_on = divided(tracks, params)
    table = assignment.merge(tracks[["track_id", "genre", "artist"]], on="track_id")
    clip = pd.Index(tracks["track_id"]).get_indexer(table["track_id"])
    label = pd.Index(genres).get_indexer(table["genre"])
    arrays = {}
    for split in SPLITS:
        rows = (table["split"] == split).to_numpy()
        arrays[split] = segments[clip[rows], table["segment"].to_numpy(int)[rows]].astype(np.float32), label[rows]
    model, facts = train(arrays, len(genres), params)
    started = time.monotonic()
    probabilities = model.predict(arrays["test"][0], batch_size=params.batch_size, verbose=0)
    test = table[table["split"] == "test"].reset_index(drop=True)
    test = test.assign(
        start_seconds=test["segment"] * COLUMNS * SECONDS_PER_COLUMN,
        predicted=np.array(genres)[probabilities.argmax(axis=1)],
        fold=params.fold,
        seed=params.seed,
        **{f"p_{genre}": column for genre, column in zip(genres, probabilities.T, strict=True)},
    )
    clips = leaks.of_tracks(assignment)["split"].value_counts().to_dict()
    row = {
        "protocol": params.protocol, "model": params.model, "fold": params.fold, "seed": params.seed,
        "image": [params.image_height, params.image_width], "tested_on": tested_on, "clips": clips, **facts,
        "evaluate_seconds": round(time.monotonic() - started, 1), "leaks": leaked(assignment, tracks), **scores(test),
    }  # fmt: skip
    return row, test


def leaked(assignment: pd.DataFrame, tracks: pd.DataFrame) -> dict[str, float]:
    """Share of test clips that have a file, song or artist in common with train."""
    table = leaks.between_sides(assignment, tracks)
    return table[table["between"] == "train – test"].set_index("what")["share"].round(4).to_dict()


def scores(test: pd.DataFrame) -> dict[str, Any]:
    """Segment and track accuracy with their intervals."""
    return {
        "segment": uncertainty.accuracy(test),
        "track": uncertainty.accuracy(evaluation.by_track(test)),
    }


def said(value: dict[str, Any]) -> str:
    """One accuracy as text."""
    return (
        f"{100 * value['accuracy']:.1f} % [{100 * value['low']:.1f}, {100 * value['high']:.1f}] "
        f"(n = {value['n']}, 95 % interval over {value['clusters']} {value['resampled_by']}s)"
    )


def gpu_names() -> list[str]:
    """Names of the accelerators that the backend sees."""
    if keras.backend.backend() == "jax":
        import jax

        return [found.device_kind for found in jax.devices() if found.platform != "cpu"]
    if keras.backend.backend() == "tensorflow":
        from genre_utils import pipeline

        return pipeline.gpus()
    return [name for name in keras.distribution.list_devices() if "cpu" not in name]


def summary(predictions: pd.DataFrame, rows: list[dict], missing: dict[str, int]) -> dict[str, Any]:
    """All folds and seeds together: pooled accuracy, spread over seeds, Table I, absent clips."""
    by_seed = [scores(group) for _, group in predictions.groupby("seed")]
    return {
        "protocol": rows[0]["protocol"], "model": rows[0]["model"], "image": rows[0]["image"],
        "parameters": rows[0]["parameters"], "tested_on": rows[0]["tested_on"],
        "folds": sorted({row["fold"] for row in rows}), "seeds": sorted({row["seed"] for row in rows}),
        "leaks": pd.DataFrame([row["leaks"] for row in rows]).mean().round(4).to_dict(),
        "absent_clips": missing, "seconds": round(sum(row["train_seconds"] for row in rows), 1), **scores(predictions),
        "over_seeds": {
            level: uncertainty.over_seeds([score[level]["accuracy"] for score in by_seed])
            for level in ("segment", "track")
        },
        "table": evaluation.table_one(predictions).reset_index().to_dict("records"),
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
    print("\nTable I, segments:")
    print(evaluation.table_one(predictions).round(2).to_string())


def compare(other: Path, predictions: pd.DataFrame) -> dict[str, Any]:
    """The paired difference to an earlier run on the same clips, printed and returned.

    Segments and tracks are paired seed by seed. McNemar's test needs one verdict a track: the mean of its
    probabilities over segments and seeds.
    """
    theirs = pd.read_parquet(other.with_suffix(".parquet"))
    tables = {"segment": (theirs, predictions)}
    tables["track"] = (evaluation.by_track(theirs), evaluation.by_track(predictions))
    gains = {level: uncertainty.difference(*pair) for level, pair in tables.items()}
    votes = [evaluation.by_track(table.drop(columns="seed")) for table in (theirs, predictions)]
    test = uncertainty.mcnemar(*votes)
    print(f"\nless {other.stem} on the same clips:")
    for level, gain in gains.items():
        print(f"{level}s {100 * gain['difference']:+.1f} % [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]")
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


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--logmel", type=Path, nargs="+", required=True, help="one or more .npz files")
    parser.add_argument("--lists", type=Path, required=True, help="folder with index.txt and *_filtered.txt")
    parser.add_argument("--protocol", choices=("filtered", "artist", "paper"), required=True)
    parser.add_argument("--model", choices=sorted(models.MODELS), required=True)
    parser.add_argument("--folds", type=int, default=5, help="of the protocol artist; every clip is tested once")
    parser.add_argument("--only-folds", type=int, nargs="+", help="a part of the folds, where time is short")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each fold: seeds 0, 1, …")
    parser.add_argument("--epochs", type=int, default=Params().max_epochs, help="at most")
    parser.add_argument("--image", type=int, nargs=2, metavar=("MEL", "TIME"), help="default: as the arrays are")
    parser.add_argument("--batch-size", type=int, default=Params().batch_size)
    parser.add_argument("--against", type=Path, help="the JSON of an earlier run on the same clips, folds and seeds")
    parser.add_argument("--json", type=Path, required=True, help="results; predictions go beside it as .parquet")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run what the command line asks for."""
    args = arguments(argv)
    clips, segments = read_arrays(args.logmel)
    tracks = catalog_of(clips, args.lists)
    genres = sorted(tracks["genre"].unique())
    height, width = args.image or segments.shape[2:]
    base = Params(
        protocol=args.protocol, model=args.model, n_mels=segments.shape[2], image_height=height, image_width=width,
        folds=args.folds, max_epochs=args.epochs, batch_size=args.batch_size,
    )  # fmt: skip
    folds = (args.only_folds or range(args.folds)) if args.protocol == "artist" else [0]
    settings = base.to_mapping() | {"clips": len(clips)}
    saved, beside = args.json, args.json.with_suffix(".parquet")
    rows, tables = [], []
    if saved.exists():
        before = json.loads(saved.read_text())
        if before["settings"] != settings:
            raise SplitError(f"{saved} holds a run with other settings. Name another file, or move it away.")
        rows, table = before["rows"], pd.read_parquet(beside)
        done = {(row["fold"], row["seed"]) for row in rows}  # a kill between the two files leaves one training more
        tables = [table[[pair in done for pair in zip(table["fold"], table["seed"], strict=True)]]]
        print(f"{saved}: {len(rows)} finished trainings are kept", flush=True)
    machine = {
        "platform": f"{platform.system()} {platform.machine()}", "device": device(gpu_names()), "cores": os.cpu_count(),
        "python": platform.python_version(), "keras": keras.__version__, "backend": keras.backend.backend(),
    }  # fmt: skip
    result: dict[str, Any] = {}
    for seed in range(args.seeds):
        for fold in folds:
            if not any((row["fold"], row["seed"]) == (fold, seed) for row in rows):
                print(f"\n{args.protocol}, fold {fold}, seed {seed}", flush=True)
                row, table = one(tracks, segments, genres, dataclasses.replace(base, fold=fold, seed=seed))
                rows.append(row)
                tables.append(table)
                print(f"  segments {said(row['segment'])}\n  tracks   {said(row['track'])}", flush=True)
            predictions = pd.concat(tables, ignore_index=True)
            pooled = summary(predictions, rows, absent(tracks, args.lists, args.protocol))
            ratios = {f"{level}_accuracy": pooled[level]["accuracy"] for level in ("segment", "track")}
            result = {"machine": machine, "settings": settings, "ratios": ratios, "pooled": pooled, "rows": rows}
            write(result, predictions, saved, beside)
    report(result["pooled"], predictions, machine["device"])
    if args.against:
        result["against"] = compare(args.against, predictions)
        write(result, predictions, saved, beside)
    return result


def write(result: dict[str, Any], predictions: pd.DataFrame, saved: Path, beside: Path) -> None:
    """Write both files beside themselves first; the JSON, which says what is done, is moved last."""
    saved.parent.mkdir(parents=True, exist_ok=True)
    for path, write_to in (
        (beside, lambda target: predictions.to_parquet(target, index=False)),
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
