"""The law of workers: what a layer says of itself for those who share a batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from minibackprop.core import named_layers
from minibackprop.parallel.threads import Threads
from minibackprop.state import own_reason
from minibackprop.testing.calls import Pass, gradient_of, run
from minibackprop.testing.case import Case
from minibackprop.testing.comparing import near, side_by_side
from minibackprop.testing.side_inputs import of_rows
from minibackprop.testing.violations import ContractViolation
from minibackprop.training.replicas import Replica, Replicas
from minibackprop.validation import Array


def shared_by_workers(case: Case) -> None:
    """Divide the batch between two workers; compare what they find together with one pass."""
    layer, count = case.layer(), len(case.x)
    parts = [part for _, part in named_layers(layer)]
    coupled = [part for part in parts if own_reason(part, "couples_samples") and not part.synchronizes]
    if layer.stochastic or coupled or count < 2 or not any(part.synchronizes or part.aggregation for part in parts):
        return
    expected = run(layer, case.x, case.upstream)
    grad, bounds = case.upstream(expected.y), case.rounding()
    copies, meeting = Replicas(case.layer(), 0), Threads(2).meeting(2)
    copies.refresh()
    assert meeting is not None
    rows = [slice(0, (count + 1) // 2), slice((count + 1) // 2, count)]

    def work(replica: Replica, own: slice) -> Pass:
        try:
            return run(of_rows(replica.model, own), case.x[own], grad[own])
        finally:
            meeting.leave()

    with ThreadPoolExecutor(2) as pool:
        replicas = copies.prepared(2, meeting)
        made = list(pool.map(work, replicas, rows))
    _require("the result", np.concatenate([each.y for each in made]), expected.y, bounds["y"])
    for name, value in expected.gradients.items():
        each = [one.gradients[name] for one in made]
        found = np.concatenate(each) if name == "input" else each[0] + each[1]
        _require(gradient_of(name), found, value, bounds[name])
    whole = Replicas(layer, 0)
    whole.refresh()
    for index, (aggregation, wanted) in enumerate(zip(copies.aggregations, whole.aggregations, strict=True)):
        values = [replica.buffers[index][1].value for replica in replicas]
        found_buffer = aggregation.found(values, [own.stop - own.start for own in rows], 0)
        if found_buffer is not None:
            aggregation.take(found_buffer, count)
        value = wanted.buffer.value
        _require(aggregation.where, aggregation.buffer.value, value, 1e-6 * float(np.abs(value).max(initial=1e-3)))


def _require(what: str, found: Array, expected: Array, bound: float) -> None:
    if not near(found, expected, 16 * bound):
        raise ContractViolation(
            f"{what}, where two workers share the batch, is not that of one pass",
            cause="a sum over samples, or their number, that does not go through self.across; or another `aggregation`",
            evidence=side_by_side(np.asarray(found), np.asarray(expected), ("by two", "by one")),
        )
