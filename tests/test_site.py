"""The site: what checks its links finds them, and no page is forgotten. make site builds it."""

import re

import nbformat
import pytest

from docs import build_site
from genre_utils.paths import PROJECT
from genre_utils.runs import profiles

GOOD = '<h1 id="top">One</h1><a href="two.html#end">two</a><a href="#top">up</a><a href="https://example.org">out</a>'


@pytest.fixture
def site(tmp_path):
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "two.html").write_text('<p id="end">Two</p><a href="./">one</a><img src="data:image/png;base64,AAAA">')
    return tmp_path


def test_a_good_site_has_no_faults(site):
    assert build_site.faults(site) == []


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ('<a href="three.html">', "three.html does not exist"),
        ('<img src="three.png">', "three.png does not exist"),
        ('<a href="two.html#start">', "two.html#start has no such anchor"),
        ('<a href="#bottom">', "#bottom has no such anchor"),
        ('<script src="https://cdn.example/x.js"></script>', "<script src> loads https://cdn.example/x.js"),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', "<link href> loads //cdn.example/x.css"),
        ("<style>@import 'https://cdn.example/x.css';</style>", "loads @import 'https://cdn.example/x.css"),
        ('<p style="background: url(//cdn.example/x.png)">', "loads url(//cdn.example/x.png"),
    ],
)
def test_a_fault_is_found(site, html, fault):
    (site / "index.html").write_text(GOOD + html)
    (found,) = build_site.faults(site)
    assert found == f"{site.resolve() / 'index.html'}: {fault}"


def test_a_font_from_elsewhere_is_found(site):
    (site / "site.css").write_text("@font-face { src: url('https://fonts.example/x.woff2'); }")
    (found,) = build_site.faults(site)
    assert "https://fonts.example/x.woff2" in found


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    """Sphinx' sources without a run."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("site") / "src"
        patch.setattr(build_site, "STAGED", folder)
        patch.delenv("GITHUB_REPOSITORY", raising=False)
        build_site.stage(None)
    return folder


def test_every_page_is_in_the_contents(staged):
    text = (staged / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^(?:[^<\n]*<)?/([\w/]+)>?$", text, flags=re.MULTILINE))
    pages = {path.relative_to(staged).with_suffix("").as_posix() for path in staged.rglob("*.md")} - {"index"}
    assert {page for page in pages if not page.startswith("benchmarks/results/")} == listed, "docs/index.md"
    assert "/notebooks/*\n" in text and "/api/*\n" in text


def test_every_lesson_has_a_page_and_links_that_lead_to_staged_files(staged):
    lessons = {path.name for path in (staged / "notebooks").glob("*.ipynb")}
    assert lessons == {path.name for path in profiles.notebooks()}
    for page in staged.rglob("*.md"):
        for link in re.findall(r"\]\((?!https?:)([^)\s#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).is_file(), f"{page}: {link}"


def test_a_lesson_shows_what_a_page_can_show(tmp_path, monkeypatch):
    outputs = [
        nbformat.v4.new_output("stream", text="decoding: 3/3\n"),
        nbformat.v4.new_output("display_data", {build_site.WIDGET: {}, "text/plain": "decoding:   0%|          | 0/3"}),
        nbformat.v4.new_output("stream", text=f"comparing: 1/1\nwritten to {PROJECT}/runs/x\n"),
        nbformat.v4.new_output("display_data", {build_site.WIDGET: {"model_id": "x"}, "text/plain": "FileUpload()"}),
    ]
    cells = [
        nbformat.v4.new_markdown_cell("# Title\n\nSee [params](../genre_utils/params.py)."),
        nbformat.v4.new_code_cell("matrix = widget.Explorer(exploration)", outputs=outputs),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"widgets": {}}), tmp_path / "01_eda.ipynb")
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    notebook = build_site.lesson("notebooks/01_eda.ipynb", tmp_path / "01_eda.ipynb", True)
    assert notebook.cells[0].source.split() == ["#", "Title", "See", "[params](#genre_utils.params)."]
    said, widget, explorer = notebook.cells[1].outputs
    assert said.text == "written to runs/x\n"
    assert list(widget.data) == list(explorer.data) == ["text/html"]
    assert "../demo/explorer/index.html" in explorer.data["text/html"]
    assert "widgets" not in notebook.metadata
    monkeypatch.setenv("GITHUB_REPOSITORY", "who/what")
    notebook = build_site.lesson("notebooks/01_eda.ipynb", tmp_path / "01_eda.ipynb", False)
    assert "/github/who/what/blob/" in notebook.cells[0].source and "mybinder.org/v2/gh/who/what/" in str(notebook)
    assert build_site.NOT_EXECUTED.strip() in notebook.cells[0].source
