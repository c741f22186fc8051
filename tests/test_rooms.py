"""The layout of the house: who may import whom, and that the public names are those that they were."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import minibackprop

ROOT = Path(minibackprop.__file__).parent

#: The rooms from the ground up: a module imports from its own room, and from those on lines above it.
FLOORS = (
    {"_exports"},
    {"errors"},
    {"arrays"},
    {"validation"},
    {"numerics", "rng"},
    {"state"},
    {"core"},
    {"initializers"},
    {"layers", "regularizers"},
    {"losses", "optimizers"},
    {"metrics"},
    {"training"},
    {"article", "models"},
    {"saving", "inspection", "parallel"},
    {"interop"},
    {"__main__", "testing"},
    {"exercises"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
#: Imports inside a method that only shows something, which may point upwards.
SHOWING = {
    ("core", "_repr_html_", "inspection.boxes"),
    ("training.history", "plot", "inspection.plots"),
    ("training.history", "_repr_html_", "inspection.tables"),
}

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted(ROOT.rglob("*.py"))
    if path.name != "__init__.py" and "solutions" not in path.parts  # Which readers write.
}
#: What an import may name: a module, or a room for the names that it lists.
PLACES = MODULES.keys() | FLOOR.keys()


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Go through what a module imports of the package, for type checking too: by which function, and what."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(node): function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            inner = (f"{node.module}.{alias.name}" for alias in node.names)
            names = [name if name.removeprefix("minibackprop.") in PLACES else node.module or "" for name in inner]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "minibackprop":
                yield inside.get(id(node), ""), name.removeprefix("minibackprop").removeprefix(".")


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str) -> None:
    """Each import is from the module's own room or from one below, but for those that only show something."""
    for function, other in imported(MODULES[module]):
        if (module, function, other) in SHOWING:
            continue
        assert other in PLACES, f"{module} imports {other or 'the whole package'}: name the module"
        room, theirs = module.split(".")[0], other.split(".")[0]
        assert room == theirs or FLOOR[theirs] < FLOOR[room], f"{module} imports {other}, which is not below it"


def test_exceptions_are_needed() -> None:
    """Each import that is listed as one that shows something is there."""
    assert {
        (module, function, other) for module, path in MODULES.items() for function, other in imported(path)
    } >= SHOWING


def test_no_module_imports_itself_by_others() -> None:
    """There is no circle of imports, type-checking ones included."""
    below = {
        module: {other for function, other in imported(path) if (module, function, other) not in SHOWING}
        & MODULES.keys()
        for module, path in MODULES.items()
    }
    done: set[str] = set()
    while ready := {module for module, others in below.items() if module not in done and others <= done}:
        done |= ready
    assert done == below.keys(), f"in circles: {sorted(below.keys() - done)}"


def test_nothing_stays_without_a_floor() -> None:
    """Every room that there is has its floor, and every floor its rooms."""
    assert {module.split(".")[0] for module in MODULES} == FLOOR.keys()
