import dataclasses

import numpy as np
import pytest
import scipy.stats
from bounds import U, rounded

from genre_utils.models import factory
from genre_utils.training import spec_augment

COUNT, MELS, FRAMES = 6, 32, 24


@pytest.fixture
def decibels(rng):
    return rng.uniform(-80, 0, (COUNT, MELS, FRAMES)).astype(np.float32)


@pytest.fixture
def following(rng):
    return rng.uniform(-80, 0, (COUNT, MELS, FRAMES)).astype(np.float32)


def test_a_crop_is_a_stretch_of_the_track_and_every_start_occurs(rng):
    track = np.arange(2 * FRAMES, dtype=np.float32)  # each frame says its time
    first, second = (np.broadcast_to(half, (400, MELS, FRAMES)) for half in np.split(track, 2))
    cropped = spec_augment.crop(first, second, rng)
    starts = cropped[:, 0, 0]
    assert set(starts) == set(range(FRAMES + 1))
    np.testing.assert_array_equal(
        cropped, np.broadcast_to((starts[:, None] + np.arange(FRAMES))[:, None], cropped.shape)
    )


def test_a_shift_moves_a_tone_by_whole_bands_and_no_further(rng):
    tone = np.full((300, MELS, FRAMES), -80, np.float32)
    tone[:, 10] = 0
    moved = spec_augment.shift(tone, 3, rng)
    assert set(moved.argmax(axis=1).ravel() - 10) == set(range(-3, 4))
    assert ((moved == 0).sum(axis=1) == 1).all()  # still one tone


def test_a_shift_repeats_the_edge(rng):
    slope = np.broadcast_to(np.arange(MELS, dtype=np.float32)[:, None], (50, MELS, FRAMES))
    moved = spec_augment.shift(slope, 4, rng)[:, :, 0]
    assert moved.min() == 0 and moved.max() == MELS - 1
    assert (np.diff(moved, axis=1) >= 0).all()


def test_an_equaliser_is_constant_in_time_smooth_in_frequency_and_as_strong_as_asked(rng):
    silence = np.full((3_000, MELS, FRAMES), -40, np.float32)
    gain = spec_augment.equalise(silence, 6.0, rng) + 40
    assert (gain == gain[:, :, :1]).all()
    curves = gain[:, :, 0]
    assert curves[:, [0, -1]].std() == pytest.approx(6, rel=4 / np.sqrt(2 * 6_000))  # standard errors
    assert curves.mean() == pytest.approx(0, abs=4 * 6 / np.sqrt(3_000 * spec_augment.KNOTS))
    bends = np.abs(np.diff(curves, 2, axis=1)) > 1e-3
    assert bends.sum(axis=1).max() <= 2 * (spec_augment.KNOTS - 2)  # straight lines but at the inner knots


def test_a_gain_for_all_frequencies_alike_would_be_invisible(params, rng):
    network = factory.build(params, 3)
    segment = rng.uniform(-70, -10, (1, params.n_mels, params.frames_per_segment)).astype(np.float32)
    np.testing.assert_allclose(
        factory.image_of(network, segment + 6), factory.image_of(network, segment), atol=rounded(segment.size, 70 / 15)
    )
    tilted = spec_augment.equalise(segment, 6.0, rng)
    assert np.abs(factory.image_of(network, tilted) - factory.image_of(network, segment)).max() > 0.1


def test_a_mask_is_one_stripe_and_one_stretch_of_the_mean(decibels, rng):
    many = np.repeat(decibels, 100, axis=0)
    masked = spec_augment.mask(many, 8, 6, rng)
    hidden = masked != many
    np.testing.assert_allclose(masked[hidden], np.broadcast_to(many.mean((1, 2), keepdims=True), many.shape)[hidden])
    bands, frames = hidden.all(axis=2), hidden.all(axis=1)
    np.testing.assert_array_equal(hidden, bands[:, :, None] | frames[:, None, :])
    for stripe, widest in ((bands, 8), (frames, 6)):
        assert set(stripe.sum(axis=1)) == set(range(widest + 1))
        assert (np.abs(np.diff(stripe.astype(int), axis=1)).sum(axis=1) <= 2).all()  # in one piece
        assert stripe[:, 0].any() and stripe[:, -1].any()  # the edges are hidden as well


def test_mixup_mixes_sounds_and_genres_in_the_same_shares(rng):
    genres = np.eye(COUNT, dtype=np.float32)
    sounds = np.broadcast_to(genres[:, :, None], (COUNT, COUNT, FRAMES))  # each segment lights a band of its own
    mixed, targets = spec_augment.mix(sounds, genres, 1.0, rng)
    np.testing.assert_allclose(mixed, np.broadcast_to(targets[:, :, None], mixed.shape), atol=2 * U)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=2 * U)
    assert ((targets > 0).sum(axis=1) <= 2).all() and (targets < 1).any()


@pytest.mark.parametrize("alpha", [0.05, 1.0])
def test_alpha_is_how_much_is_mixed(alpha, rng):
    genres = np.eye(2_000, dtype=np.float32)
    _, targets = spec_augment.mix(np.zeros((2_000, 1, 1), np.float32), genres, alpha, rng)
    hardly = (targets.max(axis=1) > 0.95).mean()
    expected = 2 * scipy.stats.beta.cdf(0.05, alpha, alpha)
    assert hardly == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 2_000))  # standard errors


ALL = {"crop": True, "shift_bands": 2, "equalise_db": 3.0, "mask_bands": 8, "mask_seconds": 0.1, "mixup_alpha": 0.4}


@pytest.mark.parametrize("name", ALL)
def test_each_kind_is_off_by_default_and_changes_something_alone(name, params, decibels, following):
    targets = np.eye(COUNT, dtype=np.float32)
    plain = spec_augment.augmented(decibels, following, targets, params, np.random.default_rng(0))
    np.testing.assert_array_equal(plain[0], decibels)
    np.testing.assert_array_equal(plain[1], targets)
    alone = dataclasses.replace(params, **{name: ALL[name]})
    changed = spec_augment.augmented(decibels, following, targets, alone, np.random.default_rng(0))
    assert (changed[0] != decibels).any()
    assert (changed[1] != targets).any() == (name == "mixup_alpha")


def test_all_together_is_seeded_and_leaves_its_input_alone(params, decibels, following):
    targets = np.eye(COUNT, dtype=np.float32)
    everything = dataclasses.replace(params, **ALL)
    before = decibels.copy()
    one, same, other = (
        spec_augment.augmented(decibels, following, targets, everything, np.random.default_rng(seed))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(decibels, before)
    for a, b, c in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()
        assert a.dtype == np.float32 and np.isfinite(a).all()


@pytest.mark.parametrize("chosen", [{}, *({name: value} for name, value in ALL.items()), ALL])
def test_what_a_store_holds_is_augmented_as_float32(chosen, params, decibels, following):
    targets = np.eye(COUNT, dtype=np.float32)
    halves = [sound.astype(np.float16) for sound in (decibels, following)]
    changed = dataclasses.replace(params, **chosen)
    from_store, from_floats = (
        spec_augment.augmented(*sounds, targets, changed, np.random.default_rng(0))
        for sounds in (halves, [half.astype(np.float32) for half in halves])
    )
    for one, other in zip(from_store, from_floats, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == np.float32
