"""Sweeps: a process for each run, several at once; what is finished is not repeated."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from nasp_lightning import cli
from nasp_lightning.run import sweep
from nasp_lightning.run.compose import register_resolvers
from nasp_lightning.run.folder import config_hash
from nasp_lightning.run.sweep import Job, available_cores, command, experiment_first, run_all
from nasp_lightning.shipped import conf_dir
from tests.tiny import csv_words, nasp, write_csv

# Plays a job: writes that it began, perhaps sleeps, perhaps fails, writes that it ended.
PLAY = """
import pathlib, sys, time
name, seconds, status = sys.argv[1:]
log = pathlib.Path({log!r})
def note(word):
    with open(log, "a") as file:
        file.write(f"{{word}} {{name}}\\n")
note("began")
print("last words of", name)
time.sleep(float(seconds))
note("ended")
sys.exit(int(status))
"""


def play(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *plays: tuple[str, float, int]
) -> tuple[list[Job], Path]:
    log = tmp_path / "log"
    script = PLAY.format(log=str(log))
    jobs = [
        Job(number, [name, str(seconds), str(status)], tmp_path / name, OmegaConf.create())
        for number, (name, seconds, status) in enumerate(plays)
    ]
    monkeypatch.setattr(sweep, "command", lambda job: [sys.executable, "-c", script, *job.words])
    monkeypatch.setattr(sweep, "POLL_SECONDS", 0.02)
    return jobs, log


def test_a_failed_job_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nasp_lightning")
    jobs, log = play(tmp_path, monkeypatch, ("a", 0, 3), ("b", 0, 0), ("c", 0, 0))
    run_all(jobs, 1)
    assert [job.exit_status for job in jobs] == [3, 0, 0]
    assert log.read_text().split()[1::2] == ["a", "a", "b", "b", "c", "c"]
    assert (tmp_path / "a" / "log.txt").read_text() == "last words of a\n"
    assert "[1/3] FAILED (3)" in caplog.text
    assert "[3/3] done" in caplog.text


def test_so_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, log = play(tmp_path, monkeypatch, *((name, 1.0, 0) for name in "abcd"))
    run_all(jobs, 2)
    at_once, most = 0, 0
    for word in log.read_text().split()[::2]:
        at_once += 1 if word == "began" else -1
        most = max(most, at_once)
    assert most == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    jobs, log = play(tmp_path, monkeypatch, ("a", 600, 0), ("b", 600, 0), ("c", 0, 0))

    def interrupt(job: Job) -> bool:
        if log.exists() and len(log.read_text().splitlines()) == 2:
            os.kill(os.getpid(), number)
        return False

    monkeypatch.setattr(sweep, "_poll", interrupt)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run_all(jobs, 2)
    assert signal.getsignal(number) is before
    for job in jobs[:2]:
        assert job.process is not None
        assert job.process.returncode == -signal.SIGTERM
    assert jobs[2].process is None


def test_processes_share_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(sweep, "available_cores", lambda: 8)
    seen: list[str] = []
    monkeypatch.setattr(sweep, "start", lambda job, env: seen.append(env["OMP_NUM_THREADS"]))
    monkeypatch.setattr(sweep, "_poll", lambda job: True)
    run_all(play(tmp_path, monkeypatch, ("a", 0, 0))[0], 3)
    assert seen == ["2"]
    assert available_cores() >= 1


def test_a_jobs_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    line = ["nasp", "-m", "--config-dir", "my conf", "-cn=other", "seed=0,1"]
    monkeypatch.setattr(sys, "argv", line)
    folder = tmp_path / "it's = a {folder}"
    words = command(Job(0, ["seed=1"], folder, OmegaConf.create()))
    assert words[:3] == [sys.executable, "-m", "nasp_lightning"]
    assert words[3:6] == ["--config-dir", "my conf", "-cn=other"]
    parsed = OverridesParser.create().parse_overrides(words[6:])
    assert [(item.key_or_group, item.value()) for item in parsed] == [
        ("seed", 1),
        ("hydra.run.dir", str(folder)),
    ]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("data") / "nasbench201_15625.csv")


def results(runs: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted(runs.rglob("results.json"))]


def test_more_seeds_a_failure_and_the_rest(tmp_path: Path, table: Path) -> None:
    """The real thing: two processes at once; more seeds run only the new ones; one run fails."""
    words = ("-m", *csv_words(table), f"paths.runs={tmp_path}/a b", "hydra.launcher.jobs=2")
    first = nasp(*words, "seed=0,1", cwd=tmp_path)
    assert "2 runs, 0 finished already, 2 to do, 2 at once" in first.stderr
    found = results(tmp_path / "a b")
    assert sorted(str(result["seed"]) for result in found) == ["0", "1"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("results.json")}

    second = nasp(*words, "seed=0,1,-1", check=False, cwd=tmp_path)
    assert "3 runs, 2 finished already, 1 to do" in second.stderr
    assert second.returncode == 2
    (line,) = [text for text in second.stderr.splitlines() if text.startswith("error: ")]
    assert "1 of 1 runs failed" in line
    assert "Traceback" not in second.stderr
    (log,) = [text.strip() for text in second.stderr.splitlines() if text.endswith("/log.txt")]
    assert "error: seed=-1" in Path(log).read_text()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("results.json")} == before


def test_an_interrupted_sweep_runs_what_is_missing(tmp_path: Path, table: Path) -> None:
    runs = tmp_path / "runs"
    words = ("-m", *csv_words(table), f"paths.runs={runs}", "hydra.launcher.jobs=1", "seed=0,1")
    child = subprocess.Popen(
        [sys.executable, "-m", "nasp_lightning", *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while not list(runs.rglob("results.json")) and child.poll() is None:
        time.sleep(0.05)
    while len(list(runs.rglob("log.txt"))) < 2 and child.poll() is None:
        time.sleep(0.05)  # the second run has begun
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=120)
    assert child.returncode == 130, told
    assert "interrupted: the same command goes on from here" in told
    assert "Traceback" not in told
    assert len(results(runs)) == 1
    again = nasp(*words)
    assert "2 runs, 1 finished already, 1 to do" in again.stderr
    assert len(results(runs)) == 2


class Planned(Exception):
    """Ends a sweep before its first process."""


def planned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *words: str) -> list[Job]:
    """What the real command line hands to its processes, and none started."""

    def stop(jobs: list[Job], at_once: int) -> None:
        raise Planned(jobs)

    monkeypatch.setattr(sweep, "run_all", stop)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.delenv("NASP_QUIET_ERRORS", raising=False)
    monkeypatch.setattr(sys, "argv", ["nasp", "-m", f"paths.runs={tmp_path}", *words])
    with pytest.raises(Planned) as caught:
        cli.main()
    jobs: list[Job] = caught.value.args[0]
    return jobs


def test_the_papers_sweep_is_its_splits_by_five_seeds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes = (78, 156, 469, 781, 1563)
    params = yaml.safe_load((conf_dir() / "sweep/splits_nb201.yaml").read_text())
    assert params["hydra"]["sweeper"]["params"]["seed"] == "range(0,5)"
    words = ("+experiment=nb201_tnasp_se", "+sweep=splits_nb201", "seed=7")  # not five: quicker
    jobs = planned(monkeypatch, tmp_path, *words)
    assert [(job.config.data.train_size, job.config.seed) for job in jobs] == [
        (size, 7) for size in sizes
    ]
    assert len({job.folder for job in jobs}) == 5


def test_the_command_line_wins_over_the_sweep_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ("+experiment=nb101_tnasp_se", "+sweep=splits_nb101", "+split=424_test100,100_all")
    jobs = planned(monkeypatch, tmp_path, *words, "seed=range(0,3)")
    drawn = {(job.config.data.train_size, job.config.data.test_size) for job in jobs}
    assert drawn == {(424, 100), (100, "all")}
    assert len({job.folder for job in jobs}) == len(jobs) == 6


def test_a_process_composes_what_was_planned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its folder is named by the hash that the process itself will find."""
    words = ("+experiment=nb201_tnasp_se", "+sweep=splits_nb201", "seed=4", "+split=469_all")
    (job,) = planned(monkeypatch, tmp_path, *words)
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = compose("config", overrides=command(job)[3:])
    assert config_hash(composed) == config_hash(job.config) == job.folder.name


def test_the_experiment_stands_before_what_is_added_to_it() -> None:
    words = ["-m", "--config-dir", "here", "+split=78_all", "seed=1", "+experiment=x", "--info"]
    assert experiment_first(words) == [
        *("+experiment=x", "+split=78_all", "seed=1", "-m", "--config-dir", "here", "--info")
    ]
    assert experiment_first(["--cfg", "job", "seed=1", ""]) == ["seed=1", "", "--cfg", "job"]
    folder = ["--config-dir", "lr=0.1/conf"]
    assert experiment_first([*folder, "~logger", "seed=1"]) == ["~logger", "seed=1", *folder]
