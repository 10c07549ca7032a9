from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from nasp_lightning.error import NaspError
from nasp_lightning.run.folder import (
    check_source,
    config_hash,
    finished_results,
    method_hash,
    resolved,
    stem,
)
from nasp_lightning.storage import file_sha256, write_json

CONFIG = {"seed": 0, "name": "a", "data": {"train_size": 4}, "paths": {"runs": "runs"}}


def test_the_hash_is_of_what_determines_the_result() -> None:
    first = config_hash(CONFIG)
    assert len(first) == 12
    for key, value in {"seed": 1, "data": {"train_size": 5}, "further": 3}.items():
        assert config_hash({**CONFIG, key: value}) != first
    for key in ("name", "paths", "logger", "callbacks", "threads", "hydra"):
        assert config_hash({**CONFIG, key: {"x": 1}}) == first


def test_the_order_of_keys_does_not_matter() -> None:
    assert config_hash(dict(reversed(CONFIG.items()))) == config_hash(CONFIG)


def test_all_seeds_of_a_method_share_a_hash() -> None:
    other = {**CONFIG, "seed": 7}
    assert config_hash(CONFIG, without=("seed",)) == config_hash(other, without=("seed",))


def test_a_composed_config_has_the_hash_of_its_resolved_form() -> None:
    config = OmegaConf.create(
        {**CONFIG, "copy": "${data.train_size}", "hydra": {"job": {"num": "???"}}}
    )
    plain = resolved(config)
    assert plain == {**CONFIG, "copy": 4}
    assert config_hash(config) == config_hash(plain)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"config_hash": "other"}', "{}"])
def test_what_is_no_result_of_this_config(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    assert finished_results(tmp_path, "abc") is None


def test_a_finished_run(tmp_path: Path) -> None:
    assert finished_results(tmp_path, "abc") is None
    write_json(tmp_path / "results.json", {"config_hash": "abc", "kendall_tau": 0.5})
    assert finished_results(tmp_path, "abc") == {"config_hash": "abc", "kendall_tau": 0.5}
    (tmp_path / "results.json").write_bytes(b"\xff\xfe{")
    assert finished_results(tmp_path, "abc") is None


def test_a_run_rests_on_the_files_that_it_lists(tmp_path: Path) -> None:
    record = tmp_path / "record"
    record.write_text("four")
    results = {"config_hash": "abc", "files": {str(record): 4}}
    write_json(tmp_path / "results.json", results)
    assert finished_results(tmp_path, "abc") == results
    record.write_text("cut")
    assert finished_results(tmp_path, "abc") is None
    record.unlink()
    assert finished_results(tmp_path, "abc") is None


@pytest.mark.parametrize(
    ("target", "name"),
    [("nasp_lightning.predictor.tnasp.TNASP", "tnasp"), ("mine.Predictor", "mine"), ("x", "x")],
)
def test_a_component_is_named_after_its_module(target: str, name: str) -> None:
    assert stem(target) == name


def test_seeds_of_a_method_share_its_hash_and_nothing_else() -> None:
    first = {"seed": 0, "predictor": {"_target_": "a.b.C", "seed": 0, "width": 1}}
    second = {"seed": 1, "predictor": {"_target_": "a.b.C", "seed": 1, "width": 1}}
    other = {"seed": 0, "predictor": {"_target_": "a.b.C", "seed": 0, "width": 2}}
    assert method_hash(first) == method_hash(second) != method_hash(other)
    assert config_hash(first) != config_hash(second)


def test_a_benchmark_file_that_was_changed_since(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("a")
    results = {"config_hash": "abc", "name": "x", "source_sha256": file_sha256(file)}
    check_source(results, str(file))
    file.write_text("other")
    with pytest.raises(NaspError, match=r"mine\.csv was changed since the run abc of x"):
        check_source(results, str(file))
    for harmless in (None, str(tmp_path)):
        check_source(results, harmless)


def test_where_codes_are_computed_does_not_name_a_run() -> None:
    def named(**code: object) -> str:
        return config_hash({"seed": 0, "estimation_code": {"seed": 1, **code}})

    assert named(concurrent=4, folder="codes") == named(concurrent=1) == named()
    assert named(cost=0.1) != named()
