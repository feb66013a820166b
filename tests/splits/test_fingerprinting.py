"""The audit finds copies of every kind and nothing else: against numpy, by physics, and on files."""

import os
import shutil
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile
from bounds import of_decibels, rounded
from conftest import tone
from hypothesis import given
from hypothesis import strategies as st

from genre_utils.datasets import catalog
from genre_utils.params import Params
from genre_utils.splits import fingerprinting, survey

RATE_HZ = 8_000
CORRELATION = rounded(64, 4)  # of transforms there and back; at the least overlap, of sums twice as large
HOP = round(fingerprinting.HOP_SECONDS * RATE_HZ)


def piece(seed: int, seconds: float = 8.0) -> np.ndarray:
    """Five notes a second, each a decaying chord at a random time, over tape noise, (samples,)."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.01, round((seconds + 1) * RATE_HZ))
    decay = np.exp(-np.arange(RATE_HZ) / (0.15 * RATE_HZ))
    for _ in range(round(5 * seconds)):
        start = int(rng.integers(0, round(seconds * RATE_HZ)))
        note = sum(tone(hz, 1.0, RATE_HZ, 0.1) for hz in rng.uniform(110, 3_500, 3))
        samples[start : start + RATE_HZ] += note * decay
    return samples[: round(seconds * RATE_HZ)].astype(np.float32)


def prints(**tracks: np.ndarray) -> dict[str, np.ndarray]:
    return {name: fingerprinting.fingerprint(samples, RATE_HZ) for name, samples in tracks.items()}


def match(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """Similarity and lag of two fingerprints."""
    similarity, lag = fingerprinting.best_match([a], [b], fingerprinting.HOP_SECONDS)
    return float(similarity[0, 0]), int(lag[0, 0])


def slow_match(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """The same by its definition: lag by lag, without a transform."""
    best = (0.0, 0)
    needed = max(np.ceil(min(a.shape[1], b.shape[1]) / 2), 1 / fingerprinting.HOP_SECONDS)
    for lag in range(-b.shape[1] + 1, a.shape[1]):
        start, end = max(0, lag), min(a.shape[1], b.shape[1] + lag)
        if end - start >= needed:
            x, y = a[:, start:end].astype(float), b[:, start - lag : end - lag].astype(float)
            best = max(best, ((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()), lag))
    return best


def test_at_lag_zero_it_is_numpys_correlation(rng):
    a = fingerprinting.from_log_mel(rng.normal(0, 5, (32, 100)))
    b = fingerprinting.from_log_mel(a + rng.normal(0, 1, a.shape))
    similarity, lag = match(a, b)
    assert lag == 0
    np.testing.assert_allclose(similarity, np.corrcoef(a.ravel(), b.ravel())[0, 1], atol=CORRELATION)


@pytest.mark.parametrize(("frames_a", "frames_b"), [(80, 80), (120, 70), (70, 120), (300, 41)])
def test_the_transform_equals_the_definition(rng, frames_a, frames_b):
    a = fingerprinting.from_log_mel(rng.normal(0, 5, (32, 300)))[:, -frames_a:]
    b = fingerprinting.from_log_mel(rng.normal(0, 5, (32, 300)))[:, :frames_b]
    expected, lag = slow_match(a, b)
    assert match(a, b) == (pytest.approx(expected, abs=CORRELATION), lag)


def test_lengths_that_share_a_block_do_not_disturb_each_other(rng):
    fingerprints = [fingerprinting.from_log_mel(rng.normal(0, 5, (32, frames))) for frames in (90, 40, 250, 90)]
    similarity, lag = fingerprinting.best_match(fingerprints, fingerprints[::-1], fingerprinting.HOP_SECONDS)
    for i, a in enumerate(fingerprints):
        for j, b in enumerate(fingerprints[::-1]):
            expected, at = slow_match(a, b)
            assert (similarity[i, j], lag[i, j]) == (pytest.approx(expected, abs=CORRELATION), at)


@given(st.floats(-30, 30))
def test_level_changes_nothing(gain_db):
    samples = piece(0, seconds=2.0)
    louder = fingerprinting.fingerprint(samples * np.float32(10 ** (gain_db / 20)), RATE_HZ)
    np.testing.assert_allclose(
        fingerprinting.fingerprint(samples, RATE_HZ), louder, atol=2 * of_decibels(-fingerprinting.RANGE_DB)
    )


def test_an_equaliser_changes_little():
    samples = piece(0)
    brighter = samples - 0.7 * np.append(0, samples[:-1])
    assert match(*prints(a=samples, b=brighter).values())[0] > 0.9


@given(st.integers(-60, 60))
def test_a_shift_is_found_where_it_is_and_on_its_side(frames):
    samples = piece(1, seconds=10.0)
    late, early = samples[: -60 * HOP], samples[abs(frames) * HOP :][: -60 * HOP or None]
    pair = (late, early) if frames >= 0 else (early, late)
    found = fingerprinting.near_duplicates(prints(a=pair[0], b=pair[1])).iloc[0]
    assert found["similarity"] > 0.95
    assert found["lag_seconds"] == pytest.approx(frames * fingerprinting.HOP_SECONDS)


def test_half_a_hop_beside_the_grid_is_found_too():
    similarity, lag = match(*prints(a=piece(2), b=piece(2)[10 * HOP + HOP // 2 :]).values())
    assert similarity > fingerprinting.NEAR_DUPLICATE + 0.15
    assert lag in (10, 11)


def test_less_than_half_of_the_shorter_one_does_not_count():
    whole = piece(3, seconds=20.0)
    first, last = whole[: 12 * RATE_HZ], whole[8 * RATE_HZ :]  # 4 s of 12 are common
    assert match(*prints(a=first, b=last).values())[0] < fingerprinting.NEAR_DUPLICATE
    assert match(*prints(a=first, b=whole[5 * RATE_HZ : 17 * RATE_HZ]).values())[0] > 0.9  # 7 s of 12


def test_an_excerpt_is_found_in_the_whole():
    whole = piece(4, seconds=30.0)
    found = fingerprinting.near_duplicates(prints(whole=whole, excerpt=whole[20 * RATE_HZ : 26 * RATE_HZ])).iloc[0]
    assert (found["track_a"], found["track_b"]) == ("excerpt", "whole")
    assert found["lag_seconds"] == pytest.approx(-20.0)  # in the excerpt it comes 20 s earlier


def test_symmetric():
    fingerprints = prints(a=piece(5), b=piece(5)[HOP * 7 :], c=piece(6, seconds=5.0))
    similarity, lag = fingerprinting.best_match(
        [*fingerprints.values()], [*fingerprints.values()], fingerprinting.HOP_SECONDS
    )
    np.testing.assert_allclose(similarity, similarity.T, atol=CORRELATION)
    np.testing.assert_array_equal(lag, -lag.T)
    np.testing.assert_allclose(np.diag(similarity), 1, atol=CORRELATION)


def test_order_and_tiles_change_nothing(monkeypatch):
    fingerprints = prints(**{f"{i}": piece(i % 5)[i * HOP : (5 + i % 3) * RATE_HZ] for i in range(9)})
    expected = fingerprinting.near_duplicates(fingerprints, threshold=0.2)
    assert (expected["similarity"] > fingerprinting.NEAR_DUPLICATE).sum() == 4  # 0-5, 1-6, 2-7 and 3-8
    backwards = fingerprinting.near_duplicates(dict(reversed(fingerprints.items())), threshold=0.2)
    monkeypatch.setattr(fingerprinting, "TILE_VALUES", 1_000)
    tiles_of_two = fingerprinting.near_duplicates(fingerprints, threshold=0.2)
    for other in (backwards, tiles_of_two):
        pd.testing.assert_frame_equal(expected, other, atol=CORRELATION)
    assert (expected["track_a"] < expected["track_b"]).all()


def test_of_many_tracks_the_same_pairs_are_found(monkeypatch):
    """Copies at any offset from the coarse grid, and short tracks, which are compared in full."""
    monkeypatch.setattr(fingerprinting, "FEWEST_FRAMES", 100)
    begins = [0, HOP, 2 * HOP, 3 * HOP, 5 * HOP // 2, 9 * HOP]
    tracks = {f"{i}": piece(i // 2)[begins[i] * (i % 2) :] for i in range(6)}
    tracks |= {"short": piece(0)[: 4 * RATE_HZ], "other": piece(9)}
    fingerprints = prints(**tracks)
    monkeypatch.setattr(fingerprinting, "TILE_VALUES", 1_000)
    expected = fingerprinting.near_duplicates(fingerprints)
    assert list(zip(expected["track_a"], expected["track_b"], strict=True)) == [
        ("0", "1"), ("0", "short"), ("1", "short"), ("2", "3"), ("4", "5")
    ]  # fmt: skip
    compared = []
    best_match = fingerprinting.best_match
    monkeypatch.setattr(fingerprinting, "best_match", lambda *args: compared.append(args) or best_match(*args))
    monkeypatch.setattr(fingerprinting, "MANY", 3)
    pd.testing.assert_frame_equal(expected, fingerprinting.near_duplicates(fingerprints), atol=CORRELATION)
    full = [
        (a, b) for these, others, hop in compared if hop == fingerprinting.HOP_SECONDS for a in these for b in others
    ]
    assert len(full) == 8 + 3  # the short one with all, itself included, and the likely ones


def test_shifted_loops_are_found_among_many_tracks(monkeypatch):
    """Half a second repeated leaves little in coarse frames of 0.3 s."""
    loop = np.random.default_rng(1).normal(size=(fingerprinting.BANDS, 10)).repeat(1, axis=0)
    whole = np.tile(10 * loop, 60)  # (band, frame): 30 s
    fingerprints = {
        "loop": fingerprinting.from_log_mel(whole), "shifted": fingerprinting.from_log_mel(whole[:, 7:]),
        **prints(piece=piece(1, 12.0), other=piece(2, 12.0)),
    }  # fmt: skip
    assert fingerprinting.coarse(fingerprints["loop"]).std() < fingerprinting.KEPT * fingerprints["loop"].std()
    monkeypatch.setattr(fingerprinting, "MANY", 3)
    found = fingerprinting.near_duplicates(fingerprints)
    assert found[["track_a", "track_b"]].to_numpy().tolist() == [["loop", "shifted"]]


def test_silence_and_steady_tones_resemble_nothing():
    beep = (tone(997.3, 4, RATE_HZ) * 2**15).round() / 2**15  # as a file holds it: steady but for rounding
    fingerprints = prints(
        silence=np.zeros(4 * RATE_HZ), hum=tone(100, 4, RATE_HZ), beep=beep, same_beep=beep, music=piece(7, seconds=4)
    )
    assert not fingerprints["silence"].any()
    pairs = fingerprinting.near_duplicates(fingerprints, threshold=-1)
    assert np.isfinite(pairs["similarity"]).all()
    assert pairs["similarity"].max() < 0.2


def test_different_noises_resemble_nothing(rng):
    fingerprints = prints(**{f"{i}": rng.normal(0, 0.1, 4 * RATE_HZ) for i in range(8)})
    assert fingerprinting.near_duplicates(fingerprints, threshold=-1)["similarity"].max() < 0.4


def test_what_is_shorter_than_the_smallest_overlap_matches_nothing():
    short = piece(8, seconds=0.9)
    assert match(*prints(a=short, b=short).values()) == (0, pytest.approx(0, abs=100))
    assert fingerprinting.fingerprint(short[:10], RATE_HZ).shape == (fingerprinting.BANDS, 1)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100])
def test_the_rate_does_not_matter(rate_hz, rng):
    fingerprint = fingerprinting.fingerprint(rng.normal(0, 0.1, 3 * rate_hz), rate_hz)
    assert fingerprint.shape == (fingerprinting.BANDS, 57)
    assert fingerprint.dtype == np.float32
    np.testing.assert_allclose(fingerprint.mean(axis=0), 0, atol=rounded(32 + 57, fingerprinting.RANGE_DB))
    np.testing.assert_allclose(fingerprint.mean(axis=1), 0, atol=rounded(32 + 57, fingerprinting.RANGE_DB))


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050])
@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.2499, 0.25, 2.33])
def test_its_spectrum_is_librosas_of_the_frames_inside_the_track(rate_hz, seconds, rng):
    samples = rng.normal(0, 0.1, round(seconds * rate_hz)).astype(np.float32)
    window = round(fingerprinting.WINDOW_SECONDS * rate_hz)
    power = librosa.feature.melspectrogram(
        y=np.pad(samples, (0, max(0, window - len(samples)))), sr=rate_hz, n_fft=window, center=False,
        hop_length=round(fingerprinting.HOP_SECONDS * rate_hz), n_mels=fingerprinting.BANDS,
        fmin=fingerprinting.LOWEST_HZ, fmax=min(fingerprinting.HIGHEST_HZ, rate_hz / 2),
    )  # fmt: skip
    oracle = fingerprinting.from_log_mel(librosa.power_to_db(power, top_db=None))
    np.testing.assert_allclose(
        fingerprinting.fingerprint(samples, rate_hz), oracle, atol=2 * of_decibels(-fingerprinting.RANGE_DB)
    )


def test_no_track_and_one_track_give_no_pair():
    for fingerprints in ({}, prints(a=piece(0))):
        assert list(fingerprinting.near_duplicates(fingerprints).columns) == [
            "track_a",
            "track_b",
            "similarity",
            "lag_seconds",
        ]
        assert fingerprinting.near_duplicates(fingerprints).empty


@pytest.fixture(scope="module")
def music_params() -> Params:
    """Eight segments of a second at 8 kHz."""
    return Params(
        dataset="unused", sample_rate_hz=RATE_HZ, segment_seconds=1.0, max_segments=8, n_fft=512, hop_length=128,
        n_mels=16, fmax_hz=4_000.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def copies(tmp_path_factory, music_params):
    """Four pieces, and of the first one a copy of every kind."""
    root = tmp_path_factory.mktemp("copies")
    for genre in "ab":
        (root / genre).mkdir()
    original, rng = 0.5 * piece(10, 8.5), np.random.default_rng(0)
    soundfile.write(root / "a" / "0 original.wav", original, RATE_HZ)
    shutil.copy(root / "a" / "0 original.wav", root / "b" / "1 bytes.wav")
    soundfile.write(root / "b" / "2 flac.flac", soundfile.read(root / "a" / "0 original.wav")[0], RATE_HZ)
    soundfile.write(root / "b" / "3 gain.wav", original / 2, RATE_HZ)
    soundfile.write(root / "b" / "4 shift.wav", original[RATE_HZ // 2 :], RATE_HZ)
    soundfile.write(root / "b" / "5 mp3.mp3", original, RATE_HZ)
    noise = rng.normal(0, original.std() * 10 ** (-30 / 20), len(original))
    soundfile.write(root / "b" / "6 noise.wav", original + noise, RATE_HZ)
    for other in range(3):
        soundfile.write(root / "a" / f"other {other}.wav", 0.5 * piece(20 + other, 8.5), RATE_HZ)
    return survey.survey(catalog.from_folder(root, music_params), music_params)


def test_every_kind_of_copy_is_found_and_no_other_pair(copies):
    tracks, _, fingerprints = copies
    pairs = fingerprinting.duplicates(tracks, fingerprints)
    assert list(pairs.columns) == fingerprinting.PAIR_COLUMNS
    alike = [track_id for track_id in tracks["track_id"] if "other" not in track_id]
    expected = {(a, b) for a in alike for b in alike if a < b}
    assert set(zip(pairs["track_a"], pairs["track_b"], strict=True)) == expected
    assert len(pairs) == len(expected)  # none twice
    exact = pairs[pairs["kind"] == "exact copy"]
    assert set(exact["track_a"]) | set(exact["track_b"]) == {"a/0 original.wav", "b/1 bytes.wav", "b/2 flac.flac"}
    assert len(exact) == 3
    assert set(pairs["kind"]) == {"exact copy", "near-duplicate"}
    assert pairs["similarity"].between(fingerprinting.NEAR_DUPLICATE, 1).all()
    shift = pairs[pairs["track_b"] == "b/4 shift.wav"].set_index("track_a")["lag_seconds"]
    assert shift["a/0 original.wav"] == pytest.approx(0.5)


def test_findings_name_the_other_track_on_both_sides(copies, music_params):
    tracks, _, fingerprints = copies
    findings = fingerprinting.findings(tracks, fingerprinting.duplicates(tracks, fingerprints), music_params)
    assert list(findings.columns) == fingerprinting.FINDING_COLUMNS
    of = findings.set_index(["track_id", "finding"])["detail"]
    assert of["b/2 flac.flac", "exact copy"].tolist() == [
        "the same samples as a/0 original.wav", "the same samples as b/1 bytes.wav",
    ]  # fmt: skip
    shift = [detail for detail in of["b/4 shift.wav", "near-duplicate"] if "original" in detail]
    original = [detail for detail in of["a/0 original.wav", "near-duplicate"] if "shift" in detail]
    assert "0.50 s earlier, to a/0 original.wav" in shift[0]
    assert "0.50 s later, to b/4 shift.wav" in original[0]
    assert not findings["track_id"].str.contains("other").any()


def test_near_duplicates_without_exact_copies_and_the_other_way_round(copies):
    tracks, _, fingerprints = copies
    for names, kind in ((["a/0 original.wav", "b/3 gain.wav"], "near-duplicate"), (["b/1 bytes.wav", "b/2 flac.flac"],
                        "exact copy"), (["a/other 0.wav", "a/other 1.wav"], None)):  # fmt: skip
        pairs = fingerprinting.duplicates(
            tracks[tracks["track_id"].isin(names)], {name: fingerprints[name] for name in names}
        )
        assert pairs["kind"].tolist() == [kind] * (kind is not None)
        assert list(pairs.columns) == fingerprinting.PAIR_COLUMNS
        assert pairs["similarity"].dtype == pairs["lag_seconds"].dtype == float
    tone_twice = tracks.iloc[:2].assign(digest="equal")  # steady tracks have no pair but their digest
    steady = dict.fromkeys(tone_twice["track_id"], np.zeros((32, 100), np.float32))
    assert fingerprinting.duplicates(tone_twice, steady)["kind"].tolist() == ["exact copy"]


def test_silence_clipping_length_and_faults_are_found(tmp_path, music_params):
    folder = tmp_path / "music"
    for genre in "ab":
        (folder / genre).mkdir(parents=True)
    for number in range(20):
        soundfile.write(folder / "a" / f"fine {number:02d}.wav", 0.3 * piece(40 + number, 9), RATE_HZ)
    paused = 0.3 * piece(60, 9)
    paused[2 * RATE_HZ : 4 * RATE_HZ] = 0
    soundfile.write(folder / "b" / "paused.wav", paused, RATE_HZ)
    soundfile.write(folder / "b" / "clipped.wav", (8 * piece(61, 9)).clip(-1, 1), RATE_HZ)
    soundfile.write(folder / "b" / "short.wav", 0.3 * piece(62, 5.6), RATE_HZ)
    soundfile.write(folder / "b" / "long.wav", 0.3 * piece(63, 11), RATE_HZ)
    (folder / "b" / "text.wav").write_text("no music")
    soundfile.write(folder / "b" / "zero.wav", np.zeros(9 * RATE_HZ), RATE_HZ)
    tracks, _, fingerprints = survey.survey(catalog.from_folder(folder, music_params), music_params)
    found = fingerprinting.findings(tracks, fingerprinting.duplicates(tracks, fingerprints), music_params)
    assert found[["track_id", "finding"]].to_numpy().tolist() == [
        ["b/clipped.wav", "clipping"], ["b/long.wav", "length"], ["b/paused.wav", "silence"], ["b/short.wav", "length"],
        ["b/text.wav", "fault"], ["b/zero.wav", "fault"],
    ]  # fmt: skip
    detail = found.set_index("track_id")["detail"]
    assert "5.600 s give 5 of 8 segments" in detail["b/short.wav"]
    assert "11.00 s" in detail["b/long.wav"]
    assert "9.00 s" in detail["b/long.wav"]
    assert int(detail["b/paused.wav"].partition("%")[0]) == pytest.approx(25, abs=2)
    assert "read as audio" in detail["b/text.wav"]
    assert "silent" in detail["b/zero.wav"]

    irregular = tracks.assign(duration_seconds=np.linspace(8, 60, len(tracks)))
    lengths = fingerprinting.findings(irregular, fingerprinting.duplicates(tracks, {}), music_params).query(
        "finding == 'length'"
    )
    assert lengths["track_id"].tolist() == ["b/short.wav"]  # songs of all lengths: none is the wrong one


def test_nothing_to_find_and_nothing_usable(copies, music_params):
    tracks, _, _ = copies
    fine = tracks[tracks["track_id"].str.contains("other")]
    for table in (fine, tracks.iloc[:0], tracks.assign(fault="unreadable")):
        found = fingerprinting.findings(table, fingerprinting.duplicates(table, {}), music_params)
        assert list(found.columns) == fingerprinting.FINDING_COLUMNS
        assert found["finding"].tolist() == ["fault"] * (table["fault"] != "").sum()


def test_silence_is_measured_in_time(rng):
    samples = np.concatenate([rng.normal(0, 0.1, 3 * RATE_HZ), rng.normal(0, 0.0005, RATE_HZ)])  # -20 and -66 dBFS
    assert survey.silent_share(samples.astype(np.float32), RATE_HZ) == pytest.approx(0.25)
    assert survey.silent_share(tone(30, 1.0, RATE_HZ), RATE_HZ) == 0  # its zero crossings are no silence


@pytest.mark.real
@pytest.mark.skipif(not os.environ.get("GENRE_DATA_HOME"), reason="GENRE_DATA_HOME is not set")
@pytest.mark.filterwarnings("ignore:.*holds 80 tracks:UserWarning")
def test_real_clips_hold_no_copy_and_a_shifted_one_is_found(tmp_path):
    params = Params(dataset="gtzan-mini")
    tracks = catalog.load(params)
    samples, rate_hz = soundfile.read(tracks["path"][0])
    soundfile.write(tmp_path / "copy.mp3", samples[round(3.21 * rate_hz) :] / 2, rate_hz)
    copy = tracks.iloc[:1].assign(track_id="copy", path=str(Path(tmp_path / "copy.mp3")))
    surveyed, _, fingerprints = survey.survey(pd.concat([tracks, copy], ignore_index=True), params)
    (pair,) = fingerprinting.duplicates(surveyed, fingerprints).itertuples()
    assert {pair.track_a, pair.track_b} == {"copy", tracks["track_id"][0]}
    assert abs(pair.lag_seconds) == pytest.approx(3.21, abs=0.06)
