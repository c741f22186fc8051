"""The article's network in eleven lines of composed layers, the training included."""

import numpy as np

from minibackprop import SGD, Dense, HalfSquaredError, Sequential, Sigmoid, Trainer, Uniform

x = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
y = np.array([[0], [1], [1], [0]])
syn0 = Dense(3, 4, bias=False, init=Uniform(-1, 1))
syn1 = Dense(4, 1, bias=False, init=Uniform(-1, 1))
model = Sequential([syn0, Sigmoid(), syn1, Sigmoid()])
Trainer(model, HalfSquaredError(), SGD(learning_rate=1)).fit(x, y, epochs=60_000)
print(model.predict(x).round(2))
