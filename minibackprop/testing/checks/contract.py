"""`LayerContract` and `parametrize_laws`: the laws of the layer contract as tests, one for each."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, signature
from typing import Any, ClassVar

from minibackprop.errors import ConfigError
from minibackprop.testing.checks.chosen import require_laws, with_reference
from minibackprop.testing.checks.layer import check_layer
from minibackprop.testing.laws.base import Law
from minibackprop.testing.laws.contract import ALL
from minibackprop.testing.strategies.cases import Inputs, Maker

#: pytest shows who called, not what follows from there.
__tracebackhide__ = True

#: What the tests are called if something is missing that all of them need.
_INCOMPLETE = "test_contract"

#: The options of `check_layer`, which a class of tests may have as attributes.
_OPTIONS = [name for name, p in signature(check_layer).parameters.items() if p.kind is Parameter.KEYWORD_ONLY]


class LayerContract:
    """
    The layer contract as a class of tests, one for each law, to subclass in a file of tests.

    A class without `layer` or `inputs` has one test that fails and says so. What is to be subclassed further, and has
    not got them yet, should not have a name that pytest collects.

    Attributes
    ----------
    layer : class, callable or strategy
        As `make` of `check_layer`. A plain function stands in ``staticmethod``.
    inputs : tuple of int or strategy
    laws : tuple of Law
    without : dict
    examples : int, optional
    seed : int, optional
        As the arguments of `check_layer`, whose other options may be attributes as well.

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
    seed: ClassVar[int | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        laws = require_laws(with_reference(cls.laws, getattr(cls, "reference", None)), cls.without)
        tests: dict[str, Any] = {f"test_{law.name.replace(' ', '_')}": _test_of(law) for law in laws}
        if missing := [name for name in ("layer", "inputs") if not hasattr(cls, name)]:
            tests = {_INCOMPLETE: _test_that_misses(missing)}
        elif hasattr(cls, _INCOMPLETE):
            setattr(cls, _INCOMPLETE, None)  # Complete now; None is not collected.
        for name, test in tests.items():
            if not hasattr(cls, name):
                setattr(cls, name, test)


def _test_of(law: Law) -> Callable[[LayerContract], None]:
    def test(self: LayerContract) -> None:
        kind = type(self)
        options = {name: getattr(kind, name) for name in _OPTIONS if hasattr(kind, name)}
        _check(law, kind.layer, kind.inputs, options)

    test.__doc__ = law.says
    return test


def _test_that_misses(missing: list[str]) -> Callable[[LayerContract], None]:
    def test(self: LayerContract) -> None:
        expected = f"a class attribute {' and one '.join(missing)}, as the arguments of check_layer"
        raise ConfigError(type(self).__name__, f"{expected} (a base class of tests has no name that is collected)")

    return test


def _check(law: Law, make: Maker, inputs: Inputs, options: Mapping[str, Any]) -> None:
    """Check one law, and skip it where it is left out, or does not bind the layer."""
    without = options.get("without") or {}
    if law.name in without:
        raise unittest.SkipTest(without[law.name])
    # The law of a reference is one of the laws here, each of which is checked alone.
    report = check_layer(make, inputs, **{**options, "laws": [law], "without": None, "reference": None})
    if law.name in report.lifted:
        raise unittest.SkipTest(report.lifted[law.name])


def parametrize_laws(
    make: Maker,
    inputs: Inputs,
    *,
    laws: Iterable[Law] = ALL,
    without: Mapping[str, str] | None = None,
    **options: Any,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """
    Make one test function a test for each law, by ``pytest.mark.parametrize``.

    The function has an argument `check`, and calls it. A law that is left out, or does not bind the layer, is skipped.

    Parameters
    ----------
    make, inputs, laws, without
        As of `check_layer`.
    **options
        The other options of `check_layer`.

    Raises
    ------
    ConfigError
        If the laws make no sense, or `check_layer` has no such option.

    Examples
    --------
    >>> from minibackprop import Sigmoid
    >>> @parametrize_laws(Sigmoid, (3,))
    ... def test_sigmoid(check):
    ...     check()
    """
    import pytest  # Nothing else in the kit needs it.

    laws = require_laws(with_reference(laws, options.get("reference")), without or {})
    if unknown := [name for name in options if name not in _OPTIONS]:
        raise ConfigError("parametrize_laws", f"options of check_layer, {_OPTIONS}", f"{unknown[0]}=")

    def check_of(law: Law) -> Callable[[], None]:
        def check() -> None:
            _check(law, make, inputs, {**options, "without": without})

        return check

    mark = pytest.mark.parametrize(
        "check", [pytest.param(check_of(law), id=law.name.replace(" ", "_")) for law in laws]
    )
    return lambda function: mark(function)
