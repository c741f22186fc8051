"""Handwritten digits: learns to read four fifths, and is measured on the others. Takes a seed, 0 by default."""

import sys
from math import ceil

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from minibackprop import AdamW, CosineDecay, SoftmaxCrossEntropy, Trainer, accuracy, mlp

seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
epochs, batch_size = 40, 16

x, y = load_digits(return_X_y=True)  # 1797 images of 8 x 8 pixels from 0 to 16, and the digits that they show
x_train, x_test, y_train, y_test = train_test_split(x / 16, y, test_size=0.2, random_state=seed, stratify=y)

model = mlp([64, 256, 10], dropout=0.4, dtype=np.float32, rng=seed)
rate = CosineDecay(0.002, steps=epochs * ceil(len(x_train) / batch_size))
trainer = Trainer(model, SoftmaxCrossEntropy(), AdamW(rate, weight_decay=0.05), metrics=[accuracy], rng=seed)
trainer.fit(x_train, y_train, epochs, batch_size=batch_size)

score = trainer.evaluate(x_test, y_test)["accuracy"]
read = model.predict(x_test.astype(np.float32)).argmax(axis=1)
mistakes = [f"{digit} as {wrong}" for digit, wrong in zip(y_test, read, strict=True) if digit != wrong]
print(f"{score:.2%} of the {len(y_test)} held-out digits are read correctly")
print("the others:", ", ".join(mistakes))
