"""Random layers and networks are what their strategies promise."""

from inspect import isabstract

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

import minibackprop
from minibackprop import ArticleNetwork, BatchNorm, ConfigError, DeltaTrim, Dense, Dropout, Layer, Sequential
from minibackprop.state import walk
from minibackprop.testing import check_layer, layers, models
from minibackprop.testing.strategies.networks import NORMALIZED

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
#: Those that `layers` and `models` do not draw: random or approximate ones, and those that couple samples.
NOT_DRAWN = {Dropout, BatchNorm, DeltaTrim, ArticleNetwork}


@given(data=st.data(), shape=shapes, width=st.none() | st.integers(1, 4))
def test_layers_keep_the_shape_but_for_the_last_axis(
    data: st.DataObject, shape: tuple[int, ...], width: int | None
) -> None:
    """A drawn layer takes what it is drawn for and gives what it is asked for."""
    layer = data.draw(layers(shape, width))
    assert layer.predict(np.ones((5, *shape))).shape == (5, *shape[:-1], width or shape[-1])


@given(data=st.data(), shape=shapes, width=st.none() | st.integers(1, 4))
def test_models_give_as_many_features_as_asked_for(
    data: st.DataObject, shape: tuple[int, ...], width: int | None
) -> None:
    """A drawn model takes what it is drawn for; its result has one axis of the length asked for, or any shape."""
    y = data.draw(models(shape, width)).predict(np.ones((5, *shape)))
    assert len(y) == 5
    assert width is None or y.shape == (5, width)


@given(model=models((4,), 2, vocabulary=3))
def test_models_of_a_vocabulary_take_integers(model: Sequential) -> None:
    """They begin with an embedding."""
    assert model.predict(np.array([[0, 1, 2, 2], [2, 1, 0, 0]])).shape == (2, 2)


def test_a_number_of_features_is_a_shape_of_one_axis() -> None:
    """`layers(3)` is `layers((3,))`."""
    find(layers(3, 2), lambda layer: isinstance(layer, Dense))
    for wrong in (0, (), (1, 1, 1, 1), (2, 0), "3", 2.0):
        with pytest.raises(ConfigError, match="in_shape expects the number of features"):
            find(layers(wrong), lambda _: True)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"out_features expects a positive integer, or None, got \(3,\)"):
        find(models((2, 4, 4), (3,)), lambda _: True)  # type: ignore[arg-type]


def test_models_have_layers_of_every_kind() -> None:
    """All of the catalogue is drawn, new layers too, but for those named above."""
    exported = (getattr(minibackprop, name) for name in minibackprop.__all__)
    kinds = {kind for kind in exported if isinstance(kind, type) and issubclass(kind, Layer) and not isabstract(kind)}
    missing = kinds - NOT_DRAWN

    @settings(max_examples=800, database=None, phases=[Phase.generate])
    @given(
        st.sampled_from([(3,), (4, 3), (2, 4, 4)]).flatmap(lambda s: models(s, max_layers=9))
        | models((4,), vocabulary=3)
    )
    def draw(model: Sequential) -> None:
        missing.difference_update(type(layer) for _, layer in walk(model, Layer))  # type: ignore[type-abstract]

    draw()
    assert not missing


@pytest.mark.parametrize("kind", [type(make()) for make in NORMALIZED])
def test_what_is_constant_at_one_entry_is_not_drawn_there(kind: type[Layer]) -> None:
    """A softmax of one entry has no slope to check."""
    with pytest.raises(NoSuchExample):
        find(layers(1), lambda layer: isinstance(layer, kind), settings=settings(max_examples=100))


def test_models_nest_and_tie() -> None:
    """Random networks have chains within chains, and layers that stand in them twice."""
    find(models(3), lambda model: any(isinstance(layer, Sequential) and len(layer) for layer in model))
    find(models(3), lambda model: len({id(layer) for layer in model}) < len(model))
    find(models(3), lambda model: len(model) == 0)
    find(models(3, 1), lambda model: sum(isinstance(layer, Dense) for layer in model) >= 3)


@pytest.mark.parametrize("shape", [(4, 3), (2, 4, 4)])
def test_drawn_layers_and_models_keep_the_laws(shape: tuple[int, ...]) -> None:
    """The contract, for random layers and networks of sequences and of images."""
    check_layer(layers(shape), shape, examples=4)
    check_layer(models(shape), shape, examples=4)


def test_drawn_models_of_tokens_keep_the_laws() -> None:
    """The contract, with integer input."""
    tokens = st.integers(0, 2**16).map(lambda seed: np.random.default_rng(seed).integers(0, 3, (2, 4)))
    check_layer(models((4,), vocabulary=3), tokens, examples=4)
