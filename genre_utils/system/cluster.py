"""Extraction on many machines: joblib's Dask backend, if the environment names a scheduler."""

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

ADDRESS = "GENRE_DASK"  # address of the scheduler, in the environment: each notebook runs in its own process
SECONDS_TO_ANSWER = 10.0  # for the scheduler
FEWER = "run it again with LOKY_MAX_CPU_COUNT=1 in the environment, which works on one track at a time"
SECONDS_OF_SILENCE = 600.0  # of all workers; joblib gets no message about a task that Dask gave up


@contextlib.contextmanager
def spread() -> Iterator[float | None]:
    """Run joblib's work on the Dask cluster that ``GENRE_DASK`` names.

    Without that variable the work goes to the cores of this machine, or where ``joblib.parallel_config`` sends it.

    Yields
    ------
    float or None
        The ``timeout`` for ``joblib.Parallel``.

    Raises
    ------
    ClusterError
        If the cluster cannot be reached, a worker lacks something, or no worker responds any more.
    WorkerError
        If a worker process of this machine was killed.

    References
    ----------
    ``joblib.parallel_config(backend="dask")``. docs/scaling.md.
    """
    address = os.environ.get(ADDRESS)
    if not address:
        try:
            yield None
        except concurrent.futures.BrokenExecutor as error:
            raise WorkerError(f"A worker process was killed, probably because memory ran out: {FEWER}.") from error
        return
    with connected(address) as client, joblib.parallel_config(backend="dask", client=client):
        try:
            yield SECONDS_OF_SILENCE
        except (TimeoutError, multiprocessing.TimeoutError, concurrent.futures.CancelledError) as error:
            raise ClusterError(
                f"The Dask cluster at {address} is gone, has no workers, or none of them has finished a task within "
                f"{SECONDS_OF_SILENCE:.0f} s. See its logs. Finished work is kept: run it again."
            ) from error


@contextlib.contextmanager
def connected(address: str, *paths: Path) -> Iterator["distributed.Client"]:
    """Connect to a scheduler, and check that every worker can do the work.

    Parameters
    ----------
    address : str
        Such as tcp://10.0.0.1:8786.
    *paths : Path
        What each worker must see. Workers that join later are checked when they get work.

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
            if isinstance(answer, Exception):  # Dask reports a missing module as a bare Exception
                raise ClusterError(
                    f"The worker {worker} cannot do the work ({answer}). Start it in the same Python environment."
                )
        yield client


@functools.cache
def leave_with_parent() -> None:
    """In a worker process of joblib: exit as soon as the process that started it is gone.

    Otherwise the worker of a killed parent would keep its memory for five minutes, waiting for work.
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
    """Raise a ClusterError if this worker does not see the files or folders that the work needs."""
    for path in map(Path, paths):
        if not path.exists():
            raise ClusterError(
                f"The worker on {socket.gethostname()} does not see {path}. All workers need the music and the "
                "project folder at the same paths: put both on a file system that they share."
            )
