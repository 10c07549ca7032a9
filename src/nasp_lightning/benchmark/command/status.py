"""What is here: source files, converted tables, and the experiments that they unlock."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from nasp_lightning.benchmark.base import BenchmarkTable, Declaration, Place, Provenance
from nasp_lightning.benchmark.command.choices import NO_BENCHMARK, experiments, loaders
from nasp_lightning.benchmark.format.cache import tables_dir
from nasp_lightning.benchmark.format.files import downloads_dir, places_of
from nasp_lightning.error import NaspError
from nasp_lightning.storage import file_sha256

if TYPE_CHECKING:
    from rich.console import Console


def declarations() -> list[Declaration]:
    """What each benchmark of ``conf/benchmark`` says of itself."""
    modules = [loader.rpartition(".")[0] for loader in loaders().values()]
    return [import_module(module).DECLARATION for module in modules]


def sources() -> list[Place]:
    """Every source that a benchmark can be read from, present or not."""
    return [place for declaration in declarations() for place in places_of(declaration)]


def tables() -> list[tuple[Path, Provenance]]:
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
    messages = []
    for declaration in declarations():
        for official in declaration.official.values():
            file = downloads_dir() / official.name
            if file.is_file() and file_sha256(file) != official.sha256:
                messages.append(
                    f"{file} has not the published SHA-256: delete it and fetch it again"
                )
    return messages


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
    for place in found:
        where = "absent" if place.path is None else str(place.path)
        shown.add_row(place.benchmark, place.name, where, _size(place.path))
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
    console: Console, found: list[Place], converted: list[tuple[Path, Provenance]]
) -> None:
    here = {place.benchmark for place in found if place.path and not place.partial}
    here |= {
        str(provenance.get("benchmark"))
        for _, provenance in converted
        if not provenance.get("partial")
    }
    partly = {place.benchmark for place in found if place.path}
    known = {place.benchmark for place in found}
    by_hand = {item.name: item.by_hand for item in declarations()}
    for benchmark, names in experiments().items():
        state = "missing" if benchmark in known else by_hand.get(benchmark) or "not listed here"
        if benchmark in partly:
            state = "a part of it is here: add benchmark.partial=true"
        if benchmark in here:
            state = "ready"
        if benchmark == NO_BENCHMARK:
            state = "these train on images"
        console.print(f"\n{benchmark}: {state}", style="bold")
        console.print(f"  experiments: {', '.join(names)}", soft_wrap=True)
    for place in found:
        if place.path is None:
            console.print(f"\n{place.benchmark} {place.name}: absent", style="bold")
            console.print(f"  {place.remedy}", soft_wrap=True)


def _size(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        return f"{sum(file.stat().st_size for file in files) / 1e6:,.1f} MB"
    except OSError:
        return "?"
