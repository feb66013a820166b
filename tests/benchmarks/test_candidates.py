"""What the candidates for the shipped model are tried on."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.signal
from conftest import tone

from benchmarks import shared
from benchmarks.accuracy import candidates, shipped
from genre_utils.audio import decoding
from genre_utils.evaluation.temperature_scaling import Calibration
from genre_utils.models import embeddings
from genre_utils.params import Params

RATE_HZ = 22_050


@pytest.mark.parametrize("condition", candidates.CONDITIONS)
def test_an_altered_clip_is_a_file_of_the_same_length(condition, rng, tmp_path):
    samples = (tone(440.0, 6.0, RATE_HZ) + rng.normal(0, 0.05, 6 * RATE_HZ)).astype(np.float32)
    altered, rate_hz = candidates.altered(samples, RATE_HZ, condition, rng)
    path = candidates.write_clip(altered, rate_hz, condition, tmp_path)
    decoded = decoding.load(path, Params())
    assert abs(len(decoded) / RATE_HZ - 6) < 0.1  # MP3 adds some thousand samples at its ends
    assert np.abs(np.fft.rfft(decoded)).argmax() * RATE_HZ / len(decoded) == pytest.approx(440, abs=1)
    if condition == candidates.MP3:
        assert path.stat().st_size == pytest.approx(64_000 / 8 * 6, rel=0.1)


def test_each_loss_is_what_its_name_says(rng):
    noise = rng.normal(0, 0.1, 3 * RATE_HZ).astype(np.float32)
    telephone, rate_hz = candidates.altered(noise, RATE_HZ, "8 kHz telephone band", rng)
    hz, power = scipy.signal.welch(telephone, rate_hz, nperseg=2_048)
    assert rate_hz == 8_000 and power[hz < 100].max() < power[(hz > 500) & (hz < 3_000)].mean() / 1_000
    assert np.array_equal(candidates.altered(noise, RATE_HZ, "20 dB quieter", rng)[0], noise / 10)
    stereo = candidates.altered(noise, RATE_HZ, "one channel of stereo", rng)[0]
    assert np.array_equal(stereo[:, 0], noise) and not stereo[:, 1].any()
    click = np.zeros(RATE_HZ, np.float32)
    click[0] = 0.5
    tail = candidates.altered(click, RATE_HZ, "echo of a room", rng)[0]
    late = np.abs(tail[RATE_HZ // 4 : RATE_HZ // 2]).mean()
    assert 0 < late < np.abs(tail[1 : RATE_HZ // 20]).mean() / 10  # it decays, and ends after half a second
    assert np.abs(tail[RATE_HZ // 2 + 1 :]).max() < 1e-6


def test_no_clip_is_predicted_by_a_probe_that_has_heard_its_fold(rng):
    """Embeddings that only name their fold: what is learned of the other folds says nothing of it."""
    label, fold = np.arange(40) % 10, np.arange(40) // 8
    clip = np.repeat(np.arange(40), 2)
    values = rng.normal(0, 0.1, (80, sum(embeddings.WIDTHS.values()))).astype(np.float32)
    values[np.arange(80), clip] += 5  # a number of its own for each clip
    measured = {"b": values, "b_clip": clip}
    means = candidates.examples([measured])
    held_out = candidates.of_b(measured, means, label, fold)
    heard = candidates.probe_of(means, label).probabilities(values)
    assert (heard.argmax(axis=1) == label[clip]).mean() == 1
    assert (held_out.argmax(axis=1) == label[clip]).mean() < 0.5


def test_the_card_is_made_of_the_figures(rng):
    genre = np.array(shared.GENRES)[np.arange(60) % 10]
    tracks = pd.DataFrame(
        {"track_id": [f"{n}" for n in range(60)], "genre": genre, "artist": [f"a{n // 2}" for n in range(60)]}
    )
    clip = np.repeat(np.arange(60), 3)
    segments = candidates.table_of(tracks, clip, rng.dirichlet(np.ones(10), 180))
    clips = candidates.scoring.by_track(segments)
    figure = candidates.uncertainty.accuracy(clips)
    rows = [{"candidate": shipped.CHOSEN, "condition": "as it is", **figure}]
    text = shipped.card("What it is.", segments, clips, Calibration(), rows)
    assert "What it is." in text and "$" not in text and "Universitat Pompeu Fabra" in text
    assert text.count(candidates.networks.said(figure)) == 2  # as a figure, and in the table of losses


def test_the_shipped_model_is_the_chosen_candidate():
    about = json.loads((shipped.shared.ROOT / "genre_utils" / "inference" / "shipped" / "export.json").read_text())
    assert about["params"] == candidates.params_of_b().to_mapping()
