"""Make the model that the project ships, with its card, of what benchmarks.accuracy.candidates has measured.

    python -m benchmarks.accuracy.shipped --logmel logmel.npz --lists lists --networks build/candidates \
        --clips real.csv --json candidates.json --out genre_utils/inference/shipped

The candidate is a linear classifier of the features of musicnn. Its figures are those of five artist folds; the model
itself is trained on all clips. On one machine the folder is the same again, but for the last digits of the
temperatures, which differ with the number of threads of BLAS.
"""

import json
import shutil
import string
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import shared
from benchmarks.accuracy import candidates, networks
from genre_utils.audio import decoding
from genre_utils.datasets import catalog
from genre_utils.evaluation import calibration, reliability, scoring, uncertainty
from genre_utils.evaluation.novelty import Reference, summary_statistics
from genre_utils.evaluation.temperature_scaling import Calibration
from genre_utils.features import spectrogram
from genre_utils.inference import export
from genre_utils.models import probe
from genre_utils.params import Params
from genre_utils.splits import leaks

CHOSEN = "B"
CARD = Path(__file__).with_name("shipped_card.md")  # a template
LICENCE = shared.ROOT / "genre_utils" / "inference" / "templates" / "musicnn_licence.txt"


def ship(tracks: pd.DataFrame, fold: np.ndarray, folder: Path, rows: list[dict[str, Any]], out: Path) -> None:
    """Train the chosen candidate on all clips, calibrate it on the folds, and write its folder and card."""
    count, inputs = candidates.PROBES[CHOSEN]
    label = np.array([shared.GENRES.index(genre) for genre in tracks["genre"]])
    every = [candidates.measure(tracks, condition, folder) for condition in candidates.CONDITIONS[:count]]
    means, clean, params = candidates.examples(every), every[0], candidates.params_of_b()
    probabilities = candidates.of_b(clean, means, label, fold, inputs=inputs)
    segments = candidates.table_of(tracks, clean["b_clip"], probabilities)
    clips = scoring.by_track(segments)
    temperatures = [calibration.temperature(table, "softmax") for table in (segments, clips)]
    fitted = Calibration(*temperatures, reference(tracks, params))
    figure = uncertainty.accuracy(clips)
    about = (
        f"The model that comes with genre_utils knows the ten genres of GTZAN. In tests with artists that it had not "
        f"heard it classified {100 * figure['accuracy']:.1f} % of {figure['n']} clips correctly, "
        f"{uncertainty.words(figure)}."
    )
    shutil.rmtree(out, ignore_errors=True)
    model = probe.network(candidates.probe_of(means, label, inputs=inputs), params)
    export.write(model, shared.GENRES, params, out, fitted, about)
    (out / "README.md").write_text(card(about, segments, clips, fitted, rows), encoding="utf-8")


def reference(tracks: pd.DataFrame, params: Params) -> Reference | None:
    """The reference of the novelty score: all clips."""
    figures = []
    for path in tracks["path"]:
        cut = spectrogram.segments(decoding.load(path, params), params)
        figures.append(summary_statistics(spectrogram.log_mel(cut, params)))
    number = np.repeat(np.arange(len(tracks)), [len(one) for one in figures])
    names, groups = tracks["track_id"].to_numpy(str), leaks.groups(tracks)
    return Reference.fit(np.concatenate(figures), names[number], groups[number])


def card(
    about: str, segments: pd.DataFrame, clips: pd.DataFrame, fitted: Calibration, rows: list[dict[str, Any]]
) -> str:
    """The model card: Markdown with Hugging Face's metadata, of figures that do not depend on the machine."""
    scored = calibration.by_track(segments, fitted, "softmax")
    before, after = (reliability.expected_calibration_error(table)["ece"] for table in (clips, scored))
    by_genre = [
        [row["genre"], *(f"{row[name]:.2f}" for name in ("precision", "recall", "f1")), f"{row['support']:.0f}"]
        for row in scoring.table_one(clips).reset_index().to_dict("records")
    ]
    pairs = scoring.confused_pairs(clips)[["pair", "confused", "of"]].head(3)
    trained_on = clips["genre"].value_counts().sort_index()
    notice = LICENCE.read_text(encoding="utf-8").strip().splitlines()
    return string.Template(CARD.read_text(encoding="utf-8")).substitute(
        about=about,
        genres=", ".join(shared.GENRES),
        count=len(clips),
        artists=clips["artist"].nunique(),
        trained_on=", ".join(f"{genre} {count}" for genre, count in trained_on.items()),
        of_clips=networks.said(uncertainty.accuracy(clips)),
        of_segments=networks.said(uncertainty.accuracy(segments)),
        confused=", ".join(f"{pair} ({count} of {of})" for pair, count, of in pairs.itertuples(index=False)),
        ece_before=f"{100 * before:.1f}",
        ece_after=f"{100 * after:.1f}",
        by_genre=shared.markdown(["genre", "precision", "recall", "F1", "clips"], by_genre),
        losses=shared.markdown(
            ["sound", "clips correct"],
            [
                [row["condition"], networks.said(row)]
                for row in rows
                if (row["candidate"], row["n"]) == (CHOSEN, len(clips))
            ],
        ),
        notice="\n".join(f"> {line}".rstrip() for line in notice),
    )


def main(argv: list[str] | None = None) -> None:
    """Run what the command line asks for."""
    options = networks.parser(__doc__)
    options.add_argument("--networks", type=Path, required=True, help="folder of what candidates has measured")
    options.add_argument("--clips", type=Path, required=True, help="table of real clips")
    options.add_argument("--out", type=Path, required=True, help="folder of the model")
    args = options.parse_args(argv)
    tracks = catalog.load(Params(dataset=str(args.clips)))
    fold = candidates.folds_of(tracks, args.logmel, args.lists)
    ship(tracks, fold, args.networks, json.loads(args.json.read_text())["rows"], args.out)


if __name__ == "__main__":
    main()
