"""Fused layers and optimizers against Keras' own."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from bounds import U, of_network, rounded

from genre_utils.models import factory, fused
from genre_utils.params import Params


def layers_alike(shape, rng, **config):
    """Keras' batch normalisation and ours with the same weights, none of them at its start."""
    pair = [kind(momentum=0.9, **config) for kind in (keras.layers.BatchNormalization, fused.BatchNormalization)]
    for layer in pair:
        layer.build(shape)
    weights = [rng.uniform(0.5, 2, weight.shape) for weight in pair[0].weights]
    for layer in pair:
        layer.set_weights(weights)
    return pair


def passed(layer, inputs, wanted, training):
    """Outputs, the gradients of inputs and weights, and the weights afterwards."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=training)
        loss = tf.reduce_sum(outputs * wanted)
    found = tape.gradient(loss, [inputs, *(weight.value for weight in layer.trainable_weights)])
    return [outputs.numpy(), *(gradient.numpy() for gradient in found), *layer.get_weights()]


@pytest.mark.parametrize("shape", [(4, 6, 5, 3), (1, 2, 1, 2), (8, 3)])
@pytest.mark.parametrize(("training", "trainable"), [(True, True), (False, True), (True, False)])
def test_batch_normalisation_is_that_of_keras(rng, shape, training, trainable):
    pair = layers_alike(shape, rng)
    inputs, wanted = (tf.constant(rng.normal(2, 3, shape), tf.float32) for _ in range(2))
    for layer in pair:
        layer.trainable = trainable
    theirs, ours = (passed(layer, inputs, wanted, training) for layer in pair)
    assert len(theirs) == len(ours)
    # Each of these is a sum over a channel, of products of what goes in and comes back, divided by the deviation.
    values = inputs.numpy().reshape(-1, shape[-1])
    magnitude = np.abs(values).max() * np.abs(wanted).max() * 2 / min(values.std(axis=0).min(), 0.5**0.5)
    for expected, found in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(found, expected, atol=rounded(len(values) + 16, magnitude))


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize("average", [{}, {"use_ema": True, "ema_momentum": 0.5}])
def test_optimizers_step_as_those_of_keras(rng, name, average):
    gradients = [[rng.normal(0, scale, shape) for scale, shape in ((1, (3, 2)), (1e-6, (4,)))] for _ in range(4)]
    start = [rng.normal(0, 1, gradient.shape) for gradient in gradients[0]]
    ends = []
    for library in (keras.optimizers, fused):
        optimizer = getattr(library, name)(0.01, weight_decay=0.1, **average)
        variables = [keras.Variable(value.astype(np.float32)) for value in start]
        for step, gradient in enumerate(gradients):
            optimizer.learning_rate = 0.01 / (step + 1)
            optimizer.apply([tf.constant(value, tf.float32) for value in gradient], variables)
        ends.append([variable.numpy() for variable in [*variables, *optimizer.variables]])
    assert len(ends[0]) == len(ends[1])
    # A step is divided by 1 - beta_2 ** t, in which a rounding of beta_2 ** t counts up to a thousandfold.
    for expected, found in zip(*ends, strict=True):
        np.testing.assert_allclose(found, expected, rtol=rounded(64), atol=4 * 0.01 * U / (1 - 0.999))


@pytest.mark.parametrize("name", ["paper_cnn", "compact_cnn"])
def test_a_step_changes_the_weights_as_keras_does_with_twice_the_digits(rng, name):
    """Gradient descent and no Adam, whose first step is the gradient's sign: rounding decides it where that is near 0.

    Without dropout, whose random numbers differ.
    """
    params = dataclasses.replace(Params(model=name), image_height=64, image_width=64)
    plain = factory.build(params, 3)
    exact = alike(plain, "float64")
    twin = fused.network(alike(plain, "float32"))
    assert {type(layer) for layer in twin.layers if "batch" in layer.name} == {fused.BatchNormalization}
    inputs = rng.normal(-40, 20, (16, params.n_mels, params.frames_per_segment)).astype(np.float32)
    for network in (exact, twin):
        network.compile(keras.optimizers.SGD(params.learning_rate), "sparse_categorical_crossentropy")
        network.train_on_batch(inputs, np.arange(16) % 3)
    weights = [network.get_weights() for network in (plain, exact, twin)]
    moved, apart = (max(np.abs(one - other).max() for one, other in zip(*pair, strict=True)) for pair in pairs(weights))
    assert apart < of_network(exact, inputs) * moved
    assert [weight.path.split("/")[-1] for weight in plain.weights] == [
        weight.path.split("/")[-1] for weight in twin.weights
    ]


def pairs(weights):
    plain, exact, twin = weights
    return (plain, exact), (exact, twin)


def alike(plain, digits):
    """The same network without dropout, in another precision."""

    def layer(of):
        changes = {"dtype": digits} | ({"rate": 0} if "dropout" in of.name else {})
        return type(of).from_config(of.get_config() | changes)

    twin = keras.models.clone_model(plain, clone_function=layer)
    twin.set_weights(plain.get_weights())
    return twin


@pytest.mark.parametrize("shape", [(4, 512, 512, 2), (3, 61, 257, 5), (1, 1, 7, 1)])
def test_moments_err_no_more_than_sums_in_blocks(rng, shape):
    images = np.maximum(rng.normal(0.3, 1, shape), 0).astype(np.float32)
    mean, variance = fused.moments(tf.constant(images))
    square = np.mean(images.astype(np.float64) ** 2, axis=(0, 1, 2))
    exact = images.mean((0, 1, 2), np.float64)
    values = images[..., 0].size
    block = max(size for size in range(1, fused.SUMMED_AT_ONCE + 1) if values % size == 0)
    off = rounded(block + values / block + 2)  # the sum of a block, that of the blocks, two divisions
    np.testing.assert_array_less(np.abs(mean - exact), off * exact)
    np.testing.assert_array_less(np.abs(variance - (square - exact**2)), off * (square + 2 * exact**2))
