"""Processes that a test starts: of this Python, on loopback, and never left behind."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SECONDS = 1_800  # only what hangs takes so long: a slow or busy machine is slower, never red


class Processes:
    """Starts processes; what they print goes into a file each."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.started: list[subprocess.Popen] = []

    def start(self, *words: str | Path, **environment: str) -> subprocess.Popen:
        """Run this Python with these words, in the folder of the tests."""
        with self.log(len(self.started)).open("w") as log:
            process = subprocess.Popen(
                [sys.executable, *map(str, words)],
                stdout=log, stderr=subprocess.STDOUT, cwd=Path(__file__).parent, env=os.environ | environment,
            )  # fmt: skip
        self.started.append(process)
        return process

    def log(self, number: int) -> Path:
        """Where the process of that number writes."""
        return self.folder / f"process-{number}.log"

    def until(self, true: Callable[[], object], *alive: subprocess.Popen) -> None:
        """Wait until something is true, while these processes live."""
        end = time.monotonic() + SECONDS
        while not true():
            for process in alive:
                number = self.started.index(process)
                assert process.poll() is None, f"ended with {process.returncode}:\n{self.log(number).read_text()}"
            assert time.monotonic() < end, f"not true after {SECONDS} s"
            time.sleep(0.02)

    def ended(self, process: subprocess.Popen) -> str:
        """What a process printed, once it has ended well."""
        process.wait(SECONDS)
        text = self.log(self.started.index(process)).read_text()
        assert process.returncode == 0, text
        return text


@contextlib.contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    """Processes that are killed at the end, whatever happens."""
    started = Processes(folder)
    try:
        yield started
    finally:
        for process in started.started:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
