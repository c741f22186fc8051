"""The check of a regularizer: its gradients, what it adds them to, its dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from hypothesis import strategies as st

from minibackprop.core import Layer
from minibackprop.errors import ConfigError
from minibackprop.regularizers import Regularizer
from minibackprop.state import Parameter
from minibackprop.testing.case import Case
from minibackprop.testing.checks.makers import require_maker
from minibackprop.testing.code import call_of
from minibackprop.testing.laws.regularizers import LAWS, PenaltyLayer
from minibackprop.testing.report import Report
from minibackprop.testing.search import configured, search
from minibackprop.testing.strategies.arrays import batches
from minibackprop.validation import is_integer, is_iterable, require_flag

#: pytest shows who called, not what follows from there.
__tracebackhide__ = True


def check_regularizer(
    make: Callable[[], Regularizer],
    shapes: Iterable[tuple[int, ...]] = ((3, 2), (2,), (2, 1, 2)),
    *,
    examples: int | None = None,
    seed: int | None = None,
    shrink: bool = True,
) -> Report:
    """
    Check that a regularizer keeps its contract: its gradients, what it adds them to, its dtype.

    Parameters
    ----------
    make : class or callable
        What makes the regularizer without arguments.
    shapes : iterable of tuple of int
        The shapes of the parameters; by default those of a weight, a bias and a weight of three axes. Not all of them
        need be penalized.
    examples : int, optional
        How many examples to draw; by default a fifth of Hypothesis' ``max_examples``.
    seed : int, optional
    shrink : bool
        As of `check_layer`.

    Raises
    ------
    ContractViolation
        With the name of the broken law, and the cause where it can be told.
    Inconclusive
        If no draw could have shown whether the gradient is right: no parameter is penalized, say.
    ConfigError
        If the call itself makes no sense.

    Examples
    --------
    >>> from minibackprop import L2
    >>> print(check_regularizer(lambda: L2(0.1)).kept)
    ['value', 'arguments untouched', 'gradient', 'gradients add', 'dtype', 'finite', 'other arrays']
    """
    require_flag("check_regularizer: shrink", shrink)
    require_maker("check_regularizer", make, Regularizer)
    shapes = _as_shapes(shapes)
    call = call_of(make, "check_regularizer")

    # One drawn sample for each parameter, so that it has zeros, ties, large and tiny entries.
    samples = [batches(shape, min_size=1, max_size=1, layouts=["C"]) for shape in shapes]

    @st.composite
    def cases(draw: st.DrawFn) -> Case:
        values = [draw(sample)[0] for sample in samples]

        def layer() -> Layer:
            return PenaltyLayer(make(), [Parameter(value) for value in values], call)

        x = np.zeros(1, int)  # There is no input, and integers have no gradient.
        return Case(layer, layer, x, x, draw(st.integers(0, 2**16)), any_input=False)

    return search(cases(), LAWS, configured(examples, shrink=shrink), seed)


def _as_shapes(shapes: object) -> tuple[tuple[int, ...], ...]:
    listed = tuple(shapes) if is_iterable(shapes) else ()
    if not listed or not all(isinstance(s, tuple) and all(is_integer(n) and n > 0 for n in s) for s in listed):
        raise ConfigError("check_regularizer: shapes", "a list of shapes, tuples of positive integers", repr(shapes))
    return listed
