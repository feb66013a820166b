"""A docstring is one line, or names every parameter, and what notebooks call says where its idea comes from."""

import importlib
import inspect
import pkgutil
import re

import nbformat
import pytest
from numpydoc.validate import validate

import genre_utils
from genre_utils.runs import profiles

MODULES = [
    name.removeprefix("genre_utils.")
    for _, name, _ in pkgutil.walk_packages(genre_utils.__path__, "genre_utils.")
    if not name.endswith("__main__")
]


def functions(module):
    found = inspect.getmembers(importlib.import_module(f"genre_utils.{module}"), inspect.isfunction)
    return {name: function for name, function in found if function.__module__ == f"genre_utils.{module}"}


@pytest.mark.parametrize("module", MODULES)
def test_one_line_or_every_parameter(module):
    for name, function in functions(module).items():
        text = inspect.getdoc(function) or ""
        assert text, f"{module}.{name} has no docstring."
        if "Parameters\n---" in text:
            errors = validate(f"genre_utils.{module}.{name}")["errors"]
            missing = [message for code, message in errors if code == "PR01"]
            assert not missing, f"{module}.{name}: {missing}"


def test_what_a_lesson_calls_names_the_lesson():
    for path in profiles.notebooks():
        source = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code")
        for module in MODULES:
            for name in set(re.findall(rf"\b{module.rpartition('.')[2]}\.(\w+)\(", source)) & set(functions(module)):
                text = inspect.getdoc(functions(module)[name]) or ""
                if "Parameters\n---" in text:
                    assert path.stem in text, f"{module}.{name}, References: should name the notebook {path.stem}."
