import dataclasses

import numpy as np
import pandas as pd
import pytest
import tiny
from bounds import of_network

from genre_utils.datasets import labels
from genre_utils.errors import SplitError
from genre_utils.evaluation import ablation_study, scoring, transfer_study
from genre_utils.evaluation.transfer_study import VIEWS, WHOLE, Embedded
from genre_utils.models import embeddings, musicnn, pretrained, probe
from genre_utils.params import Params
from genre_utils.splits import leaks, protocols
from genre_utils.training import pipeline

GENRES = ["bass", "noise", "treble"]


@pytest.fixture
def embedded(built, params, monkeypatch, tmp_path):
    """The store of three genres with the outputs of a tiny network in place of the pretrained one."""
    monkeypatch.setattr(musicnn, "network", tiny.tiny_musicnn)
    monkeypatch.setattr(pretrained, "check", lambda _: None)
    return Embedded(built, embeddings.of_store(built, params, tmp_path), GENRES)


def test_both_networks_hear_the_same_seconds():
    run = Params(segment_seconds=5.0, max_segments=6)
    for segments in (1, 2, 3, 5, 10):
        heard, scratch = transfer_study.features(run, segments)
        assert {name: getattr(heard, name) for name in pretrained.FEATURES} == pretrained.FEATURES
        assert heard.model == "musicnn" and heard.max_segments == segments
        assert dataclasses.replace(scratch, max_segments=6) == run
        seconds = segments * heard.segment_seconds
        assert seconds - 1e-6 <= scratch.max_segments * 5.0 < seconds + 5.0
    assert [params.max_segments for params in transfer_study.features(run, 0)] == [0, 0]


def test_a_run_with_the_pretrained_features_has_the_papers_for_the_network_from_scratch():
    run = dataclasses.replace(Params(seed=3), **pretrained.FEATURES, max_segments=10, model="musicnn")
    heard, scratch = transfer_study.features(run, 10)
    assert heard == run
    assert scratch == Params(seed=3, model="musicnn", max_segments=6)


def test_a_sample_keeps_the_proportion_of_the_genres_and_what_is_faulty(params):
    genre = ["a"] * 20 + ["b"] * 10 + ["c|b"] * 2
    tracks = pd.DataFrame({"track_id": [*map(str, range(32))], "genre": genre, "fault": "", "duration_seconds": 9.0})
    tracks.loc[[0, 20], "duration_seconds"] = 0.3  # shorter than a segment of one of the two
    tracks.loc[1, "fault"] = "broken"
    kinds = (params, dataclasses.replace(params, segment_seconds=0.2))
    everything = transfer_study.sample(tracks, 0, *kinds)
    assert set(tracks["track_id"]) - set(everything["track_id"]) == {"0", "20"}
    some = transfer_study.sample(tracks, 15, *kinds)
    pd.testing.assert_frame_equal(some, transfer_study.sample(tracks, 15, *kinds))
    counts = some.query("fault == ''")["genre"].value_counts()
    assert counts.to_dict() == {"a": 9, "b": 5, "c|b": 1}  # of 18, 9 and 2
    assert some["track_id"].is_monotonic_increasing or some["track_id"].astype(int).is_monotonic_increasing
    assert "1" in set(some["track_id"])
    other = transfer_study.sample(tracks, 15, dataclasses.replace(params, seed=1))
    assert set(other["track_id"]) != set(some["track_id"])


def test_tracks_are_split_by_file_and_by_artist_with_as_many_for_training(built, params):
    planned, refused = transfer_study.trials(built.tracks, params, 2)
    assert [trial.protocol for trial in planned] == ["paper", "paper", "artist", "artist"]
    assert len({trial.training_tracks for trial in planned}) == 1
    assert set(refused) == {"filtered"}


def test_the_published_split_counts_only_where_artists_are_too_few(built, params):
    place = built.tracks.groupby("genre").cumcount()
    split = np.select([place < 4, place < 6], ["train", "validation"], "test")
    published = built.tracks.assign(published_split=split)
    planned, refused = transfer_study.trials(published, params, 1)
    assert [trial.protocol for trial in planned] == ["paper", "artist"] and not refused
    own = dataclasses.replace(params, protocol="published")  # the run's results are of the same test
    assert [trial.protocol for trial in transfer_study.trials(published, own, 1)[0]] == ["paper", "published"]
    assert [trial.protocol for trial in transfer_study.trials(built.tracks, own, 1)[0]] == ["paper", "artist"]
    few = published.assign(artist="one band of " + published["genre"])
    planned, refused = transfer_study.trials(few, params, 1)
    assert [trial.protocol for trial in planned] == ["paper", "filtered"] and set(refused) == {"artist"}
    with pytest.raises(SplitError, match="No protocol is possible"):
        transfer_study.trials(few[place < 2].assign(published_split=""), params, 1)


@pytest.mark.parametrize("protocol", ["paper", "artist"])
def test_with_other_features_each_track_stays_in_its_split(built, params, protocol):
    planned, _ = transfer_study.trials(built.tracks, params, 2)
    longer = dataclasses.replace(params, segment_seconds=1.0, max_segments=0, model="tiny_cnn", fold=3, seed=9)
    trial = next(trial for trial in planned[::-1] if trial.protocol == protocol)
    other = transfer_study.with_features(trial, built.tracks, longer)
    assert (other.params.protocol, other.params.seed, other.params.fold) == (
        trial.params.protocol, trial.params.seed, trial.params.fold,
    )  # fmt: skip
    assert other.params.model == "tiny_cnn"
    for one in (leaks.of_tracks(other.assignment), leaks.of_tracks(trial.assignment)):
        assert one["track_id"].is_unique
    same = leaks.of_tracks(other.assignment).merge(leaks.of_tracks(trial.assignment), on="track_id", how="outer")
    assert (same["split_x"] == same["split_y"]).all()
    assert (other.assignment.groupby("track_id").size() == 2).all()  # whole segments of 1 s in 2.2 s
    oracle, _ = protocols.assign(built.tracks, other.params)
    merged = other.assignment.merge(oracle, on=["track_id", "segment"])
    assert len(merged) == len(other.assignment) and (merged["split_x"] == merged["split_y"]).all()


def test_a_probe_predicts_what_it_would_as_one_network(embedded, params):
    planned, _ = transfer_study.trials(embedded.store.tracks, params, 2)
    found = transfer_study.run(planned, embedded)
    assert found.groupby("protocol", sort=False)["seed"].unique().map(list).to_dict() == {
        "paper": [0, 1], "artist": [0, 1],
    }  # fmt: skip
    trial = planned[-1]
    train = pipeline.examples(embedded.store, trial.assignment, "train", GENRES)
    network = probe.network(transfer_study.fit(train, embedded, trial.params), params)
    expected = scoring.predict(network, embedded.store, trial.assignment, GENRES, params).query("split == 'test'")
    own = found.query("protocol == 'artist' and seed == 1")
    assert [*own.columns] == [*expected.columns, "protocol", "seed"]
    assert own["track_id"].tolist() == expected["track_id"].tolist()
    bound = of_network(network, embedded.store.features)
    np.testing.assert_allclose(own.filter(like="p_"), expected.filter(like="p_"), atol=bound)
    assert (own["genre"] == own["predicted"]).mean() > 0.8  # tones and noise


def test_a_view_hides_the_tags_that_it_says(embedded, params, rng):
    planned, _ = transfer_study.trials(embedded.store.tracks, params, 1)
    assert {*pretrained.GENRE_TAGS} < {*pretrained.TAGS} and len({*pretrained.GENRE_TAGS}) == 30
    blocks = {name: embeddings.columns(name) for name in embeddings.WIDTHS}
    words = [blocks["tags"].start + n for n, tag in enumerate(pretrained.TAGS) if tag in pretrained.GENRE_TAGS]
    others = [n for n in range(blocks["tags"].start, blocks["tags"].stop) if n not in words]
    inner = [*range(blocks["tags"].start)]
    seen = {WHOLE: inner, "50 tags": words + others, "30 genre words": words, "20 other tags": others}
    assert [*seen] == [*VIEWS]
    for view, columns in seen.items():
        before = transfer_study.run(planned, embedded, view).filter(like="p_")
        unseen = np.array(embedded.values)
        rest = np.setdiff1d(np.arange(unseen.shape[1]), columns)
        unseen[:, rest] = rng.normal(size=(len(unseen), len(rest)))
        after = transfer_study.run(planned, dataclasses.replace(embedded, values=unseen), view).filter(like="p_")
        pd.testing.assert_frame_equal(before, after)
        changed = np.array(embedded.values)
        changed[:, columns] = rng.normal(size=(len(changed), len(columns)))
        other = transfer_study.run(planned, dataclasses.replace(embedded, values=changed), view).filter(like="p_")
        assert (before != other).any(axis=None)
    assert not (np.array(embedded.values)[:, blocks["tags"]] == 0).any()  # hiding them changed only a copy


def test_models_are_compared_within_each_protocol(embedded, params):
    planned, _ = transfer_study.trials(embedded.store.tracks, params, 1)
    tables = {view: transfer_study.run(planned, embedded, view) for view in ("20 other tags", WHOLE)}
    found = transfer_study.compare(tables, seed=1)
    assert [*found.index] == [(p, name) for p in ("paper", "artist") for name in tables]
    for protocol in ("paper", "artist"):
        own = {name: table[table["protocol"] == protocol] for name, table in tables.items()}
        pd.testing.assert_frame_equal(found.loc[protocol], ablation_study.table(own, seed=1), check_names=False)
        assert found.loc[(protocol, WHOLE), "n"] == own[WHOLE]["track_id"].nunique()


def test_tracks_of_several_genres_and_unknown_artists_take_part(embedded, params):
    tracks = embedded.store.tracks.copy()
    tracks.loc[tracks.groupby("genre").cumcount() == 0, "genre"] = "bass|noise"
    several = dataclasses.replace(embedded, store=dataclasses.replace(embedded.store, tracks=tracks))
    own = dataclasses.replace(params, output=labels.output_for(tracks, "auto"), folds=3)
    assert own.output == "sigmoid" and (tracks["artist"] == "").all()
    planned, _ = transfer_study.trials(tracks, own, 3)
    predictions = transfer_study.run(planned, several)
    assert predictions["genre"].str.contains("|", regex=False).any()
    table = transfer_study.compare({"first": predictions, "second": predictions})
    assert (table.xs("second", level="model")["difference"] == 0).all()
    assert table["accuracy"].min() > 0.5


def test_only_tracks_that_both_stores_have_are_usable(built):
    gone = built.segments["track_id"].unique()[:2]
    other = dataclasses.replace(built, segments=built.segments[~built.segments["track_id"].isin(gone)])
    found = transfer_study.usable(built, other)
    assert set(built.tracks["track_id"]) - set(found["track_id"]) == set(gone)
    assert [*found.index] == [*range(len(found))]
