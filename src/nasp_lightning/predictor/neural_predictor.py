"""Neural Predictor: a bidirectional graph convolutional network over the cell.

Wen et al., "Neural Predictor for Neural Architecture Search", ECCV 2020 (arXiv 1912.00848), with
the sizes and details of its common re-implementation, ultmaster/neuralpredictor.pytorch: three
layers of 144, mean over the real vertices, a regressor of 144→128→1 without bias.

Example:
    ``python -m nasp_lightning +experiment=nb101_neural_predictor``
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import GradientPredictor
from nasp_lightning.predictor.part.graph import (
    DirectedConvolution,
    OperationWeights,
    Regressor,
    directed_operators,
    mean_pool,
    token_adjacency,
)
from nasp_lightning.space.base import Graphs, Shape


class NeuralPredictor(GradientPredictor):
    """Scores architectures from their graph; the order of the vertices does not matter.

    Args:
        shape: sizes of the space's encoding.
        hidden: width H of the graph convolutions.
        layers: number of graph convolutions.
        regressor_dim: hidden units of the regressor.
        dropout: probability of dropping.

    Raises:
        NaspError: if there is no layer.
    """

    encodings: ClassVar[tuple[str, ...]] = ("node",)  # preferred where a space has several

    def __init__(
        self,
        shape: Shape,
        hidden: int = 144,
        layers: int = 3,
        regressor_dim: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise NaspError(f"predictor.layers={layers}: it must be at least 1")
        self.shape = shape
        self.operations = OperationWeights(shape, hidden, copies=2)
        widths = [None, *[hidden] * (layers - 1)]
        self.convolutions = nn.ModuleList(
            DirectedConvolution(width, hidden, dropout) for width in widths
        )
        self.regressor = Regressor(shape, hidden, regressor_dim, dropout)

    def forward(self, graphs: Graphs) -> Tensor:
        """Scores ``[B]`` of a batch of architectures, on the normalised labels' scale."""
        operators = directed_operators(token_adjacency(graphs, self.shape))
        tokens = self.operations(graphs.operations)
        for convolution in self.convolutions:
            tokens = convolution(tokens, operators)
        # Padded vertices are zero in every layer: only their number has to be left out.
        pooled = mean_pool(tokens, graphs.vertices)
        scores: Tensor = self.regressor(pooled, graphs.features)
        return scores
