from __future__ import annotations

import itertools
from collections.abc import Iterator

import networkx as nx
import numpy as np
import pytest
import yaml

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.shipped import conf_dir
from nasp_lightning.space.tinynano import TinyNano
from nasp_lightning.space.tinynano_cost import (
    Cost,
    Macro,
    attention_width,
    network_cost,
    operation_cost,
    slot_channels,
)
from nasp_lightning.space.tinynano_graph import (
    ATTEN,
    CHOICES,
    CONV,
    DWCONV,
    EXPAND,
    NONE,
    OPERATIONS,
    OUTPUT,
    PADDING,
    SPLIT,
    Cell,
    broken_rule,
    canonical,
    from_arrays,
    graph_hash,
    simplify,
    slots_needed,
    to_arrays,
    to_text,
    topological_orders,
)
from nasp_lightning.space.tinynano_members import cells_below
from nasp_lightning.space.tinynano_mutation import changes

SPACE = TinyNano()
BRANCHES = "split>1,2;dwconv3x3>3;conv1x1>3;output"
RELEASED = Macro((128, 256, 512))


def small() -> TinyNano:
    return TinyNano(slots=4, max_splits=2, mflops=1e6, count=None, widths=(4, 8))


def read(text: str) -> tuple[Array, Array]:
    return SPACE.from_string(text)


def read_cell(text: str) -> Cell:
    return from_arrays(*TinyNano(max_splits=6).from_string(text))


# --- which cells there are


def raw_cells(slots: int) -> Iterator[Cell]:
    """Every cell of exactly so many slots, identities included, by trying all matrices."""
    places = list(zip(*np.triu_indices(slots + 1, 1), strict=True))
    for codes in itertools.product(CHOICES, repeat=slots):
        operations = np.array([*codes, OUTPUT])
        for bits in itertools.product((0, 1), repeat=len(places)):
            if sum(bits) != slots + codes.count(SPLIT):
                continue
            matrix = np.zeros((slots + 1, slots + 1), dtype=np.uint8)
            for (source, target), bit in zip(places, bits, strict=True):
                matrix[source, target] = bit
            if broken_rule(operations, matrix) is None:
                yield from_arrays(operations, matrix)


@pytest.mark.parametrize(("slots", "count"), [(1, 5), (2, 30), (3, 235)])
def test_rules_leave_the_known_number_of_raw_cells(slots: int, count: int) -> None:
    found = list(raw_cells(slots))
    assert len(found) == count
    simplest = {canonical(simplify(cell)) for cell in found}
    exactly = {
        cell
        for cell in cells_below(np.inf, slots, slots, macro=Macro((4, 8)))
        if slots_needed(cell) <= slots
    }
    assert simplest <= exactly
    assert {len(cell) for cell in exactly} == set(range(slots + 1))


def test_enumeration_is_all_that_simplified_raw_cells_are() -> None:
    raw = {canonical(simplify(cell)) for size in (1, 2, 3) for cell in raw_cells(size)}
    assert raw == set(cells_below(np.inf, 3, 3, macro=Macro((4, 8))))
    apart = {
        canonical(simplify(cell, rejoin=False)) for size in (1, 2, 3) for cell in raw_cells(size)
    }
    assert apart == set(cells_below(np.inf, 3, 3, rejoin=False, macro=Macro((4, 8))))


@pytest.mark.parametrize(
    ("slots", "splits", "count"), [(5, 1, 451), (5, 2, 1116), (5, 5, 1594), (6, 1, 1435)]
)
def test_counts_below_35_mflops(slots: int, splits: int, count: int) -> None:
    assert len(cells_below(35e6, slots, splits)) == count


@pytest.mark.slow
@pytest.mark.parametrize(("slots", "splits", "count"), [(5, 5, 1493), (6, 1, 862)])
def test_counts_at_the_released_widths(slots: int, splits: int, count: int) -> None:
    assert len(cells_below(35e6, slots, splits, macro=RELEASED)) == count


def test_members_are_the_first_by_hash_below_the_cap() -> None:
    operations, adjacency = SPACE.members()
    assert operations.shape == (1120, 7)
    assert adjacency.shape == (1120, 7, 7)
    assert SPACE.size == 1120
    hashes = [SPACE.key(*pair).tobytes() for pair in zip(operations, adjacency, strict=True)]
    assert hashes == sorted(set(hashes))
    everything = TinyNano(count=None)
    assert everything.size == 1435
    assert everything.member_cells[:1120] == SPACE.member_cells
    assert SPACE.costs(operations[:50], adjacency[:50])["flops"].max() < 35e6
    assert ((operations == SPLIT).sum(axis=1) <= 1).all()


def test_the_cap_leaves_no_room_for_a_1x1_convolution_at_the_published_widths() -> None:
    """As the README says; narrower networks have them."""

    def has(widths: tuple[int, ...]) -> tuple[int, int]:
        operations, _ = TinyNano(count=None, widths=widths).members()
        return len(operations), int(np.isin(operations, [CONV, EXPAND]).any(axis=1).sum())

    assert has((64, 128, 256)) == (1435, 0)
    assert has((48, 96, 192)) == (3164, 1729)


def test_membership_is_a_fair_sample_of_costs() -> None:
    flops = np.array([network_cost(cell, SPACE.macro).flops() for cell in cells_below(35e6)])
    for level in (0.25, 0.5, 0.75):
        below = (flops[:1120] < np.quantile(flops, level)).mean()
        assert abs(below - level) < 0.03


def test_config_values_change_the_space() -> None:
    assert TinyNano(count=None, rejoin=False).size == 1306
    assert TinyNano(count=None, max_splits=0, slots=3).size < 1 + 4 + 16 + 64
    assert TinyNano(count=None, slots=2, mflops=6.262, rejoin=False).size == 1  # the empty cell
    macs = TinyNano(count=None, slots=3, convention="macs", mflops=12)
    assert macs.size > TinyNano(count=None, slots=3, mflops=12).size


def test_config_file_has_the_defaults() -> None:
    settings = yaml.safe_load((conf_dir() / "space" / "tinynano.yaml").read_text())
    assert settings.pop("_target_") == "nasp_lightning.space.tinynano.TinyNano"
    space = TinyNano(**settings)
    assert vars(space).keys() >= {"slots", "count"}
    for name in ("slots", "max_splits", "mflops", "count", "convention", "rejoin", "macro"):
        assert getattr(space, name) == getattr(SPACE, name)


def test_too_few_cells_for_the_count() -> None:
    with pytest.raises(NaspError, match=r"only 1 Nano cells .*space\.count=9"):
        TinyNano(slots=2, mflops=6.262, count=9, rejoin=False).members()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"convention": "tf"}, "profiler or macs"),
        ({"slots": 0}, "slots=0"),
        ({"count": 0}, "count=0"),
        ({"mflops": float("nan")}, "mflops=nan"),
        ({"widths": ()}, "empty"),
        ({"widths": (4, 0)}, "positive"),
        ({"image": 2}, "halved"),
        ({"encoding": "edge"}, r"space\.encoding=node\|dataflow"),
    ],
)
def test_bad_options(options: dict[str, object], reason: str) -> None:
    with pytest.raises(NaspError, match=reason):
        TinyNano(**options)  # type: ignore[arg-type]


# --- costs


def test_the_cheapest_network_by_hand() -> None:
    cost = network_cost((), Macro())
    stem, second, third = 27 * 64 * 1024, 64 * 128 * 256, 128 * 256 * 64
    assert cost.macs == stem + second + third + 2560
    sums = 4 * 65536 + 3 * 32768 + 3 * 16384  # residuals of cells and stages
    pools = 65536 + 32768 + 16384
    assert cost.elementwise == 65536 + sums + pools
    assert cost.flops() == 6_261_248
    assert cost.flops("macs") == cost.macs
    weights = 27 * 64 + 64 * 128 + 128 * 256
    assert cost.parameters == weights + 2 * (64 + 128 + 256) + 2570
    assert round(network_cost((), RELEASED).flops() / 1e6, 1) == 20.9


def test_operation_costs() -> None:
    assert operation_cost(DWCONV, 8, 32, 16) == (Cost(88, 1152, 128), 8)
    assert operation_cost(CONV, 8, 32, 16) == (Cost(8 * 32 + 64, 4096, 512), 32)
    assert operation_cost(EXPAND, 8, 32, 16) == (Cost(264, 3456, 768), 24)
    assert operation_cost(ATTEN, 8, 32, 16) == (Cost(64, 72, 256 + 6 + 4 + 8), 8)
    assert operation_cost(SPLIT, 8, 32, 16) == (Cost(0, 0, 0), 4)
    assert operation_cost(SPLIT, 7, 32, 16) == (Cost(72, 896, 0), 4)
    assert operation_cost(NONE, 7, 32, 16) == (Cost(0, 0, 0), 7)
    assert [attention_width(channels) for channels in (1, 4, 9)] == [1, 1, 2]


def test_expanding_one_half_doubles_the_channels() -> None:
    cell = read_cell("split>1,2;expand>3;dwconv3x3>3;output")
    assert slot_channels(cell, 64, 64) == [64, 32, 32, 128]


# --- hashes


def renumbered(rng: np.random.Generator, cell: Cell) -> Cell:
    orders = list(topological_orders(cell))
    order = orders[rng.integers(len(orders))]
    number = {slot: index for index, slot in enumerate([*order, len(cell)])}
    return tuple(
        (cell[slot][0], tuple(sorted(number[end] for end in cell[slot][1]))) for slot in order
    )


def as_networkx(cell: Cell) -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph()
    for slot, (code, _) in enumerate((*cell, (OUTPUT, ()))):
        graph.add_node(slot, code=code)
    for slot, (_, ends) in enumerate(cell):
        graph.add_edges_from((slot, end) for end in ends)
    return graph


def isomorphic(first: Cell, second: Cell) -> bool:
    same = nx.algorithms.isomorphism.categorical_node_match("code", None)
    return bool(nx.is_isomorphic(as_networkx(first), as_networkx(second), node_match=same))


def test_hash_agrees_with_networkx() -> None:
    rng = np.random.default_rng(0)
    cells = cells_below(np.inf, 4, 3, macro=Macro((4,)))
    by_operations: dict[tuple[int, ...], list[Cell]] = {}
    for cell in cells:
        by_operations.setdefault(tuple(sorted(code for code, _ in cell)), []).append(cell)
    groups = [group for group in by_operations.values() if len(group) > 3]
    compared = equal = 0
    for _ in range(300):
        group = groups[rng.integers(len(groups))]
        first = group[rng.integers(len(group))]
        second = group[rng.integers(len(group))] if rng.random() < 0.7 else first
        shuffled = renumbered(rng, second)
        same = isomorphic(first, shuffled)
        assert same == (graph_hash(first) == graph_hash(shuffled)) == (first == second)
        compared, equal = compared + 1, equal + same
    assert 50 < equal < compared - 50


def test_hash_ignores_numbering_and_identities() -> None:
    rng = np.random.default_rng(1)
    seen = set()
    for row in rng.integers(SPACE.size, size=100):
        cell = SPACE.member_cells[row]
        seen.add(graph_hash(renumbered(rng, cell)) == graph_hash(cell))
        if cell:  # an identity before a slot, on all edges into it
            place = int(rng.integers(1, len(cell) + 1))
            moved = [(code, tuple(end + (end > place) for end in ends)) for code, ends in cell]
            if all(len(set(ends)) == len(ends) for _, ends in cell):
                padded = (*moved[:place], (NONE, (place + 1,)), *moved[place:])
                assert graph_hash(padded) == graph_hash(cell)
                assert simplify(padded) == cell
    assert seen == {True}


def test_hash_is_stable() -> None:
    assert graph_hash(read_cell(BRANCHES)) == graph_hash(
        read_cell("split>1,2;conv1x1>3;dwconv3x3>3;output")
    )
    assert graph_hash(()) == "78e6221f6393d1356681db398f14ce6d"  # MD5 of "output"
    assert graph_hash(read_cell("none>1;none>2;output")) == graph_hash(())


def test_halves_that_meet_keep_one_identity() -> None:
    cell = read_cell("split>1,2;none>2;atten>3;output")
    simplest = simplify(cell)
    assert to_text(simplest) == "split>1,1;atten>2;output"
    operations, adjacency = to_arrays(simplest, 6)
    assert operations.tolist() == [SPLIT, NONE, ATTEN, OUTPUT, PADDING, PADDING, PADDING]
    assert from_arrays(operations, adjacency) == cell
    assert simplify(cell, rejoin=False) == ((ATTEN, (1,)),)


def test_splits_that_meet_in_one_slot_share_the_identity() -> None:
    cell = ((SPLIT, (1, 2)), (SPLIT, (3, 3)), (SPLIT, (3, 3)))
    operations, adjacency = to_arrays(cell, 4)
    assert broken_rule(operations, adjacency) is None
    assert slots_needed(cell) == 4
    assert simplify(from_arrays(operations, adjacency)) == cell


# --- validation


@pytest.mark.parametrize(
    ("codes", "edges", "reason"),
    [
        ([9, 5, 10], [(0, 1), (1, 2)], "split in slot 0 with 1 successor: it needs two"),
        ([5, 6, 10], [(0, 1)], "no path from its input to its output"),
        ([3, 10], [(0, 1)], r"unknown operation 3 \(maxpool3x3\) in slot 0; choose from 4 none"),
        ([77, 10], [(0, 1)], "unknown operation 77 in slot 0"),
        ([5, 6, 10], [(0, 1), (1, 0), (1, 2)], "cycle through slot 0"),
        ([5, 10], [(0, 0), (0, 1)], "cycle through slot 0"),
        ([5, 6, 10], [(1, 0), (0, 2)], "from slot 1 back to slot 0"),
        ([5, 6, 10], [(0, 2), (1, 2)], r"nothing that feeds slot 1 \(conv1x1\)"),
        ([5, 6, 10], [(0, 1), (0, 2), (1, 2)], "dwconv3x3 in slot 0 with 2 successors"),
        ([9, 5, 10], [(0, 1), (0, 2)], "atten|0 successors"),
        ([5, 6], [(0, 1)], "0 outputs"),
        ([5, 10, 10], [(0, 1)], "2 outputs"),
        ([5, 11, 10], [(0, 2)], "padding before it"),
        ([5, 10, 5], [(0, 1)], "after its output"),
        ([5, 10], [(0, 1), (1, 2)], "padded slot"),
        ([9, 9, 5, 10], [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)], r"space\.max_splits=1"),
    ],
)
def test_invalid_cell_is_named(codes: list[int], edges: list[tuple[int, int]], reason: str) -> None:
    operations = np.full(7, PADDING, dtype=np.uint8)
    operations[: len(codes)] = codes
    adjacency = np.zeros((7, 7), dtype=np.uint8)
    for edge in edges:
        adjacency[edge] = 1
    good, matrix = read(BRANCHES)
    with pytest.raises(
        NaspError, match=f"architecture 1 is no cell of tinynano: it has .*{reason}"
    ):
        SPACE.encode(np.stack([good, operations]), np.stack([matrix, adjacency]))


def test_other_values_and_shapes() -> None:
    operations, adjacency = read(BRANCHES)
    with pytest.raises(NaspError, match="other values than 0 and 1"):
        SPACE.validate(operations[None], adjacency[None] * 2)
    with pytest.raises(NaspError, match=r"operations \[N, 7\] and adjacency \[N, 7, 7\]"):
        SPACE.encode(operations[None])
    with pytest.raises(NaspError, match=r"got uint8 \[1, 6\]"):
        SPACE.encode(operations[None, :6], adjacency[None])
    with pytest.raises(NaspError, match="float64"):
        SPACE.encode(operations[None] * 1.0, adjacency[None])


# --- encodings


def test_node_encoding_has_the_input_first() -> None:
    operations, adjacency = read(BRANCHES)
    graphs = SPACE.encode(operations[None], adjacency[None])
    assert graphs.operations[0].tolist() == [0, 9, 5, 6, 10, 11, 11, 11]
    assert graphs.adjacency[0].nonzero().tolist() == [[0, 1], [1, 2], [1, 3], [2, 4], [3, 4]]
    assert graphs.vertices.tolist() == [5]
    shape = SPACE.shape
    assert (shape.tokens, shape.vertices, shape.vocabulary, shape.padding_token) == (8, 8, 12, 11)


def test_dataflow_encoding_is_the_published_one() -> None:
    space = TinyNano("dataflow")
    operations, adjacency = read(BRANCHES)
    graphs = space.encode(operations[None], adjacency[None])
    assert graphs.operations[0].tolist() == [9, 5, 6, 10, 4, 4, 4]
    assert [OPERATIONS[code] for code in graphs.operations[0, :5]][-1] == "none"
    assert graphs.adjacency[0].nonzero().tolist() == [[0, 1], [0, 2], [1, 3], [2, 3]]
    shape = space.shape
    assert (shape.tokens, shape.vertices, shape.vocabulary, shape.padding_token) == (7, 7, 11, 4)


@pytest.mark.parametrize("encoding", TinyNano.encodings)
def test_decode_is_the_inverse(encoding: str) -> None:
    space = TinyNano(encoding)
    operations, adjacency = (array[::25] for array in SPACE.members())
    assert (operations[:, :6] == NONE).any()
    graphs = space.encode(operations, adjacency)
    assert graphs.operations.max() < space.shape.vocabulary
    codes, matrix = space.decode(graphs)
    np.testing.assert_array_equal(codes, operations)
    np.testing.assert_array_equal(matrix, adjacency)
    assert graphs.adjacency.triu(1).equal(graphs.adjacency)


# --- text


def test_text_goes_both_ways() -> None:
    for codes, matrix in zip(*SPACE.sample(np.random.default_rng(0), 50), strict=True):
        operations, adjacency = SPACE.from_string(SPACE.to_string(codes, matrix))
        np.testing.assert_array_equal(operations, codes)
        np.testing.assert_array_equal(adjacency, matrix)
    assert SPACE.to_string(*read(" split>1, 2;dwconv3x3>3;conv1x1>3 ;output")) == BRANCHES


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "unknown operation ''"),
        ("conv5x5>1;output", "unknown operation 'conv5x5'"),
        ("maxpool3x3>1;output", r"unknown operation 1 |unknown operation 3 \(maxpool3x3\)"),
        ("conv1x1;output", "no path"),
        ("conv1x1>1", "names no slot from 0 to 0"),
        ("conv1x1>x;output", "names no slot"),
        ("conv1x1>-1;output", "names no slot"),
        ("conv1x1>;output", "names no slot"),
        ("split>1;output", "1 successor"),
        ("split>1,1;output", "1 successor"),
        ("conv1x1>1;atten>0;output", "no path|cycle"),
        ("conv1x1>1;" * 7 + "output", r"space\.slots=6"),
    ],
)
def test_bad_text(text: str, reason: str) -> None:
    with pytest.raises(NaspError, match=reason):
        SPACE.from_string(text)


def test_drawing() -> None:
    drawn = SPACE.draw(*read("split>1,2;expand>3;dwconv3x3>3;output")).splitlines()
    assert drawn[0].split() == ["input", "64", "channels", "→", "0"]
    assert drawn[1].split() == ["0", "split", "64", "channels", "→", "1,", "2"]
    assert drawn[2].split() == ["1", "expand", "32", "channels", "→", "3"]
    assert drawn[4].startswith("3 output")
    assert drawn[4].endswith("64 channels") or "convolution to 64" in drawn[4]
    assert "convolution" not in SPACE.draw(*read(BRANCHES)).splitlines()[0]


# --- sampling and mutation


def test_samples_are_members_and_repeat_with_their_seed() -> None:
    operations, adjacency = SPACE.sample(np.random.default_rng(3), 40)
    again = SPACE.sample(np.random.default_rng(3), 40)
    np.testing.assert_array_equal(operations, again[0])
    np.testing.assert_array_equal(adjacency, again[1])
    assert all(SPACE.is_member(*pair) for pair in zip(operations, adjacency, strict=True))
    assert len(np.unique(operations, axis=0)) > 10
    assert SPACE.sample(np.random.default_rng(3), 0)[1].shape == (0, 7, 7)


def test_what_is_above_the_cap_is_no_member() -> None:
    assert not SPACE.is_member(*read("expand>1;expand>2;expand>3;conv1x1>4;output"))


def test_mutants_are_other_members() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for pair in zip(*SPACE.sample(rng, 60), strict=True):
        before = SPACE.key(*pair).tobytes()
        mutant = SPACE.mutate(rng, *pair)
        assert SPACE.is_member(*mutant)
        assert SPACE.key(*mutant).tobytes() != before
        seen.add(SPACE.to_string(*mutant))
    assert len(seen) > 40


def test_changes_keep_every_rule_and_reach_every_kind() -> None:
    rng = np.random.default_rng(0)
    cell: Cell = ()
    sizes, with_split = set(), 0
    for _ in range(400):
        candidate = next(iter(changes(rng, cell)))
        if sum(code == SPLIT for code, _ in candidate) > 2 or slots_needed(candidate) > 6:
            continue
        assert broken_rule(*to_arrays(candidate, 6)) is None
        cell = candidate
        sizes.add(len(cell))
        with_split += any(code == SPLIT for code, _ in cell)
    assert sizes >= {0, 1, 2, 3, 4, 5}
    assert with_split > 20


def test_mutation_in_a_space_of_one() -> None:
    space = TinyNano(slots=2, mflops=6.262, count=None, rejoin=False)
    operations, adjacency = space.mutate(np.random.default_rng(0), *space.from_string("output"))
    assert space.to_string(operations, adjacency) == "output"


def test_costs_do_not_depend_on_the_numbering() -> None:
    space = small()
    rng = np.random.default_rng(0)
    for row in rng.integers(space.size, size=30):
        cell = space.member_cells[row]
        assert network_cost(renumbered(rng, cell), space.macro) == network_cost(cell, space.macro)
