import numpy as np
import pandas as pd
import pytest

from genre_utils.errors import EvaluationError
from genre_utils.evaluation import calibration, ensemble, scoring, uncertainty

GENRES = ["blues", "country", "pop", "rock"]
COLUMNS = [f"p_{genre}" for genre in GENRES]


def member(predictions, seed):
    """Another model's predictions of the same rows."""
    p = np.random.default_rng(seed).dirichlet(np.ones(4), len(predictions))
    p = (p + predictions[COLUMNS].to_numpy()) / 2
    table = predictions.assign(**dict(zip(COLUMNS, p.T, strict=True)))
    return table.assign(predicted=np.array(GENRES)[p.argmax(axis=1)])


@pytest.fixture(scope="module")
def members(predictions):
    return [member(predictions, seed) for seed in range(3)]


def test_the_mean_of_identical_tables_is_the_table(predictions):
    pd.testing.assert_frame_equal(ensemble.mean([predictions] * 3), predictions)
    tracks = scoring.by_track(predictions)
    pd.testing.assert_frame_equal(ensemble.mean([tracks] * 2), tracks)


def test_probabilities_are_averaged_and_decide(members):
    table = ensemble.mean(members)
    for index in (0, 100, 239):
        expected = sum(one.loc[index, COLUMNS].to_numpy(float) for one in members) / 3
        np.testing.assert_allclose(table.loc[index, COLUMNS].to_numpy(float), expected)
        assert table["predicted"][index] == GENRES[expected.argmax()]
    others = [name for name in table if name not in (*COLUMNS, "predicted")]
    pd.testing.assert_frame_equal(table[others], members[0][others])
    assert (table["predicted"] != members[0]["predicted"]).any()  # else nothing has been shown


def test_order_of_members_rows_and_genres_changes_nothing(members):
    expected = ensemble.mean(members)
    mixed = [
        members[0],
        members[2].sample(frac=1, random_state=1)[members[2].columns[::-1]],
        members[1].sample(frac=1, random_state=2),
    ]
    pd.testing.assert_frame_equal(ensemble.mean(mixed), expected)
    pd.testing.assert_frame_equal(ensemble.mean(members[::-1]), expected)


def test_members_must_be_of_the_same_rows_and_genres(members):
    first, second = members[:2]
    with pytest.raises(EvaluationError, match=r"Member 0 has 240 .* has 239.*'blues/0.wav', 3, 'test', 'blues'"):
        ensemble.mean([first, second.drop(index=3)])
    with pytest.raises(EvaluationError, match="same rows"):  # tested by one model, used for validation by the other
        ensemble.mean([first, second.assign(split=second["split"].replace("validation", "test"))])
    with pytest.raises(EvaluationError, match="same rows"):
        ensemble.mean([first.assign(seed=0), second.assign(seed=1)])
    with pytest.raises(EvaluationError, match="same rows"):
        ensemble.mean([first, scoring.by_track(second)])
    with pytest.raises(EvaluationError, match="each row once"):
        ensemble.mean([first, pd.concat([second, second[:1]])])
    with pytest.raises(EvaluationError, match="same genres"):
        ensemble.mean([first, second.drop(columns="p_pop")])
    with pytest.raises(EvaluationError, match="one member or more"):
        ensemble.mean([])


DECIBELS = np.add.outer([[0] * 3, [100] * 3], np.arange(20.0))  # (n, mel, frame): the value tells the frame


def test_crops_of_a_network_that_ignores_its_input_are_its_output():
    constant = ensemble.crops(lambda x: np.tile([0.2, 0.8], (len(x), 1)), DECIBELS, share=0.3, count=4)
    np.testing.assert_allclose(constant, [[0.2, 0.8]] * 2)


def test_crops_are_the_whole_and_equally_spaced_windows():
    seen = []
    result = ensemble.crops(lambda x: seen.append(x) or x.max(axis=(1, 2))[:, np.newaxis], DECIBELS, 0.8, 3)
    assert [(x[0, 0, 0], x.shape[2]) for x in seen] == [(0, 20), (0, 16), (2, 16), (4, 16)]
    np.testing.assert_allclose(result, np.mean([19, 15, 17, 19]) + np.array([[0], [100]]))


def test_one_crop_of_the_whole_is_the_plain_prediction():
    def predict(x):
        return x.mean(axis=(1, 2))[:, np.newaxis]

    np.testing.assert_array_equal(ensemble.crops(predict, DECIBELS, share=1.0, count=1), predict(DECIBELS))
    for share, count in ((0.0, 3), (1.1, 3), (0.5, 0)):
        with pytest.raises(EvaluationError, match=r"share in \(0, 1\] and a count of 1 or more"):
            ensemble.crops(predict, DECIBELS, share, count)


def test_gain_per_second_tells_what_each_member_adds(members):
    rows = [(name, table, seconds) for name, table, seconds in zip("abc", members, (10, 200, 50), strict=True)]
    table = ensemble.gain_per_second(rows)
    assert table["member"].tolist() == ["a", "b", "c"]
    test = [one[one["split"] == "test"] for one in members]
    steps = [scoring.by_track(ensemble.mean(test[:count])) for count in (1, 2, 3)]
    for index, step in enumerate(steps):
        assert table["accuracy"][index] == (step["genre"] == step["predicted"]).mean()
    for index in (1, 2):
        gain = uncertainty.difference(steps[index - 1], steps[index])
        right = uncertainty.accuracy(steps[index])
        for name in ("low", "high"):
            assert table[f"difference_{name}"][index] == pytest.approx(gain[name] or np.nan, nan_ok=True)
            assert table[name][index] == right[name]
        assert table["difference_no_interval"][index] == gain.get("no_interval", "")
        assert table["difference"][index] == pytest.approx(table["accuracy"][index] - table["accuracy"][index - 1])
    assert table["points_per_100_s"][1] == pytest.approx(100 * table["difference"][1] / 2)
    assert table.loc[0, [*ensemble.DIFFERENCE, "points_per_100_s"]].isna().all()


def test_a_copy_of_the_first_member_adds_nothing(members):
    table = ensemble.gain_per_second([("a", members[0], 5), ("again", members[0], 5)])
    assert table.loc[1, ["difference", "points_per_100_s"]].tolist() == [0, 0]
    assert table.loc[1, ["difference_low", "difference_high"]].isna().all()
    assert table.loc[1, "difference_no_interval"].endswith("come out alike")


def sharpened(predictions, power):
    """The same predictions, surer of themselves."""
    p = predictions[COLUMNS].to_numpy() ** power
    return predictions.assign(**dict(zip(COLUMNS, (p / p.sum(axis=1, keepdims=True)).T, strict=True)))


def test_who_is_too_sure_has_no_more_votes_once_calibrated(members):
    first, second = members[:2]
    sure = sharpened(second, 8.0)
    plain, loud = (ensemble.mean([first, other]) for other in (second, sure))
    assert (loud["predicted"] != plain["predicted"]).any()
    once, again = (ensemble.calibrated(table) for table in (second, sure))
    np.testing.assert_allclose(once[COLUMNS].to_numpy(), again[COLUMNS].to_numpy(), atol=2e-3)
    assert (once["predicted"] == second["predicted"]).all()


def test_the_temperature_is_of_the_validation_rows_or_of_those_that_are_given(members):
    table = sharpened(members[0], 4.0)
    own = ensemble.calibrated(table)
    held_out = table[table["split"] == "validation"]
    tested = table[table["split"] == "test"]
    given = ensemble.calibrated(tested, held_out=held_out)
    pd.testing.assert_frame_equal(given, own[own["split"] == "test"])
    other = ensemble.calibrated(tested, held_out=tested)
    assert not np.allclose(other[COLUMNS].to_numpy(), given[COLUMNS].to_numpy())


def test_members_are_added_as_long_as_validation_gets_better(predictions):
    def loss(*names):
        tables = [known[name][known[name]["split"] == "validation"] for name in names]
        return calibration.log_loss(ensemble.mean(tables), "softmax")

    predictions = predictions.assign(split="validation")
    truth = (predictions["genre"].to_numpy()[:, None] == np.array(GENRES)).astype(float)
    known = {}
    for number, knows in enumerate((0.0, 0.2, 0.2, 0.2)):  # the first has no idea, and is sure of it
        p = knows * truth + (1 - knows) * np.random.default_rng(number).dirichlet(np.full(4, 0.5), len(predictions))
        known[str(number)] = predictions.assign(**dict(zip(COLUMNS, p.T, strict=True)))
    names = ensemble.chosen(known)
    assert "0" not in names and len(names) > 1
    losses = [loss(*names[: count + 1]) for count in range(len(names))]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == min(loss(name) for name in known)
    assert all(loss(*names, name) >= losses[-1] for name in known if name not in names)
    swapped = {name: table.assign(predicted="rock", genre=table["genre"]) for name, table in known.items()}
    assert ensemble.chosen(swapped) == names  # only probabilities count
