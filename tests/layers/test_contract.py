"""Every layer and combinator keeps the layer contract; one class each, one test a law."""

import numpy as np
from hypothesis import strategies as st

from minibackprop import (
    ELU,
    GELU,
    GRU,
    LSTM,
    RNN,
    Add,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Concat,
    Conv1D,
    Conv2D,
    DeltaTrim,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    Identity,
    LayerNorm,
    LeakyReLU,
    LogSoftmax,
    MaxPool1D,
    MaxPool2D,
    MultiHeadAttention,
    PositionalEncoding,
    ReLU,
    Reshape,
    Residual,
    RMSNorm,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    Transpose,
    three_layer,
)
from minibackprop.testing import LayerContract, layers, models


class TestDense(LayerContract):
    layer = staticmethod(lambda: Dense(3, 4, rng=0))
    inputs = (3,)


class TestDenseWithoutBias(LayerContract):
    layer = staticmethod(lambda: Dense(3, 2, bias=False, rng=0))
    inputs = (3,)


class TestDenseOfOneFeature(LayerContract):
    layer = staticmethod(lambda: Dense(1, 1, rng=0))
    inputs = (1,)


class TestDenseOverTwoAxes(LayerContract):
    layer = staticmethod(lambda: Dense(3, 2, rng=0))
    inputs = (5, 3)


class TestSigmoid(LayerContract):
    layer = Sigmoid
    inputs = (3,)


class TestSigmoidOverNoAxes(LayerContract):
    layer = Sigmoid
    inputs = ()


class TestTanh(LayerContract):
    layer = Tanh
    inputs = (3,)
    examples = 4


class TestReLU(LayerContract):
    layer = ReLU
    inputs = (3,)
    examples = 8


class TestLeakyReLU(LayerContract):
    layer = staticmethod(lambda: LeakyReLU(0.3))
    inputs = (3,)
    examples = 4


class TestELU(LayerContract):
    layer = ELU
    inputs = (3,)
    examples = 4


class TestELUWithAKink(LayerContract):
    layer = staticmethod(lambda: ELU(2.5))
    inputs = (3,)
    examples = 4


class TestSiLU(LayerContract):
    layer = SiLU
    inputs = (3,)
    examples = 4


class TestGELU(LayerContract):
    layer = GELU
    inputs = (3,)
    examples = 4


class TestGELUByTanh(LayerContract):
    layer = staticmethod(lambda: GELU("tanh"))
    inputs = (3,)
    examples = 4


class TestSoftplus(LayerContract):
    layer = Softplus
    inputs = (3,)
    examples = 4


class TestSoftmax(LayerContract):
    layer = Softmax
    inputs = (3,)
    examples = 4


class TestSoftmaxOverAMiddleAxis(LayerContract):
    layer = staticmethod(lambda: Softmax(axis=1))
    inputs = (3, 2)
    examples = 3


class TestLogSoftmax(LayerContract):
    layer = LogSoftmax
    inputs = (3,)
    examples = 4


class TestLogSoftmaxOverTheLastButOne(LayerContract):
    layer = staticmethod(lambda: LogSoftmax(axis=-2))
    inputs = (3, 2)
    examples = 3


class TestIdentity(LayerContract):
    layer = Identity
    inputs = (3,)
    examples = 3


class TestDeltaTrim(LayerContract):
    layer = staticmethod(lambda: DeltaTrim(0.1, 1.0))
    inputs = (3,)
    examples = 3


class TestDropout(LayerContract):
    layer = staticmethod(lambda: Dropout(0.4, rng=0))
    inputs = (4,)


class TestBatchNorm(LayerContract):
    layer = staticmethod(lambda: BatchNorm(3))
    inputs = (3,)


class TestBatchNormOfImages(LayerContract):
    layer = staticmethod(lambda: BatchNorm(2, momentum=0.3, epsilon=1e-3))
    inputs = (2, 3)


class TestLayerNorm(LayerContract):
    layer = staticmethod(lambda: LayerNorm(3))
    inputs = (2, 3)
    examples = 4


class TestRMSNorm(LayerContract):
    layer = staticmethod(lambda: RMSNorm(3, epsilon=1e-3))
    inputs = (3,)
    examples = 4


class TestGroupNorm(LayerContract):
    layer = staticmethod(lambda: GroupNorm(2, 4))
    inputs = (4, 3)
    examples = 4


class TestEmbedding(LayerContract):
    layer = staticmethod(lambda: Embedding(5, 3, rng=0))
    inputs = st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=1, max_size=3).map(np.array)
    examples = 3


class TestPositionalEncoding(LayerContract):
    layer = staticmethod(lambda: PositionalEncoding(3))
    inputs = (4, 3)
    examples = 2


class TestMultiHeadAttention(LayerContract):
    layer = staticmethod(lambda: MultiHeadAttention(4, 2, rng=0))
    inputs = (3, 4)
    examples = 3


class TestCausalAttention(LayerContract):
    layer = staticmethod(lambda: MultiHeadAttention(4, 2, causal=True, bias=False, rng=0))
    inputs = (3, 4)
    examples = 3


class TestConv1D(LayerContract):
    layer = staticmethod(lambda: Conv1D(2, 4, 3, stride=2, padding="same", groups=2, rng=0))
    inputs = (2, 5)
    examples = 2


class TestConv2D(LayerContract):
    layer = staticmethod(lambda: Conv2D(2, 3, (3, 2), padding=(1, 0), dilation=(1, 2), rng=0))
    inputs = (2, 3, 4)
    examples = 2


class TestMaxPool1D(LayerContract):
    layer = staticmethod(lambda: MaxPool1D(3, stride=1, padding=1))
    inputs = (2, 4)
    examples = 2


class TestMaxPool2D(LayerContract):
    layer = staticmethod(lambda: MaxPool2D(2))
    inputs = (1, 4, 5)
    examples = 2


class TestAvgPool1D(LayerContract):
    layer = staticmethod(lambda: AvgPool1D(2))
    inputs = (2, 5)
    examples = 2


class TestAvgPool2D(LayerContract):
    layer = staticmethod(lambda: AvgPool2D((2, 3), stride=1, padding=1))
    inputs = (1, 3, 3)
    examples = 2


class TestGlobalAvgPool(LayerContract):
    layer = GlobalAvgPool
    inputs = (2, 3)
    examples = 2


class TestRNN(LayerContract):
    layer = staticmethod(lambda: RNN(3, 2, rng=0))
    inputs = (4, 3)
    examples = 2


class TestLSTM(LayerContract):
    layer = staticmethod(lambda: LSTM(3, 2, return_sequences=False, rng=0))
    inputs = (5, 3)
    examples = 2


class TestGRU(LayerContract):
    layer = staticmethod(lambda: GRU(3, 2, rng=0))
    inputs = (4, 3)
    examples = 2


class TestShuffledSequential(LayerContract):
    # No bias: BatchNorm after it would leave it without a gradient.
    layer = st.permutations([Dense(3, 3, bias=False, rng=0), BatchNorm(3), Sigmoid(), Dropout(0.3, rng=1)]).map(
        Sequential
    )
    inputs = (3,)
    examples = 6


class TestEmptySequential(LayerContract):
    layer = Sequential
    inputs = (2,)


class TestNestedSequential(LayerContract):
    layer = staticmethod(
        lambda: Sequential([Sigmoid(), Sequential([Dense(3, 4, rng=0), Sequential([Sigmoid()])]), Dense(4, 2, rng=1)])
    )
    inputs = (3,)


class TestTiedSequential(LayerContract):
    @staticmethod
    def layer() -> Sequential:
        dense = Dense(3, 3, rng=0)
        return Sequential([dense, Sigmoid(), dense])

    inputs = (3,)


class TestResidual(LayerContract):
    layer = staticmethod(lambda: Residual(Sequential([Dense(3, 4, rng=0), Tanh(), Dense(4, 3, rng=1)])))
    inputs = (3,)


class TestResidualOfWhatIsRandom(LayerContract):
    layer = staticmethod(lambda: Residual(Sequential([Dense(3, 3, rng=0), Dropout(0.4, rng=0)])))
    inputs = (3,)
    examples = 6


class TestAdd(LayerContract):
    layer = staticmethod(lambda: Add([Dense(3, 2, rng=0), Sequential([Dense(3, 2, rng=1), Sigmoid()])]))
    inputs = (3,)


class TestConcat(LayerContract):
    layer = staticmethod(lambda: Concat([Dense(3, 2, rng=0), Identity(), Residual(Tanh())]))
    inputs = (3,)


class TestConcatOfChannels(LayerContract):
    layer = staticmethod(lambda: Concat([BatchNorm(2), Tanh()], axis=1))
    inputs = (2, 3)
    examples = 6


class TestTiedBranches(LayerContract):
    @staticmethod
    def layer() -> Residual:
        dense = Dense(3, 3, rng=0)
        return Residual(Sequential([Add([dense, Residual(dense)]), Tanh(), dense]))

    inputs = (3,)


class TestFlatten(LayerContract):
    layer = Flatten
    inputs = (2, 3, 2)
    examples = 6


class TestReshape(LayerContract):
    layer = staticmethod(lambda: Reshape((3, -1)))
    inputs = (2, 6)
    examples = 6


class TestTranspose(LayerContract):
    layer = st.permutations([1, 2, 3]).map(Transpose)
    inputs = (2, 3, 4)
    examples = 6


class TestArticleNetwork(LayerContract):
    layer = staticmethod(three_layer)
    inputs = (3,)


class TestDrawnLayers(LayerContract):
    layer = layers(3)
    inputs = (3,)


class TestDrawnModels(LayerContract):
    layer = models(3, 2)
    inputs = (3,)
