"""Two ways to install, one set of versions; two commands that the README promises."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from importlib import metadata

import pytest
import soundfile
import yaml
from packaging.requirements import Requirement

from genre_utils.inference import export
from genre_utils.models import factory
from genre_utils.params import Params
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
    versions, extras = locked(), project()["optional-dependencies"]
    names = ("train", "notebooks", "formats", "dask", "dev")  # what make installs
    for text in project()["dependencies"] + [text for name in names for text in extras[name]]:
        if text.startswith("genre_utils["):
            continue
        requirement = Requirement(text)
        assert requirement.specifier.contains(versions[requirement.name.lower()]), text


def test_the_browser_tests_need_nothing_that_is_not_locked():
    versions = locked("tests/browser/requirements.txt")
    assert not versions.keys() & locked().keys(), "What is in both locks could drift."
    for text in project()["optional-dependencies"]["browser"]:
        assert Requirement(text).name in versions


def test_the_site_needs_nothing_that_is_not_locked():
    versions, others = locked("docs/requirements.txt"), locked()
    # What all Pythons need for the site may be in the other lock for some of them.
    assert {name: others[name] for name in versions.keys() & others.keys()}.items() <= versions.items()
    for text in project()["optional-dependencies"]["site"]:
        name = Requirement(text).name
        assert name in versions or name in others


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


def installed(folder, requirements: list[str]) -> None:
    """Link into a folder what these requirements bring, and what that needs: an install of them alone."""
    left, seen = [Requirement(text) for text in requirements], set()
    while left:
        requirement = left.pop()
        key = (requirement.name.lower(), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        if requirement.name == "genre_utils":
            left += [
                Requirement(text) for extra in requirement.extras for text in project()["optional-dependencies"][extra]
            ]
            continue
        distribution = metadata.distribution(requirement.name)
        for file in distribution.files or []:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (folder / top).is_symlink():
                (folder / top).symlink_to(distribution.locate_file(top))
        for text in distribution.requires or []:
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in requirement.extras or {""}):
                left.append(inner)


def alone(folder, code: str) -> subprocess.CompletedProcess:
    """A Python that finds the libraries in a folder, this package, and no other."""
    start = f"import sys; sys.path[:0] = [{str(PROJECT)!r}, {str(folder)!r}]\n"
    words = [sys.executable, "-I", "-S", "-c", start + textwrap.dedent(code)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_base_install_predicts_and_names_the_extra_for_the_rest(tmp_path, rng):
    (tmp_path / "base").mkdir()
    installed(tmp_path / "base", project()["dependencies"])
    params = dataclasses.replace(Params(), segment_seconds=1.0, n_mels=32, image_height=32, image_width=32)
    model = factory.build(dataclasses.replace(params, model="compact_cnn"), 3)
    export.write(model, ["a", "b", "c"], params, tmp_path / "exported")
    soundfile.write(tmp_path / "song.wav", rng.uniform(-0.5, 0.5, 2 * params.sample_rate_hz), params.sample_rate_hz)
    words = ["predict", str(tmp_path / "song.wav"), "--model", str(tmp_path / "exported"), "--csv", "-"]
    found = alone(tmp_path / "base", f"from genre_utils.__main__ import main; sys.exit(main({words}))")
    assert found.returncode == 0, found.stderr
    assert len(found.stdout.splitlines()) == 1 + 1 + 2  # the head, the track, its segments
    for command, library, extra in (
        (["predict", words[1], "--model", str(tmp_path)], "", "train"),
        (["run"], "papermill", "notebooks"),
        (["explore", str(tmp_path)], "", "train"),
        (["fetch", "demo"], "pandas", "train"),
        (["export", str(tmp_path), str(tmp_path / "out")], "", "train"),
    ):
        found = alone(tmp_path / "base", f"from genre_utils.__main__ import main; sys.exit(main({command}))")
        assert found.returncode == 1 and "Traceback" not in found.stderr, found.stderr
        assert f"needs {library}" in found.stderr and f"pip install 'genre_utils[{extra}]'" in found.stderr
    others = "import numpy\ntry: import pandas\nexcept ModuleNotFoundError as error: sys.exit(type(error).__name__)"
    assert alone(tmp_path / "base", f"import genre_utils\n{others}").stderr.strip() == "ModuleNotFoundError"


def test_training_needs_no_notebook_software(tmp_path):
    (tmp_path / "train").mkdir()
    installed(tmp_path / "train", [*project()["dependencies"], "genre_utils[train]"])
    found = alone(
        tmp_path / "train",
        """
        import importlib, pkgutil
        import genre_utils
        from genre_utils.errors import MissingExtraError
        for _, name, _ in pkgutil.walk_packages(genre_utils.__path__, "genre_utils."):
            try:
                importlib.import_module(name)
            except MissingExtraError as error:
                print(name, "notebooks" if "genre_utils[notebooks]" in str(error) else error)
        """,
    )
    assert found.returncode == 0, found.stderr
    needing = ("explorer.widget", "runs.execution", "runs.headless")
    assert found.stdout.split() == [word for name in needing for word in (f"genre_utils.{name}", "notebooks")]
