"""TNASP: its sizes, branches, padding, gradients, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.stats import kendalltau
from torch import Tensor

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.tnasp import TNASP
from nasp_lightning.space.base import Graphs, Shape
from tests.predictor.graphs import CELL, CHAIN, EDGES, cells, chains, edge_cells


def scores(predictor: TNASP, graphs: Graphs) -> Tensor:
    with torch.inference_mode():
        return predictor.eval()(graphs)


def test_the_conf_builds_the_published_predictor() -> None:
    file = Path(__file__).parents[2] / "conf" / "predictor" / "tnasp.yaml"
    predictor = instantiate(OmegaConf.load(file))(shape=CELL)
    assert isinstance(predictor, TNASP)
    layers = predictor.encoder.stack()
    assert len(layers) == 3
    assert layers[0].heads == 4
    assert predictor.operations.weight.shape == (6, 80)
    assert predictor.hidden.weight.shape == (96, 80)
    assert predictor.hidden.bias is None
    assert predictor.score.bias is None
    assert predictor.padding == "published"
    assert predictor.positional == "laplacian"


@pytest.mark.parametrize(
    ("shape", "graphs"), [(CELL, cells(5)), (EDGES, edge_cells(5)), (CHAIN, chains(5))]
)
@pytest.mark.parametrize(
    "positional", ["laplacian", "normalised_laplacian", "eigenvectors", "sinusoidal"]
)
@pytest.mark.parametrize("padding", ["published", "masked"])
def test_every_shape_and_encoding_gives_finite_scores_and_gradients(
    shape: Shape, graphs: Graphs, positional: str, padding: str
) -> None:
    predictor = TNASP(shape, positional=positional, padding=padding, layers=1)
    found = predictor(graphs)
    assert found.shape == (5,)
    found.square().sum().backward()
    for name, parameter in predictor.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_published_padding_is_the_outputs_token_and_is_attended_to() -> None:
    predictor = TNASP(CELL)
    graphs = cells(20)
    as_output = replace(
        graphs, operations=torch.where(graphs.operations == 5, 0, graphs.operations)
    )
    torch.testing.assert_close(scores(predictor, graphs), scores(predictor, as_output))
    tokens = predictor.eval().embed(graphs)
    mean = predictor.encoder(tokens).mean(1)
    expected = torch.relu(mean @ predictor.hidden.weight.T) @ predictor.score.weight.T
    torch.testing.assert_close(scores(predictor, graphs), expected.squeeze(1), atol=1e-5, rtol=1e-5)


def test_masked_padding_changes_nothing() -> None:
    predictor = TNASP(CELL, padding="masked")
    graphs = cells(20)
    alone = scores(predictor, graphs)
    rubbish = graphs.operations.clone()
    rubbish[graphs.operations == 5] = 3
    torch.testing.assert_close(
        scores(predictor, replace(graphs, operations=rubbish)), alone, atol=1e-6, rtol=1e-6
    )
    published = TNASP(CELL)
    published.load_state_dict(predictor.state_dict())
    small = graphs.vertices < 7
    assert (scores(published, graphs)[small] - alone[small]).abs().min() > 1e-6
    torch.testing.assert_close(scores(published, graphs)[~small], alone[~small])


def test_masked_score_does_not_depend_on_how_much_padding_there_is() -> None:
    wide = replace(CELL, tokens=9, vertices=9)
    predictor, wider = TNASP(CELL, padding="masked"), TNASP(wide, padding="masked")
    state = predictor.state_dict()
    more = torch.nn.functional.pad(state["positions.weight"], (0, 2), value=0.3)
    wider.load_state_dict({**state, "positions.weight": more})
    graphs = cells(20)
    widened = Graphs(
        torch.nn.functional.pad(graphs.operations, (0, 2), value=5),
        torch.nn.functional.pad(graphs.adjacency, (0, 2, 0, 2)),
        graphs.vertices,
    )
    torch.testing.assert_close(
        scores(wider, widened), scores(predictor, graphs), atol=1e-5, rtol=1e-5
    )


def test_shielded_branches_see_nothing_of_their_input() -> None:
    one, other = cells(10, seed=1), cells(10, seed=2)
    operations_only = TNASP(CELL, positional_branch=False)
    torch.testing.assert_close(
        scores(operations_only, one),
        scores(operations_only, replace(one, adjacency=other.adjacency)),
    )
    positions_only = TNASP(CELL, operation_branch=False)
    torch.testing.assert_close(
        scores(positions_only, one),
        scores(positions_only, replace(one, operations=other.operations)),
    )
    assert not hasattr(operations_only, "positions")
    assert not hasattr(positions_only, "operations")
    both = TNASP(CELL)
    for changed in (
        replace(one, adjacency=other.adjacency),
        replace(one, operations=other.operations),
    ):
        assert (scores(both, one) - scores(both, changed)).abs().max() > 1e-4


def test_sinusoids_alone_score_every_chain_alike() -> None:
    found = scores(TNASP(CHAIN, operation_branch=False), chains(6))
    torch.testing.assert_close(found, found[:1].expand(6))


def test_chain_sees_the_order_of_its_layers() -> None:
    predictor = TNASP(CHAIN, positional="laplacian")
    assert predictor.positional == "sinusoidal"
    graphs = chains(10)
    turned = replace(graphs, operations=graphs.operations.flip(1))
    assert (scores(predictor, graphs) - scores(predictor, turned)).abs().max() > 1e-4


def test_pinats_input_norm_and_linear_regressor() -> None:
    predictor, graphs = TNASP(CELL, input_norm=True, regressor="linear"), cells(20)
    tokens = predictor.eval().embed(graphs)
    torch.testing.assert_close(tokens.mean(-1), torch.zeros(20, 7), atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens.var(-1, correction=0), torch.ones(20, 7))
    mean = predictor.encoder(tokens).mean(1)
    expected = mean @ predictor.hidden.weight.T @ predictor.score.weight.T
    torch.testing.assert_close(scores(predictor, graphs), expected.squeeze(1), atol=1e-5, rtol=1e-5)


def test_features_reach_the_regressor() -> None:
    predictor = TNASP(replace(CELL, features=2), regressor="linear")
    graphs = replace(cells(4), features=torch.randn(4, 2))
    weight = (predictor.score.weight @ predictor.hidden.weight).squeeze(0)[80:]
    shift = torch.tensor([1.0, -2.0])
    assert graphs.features is not None
    moved = replace(graphs, features=graphs.features + shift)
    torch.testing.assert_close(
        scores(predictor, moved) - scores(predictor, graphs),
        (weight @ shift).expand(4),
        atol=1e-5,
        rtol=1e-4,
    )
    with pytest.raises(NaspError, match="2 extra inputs"):
        predictor(cells(4))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"positional": "spectral"}, "predictor.positional='spectral'"),
        ({"padding": "none"}, "predictor.padding='none'"),
        ({"regressor": "none"}, "predictor.regressor='none'"),
        ({"operation_branch": False, "positional_branch": False}, "are both false"),
    ],
)
def test_unusable_settings_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(NaspError, match=words):
        TNASP(CELL, **options)  # type: ignore[arg-type]


def test_training_is_repeatable_and_learns_a_rule() -> None:
    graphs = cells(120)
    # Convolutions 3x3 help, and so do edges; the rule needs both branches.
    target = (graphs.operations == 2).sum(1) + 0.3 * graphs.adjacency.flatten(1).sum(1)
    target = (target - target.mean()) / target.std()

    def fitted(steps: int) -> TNASP:
        torch.manual_seed(0)
        predictor = TNASP(CELL, layers=1)
        optimizer = torch.optim.Adam(predictor.parameters(), lr=1e-3)
        for step in range(steps):
            batch = torch.arange(10) + step % 10 * 10
            loss = torch.nn.functional.mse_loss(predictor(graphs[batch]), target[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return predictor

    predictor = fitted(80)
    held_out = cells(200, seed=9)
    truth = (held_out.operations == 2).sum(1) + 0.3 * held_out.adjacency.flatten(1).sum(1)
    found = scores(predictor, held_out)
    assert kendalltau(found.numpy(), truth.numpy()).statistic > 0.6
    assert torch.equal(scores(fitted(5), held_out), scores(fitted(5), held_out))
