"""The same seed twice: is the result the same, and what would TensorFlow's switch for it cost?

python -m benchmarks.reliability.determinism --json determinism.json

Each run has a copy of this project of its own, with an empty cache, and fresh processes: headless with the profile ci,
repeated by ``run --again``, by papermill notebook by notebook, and cell by cell in IPython as a reader steps through.
Everything that they leave is compared. Then steps of the paper's network, with ``enable_op_determinism`` and without,
in processes that take turns, and the weights of two trainings without it. The exit status is 1 if anything differs.

--short, for CI, only compares notebooks 1 to 4 on short music by papermill with the same cell by cell, both at once.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmarks import shared
from benchmarks.reliability import kills
from benchmarks.speed import training

FULL = {"max_epochs": 2, "lesson_epochs": 1, "beyond_epochs": 1}  # of the profile ci: all notebooks, few epochs
SHORT = {"max_epochs": 2, "image_height": 32, "image_width": 32, "batch_size": 8}
CLOCKS = ("seconds", "points_per_100_s")  # columns that are no results; and places, which are no results either
PLACES = ("path",)
NEEDED = (
    "metrics.json", "params.yml", "tracks.parquet", "split.csv", "history.csv", "model.keras", "predictions.parquet",
)  # fmt: skip
WRONG = ("artefacts that differ", "largest difference of weights and averages, plain")  # what must be 0
CLOCK_FIGURES = ("ablation.png", "ensemble.png")  # they show seconds


def environment(project: Path) -> dict[str, str]:
    """Of a process: that copy first."""
    return shared.environment(project, MPLBACKEND="Agg")


def start(project: Path, *words: str | Path) -> subprocess.Popen:
    """This Python in a copy; what it prints is kept for when it fails."""
    log = (project / "log").open("a")
    command = [sys.executable, *map(str, words)]
    return subprocess.Popen(command, cwd=project, env=environment(project), stdout=log, stderr=subprocess.STDOUT)


def ended(process: subprocess.Popen, project: Path) -> None:
    """Wait until it has ended well."""
    if process.wait():
        raise SystemExit(f"{process.args} ended with {process.returncode}:\n{(project / 'log').read_text()[-3_000:]}")


def by_papermill(project: Path, out: Path, values: dict[str, Any], notebooks: list[Path]) -> None:
    """Notebook after notebook by papermill's own command."""
    from genre_utils.runs import profiles

    out.mkdir()
    for notebook in notebooks:
        known = profiles.parameters_of(notebook)
        chosen = {name: value for name, value in values.items() if name in known} | {"run_dir": str(out)}
        (project / "values.yml").write_text(yaml.safe_dump(chosen))
        values_of = project / "values.yml"
        words = ["-m", "papermill", project / "notebooks" / notebook.name, out / notebook.name, "-f", values_of]
        ended(start(project, *words, "-k", "python3", "--cwd", project, "--no-progress-bar"), project)


def stepped(notebook: Path, values: dict[str, Any]) -> None:
    """Every cell of a notebook in IPython, its parameters edited as a reader edits them."""
    import nbformat
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    for cell in nbformat.read(notebook, 4).cells:
        if cell.cell_type == "code":
            shell.run_cell(cell.source, store_history=True).raise_error()
            if "parameters" in cell.metadata.get("tags", []):
                shell.push({name: value for name, value in values.items() if name in shell.user_ns})


def step_through(project: Path, out: Path, values: dict[str, Any], notebooks: list[Path]) -> None:
    """Notebook after notebook cell by cell, each in a process of its own."""
    words = ["--values", json.dumps(values | {"run_dir": str(out)})]
    for notebook in notebooks:
        ended(start(project, "-m", __spec__.name, "--step", project / "notebooks" / notebook.name, *words), project)


def compared(one: Path, other: Path) -> dict[str, bool]:
    """Whether each thing that the other run has left is the same, seconds and places left out; missing is not."""

    def content(path: Path) -> Any:
        if path.name == "metrics.json":
            return {name: value for name, value in json.loads(path.read_text()).items() if name not in CLOCKS}
        if path.suffix in (".csv", ".parquet"):
            table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
            return table.drop(columns=[name for name in (*CLOCKS, *PLACES) if name in table]).to_json(
                double_precision=15
            )
        if path.suffix == ".keras":
            from genre_utils.models import factory

            return [weights.tobytes() for weights in factory.load(path).get_weights()]
        return path.read_bytes()

    names = sorted({*NEEDED} | {path.relative_to(other).as_posix() for path in artefacts(other)})
    both = {name: (one / name).exists() and (other / name).exists() for name in names}
    return {name: there and content(one / name) == content(other / name) for name, there in both.items()}


def artefacts(folder: Path) -> list[Path]:
    """What results a run has left: tables, figures and the network."""
    found = [path for path in folder.iterdir() if path.suffix in (".csv", ".parquet", ".keras")]
    return found + [path for path in (folder / "figures").glob("*.png") if path.name not in CLOCK_FIGURES]


def child(way: str, image: int, batch: int) -> None:
    """Answer questions: an epoch's seconds of its steps, or nothing once the weights are saved in a file."""
    from genre_utils.system.quiet import quiet_stderr

    with quiet_stderr():
        import tensorflow as tf
    if way == "deterministic":
        tf.config.experimental.enable_op_determinism()
    epoch, network = training.keras_epoch("ours", image, batch, 3)
    epoch()

    def answer(file: str) -> list[float] | None:
        return np.savez(file, *network.get_weights()) if file else [seconds for seconds, _ in epoch()]

    shared.serve(answer)


def cost(image: int, batch: int, repeats: int, folder: Path) -> dict[str, Any]:
    """Seconds of a step with and without the switch, and how far two trainings without it are apart."""

    processes = {}
    for name in ("plain", "plain again", "deterministic"):
        words = shared.command(__spec__.name, "--child", name.split()[0], "--image", image, "--batch", batch)
        processes[name] = shared.Child(words, env=environment(shared.ROOT))
    turns = {name: lambda process=process: process.ask("") for name, process in processes.items()}
    found = shared.in_turn(turns, repeats)
    seconds = {name: list(itertools.chain(*epochs)) for name, epochs in found.items()}
    weights = {}
    for name, process in processes.items():
        file = folder / f"{name}.npz".replace(" ", "-")
        process.ask(str(file))
        process.end()
        with np.load(file) as arrays:
            weights[name] = [arrays[key] for key in arrays.files]

    def apart(one: str, other: str) -> float:
        return max(float(np.abs(a - b).max()) for a, b in zip(weights[one], weights[other], strict=True))

    plain = statistics.median(seconds["plain"] + seconds["plain again"])
    return {
        "what": "training", "image": image, "batch": batch, "steps": len(seconds["plain"]),
        "seconds_a_step": plain, "seconds_deterministic": statistics.median(seconds["deterministic"]),
        "largest_difference_of_weights": apart("plain", "plain again"),
        "largest_difference_to_deterministic": apart("plain", "deterministic"),
    }  # fmt: skip


def runs(folder: Path, short: bool) -> dict[str, Path]:
    """Run folders by the way in which they were made; the first is what the others are compared with."""
    from genre_utils.runs import profiles

    copies = ("first copy", "second copy", *(() if short else ("third copy", "fourth copy")))
    first, second, *others = (shared.tree(folder / name, "genre_utils", "notebooks") for name in copies)
    notebooks = profiles.notebooks()[:4]
    if short:
        values = SHORT | {"dataset": str(kills.music(folder / "music", 8, 11, 22_050))}
        found = {name: folder / name for name in ("papermill", "cell by cell")}
        words = ["--papermill", found["papermill"], "--values", json.dumps(values)]
        process = start(first, "-m", __spec__.name, *words)
        step_through(second, found["cell by cell"], values, notebooks)
        ended(process, first)
        return found
    found = {name: folder / name for name in ("headless", "run --again", "papermill", "cell by cell")}
    settings = [word for name, value in FULL.items() for word in ("--set", f"{name}={value}")]
    run = ["-m", "genre_utils", "run"]
    ended(start(first, *run, "--profile", "ci", *settings, "--out", found["headless"]), first)
    ended(start(second, *run, "--again", found["headless"], "--out", found["run --again"]), second)
    values = profiles.read_profile("ci") | FULL
    by_papermill(others[0], found["papermill"], values, notebooks)
    step_through(others[1], found["cell by cell"], values, notebooks)
    return found


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__)
    parser.add_argument("--short", action="store_true", help="for CI: under a minute")
    parser.add_argument("--image", type=int, default=256, help="height and width of the network that is timed")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=4, help="epochs of three steps of each way")
    for name, kind in (("--child", str), ("--step", Path), ("--papermill", Path), ("--values", json.loads)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.image, options.batch)
        return 0
    if options.step:
        stepped(options.step, options.values)
        return 0
    from genre_utils.runs import profiles

    if options.papermill:
        by_papermill(Path.cwd(), options.papermill, options.values, profiles.notebooks()[:4])
        return 0
    about = shared.machine(("tensorflow", "keras", "numpy"))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        began = time.monotonic()
        (reference, one), *again = runs(folder, options.short).items()
        for name, other in again:
            same = compared(one, other)
            others = [what for what, equal in same.items() if not equal]
            rows.append({"what": name, "compared_with": reference, "artefacts": len(same), "differ": others})
            print(f"{name} and {reference}: {len(same)} artefacts, of which differ: {', '.join(others) or 'none'}")
        print(f"{time.monotonic() - began:.0f} s")
        differ, apart = WRONG
        ratios = {differ: sum(len(row["differ"]) for row in rows)}
        if not options.short:
            last = cost(options.image, options.batch, options.repeats, folder)
            rows.append(last)
            ratios |= {
                apart: last["largest_difference_of_weights"],
                "the same, plain and deterministic": last["largest_difference_to_deterministic"],
                "seconds of a step, deterministic / plain": last["seconds_deterministic"] / last["seconds_a_step"],
            }
    shared.save(options.json, about, shared.shown(ratios), rows)
    return int(any(ratios.get(name) for name in WRONG))


if __name__ == "__main__":
    sys.exit(main())
