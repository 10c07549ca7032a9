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
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.predictor.graph import real_tokens, token_adjacency, with_self_loops
from nasp_lightning.space.base import Graphs, Shape

EPSILON = 1e-4  # of batch normalisation, as published


class Topology(NamedTuple):
    """What the layers know of the graphs.

    Attributes:
        adjacency: ``[B, T, T]`` float32, A + I.
        real: ``[B, T]`` bool, False for padded slots; None where none is padded.
    """

    adjacency: Tensor
    real: Tensor | None

    @classmethod
    def of(cls, graphs: Graphs, shape: Shape) -> Topology:
        """The topology of encoded architectures, without any edge at a padded slot."""
        adjacency, real = token_adjacency(graphs, shape), real_tokens(graphs, shape)
        if real is not None:
            adjacency = adjacency * (real.unsqueeze(2) & real.unsqueeze(1))
        return cls(with_self_loops(adjacency), real)


def normalise(norm: nn.BatchNorm1d, hidden: Tensor, real: Tensor | None) -> Tensor:
    """Batch normalisation of ``[B, T, C]`` over the real tokens; zero elsewhere."""
    if real is None:
        found: Tensor = norm(hidden.flatten(0, 1))
        return found.view_as(hidden)
    spread = torch.zeros_like(hidden)
    spread[real] = norm(hidden[real]).to(hidden.dtype)
    return spread


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
        self.tokens = tokens
        self.weight = nn.Parameter(torch.empty(inputs, 2 * copies * outputs))
        glorot_(self.weight.data, inputs, outputs)
        self.norm = nn.BatchNorm1d(2 * copies * outputs, EPSILON, momentum)

    def forward(self, features: Tensor, topology: Topology) -> Tensor:
        """``[B, T, G · H]`` from ``[B, T, E]`` features or ``[B, T]`` tokens."""
        multiplied = (
            F.embedding(features.int(), self.weight) if self.tokens else features @ self.weight
        )
        along, against = multiplied.chunk(2, -1)
        adjacency = topology.adjacency
        mixed = torch.cat([adjacency @ along, adjacency.transpose(1, 2) @ against], -1)
        first, second = F.mish(normalise(self.norm, mixed, topology.real)).chunk(2, -1)
        return (first + second) / 2


def directed_attention(query: Tensor, key: Tensor, value: Tensor, topology: Topology) -> Tensor:
    """``softmax(S ∘ A) V + softmax(S ∘ Aᵀ) V`` for ``S = Q Kᵀ``, ``[B, T, H]``.

    As published the product with the adjacency comes before the softmax and S is not scaled: a
    token without an edge has the logit 0, not −∞. Absent tokens have −∞.
    """
    similarity = query @ key.transpose(1, 2)
    total = torch.zeros_like(value)
    for matrix in (topology.adjacency, topology.adjacency.transpose(1, 2)):
        logits = similarity * matrix
        if topology.real is not None:
            logits = logits.masked_fill(~topology.real.unsqueeze(1), float("-inf"))
        total = total + logits.softmax(-1) @ value
    return total


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
        self.shape = (tokens, hidden)
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
        raised = self.raise_code(code).unflatten(1, self.shape)
        raised = F.mish(normalise(self.norm, raised, topology.real))
        key = self.key(raised, topology)
        projected = self.query(features, topology)
        query, value = projected[..., : self.shape[1]], projected[..., -self.shape[1] :]
        attended = directed_attention(query, key, value, topology)
        mixed: Tensor = self.out(features + attended, topology)
        return mixed
