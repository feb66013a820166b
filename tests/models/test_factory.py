import dataclasses
import sys

import keras
import numpy as np
import pytest
from bounds import of_network, of_shares, rounded

from genre_utils.errors import ParamsError
from genre_utils.models import factory
from genre_utils.params import Params
from genre_utils.paths import PROJECT


@pytest.fixture(scope="module")
def paper_network():
    return factory.build(Params(), 10)


def test_the_paper_network_has_33_951_882_parameters(paper_network):
    assert paper_network.count_params() == 33_951_882


def test_the_paper_network_is_section_ii_c(paper_network):
    kinds = (keras.layers.Conv2D, keras.layers.BatchNormalization, keras.layers.MaxPooling2D, keras.layers.Dropout)
    layers = paper_network.layers[4:]  # after input, channel, resize, standardise
    filters, dropout = (32, 64, 128, 256), (0.2, 0.3, 0.3, 0.4)
    for block in range(4):
        conv, norm, pool, drop = layers[4 * block : 4 * block + 4]
        assert [type(layer) for layer in (conv, norm, pool, drop)] == list(kinds)
        assert (conv.filters, conv.kernel_size, conv.activation.__name__) == (filters[block], (3, 3), "relu")
        assert (norm.momentum, pool.pool_size, drop.rate) == (0.9, (2, 2), dropout[block])
    flatten, dense, norm, drop, output = layers[16:]
    assert isinstance(flatten, keras.layers.Flatten)
    assert isinstance(norm, keras.layers.BatchNormalization)
    assert (dense.units, dense.activation.__name__, drop.rate) == (512, "relu", 0.5)
    assert (output.units, output.activation.__name__) == (10, "softmax")


def test_the_image_is_256_by_256_with_mean_0_and_deviation_1(paper_network, rng):
    quiet_and_loud = rng.normal(size=(2, 128, 216)) * [[[2.0]], [[15.0]]] + [[[-70.0]], [[-20.0]]]
    image = factory.image_of(paper_network, quiet_and_loud.astype(np.float32))
    assert image.shape == (2, 256, 256)
    np.testing.assert_allclose(image.mean(axis=(1, 2)), 0, atol=rounded(256 * 256, 70 / 2))
    np.testing.assert_allclose(image.std(axis=(1, 2)), 1, atol=rounded(256 * 256, 70 / 2))


def test_standardisation_is_by_segment_not_by_batch(params, rng):
    network = factory.build(params, 3)
    batch = rng.normal(-40, 10, (4, params.n_mels, params.frames_per_segment)).astype(np.float32)
    alone = factory.image_of(network, batch[:1])
    np.testing.assert_allclose(factory.image_of(network, batch)[:1], alone, atol=rounded(alone.size, 50 / 5))
    paler = factory.image_of(network, 0.5 * batch[:1] - 30)  # level and contrast
    np.testing.assert_allclose(paler, alone, atol=rounded(alone.size, 50 / 5))


def test_silence_becomes_zero_and_probabilities_stay_finite(params):
    network = factory.build(params, 3)
    silence = np.zeros((1, params.n_mels, params.frames_per_segment), np.float32)
    assert (factory.image_of(network, silence) == 0).all()
    probabilities = network.predict(silence, verbose=0)
    np.testing.assert_allclose(probabilities.sum(), 1, atol=of_shares(3))


def test_the_low_band_is_the_first_row(params):
    network = factory.build(params, 3)
    decibels = np.full((1, params.n_mels, params.frames_per_segment), -60, np.float32)
    decibels[:, :4] = 0
    image = factory.image_of(network, decibels)[0]
    assert image[0].mean() > image[-1].mean()


def test_the_seed_decides_the_weights(params):
    def first_weights(seed):
        return factory.build(dataclasses.replace(params, seed=seed), 3).get_weights()[0]

    np.testing.assert_array_equal(first_weights(1), first_weights(1))
    assert (first_weights(1) != first_weights(2)).any()


def test_an_unknown_model_names_the_nearest(params):
    with pytest.raises(ParamsError, match="Did you mean 'paper_cnn'"):
        factory.build(dataclasses.replace(params, model="papercnn"), 3)


def test_a_saved_network_loads_without_this_package(params, rng, tmp_path, monkeypatch):
    """Only where it is not imported already can Keras find anything of it: what was registered is taken away too."""
    network = factory.build(params, 3)
    decibels = rng.normal(-40, 10, (2, params.n_mels, params.frames_per_segment)).astype(np.float32)
    network.save(tmp_path / "model.keras")
    for name in [name for name in sys.modules if name.partition(".")[0] == "genre_utils"]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in list(keras.saving.get_custom_objects()):
        monkeypatch.delitem(keras.saving.get_custom_objects(), name)
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(
        answers(loaded, decibels), answers(network, decibels), atol=of_network(network, decibels)
    )
    monkeypatch.undo()
    again = factory.load(tmp_path / "model.keras")
    np.testing.assert_allclose(answers(again, decibels), answers(network, decibels), atol=of_network(network, decibels))


@pytest.fixture(scope="module", params=factory.ANY_LENGTH)
def any_length(request, params):
    return factory.build(dataclasses.replace(params, model=request.param), 3)


def test_any_length_goes_in_and_level_does_not_matter(any_length, params, rng):
    for frames in (64, 200):
        decibels = rng.normal(-40, 10, (2, params.n_mels, frames)).astype(np.float32)
        probabilities = answers(any_length, decibels)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=of_shares(3))
        np.testing.assert_allclose(
            answers(any_length, decibels[:1]), probabilities[:1], atol=of_network(any_length, decibels)
        )
        quiet = answers(any_length, 0.5 * decibels - 30)
        np.testing.assert_allclose(quiet, probabilities, atol=of_network(any_length, decibels))
    assert np.isfinite(answers(any_length, np.zeros((1, params.n_mels, 64), np.float32))).all()


def answers(network, decibels):
    """As ``predict``, without a graph for each shape."""
    return keras.ops.convert_to_numpy(network(decibels, training=False))


@pytest.fixture(scope="module", params=factory.ANY_LENGTH)
def compact(request):
    return factory.build(Params(model=request.param), 10)


def test_the_compact_networks_are_small(compact, paper_network, tmp_path):
    assert compact.count_params() < 1_000_000
    compact.save(tmp_path / "model.keras")
    assert (tmp_path / "model.keras").stat().st_size < 5_000_000
    assert not [layer for layer in compact.layers if isinstance(layer, keras.layers.Resizing)]
    frames = Params().frames_per_segment
    assert factory.multiply_adds(compact, frames) <= factory.multiply_adds(paper_network, frames) / 20


def test_the_results_page_says_what_the_recommended_network_costs(paper_network):
    readme = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
    compact = factory.build(Params(model="compact_cnn"), 10)
    costs = [factory.multiply_adds(network, Params().frames_per_segment) / 1e6 for network in (compact, paper_network)]
    assert f"{compact.count_params():,} parameters" in readme
    assert f"{costs[0]:.1f} million multiply-adds" in readme and f"takes {costs[1]:.1f} million" in readme


def test_multiply_adds_are_those_of_the_layers_by_hand():
    x = keras.Input((8, None))
    y = keras.layers.Reshape((8, -1, 1))(x)
    y = keras.layers.Conv2D(4, (5, 3), strides=(2, 1), padding="same")(y)  # (4, 10, 4)
    y = keras.layers.GlobalAveragePooling2D()(y)
    network = keras.Model(x, keras.layers.Dense(7)(y))
    assert factory.multiply_adds(network, 10) == 4 * 10 * 4 * 5 * 3 + 4 * 7
    x = keras.Input((6, None))
    recurrent = keras.Model(x, keras.layers.Bidirectional(keras.layers.GRU(4))(keras.layers.Permute((2, 1))(x)))
    assert factory.multiply_adds(recurrent, 10) == 2 * 10 * (6 + 4) * 3 * 4


def test_the_compact_networks_work_at_about_fourteen_frames_a_second():
    def frames_averaged(hop_length):
        network = factory.build(Params(model="compact_cnn", hop_length=hop_length), 10)
        names = [layer.name for layer in network.layers]
        return network.get_layer("frames").pool_size[1] if "frames" in names else 1

    assert [frames_averaged(hop) for hop in (256, 512, 1_024, 1_709)] == [6, 3, 2, 1]


def test_attention_weighs_time_and_sums_to_one(params, rng):
    network = factory.build(dataclasses.replace(params, model="attention"), 3)
    head = keras.Model(network.input, network.get_layer("attention").output)
    weights = keras.ops.convert_to_numpy(head(rng.normal(-40, 10, (2, params.n_mels, 96)).astype(np.float32)))
    assert weights.shape[0] == 2 and weights.shape[1] > 1 and weights.shape[2] == 1
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=of_shares(weights.shape[1]))


def test_a_sigmoid_answers_each_genre_on_its_own(params):
    for name in ("paper_cnn", *factory.ANY_LENGTH):
        network = factory.build(dataclasses.replace(params, model=name, output="sigmoid"), 3)
        assert network.layers[-1].activation.__name__ == "sigmoid"
