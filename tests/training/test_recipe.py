import dataclasses

import keras
import numpy as np
import pytest
import tiny  # noqa: F401  (registers the network that these tests train)
from bounds import U, rounded

from genre_utils.models import factory
from genre_utils.params import RECIPES, Params
from genre_utils.training import recipe


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_made_of_possible_parameters(name):
    params = Params.from_mapping(RECIPES[name])
    assert name != "paper" or params == Params()


def test_the_default_is_the_papers(params):
    network = recipe.compiled(factory.build(dataclasses.replace(params, model="tiny_cnn"), 3), params)
    assert type(network.optimizer) is keras.optimizers.Adam and not network.optimizer.use_ema
    assert network.loss == "sparse_categorical_crossentropy"
    stopping, plateau = recipe.monitors(params)
    assert (stopping.monitor, stopping.patience) == ("val_loss", 5)
    assert (plateau.monitor, plateau.factor, plateau.patience) == ("val_loss", 0.5, 2)


@pytest.mark.parametrize("epochs", [1, 2, 12, 40])
def test_a_cosine_rises_falls_and_ends_near_zero(epochs):
    params = Params(schedule="cosine", max_epochs=epochs)
    rates = np.array([recipe.cosine(epoch, params) for epoch in range(epochs)]) / params.learning_rate
    top = rates.argmax()
    assert (rates > 0).all() and rates.max() <= 1
    assert (np.diff(rates[: top + 1]) > 0).all() and (np.diff(rates[top:]) < 0).all()
    if epochs >= 12:
        assert rates.max() == 1 and rates[-1] < 0.03
        assert rates[epochs // 2] == pytest.approx(0.5, abs=0.1)


def test_accuracy_is_whether_the_first_guess_is_one_of_the_genres():
    targets = np.array([[1, 0, 0], [1, 0, 1], [0.7, 0.3, 0], [0.7, 0.3, 0]], np.float32)
    probabilities = np.array([[0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.3, 0.6, 0.1]], np.float32)
    assert keras.ops.convert_to_numpy(recipe.accuracy(targets, probabilities)).tolist() == [0, 1, 1, 0]


def test_shares_of_one_genre_cost_what_labels_cost(params, rng):
    """Cross-entropy by label and by share is the same number; a sigmoid's is the sum of yes and no."""
    x = rng.normal(-40, 10, (8, params.n_mels, params.frames_per_segment)).astype(np.float32)
    labels = rng.integers(0, 3, 8)
    losses = {}
    for name, changes in {"labels": {}, "shares": {"mixup_alpha": 0.2}, "sigmoid": {"output": "sigmoid"}}.items():
        own = dataclasses.replace(params, model="tiny_cnn", **changes)
        network = recipe.compiled(factory.build(own, 3), own)
        targets = np.eye(3, dtype=np.float32)[labels] if recipe.takes_shares(own) else labels
        losses[name] = network.evaluate(x, targets, verbose=0)[0]
    outputs = network.predict(x, verbose=0)  # of the sigmoid
    assert losses["labels"] == pytest.approx(losses["shares"], rel=rounded(256))
    truth = np.eye(3)[labels]
    expected = -(truth * np.log(outputs) + (1 - truth) * np.log(1 - outputs)).mean()
    least = float(np.minimum(outputs, 1 - outputs).min())  # its logarithm errs most
    assert losses["sigmoid"] == pytest.approx(expected, rel=(keras.config.epsilon() + 4 * U) / least)
    assert not np.allclose(outputs.sum(axis=1), 1)
