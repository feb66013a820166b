"""The order of genre_utils' folders: data walks through the house once, without turning back."""

import ast
import graphlib
from collections.abc import Iterator

import pytest

from genre_utils.paths import PROJECT

PACKAGE = PROJECT / "genre_utils"
DOOR = {"params", "errors", "paths"}  # imported by every folder, and importing none
ORDER = (
    "system", "audio", "datasets", "features", "splits", "models", "training", "evaluation", "figures", "runs",
    "inference", "explorer",
)  # fmt: skip
MOST_LINES = 360  # a room that one can overlook
MODULES = {
    ".".join(path.relative_to(PROJECT).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
}


def imported(name: str) -> Iterator[str]:
    """The modules of genre_utils that one of them imports, also inside its functions."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "genre_utils":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else str(node.module)


def folder_of(module: str) -> str:
    return module.split(".")[1]


def test_every_folder_has_its_place():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ORDER), "Name a new folder in ORDER and in docs/architecture.md."
    assert {path.stem for path in PACKAGE.glob("[!_]*.py")} == DOOR | {"light"}, "A module belongs in a folder."


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_its_own_folder_and_those_above(name):
    place = folder_of(name)
    if place in ("__main__", "light"):  # the commands, which import everything, and a former one
        return
    allowed = DOOR | set(ORDER[: ORDER.index(place) + 1]) if place in ORDER else DOOR
    for module in imported(name):
        assert module in MODULES, f"{name} imports {module}: name the module, not its folder."
        assert folder_of(module) in allowed, f"{name} imports {module}, which stands below it: {', '.join(ORDER)}."


def test_no_module_imports_itself_by_way_of_others():
    graphlib.TopologicalSorter({name: set(imported(name)) for name in MODULES}).prepare()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_the_init_of_a_folder_imports_nothing(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    names = [alias.name for node in body for alias in getattr(node, "names", [])]
    assert ast.get_docstring(ast.Module(body, []))
    allowed = ["os", "sys", "types"] if path.parent == PACKAGE else []
    assert names == allowed, "What is imported here is imported by everybody."
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]  # which import when they are called
    assert path.parent == PACKAGE or len(body) == 1 + len(functions)


def test_a_module_can_be_overlooked():
    long = {name: lines for name, path in MODULES.items() if (lines := len(path.read_text().splitlines())) > MOST_LINES}
    assert not long, "Divide it."


def test_the_map_names_every_module():
    text = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    missing = [name for name in MODULES if f"`{name.rpartition('.')[2]}`" not in text]
    assert not missing, "docs/architecture.md: say in a line what it is for."
    assert [line.split("`")[1].rstrip("/") for line in text.splitlines() if line.startswith("## `")] == list(ORDER)
