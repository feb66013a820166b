"""The embedded data set: ten genres of short pieces, composed and synthesised from one table, offline."""

import csv
import dataclasses
import functools
import itertools
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import scipy.fft
import soundfile
from filelock import FileLock

from genre_utils.errors import CatalogError, ParamsError
from genre_utils.progress import progress

VERSION = 1  # to be raised whenever a sample changes: older sets are then rendered again
SAMPLE_RATE_HZ = 22_050
SAMPLES = 30 * SAMPLE_RATE_HZ
RELEASE_SECONDS = 0.03  # shorter ends are heard, and seen in the spectrogram, as clicks
# For each part (drums, bass, ...) the chance that an artist takes it from a neighbouring genre, and then again
# that a track does. At 0 the mean and deviation of each mel band tell 82 % of the segments of unseen tracks, at
# 0.12 some 65 % (a small CNN 80 %): enough mistakes to explore, and enough to learn.
BORROW = 0.12


@dataclass(frozen=True)
class Voice:
    """An instrument: harmonics, their envelope, and what a player or an amplifier adds."""

    register: int  # lowest root as a MIDI note
    attack_seconds: float
    fade: float  # decay of the fundamental, 1/s; harmonic k fades k times as fast, as on a string
    rolloff: float  # harmonic k starts at k ** -rolloff
    even: float = 1.0  # level of even harmonics: 0 is a square wave or a clarinet
    pick: float = 0.0  # where the string is plucked, as a fraction; harmonics with a node there vanish
    vibrato: float = 0.0  # relative frequency deviation
    detune: float = 0.0  # relative mistuning of a second player
    formant_hz: float = 0.0  # centre of a resonance that stays when the pitch moves: throat or bell
    drop: float = 0.0  # the pitch starts this many times higher: kick drums and 808 basses
    drive: float = 0.0  # gain into a tanh amplifier; 0 is clean


VOICES = {
    "upright": Voice(28, 0.008, 1.6, 1.5, pick=0.3),
    "fingers": Voice(28, 0.004, 1.0, 1.1, pick=0.2, drive=0.8),
    "synth bass": Voice(28, 0.003, 1.2, 0.9, drive=1.5),
    "808": Voice(26, 0.003, 0.9, 2.6, drop=1.0, drive=1.5),
    "cello": Voice(36, 0.07, 0.1, 1.2, vibrato=0.003, detune=0.002),
    "piano": Voice(52, 0.003, 1.0, 1.3, detune=0.0004),
    "rhodes": Voice(50, 0.004, 0.9, 2.2, even=0.4, detune=0.001),
    "organ": Voice(50, 0.008, 0.0, 1.0, even=1.3, vibrato=0.002, detune=0.003),
    "acoustic guitar": Voice(47, 0.002, 0.7, 0.9, pick=0.13),
    "clean guitar": Voice(52, 0.002, 0.8, 1.0, pick=0.22, detune=0.001),
    "crunch guitar": Voice(45, 0.003, 0.25, 1.0, pick=0.17, drive=2.5),
    "metal guitar": Voice(38, 0.002, 0.15, 0.8, pick=0.08, drive=9.0),
    "strings": Voice(55, 0.09, 0.0, 1.1, vibrato=0.003, detune=0.004),
    "pad": Voice(52, 0.06, 0.0, 1.4, detune=0.006),
    "banjo": Voice(60, 0.001, 1.4, 0.6, pick=0.06),
    "fiddle": Voice(66, 0.04, 0.05, 0.9, vibrato=0.004, formant_hz=2500),
    "flute": Voice(70, 0.05, 0.0, 2.4, vibrato=0.004),
    "sax": Voice(58, 0.03, 0.0, 1.0, vibrato=0.005, formant_hz=1100),
    "singer": Voice(62, 0.04, 0.0, 1.1, vibrato=0.006, formant_hz=800),
    "rapper": Voice(48, 0.02, 1.5, 0.9, vibrato=0.002, formant_hz=1300),
    "lead guitar": Voice(60, 0.006, 0.2, 1.0, vibrato=0.004, pick=0.2, drive=4.0),
    "synth lead": Voice(66, 0.005, 0.3, 0.9, even=0.3, detune=0.005),
}


@dataclass(frozen=True)
class Feel:
    """Tempo, swing (how late the off-beat eighth is, in sixteenths) and form (six sections of some 5 s)."""

    bpm: float
    swing: float
    form: str  # intro, verse, chorus, break


@dataclass(frozen=True)
class Drums:
    """A drum kit and its bar of sixteenths: x loud, o soft."""

    kit: str
    kick: str
    snare: str
    hat: str
    cymbal: str  # open hat or ride
    level: float = 1.0


@dataclass(frozen=True)
class Part:
    """A voice and its bar of sixteenths: x or o the chord, loud or soft; 1 3 5 7 8 one tone of it."""

    voice: str
    line: str
    hold: float  # fraction of the time to the next note that is held
    level: float = 1.0


@dataclass(frozen=True)
class Lead:
    """Who has the tune, on which scale, and the chance of a note on each eighth."""

    voice: str
    scale: str
    density: float
    level: float = 1.0


@dataclass(frozen=True)
class Harmony:
    """Chords as if in C, one a bar."""

    verse: str
    chorus: str


@dataclass(frozen=True)
class Style:
    """A genre: one row of the table that all the music comes from."""

    feel: Feel
    drums: Drums
    bass: Part
    comp: Part
    lead: Lead
    harmony: Harmony
    neighbours: tuple[str, ...]


NO_DRUMS = Drums("none", "", "", "", "")
STYLES = {
    "blues": Style(
        Feel(92, 0.6, "ivvcbc"),
        Drums("acoustic", "x.......x.....o.", "....x.......x...", "x.x.x.x.x.x.x.x.", ""),
        Part("fingers", "1...3...5...7...", 0.9),
        Part("organ", "x.....x...o...x.", 0.6, 0.8),
        Lead("lead guitar", "blues", 0.5),
        Harmony("C7 F7 C7 C7 F7 F7 C7 C7 G7 F7 C7 G7", "C7 C7 F7 C7 G7 F7 C7 G7"),
        neighbours=("rock", "jazz", "country"),
    ),
    "classical": Style(
        Feel(84, 0.0, "ivvbcv"),
        NO_DRUMS,
        Part("cello", "1.......5.......", 1.0),
        Part("piano", "1.3.5.8.5.3.5.3.", 1.5, 1.1),
        Lead("strings", "major", 0.35, 1.1),
        Harmony("C Am F G C Dm G C", "Am E Am Dm G C E Am"),
        neighbours=("jazz", "pop"),
    ),
    "country": Style(
        Feel(116, 0.1, "ivcvbc"),
        Drums("acoustic", "x.......x.......", "....o.......o...", "..x...x...x...x.", ""),
        Part("upright", "1.......5.......", 0.8),
        Part("acoustic guitar", "1.x.x.x.5.x.x.x.", 0.9, 1.2),
        Lead("fiddle", "pentatonic", 0.55, 0.8),
        Harmony("C C F C C C G G", "F F C C G G C C"),
        neighbours=("pop", "rock", "blues"),
    ),
    "disco": Style(
        Feel(120, 0.0, "ivcvbc"),
        Drums("tight", "x...x...x...x...", "....x.......x...", "x.o.x.o.x.o.x.o.", "..x...x...x...x.", 1.4),
        Part("synth bass", "1.8.1.8.1.8.1.8.", 0.7),
        Part("clean guitar", "..o.x.ox..o.x.xo", 0.4, 1.1),
        Lead("strings", "dorian", 0.45),
        Harmony("Am7 Am7 Dm7 G7", "Fmaj7 G7 Em7 Am7"),
        neighbours=("pop", "hiphop"),
    ),
    "hiphop": Style(
        Feel(88, 0.3, "ivcvbv"),
        Drums("808", "x.....x...x.....", "....x.......x...", "x.x.x.xox.x.xoxo", "", 1.3),
        Part("808", "1.....1...1...5.", 0.9, 1.3),
        Part("rhodes", "x......1..3.5...", 0.9, 0.7),
        Lead("rapper", "minor", 0.75, 0.9),
        Harmony("Am7 Am7 Fmaj7 Em7", "Dm7 Am7 Em7 Am7"),
        neighbours=("reggae", "disco", "pop"),
    ),
    "jazz": Style(
        Feel(138, 0.62, "ivvbvc"),
        Drums("brushes", "o...............", "....o..o....o...", "....x.......x...", "x...x.x.x...x.x.", 0.7),
        Part("upright", "1...3...5...7...", 0.95, 1.1),
        Part("piano", "x.....x.......o.", 0.6, 0.8),
        Lead("sax", "dorian", 0.6),
        Harmony("Dm7 G7 Cmaj7 Am7", "Em7 A7 Dm7 G7 Cmaj7 Fmaj7 Dm7 G7"),
        neighbours=("blues", "classical"),
    ),
    "metal": Style(
        Feel(152, 0.0, "icvcbc"),
        Drums("heavy", "xoxoxoxoxoxoxoxo", "....x.......x...", "x...x...x...x...", "x.......x.......", 1.2),
        Part("fingers", "1.111.111.111.1.", 0.7),
        Part("metal guitar", "x.oox.oox.oox.x.", 0.8, 1.2),
        Lead("lead guitar", "minor", 0.6, 0.6),
        Harmony("C5 C5 C5 Db5 C5 C5 Eb5 Db5", "C5 Ab5 Bb5 G5"),
        neighbours=("rock",),
    ),
    "pop": Style(
        Feel(112, 0.0, "ivcvbc"),
        Drums("tight", "x.....x.x.......", "....x.......x...", "x.x.x.x.x.x.x.x.", "..............x."),
        Part("synth bass", "1.1.1.1.1.1.1.1.", 0.85),
        Part("pad", "x.......x.......", 1.0, 0.9),
        Lead("singer", "major", 0.6, 1.1),
        Harmony("C G Am F", "F G Am C F G C C"),
        neighbours=("disco", "country", "rock"),
    ),
    "reggae": Style(
        Feel(76, 0.25, "ivvcbv"),
        Drums("acoustic", "........x.......", "........x.....o.", "x.x.x.x.x.x.x.x.", ""),
        Part("fingers", "1..1..5...3.1...", 0.8, 1.4),
        Part("clean guitar", "....x.......x.x.", 0.25, 1.1),
        Lead("singer", "pentatonic", 0.45, 0.9),
        Harmony("C F C F", "Am Dm G C"),
        neighbours=("hiphop", "pop"),
    ),
    "rock": Style(
        Feel(126, 0.0, "ivcvbc"),
        Drums("heavy", "x.....x.x.x.....", "....x.......x...", "x.x.x.x.x.x.x.x.", "x..............."),
        Part("fingers", "1.1.1.1.1.1.1.5.", 0.85),
        Part("crunch guitar", "x.x.o.x.o.x.x.o.", 0.9, 1.1),
        Lead("lead guitar", "pentatonic", 0.45, 0.8),
        Harmony("C5 C5 F5 C5 Bb5 F5 C5 C5", "A5 F5 C5 G5"),
        neighbours=("blues", "metal", "pop"),
    ),
}
GENRES = tuple(STYLES)

# kick Hz, then decays in 1/s: kick, snare, hat, cymbal; last the snare's tone Hz
KITS = {
    "none": (50, 1, 1, 1, 1, 180),
    "acoustic": (58, 11, 18, 60, 6, 190),
    "brushes": (62, 16, 14, 45, 4, 230),
    "tight": (52, 14, 24, 70, 16, 200),
    "heavy": (64, 15, 13, 40, 4, 170),
    "808": (42, 5, 20, 90, 12, 180),
}
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "blues": (0, 3, 5, 6, 7, 10),
}
QUALITIES = {"": (0, 4, 7), "m": (0, 3, 7), "7": (0, 4, 7, 10), "m7": (0, 3, 7, 10), "maj7": (0, 4, 7, 11)}
QUALITIES["5"] = (0, 7, 12)  # rock's power chord: no third, which distortion would turn to mud
SECTIONS = {  # levels of drums, bass, comp and lead
    "i": (0.5, 0.8, 1.0, 0.0),
    "v": (0.8, 1.0, 0.8, 0.8),
    "c": (1.0, 1.0, 1.1, 1.1),
    "b": (0.3, 0.9, 0.6, 1.0),
}
FIRST = "Amber Baron Cleo Dusty Ezra Fable Goldie Hazel Indigo Juno Kit Lark Milo Nova Otis Pearl"
LAST = "Ashdown Birdwhistle Crane Dunmore Fenn Galloway Hollow Ivory Juniper Kestrel Lowe Marrow"
MOOD = "Amber Broken Crooked Distant Electric Faded Golden Hidden Idle Last Midnight Paper Quiet Silver"
THING = "Avenue Bridge Candle Dancer Echo Harbour Island Kettle Lantern Mirror Orchard River Signal"


@dataclass(frozen=True)
class Persona:
    """What all tracks of an artist share: room, instruments, desk. Nothing here depends on the genre."""

    tempo: float
    tune_cents: float
    brightness: float  # subtracted from every rolloff
    drum_tune: float
    balance: tuple[float, ...]  # of drums, bass, comp and lead
    room_seconds: float  # for 60 dB
    room_mix: float
    tilt_db: float  # per octave, around 1 kHz
    level_db: float
    noise_db: float


def persona(genre: str, artist: int, seed: int) -> Persona:
    """Who this artist is."""
    rng = np.random.default_rng([seed, GENRES.index(genre), artist, 0, 1])  # 1: apart from the tracks' own
    return Persona(
        tempo=rng.uniform(0.92, 1.08),
        tune_cents=rng.uniform(-30, 30),
        brightness=rng.uniform(-0.3, 0.3),
        drum_tune=rng.uniform(0.8, 1.25),
        balance=tuple(10 ** (rng.uniform(-5, 5, size=4) / 20)),
        room_seconds=rng.uniform(0.2, 1.8),
        room_mix=rng.uniform(0.05, 0.4),
        tilt_db=rng.uniform(-1.5, 1.5),
        level_db=rng.uniform(-10, -1),
        noise_db=rng.uniform(-75, -50),
    )


def arrange(genre: str, artist: int, track: int, seed: int) -> Style:
    """The style that a track is played in: its genre's, some parts borrowed, the tempo settled.

    Parameters
    ----------
    genre : str
        One of ``GENRES``.
    artist, track, seed : int
        As for `compose`.

    Returns
    -------
    Style
        ``feel.bpm`` is the tempo of this very track.
    """
    style = STYLES[genre]
    by_artist = np.random.default_rng([seed, GENRES.index(genre), artist, 0, 2])
    by_track = np.random.default_rng([seed, GENRES.index(genre), artist, track, 3])
    for rng in (by_artist, by_track):
        for part in ("feel", "drums", "bass", "comp", "lead", "harmony"):
            lender = STYLES[str(rng.choice(style.neighbours))]
            if rng.random() < BORROW and not (part == "drums" and style.drums is NO_DRUMS):
                style = dataclasses.replace(style, **{part: getattr(lender, part)})
    bpm = style.feel.bpm * persona(genre, artist, seed).tempo * by_track.uniform(0.95, 1.05)
    return dataclasses.replace(style, feel=dataclasses.replace(style.feel, bpm=bpm))


def tone(voice: Voice, midi: float, seconds: float, brightness: float) -> np.ndarray:
    """One note of one voice.

    Parameters
    ----------
    voice : Voice
        The instrument.
    midi : float
        Pitch; 69 is 440 Hz, and fractions are cents.
    seconds : float
        Until the release, which adds ``RELEASE_SECONDS``.
    brightness : float
        Subtracted from the voice's rolloff.

    Returns
    -------
    np.ndarray [shape=(samples,), dtype=float32]
        Starts and ends at 0; harmonics below 9 kHz only.
    """
    hz = 440 * 2 ** ((midi - 69) / 12)
    t = np.arange(round((seconds + RELEASE_SECONDS) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    bent = t - voice.vibrato / 35 * np.cos(35 * t) - voice.drop * 0.03 * np.exp(-t / 0.03)  # 35 rad/s: 5.6 Hz
    k = np.arange(1, 1 + min(max(int(9000 / hz), 1), 24))
    weights = k ** (brightness - voice.rolloff) * np.where(k % 2, 1, voice.even)
    if voice.pick:
        weights = weights * np.abs(np.sin(np.pi * k * voice.pick))
    if voice.formant_hz:
        weights = weights * (0.2 + np.exp(-(((k * hz - voice.formant_hz) / 500) ** 2)))
    wave = np.zeros(len(t), np.complex64)
    for ratio in (1 - voice.detune, 1 + voice.detune) if voice.detune else (1,):
        # The k-th power of a fading phasor is the k-th harmonic fading k times as fast: Horner adds them all.
        phasor = np.exp((2j * np.pi * hz * ratio) * bent - voice.fade * t).astype(np.complex64)
        harmonics = np.zeros(len(t), np.complex64)
        for weight in weights[::-1].astype(np.float32):
            harmonics += weight
            harmonics *= phasor
        wave += harmonics
    envelope = np.minimum(t / voice.attack_seconds, 1) * np.clip((t[-1] - t) / RELEASE_SECONDS, 0, 1)
    return (wave.imag / np.sqrt(np.sum(weights**2)) * envelope).astype(np.float32)


def chord_tones(name: str) -> tuple[int, ...]:
    """Semitones above C of a chord: C7 is (0, 4, 7, 10)."""
    root = name[:2] if name[1:2] in ("b", "#") else name[:1]
    base = "C D EF G A B".index(root[0]) + root.count("#") - root.count("b")
    return tuple(base + step for step in QUALITIES[name[len(root) :]])


def drum_kit(kit: str, tune: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One stroke of each drum.

    Parameters
    ----------
    kit : str
        A row of ``KITS``.
    tune : float
        Factor on every pitch.
    rng : np.random.Generator
        Of the noise.

    Returns
    -------
    dict
        ``kick``, ``snare``, ``hat`` and ``cymbal``: float arrays of half a second, the last sample 0.
    """
    kick_hz, kick_fade, snare_fade, hat_fade, cymbal_fade, snare_hz = KITS[kit]
    t = np.arange(SAMPLE_RATE_HZ // 2) / SAMPLE_RATE_HZ
    end = np.clip((t[-1] - t) / RELEASE_SECONDS, 0, 1)
    hiss = rng.standard_normal((3, len(t)))
    treble = np.diff(hiss, n=2, append=0, prepend=0)[:, : len(t)]  # differences rise 12 dB an octave
    sweep = 2 * np.pi * kick_hz * tune * (t - 3 * 0.025 * np.exp(-t / 0.025))
    return {
        "kick": np.sin(sweep - sweep[0]) * np.exp(-kick_fade * t) * end,
        "snare": (0.5 * np.sin(2 * np.pi * snare_hz * tune * t) + 0.3 * hiss[0]) * np.exp(-snare_fade * t) * end,
        "hat": 0.1 * treble[1] * np.exp(-hat_fade * t) * end,
        "cymbal": 0.06 * treble[2] * np.exp(-cymbal_fade * t) * end,
    }


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


def compose(genre: str, artist: int, track: int, seed: int) -> np.ndarray:
    """Compose, play, record and master one track.

    Parameters
    ----------
    genre : str
        One of ``GENRES``.
    artist, track : int
        Who plays, and which of their pieces.
    seed : int
        Another seed is another world of artists.

    Returns
    -------
    np.ndarray [shape=(661500,), dtype=float32]
        30 s at 22,050 Hz, mono, at most 0.95 in magnitude, without DC.
    """
    rng = np.random.default_rng([seed, GENRES.index(genre), artist, track])
    style, who = arrange(genre, artist, track, seed), persona(genre, artist, seed)
    bar_seconds = 240 / style.feel.bpm
    bars = int(np.ceil(30 / bar_seconds))
    key = int(rng.integers(-5, 7))
    kit = drum_kit(style.drums.kit, who.drum_tune, rng)
    phrases = {section: melody(style.lead, rng) for section in "vcb"}
    mix = np.zeros(SAMPLES + 8 * SAMPLE_RATE_HZ, np.float32)  # room for what rings on after the cut

    @functools.cache
    def played(name: str, notes: tuple[int, ...], sixteenths: float) -> np.ndarray:
        voice, seconds = VOICES[name], sixteenths * bar_seconds / 16
        strings = [tone(voice, note + who.tune_cents / 100, seconds, who.brightness) for note in notes]
        wave = np.sum(strings, axis=0)
        return 0.4 * (np.tanh(voice.drive * wave) / np.tanh(voice.drive) if voice.drive else wave)

    def add(bar: int, step: int, wave: np.ndarray, level: float) -> None:
        swung = step // 4 * 4 + np.interp(step % 4, (0, 2, 4), (0, 2 + style.feel.swing, 4))
        human = max(rng.normal(0, 0.004), -0.01)  # nobody plays exactly on the grid
        start = max(0, round(((bar + swung / 16) * bar_seconds + human) * SAMPLE_RATE_HZ))
        mix[start : start + len(wave)] += level * rng.uniform(0.8, 1) * wave

    def play(bar: int, part: Part, chord: tuple[int, ...], level: float) -> None:
        steps = [step for step, mark in enumerate(part.line) if mark != "."]
        root = VOICES[part.voice].register + (chord[0] + key - VOICES[part.voice].register) % 12
        tones = [root + semitones - chord[0] for semitones in chord]
        single = dict(zip("1357", tones + tones[:1], strict=False)) | {"8": root + 12}
        for step, following in itertools.pairwise([*steps, 16]):
            mark = part.line[step]
            notes = tuple(tones) if mark in "xo" else (single[mark],)
            wave = played(part.voice, notes, (following - step) * part.hold)
            add(bar, step, wave, level * part.level * (0.6 if mark == "o" else 1) / len(notes) ** 0.5)

    for bar in range(bars):
        form = style.feel.form
        place = bar * len(form) // bars
        section, last = form[place], (bar + 1) * len(form) // bars > place
        drums, bass, comp, lead = np.array(SECTIONS[section]) * who.balance
        chords = (style.harmony.chorus if section == "c" else style.harmony.verse).split()
        chord = chord_tones(chords[bar % len(chords)])
        drums *= 2 * style.drums.level  # a stroke is short: at equal peaks the kit would drown
        lines = dataclasses.asdict(style.drums)
        if last and style.drums is not NO_DRUMS:
            lines["snare"] = lines["snare"][:12] + "oxxx"  # a fill leads into the next section
        for name, wave in kit.items():
            for step, mark in enumerate(lines[name]):
                if mark != "." and (section != "i" or name in ("hat", "kick")):
                    add(bar, step, wave, drums * (0.5 if mark == "o" else 1))
        play(bar, style.bass, chord, bass)
        play(bar, style.comp, chord, 0.8 * comp)
        scale = SCALES[style.lead.scale]
        for step, degree, length in phrases.get(section, ()):
            if step // 16 != bar % 2:
                continue
            note = 12 * (degree // len(scale)) + scale[degree % len(scale)]
            if step % 8 == 0:  # strong beats rest on the nearest tone of the chord
                note += min(((tone_ - note + 6) % 12 - 6 for tone_ in chord), key=abs)
            root = VOICES[style.lead.voice].register + (key - VOICES[style.lead.voice].register) % 12
            add(
                bar,
                step % 16,
                played(style.lead.voice, (root + note,), length * 0.95),
                lead * style.lead.level,
            )
    return master(mix[:SAMPLES], who, rng)


def master(mix: np.ndarray, who: Persona, rng: np.random.Generator) -> np.ndarray:
    """What room, desk and tape make of a mix.

    Parameters
    ----------
    mix : np.ndarray [shape=(samples,)]
        All parts together.
    who : Persona
        Whose room, desk and tape.
    rng : np.random.Generator
        Of the room's echoes and the tape's noise.

    Returns
    -------
    np.ndarray [shape=(samples,), dtype=float32]
        At most 0.95 in magnitude, without DC.
    """
    t = np.arange(round(who.room_seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    room = rng.standard_normal(len(t)) * np.exp(-np.log(1000) * t / who.room_seconds)  # 60 dB is a factor 1000
    room *= who.room_mix / np.sqrt(np.sum(room**2))
    room[0] += 1
    padded = scipy.fft.next_fast_len(len(mix) + len(room), real=True)
    hz = np.fft.rfftfreq(padded, 1 / SAMPLE_RATE_HZ)
    tilt = 10 ** (who.tilt_db / 20 * np.log2(np.clip(hz, 60, 9000) / 1000)) * (hz > 30)
    wet = scipy.fft.irfft(scipy.fft.rfft(mix, padded) * scipy.fft.rfft(room, padded) * tilt, padded)[: len(mix)]
    limited = np.tanh(wet / (4 * wet.std()))
    level = 0.9 * 10 ** (who.level_db / 20)
    track = level * limited / np.abs(limited).max() + 10 ** (who.noise_db / 20) * rng.standard_normal(len(mix))
    return np.clip(track - track.mean(), -0.95, 0.95).astype(np.float32)


def write_track(folder: Path, row: dict[str, str], artist: int, track: int, seed: int) -> None:
    """Compose one track into its file."""
    path = folder / row["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, compose(row["genre"], artist, track, seed), SAMPLE_RATE_HZ, subtype="PCM_16")


def track_list(tracks_per_genre: int, artists_per_genre: int, seed: int) -> list[dict[str, str]]:
    """The rows of ``tracks.csv``: path, genre, artist and title; no name is used twice."""
    rng = np.random.default_rng([seed, 3])
    artists = rng.permutation([f"{first} {last}" for first in FIRST.split() for last in LAST.split()])
    titles = rng.permutation([f"{mood} {thing}" for mood in MOOD.split() for thing in THING.split()])
    return [
        {
            "path": f"{genre}/{genre}.{track:05d}.wav",
            "genre": genre,
            "artist": str(artists[place * artists_per_genre + track % artists_per_genre]),
            "title": str(titles[(place * tracks_per_genre + track) % len(titles)]),
        }
        for place, genre in enumerate(GENRES)
        for track in range(tracks_per_genre)
    ]


def render(folder: Path, tracks_per_genre: int = 8, artists_per_genre: int = 4, seed: int = 0) -> Path:
    """Fill a folder with the demo data set; one that already holds it is left as it is.

    Parameters
    ----------
    folder : Path
        Will hold ``<genre>/<genre>.00000.wav`` ..., ``tracks.csv`` (path, genre, artist, title) and
        ``demo.json`` (what made it).
    tracks_per_genre : int
        30 s tracks in each of the ten genres.
    artists_per_genre : int
        Who play them in turn.
    seed : int
        Same seed, same bytes, on the same machine.

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
    most = len(FIRST.split()) * len(LAST.split()) // len(GENRES)
    if tracks_per_genre < 1 or not 1 <= artists_per_genre <= most or seed < 0:
        raise ParamsError(
            f"tracks_per_genre must be 1 or more, artists_per_genre in [1, {most}] and seed 0 or more. "
            f"Received: {tracks_per_genre!r}, {artists_per_genre!r}, {seed!r}."
        )
    folder = Path(folder).absolute()
    made = {"version": VERSION, "tracks": tracks_per_genre, "artists": artists_per_genre, "seed": seed}
    rows = track_list(tracks_per_genre, artists_per_genre, seed)
    partial, old = (folder.with_name(f".{folder.name}.{state}") for state in ("partial", "old"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        label = folder / "demo.json"
        if label.is_file():
            whole = all((folder / row["path"]).is_file() for row in rows)
            if whole and json.loads(label.read_text()) == made:
                return folder
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CatalogError(f"{folder} holds something other than a demo set. Name an empty or new folder.")
        for leftover in (partial, old):  # of a run that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        jobs = (
            joblib.delayed(write_track)(
                partial, row, count % tracks_per_genre % artists_per_genre, count % tracks_per_genre, seed
            )
            for count, row in enumerate(rows)
        )
        played = joblib.Parallel(n_jobs=os.cpu_count(), return_as="generator")(jobs)
        for _ in progress(played, total=len(rows), description="composing"):
            pass
        with (partial / "tracks.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, fieldnames=rows[0])
            table.writeheader()
            table.writerows(rows)
        (partial / "demo.json").write_text(json.dumps(made))
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    return folder
