"""Fit a predictor from a notebook or a script: the same configs as the command line, without it."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import torch
from hydra.errors import HydraException
from hydra.utils import get_method
from omegaconf.errors import OmegaConfBaseException

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.job.train_predictor import Fit, fit_and_rank
from nasp_lightning.run.compose import Overrides, compose_config, one_line, to_words
from nasp_lightning.run.config import RunInfo
from nasp_lightning.shipped import conf_dir


def fit_predictor(
    table: BenchmarkTable,
    predictor: str = "tnasp",
    framework: str = "supervised",
    train_size: int = 156,
    seed: int = 0,
    epochs: int = 300,
    folder: str | Path | None = None,
    overrides: Overrides = (),
    config_dir: str | Path | None = None,
    **groups: Any,
) -> Fit:
    """Fit a predictor on a split of a benchmark and rank the whole space.

    Args:
        table: the benchmark, from :func:`nasp_lightning.load_benchmark`.
        predictor: a file of ``conf/predictor``, or of one's own ``<config_dir>/predictor``.
        framework: a file of ``conf/framework``.
        train_size: number of training labels.
        seed: of the split, the initial weights and the batches.
        epochs: of the supervised phase; frameworks add their own.
        folder: the run's folder, as the command line writes it; a run that was killed there goes
            on. None: a temporary one that is removed with the returned object.
        overrides: further words of the command line, as ``["task.loss=logistic"]`` or as
            ``{"task.loss": "logistic"}``.
        config_dir: a folder of further configs, as the command line's ``--config-dir``.
        groups: the same for words without a dot, such as ``scheduler="constant"``.

    Returns:
        The fitted predictor, with ``results``, ``rank()`` and ``plot()``.

    Raises:
        NaspError: for an unknown predictor, framework or setting, or one that cannot be.

    Example:
        >>> fit = fit_predictor(load_benchmark("nasbench201"), train_size=156)  # doctest: +SKIP
        >>> fit.results["kendall_tau"], fit.rank()[:5]  # doctest: +SKIP
    """
    words = [
        *benchmark_words(table, config_dir),
        *to_words({"predictor": predictor, "framework": framework, "seed": seed}),
        *to_words({"data.train_size": train_size, "trainer.max_epochs": epochs}),
        *to_words(overrides),
        *to_words(groups),
    ]
    info = RunInfo.of(compose_config(words, config_dir))
    return _fit_beside(info, None if folder is None else Path(str(folder)), table)


def _fit_beside(info: RunInfo, folder: Path | None, table: BenchmarkTable) -> Fit:
    """Fit in the caller's process, which keeps its threads, and in a folder of its own."""
    threads = torch.get_num_threads()
    temporary = Path(tempfile.mkdtemp(prefix="nasp_")) if folder is None else None
    try:
        fit = fit_and_rank(info, temporary or Path(str(folder)), table)
    except BaseException as error:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, HydraException | OmegaConfBaseException):
            raise one_line(error) from error
        raise
    finally:
        torch.set_num_threads(threads)  # the caller's process goes on with its own
    if temporary is not None:
        weakref.finalize(fit, shutil.rmtree, temporary, ignore_errors=True)
    return fit


def run_job(
    overrides: Overrides, folder: str | Path, config_dir: str | Path | None = None
) -> dict[str, Any]:
    """Run what the command line would with the same words, in a folder of one's own.

    Args:
        overrides: words such as ``["+experiment=mobilenet_supernet_mini", "seed=1"]``.
        folder: the run's; a run that is finished there is not repeated.
        config_dir: as of :func:`fit_predictor`.

    Returns:
        The content of ``results.json``.

    Raises:
        NaspError: for whatever the user can put right.
    """
    config = compose_config(to_words(overrides), config_dir)
    job = get_method(RunInfo.of(config).job["_target_"])
    results: dict[str, Any] = job(config, Path(folder))
    return results


def benchmark_words(table: BenchmarkTable, config_dir: str | Path | None = None) -> list[str]:
    """Words that choose a table's benchmark config, and its own name, source and accuracies.

    A table under a name of its own takes the config of its space.

    Raises:
        NaspError: if there is no config for the table.
    """
    name = str(table.provenance.get("benchmark", table.space))
    places = [conf_dir(), *([Path(config_dir).expanduser()] if config_dir is not None else [])]
    files = {file.stem for place in places for file in (place / "benchmark").glob("*.yaml")}
    known = sorted(files - {"csv"})  # that one is of no space, so it is no table's by name
    choice = next((choice for choice in (name, table.space) if choice in known), None)
    if choice is None:
        raise NaspError(
            f"no config for the benchmark {name!r} (space {table.space}): add "
            f"benchmark/{name}.yaml to a folder of your own and give it as config_dir; there are "
            + ", ".join(known)
        )
    settings: dict[str, Any] = {"benchmark.name": name}
    if "source" in table.provenance:
        settings["benchmark.source"] = str(table.provenance["source"])
    if table.provenance.get("partial"):
        settings["benchmark.partial"] = True
    budgets = {tuple(metric.split("/")[::2]) for metric in table.metrics if "_accuracy/" in metric}
    if len(budgets) == 1:  # no choice: what the table has
        dataset, epochs = budgets.pop()
        settings["benchmark.dataset"] = dataset
        settings["benchmark.epochs"] = int(epochs) if epochs.isdigit() else epochs
    return [f"benchmark={choice}", *to_words(settings)]
