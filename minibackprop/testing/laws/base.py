"""What a law is."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from minibackprop.testing.case import Case, Power


def _binds_all(case: Case) -> str:  # noqa: ARG001
    return ""


@frozen
class Law:
    """
    A law: a name, what it says, and a check of one case.

    Attributes
    ----------
    name : str
    says : str
        The law in one sentence.
    check : callable
        Takes a `Case`, and raises `ContractViolation` where the law is broken. Where the law measures, returns its
        `Power`.
    lifted : callable
        Takes a `Case`, and returns the reason for which the law does not bind its layer, or "".
    each_time : bool
        Whether the law is checked for each example. One that depends on what a layer does rather than on its numbers is
        checked for half of them, and for at least ten.

    Examples
    --------
    >>> from minibackprop import Sigmoid
    >>> from minibackprop.testing import ALL, Law, check_layer
    >>> def increases(case):
    ...     layer = case.layer()
    ...     if np.any(layer.predict(case.x + 1.0) < layer.predict(case.x)):
    ...         raise ContractViolation("a larger input gives a smaller output")
    >>> _ = check_layer(Sigmoid, (3,), laws=[*ALL, Law("monotony", "the output grows with the input", increases)])
    """

    name: str
    says: str
    check: Callable[[Case], Power | None]
    lifted: Callable[[Case], str] = _binds_all
    each_time: bool = True
