"""Graph layers' building blocks."""

from __future__ import annotations

import torch

from nasp_lightning.predictor.part.graph import (
    token_adjacency,
    with_global_vertex,
    with_self_loops,
)
from nasp_lightning.space.nasbench201 import NASBench201
from tests.predictor import checks


def test_line_graph_of_a_cell() -> None:
    space = NASBench201("edge")
    operations, _ = space.from_string(
        "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
    )
    (found,) = token_adjacency(space.encode(operations[None]), space.shape)
    # edges 0→1, 0→2, 1→2 (cut), 0→3, 1→3, 2→3
    assert found.nonzero().tolist() == [[0, 4], [1, 5]]


def test_line_graph_is_the_node_encoding_without_ends() -> None:
    edge = NASBench201("edge")
    whole = torch.full((1, 6), 3, dtype=torch.uint8).numpy()
    line = token_adjacency(edge.encode(whole), edge.shape)
    node = NASBench201("node").encode(whole).adjacency[:, 1:7, 1:7].float()
    torch.testing.assert_close(line, node)


def test_global_vertex_receives_from_real_vertices_only() -> None:
    shape, _ = checks.batch("nasbench101")
    graphs = checks.padded_cells(1, vertices=5)
    matrix = with_self_loops(token_adjacency(graphs, shape).transpose(1, 2))
    real = torch.arange(7) < graphs.vertices.unsqueeze(1)
    found = with_global_vertex(matrix, real)[0]
    assert found[0].tolist() == [1, 1, 1, 1, 1, 1, 0, 0]
    assert found[1:, 0].tolist() == [0] * 7
    torch.testing.assert_close(found[1:, 1:], matrix[0])
