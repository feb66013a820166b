"""Extraction on a Dask cluster: what needs no cluster, then a real scheduler with two workers on loopback."""

import json
import os
import pickle
import sys
import threading

import joblib
import pandas as pd
import psutil
import pytest
from processes import processes

from genre_utils import __main__
from genre_utils.datasets import catalog
from genre_utils.errors import ClusterError, RunError
from genre_utils.features import extraction, handcrafted, journal, plan, store
from genre_utils.runs import headless
from genre_utils.splits import survey
from genre_utils.system import cluster


@pytest.fixture(scope="module")
def tracks(genre_folder, params):
    return catalog.from_folder(genre_folder, params)


def test_a_worker_that_does_not_see_the_files_says_so(tracks, params, tmp_path):
    block = plan.blocks_of(tracks[:1], params)[0]
    with pytest.raises(ClusterError, match=r"does not see .*partial\. .*file system that they share"):
        extraction.extract_track(block, tmp_path / "partial" / "features.npy", params)
    for work in (
        lambda: extraction.extract_track(block._replace(path="/elsewhere/a.wav"), tmp_path / "features.npy", params),
        lambda: survey.survey_track("elsewhere", "/elsewhere/a.wav", params),
        lambda: handcrafted.of_track("elsewhere", "/elsewhere/a.wav", params),
    ):
        with pytest.raises(ClusterError, match=r"does not see /elsewhere\. "):  # no fault of the track
            work()


def test_a_track_that_has_gone_from_its_folder_is_the_tracks_own_fault(tracks, params, tmp_path):
    outcome = extraction.extract_track(
        plan.blocks_of(tracks[:1], params)[0]._replace(path=str(tmp_path / "gone.wav")),
        tmp_path / "features.npy",
        params,
    )
    assert outcome.segments == 0 and "gone.wav" not in outcome.fault and outcome.fault


def test_the_error_survives_the_way_back_from_a_worker():
    with pytest.raises(ClusterError) as caught:
        cluster.visible("/elsewhere")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_without_an_address_joblib_is_left_alone(monkeypatch):
    monkeypatch.delenv(cluster.ADDRESS, raising=False)
    with joblib.parallel_config(backend="threading", n_jobs=3), cluster.spread() as timeout:
        assert timeout is None
        assert joblib.effective_n_jobs(None) == 3


def test_what_is_missing_is_named_with_the_way_out(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setenv(cluster.ADDRESS, "tcp://127.0.0.1:1")
    with pytest.raises(ClusterError, match=r"pip install -e \"\.\[dask\]\""), cluster.spread():
        pass
    assert __main__.main(["run", "--dask", "tcp://127.0.0.1:1"]) == 1  # before anything starts
    assert "pip install" in capsys.readouterr().err


def test_the_address_reaches_the_kernels(monkeypatch, tmp_path):
    reached = []
    monkeypatch.setenv(cluster.ADDRESS, "")
    monkeypatch.setattr(headless.cluster, "connected", lambda *_: processes(tmp_path))
    monkeypatch.setattr(headless.preflight, "check", lambda *_: {})
    monkeypatch.setattr(headless.execution, "execute", lambda *_, **__: reached.append(os.environ[cluster.ADDRESS]))
    with pytest.raises(RunError, match="lacks"):
        headless.run("demo", [], tmp_path / "out", "tcp://10.0.0.1:8786")
    assert set(reached) == {"tcp://10.0.0.1:8786"}


SLOW = """
import os, time
from genre_utils.features import extraction
extract_track = vars(extraction).setdefault("whole", extraction.extract_track)  # Dask loads this file twice
def slow(*arguments):
    with open("{pids}", "a") as pids:
        print(os.getpid(), file=pids)
    time.sleep(0.15)
    return extract_track(*arguments)
extraction.extract_track = slow
"""


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    """A scheduler, and a function that starts another worker of it."""
    pytest.importorskip("distributed", reason='distributed is not installed: pip install -e ".[dask]"')
    folder = tmp_path_factory.mktemp("dask")
    with processes(folder) as started:
        quiet = ["--no-dashboard", "--host", "127.0.0.1"]
        at = folder / "scheduler.json"
        words = ["-m", "distributed.cli.dask_scheduler", *quiet, "--port", "0", "--scheduler-file", at]
        scheduler = started.start(*words)
        started.until(lambda: at.exists() and at.read_text().endswith("}"), scheduler)
        address = json.loads(at.read_text())["address"]

        def worker(*words, **environment):
            words = ["--nthreads", "1", "--no-nanny", *quiet, "--local-directory", folder, *words]
            return started.start("-m", "distributed.cli.dask_worker", address, *words, **environment)

        yield address, worker, started


@pytest.mark.cluster
def test_a_worker_killed_half_way_changes_no_byte(dask, built, tracks, params, tmp_path, monkeypatch):
    address, worker, started = dask
    pids = tmp_path / "pids"
    (tmp_path / "slow.py").write_text(SLOW.format(pids=pids))
    workers = [worker("--preload", tmp_path / "slow.py") for _ in range(2)]
    monkeypatch.setenv(cluster.ADDRESS, address)
    with cluster.connected(address) as client:
        started.until(lambda: len(client.scheduler_info()["workers"]) == 2, *workers)

    whole = tmp_path / "features" / built.folder.name
    partial = whole.with_suffix(".partial")
    left = []

    def kill():
        started.until(lambda: half_way() or whole.exists(), *workers)
        workers[0].kill()
        left.append(0 if whole.exists() else 24 - len(journal.read(partial)))

    def half_way():
        return len(journal.read(partial)) >= 8 and len(worked()) == 2

    def worked():
        return set(pids.read_text().split()) if pids.exists() else set()

    watcher = threading.Thread(target=kill)
    watcher.start()
    spread = store.build(tracks, params, tmp_path)
    watcher.join()
    assert worked() == {str(process.pid) for process in workers}  # both did some of it, and nobody else
    assert left[0] > 4
    assert (spread.folder / "features.npy").read_bytes() == (built.folder / "features.npy").read_bytes()
    pd.testing.assert_frame_equal(spread.segments, built.segments)

    workers.append(worker())  # with one core in all joblib would work here
    monkeypatch.delenv(cluster.ADDRESS)
    with cluster.connected(address) as client, joblib.parallel_config(backend="dask", client=client):
        started.until(lambda: len(client.scheduler_info()["workers"]) == 2, *workers[1:])
        own = store.build(tracks, params, tmp_path / "own")
        assert (own.folder / "features.npy").read_bytes() == (built.folder / "features.npy").read_bytes()
        with pytest.raises(ClusterError, match=r"The worker on .* does not see /elsewhere"):
            extraction.extract(tracks.assign(path="/elsewhere/a.wav"), params, tmp_path / "blind")

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "genre_utils.py").touch()
    workers.append(worker(PYTHONPATH=str(tmp_path / "other")))
    with cluster.connected(address) as client:
        started.until(lambda: len(client.scheduler_info()["workers"]) == 3, *workers[1:])
    with (
        pytest.raises(ClusterError, match=r"cannot do the work .*'genre_utils.system'.*same"),
        cluster.connected(address),
    ):
        pass


WORK = """
import os, sys, time
from pathlib import Path
import joblib
from genre_utils.system import cluster
def work(folder):
    cluster.leave_with_parent()
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)
joblib.Parallel(2, prefer="processes")(joblib.delayed(work)(sys.argv[1]) for _ in range(2))
"""


@pytest.mark.cluster
def test_workers_leave_with_the_process_that_started_them(tmp_path):
    (tmp_path / "pids").mkdir()
    with processes(tmp_path) as started:
        parent = started.start("-c", WORK, tmp_path / "pids")
        started.until(lambda: len(list((tmp_path / "pids").iterdir())) == 2, parent)
        parent.kill()
        workers = [int(path.name) for path in (tmp_path / "pids").iterdir()]
        started.until(lambda: not any(psutil.pid_exists(worker) for worker in workers))
