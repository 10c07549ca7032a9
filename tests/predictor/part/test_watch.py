from __future__ import annotations

import torch
from torch import nn

from nasp_lightning.predictor.mlp import MLP
from nasp_lightning.predictor.part.watch import reads_features, watch
from nasp_lightning.predictor.siamese import Siamese
from nasp_lightning.space.base import Graphs, Shape
from tests.predictor import checks


class Plain(nn.Module):
    """Ranks by the operations alone, after it looked at parts of the graphs."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.worth = nn.Embedding(shape.vocabulary, 1)

    def forward(self, graphs: Graphs) -> torch.Tensor:
        graphs = graphs.to("cpu")[torch.arange(len(graphs))]
        return self.worth(graphs.operations.long()).sum((1, 2))


def test_who_reads_extra_inputs_is_found_out() -> None:
    shape, graphs = checks.batch("dataflow", 8, features=3)
    for kind, reads in ((Siamese, True), (MLP, True), (Plain, False)):
        predictor = kind(shape).train()
        before = {name: value.clone() for name, value in predictor.state_dict().items()}
        torch.manual_seed(1)
        state = torch.get_rng_state()
        assert reads_features(predictor, graphs, 3) is reads, kind
        assert predictor.training
        assert torch.equal(torch.get_rng_state(), state)
        torch.testing.assert_close(dict(predictor.state_dict()), before)


def test_watched_graphs_are_the_graphs() -> None:
    _, graphs = checks.batch("dataflow", 8, features=3)
    seen: list[bool] = []
    watched = watch(graphs, seen)
    part = watched[torch.tensor([2, 5])].to("cpu")
    assert not seen
    assert torch.equal(part.operations, graphs.operations[[2, 5]])
    assert not seen
    assert torch.equal(part.features, graphs.features[[2, 5]])
    assert seen
