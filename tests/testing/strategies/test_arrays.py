"""The strategies draw what they promise."""

import numpy as np
import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from minibackprop import ConfigError, Parameter
from minibackprop.testing import batches, parameters
from minibackprop.testing.strategies.arrays import LAYOUTS
from minibackprop.validation import Array

shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@given(data=st.data(), shape=shapes, sizes=st.tuples(st.integers(0, 4), st.integers(0, 4)).map(sorted))
def test_batches_have_the_shape(data: st.DataObject, shape: tuple[int, ...], sizes: list[int]) -> None:
    """A batch has one axis more than a sample, of a size within the bounds, and finite entries of the dtype."""
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    x = data.draw(batches(shape, min_size=sizes[0], max_size=sizes[1], dtype=dtype))
    assert x.shape[1:] == shape
    assert sizes[0] <= len(x) <= sizes[1]
    assert x.dtype == dtype
    assert np.isfinite(x).all()


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(lambda x: len(x) == 0, id="empty"),
        pytest.param(lambda x: x.size and np.abs(x).max() < 1e-3 and x.any(), id="tiny"),
        pytest.param(lambda x: x.size and np.abs(x).max() > 100, id="huge"),
        pytest.param(lambda x: (x == 0).any() and x.any(), id="exact zeros"),
        pytest.param(lambda x: x.size and not x.any(), id="all zeros"),
        pytest.param(lambda x: len(np.unique(x)) < x.size and x.any(), id="ties"),
        pytest.param(lambda x: x.size > 3 and x.flags.f_contiguous and not x.flags.c_contiguous, id="Fortran"),
        pytest.param(lambda x: x.size > 3 and 0 in x.strides, id="broadcast"),
        pytest.param(lambda x: x.size > 3 and min(x.strides) < 0, id="reversed"),
        pytest.param(lambda x: x.size > 3 and x.strides[-1] == 16, id="strided"),
        pytest.param(lambda x: x.size > 3 and not x.flags.writeable, id="read-only"),
    ],
)
def test_batches_contain_what_is_hard(seen: object) -> None:
    """Each of the promised difficulties occurs."""
    find(batches((3,)), seen)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "broadcast"])
@given(x=batches((2, 3), layouts=["C"]))
def test_layouts_keep_the_entries(layout: str, x: Array) -> None:
    """Another layout holds the same entries."""
    np.testing.assert_array_equal(LAYOUTS[layout](x), x)


@pytest.mark.parametrize(
    "arguments",
    [
        {"shape": 3},
        {"shape": (-1,)},
        {"shape": (1.5,)},
        {"shape": (3,), "min_size": 3, "max_size": 2},
        {"shape": (3,), "max_size": 2.5},
        {"shape": (3,), "entries": ["palin"]},
        {"shape": (3,), "layouts": "C"},
        {"shape": (3,), "entries": 3},
        {"shape": (3,), "layouts": [["C"]]},
        {"shape": (3,), "dtype": "no dtype"},
        {"shape": (3,), "dtype": str},
    ],
)
def test_batches_refuse_nonsense(arguments: dict[str, object]) -> None:
    """What cannot be drawn is refused at once."""
    with pytest.raises(ConfigError, match="batches"):
        batches(**arguments)


@given(parameter=parameters((2, 3)))
def test_parameters_are_parameters(parameter: Parameter) -> None:
    """A parameter has its shape, finite values, and no gradient yet."""
    assert parameter.value.shape == (2, 3)
    assert np.isfinite(parameter.value).all()
    assert parameter.grad is None
