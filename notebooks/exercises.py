"""The lessons' exercises: ``generate`` writes them from their solutions, ``run RUN`` executes the solutions."""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from genre_utils.runs import execution, provenance  # before nbformat, whose imports it speeds up

import nbformat  # isort: skip
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from genre_utils.errors import GenreUtilsError, RunError
from genre_utils.paths import PROJECT
from genre_utils.runs import profiles
from genre_utils.runs.folder import WRITTEN, RunFolder
from genre_utils.system.progress import HEADLESS

NOTEBOOKS = Path(__file__).resolve().parent
SOLUTIONS = NOTEBOOKS / "solutions"
KINDS = ("exercise", "solution", "check", "refused", "answer")  # the tags of an exercise's cells, in this order
AT_ONCE = 2  # kernels
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # of the kernel; cells print by messages
HOW = """\
Run [the lesson](../{name}.ipynb) first, with the same `run_dir`. For each exercise, replace the dots by your answer, \
and run that cell and the next one. It checks the answer: if it is wrong, the last line is a hint. \
[The solutions](../solutions/{name}.ipynb) explain the answers."""
LINKS = """\
Answer them in [exercises/{name}.ipynb](exercises/{name}.ipynb), which checks your answers. \
[solutions/{name}.ipynb](solutions/{name}.ipynb) explains them."""
UNANSWERED = "Not answered yet: replace the dots above."
TRIES = """\
for _wrong in {lines!r}:
    _names = dict(globals())
    exec(_wrong, _names)
    try:
        exec({check!r}, _names)
    except AssertionError as _hint:
        print(f"{{_wrong}}\\n    refused: {{_hint}}")
    else:
        raise AssertionError(f"the check accepts a wrong answer: {{_wrong}}")"""


def kind(cell: NotebookNode) -> str:
    """Which of ``KINDS`` a cell is, or ""."""
    return next((tag for tag in cell.metadata.get("tags", []) if tag in KINDS), "")


def asked(solution: str) -> tuple[list[str], list[str]]:
    """The comment lines that begin a solution, and the names that they ask for: ``# low, high: the interval``."""
    lines = solution.splitlines()
    count = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    found = [re.match(r"# (\w+(?:, \w+)*): ", line) for line in lines[:count]]
    return lines[:count], [name for match in found if match for name in match[1].split(", ")]


def exercises_of(solutions: NotebookNode, name: str) -> NotebookNode:
    """The notebook of exercises: no answers, each solution replaced by dots, which the check asks to replace."""
    made, names = nbformat.from_dict(solutions), []
    made.cells = [cell for cell in made.cells if kind(cell) not in ("refused", "answer")]
    made.cells[0].source = made.cells[0].source.partition("\n")[0].replace("Solutions", "Exercises")
    made.cells[0].source += "\n\n" + HOW.format(name=name)
    for position, cell in enumerate(made.cells):
        cell.id = str(position)  # as nbstripout numbers them
        if kind(cell) == "solution":
            comments, names = asked(cell.source)
            cell.source = "\n".join([*comments, *(f"{one} = ..." for one in names)])
        elif kind(cell) == "check":
            answers = f"({', '.join(names)}{',' if len(names) == 1 else ''})"
            cell.source = f'assert not any(answer is ... for answer in {answers}), "{UNANSWERED}"\n{cell.source}'
    return made


def with_your_turn(lesson: NotebookNode, solutions: NotebookNode, name: str) -> NotebookNode:
    """The lesson, whose last section lists the exercises."""
    made = nbformat.from_dict(lesson)
    texts = [cell.source for cell in solutions.cells if kind(cell) == "exercise"]
    lines = [f"{number}. {text.partition('** ')[2]}" for number, text in enumerate(texts, 1)]
    before = made.cells[-1].source.partition("## Your turn")[0]
    made.cells[-1].source = "\n".join([before + "## Your turn\n", *lines, "", LINKS.format(name=name)])
    return made


def generated(solution: Path) -> dict[Path, NotebookNode]:
    """What belongs into the files that are made from a notebook of solutions."""
    solutions, lesson = (nbformat.read(path, as_version=4) for path in (solution, NOTEBOOKS / solution.name))
    return {
        NOTEBOOKS / "exercises" / solution.name: exercises_of(solutions, solution.stem),
        NOTEBOOKS / solution.name: with_your_turn(lesson, solutions, solution.stem),
    }


def prepared(solutions: NotebookNode) -> NotebookNode:
    """The solutions with a cell after each check that tries the wrong answers; a website leaves this cell out."""
    made, check = nbformat.from_dict(solutions), ""
    for position, cell in enumerate(made.cells):
        if kind(cell) == "check":
            check = cell.source
        elif kind(cell) == "refused":
            lines = [line for line in cell.source.splitlines() if line.strip()]
            source = TRIES.format(lines=lines, check=check)
            made.cells[position] = nbformat.v4.new_code_cell(source, id=cell.id, metadata={"tags": ["remove-cell"]})
    return made


def failure(executed: NotebookNode) -> str:
    """The exercise that failed, and the error; "" if none did."""
    number = 0
    for cell in executed.cells:
        number += kind(cell) == "exercise"
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return f"exercise {number or '1, before it'}: {output.ename}: {output.evalue}"
    return ""


class Client(NotebookClient):
    """A client whose kernels run with this Python, as those of the lessons."""

    def create_kernel_manager(self) -> AsyncKernelManager:
        """A kernel that is not started yet, and is shut down in the end."""
        self.km = execution.new_kernel()
        return self.km


async def execute(solution: Path, run: RunFolder, values: dict[str, object], turn: asyncio.Semaphore) -> str:
    """Execute one notebook of solutions, write it into the run folder, and return what failed."""
    known = profiles.parameters_of(solution)
    given = {name: value for name, value in values.items() if name in known} | {"run_dir": str(run.folder)}
    notebook = parameterize_notebook(prepared(load_notebook_node(str(solution))), given)
    async with turn:
        started = time.monotonic()
        client = Client(notebook, resources={"metadata": {"path": str(PROJECT)}})
        try:
            await client.async_execute(**QUIET)
        except CellExecutionError:
            pass  # it is in the notebook
        finally:
            (run.folder / "solutions").mkdir(exist_ok=True)
            nbformat.write(notebook, run.folder / "solutions" / solution.name)
    fault = failure(notebook)
    print(f"{solution.stem:<24}{time.monotonic() - started:5.0f} s  {fault or 'right, and wrong answers are refused'}")
    return f"{solution.stem}, {fault}" if fault else ""


async def run_all(solutions: list[Path], run: RunFolder) -> list[str]:
    """Execute the solutions of all lessons that a run has executed, and return what failed."""
    done = [path for path in solutions if all((run.folder / name).exists() for name in WRITTEN[path.stem])]
    if not done:
        raise RunError(f"{run.folder} has no finished lesson. Run one first: make all")
    recorded = (run.folder / provenance.RECORD).exists()
    values, turn = provenance.recorded(run)["values"] if recorded else {}, asyncio.Semaphore(AT_ONCE)
    return [fault for fault in await asyncio.gather(*(execute(path, run, values, turn) for path in done)) if fault]


def main(words: list[str] | None = None) -> int:
    """Run the command with these words, or those of the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["generate", "run"])
    parser.add_argument("run", nargs="?", default="runs/latest", help="the run folder, for run")
    asked_for, solutions = parser.parse_args(words), sorted(SOLUTIONS.glob("*.ipynb"))
    if asked_for.command == "generate":
        for path, notebook in (pair for solution in solutions for pair in generated(solution).items()):
            nbformat.write(notebook, path)
        return 0
    os.environ[HEADLESS] = "1"
    try:
        faults = asyncio.run(run_all(solutions, RunFolder.existing(asked_for.run)))
    except GenreUtilsError as error:
        faults = [str(error)]
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
