"""What a benchmark table says of itself."""

from __future__ import annotations

from typing import TypedDict

from nasp_lightning.record.build import Identity


class Provenance(TypedDict, total=False):
    """Where a table's numbers come from; plain JSON values, each of them optional.

    Attributes:
        benchmark: name of the benchmark, in every result.
        source: as in ``benchmark.source``.
        file: name of the file or folder that was read.
        sha256: of that file, in hexadecimal.
        version: of the reader, or of the official file.
        partial: whether architectures of the space are missing.
        count: architectures that the table has.
        size: architectures of the whole space; None where nobody knows.
        reduction: what the columns of a metric are: ``runs``, ``mean`` of the runs, ``one run``.
        notes: what a user should know of the numbers.
        training: how networks were trained here; epochs and images of a label give a code's cost.
        fidelity: name of that training.
        recipe_hash: of all that it depends on.
        prefix: members that are there before the first gap.
        diverged: networks whose training diverged.
        damaged: records that were left out.
        devices: that trained.
        torch: versions of PyTorch that trained.
        official: whether the file has the SHA-256 of the authors'.
        converter: version of the reader, where ``version`` is the file's.
        records: read from the file.
        epochs: budgets that the file has.
        runs: columns of a metric.
        seeds: budget to the seeds of its runs.
        max_mflops: cap of multiply-adds, in millions.
        joined: what the table says of itself whose costs were put beside.
    """

    benchmark: str
    source: str
    file: str
    sha256: str
    version: int | str
    partial: bool
    count: int
    size: int | None
    reduction: str
    notes: str | list[str]
    training: Identity
    fidelity: str
    recipe_hash: str
    prefix: int
    diverged: int
    damaged: int
    devices: list[str]
    torch: list[str]
    official: bool
    converter: int
    records: int
    epochs: list[int]
    runs: int
    seeds: dict[str, list[int]]
    max_mflops: float
    joined: Provenance
