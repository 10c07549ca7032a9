"""Positional encodings of directed acyclic graphs, as pure functions of a batch of adjacencies.

TNASP feeds the rows of the Laplacian matrix to a linear layer (PINAT, supplementary C: "TNASP
also used the Laplacian matrix as the positional encodings"). Every function here leaves the
rows of isolated vertices, padding among them, at zero, so that padding adds nothing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Eigenvalues of a normalised Laplacian lie in [0, 2]; isolated vertices are sorted behind them.
_BEHIND_ALL = 3.0
# Separates repeated eigenvalues by far more than rounding does, and moves others' vectors little.
_SEPARATION = 1e-5


def laplacian(adjacency: Tensor) -> Tensor:
    """Unnormalised directed Laplacian ``L = D − A``, D the out-degrees (row sums).

    Args:
        adjacency: ``[..., V, V]`` 0/1, row to column, any dtype.

    Returns:
        ``[..., V, V]`` float32; every row sums to zero.
    """
    real = adjacency.float()
    degree = real.sum(-1, keepdim=True)
    return degree * _identity(real) - real


def normalised_laplacian(adjacency: Tensor) -> Tensor:
    """Symmetric normalised Laplacian ``D^-½ (D − A) D^-½`` of the graph without directions.

    Args:
        adjacency: ``[..., V, V]`` 0/1, row to column; an edge counts once whichever way it runs.

    Returns:
        ``[..., V, V]`` float32, symmetric; rows and columns of isolated vertices are zero.
    """
    undirected = _undirected(adjacency)
    degree = undirected.sum(-1)
    scale = torch.where(degree > 0, degree.clamp(min=1).rsqrt(), torch.zeros_like(degree))
    present = (degree > 0).float().unsqueeze(-1) * _identity(undirected)
    return present - scale.unsqueeze(-1) * undirected * scale.unsqueeze(-2)


def laplacian_eigenvectors(adjacency: Tensor, count: int = 4) -> Tensor:
    """Eigenvectors of the normalised Laplacian with the smallest eigenvalues, the first left out.

    An eigenvector's sign is arbitrary, and so is the basis of a repeated eigenvalue. The basis is
    fixed here by adding 1e-5 times the slot's number to the diagonal, and the sign so that the
    entry of largest magnitude (the first of equals) is positive: equal graphs get equal
    encodings, but nearly equal graphs may still get opposite ones.

    Args:
        adjacency: ``[..., V, V]`` 0/1.
        count: number K of eigenvectors.

    Returns:
        ``[..., V, K]`` float32; rows of isolated vertices and columns beyond the graph's own
        eigenvectors are zero.
    """
    matrix = normalised_laplacian(adjacency)
    isolated = (matrix.diagonal(dim1=-2, dim2=-1) == 0).float()
    pushed = matrix + _BEHIND_ALL * isolated.unsqueeze(-1) * _identity(matrix)
    slot = torch.arange(matrix.shape[-1], dtype=torch.float64, device=matrix.device)
    _, vectors = torch.linalg.eigh(pushed.double() + torch.diag(_SEPARATION * slot))
    connected = (1.0 - isolated).double()
    kept = torch.arange(vectors.shape[-1], device=vectors.device) < connected.sum(-1, keepdim=True)
    vectors = vectors * connected.unsqueeze(-1) * kept.unsqueeze(-2)
    chosen = vectors[..., 1 : count + 1]
    # Rounded, so that entries equal but for the last bits count as equals.
    largest = chosen.abs().mul(1e3).round().argmax(dim=-2, keepdim=True)
    sign = torch.where(chosen.gather(-2, largest) < 0, -1.0, 1.0)
    missing = count - chosen.shape[-1]
    return torch.nn.functional.pad(chosen * sign, (0, max(missing, 0))).float()


def sinusoidal_positions(tokens: int, dim: int) -> Tensor:
    """Sines and cosines of the position ("Attention is all you need", section 3.5).

    Args:
        tokens: number of positions T.
        dim: embedding dimension E; even columns hold sines, odd ones cosines.

    Returns:
        ``[T, E]`` float32.
    """
    position = torch.arange(tokens, dtype=torch.float64).unsqueeze(1)
    pair = torch.arange(0, dim, 2, dtype=torch.float64)
    angle = position * torch.exp(-math.log(10_000.0) * pair / dim)
    table = torch.zeros(tokens, dim, dtype=torch.float64)
    table[:, 0::2] = torch.sin(angle)
    table[:, 1::2] = torch.cos(angle)[:, : dim // 2]
    return table.float()


def _identity(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], dtype=like.dtype, device=like.device)


def _undirected(adjacency: Tensor) -> Tensor:
    real = adjacency.float()
    return torch.maximum(real, real.transpose(-2, -1))
