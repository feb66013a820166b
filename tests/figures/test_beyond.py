import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from genre_utils.figures import beyond


@pytest.fixture
def save(tmp_path):
    return tmp_path / "figures" / "one.png"


@pytest.fixture(autouse=True)
def nothing_stays_open(save):
    yield
    assert save.stat().st_size > 1_000
    assert not plt.get_fignums()  # an open figure would be shown a second time, and kept in memory


@pytest.fixture
def variants():
    """Three variants: the first one, one that is surely worse, one that may be anything."""
    columns = ["accuracy", "low", "high", "difference", "difference_low", "difference_high", "seconds"]
    rows = [
        (0.6, 0.5, 0.68, np.nan, np.nan, np.nan, 1_250.0),
        (0.5, 0.42, 0.59, -0.1, -0.14, -0.05, 60.0),
        (0.62, 0.5, 0.7, 0.02, -0.01, 0.06, 61.0),
    ]
    return pd.DataFrame(rows, columns=columns, index=["plain", "MixUp", "SpecAugment"])


def shown_intervals(container):
    """Of an errorbar: its value, and the ends of its interval, one row a dot, across the other axis."""
    dots, _, (bars,) = container
    ends = np.array(bars.get_segments())  # (dot, end, xy)
    across = 1 if np.ptp(ends[..., 0], axis=1).max() == 0 else 0
    return np.column_stack([dots.get_data()[across], ends[..., across]]).astype(float)


def test_each_listener_has_a_panel_on_the_time_of_the_log_mel(params, rng, save):
    frames = params.frames_per_segment
    decibels = rng.uniform(-80, 0, (params.n_mels, frames))
    heat, weights = rng.uniform(0, 1, decibels.shape), rng.uniform(0.1, 0.2, frames)
    weights[-2:] = 0  # frames that were not heard
    figure = beyond.attribution(decibels, {"first": heat, "second": weights}, params, "title", save)
    sound, first, second = (axes for axes in figure.axes if axes.get_title())
    assert [axes.get_title() for axes in (sound, first, second)] == ["log-mel", "first", "second"]
    np.testing.assert_array_equal(sound.images[0].get_array(), decibels)
    np.testing.assert_array_equal(first.images[0].get_array(), decibels)  # beneath its heat
    np.testing.assert_array_equal(first.images[1].get_array(), heat)
    assert first.images[1].get_clim() == (0, 1)
    assert first.images[0].get_extent() == first.images[1].get_extent() == sound.images[0].get_extent()
    assert {image.origin for image in (*sound.images, *first.images)} == {"lower"}
    assert [label.get_text() for label in first.get_yticklabels()] == ["300", "1,000", "3,000"]

    values, edges, _ = second.patches[0].get_data()
    np.testing.assert_array_equal(values, weights)
    np.testing.assert_allclose(edges, np.arange(frames + 1) * params.hop_length / params.sample_rate_hz)
    assert second.lines[0].get_ydata()[0] == pytest.approx(weights[:-2].mean())
    assert sound.get_xlim() == first.get_xlim() == second.get_xlim() == (0, edges[-1])
    assert second.get_xlabel() == "time (s)"


def test_variants_stand_in_their_order_with_both_intervals(variants, save):
    left, right = beyond.ablation(variants, "title", save).axes[:2]
    assert [label.get_text() for label in left.get_yticklabels()] == ["plain", "MixUp", "SpecAugment"]
    assert left.get_ylim()[0] > left.get_ylim()[1]  # the first one on top
    assert left.get_ylim() == right.get_ylim()
    np.testing.assert_allclose(shown_intervals(left.containers[0]), variants[["accuracy", "low", "high"]])
    sure, unsure = right.containers
    expected = variants[["difference", "difference_low", "difference_high"]].to_numpy()
    np.testing.assert_allclose(shown_intervals(sure), expected[1:2])
    np.testing.assert_allclose(shown_intervals(unsure), expected[2:])
    assert [container[0].get_ydata().tolist() for container in (sure, unsure)] == [[1], [2]]
    assert sure.get_label() == "the interval excludes 0"
    seconds = right.child_axes[0]
    assert [label.get_text() for label in seconds.get_yticklabels()] == ["1,250 s", "60 s", "61 s"]
    assert right.get_title() == "Difference to plain, same tracks"
    for axes, pattern in ((left, "{:.0f}%"), (right, "{:+.0f}")):
        ticks = axes.get_xticks()
        expected = ["0" if tick == 0 else pattern.format(100 * tick) for tick in ticks]
        assert [label.get_text() for label in axes.get_xticklabels()] == expected


def test_twelve_variants_have_room_also_where_all_differ_surely(variants, save):
    table = pd.concat([variants.fillna(0) + 0.2] * 4).set_axis([f"variant {number}" for number in range(12)])
    figure = beyond.ablation(table, "title", save)
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert len(boxes) == 12
    assert all(above.y0 > below.y1 for above, below in itertools.pairwise(boxes))
    sure, unsure = figure.axes[1].containers
    assert [len(container[0].get_ydata()) for container in (sure, unsure)] == [11, 0]


def test_each_member_has_a_row_of_its_own_even_if_it_cost_nothing(save):
    table = pd.DataFrame(
        {"accuracy": [0.6, 0.65, 0.66, 0.67], "seconds": [100.0, 200.0, 201.0, 202.0]}, index=[*"abcd"]
    )
    table = table.assign(low=table["accuracy"] - 0.05, high=table["accuracy"] + 0.04)
    figure = beyond.gains(table, "title", save)
    (axes,) = figure.axes
    np.testing.assert_allclose(shown_intervals(axes.containers[0]), table[["accuracy", "low", "high"]])
    assert axes.containers[0][0].get_ydata().tolist() == [0, 1, 2, 3]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first one on top
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "+ b", "+ c", "+ d"]
    beside = axes.child_axes[0]
    assert [label.get_text() for label in beside.get_yticklabels()] == ["100 s", "200 s", "201 s", "202 s"]
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(above.y0 > below.y1 for above, below in itertools.pairwise(boxes))


def test_of_too_few_tracks_there_are_dots_without_bars(variants, save):
    ends = ["low", "high", "difference_low", "difference_high"]
    none = variants.assign(**dict.fromkeys(ends, np.nan))
    left, right = beyond.ablation(none, "title", save).axes[:2]
    assert [text.get_text() for text in right.figure.legends[0].get_texts()][-1].startswith("no interval")
    np.testing.assert_allclose(left.containers[0].lines[0].get_xdata().astype(float), variants["accuracy"])
    axes = beyond.gains(none, "title", save).axes[0]
    np.testing.assert_allclose(axes.containers[0].lines[0].get_xdata().astype(float), variants["accuracy"])
