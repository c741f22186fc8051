"""
Neural networks of composed layers on NumPy, with gradients that property tests check.

Each name is imported from its module when it is first asked for, so that who uses a few does not wait for all.
"""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

__version__ = "0.1.0"

if TYPE_CHECKING:
    from minibackprop.core import Layer as Layer, Sequential as Sequential
    from minibackprop.validation import Array as Array
    from minibackprop.state import Buffer as Buffer, Parameter as Parameter
    from minibackprop.errors import (
        ConfigError as ConfigError,
        ContractError as ContractError,
        DTypeError as DTypeError,
        FileFormatError as FileFormatError,
        MinibackpropError as MinibackpropError,
        NonFiniteError as NonFiniteError,
        ShapeError as ShapeError,
        StateDictError as StateDictError,
        TargetError as TargetError,
        WorkerError as WorkerError,
    )
    from minibackprop.layers import *
    from minibackprop.initializers import (
        Constant as Constant,
        GlorotNormal as GlorotNormal,
        GlorotUniform as GlorotUniform,
        HeNormal as HeNormal,
        HeUniform as HeUniform,
        Initializer as Initializer,
        Normal as Normal,
        Orthogonal as Orthogonal,
        Uniform as Uniform,
        Zeros as Zeros,
    )
    from minibackprop.losses import *
    from minibackprop.metrics import *
    from minibackprop.regularizers import L1 as L1, L2 as L2, ElasticNet as ElasticNet, Regularizer as Regularizer
    from minibackprop.optimizers import *
    from minibackprop.training import *
    from minibackprop.parallel import *
    from minibackprop.saving import *
    from minibackprop.inspection import *
    from minibackprop.numerics import *
    from minibackprop.models import mlp as mlp
    from minibackprop.article import (
        ArticleNetwork as ArticleNetwork,
        three_layer as three_layer,
        two_layer as two_layer,
    )
else:
    __getattr__, __dir__ = exports(__name__)
