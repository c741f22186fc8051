"""A classifier of three spiral arms, and a picture of how it divides the plane.

Shows the picture, or saves it under the path that it is given: `python examples/spiral.py boundary.png`.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

from minibackprop import Adam, SoftmaxCrossEntropy, Trainer, accuracy, mlp, plot_decision_boundary


def spiral(samples, rng):
    """Draw points from three blurred arms, and say from which."""
    arm = rng.integers(3, size=samples)
    radius = rng.uniform(0.1, 1, samples)
    angle = 4 * radius + 2 * np.pi * arm / 3 + rng.normal(0, 0.3, samples)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), arm


rng = np.random.default_rng(0)
x, y = spiral(300, rng)
x_new, y_new = spiral(1000, rng)

trainer = Trainer(mlp([2, 32, 32, 3], rng=rng), SoftmaxCrossEntropy(), Adam(0.01), metrics=[accuracy], rng=rng)
trainer.fit(x, y, epochs=100, batch_size=30)
for name, data in ("training", (x, y)), ("new", (x_new, y_new)):
    print(f"{trainer.evaluate(*data)['accuracy']:.1%} of {len(data[0])} {name} points are put on the right arm")

ax = plot_decision_boundary(trainer.model, x, y)
ax.set_aspect("equal")
if len(sys.argv) > 1:
    plt.savefig(sys.argv[1])
else:
    plt.show()
