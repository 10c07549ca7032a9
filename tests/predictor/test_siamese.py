"""Siamese-Predictor: its two branches, what they may depend on, and how it ranks a space."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.predictor.siamese import Siamese
from nasp_lightning.space.base import Graphs, Shape
from nasp_lightning.task.loss import logistic

from . import checks


def make(shape: Shape, seed: int = 0, **settings: Any) -> Siamese:
    torch.manual_seed(seed)
    return Siamese(shape, **{"hidden": 8, **settings})


def with_statistics(predictor: Siamese, graphs: Graphs) -> Siamese:
    """Running statistics that differ from their start."""
    torch.manual_seed(1)
    predictor.train()
    for norm in predictor.modules():
        if isinstance(norm, torch.nn.BatchNorm1d):
            norm.momentum = 0.5
    for _ in range(3):
        predictor.training_loss(graphs, torch.randn(len(graphs)))
    return predictor.eval()


def with_codes(graphs: Graphs, count: int = 3) -> Graphs:
    codes = torch.randn(len(graphs), count, generator=torch.Generator().manual_seed(5))
    return dataclasses.replace(graphs, features=codes)


@pytest.mark.parametrize("name", ["dataflow", *checks.SPACES])
def test_all_spaces(name: str) -> None:
    shape, graphs = checks.batch(name, features=3)
    predictor = make(shape, nsam=True, shared_value=False)
    assert checks.scores(predictor, graphs).shape == (12,)
    assert checks.parameters_without_gradient(predictor, graphs) == []


def test_sizes_are_the_published_ones() -> None:
    """Siamese-NAS's code: width 64, three convolutions, EFM without V, one number."""
    shape, _ = checks.batch("dataflow", features=3)
    predictor = Siamese(shape)

    def convolution(inputs: int) -> int:
        return 2 * (inputs * 64 + 2 * 64)  # a published bias before each normalisation is left out

    trunk = convolution(9) + 2 * convolution(64)
    fusion = 3 * 640 + 640 + 2 * 64 + 3 * convolution(64)
    assert sum(part.numel() for part in predictor.parameters()) == trunk + fusion + 11
    with_nsam = Siamese(shape, nsam=True)
    more = sum(part.numel() for part in with_nsam.parameters()) - trunk - fusion - 11
    assert more == 4 * convolution(64)


def reference(predictor: Siamese, graphs: Graphs, row: int) -> tuple[float, float]:
    """Both accuracies of one architecture without padding, written out from the facts."""
    state = {name: value.detach() for name, value in predictor.state_dict().items()}
    tokens = graphs.operations[row].long()
    matrix = graphs.adjacency[row].float() + torch.eye(len(tokens))

    def norm(value: torch.Tensor, name: str, part: slice) -> torch.Tensor:
        mean, variance = state[f"{name}.running_mean"][part], state[f"{name}.running_var"][part]
        scaled = (value - mean) / torch.sqrt(variance + 1e-4)
        return scaled * state[f"{name}.weight"][part] + state[f"{name}.bias"][part]

    def convolve(value: torch.Tensor, name: str, copy: int = 0, copies: int = 1) -> torch.Tensor:
        halves = []
        for direction, operator in enumerate((matrix, matrix.T)):
            at = (direction * copies + copy) * 8
            part = slice(at, at + 8)
            own = slice(copy * 8, copy * 8 + 8)
            mixed = operator @ value @ state[f"{name}.weight"][direction][:, own]
            halves.append(F.mish(norm(mixed, f"{name}.norm", part)))
        return (halves[0] + halves[1]) / 2

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        along = torch.softmax((query @ key.T) * matrix, 1)
        against = torch.softmax((query @ key.T) * matrix.T, 1)
        return along @ value + against @ value

    def accuracy(value: torch.Tensor) -> float:
        pooled = value.mean(1) if predictor.readout == "features" else value.mean(0)
        return float(torch.sigmoid(state["head.weight"][0] @ pooled + state["head.bias"][0]))

    value = convolve(F.one_hot(tokens, predictor.shape.vocabulary).float(), "first")
    value = convolve(value, "second")
    parts = [convolve(value, "attention.project", copy, 3) for copy in range(3)]
    value = convolve(value + attend(*parts), "attention.out")
    value = convolve(value, "third")
    code = graphs.features[row]
    raised = (state["fusion.raise_code.weight"] @ code + state["fusion.raise_code.bias"]).view(
        -1, 8
    )
    key = convolve(F.mish(norm(raised, "fusion.norm", slice(None))), "fusion.key")
    copies = state["fusion.query.weight"].shape[2] // 8
    query = convolve(value, "fusion.query", 0, copies)
    own = convolve(value, "fusion.query", copies - 1, copies)
    fused = convolve(value + attend(query, key, own), "fusion.out")
    return accuracy(value), accuracy(fused)


@pytest.mark.parametrize("readout", ["features", "nodes"])
@pytest.mark.parametrize("shared_value", [True, False])
def test_equals_the_formulas_written_out(readout: str, shared_value: bool) -> None:
    shape, graphs = checks.batch("dataflow", features=3)
    predictor = make(shape, nsam=True, readout=readout, shared_value=shared_value)
    with_statistics(predictor, graphs)
    predictor.set_label_scale(0.8, 0.05)
    with torch.no_grad():
        basic, estimated = predictor(graphs), predictor.estimate(graphs)
    for row in range(4):
        found = [0.8 + 0.05 * float(part[row]) for part in (basic, estimated)]
        assert found == pytest.approx(reference(predictor, graphs, row), abs=1e-5)


@pytest.mark.parametrize("readout", ["features", "nodes"])
def test_padding_reaches_nothing(readout: str) -> None:
    """Neither other tokens nor edges in padded slots change a score or a batch's statistics."""
    shape, _ = checks.batch("nasbench101", features=3)
    graphs = with_codes(checks.padded_cells(vertices=5))
    labels = torch.randn(12, generator=torch.Generator().manual_seed(2))
    junk = checks.with_junk_in_padding(graphs, shape)
    padded = junk.operations == shape.padding_token
    junk = dataclasses.replace(junk, operations=junk.operations.masked_fill(padded, 3))
    found = []
    for batch in (graphs, junk):
        predictor = make(shape, nsam=True, readout=readout)
        loss = predictor.train().training_loss(batch, labels)
        predictor.eval()
        with torch.no_grad():
            found.append((loss.detach(), predictor(batch), predictor.estimate(batch)))
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second)


def test_absent_vertices_do_not_matter() -> None:
    """The same cells in a space of five slots have the same scores, also in training mode."""
    shape, _ = checks.batch("nasbench101")
    graphs = checks.padded_cells(vertices=5)
    small_shape, small = checks.shortened(graphs, shape, 5)
    predictor, other = (make(either, nsam=True, readout="nodes") for either in (shape, small_shape))
    checks.copy_weights(predictor, other)
    labels = torch.randn(12, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        predictor.train().training_loss(graphs, labels), other.train().training_loss(small, labels)
    )
    torch.testing.assert_close(checks.scores(predictor, graphs), checks.scores(other, small))


def test_order_of_vertices_does_not_matter_to_the_mean_over_nodes() -> None:
    shape, graphs = checks.batch("node")
    other = checks.permuted(graphs, [3, 0, 7, 1, 2, 6, 5, 4])
    by_nodes = with_statistics(make(shape, nsam=True, readout="nodes"), graphs)
    torch.testing.assert_close(checks.scores(by_nodes, other), checks.scores(by_nodes, graphs))
    by_features = with_statistics(make(shape, readout="features"), graphs)
    assert not torch.allclose(checks.scores(by_features, other), checks.scores(by_features, graphs))


def test_the_basic_branch_needs_no_code_and_the_other_uses_it() -> None:
    shape, graphs = checks.batch("dataflow", features=3)
    predictor = with_statistics(make(shape), graphs)
    other = dataclasses.replace(graphs, features=graphs.features + 1)
    bare = dataclasses.replace(graphs, features=None)
    with torch.no_grad():
        torch.testing.assert_close(predictor(graphs), predictor(bare))
        assert not torch.allclose(predictor.estimate(graphs), predictor.estimate(other))


def test_loss_is_hubers_of_both_branches() -> None:
    shape, graphs = checks.batch("dataflow", features=3)
    predictor = make(shape, delta=0.1).eval()
    predictor.set_label_scale(0.7, 0.2)
    labels = torch.linspace(-3, 1, 12)
    with torch.no_grad():
        found = predictor.training_loss(graphs, labels)
        branches = predictor(graphs), predictor.estimate(graphs)
    wanted = sum(
        F.huber_loss(0.7 + 0.2 * branch, 0.7 + 0.2 * labels, delta=0.1) for branch in branches
    )
    torch.testing.assert_close(found * 0.2**2, wanted)


def test_a_ranking_loss_is_that_of_both_branches_without_sigmoid() -> None:
    shape, graphs = checks.batch("dataflow", features=3)
    predictor, linear = make(shape).eval(), make(shape, output="linear").eval()
    predictor.rank_by(logistic)
    labels = torch.linspace(-3, 1, 12)
    with torch.no_grad():
        branches = linear(graphs), linear.estimate(graphs)
        torch.testing.assert_close(predictor(graphs), branches[0])
        found = predictor.training_loss(graphs, labels)
    torch.testing.assert_close(found, sum(logistic(branch, labels) for branch in branches))


def test_failed_networks_rule_the_published_loss_alone() -> None:
    """The squared pull on the scores, where all of them are the mean of the labels."""
    shape, _ = checks.batch("dataflow")
    labels = torch.tensor([0.1, *torch.linspace(0.88, 0.94, 11).tolist()])
    mean, deviation = labels.mean(), labels.std()
    shares = []
    for loss in (None, logistic):
        predictor = make(shape)
        predictor.set_label_scale(float(mean), float(deviation))
        if loss is not None:
            predictor.rank_by(loss)
        scores = torch.zeros(12, requires_grad=True)
        predictor._loss(scores, (labels - mean) / deviation).backward()
        assert scores.grad is not None
        shares.append(float(scores.grad[0] ** 2 / scores.grad.square().sum()))
    assert shares[0] > 0.8
    assert shares[1] < 0.3


def test_without_a_code_it_is_the_naive_predictor() -> None:
    shape, graphs = checks.batch("dataflow")
    predictor = make(shape)
    assert predictor.fusion is None
    assert checks.parameters_without_gradient(predictor, graphs) == []
    torch.testing.assert_close(score_all(predictor, graphs), checks.scores(predictor, graphs))
    with pytest.raises(NaspError, match="no estimation branch"):
        predictor.estimate(graphs)


def test_both_branches_learn_a_small_set() -> None:
    shape, graphs = checks.batch("dataflow", 16, features=3)
    predictor = make(shape, hidden=32, momentum=0.1)
    predictor.set_label_scale(0.5, 0.15)
    assert checks.overfit(predictor, graphs, steps=200) > 0.95
    torch.manual_seed(0)
    labels = torch.randn(16)
    with torch.no_grad():
        assert torch.corrcoef(torch.stack([predictor.estimate(graphs), labels]))[0, 1] > 0.95


def test_a_space_goes_through_siamese_ranking() -> None:
    shape, graphs = checks.batch("dataflow", 40, features=3)
    predictor = with_statistics(make(shape, top=6, training_top=3), graphs)
    with torch.no_grad():
        basic, estimated = predictor(graphs), predictor.estimate(graphs)
    order = basic.argsort(descending=True, stable=True)
    for count, found in (
        (6, score_all(predictor, graphs, batch_size=7)),
        (6, score_all(predictor, graphs)),
        (3, ranked_for_choosing(predictor, graphs, order[:3].tolist())),
        (6, score_all(predictor, graphs)),
    ):
        head = sorted(order[:count].tolist(), key=lambda row: -float(estimated[row]))
        wanted = [*head, *order[count:].tolist()]
        assert found.argsort(descending=True, stable=True).tolist() == wanted
        torch.testing.assert_close(found.sort().values, basic.sort().values)
    assert predictor.estimated is not None
    assert predictor.estimated.tolist() == order[:6].tolist()


def ranked_for_choosing(predictor: Siamese, graphs: Graphs, wanted: list[int]) -> torch.Tensor:
    with predictor.choosing():
        scores = score_all(predictor, graphs)
        assert predictor.estimated is not None
        assert predictor.estimated.tolist() == wanted
    assert predictor.estimated is None
    return scores


def test_codes_of_other_than_the_top_are_not_read() -> None:
    shape, graphs = checks.batch("dataflow", 40, features=3)
    predictor = with_statistics(make(shape, top=6), graphs)
    wanted = score_all(predictor, graphs)
    assert predictor.estimated is not None
    rows = predictor.estimated
    codes = torch.full_like(graphs.features, float("nan"))
    unknown = dataclasses.replace(graphs, features=codes.clone())
    codes[rows] = graphs.features[rows]
    known = dataclasses.replace(graphs, features=codes)
    torch.testing.assert_close(score_all(predictor, known), wanted)
    asked = []

    def give(rows: torch.Tensor) -> torch.Tensor:
        asked.append(rows.tolist())
        return graphs.features[rows]

    torch.testing.assert_close(score_all(predictor, unknown, codes=give), wanted)
    assert asked == [rows.tolist()]


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (None, "3 numbers, but the architectures carry none"),
        (torch.zeros(12, 2), r"3 numbers, but the architectures carry shape \[12, 2\]"),
        (torch.tensor([[0.0, 0.0, float("nan")]] * 2 + [[0.0] * 3] * 10), "2 of 12 architectures"),
        (torch.full((12, 3), float("inf")), "12 of 12 architectures hold NaN or infinity"),
    ],
)
def test_codes_are_checked(codes: torch.Tensor | None, said: str) -> None:
    shape, graphs = checks.batch("dataflow", features=3)
    predictor, wrong = make(shape), dataclasses.replace(graphs, features=codes)
    with pytest.raises(NaspError, match=said):
        predictor.training_loss(wrong, torch.zeros(12))
    with pytest.raises(NaspError, match=said):
        score_all(predictor, wrong)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hidden": 0}, "hidden=0"),
        ({"top": -1}, "top=-1"),
        ({"training_top": True}, "training_top=True"),
        ({"readout": "sum"}, r"readout='sum' is unknown: choose features\|nodes"),
        ({"output": "tanh"}, "output='tanh'"),
        ({"delta": 0}, "delta=0"),
        ({"momentum": 0.0}, r"momentum=0\.0"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], said: str) -> None:
    shape, _ = checks.batch("dataflow")
    with pytest.raises(NaspError, match=said):
        Siamese(shape, **settings)
