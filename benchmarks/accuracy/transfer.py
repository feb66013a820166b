"""A probe of a pretrained network's features beside networks from scratch, on the same tracks, under each protocol.

    python -m benchmarks.accuracy.transfer --data real.csv --folds 3 --repeats 3 --json transfer_real.json

Each protocol has the same number of training tracks (protocol_study). The networks from scratch are compact_cnn by the
augmented recipe, paper_cnn by the paper's. What each probe sees: all inner features, the fifty tags, and the tags with
and without the names of genres.
"""

import dataclasses
from pathlib import Path

from benchmarks import shared
from genre_utils.datasets import catalog, labels
from genre_utils.evaluation import protocol_study, transfer_study, uncertainty
from genre_utils.features import store
from genre_utils.models import embeddings
from genre_utils.params import RECIPES, Params
from genre_utils.training import pipeline


def main(argv: list[str] | None = None) -> None:
    """Run what the command line asks for."""
    options = shared.parser(__doc__, data=True, json_required=True)
    options.add_argument("--folds", type=int, default=5, help="of the protocol artist")
    options.add_argument("--repeats", type=int, default=3, help="trainings of each protocol")
    options.add_argument("--image", type=int, default=64, help="height and width of paper_cnn's image")
    options.add_argument("--epochs", type=int, default=30, help="of each network from scratch, at most")
    options.add_argument("--segments", type=int, default=10, help="of 2.976 s, the first of each track")
    options.add_argument("--tracks", type=int, default=0, help="largest number of tracks; 0: all")
    args = options.parse_args(argv)
    base = Params(dataset=args.data, folds=args.folds, batch_size=16)
    heard, scratch = transfer_study.features(base, args.segments)
    tracks = transfer_study.sample(catalog.load(base), args.tracks, heard, scratch)
    stores = store.build(tracks, heard), store.build(tracks, scratch)
    tracks = transfer_study.usable(*stores)
    genres = labels.genres_of(tracks)
    embedded = transfer_study.Embedded(stores[0], embeddings.of_store(stores[0], heard), genres)
    planned, refused = transfer_study.trials(tracks, heard, args.repeats)
    for protocol, reason in refused.items():
        print(f"{protocol}: {reason}", flush=True)
    predictions = {f"probe of {view}": transfer_study.run(planned, embedded, view) for view in transfer_study.VIEWS}
    networks = {
        "compact_cnn": RECIPES["augmented"] | {"model": "compact_cnn", "max_epochs": args.epochs},
        "paper_cnn": {"model": "paper_cnn", "max_epochs": args.epochs, "early_stopping_patience": 8},
    }
    for name, values in networks.items():
        own = dataclasses.replace(scratch, **values, image_height=args.image, image_width=args.image)
        own_trials = [transfer_study.with_features(trial, tracks, own) for trial in planned]
        predictions[name] = protocol_study.run(own_trials, stores[1], genres)
        rows = report(predictions, planned, Path(args.data).name)
        about = shared.machine(["keras", "scikit-learn"], pipeline.gpus())
        shared.save(
            args.json,
            about,
            {},
            rows,
            settings=vars(args) | {"json": args.json.name, "data": Path(args.data).name},
            refused=refused,
        )


def report(predictions: dict, planned: list[protocol_study.Trial], data: str) -> list[dict]:
    """Print the table by tracks, with differences to the first model, and return its rows."""
    rows = []
    for (protocol, model), row in transfer_study.compare(predictions).iterrows():
        own = predictions[model].query("protocol == @protocol")
        trained = next(trial.training_tracks for trial in planned if trial.protocol == protocol)
        rows.append({"protocol": protocol, "model": model, "training_tracks": trained, **row.to_dict()})
        tested = own["track_id"].nunique()
        gain = {"low": row["difference_low"], "high": row["difference_high"]}
        less = (
            ""
            if row["difference"] != row["difference"]
            else (f"; {100 * row['difference']:+.1f} {uncertainty.words(gain, signed=True, brief=True)}")
        )
        print(
            f"{data}, {protocol}, {trained} training tracks, {model}: {100 * row['accuracy']:.1f} % "
            f"{uncertainty.words(row, brief=True)} of {tested} tracks{less}", flush=True,
        )  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
