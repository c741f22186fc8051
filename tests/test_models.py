import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    BatchNorm,
    ConfigError,
    Dense,
    Dropout,
    HeNormal,
    Layer,
    LeakyReLU,
    ReLU,
    Softmax,
    Tanh,
    Zeros,
    mlp,
)
from tests.random_models import widths


@given(
    sizes=st.lists(widths, min_size=2, max_size=5),
    dropout=st.sampled_from([0.0, 0.3]),
    batch_norm=st.booleans(),
    output=st.sampled_from([None, Softmax]),
    bias=st.booleans(),
)
def test_mlp_has_a_block_for_each_hidden_size(
    sizes: list[int], dropout: float, batch_norm: bool, output: type[Layer] | None, bias: bool
) -> None:
    """Between `Dense` layers of the sizes asked for stand normalization, activation and dropout, none at the end."""
    model = mlp(iter(sizes), Tanh, output_activation=output, dropout=dropout, batch_norm=batch_norm, bias=bias, rng=0)
    between = [BatchNorm] * batch_norm + [Tanh] + [Dropout] * (dropout > 0)
    expected = [Dense, *between] * (len(sizes) - 2) + [Dense] + [Softmax] * (output is not None)
    assert [type(layer) for layer in model] == expected
    dense = [layer for layer in model if isinstance(layer, Dense)]
    assert [(layer.in_features, layer.out_features) for layer in dense] == list(pairwise(sizes))
    assert all((layer.bias is not None) == bias for layer in dense)
    assert all(layer.rate == dropout for layer in model if isinstance(layer, Dropout))
    assert len({id(layer) for layer in model}) == len(model)
    assert model.predict(np.ones((3, sizes[0]))).shape == (3, sizes[-1])


def test_mlp_draws_layer_by_layer_from_one_source() -> None:
    """Weights and the seeds of masks come from one generator, in the order of the layers; a seed stands for one."""
    rng, init = np.random.default_rng(5), HeNormal()
    weights = [init((3, 4), rng)]
    masks = [Dropout(0.5, rng=rng)]
    weights.append(init((4, 4), rng))
    masks.append(Dropout(0.5, rng=rng))
    weights.append(init((4, 2), rng))
    for source in (5, np.random.default_rng(5)):
        model = mlp([3, 4, 4, 2], dropout=0.5, rng=source)
        found = [layer.weight.value for layer in model if isinstance(layer, Dense)]
        for weight, expected in zip(found, weights, strict=True):
            np.testing.assert_array_equal(weight, expected)
        for layer, mask in zip((layer for layer in model if isinstance(layer, Dropout)), masks, strict=True):
            assert layer.generator.bit_generator.state == mask.generator.bit_generator.state
    assert isinstance(model[1], ReLU)
    assert (mlp([3, 4]).state_dict()["0.weight"] != mlp([3, 4]).state_dict()["0.weight"]).any()


def test_mlp_takes_any_activation_start_and_precision() -> None:
    """A function without arguments makes the activations, `init` the weights, and all arrays have the dtype."""
    model = mlp([2, 3, 1], lambda: LeakyReLU(0.1), batch_norm=True, init=Zeros(), dtype=np.float32)
    assert repr(model[2]) == repr(LeakyReLU(0.1))
    assert {array.dtype for array in model.state_dict().values()} == {np.dtype(np.float32)}
    assert not model.state_dict()["0.weight"].any()
    assert model.forward(np.ones((3, 2), np.float32))[0].dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([64],), "mlp: sizes expects two or more positive integers, such as [64, 32, 10], got [64]"),
        ((64,), "mlp: sizes expects two or more positive integers"),
        (([64, 0],), "mlp: sizes expects two or more positive integers"),
        (([64, 3.0, 1],), "mlp: sizes expects two or more positive integers"),
        (("64",), "mlp: sizes expects two or more positive integers"),
        (([3, 1], ReLU()), "mlp: activation expects a class such as ReLU, or a function"),
        (([3, 1], "relu"), "mlp: activation expects a class such as ReLU"),
        (([3, 1], Dense), "mlp: activation expects a class such as ReLU"),
        (([3, 1], dict), "that makes a layer, got one that makes dict"),
    ],
)
def test_mlp_refuses_sizes_and_activations_that_are_none(arguments: tuple[object, ...], message: str) -> None:
    """What is no list of sizes, or makes no layer, is named, with what is expected."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        mlp(*arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output_activation": Softmax()}, "mlp: output_activation expects a class"),
        ({"dropout": 1.0}, "Dropout: rate expects a number of at least 0 and below 1, got 1.0"),
        ({"dropout": None}, "Dropout: rate expects"),
        ({"batch_norm": 1}, "mlp: batch_norm expects True or False, got 1"),
        ({"bias": 1}, "Dense: bias expects True or False, got 1"),
        ({"init": HeNormal}, "Dense: init expects"),
        ({"dtype": int}, "Dense: dtype expects a floating-point dtype"),
    ],
)
def test_mlp_refuses_bad_settings_before_it_draws(change: dict[str, object], message: str) -> None:
    """A wrong setting is refused, also where it would not matter, and the generator is as it was."""
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match=re.escape(message)):
        mlp([3, 1], rng=rng, **change)
    assert rng.random() == np.random.default_rng(0).random()
    with pytest.raises(ConfigError, match="rng expects"):
        mlp([3, 1], rng="seed")
