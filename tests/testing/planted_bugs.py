"""
A bank of planted bugs, each the slip of one line beside a correct twin, to prove the checker with.

Every bug is written the way people make it. What a class's docstring calls the slip is the only thing in which it
departs from its twin. They stand in `bank`, by kind; a file put there is found.
"""

from importlib import import_module
from pathlib import Path

from tests.testing.bank.planting import LAYERS, LOSSES, RIGHTS, Planted, PlantedLoss, Right

for _path in sorted((Path(__file__).parent / "bank").glob("*.py")):
    import_module(f"tests.testing.bank.{_path.stem}")

BANK: tuple[Planted, ...] = tuple(LAYERS)
LOSS_BANK: tuple[PlantedLoss, ...] = tuple(LOSSES)
#: Every twin once, by the last of its bugs, and the right layers that no bug stands beside.
TWINS: tuple[Right, ...] = (
    *{p.twin: Right(f"twin of {p.name}", p.twin, p.inputs) for p in BANK}.values(),
    *RIGHTS,
)
