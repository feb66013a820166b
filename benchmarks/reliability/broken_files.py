"""Broken and odd files through every door: a typed error or the right answer, no crash, no hang, memory bounded.

.venv/bin/python -m benchmarks.reliability.broken_files --json broken_files.json

The corpus is broken_corpus.py's. A file goes through each door alone, in a process that may die or hang without ending
this one, and then all go through it at once: the good ones must still be answered and every bad one named.
"""

import argparse
import collections
import csv
import dataclasses
import faulthandler
import html.parser
import io
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
from PIL import Image

from benchmarks import shared
from benchmarks.reliability import broken_corpus as corpus
from benchmarks.reliability.broken_corpus import MOST_MB, Item
from genre_utils.datasets import catalog
from genre_utils.errors import GenreUtilsError
from genre_utils.evaluation import scoring
from genre_utils.evaluation.temperature_scaling import Calibration
from genre_utils.explorer import data, media, page
from genre_utils.features import spectrogram, store
from genre_utils.inference import prediction
from genre_utils.params import Params
from genre_utils.runs.folder import RunFolder

PARAMS = Params(dataset="corpus", segment_seconds=1.0, max_segments=3)
GENRES = ["loud", "low", "high"]
ITEM_SECONDS, ALL_SECONDS = 10, 300
OUTCOMES = ("right", "typed", "crash", "hang", "wrong")
# Root reads what nobody may read; without these two it is asked like anybody.
UNPRIVILEGED = ["setpriv", *(f"--{what}=-dac_override,-dac_read_search" for what in ("inh-caps", "bounding-set"))]

Found = dict[str, Any]  # "fault"; or "segments" with "db", the distance from the clean clip; or "crash" or "hang"


class Doors:
    """What the house is asked, inside the process that may die."""

    def __init__(self, folder: Path):
        self.root, self.scratch = folder / "corpus", folder / "scratch"
        samples = corpus.clip(PARAMS.sample_rate_hz).astype(np.float32)
        self.reference = spectrogram.log_mel(spectrogram.segments(samples, PARAMS), PARAMS)  # (segment, mel, frame)

    def table(self, items: list[Item]) -> pd.DataFrame:
        """The catalog of these files."""
        rows = [{"track_id": item.place, "path": self.root / item.place, "genre": item.kind} for item in items]
        return catalog.table(rows, PARAMS)

    def from_csv(self, items: list[Item]) -> list[Found]:
        """The catalog, from a CSV that names them; from a table those names that no UTF-8 text can hold."""
        if not all(tellable(item) for item in items):
            return self.of_headers(self.table(items), [shown(item.place) for item in items])
        file = self.root / "tracks.csv"
        with file.open("w", encoding="utf-8", newline="") as opened:
            csv.writer(opened).writerows([("path", "genre"), *((item.place, item.kind) for item in items)])
        return self.of_headers(catalog.from_csv(file, PARAMS), [item.place for item in items])

    def from_folder(self, items: list[Item]) -> list[Found]:
        """The catalog, from the folder; those that are not audio by their suffix must be counted in a warning."""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            tracks = catalog.from_folder(self.root, PARAMS)
        left_out = sum(int(str(one.message).split()[0]) for one in told if "left out" in str(one.message))
        files = [path for item in items if (path := self.root / item.place).is_symlink() or not path.is_dir()]
        assert len(tracks) + left_out == len(files), f"{len(tracks)} tracks and {left_out} left out of {len(files)}"
        return self.of_headers(tracks, [shown(item.place) for item in items])

    def of_headers(self, tracks: pd.DataFrame, ids: list[str]) -> list[Found]:
        """What the catalog says of each; a duration is what the header promises."""
        tracks.to_parquet(self.scratch / "tracks.parquet")  # as every run does
        rows = tracks.set_index("track_id").reindex(ids).fillna({"fault": "is left out, by its suffix"})
        return [
            {"fault": row.fault}
            if row.fault
            else {"segments": PARAMS.segments_in(row.duration_seconds), "seconds": row.duration_seconds, "db": 0.0}
            for row in rows.itertuples()
        ]

    def extraction(self, items: list[Item]) -> list[Found]:
        """A store of them, and what is in it."""
        shutil.rmtree(self.scratch / "features", ignore_errors=True)
        tracks = self.table(items)
        built = store.build(tracks, PARAMS, self.scratch)
        faults = built.tracks.set_index("track_id")["fault"]
        rows = built.segments.groupby("track_id")["row"].apply(list)
        return [
            {"fault": faults[name]} if faults[name] else self.compared(built.features[rows[name]])
            for name in (shown(item.place) for item in items)
        ]

    def prediction(self, items: list[Item]) -> list[Found]:
        """Answers of a tiny network, and the log-mels that it was given."""
        heard: list[np.ndarray] = []
        weights = np.random.default_rng(0).normal(size=(PARAMS.n_mels, len(GENRES)))

        def run(decibels: np.ndarray) -> np.ndarray:
            heard.append(decibels)
            scores = np.exp(decibels.mean(axis=2) @ weights / 100)
            return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)

        found = []
        paths = [self.root / item.place for item in items]
        for answer in prediction.predict(paths, prediction.Network(run, GENRES, PARAMS)):
            if answer.fault:
                found.append({"fault": answer.fault})
            else:
                assert np.isfinite(answer.probabilities).all()
                assert len(answer.probabilities) == sum(map(len, heard))
                found.append(self.compared(np.concatenate([part[:99] for part in heard])))
            heard.clear()
        return found

    def sound(self, items: list[Item]) -> list[Found]:
        """What the explorer carries of a track."""
        excerpts = [media.Excerpt(str(self.root / item.place)) for item in items]
        return [self.carried(found) for excerpt in excerpts for found in media.of_file([excerpt], PARAMS)]

    def page(self, items: list[Item]) -> list[Found]:
        """The explorer of a run that tested all of them while they were good; its page is parsed."""
        run = tested(self.root, items, self.scratch / "run")
        parsed = Page(page.write(data.of_run(run), self.scratch / "explorer", clips=None))
        facts, carried = map(json.loads, parsed.data)
        assert len(parsed.data) + 1 == parsed.scripts, f"{len(parsed.data)} of {parsed.scripts} scripts hold data"
        found = {facts["tracks"]["id"][int(number)]: one for number, one in carried["tracks"].items()}
        return [self.on_page(found[shown(item.place)]) for item in items]

    def on_page(self, one: dict[str, str]) -> Found:
        """Sound and picture of a track, as the page names them."""
        if "fault" in one:
            return {"fault": one["fault"]}
        folder = self.scratch / "explorer"
        sound, picture = ((folder / one[name]).read_bytes() for name in ("audio", "picture"))
        return self.carried(media.Clip(sound, picture, one["seconds"]))

    def carried(self, what: media.Clip | str) -> Found:
        """How many segments a sound lasts; both files must open."""
        if isinstance(what, str):
            return {"fault": what}
        Image.open(io.BytesIO(what.picture)).load()
        samples, rate_hz = soundfile.read(io.BytesIO(what.sound))
        assert np.isfinite(samples).all()
        return {"segments": round(len(samples) / rate_hz / PARAMS.segment_seconds), "db": 0.0}

    def compared(self, decibels: np.ndarray) -> Found:
        """The mean distance from the clean clip where it is loud, of the worst segment."""
        assert np.isfinite(decibels).all(), "log-mels that are not finite"
        both = zip(decibels.astype(np.float32), self.reference, strict=False)
        db = max(float(np.abs(ours - clean)[clean > -30].mean()) for ours, clean in both)
        return {"segments": len(decibels), "db": db}


class Page(html.parser.HTMLParser):
    """How many scripts a page has, and the texts of those that hold data."""

    def __init__(self, path: Path):
        super().__init__()
        self.scripts, self.inside = 0, False
        self.data: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.scripts += 1
            self.inside = dict(attrs).get("type") == "application/json"
            self.data += [""] * self.inside

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.data[-1] += data


def shown(name: str) -> str:
    """A name as the catalog shows it: with the bytes that are not UTF-8 spelled out."""
    return name.encode("utf-8", "backslashreplace").decode()


def tellable(item: Item) -> bool:
    """Whether a table can name it."""
    return shown(item.name) == item.name and "\r" not in item.name


def tested(root: Path, items: list[Item], folder: Path) -> RunFolder:
    """A run that tested every file before it went bad, as the notebooks leave it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    run = RunFolder(folder)
    run.write_params(PARAMS)
    blank = {"artist": "", "title": "", "published_split": "", "fault": "", "duration_seconds": corpus.SECONDS}
    tracks = pd.DataFrame(
        [
            {"track_id": shown(item.place), "path": shown(str(root / item.place)), "genre": item.kind} | blank
            for item in items
        ]
    )
    tracks = tracks.sort_values("track_id", ignore_index=True)
    genres = sorted(tracks["genre"].unique())
    table = tracks.loc[tracks.index.repeat(3), ["track_id", "genre", "artist", "path"]].reset_index(drop=True)
    segment = np.tile(np.arange(3), len(tracks))
    p = np.random.default_rng(0).dirichlet(np.ones(len(genres)), len(table))
    table = table.assign(
        segment=segment, start_seconds=segment * 1.0, split="test", predicted=np.array(genres)[p.argmax(axis=1)],
        **{f"p_{genre}": p[:, place] for place, genre in enumerate(genres)},
    )  # fmt: skip
    tracks.to_parquet(folder / "tracks.parquet", index=False)
    table.to_parquet(folder / "predictions.parquet", index=False)
    table[["track_id", "segment", "split"]].to_csv(folder / "split.csv", index=False)
    pd.DataFrame(columns=["track_a", "track_b", "kind"]).to_csv(folder / "duplicates.csv", index=False)
    run.write_metrics(scoring.metrics(table, {"dataset": "corpus", "protocol": "paper", "model": "a guess"}))
    return run


def serve(folder: Path) -> None:
    """Answer what is asked of a door, until there are no more questions: what the process that may die does."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (corpus.ADDRESS_BYTES,) * 2)
    os.chdir(folder)
    items = [Item(*row) for row in json.loads((folder / "items.json").read_text())]
    doors = Doors(folder)

    def answer(door: str, numbers: list[int]) -> dict[str, Any]:
        asked = [items[number] for number in numbers]
        Path("/proc/self/clear_refs").write_text("5")  # the peak of this process' memory begins anew
        started = time.perf_counter()
        try:
            found = getattr(doors, door)(asked)
        except GenreUtilsError as error:
            found = [{"fault": str(error)}] * len(asked)
        except Exception as error:  # whatever else comes out is a crash of the door, and is told as one
            last = traceback.extract_tb(error.__traceback__)[-1]
            found = [{"crash": f"{error!r:.300} ({Path(last.filename).name}, line {last.lineno})"}] * len(asked)
        peak_mb = shared.of_process("status", "VmHWM") / 2**10
        return {"found": found, "seconds": time.perf_counter() - started, "peak_mb": peak_mb}

    shared.serve(answer, answers)


def unprivileged(words: list[str]) -> list[str]:
    """A command without the privilege to read what nobody may read."""
    return [*(UNPRIVILEGED if os.geteuid() == 0 and shutil.which("setpriv") else []), *words]


class Servant:
    """The process that may die: started again when it does."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.child: shared.Child | None = None

    def ask(self, door: str, numbers: list[int], limit: float) -> dict[str, Any]:
        """Send some files through a door, for so many seconds at most."""
        if self.child is None:
            words = unprivileged(shared.command(__spec__.name, "--serve", self.folder))
            with (self.folder / "stderr").open("wb") as errors:
                self.child = shared.Child(words, stderr=errors, env=shared.environment())
        process = self.child.process
        self.child.send(door, numbers)
        if select.select([process.stdout], [], [], limit)[0] and (line := process.stdout.readline()):
            return json.loads(line)
        how = {"hang": f"no answer after {limit} s"}
        if process.poll() is not None or select.select([process.stdout], [], [], 0)[0]:
            status = process.wait()
            how = {"crash": f"ended with {status}: {(self.folder / 'stderr').read_text(errors='replace')[-2_000:]}"}
        self.end()
        return {"found": [how] * len(numbers), "seconds": float(limit), "peak_mb": 0.0}

    def end(self) -> None:
        """End it."""
        if self.child is not None:
            self.child.process.kill()
            self.child.process.wait()
            self.child = None


def judge(item: Item, found: Found) -> str:
    """Which of ``OUTCOMES`` an answer is."""
    for how in ("crash", "hang"):
        if how in found:
            return how
    if "fault" in found:
        return "typed" if item.expected != "right" else "wrong"
    if found["segments"] < 1:
        return "wrong"
    same = found["db"] <= item.within_db
    right = {
        "right": same and found["segments"] == item.segments,
        "part": same and found["segments"] <= item.segments,
        "either": True,
        "fault": False,
    }
    return "right" if right[item.expected] else "wrong"


def expected_at(door: str, item: Item) -> Item:
    """What may be expected there: a header is not the whole file, and a folder goes by suffixes."""
    if item.expected == "fault" and door in ("from_csv", "from_folder"):
        item = item._replace(expected="either")
    if item.kind == "other suffix" and door == "from_folder":
        item = item._replace(expected="fault")
    if not tellable(item) and door in ("from_csv", "from_folder", "extraction", "page"):
        item = item._replace(expected="fault")
    return item


def through(servant: Servant, items: list[Item], short: bool) -> Iterable[dict[str, Any]]:
    """One row for each file and door; those of "all at once" have no time and no memory of their own."""
    for door in ("from_csv", "extraction", "prediction", *(() if short else ("sound",))):  # the page has it too
        for number, item in enumerate(items):
            told = servant.ask(door, [number], ITEM_SECONDS)
            yield row_of(door, item, told["found"][0], told, item.kind)
    for door in ("from_csv", "from_folder", "extraction", "prediction", "page"):
        numbers = [n for n, item in enumerate(items) if door not in ("from_csv", "page") or tellable(item)]
        told = servant.ask(door, numbers, ALL_SECONDS)
        for number, found in zip(numbers, told["found"], strict=True):
            yield row_of(door, items[number], found, told, "all at once")
    files = [item for item in items if not (servant.folder / "corpus" / item.place).is_dir()]  # a folder is looked into
    told = by_command(servant.folder, files)
    for item, found in zip(files, told["found"], strict=True):
        yield row_of("command", item, found, told, "all at once")


def write_model(folder: Path) -> None:
    """A model folder that nobody trained."""
    from genre_utils.inference import model_folder
    from genre_utils.models import factory  # TensorFlow, which nothing else here needs

    params = dataclasses.replace(PARAMS, model="compact_cnn", image_height=32, image_width=32)
    factory.build(params, len(GENRES)).save(folder / "model.keras")
    model_folder.write(folder / "model", folder / "model.keras", GENRES, params, Calibration(), {}, "")


def by_command(folder: Path, items: list[Item]) -> dict[str, Any]:
    """``python -m genre_utils predict`` with all files at once."""
    subprocess.run(shared.command(__spec__.name, "--model", folder), check=True, env=shared.environment())
    words = shared.command("genre_utils", "predict", "--model", folder / "model", "--json", folder / "out", "--")
    words += [str(folder / "corpus" / item.place) for item in items]
    with (folder / "stderr").open("wb") as errors:
        told = shared.watched(
            unprivileged(words), ALL_SECONDS, stdin=subprocess.DEVNULL, stderr=errors, cwd=shared.ROOT
        )
    lines = (folder / "out").read_text(encoding="utf-8").splitlines() if (folder / "out").exists() else []
    if len(lines) == len(items) and told["status"] == 1:  # as some files could not be answered
        found = [answered(json.loads(line)) for line in lines]
    else:
        text = (folder / "stderr").read_text(errors="replace")[-300:]
        found = [{"crash": f"ended with {told['status']} after {len(lines)} answers: {text}"}] * len(items)
    return told | {"found": found}


def answered(line: dict[str, Any]) -> Found:
    """What a line of the command says."""
    if "fault" in line:
        return {"fault": line["fault"]}
    probabilities = np.array([segment["probabilities"] for segment in line["timeline"]])
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-4)
    return {"segments": len(probabilities), "db": 0.0}


def row_of(door: str, item: Item, found: Found, told: dict[str, Any], kind: str) -> dict[str, Any]:
    """A file at a door."""
    outcome = judge(expected_at(door, item), found)
    if told["peak_mb"] > MOST_MB and outcome in ("right", "typed"):
        outcome, found = "wrong", found | {"why": f"{told['peak_mb']:.0f} MB"}
    return {
        "door": door, "kind": kind, "file": shown(item.place), "outcome": outcome, "found": found,
        "seconds": told["seconds"], "peak_mb": told["peak_mb"],
    }  # fmt: skip


def table_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Counts by kind and door."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = collections.defaultdict(list)
    for row in rows:
        groups[row["kind"], row["door"]].append(row)
    return [
        {"kind": kind, "door": door, "n": len(some)}
        | {outcome: sum(row["outcome"] == outcome for row in some) for outcome in OUTCOMES}
        | {"slowest": max(row["seconds"] for row in some), "peak_mb": max(row["peak_mb"] for row in some)}
        for (kind, door), some in groups.items()
    ]


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__)
    parser.add_argument("--short", action="store_true", help="the same kinds with fewer variants, for CI")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the corpus here, to look at it")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for what, of in ((serve, options.serve), (write_model, options.model)):
        if of:
            what(of)
            return 0
    about = shared.machine(("soundfile", "soxr", "numpy", "pandas", "pyarrow"))
    print(f"libsndfile {soundfile.__libsndfile_version__}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep.resolve() if options.keep else Path(temporary)
        for name in ("corpus", "scratch"):
            (folder / name).mkdir(parents=True)
        items = corpus.write(folder / "corpus", options.short)
        (folder / "items.json").write_text(json.dumps(items))
        servant = Servant(folder)
        rows = []
        try:
            for row in through(servant, items, options.short):
                rows.append(row)
                if row["outcome"] not in ("right", "typed"):
                    print(f"{row['outcome']}: {row['door']}, {row['file']!r}: {row['found']}", flush=True)
        finally:
            servant.end()
    counted = table_of(rows)
    shared.show(counted)
    bad = sum(row["outcome"] not in ("right", "typed") for row in rows)
    alone = [row for row in rows if row["kind"] != "all at once"]
    ratios = {
        "files": float(len(items)),
        "as expected, share of files and doors": 1 - bad / len(rows),
        "slowest file / limit": max(row["seconds"] for row in alone) / ITEM_SECONDS,
        "peak memory / limit": max(row["peak_mb"] for row in rows) / MOST_MB,
    }
    print(f"\n{len(items)} files, {len(rows)} answers, {bad} not as expected")
    shared.save(options.json, about, shared.shown(ratios), counted)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
