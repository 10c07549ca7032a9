"""TNASP for inference only: the same function of the architecture with less arithmetic.

Exact rewritings, none of them an approximation:

* queries and keys meet in one matrix for each head, ``x·(WqᵀWk)·xᵀ``, and values and output
  projection in another, ``A·x·(WoWv)ᵀ``: with heads wider than half the embedding (64 against
  80) the merged matrices are smaller, and attention works on the tokens themselves, a layout
  that needs no transposed copy;
* the first layer sees few distinct tokens (operation, Laplacian row, slot): some hundreds in all
  of NAS-Bench-101. Logits and values are tables, and the layer's attention looks them up;
* where padding is masked, architectures of equal size are taken together, without a mask.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.predictor.base import ScoringModule
from nasp_lightning.predictor.part.dense import linear
from nasp_lightning.predictor.part.transformer import TransformerEncoder
from nasp_lightning.space.base import Graphs

if TYPE_CHECKING:
    from nasp_lightning.predictor.part.transformer import EncoderLayer
    from nasp_lightning.predictor.tnasp import TNASP

# Tables grow with the square of the number of distinct tokens.
MAXIMUM_ROWS = 1500
MAXIMUM_CODES = 1 << 20
# exp of a number of at most this size neither overflows nor vanishes in float32 or bfloat16.
SAFE_EXPONENT = 80.0


class ScoringLayer:
    """One encoder layer with merged projections, at evaluation only.

    Args:
        layer: the trained layer.
        dtype: of weights and activations.
        radius: bound on the norm of the tokens that come in. Where it bounds the logits enough,
            softmax need not subtract their maximum.
    """

    def __init__(self, layer: EncoderLayer, dtype: torch.dtype, radius: float) -> None:
        heads, width = layer.heads, layer.head_dim
        dim = layer.qkv.in_features
        self.heads = heads
        queries, keys, values = layer.qkv.weight.double().view(3, heads, width, dim)
        output = layer.output.weight.double().view(dim, heads, width).transpose(0, 1)
        meeting = keys.transpose(1, 2) @ queries / math.sqrt(width)  # [H, E, E]
        largest = float(torch.linalg.matrix_norm(meeting, ord=2).max())
        self.safe = largest * radius**2 <= SAFE_EXPONENT
        self.query = meeting.reshape(heads * dim, dim).to(dtype)
        self.value = (output @ values).transpose(0, 1).reshape(dim, heads * dim).to(dtype)
        self.attention_norm = _norm(layer.attention_norm, dtype)
        self.feedforward_norm = _norm(layer.feedforward_norm, dtype)
        self.widen = (layer.widen.weight.to(dtype), layer.widen.bias.to(dtype))
        self.narrow = (layer.narrow.weight.to(dtype), layer.narrow.bias.to(dtype))

    def __call__(self, tokens: Tensor) -> Tensor:
        """Encode ``[B, T, E]`` tokens."""
        return self.feed_forward(tokens.flatten(0, 1), self.attend(tokens)).view_as(tokens)

    def attend(self, tokens: Tensor) -> Tensor:
        """Self-attention ``[B·T, E]`` of ``[B, T, E]`` tokens, before the residual."""
        batch, length, dim = tokens.shape
        queries = linear(tokens.view(-1, dim), self.query)
        # Keys come first: sums over them then run along a strided, vectorised dimension.
        logits = torch.bmm(tokens, queries.view(batch, -1, dim).transpose(1, 2))  # [B, T, T·H]
        weights = _softmax(logits, 1, self.safe)
        mixed = torch.bmm(weights.transpose(1, 2), tokens)  # [B, T·H, E]
        return linear(mixed.view(batch * length, -1), self.value)

    def feed_forward(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """The rest of the layer: ``[B·T, E]`` tokens and what they attended to."""
        dim = tokens.shape[1:]
        tokens = F.layer_norm(attended.add_(tokens), dim, *self.attention_norm)
        hidden = linear(tokens, *self.widen, relu=True)
        return F.layer_norm(linear(hidden, *self.narrow).add_(tokens), dim, *self.feedforward_norm)


class TokenTable:
    """The first layer's distinct tokens, its attention logits and values as tables.

    Args:
        rows: ``[R, E]`` distinct embedded tokens, float32.
        code_to_row: ``[C]`` row of each token's code.
        layer: the first layer.
        dtype: of the looked-up values.
    """

    def __init__(
        self, rows: Tensor, code_to_row: Tensor, layer: ScoringLayer, dtype: torch.dtype
    ) -> None:
        count, dim = rows.shape
        self.count = count
        self.code_to_row = code_to_row
        self.tokens = rows.to(dtype)
        queries = (rows @ layer.query.float().T).view(count, layer.heads, dim)
        logits = torch.einsum("ihe,je->ijh", queries, rows).reshape(count * count, -1)
        self.safe = bool(logits.abs().max() <= SAFE_EXPONENT)
        self.logits = logits.exp() if self.safe else logits
        outputs = layer.value.float().view(dim, layer.heads, dim)
        self.values = torch.einsum("ohe,je->jho", outputs, rows).reshape(count, -1).to(dtype)

    def attend(self, rows: Tensor) -> Tensor:
        """Self-attention ``[B·T, E]`` of the tokens in ``rows`` ``[B, T]``, before the residual."""
        batch, length = rows.shape
        pair = (rows.unsqueeze(2) * self.count + rows.unsqueeze(1)).view(-1)
        logits = self.logits.index_select(0, pair).view(batch * length, length, -1)
        weights = _normalised(logits, 1) if self.safe else _softmax(logits, 1, False)
        weights = weights.to(self.values.dtype)
        values = self.values.index_select(0, rows.view(-1)).view(batch, -1, self.tokens.shape[1])
        return torch.bmm(weights.view(batch, length, -1), values).flatten(0, 1)


class TNASPScoring(ScoringModule):
    """A trained TNASP, rewritten for scoring.

    Args:
        predictor: the trained predictor; its weights are copied.
        graphs: the architectures that will be scored, from which the token table is made.
        dtype: float32 or bfloat16.
    """

    @torch.no_grad()
    def __init__(self, predictor: TNASP, graphs: Graphs, dtype: torch.dtype) -> None:
        super().__init__()
        # The widest activation of a batch, 512 values for each token, should stay in the cache.
        self.batch_size = 256 if dtype is torch.float32 else 512
        if graphs.operations.device.type != "cpu":
            self.batch_size = 8192
        self.predictor = predictor
        self.dtype = dtype
        self.masked = predictor.padding == "masked" and predictor.shape.padding_token is not None
        assert isinstance(predictor.encoder, TransformerEncoder)
        trained = predictor.encoder.stack()
        entry = math.inf if predictor.norm is None else _radius(predictor.norm)
        radii = [entry, *(_radius(layer.feedforward_norm) for layer in trained)]
        self.layers = [
            ScoringLayer(layer, dtype, radius)
            for layer, radius in zip(trained, radii, strict=False)
        ]
        self.table = _token_table(predictor, graphs, self.layers[0], dtype) if self.layers else None

    def forward(self, graphs: Graphs) -> Tensor:
        """Scores ``[B]`` float32."""
        if not self.masked:
            return self._score(graphs)
        scores = torch.empty(len(graphs), device=graphs.operations.device)
        for count in torch.unique(graphs.vertices).tolist():
            chosen = (graphs.vertices == count).nonzero().squeeze(1)
            scores[chosen] = self._score(graphs[chosen], count)
        return scores

    def _score(self, graphs: Graphs, length: int | None = None) -> Tensor:
        """Scores of architectures whose first ``length`` tokens (None: all) count."""
        if self.table is None:
            tokens = self.predictor.embed(graphs)[:, :length].to(self.dtype).contiguous()
            shape, layers = tokens.shape, self.layers
        else:
            codes = token_codes(self.predictor, graphs)[:, :length]
            rows = self.table.code_to_row[codes]
            known = self.table.tokens.index_select(0, rows.view(-1))
            tokens = self.layers[0].feed_forward(known, self.table.attend(rows))
            shape, layers = torch.Size((*rows.shape, tokens.shape[-1])), self.layers[1:]
            tokens = tokens.view(shape)
        for layer in layers:
            tokens = layer(tokens)
        pooled = tokens.sum(1, dtype=torch.float32) / shape[1]
        return self.predictor.regress(pooled, graphs.features)


def token_codes(predictor: TNASP, graphs: Graphs) -> Tensor:
    """A number for each token ``[B, T]`` int64, equal only where the embedded tokens are equal."""
    shape = predictor.shape
    device = graphs.operations.device
    slot = torch.arange(shape.tokens, device=device)
    code = predictor.token_row[graphs.operations.long()] + slot * shape.vocabulary
    if predictor.positional == "laplacian" and predictor.positional_branch:
        place = 2.0 ** torch.arange(shape.vertices, device=device)
        successors = torch.mv(graphs.adjacency.view(-1, shape.vertices).float(), place)
        code = code + successors.long().view_as(code) * (shape.tokens * shape.vocabulary)
    return code


def _token_table(
    predictor: TNASP, graphs: Graphs, layer: ScoringLayer, dtype: torch.dtype
) -> TokenTable | None:
    """The table of the distinct tokens among ``graphs``, or None where it would not pay."""
    shape = predictor.shape
    if shape.tokens != shape.vertices and predictor.positional != "sinusoidal":
        return None
    if predictor.positional not in ("laplacian", "sinusoidal"):
        return None
    span = shape.tokens * shape.vocabulary
    if predictor.positional == "laplacian":
        span *= 2**shape.vertices if shape.vertices < 20 else MAXIMUM_CODES
    if span > MAXIMUM_CODES:
        return None
    device = graphs.operations.device
    holder = torch.full((span,), -1, dtype=torch.long, device=device)
    step = 65536
    for start in range(0, len(graphs), step):
        codes = token_codes(predictor, graphs[start : start + step]).view(-1)
        holder[codes] = torch.arange(codes.numel(), device=device) + start * shape.tokens
    present = (holder >= 0).nonzero().squeeze(1)
    if not 0 < len(present) <= min(MAXIMUM_ROWS, len(graphs)):
        return None
    place = holder[present]
    embedded = predictor.embed(graphs[place // shape.tokens])
    rows = embedded[torch.arange(len(place), device=device), place % shape.tokens]
    code_to_row = torch.zeros(span, dtype=torch.long, device=device)
    code_to_row[present] = torch.arange(len(present), device=device)
    return TokenTable(rows, code_to_row, layer, dtype)


def _softmax(logits: Tensor, dim: int, safe: bool) -> Tensor:
    """Softmax in place along a dimension that is not the last, where single steps vectorise."""
    if not safe:
        logits.sub_(logits.amax(dim, keepdim=True))
    return _normalised(logits.exp_(), dim)


def _normalised(weights: Tensor, dim: int) -> Tensor:
    return weights.div_(weights.sum(dim, keepdim=True))


def _radius(norm: nn.LayerNorm) -> float:
    """Bound on the norm of what a layer normalisation returns."""
    weight, bias = norm.weight.detach(), norm.bias.detach()
    return float(weight.abs().max()) * math.sqrt(weight.numel()) + float(bias.norm())


def _norm(norm: nn.LayerNorm, dtype: torch.dtype) -> tuple[Tensor, Tensor, float]:
    return norm.weight.to(dtype), norm.bias.to(dtype), norm.eps
