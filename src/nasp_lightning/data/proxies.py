"""Zero-cost proxies and other costs of a benchmark as extra inputs of its architectures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark import csv, declaration_of
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.benchmark.format.files import find_file
from nasp_lightning.error import NaspError
from nasp_lightning.predictor.part.features import live_operations


def proxy_files(space: str) -> tuple[str, ...]:
    """Files of a space's proxies that are looked for, as the benchmark of its name declares."""
    declaration = declaration_of(space)
    return () if declaration is None else declaration.proxies


def extra_inputs(
    table: BenchmarkTable, names: Sequence[str], path: str | Path | None = None
) -> Array:
    """``[N, F]`` float32 costs of every architecture, as normal scores over the whole space.

    Proxies differ by orders of magnitude and most have long tails, so their ranks are used: the
    standard normal's quantile at (rank - 1/2) / N, ties at their mean rank. It needs no label.

    Args:
        table: the benchmark.
        names: proxies (``synflow``) or costs of the table (``parameters``).
        path: CSV of proxies, read with the map of columns ``zero_cost_proxies``; None: looked for
            under NASP_DATA.

    Raises:
        NaspError: if a name is unknown, or architectures of the space have no value.
    """
    from scipy.stats import norm, rankdata

    columns = [_column(table, name, path) for name in _checked(names)]
    scores = [norm.ppf((rankdata(column) - 0.5) / len(column)) for column in columns]
    return np.stack(scores, axis=1).astype(np.float32)


def _checked(names: Sequence[str]) -> list[str]:
    listed = [] if isinstance(names, str) else list(names)
    if not listed or not all(isinstance(name, str) for name in listed):
        raise NaspError(f"data.features={names}: write a list of names, such as [synflow,nwot]")
    if len(set(listed)) < len(listed):
        raise NaspError(f"data.features={listed}: a name stands there twice")
    return listed


def _column(table: BenchmarkTable, name: str, path: str | Path | None) -> Array:
    """``[N]`` values of one cost: the table's own, else the proxy file's."""
    origin, costs = "the benchmark's table", table.costs
    if path is not None or not ({name, f"proxy/{name}"} & set(costs)):
        origin, costs = proxy_costs(table, path, name)
    for key in (f"proxy/{name}", name):
        if key in costs and costs[key].ndim == 1:
            values: Array = costs[key]
            break
    else:
        have = sorted(
            key.removeprefix("proxy/") for key, values in costs.items() if values.ndim == 1
        )
        raise NaspError(f"data.features: {origin} has no {name!r}; it has " + ", ".join(have))
    lacking = int(np.isnan(values).sum())
    if lacking:
        raise NaspError(
            f"data.features: {lacking:,} of the {len(values):,} architectures have no {name!r} in "
            f"{origin}: choose a feature or a file (data.proxies) that covers the whole space"
        )
    return values


def proxy_costs(
    table: BenchmarkTable, path: str | Path | None, name: str = "proxies"
) -> tuple[str, dict[str, Array]]:
    """A CSV's proxies beside a benchmark: the file's name and ``[N]`` values, NaN where not known.

    An architecture that the file lacks has the values of the same network without its dead
    operations, if that one is there: the shipped file lists just those 9,445 cells.

    Raises:
        NaspError: if no file is known for the space, or its rows are of another space.
    """
    if path is None:
        files = proxy_files(table.space)
        found = find_file(table.space, files)
        if found is None:
            have = sorted(key.removeprefix("proxy/") for key in table.costs)
            searched = f"; {files[0]} is not under NASP_DATA" if files else ""
            raise NaspError(
                f"data.features: the benchmark's table has no {name!r} (it has {', '.join(have)})"
                f"{searched}: set data.proxies to a CSV file of proxies"
            )
        path = found
    if not Path(path).is_file():
        raise NaspError(f"data.proxies={path}: there is no such file")
    proxies = csv.load_table(path, "zero_cost_proxies", benchmark="zero_cost_proxies")
    if proxies.space != table.space or table.adjacency is not None:
        raise NaspError(
            f"data.proxies={path} holds architectures of {proxies.space}, the benchmark is of "
            f"{table.space}: choose a file of the same space"
        )
    rows = {codes.tobytes(): row for row, codes in enumerate(proxies.operations)}
    pruned = without_dead_operations(table)
    found_rows = np.array(
        [
            rows.get(codes.tobytes(), rows.get(reduced.tobytes(), -1))
            for codes, reduced in zip(table.operations, pruned, strict=True)
        ]
    )
    costs = {}
    for key, values in proxies.costs.items():
        costs[key] = np.where(found_rows >= 0, values[found_rows], np.nan)
    return str(Path(path).name), costs


def without_dead_operations(table: BenchmarkTable) -> Array:
    """``[N, T]`` operations with 0 (``none``) where no path from input to output passes.

    Only for operations on edges; others come back as they are.
    """
    space = csv.find_space(table.space)
    if space.shape.edges is None:
        return table.operations
    live = live_operations(space.encode(table.operations), space.shape)
    reduced: Array = np.where(live, table.operations, 0).astype(table.operations.dtype)
    return reduced
