"""The command line itself, in processes of its own; what runs do is in tests/job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from getpass import getuser
from pathlib import Path

import pytest

from nasp_lightning.error import NaspError
from tests.tiny import csv_words, nasp, write_csv

PROBE = """
import sys
sys.argv = ["nasp", *sys.argv[1:]]
from nasp_lightning.cli import main
try:
    main()
finally:
    heavy = {"torch", "lightning", "numpy", "scipy", "wandb", "pandas"} & set(sys.modules)
    sys.stderr.write(f"heavy: {sorted(heavy)}")
"""

MINE = '''
import torch
from torch import nn

class Mine(nn.Module):
    """Counts an operation."""
    def __init__(self, shape, code=3):
        super().__init__()
        self.code = code
        self.slope = nn.Parameter(torch.ones(()))

    def forward(self, graphs):
        return self.slope * (graphs.operations == self.code).float().sum(1)
'''


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("data") / "nasbench201_15625.csv")


@pytest.fixture
def words(table: Path) -> tuple[str, ...]:
    return csv_words(table)


def errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--cfg", "job"],
        ["--cfg", "job", "--resolve", "+experiment=nb201_tnasp_se"],
        ["--hydra-help"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_questions_are_answered_without_anything_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("heavy: []")
    if arguments == ["--help"]:
        commands = [line for line in done.stdout.splitlines() if line.startswith("  ")]
        for command in (
            "nasp +experiment=nb201_tnasp_se ",
            "nasp -m +experiment=nb201_tnasp +sweep=splits_nb201 ",
            "python -m nasp_lightning.report runs ",
        ):
            assert any(line.strip().startswith(command) for line in commands), command


def test_the_commands_of_the_help_compose() -> None:
    for experiment in ("nb201_tnasp_se", "nb201_tnasp"):
        done = nasp("--cfg", "job", f"+experiment={experiment}")
        assert f"name: {experiment}" in done.stdout


def test_a_split_counts_wherever_it_stands() -> None:
    split, experiment = "+split=78_all", "+experiment=nb201_tnasp_se"
    for words in ((split, experiment), (experiment, split)):
        done = nasp("--cfg", "job", *words, "--package", "data")
        assert "train_size: 78\n" in done.stdout


def test_completion_answers_without_anything_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, "-sc", "query=bash"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COMP_LINE": "nasp predictor=t", "COMP_POINT": "16"},
    )
    assert done.returncode == 0, done.stderr
    assert "predictor=tnasp" in done.stdout.split()
    assert done.stderr.endswith("heavy: []")


def test_a_run_leaves_everything_in_its_folder(tmp_path: Path, words: tuple[str, ...]) -> None:
    here, folder, temporary = tmp_path / "here", tmp_path / "D", tmp_path / "tmp"
    here.mkdir()
    temporary.mkdir()
    run = (f"hydra.run.dir={folder}", *words, "seed=3", "task.loss=logistic")
    first = nasp(*run, cwd=here, TMPDIR=str(temporary))
    assert "Kendall's tau" in first.stdout
    assert list(here.iterdir()) == []
    assert {path.name for path in temporary.iterdir()} <= {f"torchinductor_{getuser()}"}  # torch's
    results = json.loads((folder / "results.json").read_text())
    assert (results["seed"], results["loss"], results["source"]) == (3, "logistic", "csv")
    assert results["partial"] is True
    again = nasp(*run, cwd=here)
    assert f"done already: {folder / 'results.json'}" in again.stderr
    assert json.loads((folder / "results.json").read_text()) == results


def test_a_killed_command_goes_on(tmp_path: Path, words: tuple[str, ...]) -> None:
    folder = tmp_path / "D"
    run = [f"hydra.run.dir={folder}", *words, "callbacks.checkpoint.every_seconds=0"]
    run += ["trainer.max_epochs=2000"]
    child = subprocess.Popen(
        [sys.executable, "-m", "nasp_lightning", *run],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkpoint = folder / "checkpoint.ckpt"
    try:
        while not checkpoint.exists() and child.poll() is None:
            time.sleep(0.05)
    finally:
        child.send_signal(signal.SIGINT if sys.platform == "win32" else signal.SIGKILL)
        child.wait()
    assert checkpoint.exists()
    assert not (folder / "results.json").exists()
    interrupted = subprocess.Popen(
        [sys.executable, "-m", "nasp_lightning", *run],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    written = checkpoint.stat().st_mtime_ns
    while checkpoint.stat().st_mtime_ns == written and interrupted.poll() is None:
        time.sleep(0.05)
    interrupted.send_signal(signal.SIGINT)
    _, told = interrupted.communicate(timeout=120)
    assert interrupted.returncode == 130, told
    assert b"interrupted: the same command goes on from here" in told
    assert b"Traceback" not in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("task.loss=foo", "task.loss=foo: choose mse, logistic or hinge"),
        ("predictor=foo", "Could not find 'predictor/foo'"),
        ("job._target_=nowhere.run", "job._target_=nowhere.run: there is no such function"),
        ("threads=0", "threads=0"),
        ("name=${nothing}", "nothing"),
        ("data.train_siz=3", "Could not override 'data.train_siz'"),
        ("+split=469", "+split=469: choose from 100_all, 1563_all"),
        ("+split=78,469", "+split=78,469: choose from 100_all, 1563_all"),
    ],
)
def test_one_error_without_a_traceback(
    tmp_path: Path, words: tuple[str, ...], change: str, told: str
) -> None:
    kept = [word for word in words if word.split("=")[0] != change.split("=")[0]]
    done = nasp(f"hydra.run.dir={tmp_path}/D", *kept, change, check=False)
    assert done.returncode == 2
    assert len(errors(done)) == 1
    assert told in errors(done)[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "D" / "results.json").exists()


def test_what_several_experiments_choose_cannot_be_set_beside_them(tmp_path: Path) -> None:
    sweep = ("-m", "+experiment=macro_search_spos,macro_search_nsga2", "search.batch=20")
    done = nasp(f"paths.runs={tmp_path}", *sweep, check=False)
    assert done.returncode == 2
    assert "sweep one experiment at a time" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_in_the_place_of_a_folder(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "file").write_text("")
    for run, cache in ((tmp_path / "file", None), (tmp_path / "D", tmp_path / "file")):
        environment = {} if cache is None else {"NASP_CACHE": str(cache)}
        done = nasp(f"hydra.run.dir={run}", *words, check=False, **environment)
        assert done.returncode == 2
        (line,) = errors(done)
        assert "a file stands where a folder is needed" in line
        assert "Traceback" not in done.stderr


def test_the_traceback_is_there_for_who_asks(tmp_path: Path, words: tuple[str, ...]) -> None:
    run = (f"hydra.run.dir={tmp_path}/D", *words, "threads=0")
    done = nasp(*run, check=False, HYDRA_FULL_ERROR="1")
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "NaspError" in done.stderr


def test_a_predictor_of_ones_own(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Beside where the command is typed, chosen from one's own config folder."""
    (tmp_path / "mine.py").write_text(MINE)
    group = tmp_path / "myconf" / "predictor"
    group.mkdir(parents=True)
    (group / "mine.yaml").write_text("_target_: mine.Mine\n_partial_: true\ncode: 3\n")
    own = [word for word in words if not word.startswith("predictor.")]
    flags = ["--config-dir", str(tmp_path / "myconf"), "predictor=mine", *own]
    script = Path(sys.executable).with_name("nasp")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "nasp_lightning"]
    told = subprocess.run(  # by the installed script: the run itself is `python -m nasp_lightning`
        [*command, "-m", *flags, f"paths.runs={tmp_path}/runs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    (path,) = (tmp_path / "runs").rglob("results.json")
    results = json.loads(path.read_text())
    assert results["predictor"] == "mine"
    assert results["kendall_tau"] > 0.3  # more 3x3 convolutions are better
    alone = subprocess.run(
        [*command, *flags, f"hydra.run.dir={path.parent}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "done already" in alone.stderr  # the same run, found again without a sweep


def test_every_kind_of_error_has_its_words() -> None:
    from hydra.errors import HydraException, InstantiationException

    from nasp_lightning.run.compose import explain

    assert explain(NaspError("a sentence")) == "a sentence"
    wrapped = InstantiationException("Error in call to\nsomething")
    assert explain(wrapped) == "Error in call to something"
    wrapped.__cause__ = NaspError("inner")
    assert explain(wrapped) == "inner"
    assert explain(HydraException("words")) == "words"
    assert "cannot be written" in str(explain(PermissionError(13, "denied", "/x")))
    assert explain(ZeroDivisionError()) is None
