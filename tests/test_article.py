from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    SGD,
    ArticleNetwork,
    ConfigError,
    Dense,
    HalfSquaredError,
    Sequential,
    Sigmoid,
    Step,
    Trainer,
    mean_absolute_error,
    three_layer,
    two_layer,
)
from minibackprop.validation import Array
from tests.random_models import seeds, widths

# The article's data and published figures, as printed there.
X = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
FIRST_COLUMN = np.array([[0], [0], [1], [1]])
EITHER_NOT_BOTH = np.array([[0], [1], [1], [0]])
OUTPUT = ["0.00966449", "0.00786506", "0.99358898", "0.99211957"]
ERRORS = {
    0: "0.496410031903",
    10000: "0.00858452565325",
    20000: "0.00578945986251",
    30000: "0.00462917677677",
    40000: "0.00395876528027",
    50000: "0.00351012256786",
}


class Trained(NamedTuple):
    """A trained network, and the last prediction and mean absolute errors that its steps were made from."""

    model: ArticleNetwork
    output: Array
    errors: dict[int, float]


def train(model: ArticleNetwork, y: Array, steps: int) -> Trained:
    """Train as the article does: full batch, a learning rate of 1, half the sum of squares."""
    errors: dict[int, float] = {}
    last: list[Array] = []

    def watch(step: Step) -> None:
        if step.number % 10000 == 0:
            errors[step.number] = mean_absolute_error(step.prediction, step.target)
        last[:] = [step.prediction]

    Trainer(model, HalfSquaredError(), SGD(1)).fit(X, y, steps, callbacks=[watch])
    return Trained(model, last[0], errors)


@pytest.fixture(scope="module")
def trained_two_layer() -> Trained:
    """Train the two-layer network once."""
    return train(two_layer(), FIRST_COLUMN, 10000)


@pytest.fixture(scope="module")
def trained_three_layer() -> Trained:
    """Train the three-layer network once."""
    return train(three_layer(), EITHER_NOT_BOTH, 60000)


def sigma(z: Array) -> Array:
    """Compute the article's sigmoid, as it writes it."""
    return 1 / (1 + np.exp(-z))


def test_two_layer_output_is_the_published_one(trained_two_layer: Trained) -> None:
    """Every published digit of the output after 10,000 steps comes out."""
    assert [f"{entry:.8f}" for entry in trained_two_layer.output[:, 0]] == OUTPUT


def test_three_layer_errors_are_the_published_ones(trained_three_layer: Trained) -> None:
    """Every published digit of the error comes out, from before the first step to before step 50,000."""
    assert {step: f"{error:.12g}" for step, error in trained_three_layer.errors.items()} == ERRORS


# Arithmetic in floating-point numbers is the same on every processor; the kernels of exp and of matrix products are
# not. The next two loops make the very calls that the layers make, in their order, so whatever kernels there are,
# nothing may differ. (`@` would not do: for a matrix of one column, NumPy may call another routine than for `dot`.)


def test_two_layer_weights_are_those_of_the_loop_by_hand(trained_two_layer: Trained) -> None:
    """After 10,000 steps the weights are those of the article's loop in NumPy, bit for bit."""
    random = np.random.RandomState(1)
    syn0 = 2 * random.random_sample((3, 1)) - 1
    for _ in range(10000):
        l1 = sigma(X.dot(syn0))
        l1_delta = (FIRST_COLUMN - l1) * l1 * (1 - l1)
        syn0 += X.T.dot(l1_delta)
    np.testing.assert_array_equal(trained_two_layer.model.syn0, syn0)


def test_three_layer_weights_are_those_of_the_loop_by_hand(trained_three_layer: Trained) -> None:
    """After 60,000 steps the weights are those of the article's loop in NumPy, bit for bit."""
    random = np.random.RandomState(1)
    l0 = X.astype(float)
    syn0 = 2 * random.random_sample((3, 4)) - 1
    syn1 = 2 * random.random_sample((4, 1)) - 1
    for _ in range(60000):
        l1 = sigma(l0.dot(syn0))
        l2 = sigma(l1.dot(syn1))
        l2_delta = (EITHER_NOT_BOTH - l2) * l2 * (1 - l2)
        l1_delta = l2_delta.dot(syn1.T) * l1 * (1 - l1)
        syn1 += l1.T.dot(l2_delta)
        syn0 += l0.T.dot(l1_delta)
    np.testing.assert_array_equal(trained_three_layer.model.syn0, syn0)
    np.testing.assert_array_equal(trained_three_layer.model.syn1, syn1)


@given(seed=seeds, scale=st.floats(0.1, 10))
def test_step_is_the_article_s_as_it_groups_it(seed: int, scale: float) -> None:
    """A step from any weights is that of the article, which takes the slope l * (1 - l) first, but for rounding."""
    model = three_layer(rng=np.random.RandomState(seed))
    for synapses in (model.syn0, model.syn1):
        synapses *= scale
    syn0, syn1 = model.syn0.copy(), model.syn1.copy()
    Trainer(model, HalfSquaredError(), SGD(1)).step(X, EITHER_NOT_BOTH)
    l0 = X.astype(float)
    l1 = sigma(l0.dot(syn0))
    l2 = sigma(l1.dot(syn1))
    l2_delta = (EITHER_NOT_BOTH - l2) * (l2 * (1 - l2))
    l1_delta = l2_delta.dot(syn1.T) * (l1 * (1 - l1))
    # In units of eps / 2, the most that a rounding changes a number by: on each side, the deltas of the output are off
    # by 2 of them, those of the hidden layer by another 2 and one for the product, the sums over four samples by 4
    # more, and the new weights by a last one of their own size.
    for found, before, step, size in (
        (model.syn1, syn1, l1.T.dot(l2_delta), l1.T.dot(np.abs(l2_delta))),
        (model.syn0, syn0, l0.T.dot(l1_delta), l0.T.dot(np.abs(l1_delta))),
    ):
        roundings = 18 * size + 2 * np.abs(before + step)
        assert (np.abs(found - (before + step)) <= roundings * (np.finfo(float).eps / 2)).all()


@given(inputs=widths, hidden=widths, outputs=widths)
def test_sizes_are_parameters(inputs: int, hidden: int, outputs: int) -> None:
    """The networks are as wide as asked for, without bias, and map inputs to outputs by their synapses alone."""
    small, large = two_layer(inputs, outputs), three_layer(inputs, hidden, outputs)
    x = np.random.default_rng(0).normal(size=(5, inputs))
    assert [name for name, _ in small.named_parameters()] == ["0.weight"]
    assert [name for name, _ in large.named_parameters()] == ["0.weight", "2.weight"]
    np.testing.assert_allclose(small.predict(x), sigma(x @ small.syn0), rtol=1e-12)
    np.testing.assert_allclose(large.predict(x), sigma(sigma(x @ large.syn0) @ large.syn1), rtol=1e-12)


def test_weights_are_drawn_as_in_the_article() -> None:
    """A seed is one of NumPy's legacy generator, 1 by default; draws lie in [-1, 1), syn0 first."""
    for model, random in (
        (three_layer(), np.random.RandomState(1)),
        (three_layer(rng=5), np.random.RandomState(5)),
        (three_layer(rng=np.random.RandomState(5)), np.random.RandomState(5)),
        (three_layer(rng=np.random.default_rng(5)), np.random.default_rng(5)),
    ):
        for synapses in (model.syn0, model.syn1):
            np.testing.assert_array_equal(synapses, 2 * random.random(synapses.shape) - 1)
    assert (three_layer(rng=None).syn0 != three_layer(rng=None).syn0).all()


def test_synapses_are_the_arrays_that_training_changes() -> None:
    """syn0 and syn1 are the weights themselves, before, during and after training, also of a longer network."""
    model = three_layer()
    syn0, before = model.syn0, model.syn0.copy()
    Trainer(model, HalfSquaredError(), SGD(1)).step(X, EITHER_NOT_BOTH)
    assert model.syn0 is syn0
    assert (syn0 != before).all()
    assert model.syn1 is model.parameters()[1].value
    assert ArticleNetwork([Dense(2, 2), Dense(2, 1), Dense(1, 1)]).syn1.shape == (2, 1)


def test_missing_synapses_are_an_attribute_error() -> None:
    """A network has no more synapses than weight matrices."""
    assert not hasattr(two_layer(), "syn1")
    with pytest.raises(AttributeError, match="no syn1: this network has 1 weight matrices"):
        two_layer().syn1  # noqa: B018


@pytest.mark.parametrize("sizes", [(0, 1), (3, -1), (2.5, 1), ("3", 1)])
def test_sizes_are_positive_integers(sizes: tuple[object, object]) -> None:
    """Any other size is refused."""
    with pytest.raises(ConfigError, match="expects a positive integer"):
        two_layer(*sizes)
    with pytest.raises(ConfigError, match="expects a positive integer"):
        three_layer(3, *sizes)


def test_networks_are_sequentials() -> None:
    """The networks are layers like any other, and show how they are built."""
    assert isinstance(three_layer(), Sequential)
    assert [type(layer) for layer in eval(repr(three_layer()))] == [Dense, Sigmoid, Dense, Sigmoid]
