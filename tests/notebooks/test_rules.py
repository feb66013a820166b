"""What can be held of the rules for notebooks. A failure says the rule."""

import ast
import pkgutil
import re
import statistics
import subprocess
import sys

import nbformat
import pytest

import genre_utils
from genre_utils.runs import profiles

NOTEBOOKS = profiles.notebooks()
NETWORKS = ("architectures", "attribution", "embeddings", "factory", "fused", "musicnn", "probe")
TENSORFLOW = [
    *(f"models.{name}" for name in NETWORKS),
    *(f"training.{name}" for name in ("distribution", "pipeline", "recipe", "trainer", "transfer")),
    "inference.export",
]


@pytest.fixture(params=NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parameters(notebook):
    return [cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", [])]


def test_the_four_lessons_of_the_paper_are_there():
    assert [path.stem for path in NOTEBOOKS][:4] == ["01_eda", "02_feature_extraction", "03_training", "04_evaluation"]


def test_no_outputs(notebook):
    held = [cell for cell in code(notebook) if cell.outputs or cell.execution_count]
    assert not held, "Strip the outputs (nbstripout): executed copies belong to a run."


def test_the_kernel_is_python3(notebook):
    assert notebook.metadata.kernelspec.name == "python3", "papermill and CI know this name alone."


def test_one_parameters_cell_of_literals_each_with_a_comment(notebook):
    (cell,) = parameters(notebook)
    for line in cell.source.splitlines():
        assert re.fullmatch(r"\w+ = [^#]+  # .+", line), f"name = literal  # what it is. Received: {line}"
        ast.literal_eval(ast.parse(line).body[0].value)
    assert cell.source.startswith("run_dir = "), "The runner tells every notebook where its results go."


def test_parameters_keep_one_default_everywhere():
    """A profile sets a name in every notebook that has it; stepping through by hand must mean the same."""
    everywhere = [profiles.parameters_of(path) for path in NOTEBOOKS]
    for name in {name for known in everywhere for name in known} - {"listen_seconds"}:
        values = {repr(known[name]) for known in everywhere if name in known}
        assert len(values) == 1, f"{name} has the defaults {values}."


def test_the_defaults_are_the_demo_profile():
    known = {name: value for path in NOTEBOOKS for name, value in profiles.parameters_of(path).items()}
    demo = {name: value for name, value in profiles.read_profile("demo").items() if name not in profiles.RUNNER_KEYS}
    assert {name: known[name] for name in demo} == demo


def test_no_definitions(notebook):
    for cell in code(notebook):
        nodes = ast.walk(ast.parse(cell.source))
        found = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
        assert not found, f"What deserves a name deserves a test: move it to genre_utils.\n{cell.source}"


def test_cells_are_few_and_short(notebook):
    lines = sorted(len(cell.source.splitlines()) for cell in code(notebook))
    assert 15 <= len(lines) <= 25, f"15 to 25 code cells make a lesson. Received: {len(lines)}."
    assert statistics.median(lines) <= 5, f"Half of the cells have at most 5 lines. Received: {lines}."
    assert statistics.quantiles(lines, n=10)[-1] <= 12, f"Nine of ten cells have at most 12 lines. Received: {lines}."


def test_nothing_waits_for_tensorflow_before_it_needs_it():
    """Nor for numba, which librosa's functions bring; all in one process, that is new."""
    rooms = [room.name.partition(".")[2] for room in pkgutil.walk_packages(genre_utils.__path__, "genre_utils.")]
    steps = [f"import genre_utils.{room}" for room in rooms if room not in [*TENSORFLOW, "__main__"]]
    for notebook in NOTEBOOKS[:5]:
        cells = code(nbformat.read(notebook, as_version=4))
        steps.append(next(cell.source for cell in cells if re.search(r"^(import|from) ", cell.source, flags=re.M)))
    script = (
        "import sys\n"
        "sys.modules['rfc3987_syntax'] = None\n"  # see conftest
        f"for step in {steps!r}:\n"
        "    exec(step)\n"
        "    found = {'tensorflow', 'keras', 'numba'} & set(sys.modules)\n"
        "    assert not found, f'Import {found} where it is first needed, not with this: {step}'\n"
    )
    done = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_is_a_lesson(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for part in ("**Goal.**", "**Time.**", "**You need**", "**Steps.**", "## What we have seen", "## Your turn"):
        assert part in text, f"A lesson has a part {part}."
    exercises = text.partition("## Your turn")[2]
    assert 2 <= len(re.findall(r"^\d\. ", exercises, flags=re.M)) <= 3, "Two or three exercises."
    words = len(text.split())
    assert words >= 0.8 * sum(len(cell.source.split()) for cell in code(notebook)), "As much prose as code."


def test_it_proves_its_claims(notebook):
    assert sum(cell.source.count("assert ") for cell in code(notebook)) >= 2, "A claim is proven in a cell."
