import signal
from collections.abc import Iterable

import pytest

from minibackprop import SGD, HalfSquaredError, Parameter, Step
from minibackprop.validation import Array
from tests.random_models import values
from tests.training.problems import X, Y, new_trainer


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="no signals")
def test_ctrl_c_waits_for_the_step() -> None:
    """Ctrl-C in the middle of a step raises when it is done: all parameters have made it; the next fit goes on."""

    class Interrupted(SGD):
        def step(self, parameters: Iterable[Parameter], /) -> None:
            parameters = list(parameters)
            super().step(parameters[:1])
            if trainer.steps == 2:
                signal.raise_signal(signal.SIGINT)
            super().step(parameters[1:])

    trainer, other = new_trainer(), new_trainer()
    trainer.optimizer = Interrupted(0.1)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, 10)
    assert trainer.steps == trainer.epochs == len(trainer.history) == 3
    other.fit(X, Y, 3)
    assert values(trainer.model) == values(other.model)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_twice_does_not_wait() -> None:
    """The second one raises where it comes; one that comes after the last step is not lost."""

    def twice(_: Step) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        new_trainer().fit(X, Y, 10, callbacks=[twice])
    trainer = new_trainer()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, 3, callbacks=[lambda step: step.number == 2 and signal.raise_signal(signal.SIGINT)])
    assert trainer.epochs == 3


def test_history_survives_an_interruption() -> None:
    """After Ctrl-C, here in a loss, the history holds what was done, and training goes on as if never stopped."""

    class CtrlC(HalfSquaredError):  # noqa: N818 - it is a loss
        def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Array]:
            if stopped.steps == 3:
                raise KeyboardInterrupt
            return super().forward(prediction, target, weights)

    stopped, straight = new_trainer(), new_trainer()
    stopped.loss = CtrlC()
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(X, Y, 5)
    assert stopped.steps == stopped.epochs == len(stopped.history.loss) == 3
    stopped.loss = HalfSquaredError()
    assert stopped.fit(X, Y, 2).loss == straight.fit(X, Y, 5).loss
