"""A JupyterLab server of our own, and what a reader does in it."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from genre_utils.system.progress import HEADLESS

TOKEN = "a-test"
SECONDS_TO_START = 120
SECONDS_TO_RUN = 600  # TensorFlow alone may take half a minute to import on a busy machine
ALL_CELLS_IN_THE_PAGE = {"windowingMode": "none"}  # else those that are not on the screen are not there either
WIDGETS_ARE_SAVED = {"saveState": True}
NO_NEWS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}  # they ask the network
OTHER_CACHE = "from pathlib import Path\n\nfrom genre_utils import paths\n\npaths.CACHE = Path({!r})\n"
SETTLED = """() => document.querySelector('.jp-Dialog, [data-mime-type="application/vnd.jupyter.error"]')
    || [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].every(({ innerText }) => /[0-9]/.test(innerText))
"""


@contextlib.contextmanager
def server(notebooks: Path, home: Path, cache: Path) -> Iterator[str]:
    """JupyterLab on the folder ``notebooks``; gives its address, and ends with its kernels.

    Settings and logs lie in ``home``; what the notebooks compute for the next time goes to ``cache``.
    """
    settings, startup = home / "lab" / "user-settings", home / "ipython" / "profile_default" / "startup"
    for path, text in {
        settings / "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": json.dumps(ALL_CELLS_IN_THE_PAGE),
        settings / "@jupyter-widgets/jupyterlab-manager/plugin.jupyterlab-settings": json.dumps(WIDGETS_ARE_SAVED),
        home / "labconfig" / "page_config.json": json.dumps(NO_NEWS),
        startup / "cache.py": OTHER_CACHE.format(str(cache)),
    }.items():
        path.parent.mkdir(parents=True)
        path.write_text(text)
    folders = {
        "JUPYTER_CONFIG_DIR": home, "JUPYTER_DATA_DIR": home / "data", "JUPYTER_RUNTIME_DIR": home / "runtime",
        "IPYTHONDIR": home / "ipython",
    }  # fmt: skip
    ours = {HEADLESS, "MPLBACKEND"}  # other tests set them; a reader does not
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {name: str(path) for name, path in folders.items()} | {"JUPYTER_TOKEN": TOKEN}
    arguments = ["--no-browser", "--allow-root", "--ServerApp.port=0", f"--ServerApp.root_dir={notebooks}"]
    with (home / "log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", *arguments]
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield address_of(process, home)
    finally:
        process.terminate()  # it shuts its kernels down
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()  # kernels end when they see that they have no parent
            process.wait()


def address_of(process: subprocess.Popen, home: Path) -> str:
    """Where a server answers, as soon as it does."""
    until = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < until:
        for file in (home / "runtime").glob("jpserver-*.json"):
            with contextlib.suppress(OSError, ValueError):  # half written, or not listening yet
                address = json.loads(file.read_text())["url"]
                urllib.request.urlopen(f"{address}api/status?token={TOKEN}", timeout=10).close()
                return address
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{(home / 'log').read_text()[-3_000:]}")


def open_notebook(page, address: str, name: str) -> None:
    """Open a notebook and wait until its kernel is ready."""
    page.goto(f"{address}lab/tree/{name}?reset&token={TOKEN}")
    # the notebook's own indicator says idle before it has a kernel, and what is run then does nothing
    kernel = page.locator("#jp-main-statusbar").get_by_text("| Idle")
    kernel.wait_for(timeout=1_000 * SECONDS_TO_START)


def run_all(page) -> None:
    """Run every cell by the menu, and wait until the last is done; an error in one is an error here."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    settle(page)


def run_code(page, source: str) -> str:
    """Run some code in a new cell at the notebook's end; gives the text that it puts out."""
    page.locator(".jp-Notebook-footer").click()  # adds a cell
    cell = page.locator(".jp-CodeCell").last
    cell.locator(".cm-content").click()
    page.keyboard.insert_text(source)
    page.keyboard.press("Control+Enter")
    settle(page)
    return "\n".join(text.strip("\n") for text in cell.locator(".jp-OutputArea-output").all_inner_texts())


def save(page, notebook: Path) -> dict:
    """Save the notebook; gives it as it then lies on disk, outputs and widgets included."""
    before = notebook.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until:
        page.wait_for_timeout(100)
        text = notebook.read_text(encoding="utf-8")
        if notebook.stat().st_mtime_ns != before and text.endswith("}\n"):  # the server writes in place: no half file
            return json.loads(text)
    raise AssertionError(f"{notebook} was not saved in {SECONDS_TO_START} s.")


def settle(page) -> None:
    """Wait until every code cell has run."""
    page.wait_for_function(SETTLED, timeout=1_000 * SECONDS_TO_RUN)
    for wrong in page.locator('.jp-Dialog, [data-mime-type="application/vnd.jupyter.error"]').all():
        raise AssertionError(wrong.inner_text())
