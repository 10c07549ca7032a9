"""Architectures as sequences of symbols, and back: what NAO's encoder reads and its decoder writes.

The layout is that of SemiNAS' code (Luo et al., "Semi-Supervised Neural Architecture Search",
NeurIPS 2020): column by column, the bits of the adjacency, then the operation. Symbols: 0 padding
(and the start of a sequence), 1 no edge, 2 edge, then the operations, the output last. A cell of
NAS-Bench-101 has 27 symbols out of 7, one of NAS-Bench-201 12 out of 8 (a bit and an operation
for each of its six edges), a chain its operations alone.

Example:
    >>> sequence = SequenceEncoding(NASBench101().shape)  # doctest: +SKIP
    >>> sequence.decode(sequence.encode(graphs))  # the same graphs  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Graphs, Shape

PAD, NO_EDGE, EDGE, FIRST_OPERATION = 0, 1, 2, 3


class SequenceEncoding(nn.Module):
    """The two directions between graphs and sequences, as tensor operations.

    Args:
        shape: of the space's encoding.
        order: tokens in the order of the symbols 3, 4, …; None: ascending, the output last. (The
            published ids of NAS-Bench-101, conv1x1 before conv3x3, are ``(3, 2, 4, 0)``; they are
            names only.)

    Attributes:
        length: L, symbols of an architecture.
        vocabulary: S, number of distinct symbols.

    Raises:
        NaspError: if ``order`` does not list every operation once.
    """

    def __init__(self, shape: Shape, order: Sequence[int] | None = None) -> None:
        super().__init__()
        self.shape = shape
        source, token = _layout(shape)
        written = _order(shape, order)
        self.length = len(source)
        self.vocabulary = FIRST_OPERATION + len(written)
        symbol_of = torch.zeros(shape.vocabulary, dtype=torch.long)  # padding is 0
        symbol_of[torch.tensor(written)] = torch.arange(len(written)) + FIRST_OPERATION
        token_of = torch.zeros(self.vocabulary, dtype=torch.long)
        token_of[FIRST_OPERATION:] = torch.tensor(written)
        if shape.padding_token is not None:
            token_of[PAD] = shape.padding_token
        bits = torch.tensor(source) < shape.vertices**2
        self.register_buffer("source", torch.tensor(source), persistent=False)
        self.register_buffer("token", torch.tensor(token), persistent=False)
        self.register_buffer("symbol_of", symbol_of, persistent=False)
        self.register_buffer("token_of", token_of, persistent=False)
        self.register_buffer("bits", bits, persistent=False)
        self.register_buffer("possible", self._possible(symbol_of), persistent=False)
        passing = torch.zeros(self.vocabulary, dtype=torch.bool)
        if shape.operation_tokens is not None:
            passing[symbol_of[list(shape.operation_tokens)]] = True
        self.register_buffer("passing", passing, persistent=False)

    def encode(self, graphs: Graphs) -> Tensor:
        """``[B, L]`` int64 symbols of a batch of graphs."""
        bits = graphs.adjacency.flatten(1).long() + NO_EDGE
        operations = self.symbol_of[graphs.operations.int()]
        symbols = torch.cat([bits, operations], 1)[:, self.source]
        if self.shape.padding_token is None:
            return symbols
        return symbols * (self.token < graphs.vertices.unsqueeze(-1))

    def decode(self, sequences: Tensor) -> Graphs:
        """The graphs of ``[B, L]`` symbols, without extra inputs; inverse of :meth:`encode`.

        Raises:
            NaspError: if a place holds a symbol that cannot stand there.
        """
        self._check(sequences)
        shape, count = self.shape, len(sequences)
        squares = shape.vertices**2
        flat = sequences.new_zeros((count, squares + shape.tokens))
        if shape.input_token is not None:
            flat[:, squares] = shape.input_token
        bits = (sequences == EDGE).long()
        flat[:, self.source] = torch.where(self.bits, bits, self.token_of[sequences])
        if shape.chain:
            path = flat.new_ones(shape.vertices - 1).diag(1)  # i feeds i + 1
            flat[:, :squares] = path.flatten()
        operations = flat[:, squares:].to(torch.uint8)
        padded = -1 if shape.padding_token is None else shape.padding_token
        return Graphs(
            operations=operations,
            adjacency=flat[:, :squares].view(count, shape.vertices, -1).to(torch.uint8),
            vertices=(operations != padded).sum(1).to(torch.uint8),
        )

    def allowed(self, prefix: Tensor) -> Tensor:
        """``[B, S]`` bool: symbols that may follow ``[B, l]`` symbols, l < L.

        After the output comes padding only; where operations sit on edges, one that passes
        nothing on goes with a cut edge. Whether a cell is connected, or has too many edges, is
        for the space to say.
        """
        step = prefix.shape[1]
        mask = self.possible[step].expand(len(prefix), -1)
        if self.shape.edges is not None and bool(self.passing.any()) and not self.bits[step]:
            cut = prefix[:, -1:] == NO_EDGE
            mask = mask & (self.passing != cut)
        if self.shape.padding_token is None:
            return mask
        ended = (prefix == PAD).any(1)
        if self.shape.output_token is not None:
            ended = ended | (prefix == self.symbol_of[self.shape.output_token]).any(1)
        only_padding = torch.arange(self.vocabulary, device=prefix.device) == PAD
        return torch.where(ended.unsqueeze(-1), only_padding, mask)

    def _possible(self, symbol_of: Tensor) -> Tensor:
        """``[L, S]`` bool: symbols of an architecture that has not ended before a place."""
        shape = self.shape
        source, token = _layout(shape)
        possible = torch.zeros(self.length, self.vocabulary, dtype=torch.bool)
        for place, index in enumerate(source):
            if index < shape.vertices**2:
                possible[place, [NO_EDGE, EDGE]] = True
            else:
                possible[place, FIRST_OPERATION:] = True
                self._bound_output(possible[place], symbol_of, token[place])
            begins = place > 0 and token[place] != token[place - 1]
            possible[place, PAD] = (
                begins and shape.padding_token is not None and shape.output_token is None
            )
        return possible

    def _bound_output(self, row: Tensor, symbol_of: Tensor, token: int) -> None:
        """The output stands in the last column, or before padding."""
        output = self.shape.output_token
        if output is None:
            return
        symbol = int(symbol_of[output])
        if token == self.shape.tokens - 1:
            row[:] = False
            row[symbol] = True
        elif self.shape.padding_token is None:
            row[symbol] = False

    def _check(self, sequences: Tensor) -> None:
        if sequences.dim() != 2 or sequences.shape[1] != self.length:
            raise NaspError(
                f"sequences of this space have {self.length} symbols; got {list(sequences.shape)}"
            )
        bit = (sequences == NO_EDGE) | (sequences == EDGE)
        operation = (sequences >= FIRST_OPERATION) & (sequences < self.vocabulary)
        right = torch.where(self.bits, bit, operation)
        if self.shape.padding_token is not None:
            right = right | (sequences == PAD)
        if not bool(right.all()):
            row, place = (~right).nonzero()[0].tolist()
            raise NaspError(
                f"sequence {row} has symbol {int(sequences[row, place])} at place {place}, where "
                + ("1 (no edge) or 2 (edge)" if self.bits[place] else "an operation's")
                + " must stand"
            )

    # Buffers, declared for the type checker.
    source: Tensor  # [L] where a symbol stands in adjacency and operations, one after the other
    token: Tensor  # [L] the column that a place belongs to
    symbol_of: Tensor
    token_of: Tensor
    bits: Tensor  # [L] whether a place holds a bit of the adjacency
    possible: Tensor
    passing: Tensor  # [S] operations that pass something on


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


def _order(shape: Shape, order: Sequence[int] | None) -> list[int]:
    absent = {shape.padding_token, shape.input_token}
    tokens = [token for token in range(shape.vocabulary) if token not in absent]
    if order is None:
        return sorted(tokens, key=lambda token: (token == shape.output_token, token))
    if sorted(order) != tokens:
        raise NaspError(f"order={list(order)}: it must list each of the tokens {tokens} once")
    return list(order)
