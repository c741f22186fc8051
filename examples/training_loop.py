"""A training loop by hand: forward, loss, backward, step. It is what `Trainer` does, without its checks."""

import numpy as np

from minibackprop import SGD, HalfSquaredError, three_layer

x = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
y = np.array([[0.0], [1], [1], [0]])

model, loss, optimizer = three_layer(), HalfSquaredError(), SGD(learning_rate=1)

for step in range(20_000):
    prediction, caches = model.forward(x)
    value, loss_cache = loss.forward(prediction, y)
    model.backward(loss.backward(loss_cache), caches)  # adds to the gradient of each parameter
    if step % 5_000 == 0:
        slopes = [np.abs(parameter.grad).max() for parameter in model.parameters()]
        print(f"step {step}: loss {value:.6f}, largest gradients {slopes[0]:.0e} and {slopes[1]:.0e}")
    optimizer.step(model.parameters())  # uses the gradients up

print("output:", model.predict(x).ravel().round(3))
