"""Workers on threads: bit for bit those that take turns, and all of them end together."""

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    SGD,
    BatchNorm,
    ConfigError,
    ContractError,
    Dense,
    Dropout,
    Layer,
    MeanSquaredError,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    Threads,
    Trainer,
    Workers,
    accuracy,
    resume,
    save_checkpoint,
)
from minibackprop.parallel import threads
from minibackprop.validation import Array
from tests.training.test_sharing import SAMPLES, TARGETS, WEIGHTS, assert_same_run, fitted, new_classifier


def bits(trainer: Trainer) -> list[bytes]:
    return [value.tobytes() for value in trainer.model.state_dict().values()]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_are_as_those_that_take_turns(count: int) -> None:
    """Whoever is first, sums are made in the order of the workers: bit for bit, dropout included."""
    fit = {"batch_size": 8, "weights": WEIGHTS, "validation": 0.2}
    runs = [fitted(workers, Dropout(0.3, rng=0), fit=fit) for workers in (Threads(count), Workers(count))]
    assert bits(runs[0]) == bits(runs[1])
    for name in runs[0].history:
        assert list(runs[0].history[name]) == list(runs[1].history[name])


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("shape", [(12,), (4, 3)])
def test_batch_norm_takes_the_statistics_of_all(count: int, shape: tuple[int, ...]) -> None:
    """In mean, variance, running statistics and gradients, the batch is the whole one; also where parts differ."""

    class Shaped(Layer):
        def forward(self, x: Array, /) -> tuple[Array, Any]:
            return x.reshape(len(x), *shape), x.shape

        def backward(self, grad: Array, before: Any, /) -> Array:
            return grad.reshape(before)

    class Flat(Layer):
        def forward(self, x: Array, /) -> tuple[Array, Any]:
            return x.reshape(len(x), -1), x.shape

        def backward(self, grad: Array, before: Any, /) -> Array:
            return grad.reshape(before)

    within = (
        Dense(5, 12, bias=False, rng=3),
        Shaped(),
        BatchNorm(shape[0]),
        Flat(),
        Dense(12, 5, bias=False, rng=4),
        BatchNorm(5),
    )
    # Large means beside small deviations, weights of 0, and parts of several sizes.
    fit = {"batch_size": 10, "weights": WEIGHTS}
    shared, alone = (fitted(workers, *within, fit=fit, optimizer=SGD(0.1)) for workers in (Threads(count), None))
    assert_same_run(shared, alone)
    assert fitted(Threads(count), *within, fit=fit, optimizer=SGD(0.1)).history.loss == shared.history.loss


def test_batch_norm_of_few_samples() -> None:
    """One sample a worker is enough, as the statistics are those of all; one in all is not."""
    model = Sequential([BatchNorm(3), Dense(3, 1, rng=0)])
    trainers = [Trainer(copy.deepcopy(model), MeanSquaredError(), SGD(0.1), parallel=p) for p in (Threads(2), None)]
    x, y = SAMPLES[:2] + 1e6, SAMPLES[:2, :1]
    for trainer in trainers:
        trainer.step(x, y)
    np.testing.assert_allclose(trainers[0].model.predict(x), trainers[1].model.predict(x), rtol=1e-6)
    with pytest.warns(UserWarning, match="for 1 of the 2"), pytest.raises(ValueError, match="two values"):
        Trainer(copy.deepcopy(model), MeanSquaredError(), SGD(0.1), parallel=Threads(2)).step(x[:1], y[:1])


class Failing(Layer):
    """Fails in forward or backward where it meets a certain sample."""

    def __init__(self, poison: float, act: Callable[[], object], back: bool = False) -> None:
        self.poison, self.act, self.back = poison, act, back

    def forward(self, x: Array, /) -> tuple[Array, bool]:
        bad = bool((x == self.poison).any())
        if bad and not self.back:
            self.act()
        return x, bad

    def predict(self, x: Array, /) -> Array:
        return x

    def backward(self, grad: Array, bad: bool, /) -> Array:
        if bad:
            self.act()
        return grad


def fail() -> None:
    raise RuntimeError("a bad sample")


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("sample", [0, 29])
def test_a_failure_ends_all(sample: int, back: bool) -> None:
    """In whichever worker: its error is raised, though others wait for it in BatchNorm; nothing has been changed."""
    norm = BatchNorm(3)
    layers = [Dense(3, 3, rng=0), norm, Dense(3, 3, rng=0)]
    model = Sequential([Failing(SAMPLES[sample, 0], fail, back), *layers])
    if back:  # A first layer that has nothing to train is not asked to go back.
        model = Sequential([Dense(3, 3, init=lambda shape, _: np.eye(*shape)), *model.layers])
    trainer = Trainer(model, SoftmaxCrossEntropy(), SGD(0.1), parallel=Threads(3))
    before = bits(trainer)
    with pytest.raises(RuntimeError, match="a bad sample"):
        trainer.step(SAMPLES, TARGETS)
    assert bits(trainer) == before
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_a_layer_that_does_not_sum_over_all() -> None:
    """Who waits for a worker that does not come hears of it, when that one is done."""

    class Sometimes(BatchNorm):
        synchronizes = True

        def forward(self, x: Array, /) -> tuple[Array, Any]:
            return super().forward(x) if x[0, 0] > 0 else (x, None)

        def accumulate(self, grad: Array, cache: Any, /) -> None:
            if cache is not None:
                super().accumulate(grad, cache)

    x = np.array([[1.0], [2.0], [-1.0], [-2.0]])
    trainer = Trainer(Sometimes(1), MeanSquaredError(), SGD(0.1), parallel=Threads(2))
    with pytest.raises(ContractError, match=r"`across`\) must do so as often"):
        trainer.step(x, x)
    trainer.step(abs(x), x)


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="no signals")
def test_ctrl_c_waits_for_all() -> None:
    """In the middle of a step, which is made by all of them; and where nobody defers it, nothing goes on behind."""

    def interrupt() -> None:
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGINT)

    model = Sequential([Dense(3, 3, rng=0), Failing(np.inf, interrupt), Dense(3, 3, rng=1)])
    trainer = Trainer(model, SoftmaxCrossEntropy(), SGD(0.1), parallel=Threads(2))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(SAMPLES, TARGETS, 9, callbacks=[lambda step: step.number == 1 and interrupt()])
    assert trainer.steps == trainer.epochs == 2
    before = bits(trainer)
    model.layers[1].poison = float(model.layers[0].predict(SAMPLES)[0, 0])  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        trainer.step(SAMPLES, TARGETS)
    assert bits(trainer) == before
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_a_worker_that_nobody_waits_for_any_longer_disturbs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second Ctrl-C, one may still be at work: what it adds to gradients is in no later step."""
    late, go_on, done = threading.Event(), threading.Event(), threading.Event()

    class Late(Dense):
        """Lets the first worker in a thread of its own add its gradients in the middle of the next step."""

        def accumulate(self, grad: Array, cache: Any, /) -> None:
            is_main = threading.current_thread() is threading.main_thread()
            is_late = not is_main and not late.is_set()
            if is_main and late.is_set():
                go_on.set()
                done.wait(60)
            if is_late:
                late.set()
                go_on.wait(60)
            super().accumulate(grad, cache)
            if is_late:
                done.set()

    def interrupted(_: object) -> None:
        late.wait(60)
        raise KeyboardInterrupt

    interrupted_once, alike = (
        Trainer(layer, SoftmaxCrossEntropy(), SGD(0.1), parallel=Threads(2))
        for layer in (Late(3, 3, rng=0), Dense(3, 3, rng=0))
    )
    with monkeypatch.context() as patched:
        patched.setattr(threads, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            interrupted_once.step(SAMPLES, TARGETS)
    interrupted_once.step(SAMPLES, TARGETS)
    alike.step(SAMPLES, TARGETS)
    assert done.is_set()
    assert bits(interrupted_once) == bits(alike)


def test_predict_and_evaluate_in_parallel() -> None:
    """Each worker has some of the rows, and they are at work at once."""
    met = threading.Barrier(3, timeout=30)

    class Meets(Layer):
        def forward(self, x: Array, /) -> tuple[Array, None]:
            return x, None

        def predict(self, x: Array, /) -> Array:
            if len(x) > 1:  # Data are tried out by their first sample.
                met.wait()
            return x

        def backward(self, grad: Array, _: None, /) -> Array:
            return grad

    model = Sequential([Meets(), Dense(3, 3, rng=0)])
    alone = Trainer(Sequential(model.layers[1:]), SoftmaxCrossEntropy(), SGD(0.1), metrics=[accuracy])
    trainer = Trainer(model, SoftmaxCrossEntropy(), SGD(0.1), metrics=[accuracy], parallel=Threads(3))
    np.testing.assert_allclose(trainer.predict(SAMPLES), alone.predict(SAMPLES), rtol=1e-12)
    assert trainer.evaluate(SAMPLES, TARGETS) == pytest.approx(alone.evaluate(SAMPLES, TARGETS))


def test_several_runs_at_once() -> None:
    """One `Threads` serves several trainers, each in a thread, though the workers of each wait for each other."""
    workers = Threads(2)
    alone = fitted(Threads(2), BatchNorm(5))
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(fitted, workers, BatchNorm(5)) for _ in range(4)]
    assert [bits(run.result()) for run in runs] == [bits(alone)] * 4


def test_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """A checkpoint holds the streams of all workers."""

    def fit(epochs: int, trainer: Trainer | None = None) -> Trainer:
        trainer = trainer or new_classifier(Threads(2), Dropout(0.3, rng=0), BatchNorm(5))
        trainer.fit(SAMPLES, TARGETS, epochs, batch_size=8)
        return trainer

    save_checkpoint(fit(2), tmp_path / "run.npz")
    resumed = new_classifier(Threads(2), Dropout(0.3), BatchNorm(5))
    resume(tmp_path / "run.npz", resumed)
    assert bits(fit(2, resumed)) == bits(fit(4))


def test_copies_pickles_and_repr() -> None:
    trainer = fitted(Threads(2))
    twins = copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))
    for each in (trainer, *twins):
        each.fit(SAMPLES, TARGETS, 2, batch_size=8)
    assert [bits(twin) for twin in twins] == [bits(trainer)] * 2
    assert repr(trainer.parallel) == repr(twins[1].parallel) == "Threads(2)"


def test_as_many_as_there_are_cores() -> None:
    """What the process may use, that is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert Threads().count == cores
    for count in (0, -2, 2.0, True, "2"):
        with pytest.raises(ConfigError, match="Threads: workers expects an integer of at least 1"):
            Threads(count)  # type: ignore[arg-type]


def test_products_take_one_thread_while_workers_work() -> None:
    """And as many as before when they are done."""
    pools = pytest.importorskip("threadpoolctl")

    def counts() -> list[int]:
        return [each["num_threads"] for each in pools.threadpool_info() if each["user_api"] == "blas"]

    before, within = counts(), []
    Threads(2).run([lambda: within.extend(counts()), int])
    assert set(within) <= {1}
    assert counts() == before


@pytest.mark.parametrize("interval", [0.004242, 1.7e-5])
def test_turns_in_python_are_short_while_workers_work(interval: float) -> None:
    """And as long as before when they are done, to the microsecond; who has set shorter ones keeps them."""
    before, within = sys.getswitchinterval(), []
    try:
        sys.setswitchinterval(interval + 4e-7)
        for job in (int, fail):
            with suppress(RuntimeError):
                Threads(2).run([lambda: within.append(sys.getswitchinterval()), job])
        assert sys.getswitchinterval() == pytest.approx(interval, rel=1e-6)
    finally:
        sys.setswitchinterval(before + 4e-7)
    assert within == pytest.approx([min(interval, 5e-5)] * 2, rel=1e-6)


def test_products_take_as_many_threads_as_before_after_runs_that_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever ends first: none restores what the other has set."""

    class Library:
        count = 4

        @contextmanager
        def limit(self, *, limits: int, user_api: str) -> Iterator[None]:
            before, self.count = self.count, limits
            yield
            self.count = before

    library = Library()
    monkeypatch.setattr(threads, "_controller", lambda: library)
    begun, ended = threading.Event(), threading.Event()
    first = threading.Thread(target=lambda: Threads(2).run([begun.set, lambda: ended.wait(60)]))

    def overlap() -> None:
        ended.set()
        first.join()

    first.start()
    begun.wait(60)
    Threads(2).run([overlap, int])
    assert library.count == 4


def test_without_threadpoolctl(monkeypatch: pytest.MonkeyPatch) -> None:
    """It works, and says once what would make it quicker."""
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    for cached in (threads._controller, threads._say_without):
        cached.cache_clear()
    try:
        with pytest.warns(UserWarning, match=r'pip install "minibackprop\[parallel\]"') as told:
            trainer = fitted(Threads(2))
        assert len(told) == 1
        assert_same_run(trainer, fitted(None))
    finally:
        threads._controller.cache_clear()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks")
def test_in_a_fork() -> None:
    """Threads do not survive a fork: the child makes its own, rather than to wait for those of the parent."""
    program = """
import os, sys, warnings
import numpy as np
from minibackprop import *
warnings.simplefilter("ignore")
trainer = Trainer(mlp([3, 4, 1], rng=0), MeanSquaredError(), SGD(0.1), rng=0, parallel=Threads(2))
x = np.ones((8, 3))
trainer.step(x, x[:, :1])
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
trainer.step(x, x[:, :1])
os._exit(7)
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == 7


def test_a_network_without_anything_to_train() -> None:
    trainer = Trainer(Tanh(), MeanSquaredError(), SGD(0.1), parallel=Threads(2))
    with pytest.raises(ConfigError, match="a Parameter to train"):
        trainer.step(SAMPLES, SAMPLES)


def test_threads_by_name() -> None:
    assert isinstance(new_classifier(Threads(2)).parallel, Workers)
