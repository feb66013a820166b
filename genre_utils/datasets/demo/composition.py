"""The embedded data sets: ten genres of short pieces, composed and synthesised from one table, offline."""

import csv
import dataclasses
import functools
import io
import itertools
import json
import os
import shutil
from pathlib import Path

import joblib
import numpy as np
import soundfile

from genre_utils.datasets.demo.styles import (
    FIRST,
    GENRES,
    LAST,
    MOOD,
    NO_DRUMS,
    PARTNER,
    SCALES,
    SECTIONS,
    STYLES,
    THING,
    VOICES,
    Lead,
    Part,
    Style,
)
from genre_utils.datasets.demo.synthesis import (
    SAMPLE_RATE_HZ,
    SAMPLES,
    Persona,
    chord_tones,
    drum_kit,
    master,
    persona,
    strike,
)
from genre_utils.errors import CatalogError, ParamsError
from genre_utils.params import SPLITS
from genre_utils.paths import given
from genre_utils.system import cluster, disk
from genre_utils.system.progress import progress

LABEL = "demo.json"  # what made the set
VERSION = 6  # to be raised whenever a sample changes: older sets are then rendered again
# For each part (drums, bass, ...) the chance that an artist takes it from a neighbouring genre, and then again that
# a track does: enough to leave mistakes worth exploring, few enough to leave something to learn.
BORROW = 0.08
# Tracks and artists a genre. Of demo a fifth is tested, by some 40 artists.
SIZES = {"demo": (24, 10), "demo-mixed": (20, 10)}


def arrange(genre: str, artist: int, track: int, seed: int, mixed: bool = False) -> Style:
    """The style that a track is played in: its genre's, some parts borrowed, the tempo settled.

    Parameters
    ----------
    genre : str
        One of ``GENRES``.
    artist, track, seed : int
        As for `compose`.
    mixed : bool
        In two genres: feel, drums and bass are one's, accompaniment, tune and harmony the other's, and nothing is
        borrowed. Which is which changes from artist to artist.

    Returns
    -------
    Style
        ``feel.bpm`` is the tempo of this very track.
    """
    style = STYLES[genre]
    by_artist = np.random.default_rng([seed, GENRES.index(genre), artist, 0, 2])
    by_track = np.random.default_rng([seed, GENRES.index(genre), artist, track, 3])
    if mixed:
        other = STYLES[PARTNER[genre]]
        rhythm, tune = (style, other) if (GENRES.index(genre) + artist) % 2 else (other, style)
        style = dataclasses.replace(rhythm, comp=tune.comp, lead=tune.lead, harmony=tune.harmony)
    for rng in () if mixed else (by_artist, by_track):
        for part in ("feel", "drums", "bass", "comp", "lead", "harmony"):
            lender = STYLES[str(rng.choice(style.neighbours))]
            if rng.random() < BORROW and not (part == "drums" and style.drums is NO_DRUMS):
                style = dataclasses.replace(style, **{part: getattr(lender, part)})
    bpm = style.feel.bpm * persona(genre, artist, seed).tempo * by_track.uniform(0.95, 1.05)
    return dataclasses.replace(style, feel=dataclasses.replace(style.feel, bpm=bpm))


def melody(lead: Lead, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """A phrase of two bars: a random walk on the scale that answers itself.

    Parameters
    ----------
    lead : Lead
        Gives the density.
    rng : np.random.Generator
        Of the tune.

    Returns
    -------
    list of (step, degree, length)
        Step and length in sixteenths, degree on the scale, 0 the key's root.
    """
    onsets = np.flatnonzero(rng.random(8) < lead.density) * 2
    onsets = onsets if len(onsets) else np.array([0])
    walk = np.clip(np.cumsum(rng.choice([-2, -1, -1, 1, 1, 2], len(onsets))) + rng.integers(0, 5), -2, 8)
    answer = np.append(walk[:-1], 0)  # the second bar repeats the first and comes home
    steps = np.concatenate([onsets, onsets + 16])
    lengths = np.minimum(np.diff(steps, append=32), 8)
    return list(zip(steps.tolist(), np.concatenate([walk, answer]).tolist(), lengths.tolist(), strict=True))


class Take:
    """A track while it is recorded: parts are played onto one mix, bar by bar."""

    def __init__(self, style: Style, who: Persona, rng: np.random.Generator) -> None:
        self.style = style
        self.who = who
        self.rng = rng
        self.bar_seconds = 240 / style.feel.bpm
        self.key = int(rng.integers(-5, 7))
        self.kit = drum_kit(style.drums.kit, who.drum_tune, rng)
        self.phrases = {section: melody(style.lead, rng) for section in "vcb"}
        self.mix = np.zeros(SAMPLES + 8 * SAMPLE_RATE_HZ, np.float32)  # room for what rings on after the cut
        self.strike = functools.cache(strike)  # notes come back, and a tone is slow to make

    def add(self, bar: int, step: int, wave: np.ndarray, level: float) -> None:
        """Put one sound where its sixteenth is, swung, in human time and at human force."""
        swung = step // 4 * 4 + np.interp(step % 4, (0, 2, 4), (0, 2 + self.style.feel.swing, 4))
        human = max(self.rng.normal(0, 0.004), -0.01)  # nobody plays exactly on the grid
        start = max(0, round(((bar + swung / 16) * self.bar_seconds + human) * SAMPLE_RATE_HZ))
        self.mix[start : start + len(wave)] += np.float32(level * self.rng.uniform(0.8, 1)) * wave

    def note(self, voice: str, semitones: int) -> int:
        """The MIDI note, in the voice's lowest octave, that is so far above C in the track's key."""
        register = VOICES[voice].register
        return register + (semitones + self.key - register) % 12

    def struck(self, voice: str, notes: tuple[int, ...], sixteenths: float) -> np.ndarray:
        """What `synthesis.strike` makes of notes that are held for some sixteenths."""
        return self.strike(VOICES[voice], notes, sixteenths * self.bar_seconds / 16, self.who)

    def play_drums(self, bar: int, section: str, fill: bool, level: float) -> None:
        """One bar of the kit; a fill leads into the next section."""
        drums = self.style.drums
        level = level * 2 * drums.level  # a stroke is short: at equal peaks the kit would drown
        lines = dataclasses.asdict(drums)
        if fill and drums is not NO_DRUMS:
            lines["snare"] = lines["snare"][:12] + "oxxx"
        for name, wave in self.kit.items():
            for step, mark in enumerate(lines[name]):
                if mark != "." and (section != "i" or name in ("hat", "kick")):
                    self.add(bar, step, wave, level * (0.5 if mark == "o" else 1))

    def play_part(self, bar: int, part: Part, chord: tuple[int, ...], level: float) -> None:
        """One bar of bass or accompaniment."""
        steps = [step for step, mark in enumerate(part.line) if mark != "."]
        root = self.note(part.voice, chord[0])
        tones = [root + semitones - chord[0] for semitones in chord]
        single = dict(zip("1357", tones + tones[:1], strict=False)) | {"8": root + 12}
        for step, following in itertools.pairwise([*steps, 16]):
            mark = part.line[step]
            notes = tuple(tones) if mark in "xo" else (single[mark],)
            wave = self.struck(part.voice, notes, (following - step) * part.hold)
            self.add(bar, step, wave, level * part.level * (0.6 if mark == "o" else 1) / len(notes) ** 0.5)

    def play_lead(self, bar: int, section: str, chord: tuple[int, ...], level: float) -> None:
        """One bar of the tune."""
        lead = self.style.lead
        scale = SCALES[lead.scale]
        for step, degree, length in self.phrases.get(section, ()):
            if step // 16 != bar % 2:
                continue
            note = 12 * (degree // len(scale)) + scale[degree % len(scale)]
            if step % 8 == 0:  # strong beats rest on the nearest tone of the chord
                note += min(((semitones - note + 6) % 12 - 6 for semitones in chord), key=abs)
            wave = self.struck(lead.voice, (self.note(lead.voice, 0) + note,), length * 0.95)
            self.add(bar, step % 16, wave, level * lead.level)


def compose(genre: str, artist: int, track: int, seed: int, mixed: bool = False) -> np.ndarray:
    """Compose, play, record and master one track.

    Parameters
    ----------
    genre : str
        One of ``GENRES``: the artist's.
    artist, track : int
        Who plays, and which of their pieces.
    seed : int
        Another seed is another world of artists.
    mixed : bool
        In two genres, the artist's and its ``PARTNER``, as :func:`arrange` says.

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
    """Compose one track into its file; the genre is the artist's, the row's may be two."""
    cluster.leave_with_parent()
    path = folder / row["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = compose(genre, artist, track, seed, mixed=row["genre"] != genre)
    soundfile.write(wav := io.BytesIO(), sound, SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
    path.write_bytes(wav.getbuffer())  # libsndfile would not say why a disk refuses


def track_list(tracks_per_genre: int, artists_per_genre: int, seed: int, mixed: bool = False) -> list[dict[str, str]]:
    """The rows of ``tracks.csv``; no name is used twice, and of each genre's artists the last fifths are held out."""
    fifth = max(1, artists_per_genre // 5) if artists_per_genre >= len(SPLITS) else 0
    sides = ["train"] * (artists_per_genre - 2 * fifth) + ["validation"] * fifth + ["test"] * fifth
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
                    "published_split": sides[artist],
                }
            )
    return rows


def render(
    folder: str | Path, tracks_per_genre: int = 30, artists_per_genre: int = 10, seed: int = 0, mixed: bool = False
) -> Path:
    """Fill a folder with a demo data set; one that already holds it is left as it is.

    Parameters
    ----------
    folder : str or Path
        Will hold ``<genre>/<genre>.00000.wav`` ..., their ``tracks.csv``, and ``demo.json``: what made it.
    tracks_per_genre : int
        30 s tracks in each of the ten genres.
    artists_per_genre : int
        Who play them in turn.
    seed : int
        Same seed, same bytes, on the same machine.
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
        If a number is impossible.
    CatalogError
        If the folder holds something else, which is never overwritten.

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

    def whole() -> bool:
        files = (folder / row["path"] for row in rows)
        return label.is_file() and all(map(Path.is_file, files)) and json.loads(label.read_text()) == made

    if whole():  # which needs no right to write
        return folder
    with disk.lock(folder.with_name(f".{folder.name}.lock")), disk.writing(folder):
        if whole():  # by another run, meanwhile
            return folder
        if not label.is_file() and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CatalogError(f"{folder} holds something other than a demo set. Name an empty or new folder.")
        for leftover in (partial, old):  # of a run that was killed
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
