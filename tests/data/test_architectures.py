from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import NaspError
from nasp_lightning.predictor.siamese import Siamese
from nasp_lightning.space.nasbench201 import NASBench201
from tests.tiny import space, tiny_table


def make(table: Any = None, **settings: Any) -> ArchitectureData:
    sizes = {"train_size": 23, "validation_size": 10, "monitor_size": 20, **settings}
    return ArchitectureData(tiny_table() if table is None else table, space(), **sizes)


def epoch_of(data: ArchitectureData, epoch: int) -> list[Any]:
    data.trainer = SimpleNamespace(current_epoch=epoch)
    return list(data.train_dataloader())


def test_training_labels_have_zero_mean_and_unit_deviation() -> None:
    data = make()
    assert float(data.training_labels.mean()) == pytest.approx(0, abs=1e-6)
    assert float(data.training_labels.std(correction=0)) == pytest.approx(1, abs=1e-5)
    label = data.training_labels[3] * data.std + data.mean
    assert float(label) == pytest.approx(data.all_labels[data.train_indices[3]], abs=1e-6)


def test_published_constants() -> None:
    data = make(normalisation="published", published_normalisation={"cifar10": [0.5, 0.1]})
    assert (data.mean, data.std) == (0.5, 0.1)
    with pytest.raises(NaspError, match="no published constants for cifar10"):
        make(normalisation="published")
    with pytest.raises(NaspError, match=r"data.normalisation=wrong: choose train or published"):
        make(normalisation="wrong")


def test_one_training_architecture_and_equal_labels_divide_by_nothing() -> None:
    assert make(train_size=1).std == 1.0
    table = tiny_table()
    for values in table.metrics.values():
        values[:] = 0.5
    assert torch.equal(make(table).training_labels, torch.zeros(23))


def test_an_epoch_has_every_architecture_at_most_once() -> None:
    data = make(batch_size=5)
    batches = epoch_of(data, 0)
    assert [len(batch.labels) for batch in batches] == [5, 5, 5, 5]
    whole = make(batch_size=5, drop_last=False)
    labels = torch.cat([batch.labels for batch in epoch_of(whole, 0)])
    assert sorted(labels.tolist()) == sorted(whole.training_labels.tolist())


def test_graphs_and_labels_stay_together() -> None:
    data = make(batch_size=4, drop_last=False)
    known = {
        tuple(row): float(label)
        for row, label in zip(
            data.graphs[data.training_indices].operations.tolist(),
            data.training_labels,
            strict=True,
        )
    }
    for batch in epoch_of(data, 3):
        for row, label in zip(batch.graphs.operations.tolist(), batch.labels, strict=True):
            assert known[tuple(row)] == float(label)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[float]:
        torch.manual_seed(seed * 7 + epoch)  # whatever the generator's state is
        batches = epoch_of(make(seed=seed, batch_size=5), epoch)
        return torch.cat([batch.labels for batch in batches]).tolist()

    assert order(0, 4) == order(0, 4)
    assert order(0, 4) != order(0, 5)
    assert order(0, 4) != order(1, 4)


def test_a_training_set_smaller_than_a_batch_is_one_batch() -> None:
    batches = epoch_of(make(train_size=3, batch_size=10), 0)
    assert [len(batch.labels) for batch in batches] == [3]


def test_a_framework_may_replace_the_training_set() -> None:
    data = make(batch_size=4)
    data.set_training(torch.arange(8), torch.arange(8.0))
    labels = torch.cat([batch.labels for batch in epoch_of(data, 0)])
    assert sorted(labels.tolist()) == list(range(8))


def test_test_accuracy_is_the_truth_where_the_source_has_it() -> None:
    data = make()
    assert (data.train_metric.quantity, data.test_metric.quantity) == (
        "validation_accuracy",
        "test_accuracy",
    )
    test = tiny_table().metrics["cifar10/test_accuracy/200"].astype(np.float64).mean(1)
    np.testing.assert_allclose(data.true_accuracy, test)


def test_validation_accuracy_is_both_where_there_is_no_other() -> None:
    data = make(tiny_table(test_accuracy=False))
    assert data.train_metric == data.test_metric
    np.testing.assert_allclose(data.true_accuracy, data.all_labels)


def test_test_accuracy_is_both_where_there_is_no_other() -> None:
    table = tiny_table()
    del table.metrics["cifar10/validation_accuracy/200"]
    data = make(table)
    assert data.train_metric.quantity == data.test_metric.quantity == "test_accuracy"


def test_failed_runs_are_not_trained_on_but_ranked() -> None:
    table = tiny_table()
    validation = table.metrics["cifar10/validation_accuracy/200"]
    validation[:30] = 0.1
    validation[30:60, 0] = 0.1
    data = make(table, reduction="single", failed_below=0.2, train_size=40, validation_size=10)
    assert np.isnan(data.all_labels[:30]).all()
    np.testing.assert_allclose(data.all_labels[30:60], validation[30:60, 1])
    assert not set(range(30)) & set(data.train_indices.tolist())
    assert set(range(30)) <= set(data.split.test.tolist())
    with pytest.raises(NaspError, match=r"but the benchmark has [67]"):
        make(table, reduction="single", failed_below=0.2, train_size=65, validation_size=6)


def test_unknown_labels_are_left_out() -> None:
    table = tiny_table()
    table.metrics["cifar10/validation_accuracy/200"][5:50] = np.nan
    data = make(table)
    assert not set(range(5, 50)) & {*data.train_indices.tolist(), *data.split.validation.tolist()}
    assert torch.isfinite(data.training_labels).all()
    table.metrics["cifar10/validation_accuracy/200"][:] = np.nan
    with pytest.raises(NaspError, match="every accuracy of the chosen metric is NaN"):
        make(table)


def test_training_on_the_validation_set_too() -> None:
    data = make(train_on_validation=True)
    assert len(data.train_indices) == 33
    assert set(data.split.validation) <= set(data.train_indices)
    assert len(data.training_labels) == 33


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dataset": "mnist"}, "benchmark.dataset=mnist: this source has cifar10"),
        ({"epochs": 12}, r"benchmark.epochs=12: .*cifar10/test_accuracy/200"),
        ({"batch_size": 0}, "data.batch_size=0"),
        ({"batch_size": 2.5}, r"data.batch_size=2\.5"),
        ({"train_size": 0}, "data.train_size=0"),
        ({"train_size": 95}, "choose smaller sizes"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(NaspError, match=words):
        make(**settings)


def test_accuracies_in_percent_are_refused() -> None:
    table = tiny_table()
    table.metrics["cifar10/validation_accuracy/200"] *= 100
    with pytest.raises(NaspError, match="accuracies must be fractions"):
        make(table)
    table = tiny_table()
    table.metrics["cifar10/test_accuracy/200"] *= 100
    with pytest.raises(NaspError, match="accuracies must be fractions"):
        make(table)


def test_an_architecture_of_another_space_is_named() -> None:
    table = tiny_table()
    operations = table.operations.copy()
    operations[4, 2] = 9
    with pytest.raises(NaspError, match="architecture 4 has operation 9 on edge 2"):
        make(replace(table, operations=operations))


def test_the_monitor_takes_what_there_is() -> None:
    assert len(make(monitor_size=1000).monitor_indices) == 100
    few = make(test_size=5, monitor_size=20)
    assert sorted(few.monitor_indices) == sorted(few.split.test)
    assert make().split_name == "23/all"


def proxied() -> Any:
    values = np.random.default_rng(1).random(100)
    return replace(tiny_table(), costs={"proxy/synflow": values})


def test_another_seed_of_the_same_data() -> None:
    data = make(proxied(), features=["synflow"])
    data.need(np.arange(5))
    other, fresh = data.with_seed(3), make(proxied(), features=["synflow"], seed=3)
    assert (other.seed, other.mean, other.std) == (3, fresh.mean, fresh.std)
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(other.split, name), getattr(fresh.split, name))
    assert torch.equal(other.training_labels, fresh.training_labels)
    assert other.graphs is data.graphs
    assert (data.seed, data.queried_codes, other.queried_codes) == (0, 5, 0)
    rows, labels = other.epoch_order(2)
    assert sorted(rows.tolist()) == sorted(other.train_indices.tolist())
    np.testing.assert_allclose(labels, other.normalise(other.all_labels[rows.numpy()]))


def test_shuffled_inputs_are_the_same_ones_elsewhere() -> None:
    own = make(proxied(), features=["synflow"]).graphs.features
    shuffled = make(proxied(), features=["synflow"], shuffle_features=0).graphs.features
    assert own is not None
    assert shuffled is not None
    assert torch.equal(own.sort(0).values, shuffled.sort(0).values)
    assert float((own == shuffled).float().mean()) < 0.1
    with pytest.raises(NaspError, match=r"data\.shuffle_features=-1"):
        make(proxied(), features=["synflow"], shuffle_features=-1)


class Given:
    """Codes of two numbers that name their row; notes what it was asked for."""

    length, cost = 2, 0.5

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def codes(self, rows: Any) -> Any:
        self.asked.append(rows.tolist())
        return np.stack([rows, -rows], axis=1).astype(np.float32)


def test_codes_are_asked_for_once_and_where_they_are_needed() -> None:
    given = Given()
    data = make(code=given)
    assert data.shape.features == 2
    assert data.graphs.features is not None
    assert data.graphs.features.isnan().all()
    data.need(np.array([7, 3, 7]))
    data.need(np.array([3, 4]))
    assert given.asked == [[3, 7], [4]]
    assert data.graphs.features[[3, 7, 4]].tolist() == [[3, -3], [7, -7], [4, -4]]
    assert data.graphs.features.isnan().any(1).sum() == 97
    assert data.queried_codes == 3
    data.epoch_order(0)
    assert given.asked[2] == sorted(set(data.train_indices) - {3, 4, 7})


def test_a_ranking_asks_for_its_shortlist() -> None:
    given = Given()
    sizes = {"train_size": 20, "validation_size": 0}
    data = ArchitectureData(tiny_table(), NASBench201("dataflow"), **sizes, code=given)
    rows = np.random.default_rng(0).permutation(100)[:40]
    torch.manual_seed(0)
    predictor = Siamese(data.shape, 4, top=5)
    scores = data.scores(predictor, rows)
    assert scores.shape == (40,)
    assert predictor.estimated is not None
    assert given.asked == [sorted(rows[predictor.estimated.numpy()])]
    assert set(np.argsort(-scores.numpy())[:5]) == set(predictor.estimated.tolist())


def test_codes_of_another_seed_are_its_own() -> None:
    data = make(code=Given())
    other = data.with_seed(3)
    other.graphs = replace(other.graphs, features=data.graphs.features.clone())  # as on a GPU
    for each in (data, other):
        each.need(np.array([8]))
        assert each.graphs.features[8].tolist() == [8, -8]


def test_codes_of_a_killed_run_are_had_again() -> None:
    data, given = make(code=Given()), Given()
    data.need(np.array([9, 2]))
    again = make(code=given)
    again.load_state_dict(data.state_dict())
    assert given.asked == [[2, 9]]
    assert again.queried_codes == 2
    assert make().state_dict() == {}


def test_two_kinds_of_extra_inputs_are_refused() -> None:
    with pytest.raises(NaspError, match=r"data\.features=\['synflow'\] and an estimation_code"):
        make(proxied(), features=["synflow"], code=Given())
