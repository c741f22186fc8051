import re
import subprocess
import sys

import pytest

from minibackprop import __main__ as main_module

PUBLISHED = 10  # four outputs and six errors


def test_every_published_digit_is_reproduced() -> None:
    """The command ends with status 0, and for each published figure as many digits agree as were published."""
    ran = subprocess.run([sys.executable, "-m", "minibackprop"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    counts = re.findall(r"(\d+) of (\d+)$", ran.stdout, re.MULTILINE)
    assert len(counts) == PUBLISHED
    assert all(agreeing == published for agreeing, published in counts)
    assert "Every published digit is reproduced." in ran.stdout


@pytest.mark.parametrize("altered", [None, "two-layer", "three-layer"])
def test_altered_figure_is_found(
    altered: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One published digit that is not measured makes the exit status 1, in either table."""
    measured = [float(text) for text in main_module.OUTPUT], [float(text) for text in main_module.ERROR.values()]
    monkeypatch.setattr(main_module, "two_layer_output", lambda: measured[0])
    monkeypatch.setattr(main_module, "three_layer_errors", lambda: measured[1])
    if altered == "two-layer":
        monkeypatch.setattr(main_module, "OUTPUT", (*main_module.OUTPUT[:3], "0.99211956"))
    elif altered == "three-layer":
        monkeypatch.setitem(main_module.ERROR, 20_000, "0.00578945986252")
    assert main_module.main([]) == (0 if altered is None else 1)
    output = capsys.readouterr().out
    assert ("Some digits differ" in output) == (altered is not None)


def test_help_says_what_the_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` ends with status 0, without training."""
    with pytest.raises(SystemExit) as ended:
        main_module.main(["--help"])
    assert ended.value.code == 0
    assert "exit status is 0 if every published digit" in re.sub(r"\s+", " ", capsys.readouterr().out)


def test_unknown_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """An argument that means nothing is an error, not ignored."""
    with pytest.raises(SystemExit) as ended:
        main_module.main(["--steps", "3"])
    assert ended.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("measured", "published", "expected"),
    [
        (0.00966449, "0.00966449", (6, 6)),
        (0.009664494, "0.00966449", (6, 6)),
        (0.009664485, "0.00966449", (6, 6)),
        (0.00966448, "0.00966449", (5, 6)),
        (0.0096, "0.00966449", (2, 6)),
        (0.00066449, "0.00966449", (0, 6)),
        (0.99211957, "0.99211957", (8, 8)),
        (1.99211957, "0.99211957", (0, 8)),
        (-0.99211957, "0.99211957", (0, 8)),
        (float("nan"), "0.99211957", (0, 8)),
    ],
)
def test_agreement_counts_leading_significant_digits(
    measured: float, published: str, expected: tuple[int, int]
) -> None:
    """Zeros before the first other digit do not count, and the count ends at the first digit that differs."""
    assert main_module.agreement(measured, published) == expected
