"""The model that comes with genre_utils, as a user gets it."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone

from genre_utils.audio import decoding
from genre_utils.evaluation.temperature_scaling import UNLIKE
from genre_utils.features import spectrogram
from genre_utils.inference import litert_model, prediction
from genre_utils.models import musicnn, pretrained

FOLDER = litert_model.SHIPPED
RATE_HZ = 22_050


@pytest.fixture(scope="module")
def network():
    return litert_model.open_exported(FOLDER)


def test_it_is_small_and_its_features_are_those_of_the_pretrained_network(network):
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 4_000_000
    assert len(network.genres) == 10 and network.genres == sorted(network.genres)
    pretrained.check(network.params)
    assert network.params.frames_per_segment == 187
    assert network.notice == ""


def test_its_card_has_the_figure_that_predict_shows_and_the_notice_of_the_weights(network):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert network.about in card and network.about == json.loads((FOLDER / "export.json").read_text())["about"]
    assert re.search(r"\d\d\.\d % of \d+ clips", network.about) and "95 % interval" in network.about
    assert "Universitat Pompeu Fabra 2019" in card and "this permission notice appear in all copies" in card
    assert "no licence" in card


def test_one_file_is_predicted_without_what_takes_long_to_import(tmp_path):
    soundfile.write(tmp_path / "tone.wav", tone(440.0, 4.0, RATE_HZ), RATE_HZ)
    code = (
        "import sys; from genre_utils.__main__ import main; assert main(['predict', sys.argv[1]]) == 0; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    words = [sys.executable, "-c", code, tmp_path / "tone.wav"]
    imported = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()
    assert not {"asyncio", "pandas", "scipy", "tensorflow", "threadpoolctl", "tqdm"} & set(imported)


def test_what_is_no_music_is_unlike_anything_in_training(network, tmp_path, rng):
    sounds = {
        "noise": rng.normal(0, 0.1, 10 * RATE_HZ),
        "tone": tone(440.0, 10.0, RATE_HZ),
    }
    for name, samples in sounds.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE_HZ)
    answers = prediction.predict(sorted(tmp_path.iterdir()), network)
    assert {Path(answer.path).stem: answer.verdict for answer in answers} == dict.fromkeys(sounds, UNLIKE)


def test_a_quiet_copy_is_the_same_song(network, rng):
    """A level of -20 dB changes nothing but roundings of float32, which the softplus and 1,700 features add up."""
    params = dataclasses.replace(network.params, max_segments=0)
    time = np.arange(3 * params.samples_per_segment) / params.sample_rate_hz
    chord = sum(np.sin(2 * np.pi * hz * time) for hz in (220, 277, 330)) * (1 + np.sin(2 * np.pi * 2 * time))
    music = (0.1 * chord + rng.normal(0, 0.01, len(time))).astype(np.float32)
    loud, quiet = (
        network.run(spectrogram.log_mel(spectrogram.segments(samples, params), params))
        for samples in (music, music / 10)
    )
    assert np.abs(loud - quiet).max() < 1e-3


@pytest.mark.real
def test_segments_are_set_to_the_usual_loudness_of_gtzan(network):
    """Of 80 of the 138 clips: the comment at ``musicnn.LOUDEST`` says the median of all."""
    loudest = []
    for path in sorted((Path(os.environ["GENRE_DATA_HOME"]) / "genres").glob("*/*.wav")):
        cut = spectrogram.segments(decoding.load(path, network.params), network.params)
        loudest += spectrogram.mel_power(cut, network.params).max(axis=(1, 2)).tolist()
    logarithms = np.log10(10_000 * np.maximum(loudest, 1e-10))
    half = 1.25 * logarithms.std() / np.sqrt(len(loudest) / 10)  # of a median, if the ten segments of a clip are alike
    assert abs(np.median(logarithms) - musicnn.LOUDEST) < 3 * half


@pytest.mark.real
def test_it_has_learned_its_own_training_clips(network):
    """Not how good it is, but that the path from a file to its input is that of its training."""
    clips = sorted((Path(os.environ["GENRE_DATA_HOME"]) / "genres").glob("*/*.wav"))
    answers = prediction.predict(clips, network)
    right = [network.genres[answer.track.argmax()] == Path(answer.path).parent.name for answer in answers]
    assert len(right) == 80 and np.mean(right) > 0.95
