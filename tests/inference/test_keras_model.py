import dataclasses
import itertools

import numpy as np
import pytest
import soundfile
import tiny  # noqa: F401  (a network for models.build)
from bounds import U, of_network, of_tempered
from conftest import tone

from genre_utils.audio import decoding
from genre_utils.evaluation.novelty import Reference, summary_statistics
from genre_utils.evaluation.temperature_scaling import NOT_SURE, SURE, UNLIKE, Calibration
from genre_utils.features import spectrogram
from genre_utils.inference import keras_model, prediction
from genre_utils.models import factory

GENRES = ["bass", "noise", "treble"]


@pytest.fixture(scope="module")
def tiny_params(params):
    return dataclasses.replace(params, model="tiny_cnn")


@pytest.fixture(scope="module")
def model(tiny_params):
    """Its batch norm has seen something, so that training and inference differ."""
    network = factory.build(tiny_params, len(GENRES))
    network(np.random.default_rng(3).uniform(-80, 0, (8, tiny_params.n_mels, 32)), training=True)
    return network


@pytest.fixture(scope="module")
def network(model, tiny_params):
    return keras_model.compiled(model, GENRES, tiny_params)


@pytest.fixture(scope="module")
def files(tmp_path_factory, params):
    """One of 13 segments and a rest, one that is no audio, one too short, one of 4 segments."""
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(4)
    paths = [folder / name for name in ("long.wav", "text.wav", "short.wav", "four.flac")]
    for path, seconds in ((paths[0], 6.7), (paths[2], 0.2), (paths[3], 2.2)):
        samples = tone(300, seconds, params.sample_rate_hz) * np.linspace(0.1, 1, round(seconds * 8_000))
        soundfile.write(path, samples + rng.normal(0, 0.02, len(samples)), params.sample_rate_hz)
    paths[1].write_text("no audio")
    return paths


@pytest.fixture(scope="module")
def heard(files, network):
    return list(prediction.predict(files, network))


def oracle(path, model, params):
    """File by file, whole, by ``model.predict``; and how far another way may be from it."""
    params = dataclasses.replace(params, max_segments=0)
    decibels = spectrogram.log_mel(spectrogram.segments(decoding.load(path, params), params), params)
    return model.predict(decibels, verbose=0), of_network(model, decibels)


def test_every_segment_of_every_file_in_order_and_faults_are_named(heard, files, model, tiny_params):
    assert [answer.path for answer in heard] == [str(path) for path in files]
    assert [len(answer.probabilities) for answer in heard] == [13, 0, 0, 4]
    for answer, path in ((heard[0], files[0]), (heard[3], files[3])):
        expected, off = oracle(path, model, tiny_params)
        np.testing.assert_allclose(answer.probabilities, expected, atol=off)
        np.testing.assert_allclose(answer.track, answer.probabilities.mean(axis=0), rtol=len(expected) * U)
        assert answer.fault == ""
    assert "cannot be read as audio" in heard[1].fault
    assert "one segment needs 0.50 s" in heard[2].fault


def test_a_long_file_is_heard_in_parts(heard, files, model, network, tiny_params, monkeypatch):
    sizes = []

    def counting(decibels):
        sizes.append(len(decibels))
        return network.run(decibels)

    monkeypatch.setattr(decoding, "BLOCK_SECONDS", 1.3)
    (answer,) = prediction.predict(files[:1], dataclasses.replace(network, run=counting))
    assert sum(sizes) == 13
    assert max(sizes) <= 3
    _, off = oracle(files[0], model, tiny_params)
    np.testing.assert_allclose(answer.probabilities, heard[0].probabilities, atol=off)


def test_a_fault_at_the_end_of_a_file_is_a_fault(tmp_path, files, network, monkeypatch):
    samples, rate_hz = soundfile.read(files[0])
    samples[-100] = np.nan
    soundfile.write(tmp_path / "odd.wav", samples, rate_hz, subtype="FLOAT")
    monkeypatch.setattr(decoding, "BLOCK_SECONDS", 1.3)
    (answer,) = prediction.predict([tmp_path / "odd.wav"], network)
    assert "NaN or infinity" in answer.fault
    assert answer.probabilities.shape == (0, 3)


def test_files_are_drawn_as_they_are_needed_and_one_may_stop_any_time(files, network):
    drawn = itertools.count()
    endless = (files[next(drawn) % len(files)] for _ in itertools.count())
    answers = prediction.predict(endless, network, threads=2)
    assert [answer.path for answer in itertools.islice(answers, 6)] == [str(files[n % 4]) for n in range(6)]
    answers.close()
    assert next(drawn) <= 6 + 3


def test_the_network_is_not_trained_by_being_asked(files, model, network):
    before = [weight.numpy() for weight in model.weights]
    list(prediction.predict(files[3:], network))
    for weight, kept in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), kept)


def test_an_answer_is_calibrated_and_judged(files, model, network, heard):
    """The long file is what the reference was made of; an answer's verdict is that of the whole file."""
    params = dataclasses.replace(network.params, max_segments=0)
    decibels = np.concatenate(list(prediction.log_mels(files[0], params)))
    reference = Reference.fit(summary_statistics(decibels), np.arange(13) % 4, np.arange(13) % 4)
    fitted = Calibration(0.1, 3.0, reference)
    long, text, _, four = prediction.predict(files, dataclasses.replace(network, calibration=fitted))
    raw, off = heard[0].probabilities, of_network(model, decibels)  # the network's own
    expected = fitted.calibrated(raw, "softmax")
    np.testing.assert_allclose(long.probabilities, expected, atol=of_tempered(off, raw, fitted.temperature))
    mean = raw.mean(axis=0)
    expected = mean ** (1 / 3) / (mean ** (1 / 3)).sum()
    np.testing.assert_allclose(long.track, expected, atol=of_tempered(off, mean, fitted.track_temperature))
    # The reference holds float32, and what is left of squares whose difference is 0 is a root of float64's roundings.
    assert long.novelty_score == pytest.approx(
        0, abs=float(2 * U * np.abs(reference.points).max() / reference.farthest)
    )
    assert long.verdict == (SURE if long.track.max() >= 0.5 else NOT_SURE)
    assert np.isnan(text.novelty_score) and text.verdict == SURE
    assert four.novelty_score == pytest.approx(
        fitted.novelty_score(np.concatenate(list(prediction.log_mels(files[3], params)))).mean()
    )
    nearby = dataclasses.replace(reference, farthest=1e-9)
    *_, four = prediction.predict(files, dataclasses.replace(network, calibration=Calibration(reference=nearby)))
    assert four.verdict == UNLIKE
