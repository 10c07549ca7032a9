"""Predictor-based neural architecture search with PyTorch Lightning and Hydra.

Nothing heavy is imported here: ``import nasp_lightning`` costs milliseconds, and the
names below load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "NaspError": "nasp_lightning.error",
    "BenchmarkTable": "nasp_lightning.benchmark.base",
    "load_benchmark": "nasp_lightning.benchmark",
    "fit_predictor": "nasp_lightning.job.notebook",
}

__all__ = ["__version__", *_LAZY]

if TYPE_CHECKING:
    from nasp_lightning.benchmark import load_benchmark as load_benchmark
    from nasp_lightning.benchmark.base import BenchmarkTable as BenchmarkTable
    from nasp_lightning.error import NaspError as NaspError
    from nasp_lightning.job.notebook import fit_predictor as fit_predictor


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
