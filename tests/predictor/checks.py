"""What any neural predictor has to satisfy, and small batches of real spaces to test it on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.predictor.base import GradientPredictor
from nasp_lightning.space.base import Graphs, Shape, Space
from nasp_lightning.space.macro import Macro
from nasp_lightning.space.nasbench101 import NASBench101
from nasp_lightning.space.nasbench201 import NASBench201

Batch = tuple[Shape, Graphs]
Make = Callable[[Shape], nn.Module]
SPACES = ("nasbench101", "edge", "node", "macro")


def make_space(name: str) -> Space:
    if name == "nasbench101":
        return NASBench101()
    return Macro() if name == "macro" else NASBench201(name)


def batch(name: str, count: int = 12, seed: int = 0, features: int = 0) -> Batch:
    """A space's shape and ``count`` random architectures, with F random extra inputs."""
    space = make_space(name)
    rng = np.random.default_rng(seed)
    graphs = space.encode(*space.sample(rng, count))
    if not features:
        return space.shape, graphs
    extra = torch.from_numpy(rng.standard_normal((count, features)).astype(np.float32))
    shape = dataclasses.replace(space.shape, features=features)
    return shape, dataclasses.replace(graphs, features=extra)


def padded_cells(count: int = 12, vertices: int = 5) -> Graphs:
    """Cells of NAS-Bench-101 with ``vertices`` vertices: the others are padding."""
    operations = np.full((count, 7), 5, dtype=np.uint8)
    adjacency = np.zeros((count, 7, 7), dtype=np.uint8)
    rng = np.random.default_rng(1)
    operations[:, 0], operations[:, vertices - 1] = 1, 0
    operations[:, 1 : vertices - 1] = rng.integers(2, 5, (count, vertices - 2))
    for place in range(vertices - 1):
        adjacency[:, place, place + 1] = 1
    adjacency[:, 0, 2] = rng.integers(0, 2, count)
    return NASBench101().encode(operations, adjacency)


def permuted(graphs: Graphs, order: list[int]) -> Graphs:
    """The same graphs with their vertices in another order."""
    index = torch.tensor(order)
    adjacency = graphs.adjacency[:, index][:, :, index]
    return dataclasses.replace(graphs, operations=graphs.operations[:, index], adjacency=adjacency)


def with_junk_in_padding(graphs: Graphs, shape: Shape) -> Graphs:
    """The same graphs in longer arrays are not possible; edges at padded slots are, as junk."""
    padded = graphs.operations == shape.padding_token
    adjacency = graphs.adjacency | (padded[:, :, None] & padded[:, None, :]).to(torch.uint8)
    return dataclasses.replace(graphs, adjacency=adjacency)


def shortened(graphs: Graphs, shape: Shape, vertices: int) -> tuple[Shape, Graphs]:
    """Only the first ``vertices`` slots: the same cells, in a space without that padding."""
    cut = Graphs(
        graphs.operations[:, :vertices],
        graphs.adjacency[:, :vertices, :vertices],
        graphs.vertices,
        graphs.features,
    )
    return dataclasses.replace(shape, tokens=vertices, vertices=vertices), cut


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    target.load_state_dict(source.state_dict())


def scores(predictor: nn.Module, graphs: Graphs) -> Tensor:
    predictor.eval()
    with torch.no_grad():
        found: Tensor = predictor(graphs)
    return found


def loss_of(predictor: nn.Module, graphs: Graphs, labels: Tensor) -> Tensor:
    own = predictor.own_loss if isinstance(predictor, GradientPredictor) else None
    found: Tensor = F.mse_loss(predictor(graphs), labels) if own is None else own(graphs, labels)
    return found


def parameters_without_gradient(predictor: nn.Module, graphs: Graphs) -> list[str]:
    """Names of the parameters that a training step on random labels does not move."""
    predictor.train()
    torch.manual_seed(0)
    loss_of(predictor, graphs, torch.randn(len(graphs))).backward()
    return [
        name
        for name, parameter in predictor.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]


def overfit(predictor: nn.Module, graphs: Graphs, steps: int = 150, rate: float = 3e-3) -> float:
    """Correlation of scores with random labels after training on them."""
    torch.manual_seed(0)
    labels = torch.randn(len(graphs))
    optimizer = torch.optim.Adam(predictor.parameters(), rate)
    predictor.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(predictor, graphs, labels).backward()
        optimizer.step()
    pair = torch.stack([scores(predictor, graphs), labels])
    return float(torch.corrcoef(pair)[0, 1])


def check_space(make: Make, name: str, idle: str | None = None) -> None:
    """A score for each architecture, and a gradient for each parameter.

    Args:
        make: the predictor from a shape.
        name: of the space.
        idle: what the names of parameters begin with that no loss moves; None: there is none.
    """
    shape, graphs = batch(name)
    predictor = make(shape)
    assert scores(predictor, graphs).shape == (12,)
    still = parameters_without_gradient(predictor, graphs)
    assert [name for name in still if idle is None or not name.startswith(idle)] == []


def check_order_does_not_matter(make: Make) -> None:
    """The same scores whatever the order of a graph's vertices."""
    shape, graphs = batch("node")
    predictor = make(shape)
    other = permuted(graphs, [3, 0, 7, 1, 2, 6, 5, 4])
    torch.testing.assert_close(
        scores(predictor, other), scores(predictor, graphs), atol=1e-5, rtol=1e-5
    )


def check_padding_does_not_matter(make: Make) -> None:
    """The same scores in a space that needs no padding."""
    shape, _ = batch("nasbench101")
    graphs = padded_cells(vertices=5)
    predictor = make(shape)
    small_shape, small = shortened(graphs, shape, 5)
    other = make(small_shape)
    copy_weights(predictor, other)
    torch.testing.assert_close(scores(predictor, graphs), scores(other, small))
