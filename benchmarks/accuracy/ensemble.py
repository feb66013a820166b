"""Average the predictions of several trainings: what each member adds, for what it costs.

Members are results of ``networks.py`` on the same clips and folds, each a .json with its .parquet beside it; every seed
in one is a member of its own. They are added in the order given: no member is chosen by its test.

    python -m benchmarks.accuracy.ensemble --members compact.json svm.json --against paper_cnn.json --json all.json

With --chosen, members are calibrated, and of each fold only those are averaged that make its validation better. A refit
has no validation clips: --held-out names, for each member, its training that has them.

    python -m benchmarks.accuracy.ensemble --chosen --members compact_refit.json paper_cnn.json \
        --held-out compact.json paper_cnn.json --against compact_refit.json --json chosen.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import shared
from genre_utils.datasets import gtzan
from genre_utils.errors import EvaluationError, GenreUtilsError
from genre_utils.evaluation import ensemble, reliability, scoring, uncertainty


def members(paths: list[Path]) -> dict[str, tuple[pd.DataFrame, float]]:
    """Name of each member to its predictions, of validation and test, and the seconds that its trainings took."""
    found = {}
    for path in paths:
        result = json.loads(path.read_text())
        predictions = pd.read_parquet(path.with_suffix(".parquet"))
        for seed, own in predictions.groupby("seed"):
            seconds = sum(row["train_seconds"] for row in result["rows"] if row["seed"] == seed)
            found[f"{path.stem}, seed {seed}"] = own.drop(columns="seed").reset_index(drop=True), seconds
    if not all((own["split"] == "validation").any() for own, _ in found.values()):  # a refit has tested alone
        found = {name: (own[own["split"] == "test"], seconds) for name, (own, seconds) in found.items()}
    return found


def chosen(paths: list[Path], held_out: list[Path]) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Average what each fold's own validation clips choose, and how it compares with simpler means.

    Parameters
    ----------
    paths : list of Path
        The members.
    held_out : list of Path
        For each of them, the training whose validation clips calibrate and choose it, of the same folds.

    Returns
    -------
    means : dict of str to pd.DataFrame
        Predictions of the test segments: the ``plain`` and the ``calibrated`` mean of all, those ``chosen`` by the
        calibrated segments of validation, and, to compare, by other rows of validation.
    facts : dict
        ``folds``: the members of each fold; ``calibration``: each member's expected calibration error before and after.
    """
    found = members(paths)
    known = {name: pd.read_parquet(path.with_suffix(".parquet")) for name, path in zip(found, held_out, strict=True)}
    folds: dict[str, list[str]] = {}
    parts: dict[str, list[pd.DataFrame]] = {}
    scaled: dict[str, list[pd.DataFrame]] = {name: [] for name in found}
    for fold in sorted(next(iter(found.values()))[0]["fold"].unique()):
        validation = {
            name: table[(table["fold"] == fold) & (table["split"] == "validation")].drop(columns="seed")
            for name, table in known.items()
        }
        tested = {
            name: table[(table["fold"] == fold) & (table["split"] == "test")] for name, (table, _) in found.items()
        }
        own = {name: ensemble.calibrated(table, held_out=validation[name]) for name, table in tested.items()}
        both = {name: ensemble.calibrated(table) for name, table in validation.items()}
        tracks, tracks_of_both = (
            {name: scoring.by_track(table) for name, table in one.items()} for one in (validation, both)
        )
        ways = {
            "plain": (tested, [*tested]),
            "calibrated": (own, [*own]),
            "chosen": (own, ensemble.chosen(both)),
            "chosen, not calibrated": (tested, ensemble.chosen(validation)),
            "chosen by tracks": (own, ensemble.chosen(tracks_of_both)),
            "chosen by tracks, not calibrated": (tested, ensemble.chosen(tracks)),
        }
        folds[str(fold)] = ways["chosen"][1]
        for way, (tables, names) in ways.items():
            parts.setdefault(way, []).append(ensemble.mean([tables[name] for name in names]))
        for name, table in own.items():
            scaled[name].append(table)
    errors = {}
    for name, (table, _) in found.items():
        test = table[table["split"] == "test"]
        before, after = (reliability.expected_calibration_error(one)["ece"] for one in (test, pd.concat(scaled[name])))
        errors[name] = {"before": before, "after": after}
    means = {name: pd.concat(tables, ignore_index=True) for name, tables in parts.items()}
    return means, {"folds": folds, "calibration": errors}


def compared(args: argparse.Namespace) -> dict[str, Any]:
    """The means beside each other, and the paired difference to the base."""
    means, facts = chosen(args.members, args.held_out or args.members)
    base = pd.read_parquet(args.against.with_suffix(".parquet")).query("seed == 0").drop(columns="seed")
    base = tracks_of(base, "test")
    rows = []
    for name, table in means.items():
        tracks = tracks_of(table, "test")
        gain = uncertainty.difference(base, tracks)
        row = {"mean": name, "track": uncertainty.accuracy(tracks), "segment": uncertainty.accuracy(table)}
        row["calibration_error"] = reliability.expected_calibration_error(table)["ece"]
        rows.append(row | {"against": gain | {"mcnemar": uncertainty.mcnemar(base, tracks)}})
        right = row["track"]
        print(
            f"{name:>32} {100 * right['accuracy']:.1f} % of tracks {uncertainty.words(right, brief=True)}, "
            f"{100 * gain['difference']:+.1f} points {uncertainty.words(gain, signed=True, brief=True)}"
        )
    for fold, names in facts["folds"].items():
        print(f"fold {fold}: {', '.join(names)}")
    for name, error in facts["calibration"].items():
        print(f"{name}: expected calibration error {100 * error['before']:.1f} %, then {100 * error['after']:.1f} %")
    result = {
        "machine": json.loads(args.members[0].read_text())["machine"],
        "against": args.against.name,
        "ratios": {f"{row['mean']}: tracks": row["track"]["accuracy"] for row in rows},
        "rows": rows,
        **facts,
    }
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n")
    return result


def tracks_of(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """One row a track of one side."""
    return scoring.by_track(predictions[predictions["split"] == split])


def lost(tracks: pd.DataFrame, listed: pd.Index) -> dict[str, list[dict[str, Any]]]:
    """Where the errors are: by genre, among clips with and without a published fault, by artist.

    Parameters
    ----------
    tracks : pd.DataFrame
        One row a test track.
    listed : pd.Index
        Clips of the published fault-filtered lists; the others have a fault, such as a repeat or a wrong label.

    Returns
    -------
    dict
        ``genres``, ``lists`` and ``artists``, rows of each.
    """
    tracks = tracks.assign(right=tracks["genre"] == tracks["predicted"])
    genres = []
    for genre, own in tracks.groupby("genre"):
        wrong = own.loc[~own["right"], "predicted"].value_counts()
        taken_for = ", ".join(f"{name} {count}" for name, count in wrong.head(3).items())
        genres.append({"genre": genre, "n": len(own), "right": float(own["right"].mean()), "taken_for": taken_for})
    clean = tracks["track_id"].isin(listed)
    lists = [
        {"clips": name, **uncertainty.accuracy(tracks[rows])}
        for name, rows in (("in the published fault-filtered lists", clean), ("left out of them for a fault", ~clean))
        if rows.any()
    ]
    known = (
        tracks[tracks["artist"] != ""].groupby(["artist", "genre"])["right"].agg(n="size", right="sum").reset_index()
    )
    known["wrong"] = known["n"] - known["right"]
    worst = known.sort_values(["wrong", "artist"], ascending=[False, True]).head(12)
    return {"genres": genres, "lists": lists, "artists": worst[["artist", "genre", "n", "wrong"]].to_dict("records")}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run what the command line asks for."""
    parser = shared.parser(__doc__, json_required=True)
    parser.add_argument("--members", type=Path, nargs="+", required=True, help="results of networks.py, in this order")
    parser.add_argument("--against", type=Path, help="the base, a result of networks.py with one seed")
    parser.add_argument("--lists", type=Path, help="folder with *_filtered.txt: says which clips have a known fault")
    parser.add_argument("--chosen", action="store_true", help="calibrate and choose members by validation")
    parser.add_argument("--held-out", type=Path, nargs="+", help="for each member, its training with validation clips")
    args = parser.parse_args(argv)
    if args.chosen:
        if not args.against or len(args.held_out or args.members) != len(args.members):
            raise EvaluationError("--chosen needs --against, and one file of --held-out for each of --members.")
        return compared(args)
    found = members(args.members)
    protocols = {json.loads(path.read_text())["settings"]["protocol"] for path in args.members}
    if len(protocols) > 1:
        raise EvaluationError(f"Members must be of one protocol. Received: {', '.join(sorted(protocols))}.")
    base = None
    if args.against:
        base = pd.read_parquet(args.against.with_suffix(".parquet")).query("seed == 0").drop(columns="seed")
        base = tracks_of(base, "test")
    rows = []
    for count in range(1, len(found) + 1):
        names = list(found)[:count]
        together = ensemble.mean([found[name][0] for name in names])
        tested, held_out = tracks_of(together, "test"), tracks_of(together, "validation")
        row = {
            "added": names[-1],
            "members": count,
            "seconds": round(sum(found[name][1] for name in names), 1),
            "validation_tracks": float((held_out["genre"] == held_out["predicted"]).mean()) if len(held_out) else None,
            "alone": uncertainty.accuracy(tracks_of(found[names[-1]][0], "test"))["accuracy"],
            "track": uncertainty.accuracy(tested),
            "segment": uncertainty.accuracy(together[together["split"] == "test"]),
        }
        if base is not None:
            gain = uncertainty.difference(base, tested)
            row["against"] = gain | {"mcnemar": uncertainty.mcnemar(base, tested)}
        rows.append(row)
        right = row["track"]
        said = f"{100 * right['accuracy']:.1f} % {uncertainty.words(right, brief=True)}"
        print(f"{count:2d} {said} {row['seconds']:7.0f} s  + {names[-1]} (alone {100 * row['alone']:.1f} %)")
    last = rows[-1]
    result = {
        "machine": json.loads(args.members[0].read_text())["machine"],
        "protocol": protocols.pop(),
        "members": list(found),
        "against": args.against.name if args.against else None,
        "ratios": {"track_accuracy": last["track"]["accuracy"], "segment_accuracy": last["segment"]["accuracy"]},
        "rows": rows,
        "table": scoring.table_one(tested).reset_index().to_dict("records"),
    }
    if args.lists:
        result["lost"] = lost(tested, gtzan.read_filtered(args.lists / name for name in gtzan.SPLIT_OF).index)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n")
    together.assign(seed=0).to_parquet(args.json.with_suffix(".parquet"), index=False)
    return result


if __name__ == "__main__":
    try:
        main()
    except GenreUtilsError as error:
        sys.exit(f"{type(error).__name__}: {error}")
