"""The path encoding: which sequences of operations lead from the input to the output.

White et al., "BANANAS" (AAAI 2021, arXiv 1910.11858), section 4: one bit for each sequence of
operations, set where a path of the cell has it, and truncated to short paths. Its length does not
depend on the order of vertices, and dead parts change nothing.

A path of a chain of layers is the whole chain, so that each would have a bit of its own: a chain
has the one-hots of its places instead.
"""

from __future__ import annotations

import itertools

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.predictor.part.features import (
    Cells,
    live_cells,
    most_operations,
    operation_onehots,
    operation_tokens,
)
from nasp_lightning.space.base import Graphs, Shape

CHUNK = 16384  # architectures worked on at once
MOST = 2000  # bits at most, where nobody says how long paths may be


def longest_kept(shape: Shape) -> int:
    """Operations on the longest path that the truncated encoding keeps.

    Half of the most that there can be, rounded up: 3 of 5 on NAS-Bench-101 and 2 of 3 on
    NAS-Bench-201 as in the published code (elsewhere ours); fewer where that makes more than 2,000
    bits.
    """
    kinds, longest = len(operation_tokens(shape)), (most_operations(shape) + 1) // 2
    while longest > 1 and sum(kinds**length for length in range(longest + 1)) > MOST:
        longest -= 1
    return longest


def path_encoding(graphs: Graphs, shape: Shape, longest: int | None = None) -> Array:
    """``[N, D]`` float32 bits, paths without an operation first; the order is :func:`path_names`'s.

    The published code sets as many bits, and counts ``none`` as an operation on NAS-Bench-201;
    here an edge of ``none`` is no edge, so that its bits are left out.

    Args:
        graphs: encoded architectures; extra inputs (``graphs.features``) are appended as they are.
        shape: of the space's encoding.
        longest: operations on the longest path that is kept; None: :func:`longest_kept`.
    """
    starts = range(0, max(1, len(graphs)), CHUNK)
    return np.concatenate(
        [_encoded(graphs[slice(at, at + CHUNK)], shape, longest) for at in starts]
    )


def path_names(shape: Shape, longest: int | None = None) -> list[str]:
    """Names of the D inputs, such as ``path/2-3``: an operation of token 2, then one of token 3."""
    tokens = [str(token) for token in operation_tokens(shape)]
    if shape.chain:
        names = [f"place{place}/{token}" for place in range(shape.tokens) for token in tokens]
    else:
        kept = longest_kept(shape) if longest is None else longest
        sequences = (itertools.product(tokens, repeat=length) for length in range(kept + 1))
        names = [f"path/{'-'.join(item)}" for found in sequences for item in found]
    return names + [f"extra/{index}" for index in range(shape.features)]


def _encoded(graphs: Graphs, shape: Shape, longest: int | None) -> Array:
    if shape.chain:
        onehots = operation_onehots(graphs, shape)
        parts = [onehots.reshape(len(onehots), -1)]
    else:
        kept = longest_kept(shape) if longest is None else longest
        parts = [_paths(live_cells(graphs, shape), kept)]
    if graphs.features is not None:
        parts.append(graphs.features.cpu().numpy())
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _paths(cells: Cells, longest: int) -> Array:
    """``[N, D]`` bits of the paths of cells without dead parts, by length and sequence."""
    count, slots, kinds = cells.onehots.shape
    forward = cells.inside.transpose(0, 2, 1)
    bits = [cells.direct[:, None]]
    coming = cells.sources[:, :, None]  # [N, V, S] sequences that arrive before a vertex
    for length in range(1, longest + 1):
        ending = coming[..., None] * cells.onehots[:, :, None, :]
        ending = ending.reshape(count, slots, -1)  # [N, V, S K] that end with it
        assert ending.shape[2] == kinds**length
        bits.append((ending * cells.sinks[:, :, None]).max(axis=1))
        coming = (np.matmul(forward, ending) > 0).astype(np.float32)
    return np.concatenate(bits, axis=1)
