import dataclasses

import numpy as np
import pytest
from conftest import tone

from genre_utils.audio import augmentation
from genre_utils.audio.augmentation import ORIGINAL, Version

TRACKS = [f"genre/{number}.wav" for number in range(200)]


@pytest.fixture(scope="module")
def loud(params):
    return dataclasses.replace(params, pitch_semitones=2.0, stretch_share=0.1, noise_snr_db=20.0)


@pytest.fixture(scope="module")
def a440(params):
    return tone(440.0, 2.2, params.sample_rate_hz).astype(np.float32)


UNHEARD = 2 ** (5 / 1_200) - 1  # five cents
SURELY = 4  # standard errors: of a mean of squares, and of a mean of powers of a spectrum


def peak_hz(samples, rate_hz):
    """Frequency of the strongest partial of the middle second."""
    middle = samples[len(samples) // 2 - rate_hz // 2 :][:rate_hz]
    return np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 8 * rate_hz)).argmax() / 8


def quiet_from(samples):
    """The share of the samples that have passed when the sound ends."""
    return np.flatnonzero(np.abs(samples) > 0.1).max() / len(samples)


@pytest.mark.parametrize("semitones", [-5.0, -1.3, 0.0, 2.0, 7.0])
def test_a_shifted_tone_is_so_many_semitones_higher_and_no_longer(a440, params, semitones):
    shifted = augmentation.render(a440, Version("pitch", semitones), "a", params)
    assert len(shifted) == len(a440)
    assert peak_hz(shifted, params.sample_rate_hz) == pytest.approx(440 * 2 ** (semitones / 12), rel=UNHEARD)


@pytest.mark.parametrize("rate", [0.8, 0.97, 1.25])
def test_a_stretched_tone_is_longer_or_shorter_and_no_higher(a440, params, rate):
    version = Version("stretch", rate)
    stretched = augmentation.render(a440, version, "a", params)
    assert len(stretched) == pytest.approx(len(a440) / version.rate, abs=1)
    assert len(stretched) == pytest.approx(len(a440) / rate, abs=1)
    assert peak_hz(stretched, params.sample_rate_hz) == pytest.approx(440, rel=UNHEARD)

    half = np.where(np.arange(len(a440)) < len(a440) // 2, a440, np.float32(0))
    assert quiet_from(augmentation.render(half, version, "a", params)) == pytest.approx(
        0.5, abs=0.02
    )  # all of it moves


@pytest.mark.parametrize("snr_db", [3.0, 20.0, 40.0])
@pytest.mark.parametrize("level", [0.01, 1.0])
def test_noise_is_white_and_as_far_below_the_track_as_asked(params, snr_db, level):
    clean = tone(440.0, 2.2, params.sample_rate_hz, level).astype(np.float32)
    noise = augmentation.render(clean, Version("noise", snr_db), "a", params) - clean
    assert 10 * np.log10(np.mean(clean**2) / np.mean(noise**2)) == pytest.approx(
        snr_db, abs=SURELY * 10 / np.log(10) * np.sqrt(2 / len(noise))
    )
    bands = np.array_split(np.abs(np.fft.rfft(noise)) ** 2, 4)
    np.testing.assert_allclose(
        [band.mean() / np.mean(np.concatenate(bands)) for band in bands], 1, atol=SURELY / np.sqrt(len(bands[0]))
    )


@pytest.mark.parametrize("version", [Version("pitch", 1.3), Version("stretch", 0.94), Version("noise", 6.0)])
def test_full_scale_stays_finite_and_a_peak_may_exceed_it(params, version):
    square = np.sign(tone(100.0, 2.2, params.sample_rate_hz) + 1e-9).astype(np.float32)
    rendered = augmentation.render(square, version, "a", params)
    assert rendered.dtype == np.float32
    assert np.isfinite(rendered).all()
    assert np.abs(rendered).max() > 1  # clipped, it would sound of more than was asked for


def test_the_same_seed_and_track_give_the_same_sound(a440, loud):
    for version in augmentation.versions("a", loud):
        first, second = (augmentation.render(a440, version, "a", loud) for _ in range(2))
        assert first.tobytes() == second.tobytes() != a440.tobytes()
    assert augmentation.render(a440, ORIGINAL, "a", loud).tobytes() == a440.tobytes()


def test_each_track_and_each_seed_has_its_own_noise(a440, params):
    other_seed = dataclasses.replace(params, seed=1)
    noises = [
        augmentation.render(a440, Version("noise", 20.0), track_id, chosen) - a440
        for track_id, chosen in [("a", params), ("b", params), ("a", other_seed)]
    ]
    correlation = np.corrcoef(noises) - np.eye(3)
    assert np.abs(correlation).max() < 0.05


def test_draws_fill_the_range_and_do_not_leave_it(loud):
    drawn = [augmentation.versions(track_id, loud) for track_id in TRACKS]
    semitones, rates, snr_db = np.array([[version.amount for version in versions] for versions in drawn]).T
    assert [version.kind for version in drawn[0]] == ["pitch", "stretch", "noise"]
    for amounts, low, high in ((semitones, -2, 2), (rates, 0.9, 1.1)):
        assert low <= amounts.min() < low + 0.05 * (high - low)
        assert high >= amounts.max() > high - 0.05 * (high - low)
        assert len(set(amounts)) == len(TRACKS)
    assert (snr_db == 20).all()
    assert abs(np.corrcoef(semitones, rates)[0, 1]) < 0.2  # the kinds are drawn apart


def test_a_draw_depends_on_the_seed_and_the_track_alone(loud, params):
    expected = {track_id: augmentation.versions(track_id, loud) for track_id in TRACKS}
    assert {track_id: augmentation.versions(track_id, loud) for track_id in reversed(TRACKS)} == expected
    for place, name in enumerate(["pitch_semitones", "stretch_share", "noise_snr_db"]):
        alone = dataclasses.replace(params, **{name: getattr(loud, name)})
        assert augmentation.versions("a", alone) == [augmentation.versions("a", loud)[place]]
    assert augmentation.versions("a", dataclasses.replace(loud, seed=1)) != augmentation.versions("a", loud)
    assert augmentation.versions("a", params) == []


def test_a_version_says_its_kind_and_amount():
    versions = [ORIGINAL, Version("pitch", 1.3), Version("pitch", -0.25), Version("stretch", 0.94)]
    assert [str(version) for version in versions] == ["", "pitch +1.30", "pitch -0.25", "stretch 0.940"]
    assert [str(Version("noise", snr_db)) for snr_db in (20.0, 7.5)] == ["noise 20 dB", "noise 7.5 dB"]
