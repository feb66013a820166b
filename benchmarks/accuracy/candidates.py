"""Train the candidates for the model that the project ships, and compare them on real audio.

Candidate A: compact_cnn, trained on log-mel arrays (see benchmarks.accuracy.networks) with the augmented recipe: one
network for each of five artist folds, and one of all clips.

    python -m benchmarks.accuracy.candidates --logmel logmel.npz --lists lists --networks build/candidates \
        --json build/candidates/a.json

A killed run goes on where it stopped: each network is saved as soon as it is trained.
"""

import dataclasses
from pathlib import Path

import numpy as np

from benchmarks.accuracy import networks
from genre_utils.params import Params
from genre_utils.splits import leaks, protocols
from genre_utils.training import recipe

FOLDS = 5
ALL = "all"


def train(logmel: list[Path], lists: Path, folder: Path) -> None:
    """Train and save the networks of candidate A that are not in the folder yet."""
    clips, segments = networks.read_arrays(logmel)
    tracks = networks.catalog_of(clips, lists)
    genres = sorted(tracks["genre"].unique())
    height, width = segments.shape[2:]
    fixed = {"protocol": "artist", "model": "compact_cnn", "n_mels": height, "folds": FOLDS, **networks.ARRAYS}
    base = Params.from_mapping({"image_height": height, "image_width": width} | recipe.RECIPES["augmented"] | fixed)
    folder.mkdir(parents=True, exist_ok=True)
    for fold in [*range(FOLDS), ALL]:
        saved = folder / f"compact_cnn_{fold}.keras"
        if saved.exists():
            continue
        params = dataclasses.replace(base, fold=fold if fold != ALL else 0)
        split = leaks.of_tracks(protocols.assign(tracks, params)[0]).set_index("track_id")["split"]
        kept = (split.reindex(clips) != "test").to_numpy() if fold != ALL else np.ones(len(clips), bool)
        print(f"fold {fold}: {kept.sum()} clips", flush=True)
        clip = np.repeat(np.flatnonzero(kept), networks.SEGMENTS)
        place = np.tile(np.arange(networks.SEGMENTS), kept.sum())
        label = np.array([genres.index(genre) for genre in tracks["genre"]])[clip]
        wanted = np.eye(len(genres), dtype=np.float32)[label] if recipe.takes_shares(params) else label
        following = segments[clip, np.minimum(place + 1, networks.SEGMENTS - 1)]
        batches = networks.Batches(segments[clip, place], following, wanted, params)
        model, facts = networks.trained(batches, None, len(genres), params)
        print(facts, flush=True)
        partial = saved.with_name(f"partial_{saved.name}")
        model.save(partial)
        partial.replace(saved)


def main(argv: list[str] | None = None) -> None:
    """Run what the command line asks for."""
    options = networks.parser(__doc__)
    options.add_argument("--networks", type=Path, required=True, help="folder for the networks")
    args = options.parse_args(argv)
    train(args.logmel, args.lists, args.networks)


if __name__ == "__main__":
    main()
