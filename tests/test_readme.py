"""What the README shows runs as a script, and its test passes and can fail."""

import re
from pathlib import Path

import pytest

from minibackprop.testing import ContractViolation

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
INDEX = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")


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


@pytest.mark.parametrize("page", [README, INDEX], ids=["README.md", "docs/index.md"])
def test_eleven_lines_are_eleven(page: str) -> None:
    """That is what they are called; the landing page shows the last one with what it prints."""
    code = "".join(re.findall(r"```python\n(?:>>> )?(.*?\n)(?:step 0.*?)?```", page, re.DOTALL)[:2])
    lines = [line for line in code.split("from minibackprop import Layer")[0].splitlines() if line]
    assert len(lines) == 11
    assert "epochs=60_000" in lines[-1] + lines[-2]


@pytest.mark.parametrize(("page", "checker"), [("check_torch", "gradcheck"), ("check_jax", "check_grads")])
def test_counts_of_found_bugs_are_those_of_the_tables(page: str, checker: str) -> None:
    """The tables of the guides, which the tests measure where the other libraries are installed, have the bugs."""
    table = re.findall(
        r"^\| .* \| (found|missed) \| (found): ", (ROOT / f"docs/how-to/{page}.md").read_text("utf-8"), re.M
    )
    (row,) = re.findall(rf"found of (\d+) bugs .* \| (\d+) \| (\d+): `[\w.]*{checker}`", README)
    theirs = sum(found == "found" for found, _ in table)
    assert row == (str(len(table)), str(len(table)), str(theirs))


def test_ratios_of_times_are_measured() -> None:
    """Each stands in the page of figures, as a median."""
    medians = re.findall(r"^\| [^|]* \| (\d\.\d\d) \|", (ROOT / "docs/reference/speed.md").read_text("utf-8"), re.M)
    shown = [
        text for row in re.findall(r"^\| time .*? \| (.*?) \|", README, re.M) for text in re.findall(r"\d\.\d\d", row)
    ]
    assert len(shown) > 8
    assert set(shown) <= set(medians)
