import dataclasses

import numpy as np
import pandas as pd
import pytest
import tiny  # noqa: F401  (registers the network that is trained here)
from bounds import of_network

from genre_utils.evaluation import ablation_study, protocol_study, scoring, uncertainty
from genre_utils.models import factory
from genre_utils.splits import leaks
from genre_utils.training import parallel

GENRES = ["bass", "noise", "treble"]


@pytest.fixture
def trial(built, assignment, params):
    tiny_params = dataclasses.replace(params, model="tiny_cnn", max_epochs=1, schedule="cosine")
    return protocol_study.Trial(tiny_params, assignment, leaks.between_splits(assignment, built.tracks))


def test_variants_are_trained_on_one_split_and_each_on_its_own_sounds(built, trial, tmp_path, monkeypatch):
    extra = built.segments.assign(augmentation="noise 20 dB")
    wide = dataclasses.replace(built, segments=pd.concat([built.segments, extra], ignore_index=True))
    heard, trained = {}, protocol_study.train

    def noted(own, sounds, *rest):
        heard[own.params.noise_snr_db] = sorted(sounds.segments["augmentation"].unique())
        return trained(own, sounds, *rest)

    monkeypatch.setattr(protocol_study, "train", noted)
    monkeypatch.setattr(parallel, "AT_ONCE", 1)  # in this process, where the patch holds
    changes = {"nothing": {}, "noise": {"noise_snr_db": 20.0}}
    predictions, seconds = ablation_study.train_variants(changes, trial, wide, GENRES, tmp_path / "beyond", tmp_path)
    assert heard == {0.0: [""], 20.0: ["", "noise 20 dB"]}
    assert list(predictions) == list(seconds.index) == list(changes)
    assert (seconds > 0).all()
    same = [table[["track_id", "segment", "split"]] for table in predictions.values()]
    pd.testing.assert_frame_equal(*same)
    assert (predictions["nothing"].filter(like="p_") != predictions["noise"].filter(like="p_")).any(axis=None)
    kept = factory.load(tmp_path / "beyond" / "noise" / "model.keras")
    again = scoring.predict(kept, built, trial.assignment, GENRES, trial.params)
    np.testing.assert_allclose(
        again.filter(like="p_"), predictions["noise"].filter(like="p_"), atol=of_network(kept, built.features)
    )


def test_the_table_compares_each_with_the_first_on_test_tracks_alone(predictions):
    better = predictions.assign(predicted=predictions["genre"])
    for genre in scoring.genres_of(predictions):
        better[f"p_{genre}"] = (better["genre"] == genre).astype(float)
    worse = better.assign(**{f"p_{genre}": 1 - better[f"p_{genre}"] for genre in scoring.genres_of(predictions)})
    same = predictions.sample(frac=1, random_state=0)
    tables = {"nothing": predictions, "same": same, "perfect": better, "worse": worse}
    seconds = pd.Series({"nothing": 1.0, "same": 2.0, "perfect": 3.0, "worse": 4.0}, name="seconds")
    table = ablation_study.table(tables, seconds, seed=1)
    tested = scoring.by_track(predictions.query("split == 'test'"))
    assert table.loc["nothing", "accuracy"] == uncertainty.accuracy(tested, 1)["accuracy"]
    assert (table["n"] == 32).all() and table["seconds"].tolist() == [1, 2, 3, 4]
    assert table.loc["nothing", ["difference", "difference_low", "difference_high"]].isna().all()
    assert table.loc["same", "difference"] == 0  # on each track, so that resampling shows nothing
    assert table.loc["same", "difference_no_interval"] == "all 32 tracks come out alike"
    assert table.loc["same", ["difference_low", "difference_high"]].isna().all()
    assert table.loc["perfect", "difference"] == pytest.approx(1 - table.loc["nothing", "accuracy"])
    assert table.loc["perfect", "difference_high"] > 0
    assert table.loc["perfect", "difference_no_interval"] == ""
    assert ablation_study.conclusion(table) == (
        f"the interval excludes 0: {'perfect, ' if table.loc['perfect', 'difference_low'] > 0 else ''}worse, of 2; "
        "expect 1 in 20 by chance\nno interval for 1 of 3: all 32 tracks come out alike"
    )


def test_of_a_handful_of_tracks_nothing_is_proven_however_far_apart(predictions):
    few = predictions[predictions["track_id"].isin(predictions["track_id"].unique()[:3])]
    wrong = few.assign(predicted="rock", p_rock=2.0).query("genre != 'rock'")
    right = wrong.assign(
        predicted=wrong["genre"], **{f"p_{genre}": wrong["genre"] == genre for genre in scoring.genres_of(wrong)}
    )
    table = ablation_study.table(
        {"wrong": wrong, "right": right}, pd.Series({"wrong": 1.0, "right": 1.0}, name="seconds")
    )
    assert table.loc["right", "difference"] == 1
    assert ablation_study.conclusion(table) == "no interval for 1 of 1: 3 tracks are too few, 10 are needed"
