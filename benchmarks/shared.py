"""What the benchmarks share: options, processes, turns, music, memory, and the JSON that each of them writes.

Also processes of a Python with nothing of this project import it, and processes that measure their own imports: the
standard library alone, here; what else a function needs, it imports itself.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
GENRES = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"]
# A small process between, as what a process has at its fork counts for the peak of what is started in it.
WATCH = """
import json, os, subprocess, sys, threading, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE)
timer = threading.Timer(float(sys.argv[1]), child.kill)
timer.start()
lines = [child.stdout.readline()]
first = time.perf_counter() - start
lines += child.stdout
_, status, usage = os.wait4(child.pid, 0)
seconds = time.perf_counter() - start
timer.cancel()
unit = 2**20 if sys.platform == "darwin" else 2**10
found = {"first": first, "seconds": seconds, "lines": len(lines), "peak_mb": usage.ru_maxrss / unit}
print(json.dumps(found | {"status": os.waitstatus_to_exitcode(status)}))
"""
Key, Value = TypeVar("Key"), TypeVar("Value")


def parser(about: str, data: bool = False, json_required: bool = False) -> argparse.ArgumentParser:
    """The options of a benchmark: --json, and --data where it takes any music; ``about`` is its docstring."""
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--json", type=Path, required=json_required, help="where to write the figures")
    if data:
        made.add_argument("--data", default="demo", help="demo, gtzan-mini, gtzan, a folder of genre folders, a CSV")
    return made


def machine(packages: Iterable[str], gpus: Iterable[str] = (), **more: Any) -> dict[str, Any]:
    """What a measurement depends on, printed too."""
    from genre_utils.runs import folder

    facts = folder.machine(packages, gpus) | more
    print(", ".join(f"{name} {value}" for name, value in facts.items()), flush=True)
    return facts


def shown(ratios: dict[str, float]) -> dict[str, float]:
    """Ratios, printed line by line."""
    for name, value in ratios.items():
        print(f"{name}: {value:.3g}")
    return ratios


def save(file: Path | None, about: dict[str, Any], ratios: dict[str, float], rows: list[dict], **more: Any) -> None:
    """Write what was found, where that is asked for."""
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        facts = {"machine": about, "ratios": ratios, "rows": rows, **more}
        facts = json.loads(json.dumps(facts, default=float), parse_constant=lambda _: None)  # JSON has no NaN
        file.write_text(json.dumps(facts, indent=1) + "\n")


def show(rows: list[dict], names: dict[str, str] | None = None) -> None:
    """Print rows as a table, or those columns that are named, under these heads."""
    import pandas as pd

    table = pd.DataFrame(rows)
    table = table[[name for name in names if name in table]].rename(columns=names) if names else table

    def digits(value: float) -> str:
        return f"{value:,.0f}" if value == round(value) else f"{value:,.{3 if abs(value) < 1 else 2}f}"

    print(f"\n{table.to_string(index=False, float_format=digits, na_rep='')}", flush=True)


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *rows))


# Processes


def command(module: str, *words: Any, python: str | Path = sys.executable) -> list[str]:
    """What runs a module of this package; it calls itself ``__spec__.name``."""
    return [str(python), "-m", module, *map(str, words)]


def environment(*folders: Path, **changes: str) -> dict[str, str]:
    """Of a process: these folders and this tree first, and what else is changed."""
    paths = [*map(str, folders), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | changes


def child(module: str, *words: Any, python: str | Path = sys.executable, **changes: str) -> Any:
    """What a module, in a process of its own, prints in its last line, as JSON."""
    words = command(module, *words, python=python)
    done = subprocess.run(words, capture_output=True, text=True, env=environment(**changes), check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


class Child:
    """A process that answers questions, a line of JSON each, by `serve`."""

    def __init__(self, words: list[str], **options: Any):
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)

    def send(self, *question: Any) -> None:
        """Ask, and do not wait."""
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()

    def ask(self, *question: Any) -> Any:
        """Ask, and wait for the answer."""
        self.send(*question)
        if answer := self.process.stdout.readline():
            return json.loads(answer)
        raise SystemExit(f"{self.process.args} ended without an answer; its message stands above.")

    def end(self) -> None:
        """Ask nothing more."""
        self.process.stdin.close()
        self.process.wait()


def serve(answer: Callable[..., Any], file: Any = None) -> None:
    """The other end of it: answer until there are no more questions."""
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), file=file, flush=True)


def watched(words: list[Any], limit_seconds: float = 3_600, **options: Any) -> dict[str, float]:
    """Run a process: seconds to its first line and to its end, lines, exit status and peak memory in MB."""
    between = [sys.executable, "-I", "-c", WATCH, str(limit_seconds), *map(str, words)]
    return json.loads(subprocess.run(between, stdout=subprocess.PIPE, check=True, **options).stdout)


def of_process(file: str, name: str) -> int:
    """What Linux counts of this process: of ``status`` kilobytes, of ``io`` bytes."""
    lines = Path(f"/proc/self/{file}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def cpu_seconds() -> float:
    """Of the processes that have ended, and of their workers."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tree(folder: Path, *parts: str) -> Path:
    """A copy of folders of this project, without data and runs: to run in, by `environment`."""
    ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for part in parts:
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    return folder


# Turns


def in_turn(ways: dict[Key, Callable[[], Value]], repeats: int) -> dict[Key, list[Value]]:
    """What each way gives, one after the other and again: a slow minute of the machine meets all of them."""
    found: dict[Key, list[Value]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            found[name].append(way())
    return found


def medians(found: list[dict[str, float]]) -> dict[str, float]:
    """Of each figure."""
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


# Music


def copies(data: str, most: int, folder: Path, mp3: bool = False, least_seconds: float = 0) -> list[Path]:
    """Copies of some clips of a data set on the disk of the measurement; their paths."""
    import soundfile

    from genre_utils.datasets import catalog, contents
    from genre_utils.params import Params

    tracks = contents.usable(catalog.load(Params(dataset=data)))
    tracks = tracks[tracks["duration_seconds"] >= least_seconds]
    tracks = tracks.sample(min(most, len(tracks)), random_state=0)
    folder.mkdir()
    found = []
    for number, source in enumerate(map(Path, tracks["path"])):
        found.append(folder / f"{number:03d}{'.mp3' if mp3 else source.suffix}")
        if mp3:
            soundfile.write(found[-1], *soundfile.read(source), format="MP3")
        else:
            shutil.copy(source, found[-1])
    return found


def linked(clips: list[Path], count: int, folder: Path) -> Path:
    """A folder of ten genre folders with so many tracks, hard links to the clips, which take no room."""
    for number in range(count):
        clip = clips[number % len(clips)]
        link = folder / f"genre-{number % 10}" / f"{number:07d}{clip.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.hardlink_to(clip)
    return folder
