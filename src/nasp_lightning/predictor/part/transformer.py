"""The encoder of "Attention is all you need", post-LN, written for small batches on a CPU.

A training step of a predictor has 10 architectures of 7 tokens: its time is the number of
operations, not their size. Hence one weight for queries, keys and values, and no module where
a function does.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.predictor.part.dense import linear

NORM_EPSILON = 1e-6


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward network, each added to its input and normalised after.

    The projections of queries, keys, values and output have no bias; the feed-forward layers
    have one. Dropout acts where PyTorch's own encoder layer has it: on the attention weights, in
    the feed-forward network and on both branches' outputs.

    Args:
        dim: embedding dimension E.
        heads: number of attention heads H.
        head_dim: dimension of each head's queries, keys and values.
        feedforward_dim: inner width of the feed-forward network.
        dropout: probability of dropping.
    """

    def __init__(
        self, dim: int, heads: int, head_dim: int, feedforward_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = head_dim
        self.dropout = dropout
        self.qkv = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.output = nn.Linear(heads * head_dim, dim, bias=False)
        self.attention_norm = nn.LayerNorm(dim, eps=NORM_EPSILON)
        self.widen = nn.Linear(dim, feedforward_dim)
        self.narrow = nn.Linear(feedforward_dim, dim)
        self.feedforward_norm = nn.LayerNorm(dim, eps=NORM_EPSILON)

    def forward(self, tokens: Tensor, bias: Tensor | None = None) -> Tensor:
        """Encode ``[B, T, E]`` tokens.

        Args:
            tokens: ``[B, T, E]``.
            bias: ``[B, 1, 1, T]`` added to the attention logits (−inf hides a token), or None.

        Returns:
            ``[B, T, E]``.
        """
        attended = self._attend(tokens, bias)
        attended = F.dropout(attended, self.dropout, self.training)
        norm = self.attention_norm
        tokens = F.layer_norm(
            tokens + attended, norm.normalized_shape, norm.weight, norm.bias, norm.eps
        )
        hidden = linear(tokens, self.widen.weight, self.widen.bias, relu=True)
        hidden = F.dropout(hidden, self.dropout, self.training)
        hidden = linear(hidden, self.narrow.weight, self.narrow.bias)
        hidden = F.dropout(hidden, self.dropout, self.training)
        norm = self.feedforward_norm
        return F.layer_norm(
            tokens + hidden, norm.normalized_shape, norm.weight, norm.bias, norm.eps
        )

    def _attend(self, tokens: Tensor, bias: Tensor | None) -> Tensor:
        batch, length, _ = tokens.shape
        projected = linear(tokens, self.qkv.weight)
        heads = projected.view(batch, length, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4)
        if self.training:
            mixed = self._attend_training(heads, bias)
        else:
            queries, keys, values = heads.unbind(0)
            mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)
        return linear(mixed.transpose(1, 2).reshape(batch, length, -1), self.output.weight)

    def _attend_training(self, heads: Tensor, bias: Tensor | None) -> Tensor:
        """Written out: the fused kernel has no dropout, and one copy of all three is cheaper."""
        _, batch, count, length, width = heads.shape
        queries, keys, values = heads.reshape(3, batch * count, length, width).unbind(0)
        logits = torch.bmm(queries * (1 / math.sqrt(width)), keys.transpose(1, 2))
        if bias is not None:
            logits = (logits.view(batch, count, length, length) + bias).view_as(logits)
        weights = F.dropout(torch.softmax(logits, -1), self.dropout, True)
        return torch.bmm(weights, values).view(batch, count, length, width)


class TransformerEncoder(nn.Module):
    """A stack of encoder layers.

    Args:
        layers: number of layers.
        dim: embedding dimension E.
        heads: attention heads of each layer.
        head_dim: dimension of each head.
        feedforward_dim: inner width of each feed-forward network.
        dropout: probability of dropping.
    """

    def __init__(
        self, layers: int, dim: int, heads: int, head_dim: int, feedforward_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(dim, heads, head_dim, feedforward_dim, dropout) for _ in range(layers)
        )

    def stack(self) -> list[EncoderLayer]:
        """The layers, first to last."""
        return [layer for layer in self.layers if isinstance(layer, EncoderLayer)]

    def forward(self, tokens: Tensor, real: Tensor | None = None) -> Tensor:
        """Encode ``[B, T, E]`` tokens; ``real`` ``[B, T]`` bool hides the others from attention."""
        bias = None
        if real is not None:
            hidden = torch.zeros(real.shape, dtype=tokens.dtype, device=tokens.device)
            bias = hidden.masked_fill_(~real, float("-inf"))[:, None, None, :]
        for layer in self.layers:
            tokens = layer(tokens, bias)
        return tokens
