from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.job import train_predictor
from nasp_lightning.logger import MODES, wandb_logger
from nasp_lightning.run.folder import config_hash
from tests.tiny import make_config, tiny_table

CONFIG: dict[str, Any] = {"name": "a", "seed": 0}


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No key, no settings of the user's, and nothing in the home folder."""
    home = tmp_path_factory.mktemp("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("WANDB_SILENT", "true")


def records(folder: Path) -> list[Any]:
    """What the offline file of a run holds: records in LevelDB's log format, 7 bytes in front."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    data, block = path.read_bytes(), 32768
    found, part, place = [], b"", 7
    while place + 7 <= len(data):
        if block - place % block < 7:  # the rest of a block is padding
            place += block - place % block
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        part += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(part)
            found.append(record)
            part = b""
    return found


def summary(found: list[Any]) -> dict[str, Any]:
    return {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for record in found
        for item in record.summary.update
    }


def logged(found: list[Any], name: str) -> list[float]:
    """Values of one metric, epoch by epoch."""
    items = [item for record in found for item in record.history.item]
    named = [item for item in items if (item.key or "/".join(item.nested_key)) == name]
    return [json.loads(item.value_json) for item in named]


def test_offline_runs_write_into_their_folders_twice_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    words = ("logger=wandb", "logger.mode=offline", "logger.tags=[mine]", "logger.group=together")
    configs = [make_config(*words, f"seed={seed}") for seed in (0, 1)]
    results = [
        train_predictor.run(config, tmp_path / f"D{config['seed']}", tiny_table())
        for config in configs
    ]
    wandb.teardown()  # its own process writes the last records now
    for config, result in zip(configs, results, strict=True):
        found = records(tmp_path / f"D{config['seed']}")
        run = next(record.run for record in found if record.HasField("run"))
        assert run.project == "nasp_lightning"
        assert run.run_group == "together"
        assert list(run.tags) == ["mine"]
        assert run.display_name == f"{config['name']}-{config_hash(config)}"
        updates = [run.config, *(record.config for record in found if record.HasField("config"))]
        sent = {item.key: json.loads(item.value_json) for part in updates for item in part.update}
        assert sent["seed"] == config["seed"]
        assert sent["data"]["train_size"] == 20
        assert summary(found)["kendall_tau"] == pytest.approx(result["kendall_tau"])
        assert len(logged(found, "train/loss")) == 2
    assert list(here.iterdir()) == []


def test_disabled_writes_nothing_to_send(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    config = make_config("logger=wandb", "logger.mode=disabled")
    assert train_predictor.run(config, tmp_path, tiny_table())["kendall_tau"]
    assert not list(tmp_path.rglob("*.wandb"))


def test_the_default_group_and_tags() -> None:
    logger = make_config("logger=wandb")["logger"]
    assert logger["group"] == "nasbench201_tnasp"
    assert logger["tags"] == ["nasbench201", "tnasp", "supervised"]
    assert logger["mode"] in MODES


def test_the_logger_does_not_change_the_runs_identity() -> None:
    assert config_hash(make_config("logger=wandb")) == config_hash(make_config())


def test_a_failed_run_is_closed(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    config = make_config("logger=wandb", "logger.mode=offline", "optimizer.lr=1e30")
    with pytest.raises(NaspError, match=r"lower optimizer\.lr"):
        train_predictor.run(config, tmp_path / "failed", tiny_table())
    assert wandb.run is None
    again = make_config("logger=wandb", "logger.mode=offline")
    train_predictor.run(again, tmp_path / "again", tiny_table())
    wandb.teardown()
    assert logged(records(tmp_path / "again"), "train/loss")


@pytest.mark.parametrize("mode", ["wrong", "", None])
def test_an_unknown_mode_is_one_sentence(tmp_path: Path, mode: Any) -> None:
    with pytest.raises(NaspError, match=f"logger.mode={mode}: choose online, offline or disabled"):
        wandb_logger(tmp_path, CONFIG, mode=mode)


def test_without_wandb_the_remedy_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    def missing(**settings: Any) -> None:
        raise ModuleNotFoundError("No module named 'wandb'")

    monkeypatch.setattr("nasp_lightning.logger.WandbLogger", missing)
    with pytest.raises(NaspError, match=r"pip install 'nasp-lightning\[wandb\]'"):
        wandb_logger(tmp_path, CONFIG)
