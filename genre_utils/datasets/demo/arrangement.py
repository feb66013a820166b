"""The playing of a demo track: the style of its parts, the tune, and the notes of each bar on one mix."""

import dataclasses
import functools
import itertools

import numpy as np

from genre_utils.datasets.demo.styles import (
    GENRES,
    NO_DRUMS,
    PARTNER,
    SCALES,
    STYLES,
    VOICES,
    Lead,
    Part,
    Style,
)
from genre_utils.datasets.demo.synthesis import SAMPLE_RATE_HZ, SAMPLES, Persona, drum_kit, persona, strike

# For each part (drums, bass, ...), the chance that an artist takes it from a neighbouring genre, and again that a
# track does: enough for mistakes that are worth exploring, few enough that the genres can be learned.
BORROW = 0.08


def arrange(genre: str, artist: int, track: int, seed: int, mixed: bool = False) -> Style:
    """The style of a track: its genre's, with some parts borrowed, and with its own tempo.

    Parameters
    ----------
    genre : str
        One of ``GENRES``.
    artist, track, seed : int
        As for ``composition.compose``.
    mixed : bool
        In two genres: feel, drums and bass are from one, accompaniment, tune and harmony from the other, and nothing
        is borrowed. Which is which changes from artist to artist.

    Returns
    -------
    Style
        ``feel.bpm`` is the tempo of this track.
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
    """A phrase of two bars: a random walk on the scale, then the same again with an ending.

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
    answer = np.append(walk[:-1], 0)  # the second bar repeats the first and ends on the root
    steps = np.concatenate([onsets, onsets + 16])
    lengths = np.minimum(np.diff(steps, append=32), 8)
    return list(zip(steps.tolist(), np.concatenate([walk, answer]).tolist(), lengths.tolist(), strict=True))


class Take:
    """A recording: parts are added to one mix, bar by bar."""

    def __init__(self, style: Style, who: Persona, rng: np.random.Generator) -> None:
        self.style = style
        self.who = who
        self.rng = rng
        self.bar_seconds = 240 / style.feel.bpm
        self.key = int(rng.integers(-5, 7))
        self.kit = drum_kit(style.drums.kit, who.drum_tune, rng)
        self.phrases = {section: melody(style.lead, rng) for section in "vcb"}
        self.mix = np.zeros(SAMPLES + 8 * SAMPLE_RATE_HZ, np.float32)  # room for notes that ring after the end
        self.strike = functools.cache(strike)  # notes repeat, and a tone is slow to compute

    def add(self, bar: int, step: int, wave: np.ndarray, level: float) -> None:
        """Add one sound at its sixteenth, with swing and slightly uneven timing and loudness."""
        swung = step // 4 * 4 + np.interp(step % 4, (0, 2, 4), (0, 2 + self.style.feel.swing, 4))
        human = max(self.rng.normal(0, 0.004), -0.01)  # nobody plays exactly on the grid
        start = max(0, round(((bar + swung / 16) * self.bar_seconds + human) * SAMPLE_RATE_HZ))
        self.mix[start : start + len(wave)] += np.float32(level * self.rng.uniform(0.8, 1)) * wave

    def note(self, voice: str, semitones: int) -> int:
        """The MIDI note in the voice's lowest octave for semitones above C, transposed to the track's key."""
        register = VOICES[voice].register
        return register + (semitones + self.key - register) % 12

    def struck(self, voice: str, notes: tuple[int, ...], sixteenths: float) -> np.ndarray:
        """The sound of notes that are held for so many sixteenths."""
        return self.strike(VOICES[voice], notes, sixteenths * self.bar_seconds / 16, self.who)

    def play_drums(self, bar: int, section: str, fill: bool, level: float) -> None:
        """One bar of the kit; a fill leads into the next section."""
        drums = self.style.drums
        level = level * 2 * drums.level  # strokes are short: at equal peaks the drums would be too soft
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
            if step % 8 == 0:  # on strong beats, the nearest tone of the chord
                note += min(((semitones - note + 6) % 12 - 6 for semitones in chord), key=abs)
            wave = self.struck(lead.voice, (self.note(lead.voice, 0) + note,), length * 0.95)
            self.add(bar, step % 16, wave, level * lead.level)
