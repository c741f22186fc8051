"""`LayerContract`: the laws of the layer contract as a class of tests."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from minibackprop.errors import ConfigError
from minibackprop.testing.checks.chosen import require_laws
from minibackprop.testing.checks.layer import Inputs, check_layer
from minibackprop.testing.laws.base import Law
from minibackprop.testing.laws.contract import ALL


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
    seed : int, optional
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
    seed: ClassVar[int | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        require_laws(cls.laws, cls.without)
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
