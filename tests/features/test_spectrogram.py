import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal
from bounds import DOUBLE, U, of_decibels, rounded
from conftest import tone
from hypothesis import given
from hypothesis import strategies as st

from genre_utils.errors import GenreUtilsError
from genre_utils.features import spectrogram
from genre_utils.params import Params

PAPER = Params()


def music(rng: np.random.Generator, count: int, params: Params = PAPER) -> np.ndarray:
    """Noise under a few tones at very different levels, (count, samples)."""
    time = np.arange(params.samples_per_segment) / params.sample_rate_hz
    tones = np.stack([np.sin(2 * np.pi * hz * time) for hz in rng.uniform(50, 7_000, count)])
    levels = 10.0 ** rng.uniform(-3, 0, (count, 1))
    return (levels * (0.5 * tones + 0.05 * rng.normal(size=tones.shape))).astype(np.float32)


def librosa_log_mel(segment: np.ndarray, params: Params) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=segment, sr=params.sample_rate_hz, n_fft=params.n_fft, hop_length=params.hop_length, n_mels=params.n_mels,
        fmin=params.fmin_hz, fmax=params.fmax_hz,
    )  # fmt: skip
    return librosa.power_to_db(mel, ref=np.max, top_db=params.top_db)


def assert_close(decibels, expected):
    np.testing.assert_array_less(np.abs(decibels - expected), of_decibels(expected))


def test_log_mel_equals_librosa(rng):
    audio = music(rng, 4)
    ours = spectrogram.log_mel(audio, PAPER)
    assert ours.shape == (4, 128, 216)
    assert ours.dtype == np.float32
    for segment, decibels in zip(audio, ours, strict=True):
        assert_close(decibels, librosa_log_mel(segment, PAPER))


@pytest.mark.parametrize("missing", [None, "no file", "another file"])
def test_the_transform_is_that_of_scipy_whatever_of_it_is_found(rng, monkeypatch, missing):
    if missing == "no file":
        monkeypatch.setattr(spectrogram.importlib.util, "find_spec", lambda _: None)
    elif missing:
        monkeypatch.setattr(spectrogram.importlib.util, "module_from_spec", lambda _: spectrogram)
    transform = spectrogram.scipy_rfft()
    assert (transform is scipy.fft.rfft) == bool(missing)
    for length in (4, 500, 501, 2_048):
        rows = rng.normal(size=(7, length)).astype(np.float32)
        np.testing.assert_array_equal(transform(rows), scipy.fft.rfft(rows), strict=True)


@given(
    n_fft=st.sampled_from([256, 500, 501, 1024]),
    hop_length=st.integers(50, 256),
    n_mels=st.integers(4, 40),
    seed=st.integers(0, 100),
)
def test_log_mel_equals_librosa_for_any_parameters(params, n_fft, hop_length, n_mels, seed):
    odd = dataclasses.replace(params, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, fmin_hz=200.0)
    audio = music(np.random.default_rng(seed), 1, odd)
    if (spectrogram.mel_filters(odd).sum(axis=1) == 0).any():
        return  # librosa warns of an empty band
    assert_close(spectrogram.log_mel(audio, odd)[0], librosa_log_mel(audio[0], odd))
    power = np.abs(librosa.stft(audio[0], n_fft=n_fft, hop_length=hop_length)) ** 2  # (bin, frame)
    np.testing.assert_allclose(spectrogram.stft_power(audio, odd)[0], power.T, atol=2 * rounded(64, power.max()))


@pytest.mark.filterwarnings("ignore:.*mel bands lie between")
@pytest.mark.filterwarnings("ignore:Empty filters detected")
@given(
    rate_hz=st.sampled_from([8_000, 22_050, 44_100]),
    n_fft=st.sampled_from([255, 512, 2048]),
    n_mels=st.integers(1, 150),
    fmin_hz=st.floats(0, 3_000),
    fmax_hz=st.floats(3_001, 4_000),
)
def test_the_filters_are_librosas(rate_hz, n_fft, n_mels, fmin_hz, fmax_hz):
    odd = dataclasses.replace(
        PAPER, sample_rate_hz=rate_hz, n_fft=n_fft, hop_length=n_fft, n_mels=n_mels, fmin_hz=fmin_hz, fmax_hz=fmax_hz
    )
    oracle = librosa.filters.mel(sr=rate_hz, n_fft=n_fft, n_mels=n_mels, fmin=fmin_hz, fmax=fmax_hz)
    ours = spectrogram.mel_filters(odd)
    assert ours.dtype == np.float32
    # A filter as narrow as this rises to 1 / narrow, and where it begins errs by some roundings of the frequency.
    narrow = np.diff(librosa.mel_frequencies(n_mels + 2, fmin=fmin_hz, fmax=fmax_hz)).min()
    np.testing.assert_allclose(ours, oracle, rtol=4 * U, atol=U * oracle.max() + 64 * DOUBLE * fmax_hz / narrow**2)
    whole = np.zeros_like(oracle)
    for bands, bins, weights in spectrogram.mel_blocks(odd):
        whole[bands, bins] = weights.T
    np.testing.assert_array_equal(whole, ours)


def test_bands_without_a_bin_are_told(params):
    with pytest.warns(UserWarning, match=r"^\d+ of 300 mel bands lie between two frequency bins .* stay empty"):
        spectrogram.mel_filters(dataclasses.replace(params, n_mels=300))


@pytest.mark.parametrize("n_fft", [2, 255, 500, 2048])
def test_the_window_is_scipys(n_fft):
    np.testing.assert_array_equal(spectrogram.hann(n_fft), scipy.signal.get_window("hann", n_fft).astype(np.float32))


def test_extraction_imports_nothing_that_takes_long():
    script = """
import sys
import numpy as np
from genre_utils.features import extraction, spectrogram
from genre_utils.params import Params
spectrogram.log_mel(np.ones((1, Params().samples_per_segment)), Params())
print(*{"librosa.filters", "numba", "scipy.signal", "sklearn", "matplotlib", "keras", "tensorflow"} & set(sys.modules))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not found, f"Every process that extracts features now waits for {', '.join(found)}."


WOKEN = """
import os, sys, time
from dataclasses import replace
from pathlib import Path
import numpy as np
from genre_utils.splits import fingerprinting
from genre_utils.features import spectrogram
from genre_utils.inference import litert_model
from genre_utils.evaluation import novelty
from genre_utils.params import Params
rng, paper = np.random.default_rng(0), Params()

def about(what):  # each thread but this one
    threads = [path for path in Path("/proc/self/task").iterdir() if path.name != str(os.getpid())]
    return {path.name: [line for line in (path / "status").open() if what in line] for path in threads}

def log_mel(**settings):
    params = replace(paper, **settings)
    spectrogram.log_mel(rng.normal(size=(2, params.samples_per_segment)), params)

def compared(tracks, frames):
    prints = list(rng.normal(size=(tracks, fingerprinting.BANDS, frames)).astype(np.float32))
    fingerprinting.best_match(prints, prints, fingerprinting.HOP_SECONDS)

product = rng.normal(size=(500, 500))
np.save(sys.argv[1], rng.normal(size=(4_096, 512)).astype(np.float32))
dense = litert_model.product(Path(sys.argv[1]))
thin = {
    "log_mel": log_mel,
    "log_mel, 30 s": lambda: log_mel(segment_seconds=30.0),
    "log_mel, 1 band": lambda: log_mel(n_mels=1),
    "log_mel, 33 bands": lambda: log_mel(n_mels=33),
    "log_mel, 10 wide bands": lambda: log_mel(n_mels=10, n_fft=8_192),
    "fingerprint": lambda: fingerprinting.fingerprint(rng.normal(size=660_000), 22_050),
    "best_match": lambda: compared(57, 600),
    "best_match, short": lambda: compared(120, 60),
    "nearest": lambda: novelty.nearest(rng.normal(size=(6, 16)), rng.normal(size=(5_000, 16))),
    "exported network": lambda: dense(rng.normal(size=(6, 4_096))),
    "product": lambda: product @ product,
}

def switches():  # once all sleep: a thread that was woken, and looks for more work for a while, has not switched yet
    while not all("sleeping" in line for lines in about("State").values() for line in lines):
        time.sleep(0.01)
    return about("ctxt_switches")

for name, way in thin.items():
    before = switches()
    way()
    after = switches()
    if any(after[thread] != before[thread] for thread in before):
        print(name)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux tells which threads were woken")
def test_thin_products_wake_no_second_thread(tmp_path):
    """On a busy machine each product would wait for the slowest thread."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "4"}  # as on four cores
    command = [sys.executable, "-c", WOKEN, str(tmp_path / "matrix.npy")]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == ["product"]  # which is not thin


def test_batching_changes_nothing(rng):
    audio = music(rng, 5)
    together = spectrogram.log_mel(audio, PAPER)
    for index in range(5):
        np.testing.assert_allclose(
            together[index], spectrogram.log_mel(audio[index : index + 1], PAPER)[0], atol=rounded(4, 80)
        )
    np.testing.assert_allclose(spectrogram.log_mel(audio[::-1], PAPER), together[::-1], atol=rounded(4, 80))


def test_every_segment_has_its_own_reference(rng):
    decibels = spectrogram.log_mel(music(rng, 6), PAPER)
    assert (decibels.max(axis=(1, 2)) == 0).all()
    assert decibels.min() >= -PAPER.top_db


def test_level_does_not_matter(rng):
    audio = music(rng, 1)
    np.testing.assert_allclose(
        spectrogram.log_mel(audio / 4, PAPER), spectrogram.log_mel(audio, PAPER), atol=rounded(8, 80)
    )


@pytest.mark.parametrize("hz", [100, 440, 1_000, 5_000])
def test_a_pure_tone_lights_the_band_that_holds_it(hz):
    audio = tone(hz, PAPER.segment_seconds, PAPER.sample_rate_hz)[None].astype(np.float32)
    band = spectrogram.log_mel(audio, PAPER)[0].mean(axis=1).argmax()
    edges_hz = librosa.mel_frequencies(PAPER.n_mels + 2, fmin=PAPER.fmin_hz, fmax=PAPER.fmax_hz)
    assert edges_hz[band] <= hz <= edges_hz[band + 2]


def test_silence_is_flat(params):
    assert (spectrogram.log_mel(np.zeros((2, params.samples_per_segment), np.float32), params) == 0).all()


def test_a_click_is_a_vertical_line(params):
    audio = np.zeros((1, params.samples_per_segment), np.float32)
    audio[0, 2_000] = 1
    level = spectrogram.mel_power(audio, params)[0].sum(axis=0)  # (frame,)
    assert abs(level.argmax() - 2_000 / params.hop_length) <= 1
    assert (level[np.abs(np.arange(len(level)) - level.argmax()) > 3] < 1e-9).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_is_refused(params, value):
    audio = np.zeros((2, params.samples_per_segment), np.float32)
    audio[1, 7] = value
    with pytest.raises(GenreUtilsError, match="NaN or infinity"):
        spectrogram.log_mel(audio, params)


@given(st.integers(0, 60_000))
def test_segments_are_whole_and_in_order(params, samples):
    track = np.arange(samples, dtype=np.float32)
    cut = spectrogram.segments(track, params)
    assert len(cut) == min(samples // params.samples_per_segment, params.max_segments)
    np.testing.assert_array_equal(cut.ravel(), track[: cut.size])
