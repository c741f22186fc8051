"""
So far each step went straight against the gradient g: `w - rate * g`. Optimizers that remember earlier gradients
get further. Write one step of two of them, with the formulas of their papers. There, `u <- ...` gives u a new
value, and the lines that follow use it.

1. Momentum (B. Polyak, 1964, in the form of I. Sutskever and others, 2013) remembers a velocity u, which is 0 at
first. `momentum_step` returns the new w and u.
    - `u <- mu * u - rate * g`
    - `w <- w + u`

2. Adam (D. Kingma and J. Ba, 2015) remembers two means, of the gradients and of their squares, in which older
ones count less and less. They are m and v, and both are 0 at first. t is the number of the step: 1, 2 and so on.
`adam_step` returns the new w, m and v.
    - `m <- beta1 * m + (1 - beta1) * g`
    - `v <- beta2 * v + (1 - beta2) * g^2`
    - `m' = m / (1 - beta1^t)` and `v' = v / (1 - beta2^t)`
    - `w <- w - rate * m' / (sqrt(v') + epsilon)`

Since m and v begin with 0, they are too small in the first steps. The third line mends that: it is the paper's
*bias correction*. It is for this step only, and m and v are remembered without it.

The arrays w, g, u, m and v have one shape, and each entry is computed on its own. Leave the arrays that come in
as they are, and return new ones.
"""

import numpy as np


def momentum_step(w, g, u, rate=0.01, mu=0.9):
    """Take one step with momentum."""
    ### BEGIN SOLUTION
    u = mu * u - rate * g
    w = w + u
    return w, u
    ### END SOLUTION


def adam_step(w, g, m, v, t, rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Take step number t of Adam."""
    ### BEGIN SOLUTION
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    w = w - rate * m_hat / (np.sqrt(v_hat) + epsilon)
    return w, m, v
    ### END SOLUTION
