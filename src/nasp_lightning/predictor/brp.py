"""BRP-NAS: a binary relation predictor, which only says which of two architectures is better.

Dudziak et al., "BRP-NAS: Prediction-based NAS using GCNs", NeurIPS 2020 (arXiv 2007.08668), with
the sizes of its published code: four graph convolutions of 600 with layer normalisation, ReLU and
dropout 0.2, read out at a global vertex; two such embeddings, concatenated, go through one linear
layer to two logits, trained by Kullback-Leibler divergence on all pairs.

The linear layer separates: the difference of its logits is ``u·a + v·b + c``. Both orders of a
pair taken together prefer a where ``(u − v)·a > (u − v)·b``, so N architectures are ranked by N
numbers, and no pair is ever formed. In training all ordered pairs of a batch share its embeddings.

Example:
    ``python -m nasp_lightning +experiment=nb201_brp``
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import GradientPredictor
from nasp_lightning.predictor.part.dense import linear
from nasp_lightning.predictor.part.graph import (
    append_features,
    real_tokens,
    token_adjacency,
    with_global_vertex,
    with_self_loops,
)
from nasp_lightning.space.base import Graphs, Shape


class BRP(GradientPredictor):
    """Compares architectures; its scores order them and have no unit.

    Padded vertices are left out (the published code lets the global vertex see them).

    Args:
        shape: sizes of the space's encoding.
        hidden: width E of the graph convolutions.
        layers: number of graph convolutions.
        dropout: probability of dropping, after each convolution.
        sharpness: the wanted probabilities of a pair are the softmax of ``sharpness`` times its
            accuracies in [0, 1]; 100 is the softmax of percents.

    Raises:
        NaspError: if there is no layer or ``sharpness`` is not positive.
    """

    encodings: ClassVar[tuple[str, ...]] = ("node",)  # preferred where a space has several
    pairwise: ClassVar[bool] = True

    def __init__(
        self,
        shape: Shape,
        hidden: int = 600,
        layers: int = 4,
        dropout: float = 0.2,
        sharpness: float = 100.0,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise NaspError(f"predictor.layers={layers}: it must be at least 1")
        if not sharpness > 0:
            raise NaspError(f"predictor.sharpness={sharpness}: it must be positive")
        self.shape, self.dropout, self.sharpness = shape, dropout, sharpness
        bound = 1 / math.sqrt(hidden)
        self.operations = nn.Parameter(torch.empty(shape.vocabulary + 1, hidden))  # global: last
        nn.init.uniform_(self.operations, -bound, bound)
        self.weights = nn.ParameterList(torch.empty(hidden, hidden) for _ in range(layers - 1))
        self.biases = nn.ParameterList(torch.empty(hidden) for _ in range(layers))
        for parameter in (*self.weights, *self.biases):
            nn.init.uniform_(parameter, -bound, bound)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))
        self.relation = nn.Linear(2 * (hidden + shape.features), 2)
        self.register_buffer("label_deviation", torch.tensor(1 / sharpness))

    def set_label_scale(self, mean: float, deviation: float) -> None:
        """Tell what one unit of the normalised labels is, as an accuracy in [0, 1]."""
        self.label_deviation.fill_(deviation)

    def forward(self, graphs: Graphs) -> Tensor:
        """Scores ``[B]``: half the difference is the log-odds that one beats the other."""
        return self.rank_scores(self.embed(graphs))

    def embed(self, graphs: Graphs) -> Tensor:
        """State of the global vertex and the extra inputs, ``[B, E + F]``."""
        adjacency = with_self_loops(token_adjacency(graphs, self.shape))
        gather = with_global_vertex(adjacency, real_tokens(graphs, self.shape))
        codes = F.pad(graphs.operations.int(), (1, 0), value=self.shape.vocabulary)
        multiplied = F.embedding(codes, self.operations)
        last = len(self.norms) - 1
        for index, norm in enumerate(self.norms):
            # Only the global vertex of the last layer is read: (A₀ X) W for A (X W).
            rows = gather if index < last else gather[:, :1]
            if index == 0:
                hidden = torch.bmm(rows, multiplied)
            elif index < last:
                hidden = torch.bmm(rows, linear(hidden, self.weights[index - 1]))
            else:
                hidden = linear(torch.bmm(rows, hidden), self.weights[index - 1])
            hidden = F.relu(norm(hidden + self.biases[index]))
            hidden = F.dropout(hidden, self.dropout, self.training)
        return append_features(hidden[:, 0], graphs.features, self.shape)

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """Log-probabilities ``[B, 2]`` that the first or the second of two embeddings wins."""
        return F.log_softmax(self.relation(torch.cat([first, second], 1)), 1)

    def log_odds(self, embeddings: Tensor) -> Tensor:
        """``[B, B]``: log-odds that row wins, for all ordered pairs (row first)."""
        as_first, as_second = self._separated()
        first, second = embeddings @ as_first, embeddings @ as_second
        return first.unsqueeze(1) + second + (self.relation.bias[0] - self.relation.bias[1])

    def rank_scores(self, embeddings: Tensor) -> Tensor:
        """``[B]``: ``(u − v)·e``; differences are the log-odds of both orders, summed."""
        as_first, as_second = self._separated()
        return embeddings @ (as_first - as_second)

    def training_loss(self, graphs: Graphs, labels: Tensor) -> Tensor:
        """Mean Kullback-Leibler divergence over all ordered pairs of two different members."""
        odds = self.log_odds(self.embed(graphs))
        scale = self.sharpness * self.label_deviation
        wanted = torch.sigmoid(scale * (labels.unsqueeze(1) - labels))
        cross = F.binary_cross_entropy_with_logits(odds, wanted, reduction="none")
        entropy = -(torch.xlogy(wanted, wanted) + torch.xlogy(1 - wanted, 1 - wanted))
        pairs = 1 - torch.eye(len(labels), device=labels.device)
        return ((cross - entropy) * pairs).sum() / pairs.sum().clamp(min=1)

    def _separated(self) -> tuple[Tensor, Tensor]:
        """u and v: what each place of a pair adds to the log-odds."""
        difference = self.relation.weight[0] - self.relation.weight[1]
        first, second = difference.chunk(2)
        return first, second

    # Buffer, declared for the type checker.
    label_deviation: Tensor
