"""How soon notebook 1 shows a figure, and where the seconds of ``make run`` go.

.venv/bin/python -m benchmarks.speed.startup --json startup.json

Notebooks 1 to 4 run once by the demo profile, in a copy of the project without music or features: as after an install.
"""

import ast
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import nbformat
import papermill.parameterize
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from benchmarks import shared
from genre_utils.paths import PROJECT
from genre_utils.runs import execution, profiles

FIRST_FIGURE_SECONDS, RUN_SECONDS = 5, 180  # the goals
LESSONS = 4
SLOWEST = 4  # cells of a notebook in the table of the run
RUN = """
import sys
from pathlib import Path
from genre_utils.runs import execution, profiles
values = profiles.RUNNER_KEYS | profiles.read_profile("demo")
for notebook in profiles.notebooks()[: int(sys.argv[2])]:
    chosen = {name: values[name] for name in profiles.parameters_of(notebook) if name in values}
    chosen |= {"run_dir": sys.argv[1]}
    execution.execute(notebook, Path(sys.argv[1]), chosen, values["silence_seconds"], lambda *_: None)
"""


def first_figure(notebook: Path, project: Path, run_dir: Path) -> float:
    """Seconds from the start of a kernel to the first picture that a notebook shows."""
    node = papermill.parameterize.parameterize_notebook(
        papermill.iorw.load_notebook_node(str(notebook)), {"run_dir": str(run_dir)}
    )
    client = NotebookClient(
        node, kernel_name=execution.KERNEL, resources={"metadata": {"path": str(project)}}, config=execution.ENCRYPTED
    )
    start = time.perf_counter()
    with client.setup_kernel():
        for number, cell in enumerate(node.cells):
            client.execute_cell(cell, number)
            if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
                return time.perf_counter() - start
    raise AssertionError(f"{notebook} shows no picture.")


def of_notebook(executed: Path) -> dict:
    """Where the seconds of an executed notebook went, as papermill noted them, and its HTML made once more."""
    node = nbformat.read(executed, as_version=4)
    whole = node.metadata.papermill
    cells = [cell for cell in node.cells if cell.cell_type == "code" and cell.metadata.papermill.get("duration")]
    durations = [(cell.metadata.papermill.duration, cell.source.partition("\n")[0]) for cell in cells]
    first = datetime.fromisoformat(cells[0].metadata.papermill.start_time)
    kernel = (first - datetime.fromisoformat(whole.start_time)).total_seconds()
    importing = sum(
        cell.metadata.papermill.duration
        for cell in cells
        if all(isinstance(part, ast.Import | ast.ImportFrom) for part in ast.parse(cell.source).body)
    )
    in_cells = sum(seconds for seconds, _ in durations)
    start = time.perf_counter()
    HTMLExporter().from_filename(str(executed))
    return {
        "what": "run", "of": executed.stem, "kernel": kernel, "imports": importing, "cells": in_cells - importing,
        "saving and stopping": whole.duration - kernel - in_cells, "HTML": time.perf_counter() - start,
        "slowest": sorted(durations, reverse=True)[:SLOWEST],
    }  # fmt: skip


def show(rows: list[dict]) -> None:
    """Print both tables, and the slowest cells."""
    print(f"first figure, {rows[-1]['of']}: {rows[-1]['seconds']:.2f} s")
    names = ["of", "kernel", "imports", "cells", "saving and stopping", "HTML"]
    shared.show(rows[:-1], {name: name for name in names})
    for row in rows[:-1]:
        for seconds, line in row["slowest"]:
            print(f"{row['of']:>21}  {seconds:6.1f} s  {line}")


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__)
    parser.add_argument("--run", type=Path, help="a finished run folder: read, instead of running the notebooks")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    notebooks = profiles.notebooks()[:LESSONS]
    ratios = {}
    with tempfile.TemporaryDirectory() as temporary:
        run_dir = Path(temporary) / "run"
        if options.run:
            project = PROJECT
            shutil.copytree(options.run, run_dir)  # notebook 3 writes into it
        else:
            project = shared.tree(Path(temporary) / "project", "genre_utils", "notebooks")
            run_dir.mkdir()
            start = time.perf_counter()
            command = [sys.executable, "-c", RUN, str(run_dir), str(LESSONS)]
            subprocess.run(command, cwd=project, env=shared.environment(project), check=True)
            ratios[f"notebooks 1 to {LESSONS} / {RUN_SECONDS} s"] = (time.perf_counter() - start) / RUN_SECONDS
        rows = [of_notebook(run_dir / notebook.name) for notebook in notebooks]
        seconds = statistics.median(first_figure(notebooks[0], project, run_dir) for _ in range(options.repeats))
        rows.append({"what": "first figure", "of": notebooks[0].stem, "seconds": seconds})
    show(rows)
    ratios[f"first figure of {notebooks[0].stem} / {FIRST_FIGURE_SECONDS} s"] = seconds / FIRST_FIGURE_SECONDS
    about = shared.machine(("tensorflow", "keras", "librosa", "seaborn", "papermill", "nbconvert"))
    shared.save(options.json, about, shared.shown(ratios), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
