"""The article's networks by name, its data, and its published figures beside what composed layers give."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise, takewhile

import numpy as np

from minibackprop.core import Layer, Sequential
from minibackprop.errors import ConfigError
from minibackprop.initializers import Uniform
from minibackprop.layers.activations import Sigmoid
from minibackprop.layers.dense import Dense
from minibackprop.losses.regression import HalfSquaredError
from minibackprop.metrics.functions import mean_absolute_error
from minibackprop.optimizers.sgd import SGD
from minibackprop.rng import Rng
from minibackprop.training.callbacks import Step
from minibackprop.training.trainer import Trainer
from minibackprop.validation import Array, is_integer


class ArticleNetwork(Sequential):
    """
    A `Sequential` whose weight matrices answer to the article's names.

    Attributes
    ----------
    syn0, syn1 : array
        The weights of the first and the second `Dense`: the arrays that training changes, not copies.

    Raises
    ------
    AttributeError
        If the network has fewer weight matrices.

    Examples
    --------
    >>> three_layer().syn1.shape
    (4, 1)
    """

    @property
    def syn0(self) -> Array:
        """The weights between the input and the first layer."""
        return self._synapses(0)

    @property
    def syn1(self) -> Array:
        """The weights between the first layer and the second."""
        return self._synapses(1)

    def _synapses(self, k: int) -> Array:
        weights = [layer.weight.value for layer in self if isinstance(layer, Dense)]
        if k >= len(weights):
            raise AttributeError(f"no syn{k}: this network has {len(weights)} weight matrices")
        return weights[k]


def two_layer(inputs: int = 3, outputs: int = 1, *, rng: Rng = 1) -> ArticleNetwork:
    """
    Build the article's first network: ``l1 = sigmoid(x @ syn0)``.

    Parameters
    ----------
    inputs, outputs : int
        The shape of ``syn0``.
    rng : Generator, RandomState, int or None
        What the weights are drawn from, uniformly over [-1, 1). A seed means NumPy's legacy generator here, which the
        article uses; its own seed is the default.

    Examples
    --------
    >>> two_layer()
    ArticleNetwork([
        Dense(in_features=3, out_features=1, bias=False),
        Sigmoid(),
    ])
    """
    return _network((inputs, outputs), rng)


def three_layer(inputs: int = 3, hidden: int = 4, outputs: int = 1, *, rng: Rng = 1) -> ArticleNetwork:
    """
    Build the article's second network: ``l2 = sigmoid(sigmoid(x @ syn0) @ syn1)``.

    Parameters
    ----------
    inputs, hidden, outputs : int
        ``syn0`` has shape (inputs, hidden), ``syn1`` (hidden, outputs).
    rng : Generator, RandomState, int or None
        As for `two_layer`; ``syn0`` is drawn first.

    Examples
    --------
    >>> three_layer().syn0.round(3)
    array([[-0.166,  0.441, -1.   , -0.395],
           [-0.706, -0.815, -0.627, -0.309],
           [-0.206,  0.078, -0.162,  0.37 ]])
    """
    return _network((inputs, hidden, outputs), rng)


def _network(sizes: tuple[int, ...], rng: Rng) -> ArticleNetwork:
    if is_integer(rng):
        if not 0 <= rng < 2**32:
            raise ConfigError("rng", "a seed of NumPy's legacy generator, from 0 to 2**32 - 1", repr(rng))
        rng = np.random.RandomState(rng)
    init = Uniform(-1, 1)
    layers: list[Layer] = []
    for width, next_width in pairwise(sizes):
        layers += [Dense(width, next_width, bias=False, init=init, rng=rng), Sigmoid()]
    return ArticleNetwork(layers)


X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
FIRST_COLUMN = np.array([[0.0], [0], [1], [1]])
EITHER_NOT_BOTH = np.array([[0.0], [1], [1], [0]])

# As the article prints them: the text carries the number of digits.
OUTPUT = ("0.00966449", "0.00786506", "0.99358898", "0.99211957")
ERROR = {
    0: "0.496410031903",
    10_000: "0.00858452565325",
    20_000: "0.00578945986251",
    30_000: "0.00462917677677",
    40_000: "0.00395876528027",
    50_000: "0.00351012256786",
}


def two_layer_output(steps: int = 10_000) -> list[float]:
    """Train the two-layer network, and return the output that its last step was made from."""
    seen: list[float] = []

    def keep_last(step: Step) -> None:
        if step.number == steps - 1:
            seen.extend(step.prediction.ravel().tolist())

    _trainer(two_layer()).fit(X, FIRST_COLUMN, steps, callbacks=[keep_last])
    return seen


def three_layer_errors(at: Iterable[int] = tuple(ERROR)) -> list[float]:
    """Train the three-layer network, and return the mean absolute error from before each of the steps `at`."""
    wanted = set(at)
    seen: list[float] = []

    def keep_error(step: Step) -> None:
        if step.number in wanted:
            seen.append(mean_absolute_error(step.prediction, step.target))

    _trainer(three_layer()).fit(X, EITHER_NOT_BOTH, 60_000, callbacks=[keep_error])
    return seen


def _trainer(model: ArticleNetwork) -> Trainer:
    return Trainer(model, HalfSquaredError(), SGD(learning_rate=1))


def agreement(measured: float, published: str) -> tuple[int, int]:
    """
    Count the significant digits of `published`, and how many of them `measured` shares, rounded to as many places.

    Examples
    --------
    >>> agreement(0.0096644912, "0.00966449"), agreement(0.009664, "0.00966449")
    ((6, 6), (4, 6))
    """
    places = len(published.partition(".")[2])
    pairs = zip(f"{measured:.{places}f}", published, strict=False)
    shared = "".join(theirs for ours, theirs in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return len(_significant(shared)), len(_significant(published))


def _significant(digits: str) -> str:
    return digits.replace(".", "").lstrip("0")
