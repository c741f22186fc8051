"""A small transformer learns to write like the Python manual, letter by letter, beside models that count letters.

The text is what Python's `help` knows of the language itself, `pydoc_data.topics`: every machine has it. The first four
fifths are trained on, settings are chosen on the next tenth, and the losses are those of the last. With Python 3.11,
in three minutes on one core:

    unigrams     3.248 nats a character, 4.685 bits
    bigrams      2.406 nats a character, 3.471 bits
    trigrams     1.851 nats a character, 2.670 bits
    transformer  1.343 nats a character, 1.937 bits

`python examples/language_model.py --steps 300 --width 48 --blocks 1` is short.
"""

import argparse
from pydoc_data.topics import topics

import numpy as np

from minibackprop import (
    GELU,
    AdamW,
    CosineDecay,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    MultiHeadAttention,
    Normal,
    PositionalEncoding,
    PrintEvery,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    Trainer,
    WarmUp,
)

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=2000)
parser.add_argument("--width", type=int, default=96)
parser.add_argument("--blocks", type=int, default=3)
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
width, steps, context, batch_size = arguments.width, arguments.steps, 64, 32

# Many topics have paragraphs in common: each is kept once, so that what is held out has not been seen in training.
text = "\n\n".join(dict.fromkeys("\n".join(topics.values()).split("\n\n")))
letters, tokens = np.unique(list(text), return_inverse=True)
train, validation, test = np.split(tokens, [len(tokens) * 8 // 10, len(tokens) * 9 // 10])
print(f"{len(text)} characters, {len(letters)} different ones; {len(test)} are held out")


def report(name, loss):
    print(f"{name:12}{loss:.3f} nats a character, {loss / np.log(2):.3f} bits")


def surprise(probabilities, tokens):
    """Compute the mean of -log p over the n-grams of the text."""
    order = probabilities.ndim
    ngrams = np.lib.stride_tricks.sliding_window_view(tokens, order)
    return -np.log(probabilities[tuple(ngrams.T)]).mean()


# Each model mixes its counts with the probabilities of the next simpler model, as if these were k further counts; it
# takes the k that is best in validation. The simplest model takes all letters for equally likely.
probabilities = np.array(1 / len(letters))
for order, name in enumerate(("unigrams", "bigrams", "trigrams"), start=1):
    counts = np.zeros([len(letters)] * order)
    np.add.at(counts, tuple(np.lib.stride_tricks.sliding_window_view(train, order).T), 1)
    totals = counts.sum(axis=-1, keepdims=True)
    mixtures = [(counts + k * probabilities) / (totals + k) for k in (0.1, 0.3, 1, 3, 10, 30, 100)]
    probabilities = min(mixtures, key=lambda mixture: surprise(mixture, validation))
    report(name, surprise(probabilities, test))

rng = np.random.default_rng(arguments.seed)
settings = {"dtype": np.float32, "rng": rng}


def transformer_block():
    attention = [MultiHeadAttention(width, num_heads=4, causal=True, **settings), Dropout(0.1, rng=rng)]
    mlp = [
        Dense(width, 4 * width, **settings),
        GELU("tanh"),
        Dense(4 * width, width, **settings),
        Dropout(0.1, rng=rng),
    ]
    return Sequential(
        [
            Residual(Sequential([LayerNorm(width, dtype=np.float32), *attention])),
            Residual(Sequential([LayerNorm(width, dtype=np.float32), *mlp])),
        ]
    )


model = Sequential(
    [
        Embedding(len(letters), width, init=Normal(std=0.3), **settings),
        PositionalEncoding(width),
        *[transformer_block() for _ in range(arguments.blocks)],
        LayerNorm(width, dtype=np.float32),
        Dense(width, len(letters), **settings),
    ]
)


def windows():
    """Cut pieces out of the text at random; the target of each letter is the one after it."""
    for _ in range(steps):
        starts = rng.integers(len(train) - context, size=batch_size)
        pieces = train[starts[:, np.newaxis] + np.arange(context + 1)]
        yield pieces[:, :-1], pieces[:, 1:]


warm_up = min(100, steps // 4)
rate = WarmUp(warm_up, then=CosineDecay(0.003, steps=steps - warm_up))
trainer = Trainer(model, SoftmaxCrossEntropy(), AdamW(rate, weight_decay=0.01, clip_norm=1.0), rng=rng)
trainer.fit(windows, epochs=1, callbacks=[PrintEvery(max(1, steps // 10))])

# The held-out text is cut into pieces, each read on its own, so that little tells the first letters of a piece.
count = (len(test) - 1) // context * context
pieces, targets = test[:count].reshape(-1, context), test[1 : count + 1].reshape(-1, context)
report("transformer", trainer.evaluate(pieces, targets, batch_size=batch_size)["loss"])

# The largest of logits plus Gumbel noise is a draw from their softmax; divided by 0.7, they favour the likely letters.
written = list(np.searchsorted(letters, list("The ")))
for _ in range(500):
    logits = model.predict(np.array([written[-context:]]))[0, -1]
    written.append((logits / 0.7 + rng.gumbel(size=len(letters))).argmax())
print("".join(letters[written]))
