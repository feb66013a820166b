"""Execution of one notebook by papermill: watched for silence, and kept with its HTML even after an error."""

import asyncio
import contextlib
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# nbformat imports jsonschema, which takes 7 s to compile a grammar of web addresses, where this is installed.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat.reader import NotJSONError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from genre_utils.errors import RunError
from genre_utils.paths import PROJECT
from genre_utils.runs import report

KERNEL = "python3"
ENGINE = "genre_utils"
ENCRYPTED = Config({"KernelManager": {"transport_encryption": "auto"}})  # otherwise every kernel starts with a warning
START_SECONDS = 600  # to start a kernel, and to pass on its last output: a busy machine may be slow
GRACE_SECONDS = 30  # between interrupting a kernel and killing it

# Imported by most notebooks. Without genre_utils.training.trainer: a process that imports it joins a cluster.
IMPORTED = (
    "librosa",
    "genre_utils.explorer.page",
    "genre_utils.inference.files",
    "genre_utils.figures.results",
    "genre_utils.splits.protocols",
)
waiting: list[AsyncKernelManager] = []  # a kernel that was started ahead of its notebook

Listener = Callable[[str, str], None]  # gets the name of the stream, stdout or stderr, and the text


class OwnKernel(KernelSpecManager):
    """Run every kernel with this Python: a kernelspec of another environment might lack the packages."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The kernel of this interpreter, whatever is installed under that name."""
        # When it ends it is interrupted first, and may log that as an error; asyncio, that it waited for a message.
        asyncio_quiet = "__import__('logging').getLogger('asyncio').setLevel(50)"
        quiet = ["--IPKernelApp.log_level=50", f"--IPKernelApp.exec_lines={asyncio_quiet}"]
        return KernelSpec(**get_kernel_dict(quiet))


def new_kernel() -> AsyncKernelManager:
    """A kernel that is not started yet."""
    return AsyncKernelManager(kernel_name=KERNEL, kernel_spec_manager=OwnKernel(), config=ENCRYPTED)


@run_sync
async def start_ahead() -> None:
    """Start the kernel of the next notebook while one runs: its imports take seconds of one core."""
    manager = new_kernel()
    line = f"[__import__(name) for name in {IMPORTED}]"  # defines no name in the notebook
    await manager.start_kernel(
        cwd=str(PROJECT), stdout=subprocess.DEVNULL, extra_arguments=[f"--IPKernelApp.exec_lines={line}"]
    )
    waiting.append(manager)


@run_sync
async def stop_waiting() -> None:
    """Stop the kernel that was started ahead, if it is not needed."""
    while waiting:
        await waiting.pop().shutdown_kernel(now=True)


class StoppedError(Exception):
    """A kernel did not start, died or fell silent, in this cell (from 1; 0 is before the first one)."""

    def __init__(self, cell: int, reason: str):
        super().__init__(cell, reason)
        self.cell = cell
        self.reason = reason


class Client(PapermillNotebookClient):
    """Papermill's client with a limit on silence instead of one on time.

    Parameters
    ----------
    silence_seconds : float
        A kernel that prints nothing for so long is interrupted.
    listener : callable
        Gets what cells print while they run.
    more : bool
        Whether another notebook follows, whose kernel can be started meanwhile.
    """

    def __init__(self, *arguments: Any, silence_seconds: float, listener: Listener, more: bool, **options: Any):
        slow = max(START_SECONDS, silence_seconds)
        limits = {"timeout": None, "startup_timeout": slow, "iopub_timeout": slow}
        super().__init__(*arguments, **limits, **options)
        self.silence_seconds = silence_seconds
        self.listener = listener
        self.more = more
        self.cell = 0
        self.last_output = 0.0
        self.silent = False

    def create_kernel_manager(self) -> AsyncKernelManager:
        """Take the kernel that was started ahead, or a new one."""
        self.km = waiting.pop() if waiting else new_kernel()
        return self.km

    def papermill_execute_cells(self) -> None:
        """Execute the cells, and start the next notebook's kernel meanwhile."""
        if self.more:
            start_ahead()
        super().papermill_execute_cells()

    async def watch(self) -> None:
        """Interrupt a kernel that has been silent for too long; kill it if that does not help."""
        while time.monotonic() - self.last_output <= self.silence_seconds:
            await asyncio.sleep(min(1, self.silence_seconds / 4))
            self.listener("stdout", "")  # a second has passed
        self.silent = True
        await self.km.interrupt_kernel()
        await asyncio.sleep(GRACE_SECONDS)
        await self.km.shutdown_kernel(now=True)

    async def async_execute_cell(self, cell: Any, cell_index: int, *arguments: Any, **options: Any) -> Any:
        """Execute one cell and watch it."""
        self.cell, self.last_output = cell_index + 1, time.monotonic()
        watching = asyncio.ensure_future(self.watch())
        try:
            return await super().async_execute_cell(cell, cell_index, *arguments, **options)
        finally:
            watching.cancel()

    execute_cell = run_sync(async_execute_cell)

    def process_message(self, message: dict[str, Any], cell: Any, *arguments: Any) -> Any:
        """Handle a message of the kernel, which is a sign of life; a progress line replaces the one before."""
        self.last_output = time.monotonic()
        if message["msg_type"] == "stream":
            self.listener(message["content"]["name"], message["content"]["text"])
        output = super().process_message(message, cell, *arguments)
        if message["msg_type"] == "stream" and [one.get("name") for one in cell.outputs[-2:]] == [output.name] * 2:
            lines = (cell.outputs[-2].text + cell.outputs.pop().text).split("\n")
            cell.outputs[-1].text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
        return output


class Engine(NBClientEngine):
    """The engine that papermill calls to execute a notebook."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, silence_seconds: float, listener: Listener, more: bool, **_: Any
    ) -> None:
        """Execute it; papermill saves it after each cell, and in the end even if this raises."""
        client = Client(nb_man, silence_seconds=silence_seconds, listener=listener, more=more, kernel_name=kernel_name)
        silence = (
            f"it printed nothing for {silence_seconds:g} s, neither an epoch nor a track nor any other output. "
            "If it only needs more time, raise the limit: --set silence_seconds=…"
        )
        try:
            client.execute(stdout=subprocess.DEVNULL)  # cells print by messages; workers' output would appear twice
        except (DeadKernelError, CellTimeoutError) as error:
            died = "its process died. Was it killed, or out of memory?"
            raise StoppedError(client.cell, silence if client.silent else died) from error
        except (RuntimeError, FileNotFoundError) as error:
            if client.cell:
                raise
            raise StoppedError(0, str(error)) from error
        if client.silent:
            raise StoppedError(client.cell, silence)


papermill_engines.register(ENGINE, Engine)


def execute(
    notebook: Path,
    folder: Path,
    values: dict[str, Any],
    silence_seconds: float,
    listener: Listener,
    more: bool = False,
) -> None:
    """Execute one notebook in its own kernel; keep it and its HTML even after an error.

    Parameters
    ----------
    notebook : Path
        The notebook.
    folder : Path
        Gets the executed copy and its HTML.
    values : dict
        Values for its ``parameters`` cell.
    silence_seconds : float
        The longest time without output in a cell; its duration has no limit.
    listener : callable
        Gets what cells print while they run: the stream's name, and the text.
    more : bool
        Whether another notebook will be executed after this one: its kernel is started meanwhile, and waits until
        then or until ``stop_waiting``.

    Raises
    ------
    RunError
        If a cell failed or fell silent, or the kernel died; the message says which and why.

    References
    ----------
    papermill. Every notebook gets its own kernel, so that it also works alone.
    """
    executed = folder / notebook.name
    try:
        papermill.execute_notebook(
            str(notebook), str(executed), values, engine_name=ENGINE, kernel_name=KERNEL, cwd=str(PROJECT),
            progress_bar=False, silence_seconds=silence_seconds, listener=listener, more=more,
        )  # fmt: skip
    except PapermillExecutionError as error:
        cell = f"cell {error.cell_index + 1} ([{error.exec_count}])"
        raise RunError(f"{notebook.stem}, {cell}: {error.ename}: {error.evalue}") from error
    except KeyboardInterrupt:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # silence the cell's abandoned task
        raise
    except StoppedError as error:
        if error.cell:
            raise RunError(f"{notebook.stem}, cell {error.cell}: {error.reason}") from error
        executed.unlink(missing_ok=True)  # nothing of it was executed
        command = " ".join(get_kernel_dict()["argv"][:3])
        raise RunError(
            f"{notebook.stem}: the kernel {KERNEL!r} ({command}) does not start: {error.reason}. "
            f"Reinstall it: {sys.executable} -m pip install --force-reinstall ipykernel"
        ) from error
    finally:
        with contextlib.suppress(
            FileNotFoundError, NotJSONError
        ):  # cut off by a full disk, an error that is being raised
            page, _ = HTMLExporter().from_filename(str(executed))
            page = page.replace("<head>", f"<head>{report.NO_SCRIPTS}", 1)
            executed.with_suffix(".html").write_text(page, encoding="utf-8")
