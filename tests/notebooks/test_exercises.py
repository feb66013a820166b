"""Exercises and solutions: one source, and a runner that finds wrong solutions and checks that accept anything."""

import ast
import importlib.util

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell

from genre_utils.paths import NOTEBOOKS
from genre_utils.runs import profiles
from genre_utils.runs.folder import WRITTEN
from genre_utils.system.progress import HEADLESS

SPEC = importlib.util.spec_from_file_location("lesson_exercises", NOTEBOOKS / "exercises.py")
exercises = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(exercises)

SOLUTIONS = sorted(exercises.SOLUTIONS.glob("*.ipynb"))
SAID = "makes them (make exercises)"


@pytest.fixture(autouse=True)
def not_headless(monkeypatch):
    """The runner sets it for its process, which is here that of other tests, too."""
    monkeypatch.setenv(HEADLESS, "")


@pytest.fixture(params=SOLUTIONS, ids=[path.stem for path in SOLUTIONS])
def solution(request):
    return request.param


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if exercises.kind(cell) == kind]


def test_every_lesson_has_solutions():
    assert [path.name for path in SOLUTIONS] == [path.name for path in profiles.notebooks()]


def test_exercises_and_lessons_are_what_the_solutions_generate(solution):
    for path, notebook in exercises.generated(solution).items():
        expected = nbformat.writes(notebook) + "\n"
        assert path.read_text(encoding="utf-8") == expected, f"Change {solution}; notebooks/exercises.py {SAID}."


def test_each_exercise_is_whole(solution):
    kinds = [exercises.kind(cell) for cell in nbformat.read(solution, as_version=4).cells]
    found = [kind for kind in kinds if kind]
    assert found in (list(exercises.KINDS) * 2, list(exercises.KINDS) * 3), "Two or three exercises, each complete."
    for number, cell in enumerate(cells(solution, "exercise"), 1):
        assert cell.source.startswith(f"**Exercise {number}.** ") and "\n" not in cell.source, "The lesson lists it."


def test_each_solution_says_which_names_it_defines(solution):
    for cell, check, refused in zip(*(cells(solution, kind) for kind in exercises.KINDS[1:4]), strict=True):
        _, names = exercises.asked(cell.source)
        assigned = {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
        assert names and {*names} <= assigned, "It begins with comments of the form # name: what it is"
        assert "assert " in check.source
        lines = refused.source.splitlines()
        assert lines, "A check must refuse a typical wrong answer."
        for line in lines:
            (node,) = ast.parse(line).body
            changed = {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
            assert changed <= {*names}, f"A wrong answer for {', '.join(names)}. Received: {line}"


def test_an_exercise_asks_for_each_name(solution):
    made = exercises.exercises_of(nbformat.read(solution, as_version=4), solution.stem)
    answers, checks = ([cell for cell in made.cells if exercises.kind(cell) == kind] for kind in ("solution", "check"))
    for answer, check in zip(answers, checks, strict=True):
        lines = [line for line in answer.source.splitlines() if not line.startswith("#")]
        assert lines and all(line.endswith(" = ...") for line in lines), "No part of the solution is in the exercise."
        first = check.source.splitlines()[0]
        assert all(line.removesuffix(" = ...") in first for line in lines) and exercises.UNANSWERED in first


def test_solutions_have_no_outputs_and_the_parameters_of_the_lesson(solution):
    for cell in nbformat.read(solution, as_version=4).cells:
        assert not cell.get("outputs"), "Strip the outputs (nbstripout): executed copies belong to a run."
    lesson = profiles.parameters_of(NOTEBOOKS / solution.name)
    assert profiles.parameters_of(solution).items() <= lesson.items()


def test_every_notebook_says_what_to_do_if_the_kernel_lacks_the_project():
    texts = set()
    for path in (*profiles.notebooks(), *SOLUTIONS):
        notebook = nbformat.read(path, as_version=4)
        places = [n for n, cell in enumerate(notebook.cells) if "kernel" in cell.metadata.get("tags", [])]
        assert len(places) == 1 and "import " in notebook.cells[places[0] + 1].source, f"{path}: before the imports."
        texts.add(notebook.cells[places[0]].source)
    assert len(texts) == 1, "One text in all notebooks."


def tiny(path, solution, check, refused="answer = 3"):
    tags = [{"tags": [kind]} for kind in ("parameters", *exercises.KINDS)]
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# Solutions"),
            new_code_cell('run_dir = ""  # folder', metadata=tags[0]),
            new_markdown_cell("**Exercise 1.** Two and two?", metadata=tags[1]),
            new_code_cell(f"# answer: a number\n{solution}", metadata=tags[2]),
            new_code_cell(check, metadata=tags[3]),
            new_raw_cell(refused, metadata=tags[4]),
            new_markdown_cell("Four.", metadata=tags[5]),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, path)


def test_the_runner_finds_a_wrong_solution_and_a_check_that_accepts_anything(tmp_path, monkeypatch, capsys):
    folder, run = tmp_path / "solutions", tmp_path / "run"
    folder.mkdir(), run.mkdir()
    monkeypatch.setattr(exercises, "SOLUTIONS", folder)
    right, wrong, lax, unanswered = paths = [folder / f"{stem}.ipynb" for stem in list(WRITTEN)[:4]]
    for path in paths:
        for name in WRITTEN[path.stem]:
            (run / name).touch()
    check = 'assert isinstance(answer, int), "Give a number."\nassert answer == 2 + 2, "Count again."'
    tiny(right, "answer = 4", check)
    tiny(wrong, "answer = 5", check)
    tiny(lax, "answer = 4", "assert answer > 2")
    nbformat.write(exercises.exercises_of(nbformat.read(right, as_version=4), right.stem), unanswered)
    assert exercises.main(["run", str(run)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{wrong.stem}, exercise 1: AssertionError: Count again.",
        f"{lax.stem}, exercise 1: AssertionError: the check accepts a wrong answer: answer = 3",
        f"{unanswered.stem}, exercise 1: AssertionError: {exercises.UNANSWERED}",
    ]
    executed = nbformat.read(run / "solutions" / right.name, as_version=4)
    (tried,) = [cell for cell in executed.cells if "remove-cell" in cell.metadata.get("tags", [])]
    assert tried.outputs[0].text == "answer = 3\n    refused: Count again.\n"


def test_a_run_without_lessons_is_refused(tmp_path, capsys):
    assert exercises.main(["run", str(tmp_path)]) == 1
    assert "no finished lesson" in capsys.readouterr().err


def test_names_are_read_from_the_comments_at_the_start():
    comments, names = exercises.asked("# low, high: the ends\n# of it\n# ratio: how much\nlow = 1  # no: not this\n")
    assert (len(comments), names) == (3, ["low", "high", "ratio"])
