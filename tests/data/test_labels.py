from __future__ import annotations

import numpy as np
import pytest
import torch

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.data.labels import (
    Labels,
    LabelScale,
    check_accuracies,
    mean_run,
    single_run,
    training_labels,
)
from nasp_lightning.error import NaspError

NAN = np.nan


def test_the_first_run_that_did_not_fail() -> None:
    values = np.array([[0.9, 0.8, 0.7], [0.1, 0.8, 0.7], [0.1, 0.1, 0.7], [NAN, 0.5, NAN]])
    np.testing.assert_allclose(single_run(values, 0.2), [0.9, 0.8, 0.7, 0.5])


def test_an_architecture_whose_runs_all_failed_has_no_label() -> None:
    values = np.array([[0.1, 0.05, 0.1], [NAN, NAN, NAN], [0.1, NAN, 0.1], [0.2, 0.1, 0.1]])
    np.testing.assert_array_equal(np.isnan(single_run(values, 0.2)), [True, True, True, False])
    for reduction in ("single", "mean"):
        label = training_labels(values, reduction, 0.2)
        np.testing.assert_array_equal(np.isnan(label), [True, True, True, False])


def test_no_threshold_means_that_no_run_failed() -> None:
    values = np.array([[0.0, 0.9], [NAN, 0.1]])
    np.testing.assert_allclose(single_run(values), [0.0, 0.1])
    np.testing.assert_allclose(mean_run(values), [0.45, 0.1])


def test_the_mean_leaves_failed_runs_out_unless_all_failed() -> None:
    values = np.array([[0.9, 0.7, 0.1], [0.1, 0.2, NAN], [NAN, NAN, NAN]])
    np.testing.assert_allclose(mean_run(values, 0.3), [0.8, 0.15, NAN])


def test_the_mean_is_taken_in_double_precision() -> None:
    values = np.full((1, 3), 0.1, dtype=np.float32)
    assert mean_run(values).dtype == np.float64
    assert mean_run(values)[0] == pytest.approx(float(np.float32(0.1)), abs=1e-15)


@pytest.mark.parametrize("wrong", [94.2, -0.1, np.inf])
def test_accuracies_must_be_fractions(wrong: float) -> None:
    with pytest.raises(NaspError, match=r"architecture 1 .*accuracy .*between 0 and 1"):
        check_accuracies(np.array([[0.5], [wrong]]))


def test_labels_that_are_all_unknown_are_refused() -> None:
    with pytest.raises(NaspError, match="is NaN: choose another metric"):
        training_labels(np.full((3, 2), NAN), "single", None)


def test_an_unknown_reduction_is_named() -> None:
    with pytest.raises(NaspError, match=r"benchmark.reduction=median: choose single or mean"):
        training_labels(np.array([[0.5]]), "median", None)


def table(*quantities: str) -> BenchmarkTable:
    """Two runs of four architectures, of which the last one failed in both metrics."""
    runs = {
        "validation_accuracy": [[0.9, 0.8], [0.1, 0.7], [0.6, np.nan], [0.1, 0.1]],
        "test_accuracy": [[0.8, 0.7], [0.2, 0.6], [0.5, np.nan], [0.1, 0.2]],
    }
    metrics = {f"cifar10/{name}/108": np.array(runs[name]) for name in quantities}
    return BenchmarkTable("macro", np.zeros((4, 8), np.uint8), metrics=metrics)


def test_labels_are_of_validation_and_truth_of_test() -> None:
    both = table("validation_accuracy", "test_accuracy")
    labels = Labels.read(both, "cifar10", 108, "single", failed_below=0.2)
    assert labels.both
    assert (labels.label_metric, labels.test_metric) == ("validation_accuracy", "test_accuracy")
    assert labels.test_reduction == "mean"
    np.testing.assert_allclose(labels.training(), [0.9, 0.7, 0.6, np.nan])
    np.testing.assert_allclose(labels.answers(), [0.9, 0.7, 0.6, 0.1])
    np.testing.assert_allclose(labels.truth(), [0.75, 0.6, 0.5, 0.15])  # a failed run left out
    np.testing.assert_array_equal(labels.truth(), labels.mean_test())


@pytest.mark.parametrize("quantity", ["validation_accuracy", "test_accuracy"])
def test_one_metric_is_label_and_truth(quantity: str) -> None:
    labels = Labels.read(table(quantity), "cifar10", 108, "single", failed_below=0.3)
    assert labels.label_metric == labels.test_metric == quantity
    assert not labels.both
    assert labels.test_reduction == "single"
    np.testing.assert_array_equal(labels.truth(), labels.runs[:, 0])  # failed ones among them
    np.testing.assert_allclose(labels.mean_test()[1], labels.runs[1, 1])


def test_a_table_without_such_an_accuracy_is_one_sentence() -> None:
    one = table("test_accuracy")
    with pytest.raises(NaspError, match=r"benchmark\.dataset=mnist: this source has cifar10"):
        Labels.read(one, "mnist", 108)
    with pytest.raises(
        NaspError, match=r"benchmark.epochs=36: .* it has cifar10/test_accuracy/108"
    ):
        Labels.read(one, "cifar10", 36)


def test_a_scale_leads_there_and_back() -> None:
    accuracies = np.array([0.7, 0.8, 0.9])
    scale = LabelScale.of(accuracies)
    assert (scale.mean, scale.deviation) == (accuracies.mean(), accuracies.std())
    normal = scale.normalise(accuracies)
    assert normal.mean() == pytest.approx(0)
    assert normal.std() == pytest.approx(1)
    np.testing.assert_allclose(scale.restore(normal), accuracies)
    assert LabelScale.of(np.array([0.5, 0.5])) == LabelScale(0.5, 1.0)
    torch.testing.assert_close(scale.restore(torch.from_numpy(normal)), torch.tensor(accuracies))
