"""The article's two-layer network: it learns a pattern that one column of the input tells."""

import numpy as np

from minibackprop import SGD, HalfSquaredError, PrintEvery, Trainer, two_layer

x = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
y = np.array([[0], [0], [1], [1]])  # the first column of x

model = two_layer()
trainer = Trainer(model, HalfSquaredError(), SGD(learning_rate=1))
trainer.fit(x, y, epochs=10_000, callbacks=[PrintEvery(2_000)])

print("output after training:", model.predict(x).ravel().round(4))
print("syn0:", model.syn0.ravel().round(2), "- large for the column that matters, near 0 for the one that does not")
