from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback

from nasp_lightning.error import NaspError
from nasp_lightning.job import train_predictor
from nasp_lightning.run.folder import config_hash, finished_results
from tests.job.killing import EVERY_EPOCH, epochs, killed, killer, predictions, run
from tests.tiny import make_config, tiny_table

fork = multiprocessing.get_context("fork")
EVOLUTION = ("framework=self_evolution", "framework.iterations=4", "trainer.max_epochs=4")

REQUIRED = {
    *("benchmark", "source", "dataset", "space_size", "split", "seed", "predictor", "framework"),
    *("train_metric", "test_metric", "kendall_tau", "kendall_tau_excluding_train", "spearman"),
    *("train_labels", "queried_labels", "fit_seconds", "rank_seconds", "config_hash"),
}


def test_a_run_without_the_command_line(tmp_path: Path) -> None:
    results = run(tmp_path / "run")
    assert set(results) >= REQUIRED
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == results
    wanted = {
        "benchmark": "nasbench201",
        "dataset": "cifar10",
        "space_size": 100,
        "seed": 0,
        "split": "20/all",
        "predictor": "tnasp",
        "framework": "supervised",
        "train_metric": "validation_accuracy",
        "test_metric": "test_accuracy",
        "train_labels": 20,
        "queried_labels": 20,
        "partial": True,
        "config_hash": config_hash(make_config()),
    }
    assert {name: results[name] for name in wanted} == wanted
    assert -1 <= results["kendall_tau"] <= 1
    assert epochs(tmp_path / "run") == [0, 1]
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_tau_is_of_all_and_of_what_was_not_trained_on(tmp_path: Path) -> None:
    from scipy.stats import kendalltau

    results, found = run(tmp_path), predictions(tmp_path)
    scores, truth = found["scores"], found["true_accuracy"]
    assert results["kendall_tau"] == pytest.approx(kendalltau(scores, truth).statistic, abs=1e-6)
    unseen = np.setdiff1d(np.arange(100), found["train"])
    wanted = kendalltau(scores[unseen], truth[unseen]).statistic
    assert results["kendall_tau_excluding_train"] == pytest.approx(wanted, abs=1e-6)
    assert len(found["train"]) == 20


def test_the_same_config_gives_the_same_numbers(tmp_path: Path) -> None:
    words = EVOLUTION
    first, second = run(tmp_path / "a", *words), run(tmp_path / "b", *words)
    other = run(tmp_path / "c", *words, "seed=1")
    assert first["kendall_tau"] == second["kendall_tau"] != other["kendall_tau"]
    np.testing.assert_array_equal(
        predictions(tmp_path / "a")["scores"], predictions(tmp_path / "b")["scores"]
    )


def test_overrides_reach_their_places(tmp_path: Path) -> None:
    words = ("seed=3", "data.train_size=30", "data.test_size=40", "task.loss=hinge")
    results = run(tmp_path, *words, "trainer.max_epochs=3", *EVOLUTION[:2])
    assert (results["seed"], results["split"], results["loss"]) == (3, "30/40", "hinge")
    assert results["train_labels"] == 30
    assert results["queried_labels"] == 40  # 10 validation architectures
    assert epochs(tmp_path) == list(range(7))  # max_epochs counts the supervised phase alone
    assert len(predictions(tmp_path)["test"]) == 40
    assert set(results["phases"]) == {"supervised", "self_evolution"}
    assert results["phases"]["supervised"]["queried_labels"] == 30
    assert results["phases"]["self_evolution"]["kendall_tau"] == results["kendall_tau"]


def test_the_plain_phase_of_self_evolution_is_the_plain_run(tmp_path: Path) -> None:
    evolved = run(tmp_path / "a", *EVOLUTION)
    plain = run(tmp_path / "b", "trainer.max_epochs=4")
    assert evolved["phases"]["supervised"]["kendall_tau"] == plain["kendall_tau"]


STOPPER = (
    "+callbacks.stopper._target_=lightning.pytorch.callbacks.EarlyStopping",
    *("+callbacks.stopper.monitor=train/loss", "+callbacks.stopper.patience=1"),
    *("+callbacks.stopper.min_delta=1000", "+callbacks.stopper.check_on_train_epoch_end=true"),
)


def test_labels_that_selected_are_counted(tmp_path: Path) -> None:
    evolved = run(tmp_path / "evolved", *EVOLUTION)
    assert evolved["selection_labels"] == 0  # its validation labels are constraints
    assert evolved["phases"]["supervised"]["selection_labels"] == 0
    selected = run(
        tmp_path / "selected",
        *("framework=batch_top_sampling", "framework.selection_epochs=2", "framework.updates=2"),
        *("framework.initial=4", "trainer.max_epochs=9"),
    )
    extra = selected["queried_labels"] - selected["train_labels"]
    assert selected["selection_labels"] == extra
    assert selected["phases"]["warm_up"]["selection_labels"] == 0


def test_what_a_callback_of_ones_own_selects_by_is_not_known(tmp_path: Path) -> None:
    assert "selection_labels" not in run(tmp_path, "trainer.max_epochs=3", *STOPPER)


def test_halves(tmp_path: Path) -> None:
    results = run(tmp_path, "data.pool_size=50", "data.test_size=40", "trainer.max_epochs=1")
    assert (results["split"], results["pool_size"]) == ("20 of 50/40", 50)
    assert results["variant"] == run(tmp_path / "whole", "trainer.max_epochs=1")["variant"]
    with np.load(tmp_path / "predictions.npz") as file:
        known = {*file["train"].tolist(), *file["validation"].tolist()}
        assert not known & set(file["test"].tolist())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (EVOLUTION, "after 2 epochs, before the end of supervised, self_evolution, without"),
        (
            ("framework=brp_sampling", "framework.rounds=2", "trainer.max_epochs=8"),
            r"end of round_1, round_2, .*framework=brp_sampling: .*callbacks\.stopper=null",
        ),
    ],
    ids=["self_evolution", "brp_sampling"],
)
def test_a_stopped_trainer_gives_no_framework_a_result(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    with pytest.raises(NaspError, match=told):
        run(tmp_path / "run", *words, *STOPPER)
    assert not (tmp_path / "run" / "results.json").exists()
    continued, whole = run(tmp_path / "run", *words), run(tmp_path / "whole", *words)
    assert continued["kendall_tau"] == whole["kendall_tau"]
    assert epochs(tmp_path / "run") == epochs(tmp_path / "whole")


def test_a_plain_fit_may_be_stopped(tmp_path: Path) -> None:
    assert run(tmp_path, "trainer.max_epochs=8", *STOPPER)["phases"]["supervised"]
    assert epochs(tmp_path) == [0, 1]


def test_a_finished_run_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tmp_path)
    monkeypatch.setattr(train_predictor.TrainPredictor, "run", lambda _: pytest.fail("ran again"))
    assert run(tmp_path) == first


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_what_is_not_this_runs_result_is_not_taken_for_it(tmp_path: Path, damage: str) -> None:
    first = run(tmp_path)
    path = tmp_path / "results.json"
    text = path.read_text()
    path.write_text(
        text[: len(text) // 2] if damage == "cut" else text.replace(first["config_hash"], "0" * 12)
    )
    assert finished_results(tmp_path, first["config_hash"]) is None
    again = run(tmp_path)  # from the last checkpoint: only the ranking is repeated
    assert again["kendall_tau"] == first["kendall_tau"]
    assert epochs(tmp_path) == [0, 1]
    assert finished_results(tmp_path, first["config_hash"]) == again


def test_a_run_killed_again_and_again_is_the_unbroken_one(tmp_path: Path) -> None:
    """SIGKILL in both phases, at their border, and in the ranking: the same to the last bit."""
    whole = run(tmp_path / "whole", *EVOLUTION)
    make_config(*EVOLUTION, EVERY_EPOCH)
    folder, words = tmp_path / "killed", (*EVOLUTION, EVERY_EPOCH)
    for epoch in (2, 4, 6):  # the last two: self-evolution's first and third epoch
        killed(folder, *words, *killer(epoch))
    killed(folder, *words, ranking=True)
    results = run(folder, *words)
    timed = {"fit_seconds", "rank_seconds", "code_seconds", "versions"}
    assert {k: v for k, v in results.items() if k not in timed} == {
        k: v for k, v in whole.items() if k not in timed
    }
    for name, array in predictions(tmp_path / "whole").items():
        np.testing.assert_array_equal(predictions(folder)[name], array)
    assert epochs(folder) == list(range(8))
    assert (folder / "metrics.csv").read_text() == (tmp_path / "whole/metrics.csv").read_text()


def test_a_run_killed_at_any_moment_is_the_unbroken_one(tmp_path: Path) -> None:
    """Killed by the clock, wherever it is: writing a checkpoint, evaluating, between epochs."""
    words = (*EVOLUTION, EVERY_EPOCH, "task.loss=logistic")
    whole = run(tmp_path / "whole", *words)
    folder = tmp_path / "killed"
    kills = 0
    for attempt in range(8):
        child = fork.Process(target=run, args=(folder, *words))
        child.start()
        child.join(0.15 + 0.1 * attempt)
        if child.exitcode is None:
            kills += 1
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            child.join(60)
    results = run(folder, *words)
    assert kills > 0
    assert results["kendall_tau"] == whole["kendall_tau"]
    assert results["phases"] == whole["phases"]
    np.testing.assert_array_equal(
        predictions(folder)["scores"], predictions(tmp_path / "whole")["scores"]
    )
    assert epochs(folder) == list(range(8))


def test_two_processes_in_one_folder_do_one_run(tmp_path: Path) -> None:
    children = [fork.Process(target=run, args=(tmp_path,)) for _ in "ab"]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0, 0]
    assert epochs(tmp_path) == [0, 1]


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "checkpoint.ckpt"
    if content is None:
        run(tmp_path)
        (tmp_path / "results.json").unlink()
        content = path.read_bytes()[:-2000]
    path.write_bytes(content)
    with pytest.raises(NaspError, match=r"checkpoint.ckpt is damaged .*delete it to begin anew"):
        run(tmp_path)
    path.unlink()
    assert run(tmp_path)["kendall_tau"]


def test_a_checkpoint_of_another_config_is_one_sentence(tmp_path: Path) -> None:
    run(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(NaspError, match="belongs to a run with another config: delete it"):
        run(tmp_path, "seed=1")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_checkpoint_that_is_code_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    torch.save({"hyper_parameters": Trap()}, tmp_path / "checkpoint.ckpt")
    with pytest.raises(NaspError, match="is damaged"):
        run(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_ctrl_c_is_an_interrupt_and_the_run_goes_on(tmp_path: Path) -> None:
    class Interrupt(Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                raise KeyboardInterrupt

    config = make_config(EVERY_EPOCH)
    broken = {**config, "callbacks": {**config["callbacks"]}}
    Interrupt.__qualname__ = "Interrupt"
    globals()["Interrupt"] = Interrupt
    broken["callbacks"]["interrupt"] = {"_target_": f"{__name__}.Interrupt"}
    with pytest.raises(KeyboardInterrupt):
        train_predictor.run(broken, tmp_path, tiny_table())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    results = train_predictor.run(config, tmp_path, tiny_table())
    assert results["kendall_tau"] == run(tmp_path / "whole")["kendall_tau"]
    assert epochs(tmp_path) == [0, 1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["task.patience=0"], "task.patience=0: it must be a whole number"),
        (["task.loss=foo"], "task.loss=foo: choose mse, logistic or hinge"),
        (["data.train_size=0"], "data.train_size=0"),
        (["data.train_size=1000"], "but the benchmark has 100"),
        (["data.test_size=99"], "data.test_size=99"),
        (["benchmark.dataset=mnist"], "benchmark.dataset=mnist: this source has cifar10"),
        (["seed=-1"], "seed=-1"),
        (["trainer.max_epochs=0"], "trainer.max_epochs=0: it must be a whole number, at least 1"),
        (["framework=self_evolution", "framework.iterations=0"], "framework.iterations=0"),
        (["framework=self_evolution", "data.validation_size=0"], "data.validation_size=0"),
        (["framework=self_evolution", "data.train_on_validation=true"], "is the control of"),
        (["job.top_k=0"], "job.top_k=0"),
        (["+predictor.depth=3"], r"predictor: TNASP.__init__\(\) got an unexpected keyword"),
        (["predictor.padding=wrong"], "predictor.padding='wrong' is unknown"),
        (["predictor._target_=nowhere.Foo"], "predictor: .*nowhere"),
        (["space.encoding=wrong"], "has no encoding 'wrong'"),
        (["+framework.speed=1"], "framework: Supervised.* takes no arguments|unexpected keyword"),
        (["+optimizer.foo=1"], "optimizer: .*unexpected keyword argument 'foo'"),
        (["optimizer.lr=-1"], "optimizer: Invalid learning rate"),
        (["+trainer.foo=1"], "trainer: .*unexpected keyword argument 'foo'"),
        (["trainer.accelerator=abacus"], "trainer: .*abacus"),
        (["callbacks.monitor.every_epochs=0"], "callbacks.monitor.every_epochs=0"),
        (["+callbacks.mine=3"], "callbacks.mine: it needs a _target_"),
        (["logger=wandb", "logger.mode=wrong"], "logger.mode=wrong: choose online"),
        (["optimizer.lr=1e30"], "lower optimizer.lr"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence(tmp_path: Path, words: list[str], told: str) -> None:
    with pytest.raises(NaspError, match=told) as caught:
        run(tmp_path, *words)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "results.json").exists()


def test_an_unknown_source_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NaspError, match="has no source 'wrong'"):
        train_predictor.run(make_config("benchmark.source=wrong"), tmp_path)


def test_an_absent_file_is_one_sentence(tmp_path: Path) -> None:
    words = ("benchmark.source=csv", "benchmark.path=/nowhere.csv")
    with pytest.raises(NaspError, match=r"benchmark.path=/nowhere.csv does not exist"):
        train_predictor.run(make_config(*words), tmp_path)


def test_labels_that_are_all_unknown_are_one_sentence(tmp_path: Path) -> None:
    table = tiny_table()
    table.metrics["cifar10/validation_accuracy/200"][:] = np.nan
    with pytest.raises(NaspError, match="is NaN"):
        train_predictor.run(make_config(), tmp_path, table)


def test_small_training_sets_run(tmp_path: Path) -> None:
    results = run(tmp_path, "data.train_size=1", *EVOLUTION)
    assert results["train_labels"] == 1


def test_callbacks_may_be_left_out(tmp_path: Path) -> None:
    names = ("checkpoint", "monitor", "metrics_file", "progress")
    run(tmp_path, *(f"callbacks.{name}=null" for name in names))
    assert {path.name for path in tmp_path.iterdir()} == {
        *("config.yaml", "versions.json", "results.json", "predictions.npz", ".run.lock")
    }


def test_threads_are_set_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    try:
        for asked, fitting, wanted in ((None, True, 1), (None, False, 3), (2, True, 2)):
            train_predictor.set_threads(asked, fitting)
            assert torch.get_num_threads() == wanted
    finally:
        torch.set_num_threads(before)


def test_time_spent_is_kept(tmp_path: Path) -> None:
    began = time.monotonic()
    results = run(tmp_path)
    assert 0 < results["fit_seconds"] <= time.monotonic() - began
    assert 0 < results["rank_seconds"] <= time.monotonic() - began
