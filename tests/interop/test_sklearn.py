"""Networks as estimators of scikit-learn: its own checks, its tools around them, and the traps on the way."""

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibackprop import (
    SGD,
    Adam,
    BinaryCrossEntropy,
    Callback,
    Conv2D,
    Dense,
    EarlyStopping,
    Embedding,
    Flatten,
    MeanAbsoluteError,
    MeanSquaredError,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    Trainer,
    mlp,
)
from minibackprop.errors import ConfigError, DTypeError, MinibackpropError, NonFiniteError, TargetError
from minibackprop.interop.sklearn import MLP, Descent, NetworkClassifier, NetworkRegressor

RNG = np.random.default_rng(0)
#: Three blobs of 20 points each, far from each other, with their labels as numbers and as strings.
NUMBERS = np.arange(60) % 3
X = np.array([[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]])[NUMBERS] + RNG.normal(size=(60, 2)) / 2
NAMES = np.array(["ant", "bee", "cat"])[NUMBERS]
TWO = NAMES == "bee"
SEVERAL = np.stack([NUMBERS == 0, NUMBERS != 1], axis=1).astype(int)

Estimator = NetworkClassifier | NetworkRegressor


def classifier(**settings: Any) -> NetworkClassifier:
    """Make one that learns the blobs in a moment."""
    usual = {"network": MLP(width=4), "optimizer": Descent(learning_rate=0.1), "epochs": 20, "random_state": 0}
    return NetworkClassifier(**{**usual, **settings})


def regressor(**settings: Any) -> NetworkRegressor:
    usual = {"network": MLP(width=4), "optimizer": Descent(learning_rate=0.1), "epochs": 20, "random_state": 0}
    return NetworkRegressor(**{**usual, **settings})


def wide(in_features: int, out_features: int, rng: Any) -> Sequential:
    """Build a network of one output too many; a function of a module, so that it pickles."""
    return mlp([in_features, out_features + 1], rng=rng)


def linear(in_features: int, out_features: int, rng: Any) -> Dense:
    return Dense(in_features, out_features, rng=rng)


# --- scikit-learn's own checks ----------------------------------------------------------------------------------------

CHECKS = """
import contextlib
import warnings
from sklearn.utils.estimator_checks import check_estimator
from minibackprop.interop.sklearn import *
import pandas
import sklearn
warnings.simplefilter("ignore")
with contextlib.suppress(ImportError):  # Older ones need another package for it.
    sklearn.set_config(array_api_dispatch=True)
for kind in NetworkClassifier, NetworkRegressor:
    estimator = kind(MLP(width=8), optimizer=Descent(learning_rate=0.1), epochs=30)
    found = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(found) > 50, len(found)
    for each in found:
        if each["status"] != "passed":
            print(kind.__name__, each["check_name"], each["status"], repr(each["exception"]))
"""


def test_all_checks_of_scikit_learn_pass() -> None:
    """None fails, none is skipped; with the array API, for which a variable is read at import, so apart from here."""
    pytest.importorskip("pandas")
    variables = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CHECKS], capture_output=True, check=False, text=True, env=variables, timeout=300
    )
    assert (done.stdout, done.returncode) == ("", 0), done.stdout + done.stderr


# --- Its tools --------------------------------------------------------------------------------------------------------


def test_a_grid_over_width_rate_and_optimizer_gives_the_same_in_two_processes() -> None:
    """Settings of the parts by name, within a pipeline; a worker process has the same results as this one."""
    pipeline = make_pipeline(StandardScaler(), classifier(network=None, optimizer=None, epochs=10))
    name = "networkclassifier"
    grids = [
        {f"{name}__network__width": [2, 6], f"{name}__optimizer__learning_rate": [0.001, 0.1]},
        {f"{name}__optimizer": [SGD(0.5), Adam(0.1)], f"{name}__network__depth": [1], f"{name}__network": [MLP(5)]},
    ]
    alone, both = (GridSearchCV(pipeline, grids, cv=3, n_jobs=jobs).fit(X, NAMES) for jobs in (1, 2))
    assert np.array_equal(alone.cv_results_["mean_test_score"], both.cv_results_["mean_test_score"])
    assert both.score(X, NAMES) == 1.0
    best = both.best_estimator_[-1]
    assert best.network_[0].out_features == best.network.width


def test_cross_validation_is_that_of_fresh_networks() -> None:
    """The scores of folds are those of clones fitted one by one: nothing of one fold reaches another."""
    optimizer, callbacks = Adam(0.1), [EarlyStopping(patience=3, monitor="loss")]
    estimator = classifier(optimizer=optimizer, callbacks=callbacks, epochs=3)
    folds = [(np.arange(30), np.arange(30, 60)), (np.arange(30, 60), np.arange(30))]
    scores = cross_val_score(estimator, X, NAMES, cv=folds)
    again = [clone(estimator).fit(X[fit], NAMES[fit]).score(X[test], NAMES[test]) for fit, test in folds]
    assert scores.tolist() == again
    assert optimizer.steps == 0
    assert callbacks[0].best_epoch is None


def test_calibration_and_one_against_the_rest() -> None:
    """Both learn the blobs through the estimator's probabilities and scores."""
    calibrated = CalibratedClassifierCV(classifier(), cv=2).fit(X, NAMES)
    assert calibrated.score(X, NAMES) == 1.0
    each = OneVsRestClassifier(classifier(loss=BinaryCrossEntropy())).fit(X, NAMES)
    assert each.score(X, NAMES) == 1.0
    assert [model.network_[-1].out_features for model in each.estimators_] == [1, 1, 1]


def test_a_pickled_estimator_predicts_the_same_and_goes_on_the_same() -> None:
    """The optimizer's memory of the network comes along."""
    first = classifier(optimizer=Adam(0.1), epochs=3).fit(X, NAMES)
    other = pickle.loads(pickle.dumps(first))
    assert np.array_equal(other.predict_proba(X), first.predict_proba(X))
    first.partial_fit(X, NAMES)
    other.partial_fit(X, NAMES)
    assert np.array_equal(other.predict_proba(X), first.predict_proba(X))


def test_a_lambda_does_not_pickle_and_a_function_of_a_module_does() -> None:
    """As everywhere in Python; it trains in this process all the same."""
    by_lambda = classifier(network=lambda inputs, outputs, rng: mlp([inputs, outputs], rng=rng)).fit(X, NAMES)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(by_lambda)
    pickle.dumps(classifier(network=copy.deepcopy))


def test_a_clone_has_the_settings_and_no_network() -> None:
    """A fitted network is not cloned."""
    fitted = classifier(network=MLP(width=3)).fit(X, NAMES)
    cloned = clone(fitted)
    assert cloned.network.width == 3
    with pytest.raises(NotFittedError):
        cloned.predict(X)
    assert not hasattr(cloned, "n_iter_")


# --- What comes out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), BinaryCrossEntropy()], ids=["softmax", "sigmoid"])
@pytest.mark.parametrize("labels", [["no", "yes"], [0, 1], [7.0, 3.0], [True, False]], ids=str)
def test_two_classes(labels: list[Any], loss: Any) -> None:
    """The log of the odds, the probabilities and the labels agree, whatever the labels and the loss."""
    y = np.array(labels)[TWO.astype(int)]
    estimator = classifier(loss=loss).fit(X, y)
    scores, probabilities = estimator.decision_function(X), estimator.predict_proba(X)
    assert scores.shape == (60,)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(np.log(probabilities[:, 1] / probabilities[:, 0]), scores, rtol=1e-9, atol=1e-9)
    assert np.array_equal(estimator.classes_, sorted(labels))
    assert np.array_equal(estimator.predict(X), estimator.classes_[(scores > 0).astype(int)])
    assert estimator.score(X, y) == 1.0


@given(st.lists(st.sampled_from(["ant", "bee", "cat", "dog"]), min_size=60, max_size=60))
@settings(max_examples=10)
def test_several_classes(names: list[str]) -> None:
    """Probabilities are the softmax of the scores, whose largest names the class."""
    y = np.array([*names[:-4], "ant", "bee", "cat", "dog"])
    estimator = classifier(epochs=1).fit(X, y)
    scores, probabilities = estimator.decision_function(X), estimator.predict_proba(X)
    exponentials = np.exp(scores)
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(axis=1, keepdims=True), rtol=1e-12)
    assert estimator.predict(X).tolist() == [["ant", "bee", "cat", "dog"][best] for best in scores.argmax(axis=1)]


def test_several_labels_a_sample() -> None:
    """Each label has a probability of its own, the sigmoid of its logit."""
    estimator = classifier(epochs=40).fit(X, SEVERAL)
    scores, probabilities = estimator.decision_function(X), estimator.predict_proba(X)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-scores)), rtol=1e-12)
    assert np.array_equal(estimator.predict(X), probabilities > 0.5)
    assert estimator.score(X, SEVERAL) == 1.0
    assert estimator.classes_.tolist() == [0, 1]
    estimator.partial_fit(X, SEVERAL)
    assert estimator.n_iter_ == 41


def test_a_regressor_is_a_trainer_with_the_same_random_numbers() -> None:
    """Bit for bit, weights of samples included."""
    y, weights = X @ [1.0, -2.0], np.arange(60) % 4
    random = np.random.RandomState(3)
    model = mlp([2, 4, 1], rng=random)
    trainer = Trainer(model, MeanAbsoluteError(), Adam(0.1), rng=random)
    trainer.fit(X, y[:, np.newaxis], epochs=5, batch_size=16, weights=weights, validation=0.25)
    estimator = regressor(
        loss=MeanAbsoluteError(),
        epochs=5,
        batch_size=16,
        validation_fraction=0.25,
        random_state=np.random.RandomState(3),
    ).fit(X, y, sample_weight=weights)
    assert np.array_equal(estimator.predict(X), model.predict(X)[:, 0])
    assert estimator.history_.as_dict()["val_loss"].tolist() == trainer.history["val_loss"]
    assert estimator.n_iter_ == 5


def test_what_a_classifier_holds_out_has_the_same_share_of_each_class() -> None:
    """As `Trainer.fit` does it with `stratify`."""
    y, random = (np.arange(60) < 12).astype(int), np.random.RandomState(3)
    trainer = Trainer(mlp([2, 4, 2], rng=random), SoftmaxCrossEntropy(), Adam(0.1), rng=random)
    trainer.fit(X, y, epochs=3, validation=0.25, stratify=True)
    estimator = classifier(epochs=3, validation_fraction=0.25, random_state=3).fit(X, y)
    assert estimator.history_["val_loss"] == trainer.history["val_loss"]


def test_predictions_are_made_in_batches() -> None:
    """No more samples go through the network at a time than in training."""
    sizes: list[int] = []

    class Counted(Dense):
        def predict(self, x: Any, /) -> Any:
            sizes.append(len(x))
            return super().predict(x)

    estimator = classifier(network=lambda inputs, outputs, rng: Counted(inputs, outputs, rng=rng), batch_size=25)
    estimator.fit(X, NAMES)
    sizes.clear()
    assert estimator.predict(X).shape == (60,)
    assert sizes == [25, 25, 10]


@pytest.mark.parametrize("shape", [(60,), (60, 1), (60, 3)], ids=str)
def test_predictions_of_a_regressor_have_the_shape_of_y(shape: tuple[int, ...]) -> None:
    """One number a sample, a column of them, or several."""
    y = np.resize(X @ [1.0, -2.0], shape[::-1]).T.reshape(shape) / 4
    estimator = regressor(network=linear, epochs=60).fit(X, y)
    assert estimator.predict(X).shape == shape
    assert estimator.score(X, y) > 0.99


def test_a_column_of_labels_is_taken_with_a_warning() -> None:
    """As scikit-learn's own classifiers take it."""
    with pytest.warns(DataConversionWarning, match="column-vector"):
        estimator = classifier(epochs=1).fit(X, NAMES[:, np.newaxis])
    assert estimator.predict(X).shape == (60,)


def test_images_and_tokens() -> None:
    """Rows become images by `reshape`, in `predict` too; integers stay integers for an `Embedding`."""

    def convolutional(in_features: int, out_features: int, rng: Any) -> Sequential:
        assert in_features == 16
        return Sequential([Conv2D(1, 2, 3, rng=rng), Tanh(), Flatten(), Dense(8, out_features, rng=rng)])

    images = np.repeat(np.eye(3, 16), 20, axis=0)
    y = np.repeat(["ant", "bee", "cat"], 20)
    assert classifier(network=convolutional, reshape=(1, 4, 4)).fit(images, y).score(images, y) == 1.0

    def embedded(in_features: int, out_features: int, rng: Any) -> Sequential:
        return Sequential([Embedding(5, 2, rng=rng), Flatten(), Dense(2 * in_features, out_features, rng=rng)])

    tokens = RNG.integers(0, 5, size=(60, 3))
    assert classifier(network=embedded, epochs=60).fit(tokens, tokens[:, 0]).score(tokens, tokens[:, 0]) == 1.0


def test_data_of_more_axes_are_refused_with_the_remedy() -> None:
    """As scikit-learn refuses them, in `predict` too; what it says has a note."""
    images = RNG.normal(size=(60, 2, 1))
    note = "X.reshape(len(X), -1) makes rows, of which reshape=(2, 1) makes samples again"
    for attempt in (
        lambda: classifier().fit(images, NAMES),
        lambda: classifier(epochs=1).fit(X, NAMES).predict(images),
    ):
        with pytest.raises(ValueError, match="dim 3") as caught:
            attempt()
        assert caught.value.__notes__ == [note]


def test_what_a_builder_raises_tells_its_call() -> None:
    """A class in place of its instance, say."""
    with pytest.raises(TypeError) as caught:
        classifier(network=MLP).fit(X, NAMES)
    assert caught.value.__notes__ == ["NetworkClassifier has called network(2, 3, rng) to build it"]


@pytest.mark.parametrize("fraction", [None, 0.2])
def test_a_last_batch_of_one_is_left_out_where_samples_are_normalized_together(fraction: float | None) -> None:
    """So that folds of any size train; without a `BatchNorm`, it is trained on."""
    x, y, size = (X[:59], NAMES[:59], 58) if fraction is None else (X, NAMES, 47)
    normalized = classifier(network=MLP(4, batch_norm=True), batch_size=size, validation_fraction=fraction, epochs=2)
    normalized.fit(x, y)
    assert normalized._trainer.steps == 2
    plain = classifier(batch_size=size, validation_fraction=fraction, epochs=2).fit(x, y)
    assert plain._trainer.steps == 4


def test_float32_goes_through() -> None:
    """A network of float32 predicts in float32."""
    estimator = classifier(network=MLP(4, dtype="float32")).fit(X.astype(np.float32), NAMES)
    assert estimator.predict_proba(X).dtype == np.float32
    assert estimator.score(X, NAMES) == 1.0


# --- Weights ----------------------------------------------------------------------------------------------------------


def test_weights_of_classes_are_weights_of_their_samples() -> None:
    """By the labels as they are in y, beside the weights of samples."""
    by_name, weights = {"ant": 1.0, "bee": 5.0, "cat": 0.5}, np.arange(60) % 3 + 1.0
    of_classes = classifier(class_weight=by_name).fit(X, NAMES, weights)
    of_samples = classifier().fit(X, NAMES, weights * np.vectorize(by_name.get)(NAMES))
    np.testing.assert_allclose(of_classes.predict_proba(X), of_samples.predict_proba(X), rtol=1e-6, atol=1e-12)
    balanced = classifier(class_weight="balanced").fit(X[:50], TWO[:50])
    counted = classifier(class_weight={False: 25 / 33, True: 25 / 17}).fit(X[:50], TWO[:50])
    np.testing.assert_allclose(balanced.predict_proba(X), counted.predict_proba(X), rtol=1e-6, atol=1e-12)


# --- Going on ---------------------------------------------------------------------------------------------------------


def test_partial_fits_are_a_fit() -> None:
    """Each is an epoch, with the same optimizer; the classes are told in advance."""
    whole = classifier(epochs=3, batch_size=None).fit(X, NAMES)
    parts = classifier(batch_size=None).partial_fit(X, NAMES, classes=["cat", "bee", "ant"])
    parts.partial_fit(X, NAMES).partial_fit(X, NAMES, classes=["ant", "bee", "cat"])
    np.testing.assert_allclose(parts.predict_proba(X), whole.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(parts.history_.loss, whole.history_.loss, rtol=1e-9)
    parts.partial_fit(X[:2], NAMES[:2])  # Not all of the classes are there.
    assert parts.classes_.tolist() == ["ant", "bee", "cat"]


def test_a_warm_start_goes_on_with_a_fresh_optimizer() -> None:
    """Network and history go on; the rate is the present one."""
    estimator = classifier(warm_start=True, epochs=5).fit(X, NAMES)
    network, before = estimator.network_, estimator.predict_proba(X)
    estimator.set_params(optimizer__learning_rate=1e-12).fit(X, NAMES)
    assert estimator.network_ is network
    assert estimator.n_iter_ == 10
    np.testing.assert_allclose(estimator.predict_proba(X), before, rtol=1e-6)
    with pytest.raises(TargetError, match=r"the classes \['ant', 'bee', 'cat'\], got others: \['dog'\]"):
        estimator.fit(X, np.where(NUMBERS, NAMES, "dog"))
    estimator.set_params(warm_start=False).fit(X, NAMES)
    assert estimator.network_ is not network
    assert estimator.n_iter_ == 5


def test_settings_of_a_fitted_estimator_wait_for_the_next_fit() -> None:
    """Another width does not touch what was trained."""
    estimator = classifier().fit(X, NAMES)
    before = estimator.predict_proba(X)
    estimator.set_params(network__width=9, loss=BinaryCrossEntropy())
    assert np.array_equal(estimator.predict_proba(X), before)


def test_a_network_that_the_builder_keeps_is_not_trained() -> None:
    """Two folds do not share what it gives twice."""
    kept = mlp([2, 3], rng=0)
    estimators = [classifier(network=lambda *_: kept).fit(X, NAMES) for _ in range(2)]
    assert np.array_equal(*(estimator.predict_proba(X) for estimator in estimators))
    assert np.array_equal(kept[0].weight.value, mlp([2, 3], rng=0)[0].weight.value)


def test_an_optimizer_that_has_stepped_begins_anew() -> None:
    """Its memory of other models is nothing to a fit."""
    used = Adam(0.1)
    Trainer(mlp([2, 1]), MeanSquaredError(), used).fit(X, X[:, :1], epochs=3)
    fresh = classifier(optimizer=Adam(0.1)).fit(X, NAMES)
    assert np.array_equal(classifier(optimizer=used).fit(X, NAMES).predict_proba(X), fresh.predict_proba(X))
    assert used.steps == 3


def test_callbacks_are_copied_and_kept() -> None:
    """What a callback has seen is found in the copy."""
    stopping = EarlyStopping(patience=2, min_delta=0.01)
    estimator = classifier(callbacks=[stopping], validation_fraction=0.2, epochs=500).fit(X, NAMES)
    assert stopping.best_epoch is None
    (copied,) = estimator.callbacks_
    assert copied.best_epoch == estimator.n_iter_ - 3


def test_verbose_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """The loss of each step, or of each so many."""
    classifier(epochs=3, verbose=True).fit(X, NAMES)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["step 0", "step 1", "step 2"]
    classifier(epochs=3, verbose=2).fit(X, NAMES)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["step 0", "step 2"]


# --- Settings ---------------------------------------------------------------------------------------------------------


def test_the_default_parts_have_settings_of_their_own() -> None:
    """They are listed, are set by name, and belong to one estimator."""
    first, second = NetworkClassifier(), NetworkClassifier()
    assert first.get_params()["network__width"] == 100
    assert first.get_params()["optimizer__learning_rate"] == 0.001
    first.set_params(network__width=7, optimizer__rule=SGD)
    assert first.get_params()["network__width"] == 7
    assert second.get_params()["network__width"] == 100
    assert repr(second) == "NetworkClassifier()"
    second.set_params(network=MLP(3), network__depth=2)
    assert (second.network.width, second.network.depth) == (3, 2)


def refusals() -> dict[str, tuple[Callable[[], object], type[Exception], str]]:
    """List what is wrong with a fit, and what it says."""

    def fit(y: Any = NAMES, x: Any = X, weights: Any = None, **given: Any) -> Callable[[], object]:
        return lambda: classifier(**{"epochs": 1, **given}).fit(x, y, weights)

    network = r"NetworkClassifier: network expects a function \(in_features, out_features, rng\)"
    return {
        "network too wide": (fit(network=wide), MinibackpropError, r"network expects output of shape \(N, 3\).*, 4\)"),
        "network for other data": (
            fit(network=lambda _, outputs, rng: mlp([5, outputs], rng=rng)),
            MinibackpropError,
            r"layer 0: Dense expects \(\.\.\., 5\), got \(1, 2\)",
        ),
        "a network itself": (fit(network=mlp([2, 3])), ConfigError, f"{network} that builds it, got Sequential"),
        "no network built": (fit(network=lambda *_: 1), ConfigError, f"{network} that returns a Layer, got int"),
        "depth": (fit(network=MLP(depth=-1)), ConfigError, "MLP: depth"),
        "optimizer": (fit(optimizer="adam"), ConfigError, "optimizer expects an Optimizer, .* got str"),
        "rule": (fit(optimizer=Descent("adam")), ConfigError, "Descent: rule"),
        "loss of values": (fit(loss=MeanSquaredError()), ConfigError, r"loss expects one such as SoftmaxCrossEntropy"),
        "loss of two": (fit(loss=BinaryCrossEntropy()), ConfigError, r"one such as SoftmaxCrossEntropy\(\) for"),
        "loss of labels": (fit(SEVERAL, loss=SoftmaxCrossEntropy()), ConfigError, r"such as BinaryCrossEntropy\(\)"),
        "reshape": (fit(reshape=(3, 5)), ConfigError, r"reshape expects the shape of a sample of 2 entries"),
        "one class": (fit(np.zeros(60)), ConfigError, "y expects at least two classes, got one class"),
        "numbers": (fit(X[:, 0]), ValueError, "continuous"),
        "mixed labels": (fit(np.array(["ant", 1, None] * 20, object)), DTypeError, "labels of one kind"),
        "two columns of classes": (fit(np.stack([NUMBERS] * 2, axis=1)), ValueError, "y should be a 1d array"),
        "weights of zero": (fit(weights=np.zeros(60)), ConfigError, "sample_weight expects some above zero"),
        "weights below": (fit(weights=-np.ones(60)), ConfigError, "none below 0"),
        "too few weights": (fit(weights=[1.0]), MinibackpropError, "60 samples"),
        "one weight": (fit(weights=2.0), MinibackpropError, "sample_weight expects a number for each sample"),
        "class weights": (fit(class_weight={"dog": 2}), ValueError, "ant"),
        "class weights of zero": (
            fit(class_weight={"ant": 0, "bee": 1}),
            ConfigError,
            r"NetworkClassifier: class_weight expects finite numbers above 0 by label; .*, got \{'ant': 0, 'bee': 1\}",
        ),
        "class weights in order": (
            fit(class_weight=[1, 2, 3]),
            ConfigError,
            "class_weight expects a dict by label, 'bal",
        ),
        "class weights of labels": (fit(SEVERAL, class_weight="balanced"), ConfigError, "class_weight expects None"),
        "nothing to watch": (fit(callbacks=[EarlyStopping()]), ConfigError, "no validation data"),
        "callbacks": (fit(callbacks=3, verbose=1), ConfigError, "callbacks"),
        "verbose": (fit(verbose="yes"), ConfigError, "PrintEvery: steps"),
        "epochs": (fit(epochs=-1), ConfigError, "epochs"),
        "no samples": (fit(NAMES[:0], X[:0]), ValueError, "0 sample"),
        "no numbers": (fit(x=X + np.nan), ValueError, "NaN"),
        "first part": (lambda: classifier().partial_fit(X, NAMES), ConfigError, "classes expects all that there will"),
        "balanced parts": (
            lambda: classifier(class_weight="balanced").partial_fit(X, NAMES, ["ant", "bee", "cat"]),
            ConfigError,
            "class_weight expects a dict for partial_fit",
        ),
        "logits for numbers": (
            lambda: regressor(loss=BinaryCrossEntropy()).fit(X, NUMBERS),
            ConfigError,
            r"loss expects one such as MeanSquaredError\(\)",
        ),
        "no width to set": (
            lambda: classifier(network=linear).set_params(network__width=3),
            ConfigError,
            r"network expects one with set_params, such as MLP\(\), where network__width is set",
        ),
        "no rate to set": (
            lambda: classifier(optimizer=Adam()).set_params(optimizer__learning_rate=3),
            ConfigError,
            r"optimizer expects one with set_params, such as Descent\(\)",
        ),
    }


@pytest.mark.parametrize("case", refusals())
def test_refused(case: str) -> None:
    """Each says what is wrong."""
    attempt, kind, message = refusals()[case]
    with pytest.raises(kind, match=message):
        attempt()


@pytest.mark.parametrize(
    ("change", "data"),
    [
        ({"network": wide}, (X, NAMES)),
        ({"optimizer": SGD(1e300)}, (X, NAMES)),
        ({"epochs": -1}, (X, NAMES)),
        ({}, (X[:, :1], np.zeros(60))),
        ({}, (X, TWO, np.zeros(60))),
    ],
    ids=["network", "divergence", "epochs", "one class", "weights"],
)
def test_a_fit_that_fails_leaves_the_one_before(change: dict[str, Any], data: tuple[Any, ...]) -> None:
    """The classes, the columns and the network are those of before; an estimator that had none has none."""
    estimator = classifier(epochs=2).fit(X, NAMES)
    before = estimator.predict_proba(X)
    kept = {**vars(estimator), **change}
    for each in (estimator.set_params(**change), clone(estimator)):
        with pytest.raises((MinibackpropError, NonFiniteError)):
            each.fit(*data)
    assert vars(estimator) == kept
    assert np.array_equal(estimator.predict_proba(X), before)
    with pytest.raises(NotFittedError):
        each.predict(X)


def test_a_part_that_does_not_fit_is_refused() -> None:
    """Other classes, another kind of y, and what was learned stays."""
    estimator = classifier().partial_fit(X, NAMES, ["ant", "bee", "cat"])
    before = estimator.predict_proba(X)
    for y, classes, message in (
        (NUMBERS, None, "others: "),
        (NAMES, ["ant", "bee"], "classes expects those of the first call"),
        (SEVERAL, None, "one label a row, as before"),
    ):
        with pytest.raises(MinibackpropError, match=message):
            estimator.partial_fit(X, y, classes)
    assert np.array_equal(estimator.predict_proba(X), before)
    with pytest.raises(MinibackpropError, match=r"output of shape \(N, 3\) for y, got \(N, 2\)"):
        regressor(warm_start=True).fit(X, X).fit(X, X[:, [0, 0, 1]])


class _Interrupting(Callback):
    def on_epoch_end(self, trainer: Any, /) -> None:
        if trainer.epochs == 3:
            raise KeyboardInterrupt


def test_after_an_interrupt_there_is_what_has_been_trained() -> None:
    """Ctrl-C ends the training, and the network stays."""
    estimator = classifier(callbacks=[_Interrupting()])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, NAMES)
    assert estimator.n_iter_ == 3
    assert estimator.predict(X).shape == (60,)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is part of the message."""
    for name in [name for name in sys.modules if name.startswith("minibackprop.interop.sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "minibackprop\[sklearn\]"'):
        import minibackprop.interop.sklearn  # noqa: F401


def test_a_monitor_of_nothing_is_told_what_an_estimator_measures() -> None:
    """The error speaks of arguments of a Trainer; its note, of those that an estimator has."""
    with pytest.raises(ConfigError, match="val_loss") as caught:
        NetworkClassifier(callbacks=[EarlyStopping()], epochs=1).fit(np.eye(8), [0, 1] * 4)
    assert "validation_fraction" in caught.value.__notes__[0]
