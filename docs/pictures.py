"""The pictures of these pages, made anew whenever the pages are built."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from PIL import Image

from minibackprop import (
    SGD,
    ActivationRecorder,
    Adam,
    HalfSquaredError,
    History,
    Layer,
    Sequential,
    SoftmaxCrossEntropy,
    Trainer,
    accuracy,
    animate_decision_boundary,
    animate_hidden_activations,
    animate_weights,
    mlp,
    passes,
    plot_decision_boundary,
    plot_hidden_activations,
    plot_history,
    plot_sigmoid,
    summary,
    three_layer,
)
from minibackprop.article import EITHER_NOT_BOTH as Y
from minibackprop.article import X
from minibackprop.validation import Array

# Text would be drawn white on white in a dark theme, so the background is part of the picture. The salt makes the names
# within an SVG the same each time.
STYLE = {"savefig.facecolor": "white", "svg.hashsalt": "minibackprop"}
# What matplotlib's player draws with a font from the network.
ICONS = {
    "fa-minus": "\N{MINUS SIGN}",
    "fa-fast-backward": "\N{LEFTWARDS ARROW TO BAR}",
    "fa-step-backward": "\N{LEFTWARDS ARROW}",
    "fa-play fa-flip-horizontal": "\N{BLACK LEFT-POINTING POINTER}",
    "fa-pause": "||",
    "fa-play": "\N{BLACK RIGHT-POINTING POINTER}",
    "fa-step-forward": "\N{RIGHTWARDS ARROW}",
    "fa-fast-forward": "\N{RIGHTWARDS ARROW TO BAR}",
    "fa-plus": "+",
}
# The picture that stands before a player is what print, and a browser without scripts, show in its place; _static has
# the style of both.
PLAYER = """\
<div class="moving" hidden>
{player}
<script>
(function () {{
  const moving = document.currentScript.parentElement, still = moving.previousElementSibling;
  moving.querySelector("img").alt = (still.matches("img") ? still : still.querySelector("img")).alt;
  still.classList.add("moved");
  moving.hidden = false;
}})();
</script>
</div>
"""


def make(folder: Path) -> None:
    """Make all pictures."""
    folder.mkdir(exist_ok=True)
    x, y = spirals()
    model, history, arms = trained(x, y)
    article = article_network()
    draw(folder / "sigmoid.svg", plot_sigmoid)
    draw(folder / "hidden.svg", lambda ax: plot_hidden_activations(article, ax))
    draw(folder / "boundary.svg", lambda ax: plot_decision_boundary(model, x, y, ax=ax), size=(4.8, 4.4))
    draw(
        folder / "curves.svg",
        lambda ax: plot_history(history, "loss", ax),
        lambda ax: plot_history(history, "accuracy", ax),
    )
    animate_all(folder, article, arms, x, y)
    names = names_of(Path(__file__).parent / "how-to" / "show_a_model.md")
    shown = {name: names[name] for name in ("cnn", "transformer", "history")}
    shown |= {"summary": summary(names["cnn"], (64,)), "violation": names["shown"]}
    shown |= {"passes": passes(article.model, X), "passes_cnn": passes(names["cnn"], np.ones((32, 64)))}
    for name, value in shown.items():
        (folder / f"{name}.html").write_text(value._repr_html_(), encoding="utf-8")
    draw_five_edits(folder / "five_edits.svg", Path(__file__).parent / "tutorial" / "eleven_lines.md")


def animate_all(folder: Path, article: ActivationRecorder, arms: ActivationRecorder, x: Array, y: Array) -> None:
    """Make the players of what the article's network learns, and the classifier of the spirals."""
    animate(folder / "learn_hidden.html", lambda figure: animate_hidden_activations(article, frames=24, figure=figure))
    animate(folder / "learn_weights.html", lambda figure: animate_weights(article, frames=24, figure=figure), (6, 3.2))
    plane = Sequential([WithOne(), article.model])
    animate(
        folder / "learn_boundary.html",
        lambda figure: animate_decision_boundary(article, X[:, :2], Y, plane, frames=24, figure=figure),
        (4.2, 4.2),
    )
    animate(
        folder / "learn_spirals.html",
        lambda figure: animate_decision_boundary(arms, x, y, frames=16, figure=figure),
        (4.2, 4.2),
    )


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


def animate(
    path: Path, animation: Callable[[Figure], FuncAnimation], size: tuple[float, float] = (4.8, 3.2), stills: int = 4
) -> None:
    """Write matplotlib's player of an animation, made to need no network; beside it, some of its frames as a PNG."""
    logging.getLogger("matplotlib.animation").setLevel(logging.WARNING)  # It would tell of each file.
    film = Film(figsize=size, dpi=110, layout="constrained")
    html = animation(film).to_jshtml(fps=6)
    html = re.sub(r"<link[^>]*>", "", html.replace("\\\n", ""))
    html = re.sub(r'<i class="fa ([\w -]+)"></i>', lambda icon: ICONS[icon[1]], html)
    html = re.sub(r"\b(anim|_anim\w*?)[0-9a-f]{32}", rf"\1_{path.stem}", html)  # Ids, by chance: the same each time.
    html = html.replace('type="range"', 'type="range" aria-label="Frame"')
    path.write_text(PLAYER.format(player=html), encoding="utf-8")
    width, height = film.frames[0].size
    sheet = Image.new("RGB", (2 * width, stills // 2 * height))
    for place, index in enumerate(np.linspace(0, len(film.frames) - 1, stills).astype(int)):
        sheet.paste(film.frames[index], (place % 2 * width, place // 2 * height))
    sheet.save(path.with_suffix(".png"), optimize=True)


class Film(Figure):
    """A figure that draws each frame once, where matplotlib does so twice, and writes a quarter of the bytes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.frames: list[Image.Image] = []

    def savefig(self, file: Any, **_: Any) -> None:
        """Write a frame, with a palette of the colors that cover most of it, those of a few dots as well."""
        renderer = RendererAgg(*map(int, self.bbox.size), self.dpi)
        self.draw(renderer)
        frame = Image.fromarray(np.asarray(renderer.buffer_rgba())).convert("RGB")
        self.frames.append(frame)
        frame.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(file, "png")


def article_network() -> ActivationRecorder:
    """Train the article's network, as it is trained in the tutorial; keep what it learns."""
    model = three_layer()
    recorder = ActivationRecorder(model[:2], X, keep_states=True)
    Trainer(model, HalfSquaredError(), SGD(learning_rate=1)).fit(X, Y, epochs=60_000, callbacks=[recorder])
    return recorder


class WithOne(Layer):
    """Adds the constant that the article's data have as their third input."""

    def forward(self, x: Array, /) -> tuple[Array, None]:
        return np.concatenate([x, np.ones_like(x[:, :1])], axis=1), None

    def backward(self, grad: Array, cache: None, /) -> Array:
        return grad[:, :-1]


def spirals(samples: int = 100) -> tuple[Array, Array]:
    """Make three arms of a spiral, blurred."""
    rng = np.random.default_rng(0)
    radius = np.linspace(0.1, 1, samples)
    arms = [radius * np.exp(1j * (4 * radius + 2 * np.pi * k / 3 + rng.normal(0, 0.4, samples))) for k in range(3)]
    points = np.concatenate(arms)
    return np.stack([points.real, points.imag], axis=1), np.repeat(np.arange(3), samples)


def trained(x: Array, y: Array) -> tuple[Sequential, History, ActivationRecorder]:
    """Train a classifier of the spirals."""
    model = mlp([2, 32, 32, 3], rng=0)
    recorder = ActivationRecorder(model, x[:1], keep_states=True)
    trainer = Trainer(model, SoftmaxCrossEntropy(), Adam(0.01), metrics=[accuracy], rng=0)
    return model, trainer.fit(x, y, epochs=100, batch_size=30, validation=0.3, callbacks=[recorder]), recorder


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
