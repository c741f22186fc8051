"""The public names: what `minibackprop` exports, and that it is imported late."""

import subprocess
import sys
from types import ModuleType

import pytest

import minibackprop
import minibackprop.exercises
import minibackprop.testing

#: What users' programs import; a name may join it, none may leave.
NAMES = """
    ActivationRecorder Adagrad Adam AdamW Add Array ArticleNetwork AvgPool1D AvgPool2D BatchNorm Batches
    BinaryCrossEntropy Buffer Callback Checkpoint Concat ConfigError Constant ContractError Conv1D
    Conv2D CosineDecay DTypeError DeltaTrim Dense Dropout ELU EarlyStopping ElasticNet Embedding
    ExponentialDecay FileFormatError Flatten GELU GRU GlobalAvgPool GlorotNormal GlorotUniform
    GradientDescent GroupNorm HalfSquaredError HeNormal HeUniform History Huber Identity Initializer
    L1 L2 LSTM Layer LayerNorm LeakyReLU LiveCurves LogSoftmax Loss MaxPool1D MaxPool2D MeanAbsoluteError
    MeanSquaredError Metric MinibackpropError MovingAverage MultiHeadAttention NonFiniteError Normal
    Optimizer Orthogonal Parameter ParameterGroups Passes PassesRow Piecewise Plan PositionalEncoding PrintEvery
    ProgressBar RMSNorm RMSProp RNN Ranks ReLU ReduceLROnPlateau Regularizer Reshape Residual SGD
    Sequential ShapeError Sharing SiLU Sigmoid SklearnMetric Softmax SoftmaxCrossEntropy Softplus
    StateDictError Step StepDecay Summary SummaryRow Tanh TargetError Threads Trainer Transpose
    Uniform WarmUp WorkerError Workers Zeros accuracy animate_decision_boundary
    animate_hidden_activations animate_weights binary_accuracy keep_freed_memory load
    load_weights mean_absolute_error mean_squared_error mlp passes plot_decision_boundary
    plot_hidden_activations plot_history plot_sigmoid r2_score resume save save_checkpoint summary
    three_layer to_mermaid top_k_accuracy two_layer
""".split()  # noqa: SIM905
TESTING = """
    ALL Case ContractViolation DeviceArray Inconclusive LOSS_LAWS Law LayerContract Report batches check_gradients
    check_layer check_loss check_model check_regularizer layers models parameters parametrize_laws
    with_state
""".split()  # noqa: SIM905

EXERCISES = """
    Answer EXERCISES Exercise Mark Miss Outcome Prediction Result expect gradients loss_gradient mark other_laws
    other_loss_laws
""".split()  # noqa: SIM905


def test_public_names_are_these() -> None:
    """All of them are there, and nothing that was not meant to be."""
    assert sorted(minibackprop.__all__) == dir(minibackprop) == NAMES
    assert sorted(minibackprop.testing.__all__) == dir(minibackprop.testing) == TESTING
    assert sorted(minibackprop.exercises.__all__) == dir(minibackprop.exercises) == EXERCISES


@pytest.mark.parametrize(
    ("package", "name"),
    [
        (package, name)
        for package in (minibackprop, minibackprop.testing, minibackprop.exercises)
        for name in package.__all__
    ],
)
def test_names_are_found(package: ModuleType, name: str) -> None:
    """Each is there, under its own name, and stands in `dir`."""
    found = getattr(package, name)
    assert name == "Array" or getattr(found, "__name__", name) == name  # A type of NumPy's by another name.
    assert name in dir(package)


@pytest.mark.parametrize(
    "name",
    "GlorotNormal HeUniform Identity MeanAbsoluteError MeanSquaredError ReLU Sigmoid Softplus Tanh Zeros".split(),  # noqa: SIM905
)
def test_an_argument_too_many_is_refused_in_the_name_of_the_class(name: str) -> None:
    """Not in that of a base, which the user has never heard of."""
    with pytest.raises(TypeError, match=f"^{name}[.(]"):
        getattr(minibackprop, name)(1)


def test_other_names_are_not() -> None:
    """A misspelt name is an AttributeError, and an ImportError where it is imported."""
    with pytest.raises(AttributeError, match="module 'minibackprop' has no attribute 'Desne'"):
        minibackprop.Desne  # noqa: B018
    with pytest.raises(ImportError, match="Desne"):
        from minibackprop import Desne  # noqa: F401


def test_importing_imports_no_more_than_is_asked_for() -> None:
    """The package alone is light; a layer brings what it needs, and no optional package is ever imported."""
    code = """
import sys, minibackprop
print(*(name for name in sys.modules if name.startswith("minibackprop.") or name == "numpy"))
from minibackprop import Dense
print(*(name for name in sys.modules if name.startswith("minibackprop.layers.")))
from minibackprop import *
optional = {"hypothesis", "pytest", "matplotlib", "tqdm", "sklearn", "onnx", "torch", "jax", "mpi4py"}
print(*sorted(sys.modules.keys() & optional))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert result.stdout.splitlines() == ["minibackprop._exports", "minibackprop.layers.dense", ""]
