"""What a violation says."""

import numpy as np
import pytest

from minibackprop.testing import ContractViolation, check_layer
from tests.example_layers import HalfOfIt


def test_violation_tells_law_cause_numbers_and_code() -> None:
    """A violation carries its parts, and its code shows the violation again."""
    with pytest.raises(ContractViolation) as caught:
        check_layer(HalfOfIt, (3,))
    violation = caught.value
    assert violation.law == "input gradient"
    assert violation.cause.startswith("constant factor: the gradient is 0.5 times")
    assert "finite differences" in violation.evidence
    names = {"HalfOfIt": HalfOfIt}
    exec(violation.example, names)
    np.testing.assert_allclose(names["grad_x"], names["x"] * names["grad"])
    assert str(violation).startswith("broken law: input gradient\n")
    assert not getattr(violation, "__notes__", [])
