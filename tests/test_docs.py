"""The documentation: links lead somewhere, and the commands that it names exist."""

import contextlib
import io
import re
import shlex

import pytest
from PIL import Image

from genre_utils.__main__ import parser
from genre_utils.paths import PROJECT

PAGES = sorted(page for folder in (".", "benchmarks", "data", "docs") for page in (PROJECT / folder).glob("*.md"))
NAMED = [page.relative_to(PROJECT).as_posix() for page in PAGES]
FOLDERS = "benchmarks|docs|genre_utils|notebooks|tests"


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def named(text: str, start: str) -> list[str]:
    """What follows ``start`` in code, up to the end of the command."""
    code = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    lines = [line.partition("  #")[0].partition(" && ")[0] for block in code for line in block.splitlines()]
    return [line.partition(start)[2].strip() for line in lines if start in line]


@pytest.mark.parametrize("page", PAGES, ids=NAMED)
def test_every_link_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file."
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{link}: no such heading."


@pytest.mark.parametrize("page", PAGES, ids=NAMED)
def test_every_file_that_is_named_exists(page):
    for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", page.read_text(encoding="utf-8")):
        assert (PROJECT / path).exists() or (PROJECT / f"{path}.py").exists(), path


@pytest.mark.parametrize("page", PAGES, ids=NAMED)
def test_every_command_can_be_read(page):
    for command in named(page.read_text(encoding="utf-8"), "python -m genre_utils "):
        words = shlex.split(command.replace("…", "x"))
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            try:
                parser().parse_args(words if len(words) > 1 else [*words, "--help"])  # alone, it is only named
            except SystemExit as end:
                assert not end.code, f"python -m genre_utils {command}: {said.getvalue()}"


@pytest.mark.parametrize("page", PAGES, ids=NAMED)
def test_every_benchmark_exists_and_has_the_options_that_are_named(page):
    for command in named(page.read_text(encoding="utf-8"), "python -m benchmarks."):
        module, *words = shlex.split(command)
        file = PROJECT / "benchmarks" / f"{module.replace('.', '/')}.py"
        assert file.is_file(), f"python -m benchmarks.{command}"
        source = file.read_text() + (PROJECT / "benchmarks" / "shared.py").read_text()
        assert [word for word in words if word.startswith("--") and f'"{word}"' not in source] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMED)
def test_every_target_of_make_exists(page):
    targets = set(re.findall(r"^([a-z0-9-]+):", (PROJECT / "Makefile").read_text(), flags=re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    wanted = set(re.findall(r"(?:`|^|&& )make ([a-z0-9-]+)", text, flags=re.MULTILINE))
    assert wanted <= targets, wanted - targets


def test_the_map_names_no_module_that_is_gone():
    text = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    parts = re.split(r"^## `(\w+)/`$", text.partition("## Beside the folders")[2], flags=re.MULTILINE)
    for folder, part in zip(["", *parts[1::2]], parts[::2], strict=True):
        there = {path.stem for path in (PROJECT / "genre_utils" / folder).glob("*.py" if not folder else "**/*.py")}
        assert set(re.findall(r"^\| `(\w+)` \|", part, flags=re.MULTILINE)) == there - {"__init__"}, folder or "door"


def test_the_explorer_moves_in_less_than_two_megabytes():
    file = PROJECT / "docs" / "explorer.webp"
    with Image.open(file) as picture:
        assert picture.is_animated and picture.n_frames > 10
    assert file.stat().st_size < 2e6
    assert f"](docs/{file.name})" in (PROJECT / "README.md").read_text(encoding="utf-8")
