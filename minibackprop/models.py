"""The article's networks by name, as composed layers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from minibackprop.core import Array, ConfigError, Layer, Sequential
from minibackprop.initializers import Uniform
from minibackprop.layers.activations import Sigmoid
from minibackprop.layers.dense import Dense
from minibackprop.rng import Rng
from minibackprop.validation import is_integer


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
