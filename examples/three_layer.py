"""The article's three-layer network: with a hidden layer, it learns a pattern that no single column tells."""

import numpy as np

from minibackprop import SGD, HalfSquaredError, PrintEvery, Trainer, three_layer

x = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
y = np.array([[0], [1], [1], [0]])  # one of the first two columns, but not both

model = three_layer()
hidden = model[:2]  # a Sequential that shares its layers with the model
before = hidden.predict(x)
Trainer(model, HalfSquaredError(), SGD(learning_rate=1)).fit(x, y, epochs=60_000, callbacks=[PrintEvery(10_000)])

print("output after training:", model.predict(x).ravel().round(4))
print("hidden activations before:", before.round(2), "and after:", hidden.predict(x).round(2), sep="\n")
