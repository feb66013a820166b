"""The demo data sets: ten genres of short pieces, composed and synthesised offline from one table."""

import csv
import io
import itertools
import json
import os
import shutil
from pathlib import Path

import joblib
import numpy as np
import soundfile

from genre_utils.datasets.demo.arrangement import Take, arrange
from genre_utils.datasets.demo.styles import FIRST, GENRES, LAST, MOOD, PARTNER, SECTIONS, THING
from genre_utils.datasets.demo.synthesis import SAMPLE_RATE_HZ, SAMPLES, chord_tones, master, persona
from genre_utils.errors import CatalogError, ParamsError
from genre_utils.params import SPLITS
from genre_utils.paths import given
from genre_utils.system import cluster, disk
from genre_utils.system.progress import progress

LABEL = "demo.json"  # version and settings of a rendered set
VERSION = 6  # raise it whenever a sample changes: older sets are then rendered again
# Tracks and artists per genre. A fifth of demo is for testing, by about 40 artists.
SIZES = {"demo": (24, 10), "demo-mixed": (20, 10)}


def compose(genre: str, artist: int, track: int, seed: int, mixed: bool = False) -> np.ndarray:
    """Compose, play, record and master one track.

    Parameters
    ----------
    genre : str
        One of ``GENRES``: the artist's.
    artist, track : int
        Numbers of the artist, and of the piece.
    seed : int
        Another seed gives other artists and pieces.
    mixed : bool
        In two genres, the artist's and its ``PARTNER``; see ``arrangement.arrange``.

    Returns
    -------
    np.ndarray [shape=(661500,), dtype=float32]
        30 s at 22,050 Hz, mono, at most 0.95 in magnitude, without DC.
    """
    rng = np.random.default_rng([seed, GENRES.index(genre), artist, track])
    style, who = arrange(genre, artist, track, seed, mixed), persona(genre, artist, seed)
    take = Take(style, who, rng)
    bars = int(np.ceil(30 / take.bar_seconds))
    form = style.feel.form
    for bar in range(bars):
        place = bar * len(form) // bars
        section, last = form[place], (bar + 1) * len(form) // bars > place
        drums, bass, comp, lead = np.array(SECTIONS[section]) * who.balance
        chords = (style.harmony.chorus if section == "c" else style.harmony.verse).split()
        chord = chord_tones(chords[bar % len(chords)])
        take.play_drums(bar, section, last, drums)
        take.play_part(bar, style.bass, chord, bass)
        take.play_part(bar, style.comp, chord, 0.8 * comp)
        take.play_lead(bar, section, chord, lead)
    return master(take.mix[:SAMPLES], who, rng)


def write_track(folder: Path, row: dict[str, str], genre: str, artist: int, track: int, seed: int) -> None:
    """Compose one track and write its file; ``genre`` is the artist's, the row may hold two."""
    cluster.leave_with_parent()
    path = folder / row["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = compose(genre, artist, track, seed, mixed=row["genre"] != genre)
    soundfile.write(wav := io.BytesIO(), sound, SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
    path.write_bytes(wav.getbuffer())  # libsndfile would not report why a disk refuses


def track_list(tracks_per_genre: int, artists_per_genre: int, seed: int, mixed: bool = False) -> list[dict[str, str]]:
    """The rows of ``tracks.csv``: no name twice; the last two fifths of a genre's artists validate and test."""
    fifth = max(1, artists_per_genre // 5) if artists_per_genre >= len(SPLITS) else 0
    splits = ["train"] * (artists_per_genre - 2 * fifth) + ["validation"] * fifth + ["test"] * fifth
    rng = np.random.default_rng([seed, 3])
    artists = rng.permutation([f"{first} {last}" for first in FIRST.split() for last in LAST.split()])
    titles = rng.permutation([f"{mood} {thing}" for mood in MOOD.split() for thing in THING.split()])
    rows = []
    for place, genre in enumerate(GENRES):
        for track in range(tracks_per_genre):
            turn, artist = divmod(track, artists_per_genre)
            labels = sorted({genre, PARTNER[genre]}) if mixed and turn % 2 else [genre]
            rows.append(
                {
                    "path": f"{'-'.join(labels)}/{'-'.join(labels)}.{track:05d}.wav",
                    "genre": "|".join(labels),
                    "artist": str(artists[place * artists_per_genre + artist]),
                    "title": str(titles[(place * tracks_per_genre + track) % len(titles)]),
                    "published_split": splits[artist],
                }
            )
    return rows


def render(
    folder: str | Path, tracks_per_genre: int = 30, artists_per_genre: int = 10, seed: int = 0, mixed: bool = False
) -> Path:
    """Render a demo data set into a folder; one that already holds it is not changed.

    Parameters
    ----------
    folder : str or Path
        Will hold ``<genre>/<genre>.00000.wav`` ..., their ``tracks.csv``, and ``demo.json``.
    tracks_per_genre : int
        30 s tracks in each of the ten genres.
    artists_per_genre : int
        They play the tracks in turn.
    seed : int
        The same seed gives the same bytes on the same machine.
    mixed : bool
        Every second track of an artist is in two genres, its own and their ``PARTNER``; both are in the column
        genre, as ``blues|rock``. The other tracks are the same recordings as without.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ParamsError
        If a number is out of range.
    CatalogError
        If the folder holds other files, which are never overwritten.

    References
    ----------
    Notebook: 01_eda.
    """
    folder = given(folder)
    most = len(FIRST.split()) * len(LAST.split()) // len(GENRES)
    if tracks_per_genre < 1 or not 1 <= artists_per_genre <= most or seed < 0:
        raise ParamsError(
            f"tracks_per_genre must be 1 or more, artists_per_genre in [1, {most}] and seed 0 or more. "
            f"Received: {tracks_per_genre!r}, {artists_per_genre!r}, {seed!r}."
        )
    folder = Path(folder).absolute()
    made = {"version": VERSION, "tracks": tracks_per_genre, "artists": artists_per_genre, "seed": seed}
    made |= {"mixed": True} if mixed else {}
    rows = track_list(tracks_per_genre, artists_per_genre, seed, mixed)
    partial, old = (folder.with_name(f".{folder.name}.{state}") for state in ("partial", "old"))
    label = folder / LABEL

    def complete() -> bool:
        files = (folder / row["path"] for row in rows)
        return label.is_file() and all(map(Path.is_file, files)) and json.loads(label.read_text()) == made

    if complete():  # the folder may be read-only
        return folder
    with disk.lock(folder.with_name(f".{folder.name}.lock")), disk.writing(folder):
        if complete():  # by another run meanwhile
            return folder
        if not label.is_file() and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CatalogError(f"{folder} holds other files than a demo data set. Name an empty or new folder.")
        for leftover in (partial, old):  # of a killed run
            shutil.rmtree(leftover, ignore_errors=True)
        jobs = (
            joblib.delayed(write_track)(partial, row, genre, track % artists_per_genre, track, seed)
            for row, (genre, track) in zip(rows, itertools.product(GENRES, range(tracks_per_genre)), strict=True)
        )
        played = joblib.Parallel(os.cpu_count(), return_as="generator")(jobs)
        for _ in progress(played, len(rows), f"composing {folder.name}"):
            pass
        with (partial / "tracks.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, fieldnames=rows[0])
            table.writeheader()
            table.writerows(rows)
        (partial / LABEL).write_text(json.dumps(made))
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    return folder
