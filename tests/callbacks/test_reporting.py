from __future__ import annotations

import pytest
from lightning.pytorch import LightningModule

from nasp_lightning.callbacks.reporting import Measured, Reporting, reporting
from nasp_lightning.task.classifier import Classifier
from nasp_lightning.task.predictor import PredictorTask


def test_the_tasks_report() -> None:
    for task in (PredictorTask, Classifier):
        for name in ("metric_names", "shown", "epoch_values", "phase_name"):
            assert hasattr(task, name), f"{task.__name__}.{name} of {Reporting.__name__}"
    assert issubclass(Classifier, Measured)
    assert not issubclass(PredictorTask, Measured)


def test_a_task_that_does_not_is_named() -> None:
    class Silent(LightningModule):
        pass

    with pytest.raises(TypeError, match="Silent has not all of metric_names, shown"):
        reporting(Silent())
