"""Long short-term memory beside its equations."""

import numpy as np

from minibackprop import LSTM, Constant
from tests.random_models import gradients


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def test_lstm_is_its_equations() -> None:
    """Forward and backward are the equations of the docstring, step by step."""
    rng = np.random.default_rng(0)
    layer, (x, grad) = LSTM(2, 2), rng.normal(size=(2, 3, 5, 2))
    for parameter in layer.parameters():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    W, U, b = (parameter.value for parameter in layer.parameters())
    h, c, tape = np.zeros((6, 3, 2)), np.zeros((6, 3, 2)), []
    for t in range(5):
        i, f, g, o = np.split(x[:, t] @ W + b + h[t - 1] @ U, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c[t] = f * c[t - 1] + i * g
        h[t] = o * np.tanh(c[t])
        tape.append((i, f, g, o))
    y, cache = layer.forward(x)
    np.testing.assert_allclose(y, h[:5].swapaxes(0, 1), rtol=1e-12)
    dx, dh, dc = np.zeros_like(x), np.zeros_like(h), np.zeros_like(c)
    dW, dU, db = (np.zeros_like(value) for value in (W, U, b))
    for t in reversed(range(5)):
        i, f, g, o = tape[t]
        dh[t] += grad[:, t]
        dc[t] += dh[t] * o * (1 - np.tanh(c[t]) ** 2)
        da_i = dc[t] * g * i * (1 - i)
        da_f = dc[t] * c[t - 1] * f * (1 - f)
        da_g = dc[t] * i * (1 - g**2)
        da_o = dh[t] * np.tanh(c[t]) * o * (1 - o)
        dc[t - 1] = dc[t] * f
        da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
        dh[t - 1] += da @ U.T
        dx[:, t] = da @ W.T
        dW += x[:, t].T @ da
        dU += h[t - 1].T @ da
        db += da.sum(axis=0)
    np.testing.assert_allclose(layer.backward(grad, cache), dx, rtol=1e-10)
    for found, expected in zip(gradients(layer), (dW, dU, db), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_open_gates_remember() -> None:
    """With gates that keep, what the first step says is still there after 100 steps."""
    layer = LSTM(1, 1, init=Constant(0), recurrent_init=Constant(0))
    layer.weight.value[0, 2] = 5
    layer.bias.value[...] = [0, 20, 0, 20]  # f and o are open.
    x = np.zeros((1, 100, 1))
    x[0, 0] = 1
    y = layer.predict(x)
    assert y[0, 0, 0] > 0.4
    np.testing.assert_allclose(y, y[0, 0, 0], rtol=1e-3)
