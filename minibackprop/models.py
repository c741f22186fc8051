"""Whole networks by their sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike

from minibackprop.core import Layer, Sequential
from minibackprop.errors import ConfigError, describe
from minibackprop.initializers import HeNormal
from minibackprop.layers.activations import ReLU
from minibackprop.layers.batch_norm import BatchNorm
from minibackprop.layers.dense import Dense
from minibackprop.layers.dropout import Dropout
from minibackprop.rng import Rng, as_generator
from minibackprop.validation import Array, as_tuple, is_integer, require_flag, shortened


def mlp(
    sizes: Iterable[int],
    activation: Callable[[], Layer] = ReLU,
    *,
    output_activation: Callable[[], Layer] | None = None,
    dropout: float = 0.0,
    batch_norm: bool = False,
    bias: bool = True,
    init: Callable[[tuple[int, ...], Rng], Array] = HeNormal(),
    dtype: DTypeLike = np.float64,
    rng: Rng = None,
) -> Sequential:
    """
    Build a multilayer perceptron: fully connected layers, with activations between them.

    For each hidden size a `Dense`, a `BatchNorm` if asked for, the activation, and a `Dropout` if asked for; at the end
    a `Dense` alone, whose output is scores or logits, as most losses take them.

    Parameters
    ----------
    sizes : iterable of int
        Inputs, hidden units of each layer, outputs.
    activation : callable
        A class of layers such as `Tanh`, or whatever makes a new layer when called without arguments:
        ``lambda: LeakyReLU(0.1)``.
    output_activation : callable, optional
        The same, for an activation after the last `Dense`.
    dropout : float
        The rate of a `Dropout` after each hidden activation; 0 for none.
    batch_norm : bool
        Whether to put a `BatchNorm` before each hidden activation.
    bias : bool
        Whether the `Dense` layers add one.
    init : callable
        Makes their initial weights.
    dtype : dtype
        float64, float32 or a wider floating-point one.
    rng : Generator, RandomState, int or None
        What all weights and masks are drawn from, layer by layer.

    Raises
    ------
    ConfigError
        If an argument makes no sense; nothing has been drawn from `rng` then, unless `init` is at fault.

    Examples
    --------
    >>> from minibackprop import Tanh
    >>> mlp([64, 32, 10], Tanh, dropout=0.2)
    Sequential([
        Dense(in_features=64, out_features=32, bias=True),
        Tanh(),
        Dropout(rate=0.2),
        Dense(in_features=32, out_features=10, bias=True),
    ])
    """
    widths = as_tuple(sizes)
    if not isinstance(widths, tuple) or len(widths) < 2 or not all(is_integer(width) and width > 0 for width in widths):
        raise ConfigError("mlp: sizes", "two or more positive integers, such as [64, 32, 10]", shortened(sizes))
    _require_maker("activation", activation)
    if output_activation is not None:
        _require_maker("output_activation", output_activation)
    require_flag("mlp: batch_norm", batch_norm)
    Dropout(dropout)
    rng = as_generator(rng)
    layers: list[Layer] = []
    for index, (width, next_width) in enumerate(pairwise(widths)):
        if index:
            if batch_norm:
                layers.append(BatchNorm(width, dtype=dtype))
            layers.append(activation())
            if dropout:
                layers.append(Dropout(dropout, rng=rng))
        layers.append(Dense(width, next_width, bias, init=init, dtype=dtype, rng=rng))
    if output_activation is not None:
        layers.append(output_activation())
    return Sequential(layers)


def _require_maker(name: str, maker: Callable[[], Layer]) -> None:
    """Require something that makes a layer when called without arguments."""
    expected = "a class such as ReLU, or a function without arguments that makes a layer"
    try:
        made = maker()
    except TypeError as error:
        raise ConfigError(f"mlp: {name}", expected, shortened(maker)) from error
    if not isinstance(made, Layer):
        raise ConfigError(f"mlp: {name}", expected, f"one that makes {describe(made)}")
