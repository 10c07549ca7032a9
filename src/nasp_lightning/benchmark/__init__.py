"""Benchmarks: tables of evaluated architectures, and the readers of the files they come from."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from nasp_lightning.error import NaspError

if TYPE_CHECKING:
    from nasp_lightning.benchmark.base import BenchmarkTable, Declaration


def load_benchmark(name: str = "nasbench201", **options: object) -> BenchmarkTable:
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


def declaration_of(name: str) -> Declaration | None:
    """What a benchmark of this package says of itself; None for one's own, and for no name of any.

    Importing this function is light; calling it imports the benchmark's module, and so NumPy.

    Args:
        name: of the benchmark, as in every result, such as ``nasbench201``.
    """
    try:
        found: Declaration = import_module(f"nasp_lightning.benchmark.{name}").DECLARATION
    except (ModuleNotFoundError, AttributeError):
        return None
    return found


def released_sources(name: str) -> frozenset[str] | None:
    """Sources that are, or repackage, a benchmark's own release.

    Args:
        name: of the benchmark, as in every result.

    Returns:
        Values of ``benchmark.source``; None for a benchmark that this package does not know, and
        for one that declares no sources (users bring or build their own).
    """
    declaration = declaration_of(name)
    if declaration is None or not declaration.sources:
        return None
    return frozenset(source.name for source in declaration.sources if source.released)
