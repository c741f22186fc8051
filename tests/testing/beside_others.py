"""What the banks of other frameworks' functions are put to: bugs are found, twins pass, and the docs say so."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

from minibackprop.testing import ALL, ContractViolation, check_layer
from tests.testing.bank.planting import Planted

THOROUGH = settings.default.max_examples > 1000
SEEDS_OF_BUGS = range(20 if THOROUGH else 1)
SEEDS_OF_TWINS = range(200 if THOROUGH else 1)
PAGES = Path(__file__).parents[2] / "docs" / "how-to"


def require_found(planted: Planted) -> None:
    """A law that should see the bug is broken, at night the first of all; the cause is named where it can be told."""
    laws = ALL if THOROUGH else [law for law in ALL if law.name in planted.laws]
    for seed in SEEDS_OF_BUGS:
        with pytest.raises(ContractViolation) as caught:
            check_layer(planted.bug, planted.inputs, laws=laws, examples=10, seed=seed, shrink=False)
        assert caught.value.law in planted.laws, caught.value
        assert planted.cause in caught.value.cause


def require_twin_passes(planted: Planted) -> None:
    """What differs from a bug in a line keeps every law."""
    for seed in SEEDS_OF_TWINS:
        check_layer(planted.twin, planted.inputs, examples=10 if THOROUGH else 1, seed=seed, shrink=False)


def require_table(page: str, bank: Sequence[Planted], found_by_theirs: Callable[[Planted], bool]) -> None:
    """The table of a page is what is measured, and has every bug."""
    text = (PAGES / page).read_text("utf-8")
    rows = re.findall(r"^\| (.*?) \| (found|missed) \| found: ([\w ]+) \|$", text, re.MULTILINE)
    measured = [(planted.name, "found" if found_by_theirs(planted) else "missed") for planted in bank]
    assert [row[:2] for row in rows] == measured
    assert all(law in planted.laws for (_, _, law), planted in zip(rows, bank, strict=True))


def table(bank: Sequence[Planted], found_by_theirs: Callable[[Planted], bool]) -> str:
    """Write down who finds what, and by which law, as rows for the docs."""
    rows = []
    for planted in bank:
        with pytest.raises(ContractViolation) as caught:
            check_layer(planted.bug, planted.inputs, examples=10, shrink=False)
        finds = "found" if found_by_theirs(planted) else "missed"
        rows.append(f"| {planted.name} | {finds} | found: {caught.value.law} |")
    return "\n".join(rows)
