"""Optimizers that divide by the root of squares of gradients: Adagrad, RMSProp, Adam, AdamW."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
from attrs import define, field
from numpy.typing import ArrayLike

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, StateDictError
from minibackprop.numerics.error_state import strict
from minibackprop.optimizers.base import GradientDescent
from minibackprop.optimizers.rates import Schedule, as_rate, is_rate
from minibackprop.validation import Array, as_float, is_flag, is_fraction, is_not_negative, is_positive, shortened


def _descend(value: Array, direction: Array, squares: Array, rate: float, epsilon: float, scratch: Array) -> None:
    """Do ``value -= rate * direction / (sqrt(squares) + epsilon)``."""
    np.sqrt(squares, scratch)
    scratch += epsilon
    np.divide(direction, scratch, scratch)
    scratch *= rate
    value -= scratch


@define(eq=False, slots=False, repr=False)
class Adagrad(GradientDescent):
    """
    Divides by the root of the sum of all squares: ``s += g**2``, ``p -= learning_rate * g / (sqrt(s) + epsilon)``.

    So what has rarely had a gradient moves far when it has one, and all steps get shorter (J. Duchi, E. Hazan and Y.
    Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", 2011). The slot
    ``sum_of_squares`` is s.

    Parameters
    ----------
    learning_rate : float or callable
        The step size, or a schedule of it.
    epsilon : float
        Keeps the divisor above 0; positive.
    clip_norm, clip_value : float, optional
        Limits of the gradients, as of every `GradientDescent`.

    Raises
    ------
    ConfigError
        If the rate is neither a positive finite number nor a callable, or `epsilon` not a positive finite number.

    Examples
    --------
    >>> from minibackprop import Parameter
    >>> p, optimizer = Parameter([0.0]), Adagrad(learning_rate=1)
    >>> for grad in (3.0, 4.0):
    ...     p.add(np.array([grad]))
    ...     optimizer.step([p])
    >>> p.value.round(6)  # -3 / 3 - 4 / 5
    array([-1.8])
    """

    learning_rate: float | Schedule = field(default=0.01, converter=as_rate, validator=is_rate)
    epsilon: float = field(default=1e-10, converter=as_float, validator=is_positive)

    slot_names = ("sum_of_squares",)

    def update(self, value: Array, grad: Array, slots: tuple[Array, ...], rate: float, step: int, /) -> None:
        """Take one step."""
        (squares,) = slots
        square = strict().run(np.square, grad, np.empty_like(squares))
        strict().run(np.add, squares, square, squares)
        _descend(value, grad, squares, rate, self.epsilon, scratch=square)


#: Marks a state of moving means. One without a version is older, and its slots are sums, ``mean / (1 - decay)``.
_VERSION = 2


@define(eq=False, slots=False, repr=False)
class _MovingMeans(GradientDescent):
    """A rule whose slots are moving means, ``mean = decay * mean + (1 - decay) * term``."""

    @property
    @abstractmethod
    def _decays(self) -> tuple[float, ...]:
        """The decay of each slot."""

    def state_dict(self, model: Layer, /) -> dict[str, Array]:
        """Copy the slots by the names of the model's parameters, the counts of steps, and the version of the slots."""
        return super().state_dict(model) | {"version": np.array(_VERSION)}

    def load_state_dict(self, state: Mapping[str, ArrayLike], model: Layer, /) -> None:
        """
        Take over a copy of `state`, cast to the dtypes of the model's parameters.

        A state without a version is converted from the sums that it holds.
        """
        unversioned = hasattr(state, "keys") and "version" not in state
        if unversioned:
            state = {**state, "version": _VERSION}
        elif hasattr(state, "keys") and getattr(state["version"], "tolist", lambda: state["version"])() != _VERSION:
            subject = f"{type(self).__name__}.load_state_dict: version"
            raise StateDictError(subject, f"{_VERSION}, or none", shortened(state["version"]))
        super().load_state_dict(state, model)
        if unversioned:
            for _, parameter in model.named_parameters():
                for slot, decay in zip(self._memory.get(parameter).slots, self._decays, strict=True):
                    slot *= 1 - decay


@define(eq=False, slots=False, repr=False)
class RMSProp(_MovingMeans):
    """
    Divides by a moving root mean square: ``s = rho * s + (1 - rho) * g**2``, ``p -= rate * g / (sqrt(s) + epsilon)``.

    As `Adagrad`, but old squares are forgotten, so the steps need not get shorter (T. Tieleman and G. Hinton,
    "Lecture 6.5 - RMSProp", COURSERA: Neural Networks for Machine Learning, 2012). s starts at 0, which makes the first
    steps long. The defaults are PyTorch's; Keras has a rate of 0.001, a `rho` of 0.9 and an `epsilon` of 1e-7. The slot
    ``squares`` is s.

    Parameters
    ----------
    learning_rate : float or callable
        The step size, or a schedule of it.
    rho : float
        The decay rate of the mean square (PyTorch's alpha); at least 0 and below 1.
    epsilon : float
        Keeps the divisor above 0; positive.
    clip_norm, clip_value : float, optional
        Limits of the gradients, as of every `GradientDescent`.

    Raises
    ------
    ConfigError
        If the rate is neither a positive finite number nor a callable, `rho` out of its range, or `epsilon` not a
        positive finite number.

    Examples
    --------
    >>> from minibackprop import Parameter
    >>> p = Parameter([0.0])
    >>> p.add(np.array([3.0]))
    >>> RMSProp(learning_rate=0.01, rho=0.99).step([p])
    >>> p.value.round(6)  # -0.01 / sqrt(1 - 0.99), whatever the gradient
    array([-0.1])
    """

    learning_rate: float | Schedule = field(default=0.01, converter=as_rate, validator=is_rate)
    rho: float = field(default=0.99, converter=as_float, validator=is_fraction)
    epsilon: float = field(default=1e-8, converter=as_float, validator=is_positive)

    slot_names = ("squares",)

    @property
    def _decays(self) -> tuple[float, ...]:
        return (self.rho,)

    def update(self, value: Array, grad: Array, slots: tuple[Array, ...], rate: float, step: int, /) -> None:
        """Take one step."""
        (s,) = slots
        square = strict().run(np.square, grad, np.empty_like(s))  # First, as it may fail.
        # s = rho * s + (1 - rho) * g**2
        square *= 1 - self.rho
        s *= self.rho
        s += square
        _descend(value, grad, s, rate, self.epsilon, scratch=square)


@define(eq=False, slots=False, repr=False)
class Adam(_MovingMeans):
    """
    Momentum divided by a moving root mean square, both corrected for their bias towards the initial 0.

    ``m = beta1 * m + (1 - beta1) * g``, ``v = beta2 * v + (1 - beta2) * g**2``, and at the t-th update of p ``p -=
    learning_rate * m' / (sqrt(v') + epsilon)`` with ``m' = m / (1 - beta1**t)``, ``v' = v / (1 - beta2**t)``: steps of
    about the learning rate, whatever the scale of the gradients (D. Kingma and J. Ba, "Adam: A Method for Stochastic
    Optimization", 2015). The slots ``momentum`` and ``squares`` are m and v.

    Parameters
    ----------
    learning_rate : float or callable
        The step size, or a schedule of it.
    beta1, beta2 : float
        The decay rates of the means of gradients and of their squares; at least 0 and below 1.
    epsilon : float
        Keeps the divisor above 0; positive.
    clip_norm, clip_value : float, optional
        Limits of the gradients, as of every `GradientDescent`.

    Raises
    ------
    ConfigError
        If the rate is neither a positive finite number nor a callable, a beta out of its range, or `epsilon` not a
        positive finite number.

    Examples
    --------
    >>> from minibackprop import Parameter
    >>> p = Parameter([1.0, 1.0])
    >>> p.add(np.array([100.0, -0.01]))
    >>> Adam(learning_rate=0.1).step([p])
    >>> p.value.round(6)
    array([0.9, 1.1])
    """

    learning_rate: float | Schedule = field(default=0.001, converter=as_rate, validator=is_rate)
    beta1: float = field(default=0.9, converter=as_float, validator=is_fraction)
    beta2: float = field(default=0.999, converter=as_float, validator=is_fraction)
    epsilon: float = field(default=1e-8, converter=as_float, validator=is_positive)

    slot_names = ("momentum", "squares")

    @property
    def _decays(self) -> tuple[float, ...]:
        return (self.beta1, self.beta2)

    def update(self, value: Array, grad: Array, slots: tuple[Array, ...], rate: float, step: int, /) -> None:
        """Take one step."""
        (m, v), beta1, beta2 = slots, self.beta1, self.beta2
        square = strict().run(np.square, grad, np.empty_like(v))  # First, as it may fail.
        # v = beta2 * v + (1 - beta2) * g**2
        square *= 1 - beta2
        v *= beta2
        v += square
        # m = beta1 * m + (1 - beta1) * g, as beta1 * (m - g) + g: one product less, and no array for it.
        m -= grad
        m *= beta1
        m += grad
        # rate * m' / (sqrt(v') + epsilon) with the corrections taken out of the arrays: v' = v / root**2.
        root = (1 - beta2**step) ** 0.5
        _descend(value, m, v, rate * root / (1 - beta1**step), self.epsilon * root, scratch=square)


@define(eq=False, slots=False, repr=False)
class AdamW(Adam):
    """
    `Adam` with decoupled weight decay: first ``p *= 1 - learning_rate * weight_decay``, then Adam's step.

    Unlike the gradient of an L2 penalty, the decay is not divided as Adam's step is, so it shrinks all weights alike
    (I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", 2019). As in PyTorch, the learning rate
    multiplies it, and it applies to what has a gradient. As penalties do, it leaves out parameters of fewer than two
    axes, biases and the scales of normalization among them, unless `biases` says otherwise; PyTorch takes them all.

    Parameters
    ----------
    learning_rate : float or callable
        The step size, or a schedule of it.
    beta1, beta2, epsilon : float
        As of `Adam`.
    weight_decay : float
        At least 0, and at most ``1 / learning_rate``, beyond which weights would change their signs.
    biases : bool
        Keyword only. Whether parameters of fewer than two axes decay too.
    clip_norm, clip_value : float, optional
        Limits of the gradients, as of every `GradientDescent`.

    Raises
    ------
    ConfigError
        As `Adam`, or if the decay is not a finite number of at least 0, or `biases` not True or False; or, at
        construction or in a step, if the learning rate times the decay is above 1.

    Examples
    --------
    >>> from minibackprop import Parameter
    >>> weight, bias = Parameter([[2.0]]), Parameter([2.0])
    >>> for p in (weight, bias):
    ...     p.add(np.zeros_like(p.value))
    >>> AdamW(learning_rate=0.1, weight_decay=0.5).step([weight, bias])
    >>> weight.value, bias.value
    (array([[1.9]]), array([2.]))
    """

    weight_decay: float = field(default=0.01, converter=as_float, validator=is_not_negative)
    biases: bool = field(default=False, validator=is_flag, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not callable(self.learning_rate):
            self._rate()

    def _rate(self) -> float:
        """Compute the learning rate of the next step."""
        rate = super()._rate()
        if rate * self.weight_decay > 1:
            got = f"{rate} * {self.weight_decay}"
            raise ConfigError("AdamW: learning rate times weight_decay", "at most 1", got)
        return rate

    def update(self, value: Array, grad: Array, slots: tuple[Array, ...], rate: float, step: int, /) -> None:
        """Take one step."""
        if self.biases or value.ndim >= 2:
            value *= 1 - rate * self.weight_decay
        super().update(value, grad, slots, rate, step)
