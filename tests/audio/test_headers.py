import io
import itertools
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from genre_utils.audio import decoding, headers
from genre_utils.datasets import catalog
from genre_utils.errors import AudioError
from genre_utils.features import store
from genre_utils.params import Params
from genre_utils.splits import fingerprinting, survey

RATE_HZ = 22_050
WHOLE = Params(max_segments=0, segment_seconds=1.0)


def steps(seconds, rate_hz=RATE_HZ, seed=0):
    """A tone whose pitch is another every second: what is heard when can be told from it."""
    pitches = np.random.default_rng(seed).permutation(np.linspace(300, 3_000, 40))[: round(seconds)]
    phase = np.repeat(pitches, rate_hz) * 2 * np.pi / rate_hz
    return (0.4 * np.sin(phase.cumsum())).astype(np.float32), pitches


def pitches_of(samples):
    """The loudest frequency of each second's middle."""
    seconds = samples[: len(samples) // RATE_HZ * RATE_HZ].reshape(-1, RATE_HZ)[:, RATE_HZ // 4 : -RATE_HZ // 4]
    return np.abs(np.fft.rfft(seconds * np.hanning(seconds.shape[1]))).argmax(axis=1) * RATE_HZ / seconds.shape[1]


def encoded(samples, rate_hz=RATE_HZ, form="WAV", subtype=None, channels=1, **options):
    file = io.BytesIO()
    soundfile.write(file, np.repeat(samples[:, None], channels, 1), rate_hz, subtype, format=form, **options)
    return file.getvalue()


def without_info(mp3):
    """An MP3 whose first frame, which counts the others, is cut out."""
    frame = headers.frame_sizes()[mp3[1] << 8 | mp3[2]]
    assert headers.is_info(mp3[: frame.size])
    return mp3[frame.size :]


def counted(mp3, count):
    """The same whose Info or Xing frame counts so many frames."""
    place = max(mp3.find(b"Info"), mp3.find(b"Xing"))
    return mp3[: place + 8] + struct.pack(">I", count) + mp3[place + 12 :]


def with_data_size(wav, size, riff=None):
    place = wav.index(b"data") + 4
    wav = wav[:place] + struct.pack("<I", size) + wav[place + 4 :]
    return wav if riff is None else wav[:4] + struct.pack("<I", riff) + wav[8:]


VBR = {"bitrate_mode": "VARIABLE", "compression_level": 0.3}
ID3 = b"ID3\x04\0\0\0\0\x07\x7a" + b"\xff\xfb\x90\xc4" * 254 + b"\0\0"
LIARS = {
    "mp3, variable rate without a count": lambda y: without_info(
        encoded(np.append(0 * y[:RATE_HZ], y), form="MP3", **VBR)
    ),
    "mp3, a count of 0": lambda y: counted(encoded(y, form="MP3", **VBR), 0),
    "mp3, a count of 50": lambda y: counted(encoded(y, form="MP3", **VBR), 50),
    "mp3, joined": lambda y: encoded(y[: len(y) // 2], form="MP3") + encoded(y[len(y) // 2 :], form="MP3"),
    "mp3, joined with tags": lambda y: ID3 + encoded(y[: len(y) // 2], form="MP3") + b"TAG".ljust(128, b"\xff") + ID3
    + encoded(y[len(y) // 2 :], form="MP3"),
    "mp3, joined of 1 and 2 channels": lambda y: encoded(y[: len(y) // 2], form="MP3")
    + encoded(y[len(y) // 2 :], form="MP3", channels=2),
    "wav, killed": lambda y: with_data_size(encoded(y), 0),
    "wav, killed, sizes 0": lambda y: with_data_size(encoded(y), 0, riff=0),
    "wav, killed after 2 s": lambda y: with_data_size(encoded(y), 4 * RATE_HZ),
    "wav of floats, killed": lambda y: with_data_size(encoded(y, subtype="FLOAT"), 0),
    "wav of 24 bits, killed": lambda y: with_data_size(encoded(y, form="WAVEX", subtype="PCM_24"), 0),
    "wav of ADPCM, killed": lambda y: with_data_size(encoded(y, subtype="IMA_ADPCM"), 0),
    "au, killed": lambda y: (a := encoded(y, form="AU"))[:8] + bytes(4) + a[12:],
    "flac, a stream": lambda y: (a := encoded(y, form="FLAC"))[:21] + bytes([a[21] & 0xF0]) + bytes(4) + a[26:],
    "flac, joined": lambda y: encoded(y[: len(y) // 2], form="FLAC") + encoded(y[len(y) // 2 :], form="FLAC"),
    "ogg, joined": lambda y: encoded(y[: len(y) // 2], form="OGG") + encoded(y[len(y) // 2 :], form="OGG"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LIARS)
def test_every_second_that_is_there_is_heard(tmp_path, kind):
    samples, pitches = steps(12)
    path = tmp_path / "file"
    path.write_bytes(LIARS[kind](samples))
    silence = 1 if "variable rate without" in kind else 0  # whose frames are small: the guess is far off
    heard = decoding.load(path, WHOLE)
    assert abs(len(heard) / RATE_HZ - 12 - silence) < 0.2
    assert abs(decoding.duration(path) - 12 - silence) < 0.2
    assert np.abs(pitches_of(heard)[silence : 12 + silence] - pitches).max() < 5
    assert len(decoding.load(path, Params(max_segments=2, segment_seconds=4.0))) == 8 * RATE_HZ


def test_parts_of_several_rates_are_joined_at_one(tmp_path):
    (one, first), (other, second) = steps(4), steps(4, 44_100, seed=1)
    path = tmp_path / "file.mp3"
    path.write_bytes(encoded(one, form="MP3") + encoded(other, 44_100, form="MP3"))
    heard = decoding.load(path, WHOLE)
    assert abs(len(heard) / RATE_HZ - 8) < 0.2
    assert np.abs(pitches_of(heard) - np.concatenate([first, second])[: len(heard) // RATE_HZ]).max() < 5


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "W64", "AIFF", "AU", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_header_that_says_all_is_believed(tmp_path, form, channels):
    """And so nothing of an ordinary file changes."""
    samples, _ = steps(3)
    path = tmp_path / "file"
    chunk = b"LIST" + struct.pack("<I", 26) + b"INFOIART" + struct.pack("<I", 14) + b"somebody else\0"
    for tail in (b"", b"\0" * 100, chunk if form.startswith("WAV") else b"TAG".ljust(128, b"\0")):
        path.write_bytes(encoded(samples, form=form, channels=channels) + tail)
        with soundfile.SoundFile(path) as file:
            assert headers.parts(path, file) == []


def test_a_rewritten_mp3_is_the_same_sound(tmp_path):
    """Oracle: libsndfile on the file with its right count."""
    samples, _ = steps(5)
    mp3 = encoded(samples, form="MP3", **VBR)
    right, wrong = tmp_path / "right.mp3", tmp_path / "wrong.mp3"
    right.write_bytes(mp3)
    wrong.write_bytes(counted(mp3, 7))
    one, other = decoding.load(right, WHOLE), decoding.load(wrong, WHOLE)
    shifts = range(0, 4_000)  # LAME's delay and padding, which the count's frame knew, are not cut off
    best = min(np.abs(other[shift : shift + 30_000] - one[:30_000]).max() for shift in shifts)
    assert best < 0.01


def test_training_hears_it_and_the_findings_say_so(tmp_path):
    params = Params(dataset="unused", segment_seconds=2.0, max_segments=0)
    samples, _ = steps(12)
    for number, (genre, kind) in enumerate(itertools.product("ab", ["mp3, a count of 0", "wav, killed after 2 s"])):
        (tmp_path / genre).mkdir(exist_ok=True)
        (tmp_path / genre / f"{number}.{kind[:3]}").write_bytes(LIARS[kind](samples))
    tracks = catalog.from_folder(tmp_path, params)
    assert (store.build(tracks, params, tmp_path / "cache").segments.groupby("track_id").size() == 6).all()
    surveyed, _, fingerprints = survey.survey(tracks, params)
    found = fingerprinting.findings(surveyed, fingerprinting.duplicates(surveyed, fingerprints), params).query(
        "finding == 'header'"
    )
    assert set(found["track_id"]) == set(tracks["track_id"])
    assert found["detail"].str.contains(r"its header says [01234]\.\d s, and it holds 12\.\d s").all()


@given(
    st.binary(max_size=200),
    st.integers(0, 3_000),
    st.integers(0, 3_000),
    st.sampled_from(["MP3", "WAV", "OGG", "FLAC"]),
)
def test_damage_is_an_audio_error_or_sound(tmp_path_factory, junk, begin, cut, form):
    path = tmp_path_factory.mktemp("files") / "file"
    whole = encoded(steps(2)[0], form=form)
    path.write_bytes(whole[:begin] + junk + whole[begin + cut :])
    try:
        heard = decoding.load(path, WHOLE)
    except AudioError:
        return
    assert len(heard) <= 5 * RATE_HZ
