"""`check_layer`: the laws, checked for a layer of the user's."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Mapping
from inspect import signature

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, describe
from minibackprop.state import Buffer, Parameter, walk
from minibackprop.testing.calls import as_float64
from minibackprop.testing.case import Case
from minibackprop.testing.checks.chosen import chosen_laws
from minibackprop.testing.laws.base import Law
from minibackprop.testing.laws.contract import ALL
from minibackprop.testing.report import Report
from minibackprop.testing.search import configured, search
from minibackprop.testing.strategies.arrays import batches
from minibackprop.validation import Array, require_flag

#: pytest shows who called, not what follows from there.
__tracebackhide__ = True

Maker = type[Layer] | Callable[[], Layer] | SearchStrategy[Layer]

Inputs = tuple[int, ...] | SearchStrategy[Array]

#: How many batches are kept for a diagnosis.
_POOL = 16


def check_layer(
    make: Maker,
    inputs: Inputs,
    *,
    laws: Iterable[Law] = ALL,
    without: Mapping[str, str] | None = None,
    examples: int | None = None,
    seed: int | None = None,
    shrink: bool = True,
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
    chosen = chosen_laws(laws, without)
    _inputs(inputs, 1)  # Refuses what is not input, before anything is drawn.
    cases = _cases(_makers(make), inputs, isinstance(make, SearchStrategy), [])
    report = search(cases, chosen, configured(examples, shrink=shrink), seed)
    report.lifted.update(without or {})
    return report


def _inputs(inputs: Inputs, min_size: int) -> SearchStrategy[Array]:
    if isinstance(inputs, tuple):
        return batches(inputs, min_size=min_size, layouts=["C"])
    if isinstance(inputs, SearchStrategy):
        return inputs.map(_as_batch).filter(len)
    raise ConfigError("inputs", "the shape of one sample, or a strategy of arrays", repr(inputs))


@st.composite
def _cases(
    draw: st.DrawFn, makers: SearchStrategy[Callable[[], Layer]], inputs: Inputs, varied: bool, pool: list[Array]
) -> Case:
    make, least = draw(makers), 1
    with contextlib.suppress(Exception):  # A layer that cannot even be made again is for the first law to find.
        least = 2 if make().couples_samples else 1
    batch = _inputs(inputs, least)
    x, other = draw(batch).copy(), draw(batch).copy()
    x.flags.writeable = other.flags.writeable = False
    number = draw(st.integers(0, 2**16))
    pool[:] = [*pool, x][:_POOL]
    return Case(make, _prepared(make, x, number), x, other, number, isinstance(inputs, tuple), varied, pool)


def _makers(make: Maker) -> SearchStrategy[Callable[[], Layer]]:
    if isinstance(make, SearchStrategy):
        return make.map(_as_layer).map(lambda layer: lambda: copy.deepcopy(layer))
    if not callable(make) or isinstance(make, Layer):
        raise ConfigError("make", "a class, a callable that returns a layer, or a strategy of layers", _what(make))
    try:
        signature(make).bind()
    except TypeError as error:
        raise ConfigError("make", "to be callable without arguments", str(error)) from error
    except ValueError:  # What is not written in Python may not say which it takes.
        pass
    try:
        one, other = make(), make()
    except Exception as error:
        raise ConfigError("make", "to return a layer", f"{type(error).__name__}: {error}") from error
    if _as_layer(one) is other:
        raise ConfigError("make", "a fresh layer on each call", "the same object twice")
    return st.just(make)


def _what(make: object) -> str:
    return f"an instance of {type(make).__name__}" if isinstance(make, Layer) else describe(make)


def _as_layer(layer: object) -> Layer:
    if not isinstance(layer, Layer):
        raise ConfigError("make", "to give a Layer", describe(layer))
    return layer


def _as_batch(x: object) -> Array:
    if not isinstance(x, np.ndarray) or x.ndim == 0 or x.dtype.kind not in "fiub":
        raise ConfigError("inputs", "a strategy of arrays of numbers, each a batch of samples", describe(x))
    return x.astype(np.float64) if x.dtype.kind == "f" else x


def _prepared(make: Callable[[], Layer], x: Array, number: int) -> Callable[[], Layer]:
    """Turn `make` into a maker of float64 layers whose parameters are drawn near their initial values."""
    drawn: list[list[Array]] = []

    def layer() -> Layer:
        fresh = _with_parameters(_as_layer(make()), x)
        if not drawn:
            drawn.append(_drawn_near([buffer for _, buffer in walk(fresh, Buffer)], np.random.default_rng(number)))
        fresh = as_float64(fresh)
        buffers = [buffer for _, buffer in walk(fresh, Buffer)]
        if [buffer.value.shape for buffer in buffers] != [value.shape for value in drawn[0]]:
            raise ConfigError("make", "to give a layer of the same parameters each time", repr(fresh))
        for buffer, value in zip(buffers, drawn[0], strict=True):
            if isinstance(buffer, Parameter):
                buffer.value[...] = value
            else:
                buffer.value = value.copy()
        return fresh

    return layer


def _drawn_near(buffers: list[Buffer], rng: np.random.Generator) -> list[Array]:
    """Draw a value near the initial one of each parameter and buffer."""
    values = [np.array(buffer.value) for buffer in buffers]
    for index, (buffer, initial) in enumerate(zip(buffers, values, strict=True)):
        if isinstance(buffer, Parameter) and initial.size:
            centre = float(initial.mean())
            radius = float(np.abs(initial - centre).max()) or 0.4 * (abs(centre) or 1.0)
            drawn = centre + radius * rng.uniform(-1, 1, initial.shape)
            values[index] = drawn.round(3 - int(np.floor(np.log10(radius))))
    for index, (buffer, initial) in enumerate(zip(buffers, values, strict=True)):
        if not isinstance(buffer, Parameter) and initial.dtype.kind == "f":
            # Zeros, signs and whole numbers mean something; ones may hide a factor that is forgotten.
            values[index] = np.array(initial * (1 + 0.2 * rng.uniform(-1, 1, initial.shape)))
    return values


def _with_parameters(layer: Layer, x: Array) -> Layer:
    """Let a layer make its parameters, if it is one that makes them in its first forward pass."""
    with contextlib.suppress(Exception), np.errstate(all="ignore"):  # What fails here, a law will find.
        if not layer.parameters():
            used = copy.deepcopy(layer)
            used.forward(x)
            if used.parameters():
                return used
    return layer
