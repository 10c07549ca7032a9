"""BONAS: a graph convolutional embedding, and Bayesian linear regression upon it.

Shi et al., "Bridging the Gap between Sample-based and One-shot Neural Architecture Search with
BONAS", NeurIPS 2020 (arXiv 1911.09336), after its published code: four graph convolutions of 64
with batch normalisation, read out at a global vertex, and a sigmoid head. The published training
is 100 epochs of Adam at 1e-3, batches of 128, with the squared error of good architectures
weighted up. After a fit, :meth:`BONAS.fit_posterior` regresses the accuracies' logits on the
embeddings; priors are found by maximising the evidence.

Example:
    ``python -m nasp_lightning +experiment=nb201_bonas``
"""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import Draws, GradientPredictor, Posterior, Probabilistic
from nasp_lightning.predictor.part.dense import linear
from nasp_lightning.predictor.part.graph import (
    append_features,
    real_tokens,
    token_adjacency,
    with_global_vertex,
    with_self_loops,
)
from nasp_lightning.space.base import Graphs, Shape

WEIGHTINGS = ("exponential", "none")
MARGIN = 1e-4  # accuracies are kept that far from 0 and 1 before their logit

# Nodes and weights of a normal variable's expectations (Gauss-Hermite).
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class Regression(NamedTuple):
    """Bayesian linear regression: ``weight ~ N(mean, covariance)``, noise of a precision.

    Attributes:
        mean: ``[D]`` float64.
        covariance: ``[D, D]`` float64.
        precision: scalar float64, of the noise.
    """

    mean: Tensor
    covariance: Tensor
    precision: Tensor


class BONAS(GradientPredictor, Probabilistic):
    """Scores architectures, and says how sure it is of them.

    Padded vertices do not reach the global vertex (in the published code they do), but they take
    part in the statistics of batch normalisation.

    Args:
        shape: sizes of the space's encoding.
        hidden: width D of the graph convolutions.
        layers: number of graph convolutions.
        weighting: of the squared error: ``exponential``, by (exp(y) − 1) / (e − 1) for accuracy
            y in [0, 1], as published; ``none``.

    Raises:
        NaspError: if there is no layer or the weighting is unknown.
    """

    encodings: ClassVar[tuple[str, ...]] = ("node",)  # preferred where a space has several

    def __init__(
        self, shape: Shape, hidden: int = 64, layers: int = 4, weighting: str = "exponential"
    ) -> None:
        super().__init__()
        if layers < 1:
            raise NaspError(f"predictor.layers={layers}: it must be at least 1")
        if weighting not in WEIGHTINGS:
            raise NaspError(
                f"predictor.weighting={weighting!r} is unknown: choose " + "|".join(WEIGHTINGS)
            )
        self.shape, self.weighting = shape, weighting
        self.operations = nn.Parameter(torch.empty(shape.vocabulary + 1, hidden))  # global: last
        self.weights = nn.ParameterList(torch.empty(hidden, hidden) for _ in range(layers - 1))
        self.biases = nn.ParameterList(torch.empty(hidden) for _ in range(layers))
        for weight in (self.operations, *self.weights):
            nn.init.uniform_(weight, -0.05, 0.05)
        for bias in self.biases:
            nn.init.uniform_(bias, -1 / math.sqrt(hidden), 1 / math.sqrt(hidden))
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in range(layers))
        width = hidden + shape.features
        self.head = nn.Linear(width, 1)
        for name, value in (("label_mean", 0.5), ("label_deviation", 0.1)):
            self.register_buffer(name, torch.tensor(value))
        wide = torch.zeros(width, width, dtype=torch.float64)
        self.register_buffer("posterior_mean", wide[0].clone())
        self.register_buffer("posterior_covariance", wide)
        self.register_buffer("posterior_precision", torch.tensor(0.0, dtype=torch.float64))

    def set_label_scale(self, mean: float, deviation: float) -> None:
        """Tell which accuracies in [0, 1] the normalised labels 0 and 1 are."""
        self.label_mean.fill_(mean)
        self.label_deviation.fill_(deviation)

    def forward(self, graphs: Graphs) -> Tensor:
        """Scores ``[B]`` of the sigmoid head, on the normalised labels' scale."""
        return (self.accuracy(graphs) - self.label_mean) / self.label_deviation

    def accuracy(self, graphs: Graphs) -> Tensor:
        """Predicted accuracies in (0, 1), ``[B]``."""
        score: Tensor = self.head(self.embed(graphs))
        return torch.sigmoid(score.squeeze(-1))

    def embed(self, graphs: Graphs) -> Tensor:
        """State of the global vertex and the extra inputs, ``[B, D + F]``."""
        adjacency = with_self_loops(token_adjacency(graphs, self.shape).transpose(1, 2))
        gather = with_global_vertex(adjacency, real_tokens(graphs, self.shape))
        codes = F.pad(graphs.operations.int(), (1, 0), value=self.shape.vocabulary)
        if not self.training:
            hidden = self._evaluated(gather, codes)
            return append_features(hidden, graphs.features, self.shape)
        multiplied = F.embedding(codes, self.operations)
        for index, norm in enumerate(self.norms):
            if index > 0:
                multiplied = multiplied @ self.weights[index - 1]
            mixed = torch.bmm(gather, multiplied) + self.biases[index]
            multiplied = F.relu(norm(mixed.flatten(0, 1))).view_as(mixed)
        return append_features(multiplied[:, 0], graphs.features, self.shape)

    def _evaluated(self, gather: Tensor, codes: Tensor) -> Tensor:
        """The global vertex ``[B, D]`` outside training, in less arithmetic.

        Batch normalisation goes into the weights, and of the last layer only the global vertex
        is read: (A₀ X) W for A (X W).
        """
        last = len(self.norms) - 1
        hidden: Tensor = self.operations
        for index, norm in enumerate(self.norms):
            assert isinstance(norm, nn.BatchNorm1d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
            shift = (self.biases[index] - norm.running_mean) * scale + norm.bias
            rows = gather if index < last else gather[:, :1]
            if index == 0:
                mixed = torch.baddbmm(shift, rows, F.embedding(codes, self.operations * scale))
            elif index < last:
                multiplied = linear(hidden, (self.weights[index - 1] * scale).t())
                mixed = torch.baddbmm(shift, rows, multiplied)
            else:
                weight = (self.weights[index - 1] * scale).t()
                mixed = linear(torch.bmm(rows, hidden), weight, shift)
            hidden = F.relu(mixed)
        return hidden[:, 0]

    def training_loss(self, graphs: Graphs, labels: Tensor) -> Tensor:
        """(Weighted) mean squared error of accuracies, in units of the normalised labels."""
        error = (self.forward(graphs) - labels) ** 2
        if self.weighting == "none":
            return error.mean()
        accuracy = labels * self.label_deviation + self.label_mean
        weight = torch.expm1(accuracy) / (math.e - 1)
        return (weight * error).mean()

    def fit_posterior(self, graphs: Graphs, labels: Tensor) -> None:
        """Regress the logits of ``[N]`` normalised labels on the embeddings."""
        fitted = evidence_regression(self._evaluate(graphs), self._logits(labels))
        self.posterior_mean.copy_(fitted.mean)
        self.posterior_covariance.copy_(fitted.covariance)
        self.posterior_precision.copy_(fitted.precision)

    def posterior(self, graphs: Graphs) -> Posterior:
        """Belief in the accuracies ``[B]``, see :class:`Probabilistic`.

        Raises:
            NaspError: before :meth:`fit_posterior`.
        """
        mean, deviation = (item.cpu().numpy() for item in self.logit_posterior(graphs))
        return Posterior(*logit_moments(mean, deviation), scale="accuracy")

    def signal(self, graphs: Graphs) -> Posterior:
        """The same of what labels are about, their noise left out."""
        mean, deviation = self.logit_posterior(graphs, noisy=False)
        moments = logit_moments(mean.cpu().numpy(), deviation.cpu().numpy())
        return Posterior(*moments, scale="accuracy")

    def draws(self, graphs: Graphs, count: int, rng: np.random.Generator) -> Draws:
        """``count`` draws of the regression's weights, and the accuracies that they make."""
        covariance = self.posterior_covariance.cpu().numpy()
        weights = rng.multivariate_normal(
            self.posterior_mean.cpu().numpy(), covariance, count, method="eigh"
        )
        logits = weights @ self._evaluate(graphs).cpu().numpy().T
        return Draws(1 / (1 + np.exp(-logits)), scale="accuracy")

    def logit_posterior(self, graphs: Graphs, noisy: bool = True) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``[B]`` of the accuracies' logits, with or without noise.

        Raises:
            NaspError: before :meth:`fit_posterior`.
        """
        if not self.posterior_precision > 0:
            raise NaspError("BONAS has no posterior yet: call fit_posterior with the labelled set")
        fitted = Regression(
            self.posterior_mean, self.posterior_covariance, self.posterior_precision
        )
        return predict(fitted, self._evaluate(graphs), noisy)

    def expected_improvement(self, graphs: Graphs, labels: Tensor) -> Tensor:
        """Expected improvement ``[B]`` over the best of the ``[N]`` labels so far, in logits."""
        mean, deviation = self.logit_posterior(graphs)
        return expected_improvement(mean, deviation, self._logits(labels).max())

    def _evaluate(self, graphs: Graphs) -> Tensor:
        training = self.training
        self.eval()
        with torch.no_grad():
            embeddings = self.embed(graphs).double()
        self.train(training)
        return embeddings

    def _logits(self, labels: Tensor) -> Tensor:
        accuracy = labels.double() * self.label_deviation + self.label_mean
        return torch.logit(accuracy, eps=MARGIN)

    # Buffers, declared for the type checker.
    label_mean: Tensor
    label_deviation: Tensor
    posterior_mean: Tensor
    posterior_covariance: Tensor
    posterior_precision: Tensor


def evidence_regression(
    features: Tensor, targets: Tensor, iterations: int = 200, tolerance: float = 1e-5
) -> Regression:
    """Bayesian linear regression, its two precisions by maximising the evidence.

    Bishop, "Pattern Recognition and Machine Learning", section 3.5.2.

    Args:
        features: ``[N, D]`` float64.
        targets: ``[N]`` float64.
        iterations: at most.
        tolerance: relative change of both precisions that ends the iteration.
    """
    gram, moment = features.T @ features, features.T @ targets
    spectrum = torch.linalg.eigvalsh(gram).clamp(min=0)
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    prior = precision = torch.tensor(1e-5, dtype=gram.dtype, device=gram.device)
    for _ in range(iterations):
        covariance = torch.linalg.inv(prior * identity + precision * gram)
        mean = precision * covariance @ moment
        certain = (precision * spectrum / (precision * spectrum + prior)).sum()
        residual = ((targets - features @ mean) ** 2).sum()
        before = prior, precision
        prior = (certain / (mean @ mean).clamp(min=1e-12)).clamp(1e-8, 1e8)
        # At most as many well-determined directions as targets: the noise stays positive.
        precision = ((len(targets) - certain).clamp(min=1e-3) / residual.clamp(min=1e-12)).clamp(
            1e-8, 1e8
        )
        if torch.allclose(torch.stack([prior, precision]), torch.stack(before), tolerance, 0.0):
            break
    covariance = torch.linalg.inv(prior * identity + precision * gram)
    return Regression(precision * covariance @ moment, covariance, precision)


def predict(fitted: Regression, features: Tensor, noisy: bool = True) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``[B]`` of new targets at ``[B, D]`` features."""
    spread = ((features @ fitted.covariance) * features).sum(1)
    noise = 1 / fitted.precision if noisy else 0.0
    return features @ fitted.mean, (noise + spread.clamp(min=0)).sqrt()


def logit_moments(mean: Array, deviation: Array) -> tuple[Array, Array]:
    """Mean and deviation ``[N]`` of accuracies whose logits are normal with those ``[N]``."""
    logits = mean[:, None] + deviation[:, None] * _NODES
    accuracies = 1 / (1 + np.exp(-logits))
    expected = accuracies @ _WEIGHTS
    variance = (accuracies - expected[:, None]) ** 2 @ _WEIGHTS
    return expected, np.sqrt(variance)


def expected_improvement(mean: Tensor, deviation: Tensor, best: Tensor | float) -> Tensor:
    """``E[max(0, y − best)]`` for ``y ~ N(mean, deviation²)``, elementwise."""
    gamma = (mean - best) / deviation
    density = torch.exp(-(gamma**2) / 2) / math.sqrt(2 * math.pi)
    expected: Tensor = deviation * (gamma * torch.special.ndtr(gamma) + density)
    return expected
