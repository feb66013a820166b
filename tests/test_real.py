"""The main job on real music: the GTZAN clips that GENRE_DATA_HOME names. Nothing of them is kept in the project."""

import dataclasses
from pathlib import Path

import keras
import librosa
import numpy as np
import pandas as pd
import pytest
from bounds import of_decibels

from genre_utils.audio import decoding
from genre_utils.datasets import catalog, contents, download, gtzan
from genre_utils.errors import SplitError
from genre_utils.evaluation import scoring
from genre_utils.features import spectrogram, store
from genre_utils.models import factory
from genre_utils.params import Params
from genre_utils.splits import leaks, protocols
from genre_utils.training import recipe, trainer

GENRES = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"]

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore:.*holds 80 tracks:UserWarning"),
]


@pytest.fixture(scope="module")
def params() -> Params:
    return Params(dataset="gtzan-mini", image_height=64, image_width=64, batch_size=16, max_epochs=2)


@pytest.fixture(scope="module")
def tracks(params):
    return catalog.load(params)


@pytest.fixture(scope="module")
def built(tracks, params, tmp_path_factory):
    return store.build(tracks, params, tmp_path_factory.mktemp("cache"))


def test_the_catalog_holds_ten_genres_without_fault(tracks):
    assert sorted(tracks["genre"].unique()) == GENRES
    assert len(tracks) >= 80
    assert len(contents.faults(tracks)) == 0
    assert tracks["duration_seconds"].between(29.9, 30.7).all()


def test_the_files_are_those_that_mirdata_knows(tracks):
    index = download.read_index(download.fetch_list(download.INDEX, download.data_home()))
    assert download.verify_md5(Path(tracks["path"][0]).parents[1], index) == []


def test_artists_titles_and_the_published_split_are_joined(tracks):
    assert (tracks["artist"] != "").mean() > 0.95
    assert tracks.set_index("track_id").loc["blues/blues.00000.wav", "artist"] == "John Lee Hooker"
    assert set(tracks["published_split"]) == {"train", "validation", ""}  # no clip of this part is in the test list
    with pytest.raises(SplitError, match="test 0 of"):
        protocols.filtered(tracks, Params(protocol="filtered"))


def test_the_published_lists_say_what_they_are_known_for():
    """All 1,000 clips by name: the lists' sizes, and the artists that even they leave on both sides."""
    lists = {name: download.fetch_list(name, download.data_home()) for name in (gtzan.ARTISTS, *gtzan.SPLIT_OF)}
    artists = gtzan.read_artists(lists[gtzan.ARTISTS])
    everything = pd.DataFrame({"track_id": artists.index, "genre": artists.index.str.split(".").str[0]})
    filtered = gtzan.read_filtered(lists[name] for name in gtzan.SPLIT_OF)
    tracks = gtzan.described(everything.assign(fault="", duration_seconds=30.0), artists, filtered)
    assignment, shared = protocols.assign(tracks, Params(protocol="filtered"))
    assert leaks.of_tracks(assignment)["split"].value_counts().to_dict() == {
        "train": 443,
        "validation": 197,
        "test": 290,
    }
    row = shared.set_index(["between", "what"]).loc[("train – test", "artist")]
    assert row["tracks"] == 15  # 14 by whole names, one more by a guest
    _, shared = protocols.assign(tracks, Params(protocol="paper"))
    assert shared.set_index(["between", "what"]).loc[("train – test", "artist"), "share"] > 0.7
    for fold in range(5):
        _, shared = protocols.assign(tracks, Params(protocol="artist", fold=fold))
        assert (shared["shared"] == 0).all()
    assert len(leaks.repeats(tracks)) == 59
    assert leaks.repeats(tracks)["genres"].str.contains(",").sum() == 1  # Queen, in metal and in rock


def test_every_whole_segment_is_extracted(tracks, built, params):
    expected = tracks["duration_seconds"].map(params.segments_in).sum()
    assert len(built.segments) == expected == len(built.features)
    assert built.segments.groupby("track_id").size().isin([5, 6]).all()
    assert len(contents.faults(built.tracks)) == 0


def test_real_log_mels_equal_librosa(tracks, params):
    for path in tracks["path"][::20]:
        segments = spectrogram.segments(decoding.load(path, params), params)
        for segment, decibels in zip(segments, spectrogram.log_mel(segments, params), strict=True):
            mel = librosa.feature.melspectrogram(y=segment, sr=22_050, n_fft=2048, hop_length=512, fmin=20, fmax=8_000)
            expected = librosa.power_to_db(mel, ref=np.max, top_db=80)
            np.testing.assert_array_less(np.abs(decibels - expected), of_decibels(expected))


def test_a_short_training_and_its_evaluation(built, params, tmp_path):
    assignment = protocols.paper(built.tracks, params)
    history = trainer.train(built, assignment, GENRES, params, tmp_path, tmp_path)
    assert history["accuracy"].iloc[-1] > 0.3  # chance is 0.1
    predictions = scoring.predict(factory.load(tmp_path / "model.keras"), built, assignment, GENRES, params)
    metrics = scoring.metrics(predictions, {})
    assert metrics["track"]["n"] == round(0.15 * len(built.tracks))
    assert 0 <= metrics["segment"]["low"] <= metrics["segment"]["accuracy"] <= metrics["segment"]["high"] <= 1


def test_the_paper_network_takes_a_step_on_real_music_at_256_by_256(built):
    paper = dataclasses.replace(Params(), dataset="gtzan-mini")
    network = recipe.compiled(factory.build(paper, 10), paper)
    batch, labels = built.features[:8].astype(np.float32), np.arange(8)
    first = network.train_on_batch(batch, labels)[0]
    for _ in range(3):
        last = network.train_on_batch(batch, labels)[0]
    assert last < first
    keras.utils.clear_session()
