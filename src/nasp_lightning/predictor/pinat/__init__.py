"""PINAT: a transformer with permutation-invariant graph branches beside its self-attention.

Lu et al., "PINAT: A Permutation INvariance Augmented Transformer for NAS Predictor", AAAI 2023.
TNASP's transformer, where two of the four heads of every layer (PISA), and a term of the token
embedding (PITE), are small networks of set convolutions over the graph: every vertex sums a
function of itself and of those that feed it, so the order of its inputs does not matter. Sizes
and details follow the published code: embedding 80, three layers, heads of 64, feed-forward width
512, regressor 96, set convolutions of width 16 (six heads in the embedding, two in the layers).

Example:
    ``python -m nasp_lightning +experiment=nb101_pinat``
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import GradientPredictor
from nasp_lightning.predictor.part.dense import linear
from nasp_lightning.predictor.part.graph import (
    Regressor,
    mean_pool,
    real_tokens,
    token_adjacency,
)
from nasp_lightning.predictor.part.laplacian import laplacian, sinusoidal_positions
from nasp_lightning.predictor.part.transformer import NORM_EPSILON
from nasp_lightning.predictor.pinat.set_convolution import GraphBranch
from nasp_lightning.space.base import Graphs, Shape

PADDING = ("published", "masked")


class PINATLayer(nn.Module):
    """A post-LN encoder layer whose heads are self-attention and permutation-invariant (PISA).

    Args:
        dim: embedding dimension E.
        heads: self-attention heads.
        invariant_heads: permutation-invariant heads, of the same width.
        head_dim: width of a head.
        channels: width of the set convolutions.
        feedforward_dim: inner width of the feed-forward network.
        spread: (vertices, tokens) where the graph's vertices are not the tokens, or None.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        invariant_heads: int,
        head_dim: int,
        channels: int,
        feedforward_dim: int,
        spread: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        if heads:
            self.qkv = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.branch: GraphBranch | None = None
        self.spread: nn.Linear | None = None
        if invariant_heads:
            self.branch = GraphBranch(dim, channels, invariant_heads, invariant_heads * head_dim)
            if spread is not None:
                self.spread = nn.Linear(*spread)
        self.output = nn.Linear((heads + invariant_heads) * head_dim, dim, bias=False)
        self.attention_norm = nn.LayerNorm(dim, eps=NORM_EPSILON)
        self.widen = nn.Linear(dim, feedforward_dim)
        self.narrow = nn.Linear(feedforward_dim, dim)
        self.feedforward_norm = nn.LayerNorm(dim, eps=NORM_EPSILON)

    def mask_shapes(self, batch: int, length: int) -> list[tuple[int, ...]]:
        """Of the dropout masks: on attention weights, and on both branches' outputs."""
        output = (batch, length, self.output.out_features)
        return [(batch * self.heads, length, length), output, output]

    def forward(
        self, tokens: Tensor, gather: Tensor, bias: Tensor | None, masks: Sequence[Tensor] = ()
    ) -> Tensor:
        """Encode ``[B, T, E]`` tokens.

        Args:
            tokens: ``[B, T, E]``.
            gather: ``[B, V, V]``, Aᵀ + I.
            bias: ``[B, 1, 1, T]`` added to the attention logits, or None.
            masks: of :meth:`mask_shapes`, or none.
        """
        parts = []
        if self.branch is not None:
            vertices = self.branch(tokens[:, : gather.shape[1]], gather)
            parts.append(vertices if self.spread is None else _spread(self.spread, vertices))
        if self.heads:
            parts.append(self._attend(tokens, bias, masks))
        joined = parts[0] if len(parts) == 1 else torch.cat(parts, -1)
        attended = linear(joined, self.output.weight)
        tokens = _normalise(self.attention_norm, _plus_masked(tokens, attended, masks, 1))
        hidden = linear(tokens, self.widen.weight, self.widen.bias, relu=True)
        hidden = linear(hidden, self.narrow.weight, self.narrow.bias)
        return _normalise(self.feedforward_norm, _plus_masked(tokens, hidden, masks, 2))

    def _attend(self, tokens: Tensor, bias: Tensor | None, masks: Sequence[Tensor]) -> Tensor:
        batch, length, _ = tokens.shape
        heads = linear(tokens, self.qkv.weight).view(batch, length, 3, self.heads, self.head_dim)
        heads = heads.permute(2, 0, 3, 1, 4)
        if self.training:
            mixed = self._attend_training(heads, bias, masks)
        else:
            queries, keys, values = heads.unbind(0)
            mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)
        return mixed.transpose(1, 2).reshape(batch, length, -1)

    def _attend_training(
        self, heads: Tensor, bias: Tensor | None, masks: Sequence[Tensor]
    ) -> Tensor:
        """Written out: the fused kernel has no dropout, and one copy of all three is cheaper."""
        _, batch, count, length, width = heads.shape
        queries, keys, values = heads.reshape(3, batch * count, length, width).unbind(0)
        logits = torch.bmm(queries * (1 / math.sqrt(width)), keys.transpose(1, 2))
        if bias is not None:
            logits = (logits.view(batch, count, length, length) + bias).view_as(logits)
        weights = torch.softmax(logits, -1)
        if masks:
            weights = weights * masks[0]
        return torch.bmm(weights, values).view(batch, count, length, width)


class PINAT(GradientPredictor):
    """Scores architectures from their operations, Laplacian positions and graph branches.

    Args:
        shape: sizes of the space's encoding.
        embedding_dim: dimension E of a token.
        layers: encoder layers.
        heads: self-attention heads of a layer.
        invariant_heads: permutation-invariant heads of a layer (PISA).
        head_dim: width of a head.
        channels: width of the set convolutions.
        embedding_heads: heads of the set convolutions in the token embedding (PITE).
        feedforward_dim: inner width of the feed-forward networks.
        regressor_dim: hidden units of the regressor.
        dropout: probability of dropping.
        padding: ``published``: padded slots carry the published padding token and take part in
            attention and in the mean; ``masked``: they take part in neither.
        published_nb201: for operations on edges: as in the published code, the graph branches
            see only the first V of the T operations, as if they sat on the V vertices, a linear
            layer spreads the result over the tokens, and the sum over T tokens is divided by V.
            False: the graph branches run on the line graph of the edges and see all of them.
            Where operations are not on edges there is nothing to choose.

    Raises:
        NaspError: for an unknown ``padding``, or no head at all.
    """

    encodings: ClassVar[tuple[str, ...]] = ("edge",)  # preferred where a space has several

    def __init__(
        self,
        shape: Shape,
        embedding_dim: int = 80,
        layers: int = 3,
        heads: int = 2,
        invariant_heads: int = 2,
        head_dim: int = 64,
        channels: int = 16,
        embedding_heads: int = 6,
        feedforward_dim: int = 512,
        regressor_dim: int = 96,
        dropout: float = 0.1,
        padding: str = "published",
        published_nb201: bool = True,
    ) -> None:
        super().__init__()
        _check(heads, invariant_heads, padding)
        self.shape, self.dropout, self.padding = shape, dropout, padding
        self.published_nb201 = published_nb201 and shape.edges is not None
        self.register_buffer("token_row", _token_rows(shape, padding), persistent=False)
        self.register_buffer("onehots", _onehots(shape), persistent=False)
        self.operations = nn.Embedding(shape.vocabulary, embedding_dim)
        if shape.chain:
            table = sinusoidal_positions(shape.tokens, embedding_dim)
            self.register_buffer("sinusoids", table, persistent=False)
        else:
            self.positions = nn.Linear(shape.vertices, embedding_dim)
            if shape.tokens != shape.vertices:
                self.columns_to_tokens = nn.Linear(shape.vertices, shape.tokens)
        self._build_gather()
        kinds = self.onehots.shape[1]
        self.embedding_branch = GraphBranch(kinds, channels, embedding_heads, embedding_dim)
        spread = (shape.vertices, shape.tokens) if self.published_nb201 else None
        if spread is not None:
            self.spread = nn.Linear(*spread)
        self.norm = nn.LayerNorm(embedding_dim, eps=NORM_EPSILON)
        self.layers = nn.ModuleList(
            PINATLayer(
                *(embedding_dim, heads, invariant_heads, head_dim, channels, feedforward_dim),
                spread,
            )
            for _ in range(layers)
        )
        self.regressor = Regressor(shape, embedding_dim, regressor_dim, dropout)

    def forward(self, graphs: Graphs) -> Tensor:
        """Scores ``[B]`` of a batch of architectures, on the normalised labels' scale."""
        gather = self._gather(graphs)
        masks = self._draw_masks(len(graphs))
        tokens = self._embed(graphs, gather, masks[:2])
        real = real_tokens(graphs, self.shape) if self.padding == "masked" else None
        bias = None
        if real is not None:
            bias = torch.zeros(real.shape, dtype=tokens.dtype, device=tokens.device)
            bias = bias.masked_fill_(~real, -math.inf)[:, None, None, :]
        for place, layer in enumerate(self.layers):
            tokens = layer(tokens, gather, bias, masks[2 + 3 * place : 5 + 3 * place])
        scores: Tensor = self.regressor(self._pool(tokens, graphs, real), graphs.features)
        return scores

    def _draw_masks(self, batch: int) -> list[Tensor]:
        """Dropout masks of the embedding's two terms and of the layers; none where none drops."""
        if not (self.training and self.dropout > 0):
            return []
        length = self.shape.tokens
        shapes: list[tuple[int, ...]] = [(batch, length, self.operations.embedding_dim)] * 2
        for layer in self.layers:
            assert isinstance(layer, PINATLayer)
            shapes += layer.mask_shapes(batch, length)
        return draw_masks(shapes, self.dropout, self.operations.weight.device)

    def _build_gather(self) -> None:
        """Constants of the graph branches: self-loops and, for edges, who may feed whom."""
        edges, length = self.shape.edges, self.shape.tokens
        self.line_graph = edges is not None and not self.published_nb201
        if self.published_nb201:
            length = self.shape.vertices
        self.register_buffer("loops", torch.eye(length), persistent=False)
        if self.line_graph:
            begin, end = torch.tensor(edges).unbind(1)
            place = begin * self.shape.vertices + end
            self.register_buffer("edge_place", place, persistent=False)
            fed_by = (begin.unsqueeze(1) == end.unsqueeze(0)).float()
            self.register_buffer("fed_by", fed_by, persistent=False)

    def _gather(self, graphs: Graphs) -> Tensor:
        """``[B, V, V]`` Aᵀ + I of the graph branches: a vertex sums over those that feed it.

        Of the graph itself, or of :func:`token_adjacency`'s line graph, in fewer operations.
        """
        if self.line_graph:
            present = graphs.adjacency.flatten(1).index_select(1, self.edge_place).float()
            return torch.addcmul(
                self.loops, present.unsqueeze(2) * self.fed_by, present.unsqueeze(1)
            )
        if len(self.loops) != self.shape.vertices:
            token_adjacency(graphs, self.shape)  # says what is missing
        return graphs.adjacency.transpose(1, 2) + self.loops

    def _embed(self, graphs: Graphs, gather: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """Operations plus positions plus graph branch (PITE), normalised: ``[B, T, E]``."""
        codes = graphs.operations.int()
        tokens = F.embedding(self.token_row[codes], self.operations.weight)
        tokens = tokens + self._positions(graphs)
        if masks:
            tokens = tokens * masks[0]
        onehots = F.embedding(codes[:, : gather.shape[1]], self.onehots)
        branch: Tensor = self.embedding_branch(onehots, gather)
        if self.published_nb201:
            branch = _spread(self.spread, branch)
        return _normalise(self.norm, _plus_masked(tokens, branch, masks, 1))

    def _positions(self, graphs: Graphs) -> Tensor:
        if self.shape.chain:
            return self.sinusoids
        rows = laplacian(graphs.adjacency)
        if self.shape.tokens != self.shape.vertices:
            rows = self.columns_to_tokens(rows).transpose(1, 2)
        result: Tensor = self.positions(rows)
        return result

    def _pool(self, tokens: Tensor, graphs: Graphs, real: Tensor | None) -> Tensor:
        if real is not None:
            return mean_pool(tokens * real.unsqueeze(-1), graphs.vertices)
        if self.published_nb201:
            return tokens.sum(1) / self.shape.vertices
        return tokens.mean(1)

    # Buffers, declared for the type checker.
    token_row: Tensor
    onehots: Tensor
    sinusoids: Tensor
    loops: Tensor
    edge_place: Tensor
    fed_by: Tensor


def draw_masks(
    shapes: Sequence[tuple[int, ...]], dropout: float, device: torch.device
) -> list[Tensor]:
    """Dropout's masks, 0 or 1 / (1 − p), drawn at once.

    At a training step's sizes, drawing takes longer than what the mask is applied to: one draw of
    uniform numbers takes half the time of a draw for each mask, as ``F.dropout`` has it.

    Args:
        shapes: of the masks.
        dropout: probability p of dropping, positive.
        device: where to.
    """
    sizes = [math.prod(shape) for shape in shapes]
    noise = torch.rand(sum(sizes), device=device).ge_(dropout)
    if dropout < 1:
        noise.mul_(1 / (1 - dropout))
    pieces = torch.split_with_sizes(noise, sizes)
    return [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _plus_masked(tokens: Tensor, other: Tensor, masks: Sequence[Tensor], place: int) -> Tensor:
    return torch.addcmul(tokens, other, masks[place]) if masks else tokens + other


def _spread(layer: nn.Linear, vertices: Tensor) -> Tensor:
    """The linear layer along the vertices: ``[B, V, E]`` to ``[B, T, E]``."""
    weight = layer.weight.expand(len(vertices), -1, -1)
    return torch.baddbmm(layer.bias.unsqueeze(1), weight, vertices)


def _normalise(norm: nn.LayerNorm, tokens: Tensor) -> Tensor:
    """What the module does, without a module's cost."""
    return F.layer_norm(tokens, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _check(heads: int, invariant_heads: int, padding: str) -> None:
    if padding not in PADDING:
        raise NaspError(f"predictor.padding={padding!r} is unknown: choose " + "|".join(PADDING))
    if heads < 0 or invariant_heads < 0 or heads + invariant_heads == 0:
        raise NaspError(
            f"predictor.heads={heads} and predictor.invariant_heads={invariant_heads}: "
            "a layer needs at least one head"
        )


def _token_rows(shape: Shape, padding: str) -> Tensor:
    """Row of the embedding for each token: the published code gives padding another's row."""
    rows = torch.arange(shape.vocabulary)
    published = shape.published_padding_token
    if padding == "published" and shape.padding_token is not None and published is not None:
        rows[shape.padding_token] = published
    return rows


def _onehots(shape: Shape) -> Tensor:
    """``[vocabulary, K]`` one-hot of each operation; padding is none of them and all zero."""
    table = torch.eye(shape.vocabulary)
    if shape.padding_token is None:
        return table
    kept = [token for token in range(shape.vocabulary) if token != shape.padding_token]
    return table[:, kept].contiguous()
