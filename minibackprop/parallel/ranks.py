"""Workers on many machines: ranks of MPI, each a process with the whole model and a part of each batch."""

from __future__ import annotations

import atexit
import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import Any, TypeVar
from zlib import crc32

import numpy as np

from minibackprop.core import named_layers
from minibackprop.errors import ConfigError, ContractError, MinibackpropError, describe
from minibackprop.parallel.line import Line, is_told
from minibackprop.rng import is_stream
from minibackprop.state import Buffer, walk
from minibackprop.training.data import Batch
from minibackprop.training.sharing import rows_of_part
from minibackprop.training.workers import Meeting, Stopped, Weighed, Workers
from minibackprop.validation import Array, as_float, require_flag, shortened

_Result = TypeVar("_Result")


class Ranks(Workers):
    """
    Workers on many machines: ``Trainer(..., parallel=Ranks())`` in a script that ``mpiexec -n 4`` runs four times.

    Each process, a rank of MPI, has the whole model and works on a part of each batch; gradients are summed over all of
    them, and each makes the same step. When a `fit` begins, the model, what the optimizer remembers, and what random
    numbers are drawn from become those of rank 0. A run repeats bit for bit with as many ranks; with another number,
    sums are rounded elsewhere, and layers that draw draw other numbers.

    All ranks run the same program. Callbacks are called on each, and see the loss and the gradients of the whole batch;
    those that print or write files do so on rank 0. Where one rank fails, all end with an error that names the cause. A
    program that runs alone, without ``mpiexec``, is the one rank that there is.

    Where ranks share a machine, matrix products take their share of its cores, unless ``OMP_NUM_THREADS``, say, tells
    how many: by threadpoolctl.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm, optional
        By default, all processes.
    sharded : bool
        Keyword only. Whether each rank has data of its own, of which it takes whole batches; the numbers of batches may
        differ. Otherwise all ranks have the same data, and divide each batch.
    timeout : float
        Keyword only. For how many seconds to wait for the other ranks before that is an error.

    Attributes
    ----------
    rank, count : int
        The number of this process, from 0, and how many there are.

    Raises
    ------
    ImportError
        Without mpi4py and a library of MPI, which the extra `mpi` installs.
    ConfigError
        If an argument makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from minibackprop import SGD, MeanSquaredError, Trainer, mlp
    >>> x = np.linspace(-1, 1, 64)[:, np.newaxis]
    >>> trainer = Trainer(mlp([1, 8, 1], rng=0), MeanSquaredError(), SGD(0.1), rng=0, parallel=Ranks())
    >>> history = trainer.fit(x, x * x, epochs=10, batch_size=16)
    >>> if trainer.parallel.rank == 0:
    ...     print(len(history))
    10
    """

    def __init__(self, comm: Any = None, *, sharded: bool = False, timeout: float = 1800.0) -> None:
        mpi = _mpi()
        if comm is not None and not isinstance(comm, mpi.Intracomm):
            raise ConfigError("Ranks: comm", "a communicator of mpi4py, as MPI.COMM_WORLD", describe(comm))
        if comm == mpi.COMM_NULL:
            raise ConfigError("Ranks: comm", "a communicator that this process belongs to", "MPI.COMM_NULL")
        require_flag("Ranks: sharded", sharded)
        seconds = as_float(timeout)
        if type(seconds) is not float or not seconds > 0:
            raise ConfigError("Ranks: timeout", "a number of seconds above 0", shortened(timeout))
        self.comm, self.sharded, self.timeout = comm, bool(sharded), seconds
        comm = comm or mpi.COMM_WORLD
        super().__init__(comm.Get_size())
        self.here, self.rank = 1, comm.Get_rank()
        self._line = None if self.count == 1 else _world_line() if self.comm is None else _line(comm)
        # What was seen of batches since the latest exchange.
        self._seen, self._batches = 0, 0

    def __repr__(self) -> str:
        return f"Ranks(rank {self.rank} of {self.count}{', sharded=True' * self.sharded})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self.comm, self.sharded, self.timeout)

    def __deepcopy__(self, memo: dict[int, Any]) -> Ranks:
        """Give itself: a copy would not be another rank."""
        return self

    # --- What a step needs -------------------------------------------------------------------------------------------

    def part(self, batch: Batch) -> Batch | None:
        """Choose the rows of this rank; where it has data of its own, all."""
        if self.sharded or self.count == 1:
            return batch
        self._seen, self._batches = _mark(batch, self._seen), self._batches + 1
        rows = rows_of_part(len(batch.x), self.count, self.rank)
        return None if rows is None else batch.rows(rows)

    def run(self, jobs: Sequence[Callable[[], _Result]]) -> list[_Result]:
        """Do the job of this rank; an error that came from others in the middle of a layer is none of the layer's."""
        try:
            return super().run(jobs)
        except _FromOthers as wrapped:
            raise wrapped.error from None

    def meeting(self, count: int) -> Meeting | None:
        """Make what adds up over the ranks in the middle of a layer."""
        return _Meeting(self)

    def reduce(
        self, arrays: Sequence[Array | None], like: Sequence[Array], numbers: Sequence[float], stop: bool = False
    ) -> tuple[list[Array | None], list[float]]:
        """
        Sum each array, and each number, over all ranks; an array that is None adds nothing.

        All arrays go in one flat one, with a number in front for each, which says whether a rank has it.
        """
        line = self._line
        if line is None:
            return super().reduce(arrays, like, numbers, stop)
        dtype = np.result_type(np.float32, *(each.dtype for each in like))
        ends = np.cumsum([len(like), *(each.size for each in like)]).tolist()
        flat = np.empty(ends[-1], dtype)
        for index, array in enumerate(arrays):
            flat[index] = array is not None
            flat[ends[index] : ends[index + 1]] = 0 if array is None else array.reshape(-1)
        doing = {"about to": "sum the gradients of a step", "numbers to sum": f"{flat.size} of {dtype}"}
        found = line.exchange(doing | self._seen_of_batches(), numbers, flat, stop=stop, timeout=self.timeout)
        if found.stop:
            raise Stopped
        sums: list[Array | None] = []
        for index, each in enumerate(like):
            part = found.data[ends[index] : ends[index + 1]].reshape(each.shape)
            sums.append(part.astype(each.dtype, copy=False) if found.data[index] else None)
        return sums, found.numbers[: len(numbers)]

    def collect(self, value: _Result) -> list[_Result]:
        """Give what each rank hands in, in their order."""
        if self._line is None:
            return [value]
        return self._line.gather({"about to": "gather values"} | self._seen_of_batches(), value, self.timeout)

    def fail(self, error: BaseException) -> None:
        """Tell all ranks of an error, which they then end with."""
        self._seen_of_batches()
        if self._line is not None:
            self._line.tell(error)

    # --- What a run needs beside it ----------------------------------------------------------------------------------

    def begin(self, trainer: Any) -> None:
        """Require that all ranks have the same model, loss and optimizer; take values and streams of the first."""
        if self._line is None:
            return
        buffers = dict(walk(trainer.model, Buffer))
        for name, buffer in buffers.items():
            if not isinstance(buffer.value, np.ndarray):
                raise ConfigError(f"Ranks: {name}", "NumPy's arrays, which MPI can send", describe(buffer.value))
        self.require_same(_described(trainer, buffers))
        _share_cores(self._line, self.timeout)
        self._take_memory(trainer, self._line)
        streams = [part for _, part in walk(trainer.model, object) if is_stream(part)]
        values = [buffer.value for buffer in buffers.values()]
        drawn = [_state_of(stream) for stream in [*streams, trainer._rng]]
        doing = {"about to": "take the model of rank 0"}
        values, drawn, split_seed = self._line.spread(doing, (values, drawn, trainer._split_seed), self.timeout)
        if self.rank:
            for buffer, value in zip(buffers.values(), values, strict=True):
                buffer.value[...] = value
            for stream, state in zip([*streams, trainer._rng], drawn, strict=True):
                _take_state(stream, state)
            trainer._split_seed = split_seed

    def shuffler(self, rng: np.random.Generator) -> np.random.Generator:
        """Give what this rank shuffles its data with: where they are its own, in an order of its own."""
        if not self.sharded or self.count == 1:
            return rng
        from minibackprop.parallel.order import OwnOrder  # With NumPy's random numbers, which take a while.

        return OwnOrder(rng, self.rank)

    def rounds(self, batches: Iterator[Weighed]) -> Iterable[Weighed]:
        """Give the batches of an epoch; a rank that has no more of its own goes on until no rank has."""
        return self._rounds(batches, self._line) if self.sharded and self._line is not None else batches

    def agree(self, stop: bool) -> bool:
        """Tell whether any rank says `stop`."""
        if self._line is None:
            return stop
        return self._line.exchange({"about to": "end an epoch, or begin one"}, stop=stop, timeout=self.timeout).stop

    def require_same(self, run: Mapping[str, str]) -> None:
        """Require that all ranks are about to do the same; `run` says what, by name."""
        if self._line is not None:
            self._line.exchange({"about to": "compare what is to be done", **run}, timeout=self.timeout)

    def end(self) -> None:
        """Wait for all ranks at the end of a run."""
        if self._line is not None:
            self._line.exchange({"about to": "end a fit"}, timeout=self.timeout)

    def _take_memory(self, trainer: Any, line: Line) -> None:
        """Let the optimizer go on from what that of rank 0 remembers of earlier steps, where it is something else."""
        try:
            state = trainer.optimizer.state_dict(trainer.model)
        except ContractError:  # One that cannot be saved.
            return
        found = crc32(b"")
        for value in state.values():
            found = crc32(np.asarray(value).tobytes(), found)
        doing = {"about to": "compare what optimizers remember"}
        if len(set(line.gather(doing, found, self.timeout))) > 1:
            state = line.spread({"about to": "take what rank 0's optimizer remembers"}, state, self.timeout)
            if self.rank:
                trainer.optimizer.load_state_dict(state, trainer.model)

    def _rounds(self, batches: Iterator[Weighed], line: Line) -> Iterator[Weighed]:
        while True:
            weighed = next(batches, None)
            own = (0.0, 0.0, 0.0)
            if weighed is not None and weighed.batch is not None:
                count = float(len(weighed.batch.y))
                own = weighed.total_weight, count, count * weighed.share
            found = line.exchange({"about to": "begin a step, or end an epoch"}, own, timeout=self.timeout)
            total_weight, samples, shares = found.numbers[:3]
            if not samples:
                return
            # A share is the weight of a sample of the batch, over that of one of all data: a mean over samples.
            yield Weighed(None if weighed is None else weighed.batch, total_weight, shares / samples)

    def _seen_of_batches(self) -> dict[str, str]:
        """Say which batches this rank has seen since the latest exchange."""
        if not self._batches:
            return {}
        seen = f"{self._batches} with checksum {self._seen:08x}"
        self._seen = self._batches = 0
        return {"batch": seen}


class _Meeting:
    """Where ranks wait for each other with an array each, and get the sum."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    def __call__(self, number: int, array: Array) -> Array:
        """Hand in an array; wait for all others."""
        line = self._ranks._line
        if line is None:
            return array
        doing = {"about to": "sum over the batch, for a layer", "numbers to sum": f"{array.size} of {array.dtype}"}
        try:
            found = line.exchange(doing, data=np.ascontiguousarray(array), timeout=self._ranks.timeout)
        except MinibackpropError as error:
            raise _FromOthers(error) from None
        return found.data.reshape(array.shape)

    def leave(self) -> None:
        """Do nothing: the others hear of it at their next exchange."""


class _FromOthers(BaseException):
    """Takes an error of another rank through the layers, which would give it their positions."""

    def __init__(self, error: MinibackpropError) -> None:
        self.error = error


def _state_of(stream: Any) -> Any:
    return stream.bit_generator.state if isinstance(stream, np.random.Generator) else stream.get_state()


def _take_state(stream: Any, state: Any) -> None:
    if isinstance(stream, np.random.Generator):
        stream.bit_generator.state = state
    else:
        stream.set_state(state)


def _described(trainer: Any, buffers: Mapping[str, Buffer]) -> dict[str, str]:
    """Say what must be the same on all ranks, by name."""
    layers = [f"{path}: {type(layer).__name__}" for path, layer in named_layers(trainer.model)]
    arrays = [
        f"{name} {buffer.shape} {buffer.dtype}{' frozen' * getattr(buffer, 'frozen', False)}"
        for name, buffer in buffers.items()
    ]
    return {
        "layers": ", ".join(layers),
        "parameters": ", ".join(arrays),
        "loss": _written(trainer.loss),
        "optimizer": _written(trainer.optimizer),
        "regularizer": _written(trainer.regularizer),
        "metrics": ", ".join(trainer.metrics),
        "steps made": str(trainer.steps),
        "epochs made": str(trainer.epochs),
    }


def _written(value: object) -> str:
    """Write something as its `repr` does, without addresses, which differ between processes."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _mark(batch: Batch, before: int) -> int:
    """Compute a checksum of a batch: of the targets, where these are few, and of the first and the last sample."""
    x, y = batch.x, batch.y
    ends = [array[index] for array in (x, y) for index in (0, -1)]
    for array in [*ends, y] if y.nbytes < _FEW else ends:
        before = crc32(array.tobytes(), before)
    return crc32(repr((x.shape, y.shape)).encode(), before)


#: For how many bytes a checksum costs next to nothing.
_FEW = 1 << 16


# --- Processes -------------------------------------------------------------------------------------------------------


@cache
def _mpi() -> Any:
    """Import mpi4py, which finds the library of MPI."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ImportError('Ranks needs mpi4py and a library of MPI: pip install "minibackprop[mpi]"') from error
    return MPI


def _made(comm: Any, sharded: bool, timeout: float) -> Ranks:
    return Ranks(comm, sharded=sharded, timeout=timeout)


@cache
def _world_line() -> Line:
    return _line(_mpi().COMM_WORLD)


def _line(comm: Any) -> Line:
    """Make a line; the other ranks are told of the end of this process, also by an error that nobody catches."""
    line = Line(comm)
    atexit.register(line.leave)
    _end_all_on_errors()
    return line


@cache
def _end_all_on_errors() -> None:
    """Let an error that nobody catches, and that the other ranks do not know of, end these too."""
    before, world = sys.excepthook, _mpi().COMM_WORLD

    def end_all(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        print(f"rank {world.Get_rank()} of {world.Get_size()}:", file=sys.stderr)
        try:
            before(kind, error, trace)
            sys.stderr.flush()
            time.sleep(0.2)  # What mpiexec has not read by the time of the abort, it may not show.
        except Exception:
            traceback.print_exception(error)
        if not is_told(error):
            world.Abort(1)
            os._exit(1)  # Rather than to take leave, as of a program that went well, until the others are ended.

    sys.excepthook = end_all


def _share_cores(line: Line, timeout: float) -> None:
    """Let matrix products take this rank's share of the cores of its machine."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    machine = _mpi().Get_processor_name()
    found = line.gather({"about to": "look who shares a machine"}, (machine, cores), timeout)
    neighbours = [theirs for name, theirs in found if name == machine]
    share = max(1, min(len(cores), len(set().union(*neighbours)) // len(neighbours)))
    _limit_products(share, len(neighbours) > 1 and not line.rank)


@cache
def _limit_products(share: int, tells: bool) -> None:
    if any(name in os.environ for name in _LIMITS):
        return
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        if tells:
            told = "matrix products of each rank run on threads for all cores, and slow those of the others down: "
            remedy = f"set OMP_NUM_THREADS={share}"
            warnings.warn(f'Ranks: {told}pip install "minibackprop[parallel]", or {remedy}', stacklevel=2)
        return
    threadpool_limits(share, "blas")


#: By which a user says how many threads products run on.
_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
