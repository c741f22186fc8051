"""The training loop: data, the step, evaluation, and who watches."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.training.trainer import Trainer as Trainer
    from minibackprop.training.callbacks import (
        Plan as Plan,
        Callback as Callback,
        Step as Step,
    )
    from minibackprop.training.progress import PrintEvery as PrintEvery, ProgressBar as ProgressBar
    from minibackprop.training.monitors import EarlyStopping as EarlyStopping
    from minibackprop.training.plateau import ReduceLROnPlateau as ReduceLROnPlateau
    from minibackprop.training.averaging import MovingAverage as MovingAverage
    from minibackprop.training.data import Batches as Batches
    from minibackprop.training.history import History as History
    from minibackprop.training.sharing import Sharing as Sharing
    from minibackprop.training.workers import Workers as Workers
else:
    __getattr__, __dir__ = exports(__name__)
