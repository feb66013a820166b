"""Extraction on many machines: joblib's backend for Dask, where an address says so."""

import concurrent.futures
import contextlib
import functools
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import joblib

from genre_utils.errors import ClusterError, WorkerError

if TYPE_CHECKING:
    import distributed

ADDRESS = "GENRE_DASK"  # of the scheduler; in the environment, because each notebook runs in a process of its own
SECONDS_TO_ANSWER = 10.0  # of the scheduler
FEWER = "run it again with LOKY_MAX_CPU_COUNT=1 in the environment, for one at a time"  # on this machine
SECONDS_OF_SILENCE = 600.0  # of all workers: joblib never hears of a task that Dask has given up


@contextlib.contextmanager
def spread() -> Iterator[float | None]:
    """Let joblib work on the Dask cluster that ``GENRE_DASK`` names; without it, nothing is changed.

    Without it, work goes to the cores of this machine, or wherever the caller's ``joblib.parallel_config`` sends it.

    Yields
    ------
    float or None
        The ``timeout`` for ``joblib.Parallel``.

    Raises
    ------
    ClusterError
        If the cluster cannot be reached, a worker lacks something, or no worker has anything to say any more.
    WorkerError
        If a process of this machine is gone.

    References
    ----------
    ``joblib.parallel_config(backend="dask")``. docs/scaling.md.
    """
    address = os.environ.get(ADDRESS)
    if not address:
        try:
            yield None
        except concurrent.futures.BrokenExecutor as error:
            raise WorkerError(f"A worker was killed, as the system does when memory runs out: {FEWER}.") from error
        return
    with connected(address) as client, joblib.parallel_config(backend="dask", client=client):
        try:
            yield SECONDS_OF_SILENCE
        except (TimeoutError, multiprocessing.TimeoutError, concurrent.futures.CancelledError) as error:
            raise ClusterError(
                f"The Dask cluster at {address} is gone, has no worker, or none that has finished anything for "
                f"{SECONDS_OF_SILENCE:.0f} s. Its logs say more. What is extracted is kept: run it again."
            ) from error


@contextlib.contextmanager
def connected(address: str, *paths: Path) -> Iterator["distributed.Client"]:
    """A client of the scheduler, once every worker has shown that it can do the work.

    Parameters
    ----------
    address : str
        Such as tcp://10.0.0.1:8786.
    *paths : Path
        What each worker must see. Those that join later are asked when they work.

    Yields
    ------
    distributed.Client

    Raises
    ------
    ClusterError
        If ``distributed`` is not installed, no scheduler answers, or a worker lacks this package or one of the paths.
    """
    try:
        import distributed
    except ImportError as error:
        raise ClusterError(
            f"A Dask cluster ({address}) needs the package distributed, here and on each worker: "
            'pip install -e ".[dask]"'
        ) from error
    try:
        client = distributed.Client(address, timeout=SECONDS_TO_ANSWER, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {address} within {SECONDS_TO_ANSWER:.0f} s ({error}). "
            f"Start one with: dask scheduler; and its workers with: dask worker {address} --nthreads 1"
        ) from error
    with client:
        for worker, answer in client.run(visible, *paths, on_error="return").items():
            if isinstance(answer, ClusterError):
                raise answer
            if isinstance(answer, Exception):  # of its own; Dask tells of a missing module as a bare Exception
                raise ClusterError(
                    f"The worker {worker} cannot do the work ({answer}). Start it in the same Python environment."
                )
        yield client


@functools.cache
def leave_with_parent() -> None:
    """In a worker process of joblib: end it as soon as the process that started it is gone.

    By itself it waits five minutes for more work of a parent that was killed, with all its memory.
    """
    parent = multiprocessing.parent_process()
    if parent is None or not multiprocessing.current_process().name.startswith("LokyProcess"):
        return

    def watch() -> None:
        while os.getppid() == parent.pid:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def visible(*paths: str | Path) -> None:
    """Raise, in a worker, if it lacks what the process that planned the work has before it.

    Parameters
    ----------
    *paths : str or Path
        Files or folders.

    Raises
    ------
    ClusterError
        Naming the machine and the path.
    """
    for path in map(Path, paths):
        if not path.exists():
            raise ClusterError(
                f"The worker on {socket.gethostname()} does not see {path}. All workers need the music and the "
                "project's folder at the same paths: put both on a file system that they share."
            )
