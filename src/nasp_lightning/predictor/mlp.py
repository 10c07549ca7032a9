"""A plain multi-layer perceptron on one-hot operations and the adjacency, with no idea of graphs.

The sizes, four hidden layers of 1000, are those of the MLP predictor of WeakNAS (Wu et al.,
"Stronger NAS with Weaker Predictors", NeurIPS 2021).

Example:
    ``python -m nasp_lightning +experiment=nb101_mlp``
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import GradientPredictor
from nasp_lightning.predictor.part.dense import linear
from nasp_lightning.predictor.part.graph import append_features
from nasp_lightning.space.base import Graphs, Shape


class MLP(GradientPredictor):
    """Scores architectures from their encoding, read as one vector.

    The vector holds a one-hot for each slot (all zero in padding), the adjacency above its
    diagonal, and the extra inputs.

    Args:
        shape: sizes of the space's encoding.
        hidden: width of the hidden layers.
        layers: number of hidden layers.
        dropout: probability of dropping, after each hidden layer.

    Raises:
        NaspError: if there is no hidden layer.
    """

    def __init__(
        self, shape: Shape, hidden: int = 1000, layers: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if layers < 1:
            raise NaspError(f"predictor.layers={layers}: it must be at least 1")
        self.shape, self.dropout = shape, dropout
        onehots = torch.eye(shape.vocabulary)
        if shape.padding_token is not None:
            onehots[shape.padding_token] = 0.0
        self.register_buffer("onehots", onehots, persistent=False)
        above = torch.ones(shape.vertices, shape.vertices).triu(1).flatten().nonzero().squeeze(1)
        self.register_buffer("above", above, persistent=False)
        inputs = shape.tokens * shape.vocabulary + len(above) + shape.features
        widths = [inputs, *[hidden] * layers]
        self.layers = nn.ModuleList(
            nn.Linear(width, after) for width, after in itertools.pairwise(widths)
        )
        self.score = nn.Linear(hidden, 1)

    def forward(self, graphs: Graphs) -> Tensor:
        """Scores ``[B]`` of a batch of architectures, on the normalised labels' scale."""
        hidden = self.vector(graphs)
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            hidden = linear(hidden, layer.weight, layer.bias, relu=True)
            hidden = F.dropout(hidden, self.dropout, self.training)
        score: Tensor = self.score(hidden)
        return score.squeeze(-1)

    def vector(self, graphs: Graphs) -> Tensor:
        """The encoding as one vector, ``[B, D]``."""
        onehots = F.embedding(graphs.operations.int(), self.onehots).flatten(1)
        above = graphs.adjacency.flatten(1).index_select(1, self.above)
        return append_features(
            torch.cat([onehots, above.to(onehots.dtype)], 1), graphs.features, self.shape
        )

    # Buffers, declared for the type checker.
    onehots: Tensor
    above: Tensor
