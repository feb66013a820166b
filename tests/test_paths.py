"""Where data and runs go: into the project, or into the current folder if the package was installed alone."""

import shutil
import subprocess
import sys

from genre_utils import paths

SHOWN = "from genre_utils import paths; print(paths.INSTALLED, paths.CACHE, paths.RUNS, sep='|')"


def shown(packages, current) -> list[str]:
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(packages)!r}); {SHOWN}"]
    process = subprocess.run(command, cwd=current, capture_output=True, text=True, check=True)
    return process.stdout.strip().split("|")


def test_an_installed_package_writes_into_the_current_folder(tmp_path):
    packages, current = tmp_path / "site-packages", tmp_path / "lesson"
    current.mkdir()
    for name in ("__init__", "errors", "paths"):
        (packages / "genre_utils").mkdir(parents=True, exist_ok=True)
        shutil.copy(paths.CLONE / "genre_utils" / f"{name}.py", packages / "genre_utils")
    assert shown(packages, current) == ["True", str(current / "data"), str(current / "runs")]


def test_the_project_writes_into_its_own_folder(tmp_path):
    assert shown(paths.CLONE, tmp_path) == ["False", str(paths.CLONE / "data"), str(paths.CLONE / "runs")]
