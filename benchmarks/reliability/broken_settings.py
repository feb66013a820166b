"""Bad CSVs, bad profiles and bad parameters: a typed error or the right answer, each time.

.venv/bin/python -m benchmarks.reliability.broken_settings --json broken_settings.json
"""

import functools
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import shared
from benchmarks.reliability import broken_corpus as corpus
from genre_utils.datasets import catalog
from genre_utils.errors import CatalogError, GenreUtilsError, ParamsError
from genre_utils.params import Params
from genre_utils.runs import profiles
from genre_utils.runs.folder import RunFolder, read_mapping

PARAMS = Params(dataset="x", segment_seconds=1.0)
MOST_SECONDS = 10
RIGHT = [("a.wav", "rock", ""), ("b.wav", "pop", "")]
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(97 + n)}: &{chr(97 + n)} [{', '.join(10 * ['*' + chr(96 + n)])}]\n" for n in range(1, 12)
)
MERGES = "a: &a {k: v}\n" + "".join(
    f"{chr(97 + n)}: &{chr(97 + n)} {{<<: [{', '.join(10 * ['*' + chr(96 + n)])}]}}\n" for n in range(1, 12)
)
# A CSV's bytes, and what is right: the tracks, or None where nothing but an error is.
CSVS: dict[str, tuple[bytes, list | None]] = {
    "plain": (b"path,genre\na.wav,rock\nb.wav,pop\n", RIGHT),
    "byte order mark": (b"\xef\xbb\xbfpath,genre\na.wav,rock\nb.wav,pop\n", RIGHT),
    "CRLF": (b"path,genre\r\na.wav,rock\r\nb.wav,pop\r\n", RIGHT),
    "CR": (b"path,genre\ra.wav,rock\rb.wav,pop\r", RIGHT),
    "no newline at the end": (b"path,genre\na.wav,rock\nb.wav,pop", RIGHT),
    "blank lines": (b"\n\npath,genre\n\na.wav,rock\n\nb.wav,pop\n\n", RIGHT),
    "everything quoted": (b'"path","genre"\n"a.wav","rock"\n"b.wav","pop"\n', RIGHT),
    "columns turned round": (b"genre,path\nrock,a.wav\npop,b.wav\n", RIGHT),
    "a column that is not known": (b"path,x,genre\na.wav,1,rock\nb.wav,2,pop\n", RIGHT),
    "columns without a name": (b",path,genre,\n0,a.wav,rock,\n1,b.wav,pop,\n", RIGHT),
    "blanks around genres": (b"path,genre\na.wav, rock \nb.wav,pop \n", RIGHT),
    "latin-1": ("path,genre\ncafé.wav,rock\n".encode("latin-1"), [("café.wav", "rock", "?")]),
    "UTF-16": ("path,genre\na.wav,rock\n".encode("utf-16"), RIGHT[:1]),
    "empty": (b"", None),
    "blank": (b"\n \n", None),
    "NUL bytes": (bytes(99), None),
    "a PNG": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), None),
    "no header": (b"a.wav,rock\nb.wav,pop\n", None),
    "semicolons": (b"path;genre\na.wav;rock\n", RIGHT[:1]),
    "tabs": (b"path\tgenre\na.wav\trock\n", RIGHT[:1]),
    "one cell too many": (b"path,genre\na.wav,rock\nb.wav,pop,x\n", None),
    "one cell too many in all lines": (b"path,genre\na.wav,rock,x\nb.wav,pop,x\n", None),
    "one cell too few": (b"path,genre\na.wav,rock\nb.wav\n", [*RIGHT[:1], ("b.wav", "", "?")]),
    "a column twice": (b"path,genre,genre\na.wav,rock,pop\n", None),
    "an open quote": (b'path,genre\n"a.wav,rock\n', None),
    "a track twice": (b"path,genre\na.wav,rock\na.wav,pop\n", None),
    "an empty path": (b"path,genre\n,rock\n", None),
    "an empty genre": (b"path,genre\na.wav,\n", [("a.wav", "", "?")]),
    "an empty one of genres": (b"path,genre\na.wav,rock|\n", None),
    "a header alone": (b"path,genre\n", []),
    "a NUL in a path": (b"path,genre\na\0.wav,rock\n", None),
    "a million characters": (b"path,genre\n" + b"a" * 10**6 + b",rock\n", None),
    "a quoted newline": (b'path,genre\n"a\n.wav",rock\n', [("a\n.wav", "rock", "?")]),
    "a missing file": (b"path,genre\nnone.wav,rock\n", [("none.wav", "rock", "?")]),
    "a folder": (b"path,genre\n.,rock\n", [(".", "rock", "?")]),
    "a device": (b"path,genre\n/dev/zero,rock\n", [("/dev/zero", "rock", "?")]),
    "NA and null": (b"path,genre\nNA,null\nnan,None\n", [("NA", "", "?"), ("nan", "", "?")]),
    "10,000 columns": (b"path,genre" + b",x" * 10_000 + b"\n", []),
}  # fmt: skip
# A profile's bytes, and what is right.
PROFILES: dict[str, tuple[bytes, dict | None]] = {
    "plain": (b"seed: 3\n", {"seed": 3}),
    "byte order mark": (b"\xef\xbb\xbfseed: 3\n", {"seed": 3}),
    "CRLF": (b"seed: 3\r\nbatch_size: 8\r\n", {"seed": 3, "batch_size": 8}),
    "JSON": (b'{"seed": 3}', {"seed": 3}),
    "empty": (b"", None),
    "a list": (b"- seed\n", None),
    "a text": (b"seed", None),
    "a number": (b"3", None),
    "tabs": (b"seed:\n\t- 3\n", None),
    "not closed": (b"seed: [3", None),
    "latin-1": (b"dataset: caf\xe9\n", None),
    "NUL bytes": (bytes(99), None),
    "ten to the twelfth laughs": (LAUGHS.encode(), None),
    "ten to the eleventh merges": (MERGES.encode(), None),
    "a reference": (b"dataset: &a demo\nmodel: *a\n", None),
    "python/object": (b"seed: !!python/object/apply:os.system ['true']\n", None),
    "python/name": (b"seed: !!python/name:os.system\n", None),
    "an int that is none": (b"seed: !!int ''\n", None),
    "a float that is none": (b"seed: !!float x\n", None),
    "a bool that is none": (b"crop: !!bool maybe\n", None),
    "a date that is none": (b"seed: 2024-13-45\n", None),
    "a date": (b"seed: 2024-12-24\n", None),
    "5,000 digits": (b"seed: " + b"9" * 5_000 + b"\n", None),
    "5,000 hexadecimal digits": (b"seed: 0x" + b"f" * 5_000 + b"\n", None),
    "3,000 brackets": (b"[" * 3_000, None),
    "a megabyte": (b"seed: 3 #" + b"x" * 10**6 + b"\n", None),
    "two documents": (b"seed: 3\n---\nseed: 4\n", None),
    "a number as a name": (b"1: 2\n", None),
    "nothing as a name": (b"~: 2\n", None),
    "a list as a name": (b"? [a]\n: 2\n", None),
    "an unknown name": (b"sead: 3\n", None),
}  # fmt: skip
HUGE = {
    "n_fft": 2**40, "n_mels": 2**40, "image_height": 10**6, "image_width": 10**6, "batch_size": 2**40,
    "sample_rate_hz": 2**40, "segment_seconds": 1e300, "fmax_hz": 1e300, "validation_fraction": 1e9,
    "test_fraction": 1e9,
    "fold": 10**9, "bn_momentum": 1e9, "plateau_factor": 1e9, "pitch_semitones": 1e9, "stretch_share": 1e9,
    "mask_bands": 10**9, "mask_seconds": 1e9, "shift_bands": 10**9, "ema_decay": 1e9, "seed": 2**40,
    "hop_length": 2**40,
}  # fmt: skip


def cases(folder: Path) -> Iterator[tuple[str, str, Callable[[], Any], Any]]:
    """Kind, name, what is asked, and what is right; None where an error is."""
    for name in ("a.wav", "b.wav"):
        (folder / name).write_bytes(corpus.good("wav"))
    for name, (data, right) in CSVS.items():
        yield "CSV", name, lambda data=data: tracks(folder, data), right
    for name, path in {"a folder": folder, "not there": folder / "none.csv", "../": folder / "../../none.csv"}.items():
        yield "CSV", f"{name} instead", lambda path=path: catalog.from_csv(path, PARAMS), None
    for name, (data, right) in PROFILES.items():
        yield "profile", name, lambda data=data: profile(folder, data), right
        yield "params.yml", name, lambda data=data: of_run(folder, data), right and Params(**right)
    yield "profile", "a folder instead", lambda: read_mapping(folder), None
    for name in ("../demo", "/etc/passwd", "demo.yml", "", ".", "demo\0", "x" * 10**5, "demo\n"):
        yield "profile", f"the name {name!r:.20}", lambda name=name: profiles.read_profile(name), None
    for name, default in Params().to_mapping().items():
        wrong = {"a list": [], "a mapping": {}, "nothing": None, "bytes": b"x", "not a number": float("nan")}
        wrong |= {"infinity": float("inf"), "10^400": 10**400, "less than nothing": -1}
        wrong["another type"] = 1 if isinstance(default, str | bool) else "text"
        for what, value in wrong.items():
            yield (
                "parameter",
                f"{name}: {what}",
                lambda name=name, value=value: Params.from_mapping({name: value}),
                None,
            )
    for name, value in HUGE.items():
        yield "parameter", f"{name}: {value}", lambda name=name, value=value: Params.from_mapping({name: value}), None
    long = {"segment_seconds": 600.0, "n_fft": 65_536, "hop_length": 1}
    large = {"image_height": 4_096, "image_width": 4_096, "batch_size": 65_536}
    for name, values in {"a transform of terabytes": long, "a batch of terabytes": large}.items():
        yield "parameter", name, functools.partial(Params.from_mapping, values), None
    texts = ("seed", "seed=", "=3", "seed=two", "seed=[1", "seed=2.5", "seed=!!int ''", "sead=3", "crop=1", "seed=*a")
    for text in (*texts, "seed=\0"):
        yield "--set", repr(text), lambda text=text: profiles.checked({}, [text], Params().to_mapping()), None


def tracks(folder: Path, data: bytes) -> list[tuple[str, str, str]]:
    """What a catalog makes of a CSV: a fault that is there is a question mark."""
    (folder / "tracks.csv").write_bytes(data)
    found = catalog.from_csv(folder / "tracks.csv", PARAMS)
    return [(row.track_id, row.genre, "?" if row.fault else "") for row in found.itertuples()]


def profile(folder: Path, data: bytes) -> dict[str, Any]:
    """As ``run --profile`` reads it."""
    (folder / "a.yml").write_bytes(data)
    return profiles.checked(read_mapping(folder / "a.yml"), [], Params().to_mapping())


def of_run(folder: Path, data: bytes) -> Params:
    """As a run folder reads it."""
    (folder / "params.yml").write_bytes(data)
    return RunFolder(folder).params


def outcome(ask: Callable[[], Any], right: Any) -> tuple[str, str]:
    """How it went, and why if not well."""
    try:
        found = ask()
    except (CatalogError, ParamsError) as error:
        return ("typed", "") if right is None else ("wrong", f"{error!s:.200}")
    except GenreUtilsError as error:
        return "wrong", f"{error!r:.200}"
    except Exception as error:
        return "crash", f"{error!r:.200}"
    return ("right", "") if right is not None and found == right else ("wrong", f"{found!r:.200}")


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__)
    parser.add_argument("--short", action="store_true", help="nothing is left out: it takes seconds")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (corpus.ADDRESS_BYTES,) * 2)
    about = shared.machine(("pandas", "pyyaml", "numpy"))
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, name, ask, right in cases(Path(temporary)):
            started = time.perf_counter()
            how, why = outcome(ask, right)
            seconds = time.perf_counter() - started
            nothing = dict.fromkeys(("n", "right", "typed", "crash", "wrong", "slowest"), 0)
            row = rows.setdefault(kind, {"kind": kind} | nothing)
            row |= {"n": row["n"] + 1, how: row[how] + 1, "slowest": max(row["slowest"], seconds)}
            if why:
                print(f"{how}: {kind}, {name}: {why}")
    found = list(rows.values())
    shared.show(found)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    bad = sum(row["crash"] + row["wrong"] + (row["slowest"] > MOST_SECONDS) for row in found)
    bad += peak_mb > corpus.MOST_MB
    asked = sum(row["n"] for row in found)
    ratios = {"settings": float(asked), "as expected, share": 1 - bad / asked}
    ratios["peak memory / limit"] = peak_mb / corpus.MOST_MB
    print(f"\n{asked} settings, {bad} not as expected, peak {peak_mb:.0f} MB")
    shared.save(options.json, about, shared.shown(ratios), found)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
