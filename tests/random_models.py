"""Random models and data for the property tests of the package."""

from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st

from minibackprop import Dense, Layer, Sequential, Sigmoid
from minibackprop.validation import Array

seeds = st.integers(0, 2**32 - 1)
widths = st.integers(1, 4)
leading_axes = st.lists(st.integers(1, 3), max_size=3).map(tuple)


def random_dense(inputs: int, outputs: int, rng: np.random.Generator, bias: bool = True) -> Dense:
    """Make a `Dense` whose bias is random too."""
    dense = Dense(inputs, outputs, bias, rng=rng)
    if dense.bias is not None:
        dense.bias.value[...] = rng.normal(size=outputs)
    return dense


@st.composite
def models(draw: st.DrawFn) -> tuple[Sequential, Array]:
    """Draw a model of any depth, with parts that are nested, empty or tied, and an input for it."""
    rng = np.random.default_rng(draw(seeds))
    made: list[Dense] = []

    def chain(width: int, nesting: int) -> tuple[Sequential, int]:
        layers: list[Layer] = []
        for kind in draw(st.lists(st.sampled_from(["dense", "sigmoid", "nested", "tied"]), max_size=4)):
            if kind == "sigmoid":
                layers.append(Sigmoid())
            elif kind == "nested" and nesting:
                part, width = chain(width, nesting - 1)
                layers.append(part)
            elif kind == "tied":
                layers += [dense for dense in made if dense.in_features == width == dense.out_features][:1]
            else:
                layers.append(random_dense(width, draw(widths), rng, draw(st.booleans())))
                width = layers[-1].out_features
                made.append(layers[-1])
        return Sequential(layers), width

    width = draw(widths)
    return chain(width, nesting=2)[0], rng.normal(size=(*draw(leading_axes), width))


def flat(model: Sequential) -> Iterator[Layer]:
    """Go through the layers of `model`, and of the models in it."""
    for layer in model:
        yield from flat(layer) if isinstance(layer, Sequential) else [layer]


def gradients(layer: Layer) -> list[Array | None]:
    """List the gradients of all parameters."""
    return [parameter.grad for parameter in layer.parameters()]


def values(layer: Layer) -> list[bytes]:
    """List the values of all parameters as bytes, to compare them bit for bit."""
    return [parameter.value.tobytes() for parameter in layer.parameters()]
