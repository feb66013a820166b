"""FMA's small set in practice, with stand-ins: 8,000 tracks through the run of the profile fma_small.

The set itself is a download of 7.2 GiB. Its stand-ins are demo tracks as MP3, ten hard links to each, in FMA's
folders, with tables of the same form. What they cost is the same; what they sound like is not.

    python -m benchmarks.speed.fma --json fma.json                       # all 8,000; epochs and probe in a small number
    python -m benchmarks.speed.fma --tracks 800 --json fma.json

Printed: seconds and peak memory of each notebook, the size of the explorer and of the run, and, from the seconds of one
epoch, what the 30 epochs of the profile take.
"""

import contextlib
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
import pandas as pd
import psutil
import soundfile

from benchmarks import shared
from genre_utils.datasets import fma
from genre_utils.datasets.demo import composition, styles
from genre_utils.paths import CACHE
from genre_utils.runs import profiles

TRACKS = 8_000
LINKS = 10  # to each MP3: copies are by one artist, who is on one side of the split
ARTISTS = 20  # of a genre, each with as many MP3s; a tenth of them is tested
TOPS = {12: "Rock", 21: "Hip-Hop", 2: "International", 10: "Pop", 15: "Electronic", 17: "Folk", 38: "Experimental",
        1235: "Instrumental"}  # fmt: skip
SUBS = 100  # a sub-genre of each: its number is that of the genre and so much
LICENCES = (
    "Attribution-NonCommercial-ShareAlike 3.0 International",
    "Attribution-NonCommercial-NoDerivatives (aka Music Sharing) 3.0 International",
    "Attribution",
)
EPOCHS = 1  # that are measured
PROBED = 400  # tracks of notebook 7
PER_FOLDER = 1_000


def encoded(genre: str, artist: int, track: int, path: Path) -> None:
    """Compose a track and write it as MP3."""
    sound = composition.compose(genre, artist, track, seed=1)
    soundfile.write(path, sound, composition.SAMPLE_RATE_HZ, format="MP3")


def stand_ins(folder: Path, tracks: int) -> Path:
    """A folder of FMA's form with so many tracks; ``fma_small`` and ``fma_metadata`` in it."""
    each = max(1, tracks // len(TOPS) // LINKS)  # MP3s of a genre
    sounds = folder / "sounds"
    sounds.mkdir(parents=True)
    jobs, rows = [], []
    for place, (number, name) in enumerate(TOPS.items()):
        for track in range(each):
            artist = track * min(ARTISTS, each) // each
            path = sounds / f"{place}-{track}.mp3"
            jobs.append(joblib.delayed(encoded)(styles.GENRES[place], artist % 10, track, path))
            turn = artist % 10
            split = "test" if turn == 9 else "validation" if turn == 8 else "training"
            genres = [number, number + SUBS] if track % 2 else [number]
            for copy in range(LINKS):
                fields = [
                    f"Artist {place}-{artist}",
                    split,
                    "small",
                    name,
                    genres,
                    LICENCES[track % 3],
                    f"Song {track}-{copy}",
                ]
                rows.append((path, fields))
    joblib.Parallel(-1)(jobs)
    clips, tables = folder / "fma_small", folder / "fma_metadata"
    tables.mkdir()
    heads = [fma.FIELDS[name] for name in ("artist", "split", "subset", "genre", "genres", "licence", "title")]
    with (tables / fma.TABLE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["", *(head for head, _ in heads)])
        table.writerow(["", *(name for _, name in heads)])
        table.writerow(["track_id", *("" for _ in heads)])
        for number, (path, fields) in enumerate(rows, start=2):
            clip = clips / f"{number // PER_FOLDER:03}" / f"{number:06}.mp3"
            clip.parent.mkdir(parents=True, exist_ok=True)
            clip.hardlink_to(path)
            table.writerow([number, *fields])
    with (tables / fma.GENRES).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["genre_id", "#tracks", "parent", "title", "top_level"])
        for number, name in TOPS.items():
            table.writerow([number, 0, 0, name, number])
            table.writerow([number + SUBS, 0, number, f"{name} two", number])
    return clips


def measured(words: list[str], out: Path) -> dict[str, float]:
    """Seconds of a command, and the most memory that it and all that it has started have to themselves, in MB."""
    started, peak = time.perf_counter(), 0
    process = psutil.Popen(words, stdout=out.open("a"), stderr=subprocess.STDOUT, env=shared.environment())
    while process.poll() is None:
        used = 0
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    memory = one.memory_info()
                    used += memory.rss - memory.shared  # pages of files, such as the store's, can be given back
        peak = max(peak, used)
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}:\n{out.read_text()[-3_000:]}")
    return {"seconds": time.perf_counter() - started, "peak_mb": peak / 1e6}


def size_mb(folder: Path) -> float:
    """Of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__)
    parser.add_argument("--tracks", type=int, default=TRACKS)
    parser.add_argument("--folder", type=Path, help="where stand-ins and run are kept")
    parser.add_argument("--notebooks", default="1,2,3,4,7", help="in this order")
    options = parser.parse_args()
    if not {"2", "3"} <= {*options.notebooks.split(",")}:
        parser.error("--notebooks must have 2 and 3: their seconds are compared.")
    about = shared.machine(("joblib", "numpy", "scipy", "soundfile", "tensorflow"), tracks=options.tracks)
    CACHE.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(dir=CACHE)))
        clips, run = folder / "fma_small", folder / "run"
        if run.exists():
            parser.error(f"{run} exists: what is done would not be measured again. Move it away.")
        if not clips.exists():
            stand_ins(folder, options.tracks)
        command = [sys.executable, "-m", "genre_utils", "run"]
        settings = {"dataset": clips, "max_epochs": EPOCHS, "lesson_epochs": EPOCHS, "transfer_tracks": PROBED}
        first = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        rows = []
        for number in options.notebooks.split(","):
            words = ["--continue", str(run)] if run.exists() else ["--profile", "fma_small", *first, "--out", str(run)]
            row = {"notebook": int(number)} | measured([*command, *words, "--notebooks", number], folder / "log.txt")
            rows.append(row)
            print(f"notebook {number}: {row['seconds']:7.1f} s, {row['peak_mb']:7.0f} MB", flush=True)
        history = pd.read_csv(run / "history.csv")
        epoch = float(history["seconds"].median())
        epochs = profiles.read_profile("fma_small")["max_epochs"]
        sizes = {"explorer_mb": size_mb(run / "explorer"), "run_mb": size_mb(run)}
        for name, size in sizes.items():
            print(f"{name}: {size:.0f}")
        print(f"one epoch: {epoch:.0f} s; {epochs} epochs: {epochs * epoch / 3600:.1f} hours")
    ratios = {
        "seconds_of_an_epoch_to_those_of_the_extraction": epoch
        / next(row["seconds"] for row in rows if row["notebook"] == 2)
    }
    shared.save(options.json, about, shared.shown(ratios), rows, **sizes, epoch_seconds=epoch, epochs=epochs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
