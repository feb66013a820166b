"""Several trainings in parallel, each in a process of its own."""

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from typing import Any

import joblib

from genre_utils.errors import WorkerError
from genre_utils.system import cluster
from genre_utils.system.progress import progress

AT_ONCE = 2  # trainings in parallel without a GPU: a small network makes little use of several cores


def in_order(jobs: list[tuple], models: set[str]) -> Iterator[Any]:
    """Run trainings, ``AT_ONCE`` of them in parallel, and yield their results in order.

    Each training runs in its own process with its share of the cores. On a GPU or in a cluster, which trainings
    cannot share, they run one after the other in this process.

    Parameters
    ----------
    jobs : list of tuple
        As ``joblib.delayed`` makes them.
    models : set of str
        Names of the networks.

    Yields
    ------
    Any
        The result of each job.

    Raises
    ------
    WorkerError
        If there is not enough memory.
    """
    from genre_utils.models import architectures  # TensorFlow
    from genre_utils.training import distribution, pipeline

    at_once = min(AT_ONCE, len(jobs), joblib.cpu_count())
    if at_once == 1 or distribution.task() or pipeline.gpus():
        results = (function(*given) for function, given, _ in jobs)
    else:
        known = {name: architectures.MODELS[name] for name in models & architectures.MODELS.keys()}
        threads = joblib.cpu_count() // at_once
        # loky restarts workers to free memory, and warns each time
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        results = joblib.Parallel(at_once, return_as="generator")(
            joblib.delayed(with_threads)(threads, known, *job[:2]) for job in jobs
        )
    try:
        yield from progress(results, len(jobs), "training")
    except BrokenExecutor as error:
        raise WorkerError(f"A training was killed, probably because memory ran out: {cluster.FEWER}.") from error


def with_threads(threads: int, known: dict[str, Callable], function: Callable, given: tuple) -> Any:
    """Call a function in a worker process, with some threads and the networks that the parent process knows."""
    cluster.leave_with_parent()
    from genre_utils.models import architectures
    from genre_utils.training import pipeline

    architectures.MODELS.update(known)
    if pipeline.tf.config.threading.get_intra_op_parallelism_threads() != threads:  # can be set only once per process
        pipeline.tf.config.threading.set_intra_op_parallelism_threads(threads)
    return function(*given)
