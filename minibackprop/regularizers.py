"""Regularizers: penalties on large weights, in the loss and in the gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np
from attrs import field, frozen

from minibackprop.errors import ConfigError
from minibackprop.numerics.functions import added
from minibackprop.state import Parameter
from minibackprop.validation import as_float, is_flag, is_not_negative, shortened


class Regularizer(ABC):
    """
    A function of the parameters to a number, the penalty, with its gradients.

    A penalty applies once a step, however many micro-batches its batch is split into. It does not depend on the number
    of samples: beside a mean over them it weighs more than beside a sum.

    Raises
    ------
    ConfigError
        By the built-in ones, when called: with something else than parameters.
    """

    @abstractmethod
    def forward(self, parameters: Iterable[Parameter], /) -> float:
        """Compute the penalty."""

    @abstractmethod
    def backward(self, parameters: Iterable[Parameter], /) -> None:
        """Add the gradient of the penalty to that of each parameter."""


@frozen
class _L1L2(Regularizer):
    """The penalty ``l1 * sum(abs(w)) + l2 / 2 * sum(w**2)``, with the gradient ``l1 * sign(w) + l2 * w``."""

    biases: bool = field(default=False, kw_only=True, validator=is_flag)

    @property
    @abstractmethod
    def _strengths(self) -> tuple[float, float]:
        """l1 and l2, of which 0 leaves its half out."""

    def forward(self, parameters: Iterable[Parameter], /) -> float:
        """Compute the penalty."""
        (l1, l2), values = self._strengths, [parameter.value for parameter in self._penalized(parameters)]
        total = l1 * added(np.abs(w).sum() for w in values) if l1 else 0.0
        return total + 0.5 * l2 * added(np.vdot(w, w) for w in values) if l2 else total

    def backward(self, parameters: Iterable[Parameter], /) -> None:
        """Add the gradient of the penalty to that of each parameter."""
        l1, l2 = self._strengths
        for parameter in self._penalized(parameters):
            w = parameter.value
            if l1 and l2:
                parameter.add(l1 * np.sign(w) + l2 * w)
            else:
                parameter.add(l1 * np.sign(w) if l1 else l2 * w)

    def _penalized(self, parameters: Iterable[Parameter]) -> list[Parameter]:
        try:
            trained = [parameter for parameter in parameters if not parameter.frozen]
            return [parameter for parameter in trained if self.biases or parameter.value.ndim >= 2]
        except (TypeError, AttributeError) as error:
            expected = "parameters, such as model.parameters()"
            raise ConfigError(type(self).__name__, expected, shortened(parameters)) from error


@frozen
class L1(_L1L2):
    """
    The sum of absolute values: ``strength * sum(abs(w))``, with the gradient ``strength * sign(w)``.

    It pulls each weight to 0 with the same force however small it is, so that many come close to 0 and stay there (the
    lasso: R. Tibshirani, "Regression Shrinkage and Selection via the Lasso", 1996). At 0 itself the gradient is 0.

    Parameters
    ----------
    strength : float
        At least 0.
    biases : bool
        Whether parameters of fewer than two axes are penalized too: biases, and the scales of normalization.

    Raises
    ------
    ConfigError
        If a strength is negative or not finite, or `biases` not True or False.

    Examples
    --------
    >>> from minibackprop import Parameter
    >>> weight, bias = Parameter([[1.0, -3.0]]), Parameter([5.0])
    >>> penalty = L1(0.5)
    >>> penalty.forward([weight, bias])
    2.0
    >>> penalty.backward([weight, bias])
    >>> weight.grad, bias.grad
    (array([[ 0.5, -0.5]]), None)
    """

    strength: float = field(converter=as_float, validator=is_not_negative)

    @property
    def _strengths(self) -> tuple[float, float]:
        return self.strength, 0.0


@frozen
class L2(_L1L2):
    """
    Half the sum of squares: ``strength / 2 * sum(w**2)``, with the gradient ``strength * w``.

    It pulls each weight to 0 in proportion to its size (ridge regression: A. E. Hoerl and R. W. Kennard, "Ridge
    Regression: Biased Estimation for Nonorthogonal Problems", 1970). With plain `SGD`, it is weight decay: each step
    takes the share ``learning_rate * strength`` off each weight. With optimizers that scale gradients it is not.

    Factors differ between frameworks: Keras' ``L2(s)`` has no half, so it is ``L2(2 * s)`` here; scikit-learn's
    ``alpha`` has the half, and its networks divide by the number of samples of the batch.

    Parameters
    ----------
    strength : float
        At least 0.
    biases : bool
        Whether parameters of fewer than two axes are penalized too: biases, and the scales of normalization.

    Raises
    ------
    ConfigError
        If a strength is negative or not finite, or `biases` not True or False.

    Examples
    --------
    >>> from minibackprop import Parameter
    >>> weight = Parameter([[1.0, -3.0]])
    >>> penalty = L2(0.5)
    >>> penalty.forward([weight])
    2.5
    >>> penalty.backward([weight])
    >>> weight.grad
    array([[ 0.5, -1.5]])
    """

    strength: float = field(converter=as_float, validator=is_not_negative)

    @property
    def _strengths(self) -> tuple[float, float]:
        return 0.0, self.strength


@frozen
class ElasticNet(_L1L2):
    """
    The sum of `L1` and `L2`: ``l1 * sum(abs(w)) + l2 / 2 * sum(w**2)``.

    Like L1 it favours zeros, like L2 it treats weights that do the same work alike (H. Zou and T. Hastie,
    "Regularization and Variable Selection via the Elastic Net", 2005).

    Parameters
    ----------
    l1, l2 : float
        The strengths, at least 0.
    biases : bool
        Whether parameters of fewer than two axes are penalized too: biases, and the scales of normalization.

    Raises
    ------
    ConfigError
        If a strength is negative or not finite, or `biases` not True or False.

    Examples
    --------
    >>> from minibackprop import Parameter
    >>> ElasticNet(l1=0.5, l2=0.5).forward([Parameter([[1.0, -3.0]])])
    4.5
    """

    l1: float = field(converter=as_float, validator=is_not_negative)
    l2: float = field(converter=as_float, validator=is_not_negative)

    @property
    def _strengths(self) -> tuple[float, float]:
        return self.l1, self.l2
