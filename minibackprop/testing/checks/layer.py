"""`check_layer` and `LayerContract`: the laws, checked for a layer of the user's."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from hypothesis.strategies import SearchStrategy

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, describe
from minibackprop.testing.laws.base import Law
from minibackprop.testing.laws.calls import agrees_with
from minibackprop.testing.laws.contract import ALL
from minibackprop.testing.report import Report
from minibackprop.testing.search import configured, search
from minibackprop.testing.strategies.cases import Drawing, Given, Inputs, Maker
from minibackprop.validation import Array, is_iterable, require_flag


def check_layer(
    make: Maker,
    inputs: Inputs,
    *,
    laws: Iterable[Law] = ALL,
    without: Mapping[str, str] | None = None,
    examples: int | None = None,
    seed: int = 0,
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
    seed : int
        Another seed draws other examples; the same draws the same.
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
    if not is_iterable(laws):
        raise ConfigError("laws", "an iterable of Law", describe(laws))
    require_flag("shrink", shrink)
    laws, without = tuple(laws), {} if without is None else without
    _check_laws(laws, without)
    chosen = [law for law in laws if law.name not in without]
    if not chosen:
        raise ConfigError("laws", "at least one law that is not left out", "none")
    for name, value in {"given": given, "reference": reference, "surrogate": surrogate}.items():
        if value is not None and not callable(value):
            raise ConfigError(f"check_layer: {name}", "a callable", describe(value))
    if not isinstance(parameters, Mapping | None) or not all(
        isinstance(strategy, SearchStrategy) for strategy in (parameters or {}).values()
    ):
        raise ConfigError("check_layer: parameters", "a dict of strategies by name", describe(parameters))
    if reference is not None:
        chosen.append(agrees_with(reference))
    drawing = Drawing(make, inputs, given, parameters or {}, surrogate)
    report = search(drawing.cases(), chosen, configured(examples, shrink=shrink), seed)
    report.lifted.update(without)
    return report


def _check_laws(laws: tuple[Law, ...], without: Mapping[str, str]) -> None:
    if wrong := [law for law in laws if not isinstance(law, Law)]:
        raise ConfigError("laws", "an iterable of Law", describe(wrong[0]))
    if not isinstance(without, Mapping):
        raise ConfigError("without", "a dict of reasons by name of law", describe(without))
    names = [law.name for law in laws]
    for name, reason in without.items():
        if name not in names:
            raise ConfigError("without", f"names of laws, {names}", repr(name))
        if not isinstance(reason, str) or not reason.strip():
            raise ConfigError(f"without: {name}", "a reason", repr(reason))


class LayerContract:
    """
    The layer contract as a class of tests, one for each law, to subclass in a file of tests.

    Attributes
    ----------
    layer : class, callable or strategy
        As `make` of `check_layer`. A plain function stands in ``staticmethod``.
    inputs : tuple of int or strategy
    laws : tuple of Law
    without : dict
    examples : int, optional
    seed : int
        As the arguments of `check_layer`.

    Examples
    --------
    >>> from minibackprop import Sigmoid
    >>> class TestSigmoid(LayerContract):
    ...     layer = Sigmoid
    ...     inputs = (3,)
    >>> TestSigmoid().test_input_gradient()
    """

    layer: ClassVar[Any]
    inputs: ClassVar[Inputs]
    laws: ClassVar[tuple[Law, ...]] = ALL
    without: ClassVar[Mapping[str, str]] = {}
    examples: ClassVar[int | None] = None
    seed: ClassVar[int] = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _check_laws(tuple(cls.laws), cls.without)
        for law in cls.laws:
            name = f"test_{law.name.replace(' ', '_')}"
            if not hasattr(cls, name):
                setattr(cls, name, _test_of(law))


def _test_of(law: Law) -> Callable[[LayerContract], None]:
    def test(self: LayerContract) -> None:
        kind = type(self)
        for name in ("layer", "inputs"):
            if not hasattr(kind, name):
                raise ConfigError(kind.__name__, f"an attribute {name}")
        if law.name in kind.without:
            raise unittest.SkipTest(kind.without[law.name])
        report = check_layer(kind.layer, kind.inputs, laws=[law], examples=kind.examples, seed=kind.seed)
        if law.name in report.lifted:
            raise unittest.SkipTest(report.lifted[law.name])

    test.__doc__ = law.says
    return test
