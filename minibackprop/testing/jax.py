"""`JaxLayer`: a function of JAX as a layer, so that `check_layer` checks its `jax.custom_vjp`.

Imported on request only: ``from minibackprop.testing.jax import JaxLayer``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minibackprop.errors import ConfigError, ContractError, ShapeError, describe
from minibackprop.state import Buffer, Parameter
from minibackprop.testing.adapters import Adapter, Held, require_inputs
from minibackprop.validation import Array, require_flag

try:
    import jax
except ModuleNotFoundError as error:
    if error.name != "jax":
        raise
    raise ModuleNotFoundError("minibackprop.testing.jax needs JAX: pip install jax", name="jax") from error


class JaxLayer(Adapter):
    """
    A function of JAX as a layer: forward is the function, backward is what `jax.vjp` makes of it.

    Parameters
    ----------
    function : callable
        Takes one array and returns one; with `params`, ``function(params, x)``. Further arguments are bound before:
        ``lambda x: function(x, 0.1)``.
    params : pytree, optional
        Floating-point arrays or numbers in lists, tuples and dicts: the parameters, copied, and named by their path,
        ``"0.weight"``.
    jit : bool
        Whether `jax.jit` compiles it, once for each shape. A function of which that is not possible, since it branches
        by values, takes False.
    stochastic, couples_samples, alters_gradient : str
        The reasons for which forward draws random numbers, a sample's result depends on the others, or backward is not
        meant to be the gradient.

    Raises
    ------
    ConfigError
        If `function` is no function of one array, or an entry of `params` is not floating-point.
    ShapeError
        In `forward` and `predict`, if JAX refuses the shape of the input.
    ContractError
        If something else than one array is returned.

    Notes
    -----
    JAX computes in float64 here (its mode x64) where the input is, whatever the setting elsewhere. Integers have no
    gradient.

    Examples
    --------
    >>> import jax
    >>> from minibackprop.testing import check_layer
    >>> layer = JaxLayer(lambda params, x: x @ params["weight"], {"weight": np.ones((3, 2))})
    >>> layer.named_parameters()
    [('weight', Parameter(shape=(3, 2), dtype=float64))]
    >>> report = check_layer(lambda: JaxLayer(jax.nn.softplus), (3,), examples=2)
    >>> "input gradient" in report.kept
    True
    """

    def __init__(
        self,
        function: Callable[..., Any],
        params: Any = None,
        *,
        jit: bool = True,
        stochastic: str = "",
        couples_samples: str = "",
        alters_gradient: str = "",
    ) -> None:
        if isinstance(function, type) or not callable(function):
            raise ConfigError("JaxLayer", "a function of JAX", describe(function))
        require_flag("JaxLayer: jit", jit)
        name = getattr(function, "__name__", type(function).__name__)
        what = "function(x)" if params is None else "function(params, x)"
        remedy = f"a function of one array, {what} (bind what else it takes: lambda x: f(x, 0.1))"
        require_inputs(f"JaxLayer: {name}", function, 1 if params is None else 2, remedy)
        leaves, tree = jax.tree_util.tree_flatten_with_path(params)
        arrays: dict[str, Buffer] = {}
        for path, leaf in leaves:
            place = jax.tree_util.keystr(path, simple=True, separator=".") or "params"
            value = np.asarray(leaf)
            if value.dtype.kind != "f":
                raise ConfigError(f"JaxLayer: {place}", "floating-point parameters", describe(leaf))
            arrays[place] = Parameter(value)
        declared = {"stochastic": [stochastic], "couples_samples": [couples_samples]}
        held = Held((function, tree, params is not None), shared=True)
        super().__init__(name, held, arrays, alters_gradient=[alters_gradient], **declared)
        self.jit = jit

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        """Compute ``(y, cache)``; the cache holds the function that JAX made for the way back."""
        function, tree, parametrized = self.held.value
        params = jax.tree_util.tree_unflatten(tree, [buffer.value for buffer in self.arrays.values()])
        made = _compiled_vjp if self.jit else _vjp
        with _float64(), self._refusing(x):
            y, back = made(function, parametrized, params, x)
        if not isinstance(y, jax.Array):
            raise ContractError(repr(self), "return one array", describe(y))
        return np.array(y), (back, y.shape, x.dtype.kind)

    def predict(self, x: Array, /) -> Array:
        """Compute the same result as `forward`."""
        return self.forward(x)[0]

    def backward(self, grad: Array, cache: Any, /) -> Array | None:
        """Let the function made by `jax.vjp` compute the gradients."""
        back, shape, kind = cache
        if grad.shape != shape:
            raise ShapeError(repr(self), f"a gradient of shape {shape}", str(grad.shape))
        with _float64():
            of_params, of_x = (_compiled_back if self.jit else _back)(back, grad)
        gradients = jax.tree_util.tree_leaves(of_params)
        for parameter, gradient in zip(self.parameters(), gradients, strict=True):
            parameter.add(np.array(gradient))
        return np.array(of_x) if kind == "f" else None


def _vjp(function: Callable[..., Any], parametrized: bool, params: Any, x: Any) -> Any:
    """Compute a function's result, and make the function that sends gradients back."""
    arrays = jax.tree_util.tree_map(jax.numpy.asarray, (params, x))
    return jax.vjp(function if parametrized else lambda _, x: function(x), *arrays)


def _back(back: Callable[[Any], Any], grad: Any) -> Any:
    return back(grad)


#: Compiled once for each function, however many layers are made of it.
_compiled_vjp = partial(jax.jit, static_argnums=(0, 1))(_vjp)
_compiled_back = jax.jit(_back)


def _float64() -> Any:
    """Let JAX compute in float64, where the arrays are."""
    return (jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64)(True)
