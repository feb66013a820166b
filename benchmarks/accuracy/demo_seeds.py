"""Is the first result worth looking at? The demo run's training, for several seeds and kinds of CPU.

    python -m benchmarks.accuracy.demo_seeds --json demo_seeds.json

Each row is what notebooks 2 to 4 do with the profile demo and one seed, in a process of its own. It holds where
60 to 90 % of the test segments are right, of 30 test tracks or more, with an interval of at most 25 points, and every
genre is called at least once. By itself it takes all instructions of this CPU, and those of one without AVX-512.
``--isa`` names others for oneDNN (AVX, SSE41), or off: TensorFlow without oneDNN.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import shared
from genre_utils.datasets import catalog, labels
from genre_utils.datasets.demo import styles
from genre_utils.evaluation import scoring, uncertainty
from genre_utils.features import store
from genre_utils.params import Params
from genre_utils.runs import profiles
from genre_utils.splits import protocols

LOWEST, HIGHEST, WIDEST, FEWEST_TRACKS = 0.60, 0.90, 0.25, 30  # the goals
ALL, OFF = "all", "off"
SHOWN = 5  # of the most confused pairs


def params_of(seed: int) -> Params:
    """The profile demo with another seed."""
    names = {field.name for field in dataclasses.fields(Params)}
    profile = {name: value for name, value in profiles.read_profile("demo").items() if name in names}
    return Params.from_mapping(profile | {"seed": seed})


def child(seed: int) -> None:
    """Train and test once, and print predictions of the test as JSON."""
    from genre_utils.models import factory
    from genre_utils.training import trainer

    params = params_of(seed)
    features = store.build(catalog.load(params), params)
    genres = labels.genres_of(features.tracks)
    assignment, _ = protocols.assign(features.tracks, params)
    with tempfile.TemporaryDirectory() as folder:
        # A cache of its own: the state of a training elsewhere must not be taken for this one's.
        history = trainer.train(features, assignment, genres, params, Path(folder), Path(folder), quiet=True)
        network = factory.load(Path(folder) / "model.keras")
    predictions = scoring.predict(network, features, assignment, genres, params)
    test = predictions[predictions["split"] == "test"].drop(columns=["path", "split"])
    facts = {"epochs": len(history), "seconds": history["seconds"].sum(), "test": test.to_dict("list")}
    print(json.dumps(facts))


def environment(isa: str) -> dict[str, str]:
    """What is changed for a process: the instructions that it may use, and whether by oneDNN."""
    limit = {} if isa in (ALL, OFF) else {"ONEDNN_MAX_CPU_ISA": isa}
    return {"TF_ENABLE_ONEDNN_OPTS": str(int(isa != OFF))} | limit  # TensorFlow reads it when it is imported


def row_of(isa: str, seed: int, facts: dict[str, Any], test: pd.DataFrame) -> dict[str, Any]:
    """One line of the table."""
    segment = uncertainty.accuracy(test, seed)
    row = {"isa": isa, "seed": seed, "epochs": facts["epochs"], "seconds": round(facts["seconds"], 1)}
    row |= {name: segment[name] for name in ("accuracy", "low", "high", "n", "resampled_by", "clusters")}
    row |= {"no_interval": segment["no_interval"]} if segment["low"] is None else {}
    width = float("inf") if row["low"] is None else row["high"] - row["low"]  # no interval: too few, or all alike
    row |= {"width": width, "tracks": test["track_id"].nunique()}
    row |= {"genres_called": test["predicted"].nunique()}
    row["holds"] = bool(
        LOWEST <= row["accuracy"] <= HIGHEST
        and row["width"] <= WIDEST
        and row["tracks"] >= FEWEST_TRACKS
        and row["genres_called"] == len(styles.GENRES)
    )
    pairs = scoring.confused_pairs(test).head(SHOWN)
    return row | {"most_confused": pairs.set_index("pair")["confused"].to_dict()}


def said(row: dict[str, Any]) -> str:
    """A line of the table as text."""
    pairs = ", ".join(f"{pair} {count}" for pair, count in row["most_confused"].items())
    return (
        f"{row['isa']:>6} {row['seed']:4} {100 * row['accuracy']:6.1f} % {uncertainty.words(row, brief=True)}"
        f" of {row['n']} segments, {row['tracks']} tracks, {row['genres_called']} genres called, "
        f"{'holds' if row['holds'] else 'DOES NOT HOLD'}; {pairs}"
    )


def among_neighbours(tests: list[pd.DataFrame]) -> dict[str, float]:
    """How many wrong segments are taken for a genre that the true one borrows from, or lends to; and by chance."""
    near = {(genre, other) for genre, style in styles.STYLES.items() for other in style.neighbours}
    near |= {(other, genre) for genre, other in near}
    test = pd.concat(tests)
    wrong = test[test["genre"] != test["predicted"]]
    found = [pair in near for pair in zip(wrong["genre"], wrong["predicted"], strict=True)]
    others = len(styles.GENRES) - 1
    chance = wrong["genre"].map(lambda genre: sum(pair[0] == genre for pair in near) / others).mean()
    return {
        "share of mistakes that are a neighbour": sum(found) / max(1, len(found)),
        "the same if mistakes were random": chance,
    }


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--isa", nargs="+", default=[ALL, "AVX2"], help=f"{ALL}, {OFF}, or the most oneDNN may use")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        child(options.child)
        return 0
    about = shared.machine(("tensorflow", "keras", "numpy"), **profiles.read_profile("demo"))
    params = params_of(0)
    store.build(catalog.load(params), params)  # once for all
    rows, tests = [], []
    for isa in options.isa:
        for seed in options.seeds:
            facts = shared.child(__spec__.name, "--child", seed, **environment(isa))
            tests.append(pd.DataFrame(facts["test"]))
            rows.append(row_of(isa, seed, facts, tests[-1]))
            print(said(rows[-1]), flush=True)
    ratios = {
        "share of rows that hold": sum(row["holds"] for row in rows) / len(rows),
        "lowest accuracy": min(row["accuracy"] for row in rows),
        "highest accuracy": max(row["accuracy"] for row in rows),
        "widest interval": max(row["width"] for row in rows),
        **among_neighbours(tests),
    }
    shared.save(options.json, about, shared.shown(ratios), rows)
    return int(ratios["share of rows that hold"] < 1)


if __name__ == "__main__":
    sys.exit(main())
