import dataclasses

import numpy as np
import pandas as pd

from genre_utils import pipeline, splits

GENRES = ["bass", "noise", "treble"]


def gathered(dataset):
    decibels, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(decibels), np.concatenate(labels)


def test_examples_are_all_segments_of_the_split(built, assignment):
    tables = [pipeline.examples(built, assignment, split, GENRES) for split in splits.SPLITS]
    assert sorted(pd.concat(tables)["row"]) == sorted(built.segments["row"])  # each once, on one side
    for table in tables:
        assert (np.array(GENRES)[table["label"]] == table["genre"]).all()
        assert (table["genre"] == table["track_id"].str.split("/").str[0]).all()


def test_in_order_gives_the_store_as_it_is(built, assignment, params):
    table = pipeline.examples(built, assignment, "train", GENRES)
    decibels, labels = gathered(pipeline.in_order(built, table, params))
    np.testing.assert_array_equal(decibels, built.features[table["row"]].astype(np.float32))
    np.testing.assert_array_equal(labels, table["label"])
    assert decibels.dtype == np.float32


def epoch(built, table, params, number):
    steps = -(-len(table) // params.batch_size)
    return gathered(pipeline.shuffled(built, table, params, first_epoch=number).take(steps))


def test_an_epoch_is_a_permutation_of_all_segments(built, assignment, params):
    table = pipeline.examples(built, assignment, "train", GENRES)
    expected = np.sort(built.features[table["row"]].astype(np.float32).sum(axis=(1, 2)))
    for number in range(2):
        decibels, labels = epoch(built, table, params, number)
        np.testing.assert_allclose(np.sort(decibels.sum(axis=(1, 2))), expected, rtol=1e-6)
        assert np.bincount(labels).tolist() == table["label"].value_counts().sort_index().tolist()


def test_features_and_labels_stay_together(built, assignment, params):
    table = pipeline.examples(built, assignment, "train", GENRES)
    label_of = dict(zip(built.features[table["row"]].astype(np.float64).sum(axis=(1, 2)), table["label"], strict=True))
    decibels, labels = epoch(built, table, params, 0)
    assert [label_of[total] for total in decibels.astype(np.float64).sum(axis=(1, 2))] == labels.tolist()


def test_order_follows_from_seed_and_epoch_alone(built, assignment, params):
    table = pipeline.examples(built, assignment, "train", GENRES)
    steps = -(-len(table) // params.batch_size)
    three_epochs = gathered(pipeline.shuffled(built, table, params).take(3 * steps))[0]
    np.testing.assert_array_equal(three_epochs[2 * len(table) :], epoch(built, table, params, 2)[0])
    other = dataclasses.replace(params, seed=1)
    assert (epoch(built, table, params, 0)[0] != epoch(built, table, other, 0)[0]).any()
    assert (epoch(built, table, params, 0)[0] != epoch(built, table, params, 1)[0]).any()
