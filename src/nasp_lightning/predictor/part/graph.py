"""Graph layers and the ends that graph predictors share, as dense, batched operations.

Architectures have at most a few dozen vertices, so graphs are dense adjacencies ``[B, T, T]`` over
tokens. Where operations sit on edges (``shape.edges``), the graph over tokens is the line graph:
an operation feeds those that begin where it ends. A padded slot is an isolated vertex whose
features are zero.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.part.dense import linear
from nasp_lightning.space.base import Graphs, Shape


def token_adjacency(graphs: Graphs, shape: Shape) -> Tensor:
    """Adjacency over tokens, ``[B, T, T]`` float32, row feeds column.

    With operations on edges it is the line graph of the edges that are present: ``i→j`` feeds
    ``j→k`` unless either is cut.

    Raises:
        NaspError: if the space says neither that tokens are vertices nor which edges they are.
    """
    adjacency = graphs.adjacency.float()
    if shape.edges is None:
        if shape.tokens != shape.vertices:
            raise NaspError(
                f"this encoding has {shape.tokens} tokens on {shape.vertices} vertices and does "
                "not name the edges they sit on (shape.edges), which a graph predictor needs: "
                "choose another space.encoding"
            )
        return adjacency
    begin, end = torch.tensor(shape.edges, device=adjacency.device).unbind(1)
    present = adjacency[:, begin, end]
    follows = (end.unsqueeze(1) == begin.unsqueeze(0)).float()
    return follows * present.unsqueeze(2) * present.unsqueeze(1)


def real_tokens(graphs: Graphs, shape: Shape) -> Tensor | None:
    """``[B, T]`` bool, False for padded slots; None where the encoding has none."""
    if shape.padding_token is None:
        return None
    slots = torch.arange(shape.tokens, device=graphs.operations.device)
    return slots < graphs.vertices.unsqueeze(-1)


def with_self_loops(adjacency: Tensor) -> Tensor:
    """``A + I`` for ``[..., T, T]``."""
    return adjacency + torch.eye(adjacency.shape[-1], device=adjacency.device)


def row_normalise(matrix: Tensor) -> Tensor:
    """Rows divided by their sums, which must not be zero: ``[..., T, T]``."""
    return matrix / matrix.sum(-1, keepdim=True)


def with_global_vertex(adjacency: Tensor, real: Tensor | None = None) -> Tensor:
    """``[B, T + 1, T + 1]``: row 0 is a vertex that receives from all; rows are receivers.

    Args:
        adjacency: ``[B, T, T]`` with self-loops, row receives from column.
        real: ``[B, T]`` bool, which vertices the global one receives from; None for all.
    """
    batch, size = adjacency.shape[:2]
    extended = F.pad(adjacency, (1, 0, 1, 0))
    received = 1.0 if real is None else real.to(adjacency.dtype)
    extended[:, 0, 1:] = received
    extended[:, 0, 0] = 1.0
    assert extended.shape == (batch, size + 1, size + 1)
    return extended


def mean_pool(tokens: Tensor, vertices: Tensor | None) -> Tensor:
    """Sum of ``[B, T, E]`` over tokens divided by ``[B]`` vertices (None: T)."""
    if vertices is None:
        return tokens.mean(1)
    return tokens.sum(1) / vertices.to(tokens.dtype).unsqueeze(-1)


def append_features(pooled: Tensor, features: Tensor | None, shape: Shape) -> Tensor:
    """``[B, E]`` and the extra inputs of each architecture ``[B, F]``, side by side.

    Raises:
        NaspError: if the shape promises extra inputs and the graphs carry none.
    """
    if not shape.features:
        return pooled
    if features is None:
        raise NaspError(
            f"the predictor was built for {shape.features} extra inputs of each architecture, "
            "but the graphs carry none; encode them with features"
        )
    return torch.cat([pooled, features.to(pooled.dtype)], 1)


class OperationWeights(nn.Module):
    """A bias-free linear layer on one-hot operations: a row of weights for each token.

    Padding is no operation: its row is zero and stays so.

    Args:
        shape: of the encoding.
        dim: output width E.
        copies: independent layers side by side, each initialised on its own.
    """

    def __init__(self, shape: Shape, dim: int, copies: int = 1) -> None:
        super().__init__()
        self.padding = shape.padding_token
        self.weight = nn.Parameter(torch.empty(shape.vocabulary, copies * dim))
        operations = shape.vocabulary - (self.padding is not None)
        bound = (6 / (operations + dim)) ** 0.5  # Xavier's, of the layer without the padding
        nn.init.uniform_(self.weight, -bound, bound)
        if self.padding is not None:
            with torch.no_grad():
                self.weight[self.padding] = 0.0

    def forward(self, operations: Tensor) -> Tensor:
        """``[B, T]`` tokens to ``[B, T, copies · E]``."""
        return F.embedding(operations.int(), self.weight, padding_idx=self.padding)


class DirectedConvolution(nn.Module):
    """Graph convolution along the edges and against them (Neural Predictor, section 3.2).

    ``½ ReLU(Â X W₁) + ½ ReLU(Ǎ X W₂)``, then dropout; Â and Ǎ come from
    :func:`directed_operators`.

    Args:
        inputs: input width, or None where X W is given already (a first layer's one-hots).
        outputs: output width H.
        dropout: probability of dropping.
    """

    def __init__(self, inputs: int | None, outputs: int, dropout: float) -> None:
        super().__init__()
        self.outputs = outputs
        self.dropout = dropout
        self.weight: nn.Parameter | None = None
        if inputs is not None:
            self.weight = nn.Parameter(torch.empty(2 * outputs, inputs))
            for half in torch.split(self.weight.detach(), outputs):
                nn.init.xavier_uniform_(half)

    def forward(self, tokens: Tensor, operators: Tensor) -> Tensor:
        """One layer.

        Args:
            tokens: ``[B, T, E]``, or ``[B, T, 2 · H]`` already multiplied.
            operators: ``[2B, T, T]``, the Â of all graphs, then their Ǎ.

        Returns:
            ``[B, T, H]``.
        """
        if self.weight is not None:
            tokens = linear(tokens, self.weight)
        batch, length, _ = tokens.shape
        pair = tokens.view(batch, length, 2, self.outputs).permute(2, 0, 1, 3)
        mixed = F.relu(torch.bmm(operators, pair.reshape(2 * batch, length, self.outputs)))
        mean = mixed.view(2, batch, length, self.outputs).mean(0)
        return F.dropout(mean, self.dropout, self.training)


def directed_operators(adjacency: Tensor) -> Tensor:
    """``[2B, T, T]``: row-normalised A + I of all graphs, then its row-normalised transpose."""
    forward = row_normalise(with_self_loops(adjacency))
    return torch.cat([forward, row_normalise(forward.transpose(1, 2))])


class Regressor(nn.Module):
    """Two linear layers without bias, dropout between them, no activation (ultmaster, PINAT).

    Args:
        shape: of the encoding, for its extra inputs F.
        inputs: width E of the pooled architecture.
        hidden: width between the layers.
        dropout: probability of dropping.
    """

    def __init__(self, shape: Shape, inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.shape = shape
        self.dropout = dropout
        self.hidden = nn.Linear(inputs + shape.features, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, pooled: Tensor, features: Tensor | None) -> Tensor:
        """Scores ``[B]`` from ``[B, E]`` and the extra inputs ``[B, F]``."""
        pooled = append_features(pooled, features, self.shape)
        hidden = F.dropout(self.hidden(pooled), self.dropout, self.training)
        score: Tensor = self.score(hidden)
        return score.squeeze(-1)
