"""Algorithm 1 of Siamese-NAS against a written-out version with lists."""

from __future__ import annotations

import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.siamese.ranking import Ranked, resort, siamese_ranking, top_rows
from tests.predictor import checks


def algorithm_1(basic: list[float], estimated: list[float], count: int) -> list[int]:
    """Rows in their final order."""
    by_basic = sorted(range(len(basic)), key=lambda row: -basic[row])
    by_estimate = sorted(by_basic[:count], key=lambda row: -estimated[row])
    return [*by_estimate, *by_basic[count:]]


@pytest.mark.parametrize("count", [0, 1, 7, 20, 50])
@pytest.mark.parametrize("ties", [False, True])
def test_algorithm_1(count: int, ties: bool) -> None:
    generator = torch.Generator().manual_seed(count)
    basic, estimated = torch.randn(2, 20, generator=generator)
    if ties:
        basic, estimated = basic.round(), estimated.round()
    asked: list[int] = []

    def estimate(rows: torch.Tensor) -> torch.Tensor:
        asked.extend(rows.tolist())
        return estimated[rows]

    final, rows = siamese_ranking(basic, estimate, count)
    wanted = algorithm_1(basic.tolist(), estimated.tolist(), count)
    assert asked == rows.tolist() == top_rows(basic, count).tolist()
    assert len(asked) == min(count, 20)
    torch.testing.assert_close(final.sort().values, basic.sort().values)
    values = [float(final[row]) for row in wanted]
    assert values == sorted(values, reverse=True)
    if not ties:
        assert final.argsort(descending=True).tolist() == wanted


def test_resort_gives_the_best_estimate_the_highest_score() -> None:
    scores = torch.tensor([0.1, 0.9, 0.5, 0.7])
    rows = top_rows(scores, 3)
    assert rows.tolist() == [1, 3, 2]
    final = resort(scores, rows, torch.tensor([1.0, 3.0, 2.0]))
    torch.testing.assert_close(final, torch.tensor([0.1, 0.5, 0.7, 0.9]))


def test_nothing_to_rank() -> None:
    final, rows = siamese_ranking(torch.zeros(0), lambda rows: rows.float(), 3)
    assert len(final) == len(rows) == 0


def test_ranked_scores_are_handed_out_in_order() -> None:
    _, graphs = checks.batch("node", 5)
    module = Ranked(torch.arange(5.0))
    assert module(graphs[:2]).tolist() == [0, 1]
    assert module(graphs[2:]).tolist() == [2, 3, 4]
    with pytest.raises(NaspError, match="5 architectures was asked for more"):
        module(graphs[:1])
