"""Benchmarks: tables of evaluated architectures, and the readers of the files they come from."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nasp_lightning.error import NaspError

if TYPE_CHECKING:
    from nasp_lightning.benchmark.base import BenchmarkTable


def load_benchmark(name: str = "nasbench201", **options: Any) -> BenchmarkTable:
    """Load a benchmark by name, without Hydra.

    Args:
        name: a module of :mod:`nasp_lightning.benchmark`, such as ``nasbench201``.
        options: what that module's ``load_table`` takes: ``source``, ``path``, ``partial``.

    Raises:
        NaspError: if there is no benchmark of that name, or its file is absent or damaged.

    Example:
        >>> table = load_benchmark("nasbench201")  # doctest: +SKIP
    """
    try:
        module = import_module(f"nasp_lightning.benchmark.{name}")
        load = module.load_table
    except (ModuleNotFoundError, AttributeError) as error:
        raise NaspError(f"there is no benchmark {name!r}; see conf/benchmark/") from error
    table: BenchmarkTable = load(**options)
    return table
