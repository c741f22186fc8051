"""MNIST-1D: logistic regression, an MLP, a CNN and a GRU, beside the figures of the paper that published the data.

From S. Greydanus, "Scaling down Deep Learning", 2020: ten digits as short signals, shifted, scaled and noisy, with the
defaults and the seed (42) of its package `mnist1d`: 4,000 to train on, 1,000 to test. Accuracies on the latter, in per
cent, with the seeds 0 to 4, after a minute for all four on one core:

    linear   32.7  32.6  32.9  32.6  32.6   paper 32
    mlp      74.4  73.9  76.0  74.5  75.6   paper 68
    cnn      95.3  96.2  95.9  96.5  96.2   paper 94
    gru      94.3  94.3  94.3  93.7  94.9   paper 91

The sizes of CNN and GRU are those of the paper's code, and so are the size of a batch, the learning rate and the number
of steps. What is added, a wider MLP, dropout, and decay of the rate and of the weights, was chosen on 800 of the
training signals, held out from training, before anything was measured on the test signals.

`python examples/mnist_1d.py --models linear mlp --epochs 20 --seed 1`; by default all models, for 200 epochs.
"""

import argparse
import sys
from math import ceil
from time import perf_counter

import numpy as np

from minibackprop import (
    GRU,
    AdamW,
    Concat,
    Conv1D,
    CosineDecay,
    Dense,
    Dropout,
    Flatten,
    HeNormal,
    Layer,
    ReLU,
    Reshape,
    Sequential,
    SoftmaxCrossEntropy,
    Trainer,
    accuracy,
    mlp,
)

try:
    from mnist1d.data import make_dataset
except ImportError:
    sys.exit('The data are made by the package mnist1d: pip install "minibackprop[examples]"')

PAPER = {"linear": 32, "mlp": 68, "cnn": 94, "gru": 91}  # per cent of the test signals


class Backwards(Layer):
    """Reverses the steps of sequences of shape (N, T, F)."""

    def forward(self, x):
        return x[..., ::-1, :], None

    def backward(self, grad, _):
        return grad[..., ::-1, :]


def build(name, rng):
    """Make a model of signals of 40 numbers."""
    settings = {"dtype": np.float32, "rng": rng}
    if name == "linear":
        return Dense(40, 10, **settings)
    if name == "mlp":
        return mlp([40, 256, 256, 10], dropout=0.5, **settings)
    if name == "cnn":
        layers = [Reshape((1, 40))]  # one channel
        for channels, width in (1, 5), (25, 3), (25, 3):
            layers += [Conv1D(channels, 25, width, stride=2, padding=1, init=HeNormal(), **settings), ReLU()]
        return Sequential([*layers, Flatten(), Dropout(0.5, rng=rng), Dense(125, 10, **settings)])
    both_ways = Concat(
        [
            GRU(1, 6, **settings),
            Sequential([Backwards(), GRU(1, 6, **settings), Backwards()]),
        ]
    )
    return Sequential([Reshape((40, 1)), both_ways, Flatten(), Dropout(0.5, rng=rng), Dense(40 * 12, 10, **settings)])


parser = argparse.ArgumentParser()
parser.add_argument("--models", nargs="+", choices=PAPER, default=list(PAPER))
parser.add_argument("--epochs", type=int, default=200)
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()

data = make_dataset()
print("model   parameters    paper  test accuracy")
scores = {}
for name in arguments.models:
    start = perf_counter()
    rng = np.random.default_rng(arguments.seed)
    model = build(name, rng)
    rate = CosineDecay(0.01, steps=arguments.epochs * ceil(len(data["x"]) / 100))
    trainer = Trainer(model, SoftmaxCrossEntropy(), AdamW(rate, weight_decay=0.01), metrics=[accuracy], rng=rng)
    trainer.fit(data["x"], data["y"], arguments.epochs, batch_size=100)
    scores[name] = trainer.evaluate(data["x_test"], data["y_test"])["accuracy"]
    size = sum(parameter.value.size for parameter in model.parameters())
    print(f"{name:8}{size:10}    {PAPER[name]} %  {scores[name]:.1%}  ({perf_counter() - start:.0f} s)", flush=True)
