import dataclasses

import joblib
import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile
from bounds import of_decibels, rounded
from conftest import tone
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from genre_utils.datasets import catalog
from genre_utils.errors import CatalogError, GenreUtilsError, ParamsError, SplitError
from genre_utils.features import handcrafted, spectrogram
from genre_utils.models import classifiers
from genre_utils.params import Params

PAPER = Params()
GENRES = ["blues", "country", "pop"]


def of_audio(samples, params=PAPER):
    """The features as a table, one row a segment."""
    names, values = handcrafted.of_audio(np.asarray(samples, np.float32), params)
    return pd.DataFrame(values, columns=names)


@pytest.fixture(scope="module")
def music():
    """Two segments: a quiet chord under noise, then a loud, lower one with a beat."""
    rng, seconds = np.random.default_rng(3), PAPER.segment_seconds
    parts = [sum(tone(hz, seconds, PAPER.sample_rate_hz, 0.2) for hz in chord) for chord in ((440, 554), (110, 165))]
    beat = 1 + np.sign(tone(2.5, seconds, PAPER.sample_rate_hz))
    samples = np.concatenate([0.01 * parts[0], parts[1] * beat])
    return (samples + rng.normal(0, 1e-3, len(samples))).astype(np.float32)


def test_of_audio_equals_librosa_segment_by_segment(music):
    params = dataclasses.replace(PAPER, n_fft=1_024, hop_length=200, n_mels=64, fmin_hz=100.0, top_db=60.0)
    frames = {"n_fft": params.n_fft, "hop_length": params.hop_length}
    table = of_audio(music, params)
    assert table.shape == (2, 2 * (20 + 20 + 12 + 7 + 1) + 1)
    assert table.columns.is_unique
    for index, y in enumerate(spectrogram.segments(music, params)):
        mel = librosa.feature.melspectrogram(y=y, n_mels=params.n_mels, fmin=100.0, fmax=params.fmax_hz, **frames)
        decibels = librosa.power_to_db(mel, ref=np.max, top_db=60.0)
        mfcc = librosa.feature.mfcc(S=decibels, n_mfcc=20)
        onset = librosa.onset.onset_strength(S=decibels, **frames)
        theirs = {
            "mfcc": mfcc,
            "delta": librosa.feature.delta(mfcc),
            "chroma": librosa.feature.chroma_stft(y=y, tuning=0.0, **frames),
            "contrast": librosa.feature.spectral_contrast(y=y, **frames),
            "onset": onset[np.newaxis],
        }
        for name, values in theirs.items():
            for summary, expected in (("mean", values.mean(axis=1)), ("spread", values.std(axis=1))):
                off = of_decibels(-60) * params.n_mels ** (-0.5 if name in ("chroma", "onset") else 0.5)  # mean or sum
                ours = table.loc[index].filter(regex=f"^{name}_\\d+_{summary}$")
                np.testing.assert_allclose(ours, expected, atol=off)
        assert table["tempo"][index] == pytest.approx(librosa.feature.tempo(onset_envelope=onset, hop_length=200)[0])


@pytest.mark.parametrize(("hz", "pitch_class"), [(261.6, 0), (440.0, 9), (987.8, 11)])
def test_the_chroma_of_a_pure_tone_is_its_pitch_class(hz, pitch_class):
    chroma = of_audio(tone(hz, 5.0, PAPER.sample_rate_hz)).filter(regex="chroma.*mean")
    assert chroma.to_numpy().argmax(axis=1).tolist() == [pitch_class]


@pytest.mark.parametrize("beats_a_minute", [90, 150])
def test_the_tempo_of_a_click_track_is_found(beats_a_minute):
    clicks = librosa.clicks(times=np.arange(0, 5, 60 / beats_a_minute), sr=PAPER.sample_rate_hz, length=110_250)
    assert of_audio(clicks)["tempo"][0] == pytest.approx(beats_a_minute, rel=0.03)


def test_silence_is_finite_and_has_no_spread(params):
    table = of_audio(np.zeros(2 * params.samples_per_segment), params)
    assert len(table) == 2
    assert np.isfinite(table.to_numpy()).all()
    assert (table.filter(like="spread") == 0).all(axis=None)


def test_a_gain_changes_no_feature_of_audio(music):
    """A quarter is exact in binary; what differs is the rounding of logarithms, summed over the bands."""
    off = of_decibels(0.0) * PAPER.n_mels**0.5
    np.testing.assert_allclose(of_audio(music), of_audio(music / 4), atol=off)


def test_too_few_frames_are_an_error_that_says_what_to_do(params):
    coarse = dataclasses.replace(params, n_fft=1_024, hop_length=1_024)
    with pytest.raises(GenreUtilsError, match=r"9 frames or more\. Received: 4\. Raise segment_seconds"):
        handcrafted.of_audio(np.zeros(4_000, np.float32), coarse)
    with pytest.raises(GenreUtilsError, match=r"22 frames or more\. Received: 21"):
        handcrafted.of_log_mel(np.zeros((1, 32, 21)), params)


def log_mels(count, mels=128, frames=64, seed=4):
    """Noise with a slope over frequency, (n, mel, frame) in dB."""
    slope = np.linspace(0, -30, mels)[:, np.newaxis]
    return slope - 30 + np.random.default_rng(seed).normal(0, 5, (count, mels, frames))


@given(
    mels=st.integers(2, 150), frames=st.integers(22, 150), hop_length=st.integers(100, 2_048), seed=st.integers(0, 99)
)
def test_of_log_mel_takes_any_shape_and_ignores_the_level(params, mels, frames, hop_length, seed):
    params = dataclasses.replace(params, n_fft=2_048, hop_length=hop_length)
    decibels = log_mels(2, mels, frames, seed)
    values = handcrafted.of_log_mel(decibels, params)
    assert np.isfinite(values).all()
    off = rounded(64, 40) / 1e-3  # dB, the least that a correlation divides by
    np.testing.assert_allclose(handcrafted.of_log_mel(decibels + 7, params), values, atol=off)
    np.testing.assert_allclose(handcrafted.of_log_mel(decibels[1:], params), values[1:], atol=off)


def test_the_blocks_are_what_their_names_say():
    """The definitions, one segment and one band at a time."""
    params = Params(hop_length=1_709)  # 12.9 frames a second
    decibels = log_mels(1)
    found = {name: values[0] for name, values in handcrafted.blocks(decibels, params).items()}
    assert {name: len(values) for name, values in found.items()} == {
        "mfcc": 71, "spectral": 96, "delta_spectral": 128, "fluctuation": 160, "correlation": 120,
    }  # fmt: skip
    one = decibels[0] - decibels.mean()
    cepstra = librosa.feature.mfcc(S=one, n_mfcc=24)
    expected = [cepstra[1:].mean(axis=1), cepstra.std(axis=1), np.diff(cepstra).std(axis=1)]
    np.testing.assert_allclose(found["mfcc"], np.concatenate(expected), atol=rounded(128, 40 * 128**0.5))
    off = rounded(64, 40)
    bands = one.reshape(32, 4, 64).mean(axis=1)
    np.testing.assert_allclose(found["spectral"][32:64], np.median(bands, axis=1), atol=off)
    np.testing.assert_allclose(found["delta_spectral"][:32], np.median(np.abs(np.diff(bands)), axis=1), atol=off)
    np.testing.assert_allclose(found["delta_spectral"][96:], np.quantile(np.diff(bands), 0.95, axis=1), atol=off)
    rates = np.log1p(np.abs(np.fft.rfft((bands - bands.mean(axis=1, keepdims=True)) * np.hanning(64))))
    rates, off = rates.reshape(16, 2, 33).mean(axis=1), rounded(64, 40 * 64**0.5)
    pattern = found["fluctuation"].reshape(16, 10)
    np.testing.assert_allclose(pattern[:, 0], rates[:, 1:3].mean(axis=1), atol=off)  # the bins 1 to 31: to 6.3 Hz
    np.testing.assert_allclose(pattern[:, 9], rates[:, 28:32].mean(axis=1), atol=off)
    coarse = one.reshape(16, 8, 64).mean(axis=1)
    added = 2 * 1e-3 / coarse.std(axis=1).min()  # to both deviations
    np.testing.assert_allclose(found["correlation"], np.corrcoef(coarse)[np.triu_indices(16, 1)], atol=added)


@pytest.mark.parametrize("frames_a_second", [12.9, 43.07])
def test_a_pulsating_band_lights_its_place_in_the_fluctuation_pattern(frames_a_second):
    params = Params(hop_length=round(22_050 / frames_a_second))
    time = np.arange(round(5 * frames_a_second)) / frames_a_second
    decibels = np.full((1, 128, len(time)), -60.0)
    decibels[0, 40:48] += 20 * np.sin(2 * np.pi * 2.0 * time)  # 120 beats a minute, in the sixth of 16 bands
    pattern = handcrafted.blocks(decibels, params)["fluctuation"].reshape(16, 10)
    assert np.unravel_index(pattern.argmax(), pattern.shape) == (5, 4)  # 1.7 to 2.3 Hz is the fifth rate


def test_chunks_change_nothing(params, monkeypatch):
    decibels = log_mels(5, 32, 30)
    whole = handcrafted.of_log_mel(decibels, params)
    monkeypatch.setattr(handcrafted, "SEGMENTS_AT_ONCE", 2)
    np.testing.assert_allclose(handcrafted.of_log_mel(decibels, params), whole, atol=rounded(64, 40))
    assert handcrafted.of_log_mel(decibels[:0], params).shape == (0, whole.shape[1])


@pytest.fixture
def tracks(params, tmp_path):
    """Two tracks of two segments, and one that only decoding finds to be silent."""
    for genre, level in (("a", 0.5), ("b", 0.1), ("b-silent", 0.0)):
        folder = tmp_path / "music" / genre[0]
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{genre}.wav", tone(500, 1.2, params.sample_rate_hz, level), params.sample_rate_hz)
    return catalog.from_folder(tmp_path / "music", params)


def extract(tracks, params, folder):
    with joblib.parallel_config("threading"):  # a test's two tracks are not worth a process
        return handcrafted.extract(tracks, params, folder)


def test_extract_names_what_it_cannot_decode_and_computes_once(tracks, params, tmp_path, monkeypatch):
    with pytest.warns(UserWarning, match=r"1 of 3 tracks give no features: b/b-silent\.wav is silent"):
        table = extract(tracks, params, tmp_path)
    assert table["track_id"].tolist() == ["a/a.wav"] * 2 + ["b/b.wav"] * 2
    assert table["segment"].tolist() == [0, 1, 0, 1]
    samples, _ = soundfile.read(tracks["path"][0], dtype="float32")
    pd.testing.assert_frame_equal(table.iloc[:2, 2:], of_audio(samples, params))
    monkeypatch.setattr(handcrafted, "of_tracks", lambda *_: pytest.fail("computed again"))
    with pytest.warns(UserWarning, match="1 of 3 tracks"):
        pd.testing.assert_frame_equal(extract(tracks, params, tmp_path), table)
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        extract(tracks, dataclasses.replace(params, n_mels=16), tmp_path)


def test_no_track_with_features_is_an_error(tracks, params, tmp_path):
    with pytest.raises(CatalogError, match=r"None of the 1 usable tracks.*silent throughout"):
        extract(tracks[1:2], params, tmp_path)


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    monkeypatch.setattr(classifiers, "BOOSTING_ROUNDS", 5)


@pytest.fixture(scope="module")
def data():
    """Features and what they are of: 60 tracks of three segments, of which 42 train."""
    rng = np.random.default_rng(5)
    track = np.repeat(np.arange(60), 3)
    segments = pd.DataFrame(
        {
            "track_id": track.astype(str),
            "segment": np.tile(np.arange(3), 60),
            "split": np.where(track < 42, "train", np.where(track < 51, "validation", "test")),
            "genre": np.array(GENRES)[track % 3],
            "artist": "",
        }
    )
    x = rng.normal(size=(180, 4)) * [1, 10, 1, 100] + (track % 3)[:, np.newaxis] * [2, 20, 0, 0]
    mixed = rng.permutation(180)  # the splits lie anywhere
    return x[mixed], segments.iloc[mixed].reset_index(drop=True)


@pytest.mark.parametrize("kind", classifiers.KINDS)
def test_fit_predict_gives_a_tidy_table_and_learns(data, kind):
    x, segments = data
    table = classifiers.fit_predict(x, segments, kind, GENRES)
    probabilities = ["p_blues", "p_country", "p_pop"]
    assert table.columns.tolist() == ["track_id", "segment", "split", "genre", "predicted", *probabilities, "artist"]
    expected = segments[segments["split"] != "train"].reset_index(drop=True)
    pd.testing.assert_frame_equal(table[expected.columns], expected)
    np.testing.assert_allclose(table[probabilities].sum(axis=1), 1)
    assert (table["predicted"] == table[probabilities].idxmax(axis=1).str.removeprefix("p_")).all()
    assert (table["predicted"] == table["genre"]).mean() > 0.6  # chance: 0.33


def test_the_svm_equals_scikit_learn_s_pipeline(data):
    x, segments = data
    train = (segments["split"] == "train").to_numpy()
    y, track = segments["genre"][train].to_numpy(), segments["track_id"][train]
    parts = list(StratifiedGroupKFold(3).split(x[train], y, track))
    machines = make_pipeline(StandardScaler(), OneVsRestClassifier(SVC()))
    theirs = CalibratedClassifierCV(machines, method="temperature", cv=parts, ensemble=False).fit(x[train], y)
    ours = classifiers.fit_predict(x, segments, "svm", GENRES).filter(like="p_")
    np.testing.assert_array_equal(ours, theirs.predict_proba(x[~train]))


@pytest.mark.parametrize("kind", classifiers.KINDS)
def test_what_is_not_train_has_no_part_in_training(data, kind):
    x, segments = data
    test = (segments["split"] == "test").to_numpy()
    changed = segments.assign(genre=segments["genre"].where(~test, "pop"))
    before = classifiers.fit_predict(x, segments, kind, GENRES).query("split == 'validation'")
    after = classifiers.fit_predict(np.where(test[:, np.newaxis], 1e3, x), changed, kind, GENRES)
    pd.testing.assert_frame_equal(after.query("split == 'validation'"), before)


@pytest.mark.parametrize("kind", classifiers.KINDS)
def test_a_genre_without_training_tracks_is_never_predicted(data, kind):
    x, segments = data
    few = ~((segments["split"] == "train") & (segments["genre"] == "country"))  # two genres are left to train on
    table = classifiers.fit_predict(x[few], segments[few], kind, GENRES)
    assert (table["p_country"] == 0).all()
    assert set(table["predicted"]) == {"blues", "pop"}


def test_two_training_tracks_of_one_segment_are_enough(data):
    x, segments = data
    few = (segments["split"] == "test") | segments["track_id"].isin([str(track) for track in range(6)])
    few &= segments["segment"] == 0
    table = classifiers.fit_predict(x[few], segments[few], "svm", GENRES)
    np.testing.assert_allclose(table.filter(like="p_").sum(axis=1), 1)


def test_a_seed_decides_boosting(data):
    first, again, other = (classifiers.fit_predict(*data, "boosting", GENRES, seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not np.allclose(first.filter(like="p_"), other.filter(like="p_"))


def test_what_cannot_be_trained_says_why(data):
    x, segments = data
    with pytest.raises(ParamsError, match=r"Unknown classifier 'boost'.*'boosting'"):
        classifiers.fit_predict(x, segments, "boost", GENRES)
    one = segments[segments["split"] == "train"].query("genre != 'pop' or track_id == '2'")
    with pytest.raises(SplitError, match=r"two or more training tracks .* Found only one of: pop"):
        classifiers.fit_predict(x[one.index], one, "svm", GENRES)
