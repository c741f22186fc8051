"""Hints for who comes with the words of other frameworks, or with a model that ends in one layer too many."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from inspect import signature

from minibackprop.core import Layer, Sequential, side_inputs_of
from minibackprop.errors import ConfigError
from minibackprop.losses.base import Loss

#: Words of Keras, PyTorch and scikit-learn, and what is meant by them here.
_WORDS = {
    "validation_data": "validation=(x, y)",
    "validation_split": "validation=0.2",
    "validation_fraction": "validation=0.2",
    "sample_weight": "weights=...",
    "class_weight": "class_weights=...",
    "verbose": "callbacks=[ProgressBar()]",
    "nb_epoch": "epochs=...",
    "max_iter": "epochs=...",
    "metrics": "metrics, when the Trainer is made",
    "optimizer": "the optimizer, when the Trainer is made",
    "loss": "the loss, when the Trainer is made",
    "regularizer": "the regularizer, when the Trainer is made",
    "random_state": "rng, when the Trainer is made",
    "sample_weights": "weights=...",
    "lr": "an optimizer with that learning_rate, when the Trainer is made",
    "learning_rate": "an optimizer with that learning_rate, when the Trainer is made",
}


def require_known(method: Callable[..., object], others: Iterable[str], model: Layer) -> None:
    """Refuse arguments that a method does not have, and name what is meant, or the place of side inputs."""
    for name in others:
        from difflib import get_close_matches  # Only where there is something to refuse.

        arguments = signature(method).parameters
        near = get_close_matches(name, arguments, n=1)
        if name in side_inputs_of(model):
            hint = f"given={{'{name}': ...}}, as it is a side input"
        elif name in _WORDS and (_WORDS[name].partition("=")[0] in arguments or "Trainer" in _WORDS[name]):
            hint = _WORDS[name]
        elif near:
            hint = f"{near[0]}=..."
        else:
            hint = "none of that name; side inputs of layers go into given={...}"
        raise ConfigError(method.__qualname__, f"arguments that it has: here {hint}", f"{name}=")


def warn_of_doubled_softmax(model: Layer, loss: Loss) -> None:
    """Warn of a model that ends in what a loss of logits computes itself."""
    if not loss.from_logits:
        return
    from minibackprop.layers.activations import Identity, Sigmoid
    from minibackprop.layers.shape import Flatten, Reshape
    from minibackprop.layers.softmax import Softmax

    ends = [("", model)]
    while isinstance(ends[-1][1], (Sequential, Identity, Flatten, Reshape)):
        place, last = ends.pop()
        if isinstance(last, Sequential):
            ends += ((f"{place}{index}.", layer) for index, layer in enumerate(last.layers))
        if not ends:
            return
    place, last = ends[-1]
    if isinstance(last, Sigmoid if loss.from_logits == "sigmoid" else Softmax):
        where = f"in layer {place[:-1]}, {type(last).__name__}" if place else f"in {type(last).__name__}"
        text = (
            f"{type(loss).__name__} takes logits and computes the {loss.from_logits} itself, but the model ends {where}"
        )
        warnings.warn(f"{text}: leave it out, or it trains badly", stacklevel=4)
