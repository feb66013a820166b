import dataclasses
import sys

import numpy as np
import pytest
import soundfile
from conftest import tone
from encoded import encoded

from genre_utils.audio import decoding
from genre_utils.datasets import catalog
from genre_utils.errors import AudioError

LAYOUTS = {1: "mono", 2: "stereo", 8: "7.1"}


@pytest.fixture(scope="session")
def whole(params):
    return dataclasses.replace(params, max_segments=0)


def bursts(rate_hz=8_000, seconds=2.5):
    """A tone that comes and goes at random, so that a shift by one sample shows."""
    rng = np.random.default_rng(7)
    level = np.repeat(rng.uniform(0.05, 0.5, 25), round(seconds * rate_hz / 25))
    return level * tone(300, seconds, rate_hz, 1)


def delay(found, sent):
    """By how many samples ``found`` is late."""
    size = 2 * len(sent)
    products = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(sent, size)), size)
    late = int(products.argmax())
    return late if late < size // 2 else late - size


@pytest.mark.parametrize(
    ("name", "codec", "channels", "error", "late"),
    [
        ("a.m4a", "alac", 2, 2**-21, 0),
        ("a.mov", "pcm_s24le", 8, 2**-21, 0),
        ("a.mkv", "pcm_f64le", 1, 2**-21, 0),
        ("a.mov", "pcm_u8", 1, 2**-8, 0),
        ("a.mka", "flac", 2, 2**-15, 0),
        ("video.avi", "pcm_s16le", 1, 2**-15, 0),
        ("a.m4a", "aac", 1, 0.02, 0),
        ("video.mp4", "aac", 2, 0.02, 0),
        ("a.webm", "libopus", 2, 0.02, 0),
        ("a.aac", "aac", 1, 0.02, 1_024),  # a bare stream does not say what its encoder put before the sound
        ("a.wma", "wmav2", 1, 0.02, -512),  # nor does this container, and FFmpeg leaves out more than FFmpeg puts in
    ],
)
def test_what_was_encoded_is_decoded(tmp_path, whole, name, codec, channels, error, late):
    sent = np.stack([bursts() * (1 - 0.1 * channel) for channel in range(channels)])
    path = encoded(tmp_path / name, sent, 8_000, codec, LAYOUTS[channels], video=name.startswith("video"))
    found, mono = decoding.load(path, whole), sent.mean(axis=0)
    assert found.dtype == np.float32
    assert delay(found, mono) == late
    found, mono = found[max(late, 0) :], mono[max(-late, 0) :]
    kept = min(len(found), len(mono))
    assert len(mono) - kept <= 32  # of wma
    differences = found[:kept] - mono[:kept]
    assert (abs(differences).max() if error < 0.01 else differences.std()) <= error
    assert decoding.duration(path) == pytest.approx(2.5, abs=0.2)


def test_lossless_sound_is_that_of_the_wav(tmp_path, whole):
    sent = np.stack([bursts(44_100), bursts(44_100)[::-1]])
    soundfile.write(tmp_path / "a.wav", sent.T, 44_100, subtype="PCM_16")
    sixteen, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    path = encoded(tmp_path / "a.m4a", sixteen.T, 44_100, "alac", "stereo")
    np.testing.assert_array_equal(decoding.load(path, whole), decoding.load(tmp_path / "a.wav", whole))
    assert decoding.duration(path) == decoding.duration(tmp_path / "a.wav")


def test_it_comes_in_blocks_and_no_more_than_is_asked_for(tmp_path, whole, monkeypatch):
    path = encoded(tmp_path / "a.m4a", bursts(16_000)[None], 16_000, "aac")
    at_once = decoding.load(path, whole)
    monkeypatch.setattr(decoding, "BLOCK_SECONDS", 0.3)
    blocks = list(decoding.blocks(path, whole))
    np.testing.assert_array_equal(np.concatenate(blocks), at_once)
    assert len(blocks) > 7 and max(map(len, blocks)) <= 0.5 * 8_000  # a frame of 1,024 is the step
    np.testing.assert_array_equal(decoding.load(path, whole, seconds=1), at_once[:8_000])


def test_rate_and_channels_may_change_on_the_way(tmp_path, whole):
    parts = [
        encoded(tmp_path / "low.aac", tone(440, 2, 16_000)[None], 16_000, "aac"),
        encoded(tmp_path / "high.aac", np.stack([tone(440, 2, 44_100)] * 2), 44_100, "aac", "stereo"),
    ]
    path = tmp_path / "both.aac"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    found = decoding.load(path, whole)
    assert len(found) == pytest.approx(4 * 8_000, abs=0.2 * 8_000)
    for start in (2_000, 20_000):
        spectrum = np.abs(np.fft.rfft(found[start : start + 8_000]))
        assert spectrum.argmax() == 440
        assert found[start : start + 8_000].std() == pytest.approx(0.5 / 2**0.5, rel=0.02)


def test_a_length_that_no_header_says_is_counted(tmp_path):
    path = encoded(tmp_path / "a.webm", bursts(48_000)[None], 48_000, "libopus", live="1")
    assert decoding.duration(path) == pytest.approx(2.5, abs=0.05)


@pytest.mark.parametrize("content", [b"", b"cut", b"moov" * 1_000, b"text\n" * 1_000])
def test_what_is_no_container_is_an_audio_error(tmp_path, params, content):
    path = encoded(tmp_path / "a.m4a", bursts()[None], 8_000, "aac")
    path.write_bytes(path.read_bytes()[:1_000] if content == b"cut" else content)
    for read in (decoding.duration, lambda path: decoding.load(path, params)):
        with pytest.raises(AudioError, match="cannot be read as audio"):
            read(path)


def test_a_playlist_opens_no_other_file(tmp_path, params, monkeypatch):
    encoded(tmp_path / "other.m4a", bursts()[None], 8_000, "aac")
    (tmp_path / "a.m4a").write_text("ffconcat version 1.0\nfile other.m4a\n")
    monkeypatch.chdir(tmp_path)  # where FFmpeg looks for a name without a folder
    with pytest.raises(AudioError, match="cannot be read as audio"):
        decoding.load(tmp_path / "a.m4a", params)


def test_faults_of_the_sound_are_those_of_any_file(tmp_path, params):
    for samples, said in (
        (np.zeros((1, 8_000)), "silent throughout"),
        (bursts()[None, :800], "one segment needs"),
        (bursts()[None, :0], "End of file"),
        (np.full((1, 8_000), np.nan), "NaN or infinity"),
    ):
        path = encoded(tmp_path / "a.mka", samples, 8_000, "pcm_f32le")
        with pytest.raises(AudioError, match=said):
            decoding.load(path, params)


def test_pictures_without_sound(tmp_path, params):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=32, height=32)
        container.mux([*stream.encode(av.VideoFrame(32, 32, "yuv420p")), *stream.encode(None)])
    with pytest.raises(AudioError, match="no audio stream"):
        decoding.load(tmp_path / "a.mp4", params)


def test_without_pyav_the_error_says_what_to_install(tmp_path, params, monkeypatch):
    path = encoded(tmp_path / "a.m4a", bursts()[None], 8_000, "aac")
    monkeypatch.setitem(sys.modules, "av", None)  # its import fails
    for read in (decoding.duration, lambda path: decoding.load(path, params)):
        with pytest.raises(AudioError, match=r'pip install "genre_utils\[formats\]"'):
            read(path)


def test_a_wrong_suffix_does_not_matter(tmp_path, params):
    path = encoded(tmp_path / "a.m4a", bursts()[None], 8_000, "aac")
    found = decoding.load(path, params)
    np.testing.assert_array_equal(decoding.load(path.rename(tmp_path / "a.mp3"), params), found)


def test_a_genre_folder_may_hold_them(tmp_path, params, monkeypatch):
    for genre, name in (("low", "a.m4a"), ("low", "b.webm"), ("high", "video.mp4")):
        (tmp_path / genre).mkdir(exist_ok=True)
        codec, rate_hz = ("libopus", 48_000) if name == "b.webm" else ("aac", 8_000)
        encoded(tmp_path / genre / name, bursts(rate_hz)[None], rate_hz, codec, video=name == "video.mp4")
    tracks = catalog.from_folder(tmp_path, params)
    assert tracks["track_id"].tolist() == ["high/video.mp4", "low/a.m4a", "low/b.webm"]
    assert (tracks["fault"] == "").all()
    assert tracks["duration_seconds"].to_numpy() == pytest.approx(2.5, abs=0.1)
    monkeypatch.setitem(sys.modules, "av", None)
    assert catalog.from_folder(tmp_path, params)["fault"].str.contains("pip install").all()
