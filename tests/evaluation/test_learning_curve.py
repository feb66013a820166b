import dataclasses

import numpy as np
import pandas as pd
import pytest

from genre_utils.evaluation import learning_curve, protocol_study, scoring, transfer_study, uncertainty
from genre_utils.evaluation.transfer_study import Embedded
from genre_utils.models import embeddings
from genre_utils.splits import leaks

GENRES = ["bass", "noise", "treble"]


@pytest.fixture
def embedded(built, rng):
    """Embeddings by chance, of which some tell the genres apart, a little."""
    genre = built.segments.merge(built.tracks, on="track_id")["genre"].map(GENRES.index).to_numpy()
    values = rng.normal(size=(len(genre), sum(embeddings.WIDTHS.values()))).astype(np.float32)
    values[:, ::40] += genre[:, np.newaxis]
    return Embedded(built, values, GENRES)


@pytest.fixture
def strict(embedded, params):
    planned, _ = protocol_study.trials(embedded.store.tracks, dataclasses.replace(params, folds=4), 2, None, ["artist"])
    return planned


def test_the_sizes_are_powers_of_two_and_all(strict, embedded):
    counts = [
        leaks.of_tracks(trial.assignment).merge(embedded.store.tracks).query("split == 'train'")["genre"].value_counts()
        for trial in strict
    ]
    most = max(count.max() for count in counts)
    assert learning_curve.sizes(strict, embedded) == [size for size in (1, 2, 4, 8) if size < most] + [most]


def test_draws_are_balanced_nested_and_of_training_tracks_alone(strict, embedded, monkeypatch):
    drawn, fitted = [], transfer_study.fit

    def watched(segments, *rest):
        drawn.append(segments)
        return fitted(segments, *rest)

    monkeypatch.setattr(transfer_study, "fit", watched)
    curve = learning_curve.predict(strict, embedded, 3)
    sizes = [*curve]
    per_trial = 3 * (len(sizes) - 1) + 1  # all tracks can be drawn only once
    assert len(drawn) == len(strict) * per_trial
    for number, trial in enumerate(strict):
        split = leaks.of_tracks(trial.assignment).set_index("track_id")["split"]
        own = drawn[number * per_trial : (number + 1) * per_trial]
        for place, segments in enumerate(own):
            size = sizes[place // 3]
            tracks = segments.drop_duplicates("track_id")
            assert set(split[tracks["track_id"]]) == {"train"}
            assert tracks["genre"].value_counts().max() <= size and tracks["genre"].nunique() == 3
            assert (segments.groupby("track_id").size() == 4).all()  # whole tracks
        names = [set(segments["track_id"]) for segments in own]
        assert names[0] < names[3] < names[-1] == set(split.index[split == "train"])  # the same draw of more tracks
        assert len({frozenset(one) for one in names[:3]}) > 1  # draws differ


def test_the_last_point_is_the_probe_of_all_tracks(strict, embedded):
    curve = learning_curve.predict(strict, embedded, 2)
    last = [*curve.values()][-1]
    whole = scoring.by_track(transfer_study.run(strict, embedded))
    for draw in (0, 1):
        own = last[last["draw"] == draw].sort_values(["track_id", "seed"], ignore_index=True)
        columns = ["track_id", *(f"p_{genre}" for genre in GENRES)]
        pd.testing.assert_frame_equal(own[columns], whole[columns])
    table = learning_curve.table(curve, 1)
    assert table["accuracy"].iloc[-1] == pytest.approx(uncertainty.accuracy(whole)["accuracy"])
    assert table["sd"].iloc[-1] == 0 and (table["draws"] == 2).all()
    assert (table["n"] == whole["track_id"].nunique()).all()
    for (size, tested), (_, row) in zip(curve.items(), table.iterrows(), strict=True):
        right = uncertainty.is_right(tested)
        assert row["tracks_per_genre"] == size and row["accuracy"] == pytest.approx(right.mean())
        assert row["training_tracks"] == tested.groupby("seed")["training_tracks"].first().mean()
        assert row["sd"] == pytest.approx(np.std([right[tested["draw"] == draw].mean() for draw in (0, 1)], ddof=1))
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert tested.groupby("seed")["track_id"].nunique().sum() == len(tested)  # pairs for a difference


def made(*accuracies, n=60):
    """Tests of a curve whose points classify the first tracks correctly, these shares of them."""
    tables = {}
    for power, share in enumerate(accuracies):
        predicted = np.where(np.arange(n) < round(share * n), "a", "b")
        names = [f"{number}.wav" for number in range(n)]
        tables[2**power] = pd.DataFrame({"track_id": names, "seed": 0, "genre": "a", "predicted": predicted})
    return tables


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        ((0.2, 0.3, 0.8), "From 2 to 4 training tracks per genre the accuracy changes by +50.0 points (95 % interval"),
        ((0.3, 0.8), "the curve still rises, so more tracks would probably help."),
        ((0.5, 0.51), "this does not show whether more tracks would help."),
        ((0.5, 0.5), "no interval: all 60 tracks come out alike): this does not show whether"),
        ((0.8, 0.3), "more tracks do not help here."),
        ((0.8,), "there is no curve"),
    ],
)
def test_the_outlook_says_no_more_than_the_last_step_shows(accuracies, said):
    assert said in learning_curve.outlook(made(*accuracies))
