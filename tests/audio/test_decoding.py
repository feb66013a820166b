import dataclasses
import pickle

import librosa
import numpy as np
import pytest
import soundfile
import soxr
from bounds import U, rounded
from conftest import tone

from genre_utils.audio import decoding
from genre_utils.errors import AudioError


def written(path, samples, rate_hz, **options):
    soundfile.write(path, samples, rate_hz, **options)
    return path


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
def test_load_equals_librosa(tmp_path, params, rng, rate_hz, channels):
    path = written(tmp_path / "a.wav", 0.1 * rng.normal(size=(3 * rate_hz, channels)), rate_hz, subtype="FLOAT")
    oracle, _ = librosa.load(path, sr=params.sample_rate_hz, mono=True)
    ours = decoding.load(path, params)
    assert ours.dtype == np.float32
    assert len(ours) == params.max_segments * params.segment_seconds * params.sample_rate_hz  # no more than needed
    np.testing.assert_allclose(ours, oracle[: len(ours)], atol=rounded(4_096))  # taps of soxr's filter


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_16"), ("flac", "PCM_16"), ("aiff", "PCM_16"), ("wav", "PCM_24"), ("wav", "PCM_U8")],
)
def test_samples_are_what_libsndfile_makes_of_them(tmp_path, params, rng, channels, suffix, subtype):
    samples = np.clip(0.5 * rng.normal(size=(16_000, channels)), -1, 1)
    path = written(tmp_path / f"a.{suffix}", samples, 8_000, subtype=subtype)
    oracle, _ = soundfile.read(path, dtype="float32", always_2d=True)  # (samples, channel)
    assert abs(oracle).max() > 0.99
    off = 0 if channels < 3 else 3 * U  # thirds are rounded
    np.testing.assert_allclose(decoding.load(path, params), oracle.mean(axis=1), rtol=0, atol=off)


def test_a_tone_keeps_its_frequency_through_resampling(tmp_path, params):
    path = written(tmp_path / "a.wav", tone(440, 2, 48_000), 48_000)
    samples = decoding.load(path, params)
    peak = np.abs(np.fft.rfft(samples)).argmax() * params.sample_rate_hz / len(samples)
    assert peak == pytest.approx(440, abs=1)


def test_opposite_channels_cancel(tmp_path, params):
    left = tone(440, 2, 8_000)
    path = written(tmp_path / "a.wav", np.stack([left, -left], axis=1), 8_000, subtype="FLOAT")
    with pytest.raises(AudioError, match="silent throughout"):
        decoding.load(path, params)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_formats(tmp_path, params, suffix):
    path = written(tmp_path / f"a.{suffix}", tone(440, 2.5, 8_000), 8_000)
    assert decoding.duration(path) == pytest.approx(2.5, abs=0.2)
    assert len(decoding.load(path, params)) == 16_000


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.full(16_000, np.nan), "NaN or infinity"),
        (np.full(16_000, np.inf), "NaN or infinity"),
        (np.zeros(16_000), "silent throughout"),
        (np.ones(100), "one segment needs 0.50 s"),
        (np.ones(0), "one segment needs 0.50 s"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, params, samples, said):
    path = written(tmp_path / "odd.wav", samples, 8_000, subtype="FLOAT")
    with pytest.raises(AudioError) as caught:
        decoding.load(path, params)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"this is text", b"RIFF\x24\x00\x00\x00WAVEfmt "])
def test_what_is_not_audio_is_an_audio_error(tmp_path, params, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    for read in (decoding.duration, lambda p: decoding.load(p, params)):
        with pytest.raises(AudioError, match="cannot be read as audio"):
            read(path)


def test_a_missing_file_is_an_audio_error(tmp_path, params):
    for path, said in (
        (tmp_path / "none.wav", "is not there: no such file. Correct the path"),
        (tmp_path / "no" / "where" / "none.wav", "is not there: no such file. Correct the path"),
        (tmp_path, "is a folder, not a file"),
    ):
        for read in (decoding.duration, lambda path: decoding.load(path, params)):
            with pytest.raises(AudioError) as caught:
                read(path)
            assert caught.value.reason.startswith(said)
            assert "Replace" not in caught.value.reason
    (tmp_path / "link.wav").symlink_to(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="is a link to a file that does not exist"):
        decoding.duration(tmp_path / "link.wav")


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\xef\xbb\xbf\n <!DOCTYPE HTML><html>404", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"PK\3\4" + bytes(100), "a zip archive"),
        (b"MThd\0\0\0\6", "notes and no audio"),
    ],
)
@pytest.mark.parametrize("suffix", ["wav", "mp3"])
def test_what_a_file_is_instead_of_music_is_said(tmp_path, params, head, what, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(head)
    for read in (decoding.duration, lambda path: decoding.load(path, params)):
        with pytest.raises(AudioError, match=rf"cannot be read as audio \(it is .*{what}"):
            read(path)


@pytest.mark.parametrize(
    ("suffix", "form"), [(".aifc", "AIFF"), (".rf64", "RF64"), (".snd", "AU"), (".voc", "VOC"), (".mp2", "MP3")]
)
def test_a_suffix_that_libsndfile_writes_is_one_of_audio(tmp_path, suffix, form):
    assert suffix in decoding.SUFFIXES
    soundfile.write(tmp_path / f"a{suffix}", np.ones(8_000) / 2, 8_000, format=form)
    assert decoding.duration(tmp_path / f"a{suffix}") == pytest.approx(1, abs=0.3)


def test_an_audio_error_survives_a_worker(tmp_path):
    error = pickle.loads(pickle.dumps(AudioError(tmp_path / "a.wav", "is odd.")))
    assert str(error) == f"{tmp_path / 'a.wav'}: is odd."


@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (22_050, 2), (44_100, 1)])
def test_blocks_are_the_whole_cut_anywhere(tmp_path, params, rng, monkeypatch, rate_hz, channels):
    samples = 0.1 * rng.normal(size=(7 * rate_hz + 123, channels))
    path = written(tmp_path / "a.wav", samples, rate_hz, subtype="FLOAT")
    whole = dataclasses.replace(params, max_segments=0)
    at_once = [decoding.load(path, params), decoding.load(path, whole)]
    oracle = soxr.resample(samples.astype(np.float32).mean(axis=1), rate_hz, params.sample_rate_hz, quality="HQ")
    np.testing.assert_array_equal(at_once[1], oracle)
    monkeypatch.setattr(decoding, "BLOCK_SECONDS", 0.7)
    for some, expected in zip((params, whole), at_once, strict=True):
        blocks = list(decoding.blocks(path, some))
        np.testing.assert_array_equal(np.concatenate(blocks), expected)
        assert max(len(block) for block in blocks) <= 0.9 * params.sample_rate_hz  # the resampler holds some back
    assert len(blocks) > 7


def test_what_a_header_promises_too_much_is_not_waited_for(tmp_path, params, rng, monkeypatch):
    path = written(tmp_path / "a.wav", 0.1 * rng.normal(size=16_000), 8_000)
    monkeypatch.setattr(soundfile.SoundFile, "frames", property(lambda _: 10**6))
    monkeypatch.setattr(decoding, "BLOCK_SECONDS", 0.7)
    blocks = list(decoding.blocks(path, dataclasses.replace(params, max_segments=0)))
    assert [len(block) for block in blocks] == [5_600, 5_600, 4_800]


@pytest.mark.parametrize("endian", ["BIG", "LITTLE"])
@pytest.mark.parametrize("tags", [0, 1, 2])
def test_ircam_is_refused_unread(tmp_path, params, rng, endian, tags):
    path = written(tmp_path / "a.wav", rng.normal(size=8_000), 8_000, format="IRCAM", subtype="PCM_16", endian=endian)
    assert soundfile.info(path).format == "IRCAM"
    path.write_bytes(tags * (b"ID3\3\0\0\0\0\1\2" + bytes(130)) + path.read_bytes())  # 1 · 128 + 2 bytes each
    for read in (decoding.duration, lambda path: decoding.load(path, params)):
        with pytest.raises(AudioError, match="CVE-2025-52194"):
            read(path)


def test_a_file_with_tags_before_its_sound_is_read(tmp_path, params, rng):
    path = written(tmp_path / "a.mp3", 0.1 * rng.normal(size=3 * 22_050), 22_050)
    whole = decoding.load(path, params)
    path.write_bytes(b"ID3\3\0\0\0\0\1\2" + bytes(130) + path.read_bytes())
    np.testing.assert_array_equal(decoding.load(path, params), whole)
