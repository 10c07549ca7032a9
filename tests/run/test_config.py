"""A run's config is read once: choices are built in one sentence's words, hashes are its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nasp_lightning.error import NaspError
from nasp_lightning.run.config import Component, RunInfo
from nasp_lightning.run.folder import config_hash, method_hash
from nasp_lightning.space.nasbench201 import NASBench201
from tests.tiny import compose_config

SPACE = "nasp_lightning.space.nasbench201.NASBench201"


def info(*words: str) -> RunInfo:
    return RunInfo.of(compose_config("benchmark=nasbench201", *words))


def test_a_choice_knows_its_name_and_is_built() -> None:
    chosen: Component[NASBench201] = Component("space", {"_target_": SPACE, "encoding": "node"})
    assert (chosen.name, chosen.word) == ("nasbench201", "space=nasbench201")
    assert chosen.kind() is NASBench201
    assert chosen.build().encoding == "node"
    assert chosen.changed(encoding="edge").build().encoding == "edge"
    assert chosen.settings["encoding"] == "node"  # a changed choice is another one


def test_only_a_part_with_a_seed_gets_the_runs() -> None:
    without: Component[object] = Component("space", {"_target_": SPACE})
    assert without.seeded(3) is without
    seeded: Component[object] = Component("predictor", {"_target_": SPACE, "seed": 0})
    assert seeded.seeded(3).settings["seed"] == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"_target_": SPACE, "encoding": "path"}, r"space\.encoding=edge"),
        ({"_target_": SPACE, "colour": 1}, r"space: .*colour.* \(see conf/space/"),
        ({"_target_": "no.such.thing"}, r"space: .*no\.such"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(settings: dict[str, object], message: str) -> None:
    chosen: Component[object] = Component("space", settings)
    with pytest.raises(NaspError, match=message):
        chosen.build()


def test_a_run_knows_what_names_it() -> None:
    config = compose_config("benchmark=nasbench201", "seed=3", "paths.chain=somewhere")
    found = RunInfo.of(config)
    assert (found.seed, found.chain) == (3, Path("somewhere"))
    assert found.config_hash == config_hash(config)
    assert found.method_hash == method_hash(config) == info("seed=4").method_hash
    assert info().chain is None
    assert found.component("predictor").name == "tnasp"
    assert found.optional("logger") is None
    with pytest.raises(NaspError, match="search: the config has none"):
        found.component("search")


def test_a_family_shares_its_hash() -> None:
    free = {"train_size": None}
    small, large = info("data.train_size=20"), info("data.train_size=40")
    assert small.method_hash != large.method_hash
    assert small.changed_method_hash(data=free) == large.changed_method_hash(data=free)
    assert small.changed_method_hash() == small.method_hash


def test_a_run_begins_with_its_config(tmp_path: Path) -> None:
    run = info()
    run.begin(tmp_path, with_versions=False)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == run.plain
    assert not (tmp_path / "versions.json").exists()
    run.begin(tmp_path)
    assert (tmp_path / "versions.json").exists()


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_a_seed_is_a_whole_number(seed: object) -> None:
    config = {**compose_config("benchmark=nasbench201"), "seed": seed}
    with pytest.raises(NaspError, match="seed="):
        RunInfo.of(config).check_seed()
