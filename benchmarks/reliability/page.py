"""Write docs/reliability.md from the JSON of the reliability benchmarks: the last step of ``make torture``.

.venv/bin/python -m benchmarks.reliability.page benchmarks/results/reliability > docs/reliability.md
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from benchmarks import shared

CHAPTERS = {  # script: title, and how to read its table
    "broken_files": (
        "Broken and unusual files",
        "Every part of the project that reads audio files reads each file of a generated set alone, and then all of "
        "them together. A good file must give the sound that it was made from; a bad file must be named with a typed "
        "error.\n\n"
        "The parts: `from_csv` and `from_folder` make the table of tracks, `extraction` computes log-mels, "
        "`prediction` predicts genres from Python and `command` from the command line, `sound` and `page` make the "
        "explorer's sound and page.",
    ),
    "broken_settings": (
        "Wrong tables, profiles and parameters",
        "Each must be read correctly or refused with a typed error.",
    ),
    "fuzz": (
        "Changed bytes",
        "Hypothesis changes bytes of small valid files. Each reader must give a valid result or a typed error, within "
        "ten seconds and with bounded memory.",
    ),
    "kills": (
        "Killed at any moment",
        "`kill -9`, half of the times at a random moment, half of the times just before a file is opened for writing, "
        "renamed or deleted. The next run must finish with the same result as an undisturbed run: the same bytes of "
        "a feature store, the same history and weights of a training, the same `metrics.json` of a headless run "
        "except for seconds. The headless run is notebooks 2 to 4, up to the metrics, on short music.",
    ),
    "faults": (
        "Full disks, damage, wrong clocks, too little memory, two runs at once",
        "The result must be the same as that of an undisturbed run, or a typed error must say what is wrong and what "
        "to do. Nothing that is finished is lost, and the next run continues.",
    ),
}
HEADS = {  # of columns, where the name in the JSON says too little
    "door": "read by",
    "right": "correct",
    "typed": "typed error",
    "told": "typed error",
    "equal": "same result",
    "found": "broke a rule",
    "slowest": "slowest, s",
    "seconds": "s",
    "peak_mb": "peak, MB",
}
HEAD = """# Reliability: what was tried to break it

`make torture` prints this page: under 20 minutes on two cores, offline. CI runs a short form, `make torture-short`.

Each row says how often something was tried, and what happened. A *typed error* is one of the project's own \
exceptions: it says what is wrong, with which file, and what to do. A *crash* is any other exception, or the end of \
the process; a *hang* exceeds its time limit; *wrong* is any other result. If anything is wrong, the scripts end with \
an error. Every file, moment and error is drawn with a fixed seed.
"""


def page(results: Path) -> str:
    """The page in Markdown, from a folder of ``<script>.json``, as the scripts write them."""
    parts = [HEAD]
    for name, (title, about) in CHAPTERS.items():
        told = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
        machine = ", ".join(f"{key} {value}" for key, value in told["machine"].items() if key != "cores")
        parts += [f"## {title}\n", f"{about}\n", f"`python -m benchmarks.reliability.{name}`. {machine}.\n"]
        parts.append(table(told["rows"]) + "\n")
        costs = {key.replace("_", " "): value for key, value in told["ratios"].items() if key.startswith("check")}
        if costs:
            figures = ", ".join(f"{key} {said(value)}" for key, value in costs.items())
            parts.append(f"What the checks cost: {figures}.\n")
    return "\n".join(parts)


def table(rows: list[dict]) -> str:
    """Rows as a table; what is a list (the reasons of what went wrong) is left to the file."""
    flat = pd.DataFrame(rows)
    flat = flat[[name for name in flat if not flat[name].map(lambda value: isinstance(value, list)).any()]]
    heads = [HEADS.get(name, str(name)) for name in flat]
    return shared.markdown(heads, flat.map(said).to_numpy().tolist())


def said(value: object) -> str:
    """A cell: no more digits than one reads, and nothing that would end it."""
    if isinstance(value, dict):
        return str(len(value))
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:,.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|").replace("\n", " ")


def main() -> int:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, help="a folder with what the scripts have written by --json")
    print(page(parser.parse_args().results), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
