"""Write RESULTS.md: everything that was tried, what it gave, and where the rest is lost.

Reads the JSON that ``networks.py`` and ``ensemble.py`` left under results/accuracy; computes nothing anew.

    python -m benchmarks.accuracy.tries
"""

import json
from pathlib import Path
from typing import Any

from benchmarks import shared
from genre_utils.evaluation import uncertainty

HERE, RESULTS = shared.ROOT / "benchmarks", shared.RESULTS / "accuracy"
PAPER = "paper_cnn_artist.json"
HEAD = """# What was tried

Made by `python -m benchmarks.accuracy.tries` from the JSON in `results/accuracy`; each line is one run of
`benchmarks/accuracy/networks.py`.

Data: log-mels of 709 of GTZAN's clips (all but the 290 of the fault-filtered test list and jazz.00054), recovered from
published pictures (128 bands, a column every 77.5 ms, six segments of 64 columns a clip; not in this repository).
Protocol `artist`: five folds, no artist and no song on two sides, each clip tested once; about 426 clips train, 141
validate. A clip is right if the mean of its segments' probabilities says so. Intervals are 95 %, resampled by artist;
differences are paired, clip by clip, with the paper's network (trained by the paper's recipe, images of 128×64).

Each clip is also held out for validation once. **Recipes were chosen by the validation column**, not by the test;
still, both are of the same 709 clips, so that the best of many tries flatters itself. The published test list has not
been looked at. Seconds are of trainings that shared two cores with other work.
"""

TRIES = """## Tries

Differences are to the run that is named."""

REFITS = """## The same, trained on the validation clips too

Once a recipe that stops by no validation clips is chosen, they can train as well: four folds train, about 567 clips,
and the fifth tests. `paper_cnn` stays as it is: the paper's recipe needs validation clips, to know when to stop."""

CHOSEN = """Each member gets a temperature from its fold's validation clips (a refit that of its training without
refit), and members are added as long as the negative log-likelihood of that fold's validation segments gets smaller.
The table has all ways that were tried. Preferring one of them is a choice with the test in view."""


def percent(value: dict[str, Any]) -> str:
    """An accuracy with its interval."""
    return f"{100 * value['accuracy']:.1f} {uncertainty.words(value, brief=True)}"


def whole(path: Path) -> bool:
    """Whether a run has tested every fold; a stopped one goes on when it is started again."""
    result = json.loads(path.read_text())
    return len(result["pooled"]["folds"]) == result["settings"]["folds"]


def share(value: float | None) -> str:
    """A share in percent; none where no clip was held out for validation."""
    return "–" if value is None else f"{100 * value:.1f}"


def points(gain: dict[str, Any] | None, name: str = "track") -> str:
    """A paired difference with its interval."""
    if gain is None:
        return ""
    gain = gain.get(name, gain)
    return f"{100 * gain['difference']:+.1f} {uncertainty.words(gain, signed=True, brief=True)}"


def row_of(path: Path, title: str) -> list[str]:
    """One line of the table."""
    result = json.loads(path.read_text())
    pooled = result["pooled"]
    seeds, epochs = len(pooled["seeds"]), max(row["epochs"] for row in result["rows"])
    return [
        title,
        f"{pooled['parameters']:,}" + ("" if epochs else " features"),
        str(seeds),
        str(epochs) if epochs else "–",
        f"{pooled['seconds'] / seeds / len(pooled['folds']):.0f}",
        share(pooled["validation_tracks"]["accuracy"]),
        percent(pooled["segment"]),
        percent(pooled["track"]),
        points(result.get("against")) + base(result),
    ]


def base(result: dict[str, Any]) -> str:
    """What a run was compared with, where that is not the paper's network."""
    other = Path(result.get("against", {}).get("other", PAPER)).stem
    return "" if other == Path(PAPER).stem else f" less {other}"


def what(path: Path) -> str:
    """What a run's settings say of it."""
    settings = json.loads(path.read_text())["settings"]
    changes = ", ".join(f"`{text}`" for text in settings["set"])
    recipe = "" if settings["recipe"] == "paper" else f", recipe {settings['recipe']}"
    name = f"{path.stem}: " if path.parent.name == "tries" else ""
    return f"{name}`{settings['model']}`{recipe}{', ' + changes if changes else ''}"


def main() -> None:
    """Write the page."""
    header = [
        "what", "parameters", "seeds", "epochs", "s a training", "validation tracks, %", "segments, %", "tracks, %",
        "tracks less paper_cnn, points",
    ]  # fmt: skip
    parts = [HEAD]
    found = [path for path in sorted(RESULTS.glob("*_artist.json")) if whole(path)]
    refits = [path for path in found if path.stem.endswith("_refit_artist")]
    for title, paths in (
        ("## Networks and classifiers", [path for path in found if path not in refits]),
        (REFITS, refits),
        (TRIES, sorted((RESULTS / "tries").glob("*.json"))),
    ):
        rows = sorted((row_of(path, what(path)) for path in paths), key=lambda row: row[5], reverse=True)
        if rows:
            parts.append(f"{title}\n\n{shared.markdown(header, rows)}\n")
    for path in sorted(RESULTS.glob("ensemble*.json")):
        result = json.loads(path.read_text())
        rows = [
            [
                row["added"], f"{100 * row['alone']:.1f}", f"{row['seconds']:.0f}",
                share(row["validation_tracks"]), percent(row["segment"]), percent(row["track"]),
                points(row.get("against")),
            ]
            for row in result["rows"]
        ]  # fmt: skip
        own = ["added", "alone, tracks, %", "seconds of training", "validation tracks, %", "together: segments, %",
               "together: tracks, %", "tracks less paper_cnn, points"]  # fmt: skip
        parts.append(f"## {path.stem.capitalize()}: the mean of the probabilities, member after member\n")
        parts.append(f"{shared.markdown(own, rows)}\n")
        if "lost" in result:
            parts.append(lost(result["lost"]))
    parts += [of_chosen(json.loads(path.read_text())) for path in sorted(RESULTS.glob("chosen*.json"))]
    (HERE / "RESULTS.md").write_text("\n".join(parts), encoding="utf-8")


def of_chosen(result: dict[str, Any]) -> str:
    """An ensemble of calibrated members that each fold's validation clips chose."""
    heads = ["mean", "segments, %", "tracks, %", "calibration error of segments, %"]
    heads.append(f"tracks less {Path(result['against']).stem}, points")
    rows = [
        [
            row["mean"], percent(row["segment"]), percent(row["track"]), f"{100 * row['calibration_error']:.1f}",
            points(row["against"]),
        ]
        for row in result["rows"]
    ]  # fmt: skip
    errors = [
        [name, f"{100 * error['before']:.1f}", f"{100 * error['after']:.1f}"]
        for name, error in result["calibration"].items()
    ]
    folds = [[fold, ", ".join(names)] for fold, names in result["folds"].items()]
    return (
        "\n\n".join(
            [
                "## Members that are calibrated, and chosen by validation",
                CHOSEN,
                shared.markdown(heads, rows),
                shared.markdown(["member", "calibration error, %", "calibrated"], errors),
                shared.markdown(["fold", "members"], folds),
            ]
        )
        + "\n"
    )


def lost(facts: dict[str, Any]) -> str:
    """Where the ensemble's errors are."""
    genres = shared.markdown(
        ["genre", "clips", "right, %", "most often taken for"],
        [[row["genre"], str(row["n"]), f"{100 * row['right']:.0f}", row["taken_for"]] for row in facts["genres"]],
    )
    faults = shared.markdown(
        ["clips", "number", "tracks right, %"],
        [[row["clips"], str(row["n"]), percent(row)] for row in facts["lists"]],
    )
    artists = shared.markdown(
        ["artist", "genre", "clips", "wrong"],
        [[row["artist"], row["genre"], str(row["n"]), str(row["wrong"])] for row in facts["artists"]],
    )
    return f"## Where the rest is lost\n\n{genres}\n\n{faults}\n\nArtists with the most wrong clips:\n\n{artists}\n"


if __name__ == "__main__":
    main()
