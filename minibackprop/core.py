"""Arrays that learn, layers that hand gradients back, and the chain that makes a layer of layers.

A layer's ``forward`` returns, beside its result, a *cache*: just enough to send a gradient back. Its ``backward``
takes that cache, adds to the gradients of the layer's own parameters and returns the gradient of its input. A
`Sequential` of layers does the same with a list of caches, so it is a layer too, and backpropagation is what
composition does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeGuard, overload

from attrs import define, field, setters

from minibackprop.errors import ConfigError, ContractError, MinibackpropError, describe
from minibackprop.state import CONTAINERS, Marks, Parameter, Stateful, configuration, copy_with, own_reason, walk
from minibackprop.validation import Array, as_tuple


class _Derived:
    """A class attribute of a layer that is computed from it: from its settings, or from the layers within."""

    def __init__(self, default: object, rule: Callable[[Any], object]) -> None:
        self.default, self.rule = default, rule

    def __get__(self, layer: object | None, owner: type) -> object:
        return self.default if layer is None else self.rule(layer)


def derived(default: object, rule: Callable[[Any], object]) -> Any:
    """Make a declaration that follows from the layer by a rule; asked of the class alone, it is `default`."""
    return _Derived(default, rule)


def _union(name: str) -> Any:
    """Make a declaration that gives the reasons of all layers within, each once, in their order."""

    def reasons(layer: Layer) -> str:
        own = (own_reason(part, name) for part in layers_within(layer))
        return "; ".join(dict.fromkeys(filter(None, own)))

    return derived("", reasons)


class Layer(Stateful, ABC):
    """
    A function that can send a gradient back through itself.

    Write `forward` and `backward` in a plain subclass, and it composes, trains and saves like the built-in layers; no
    decorator, registration or ``super().__init__()`` is needed. Parameters, buffers and inner layers are found
    wherever they are kept: in attributes, also in lists, tuples and dicts.

    The three verbs leave nothing on the layer that another call would read, so a layer may stand twice in a model, and
    several forward passes may be open at once. A cache is good until the parameters change, and as long as nobody
    writes into what `forward` was given or returned: it may hold the same arrays.

    Attributes
    ----------
    stochastic : str
        A class attribute in which a layer declares, by giving the reason, that its `forward` draws random numbers.
        Empty where it does not. A composite's is the union of its parts'; so are those of the next two.
    couples_samples : str
        The same, for a layer in which one sample's result depends on the others'.
    alters_gradient : str
        The same, for a layer whose `backward` is not the gradient of its `forward`.
    leading_axes : bool
        Whether input may have any number of leading axes where a batch has one, as `Dense` takes it.
    trailing_axes : bool
        Whether samples may have any number of axes, as for `BatchNorm`: one without its batch axis passes for a batch.
    integer_input : bool
        Whether the input is integers, as for `Embedding`, whose `backward` returns None. For a model with such a layer,
        `Trainer` leaves them as they are.
    side_inputs : tuple of str
        Names of attributes that `given` sets.
    freezable : bool
        Whether, on a layer that draws or couples, `forward` does what `predict` does where `frozen` is set, with the
        gradient that belongs to that. Else such a layer cannot be frozen.
    synchronizes : bool
        Whether a layer that couples samples takes every sum over samples through ``self.across``, where this is set.
        Then workers may share a batch: each has some of the samples, and the layer's statistics are those of all. A
        subclass with a `forward` or `backward` of its own says so anew.
    across : callable or None
        Set on the copies of the layer that workers have: ``across(array)`` sums an array over all of them.
    aggregation : dict of str
        By the name of each buffer that `forward` changes, or of the list or dict that it stands in, what becomes of it
        where workers share a batch: "mean" is that over the samples, "sum" adds up what they have added, "first" is for
        what is the same for all of them.
    used_up : tuple of str
        Arguments of the constructor that only construction needs: they need not be kept as attributes, and are not
        saved.

    Raises
    ------
    DTypeError
        By the built-in layers: if the input, or the gradient in backward, is not an array of numbers.
    ShapeError
        By the built-in layers: if the input has another shape than they take, or the gradient in backward another than
        the result of forward.

    Notes
    -----
    The built-in layers keep the dtype of their input, and promote as NumPy does where their parameters have another.
    Those with parameters have an argument `dtype`: that of the parameters, float64, float32 or a wider floating-point
    one; and an argument `rng`, which their initial values are drawn from.

    Examples
    --------
    >>> class Square(Layer):
    ...     def forward(self, x):
    ...         return x * x, x
    ...
    ...     def backward(self, grad, x):
    ...         return 2 * x * grad
    >>> square = Square()
    >>> y, cache = square.forward(np.array([[3.0, -1.0]]))
    >>> y
    array([[9., 1.]])
    >>> square.backward(np.array([[1.0, 1.0]]), cache)
    array([[ 6., -2.]])
    """

    stochastic: str = _union("stochastic")
    couples_samples: str = _union("couples_samples")
    alters_gradient: str = _union("alters_gradient")
    leading_axes: bool = False
    trailing_axes: bool = False
    integer_input: bool = False
    side_inputs: tuple[str, ...] = ()
    synchronizes: bool = False
    across: Callable[[Array], Array] | None = None
    aggregation: Mapping[str, str] = MappingProxyType({})
    used_up: tuple[str, ...] = ("rng", "init", "recurrent_init", "dtype")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A parent's predict or accumulate belongs to the parent's forward or backward; it does not fit a newer one. Nor
        # does its word that all sums go through `across`.
        for verb, derived in (
            ("forward", "predict"),
            ("backward", "accumulate"),
            ("forward", "synchronizes"),
            ("backward", "synchronizes"),
        ):
            first = next(owner for owner in cls.__mro__ if verb in vars(owner) or derived in vars(owner))
            if derived not in vars(first):
                setattr(cls, derived, vars(Layer)[derived])

    @abstractmethod
    def forward(self, x: Array, /) -> tuple[Array, Any]:
        """Compute the training pass: ``(y, cache)``, where the cache is what `backward` needs."""

    @abstractmethod
    def backward(self, grad: Array, cache: Any, /) -> Array | Any:
        """
        Send dL/dy = `grad` back: add dL/dp to every parameter p, return dL/dx.

        Neither `grad` nor the cache is written to. A layer with integer input returns None: for type checkers ``Any``
        stands for it, so that a layer of layers need not rule it out before it computes with what its parts return.
        """

    def predict(self, x: Array, /) -> Array:
        """
        Compute the inference pass: nothing remembered, nothing random; by default the result of `forward`.

        Raises
        ------
        ContractError
            If the layer holds other layers and does not define `predict` itself: their `forward` is not their
            `predict`.
        """
        if layers_within(self):
            raise ContractError(
                type(self).__name__, "define predict: it holds layers, whose training pass is not for inference"
            )
        result = self.forward(x)
        if type(result) is not tuple or len(result) != 2:
            raise no_pair(self, result)
        return result[0]

    def __call__(self, x: Array, /) -> Array:
        """Compute ``predict(x)``."""
        return self.predict(x)

    def accumulate(self, grad: Array, cache: Any, /) -> None:
        """Do to the parameters what `backward` does, without the gradient of the input; by default by `backward`."""
        self.backward(grad, cache)

    def _repr_html_(self) -> str:
        """Draw the layer, and those within, as boxes: what a notebook shows."""
        from minibackprop.inspection.boxes import boxes

        return boxes(self)

    def given(self, /, **side_inputs: Array) -> Self:
        """
        Copy the layer with side inputs for a call: arrays beside x that have no gradient, a mask or lengths, say.

        Each is set as the attribute of its name, on the layers within that have it among their `side_inputs`. The copy
        shares everything but the layers themselves with the original: parameters, buffers, other arrays and random
        streams, so that what it learns, both have learned.

        Raises
        ------
        ConfigError
            If no layer takes a side input of that name.

        Examples
        --------
        >>> class Masked(Layer):
        ...     side_inputs = ("mask",)
        ...     mask = None
        ...
        ...     def forward(self, x):
        ...         return (x, 1) if self.mask is None else (x * self.mask, self.mask)
        ...
        ...     def backward(self, grad, mask):
        ...         return grad * mask
        >>> model = Sequential([Masked()])
        >>> model.given(mask=np.array([[1.0], [0.0]])).predict(np.ones((2, 2)))
        array([[1., 1.],
               [0., 0.]])
        """
        shared = (part for _, part in walk(self, object) if not isinstance(part, (Layer, *CONTAINERS)))
        twin = copy_with(self, ((part, part) for part in shared))
        layers = [layer for _, layer in named_layers(twin)]
        for name, value in side_inputs.items():
            takers = [layer for layer in layers if name in layer.side_inputs]
            if not takers:
                known = sorted(side_inputs_of(twin))
                raise ConfigError(f"{type(self).__name__}.given", f"side inputs that a layer takes, {known}", name)
            for layer in takers:
                object.__setattr__(layer, name, value)  # On frozen ones, too.
        return twin


def named_layers(root: Layer) -> Iterator[tuple[str, Layer]]:
    """Find all layers in `root`, itself included: each once, with the first path that leads to it."""
    return walk(root, Layer)  # type: ignore[type-abstract]


def layers_within(layer: Layer) -> list[Layer]:
    """List the layers within `layer`."""
    return [part for _, part in named_layers(layer) if part is not layer]


def no_pair(layer: Layer, result: object) -> ContractError:
    """Make the error for a forward that returned something else than a pair."""
    return ContractError(f"{type(layer).__name__}.forward", "return a pair (y, cache)", describe(result))


def takes_integers(model: Layer) -> bool:
    """Tell whether the input of a model is integers: whether a layer in it takes them, as none returns any."""
    return any(layer.integer_input for layer in (model, *layers_within(model)))


def side_inputs_of(model: Layer) -> set[str]:
    """Collect the names of the side inputs that a model takes: those of the layers in it."""
    return {name for _, layer in named_layers(model) for name in layer.side_inputs}


def are_layers(composite: object, _: object, layers: Any) -> None:
    """Require layers (an attrs validator)."""
    subject = type(composite).__name__
    if not isinstance(layers, tuple):
        raise ConfigError(subject, "a list of layers", describe(layers))
    for index, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise ConfigError(subject, "layers only", f"{describe(layer)} at position {index}")


class Composite(Layer):
    """What layers share that are made of several, kept in a tuple `layers`: their parts are named by position alone."""

    layers: tuple[Layer, ...]

    leading_axes = derived(False, lambda self: all(layer.leading_axes for layer in self.layers))
    trailing_axes = derived(False, lambda self: any(layer.trailing_axes for layer in self.layers))

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __repr__(self) -> str:
        lines = "".join(f"\n{layer!r},".replace("\n", "\n    ") for layer in self.layers)
        others = {name: value for name, value in configuration(self).items() if name != "layers"}
        settings = "".join(f", {name}={value!r}" for name, value in others.items())
        return f"{type(self).__name__}([{lines}{chr(10) if lines else ''}]{settings})"

    def _members(self) -> Iterator[tuple[str, object]]:
        """Name the layers by their position: ``0.weight``."""
        for name, value in super()._members():
            if name == "layers":
                yield from ((str(index), layer) for index, layer in enumerate(self.layers))
            else:
                yield name, value


@define(eq=False, slots=False, repr=False, init=False)
class Sequential(Composite):
    """
    The composition of layers, itself a layer: ``y = f_n(... f_2(f_1(x)))``.

    Forward passes the result of each layer to the next and keeps their caches; backward walks them in reverse. Any
    `Sequential` may stand in another; an empty one is the identity. An error from within names the layer by its
    position, and by its class.

    Parameters
    ----------
    layers : iterable of Layer
        Kept as a tuple. The same object may stand in it more than once.

    Raises
    ------
    ConfigError
        If one of them is not a `Layer`.

    Examples
    --------
    >>> from minibackprop import Dense, Sigmoid
    >>> model = Sequential([Dense(3, 4, rng=0), Sigmoid(), Dense(4, 1, rng=1), Sigmoid()])
    >>> model.predict(np.zeros((5, 3))).shape
    (5, 1)
    >>> len(model), model[1], len(model[:2])
    (4, Sigmoid(), 2)
    >>> model.predict(np.zeros((5, 7)))
    Traceback (most recent call last):
    ...
    minibackprop.errors.ShapeError: layer 0: Dense expects (..., 3), got (5, 7)
    """

    used_up = (*Layer.used_up, "others")  # Which serves an error message only.

    layers: tuple[Layer, ...] = field(converter=as_tuple, validator=are_layers, default=(), on_setattr=setters.frozen)
    # Where training begins, as `_begin` found it; and the marks that were the latest then. Looked for when it is asked
    # for: at construction, layers in chains in layers in chains would be gone through at each level.
    _beginning: ClassVar[tuple[int, tuple[int, ...], object]] = (0, (), None)

    def __init__(self, layers: Iterable[Layer] = (), *others: object) -> None:
        if others:
            raise ConfigError("Sequential", "one list of layers, Sequential([a, b])", f"{1 + len(others)} arguments")
        self.__attrs_init__(layers)

    def forward(self, x: Array, /) -> tuple[Array, list[Any]]:
        """Compute ``(y, caches)``, the caches in the order of the layers."""
        caches: list[Any] = []
        try:
            for layer in self.layers:
                result = layer.forward(x)
                # A batch of two rows would unpack into a result and a cache.
                if type(result) is not tuple or len(result) != 2:
                    raise no_pair(layer, result)
                x, cache = result
                caches.append(cache)
        except Exception as error:
            locate(error, len(caches), layer)
            raise
        return x, caches

    def predict(self, x: Array, /) -> Array:
        """Compute the inference pass of each layer in turn."""
        for index, layer in enumerate(self.layers):
            try:
                x = layer.predict(x)
            except Exception as error:
                locate(error, index, layer)
                raise
        return x

    def backward(self, grad: Array, caches: list[Any], /) -> Array | Any:
        """Send `grad` back through all layers, the last one first."""
        return self._back(grad, [*caches], 0)

    def accumulate(self, grad: Array, caches: list[Any], /) -> None:
        """Send `grad` back as far as the first layer that has parameters: nobody reads what would lie beyond."""
        self._accumulate(grad, [*caches])

    def _accumulate(self, grad: Array, caches: list[Any]) -> None:
        """Do so, and take each cache off the list for the layer that it belongs to."""
        first, without, marks = self._beginning
        if marks is not Marks.latest:
            self._begin()
            first, without, _ = self._beginning
        if without:  # Layers that may have made parameters since.
            first = next((i for i in without if self.layers[i].parameters()), first)
        back = self._back(grad, caches, first + 1)
        if back is not None and first < len(self.layers):
            try:
                self.layers[first].accumulate(back, caches.pop())
            except Exception as error:
                locate(error, first, self.layers[first])
                raise

    def _begin(self) -> None:
        """Find the first layer that has parameters to train; remember those before it that have none, as of now."""
        chains = {id(self): self}
        for chain in (ways := [self]):  # Those within come after, so the innermost are asked first: no recursion.
            within = (layer for layer in chain.layers if _is_chain(layer) and layer._beginning[2] is not Marks.latest)
            new = {id(layer): layer for layer in within if id(layer) not in chains}
            chains |= new
            ways += new.values()
        for chain in reversed(ways):
            layers = chain.layers
            first = next((i for i, layer in enumerate(layers) if _is_trained(layer)), len(layers))
            without = tuple(i for i, layer in enumerate(layers[:first]) if not _has_parameters(layer))
            object.__setattr__(chain, "_beginning", (first, without, Marks.latest))

    def _back(self, grad: Array, caches: list[Any], stop: int) -> Array | Any:
        """
        Send `grad` back through the layers from the last down to number `stop`, or to one that returns None.

        Each cache is taken off the list for its layer, so that who hands in the only list lets go of it.
        """
        if len(caches) != len(self.layers):
            expected = f"be handed the {len(self.layers)} caches of its forward"
            raise ContractError(f"{type(self).__name__}.backward", expected, f"{len(caches)}")
        layers = self.layers
        index = len(layers)
        try:
            while index > stop:
                index -= 1
                back = layers[index].backward(grad, caches.pop())
                if back is None:
                    # Right for integer input; anywhere else a forgotten return, which would leave these untrained.
                    if any(before.parameters() for before in layers[:index]):
                        subject = f"{type(layers[index]).__name__}.backward"
                        raise ContractError(subject, "return a gradient: layers before it have parameters")
                    return None
                grad = back
        except Exception as error:
            locate(error, index, layers[index])
            raise
        return grad

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Layer | Sequential:
        """Give one layer, or a `Sequential` of several that shares them."""
        return Sequential(self.layers[index]) if isinstance(index, slice) else self.layers[index]


def accumulate_once(model: Layer, grad: Array, cache: Any) -> None:
    """
    Do what ``model.accumulate(grad, cache)`` does, for the last time: the caches of a chain go as they are used.

    A step on a large batch takes an eighth less memory so. Only who made the forward pass himself can know that it is
    the last.
    """
    if type(model) is Sequential:
        model._accumulate(grad, cache)
    else:
        model.accumulate(grad, cache)


def _is_chain(layer: Layer) -> TypeGuard[Sequential]:
    """Tell whether a layer holds nothing but a chain of layers, and so knows where they begin to train."""
    return isinstance(layer, Sequential) and vars(layer).keys() <= {"layers", "_beginning"}


def _is_trained(layer: Layer) -> bool:
    """Tell whether a layer has parameters that are not frozen."""
    # A chain knows this of its layers; to ask them again at every level would take far longer for chains in chains.
    if _is_chain(layer):
        if layer._beginning[2] is not Marks.latest:
            layer._begin()
        return layer._beginning[0] < len(layer.layers)
    return any(not parameter.frozen for _, parameter in walk(layer, Parameter))


def _has_parameters(layer: Layer) -> bool:
    if _is_chain(layer):
        return _is_trained(layer) or len(layer._beginning[1]) < len(layer.layers)
    return any(True for _ in walk(layer, Parameter))


def locate(error: Exception, place: int | str, layer: Layer) -> None:
    """Say in `error` which layer of a composite it comes from: its name, or its position."""
    name = type(layer).__name__
    if not isinstance(error, MinibackpropError):
        error.add_note(f"in layer {place}: {name}")
        return
    if not error.position and error.subject.replace(".", ":").partition(":")[0] != name:
        error.subject = f"{name}: {error.subject}"
    error.position = (place, *error.position)
