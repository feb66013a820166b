"""What the benchmark of the demo run says holds, and what it counts as a mistake that makes sense."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.accuracy import demo_seeds
from genre_utils.datasets.demo import styles
from genre_utils.runs import profiles

GENRES = styles.GENRES


def segments_of(tracks, wrong):
    """Test segments: so many tracks by artists of their own, every ``wrong``-th of a genre taken for a neighbour."""
    rows = []
    for number in range(tracks):
        genre = GENRES[number % len(GENRES)]
        mistaken = wrong and number // len(GENRES) % wrong == 0
        called = styles.STYLES[genre].neighbours[0] if mistaken else genre
        row = {"track_id": str(number), "artist": str(number), "genre": genre, "predicted": called}
        row |= {f"p_{name}": float(name == called) for name in GENRES}
        rows += [row | {"segment": segment} for segment in range(6)]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("tracks", "wrong", "holds"),
    [
        (90, 4, True),  # 67 %
        (80, 2, False),  # 50 %
        (90, 0, False),  # everything is right: nothing to explore
        (20, 4, False),  # too few tracks, and an interval too wide
    ],
)
def test_a_row_holds_where_every_goal_is_reached(tracks, wrong, holds):
    row = demo_seeds.row_of("AVX2", 0, {"epochs": 2, "seconds": 1.0}, segments_of(tracks, wrong))
    assert row["holds"] == holds, row
    assert row["tracks"] == tracks and row["n"] == 6 * tracks


def test_a_genre_that_is_never_called_is_seen():
    test = segments_of(90, 4)
    assert demo_seeds.row_of("all", 0, {"epochs": 2, "seconds": 1.0}, test)["holds"]
    test["predicted"] = test["predicted"].replace("reggae", "pop")
    row = demo_seeds.row_of("all", 0, {"epochs": 2, "seconds": 1.0}, test)
    assert row["genres_called"] == 9 and not row["holds"]


def test_mistakes_between_neighbours_are_told_from_random_ones():
    assert demo_seeds.among_neighbours([segments_of(90, 4)])["share of mistakes that are a neighbour"] == 1
    rng = np.random.default_rng(0)
    test = segments_of(90, 0).sample(20_000, replace=True, random_state=0)
    test["predicted"] = rng.choice(GENRES, len(test))
    found = demo_seeds.among_neighbours([test])
    share, chance = found.values()
    assert share == pytest.approx(chance, abs=4 * np.sqrt(0.25 / len(test)))  # four standard errors at most


def test_a_child_is_held_to_the_instructions_asked_for():
    assert demo_seeds.environment("AVX2")["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert demo_seeds.environment("off")["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert demo_seeds.environment("all")["TF_ENABLE_ONEDNN_OPTS"] == "1"


def test_what_is_trained_is_the_demo_profile():
    params, profile = demo_seeds.params_of(3), profiles.read_profile("demo")
    assert params.seed == 3 and params.protocol == "paper" and params.model == "paper_cnn"
    assert (params.image_height, params.max_epochs) == (profile["image_height"], profile["max_epochs"])
