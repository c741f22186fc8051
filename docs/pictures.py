"""The pictures of these pages, made anew whenever the pages are built."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from minibackprop import (
    SGD,
    ActivationRecorder,
    Adam,
    HalfSquaredError,
    History,
    Sequential,
    SoftmaxCrossEntropy,
    Trainer,
    accuracy,
    mlp,
    plot_decision_boundary,
    plot_hidden_activations,
    plot_history,
    plot_sigmoid,
    summary,
    three_layer,
)
from minibackprop.validation import Array

# Text would be drawn white on white in a dark theme, so the background is part of the picture. The salt makes the names
# within an SVG the same each time.
STYLE = {"savefig.facecolor": "white", "svg.hashsalt": "minibackprop"}


def make(folder: Path) -> None:
    """Make all pictures."""
    folder.mkdir(exist_ok=True)
    x, y = spirals()
    model, history = trained(x, y)
    draw(folder / "sigmoid.svg", plot_sigmoid)
    draw(folder / "hidden.svg", lambda ax: plot_hidden_activations(hidden_activations(), ax))
    draw(folder / "boundary.svg", lambda ax: plot_decision_boundary(model, x, y, ax=ax), size=(4.8, 4.4))
    draw(
        folder / "curves.svg",
        lambda ax: plot_history(history, "loss", ax),
        lambda ax: plot_history(history, "accuracy", ax),
    )
    names = names_of(Path(__file__).parent / "how-to" / "show_a_model.md")
    shown = {name: names[name] for name in ("cnn", "transformer", "history")}
    shown |= {"summary": summary(names["cnn"], (64,)), "violation": names["shown"]}
    for name, value in shown.items():
        (folder / f"{name}.html").write_text(value._repr_html_(), encoding="utf-8")
    draw_five_edits(folder / "five_edits.svg", Path(__file__).parent / "tutorial" / "eleven_lines.md")


def names_of(page: Path) -> dict[str, Any]:
    """Run the blocks of code of a page, but for those that show a session; give the names that it has then."""
    names: dict[str, Any] = {}
    exec("".join(blocks_of(page)), names)
    return names


def blocks_of(page: Path) -> list[str]:
    """Find a page's blocks of code, but for those that show a session."""
    return re.findall(r"^```python\n(?!>>>)(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def draw(path: Path, *plots: Callable[..., object], size: tuple[float, float] = (7.2, 3.6)) -> None:
    """Draw plots side by side into a file, and beside it as a PNG: JupyterLab shows no other in a cell of text."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        for ax, plot in zip(np.ravel(figure.subplots(1, len(plots))), plots, strict=True):
            plot(ax)
        figure.savefig(path, metadata={"Date": None})
        figure.savefig(path.with_suffix(".png"), metadata={"Software": None})


def hidden_activations() -> ActivationRecorder:
    """Train the article's network, as it is trained in the tutorial."""
    x = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    y = np.array([[0.0], [1], [1], [0]])
    model = three_layer()
    recorder = ActivationRecorder(model[:2], x)
    Trainer(model, HalfSquaredError(), SGD(learning_rate=1)).fit(x, y, epochs=60_000, callbacks=[recorder])
    return recorder


def spirals(samples: int = 100) -> tuple[Array, Array]:
    """Make three arms of a spiral, blurred."""
    rng = np.random.default_rng(0)
    radius = np.linspace(0.1, 1, samples)
    arms = [radius * np.exp(1j * (4 * radius + 2 * np.pi * k / 3 + rng.normal(0, 0.4, samples))) for k in range(3)]
    points = np.concatenate(arms)
    return np.stack([points.real, points.imag], axis=1), np.repeat(np.arange(3), samples)


def trained(x: Array, y: Array) -> tuple[Sequential, History]:
    """Train a classifier of the spirals."""
    model = mlp([2, 32, 32, 3], rng=0)
    trainer = Trainer(model, SoftmaxCrossEntropy(), Adam(0.01), metrics=[accuracy], rng=0)
    return model, trainer.fit(x, y, epochs=100, batch_size=30, validation=0.3)


def draw_five_edits(path: Path, page: Path) -> None:
    """Draw how each version of the page's program learns, and in grey the version before."""
    names: dict[str, Any] = {}
    curves = []
    for block in blocks_of(page):
        exec(block.replace("60_000", "1"), names)  # The article's own steps are not in the picture.
        if "def train" in block:
            curves.append(names["train"](seed=0)[1])
    titles = ("the article's program", "a bias", "softmax, cross-entropy", "mini-batches", "Adam", "32 hidden units")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6, 6), layout="constrained")
        for k, ax in enumerate(figure.subplots(3, 2, sharex=True, sharey=True).flat):
            for curve, color in zip(curves[max(k - 1, 0) : k + 1], ("0.7", "C0") if k else ("C0",), strict=True):
                ax.plot(range(1, len(curve) + 1), curve, color=color)
            ax.set(title=f"{k}. {titles[k]}" if k else titles[k], ylim=(0, 1))
            ax.grid(alpha=0.3)
        figure.supxlabel("epoch")
        figure.supylabel("held-out digits read right")
        figure.savefig(path, metadata={"Date": None})
