"""Architectures as sequences of symbols: what NAO's encoder reads and its decoder writes again.

The layout is that of SemiNAS' code (Luo et al., "Semi-Supervised Neural Architecture Search",
NeurIPS 2020): column by column, the bits of the adjacency, then the operation. Symbols: 0 padding
(and the start of a sequence), 1 no edge, 2 edge, then the operations, the output last. A cell of
NAS-Bench-101 has 27 symbols out of 7, one of NAS-Bench-201 12 out of 8 (a bit and an operation
for each of its six edges), a chain its operations alone.

Example:
    >>> sequence = SequenceEncoding(NASBench101().shape)  # doctest: +SKIP
    >>> symbols = sequence.encode(graphs)  # [B, 27]  # doctest: +SKIP
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Graphs, Shape

PAD, NO_EDGE, FIRST_OPERATION = 0, 1, 3  # 2: an edge


class SequenceEncoding(nn.Module):
    """From graphs to sequences, as tensor operations.

    Args:
        shape: of the space's encoding.

    Attributes:
        length: L, symbols of an architecture.
        vocabulary: S, number of distinct symbols.

    Raises:
        NaspError: if the encoding does not say which edges its tokens sit on.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        source, token = _layout(shape)
        written = _order(shape)
        self.length = len(source)
        self.vocabulary = FIRST_OPERATION + len(written)
        symbol_of = torch.zeros(shape.vocabulary, dtype=torch.long)  # padding is 0
        symbol_of[torch.tensor(written)] = torch.arange(len(written)) + FIRST_OPERATION
        self.register_buffer("source", torch.tensor(source), persistent=False)
        self.register_buffer("token", torch.tensor(token), persistent=False)
        self.register_buffer("symbol_of", symbol_of, persistent=False)

    def encode(self, graphs: Graphs) -> Tensor:
        """``[B, L]`` int64 symbols of a batch of graphs."""
        bits = graphs.adjacency.flatten(1).long() + NO_EDGE
        operations = self.symbol_of[graphs.operations.int()]
        symbols = torch.cat([bits, operations], 1)[:, self.source]
        if self.shape.padding_token is None:
            return symbols
        return symbols * (self.token < graphs.vertices.unsqueeze(-1))

    # Buffers, declared for the type checker.
    source: Tensor  # [L] where a symbol stands in adjacency and operations, one after the other
    token: Tensor  # [L] the column that a place belongs to
    symbol_of: Tensor  # [vocabulary] symbol of each token, 0 for padding


def _layout(shape: Shape) -> tuple[list[int], list[int]]:
    """Of each place: its index in ``[V · V + T]`` adjacency and operations, and its column."""
    source: list[int] = []
    token: list[int] = []
    for column in range(shape.tokens):
        if shape.edges is not None:
            begin, end = shape.edges[column]
            source.append(begin * shape.vertices + end)
        elif not shape.chain:
            if shape.tokens != shape.vertices:
                raise NaspError(
                    f"this encoding has {shape.tokens} tokens on {shape.vertices} vertices and "
                    "does not name the edges they sit on (shape.edges), which a sequence needs: "
                    "choose another space.encoding"
                )
            source.extend(row * shape.vertices + column for row in range(column))
        if column > 0 or shape.input_token is None:
            source.append(shape.vertices**2 + column)
        token.extend([column] * (len(source) - len(token)))
    return source, token


def _order(shape: Shape) -> list[int]:
    """Tokens in the order of the symbols 3, 4, …: ascending, the output last."""
    absent = {shape.padding_token, shape.input_token}
    tokens = [token for token in range(shape.vocabulary) if token not in absent]
    return sorted(tokens, key=lambda token: (token == shape.output_token, token))
