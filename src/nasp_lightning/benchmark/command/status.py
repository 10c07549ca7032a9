"""What is here: source files, converted tables, and the experiments that they unlock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.benchmark.format.cache import tables_dir
from nasp_lightning.error import NaspError
from nasp_lightning.shipped import conf_dir
from nasp_lightning.storage import file_sha256


@dataclass(frozen=True)
class Source:
    """One source of a benchmark: where it is, or what to do for it."""

    benchmark: str
    name: str
    path: Path | None
    remedy: str = ""


def sources() -> list[Source]:
    """Every source that a benchmark can be read from, present or not."""
    csv_files = [*_csv_files("macro"), *_csv_files("spikenas")]
    return [*_nasbench101(), *_nasbench201(), *csv_files, *_tinynano()]


def _nasbench101() -> Iterator[Source]:
    from nasp_lightning.benchmark import csv, nasbench101

    for which, official in nasbench101.OFFICIAL_FILES.items():
        path = csv.find_file("nasbench101", (official.name,))
        command = f"python -m nasp_lightning.benchmark fetch nasbench101 --file {which}"
        remedy = f"{command} ({official.size}), or set NASP_DATA to its folder"
        yield Source("nasbench101", f"official ({which})", path, remedy)
    for folder in csv.folders("nasbench101"):
        for path in sorted(folder.glob("nasbench101*.tfrecord")):
            yield Source("nasbench101", "partial", path)


def _nasbench201() -> Iterator[Source]:
    from nasp_lightning.benchmark import nasbench201

    for name in nasbench201.SOURCES:
        yield _located("nasbench201", name, lambda name=name: nasbench201.locate(name))  # type: ignore[misc]


def _csv_files(benchmark: str) -> Iterator[Source]:
    from nasp_lightning.benchmark import csv

    files = import_module(f"nasp_lightning.benchmark.{benchmark}").FILES
    yield _located(benchmark, "csv", lambda: csv.locate(benchmark, files))


def _tinynano() -> Iterator[Source]:
    from nasp_lightning.benchmark import tinynano

    for fidelity in tinynano.shipped():
        path = tinynano.shipped_path(fidelity)
        yield Source("tinynano", f"{fidelity} (in the package: {_count(path)})", path)
    for fidelity, folder in tinynano.built().items():
        yield Source("tinynano", f"{fidelity} (built here: {_count(folder)})", folder)


def _count(path: Path) -> str:
    from nasp_lightning.record.build import read_build

    try:
        return f"{len(read_build(path).records):,}"
    except NaspError:
        return "damaged"


def _located(benchmark: str, name: str, locate: Callable[[], Path]) -> Source:
    try:
        return Source(benchmark, name, locate())
    except NaspError as error:
        return Source(benchmark, name, None, str(error))


def tables() -> list[tuple[Path, dict[str, Any]]]:
    """Converted tables with their provenance (empty where a file is no table)."""
    files = sorted(tables_dir().glob("*.safetensors"))
    return [(file, BenchmarkTable.read_provenance(file)) for file in files]


def damaged_tables() -> list[str]:
    """Open every converted table and check its checksums; one message for each that is damaged."""
    messages = []
    for file in sorted(tables_dir().glob("*.safetensors")):
        try:
            BenchmarkTable.open(file)
        except NaspError as error:
            messages.append(str(error))
    return messages


def damaged_downloads() -> list[str]:
    """One message for each fetched official file whose SHA-256 is not the published one."""
    from nasp_lightning.benchmark import nasbench101

    messages = []
    for official in nasbench101.OFFICIAL_FILES.values():
        file = nasbench101.downloads_dir() / official.name
        if file.is_file() and file_sha256(file) != official.sha256:
            messages.append(f"{file} has not the published SHA-256: delete it and fetch it again")
    return messages


def experiments() -> dict[str, list[str]]:
    """Benchmark to the stems of the experiments that use it.

    An experiment names its benchmark in its defaults (``override /benchmark: nasbench201``) or
    has the root config's.
    """
    folder = Path(conf_dir())
    root = _benchmark_of(folder / "config.yaml") or ""
    found: dict[str, list[str]] = {}
    for file in sorted((folder / "experiment").glob("*.yaml")):
        found.setdefault(_benchmark_of(file) or root, []).append(file.stem)
    return found


def _benchmark_of(file: Path) -> str | None:
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise NaspError(f"cannot read {file}: {' '.join(str(error).split())}") from error
    for entry in (content or {}).get("defaults", []):
        if isinstance(entry, dict):
            for group, choice in entry.items():
                if str(group).removeprefix("override ").strip().strip("/") == "benchmark":
                    return str(choice)
    return None


def print_status() -> None:
    """Print sources, converted tables and experiments to the terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False)
    found = sources()
    converted = tables()
    shown = Table("benchmark", "source", title="Sources")
    shown.add_column("where", overflow="fold")
    shown.add_column("size", justify="right", no_wrap=True)
    for source in found:
        where = "absent" if source.path is None else str(source.path)
        shown.add_row(source.benchmark, source.name, where, _size(source.path))
    console.print(shown)
    shown = Table(title="Converted tables")
    for column in ("table", "source", "architectures", "sha256", "size"):
        shown.add_column(column, overflow="fold")
    for file, provenance in converted:
        count = f"{provenance['count']:,}" if "count" in provenance else ""
        partial = " (partial)" if provenance.get("partial") else ""
        shown.add_row(
            str(provenance.get("benchmark", file.name)),
            str(provenance.get("source", "damaged: delete it")),
            count + partial,
            str(provenance.get("sha256", ""))[:12],
            _size(file),
        )
    console.print(shown if converted else "No table is converted yet; the first run does that.")
    console.print(f"Cache: {tables_dir()}", soft_wrap=True)
    _print_experiments(console, found, converted)


def _print_experiments(
    console: Any, found: list[Source], converted: list[tuple[Path, dict[str, Any]]]
) -> None:
    here = {source.benchmark for source in found if source.path and source.name != "partial"}
    here |= {
        str(provenance.get("benchmark"))
        for _, provenance in converted
        if not provenance.get("partial")
    }
    partly = {source.benchmark for source in found if source.path}
    known = {source.benchmark for source in found}
    for benchmark, names in experiments().items():
        state = "missing" if benchmark in known else "not listed here"
        if benchmark in partly:
            state = "a part of it is here: add benchmark.partial=true"
        if benchmark in here:
            state = "ready"
        console.print(f"\n{benchmark}: {state}", style="bold")
        console.print(f"  experiments: {', '.join(names)}", soft_wrap=True)
    for source in found:
        if source.path is None:
            console.print(f"\n{source.benchmark} {source.name}: absent", style="bold")
            console.print(f"  {source.remedy}", soft_wrap=True)


def _size(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        return f"{sum(file.stat().st_size for file in files) / 1e6:,.1f} MB"
    except OSError:
        return "?"
