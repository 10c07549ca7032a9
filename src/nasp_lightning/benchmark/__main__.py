"""``python -m nasp_lightning.benchmark``: what is here, what is missing, fetch, verify, import."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from nasp_lightning.error import NaspError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit status (0, 1 for damage found, 2 for an error)."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except NaspError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nasp_lightning.benchmark",
        description="Benchmark tables: what is here, what is missing, and how to get it.",
    )
    commands = parser.add_subparsers(required=True, metavar="status|fetch|verify|import|export")
    status = commands.add_parser("status", help="sources, converted tables, experiments")
    status.set_defaults(run=_status)
    fetch = commands.add_parser("fetch", help="fetch a benchmark's official file")
    fetch.add_argument("name", help="of a benchmark with an address, such as nasbench101")
    fetch.add_argument("--file", help="which of its files, such as only108 or full; or the first")
    fetch.set_defaults(run=_fetch)
    verify = commands.add_parser("verify", help="check every converted table; status 1 on damage")
    verify.add_argument("--all", action="store_true", help="also the fetched official files")
    verify.set_defaults(run=_verify)
    imported = commands.add_parser(
        "import", help="convert a CSV, or what job=build_benchmark built, into the cache"
    )
    imported.add_argument("file", type=Path, help="a .csv or .csv.gz file, or a build's folder")
    imported.add_argument("--columns", help="map of columns of a CSV: a YAML file or a stem")
    imported.add_argument("--name", required=True, help="what the benchmark is called")
    imported.set_defaults(run=_import)
    exported = commands.add_parser("export", help="pack a folder of job=build_benchmark")
    exported.add_argument("folder", type=Path, help="finished or not; what is there is packed")
    exported.add_argument("file", type=Path, help="to write, such as mine.json.gz")
    exported.add_argument("--prefix", action="store_true", help="only members before the first gap")
    exported.set_defaults(run=_export)
    return parser


def _status(options: argparse.Namespace) -> int:
    from nasp_lightning.benchmark.command.status import print_status

    print_status()
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from nasp_lightning.benchmark.command.status import declarations
    from nasp_lightning.benchmark.format.fetch import fetch_official

    known = {item.name: item for item in declarations()}
    chosen = known.get(options.name)
    if chosen is not None and chosen.official:
        print(fetch_official(chosen, options.file))
        return 0
    if chosen is not None and chosen.by_hand:
        raise NaspError(f"{chosen.name} needs no fetching: {chosen.by_hand}")
    fetched = ", ".join(name for name, item in known.items() if item.official)
    raise NaspError(f"nothing to fetch for {options.name!r}; fetch knows {fetched}")


def _verify(options: argparse.Namespace) -> int:
    from nasp_lightning.benchmark.command.status import damaged_downloads, damaged_tables

    damaged = damaged_tables() + (damaged_downloads() if options.all else [])
    for message in damaged:
        print(f"damaged: {message}", file=sys.stderr)
    return 1 if damaged else 0


def _import(options: argparse.Namespace) -> int:
    from nasp_lightning.benchmark import csv
    from nasp_lightning.record.build import is_build, read_build

    target = csv.imported_path(options.name)
    if is_build(options.file):
        table = _module_of(options.file).make_table(read_build(options.file), options.file)
    elif options.columns is None:
        raise NaspError(
            f"{options.file}: a CSV needs --columns; a folder of job=build_benchmark has build.json"
        )
    else:
        table = csv.load_table(options.file, options.columns, benchmark=options.name)
    table.save(target)
    print(f"{options.name}: {len(table):,} architectures of {table.space}, in {target}")
    print(f'load it with load_benchmark("csv", benchmark="{options.name}")')
    return 0


def _export(options: argparse.Namespace) -> int:
    from nasp_lightning.record.build import pack, read_build

    build, module = read_build(options.folder), _module_of(options.folder)
    if options.prefix:
        build = module.prefix_of(build, options.folder)
    table = module.make_table(build, options.folder)  # refuses what is amiss
    pack(build, options.file)
    said = table.provenance
    print(
        f"{said['benchmark']}, fidelity {said['fidelity']}: {said['count']:,} of {said['size']:,} "
        f"members, the first {said['prefix']:,} without a gap, in {options.file}"
    )
    return 0


def _module_of(path: Path) -> ModuleType:
    """The benchmark's module that makes tables of a build."""
    from nasp_lightning.benchmark import tinynano
    from nasp_lightning.record.build import read_build

    name = read_build(path).manifest["benchmark"]
    if name != "tinynano":
        raise NaspError(f"{path} is a build of {name}; tables are made of tinynano's")
    return tinynano


if __name__ == "__main__":
    sys.exit(main())
