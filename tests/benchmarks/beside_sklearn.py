"""The estimators beside scikit-learn's own networks: ``python -m tests.benchmarks.beside_sklearn``.

On five of its data sets, each column standardized (of diabetes, the target as well).
Both have 100 hidden units with ReLU and make 200 epochs of Adam, with a rate of 0.001 and batches of 200, without
penalty and without stopping early. Scores are those of five folds, the mean over them in each of five seeds, of which
the table has the median; times are ratios of fits on all of the data, made in turn.
"""

import os
import warnings
from functools import partial
from typing import Any

from tests.benchmarks.machine import thread_settings

SEEDS, REPEATS = range(5), 9


def main() -> None:
    os.environ |= thread_settings(1)  # Before NumPy is loaded: these matrices are small.
    import numpy as np
    from sklearn import datasets
    from sklearn.base import clone
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from minibackprop.interop.sklearn import NetworkClassifier, NetworkRegressor
    from tests.benchmarks.paired import ratios, timed

    warnings.simplefilter("ignore", ConvergenceWarning)  # Of ending after 200 epochs.
    whole = {"max_iter": 200, "alpha": 0.0, "tol": 0.0, "n_iter_no_change": 10_000}

    def scores(model: Any, x: Any, y: Any, folds: Any) -> float:
        found = []
        for seed in SEEDS:
            seeded = clone(model)
            names = [name for name in seeded.get_params() if name.endswith("random_state")]
            seeded.set_params(**dict.fromkeys(names, seed))
            found.append(cross_val_score(seeded, x, y, cv=folds(5, shuffle=True, random_state=seed)).mean())
        return float(np.median(found))

    print("data set        score     scikit-learn's  time / scikit-learn's (quartiles)")
    for name in ("iris", "wine", "breast_cancer", "digits", "diabetes"):
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        if name == "diabetes":
            models = [
                TransformedTargetRegressor(make_pipeline(StandardScaler(), each), transformer=StandardScaler())
                for each in (NetworkRegressor(), MLPRegressor(**whole))
            ]
            folds = KFold
        else:
            models = [make_pipeline(StandardScaler(), each) for each in (NetworkClassifier(), MLPClassifier(**whole))]
            folds = StratifiedKFold
        ours, theirs = (scores(model, x, y, folds) for model in models)
        timers = [timed(partial(clone(model).fit, x, y)) for model in models]
        low, median, high = np.percentile(ratios(*timers, REPEATS), [25, 50, 75])
        print(f"{name:14}{ours:7.3f}{theirs:17.3f}{median:11.2f} ({low:.2f} to {high:.2f})", flush=True)


if __name__ == "__main__":
    main()
