"""Every layer and combinator keeps the layer contract; one class each, one test a law."""

from minibackprop import Dense, Sequential, Sigmoid, three_layer
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


class TestArticleNetwork(LayerContract):
    layer = staticmethod(three_layer)
    inputs = (3,)


class TestDrawnLayers(LayerContract):
    layer = layers(3)
    inputs = (3,)


class TestDrawnModels(LayerContract):
    layer = models(3, 2)
    inputs = (3,)
