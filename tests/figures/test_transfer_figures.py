import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from genre_utils.figures import transfer


@pytest.fixture
def save(tmp_path):
    return tmp_path / "figures" / "one.png"


@pytest.fixture(autouse=True)
def nothing_stays_open(save):
    yield
    assert save.stat().st_size > 1_000
    assert not plt.get_fignums()  # an open figure would be shown a second time, and kept in memory


def intervals(container):
    """Of an errorbar: its values, and the ends of its intervals, one row a dot."""
    dots, _, (bars,) = container
    ends = np.array(bars.get_segments())  # (dot, end, xy)
    across = 1 if np.ptp(ends[..., 0], axis=1).max() == 0 else 0
    return np.column_stack([dots.get_data()[across], ends[..., across]]).astype(float)


def test_the_map_of_tags_has_a_row_a_tag_and_writes_what_is_telling(save):
    table = pd.DataFrame([[0.5, 0.04], [0.051, 0.2]], index=["blues", "pop"], columns=["rock", "sad"])
    axes = transfer.tags(table, "title", save).axes[0]
    np.testing.assert_array_equal(axes.collections[0].get_array().reshape(2, 2), table.T)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["rock", "sad"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["blues", "pop"]
    assert [text.get_text() for text in axes.texts] == ["50", "5", "", "20"]


def test_genres_differ_in_the_plane_also_without_colours(rng, save):
    genres = [f"genre {number:02}" for number in range(30)]
    tracks = pd.DataFrame({"genre": [*genres * 3, "genre 00|genre 07"]})
    places = rng.normal(size=(len(tracks), 2))
    figure = transfer.embedding_space(places, np.array([0.31, 0.12]), tracks, "title", save)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "first direction (31% of the variance)"
    looks, shapes = set(), []
    for number, (genre, dots) in enumerate(zip(genres, axes.collections, strict=True)):
        own = [place for place, name in enumerate(tracks["genre"]) if genre in name.split("|")]
        np.testing.assert_array_equal(dots.get_offsets(), places[own])
        assert dots.get_label() == genre
        assert axes.texts[number].get_text() == genre
        x, y = axes.texts[number].get_position()
        assert x == pytest.approx(np.median(places[own, 0]), abs=0.02)  # and no higher, but perhaps lower
        assert y <= np.median(places[own, 1]) + 0.02
        shapes.append(dots.get_paths()[0].vertices.tobytes())
        looks.add((shapes[-1], tuple(dots.get_facecolor()[0])))
    assert len(looks) == 30 and len({*shapes[:10]}) == 10
    figure.draw_without_rendering()  # in the figure's own resolution; it was saved in another
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(first.overlaps(second) for first, second in itertools.combinations(boxes, 2))


def test_a_name_that_covers_none_stays_at_the_median_of_its_genre(save):
    tracks = pd.DataFrame({"genre": ["a", "a", "a", "b"]})
    places = np.array([[0.0, 0.0], [1.0, 5.0], [2.0, 1.0], [8.0, 8.0]])
    (axes,) = transfer.embedding_space(places, np.array([0.5, 0.2]), tracks, "title", save).axes
    np.testing.assert_allclose([text.get_position() for text in axes.texts], [[1, 1], [8, 8]], atol=0.02)


@pytest.fixture
def compared():
    """Three models under two protocols."""
    index = pd.MultiIndex.from_product([["paper", "artist"], ["small", "large", "probe"]], names=["protocol", "model"])
    low = np.linspace(0.3, 0.5, 6)
    table = pd.DataFrame({"accuracy": low + 0.1, "low": low, "high": low + 0.3, "n": [48] * 3 + [138] * 3}, index)
    table["difference"] = [np.nan, -0.1, 0.2] * 2
    return table.assign(difference_low=table["difference"] - 0.15, difference_high=table["difference"] + 0.05)


def test_each_protocol_has_all_models_and_their_differences_to_the_first(compared, save):
    figure = transfer.comparison(compared, 0.1, "title", save)
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["paper\n48 tests", "artist\n138 tests"]
    assert left.get_ylim()[0] > left.get_ylim()[1]  # the first one on top
    for name, container in zip(["small", "large", "probe"], left.containers, strict=True):
        own = compared.xs(name, level="model")
        np.testing.assert_allclose(intervals(container), own[["accuracy", "low", "high"]])
        assert container.get_label() == name
    for name, container in zip(["large", "probe"], right.containers, strict=True):
        own = compared.xs(name, level="model")
        np.testing.assert_allclose(intervals(container), own[["difference", "difference_low", "difference_high"]])
    heights = [container[0].get_ydata() for container in left.containers]
    for above, below in itertools.pairwise(heights):
        assert (above < below).all()
    assert np.ptp(heights, axis=0).max() < 1  # no model reaches the next protocol
    assert right.get_title() == "Difference to small"
    colours = [left.containers[number][0].get_color() for number in (1, 2)]
    assert colours == [container[0].get_color() for container in right.containers]
    assert "chance, 10%" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_without_intervals_the_dots_stay(compared, save):
    none = compared.assign(low=np.nan, high=np.nan, difference_low=np.nan, difference_high=np.nan)
    left, _ = transfer.comparison(none.xs("paper", drop_level=False), 0.1, "title", save).axes
    assert [float(container[0].get_xdata()[0]) for container in left.containers] == pytest.approx([0.4, 0.44, 0.48])


def test_the_curve_has_a_tick_a_point_and_a_line_for_each_other_model(save):
    table = pd.DataFrame({"tracks_per_genre": [1, 2, 4, 7], "accuracy": [0.3, 0.4, 0.5, 0.55]})
    table = table.assign(low=table["accuracy"] - 0.1, high=table["accuracy"] + 0.2)
    (axes,) = transfer.learning_curve(table, {"small": 0.45, "large": 0.6}, 0.1, "title", save).axes
    np.testing.assert_allclose(intervals(axes.containers[0]), table[["accuracy", "low", "high"]])
    assert axes.get_xscale() == "log" and axes.get_xticks().tolist() == [1, 2, 4, 7]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "4", "7"]
    levels = {line.get_label(): line.get_ydata()[0] for line in axes.lines}
    assert {name: levels[name] for name in ("small", "large", "chance, 10%")} == {
        "small": 0.45, "large": 0.6, "chance, 10%": 0.1,
    }  # fmt: skip
    assert len({line.get_linestyle() for line in axes.lines if line.get_label() in ("small", "large")}) == 2
