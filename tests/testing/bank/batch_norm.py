"""Batch normalization, and its running statistics."""

import numpy as np

from minibackprop import Buffer, Layer, Parameter, ShapeError
from tests.testing.bank.pieces import draw, require_features, require_samples, rows
from tests.testing.bank.planting import planted


class BatchNorm(Layer):
    """Correct: each feature to mean 0 and variance 1 over the batch; running statistics for inference."""

    couples_samples = "normalizes by the statistics of the batch"
    epsilon = 1e-3

    def __init__(self, n: int = 3) -> None:
        self.n = n
        self.gamma = Parameter(1 + 0.5 * draw(n))
        self.beta = Parameter(draw(n, seed=1))
        self.mean = Buffer(np.zeros(n))
        self.var = Buffer(np.ones(n))

    def forward(self, x):
        self.check(x)
        mean, var = x.mean(axis=0), x.var(axis=0)
        self.mean.value += 0.1 * (mean - self.mean.value)
        self.var.value += 0.1 * (var - self.var.value)
        inverse = 1 / np.sqrt(var + self.epsilon)
        normal = (x - mean) * inverse
        return normal * self.gamma.value + self.beta.value, (normal, inverse)

    def check(self, x):
        require_samples(x, self.n)
        if len(x) == 0:
            raise ShapeError("BatchNorm", "at least one sample", str(x.shape))

    def predict(self, x):
        require_features(x, self.n)
        normal = (x - self.mean.value) / np.sqrt(self.var.value + self.epsilon)
        return normal * self.gamma.value + self.beta.value

    def backward(self, grad, cache):
        normal, inverse = cache
        self.gamma.add((grad * normal).sum(axis=0))
        self.beta.add(grad.sum(axis=0))
        grad = grad * self.gamma.value
        return inverse * (grad - grad.mean(axis=0) - normal * (grad * normal).mean(axis=0))


@planted("batch norm with a constant variance", BatchNorm, (3,), laws="input gradient", cause="term missing")
class BatchNormConstantVariance(BatchNorm):
    """The batch's variance is treated as a constant."""

    def backward(self, grad, cache):
        normal, inverse = cache
        self.gamma.add((grad * normal).sum(axis=0))
        self.beta.add(grad.sum(axis=0))
        grad = grad * self.gamma.value
        return inverse * (grad - grad.mean(axis=0))


@planted("batch norm with constant statistics", BatchNorm, (3,), laws="input gradient", cause="term missing")
class BatchNormConstantStatistics(BatchNorm):
    """Mean and variance are treated as constants, as at inference."""

    def backward(self, grad, cache):
        normal, inverse = cache
        self.gamma.add((grad * normal).sum(axis=0))
        self.beta.add(grad.sum(axis=0))
        return inverse * grad * self.gamma.value


@planted("batch norm undeclared", BatchNorm, (3,), laws="samples independent, predict agrees", cause="samples mixed")
class BatchNormUndeclared(BatchNorm):
    """Nothing says that the samples are coupled."""

    couples_samples = ""


@planted(
    "batch norm learns in predict",
    BatchNorm,
    (3,),
    laws="predict leaves no trace",
    cause="state that predict changes: mean",
)
class BatchNormPredictLearns(BatchNorm):
    """predict goes on updating the running statistics."""

    def predict(self, x):
        y = super().predict(x)
        if len(x):
            self.mean.value += 0.1 * (rows(x).mean(axis=0) - self.mean.value)
        return y


@planted(
    "batch norm backward by running statistics", BatchNorm, (3,), laws="input gradient, two open passes", cause="stale"
)
class BatchNormRunningBackward(BatchNorm):
    """backward divides by the running deviation, which is not the one of its batch."""

    def backward(self, grad, cache):
        normal, _ = cache
        return super().backward(grad, (normal, 1 / np.sqrt(self.var.value + self.epsilon)))


@planted("batch norm backward by the latest batch", BatchNorm, (3,), laws="two open passes", cause="stale")
class BatchNormLatestBackward(BatchNorm):
    """backward divides by the deviation of the latest batch, kept on self."""

    def forward(self, x):
        y, (normal, self.inverse) = super().forward(x)
        return y, normal

    predict = BatchNorm.predict

    def backward(self, grad, normal):
        return super().backward(grad, (normal, self.inverse))


@planted(
    "running mean as a plain array", BatchNorm, (3,), laws="copies agree", cause="not a Parameter or Buffer: running"
)
class BatchNormPlainStatistics(BatchNorm):
    """The running mean is a plain array, which state_dict does not see."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.running = np.zeros(self.n)

    def forward(self, x):
        self.running = 0.9 * self.running + 0.1 * (x.mean(axis=0) if len(x) else 0)
        return super().forward(x)

    def predict(self, x):
        require_features(x, self.n)
        normal = (x - self.running.astype(x.dtype)) / np.sqrt(self.var.value + self.epsilon)
        return normal * self.gamma.value + self.beta.value


@planted(
    "running mean of the class", BatchNorm, (3,), laws="instances share nothing", cause="state shared by instances"
)
class BatchNormSharedStatistics(BatchNorm):
    """The running statistics are made in the class body: all instances update the same."""

    mean_of_all = Buffer(np.zeros(3))

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.mean = self.mean_of_all


@planted(
    "batch norm of a lone sample", BatchNorm, (3,), laws="missing batch axis", cause="the number of axes is not checked"
)
class BatchNormLoneSample(BatchNorm):
    """No check of the axes: a lone sample's features are taken for a batch."""

    def check(self, x):
        require_features(x, self.n)


@planted(
    "batch norm backward with N for N - 1", BatchNorm, (3,), laws="input gradient", cause="of a wrong sign or factor"
)
class BatchNormUnbiased(BatchNorm):
    """forward divides by N - 1, as ``std(ddof=1)`` does, backward differentiates the one with N."""

    def forward(self, x):
        _, (normal, inverse) = super().forward(x)
        unbiased = 1 / np.sqrt(x.var(axis=0) * len(x) / max(len(x) - 1, 1) + self.epsilon)
        normal = normal * (unbiased / inverse)
        return normal * self.gamma.value + self.beta.value, (normal, unbiased)

    predict = BatchNorm.predict
