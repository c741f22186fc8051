"""Optimizers: how gradients become a step; and schedules of the learning rate."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.optimizers.base import (
        Optimizer as Optimizer,
        GradientDescent as GradientDescent,
    )
    from minibackprop.optimizers.sgd import SGD as SGD
    from minibackprop.optimizers.adaptive import (
        Adagrad as Adagrad,
        RMSProp as RMSProp,
        Adam as Adam,
        AdamW as AdamW,
    )
    from minibackprop.optimizers.groups import ParameterGroups as ParameterGroups
    from minibackprop.optimizers.schedules import (
        StepDecay as StepDecay,
        ExponentialDecay as ExponentialDecay,
        CosineDecay as CosineDecay,
        WarmUp as WarmUp,
        Piecewise as Piecewise,
    )
else:
    __getattr__, __dir__ = exports(__name__)
