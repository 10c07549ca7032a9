"""Layers of the Siamese-Predictor: bidirectional graph convolutions and attention along a DAG.

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), sections 3.2 and 6.1, with the details of the
published code. Every layer takes ``[B, T, E]`` features of tokens, their adjacency with
self-loops ``[B, T, T]`` (not normalised, row feeds column) and, where slots are padded, which
tokens are real. What stands in a padded slot reaches no real token: it has no edges, takes part
neither in the statistics of batch normalisation nor in attention, and is zero after each layer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nasp_lightning.predictor.part.dense import linear
from nasp_lightning.predictor.part.graph import real_tokens, token_adjacency, with_self_loops
from nasp_lightning.predictor.siamese.normalised_mish import folded, mish_, normalised_mish
from nasp_lightning.space.base import Graphs, Shape

EPSILON = 1e-4  # of batch normalisation, as published


class Topology(NamedTuple):
    """What the layers know of the graphs.

    Attributes:
        operators: ``[B, 2, T, T]`` float32, A + I and its transpose.
        real: ``[B, T]`` bool, False for padded slots; None where none is padded.
    """

    operators: Tensor
    real: Tensor | None

    @classmethod
    def of(cls, graphs: Graphs, shape: Shape) -> Topology:
        """The topology of encoded architectures, without any edge at a padded slot."""
        adjacency, real = token_adjacency(graphs, shape), real_tokens(graphs, shape)
        if real is not None:
            adjacency = adjacency * (real.unsqueeze(2) & real.unsqueeze(1))
        looped = with_self_loops(adjacency)
        return cls(torch.stack([looped, looped.transpose(1, 2)], 1), real)

    @property
    def flat_real(self) -> Tensor | None:
        """``[B · T]``, or None."""
        return None if self.real is None else self.real.flatten()


def glorot_(weight: Tensor, inputs: int, outputs: int) -> None:
    """Uniform start in ±√(6 / (inputs + outputs)), the published code's."""
    bound = (6 / (inputs + outputs)) ** 0.5
    nn.init.uniform_(weight, -bound, bound)


class BidirectionalConvolution(nn.Module):
    """``½ mish(BN(A X W₁)) + ½ mish(BN(Aᵀ X W₂))``, several side by side.

    The published code adds a bias before each normalisation, which takes it away again.

    Args:
        inputs: width E of the features; the number of tokens where they come as one-hots.
        outputs: width H.
        momentum: of the normalisation's running statistics.
        copies: independent convolutions G of the same features.
        tokens: whether the input is tokens rather than features.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        momentum: float | None,
        copies: int = 1,
        tokens: bool = False,
    ) -> None:
        super().__init__()
        self.tokens, self.inputs = tokens, inputs
        start = torch.empty(inputs, 2, copies * outputs)
        glorot_(start, inputs, outputs)
        self.weight = nn.Parameter(start.transpose(0, 1).contiguous())
        self.norm = nn.BatchNorm1d(2 * copies * outputs, EPSILON, momentum)

    def forward(self, features: Tensor, topology: Topology) -> Tensor:
        """``[B, T, G · H]`` from ``[B, T, E]`` features or ``[B, T]`` tokens."""
        if self.tokens:
            known = torch.arange(self.inputs, device=features.device)
            features = (features.unsqueeze(-1) == known).to(self.weight.dtype)
        batch, length, _ = features.shape
        mixed = topology.operators.flatten(1, 2) @ features
        mixed = mixed.view(batch, 2, length, -1).transpose(0, 1).reshape(2, batch * length, -1)
        if self.training or torch.is_grad_enabled():
            hidden = normalised_mish(self.norm, mixed @ self.weight, topology.flat_real)
            return hidden.sum(0).mul(0.5).view(batch, length, -1)
        return self._inferred(mixed, topology.flat_real).view(batch, length, -1)

    def _inferred(self, mixed: Tensor, real: Tensor | None) -> Tensor:
        """``[N, G · H]`` in evaluation mode: the normalisation becomes part of the weights."""
        factor, shift = folded(self.norm, (2, 1, self.weight.shape[2]))
        weight = (self.weight * factor).transpose(1, 2)
        halves = [linear(mixed[at], weight[at], shift[at, 0]) for at in range(2)]
        mean = mish_(halves[0]).add_(mish_(halves[1])).mul_(0.5)
        return mean if real is None else mean.mul_(real.unsqueeze(-1))


def directed_attention(query: Tensor, key: Tensor, value: Tensor, topology: Topology) -> Tensor:
    """``softmax(S ∘ A) V + softmax(S ∘ Aᵀ) V`` for ``S = Q Kᵀ``, ``[B, T, H]``.

    As published the product with the adjacency comes before the softmax and S is not scaled: a
    token without an edge has the logit 0, not −∞. Absent tokens have −∞.
    """
    similarity = query @ key.transpose(1, 2)
    logits = similarity.unsqueeze(1) * topology.operators
    if topology.real is not None:
        logits = logits.masked_fill(~topology.real[:, None, None, :], float("-inf"))
    attention = logits.softmax(-1).sum(1)
    return attention @ value


class NodeAttention(nn.Module):
    """Nodes self-attention module, NSAM (section 3.2.2): Q, K and V from the same features.

    Args:
        hidden: width H.
        momentum: of the normalisations.
    """

    def __init__(self, hidden: int, momentum: float | None) -> None:
        super().__init__()
        self.project = BidirectionalConvolution(hidden, hidden, momentum, copies=3)
        self.out = BidirectionalConvolution(hidden, hidden, momentum)

    def forward(self, features: Tensor, topology: Topology) -> Tensor:
        """``[B, T, H]`` from ``[B, T, H]``."""
        query, key, value = self.project(features, topology).chunk(3, -1)
        attended = directed_attention(query, key, value, topology)
        mixed: Tensor = self.out(features + attended, topology)
        return mixed


class EstimationFusion(nn.Module):
    """Estimation fusion module, EFM (section 3.2.1): features attend to the Estimation Code.

    Args:
        tokens: number T of tokens.
        code: length F of the code.
        hidden: width H.
        momentum: of the normalisations.
        shared_value: whether V is Q, as in the published code; False: a convolution of its own,
            as in Figure 3.
    """

    def __init__(
        self, tokens: int, code: int, hidden: int, momentum: float | None, shared_value: bool
    ) -> None:
        super().__init__()
        self.shape, self.shared = (tokens, hidden), shared_value
        self.raise_code = nn.Linear(code, tokens * hidden)
        glorot_(self.raise_code.weight.data, code, tokens * hidden)
        nn.init.zeros_(self.raise_code.bias)
        self.norm = nn.BatchNorm1d(hidden, EPSILON, momentum)
        self.key = BidirectionalConvolution(hidden, hidden, momentum)
        self.query = BidirectionalConvolution(
            hidden, hidden, momentum, copies=1 if shared_value else 2
        )
        self.out = BidirectionalConvolution(hidden, hidden, momentum)

    def forward(self, features: Tensor, code: Tensor, topology: Topology) -> Tensor:
        """``[B, T, H]`` from ``[B, T, H]`` and codes ``[B, F]``."""
        raised = self.raise_code(code).view(-1, self.shape[1])
        raised = normalised_mish(self.norm, raised, topology.flat_real).view(features.shape)
        key = self.key(raised, topology)
        projected = self.query(features, topology)
        query, value = (projected, projected) if self.shared else projected.chunk(2, -1)
        attended = directed_attention(query, key, value, topology)
        mixed: Tensor = self.out(features + attended, topology)
        return mixed
