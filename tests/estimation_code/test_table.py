from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.benchmark import nasbench201, spikenas
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.table import TableCode
from tests.estimation_code.networks import table

LOSSES = np.arange(6 * 2 * 5, dtype=np.float32).reshape(6, 2, 5)


def with_curves() -> BenchmarkTable:
    losses = LOSSES.copy()
    losses[1, 0] = np.nan  # one of two runs is not known
    losses[2] = np.nan
    short = np.ones((6, 2, 2), np.float32)
    curves = {"cifar10/train_loss/5": losses, "cifar10/train_loss/2": short}
    return replace(table(), curves=curves)


def test_the_first_losses_of_the_longest_curve() -> None:
    code = TableCode(with_curves())
    assert code.curve == "cifar10/train_loss/5"
    assert code.codes(np.array([0, 1])).tolist() == [[2.5, 3.5, 4.5], [15, 16, 17]]
    single = TableCode(with_curves(), runs="single", epochs=2)
    assert single.codes(np.array([1, 0])).tolist() == [[15, 16], [0, 1]]
    assert code.cost is None
    assert code.spent is None
    assert code.describe_cost() == "not stated"
    assert TableCode(with_curves(), cost=0.015).describe_cost() == "1.5 % of a label"


@pytest.mark.parametrize("runs", ["mean", "single"])
def test_an_architecture_without_losses(runs: str) -> None:
    with pytest.raises(NaspError, match=r"cifar10/train_loss/5 has no value there.*row 2"):
        TableCode(with_curves(), runs=runs).codes(np.array([0, 2]))


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(NaspError, match=r"estimation_code.epochs=6: .* has 5 epochs"):
        TableCode(with_curves(), epochs=6)
    with pytest.raises(NaspError, match=r"estimation_code.curve=loss: .*it has cifar10/train_loss"):
        TableCode(with_curves(), curve="loss")
    with pytest.raises(NaspError, match=r"no training losses of cifar100; its curves: cifar10"):
        TableCode(with_curves(), dataset="cifar100")
    with pytest.raises(NaspError, match=r"its curves: none"):
        TableCode(table())
    with pytest.raises(NaspError, match=r"estimation_code.runs=best"):
        TableCode(with_curves(), runs="best")


def test_spikenas(data_dir: Path) -> None:
    """The README's claim: a measured code of every architecture, and it tells of accuracy."""
    from scipy.stats import kendalltau

    found = spikenas.load_table(path=data_dir / "spikenas" / "spikenas_cifar10_15625.csv.gz")
    codes = TableCode(found).codes(np.arange(len(found)))
    assert codes.shape == (15_625, 3)
    accuracy = found.metric("cifar10/test_accuracy/final")[:, 0]
    assert kendalltau(-codes[:, 2], accuracy).statistic > 0.3


def test_nats_folder(data_dir: Path) -> None:
    folder = data_dir / "nasbench201" / "NATS-tss-v1_0-3ffb9-simple"
    found = nasbench201.load_table("nats_simple", folder, partial=True)
    code = TableCode(found)
    assert code.curve == "cifar10/train_loss/200"
    codes = code.codes(np.arange(len(found)))
    assert codes.shape == (2, 3)
    assert (codes[:, 0] > codes[:, 2]).all()
    assert TableCode(found, dataset="cifar10-valid").curve.startswith("cifar10-valid/")
