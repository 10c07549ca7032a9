from __future__ import annotations

import pytest

from nasp_lightning.run.recipe import Setting, experiments, not_followed, recipe
from nasp_lightning.run.variant import variant
from nasp_lightning.shipped import conf_dir
from tests.tiny import compose_config


def test_a_recipe_is_what_the_experiment_changes() -> None:
    for benchmark, prefix in (("nasbench101", "nb101"), ("nasbench201", "nb201")):
        for predictor in ("nao", "brp", "bonas", "pinat", "tnasp"):
            config = compose_config(f"+experiment={prefix}_{predictor}")
            settings = {name: item.value for name, item in recipe(benchmark, predictor).items()}
            assert settings == variant(config), (benchmark, predictor)


def test_values_stand_beside_the_defaults() -> None:
    assert recipe("nasbench201", "pinat") == {}
    nao = recipe("nasbench101", "nao")
    assert nao["trainer.max_epochs"] == Setting(1000, 300)
    assert nao["scheduler._target_"].default.endswith(".cosine")


@pytest.mark.parametrize("predictor", ["nao", "brp", "bonas"])
def test_a_predictor_says_where_its_recipe_is(predictor: str) -> None:
    """Where the defaults are not how it was trained, its config names the experiments that are."""
    text = (conf_dir() / "predictor" / f"{predictor}.yaml").read_text(encoding="utf-8")
    for benchmark, prefix in (("nasbench101", "nb101"), ("nasbench201", "nb201")):
        assert "trainer.max_epochs" in recipe(benchmark, predictor)
        assert f"{prefix}_{predictor}" in text


def test_training_otherwise_than_published_is_told() -> None:
    assert (
        not_followed("nasbench101", "nao", variant(compose_config("+experiment=nb101_nao"))) is None
    )
    told = not_followed(
        "nasbench101", "nao", variant(compose_config("+experiment=nb101_tnasp", "predictor=nao"))
    )
    assert told is not None
    assert "+experiment=nb101_nao has" in told
    assert "trainer.max_epochs=1000" in told
    assert not_followed("nasbench101", "tnasp", {"predictor.layers": 2}) is None


def test_no_experiment_no_recipe() -> None:
    assert recipe("nasbench101", "mine") == {}
    assert recipe("macro", "nao") == {}


def test_values_that_another_setting_gives_are_left_out() -> None:
    assert "data.features" not in recipe("nasbench201", "proxy")


def test_experiments_are_found_by_what_they_choose() -> None:
    found = experiments()
    assert found["nasbench101", "nao"] == "nb101_nao"
    assert found["macro", "tnasp"] == "macro_tnasp"
    assert ("nasbench101", "proxy") not in found
    assert all(name.endswith(f"_{predictor}") for (_, predictor), name in found.items())
