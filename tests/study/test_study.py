"""A study fits neural and classical predictors alike, and says when it begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.run.config import RunInfo
from nasp_lightning.study.ranking import rank_scores
from nasp_lightning.study.settings import StudySettings
from nasp_lightning.study.study import Study
from tests.tiny import SMALL_DATA, compose_config, tiny_table


def settings(*words: str) -> StudySettings:
    return StudySettings.of(RunInfo.of(compose_config(*SMALL_DATA, *words)))


@pytest.mark.parametrize(
    ("words", "phases"),
    [
        (("trainer.max_epochs=1",), ["supervised"]),
        (
            ("framework=self_evolution", "framework.iterations=1", "trainer.max_epochs=1"),
            ["supervised", "self_evolution"],
        ),
        (("predictor=gradient_boosting", "predictor.iterations=20"), ["supervised"]),
    ],
    ids=["neural", "phases", "classical"],
)
def test_every_kind_gives_the_same_things(
    words: tuple[str, ...], phases: list[str], tmp_path: Path
) -> None:
    study, begun = Study.open(settings(*words), tiny_table()), list[bool]()
    fitted = study.fit(tmp_path, 5, lambda: begun.append(True))
    assert begun == [True]
    assert list(fitted.phases) == phases
    assert fitted.scores.shape == (100,)
    assert fitted.final.scores == rank_scores(fitted.scores, study.data, 5)
    assert fitted.final.queried_labels >= fitted.final.scores.train_labels == 20
    assert fitted.final.codes.budget == fitted.final.queried_labels
    assert min(fitted.fit_seconds, fitted.rank_seconds) >= 0


def test_what_cannot_be_is_refused_before_it_begins(tmp_path: Path) -> None:
    study = Study.open(settings("predictor=gaussian_process", "framework=seminas"), tiny_table())
    with pytest.raises(NaspError, match="framework=seminas trains by gradients"):
        study.fit(tmp_path, 5, lambda: pytest.fail("began"))
    with pytest.raises(NaspError, match=r"job\.top_k=0"):
        Study.open(settings(), tiny_table()).fit(tmp_path, 0, lambda: pytest.fail("began"))


def test_a_study_of_another_seed_is_another_split() -> None:
    first, second = settings("seed=1"), settings("seed=1").with_seed(2)
    rows = [Study.open(item, tiny_table()).data.split.train for item in (first, second)]
    assert not np.array_equal(*rows)
    assert (second.seed, second.info.seed) == (2, 1)
