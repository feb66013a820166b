import dataclasses

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from genre_utils.errors import ParamsError
from genre_utils.params import FEATURE_NAMES, Params
from genre_utils.paths import PROFILES


def test_the_defaults_are_the_paper():
    paper = yaml.safe_load((PROFILES / "paper.yml").read_text())
    for name in (
        "silence_seconds",
        "lesson_epochs",
        "lesson_segments",
        "repeats",
        "beyond_epochs",
        "beyond_tracks",
        "transfer_segments",
        "train_paper_cnn",
    ):  # not of the system
        del paper[name]
    assert Params.from_mapping(paper) == Params()
    defaults = Params().to_mapping()
    assert {name: defaults[name] for name in paper} == paper
    left = {value for name, value in defaults.items() if name not in paper}
    assert left == {
        0,
        "",
        "plateau",
        "softmax",
    }  # the profile leaves to the defaults only what the paper has not: it is off


def test_a_segment_of_the_paper_has_216_frames():
    assert Params().samples_per_segment == 110_250
    assert Params().frames_per_segment == 216


@pytest.mark.parametrize(
    ("seconds", "segments"), [(30.0, 6), (29.99, 5), (4.999, 0), (5.0, 1), (12.0, 2), (300.0, 6), (0.0, 0)]
)
def test_whole_segments_at_most_six(seconds, segments):
    assert Params().segments_in(seconds) == segments


def test_zero_lifts_the_limit():
    assert Params(max_segments=0).segments_in(300.0) == 60


@given(st.sampled_from([field.name for field in dataclasses.fields(Params)]), st.sampled_from([None, [], "", -1]))
def test_a_bad_value_is_a_typed_error_that_names_it(name, value):
    assume((name, value) != ("exclude_genres", ""))  # which leaves none out
    with pytest.raises(ParamsError, match=name):
        Params.from_mapping({name: value})


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"bach_size": 16}, "Did you mean 'batch_size'?"),
        ({"batch_size": 16.0}, "batch_size must be int. Received: 16.0."),
        ({"batch_size": True}, "batch_size must be int. Received: True."),
        ({"learning_rate": "1e-3"}, "learning_rate must be float"),
        ({"learning_rate": float("nan")}, "learning_rate must be finite"),
        ({"fmax_hz": 12_000.0}, "not exceed half of sample_rate_hz"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "leave something to train on"),
        ({"segment_seconds": 0.05}, "must hold at least one n_fft window"),
        ({"padding": "full"}, "padding must be 'same' or 'valid'. Received: 'full'."),
    ],
)
def test_errors_say_the_rule_and_what_came(mapping, said):
    with pytest.raises(ParamsError) as caught:
        Params.from_mapping(mapping)
    assert said in str(caught.value)


def test_a_whole_number_serves_where_a_float_is_wanted():
    assert Params.from_mapping({"segment_seconds": 3}).segment_seconds == 3.0


def test_params_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Params().seed = 1  # type: ignore[misc]


def test_feature_names_are_fields():
    assert set(FEATURE_NAMES) <= {field.name for field in dataclasses.fields(Params)}


def test_a_title_names_the_data_set_without_its_folders():
    assert [Params(dataset=name).dataset_name for name in ("demo", "/home/me/music", "tables/real.csv", "/")] == [
        "demo", "music", "real.csv", "/",
    ]  # fmt: skip
