"""Two ways to install, one set of versions; two commands that the README promises."""

import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

from genre_utils.paths import PROJECT


def locked(path: str = "requirements.txt") -> dict[str, str]:
    lines = (PROJECT / path).read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.lstrip().startswith("#")]
    assert all(len(r.specifier) == 1 and next(iter(r.specifier)).operator == "==" for r in requirements)
    versions: dict[str, str] = {}
    for requirement in requirements:
        assert requirement.name not in versions, f"{requirement.name} is locked twice"
        versions[requirement.name] = next(iter(requirement.specifier)).version
    return versions


def project() -> dict:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


def test_every_dependency_is_locked_to_a_version_that_fits():
    versions = locked()
    for text in project()["dependencies"] + project()["optional-dependencies"]["dev"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(versions[requirement.name.lower()]), text


def test_the_browser_tests_need_nothing_that_is_not_locked():
    versions = locked("tests/browser/requirements.txt")
    assert not versions.keys() & locked().keys(), "What is in both locks could drift."
    for text in project()["optional-dependencies"]["browser"]:
        assert Requirement(text).name in versions


def test_conda_installs_the_same_versions():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    python = [entry for entry in environment["dependencies"] if isinstance(entry, str) and entry.startswith("python=")]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.txt"]  # not a second list that could drift
    assert Requirement(f"python{project()['requires-python']}").specifier.contains(python[0].partition("=")[2] + ".9")


SUPPORTED = ["3.11", "3.12", "3.13"]
PRETENDER = """#!/bin/sh
case "$1" in
    --version) echo "Python {version}.9";;
    -c) exec "{python}" -c "import sys; sys.version_info = tuple(map(int, '{version}.9'.split('.'))); $2";;
    *) echo "$0 $*"; exit 3;;
esac
"""


def made(folder, versions):
    """What make says that finds these Pythons and no other, which do nothing but tell what they are called with."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder)
    names = ["python", "python3", "python3.11", "python3.12", "python3.13"]
    for name in names:
        stub = folder / name
        stub.write_text(PRETENDER.format(version=versions.get(name, versions[""]), python=sys.executable))
        stub.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    return subprocess.run(["make", ".venv/installed"], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize("version", ["3.10", *SUPPORTED, "3.14"])
def test_another_python_is_refused_before_anything_is_installed(tmp_path, version):
    assert Requirement(f"python{project()['requires-python']}").specifier.contains(f"{version}.9") == (
        version in SUPPORTED
    )
    said = made(tmp_path, {"": version})
    if version in SUPPORTED:
        assert f"{tmp_path}/python3.12 -m venv" in said.stdout
    else:
        assert said.returncode
        assert f"Found: Python {version}.9." in said.stdout
        assert "Install Python 3.13" in said.stdout
        assert "-m" not in said.stdout


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_the_python_that_fits_is_found_beside_one_that_does_not(tmp_path):
    assert f"{tmp_path}/python3.13 -m venv" in made(tmp_path, {"": "3.14", "python3.13": "3.13"}).stdout


def test_every_supported_python_is_tested():
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())
    assert workflow["jobs"]["ci"]["strategy"]["matrix"]["python"] == SUPPORTED


def test_the_gpu_extra_is_the_locked_tensorflow():
    (gpu,) = project()["optional-dependencies"]["gpu"]
    assert Requirement(gpu).specifier.contains(locked()["tensorflow"])


def test_the_readme_names_the_commands_of_the_makefile():
    targets = set(re.findall(r"^([a-z0-9-]+):", (PROJECT / "Makefile").read_text(), flags=re.M))
    named = set(re.findall(r"`make ([a-z-]+)", (PROJECT / "README.md").read_text()))
    named |= set(re.findall(r"^make ([a-z-]+)", (PROJECT / "README.md").read_text(), flags=re.M))
    assert {"run", "test", "lab", "lint", "clean"} <= targets
    assert {"run", "test", "lab"} <= named <= targets
