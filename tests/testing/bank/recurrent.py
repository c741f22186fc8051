"""Plain recurrent layers: what is carried from step to step, and back."""

import numpy as np

from minibackprop import Layer, Parameter
from tests.testing.bank.pieces import draw, require_sequences
from tests.testing.bank.planting import planted


class Recurrent(Layer):
    """Correct: ``h[t] = tanh(x[t] @ W + h[t - 1] @ U + b)``, of all steps; h starts at zero."""

    def __init__(self, n: int = 2, m: int = 3) -> None:
        self.n, self.m = n, m
        self.W = Parameter(draw(n, m) / 2)
        self.U = Parameter(draw(m, m, seed=1) / 2)
        self.b = Parameter(draw(m, seed=2) / 2)

    def forward(self, x):
        require_sequences(x, self.n)
        states = [np.zeros((len(x), self.m), np.result_type(x, self.W.value), like=x)]
        for t in range(x.shape[1]):
            states.append(np.tanh(x[:, t] @ self.W.value + states[-1] @ self.U.value + self.b.value))
        return np.stack(states[1:], axis=1), (x, states)

    def backward(self, grad, cache):
        x, states = cache
        grad, back = self.upstream(grad, x), np.zeros(x.shape, grad.dtype, like=grad)
        W, U, b = (np.zeros_like(parameter.value) for parameter in (self.W, self.U, self.b))
        later = np.zeros_like(states[0])
        for t in self.steps_back(x):
            total = grad[:, t] + later
            inner = total * self.slope(states, t)
            W += x[:, t].T @ inner
            U += self.state_of_weight(states, t).T @ inner
            b = self.of_bias(b, inner)
            back[:, t] = inner @ self.W.value.T
            later = self.carried(total, inner)
        self.W.add(W)
        self.U.add(U)
        self.b.add(b)
        return back

    def upstream(self, grad, x):
        return grad

    def steps_back(self, x):
        return reversed(range(x.shape[1]))

    def slope(self, states, t):
        return 1 - states[t + 1] ** 2

    def state_of_weight(self, states, t):
        return states[t]

    def of_bias(self, b, inner):
        return b + inner.sum(axis=0)

    def carried(self, total, inner):
        return inner @ self.U.value.T


@planted(
    "recurrent gradient stops at each step",
    Recurrent,
    (3, 2),
    laws="input gradient, parameter gradient",
    cause="wrong from step to step: nothing is carried",
)
class RecurrentStops(Recurrent):
    """Nothing is carried to the step before. Wanted cause: right at the last step only, nothing is carried back."""

    def carried(self, total, inner):
        return np.zeros_like(inner)


@planted("recurrent slope at the state before", Recurrent, (3, 2), laws="input gradient")
class RecurrentSlopeBefore(Recurrent):
    """The slope of tanh is taken at the state that the step began with. Wanted cause: none that can be told."""

    def slope(self, states, t):
        return 1 - states[t] ** 2


@planted(
    "recurrent gradient carried around tanh",
    Recurrent,
    (3, 2),
    laws="input gradient",
    cause="right in one place along axis 1 only: the last | wrong from step to step",
)
class RecurrentAroundTanh(Recurrent):
    """What is carried back leaves out the slope of tanh. Wanted cause: right at the last step only."""

    def carried(self, total, inner):
        return total @ self.U.value.T


@planted(
    "recurrent weight gradient with the state after",
    Recurrent,
    (3, 2),
    laws="parameter gradient",
    cause="one parameter wrong: U",
)
class RecurrentStateAfter(Recurrent):
    """The gradient of U is taken with the state that the step ends with. Wanted cause: one parameter wrong, U."""

    def state_of_weight(self, states, t):
        return states[t + 1]


@planted(
    "recurrent weight not transposed",
    Recurrent,
    (3, 2),
    laws="input gradient",
    cause="right in one place along axis 1 only: the last | wrong from step to step | right only where U is symmetric",
)
class RecurrentNotTransposed(Recurrent):
    """``@ U`` for ``@ U.T``, which is square. Wanted cause: right at the last step only."""

    def carried(self, total, inner):
        return inner @ self.U.value


@planted(
    "recurrent upstream gradient of the last step only",
    Recurrent,
    (3, 2),
    laws="input gradient",
    cause="places 0, 1 of 3, which are left out",
)
class RecurrentLastUpstream(Recurrent):
    """backward was written for the last state, forward returns all. Wanted cause: part of upstream gradient ignored."""

    def upstream(self, grad, x):
        last = np.zeros_like(grad)
        last[:, -1] = grad[:, -1]
        return last


@planted(
    "recurrent loop misses the first step",
    Recurrent,
    (3, 2),
    laws="input gradient",
    cause="wrong for one place along axis 1: the first",
)
class RecurrentFirstStep(Recurrent):
    """The loop back ends at step 1. Wanted cause: wrong for one row, the first step."""

    def steps_back(self, x):
        return range(x.shape[1] - 1, 0, -1)


@planted(
    "recurrent bias gradient of one step", Recurrent, (3, 2), laws="parameter gradient", cause="one parameter wrong: b"
)
class RecurrentBiasOnce(Recurrent):
    """``=`` for ``+=``: the bias has the gradient of the first step alone. Wanted cause: one parameter wrong, b."""

    def of_bias(self, b, inner):
        return inner.sum(axis=0)


class LastState(Recurrent):
    """Correct: only the last state is returned."""

    def forward(self, x):
        y, cache = super().forward(x)
        return y[:, -1], cache

    def upstream(self, grad, x):
        spread = np.zeros((*x.shape[:2], self.m), grad.dtype, like=grad)
        spread[:, -1] = grad
        return spread


@planted(
    "gradient of the last state at each step",
    LastState,
    (3, 2),
    laws="input gradient",
    cause="right in one place along axis 1 only: the last",
)
class LastStateEachStep(LastState):
    """The gradient of the last state is broadcast to all steps. Wanted cause: right at the last step only."""

    def upstream(self, grad, x):
        return np.repeat(grad[:, None], x.shape[1], axis=1)


class FromBehind(Recurrent):
    """Correct: the sequence is read from its end, as half of a bidirectional layer does."""

    def forward(self, x):
        y, cache = super().forward(x[:, ::-1])
        return y[:, ::-1], cache

    def upstream(self, grad, x):
        return grad[:, ::-1]

    def backward(self, grad, cache):
        return super().backward(grad, cache)[:, ::-1]


@planted("reversed sequence not turned back", FromBehind, (3, 2), laws="input gradient", cause="reversed along axis 1")
class FromBehindNotTurned(FromBehind):
    """The input gradient is left in the order of the reversed sequence. Wanted cause: axis reversed, permuted."""

    def backward(self, grad, cache):
        return Recurrent.backward(self, grad, cache)


class Clockwork(Recurrent):
    """Correct: the second and third unit keep their state at every second step."""

    def forward(self, x):
        require_sequences(x, self.n)
        states = [np.zeros((len(x), self.m), np.result_type(x, self.W.value), like=x)]
        for t in range(x.shape[1]):
            new = np.tanh(x[:, t] @ self.W.value + states[-1] @ self.U.value + self.b.value)
            states.append(np.where(self.moves(t), new, states[-1]))
        return np.stack(states[1:], axis=1), (x, states)

    def moves(self, t):
        return np.arange(self.m, like=self.b.value) < (1 if t % 2 else self.m)

    def backward(self, grad, cache):
        x, states = cache
        back = np.zeros(x.shape, grad.dtype, like=grad)
        W, U, b = (np.zeros_like(parameter.value) for parameter in (self.W, self.U, self.b))
        later = np.zeros_like(states[0])
        for t in reversed(range(x.shape[1])):
            total = grad[:, t] + later
            inner = self.moved(total, t) * (1 - states[t + 1] ** 2)
            W += x[:, t].T @ inner
            U += states[t].T @ inner
            b += inner.sum(axis=0)
            back[:, t] = inner @ self.W.value.T
            later = inner @ self.U.value.T + self.kept(total, t)
        self.W.add(W)
        self.U.add(U)
        self.b.add(b)
        return back

    def moved(self, total, t):
        return np.where(self.moves(t), total, 0)

    def kept(self, total, t):
        return np.where(self.moves(t), 0, total)


@planted("kept state's gradient lost", Clockwork, (3, 2), laws="input gradient", cause="wrong from step to step")
class ClockworkKeptLost(Clockwork):
    """What a unit keeps at a masked step has no way back. Wanted cause: term missing, mask in one direction only."""

    def kept(self, total, t):
        return np.zeros_like(total)


@planted(
    "clockwork mask in forward only",
    Clockwork,
    (3, 2),
    laws="input gradient",
    cause="right in one place along axis 1 only: the last",
)
class ClockworkMaskForward(Clockwork):
    """A unit that kept its state gets the gradient of one that moved. Wanted cause: mask in one direction only."""

    def moved(self, total, t):
        return total


class Decay(Layer):
    """Correct: ``y[t] = a * y[t - 1] + x[t]``, with a learned a for each feature."""

    def __init__(self, n: int = 2) -> None:
        self.n = n
        self.a = Parameter(np.full(n, 0.5))

    def forward(self, x):
        require_sequences(x, self.n)
        y = x + np.zeros_like(self.a.value)
        for t in range(1, x.shape[1]):
            y[:, t] += self.a.value * y[:, t - 1]
        return y, y

    def backward(self, grad, y):
        back = grad + np.zeros_like(self.a.value)
        for t in reversed(range(y.shape[1] - 1)):
            back[:, t] += self.a.value * back[:, t + 1]
        self.a.add((self.of_product(grad, back)[:, 1:] * y[:, :-1]).sum(axis=(0, 1)))
        return back

    def of_product(self, grad, back):
        return back


@planted(
    "decay's gradient takes the last result for a constant",
    Decay,
    (4, 2),
    laws="parameter gradient",
    cause="right only where a is zero",
)
class DecayDirect(Decay):
    """Only the way of a into its own step counts, not that through y[t - 1]. Wanted cause: term missing."""

    def of_product(self, grad, back):
        return grad
