"""Positional encodings against networkx and the definitions."""

from __future__ import annotations

import networkx
import numpy as np
import pytest
import torch
from torch import Tensor

from nasp_lightning.predictor.part.laplacian import (
    laplacian,
    laplacian_eigenvectors,
    normalised_laplacian,
    sinusoidal_positions,
)


def dags(count: int, vertices: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, 2, (count, vertices, vertices), generator=generator)
    return torch.triu(edges, 1).to(torch.uint8)


def padded(adjacency: Tensor, more: int) -> Tensor:
    return torch.nn.functional.pad(adjacency, (0, more, 0, more))


def test_laplacian_by_hand() -> None:
    adjacency = torch.tensor([[0, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=torch.uint8)
    expected = torch.tensor([[2.0, -1.0, -1.0], [0.0, 1.0, -1.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(laplacian(adjacency), expected)


def test_laplacian_is_out_degree_minus_adjacency() -> None:
    adjacency = dags(20, 7)
    for found, matrix in zip(laplacian(adjacency).numpy(), adjacency.numpy(), strict=True):
        graph = networkx.from_numpy_array(matrix, create_using=networkx.DiGraph)
        degree = np.diag([graph.out_degree(vertex) for vertex in range(7)])
        np.testing.assert_array_equal(found, degree - networkx.to_numpy_array(graph))


def test_normalised_laplacian_is_networkxs() -> None:
    adjacency = dags(20, 7, seed=1)
    for found, matrix in zip(normalised_laplacian(adjacency), adjacency.numpy(), strict=True):
        graph = networkx.from_numpy_array(matrix, create_using=networkx.DiGraph).to_undirected()
        expected = networkx.normalized_laplacian_matrix(graph, nodelist=range(7)).toarray()
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_eigenvectors_solve_the_eigenvalue_problem_in_order() -> None:
    adjacency = dags(20, 7, seed=2)
    matrix = normalised_laplacian(adjacency).double()
    vectors = laplacian_eigenvectors(adjacency, 3).double()
    for one, columns in zip(matrix, vectors, strict=True):
        connected = int((one.diagonal() > 0).sum())
        values = np.linalg.eigvalsh(one.numpy()[one.diagonal() > 0][:, one.diagonal() > 0])
        for index in range(min(3, connected - 1)):
            column = columns[:, index]
            assert float(column.norm()) == pytest.approx(1.0, abs=1e-5)
            torch.testing.assert_close(one @ column, values[index + 1] * column, atol=1e-3, rtol=0)
            largest = column.abs().mul(1e3).round().argmax()  # the first of equals
            assert column[largest] > 0


@pytest.mark.parametrize("encode", [laplacian, normalised_laplacian])
def test_padding_adds_zero_rows_only(encode) -> None:  # type: ignore[no-untyped-def]
    adjacency = dags(20, 5)
    found = encode(padded(adjacency, 2))
    torch.testing.assert_close(found[:, :5, :5], encode(adjacency))
    assert not found[:, 5:].any()
    assert not found[:, :, 5:].any()


def test_padding_leaves_eigenvectors_alone() -> None:
    adjacency = dags(30, 5, seed=4)
    # A repeated eigenvalue has no basis of its own: compare graphs without one.
    spectra = torch.linalg.eigvalsh(normalised_laplacian(adjacency).double())
    simple = (spectra.diff(dim=-1) > 1e-3).all(-1)
    simple &= (normalised_laplacian(adjacency).diagonal(dim1=-2, dim2=-1) > 0).all(-1)
    assert simple.sum() >= 3
    found = laplacian_eigenvectors(padded(adjacency[simple], 2), 4)
    torch.testing.assert_close(
        found[:, :5], laplacian_eigenvectors(adjacency[simple], 4), atol=1e-5, rtol=0
    )
    assert not found[:, 5:].any()


def test_more_eigenvectors_than_the_graph_has_are_zero() -> None:
    adjacency = dags(5, 4)
    found = laplacian_eigenvectors(adjacency, 6)
    assert found.shape == (5, 4, 6)
    assert not found[:, :, 3:].any()
    assert torch.isfinite(laplacian_eigenvectors(torch.zeros_like(adjacency), 2)).all()


def test_sinusoids_follow_the_formula() -> None:
    table = sinusoidal_positions(22, 80)
    assert table.shape == (22, 80)
    for position, pair in ((0, 0), (5, 3), (21, 39)):
        angle = position / 10_000 ** (2 * pair / 80)
        assert float(table[position, 2 * pair]) == pytest.approx(np.sin(angle), abs=1e-6)
        assert float(table[position, 2 * pair + 1]) == pytest.approx(np.cos(angle), abs=1e-6)
    assert sinusoidal_positions(3, 5).shape == (3, 5)
