"""`check_layer`: the laws, checked for a layer of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hypothesis.strategies import SearchStrategy

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, describe
from minibackprop.testing.checks.chosen import chosen_laws, with_reference
from minibackprop.testing.laws.base import Law
from minibackprop.testing.laws.contract import ALL
from minibackprop.testing.report import Report
from minibackprop.testing.search import configured, search
from minibackprop.testing.strategies.cases import Drawing, Given, Inputs, Maker
from minibackprop.validation import Array, require_flag

#: pytest shows who called, not what follows from there.
__tracebackhide__ = True


def check_layer(
    make: Maker,
    inputs: Inputs,
    *,
    laws: Iterable[Law] = ALL,
    without: Mapping[str, str] | None = None,
    examples: int | None = None,
    seed: int | None = None,
    shrink: bool = True,
    given: Given | None = None,
    parameters: Mapping[str, SearchStrategy[Any]] | None = None,
    reference: Callable[[Layer, Array], Array] | None = None,
    surrogate: Callable[[Layer, Array], Array] | None = None,
) -> Report:
    """
    Check that a layer keeps every law of the layer contract.

    Parameters
    ----------
    make : class, callable or strategy
        What makes a fresh layer without arguments, or a Hypothesis strategy of layers. Parameters are drawn anew for
        each example, near their initial values.
    inputs : tuple of int or strategy
        The shape of one sample; the check draws any number of them. A layer for which not every array of that shape is
        input (positive numbers only, say, or indices) takes a strategy of arrays instead, each a batch of samples.
    laws : iterable of Law
        What to check: the layer contract by default. ``[*ALL, law]`` adds one of your own.
    without : dict
        Laws to leave out, by name, each with the reason.
    examples : int, optional
        How many examples to draw for each law; by default a fifth of Hypothesis' ``max_examples``, so that a profile
        that looks further looks further here.
    seed : int, optional
        Another seed draws other examples; the same draws the same. By default that of ``pytest --hypothesis-seed``,
        or else 0.
    shrink : bool
        Whether to look for a small example, once one is found.
    given : callable, optional
        Makes side inputs, a dict of arrays with a row for each sample, of a source of random numbers and a batch. By
        default, those that a layer declares as `lengths`, integers of shape (N,), and `mask`, booleans of shape (N, T)
        where T is axis 1 of the batch, are drawn for some of the examples.
    parameters : dict, optional
        By name of a parameter, a strategy of its values, for which not every number near its start, or of its size, is
        one: arrays of its shape, or numbers for all of its entries.
    reference : callable, optional
        Computes of the layer and a batch, in a slow and plain way, what `forward` is to give.
    surrogate : callable, optional
        Computes of the layer and a batch what `backward` is the gradient of, where that is not `forward`, with respect
        to the input and to the parameters: ``lambda layer, x: x`` for a straight-through estimator.

    Returns
    -------
    Report
        What was checked, and how small an error would have been found.

    Raises
    ------
    ContractViolation
        With the name of the broken law, the cause where it can be told, the numbers, and code that reproduces it.
    Inconclusive
        A kind of `ContractViolation`: no draw could have shown whether a gradient is right.
    ConfigError
        If the call itself makes no sense.

    Examples
    --------
    >>> from minibackprop import Dense, Layer
    >>> report = check_layer(lambda: Dense(3, 4), (3,))
    >>> report.power["parameter gradient"]["weight"] < 1e-6
    True
    >>> class Square(Layer):
    ...     def forward(self, x):
    ...         return x * x, x
    ...
    ...     def backward(self, grad, x):
    ...         return x * grad
    >>> check_layer(Square, (3,))
    Traceback (most recent call last):
    ...
    minibackprop.testing.violations.ContractViolation: broken law: input gradient
    ...
    cause: constant factor: the gradient is 0.5 times what it should be
    ...
    """
    require_flag("shrink", shrink)
    chosen = chosen_laws(with_reference(laws, reference), without)
    for name, value in {"given": given, "surrogate": surrogate}.items():
        if value is not None and not callable(value):
            raise ConfigError(name, "a callable", describe(value))
    if not isinstance(parameters, Mapping | None) or not all(
        isinstance(strategy, SearchStrategy) for strategy in (parameters or {}).values()
    ):
        raise ConfigError("parameters", "a dict of strategies by name", describe(parameters))
    drawing = Drawing(make, inputs, given, parameters or {}, surrogate)
    report = search(drawing.cases(), chosen, configured(examples, shrink=shrink), seed)
    report.lifted.update(without or {})
    return report
