"""Files: models, and checkpoints of training runs."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.saving.model import (
        save as save,
        load as load,
    )
    from minibackprop.saving.checkpoint import (
        Checkpoint as Checkpoint,
        load_weights as load_weights,
        resume as resume,
        save_checkpoint as save_checkpoint,
    )
else:
    __getattr__, __dir__ = exports(__name__)
