"""The plain recurrent cell beside its equations."""

import numpy as np

from minibackprop import RNN
from tests.random_models import gradients


def test_rnn_is_its_equations() -> None:
    """Forward and backward are the equations of the docstring, step by step."""
    rng = np.random.default_rng(0)
    layer, (x, grad) = RNN(2, 2), rng.normal(size=(2, 3, 5, 2))
    for parameter in layer.parameters():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    W, U, b = (parameter.value for parameter in layer.parameters())
    h = np.zeros((6, 3, 2))
    for t in range(5):
        h[t] = np.tanh(x[:, t] @ W + b + h[t - 1] @ U)
    y, cache = layer.forward(x)
    np.testing.assert_allclose(y, h[:5].swapaxes(0, 1), rtol=1e-12)
    dx, dh = np.zeros_like(x), np.zeros_like(h)
    dW, dU, db = (np.zeros_like(value) for value in (W, U, b))
    for t in reversed(range(5)):
        dh[t] += grad[:, t]
        da = dh[t] * (1 - h[t] ** 2)
        dh[t - 1] += da @ U.T
        dx[:, t] = da @ W.T
        dW += x[:, t].T @ da
        dU += h[t - 1].T @ da
        db += da.sum(axis=0)
    np.testing.assert_allclose(layer.backward(grad, cache), dx, rtol=1e-10)
    for found, expected in zip(gradients(layer), (dW, dU, db), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
