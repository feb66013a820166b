"""More tracks or more artists? A support vector machine on as many clips of few and of many artists, artists apart.

    python -m benchmarks.accuracy.artists --logmel FILE.npz --lists DIR --json artists.json --figure artists.png \
        --predictions benchmarks/results/accuracy/compact_cnn_refit_artist.parquet

The input, the features and the five folds are those of ``networks --protocol artist --model svm --refit``, so the
training clips of a fold are those that are not tested. ``--predictions`` are those of another network on the same
folds, whose mistakes are counted by artist.
"""

from pathlib import Path

import pandas as pd

from benchmarks import shared
from benchmarks.accuracy import networks
from genre_utils.datasets import labels
from genre_utils.evaluation import artist_curve, scoring, uncertainty
from genre_utils.features import handcrafted
from genre_utils.figures import splits
from genre_utils.params import Params
from genre_utils.splits import leaks, protocols


def main(argv: list[str] | None = None) -> None:
    """Run what the command line asks for."""
    options = shared.parser(__doc__, json_required=True)
    options.add_argument("--logmel", type=Path, nargs="+", required=True, help="as for benchmarks.accuracy.networks")
    options.add_argument("--lists", type=Path, required=True, help="as for benchmarks.accuracy.networks")
    options.add_argument("--per-genre", type=int, nargs="+", default=[4, 8, 16, 32], help="training clips per genre")
    options.add_argument("--draws", type=int, default=5)
    options.add_argument("--figure", type=Path, help="a .png file")
    options.add_argument("--predictions", type=Path, required=True, help="as networks writes them")
    args = options.parse_args(argv)
    clips, arrays = networks.read_arrays(args.logmel)
    tracks = networks.catalog_of(clips, args.lists)
    groups = pd.Series(leaks.groups(tracks), tracks["track_id"])
    genres, folds = labels.genres_of(tracks), []
    for fold in range(Params().folds):
        params = Params(protocol="artist", fold=fold)
        assignment, _ = protocols.assign(tracks, params)
        assignment["split"] = assignment["split"].replace("validation", "train")
        segments, clip, place = networks.rows_of(assignment, tracks)
        features = handcrafted.of_log_mel(networks.in_db(arrays[clip, place]), params)
        tested = artist_curve.predict(features, segments, groups, args.per_genre, genres, args.draws)
        folds.append(tested.assign(fold=fold))
    tested = pd.concat(folds, ignore_index=True)
    table, counts = artist_curve.table(tested), tracks.assign(group=groups.to_numpy()).groupby("genre")["group"]
    largest = counts.agg(lambda own: own.value_counts().max())
    of_genre = pd.DataFrame({"clips": counts.size(), "artists": counts.nunique(), "largest": largest})
    made = scoring.by_track(pd.read_parquet(args.predictions).query("split == 'test'"))
    made["right"] = uncertainty.is_right(made)
    of_genre[args.predictions.stem] = made.groupby("genre")["right"].mean()
    right = tested.assign(right=uncertainty.is_right(tested)).groupby(["genre", "which", "per_genre"])["right"].mean()
    recalls = right.reset_index().pivot_table("right", "genre", ["which", "per_genre"])
    by_genre = of_genre.join(recalls.set_axis([f"{which}, {size}" for which, size in recalls.columns], axis=1))
    print(f"recovered log-mel of GTZAN, {len(tracks)} clips, protocol artist, five folds, {args.draws} draws, by clip")
    print(table.round(3).to_string(index=False), f"\n{artist_curve.outlook(table)}\n", by_genre.round(2).to_string())
    worst = of_artist(made)
    print(f"artists of whom {args.predictions.stem} has most clips wrong:\n{worst.to_string(index=False)}")
    wrong = int((~made["right"]).sum())
    of_them = worst["clips"].sum() - worst["right"].sum()
    print(
        f"{of_them} of {wrong} wrong clips are of these {len(worst)} of {len({*made['artist']} - {''})} known artists"
    )
    if args.figure:
        title = (
            f"GTZAN, recovered log-mel: a support vector machine on artists\nthat it does not know, {len(tracks)} clips"
        )
        splits.artists(table, labels.chance(tracks), title, args.figure)
    found = {
        "by_genre": by_genre.reset_index().to_dict("records"), "by_artist": worst.to_dict("records"),
        "wrong": {"of_these": int(of_them), "all": wrong}, "settings": {"draws": args.draws, "folds": Params().folds},
    }  # fmt: skip
    shared.save(args.json, shared.machine(["scikit-learn"]), {}, table.to_dict("records"), **found)


def of_artist(made: pd.DataFrame, shown: int = 12) -> pd.DataFrame:
    """The artists of whom most tracks are wrong, and what their tracks are taken for."""
    table = made[made["artist"] != ""].groupby(["genre", "artist"]).agg(
        clips=("right", "size"), right=("right", "sum"),
        predicted=("predicted", lambda own: ", ".join(f"{name} {count}" for name, count in own.value_counts().items())),
    ).reset_index()  # fmt: skip
    return table.assign(wrong=table["clips"] - table["right"]).nlargest(shown, "wrong").drop(columns="wrong")


if __name__ == "__main__":
    main()
