"""The checker finds every planted bug, names its cause, and passes every twin: quickly here, in 20 seeds at night."""

import pytest
from hypothesis import settings

from minibackprop.testing import ContractViolation, check_layer
from tests.testing.bank.planting import says
from tests.testing.planted_bugs import BANK, TWINS, Planted, Right

THOROUGH = settings.default.max_examples > 1000
SEEDS_OF_BUGS = range(20 if THOROUGH else 1)
SEEDS_OF_TWINS = range(200 if THOROUGH else 1)
#: What check_layer draws where no profile of Hypothesis says otherwise; here half of it has to do.
EXAMPLES = 20 if THOROUGH else 10
#: Right layers are drawn for by the stress and the night's run; here, so that what is wrong with one shows at once.
EXAMPLES_OF_TWINS = 20 if THOROUGH else 5


@pytest.mark.parametrize("planted", BANK, ids=lambda planted: planted.name)
def test_bug_is_found(planted: Planted) -> None:
    """A law that should see the bug is broken, and the cause that is named is the right one, or none is."""
    for seed in SEEDS_OF_BUGS:
        with pytest.raises(ContractViolation) as caught:
            check_layer(planted.bug, planted.inputs, examples=EXAMPLES, seed=seed, shrink=False)
        assert caught.value.law in planted.laws, caught.value
        assert says(caught.value.cause, planted.cause), caught.value
        _require_runnable(planted, caught.value)


def test_nearly_all_causes_are_named() -> None:
    """Of few bugs, the evidence does not single out a cause."""
    assert sum(bool(planted.cause) for planted in BANK) >= 0.8 * len(BANK) >= 110


def _require_runnable(planted: Planted, violation: ContractViolation) -> None:
    """The code of a violation is Python; where the law is one of gradients, it runs and computes them."""
    code = compile(violation.example, "<example>", "exec")
    if violation.law in ("input gradient", "parameter gradient"):
        made = getattr(planted.bug, "func", planted.bug)  # Of a partial.
        names = {"make": planted.bug, getattr(made, "__name__", "make"): made}
        exec(code, names)
        assert names["x"].dtype.kind != "f" or names["grad_x"].shape == names["x"].shape
        if violation.law == "parameter gradient":
            assert names["grads"].keys() == dict(names["layer"].named_parameters()).keys()


@pytest.mark.parametrize("right", TWINS, ids=lambda right: right.name)
def test_twin_passes(right: Right) -> None:
    """A correct layer, that differs from a wrong one in a line or is unusual, keeps every law."""
    for seed in SEEDS_OF_TWINS:
        check_layer(right.make, right.inputs, examples=EXAMPLES_OF_TWINS, seed=seed, shrink=False)
