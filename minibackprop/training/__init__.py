"""The training loop: data, the step, evaluation, and who watches."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.training.trainer import Trainer as Trainer
    from minibackprop.training.callbacks import (
        Plan as Plan,
        Callback as Callback,
        Step as Step,
        PrintEvery as PrintEvery,
        ProgressBar as ProgressBar,
        EarlyStopping as EarlyStopping,
    )
    from minibackprop.training.data import Batches as Batches
    from minibackprop.training.history import History as History
else:
    __getattr__, __dir__ = exports(__name__)
