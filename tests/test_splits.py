import dataclasses

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_utils import splits
from genre_utils.errors import SplitError
from genre_utils.params import Params


def catalog_of(counts: dict[str, int], faulty: int = 0) -> pd.DataFrame:
    rows = [
        {"track_id": f"{genre}/{number}.wav", "genre": genre, "fault": "odd" if number >= count else ""}
        for genre, count in counts.items()
        for number in range(count + faulty)
    ]
    return pd.DataFrame(rows)


@given(
    counts=st.lists(st.integers(8, 40), min_size=2, max_size=10),
    seed=st.integers(0, 2**31 - 1),
    faulty=st.integers(0, 2),
)
def test_no_file_is_on_two_sides_and_none_is_lost(counts, seed, faulty):
    tracks = catalog_of({f"genre {index}": count for index, count in enumerate(counts)}, faulty)
    assignment = splits.paper(tracks, Params(seed=seed))
    assert assignment["track_id"].is_unique
    assert set(assignment["track_id"]) == set(tracks.loc[tracks["fault"] == "", "track_id"])
    assert set(assignment["split"]) == {"train", "validation", "test"}
    sizes = assignment["split"].value_counts()
    assert sizes["test"] == sizes["validation"] == round(0.15 * sum(counts))


@given(seed=st.integers(0, 2**31 - 1), count=st.sampled_from([20, 80, 100]))
def test_every_genre_has_its_share_on_each_side(seed, count):
    tracks = catalog_of({f"genre {index}": count for index in range(10)})
    table = splits.paper(tracks, Params(seed=seed)).merge(tracks, on="track_id")
    shares = pd.crosstab(table["genre"], table["split"])
    assert ((shares["test"] - 0.15 * count).abs() < 1).all()
    assert ((shares["validation"] - 0.15 * count).abs() < 1).all()


def test_the_seed_decides():
    tracks = catalog_of({"a": 20, "b": 20})
    one = splits.paper(tracks, Params(seed=1))
    assert one.equals(splits.paper(tracks, Params(seed=1)))
    assert not one.equals(splits.paper(tracks, Params(seed=2)))


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"a": 20, "b": 2}, "Every genre needs 3 usable tracks.*Received: b 2"),
        ({}, "no usable track"),
        ({"a": 3, "b": 3}, "test would hold 1 of 6 tracks"),
    ],
)
def test_too_few_tracks_is_an_error_that_says_so(counts, said):
    tracks = catalog_of(counts) if counts else catalog_of({"a": 0}, faulty=3)
    with pytest.raises(SplitError, match=said):
        splits.paper(tracks, Params())


def test_fractions_are_parameters():
    tracks = catalog_of({"a": 50, "b": 50})
    params = dataclasses.replace(Params(), validation_fraction=0.1, test_fraction=0.4)
    assert splits.paper(tracks, params)["split"].value_counts().to_dict() == {"train": 50, "test": 40, "validation": 10}
