import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from genre_utils.audio import decoding
from genre_utils.datasets import catalog
from genre_utils.evaluation import protocol_study, reliability, scoring
from genre_utils.features import spectrogram
from genre_utils.figures import eda, results, splits
from genre_utils.splits import survey


@pytest.fixture
def save(tmp_path):
    return tmp_path / "figures" / "one.png"


@pytest.fixture(autouse=True)
def nothing_stays_open(save):
    yield
    assert save.stat().st_size > 1_000
    assert not plt.get_fignums()  # an open figure would be shown a second time, and kept in memory


def test_overview_counts_usable_tracks_and_faults(genre_folder, params, save):
    tracks = catalog.from_folder(genre_folder, params)
    tracks.loc[[0, 1, 8], "fault"] = "odd"
    left, right = eda.overview(tracks, save).axes
    widths = [[bar.get_width() for bar in container] for container in left.containers]
    assert widths == [[6, 7, 8], [2, 1, 0]]
    assert left.get_xlabel() == "tracks"
    assert right.get_xlabel() == "seconds"


def test_log_mels_have_seconds_and_hertz(params, save):
    silence = np.zeros((params.n_mels, params.frames_per_segment))
    figure = eda.log_mels(dict.fromkeys("abcdef", silence), params, "title", save)
    assert [axes.get_title() for axes in figure.axes[:6]] == list("abcdef")
    assert {label.get_text() for label in figure.axes[0].get_yticklabels()} == {"300", "1,000", "3,000"}  # up to fmax
    assert figure.axes[0].get_xlim()[1] == pytest.approx(params.segment_seconds, abs=0.05)


def test_a_frequency_stands_at_the_band_that_holds_it(params, save):
    segment = np.sin(2 * np.pi * 1_000 * np.arange(params.samples_per_segment) / params.sample_rate_hz)[None]
    brightest = spectrogram.log_mel(segment, params)[0].mean(axis=1).argmax()
    axes = eda.log_mels({"tone": spectrogram.log_mel(segment, params)[0]}, params, "title", save).axes[0]
    at = dict(zip([label.get_text() for label in axes.get_yticklabels()], axes.get_yticks(), strict=True))
    assert abs(at["1,000"] - brightest) <= 1
    assert axes.images[0].origin == "lower"  # the first row of the array is the lowest band


@pytest.mark.parametrize("name", ["segment_cuts", "spectrogram_steps", "waveforms", "by_genre", "average_spectra"])
def test_the_figures_of_the_first_lessons_are_drawn(genre_folder, params, save, name):
    tracks = catalog.from_folder(genre_folder, params)
    samples = decoding.load(tracks["path"][0], params)
    if name == "segment_cuts":
        labels = [text.get_text() for text in eda.segment_cuts(samples, params, save).axes[0].texts]
        assert labels == ["segment 0", "segment 1", "segment 2", "segment 3"]
    elif name == "spectrogram_steps":
        eda.spectrogram_steps(spectrogram.segments(samples, params)[0], params, save)
    elif name == "waveforms":
        eda.waveforms({"bass": samples}, params, save)
    else:
        surveyed, spectra, _ = survey.survey(tracks, params)
        if name == "by_genre":
            eda.by_genre(surveyed, "level_dbfs", "Level", "dBFS", save)
        else:
            levels = spectra.groupby(surveyed.set_index("track_id")["genre"]).mean()
            axes = eda.average_spectra(levels, params, save).axes[0]
            assert [label.get_text() for label in axes.get_xticklabels()] == ["bass", "noise", "treble"]


def test_the_confusion_matrix_shows_counts_and_row_percent(predictions, save):
    counts = scoring.confusion(predictions)
    axes = results.confusion_matrix(counts, "title", save).axes[0]
    shown = [text.get_text() for text in axes.texts]
    expected = [f"{count}\n{count / row.sum():.0%}" if count else "" for row in counts.to_numpy() for count in row]
    assert shown == expected


def test_the_figures_of_the_evaluation_are_drawn(predictions, save):
    metrics = scoring.metrics(predictions, {})
    axes = results.accuracies(metrics, 0.25, "title", save).axes[0]
    assert "71.35" in axes.get_legend().texts[0].get_text()
    few = scoring.metrics(predictions[predictions["track_id"].isin(predictions["track_id"].unique()[:3])], {})
    assert few["track"]["low"] is None
    results.accuracies(few, 0.25, "title", save)  # a dot without a bar
    results.beside_the_paper(scoring.table_one(predictions), "title", save)
    bars = results.confused_pairs(scoring.confused_pairs(predictions), "title", save).axes[0]
    assert len(bars.get_yticklabels()) == 6


def test_the_star_marks_the_epoch_that_is_kept(save):
    history = pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "loss": [3.0, 2.0, 1.0],
            "val_loss": [3.0, 2.0, 2.5],
            "accuracy": [0.1, 0.5, 0.9],
            "val_accuracy": [0.2, 0.6, 0.6],
            "learning_rate": 0.001,
        }
    )
    figure = results.curves(history, "protocol", save)
    assert not [axes for axes in figure.axes if axes.get_legend()]  # the figure's own legend lies on no point
    (_, accuracy, rate) = figure.axes
    assert rate.get_ylim()[0] == 0 and 0.001 < rate.get_ylim()[1] < 0.0012  # of a flat line, and no decade around it
    star = next(line for line in accuracy.lines if line.get_marker() == "*")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (2, 0.6)


def test_a_songs_colours_reach_from_0_to_its_highest_probability(params, save):
    """Ten genres that are nearly alike are told apart, and said to be calibrated."""
    shares = np.linspace(0.08, 0.12, 10)
    rows = [{"level": level, "path": "song.wav", "fault": "", "verdict": "not sure", "start_seconds": 0.5 * segment}
            | {f"p_{genre}": share for genre, share in enumerate(shares)}
            for level, segment in (("track", 0), ("segment", 0), ("segment", 1))]  # fmt: skip
    figure = results.timeline(pd.DataFrame(rows), params, save)
    image = figure.axes[0].images[0]
    assert image.get_clim() == (0, pytest.approx(0.2))
    np.testing.assert_allclose(image.get_array(), np.column_stack([shares[::-1]] * 2))
    assert "calibrated probability 12%" in figure.axes[0].get_title()
    assert figure.axes[1].get_ylabel() == "calibrated probability in a segment"


def planned_trials(assignment, params):
    leaky = assignment.assign(split=np.resize(["train", "validation", "test"], len(assignment)))
    tables = {"leaky": leaky, "paper": assignment.query("segment < 3")}
    return [
        protocol_study.Trial(dataclasses.replace(params, protocol=name), table, pd.DataFrame())
        for name, table in tables.items()
    ]


def test_the_sides_are_drawn_segment_by_segment(assignment, params, built, save):
    bass = built.tracks[built.tracks["genre"] == "bass"].assign(artist="somebody")
    figure = splits.by_protocol(planned_trials(assignment, params), bass, "title", save)
    assert [axes.get_title() for axes in figure.axes] == ["leaky", "paper"]
    leaky, paper = (axes.collections[0].get_array().reshape(8, -1) for axes in figure.axes)
    assert leaky.tolist() == [[1, 2, 3, 1], [2, 3, 1, 2], [3, 1, 2, 3]] * 2 + [[1, 2, 3, 1], [2, 3, 1, 2]]
    assert all(len(set(row)) == 1 for row in paper.tolist())
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["somebody"] * 8


def test_the_protocols_stand_beside_their_leaks_and_leaky_is_marked(save):
    row = {
        "segment": 0.9, "segment_low": 0.8, "segment_high": 0.95, "track": 1.0, "track_low": 1.0, "track_high": 1.0,
        "resampled_by": "artist", "test_tracks": 12, "file": 1.0, "song": 0.5, "artist": 0.25, "near-duplicate": None,
    }  # fmt: skip
    table = pd.DataFrame([row, row | {"file": 0.0}], index=["leaky", "paper"])
    left, right = splits.protocols(table, 0.1, "title", save).axes
    assert [label.get_text() for label in left.get_yticklabels()] == [
        "LEAKY: no valid estimate\n12 test tracks",
        "paper\n12 test tracks",
    ]
    assert left.get_xlabel() == "accuracy, 95 % interval over artists"
    assert [text.get_text() for text in right.texts] == ["100%", "50%", "25%", "0%", "50%", "25%"]  # what was counted
    assert left.get_ylim() == right.get_ylim()  # one row a protocol, in both


def test_split_counts_say_the_protocol(save):
    counts = pd.DataFrame({"train": [5], "validation": [1], "test": [2]}, index=["blues"])
    assert "paper: by file" in splits.split_counts(counts, "paper: by file", save).axes[0].get_title()


def test_reliability_stands_each_bin_at_its_probability(predictions, save):
    curves = {
        "own": reliability.reliability_curve(predictions),
        "calibrated": reliability.reliability_curve(predictions.head(3)),
    }
    figure = results.reliability(curves, "title", save)
    assert [axes.get_title() for axes in figure.axes[:2]] == [*curves]
    for above, below, curve in zip(figure.axes[:2], figure.axes[2:], curves.values(), strict=True):
        filled = curve[curve["n"] > 0]
        np.testing.assert_allclose(above.get_lines()[-1].get_xydata(), filled[["confidence", "accuracy"]])
        gaps = [sorted(ends) for ends in np.array(above.collections[0].get_segments())[:, :, 1].tolist()]
        np.testing.assert_allclose(gaps, np.sort(filled[["confidence", "accuracy"]]))  # from the diagonal to the point
        np.testing.assert_allclose([bar.get_x() for bar in below.patches], curve["low"])
        assert [bar.get_height() for bar in below.patches] == curve["n"].tolist()
        assert [text.get_text() for text in below.texts] == [str(n) if n else "" for n in curve["n"]]
        assert above.get_xlim() == below.get_xlim()
        assert "probability of the predicted genre" in below.get_xlabel()
