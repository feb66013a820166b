"""The site from a demo run: stages its pages, runs Sphinx, adds report and explorer, and checks every link."""

import argparse
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pandas as pd

import genre_utils
from genre_utils.datasets import catalog
from genre_utils.errors import RunError
from genre_utils.paths import PROJECT
from genre_utils.runs.folder import RunFolder

SITE, BUILD = PROJECT / "site", PROJECT / "build" / "site"
STAGED = BUILD / "src"
PAGES = ("*.md", "LICENSE", "CITATION.cff", "data/*.md", "docs/*.md", "docs/*.png", "docs/*.webp", "benchmarks/*.md")
LAUNCHERS = {
    "Open in Colab": "https://colab.research.google.com/github/{repository}/blob/{branch}/{path}",
    "Open in Binder": "https://mybinder.org/v2/gh/{repository}/{branch}?labpath={path}",
}
WIDGET = "application/vnd.jupyter.widget-view+json"
NOT_SHOWN = "<p><em>JupyterLab shows a widget here. A page without Python cannot.</em></p>"
EXPLORER = '<p><a href="{up}demo/explorer/index.html">Open the explorer of this run</a></p>'
BACK = '<p><a href="../index.html">← genre_utils</a></p>'
NOT_EXECUTED = "\n\n*The run behind this site did not execute this notebook, so it has no outputs.*"
PROGRESS = re.compile(r"^\r?[\w ]+: (\d+)/\1\n", flags=re.MULTILINE)
ELSEWHERE = re.compile(r"""(?:url\(|@import)\s*["']?(?:https?:)?//[^)"';\s]+""")


def stage(run: Path | None) -> None:
    """Write Sphinx' sources: the pages, the notebooks and the API."""
    for path in (path for pattern in PAGES for path in PROJECT.glob(pattern)):
        target = STAGED / path.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            target.write_text(linked(path.read_text(encoding="utf-8"), path.parent), encoding="utf-8")
        else:
            shutil.copyfile(path, target)
    index = (STAGED / "docs" / "index.md").rename(STAGED / "index.md")
    text = re.sub(r"\]\((?!https?:|#)", "](docs/", index.read_text(encoding="utf-8"))
    index.write_text(text, encoding="utf-8")
    stage_notebooks(run)
    write_api(STAGED / "api")


def stage_notebooks(run: Path | None) -> None:
    """Write the notebooks as the run executed them; exercises and solutions stand below their lesson."""
    found = {path.relative_to(PROJECT).as_posix(): path for path in (PROJECT / "notebooks").rglob("*.ipynb")}
    executed = [*run.glob("*.ipynb"), *run.glob("solutions/*.ipynb")] if run else []
    found |= {f"notebooks/{path.relative_to(run).as_posix()}": path for path in executed}
    for name, path in found.items():
        notebook = lesson(name, path, not run or path in executed or "/exercises/" in name)
        kinds = [kind for kind in ("exercises", "solutions") if f"notebooks/{kind}/{path.name}" in found]
        if kinds and name == f"notebooks/{path.name}":
            entries = "\n".join(f"{kind.title()} <{kind}/{path.stem}>" for kind in kinds)
            notebook.cells.append(nbformat.v4.new_markdown_cell(f"```{{toctree}}\n:hidden:\n\n{entries}\n```"))
        (STAGED / name).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, STAGED / name)


def linked(text: str, folder: Path) -> str:
    """A page's text with links to a module led to its API page, and those to other files that are not pages staged."""

    def led(match: re.Match[str]) -> str:
        path = (folder / match[1]).resolve()
        if not path.exists() or path.suffix in (".md", ".ipynb", ".png"):
            return match[0]
        if path.suffix == ".py" and path.is_relative_to(PROJECT / "genre_utils"):
            return f"](#{'.'.join(path.relative_to(PROJECT).with_suffix('').parts)}"
        staged = STAGED / path.relative_to(PROJECT)
        if not path.is_dir():
            staged.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, staged)
            return match[0]
        shutil.copytree(path, staged, dirs_exist_ok=True)
        files = "\n".join(f"- [{file.name}]({file.name})" for file in sorted(staged.iterdir()))
        title = path.relative_to(PROJECT).as_posix()
        (staged / "index.md").write_text(f"---\norphan: true\n---\n# {title}\n\n{files}\n", encoding="utf-8")
        return f"{match[0]}/index.md"

    return re.sub(r"\]\(([^)\s#:]+)", led, text)


def lesson(name: str, path: Path, executed: bool) -> nbformat.NotebookNode:
    """A notebook for its page: no widgets, no progress, no folders of this machine, and where it can be launched."""
    notebook = nbformat.reads(path.read_text(encoding="utf-8").replace(f"{PROJECT}/", ""), 4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source, PROJECT / Path(name).parent)
        if cell.cell_type == "code":
            cell.outputs = [shown(output) for output in cell.outputs if not is_progress(output)]
        if "widget.Explorer(" in cell.source and cell.get("outputs"):
            cell.outputs.append(
                nbformat.v4.new_output("display_data", {"text/html": EXPLORER.format(up="../" * name.count("/"))})
            )
    repository, branch = os.environ.get("GITHUB_REPOSITORY"), os.environ.get("GITHUB_REF_NAME", "HEAD")
    urls = {text: url.format(repository=repository, branch=branch, path=name) for text, url in LAUNCHERS.items()}
    launch = " · ".join(f"[{text}]({url})" for text, url in urls.items()) if repository else ""
    title, _, rest = notebook.cells[0].source.partition("\n")
    notebook.cells[0].source = f"{title}\n\n{launch}{'' if executed else NOT_EXECUTED}\n{rest}"
    return notebook


def is_progress(output: nbformat.NotebookNode) -> bool:
    """Whether an output is only a progress bar."""
    plain = output.get("data", {}).get("text/plain", "") if WIDGET in output.get("data", {}) else ""
    return "%|" in plain or (output.output_type == "stream" and not PROGRESS.sub("", output.text))


def shown(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An output without widgets, and without lines of progress."""
    if WIDGET in output.get("data", {}):
        output.data = {"text/html": NOT_SHOWN}
    if output.output_type == "stream":
        output.text = PROGRESS.sub("", output.text)
    return output


def write_api(folder: Path) -> None:
    """Write a page for each folder of genre_utils, with its modules, and one for the modules beside them."""
    folder.mkdir(parents=True)
    found = list(pkgutil.walk_packages(genre_utils.__path__, "genre_utils."))
    folders = ["genre_utils", *(module.name for module in found if module.ispkg)]
    for name in folders:
        inside = [module.name for module in found if module.name.rpartition(".")[0] == name and not module.ispkg]
        title = name.removeprefix("genre_utils.")
        parts = [f"{title}\n{'=' * len(title)}\n\n.. automodule:: {name}\n"]
        for module in sorted(set(inside) - {"genre_utils.__main__"}):
            title = module.rpartition(".")[2]
            parts += [f"{title}\n{'-' * len(title)}\n\n.. automodule:: {module}\n   :members:\n   :show-inheritance:\n"]
        (folder / f"{name}.rst").write_text("\n".join(parts), encoding="utf-8")


def sphinx(builder: str, target: Path) -> None:
    """Run Sphinx with warnings as errors."""
    words = ["-b", builder, "-c", PROJECT / "docs", "-d", BUILD / "doctrees", "-W", "--keep-going", "-q"]
    if code := subprocess.run([sys.executable, "-m", "sphinx", *words, STAGED, target]).returncode:
        sys.exit(code)


def add_run(run: Path, folder: Path) -> None:
    """Copy the run's report with all it links to, and its explorer; its notebooks are the lessons."""
    folder.mkdir()
    report = re.sub(r'href="(\w+)\.html"', r'href="../notebooks/\1.html"', (run / "index.html").read_text("utf-8"))
    report = report.replace("<body>", f"<body>{BACK}", 1)
    (folder / "index.html").write_text(report, encoding="utf-8")
    for _, _, target in Page(folder / "index.html").targets:
        file = folder / unquote(target)
        if (run / unquote(target)).is_file() and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run / unquote(target), file)
    for file in folder.glob("*.ipynb"):
        file.write_text(file.read_text(encoding="utf-8").replace(f"{PROJECT}/", ""), encoding="utf-8")
    for file in folder.glob("*.parquet"):
        table = pd.read_parquet(file)
        if "path" in table:
            table["path"] = table["path"].str.removeprefix(f"{PROJECT}/")
            table.to_parquet(file)
    shutil.copytree(run / "explorer", folder / "explorer", dirs_exist_ok=True)


class Page(HTMLParser):
    """The anchors of a page, and what it links to or loads: tag, attribute and target."""

    def __init__(self, path: Path):
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: list[tuple[str, str, str]] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.anchors |= {value for name, value in attrs if value and name in ("id", "name")}
        self.targets += [(tag, name, value) for name, value in attrs if value and name in ("href", "src", "poster")]


def faults(site: Path) -> list[str]:
    """Broken links and anchors of a folder's pages, and what they load from elsewhere."""
    pages = {path: Page(path) for path in site.resolve().rglob("*.html")}
    found = [f"{path}: loads {text}" for path, page in pages.items() for text in ELSEWHERE.findall(page.text)]
    found += [f"{path}: loads {text}" for path in site.rglob("*.css") for text in ELSEWHERE.findall(path.read_text())]
    for path, page in pages.items():
        for tag, name, target in page.targets:
            parts = urlsplit(target)
            if parts.netloc and tag != "a":
                found.append(f"{path}: <{tag} {name}> loads {target}")
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            file = file / "index.html" if file.is_dir() else file
            if not file.is_file():
                found.append(f"{path}: {target} does not exist")
            elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].anchors:
                found.append(f"{path}: {target} has no such anchor")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", help="folder of a run on demo music; without it, external links are checked")
    run = parser.parse_args().run
    shutil.rmtree(BUILD, ignore_errors=True)
    if not run:
        stage(None)
        sphinx("linkcheck", BUILD / "linkcheck")
        return
    try:
        opened = RunFolder.existing(run)
    except RunError as error:
        sys.exit(str(error))
    if opened.params.dataset not in catalog.DEMOS:
        sys.exit(f"{run} is not on demo music. A site would publish the sound of its tracks: name a run on demo music.")
    stage(opened.folder)
    shutil.rmtree(SITE, ignore_errors=True)
    sphinx("html", BUILD / "html")  # not in SITE, beside which MyST-NB would write its pictures
    (BUILD / "html").rename(SITE)
    add_run(opened.folder, SITE / "demo")
    if found := faults(SITE):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
