from __future__ import annotations

import numpy as np
import pytest

from nasp_lightning.data.labels import (
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
