from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.predictor.gaussian_process import GaussianProcess
from nasp_lightning.predictor.part.features import feature_names, graph_features
from nasp_lightning.shipped import conf_dir
from nasp_lightning.space.darts import Darts
from nasp_lightning.space.darts_genotype import OPERATIONS
from tests.space.genotypes import PC_DARTS, PINAT, PUBLISHED, V2

SPACE = Darts()
TEXTS = [text for text, _, _ in PUBLISHED.values()] + [PINAT]


@pytest.fixture(scope="module")
def drawn() -> tuple[Array, Array]:
    return SPACE.sample(np.random.default_rng(0), 300)


# --- text


@pytest.mark.parametrize("text", TEXTS)
def test_published_genotypes_survive(text: str) -> None:
    operations, adjacency = SPACE.from_string(text)
    SPACE.validate(operations[None], adjacency[None])
    written = SPACE.to_string(operations, adjacency)
    again = SPACE.from_string(written)
    assert (again[0] == operations).all()
    assert (again[1] == adjacency).all()
    assert SPACE.to_string(*again) == written


def test_text_and_arrays_are_one_to_one(drawn: tuple[Array, Array]) -> None:
    texts = [SPACE.to_string(*pair) for pair in zip(*drawn, strict=True)]
    assert len(set(texts)) == len(set(SPACE.genotype_index(*drawn).tolist())) == 300
    for text, operations, adjacency in zip(texts, *drawn, strict=True):
        again = SPACE.from_string(text)
        assert (again[0] == operations).all()
        assert (again[1] == adjacency).all()


def test_inputs_in_another_order_are_the_same_architecture() -> None:
    other = PC_DARTS.replace(
        "('sep_conv_3x3', 1), ('skip_connect', 0)", "('skip_connect', 0), ('sep_conv_3x3', 1)", 1
    )
    assert other != PC_DARTS
    first, second = SPACE.from_string(PC_DARTS), SPACE.from_string(other)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert SPACE.to_string(*first) == SPACE.to_string(*second)


def test_nodes_in_another_order_have_the_same_key() -> None:
    nodes = (
        "('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ",
        "('skip_connect', 0), ('avg_pool_3x3', 1), ",
    )
    rest = "('skip_connect', 2), ('dil_conv_3x3', 3), ('max_pool_3x3', 2), ('dil_conv_5x5', 4)"
    swapped = rest.replace(", 2)", ", x)").replace(", 3)", ", 2)").replace(", x)", ", 3)")
    text = "Genotype(normal=[{}{}{}], reduce=[{}{}{}])"
    first = SPACE.from_string(text.format(*nodes, rest, *nodes, rest))
    second = SPACE.from_string(text.format(*nodes, rest, *reversed(nodes), swapped))
    assert (SPACE.key(*first) == SPACE.key(*second)).all()
    assert SPACE.key(*first).dtype == np.uint8
    assert SPACE.key(*first).shape == (16,)
    assert SPACE.to_string(*first) != SPACE.to_string(*second)
    both = [np.stack(pair) for pair in zip(first, second, strict=True)]
    operations, adjacency = SPACE.canonical(*both)
    assert (operations[0] == operations[1]).all()
    assert (adjacency[0] == adjacency[1]).all()
    assert (SPACE.key(operations[0], adjacency[0]) == SPACE.key(*first)).all()


def test_keys_of_other_architectures_differ(drawn: tuple[Array, Array]) -> None:
    assert len({bytes(SPACE.key(*pair)) for pair in zip(*drawn, strict=True)}) == 300


# --- sampling, mutation, crossover


def test_sampling_is_uniform() -> None:
    codes, inputs = SPACE.edges(*SPACE.sample(np.random.default_rng(1), 6000))
    share = np.bincount(codes.ravel(), minlength=7) / codes.size
    assert abs(share - 1 / 7).max() < 0.01
    pairs = Counter(map(tuple, inputs[:, 1, 6:].tolist()))
    assert len(pairs) == 10
    assert all(abs(count / 6000 - 0.1) < 0.02 for count in pairs.values())
    assert (inputs[:, :, :2] == [0, 1]).all()


def test_sampling_follows_its_generator() -> None:
    first, second = (SPACE.sample(np.random.default_rng(5), 4) for _ in range(2))
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()
    none = SPACE.sample(np.random.default_rng(0), 0)
    assert none[0].shape == (0, 22)
    SPACE.validate(*none)


def test_a_mutant_differs_in_one_place(drawn: tuple[Array, Array]) -> None:
    rng = np.random.default_rng(2)
    kinds: Counter[tuple[int, int]] = Counter()
    for operations, adjacency in zip(*drawn, strict=True):
        before = SPACE.edges(operations[None], adjacency[None])
        mutant = SPACE.mutate(rng, operations, adjacency)
        SPACE.validate(mutant[0][None], mutant[1][None])
        after = SPACE.edges(mutant[0][None], mutant[1][None])
        assert (SPACE.key(*mutant) != SPACE.key(operations, adjacency)).any()
        changed = []
        for old, new in zip(*(pair_edges(*edges) for edges in (before, after)), strict=True):
            changed += [len(set(old) - set(new))] if set(old) != set(new) else []
        assert changed == [1], "one edge of one node"
        same_inputs = (before[1] == after[1]).all()
        kinds[int(same_inputs), 0] += 1
    assert kinds[1, 0] > 100
    assert kinds[0, 0] > 100


def pair_edges(codes: Array, inputs: Array) -> list[list[tuple[int, int]]]:
    """Edges (operation, input) of each of the eight nodes."""
    pairs = np.stack([codes, inputs], -1).reshape(8, 2, 2)
    return [[tuple(edge) for edge in node] for node in pairs.tolist()]


def test_a_child_has_its_parents_nodes() -> None:
    first, second = SPACE.from_string(V2), SPACE.from_string(PC_DARTS)
    parents = [
        pair_edges(*SPACE.edges(operations[None], adjacency[None]))
        for operations, adjacency in (first, second)
    ]
    rng = np.random.default_rng(0)
    children = set()
    for _ in range(50):
        child = SPACE.crossover(rng, first, second)
        SPACE.validate(child[0][None], child[1][None])
        nodes = pair_edges(*SPACE.edges(child[0][None], child[1][None]))
        assert all(node in pair for node, *pair in zip(nodes, *parents, strict=True))
        children.add(SPACE.to_string(*child))
    assert len(children) > 30
    same = SPACE.crossover(rng, first, first)
    assert SPACE.to_string(*same) == SPACE.to_string(*first)


def test_a_fair_sample_holds_each_operation_once_everywhere() -> None:
    rng = np.random.default_rng(0)
    codes, inputs = SPACE.edges(*SPACE.fair_sample(rng))
    assert (np.sort(codes, axis=0) == np.arange(7)[:, None, None]).all()
    assert (inputs == inputs[:1]).all()
    assert (codes != SPACE.edges(*SPACE.fair_sample(rng))[0]).any()


# --- what is none of the space


@pytest.mark.parametrize(
    ("vertex", "token", "message"),
    [
        (0, 0, "a token that cannot stand"),
        (3, 18, "a token that cannot stand"),
        (3, 11, "a token that cannot stand"),
        (3, 255, "a token that cannot stand"),
        (21, 1, "a token that cannot stand"),
    ],
)
def test_wrong_tokens(drawn: tuple[Array, Array], vertex: int, token: int, message: str) -> None:
    operations = drawn[0].copy()
    operations[7, vertex] = token
    with pytest.raises(NaspError, match=f"architecture 7 is none of darts: it has {message}"):
        SPACE.validate(operations, drawn[1])


def test_wrong_edges(drawn: tuple[Array, Array]) -> None:
    for source, target in ((0, 21), (3, 1), (5, 17), (4, 4)):
        adjacency = drawn[1].copy()
        adjacency[3, source, target] ^= 1
        with pytest.raises(NaspError, match="architecture 3 is none of darts"):
            SPACE.validate(drawn[0], adjacency)
    twice = drawn[1].copy()
    twice[2, 2, 4], twice[2, 1, 4] = 0, 1  # the first node reads c_{k-2} twice
    with pytest.raises(
        NaspError, match=r"architecture 2 is none of darts: .* not two earlier ones"
    ):
        SPACE.validate(drawn[0], twice)
    with pytest.raises(NaspError, match="edges that no two cells have"):
        SPACE.validate(drawn[0], drawn[1] * 2)


def test_arrays_of_another_space(drawn: tuple[Array, Array]) -> None:
    for operations, adjacency in (
        (drawn[0], None),
        (drawn[0][:, :7], drawn[1][:, :7, :7]),
        (drawn[0][0], drawn[1][0]),
        (drawn[0].astype(float), drawn[1]),
        (drawn[0], drawn[1][:5]),
    ):
        with pytest.raises(NaspError, match="architectures of darts are whole numbers"):
            SPACE.validate(operations, adjacency)


def test_another_encoding_is_refused() -> None:
    with pytest.raises(NaspError, match="space darts has no encoding 'node'"):
        Darts("node")


# --- predictors


def test_encoding(drawn: tuple[Array, Array]) -> None:
    graphs = SPACE.encode(*drawn)
    assert graphs.operations.dtype == graphs.adjacency.dtype == torch.uint8
    assert (graphs.vertices == 22).all()
    assert int(graphs.operations.max()) < SPACE.shape.vocabulary
    graphs.operations[0, 0] = 9  # a copy
    assert drawn[0][0, 0] == 1


def test_features_see_what_cells_do(drawn: tuple[Array, Array]) -> None:
    graphs = SPACE.encode(*drawn)
    names = feature_names(SPACE.shape)
    features = np.expm1(graph_features(graphs, SPACE.shape))
    assert features.shape == (300, len(names))
    codes, inputs = SPACE.edges(*drawn)
    for cell, first in ((0, 4), (1, 11)):
        for code in range(len(OPERATIONS)):
            column = features[:, names.index(f"count/{first + code}")]
            np.testing.assert_allclose(column, (codes[:, cell] == code).sum(1), atol=1e-3)
        reads_first = ((codes[:, cell] == 3) & (inputs[:, cell] == 0)).sum(1)
        column = features[:, names.index(f"edge/2-{first + 3}")]
        np.testing.assert_allclose(column, reads_first, atol=1e-3)


def test_features_do_not_see_the_nodes_order(drawn: tuple[Array, Array]) -> None:
    canonical = SPACE.canonical(*drawn)
    assert (canonical[1] != drawn[1]).any()
    features = [graph_features(SPACE.encode(*both), SPACE.shape) for both in (drawn, canonical)]
    np.testing.assert_allclose(*features, rtol=1e-5, atol=1e-5)


def test_the_gaussian_process_learns(drawn: tuple[Array, Array]) -> None:
    codes, _ = SPACE.edges(*drawn)
    truth = (codes[:, 0] >= 3).mean(1) + 0.5 * (codes[:, 1] >= 3).mean(1)
    graphs = SPACE.encode(*drawn)
    predictor = GaussianProcess(SPACE.shape, restarts=0)
    predictor.fit(graphs[slice(0, 150)], truth[:150])
    scores = predictor.score(graphs[slice(150, 300)])
    assert np.corrcoef(scores, truth[150:])[0, 1] > 0.8


GRAPH_PREDICTORS = ("tnasp", "pinat", "neural_predictor", "nao", "brp", "bonas", "mlp", "siamese")


@pytest.mark.parametrize("name", GRAPH_PREDICTORS)
def test_every_predictor_reads_the_graph(name: str, drawn: tuple[Array, Array]) -> None:
    from inspect import signature

    from hydra.utils import get_class

    config = OmegaConf.load(conf_dir() / "predictor" / f"{name}.yaml")
    target = get_class(config["_target_"])
    torch.manual_seed(0)
    small = {"embedding_dim": 16, "layers": 1, "heads": 2, "head_dim": 8, "feedforward_dim": 16}
    known = signature(target).parameters
    predictor = target(SPACE.shape, **{key: small[key] for key in small if key in known}).eval()
    graphs = SPACE.encode(*drawn)[:6]
    with torch.no_grad():
        outputs = predictor(graphs)
        shuffled = predictor(graphs[torch.tensor([5, 4, 3, 2, 1, 0])])
    scores = outputs[0] if isinstance(outputs, tuple) else outputs
    assert scores.isfinite().all()
    assert len(scores) == len(shuffled[0] if isinstance(shuffled, tuple) else shuffled)


def test_config() -> None:
    path: Path = conf_dir() / "space" / "darts.yaml"
    assert isinstance(instantiate(OmegaConf.load(path)), Darts)
