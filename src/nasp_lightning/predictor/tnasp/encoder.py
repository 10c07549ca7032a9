"""What TNASP's transformer is replaced with in its supplementary, Table 6: a GCN or an MLP.

The paper gives no sizes. Both are built like the transformer, layer for layer: the GCN convolves
along the edges and against them as the Neural Predictor does, the MLP is the transformer without
its attention, so that tokens never meet before the mean.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.predictor.part.dense import linear
from nasp_lightning.predictor.part.graph import (
    DirectedConvolution,
    directed_operators,
    token_adjacency,
)
from nasp_lightning.predictor.part.transformer import NORM_EPSILON
from nasp_lightning.space.base import Graphs, Shape


class GCNEncoder(nn.Module):
    """Directed graph convolutions over the tokens.

    Args:
        shape: sizes of the space's encoding.
        layers: number of convolutions.
        dim: embedding dimension E.
        dropout: probability of dropping.
    """

    def __init__(self, shape: Shape, layers: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.shape = shape
        self.layers = nn.ModuleList(DirectedConvolution(dim, dim, dropout) for _ in range(layers))

    def forward(self, tokens: Tensor, graphs: Graphs) -> Tensor:
        """Encode ``[B, T, E]`` tokens of the graphs they belong to."""
        operators = directed_operators(token_adjacency(graphs, self.shape))
        for layer in self.layers:
            tokens = layer(tokens, operators)
        return tokens


class MLPEncoder(nn.Module):
    """Post-LN feed-forward networks on each token by itself.

    Args:
        layers: number of feed-forward networks.
        dim: embedding dimension E.
        feedforward_dim: their inner width.
        dropout: probability of dropping.
    """

    def __init__(self, layers: int, dim: int, feedforward_dim: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.widen = nn.ModuleList(nn.Linear(dim, feedforward_dim) for _ in range(layers))
        self.narrow = nn.ModuleList(nn.Linear(feedforward_dim, dim) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(dim, eps=NORM_EPSILON) for _ in range(layers))

    def forward(self, tokens: Tensor, graphs: Graphs) -> Tensor:
        """Encode ``[B, T, E]`` tokens; the graphs have no say."""
        for widen, narrow, norm in zip(self.widen, self.narrow, self.norms, strict=True):
            assert isinstance(widen, nn.Linear)
            assert isinstance(narrow, nn.Linear)
            hidden = linear(tokens, widen.weight, widen.bias, relu=True)
            hidden = linear(hidden, narrow.weight, narrow.bias)
            tokens = norm(tokens + F.dropout(hidden, self.dropout, self.training))
        return tokens
