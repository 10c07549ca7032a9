from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from nasp_lightning.report.__main__ import main
from tests.report.conftest import WriteRun, self_evolution


def test_report_on_the_terminal(write_run: WriteRun, tmp_path: Path, capsys):
    write_run(**self_evolution(0.7, kendall_tau=0.73))
    (write_run("cut") / "results.json").unlink()
    (write_run("bad") / "results.json").write_text("{")
    assert main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "tnasp + SE" in out
    assert "+0.008" in out
    assert "No control for" in out
    last = out.replace("\n", " ").split("Left out: ")[1]
    assert "1 damaged" in last
    assert "not JSON" in last
    assert "1 unfinished" in last
    assert "not run" not in out


def test_all_lists_the_papers_other_methods(write_run: WriteRun, tmp_path: Path, capsys):
    write_run()
    assert main([str(tmp_path), "--all"]) == 0
    assert "gmae_nas" in capsys.readouterr().out


def test_files(write_run: WriteRun, tmp_path: Path):
    pytest.importorskip("matplotlib")
    write_run()
    out = tmp_path / "out"
    files = ["--csv", out / "a.csv", "--markdown", out / "a.md", "--plot", out / "figures"]
    assert main([str(tmp_path), *map(str, files)]) == 0
    assert (out / "a.csv").read_text().startswith("benchmark,")
    assert (out / "a.md").read_text().startswith("## ")
    assert len(list((out / "figures").iterdir())) == 2


def test_one_table_of_a_paper(write_run: WriteRun, tmp_path: Path, capsys):
    write_run(**self_evolution(0.7))
    write_run(predictor="mlp")
    out = tmp_path / "out"
    table = ["--table", "TNASP supplementary Table 5"]
    files = ["--csv", out / "a.csv", "--published", out / "published.csv"]
    assert main([str(tmp_path), *table, *map(str, files)]) == 0
    shown = capsys.readouterr().out
    assert "0.705" in shown
    assert "mlp" not in shown
    assert "+ SE" not in shown
    assert len((out / "a.csv").read_text().splitlines()) == 2
    assert len((out / "published.csv").read_text().splitlines()) == 16


def test_published_numbers_need_no_runs(tmp_path: Path, capsys):
    assert main(["--published", str(tmp_path / "all.csv")]) == 0
    assert (tmp_path / "all.csv").read_text().count("PINAT Table 1") > 50
    with pytest.raises(SystemExit):
        main([])
    assert "name RUNS" in capsys.readouterr().err


def test_plain_predictors_alone(write_run: WriteRun, tmp_path: Path, capsys):
    write_run(**self_evolution(0.70))
    write_run(seed=1, loss="logistic", kendall_tau=0.75)
    write_run(seed=2, train_on_validation=True, variant={"data.train_on_validation": True})
    write_run(predictor="nao", loss="own", kendall_tau=0.6)
    path = tmp_path / "plain.csv"
    assert main([str(tmp_path / "runs"), "--plain", "--csv", str(path)]) == 0
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["predictor"] for row in rows] == ["nao", "tnasp"]
    assert float(rows[1]["kendall_tau_mean"]) == 0.70
    assert "No control" not in capsys.readouterr().out


def test_a_table_without_runs_is_one_line(write_run: WriteRun, tmp_path: Path, capsys):
    write_run(predictor="mlp")
    assert main([str(tmp_path), "--table", "TNASP supplementary Table 7"]) == 2
    assert "belongs to TNASP supplementary Table 7" in capsys.readouterr().err


def test_nothing_to_report_is_one_line(tmp_path: Path, capsys):
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("no finished run")
    assert error.count("\n") == 1


@pytest.mark.parametrize("columns", ["40", "80"])
def test_a_narrow_terminal_that_knows_no_plus_minus(
    write_run: WriteRun, tmp_path: Path, columns: str
):
    for seed in range(2):
        write_run(seed=seed, variant={"predictor.[bold]x": 1})
    code = "import sys, nasp_lightning.report.__main__ as m; r = m.main(sys.argv[1:]); "
    code += "sys.exit(3 if 'torch' in sys.modules else r)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "COLUMNS": columns, "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert b"[bold]x" in done.stdout.replace(b"\n", b"") or columns == "40"
    assert (b"0.700 ? 0.000" in done.stdout) == (columns == "80")
    assert max(map(len, done.stdout.splitlines())) <= int(columns)
