from __future__ import annotations

from nasp_lightning.framework.supervised import Supervised
from nasp_lightning.metric.functional import kendall_tau
from nasp_lightning.task.predictor import PredictorTask
from tests.framework.runs import Linear, fit, make_data


def test_one_phase_of_so_many_epochs() -> None:
    task, data = PredictorTask(Linear()), make_data()
    assert Supervised().prepare(task, data, 7) == 7
    assert [(phase.name, phase.epochs) for phase in task.phases] == [("supervised", 7)]
    assert Supervised().queried_labels(data) == 40


def test_the_control_counts_its_labels() -> None:
    data = make_data(train_on_validation=True)
    assert Supervised().queried_labels(data) == 60


def test_it_learns() -> None:
    predictor, data = Linear(), make_data()
    framework = Supervised()
    fit(framework, data, 60, predictor)
    assert kendall_tau(predictor(data.graphs).detach(), data.true_accuracy) > 0.8
    assert framework.phase_results == {}
