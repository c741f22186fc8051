"""Every example runs as a script, on its own, without a warning, and shows what it claims."""

import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from minibackprop.testing import check_loss
from tests.benchmarks import digits

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
ARGUMENTS = {
    "spiral": ["boundary.png"],  # Where to save the picture, which would be shown otherwise.
    # Short runs of what would take minutes.
    "digits_cnn": ["0", "4"],
    "mnist_1d": ["--epochs", "5"],
    "padded_lstm": ["0", "8"],
    "language_model": ["--steps", "300", "--width", "48", "--blocks", "1"],
}


def reads_digits(output: str) -> bool:
    """Some 98 % of the held-out digits are read; a bar that no change of rounding fails."""
    (share,) = re.findall(r"^([\d.]+)% of the 360", output)
    return float(share) >= 96.5


def reads_digits_soon(output: str) -> bool:
    """After 4 epochs of 40, some 98 % of the held-out digits are read."""
    (share,) = re.findall(r"^([\d.]+)% of the 360", output)
    return float(share) >= 95


def learns_signals(output: str) -> bool:
    """After 5 epochs of 200, all four are far above the 10 % of a guess, and the CNN is ahead."""
    scores = {name: float(share) for name, share in re.findall(r"^(\w+) .* ([\d.]+)%", output, re.MULTILINE)}
    linear, mlp, cnn, gru = (scores[name] for name in ("linear", "mlp", "cnn", "gru"))
    return linear >= 22 and mlp >= 32 and gru >= 32 and cnn >= max(50, mlp, gru)


def beats_bigrams(output: str) -> bool:
    """After a short run, a small transformer is ahead of bigrams, and has written something."""
    losses = dict(re.findall(r"^(\w+) +([\d.]+) nats", output, re.MULTILINE))
    unigrams, bigrams, trigrams, transformer = map(float, losses.values())
    sample = output.split("bits\n", 4)[-1]
    return trigrams < bigrams < unigrams and transformer < bigrams - 0.07 and len(sample) == len("The ") + 500 + 1


def tells_arms_apart(output: str) -> bool:
    """All but a few of the points are classified, new ones as well."""
    shares = [float(share) for share in re.findall(r"^([\d.]+)%", output, re.MULTILINE)]
    return len(shares) == 2 and min(shares) >= 99 and Path("boundary.png").stat().st_size > 10_000


def gains_by_stopping(output: str) -> bool:
    """In the mean, stopping early is better than not, by more than 5 %, and within 10 % of a linear fit."""
    (means,) = re.findall(r"^ *mean +(\S+) +(\S+) +(\S+)$", output, re.MULTILINE)
    linear, early, late = map(float, means)
    return early < 0.95 * late and early < 1.1 * linear < 0.7


def resumes(output: str) -> bool:
    """The run was killed after some epochs and before the last, went on from there, and ended the same."""
    (epochs,) = re.findall(r"^resumed after (\d+) of 30 epochs$", output, re.MULTILINE)
    return 0 < int(epochs) < 30 and output.endswith("All weights are the same, bit for bit.\n")


def gains_by_fine_tuning(output: str) -> bool:
    """With a frozen base, more of the images are told right than without; some nine in ten."""
    fine, longer, anew = (float(share) for share in re.findall(r"^([\d.]+)%", output, re.MULTILINE))
    return min(fine, longer) >= 86 and max(fine, longer) > anew


def adds_marked_numbers(output: str) -> bool:
    """After 8 epochs of 40, sums are far better than their mean, of short sequences and long ones."""
    (error,) = re.findall(r"^mean squared error ([\d.]+)", output)
    return float(error) < 0.05


def keeps_the_best(output: str) -> bool:
    """Both ways of training end far above a guess, and the best epoch is no worse than the last by more than noise."""
    pairs = re.findall(r"last epoch ([\d.]+)%, best epoch ([\d.]+)%", output)
    return len(pairs) == 2 and all(float(best) >= max(80, float(last) - 5) for last, best in pairs)


def is_the_same_with_all_workers(output: str) -> bool:
    """Each way of training reads as many digits, and most of them."""
    found = re.findall(r"^[\w -]+: (\d+) of 397 digits, loss ([\d.]+)", output, re.MULTILINE)
    return len(found) in (3, 4) and len(set(found)) == 1 and int(found[0][0]) > 350


def ignores_what_is_far_off(output: str) -> bool:
    """The function is found under the noise."""
    (distance,) = re.findall(r"^mean distance .* ([\d.]+)$", output)
    return float(distance) < 0.1


CLAIMS: dict[str, Callable[[str], bool]] = {
    "digits": reads_digits,
    "digits_cnn": reads_digits_soon,
    "mnist_1d": learns_signals,
    "language_model": beats_bigrams,
    "spiral": tells_arms_apart,
    "regression": gains_by_stopping,
    "best_checkpoint": keeps_the_best,
    "fine_tune": gains_by_fine_tuning,
    "padded_lstm": adds_marked_numbers,
    "resume": resumes,
    "typed_layers": ignores_what_is_far_off,
    "many_workers": is_the_same_with_all_workers,
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script ends well, without warnings, and its output says what it should."""
    if path.stem == "mnist_1d":
        pytest.importorskip("mnist1d")
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-W", "error", path, *ARGUMENTS.get(path.stem, [])]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    assert CLAIMS.get(path.stem, bool)(run.stdout), run.stdout


def test_eleven_lines() -> None:
    """The eleven-line network has at most eleven lines of code."""
    source = next(path for path in EXAMPLES if path.stem == "eleven_lines").read_text(encoding="utf-8")
    code = [line for line in source.splitlines()[1:] if line.strip()]
    assert len(code) <= 11


def test_digits_are_read_as_well_as_scikit_learn_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the median over five seeds, at least as many as its `MLPClassifier` reads, and 98 %."""
    monkeypatch.setattr(sys, "argv", sys.argv[:1])
    ours, theirs = zip(*(digits.compare(seed)[:2] for seed in digits.SEEDS), strict=True)
    assert median(ours) >= max(median(theirs), 0.98)


def test_typed_loss_keeps_the_contract() -> None:
    """The loss of the example is held to the laws, as its layers are elsewhere."""
    shown = runpy.run_path(str(next(path for path in EXAMPLES if path.stem == "typed_layers")))
    check_loss(shown["LogCosh"], (3,), examples=5)
