"""`TorchLayer`: a function or module of PyTorch as a layer, so that `check_layer` checks it.

Imported on request only: ``from minibackprop.testing.torch import TorchLayer``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minibackprop.errors import ConfigError, ContractError, ShapeError, describe
from minibackprop.state import Buffer, Parameter
from minibackprop.testing.adapters import Adapter, Held, require_inputs
from minibackprop.validation import Array

try:
    import torch
    from torch import nn
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError("minibackprop.testing.torch needs PyTorch: pip install torch", name="torch") from error


class TorchLayer(Adapter):
    """
    A function or module of PyTorch as a layer: forward is its forward, backward what autograd makes of it.

    Parameters
    ----------
    function : callable or torch.nn.Module
        Takes one tensor and returns one: ``MyFunction.apply`` of a ``torch.autograd.Function``, any function of it, or
        a module. The parameters and buffers of a module are copied, and have the names that they have there; those that
        require no gradient are frozen. It is in training mode in `forward`, in evaluation mode in `predict` and where
        the layer is frozen.
    stochastic, couples_samples, alters_gradient : str
        The reasons for which forward draws random numbers (of torch, seeded anew for each call), a sample's result
        depends on the others, or backward is not meant to be the gradient. Dropout and batch normalization within a
        module are found by their types, the reasons given here are added.

    Raises
    ------
    ConfigError
        If `function` is neither a function nor a module, or takes more than one tensor.
    ShapeError
        In `forward` and `predict`, if torch refuses the shape of the input.
    ContractError
        If something else than one tensor is returned.

    Notes
    -----
    Input and upstream gradient are handed over as copies with the same layout in memory, where torch knows it (random
    masks follow the layout, so for what is stochastic the input is contiguous). If torch writes to them, so does the
    layer to its arguments, and read-only ones raise a ValueError. Integers have no gradient.

    Examples
    --------
    >>> import torch
    >>> from minibackprop.testing import check_layer
    >>> layer = TorchLayer(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh()))
    >>> [name for name, _ in layer.named_parameters()]
    ['0.weight', '0.bias']
    >>> report = check_layer(lambda: TorchLayer(torch.nn.Softplus()), (3,), examples=2)
    >>> "input gradient" in report.kept
    True
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        stochastic: str = "",
        couples_samples: str = "",
        alters_gradient: str = "",
    ) -> None:
        module = function if isinstance(function, nn.Module) else None
        parts = () if module is None else tuple(module.modules())
        super().__init__(
            _named(function),
            Held(function, shared=module is None),
            {} if module is None else _arrays(module),
            stochastic=[stochastic, *(f"{_kind(part)} draws random numbers" for part in parts if _draws(part))],
            couples_samples=[couples_samples, *(f"{_kind(part)} uses the batch" for part in parts if _couples(part))],
            alters_gradient=[alters_gradient],
        )
        self.rng = np.random.default_rng(0)

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        """Compute ``(y, cache)`` in training mode; the cache holds the graph that autograd goes back through."""
        tensors = self._bind(training=not self.frozen)
        leaf = torch.from_numpy(np.array(x, order="C"))
        leaf.requires_grad_(x.dtype.kind == "f")
        with torch.enable_grad(), _one_thread(), _seeded(int(self.rng.integers(2**63))):
            # Not the leaf itself, which torch refuses to write to: it is to be seen who writes to arguments.
            lent = leaf.clone() if self.stochastic else _laid_out(leaf, x)
            y = self._call(lent, x)
        self._keep(tensors)
        return y.detach().numpy(), (x, leaf, lent, y, tensors)

    def predict(self, x: Array, /) -> Array:
        """Compute the result in evaluation mode."""
        tensors = self._bind(training=False)
        with torch.no_grad(), _one_thread():
            y: Array = self._call(_laid_out(torch.from_numpy(np.array(x, order="C")), x), x).numpy()
        self._keep(tensors)
        return y

    def backward(self, grad: Array, cache: Any, /) -> Array | None:
        """Let autograd compute the gradients."""
        x, leaf, lent, y, tensors = cache
        if grad.shape != tuple(y.shape):
            raise ShapeError(repr(self), f"a gradient of shape {tuple(y.shape)}", str(grad.shape))
        pairs = [(self.arrays[name], tensor) for name, tensor in tensors.items()]
        wanted = [(array, tensor) for array, tensor in pairs if isinstance(array, Parameter) and not array.frozen]
        inputs = [*(tensor for _, tensor in wanted), *([leaf] if leaf.requires_grad else [])]
        upstream = _laid_out(torch.from_numpy(np.array(grad, order="C")), grad)
        found: Any = [None] * len(inputs)
        if inputs and y.requires_grad:
            with _one_thread():
                found = torch.autograd.grad(y, inputs, upstream, retain_graph=True, allow_unused=True)
        _hand_back(upstream, grad)
        _hand_back(lent, x)
        filled = (torch.zeros_like(i) if g is None else g.to_dense() for i, g in zip(inputs, found, strict=True))
        values = [gradient.detach().numpy() for gradient in filled]
        for (parameter, _), value in zip(wanted, values, strict=False):
            parameter.add(value.copy())
        return values[-1] if leaf.requires_grad else None

    def _bind(self, *, training: bool) -> dict[str, Any]:
        """Put the module into a mode, with tensors that share memory with the arrays of the layer; give these."""
        module = self.held.value
        if not isinstance(module, nn.Module):
            return {}
        module.train(training)
        tensors: dict[int, Any] = {}
        for name, buffer in self.arrays.items():
            if id(buffer) not in tensors:
                tensor = torch.from_numpy(buffer.value)
                if isinstance(buffer, Parameter):
                    tensor = nn.Parameter(tensor)  # Frozen or not, since torch computes otherwise without a gradient.
                tensors[id(buffer)] = tensor
            owner, _, last = name.rpartition(".")
            setattr(module.get_submodule(owner), last, tensors[id(buffer)])
        return {name: tensors.pop(id(buffer)) for name, buffer in self.arrays.items() if id(buffer) in tensors}

    def _keep(self, tensors: dict[str, Any]) -> None:
        """Keep what the module has put into the place of a buffer; what is written into one is in its memory."""
        for name, tensor in tensors.items():
            owner, _, last = name.rpartition(".")
            now = getattr(self.held.value.get_submodule(owner), last)
            if now is not tensor:
                self.arrays[name].value = now.detach().numpy().copy()

    def _call(self, lent: Any, x: Array) -> Any:
        """Call the function with a copy of x, and require one tensor."""
        with self._refusing(x):
            y = self.held.value(lent)
        if not isinstance(y, torch.Tensor):
            raise ContractError(repr(self), f"return one tensor ({_WRAP})", describe(y))
        _hand_back(lent, x)
        return y

    def _members(self) -> Iterator[tuple[str, object]]:
        """Add what the modules hold beside parameters and buffers, which no pass may change."""
        yield from super()._members()
        if isinstance(module := self.held.value, nn.Module):
            for path, part in module.named_modules():
                for name, value in vars(part).items():
                    if not name.startswith("_") and name != "training":
                        plain = value.detach().numpy() if isinstance(value, torch.Tensor) else value
                        yield f"{path}.{name}" if path else name, plain


#: What to do about several tensors.
_WRAP = "wrap it in a function, or in a module where there are parameters, of one tensor that returns one"


def _named(function: Any) -> str:
    """Require a function of one tensor or a module, and name it."""
    if _is_function(function):
        raise ConfigError("TorchLayer", f"a function: {function.__name__}.apply", describe(function))
    if isinstance(function, type) or not callable(function):
        raise ConfigError("TorchLayer", "a function of torch, or an instance of torch.nn.Module", describe(function))
    owner: Any = getattr(function, "__self__", None)
    if isinstance(owner, nn.Module):
        raise ConfigError("TorchLayer", "the module itself, for its parameters", f"its method {function.__name__}")
    name, takes, count = getattr(function, "__name__", type(function).__name__), function, 1
    if isinstance(function, nn.Module):
        name, takes = type(function).__name__, function.forward
    elif _is_function(owner):
        # Its forward has the context as its first argument, unless a method of its own sets that up.
        with_context = owner.setup_context is torch.autograd.Function.setup_context
        name, takes, count = owner.__name__, owner.forward, 2 if with_context else 1
    require_inputs(f"TorchLayer: {name}", takes, count, f"a function of one tensor ({_WRAP})")
    return name


def _is_function(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, torch.autograd.Function)


def _arrays(module: Any) -> dict[str, Buffer]:
    """Copy the parameters and buffers of a module; what it has under two names is one."""
    found: dict[int, Buffer] = {}
    arrays = {}
    for kind, named in ((Parameter, module.named_parameters), (Buffer, module.named_buffers)):
        for name, tensor in named(remove_duplicate=False):
            if id(tensor) not in found:
                found[id(tensor)] = buffer = kind(tensor.detach().cpu().numpy())
                if isinstance(buffer, Parameter):
                    buffer.frozen = not tensor.requires_grad
            arrays[name] = found[id(tensor)]
    return arrays


def _kind(part: object) -> str:
    return type(part).__name__


def _draws(part: Any) -> bool:
    """Tell whether a module is one of torch's that draw random numbers."""
    if isinstance(part, (nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)):
        return True
    if isinstance(part, nn.modules.dropout._DropoutNd):
        return bool(part.p)
    return isinstance(part, (nn.RNNBase, nn.MultiheadAttention)) and bool(part.dropout)


def _couples(part: Any) -> bool:
    """Tell whether a module is one of torch's that normalize by the batch, or by what they have seen of batches."""
    if isinstance(part, nn.modules.instancenorm._InstanceNorm):
        return bool(part.track_running_stats)
    return isinstance(part, nn.modules.batchnorm._BatchNorm)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread: for arrays as small as these, waiting for others takes many times longer."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the random numbers of torch, and put their generator back to where it was."""
    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(before)


def _laid_out(tensor: Any, like: Array) -> Any:
    """Copy a tensor into the layout of an array; a layout that torch does not know becomes contiguous."""
    steps = [step // like.itemsize for step in like.strides]
    if any(step < 0 or step % like.itemsize for step in like.strides):
        return tensor.clone()
    if 0 in steps:  # An expanded tensor, whose rows are the same memory. Its gradient would be that of one of them.
        rows = tuple(slice(1) if step == 0 else slice(None) for step in steps)
        return tensor.clone() if tensor.requires_grad else tensor[rows].expand(tensor.shape)
    return torch.empty_strided(like.shape, steps, dtype=tensor.dtype).copy_(tensor)


def _hand_back(lent: Any, array: Array) -> None:
    """Write to an array what was written to the tensor that was made of it: a copy is to hide nothing."""
    now = lent.detach().numpy()
    if not np.array_equal(now, array, equal_nan=array.dtype.kind == "f"):
        array[...] = now
