"""What a user gives: held against the model and the loss before the first step, and divided into batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from attrs import define, field

from minibackprop.arrays import kind_of, name_of, on_host
from minibackprop.core import Layer, side_inputs_of, takes_integers
from minibackprop.errors import ConfigError, ContractError, describe
from minibackprop.losses.base import Loss
from minibackprop.training.class_weights import as_class_weights, balanced, labels_of
from minibackprop.training.data import (
    BATCH,
    Batch,
    Batches,
    CheckedBatches,
    Form,
    Portions,
    Stream,
    as_batch,
    as_given,
    rows_of,
)
from minibackprop.training.rows import as_samples
from minibackprop.training.side_inputs import called_with
from minibackprop.validation import Array, require_size_or_none


@define(eq=False, repr=False)
class FitData:
    """What `fit` goes through, checked as far as it can be known: batches, and what all of them together tell."""

    batches: Iterable[Batch]
    validation: Iterable[Batch] | None
    class_weights: Mapping[int, float] | None
    #: Gives targets and weights of all that is trained on; None where batches are made elsewhere.
    whole: Callable[[], tuple[Array, Array | None]] | None

    def weight(self, loss: Loss) -> tuple[float, int] | None:
        """Compute the total weight of all that is trained on, and count the samples; None where it is not known."""
        if self.whole is None or loss.reduction == "sum":
            return None
        target, weights = self.whole()
        return loss.total_weight(target, weights), len(target)


@define(eq=False, repr=False)
class Intake:
    """
    Takes in data for a model and its loss: refuses what does not fit them, and divides the rest into batches.

    Arrays are checked before the first step; batches that are made elsewhere, or are read from a memory-mapped file, as
    they come.
    """

    model: Layer
    loss: Loss
    batch_size: int | None = None
    form: Form = field(init=False)

    def __attrs_post_init__(self) -> None:
        require_size_or_none("Trainer: batch_size", self.batch_size)
        values = [parameter.value for parameter in self.model.parameters()]
        found, kinds = {value.dtype for value in values}, {kind_of(value) for value in values}
        dtype = np.result_type(*found) if found else None
        if len(kinds) > 1:
            got = " and ".join(sorted(map(name_of, kinds)))
            raise ConfigError("Trainer: model", "arrays of one kind, as map_arrays makes them", got)
        self.form = Form(None if takes_integers(self.model) else dtype, dtype, next(iter(kinds), None))

    def for_step(self, x: Any, y: Any, weights: Any, given: Any) -> Batch:
        """Take in the arrays of a step."""
        samples = as_batch(x, y, weights, self._sides(given), form=self.form)
        if samples.weights is not None and not samples.weights.any():
            raise ConfigError("Trainer: weights", "some above 0", "none")
        return samples

    def for_evaluation(self, x: Any, y: Any, weights: Any, given: Any) -> Iterable[Batch]:
        """Take in data to evaluate the model on."""
        return self._in_batches(self._data(x, y, weights, given))

    def for_prediction(self, x: Any, given: Any) -> tuple[int, Iterator[tuple[Array, Mapping[str, Array] | None]]]:
        """Take in samples alone: how many there are, and slices of them with their side inputs."""
        samples = as_samples("x", x, self.form.x, self.form.kind)
        sides = as_given(self._sides(given), len(samples), self.form)
        size = self.batch_size or len(samples)

        def slices() -> Iterator[tuple[Array, Mapping[str, Array] | None]]:
            for start in range(0, len(samples), size):
                part = samples[start : start + size]
                part = as_samples("x", np.asarray(part), self.form.x) if isinstance(part, np.memmap) else part
                yield part, rows_of(sides, slice(start, start + size))

        return len(samples), slices()

    def for_fit(
        self,
        x: Any,
        y: Any,
        weights: Any,
        given: Any,
        validation: Any,
        class_weights: Any,
        *,
        stratify: bool,
        rng: np.random.Generator | None,
        drop_last: bool,
        steps_per_epoch: int | None,
        split_seed: int,
    ) -> FitData:
        """Take in data to train on, shuffled where there is an `rng`, and those to validate with, if any."""
        data, rows, validation_batches = self._data(x, y, weights, given), None, None
        if isinstance(validation, Real):
            if isinstance(data, Stream):
                raise _no_arrays("a fraction to hold out", x)
            rows, held_out = (
                np.asarray(part, like=data.y) for part in _split(data.y, validation, split_seed, stratify)
            )
            self._require_some_weight("the samples held out", data.y, data.weights, held_out)
            self._require_some_weight("the samples not held out", data.y, data.weights, rows)
            validation_batches = self._in_batches(data, held_out)
        elif stratify:
            raise ConfigError("Trainer.fit: stratify", "validation as a fraction to hold out", describe(validation))
        elif validation is not None:
            sides = (data.given if isinstance(data, Batch) else getattr(x, "given", None)) or {}
            validation_batches = self._in_batches(self._validation(validation, bool(sides)))
            if isinstance(validation_batches, Stream):
                first = validation_batches.begin()
                if sides and first.given is None:
                    raise _without_sides("a first batch without")
                self._require_fitting_targets(first, "the first batch of validation")
        batches = self._in_batches(data, rows, rng, drop_last)
        known = x if type(x) is Batches else getattr(batches, "batches", None)
        if known is not None:
            self._require_enough_samples(known)
        if steps_per_epoch is not None:
            if not isinstance(data, Stream):
                raise ConfigError("Trainer.fit: steps_per_epoch", "an iterable of batches, or a function", "arrays")
            batches = Portions(data, steps_per_epoch)
        source: Any = x if type(x) is Batches else data
        whole = None
        if not isinstance(source, Stream):
            whole = partial(_targets, source.y, source.weights, source.rows if source is x else rows)
            if source is x:
                self._require_some_weight("the data", *whole())
        return FitData(batches, validation_batches, self._class_weights(class_weights, whole), whole)

    def _class_weights(
        self, value: Any, whole: Callable[[], tuple[Array, Array | None]] | None
    ) -> Mapping[int, float] | None:
        if value is None:
            return None
        if not isinstance(value, str) or value != "balanced":
            if whole is not None:
                labels_of(whole()[0])
            return as_class_weights(value)
        if whole is None:
            expected = "a dict by label where batches are made elsewhere"
            raise ConfigError("Trainer.fit: class_weights", expected, repr(value))
        return balanced(*whole(), getattr(self.loss, "ignore_index", None))

    def _sides(self, given: Any) -> Any:
        """Require of side inputs that a layer takes them."""
        if isinstance(given, Mapping):
            known = sorted(side_inputs_of(self.model))
            for name in given:
                if name not in known:
                    expected = f"side inputs that a layer of the model takes, {known}"
                    raise ConfigError("Trainer: given", expected, repr(name))
            return given or None
        return given

    def _data(self, x: Any, y: Any, weights: Any, given: Any) -> Batch | Stream:
        """Take in arrays, or with `y` None, batches that are made elsewhere."""
        if y is None:
            for name, value in (("weights", weights), ("given", given), ("batch_size", self.batch_size)):
                if value is not None:
                    raise _no_arrays(name, x)
            return Stream(x, self.form, "x without y")
        samples = self.for_step(x, y, weights, given)
        self._require_fitting_targets(samples)
        self._require_some_weight("the data", samples.y, samples.weights)
        return samples

    def _validation(self, data: Any, sides_expected: bool) -> Batch | Stream:
        """Take in ``(x, y)``, with weights and side inputs, or batches; a list of arrays is no list of batches."""
        if isinstance(data, tuple) or (isinstance(data, list) and any(hasattr(entry, "dtype") for entry in data)):
            if len(data) not in (2, 3, 4):
                raise ConfigError("Trainer: validation", BATCH, f"{len(data)} entries")
            if sides_expected and len(data) < 4:
                raise _without_sides(f"{len(data)} entries")
            samples = as_batch(*data, form=self.form)
            self._sides(samples.given)
            self._require_fitting_targets(samples, "the validation data")
            self._require_some_weight("the validation data", samples.y, samples.weights)
            return samples
        return Stream(data, self.form, "validation")

    def _in_batches(
        self,
        data: Batch | Stream,
        rows: Array | None = None,
        rng: np.random.Generator | None = None,
        drop_last: bool = False,
    ) -> Iterable[Batch]:
        """Divide arrays into batches; without a `batch_size`, one."""
        if isinstance(data, Stream):
            return data
        memory_mapped = any(isinstance(array, np.memmap) for array in (*data[:3], *(data.given or {}).values()))
        if self.batch_size is None and not memory_mapped:
            return [data if rows is None else data.rows(rows)]
        x, y, weights, given = data
        size, shuffle = self.batch_size or len(x), rng is not None
        settings: Any = {"batch_size": size, "shuffle": shuffle, "drop_last": drop_last, "rng": rng, "rows": rows}
        batches = Batches(x, y, weights, given=given, **settings)
        return Stream(batches, self.form, "x") if memory_mapped else CheckedBatches(batches)

    def _require_fitting_targets(self, samples: Batch, name: str = "") -> None:
        """
        Require that the loss takes all targets, so that a wrong one is found before the first step, by its row.

        The prediction of the first sample stands for that of each. Where the model does not take it, the first step
        will say it better, as it goes by forward; but none is made on what has a `name`.
        """
        try:
            first = self._first_prediction(samples)
        except Exception as error:
            if not name:
                return
            error.add_note(f"in {name}")
            raise
        rows = max(1, _ENTRIES_AT_ONCE // max(first.size, 1))
        for start in range(0, len(samples.y), rows):
            target = samples.y[start : start + rows]
            try:
                if self.loss.total_weight(target):  # Labels may all be ignored.
                    _require_loss(self.loss, np.broadcast_to(first, (len(target), *first.shape[1:])), target)
            except Exception as error:
                if start:
                    error.add_note(f"where index 0 is that of sample {start}")
                if name:
                    error.add_note(f"in {name}")
                raise

    def _require_some_weight(self, subject: str, y: Array, weights: Array | None, rows: Array | None = None) -> None:
        target, weights = _targets(y, weights, rows)
        if not self.loss.total_weight(target, weights):
            raise ConfigError(f"Trainer: the weights of {subject}", "some above 0", "none")

    def _first_prediction(self, samples: Batch) -> Array:
        x = np.asarray(samples.x[:1], self.form.x, like=samples.x)
        given = rows_of(samples.given, slice(1))
        return predicted(self.model, x, given)

    def _require_enough_samples(self, batches: Batches) -> None:
        """Require that a last batch of one sample is not too small for a layer that couples samples."""
        count, size = len(batches.x if batches.rows is None else batches.rows), batches.batch_size
        if batches.drop_last or count % size != 1 or size == 1 or not self.model.couples_samples:
            return
        error = self._misfit(batches, 1)
        if error is not None and self._misfit(batches, 2) is None:
            got = f"one, of {count} with batch_size={size}; drop_last=True leaves it out"
            raise ConfigError("Trainer.fit: the last batch", "at least two samples", got) from error

    def _misfit(self, batches: Batches, count: int) -> Exception | None:
        """Find what is wrong with a forward of the first samples: on a copy, as it changes running statistics."""
        model, given = copy.deepcopy(self.model), rows_of(batches.given, slice(count))
        try:
            x = np.asarray(batches.x[:count], self.form.x, like=batches.x)
            (model.given(**given) if given else model).forward(x)
        except Exception as error:
            return error
        return None


def predicted(model: Layer, x: Array, given: Mapping[str, Array] | None) -> Array:
    """Compute the model's predictions, with side inputs where there are any."""
    return called_with(model, given, lambda twin: twin.predict(x)) if given else model.predict(x)


#: How many entries of predictions to hold against targets in one go, before the first step.
_ENTRIES_AT_ONCE = 1_000_000


def _require_loss(loss: Loss, prediction: Array, target: Array) -> None:
    """Require of the loss what each step relies on: a float and a cache, and a gradient of the prediction's shape."""
    name = type(loss).__name__
    result: Any = loss.forward(prediction, target)
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], Real):
        got = f"({', '.join(map(describe, result))})" if isinstance(result, tuple) else describe(result)
        raise ContractError(f"{name}.forward", "return a pair of a float and a cache", got)
    grad = loss.backward(result[1])
    if getattr(grad, "shape", None) != prediction.shape:
        raise ContractError(f"{name}.backward", f"return a gradient of shape {prediction.shape}", describe(grad))


def _without_sides(got: str) -> ConfigError:
    """Make the error for validation data without side inputs where there are some to train with."""
    expected = "(x, y, weights, given), as fit has side inputs (either may be None)"
    return ConfigError("Trainer: validation", expected, got)


def _no_arrays(name: str, x: object) -> ConfigError:
    """Make the error for a setting that says something of arrays only."""
    return ConfigError("Trainer: x", f"samples with targets y, as {name} is given", describe(x))


def _targets(y: Array, weights: Array | None, rows: Array | None) -> tuple[Array, Array | None]:
    """Choose the rows of targets and weights."""
    if rows is None:
        return y, weights
    return y[rows], None if weights is None else weights[rows]


def number_held_out(count: int, fraction: Any) -> int:
    """Count the samples that a fraction of them holds out."""
    return round(count * float(fraction)) if 0 < fraction < 1 else 0


def _split(target: Array, fraction: Any, seed: int, stratify: bool) -> tuple[Array, Array]:
    """Divide the rows into those to train on and those to hold out; stratified, of each label the same share."""
    count = len(target)
    held_out = number_held_out(count, fraction)
    if not 0 < held_out < count:
        expected = f"a fraction that leaves some of the {count} samples on either side"
        raise ConfigError("Trainer.fit: validation", expected, repr(fraction))
    order = np.random.default_rng(seed).permutation(count)
    if stratify:
        labels = on_host(labels_of(target, "stratify").reshape(-1), "Trainer.fit: y")
        if len(labels) != count:
            raise ConfigError("Trainer.fit: stratify", "one label a sample", f"targets of shape {target.shape}")
        order = _stratified(order, labels, held_out)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def _stratified(order: Array, labels: Array, held_out: int) -> Array:
    """Move each label's share of the rows to hold out to the front of their order; the shares add up to all of them."""
    ordered = labels[order]
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts * (held_out / len(labels))
    quotas = np.floor(shares).astype(int)
    quotas[np.argsort(quotas - shares, kind="stable")[: held_out - quotas.sum()]] += 1
    first = np.concatenate([np.flatnonzero(ordered == c)[:q] for c, q in zip(classes, quotas, strict=True)])
    return np.concatenate([order[first], np.delete(order, first)])
