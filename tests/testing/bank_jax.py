"""
Planted bugs of functions of JAX with derivatives of their own, each the slip of one line beside a correct twin.

``python -m tests.testing.bank_jax`` prints which of them ``jax.test_util.check_grads`` finds, as a table for the docs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp
from jax.test_util import check_grads

from minibackprop.testing.jax import JaxLayer
from tests.testing.bank.planting import Planted
from tests.testing.beside_others import table

BANK: list[Planted] = []
#: The same by name, with their parameters if there are any, as ``check_grads`` takes them.
FUNCTIONS: dict[str, tuple[Callable, tuple]] = {}


def custom(function, forward, backward):
    """Make a function with a derivative of its own."""
    made = jax.custom_vjp(function)
    made.defvjp(forward, backward)
    return made


def planted(name, bug, twin, inputs, laws, cause="", params=None):
    """Plant a function beside its twin; the laws in one string."""
    FUNCTIONS[name] = bug, () if params is None else (params,)
    wrong, right = (lambda function=function: JaxLayer(function, params) for function in (bug, twin))
    BANK.append(Planted(name, wrong, right, inputs, tuple(laws.split(", ")), cause))


def square(x):
    return x * x


def kept(x):
    return x * x, x


right_square = custom(square, kept, lambda x, grad: (2 * x * grad,))
planted(
    "factor forgotten",
    custom(square, kept, lambda x, grad: (x * grad,)),
    right_square,
    (3,),
    "input gradient",
    "constant factor",
)
planted(
    "sign flipped",
    custom(square, kept, lambda x, grad: (-2 * x * grad,)),
    right_square,
    (3,),
    "input gradient",
    "sign flipped",
)
planted(
    "upstream gradient ignored",
    custom(square, kept, lambda x, grad: (2 * x + 0 * grad,)),
    right_square,
    (3,),
    "input gradient, linearity",
)
planted(
    "gradient clipped",
    custom(square, kept, lambda x, grad: (2 * x * jnp.clip(grad, -3, 3),)),
    right_square,
    (3,),
    "input gradient, linearity",
)
planted(
    "detour through float32",
    custom(square, kept, lambda x, grad: ((2 * x.astype("float32") * grad).astype(grad.dtype),)),
    right_square,
    (3,),
    "dtype, input gradient",
    "dropped to float32",
)


def tanh_kept(x):
    y = jnp.tanh(x)
    return y, y


right_tanh = custom(jnp.tanh, tanh_kept, lambda y, grad: (grad * (1 - y * y),))
planted(
    "slope of the input",
    custom(jnp.tanh, lambda x: (jnp.tanh(x), x), lambda y, grad: (grad * (1 - y * y),)),
    right_tanh,
    (3,),
    "input gradient",
)
planted(
    "wrong beyond 2.5",
    custom(jnp.tanh, tanh_kept, lambda y, grad: (grad * (1 - y * y) * (jnp.abs(y) < np.tanh(2.5)),)),
    right_tanh,
    (3,),
    "input gradient",
    "wrong for large values only",
)


def softplus(x):
    return jnp.logaddexp(x, 0)


def naive_softplus(x):
    return jnp.log1p(jnp.exp(x))


right_softplus = custom(softplus, lambda x: (softplus(x), x), lambda x, grad: (grad * jax.nn.sigmoid(x),))
planted(
    "overflow",
    custom(naive_softplus, lambda x: (naive_softplus(x), x), lambda x, grad: (grad * jax.nn.sigmoid(x),)),
    right_softplus,
    (3,),
    "finite",
    "overflow",
)
planted(
    "backward overflows",
    custom(softplus, lambda x: (softplus(x), x), lambda x, grad: (grad * jnp.exp(x) / (1 + jnp.exp(x)),)),
    right_softplus,
    (3,),
    "finite",
    "overflow",
)


def softmax(x):
    return jax.nn.softmax(x)


def softmax_kept(x):
    y = softmax(x)
    return y, y


right_softmax = custom(softmax, softmax_kept, lambda y, grad: (y * (grad - (grad * y).sum(-1, keepdims=True)),))
planted(
    "diagonal of the Jacobian",
    custom(softmax, softmax_kept, lambda y, grad: (grad * y * (1 - y),)),
    right_softmax,
    (3,),
    "input gradient",
    "term missing",
)
planted(
    "three axes",
    custom(softmax, softmax_kept, lambda y, grad: (y * (grad - (grad * y).sum(1, keepdims=True)),)),
    right_softmax,
    (3,),
    "leading axes",
)


def softmax_of_samples(x):
    return jax.nn.softmax(x, 0)


planted(
    "softmax over the batch",
    custom(
        softmax_of_samples,
        lambda x: (softmax_of_samples(x),) * 2,
        lambda y, grad: (y * (grad - (grad * y).sum(0, keepdims=True)),),
    ),
    right_softmax,
    (3,),
    "samples independent",
    "samples mixed",
)


def row_by_row(x):
    return jnp.stack([jax.nn.softmax(row) for row in x])  # Of none, there is no stack.


planted(
    "empty batch",
    custom(
        row_by_row,
        lambda x: (row_by_row(x),) * 2,
        lambda y, grad: (y * (grad - (grad * y).sum(-1, keepdims=True)),),
    ),
    right_softmax,
    (3,),
    "batch sizes",
)


def largest(x):
    return x.max(-1, keepdims=True)


def first_largest(x, grad):
    return (grad * jax.nn.one_hot(x.argmax(-1), x.shape[-1], dtype=grad.dtype),)


planted(
    "ties",
    custom(largest, lambda x: (largest(x), x), lambda x, grad: (grad * (x == largest(x)),)),
    custom(largest, lambda x: (largest(x), x), first_largest),
    (3,),
    "input gradient",
    "equal entries each get the whole gradient",
)

TABLE = np.array([1.0, 2.0, 0.5])


def scaled(x):
    return _of_three(x) * TABLE.astype(x.dtype)


def scaled_in_double(x):
    return _of_three(x) * TABLE


def _of_three(x):
    if x.shape[-1:] != (3,):
        raise ValueError(f"three features, not {x.shape}")
    return x


planted("float64 constant", scaled_in_double, scaled, (3,), "dtype", "a float64 constant")


def factors(params, x):
    return _of_three(x) * params


def mean_for_sum(params_x, grad):
    params, x = params_x
    return (grad * x).mean(tuple(range(x.ndim - 1))), grad * params


def sum_of_all(params_x, grad):
    params, x = params_x
    return (grad * x).sum(tuple(range(x.ndim - 1))), grad * params


planted(
    "mean over the batch",
    custom(factors, lambda params, x: (factors(params, x), (params, x)), mean_for_sum),
    custom(factors, lambda params, x: (factors(params, x), (params, x)), sum_of_all),
    (3,),
    "parameter gradient",
    params=np.ones(3),
)
planted(
    "a single feature broadcast",
    lambda params, x: x * params,
    factors,
    (3,),
    "feature count",
    "a single feature is broadcast",
    params=np.ones(3),
)
planted(
    "parameter cut off",
    lambda params, x: _of_three(x) * jax.lax.stop_gradient(params),
    factors,
    (3,),
    "parameter gradient",
    "no gradient reaches",
    params=np.ones(3),
)


def found_by_check_grads(planted_bug: Planted) -> bool:
    """Tell whether ``check_grads`` finds a bug in float64, for a batch of four samples of normal numbers."""
    x = np.random.default_rng(0).normal(size=(4, *planted_bug.inputs))
    function, params = FUNCTIONS[planted_bug.name]
    with jax.enable_x64(True):
        try:
            check_grads(function, tuple(map(jnp.asarray, (*params, x))), order=1, modes=["rev"])
        except AssertionError:
            return True
    return False


if __name__ == "__main__":
    print(table(BANK, found_by_check_grads))
