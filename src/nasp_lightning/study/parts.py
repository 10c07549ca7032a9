"""The parts of a study that a config builds: its space and its data module."""

from __future__ import annotations

from typing import Any

from hydra.utils import get_class, instantiate

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.run.construction import constructing
from nasp_lightning.space.base import Space
from nasp_lightning.study.estimation_code import make_code

Config = dict[str, Any]


def make_space(config: Config, make_predictor: Any) -> Space:
    """The space of a config; ``space.encoding=null`` is the predictor's first choice of it.

    Args:
        config: resolved config.
        make_predictor: the predictor's class or a partial of it; its ``encodings`` name those it
            prefers, best first. Without any of them the space's own first encoding is taken.
    """
    settings = config["space"]
    chosen = settings.get("encoding")
    if chosen is None:
        offered = getattr(get_class(settings["_target_"]), "encodings", ())
        kind = getattr(make_predictor, "func", make_predictor)
        preferred = [name for name in getattr(kind, "encodings", ()) if name in offered]
        chosen = (*preferred, *offered)[0]
    space: Space = instantiate({**settings, "encoding": chosen})
    return space


def make_data(config: Config, table: BenchmarkTable, space: Space) -> ArchitectureData:
    """The data module of a config."""
    benchmark, code = config["benchmark"], make_code(config, table)
    with constructing("data"):
        data: ArchitectureData = instantiate(config["data"], _partial_=True)(
            table=table,
            space=space,
            dataset=benchmark["dataset"],
            epochs=benchmark["epochs"],
            seed=config["seed"],
            reduction=benchmark["reduction"],
            failed_below=benchmark["failed_below"],
            published_normalisation=benchmark["published_normalisation"],
            code=code,
        )
    return data
