"""A stand-in for a GPU's array, to find out without one whether code would run there.

What it knows, and what it refuses, is CuPy's (version 14), read off its signatures and sources; `_FUNCTIONS`, `_LACKS`
and the lists after them are all that it knows about CuPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from minibackprop.errors import DTypeError, ShapeError, describe

#: The functions of NumPy that CuPy has as well, each by what follows "numpy." in its name.
_NAMES_OF_FUNCTIONS = """
    all allclose amax amin angle any append apply_along_axis arange argmax argmin argpartition argsort argwhere around
    array array_equal array_equiv array_split asanyarray asarray ascontiguousarray asfortranarray astype atleast_1d
    atleast_2d atleast_3d average bincount broadcast_arrays broadcast_to choose clip column_stack compress concatenate
    convolve copy copyto correlate count_nonzero cov cross cumprod cumsum cumulative_prod cumulative_sum delete diag
    diag_indices_from diagflat diagonal diff digitize dot dsplit dstack ediff1d einsum empty empty_like expand_dims
    extract eye fill_diagonal fix flatnonzero flip fliplr flipud full full_like gradient histogram hsplit hstack
    identity imag inner interp isclose iscomplexobj isin isneginf isposinf isrealobj ix_ kron lexsort linspace logspace
    matrix_transpose max may_share_memory mean median meshgrid min moveaxis nan_to_num nanargmax nanargmin nancumsum
    nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar ndim nonzero ones ones_like outer pad partition
    percentile polyval prod ptp put put_along_axis quantile ravel ravel_multi_index real repeat reshape resize
    result_type roll rollaxis rot90 round searchsorted select shape shares_memory sinc size sort split squeeze stack std
    sum swapaxes take take_along_axis tensordot tile trace transpose trapezoid tri tril tril_indices_from triu
    triu_indices_from unique unique_counts unique_inverse unique_values unravel_index unwrap vander var vdot vsplit
    vstack where zeros zeros_like lib.stride_tricks.sliding_window_view linalg.cholesky linalg.det linalg.eigh
    linalg.eigvalsh linalg.inv linalg.lstsq linalg.matrix_power linalg.norm linalg.pinv linalg.qr linalg.slogdet
    linalg.solve linalg.svd fft.fft fft.fft2 fft.fftn fft.fftshift fft.hfft fft.ifft fft.ifft2 fft.ifftn fft.ifftshift
    fft.ihfft fft.irfft fft.irfft2 fft.irfftn fft.rfft fft.rfft2 fft.rfftn
"""

_NAMES_OF_METHODS = """
    all any argmax argmin argpartition argsort astype clip compress conj conjugate copy cumprod cumsum diagonal dot fill
    flatten max mean min nonzero partition prod ravel repeat reshape round searchsorted sort squeeze std sum swapaxes
    take trace transpose var view
"""

_FUNCTIONS, _METHODS = frozenset(_NAMES_OF_FUNCTIONS.split()), frozenset(_NAMES_OF_METHODS.split())

#: The arguments that CuPy's functions and methods of these names lack.
_LACKS: Mapping[str, str] = {
    **dict.fromkeys(("max", "min", "amax", "amin", "nanmax", "nanmin"), "initial where"),
    **dict.fromkeys(("sum", "prod", "nansum", "nanprod"), "initial where"),
    **dict.fromkeys(("all", "any", "mean", "nanmean"), "where"),
    **dict.fromkeys(("std", "var", "nanstd", "nanvar"), "where mean correction"),
    **dict.fromkeys(("sort", "argsort"), "order stable"),
    **dict.fromkeys(("partition", "argpartition"), "kind order"),
    **dict.fromkeys(
        ("arange", "asarray", "asanyarray", "astype", "empty", "eye", "full", "linspace", "ones"), "device"
    ),
    **dict.fromkeys(("zeros", "empty_like", "full_like", "ones_like", "zeros_like"), "device"),
    **dict.fromkeys(("broadcast_arrays", "broadcast_to", "copy"), "subok"),
    **dict.fromkeys(("percentile", "quantile"), "weights"),
    **{name: "out" for name in _FUNCTIONS if name.startswith("fft.")},
    "array": "ndmax",
    "clip": "min max",
    "count_nonzero": "keepdims",
    "einsum": "out",
    "isin": "kind",
    "linalg.cholesky": "upper",
    "linalg.pinv": "hermitian rtol",
    "linalg.svd": "hermitian",
    "lexsort": "axis",
    "take": "mode",
    "unique": "sorted",
}

_MISSING_UFUNCS = {"isnat", "spacing", "vecdot", "matvec", "vecmat"}
#: Of `scipy.special`.
_SPECIAL_UFUNCS = {
    *("digamma", "entr", "erf", "erfc", "erfcinv", "erfcx", "erfinv", "expit", "gamma", "gammaln", "i0", "i0e", "i1"),
    *("log_expit", "log_ndtr", "logit", "ndtr", "ndtri", "psi", "xlog1py", "xlogy", "zeta"),
}
#: What a method of a ufunc is there for; `outer` is for all.
_UFUNC_METHODS = {
    "reduce": {"add", "multiply"},
    "accumulate": {"add", "multiply"},
    "reduceat": {"add"},
    "at": {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"},
}
_UFUNC_ARGUMENTS = {
    "__call__": {"out", "dtype", "casting"},
    "outer": {"out", "dtype", "casting"},
    "reduce": {"axis", "dtype", "out", "keepdims"},
    "accumulate": {"axis", "dtype", "out"},
    "reduceat": {"axis", "dtype", "out"},
}
_GUFUNC_ARGUMENTS = {"out", "dtype", "casting", "axes", "axis", "keepdims", "order", "signature"}

#: What takes an array of the host over to the device.
_TRANSFERS = {"array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray"}
#: What has to know entries before the next step can be sent to the device: how many of them are set, for most.
_LOOK_AT_ENTRIES = {
    *("argwhere", "bincount", "compress", "delete", "extract", "flatnonzero", "histogram", "nonzero", "unique"),
    *("unique_counts", "unique_inverse", "unique_values"),
}
#: Where NumPy gives Python's number or truth value, and CuPy an array without axes.
_GIVES_AN_ENTRY = {"allclose", "array_equal", "array_equiv", "count_nonzero"}

_OF_HOST = (
    "make arrays of the kind that came in: np.zeros_like(x), np.zeros(n, like=x), np.arange(n, like=x); "
    "what has to come from the host goes over by np.asarray(mask, like=x)"
)
_INSTEAD = {
    "where": "multiply by the condition, or choose by np.where",
    "initial": "look at the size first",
    "order": "leave it out",
    "device": "give no device; in place of np.ones, np.full and np.eye with like=, which pass one on, write "
    "np.ones_like(x, shape=..., dtype=...) or np.full_like",
}


class DeviceError(TypeError):
    """
    What `DeviceArray` raises in place of doing what CuPy's arrays do not.

    Attributes
    ----------
    remedy : str
        What to write instead, or "".
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}: {remedy}" if remedy else problem)
        self.remedy = remedy


class Flags(NamedTuple):
    """How a device's array lies in memory."""

    c_contiguous: bool
    f_contiguous: bool
    owndata: bool


class DeviceArray(NDArrayOperatorsMixin):
    """
    A stand-in for a GPU's array: computes as NumPy does, bit for bit, and refuses what CuPy's arrays refuse.

    It is found by NumPy's protocols alone (``np.exp(x)``, ``np.concatenate([x, x])``, ``np.zeros(3, like=x)``), and is
    strict, so that what runs with it runs on a GPU:

    - it does not turn into an array of the host by itself; `get` copies it there;
    - it mixes with Python's numbers and NumPy's scalars, not with NumPy's arrays, not as an index either;
    - functions, methods and arguments that CuPy has not are refused, with what to write instead;
    - results of reductions, and entries, are arrays without axes.

    Parameters
    ----------
    array : array_like
        Copied: numbers or truth values. ``model.map_arrays(DeviceArray)`` brings a model to the device.

    Attributes
    ----------
    synchronizations : int
        Of the class: how often an entry has been looked at on the host (by ``float(x)``, ``if x > 0``, ``x.get()``,
        ``x[x > 0]``...), where a GPU has to finish all that it was sent. It only grows.

    Raises
    ------
    DTypeError
        If `array` holds anything but numbers and truth values.
    ShapeError
        If it is lists of different lengths.
    TypeError
        From everything that CuPy's arrays refuse.

    Examples
    --------
    >>> x = DeviceArray([[1.0, 2.0], [3.0, 4.0]])
    >>> (x * 2).sum(axis=0).get()
    array([ 8., 12.])
    >>> np.asarray(x)
    Traceback (most recent call last):
    ...
    minibackprop.testing.device_array.DeviceError: a device's array does not become NumPy's by np.asarray...
    """

    __slots__ = ("_array",)
    __hash__ = None  # type: ignore[assignment]  # As NumPy's, which define == by entries, too.

    synchronizations: ClassVar[int] = 0

    _array: np.ndarray[Any, Any]

    def __init__(self, array: Any) -> None:
        expected = "numbers or truth values"
        try:
            self._array = np.array(array._array if isinstance(array, DeviceArray) else array)
        except ValueError as error:
            raise ShapeError("DeviceArray", f"{expected}, in an array or lists of one length", str(error)) from error
        if self._array.dtype.kind not in "biufc":
            raise DTypeError("DeviceArray", expected, describe(array))

    # The protocols.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        _require_ufunc(ufunc, method, name)
        known = {"out", "dtype", "casting"}
        if ufunc.signature is not None:
            known |= {"axes", "axis", "keepdims", "order", "signature"}
        _require_arguments(
            name, [argument for argument in kwargs if argument not in _UFUNC_ARGUMENTS.get(method, known)]
        )
        out = kwargs.get("out", ())
        if len(out) > 1:
            raise DeviceError(f"{name} with more than one array in out", "leave it out")
        result = getattr(ufunc, method)(*_unwrapped(name, inputs), **_unwrapped(name, kwargs))
        return out[0] if out else _wrapped(result)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if not all(issubclass(kind, (DeviceArray, np.ndarray)) for kind in types):
            return NotImplemented
        name = f"{function.__module__}.{function.__name__}".partition(".")[2]
        if name not in _FUNCTIONS:
            raise DeviceError(f"np.{name} of a device's array", "CuPy has no such function")
        return _call(f"np.{name}", name, function, *args, **kwargs)

    def __array__(self, *_: object, **__: object) -> Any:
        raise DeviceError(
            "a device's array does not become NumPy's by np.asarray and the like",
            "leave it out, or add like=x, as in np.ascontiguousarray(x, like=x); x.get() goes to the host",
        )

    # The host looks at entries.

    def get(self) -> np.ndarray[Any, Any]:
        """Copy it to the host, as a NumPy array."""
        return _looked_at(self).copy()

    def item(self) -> Any:
        """Give the only entry, as Python's number."""
        return _looked_at(self).item()

    def tolist(self) -> Any:
        """Give Python's numbers, in lists."""
        return _looked_at(self).tolist()

    def __float__(self) -> float:
        return float(_looked_at(self))

    def __int__(self) -> int:
        return int(_looked_at(self))

    def __complex__(self) -> complex:
        return complex(_looked_at(self))

    def __bool__(self) -> bool:
        return bool(_looked_at(self))

    def __repr__(self) -> str:
        return f"Device{_looked_at(self)!r}".replace("Devicearray", "DeviceArray")

    def __str__(self) -> str:
        return str(_looked_at(self))

    def __format__(self, spec: str) -> str:
        return format(_looked_at(self)[()], spec)

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return DeviceArray, (self.get(),)

    # The rest of an array.

    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    nbytes = property(lambda self: self._array.nbytes)
    itemsize = property(lambda self: self._array.itemsize)
    strides = property(lambda self: self._array.strides)
    T = property(lambda self: _wrapped(self._array.T))
    mT = property(lambda self: _wrapped(self._array.mT))  # noqa: N815
    real = property(lambda self: _wrapped(self._array.real))
    imag = property(lambda self: _wrapped(self._array.imag))

    @property
    def flags(self) -> Flags:
        """How it lies in memory."""
        flags = self._array.flags
        return Flags(flags.c_contiguous, flags.f_contiguous, flags.owndata)

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(f"a device's array has no attribute {name!r}", name=name, obj=self)
        return partial(_call, f"the method {name}", name, getattr(np.ndarray, name), self)

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[DeviceArray]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> DeviceArray:
        keys = key if isinstance(key, tuple) else (key,)
        if any(isinstance(k, DeviceArray) and k.dtype == np.bool_ for k in keys):
            DeviceArray.synchronizations += 1  # How many are set gives the shape of the result.
        wrapped: DeviceArray = _wrapped(self._array[_unwrapped("an index", key)])
        return wrapped

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, (list, tuple)):
            raise DeviceError("entries of a device's array, set to a list", _OF_HOST)
        self._array[_unwrapped("an index", key)] = _unwrapped("an assignment", value)

    def __copy__(self) -> DeviceArray:
        return DeviceArray(self)

    def __deepcopy__(self, memo: object) -> DeviceArray:
        return DeviceArray(self)


def _require_ufunc(ufunc: np.ufunc, method: str, name: str) -> None:
    known = getattr(np, ufunc.__name__, None) is ufunc and ufunc.__name__ not in _MISSING_UFUNCS
    if not known and ufunc.__name__ not in _SPECIAL_UFUNCS:
        raise DeviceError(f"{name} of a device's array", "CuPy has no such function")
    if method in _UFUNC_METHODS and ufunc.__name__ not in _UFUNC_METHODS[method]:
        instead = {"maximum": "np.max", "minimum": "np.min", "logical_and": "np.all", "logical_or": "np.any"}
        remedy = f"write {instead[ufunc.__name__]}" if method == "reduce" and ufunc.__name__ in instead else ""
        raise DeviceError(f"{name} of a device's array", remedy or "CuPy has no such method")


def _require_arguments(what: str, refused: Iterable[str]) -> None:
    for argument in refused:
        remedy = _INSTEAD.get(argument, "CuPy does not know it")
        raise DeviceError(f"{what} of a device's array, with the argument {argument}", remedy)


def _call(what: str, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of NumPy, or a method, with the arrays within."""
    lacks = _LACKS.get(name, "").split()
    _require_arguments(what, [argument for argument in kwargs if argument in lacks])
    if name in _LOOK_AT_ENTRIES or (name == "where" and len(args) == 1):
        DeviceArray.synchronizations += 1
    if name not in _TRANSFERS:
        result = function(*_unwrapped(what, args), **_unwrapped(what, kwargs))
    else:
        result = function(*_unwrapped(what, args, host=True), **_unwrapped(what, kwargs))
    for given in (kwargs.get("out"), *args[:1]):
        if isinstance(given, DeviceArray) and result is given._array:
            return given
    return _wrapped(np.asarray(result) if name in _GIVES_AN_ENTRY else result)


def _unwrapped(what: str, value: Any, host: bool = False) -> Any:
    """Take the arrays out of arguments; require that none is of the host, unless it is to go over."""
    if isinstance(value, DeviceArray):
        return value._array
    if isinstance(value, (list, tuple)):
        return type(value)([_unwrapped(what, part, host) for part in value])
    if isinstance(value, dict):
        return {name: _unwrapped(what, part, host) for name, part in value.items()}
    if isinstance(value, np.ndarray) and not host:
        raise DeviceError(f"{what} with a device's array and a NumPy array", _OF_HOST)
    return value


def _wrapped(result: Any) -> Any:
    """Make what NumPy gives a device's: arrays, and entries."""
    if isinstance(result, (np.ndarray, np.generic)):
        device = DeviceArray.__new__(DeviceArray)
        device._array = np.asarray(result)
        return device
    if isinstance(result, (list, tuple)):
        parts = [_wrapped(part) for part in result]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    return result


def _looked_at(array: DeviceArray) -> np.ndarray[Any, Any]:
    DeviceArray.synchronizations += 1
    return array._array
