"""The gated recurrent unit beside its equations."""

import numpy as np

from minibackprop import GRU, Constant
from tests.random_models import gradients


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def test_gru_is_its_equations() -> None:
    """Forward and backward are the equations of the docstring, step by step."""
    rng = np.random.default_rng(0)
    layer, (x, grad) = GRU(2, 2), rng.normal(size=(2, 3, 5, 2))
    for parameter in layer.parameters():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    W, U, b, c = (parameter.value for parameter in layer.parameters())
    h, tape = np.zeros((6, 3, 2)), []
    for t in range(5):
        r, z, n = np.split(x[:, t] @ W + b, 3, axis=1)
        hU_r, hU_z, hU_n = np.split(h[t - 1] @ U, 3, axis=1)
        r, z, q = sigmoid(r + hU_r), sigmoid(z + hU_z), hU_n + c
        n = np.tanh(n + r * q)
        h[t] = (1 - z) * n + z * h[t - 1]
        tape.append((r, z, q, n))
    y, cache = layer.forward(x)
    np.testing.assert_allclose(y, h[:5].swapaxes(0, 1), rtol=1e-12)
    dx, dh = np.zeros_like(x), np.zeros_like(h)
    dW, dU, db, dc = (np.zeros_like(value) for value in (W, U, b, c))
    for t in reversed(range(5)):
        r, z, q, n = tape[t]
        dh[t] += grad[:, t]
        da_n = dh[t] * (1 - z) * (1 - n**2)
        da_z = dh[t] * (h[t - 1] - n) * z * (1 - z)
        da_r = da_n * q * r * (1 - r)
        dq = da_n * r
        by_state = np.concatenate([da_r, da_z, dq], axis=1)
        by_input = np.concatenate([da_r, da_z, da_n], axis=1)
        dh[t - 1] += dh[t] * z + by_state @ U.T
        dx[:, t] = by_input @ W.T
        dW += x[:, t].T @ by_input
        dU += h[t - 1].T @ by_state
        db += by_input.sum(axis=0)
        dc += dq.sum(axis=0)
    np.testing.assert_allclose(layer.backward(grad, cache), dx, rtol=1e-10)
    for found, expected in zip(gradients(layer), (dW, dU, db, dc), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_open_gates_remember() -> None:
    """With gates that keep, what the first step says is still there after 100 steps."""
    layer = GRU(1, 1, init=Constant(0), recurrent_init=Constant(0))
    layer.weight.value[0, 1:] = [-40, 5]  # z keeps, but where x is 1.
    layer.bias.value[1] = 20
    x = np.zeros((1, 100, 1))
    x[0, 0] = 1
    y = layer.predict(x)
    assert y[0, 0, 0] > 0.4
    np.testing.assert_allclose(y, y[0, 0, 0], rtol=1e-3)
