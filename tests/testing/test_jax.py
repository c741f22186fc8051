"""Functions of JAX as layers: right ones pass, planted bugs are found, and both keep what they must."""

import copy
import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp

from minibackprop import ConfigError, ContractError, ShapeError
from minibackprop.testing import ALL, check_layer
from minibackprop.testing.jax import JaxLayer
from tests.testing.bank.planting import Planted
from tests.testing.bank_jax import BANK, found_by_check_grads, right_square
from tests.testing.beside_others import THOROUGH, require_found, require_table, require_twin_passes

TWINS = {planted.twin.__defaults__: planted for planted in BANK}


@pytest.mark.parametrize("planted", BANK, ids=lambda planted: planted.name)
def test_bug_is_found(planted: Planted) -> None:
    """A law that should see the bug is broken, at night the first of all; the cause is named where it can be told."""
    require_found(planted)


@pytest.mark.parametrize("planted", TWINS.values(), ids=lambda planted: f"twin of {planted.name}")
def test_twin_passes(planted: Planted) -> None:
    """A correct function, that differs from a wrong one in a line, keeps every law."""
    require_twin_passes(planted)


def test_page_says_what_check_grads_finds() -> None:
    """The table of the docs is what is measured, and has every bug."""
    require_table("check_jax.md", BANK, found_by_check_grads)


def network(params, x):
    """Two layers."""
    hidden = jnp.tanh(x @ params["hidden"]["weight"] + params["hidden"]["bias"])
    return hidden @ params["out"][0]


def params_of_network() -> dict:
    rng = np.random.default_rng(0)
    hidden = {"weight": rng.normal(size=(3, 4)), "bias": np.full(4, 0.5)}
    return {"hidden": hidden, "out": [jnp.asarray(rng.normal(size=(4, 2)))]}


def test_parameters_are_named_by_their_paths() -> None:
    """Parameters in dicts and lists have the names of their places, and gradients as JAX gives them."""
    layer = JaxLayer(network, params_of_network())
    parameters = dict(layer.named_parameters())
    assert list(parameters) == ["hidden.bias", "hidden.weight", "out.0"]
    assert [name for name, _ in JaxLayer(lambda p, x: p * x, 2.0).named_parameters()] == ["params"]
    layer = layer.astype(np.float32)
    x = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    y, cache = layer.forward(x)
    assert y.dtype == np.float32
    back = layer.backward(np.ones_like(y), cache)
    expected, of_x = jax.grad(lambda p, x: network(p, x).sum(), (0, 1))(
        jax.tree_util.tree_map(jnp.float32, params_of_network()), x
    )
    np.testing.assert_allclose(back, of_x, rtol=1e-5)
    weight = dict(layer.named_parameters())["hidden.weight"]
    np.testing.assert_allclose(weight.grad, expected["hidden"]["weight"], rtol=1e-5)


def test_network_passes() -> None:
    """A network with nested parameters keeps every law."""
    laws = ALL if THOROUGH else [law for law in ALL if law.name in ("parameter gradient", "copies agree", "frozen")]
    check_layer(lambda: JaxLayer(network, params_of_network()), (3,), laws=laws, examples=10 if THOROUGH else 1)


def test_float64_whatever_the_setting() -> None:
    """Results are of the dtype of the input, and the user's setting stays as it was."""
    before = jnp.ones(2).dtype
    y, cache = JaxLayer(right_square).forward(np.full((1, 2), 1 + 1e-12))
    assert y.dtype == np.float64
    assert np.all(y > 1)
    assert JaxLayer(right_square).backward(y, cache).dtype == np.float64
    assert jnp.ones(2).dtype == before


def test_what_branches_by_values() -> None:
    """A function that is not to be compiled says so."""

    def branching(x):
        return x * 2 if x.sum() > 0 else x * 3

    x = -np.ones((1, 2))
    with pytest.raises(jax.errors.TracerBoolConversionError):
        JaxLayer(branching).forward(x)
    y, cache = JaxLayer(branching, jit=False).forward(x)
    np.testing.assert_array_equal(y, -3)
    np.testing.assert_array_equal(JaxLayer(branching, jit=False).backward(x, cache), -3)


def test_a_function_is_compiled_once() -> None:
    """However many layers are made of a function, JAX traces it once for each shape and dtype."""
    traced = []

    def function(x):
        traced.append(x.shape)
        return x * 2

    for _ in range(3):
        copy.deepcopy(JaxLayer(function)).forward(np.ones((2, 3)))
    JaxLayer(function).forward(np.ones((1, 3)))
    assert traced == [(2, 3), (1, 3)]


def test_integers_have_no_gradient() -> None:
    """A table is looked up; its gradient is that of the rows."""
    layer = JaxLayer(lambda table, x: table[x], np.zeros((4, 2)))
    y, cache = layer.forward(np.array([[1, 1]]))
    assert layer.backward(np.ones_like(y), cache) is None
    np.testing.assert_array_equal(layer.parameters()[0].grad, [[0, 0], [2, 2], [0, 0], [0, 0]])


def test_results_are_the_callers() -> None:
    """They may be written to; those of JAX may not."""
    y, cache = JaxLayer(right_square).forward(np.ones((1, 2)))
    y += 1
    back = JaxLayer(right_square).backward(y, cache)
    back += 1


def test_shapes_are_refused() -> None:
    """A wrong width is a `ShapeError` with what JAX says; a gradient of a wrong shape as well."""
    layer = JaxLayer(network, params_of_network())
    with pytest.raises(ShapeError, match=r"JaxLayer\(network\) expects .*, got \(2, 5\): dot_general requires"):
        layer.predict(np.ones((2, 5)))
    y, cache = layer.forward(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"a gradient of shape \(2, 2\), got \(2, 1\)"):
        layer.backward(y[:, :1], cache)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((dict,), "a function of JAX, got the class dict itself"),
        ((3,), "a function of JAX, got int"),
        ((lambda x, y: x + y,), r"a function of one array, function\(x\) \(bind .*\), got one that takes \(x, y\)"),
        ((lambda x: x, 1.0), r"a function of one array, function\(params, x\)"),
        ((network, {"weight": np.ones(3, int)}), "JaxLayer: weight expects floating-point parameters, got ndarray"),
    ],
)
def test_nonsense_is_refused(arguments: tuple, message: str) -> None:
    """What is no function of one array is refused at once, with what to do."""
    with pytest.raises(ConfigError, match=message):
        JaxLayer(*arguments)


def test_several_results_are_refused() -> None:
    """One array comes out."""
    with pytest.raises(ContractError, match="must return one array, got tuple"):
        JaxLayer(lambda x: (x, x)).forward(np.ones(2))


def test_copies_share_the_function() -> None:
    """A `custom_vjp` can be neither copied nor pickled; the layer can."""
    layer = JaxLayer(partial(network), params_of_network())
    x = np.ones((1, 3))
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(copied.predict(x), layer.predict(x))
    square = JaxLayer(right_square)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(copy.deepcopy(square))).predict(2 * x), 4 * x)


def test_missing_jax_is_named() -> None:
    """Without JAX, the error says what to install."""
    code = 'import sys; sys.modules["jax"] = None; import minibackprop.testing.jax'
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.stderr.strip().endswith("minibackprop.testing.jax needs JAX: pip install jax")
