"""
Nonsense, wherever a value can be handed in: either it is taken, or it is refused by an error of the family.

All public names are gone through: each argument of each constructor and function, and of the methods of what they make,
is replaced in turn by each value of a list, beside arguments that make sense.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import minibackprop as mb
from minibackprop import testing
from minibackprop.errors import MinibackpropError
from minibackprop.interop.torch import load_torch_state_dict, torch_state_dict
from minibackprop.testing import ALL, LOSS_LAWS


class Fresh:
    """An argument that is made anew for each call."""

    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make


#: What makes no sense in most places, by name; those that are used up or written to are made anew for each call.
NONSENSE: dict[str, Callable[[], object]] = {
    "None": lambda: None,
    "a string": lambda: "a",
    "bytes": lambda: b"x",
    "True": lambda: True,
    "0": lambda: 0,
    "-1": lambda: -1,
    "3": lambda: 3,
    "3.5": lambda: 3.5,
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "a complex number": lambda: 1 + 2j,
    "10**30": lambda: 10**30,
    "-10**400": lambda: -(10**400),
    "10**400": lambda: 10**400,
    "an empty list": list,
    "a ragged list": lambda: [[1], [2, 3]],
    "a list of strings": lambda: ["a", "b"],
    "a list of None": lambda: [None],
    "a tuple with -1": lambda: (-1, 2),
    "an empty dict": dict,
    "a dict": lambda: {"a": "b", 1: None},
    "an object": object,
    "a class": lambda: int,
    "a class of layers": lambda: mb.Dense,
    "a function": lambda: lambda *_, **__: None,
    "an empty array": lambda: np.zeros(0),
    "an array without axes": lambda: np.array(1.0),
    "an array of NaN": lambda: np.full((2, 3), np.nan),
    "an array of integers": lambda: np.arange(6).reshape(2, 3),
    "an array of strings": lambda: np.full((2, 3), "a"),
    "an array of objects": lambda: np.full((2, 3), None),
    "an array of complex numbers": lambda: np.full((2, 3), 1j),
    "an array of dates": lambda: np.zeros((2, 3), "datetime64[s]"),
}

ROWS, PLACES, LABELS = np.arange(6.0).reshape(2, 3) / 6, np.ones((2, 3)), np.array([0, 2])
SEQUENCES, IMAGES, SIGNALS = np.ones((2, 5, 3)), np.ones((2, 3, 4, 4)), np.ones((2, 3, 4))
RECURRENT = {"in_features": 3, "out_features": 2, "dtype": float, "rng": 0, "bias": True, "return_sequences": True}
INITS = {"init": mb.GlorotUniform(), "recurrent_init": mb.Orthogonal()}
KERNEL = {"kernel_size": 2, "stride": 1, "padding": 0}
CONVOLUTION = {"in_channels": 3, "out_channels": 2, **KERNEL, "dilation": 1, "groups": 1, "bias": True}
WEIGHTS = {"init": mb.GlorotUniform(), "dtype": float, "rng": 0}
CLIPPING = {"clip_norm": 1.0, "clip_value": 1.0}
NORM = {"epsilon": 1e-5, "dtype": float}
REDUCED = {"reduction": "mean"}

#: Layers: arguments that make sense, and an input.
LAYERS: dict[str, tuple[dict[str, Any], Any]] = {
    "Sequential": ({"layers": [mb.Dense(3, 2, rng=0)]}, ROWS),
    "Dense": ({"in_features": 3, "out_features": 2, "bias": True, **WEIGHTS}, ROWS),
    **{name: ({}, ROWS) for name in ("Sigmoid", "Tanh", "ReLU", "SiLU", "Softplus", "Identity", "Flatten")},
    "LeakyReLU": ({"negative_slope": 0.1}, ROWS),
    "ELU": ({"alpha": 1.0}, ROWS),
    "GELU": ({"approximate": "none"}, ROWS),
    "Softmax": ({"axis": -1}, ROWS),
    "LogSoftmax": ({"axis": -1}, ROWS),
    "DeltaTrim": ({"smallest": 0.1, "largest": 1.0}, ROWS),
    "Dropout": ({"rate": 0.5, "rng": 0}, ROWS),
    "BatchNorm": ({"num_features": 3, "momentum": 0.1, **NORM}, ROWS),
    "LayerNorm": ({"num_features": 3, **NORM}, ROWS),
    "RMSNorm": ({"num_features": 3, **NORM}, ROWS),
    "GroupNorm": ({"num_groups": 1, "num_channels": 3, **NORM}, ROWS),
    "Embedding": ({"num_embeddings": 5, "embedding_dim": 2, **WEIGHTS}, LABELS),
    "PositionalEncoding": ({"features": 3, "base": 100.0}, SEQUENCES),
    **{name: ({**RECURRENT, **INITS}, SEQUENCES) for name in ("RNN", "LSTM", "GRU")},
    "MultiHeadAttention": ({"features": 3, "num_heads": 1, "causal": True, "bias": True, **WEIGHTS}, SEQUENCES),
    "Conv1D": ({**CONVOLUTION, **WEIGHTS}, SIGNALS),
    "Conv2D": ({**CONVOLUTION, **WEIGHTS}, IMAGES),
    **dict.fromkeys(("MaxPool1D", "AvgPool1D"), (KERNEL, SIGNALS)),
    **dict.fromkeys(("MaxPool2D", "AvgPool2D"), (KERNEL, IMAGES)),
    "GlobalAvgPool": ({}, IMAGES),
    "Residual": ({"layer": mb.Dense(3, 3, rng=0)}, ROWS),
    "Add": ({"layers": [mb.Dense(3, 2, rng=0)]}, ROWS),
    "Concat": ({"layers": [mb.Dense(3, 2, rng=0)], "axis": 1}, ROWS),
    "Reshape": ({"shape": (3, 1)}, ROWS),
    "Transpose": ({"axes": (2, 1)}, SEQUENCES),
    "ArticleNetwork": ({"layers": [mb.Dense(3, 2, rng=0)]}, ROWS),
}

LOSSES: dict[str, tuple[dict[str, Any], Any]] = {
    "HalfSquaredError": ({}, PLACES),
    "MeanSquaredError": (REDUCED, PLACES),
    "MeanAbsoluteError": (REDUCED, PLACES),
    "Huber": ({"delta": 1.0, **REDUCED}, PLACES),
    "BinaryCrossEntropy": (REDUCED, PLACES),
    "SoftmaxCrossEntropy": (
        {"label_smoothing": 0.1, "class_weights": (1, 2, 3), "ignore_index": -100, "axis": 1, **REDUCED},
        LABELS,
    ),
}

INITIALIZERS: dict[str, dict[str, Any]] = {
    "Constant": {"value": 1.0},
    "Normal": {"mean": 0.0, "std": 1.0},
    "Orthogonal": {"gain": 1.0},
    "Uniform": {"low": 0.0, "high": 1.0},
    **{name: {} for name in ("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Zeros")},
}

REGULARIZERS: dict[str, dict[str, Any]] = {
    "L1": {"strength": 0.1, "biases": True},
    "L2": {"strength": 0.1, "biases": True},
    "ElasticNet": {"l1": 0.1, "l2": 0.1, "biases": True},
}

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, **CLIPPING},
    "Adagrad": {"learning_rate": 0.1, "epsilon": 1e-8, **CLIPPING},
    "RMSProp": {"learning_rate": 0.1, "rho": 0.9, "epsilon": 1e-8, **CLIPPING},
    "Adam": {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.9, "epsilon": 1e-8, **CLIPPING},
    "AdamW": {
        "learning_rate": 0.1,
        "beta1": 0.9,
        "beta2": 0.9,
        "epsilon": 1e-8,
        "weight_decay": 0.1,
        "biases": True,
        **CLIPPING,
    },
}

SCHEDULES: dict[str, dict[str, Any]] = {
    "StepDecay": {"initial": 0.1, "every": 2, "factor": 0.5},
    "ExponentialDecay": {"initial": 0.1, "factor": 0.5, "every": 2},
    "CosineDecay": {"initial": 0.1, "steps": 10, "final": 0.0},
    "WarmUp": {"steps": 2, "then": 0.1},
    "Piecewise": {"boundaries": [2], "values": [0.1, 0.01]},
}

TRAINING: dict[str, dict[str, Any]] = {
    "Trainer": {
        "model": mb.Dense(3, 2, rng=0),
        "loss": mb.MeanSquaredError(),
        "optimizer": mb.SGD(0.1),
        "metrics": [mb.mean_absolute_error],
        "regularizer": mb.L2(0.1),
        "rng": 0,
    },
    "PrintEvery": {"steps": 2, "metric": mb.mean_absolute_error, "file": None},
    "ProgressBar": {"file": None},
    "EarlyStopping": {"patience": 2, "monitor": "loss", "min_delta": 0.1, "mode": "min", "restore_best": True},
    "Batches": {
        "x": ROWS,
        "y": LABELS,
        "weights": np.ones(2),
        "batch_size": 1,
        "shuffle": True,
        "drop_last": True,
        "rng": 0,
        "rows": np.array([0, 1]),
        "given": {"lengths": np.ones(2)},
    },
    "History": {},
    "Checkpoint": {"path": "unused", "every": 1, "monitor": "loss", "mode": "min", "save_best_only": True},
    "ReduceLROnPlateau": {
        "monitor": "loss",
        "factor": 0.5,
        "patience": 2,
        "mode": "min",
        "min_delta": 0.1,
        "cooldown": 1,
        "min_lr": 0.0,
    },
    "MovingAverage": {"decay": 0.9, "apply": True},
    "Workers": {"count": 2},
    "Threads": {"workers": 2},
    "Sharing": {"workers": mb.Workers(2)},
    "SklearnMetric": {"function": mb.mean_absolute_error, "of": "values", "name": "f"},
    "LiveCurves": {"names": ["loss"], "every": 1.0},
    "ActivationRecorder": {"layer": mb.Dense(3, 2, rng=0), "x": ROWS, "keep_states": False},
}

OTHERS: dict[str, dict[str, Any]] = {
    "Buffer": {"value": [1.0]},
    "Parameter": {"value": [1.0]},
    **{
        name: {"prediction": ROWS, "target": PLACES, "weights": np.ones(2)}
        for name in ("mean_absolute_error", "mean_squared_error", "r2_score")
    },
    "accuracy": {"prediction": ROWS, "target": LABELS, "weights": np.ones(2), "axis": 1, "ignore_index": -1},
    "top_k_accuracy": {
        "prediction": ROWS,
        "target": LABELS,
        "weights": np.ones(2),
        "k": 2,
        "axis": 1,
        "ignore_index": -1,
    },
    "binary_accuracy": {"prediction": ROWS, "target": PLACES, "threshold": 0.0, "weights": np.ones(2)},
    "load_weights": {"path": "model.npz"},
    "ParameterGroups": {
        "model": Fresh(lambda: model()),
        "parts": {"0.weight": mb.SGD(0.1)},
        "default": mb.SGD(0.1),
        **CLIPPING,
    },
    "save": {"model": mb.Dense(3, 2, rng=0), "path": "model.npz"},
    "load": {"path": "model.npz", "classes": ()},
    "resume": {"path": "run.npz", "trainer": Fresh(lambda: trainer()), "callbacks": ()},
    "save_checkpoint": {"trainer": Fresh(lambda: trainer()), "path": "run.npz", "callbacks": ()},
    "summary": {"model": mb.Dense(3, 2, rng=0), "input_shape": (3,), "dtype": float},
    "passes": {"model": mb.Dense(3, 2, rng=0), "x": np.ones((4, 3))},
    "to_mermaid": {"model": mb.Dense(3, 2, rng=0), "direction": "TB"},
    "mlp": {
        "sizes": [3, 2],
        "activation": mb.ReLU,
        "output_activation": mb.ReLU,
        "dropout": 0.5,
        "batch_norm": True,
        "bias": True,
        **WEIGHTS,
    },
    "three_layer": {"inputs": 3, "hidden": 2, "outputs": 1, "rng": 0},
    "two_layer": {"inputs": 3, "outputs": 1, "rng": 0},
    "keep_freed_memory": {},
}

#: Public names that are not called here, and why.
LEFT_OUT = {
    **dict.fromkeys(
        ("Layer", "Loss", "Metric", "Initializer", "Regularizer", "Optimizer", "GradientDescent"), "abstract"
    ),
    **dict.fromkeys(
        ("Plan", "Step", "Summary", "SummaryRow", "Passes", "PassesRow"), "a record that the framework makes"
    ),
    "Array": "a type",
    "Callback": "takes no arguments, and does nothing with those of its methods",
    "Ranks": "needs an extra",
    **dict.fromkeys(
        (f"plot_{name}" for name in ("history", "decision_boundary", "sigmoid", "hidden_activations")), "needs an extra"
    ),
    **dict.fromkeys(
        (f"animate_{name}" for name in ("hidden_activations", "weights", "decision_boundary")), "needs an extra"
    ),
}

#: What is not tried, by the end of the label and the argument: the values, and why.
NOT_TRIED: dict[tuple[str, str], tuple[set[str], str]] = {
    ("map_arrays", "function"): (
        {"a class", "a class of layers"},
        "what a function of the user's raises is the user's",
    ),
    **{
        (label, argument): ({"a class of layers"}, "what a function of the user's raises is the user's")
        for label, argument in (
            ("fit", "validation"),
            ("fit of batches", "x"),
            ("fit of batches", "validation"),
            ("fit with a fraction", "validation"),
        )
    },
    **{
        (label, "epochs"): ({"10**30", "10**400"}, "it would go on and on")
        for label in ("fit", "fit of batches", "fit with a fraction")
    },
    ("check_loss", "targets"): ({"a class"}, "what a function of the user's raises is the user's"),
    ("models", "in_shape"): ({"10**30", "10**400"}, "no array is so large, which is for NumPy to say"),
    **{
        (label, argument): ({"10**30", "10**400"}, "so many are drawn")
        for label, argument in (
            *((check, "examples") for check in ("check_layer", "check_loss", "check_regularizer")),
            ("models", "max_layers"),
            ("batches", "max_size"),
        )
    },
}

#: A call: what it is called, what is called, and arguments that make sense, each to be replaced in turn.
Call = tuple[str, Callable[..., object], Mapping[str, Any]]


def public(name: str, arguments: Mapping[str, Any]) -> Any:
    """Call what has a public name."""
    return getattr(mb, name)(**arguments)


def made(name: str, /, **given: Any) -> Any:
    """Call what has a public name, by arguments of which one may be a name too."""
    return public(name, given)


def trainer() -> mb.Trainer:
    return public("Trainer", TRAINING["Trainer"])


def model() -> mb.Sequential:
    return mb.Sequential([mb.Dense(3, 2, rng=0)])


def method(make: Callable[[], object], verb: str) -> Callable[..., object]:
    """Make a function that calls a method of an object that is made anew each time; the arguments have an order."""
    return lambda **given: getattr(make(), verb)(*given.values())


def entries(what: str, load: Callable[[Any], object], state: Mapping[str, Any]) -> Iterator[Call]:
    """Load a state, and the same with another value in one of its entries."""
    yield what, lambda state: load(state), {"state": state}
    for entry in state:
        yield (
            f"{what}: {entry}",
            lambda entry=entry, **given: load({**state, entry: given["value"]}),
            {"value": state[entry]},
        )


def of_layer(name: str, arguments: Mapping[str, Any], x: Any) -> Iterator[Call]:
    """Go through the methods of a layer; what is handed to `backward` as its cache has to come from `forward`."""

    def make() -> Any:
        return public(name, arguments)

    def back(verb: str) -> Callable[..., object]:
        layer = make()
        return lambda grad: getattr(layer, verb)(grad, layer.forward(x)[1])

    layer = make()
    grad = np.ones(layer.predict(x).shape)
    yield name, lambda **given: public(name, given).forward(x), arguments
    for verb in ("forward", "predict", "__call__"):
        yield f"{name}.{verb}", method(make, verb), {"x": x}
    for verb in ("backward", "accumulate"):
        yield f"{name}.{verb}", back(verb), {"grad": grad}
    for side in layer.side_inputs:
        yield f"{name}.given", lambda **given: make().given(**given).forward(x), {side: None}
    yield from entries(f"{name}.load_state_dict", lambda state: make().load_state_dict(state), layer.state_dict())
    yield f"{name}.astype", method(make, "astype"), {"dtype": np.float32}
    yield f"{name}.map_arrays", method(make, "map_arrays"), {"function": np.copy}
    yield f"{name}.map_arrays: result", lambda value: make().map_arrays(lambda _: value), {"value": Fresh(object)}


def of_loss(name: str, arguments: Mapping[str, Any], target: Any) -> Iterator[Call]:
    """Go through the methods of a loss."""
    whole = {"prediction": ROWS, "target": target, "weights": np.ones(2)}
    yield name, lambda **given: public(name, given).forward(ROWS, target), arguments
    for verb in ("forward", "__call__"):
        yield f"{name}.{verb}", method(lambda: public(name, arguments), verb), whole
    totals = {"target": target, "weights": np.ones(2)}
    yield f"{name}.total_weight", method(lambda: public(name, arguments), "total_weight"), totals


def of_initializer(name: str, arguments: Mapping[str, Any]) -> Iterator[Call]:
    """Make an initializer, and call it."""
    yield name, lambda **given: public(name, given)((3, 2)), arguments
    yield f"{name}()", method(lambda: public(name, arguments), "__call__"), {"shape": (3, 2), "rng": 0}


def of_regularizer(name: str, arguments: Mapping[str, Any]) -> Iterator[Call]:
    """Go through the methods of a penalty."""
    yield name, lambda **given: public(name, given).forward(model().parameters()), arguments
    for verb in ("forward", "backward"):
        parameters = {"parameters": Fresh(lambda: model().parameters())}
        yield f"{name}.{verb}", method(lambda: public(name, arguments), verb), parameters


def of_optimizer(name: str, arguments: Mapping[str, Any]) -> Iterator[Call]:
    """Go through the methods of an optimizer; its state is that after a step."""

    def stepped(learned: mb.Layer, given: Mapping[str, Any]) -> Any:
        optimizer = public(name, given)
        y, cache = learned.forward(ROWS)
        learned.accumulate(y, cache)
        optimizer.step(learned.parameters())
        return optimizer

    def make() -> Any:
        return public(name, arguments)

    learned = model()
    state = stepped(learned, arguments).state_dict(learned)
    yield name, lambda **given: stepped(model(), given), arguments
    yield f"{name}.step", method(make, "step"), {"parameters": Fresh(lambda: model().parameters())}
    yield f"{name}.state_dict", method(make, "state_dict"), {"model": Fresh(model)}
    yield f"{name}.load_state_dict", method(make, "load_state_dict"), {"state": state, "model": Fresh(model)}
    yield from entries(f"{name}.load_state_dict", lambda state: make().load_state_dict(state, model()), state)


def of_schedule(name: str, arguments: Mapping[str, Any]) -> Iterator[Call]:
    """Make a schedule, and call it."""
    yield name, lambda **given: public(name, given)(1), arguments
    yield f"{name}()", method(lambda: public(name, arguments), "__call__"), {"step": 1}


def of_training() -> Iterator[Call]:
    """Go through the trainer, and what it calls and keeps."""
    for name, arguments in TRAINING.items():
        yield name, partial(made, name), arguments
    batch = {"x": ROWS, "y": PLACES[:, :2], "weights": np.ones(2)}
    fitted = {
        **batch,
        "epochs": 1,
        "batch_size": 1,
        "shuffle": True,
        "drop_last": False,
        "class_weights": None,
        "given": None,
        "stratify": False,
        "validation": (ROWS, PLACES[:, :2]),
        "micro_batch_size": 1,
        "callbacks": (),
    }
    callbacks = {name: public(name, TRAINING[name]) for name in ("EarlyStopping", "ReduceLROnPlateau", "MovingAverage")}
    callbacks["Checkpoint"] = public("Checkpoint", TRAINING["Checkpoint"])
    yield "Trainer.fit", lambda **given: trainer().fit(**given), fitted
    streamed = {"x": [(ROWS, PLACES[:, :2])], "epochs": 1, "steps_per_epoch": 1, "validation": [(ROWS, PLACES[:, :2])]}
    yield "Trainer.fit of batches", lambda **given: trainer().fit(**given), streamed
    held_out = {"x": np.ones((4, 3)), "y": np.arange(8).reshape(4, 2) % 2, "epochs": 1, "validation": 0.5}
    yield "Trainer.fit with a fraction", lambda **given: trainer().fit(**given), held_out
    yield "Trainer.step", lambda **given: trainer().step(**given), {**batch, "given": None, "micro_batch_size": 1}
    yield "Trainer.evaluate", lambda **given: trainer().evaluate(**given), {**batch, "given": None, "batch_size": 1}
    yield "Trainer.predict", lambda **given: trainer().predict(**given), {"x": ROWS, "given": None, "batch_size": 1}
    metric = public("SklearnMetric", TRAINING["SklearnMetric"])
    measured = {"prediction": ROWS, "target": PLACES, "weights": np.ones(2)}
    yield "a pass of Batches", lambda **given: list(public("Batches", given)), TRAINING["Batches"]
    yield "SklearnMetric()", method(lambda: metric, "__call__"), measured
    for what, make, verb, state in (
        ("Trainer.load_state_dict", trainer, "load_state_dict", trainer().state_dict()),
        ("History.record", mb.History, "record", {"loss": 1.0}),
        ("History.load", mb.History, "load", {"loss": np.ones(2)}),
        *(
            (f"{name}.load_state_dict", lambda each=each: each, "load_state_dict", each.state_dict())
            for name, each in callbacks.items()
        ),
    ):
        yield from entries(what, lambda state, make=make, verb=verb: getattr(make(), verb)(state), state)


def of_others() -> Iterator[Call]:
    """Go through the functions, and what the rest is made of."""
    for name, arguments in OTHERS.items():
        yield name, partial(made, name), arguments
    yield "Parameter.add", method(lambda: mb.Parameter([1.0]), "add"), {"grad": np.ones(1)}


def of_interop() -> Iterator[Call]:
    """Go through the bridges to other tools that need none of them."""
    arrays = {"a.weight": np.ones((2, 3)), "a.bias": np.ones(2)}
    pair = {"model": Fresh(lambda: mb.Dense(3, 2)), "names": {"": "a"}}
    yield "load_torch_state_dict", load_torch_state_dict, {**pair, "state_dict": arrays}
    yield "torch_state_dict", torch_state_dict, pair
    of_entry = lambda value: load_torch_state_dict(mb.Dense(3, 2), arrays | {"a.bias": value})  # noqa: E731
    yield "load_torch_state_dict", of_entry, {"value": np.ones(2)}


def of_testing() -> Iterator[Call]:
    """Go through the checks of layers and the rest, and what they draw from; a broken law is an answer, too."""
    chosen = settings(
        max_examples=1,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )

    def once(strategy: Any) -> None:
        chosen(given(strategy)(lambda _: None))()

    searched = {"examples": 2, "seed": 0, "shrink": False}
    checks: dict[str, dict[str, Any]] = {
        "check_layer": {"make": mb.Sigmoid, "inputs": (3,), "laws": ALL[:1], "without": None},
        "check_loss": {
            "make": mb.MeanSquaredError,
            "predictions": (2,),
            "targets": lambda _, x: x + 1.0,
            "classes": None,
            "laws": LOSS_LAWS[:1],
            "without": None,
        },
        "check_regularizer": {"make": lambda: mb.L2(0.1), "shapes": [(2, 2)]},
    }
    for name, arguments in checks.items():
        yield name, partial(getattr(testing, name)), arguments | searched
    squares = {"function": np.square, "vjp": lambda grad, x: 2 * x * grad, "x": ROWS + 1.0, "seed": 0}
    yield "check_gradients", testing.check_gradients, squares
    fitted = {"model": model(), "loss": mb.MeanSquaredError(), "x": ROWS + 1.0, "y": PLACES[:, :2]}
    yield "check_model", testing.check_model, {**fitted, "regularizer": mb.L2(0.1), "seed": 0}
    strategies: dict[str, dict[str, Any]] = {
        "batches": {"shape": (3,), "min_size": 1, "max_size": 2, "entries": ["plain"], "layouts": ["C"]},
        "parameters": {"shape": (3,)},
        "layers": {"in_shape": (3,), "out_features": 2},
        "models": {"in_shape": (3,), "out_features": 2, "max_layers": 2, "vocabulary": 3},
    }
    for name, arguments in strategies.items():
        yield (
            name,
            lambda name=name, **given: once(getattr(testing, name)(**given)),
            {**arguments, "dtype": np.float64},
        )


GROUPS: dict[str, Callable[[], Iterator[Call]]] = {
    **{name: partial(of_layer, name, *LAYERS[name]) for name in LAYERS},
    **{name: partial(of_loss, name, *LOSSES[name]) for name in LOSSES},
    **{name: partial(of_initializer, name, INITIALIZERS[name]) for name in INITIALIZERS},
    **{name: partial(of_regularizer, name, REGULARIZERS[name]) for name in REGULARIZERS},
    **{name: partial(of_optimizer, name, OPTIMIZERS[name]) for name in OPTIMIZERS},
    **{name: partial(of_schedule, name, SCHEDULES[name]) for name in SCHEDULES},
    "training": of_training,
    "interop": of_interop,
    "testing": of_testing,
    "others": of_others,
}


def attempt(function: Callable[..., object], arguments: Mapping[str, Any]) -> None:
    """Call with what is to be made anew made; numbers may overflow."""
    with np.errstate(all="ignore"):
        function(**{name: value.make() if isinstance(value, Fresh) else value for name, value in arguments.items()})


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.filterwarnings("ignore")
def test_nonsense_is_taken_or_refused_in_the_family(
    group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but a result or an error of the framework's own comes of any value in the place of any argument."""
    monkeypatch.chdir(tmp_path)
    mb.save(mb.Dense(3, 2, rng=0), "model.npz")
    mb.save_checkpoint(trainer(), "run.npz")
    raw = []
    for label, function, arguments in GROUPS[group]():
        if not label.endswith(": result"):
            attempt(function, arguments)  # What makes sense is taken.
        for argument in arguments:
            # That a file cannot be opened is for the system to say.
            family = (MinibackpropError, testing.ContractViolation, *([OSError] if argument == "path" else []))
            not_tried, _ = NOT_TRIED.get((label.rpartition(".")[2], argument), (set(), ""))
            for what, make in NONSENSE.items():
                if what in not_tried:
                    continue
                try:
                    attempt(function, {**arguments, argument: make()})
                except family:
                    pass
                except Exception as error:
                    raw.append(f"{label}({argument}={what}): {type(error).__name__}: {error}")
    assert not raw, chr(10).join([f"{len(raw)} raw errors:", *raw])


@pytest.mark.parametrize("name", LAYERS)
def test_complex_numbers_are_refused_by_all_layers(name: str) -> None:
    """One rule for all: complex numbers are a `DTypeError`, in each verb, and no gradient is added."""
    arguments, x = LAYERS[name]
    layer = public(name, arguments)
    layer.clear_gradients()
    y, cache = layer.forward(x)
    for verb in (layer.forward, layer.predict):
        with pytest.raises(mb.DTypeError, match=r"expects (real numbers|an array of integers), got "):
            verb(x * (1 + 0j))
    for verb in (layer.backward, layer.accumulate):
        with pytest.raises(mb.DTypeError, match="expects real numbers, got "):
            verb(y * (1 + 0j), cache)
    assert all(parameter.grad is None for parameter in layer.parameters())


def test_every_public_name_is_gone_through() -> None:
    """A new public name has to be put among those that are called, or left out for a reason."""
    called = {*LAYERS, *LOSSES, *INITIALIZERS, *REGULARIZERS, *OPTIMIZERS, *SCHEDULES, *TRAINING, *OTHERS}
    errors = {name for name in mb.__all__ if name.endswith("Error")}
    assert called | errors | set(LEFT_OUT) == set(mb.__all__)
    assert not called & set(LEFT_OUT)
