"""Networks whose weights are set by hand: what they listen to is known."""

import dataclasses

import keras
import numpy as np
import pytest
import scipy.ndimage
from bounds import of_network, of_shares

from genre_utils.errors import EvaluationError
from genre_utils.models import attribution, factory

FRAMES = 256
STEP = 32  # frames, of the compact networks at the tests' 62.5 frames a second: pooled by 4, then by 8
LOUD = (slice(16, 32), slice(160, 192))
QUIET = (slice(32, 48), slice(32, 64))


@pytest.fixture(scope="module")
def listeners(params):
    """One network a kind, with random weights."""
    built = {}
    for name in factory.MODELS.keys() - {"tiny_cnn"}:
        chosen = dataclasses.replace(params, model=name, n_mels=64, image_height=64, image_width=64)
        built[name] = factory.build(chosen, 3, FRAMES)
    return built


@pytest.fixture
def log_mels(rng):
    """Noise with one loud and one quiet patch, (2, mel, frame)."""
    decibels = rng.normal(-40, 3, (2, 64, FRAMES)).astype(np.float32)
    decibels[:, *LOUD], decibels[:, *QUIET] = 0, -80
    return decibels


def hears_loud_and_quiet(network):
    """A copy that passes on the level and its negative: genre 0 is what is loud, genre 1 what is quiet."""
    network = keras.models.clone_model(network)
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    for number, layer in enumerate(convolutions):
        kernel = np.zeros_like(layer.get_weights()[0])
        middle = kernel.shape[0] // 2
        kernel[middle, middle, :2, :2] = np.eye(2) if number else [[1, -1]]
        layer.set_weights([kernel, *layer.get_weights()[1:]])
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dense):
            kernel, bias = layer.get_weights()
            decides = layer.name == "probabilities" or network.name == "paper_cnn"
            channels = 256 if decides and layer.name == "dense" else len(kernel)
            kernel = np.zeros_like(kernel).reshape(-1, channels, kernel.shape[1])  # (place, channel, unit)
            if decides:
                kernel[:, [0, 1], [0, 1]] = 1
            else:
                kernel[:, 0] = 1  # attention goes to what is loud
            layer.set_weights([kernel.reshape(-1, kernel.shape[2]), bias])
    return network


@pytest.mark.parametrize("name", ["paper_cnn", "compact_cnn", "attention"])
def test_the_heat_of_a_genre_lies_where_its_sound_is(listeners, log_mels, name):
    network = hears_loud_and_quiet(listeners[name])
    for genre, patch in ((0, LOUD), (1, QUIET)):
        heat = attribution.grad_cam(network, log_mels, genre)[0]
        assert heat[patch].max() == 1
        heat[*(slice(part.start - 16, part.stop + 16) for part in patch)] = 0
        assert heat.max() < 0.4


def test_attention_lies_where_it_is_loud(listeners, log_mels):
    weights = attribution.attention_weights(hears_loud_and_quiet(listeners["attention"]), log_mels)
    assert (weights.argmax(axis=1) // STEP == LOUD[1].start // STEP).all()


def test_time_is_not_stretched_over_frames_that_fill_no_step(listeners, rng):
    decibels = rng.normal(-40, 3, (1, 64, 9 * STEP + STEP - 1)).astype(np.float32)
    decibels[:, :, 7 * STEP : 8 * STEP] = 0
    network = hears_loud_and_quiet(listeners["attention"])
    heat, weights = attribution.grad_cam(network, decibels, 0), attribution.attention_weights(network, decibels)
    for along_time in (heat[0].mean(axis=0), weights[0]):
        assert (along_time[: 9 * STEP] > 0).any()
        assert (along_time[9 * STEP :] == 0).all()
        middle = np.flatnonzero(along_time > 0.9 * along_time.max()).mean()
        assert middle == pytest.approx(7.5 * STEP, abs=2)


@pytest.mark.parametrize("name", sorted(factory.MODELS.keys() - {"tiny_cnn"}))
def test_heat_is_in_0_to_1_and_a_batch_changes_nothing(listeners, log_mels, name):
    network = listeners[name]
    log_mels[1] = log_mels[1, ::-1]
    heat = attribution.grad_cam(network, log_mels, np.array([2, 0]))
    assert heat.shape == log_mels.shape
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    assert {*heat.max(axis=(1, 2))} <= {0, 1}
    network.trainable = False  # must not matter: the gradient is of the map, not of weights
    one_by_one = [attribution.grad_cam(network, log_mels[[n]], genre)[0] for n, genre in enumerate((2, 0))]
    network.trainable = True
    np.testing.assert_allclose(heat, one_by_one, atol=of_network(network, log_mels))


def test_after_a_global_average_it_is_the_class_activation_map(listeners, log_mels):
    network = listeners["compact_cnn"]
    features = np.array(keras.Model(network.input, network.get_layer("features").output)(log_mels))
    cam = np.maximum(features @ network.layers[-1].get_weights()[0][:, 1], 0)  # (n, height, time)
    zoom = (1, 64 / cam.shape[1], FRAMES / cam.shape[2])
    expected = scipy.ndimage.zoom(cam, zoom, order=1, mode="nearest", grid_mode=True)
    expected /= expected.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(attribution.grad_cam(network, log_mels, 1), expected, atol=of_network(network, log_mels))


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_sure_network_has_the_heat_of_an_unsure_one(listeners, log_mels, activation):
    network = keras.models.clone_model(listeners["compact_cnn"])
    network.set_weights(listeners["compact_cnn"].get_weights())
    last = network.layers[-1]
    last.activation = keras.activations.get(activation)
    unsure = attribution.grad_cam(network, log_mels, 0)
    last.set_weights([1e4 * last.get_weights()[0], np.array([1e3, -1e3, -1e3])])
    assert set(np.array(network(log_mels)).ravel()) <= {0, 1}
    np.testing.assert_allclose(attribution.grad_cam(network, log_mels, 0), unsure, atol=of_network(network, log_mels))
    assert unsure.max() == 1


def test_a_network_that_does_not_listen_has_no_heat(listeners, log_mels):
    network = keras.models.clone_model(listeners["compact_cnn"])
    network.layers[-1].set_weights([np.zeros((128, 3)), np.ones(3)])
    assert (attribution.grad_cam(network, log_mels, 0) == 0).all()


def test_weights_of_attention_are_the_layers_own(listeners, log_mels):
    network = listeners["attention"]
    layer = np.array(keras.Model(network.input, network.get_layer("attention").output)(log_mels))
    weights = attribution.attention_weights(network, log_mels)
    assert weights.shape == (2, FRAMES)
    for frame in range(STEP):
        np.testing.assert_allclose(weights[:, frame::STEP], layer[..., 0], rtol=of_network(network, log_mels))
    np.testing.assert_allclose(weights.sum(axis=1) / STEP, 1, atol=of_shares(FRAMES))


def test_a_network_without_what_is_asked_for_is_refused(listeners, log_mels):
    with pytest.raises(EvaluationError, match="compact_cnn has none"):
        attribution.attention_weights(listeners["compact_cnn"], log_mels)
    log_mel = keras.Input((64, FRAMES))
    flat = keras.layers.Dense(3)(keras.layers.Flatten()(log_mel))
    with pytest.raises(EvaluationError, match="flat has neither"):
        attribution.grad_cam(keras.Model(log_mel, flat, name="flat"), log_mels, 0)
    image = keras.layers.Conv2D(3, 3)(keras.layers.Reshape((64, FRAMES, 1))(log_mel))
    pooled = keras.Model(log_mel, keras.layers.GlobalAveragePooling2D()(image))
    with pytest.raises(EvaluationError, match="is GlobalAveragePooling2D"):
        attribution.grad_cam(pooled, log_mels, 0)
