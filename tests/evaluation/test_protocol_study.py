import dataclasses
import os

import joblib
import numpy as np
import pandas as pd
import pytest
import tiny  # noqa: F401  (registers the network that is trained here)
from bounds import disturbed, of_network

from genre_utils.errors import SplitError, WorkerError
from genre_utils.evaluation import protocol_study, uncertainty
from genre_utils.models import factory
from genre_utils.params import SPLITS, Params
from genre_utils.splits import leaks
from genre_utils.training import parallel


@pytest.fixture(scope="module")
def tracks():
    """Three genres of four artists with five tracks each; the lists leave out some."""
    rows = [
        {
            "track_id": f"{genre}/{number}.wav",
            "genre": genre,
            "artist": f"{genre} {number % 4}",
            "title": f"{genre} song {number}",
            "published_split": ("train", "train", "validation", "test")[number % 4] if number < 16 else "",
            "fault": "",
            "duration_seconds": 30.0,
        }
        for genre in ("blues", "pop", "rock")
        for number in range(20)
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def four_of_each(tracks):
    """Each protocol four times."""
    planned, refused = protocol_study.trials(tracks, Params(folds=4), repeats=4)
    assert refused == {}
    return planned


def test_every_training_has_the_same_number_of_tracks_in_each_genre(tracks, four_of_each):
    planned = four_of_each
    assert [trial.protocol for trial in planned] == [p for p in protocol_study.ORDER for _ in range(4)]
    assert {trial.training_tracks for trial in planned} == {24}  # what the published lists have
    for trial in planned:
        train = trial.assignment[trial.assignment["split"] == "train"].drop_duplicates("track_id").merge(tracks)
        assert train["genre"].value_counts().to_dict() == {"blues": 8, "pop": 8, "rock": 8}


@pytest.mark.parametrize("count", [30, 41, 42, 43])
def test_any_number_of_tracks_can_be_kept_each_genre_in_its_share(tracks, count):
    planned, _ = protocol_study.trials(tracks.assign(artist="", published_split=""), Params(), 1)
    paper = next(trial for trial in planned if trial.protocol == "paper")
    few = protocol_study.subsampled(paper, tracks, min(count, paper.training_tracks))
    train = few.assignment[few.assignment["split"] == "train"].drop_duplicates("track_id").merge(tracks, on="track_id")
    assert len(train) == min(count, paper.training_tracks)
    shares = train["genre"].value_counts()
    assert shares.max() - shares.min() <= 1


def test_a_split_with_few_tracks_stays_whole(tracks, four_of_each):
    for trial in four_of_each:
        assert protocol_study.subsampled(trial, tracks, 999) is trial


def test_thinning_takes_from_training_and_keeps_the_test_of_whole_files(four_of_each):
    for trial in four_of_each:
        sides = leaks.of_tracks(trial.assignment)
        test = sides[sides["split"] == "test"]
        train = set(sides.loc[sides["split"] == "train", "track_id"])
        if trial.protocol == "leaky":
            assert set(test["track_id"]) <= train  # it tests on what was heard
        else:
            whole = {"paper": 9, "artist": 15, "filtered": 12}[trial.protocol]
            assert len(test) == whole


def test_artist_repeats_are_folds_and_the_others_are_other_draws(four_of_each):
    planned = four_of_each
    tested = [set(t.assignment.query("split == 'test'")["track_id"]) for t in planned if t.protocol == "artist"]
    assert len(set().union(*tested)) == sum(map(len, tested)) == 60
    assert len({trial.params.seed for trial in planned if trial.protocol == "filtered"}) == 4
    paper = [set(t.assignment.query("split == 'test'")["track_id"]) for t in planned if t.protocol == "paper"]
    assert paper[0] != paper[1]


def test_leaks_are_those_of_the_thinned_split(tracks):
    pairs = pd.DataFrame({"track_a": ["blues/0.wav"], "track_b": ["blues/1.wav"]})
    planned, _ = protocol_study.trials(tracks, Params(folds=4), 1, pairs)
    for trial in planned:
        pd.testing.assert_frame_equal(trial.shared, leaks.between_splits(trial.assignment, tracks, pairs))
        assert "near-duplicate" in set(trial.shared["what"])


def test_a_protocol_that_does_not_fit_is_refused_with_its_reason(tracks):
    alone = tracks.assign(artist="one", published_split="")
    planned, refused = protocol_study.trials(alone, Params(folds=4), 1)
    assert {trial.protocol for trial in planned} == {"leaky", "paper"}
    assert "Received: blues 1" in refused["artist"]
    assert "For other data, use protocol=artist" in refused["filtered"]
    with pytest.raises(SplitError, match="No protocol is possible"):
        protocol_study.trials(tracks.assign(fault="odd"), Params(), 1)


def test_the_summary_says_accuracy_interval_and_leak_of_each_protocol(tracks, rng):
    planned, _ = protocol_study.trials(tracks, Params(folds=4), repeats=2)
    tables = []
    for number, trial in enumerate(planned):
        test = trial.assignment[trial.assignment["split"] == "test"].merge(tracks, on="track_id")
        right = rng.random(len(test)) < (0.9 if trial.protocol == "leaky" else 0.5)
        guess = np.where(right, test["genre"], np.where(test["genre"] == "pop", "rock", "pop"))
        chances = {f"p_{genre}": (guess == genre).astype(float) for genre in ("blues", "pop", "rock")}
        tables.append(test.assign(predicted=guess, protocol=trial.protocol, seed=number % 2, path="", **chances))
    predictions = pd.concat(tables, ignore_index=True)
    table = protocol_study.summary(predictions, planned)
    assert list(table.index) == list(protocol_study.ORDER)
    for protocol, row in table.iterrows():
        own = predictions[predictions["protocol"] == protocol]
        assert row["segment"] == pytest.approx((own["genre"] == own["predicted"]).mean())
        artists = own["artist"].nunique()
        if artists < uncertainty.FEWEST:
            assert row["segment_no_interval"] == f"{artists} artists are too few, 10 are needed"
            assert np.isnan(row["segment_low"]) and np.isnan(row["track_high"])
        else:
            assert row["segment_low"] < row["segment"] < row["segment_high"]
        assert row["resampled_by"] == "artist"
        assert row["training_tracks"] == 24
        per_seed = [(one["genre"] == one["predicted"]).mean() for _, one in own.groupby("seed")]
        assert row["sd"] == pytest.approx(np.std(per_seed, ddof=1))
    assert set(table["segment_no_interval"] == "") == {True, False}
    assert table["file"].tolist() == [1.0, 0.0, 0.0, 0.0]
    other = [
        dataclasses.replace(
            t, shared=t.shared.assign(share=t.shared["share"].where(t.shared["between"] == "train – test", 0.3))
        )
        for t in planned
    ]
    pd.testing.assert_frame_equal(protocol_study.summary(predictions, other), table)  # train against test, nothing else
    assert table.loc["paper", "artist"] > 0.5
    assert table.loc["artist", "artist"] == table.loc["filtered", "artist"] == 0
    assert table["near-duplicate"].isna().all()  # nobody has searched


@pytest.fixture(scope="module")
def small_trials(built, params):
    """A trial of two protocols, and the second one again."""
    tiny_params = dataclasses.replace(params, model="tiny_cnn", max_epochs=1)
    planned, _ = protocol_study.trials(built.tracks, tiny_params, repeats=1)
    assert [trial.protocol for trial in planned[:2]] == ["leaky", "paper"]
    return [*planned[:2], planned[1]]


@pytest.fixture(scope="module")
def alone(small_trials, built, tmp_path_factory):
    """What they predict, trained one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "AT_ONCE", 1)
        return protocol_study.run(small_trials, built, ["bass", "noise", "treble"], tmp_path_factory.mktemp("alone"))


def test_trials_are_trained_and_tested(small_trials, alone):
    """Only test segments come back, each once a trial."""
    predictions, assignment = alone.query("protocol == 'paper'"), small_trials[1].assignment
    expected = assignment[assignment["split"] == "test"]
    assert len(predictions) == 2 * len(expected)
    assert set(predictions["seed"]) == {0, 1} and set(alone.query("protocol == 'leaky'")["seed"]) == {0}
    assert set(predictions["track_id"]) == set(expected["track_id"])
    first, second = (predictions[predictions["seed"] == seed].drop(columns="seed") for seed in (0, 1))
    pd.testing.assert_frame_equal(first.reset_index(drop=True), second.reset_index(drop=True))  # same seed, same result
    assert set(assignment["split"]) == set(SPLITS)


@pytest.mark.parametrize(
    ("changes", "protocol"),
    [({}, "filtered"), ({"published_split": ""}, "artist"), ({"published_split": "", "artist": ""}, "paper")],
)
def test_the_most_honest_split_that_a_catalog_allows(tracks, changes, protocol):
    own = tracks.assign(**changes)
    if protocol == "paper":
        own["artist"] = "everybody"  # one artist plays all: no split without common artists
    trial = protocol_study.strictest(own, Params(folds=4))
    assert trial.protocol == trial.params.protocol == protocol
    sides = leaks.of_tracks(trial.assignment)
    assert sides["track_id"].is_unique and set(sides["split"]) == set(SPLITS)
    report = trial.shared.set_index(["between", "what"])["tracks"].xs("train – test")
    assert report["file"] == 0


def test_the_given_split_has_the_name_that_the_run_uses(tracks):
    own = Params(folds=4, protocol="published")
    assert protocol_study.strictest(tracks, own).protocol == "published"
    planned, _ = protocol_study.trials(tracks, own, 1)
    assert [trial.protocol for trial in planned] == ["leaky", "paper", "artist", "published"]


def test_without_any_honest_split_each_says_why(tracks):
    few = tracks.assign(published_split="").groupby("genre").head(2)
    with pytest.raises(SplitError, match=r"No protocol except leaky is possible.*published.*artist.*Every genre needs"):
        protocol_study.strictest(few, Params(folds=4))


@pytest.mark.cluster
def test_trainings_side_by_side_give_what_they_give_one_after_the_other(
    small_trials, alone, built, tmp_path, monkeypatch
):
    """But for rounding: sums of float32 may be taken in another order with other threads."""
    monkeypatch.setattr(protocol_study.joblib, "cpu_count", lambda: 2)
    beside = protocol_study.run(small_trials, built, ["bass", "noise", "treble"], tmp_path / "beside")
    build = factory.build

    def erring(*arguments):
        model = build(*arguments)
        model.set_weights(disturbed(model.get_weights(), of_network(model, built.features)))
        return model

    monkeypatch.setattr(parallel, "AT_ONCE", 1)
    monkeypatch.setattr(factory, "build", erring)
    astray = protocol_study.run(small_trials[:1], built, ["bass", "noise", "treble"], tmp_path / "astray")
    probabilities = ["p_bass", "p_noise", "p_treble"]
    off = (alone[: len(astray)][probabilities] - astray[probabilities]).abs().max(axis=None)
    pd.testing.assert_frame_equal(beside, alone, check_exact=False, rtol=0, atol=off)


def elsewhere(parent):
    return os.getpid() != parent


def killed():
    os._exit(9)  # as the system ends a process that wants too much memory


@pytest.mark.parametrize(("cores", "apart"), [(1, False), (2, True)])
def test_trainings_have_processes_of_their_own_where_there_are_cores_for_them(monkeypatch, cores, apart):
    monkeypatch.setattr(parallel.joblib, "cpu_count", lambda: cores)
    jobs = [joblib.delayed(elsewhere)(os.getpid()) for _ in range(3)]
    assert list(parallel.in_order(jobs, set())) == [apart] * 3


def test_a_training_that_is_killed_is_told_with_the_way_out(monkeypatch):
    monkeypatch.setattr(parallel.joblib, "cpu_count", lambda: 2)
    with pytest.raises(WorkerError, match="LOKY_MAX_CPU_COUNT=1"):
        list(parallel.in_order([joblib.delayed(killed)() for _ in range(2)], set()))
