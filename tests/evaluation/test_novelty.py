import dataclasses
import io
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.special
from bounds import DOUBLE, U, rounded
from conftest import tone
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from sklearn.neighbors import NearestNeighbors

from genre_utils.evaluation import calibration, novelty, scoring, temperature_scaling
from genre_utils.evaluation.novelty import Reference, nearest, summary_statistics
from genre_utils.evaluation.temperature_scaling import NOT_SURE, SURE, UNLIKE, Calibration, temperature_scaled
from genre_utils.features import spectrogram
from genre_utils.inference import prediction
from genre_utils.params import Params


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


SQUASH = {"softmax": softmax, "sigmoid": lambda logits: 1 / (1 + np.exp(-logits.clip(-700)))}


def drawn(rng, output, factor, rows=2_000):
    """A table whose truth is drawn by honest probabilities, and what a network with its logits times a factor says."""
    logits = rng.normal(0, 1.5, (rows, 4))
    honest, said = SQUASH[output](logits), SQUASH[output](logits * factor)
    if output == "softmax":
        genre = np.array([*"abcd"])[(honest.cumsum(axis=1) < rng.uniform(size=(rows, 1))).sum(axis=1)]
    else:
        has = rng.uniform(size=honest.shape) < honest
        genre = np.array(["|".join(np.array([*"abcd"])[row]) for row in has])
        said, genre = said[has.any(axis=1)], genre[has.any(axis=1)]  # a track has at least one genre
    table = pd.DataFrame(said.astype(np.float32), columns=[f"p_{name}" for name in "abcd"])
    return table.assign(genre=genre, track_id=range(len(table)))


def test_softmax_and_expit_are_those_of_scipy(rng):
    values = np.concatenate(
        [rng.normal(0, 10.0 ** rng.uniform(-3, 3, 1_000)), [0, 1e-300, 37, 40, 709, 745, 1e4, np.inf]]
    )
    for logits in (values, -values, np.nextafter(temperature_scaling.UNLIKELY, [-np.inf, 0])):
        found, expected = temperature_scaling.expit(logits), scipy.special.expit(logits)
        np.testing.assert_allclose(found, expected, rtol=4 * DOUBLE, atol=1e-300)
        assert (np.diff(found[np.argsort(logits)]) >= 0).all()
    rows = np.concatenate([values[:-1].reshape(-1, 19), np.full((1, 19), -1e4), np.eye(19) * 1e308])
    for logits in (rows, -rows):
        np.testing.assert_allclose(
            temperature_scaling.softmax(logits), scipy.special.softmax(logits, axis=1), rtol=4 * DOUBLE, atol=0
        )


LOGITS = st.lists(st.floats(-40, 40), min_size=2, max_size=10)
TEMPERATURES = st.floats(*calibration.TEMPERATURES)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@given(own=LOGITS, temperature=TEMPERATURES)
def test_a_temperature_divides_the_logits(output, kind, own, temperature):
    """As far as a type holds them: a logit is off by the relative error of p, and of 1 - p where that counts."""
    p = SQUASH[output](np.array([own])).astype(kind)
    found = temperature_scaled(p, temperature, output)
    apart = (1 - p.astype(float)).min() if output == "sigmoid" else 1.0
    told = apart > temperature_scaling.LEAST_BELOW_ONE and p.min() > temperature_scaling.LEAST
    off = 2 * np.finfo(kind).eps * (1 + 1 / max(apart, temperature_scaling.LEAST_BELOW_ONE)) / temperature
    if told and off < 0.1:
        off += 8 * DOUBLE * (1 + 80 / temperature)  # of logits of up to 40 and their differences, in float64
        np.testing.assert_allclose(found, SQUASH[output](np.array([own]) / temperature), rtol=2 * off)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@given(own=st.lists(st.floats(-800, 800), min_size=2, max_size=10), two=st.tuples(TEMPERATURES, TEMPERATURES))
def test_any_temperature_keeps_what_probabilities_are(output, own, two):
    """Also of those that float32 has rounded to 0 and to 1."""
    p = SQUASH[output](np.array([own])).astype(np.float32)
    sharper, softer = (temperature_scaled(p, value, output)[0] for value in sorted(two))
    order = np.argsort(p[0], kind="stable")
    assert (np.diff(softer[order]) >= 0).all() and (np.diff(sharper[order]) >= 0).all()  # no genre overtakes another
    np.testing.assert_allclose(temperature_scaled(p, 1.0, output), p, atol=2 * U)  # of the float32 whose sum was 1
    if output == "softmax":
        assert softer.argmax() == p[0].argmax()
        assert softer.sum() == pytest.approx(1) and sharper.sum() == pytest.approx(1)
        assert softer.max() <= sharper.max() + 1e-12
    else:
        assert (np.abs(softer - 0.5) <= np.abs(sharper - 0.5) + 1e-12).all()
    alike = 1 / len(own) if output == "softmax" else 0.5
    np.testing.assert_allclose(
        temperature_scaled(p, 1e9, output), alike, rtol=-2 * np.log(temperature_scaling.LEAST) / 1e9
    )  # logits left
    np.testing.assert_array_equal(
        temperature_scaled(p, two[0], output), temperature_scaled(p.astype(float), two[0], output)
    )


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@given(own=st.lists(st.floats(-15, 15), min_size=2, max_size=10), temperature=TEMPERATURES)
def test_the_inverse_temperature_undoes_it(output, own, temperature):
    """Softer and back: sharper first may leave nothing but 0 and 1."""
    p, value = SQUASH[output](np.array([own])), max(temperature, 1.0)
    softer = temperature_scaled(p, value, output)
    back = temperature_scaled(softer, 1 / value, output)
    # Each logit errs by some roundings of itself and, of a sigmoid, by those of 1 - p; on the way back times the value.
    before, after = ((1 - some).min() if output == "sigmoid" else 1.0 for some in (p, softer))
    np.testing.assert_allclose(back, p, rtol=8 * DOUBLE * (30 + 1 / before + value / after))


def test_a_certain_network_is_made_less_certain_and_not_capped():
    """One genre far ahead of nine, in the float32 that a network answers in: nothing stops at 77 %."""
    for ahead in (10.0, 30.0, 60.0, 85.0):
        p = softmax(np.array([[ahead] + 9 * [0.0]])).astype(np.float32)
        found = temperature_scaled(p, 8.0, "softmax")[0]
        np.testing.assert_allclose(found, softmax(np.array([[ahead / 8] + 9 * [0.0]]))[0], rtol=2 * U / 8)
    never = np.eye(1, 10, dtype=np.float32)
    assert (
        0.9998 < temperature_scaled(never, 8.0, "softmax").max() < 0.9999
        and temperature_scaled(never, 100.0, "softmax").max() < 0.5
    )
    own = 60.0 - 3.0 * np.arange(10)  # all but the first were rounded to the same floor
    assert len(set(temperature_scaled(softmax(own[None]).astype(np.float32), 8.0, "softmax")[0])) == 10


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0, 8.0])
def test_the_temperature_that_made_a_network_overconfident_is_found(rng, output, factor):
    table = drawn(rng, output, factor)
    found = calibration.temperature(table, output)
    # Three standard errors: 2.5 % each of the softmax's draws, 1.4 % of the sigmoid's, which are more. Those come out
    # up to 4.5 % too low: no track without a genre is in the table, and float32 makes 1 of what is nearly 1.
    assert found == pytest.approx(factor, rel=3 * 0.025 if output == "softmax" else 0.045 + 3 * 0.014)
    if output == "softmax":
        restored, known = (calibration.calibrated(table, Calibration(value), output) for value in (found, factor))
        assert calibration.log_loss(restored, output) <= calibration.log_loss(known, output)
        names = [f"p_{name}" for name in "abcd"]
        assert calibration.log_loss(known, output) == pytest.approx(log_loss(table["genre"], known[names]))


@given(
    own=st.lists(st.lists(st.floats(-60, 60), min_size=3, max_size=3), min_size=1, max_size=6),
    temperature=TEMPERATURES,
    of_tracks=TEMPERATURES,
)
def test_a_track_is_called_the_same_wherever_it_is_shown(own, temperature, of_tracks):
    """In the metrics, in the explorer and for a file: the mean of the network's own probabilities decides."""
    raw = softmax(np.array(own)).astype(np.float32)
    least, most = np.sort(raw.mean(axis=0, dtype=np.float64))[-2:]
    assume(most - least > 2 * len(own) * U)  # a tie: float32 and float64 do not tell the means apart
    known, names = Calibration(temperature, of_tracks), [f"p_{name}" for name in "abc"]
    rows = pd.DataFrame(raw, columns=names).assign(track_id="t", genre="a", split="test", artist="", path="")
    measured, shown = scoring.by_track(rows), calibration.by_track(rows, known, "softmax")
    assert (shown["predicted"] == measured["predicted"]).all()
    assert names[shown[names].to_numpy()[0].argmax()] == f"p_{measured['predicted'][0]}"
    network = prediction.Network(lambda decibels: decibels, [*"abc"], Params(), known)
    answer = prediction.prediction_of("file", raw, "", [0.0], network)
    # A mean of float32 errs by a rounding a segment, and its logits by that over the temperature.
    off = 2 * len(own) * U / of_tracks
    np.testing.assert_allclose(answer.track, shown[names].to_numpy()[0], rtol=2 * off, atol=DOUBLE)


def test_the_mean_of_calibrated_segments_would_call_another_genre():
    """Why a track's temperature is for the mean of the network's own: votes and means are two rules."""
    raw = np.array([[0.6, 0.4], [0.6, 0.4], [0.01, 0.99]])
    known = Calibration(0.1)
    assert known.calibrated(raw, "softmax").mean(axis=0).argmax() == 0
    assert known.calibrated_tracks(raw.mean(axis=0, keepdims=True), "softmax").argmax() == 1


@settings(max_examples=10)  # each minimises
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 12))
def test_no_temperature_is_worse_than_none(seed, rows):
    table = drawn(np.random.default_rng(seed), "softmax", 2.0, rows)
    found = calibration.temperature(table, "softmax")
    after, before = (calibration.calibrated(table, Calibration(value), "softmax") for value in (found, 1.0))
    assert calibration.log_loss(after, "softmax") <= calibration.log_loss(before, "softmax")


def test_few_tracks_that_are_all_right_make_nobody_certain(rng):
    """Without doubt the best temperature is 0; one track that is wrong beside many that are right is no reason to."""
    table = drawn(rng, "softmax", 1.0, 300)
    right = table[table.filter(like="p_").idxmax(axis=1) == "p_" + table["genre"]].head(72)
    right = right.assign(track_id=np.arange(72) // 6)
    assert calibration.temperature(right, "softmax") > 0.4
    sure = right.assign(**{f"p_{name}": np.where(right["genre"] == name, 0.97, 0.01) for name in "abcd"})
    assert calibration.temperature(sure, "softmax") == 1


def test_temperatures_are_learned_from_validation_alone_and_tracks_have_their_own(built, assignment, params, rng):
    """Segments of a track that err each for itself: their mean promises too little for the track."""
    held_out, test = drawn(rng, "softmax", 3.0, 600), drawn(rng, "softmax", 0.3, 600)
    table = pd.concat([held_out.assign(split="validation"), test.assign(split="test")])
    known = calibration.fit(table, built, assignment, params)
    assert known.temperature == pytest.approx(3.0, rel=0.2)
    assert known.track_temperature == pytest.approx(known.temperature)  # a track a segment
    genre = np.array([*"abcd"])[np.arange(200) % 4]
    wavering = 0.4 * np.eye(4)[np.arange(200) % 4] + 0.6 * rng.dirichlet(np.ones(4), (3, 200))
    parts = [pd.DataFrame(p, columns=[f"p_{name}" for name in "abcd"]).assign(genre=genre) for p in wavering]
    table = pd.concat([part.assign(track_id=range(200), split="validation") for part in parts])
    assert calibration.fit(table, built, assignment, params).track_temperature < 0.8


def test_silence_noise_and_tones_are_unlike_music_and_music_is_not(params, rng):
    """Twelve pieces of two artists each: chords over a beat. The reference is ten of them, the others are new."""

    def piece(number):
        seconds = 2.0
        beat = np.exp(-((np.arange(round(seconds * 8_000)) % 2_000) / 400))
        chord = sum(tone(hz * (1 + number / 20), seconds, 8_000) for hz in (110, 220, 330, 880, 1_760))
        return chord * (0.2 + beat) + rng.normal(0, 0.2, len(beat)) * beat

    def log_mel(samples):
        return spectrogram.log_mel(spectrogram.segments(samples / np.abs(samples).max(), params), params)

    decibels = [log_mel(piece(number)) for number in range(10)]
    track = np.repeat(np.arange(10), [len(segments) for segments in decibels])
    reference = Reference.fit(summary_statistics(np.concatenate(decibels)), track, track // 2)
    known = Calibration(reference=reference)
    strange = {
        "noise": rng.normal(0, 0.1, 16_000), "tone": tone(440, 2.0, 8_000),
        "clicks": (np.arange(16_000) % 1_000 == 0).astype(float), "silence but for one sample": np.eye(1, 16_000)[0],
    }  # fmt: skip
    for name, samples in strange.items():
        assert known.novelty_score(log_mel(samples)).mean() > 2, name
    for number in (2.5, 6.5):
        assert known.novelty_score(log_mel(piece(number))).mean() < 1.2


def test_a_track_is_compared_with_no_other_of_its_group():
    """Two tracks a group stand side by side, the groups far from each other: only the groups' distance counts."""
    figures = np.array([[0.0, 0], [0.1, 0], [10, 0], [10.1, 0], [20, 0], [20.1, 0]])
    alone = Reference.fit(figures, np.arange(6), np.arange(6))
    apart = Reference.fit(figures, np.arange(6), np.arange(6) // 2)
    scale = figures[:, 0].std() + novelty.LEAST_DB
    off = 2 * U * 10.05 / 0.1  # of differences of two points, rounded to float32, the farthest 10.05 from their mean
    assert alone.farthest == pytest.approx(0.1 / scale / np.sqrt(2), rel=off)
    assert apart.farthest == pytest.approx(10 / scale / np.sqrt(2), rel=off)
    assert Reference.fit(figures, np.arange(6), np.zeros(6)) is None
    assert Reference.fit(np.zeros((4, 2)), np.arange(4), np.arange(4)) is None


def test_at_least_95_percent_of_the_trainings_tracks_are_accepted(rng):
    figures = rng.normal(0, 10, (30, 16))
    for count in (5, 19, 20, 30):
        track = np.arange(count)
        reference = Reference.fit(figures[:count], track, track)
        own = nearest(reference.points, reference.points, track) <= reference.farthest
        assert novelty.ACCEPTED <= own.mean() < novelty.ACCEPTED + 2 / count  # two may be each other's nearest


def test_the_nearest_is_scikit_learns_and_blocks_change_nothing(rng, monkeypatch):
    points, others = rng.normal(size=(50, 16)), rng.normal(size=(30, 16))
    expected = NearestNeighbors(n_neighbors=1).fit(others).kneighbors(points)[0][:, 0] / 4
    np.testing.assert_allclose(nearest(points, others), expected)
    monkeypatch.setattr(novelty, "AT_ONCE", 7)
    np.testing.assert_allclose(nearest(points, others), expected)
    group = np.arange(50) // 3
    together = np.array([np.delete(points, np.flatnonzero(group == own), axis=0) for own in group], dtype=object)
    alone = [nearest(point[None], rest)[0] for point, rest in zip(points, together, strict=True)]
    np.testing.assert_allclose(nearest(points, points, group), alone)


def test_95_of_100_new_tracks_are_accepted(rng):
    """As many segments of the same kind as training has."""
    kept = []
    for _ in range(20):
        figures = rng.normal(0, 10, (200, 16)) + rng.normal(0, 10, (50, 16)).repeat(4, axis=0)
        track = np.arange(200) // 4
        known = Calibration(reference=Reference.fit(figures[:160], track[:160], track[:160]))
        kept += list(known.novelty_score_of(figures[160:]).reshape(-1, 4).mean(axis=1) <= 1)
    error = np.sqrt(
        novelty.ACCEPTED * (1 - novelty.ACCEPTED) * (1 / 200 + 1 / 800)
    )  # of the new and of the known tracks
    assert len(kept) == 200 and np.mean(kept) == pytest.approx(novelty.ACCEPTED, abs=3 * error)


def test_of_many_segments_some_are_drawn_and_described(predictions, built, assignment, params, monkeypatch):
    monkeypatch.setattr(calibration, "MOST", 20)
    monkeypatch.setattr(calibration, "ROWS", 7)
    reference = calibration.fit(predictions, built, assignment, params).reference
    rows = built.segments.merge(assignment[assignment["split"] == "train"], on=["track_id", "segment"])["row"]
    every = summary_statistics(built.features[rows])
    assert reference.points.shape == (20, 16) and len(every) == 48
    found = reference.points * reference.spread + reference.mean
    assert all(np.abs(every - point).max(axis=1).min() < rounded(4, 80) for point in found)
    assert len(np.unique(found.round(2), axis=0)) == 20


def test_what_is_described_is_the_level_and_its_unrest(rng):
    decibels = rng.uniform(-80, 0, (3, 32, 10)).astype(np.float32)
    found = summary_statistics(decibels)
    groups = decibels.reshape(3, 8, 4, 10).mean(axis=2)
    np.testing.assert_allclose(
        found, np.concatenate([groups.mean(axis=2), groups.std(axis=2)], axis=1), atol=rounded(8, 80)
    )
    assert summary_statistics(decibels[:, :5]).shape == (3, 10)  # fewer bands than groups


def test_verdicts():
    known = Calibration()
    sure, unsure = np.array([0.5, 0.5]), np.array([0.4, 0.4, 0.2])
    assert known.verdict(sure, np.nan) == SURE and known.verdict(unsure, np.nan) == NOT_SURE
    assert (
        known.verdict(sure, 1.0) == SURE and known.verdict(sure, 1.01) == UNLIKE and known.verdict(unsure, 2) == UNLIKE
    )
    assert np.isnan(known.novelty_score(np.zeros((2, 32, 5)))).all()


def changed(facts, **values):
    return {name: value for name, value in (facts | values).items() if value is not None}


class Spy:
    """Says so when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


def test_what_is_read_is_what_was_written_or_an_error(tmp_path, rng):
    figures = rng.normal(size=(40, 16))
    known = Calibration(1.7, 0.8, Reference.fit(figures, np.arange(40) // 4, np.arange(40) // 4))
    facts = json.loads(json.dumps(known.write(tmp_path)))
    same = Calibration.read(tmp_path, facts, 32)
    np.testing.assert_allclose(
        same.novelty_score_of(figures + 1), known.novelty_score_of(figures + 1), rtol=rounded(64)
    )
    assert (same.temperature, same.track_temperature) == (1.7, 0.8)
    assert Calibration.read(tmp_path, Calibration(2.0).write(tmp_path), 32).reference is None
    wrong = [
        {}, [], None, changed(facts, temperature=0), changed(facts, temperature="nan"), changed(facts, temperature=[]),
        changed(facts, farthest=-1), changed(facts, mean_db=[1.0]), changed(facts, mean_db=["x"] * 16),
        changed(facts, spread_db=[0.0] * 16), changed(facts, spread_db=None),
    ]  # fmt: skip
    for broken in wrong:
        with pytest.raises((OSError, KeyError, TypeError, ValueError)):
            Calibration.read(tmp_path, broken, 32)
    with pytest.raises(ValueError, match="expected 8 finite statistics"):
        Calibration.read(tmp_path, facts, 4)
    points = tmp_path / novelty.POINTS
    whole = points.read_bytes()
    endless = io.BytesIO()
    np.lib.format.write_array_header_1_0(endless, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 16)})
    for content in (
        whole[:-1],
        b"",
        b"\x93NUMPY",
        whole.replace(b"(40", b"(4("),
        endless.getvalue(),
        pickle.dumps(Spy()),
    ):
        points.write_bytes(content)
        with pytest.raises(ValueError, match="is not a"):
            Calibration.read(tmp_path, facts, 32)
    for array in (np.array([{}], dtype=object), np.full((4, 16), np.nan, np.float32), np.zeros((4, 16))):
        np.save(points, array)
        with pytest.raises(ValueError):
            Calibration.read(tmp_path, facts, 32)


def test_an_answer_without_trust_is_the_networks(rng):
    p = softmax(rng.normal(size=(5, 3))).astype(np.float32)
    np.testing.assert_allclose(Calibration().calibrated(p, "softmax"), p, atol=2 * U)
    assert dataclasses.astuple(Calibration()) == (1.0, 1.0, None)
