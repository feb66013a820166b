"""What the torture scripts have found, as a page: the last step of ``make torture``.

.venv/bin/python -m benchmarks.reliability.page benchmarks/results/reliability > docs/reliability.md
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from benchmarks import shared

CHAPTERS = {  # script: title, and how to read its table
    "broken_files": (
        "Files that are broken or odd",
        "Each file of a made corpus goes alone through every door, and then all go at once: the good ones must be "
        "answered as the sound that they were made of, the bad ones named with a typed error.",
    ),
    "broken_settings": (
        "Tables, profiles and parameters that are wrong",
        "Each must be read rightly or refused with a typed error.",
    ),
    "fuzz": (
        "Readers, fed with changed files",
        "Hypothesis changes bytes of small valid files; a reader must give a valid result or a typed error, within ten "
        "seconds and bounded memory.",
    ),
    "kills": (
        "Killed at any moment",
        "`kill -9`, half of the times at a random moment, half of the times just before a file is opened for writing, "
        "renamed or deleted. The next run must finish and leave what an undisturbed one leaves: of a store the same "
        "bytes, of a training the same history and weights, of a headless run the same `metrics.json`; seconds left "
        "out. The headless run is notebooks 2 to 4, as far as the metrics, on short music.",
    ),
    "faults": (
        "Disks, damage, clocks, memory, and two at once",
        "Either the result is equal to an undisturbed one, or a typed error says what is wrong and the way out; "
        "nothing finished is lost, and the next run goes on.",
    ),
}
UNITS = {"found": "broke a rule", "slowest": "slowest, s", "seconds": "s", "peak_mb": "peak, MB"}
HEAD = """# What breaks it, tried in numbers

Printed by `make torture` (under 20 minutes on two cores, offline); CI runs a short form of it, `make torture-short`. \
Each row says how often a thing was tried and what came of it; the scripts end with an error if anything came out \
wrong. Every file, moment and fault is drawn from a fixed seed.
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
            parts.append(f"What it costs: {', '.join(f'{key} {said(value)}' for key, value in costs.items())}.\n")
    return "\n".join(parts)


def table(rows: list[dict]) -> str:
    """Rows as a table; what is a list (the reasons of what went wrong) is left to the file."""
    flat = pd.DataFrame(rows)
    flat = flat[[name for name in flat if not flat[name].map(lambda value: isinstance(value, list)).any()]]
    heads = [UNITS.get(name, str(name)) for name in flat]
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
