"""Readers on bytes that nobody meant: a typed error or a valid result, for so many seconds each.

.venv/bin/python -m benchmarks.reliability.fuzz --seconds 60 --json fuzz.json

Hypothesis draws the changes of small valid files. Each reader runs in a process of its own: what ends that process, or
keeps it for more than ten seconds, is kept beside the name of the reader (--keep), and the reader goes on.
"""

import faulthandler
import functools
import io
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks import shared
from benchmarks.reliability import broken_corpus as corpus
from genre_utils.audio import decoding
from genre_utils.datasets import archives, catalog, gtzan
from genre_utils.errors import GenreUtilsError
from genre_utils.inference import litert_model
from genre_utils.params import Params
from genre_utils.runs import profiles
from genre_utils.runs.folder import read_mapping

PARAMS = Params(
    dataset="x", sample_rate_hz=8_000, segment_seconds=0.5, n_fft=512, hop_length=128, n_mels=32, fmax_hz=4_000
)
ROUND = 100  # examples that Hypothesis draws at a time
ONE_SECONDS = 10
SAID = (  # what a text may say that a bit flip rarely makes of it
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\r\n", b'"', b",", b"|", b"[", b"{", b"&a ", b"*a", b"!!int ''", b"9" * 5_000,
    b"nan", b"-1", b"1e309", b"0x" + b"f" * 4_000, b"<<: ", b"? ", b"---\n", b"../", b"null", b"[" * 3_000,
    b"2024-13-45",
)  # fmt: skip


def small(container: str, subtype: str, rate_hz: int = 8_000) -> bytes:
    """A second of sound."""
    return corpus.written(corpus.clip(rate_hz)[:rate_hz], rate_hz, container, subtype)


@functools.lru_cache
def sounds() -> list[bytes]:
    """A small file of each format."""
    found = [small(container, subtype, 8_000) for container, subtype, *_ in corpus.SOUND.values()]
    found += [small("WAV", subtype) for subtype in corpus.SUBTYPES]
    return found + [corpus.good(suffix) for suffix in corpus.suffixes() if suffix in corpus.FILMS]


def damaged_archives() -> list[bytes]:
    """A zip, a tar and a tar.gz."""
    files = {"rock/a.wav": b"RIFF" * 9, "rock/b.wav": bytes(999), "pop/c.txt": b"text"}
    found = []
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    found.append(file.getvalue())
    for mode in ("w", "w:gz"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        found.append(file.getvalue())
    return found


def npy(array: np.ndarray) -> bytes:
    """An array's file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def profile() -> bytes:
    """Every parameter with its default."""
    return yaml.safe_dump(Params().to_mapping(), sort_keys=False).encode()


def export_files() -> dict[str, bytes]:
    """The three files of an exported network of one product."""
    from genre_utils.features import spectrogram

    facts = {"genres": ["a", "b"], "params": PARAMS.to_mapping(), "trust": TRUST, "stages": ["p.npy"]}
    product = np.ones((PARAMS.n_mels * PARAMS.frames_per_segment, 2), np.float32)
    return {
        "export.json": json.dumps(facts).encode(),
        "mel_filters.npy": npy(spectrogram.mel_filters(PARAMS)),
        "p.npy": npy(product),
    }


def export_seeds() -> list[bytes]:
    """These files, each after a byte that says which one it is."""
    return [bytes([number]) + data for number, data in enumerate(export_files().values())]


def listened(path: Path) -> None:
    """The samples of a file must be finite, and no more than are wanted."""
    samples = decoding.load(path, PARAMS)
    assert np.isfinite(samples).all()
    assert PARAMS.samples_per_segment <= len(samples) <= PARAMS.max_segments * PARAMS.samples_per_segment


def streamed(path: Path) -> None:
    """The blocks of a whole file; half a minute of it is enough."""
    given = 0
    for block in decoding.blocks(path, Params(**PARAMS.to_mapping() | {"max_segments": 0})):
        assert np.isfinite(block).all()
        given += len(block)
        if given > 30 * PARAMS.sample_rate_hz:
            return


def measured(path: Path) -> None:
    """A duration must be a number."""
    assert 0 <= decoding.duration(path) < float("inf")


def unpacked(path: Path) -> None:
    """Everything must lie in its folder."""
    folder = path.with_name("unpacked")
    shutil.rmtree(folder, ignore_errors=True)
    archives.unpack(path, folder, 2**20)
    assert sorted(path.parent.iterdir()) == sorted([path, folder])


def profiled(path: Path) -> None:
    """As ``run --profile`` reads one."""
    values = profiles.checked(read_mapping(path), [], profiles.RUNNER_KEYS | Params().to_mapping())
    Params.from_mapping({name: value for name, value in values.items() if name in Params().to_mapping()})


def settled(path: Path) -> None:
    """As ``run --set``."""
    profiles.checked({}, [path.read_text(encoding="utf-8", errors="replace")], Params().to_mapping())


def in_export(path: Path) -> None:
    """Open an exported network, one of whose files is changed, that which the first byte says, and ask it once."""
    data = path.read_bytes()
    files = export_files()
    files[list(files)[data[0] % 3 if data else 0]] = data[1:]
    folder = path.with_name("exported")
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    litert_model.open_exported(folder).run(np.zeros((1, PARAMS.n_mels * PARAMS.frames_per_segment), np.float32))


def in_model(path: Path) -> None:
    """``model.json`` of a model folder."""
    from genre_utils.inference import model_folder

    folder = path.with_name("model")
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_bytes(path.read_bytes())
    (folder / "params.yml").write_bytes(profile())
    (folder / "model.keras").write_bytes(b"")
    model_folder.read(folder)


def model_json() -> bytes:
    """What a model folder says of itself, but for the network's checksum."""
    facts = {"genres": ["a", "b"], "params": Params().to_mapping(), "trust": TRUST, "versions": {}}
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    return json.dumps(facts | {"sha256": {"model.keras": empty}}).encode()


TRUST: dict[str, float] = {"temperature": 1.0, "track_temperature": 1.0}
CSV = b'path,genre,artist\na.wav,rock,Ann\n"b\n.wav",pop|rock,""\n'
ARTISTS = b"## list\nblues.00000.wav ::: Ann ::: One\nrock.00001.wav ::: Bob ::: Two\n"
FILTERED = b"blues/blues.00000.wav\nrock/rock.00001.wav\n"
# The reader, its valid files, and the name that they get.
READERS: dict[str, tuple[Callable[[Path], object], Callable[[], list[bytes]], str]] = {
    "audio.load": (listened, sounds, "a.wav"),
    "audio.blocks": (streamed, sounds, "a.wav"),
    "audio.duration": (measured, sounds, "a.wav"),
    "catalog.from_csv": (lambda path: catalog.from_csv(path, PARAMS), lambda: [CSV], "a.csv"),
    "profile": (profiled, lambda: [profile()], "a.yml"),
    "--set": (settled, lambda: [b"seed=3", b"fmin_hz=2.5", b"crop=true", b"dataset=demo"], "a.txt"),
    "gtzan.read_artists": (gtzan.read_artists, lambda: [ARTISTS], "index.txt"),
    "gtzan.read_filtered": (lambda path: gtzan.read_filtered([path]), lambda: [FILTERED], "test_filtered.txt"),
    "light.open_exported": (
        in_export,
        lambda: [bytes([n]) + data for n, data in enumerate(export_files().values())],
        "a.bin",
    ),
    "model_folder.read": (in_model, lambda: [model_json()], "a.json"),
    "unpack": (unpacked, damaged_archives, "a.zip"),
}


@st.composite
def changed(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A valid file with up to eight changes: bytes replaced, taken out, put in, repeated, or the end cut off."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 8))):
        # Half of the changes are in the first 128 bytes, where a header is.
        most = draw(st.sampled_from([min(len(data), 128), len(data)]))
        place = draw(st.integers(0, most))
        kind = draw(st.sampled_from(["replace", "take", "put", "say", "repeat", "cut", "number"]))
        if kind == "replace":
            data[place : place + 1] = draw(st.binary(min_size=1, max_size=4))
        elif kind == "take":
            del data[place : place + draw(st.integers(1, 64))]
        elif kind == "put":
            data[place:place] = draw(st.binary(max_size=16))
        elif kind == "say":
            data[place:place] = draw(st.sampled_from(SAID))
        elif kind == "repeat":
            data[place:place] = data[place : place + draw(st.integers(1, 256))] * draw(st.integers(1, 9))
        elif kind == "cut":
            del data[max(place, 1) :]
        else:
            wide = draw(st.sampled_from([2, 4, 8]))
            value = draw(st.sampled_from([0, 1, 2 ** (8 * wide - 1) - 1, 2 ** (8 * wide - 1), 2 ** (8 * wide) - 1]))
            data[place : place + wide] = value.to_bytes(wide, draw(st.sampled_from(["little", "big"])))
    return bytes(data)


def serve(name: str, folder: Path, seconds: float, number: int) -> None:
    """Feed one reader until the time is over; what it is fed lies in the folder while it is read."""
    read, seeds, file = READERS[name]
    resource.setrlimit(resource.RLIMIT_AS, (corpus.ADDRESS_BYTES,) * 2)
    os.dup2(os.open(folder / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    faulthandler.enable()
    warnings.simplefilter("ignore")
    inside = folder / "inside"
    inside.mkdir(exist_ok=True)
    path = inside / file
    told = {"executions": 0, "typed": 0, "found": {}}

    def once(data: bytes) -> None:
        if time.monotonic() > end:
            return
        path.write_bytes(data)
        faulthandler.dump_traceback_later(ONE_SECONDS, exit=True)
        try:
            read(path)
        except GenreUtilsError:
            told["typed"] += 1
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            why = f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}: {str(error)[:200]}"
            if why not in told["found"]:
                told["found"][why] = str(keep(folder, path))
        faulthandler.cancel_dump_traceback_later()
        told["executions"] += 1
        if told["executions"] % 20 == 0:  # a process that dies takes the last ones with it
            (folder / "told.json").write_text(json.dumps(told))

    quiet = settings(
        max_examples=ROUND, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    for valid in seeds():  # or all that is made of it would be refused for the same reason
        path.write_bytes(valid)
        read(path)
    drawn = changed(seeds())
    end = time.monotonic() + seconds  # not before: making sound takes seconds on a busy machine
    while time.monotonic() < end:
        number += 1
        seed(number)(quiet(given(drawn)(once)))()
    told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    (folder / "told.json").write_text(json.dumps(told))


def keep(folder: Path, path: Path) -> Path:
    """Put what is being read beside, under a name of its own."""
    kept = folder / f"found-{sum(1 for _ in folder.glob('found-*'))}{path.suffix}"
    shutil.copyfile(path, kept)
    return kept


def fuzz(name: str, folder: Path, seconds: float) -> dict:
    """One reader for so many seconds, its process started again when it ends before."""
    folder.mkdir(parents=True)
    row = {"reader": name, "executions": 0, "typed": 0, "found": {}, "peak_mb": 0.0}
    started = time.monotonic()
    end, number = started + seconds, corpus.SEED
    while (left := end - time.monotonic()) > 0.2:
        process = multiprocessing.get_context("fork").Process(target=serve, args=(name, folder, left, number))
        process.start()
        process.join()
        told_in = folder / "told.json"
        told = json.loads(told_in.read_text()) if told_in.exists() else {}
        told_in.unlink(missing_ok=True)
        row["executions"] += told.get("executions", 0)
        row["typed"] += told.get("typed", 0)
        row["found"] |= told.get("found", {})
        row["peak_mb"] = max(row["peak_mb"], told.get("peak_mb", 0.0))
        if process.exitcode:
            text = (folder / "stderr").read_text(errors="replace")
            kept = keep(folder, folder / "inside" / READERS[name][2])
            row["found"][f"ended with {process.exitcode}: {text[-600:]}"] = str(kept)
        number += 100_000
    row["seconds"] = time.monotonic() - started
    return row


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for all readers together")
    parser.add_argument("--short", action="store_true", help="20 seconds, for CI")
    parser.add_argument("--reader", choices=READERS, action="append", help="only this one; may be said again")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where to keep inputs that broke a rule")
    options = parser.parse_args()
    about = shared.machine(("hypothesis", "soundfile", "numpy", "pandas", "pyyaml"))
    names = options.reader or list(READERS)
    seconds = (20 if options.short else options.seconds) / len(names)
    print(f"\n{'reader':>20} executions  a second   typed  peak MB  broke a rule")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep.resolve() if options.keep else Path(temporary)
        for name in names:
            row = fuzz(name, folder / name.strip("-"), seconds)
            rows.append(row)
            rate = row["executions"] / row["seconds"]
            print(
                f"{name:>20} {row['executions']:10} {rate:9.0f} {row['typed']:7} {row['peak_mb']:8.0f}  "
                f"{len(row['found'])}",
                flush=True,
            )
            for why, kept in row["found"].items():
                print(f"    {why}\n    kept: {kept}", flush=True)
    bad = sum(len(row["found"]) + (row["peak_mb"] > corpus.MOST_MB) + (row["executions"] == 0) for row in rows)
    ratios = {"executions": float(sum(row["executions"] for row in rows)), "rules broken": float(bad)}
    print(f"\n{ratios['executions']:.0f} executions, {bad} rules broken")
    shared.save(options.json, about, ratios, rows)
    return 1 if bad else 0


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
