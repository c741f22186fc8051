"""Regression on real data, stopped where the validation error is lowest, beside a linear fit and training to the end.

In the mean over five splits, stopping early pays; with so few samples, a linear fit is a little better still.
"""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from minibackprop import Adam, EarlyStopping, MeanSquaredError, Trainer, mlp

# Ten measurements of 442 patients, and how far their diabetes is a year later.
table = np.column_stack(load_diabetes(return_X_y=True))
errors = []

print("Mean squared errors on held-out fifths, where guessing the mean gives about 1; in brackets, in validation")
print("split  linear fit  stopped early              trained to the end")
for seed in range(5):
    train, test = train_test_split(table, test_size=0.2, random_state=seed)
    mean, scale = train.mean(axis=0), train.std(axis=0)
    x_train, y_train = np.split((train - mean) / scale, [10], axis=1)
    x_test, y_test = np.split((test - mean) / scale, [10], axis=1)

    slopes, *_ = np.linalg.lstsq(x_train, y_train)  # All means are 0, so there is no intercept.
    linear = float(np.mean((x_test @ slopes - y_test) ** 2))

    networks = []
    stopping = EarlyStopping(patience=20)  # When it stops, it goes back to the best weights.
    for callbacks in ([stopping], []):
        model = mlp([10, 64, 1], dropout=0.3, rng=seed)
        trainer = Trainer(model, MeanSquaredError(), Adam(0.003), rng=seed)
        trainer.fit(x_train, y_train, 300, batch_size=32, validation=0.2, callbacks=callbacks)
        networks.append(trainer.evaluate(x_test, y_test)["loss"])

    early = f"{networks[0]:.3f} ({stopping.best:.3f}, epoch {stopping.best_epoch + 1:2})"
    late = f"{networks[1]:.3f} ({trainer.history['val_loss'][-1]:.3f}, epoch {trainer.epochs})"
    print(f"{seed:5}  {linear:10.3f}  {early}   {late}")
    errors.append([linear, *networks])

print(" mean  {:10.3f}  {:.3f}                      {:.3f}".format(*np.mean(errors, axis=0)))
