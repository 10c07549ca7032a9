from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.stats
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.metric import functional
from nasp_lightning.metric.ranking import (
    BestInTopK,
    KendallTau,
    Pearson,
    PrecisionAtK,
    RegretAtK,
    Spearman,
    ranking_metrics,
)

PAIRS = {
    KendallTau: functional.kendall_tau,
    Spearman: functional.spearman,
    Pearson: functional.pearson,
}
TOP_K_PAIRS = {
    BestInTopK: functional.best_in_top_k,
    RegretAtK: functional.regret_at_k,
    PrecisionAtK: functional.precision_at_k,
}


def sample(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(size)
    true = torch.rand(size, generator=generator)
    return true + 0.3 * torch.randn(size, generator=generator), true


@pytest.mark.parametrize("metric", PAIRS)
def test_batches_add_up(metric):
    predicted, true = sample(250)
    collected = metric()
    for left, right in zip(predicted.split(64), true.split(64), strict=True):
        collected.update(left, right)
    assert float(collected.compute()) == pytest.approx(PAIRS[metric](predicted, true), abs=1e-6)


@pytest.mark.parametrize("metric", TOP_K_PAIRS)
def test_top_k_batches_add_up(metric):
    predicted, true = sample(250)
    collected = metric(top_k=7)
    for left, right in zip(predicted.split(64), true.split(64), strict=True):
        collected.update(left, right)
    expected = TOP_K_PAIRS[metric](predicted, true, 7)
    assert float(collected.compute()) == pytest.approx(expected, abs=1e-6)


def test_a_whole_benchmark_is_not_nan():
    predicted, true = sample(100_000)  # torchmetrics' own is NaN here
    tau = KendallTau()
    tau.update(predicted, true)
    expected = scipy.stats.kendalltau(predicted.numpy(), true.numpy()).statistic
    assert float(tau.compute()) == pytest.approx(expected, abs=1e-6)


def test_collection_has_the_names_of_results_and_shares_one_pair_of_lists():
    predicted, true = sample(120)
    metrics = ranking_metrics(top_k=5, prefix="test/")
    for left, right in zip(predicted.split(50), true.split(50), strict=True):
        metrics.update(left, right)
    values = {name: float(value) for name, value in metrics.compute().items()}
    assert values == pytest.approx(
        {
            "test/kendall_tau": functional.kendall_tau(predicted, true),
            "test/spearman": functional.spearman(predicted, true),
            "test/pearson": functional.pearson(predicted, true),
            "test/best_in_top_k": functional.best_in_top_k(predicted, true, 5),
            "test/regret_at_k": functional.regret_at_k(predicted, true, 5),
            "test/precision_at_k": functional.precision_at_k(predicted, true, 5),
        },
        abs=1e-6,
    )
    assert len(metrics.compute_groups) == 1


def test_reset_forgets():
    predicted, true = sample(30)
    tau = KendallTau()
    tau.update(-predicted, true)
    tau.compute()
    tau.reset()
    tau.update(true, true)
    assert float(tau.compute()) == 1.0


def test_forward_accepts_a_batch_of_one():
    tau = KendallTau()
    assert float(tau(torch.tensor([0.5]), torch.tensor([0.9]))) == 0.0
    tau(torch.tensor([0.6]), torch.tensor([1.0]))
    assert float(tau.compute()) == 1.0


def test_collected_without_graph_and_picklable():
    predicted, true = sample(30)
    tau = KendallTau()
    tau.update(predicted.requires_grad_(), true)
    assert not tau.predicted[0].requires_grad
    assert float(pickle.loads(pickle.dumps(tau)).compute()) == float(tau.compute())


def test_processes_are_gathered():
    predicted, true = sample(40)
    tau = KendallTau(
        distributed_available_fn=lambda: True,
        dist_sync_fn=lambda values, group=None: [values, values.flip(0)],  # two "processes"
    )
    for left, right in zip(predicted.split(16), true.split(16), strict=True):
        tau.update(left, right)
    expected = functional.kendall_tau(predicted.repeat(2), true.repeat(2))
    assert float(tau.compute()) == pytest.approx(expected, abs=1e-6)
    assert sum(len(batch) for batch in tau.predicted) == 40


def test_errors():
    with pytest.raises(NaspError, match="top K"):
        ranking_metrics(top_k=0)
    tau = KendallTau()
    tau.update(torch.tensor([np.nan, 1.0]), torch.tensor([1.0, 2.0]))
    with pytest.raises(NaspError, match="1 of 2 predictions are NaN"):
        tau.compute()
