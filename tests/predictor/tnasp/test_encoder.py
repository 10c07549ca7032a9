"""TNASP with a GCN or an MLP in the transformer's place (Table 6)."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.predictor.tnasp import TNASP
from tests.predictor import checks

SIZES = {"embedding_dim": 16, "layers": 2, "feedforward_dim": 32, "regressor_dim": 8}


@pytest.mark.parametrize("encoder", ["gcn", "mlp"])
@pytest.mark.parametrize("name", checks.SPACES)
def test_all_spaces(name: str, encoder: str) -> None:
    shape, graphs = checks.batch(name)
    predictor = TNASP(shape, **SIZES, encoder=encoder)
    assert checks.parameters_without_gradient(predictor, graphs) == []
    torch.testing.assert_close(score_all(predictor, graphs), checks.scores(predictor, graphs))


@pytest.mark.parametrize("encoder", ["gcn", "mlp"])
def test_learns_a_small_set(encoder: str) -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("node", 16)
    predictor = TNASP(shape, encoder=encoder, dropout=0.0)
    # The MLP sums over tokens and cannot tell all cells apart.
    assert checks.overfit(predictor, graphs) > (0.95 if encoder == "gcn" else 0.8)


def test_only_the_mlp_is_blind_to_edges() -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("node")
    other = dataclasses.replace(graphs, adjacency=graphs.adjacency.flip(0) * 0)
    for encoder, blind in (("gcn", False), ("mlp", True)):
        predictor = TNASP(shape, **SIZES, encoder=encoder, positional_branch=False)
        same = torch.allclose(checks.scores(predictor, graphs), checks.scores(predictor, other))
        assert same is blind


def test_unknown_encoder() -> None:
    shape, _ = checks.batch("node")
    with pytest.raises(NaspError, match=r"transformer\|gcn\|mlp"):
        TNASP(shape, encoder="lstm")
