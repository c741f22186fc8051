"""
A cell reads a sequence one step at a time. It takes the input x of a step, (N, inputs), and what it made at the
step before: h, which it shows to others, and c, its memory, both (N, units). It makes a new h and a new c.

All begins as in `Dense`: `a = x @ W + h @ U + b`, with W (inputs, 4 units), U (units, 4 units) and b (4 units,).
The columns of a are four blocks, a_i, a_f, a_g and a_o, each (N, units). With s for the sigmoid,

- `i = s(a_i)` is the input gate: how much is written into the memory;
- `f = s(a_f)` is the forget gate: how much of the memory is kept;
- `g = tanh(a_g)` is what is written;
- `o = s(a_o)` is the output gate: how much of the memory is shown;
- `c_new = f * c + i * g`;
- `h_new = o * tanh(c_new)`.

(S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", 1997; f by F. Gers, J. Schmidhuber and F. Cummins,
2000.)

Backward takes dh and dc, the gradients with respect to h_new and c_new, and goes back in two parts.

1. `to_gates` goes back to the blocks of a, and to c. c_new reaches the loss in two ways: by itself, as the memory
   that the next step gets, and through h_new. dc knows of the first way alone, so begin by adding the second.
   Then follow c_new to f, c, i and g, h_new to o, and each gate through its sigmoid or tanh. (The slope of a
   tanh whose output is t is 1 - t^2.)
2. `backward` puts the blocks together again, in their order, and goes on to x, h, W, U and b, as `Dense` does.

A cell is only functions here: the gradients of W, U and b are returned, in place of `self.W.add(...)`. The last
line of each function says which names it needs. `*` is entry by entry.
"""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def forward(x, h, c, W, U, b):
    """Take one step: give the new h, the new c, and the cache."""
    a_i, a_f, a_g, a_o = np.split(x @ W + h @ U + b, 4, axis=1)
    ### BEGIN SOLUTION
    i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
    c_new = f * c + i * g
    h_new = o * np.tanh(c_new)
    ### END SOLUTION
    return h_new, c_new, ((x, h, W, U), (c, i, f, g, o, c_new))


def to_gates(dh, dc, inner):
    """Go back to the four blocks of a, and to c."""
    c, i, f, g, o, c_new = inner
    ### BEGIN SOLUTION
    shown = np.tanh(c_new)
    dc = dc + dh * o * (1 - shown**2)
    da_i = dc * g * i * (1 - i)
    da_f = dc * c * f * (1 - f)
    da_g = dc * i * (1 - g**2)
    da_o = dh * shown * o * (1 - o)
    dc_before = dc * f
    ### END SOLUTION
    return da_i, da_f, da_g, da_o, dc_before


def backward(dh, dc, cache):
    """Go back through the step, with respect to x, h, c, W, U and b."""
    (x, h, W, U), inner = cache
    da_i, da_f, da_g, da_o, dc_before = to_gates(dh, dc, inner)
    ### BEGIN SOLUTION
    da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
    dx, dh_before = da @ W.T, da @ U.T
    dW, dU, db = x.T @ da, h.T @ da, da.sum(axis=0)
    ### END SOLUTION
    return dx, dh_before, dc_before, dW, dU, db
