"""What the README shows runs as a script, and its test passes and can fail."""

import re
from pathlib import Path

import pytest

from minibackprop.testing import ContractViolation

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_layer_of_the_readme_passes_its_test() -> None:
    """The custom layer passes the test that stands beside it; without its 2, it fails with the message shown."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    layer, test = (next(block for block in blocks if what in block) for what in ("class Square", "def test_square"))
    names: dict[str, object] = {}
    exec(layer + test, names)
    names["test_square"]()
    exec(layer.replace("return 2 * x", "return x") + test, names)
    with pytest.raises(ContractViolation) as caught:
        names["test_square"]()
    (shown,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    assert str(caught.value).startswith(shown)


def test_set_up_is_two_commands() -> None:
    """There are exactly two, one line each, and CI takes the second from here."""
    commands = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert len(commands) == 2
    assert all(len(command.splitlines()) == 1 for command in commands)
    assert re.search(r"^pip install .* pytest$", commands[1], re.MULTILINE)
