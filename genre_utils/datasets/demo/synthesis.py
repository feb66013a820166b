"""Sound synthesis for the demo data sets: notes, drum strokes, and the room and noise of a recording."""

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft

from genre_utils.datasets.demo.styles import GENRES, KITS, QUALITIES, Voice

SAMPLE_RATE_HZ = 22_050
SAMPLES = 30 * SAMPLE_RATE_HZ
RELEASE_SECONDS = 0.03  # shorter ends are audible as clicks, and visible in the spectrogram


@dataclass(frozen=True)
class Persona:
    """What all tracks of an artist share: tuning, room, mixing. Nothing of it depends on the genre."""

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
    """Draw an artist's persona."""
    rng = np.random.default_rng([seed, GENRES.index(genre), artist, 0, 1])  # 1: other numbers than for the tracks
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


def tone(voice: Voice, midi: float, seconds: float, brightness: float) -> np.ndarray:
    """Synthesise one note of one voice.

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
    fading = np.exp(-voice.fade * t).astype(np.float32)
    wave = np.zeros(len(t), np.complex64)
    for ratio in (1 - voice.detune, 1 + voice.detune) if voice.detune else (1,):
        # The k-th power of a fading phasor is the k-th harmonic fading k times as fast: Horner adds them all.
        turns = hz * ratio * bent
        angle = (2 * np.pi * (turns - np.floor(turns))).astype(np.float32)  # whole turns would cost its precision
        phasor = fading * np.cos(angle) + 1j * (fading * np.sin(angle))
        harmonics = np.zeros(len(t), np.complex64)
        for weight in weights[::-1].astype(np.float32):
            harmonics += weight
            harmonics *= phasor
        wave += harmonics
    envelope = np.minimum(t / voice.attack_seconds, 1) * np.clip((t[-1] - t) / RELEASE_SECONDS, 0, 1)
    return (wave.imag / np.sqrt(np.sum(weights**2)) * envelope).astype(np.float32)


def strike(voice: Voice, notes: tuple[int, ...], seconds: float, who: Persona) -> np.ndarray:
    """Synthesise MIDI notes played together for some seconds, in an artist's tuning, through the voice's amplifier."""
    strings = [tone(voice, note + who.tune_cents / 100, seconds, who.brightness) for note in notes]
    wave = np.sum(strings, axis=0)
    return 0.4 * (np.tanh(voice.drive * wave) / np.tanh(voice.drive) if voice.drive else wave)


def chord_tones(name: str) -> tuple[int, ...]:
    """The tones of a chord in semitones above C: C7 is (0, 4, 7, 10)."""
    root = name[:2] if name[1:2] in ("b", "#") else name[:1]
    base = "C D EF G A B".index(root[0]) + root.count("#") - root.count("b")
    return tuple(base + step for step in QUALITIES[name[len(root) :]])


def drum_kit(kit: str, tune: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Synthesise one stroke of each drum.

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
        ``kick``, ``snare``, ``hat`` and ``cymbal``: float32 arrays of half a second, the last sample 0.
    """
    kick_hz, kick_fade, snare_fade, hat_fade, cymbal_fade, snare_hz = KITS[kit]
    t = np.arange(SAMPLE_RATE_HZ // 2) / SAMPLE_RATE_HZ
    end = np.clip((t[-1] - t) / RELEASE_SECONDS, 0, 1)
    hiss = rng.standard_normal((3, len(t)))
    treble = np.diff(hiss, n=2, append=0, prepend=0)[:, : len(t)]  # differences rise 12 dB an octave
    sweep = 2 * np.pi * kick_hz * tune * (t - 3 * 0.025 * np.exp(-t / 0.025))
    strokes = {
        "kick": np.sin(sweep - sweep[0]) * np.exp(-kick_fade * t) * end,
        "snare": (0.5 * np.sin(2 * np.pi * snare_hz * tune * t) + 0.3 * hiss[0]) * np.exp(-snare_fade * t) * end,
        "hat": 0.1 * treble[1] * np.exp(-hat_fade * t) * end,
        "cymbal": 0.06 * treble[2] * np.exp(-cymbal_fade * t) * end,
    }
    return {name: wave.astype(np.float32) for name, wave in strokes.items()}


def master(mix: np.ndarray, who: Persona, rng: np.random.Generator) -> np.ndarray:
    """Add the room, the frequency tilt, the level and the noise of a recording to a mix.

    Parameters
    ----------
    mix : np.ndarray [shape=(samples,)]
        All parts together.
    who : Persona
        The artist: room, tilt, level and noise.
    rng : np.random.Generator
        Of the echoes and the noise.

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
    hz = np.fft.rfftfreq(padded, 1 / SAMPLE_RATE_HZ).astype(np.float32)
    tilt = (np.clip(hz, 60, 9000) / 1000) ** (who.tilt_db / 20 * math.log2(10)) * (hz > 30)
    # Single precision, and every pass over the samples in place: half of a track's time is spent here.
    spectrum = scipy.fft.rfft(mix, padded) * scipy.fft.rfft(room.astype(np.float32), padded) * tilt
    wet = scipy.fft.irfft(spectrum, padded)[: len(mix)]
    track = np.tanh(wet / (4 * wet.std()))
    track *= np.float32(0.9 * 10 ** (who.level_db / 20)) / np.abs(track).max()
    track += np.float32(10 ** (who.noise_db / 20)) * rng.standard_normal(len(mix), np.float32)
    return np.clip(track - track.mean(), -0.95, 0.95)
