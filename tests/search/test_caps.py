from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.part.caps import Caps
from nasp_lightning.space.base import Architecture
from nasp_lightning.space.macro import Macro
from tests.search.tables import evaluator


class Unlisted(Evaluator):
    """Any chain can be evaluated, and nobody lists them: as with a supernet."""

    def __init__(self) -> None:
        super().__init__(Macro())

    def find(self, operations: Any, adjacency: Any = None) -> Candidate | None:
        return Candidate(self.space.to_string(operations), Architecture(operations))

    def sample(self, rng: np.random.Generator, count: int) -> list[Candidate]:
        return self.draw(rng, count, self._accuracies)

    def labels(self, architectures: Sequence[Candidate]) -> tuple[Any, Any]:
        raise AssertionError("caps ask for no label")

    def cost(self, name: str, architectures: Sequence[Candidate]) -> Any:
        weight = {"flops": 10.0, "parameters": 3.0}[name]
        return np.array([5 + weight * int(item.operations.sum()) for item in architectures])


def test_no_limit_allows_all():
    table = evaluator()
    drawn = table.sample(np.random.default_rng(0), 20)
    assert Caps({"parameters": None}).within(table, drawn).all()
    Caps().check(table, np.random.default_rng(0))


@pytest.mark.parametrize("limit", [15, 45, 200])
def test_what_is_drawn_is_within_however_narrow(limit: float):
    behind = Unlisted()
    drawn = Caps({"flops": limit}).sample(behind, np.random.default_rng(0), 9)
    costs = behind.cost("flops", drawn)
    assert len({item.key for item in drawn}) == 9  # nine chains have at most one block of kind 1
    assert costs.max() <= limit


def test_fewer_where_there_are_no_more():
    drawn = Caps({"flops": 15}).sample(Unlisted(), np.random.default_rng(0), 30)
    assert len(drawn) == 9


@pytest.mark.parametrize("behind", [Unlisted(), evaluator()])
def test_a_cap_below_the_smallest_network(behind: Evaluator):
    least = 5 if isinstance(behind, Unlisted) else 0
    name = "flops" if isinstance(behind, Unlisted) else "parameters"
    if least:
        with pytest.raises(NaspError, match=r"search.caps.flops=4: the smallest .* macro has 5;"):
            Caps({name: 4}).check(behind, np.random.default_rng(0))
    Caps({name: 5}).check(behind, np.random.default_rng(0))


@pytest.mark.parametrize("limit", [0, -1, True, "5e8", float("nan")])
def test_a_limit_is_a_positive_number(limit: Any):
    with pytest.raises(NaspError, match=r"search\.caps\.flops="):
        Caps({"flops": limit})
