"""The table that all demo music is made from: instruments, styles, scales, forms and names."""

from dataclasses import dataclass


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
    """The tune: its voice, its scale, and the chance of a note on each eighth."""

    voice: str
    scale: str
    density: float
    level: float = 1.0


@dataclass(frozen=True)
class Harmony:
    """Chords in C, one per bar."""

    verse: str
    chorus: str


@dataclass(frozen=True)
class Style:
    """A genre: one row of the table."""

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
# What each genre's artists also play in the data set demo-mixed. A ring: every genre is in two of its ten pairs.
PARTNER = {
    "blues": "rock", "rock": "metal", "metal": "classical", "classical": "jazz", "jazz": "hiphop",
    "hiphop": "reggae", "reggae": "disco", "disco": "pop", "pop": "country", "country": "blues",
}  # fmt: skip

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
QUALITIES["5"] = (0, 7, 12)  # rock's power chord, without the third, which sounds muddy with distortion
SECTIONS = {  # levels of drums, bass, comp and lead
    "i": (0.5, 0.8, 1.0, 0.0),
    "v": (0.8, 1.0, 0.8, 0.8),
    "c": (1.0, 1.0, 1.1, 1.1),
    "b": (0.3, 0.9, 0.6, 1.0),
}
FIRST = "Amber Baron Cleo Dusty Ezra Fable Goldie Hazel Indigo Juno Kit Lark Milo Nova Otis Pearl"
LAST = "Ashdown Birdwhistle Crane Dunmore Fenn Galloway Hollow Ivory Juniper Kestrel Lowe Marrow"
MOOD = "Amber Broken Crooked Distant Electric Faded Golden Hidden Idle Last Midnight Northern Open Paper Quiet Silver"
MOOD += " Restless Tender"
THING = "Avenue Bridge Candle Dancer Echo Feather Garden Harbour Island Kettle Lantern Mirror Orchard Postcard River"
THING += " Signal Tower"
