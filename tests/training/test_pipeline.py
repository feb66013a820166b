import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
from bounds import rounded
from scipy import stats

from genre_utils.datasets import labels
from genre_utils.errors import CatalogError
from genre_utils.features import store
from genre_utils.splits import protocols
from genre_utils.training import pipeline

GENRES = ["bass", "noise", "treble"]


def gathered(dataset):
    decibels, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(decibels), np.concatenate(labels)


def test_examples_are_all_segments_of_the_split(built, assignment):
    tables = [pipeline.examples(built, assignment, split, GENRES) for split in protocols.SPLITS]
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
        np.testing.assert_allclose(np.sort(decibels.sum(axis=(1, 2))), expected, rtol=rounded(decibels[0].size))
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


def test_shuffling_is_uniform_over_the_whole_data_set(built, params):
    """No row has a favourite place, none stays near where it was, and neighbours do not stay together."""
    rows, epochs = 24, 600
    features = np.arange(rows, dtype=np.float16).reshape(-1, 1, 1)
    table = pd.DataFrame({"row": range(rows), "next_row": range(rows), "label": 0})
    whole = dataclasses.replace(params, batch_size=rows)
    data = pipeline.shuffled(dataclasses.replace(built, features=features), table, whole).take(epochs)
    orders = gathered(data)[0].astype(int).reshape(epochs, rows)  # [epoch, position]
    places = orders.argsort(axis=1)  # [epoch, row]
    counts = np.stack([np.bincount(place, minlength=rows) for place in places.T])  # [row, position]
    # Rows and columns of the counts have fixed sums, which leaves (rows - 1)² degrees of freedom.
    statistic = ((counts - epochs / rows) ** 2).sum() / (epochs / rows) * (rows - 1) / rows
    assert 0.001 < stats.chi2.sf(statistic, (rows - 1) ** 2) < 0.999
    correlation = np.mean([np.corrcoef(place, range(rows))[0, 1] for place in places])
    assert abs(correlation) < 3.5 / np.sqrt(epochs * (rows - 1))
    followed = (np.diff(orders, axis=1) == 1).sum(axis=1).mean()  # by the next row: about once an epoch, as by chance
    assert abs(followed - (rows - 1) / rows) < 3.5 / np.sqrt(epochs)


def test_rows_come_from_the_file_as_from_the_map(built):
    in_memory = np.array(built.features)
    for features in (built.features, built.features[3:], in_memory):  # a part of a map is no map of its own
        for rows in ([7, 0, 7, len(features) - 1], []):
            taken = store.read_rows(features, np.array(rows, int))
            np.testing.assert_array_equal(taken, features[np.array(rows, int)])
            assert taken.dtype == np.float16


def test_a_store_that_was_cut_says_so(built, tmp_path):
    folder = shutil.copytree(built.folder, tmp_path / "store")
    cut = store.open_store(folder)
    with (folder / "features.npy").open("rb+") as file:
        file.truncate(cut.features.offset + 2 * cut.features[0].nbytes - 1)
    np.testing.assert_array_equal(store.read_rows(cut.features, np.array([0])), built.features[:1])
    with pytest.raises(CatalogError, match="is cut off: it ends in the middle of a row"):
        store.read_rows(cut.features, np.array([0, 1]))


AUGMENTED = {
    "crop": True,
    "shift_bands": 2,
    "equalise_db": 3.0,
    "mask_bands": 8,
    "mask_seconds": 0.1,
    "mixup_alpha": 1.0,
}


def test_validation_and_test_are_untouched_by_augmentation(built, assignment, params):
    augmented = dataclasses.replace(params, **AUGMENTED)
    for split in ("validation", "test"):
        table = pipeline.examples(built, assignment, split, GENRES)
        decibels, targets = gathered(pipeline.in_order(built, table, augmented, labels.targets(table["genre"], GENRES)))
        np.testing.assert_array_equal(decibels, built.features[table["row"]].astype(np.float32))
        np.testing.assert_array_equal(targets.argmax(axis=1), table["label"])
        assert (np.sort(targets, axis=1) == [0, 0, 1]).all()


def test_an_augmented_epoch_follows_from_seed_and_epoch_alone(built, assignment, params):
    augmented = dataclasses.replace(params, **AUGMENTED)
    table = pipeline.examples(built, assignment, "train", GENRES)
    targets = labels.targets(table["genre"], GENRES)
    steps = -(-len(table) // params.batch_size)

    def epochs(first, count):
        return gathered(pipeline.shuffled(built, table, augmented, first, targets).take(count * steps))

    whole, last, again = epochs(0, 3), epochs(2, 1), epochs(2, 1)
    for all_three, one, same in zip(whole, last, again, strict=True):
        np.testing.assert_array_equal(all_three[2 * len(table) :], one)
        np.testing.assert_array_equal(one, same)
    plain = built.features[table["row"]].astype(np.float32)
    assert not any((segment == plain).all(axis=(1, 2)).any() for segment in whole[0])  # each is new
    assert (whole[0][: len(table)] != whole[0][len(table) : 2 * len(table)]).any()


def test_crops_stay_in_their_track(built, assignment):
    table = pipeline.examples(built, assignment, "train", GENRES)
    rows = built.segments.set_index("row")
    here, there = rows.loc[table["row"]], rows.loc[table["next_row"]]
    assert (here["track_id"].to_numpy() == there["track_id"].to_numpy()).all()
    step = there["segment"].to_numpy() - here["segment"].to_numpy()
    last = here["segment"].to_numpy() == here.groupby("track_id")["segment"].transform("max").to_numpy()
    np.testing.assert_array_equal(step, np.where(last, 0, 1))


def test_crops_do_not_reach_into_another_side(built, params):
    leaky = protocols.leaky(built.tracks, dataclasses.replace(params, protocol="leaky"))
    table = pipeline.examples(built, leaky, "train", GENRES)
    following = table.set_index("row").loc[table["next_row"]]  # an error if one of them is not in train
    assert (following["track_id"].to_numpy() == table["track_id"]).all()
    assert set(following["segment"].to_numpy() - table["segment"]) == {0, 1}


def test_versions_of_the_sound_are_for_training_alone(built, assignment):
    extra = built.segments.assign(augmentation="pitch +1.0")
    wide = dataclasses.replace(built, segments=pd.concat([built.segments, extra], ignore_index=True))
    for split in protocols.SPLITS:
        count = len(pipeline.examples(built, assignment, split, GENRES))
        versions = pipeline.examples(wide, assignment, split, GENRES)["augmentation"].value_counts()
        assert versions.to_dict() == {"": count} | ({"pitch +1.0": count} if split == "train" else {})


def test_a_track_of_two_genres_has_two_targets(built, assignment):
    tracks = built.tracks.assign(genre=built.tracks["genre"].replace("bass", "noise|bass"))
    table = pipeline.examples(dataclasses.replace(built, tracks=tracks), assignment, "train", GENRES)
    targets = labels.targets(table["genre"], GENRES)
    both = table["track_id"].str.startswith("bass").to_numpy()
    assert (table.loc[both, "label"] == -1).all() and (table.loc[~both, "label"] >= 0).all()
    assert (targets[both] == [1, 1, 0]).all()
    np.testing.assert_array_equal(targets[~both].argmax(axis=1), table.loc[~both, "label"])


def test_every_batch_of_every_epoch_has_chances_of_its_own(built, assignment, params, monkeypatch):
    drawn = []

    def noted(decibels, _, targets, own, rng):
        drawn.append((own.seed, rng.random()))
        return decibels.astype(np.float32), targets

    monkeypatch.setattr(pipeline.spec_augment, "augmented", noted)
    table = pipeline.examples(built, assignment, "train", GENRES)
    steps = -(-len(table) // params.batch_size)
    for seed in (0, 1):
        own = dataclasses.replace(params, seed=seed)
        gathered(pipeline.shuffled(built, table, own).take(3 * steps))
    assert len({value for _, value in drawn}) == len(drawn) >= 6 * steps
