"""Anybody's table of evaluated architectures, from CSV (also ``.csv.gz``) and a map of columns.

The map is a short YAML file; those shipped are in ``conf/benchmark/columns``::

    space: nasbench201                                  # or my_space.Blocks: module and class
    architecture: {form: string, column: arch_str}      # or digits, columns, graph: see below
    metrics:                                            # <dataset>/<quantity>/<epochs>
      cifar10/test_accuracy/200: {columns: [acc_run0, acc_run1], scale: 0.01}
    costs:
      parameters: params
      flops: {columns: [flops_M], scale: 1.0e6}
      proxy/synflow: synflow
    curves:
      cifar10/train_loss/3: {columns: [loss_1, loss_2, loss_3]}

``form`` says how an architecture is written: ``string`` (the space's own text), ``digits`` (one
digit for each operation), ``columns`` (``columns: [op_01, op_02, …]`` in the space's order), or
``graph`` (``adjacency`` as a row-major 0/1 string and ``operations`` as the inner vertices'
digits; ``codes`` maps those to the space's codes). An entry with ``missing: true`` may have
empty cells, which become NaN. Accuracies must be fractions after ``scale``.

Where the space has a canonical index, rows come out in its order, whatever the file's was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable, Declaration
from nasp_lightning.benchmark.format.cache import cached_table, table_path, tables_dir
from nasp_lightning.benchmark.format.csv_cells import (
    ColumnMap,
    read_architectures,
    read_csv,
    read_values,
    refuse_duplicates,
)
from nasp_lightning.benchmark.format.files import locate
from nasp_lightning.error import NaspError
from nasp_lightning.shipped import conf_dir
from nasp_lightning.storage import known_sha256

if TYPE_CHECKING:
    from nasp_lightning.space.base import Space

# The user's file is the source, so there is nothing to look for.
DECLARATION = Declaration("csv")
CONVERTER = 1
KEYS = set(ColumnMap.__annotations__)
FORMS = ("string", "digits", "columns", "graph")


def load_table(
    path: str | Path | None = None,
    columns: str | Path | Mapping[str, object] | None = None,
    space: str | None = None,
    *,
    benchmark: str | None = None,
    source: str = "csv",
    partial: bool = True,
) -> BenchmarkTable:
    """A CSV as a benchmark table, converted once.

    Args:
        path: the file; None for a table imported before under the name ``benchmark``
            (``python -m nasp_lightning.benchmark import``).
        columns: the map of columns: a YAML file, the stem of a shipped one
            (``nasbench201``), or the map itself.
        space: stem of the space, or module and class of one's own; overrides the map's.
        benchmark: what the benchmark is called (default: the file's stem).
        source: recorded in the provenance.
        partial: False demands every architecture of a space whose size is known.

    Raises:
        NaspError: if the file or map is absent or wrong; the message names row and column.
    """
    if benchmark is not None:
        imported_path(benchmark)  # a name that can be a file's
    if path is None:
        return _imported(benchmark)
    path = Path(path).expanduser()
    plan = read_columns(columns if columns is not None else path.name.split(".")[0], space)
    title = benchmark or path.name.split(".")[0]
    sha256 = known_sha256(path)
    version = hashlib.sha256(f"{sha256}{sorted(plan.items())}{title}".encode()).hexdigest()
    table = cached_table(
        table_path(title, source, version, CONVERTER),
        lambda: convert(path, plan, benchmark=title, source=source, sha256=sha256),
    )
    if table.provenance["partial"] and not partial:
        raise NaspError(
            f"{path} holds {len(table)} of {table.provenance['size']} architectures: "
            "set benchmark.partial=true to go on with these"
        )
    return table


def load_known(
    declaration: Declaration,
    source: str = "csv",
    path: str | Path | None = None,
    partial: bool = False,
) -> BenchmarkTable:
    """A benchmark that is known as one CSV file, by the shipped map of columns of its name.

    Args:
        declaration: its name, and what the file of its source is called.
        source: one of the declared.
        path: the file; None: looked for.
        partial: False demands every architecture of the space.

    Raises:
        NaspError: if the source is another, or the file is absent or wrong.
    """
    name, files = declaration.name, declaration.check_source(source).files
    return load_table(locate(name, files, path), name, benchmark=name, partial=partial)


def imported_path(name: str) -> Path:
    """File of a table imported under ``name``.

    Raises:
        NaspError: if the name could not be a file's.
    """
    if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
        raise NaspError(f"name {name!r}: use letters, digits, - and _ only")
    return tables_dir() / f"imported-{name}.safetensors"


def _imported(name: str | None) -> BenchmarkTable:
    if name is None:
        raise NaspError("benchmark csv: set benchmark.path to a CSV file (and benchmark.columns)")
    path = imported_path(name)
    if not path.exists():
        raise NaspError(
            f"no table was imported as {name!r}: run `python -m nasp_lightning.benchmark import "
            f"FILE --columns YAML --name {name}`, or set benchmark.path"
        )
    return BenchmarkTable.open(path)


def columns_dir() -> Path:
    """Folder of the shipped maps."""
    return Path(conf_dir()) / "benchmark" / "columns"


def read_columns(columns: str | Path | Mapping[str, object], space: str | None = None) -> ColumnMap:
    """The map of columns from a file, a shipped map's stem, or as it is.

    Args:
        columns: the file, the stem or the map.
        space: takes the place of the map's ``space``, which it then does not need.

    Raises:
        NaspError: if there is none, or it has keys that nothing reads.
    """
    if isinstance(columns, Mapping):
        label, content = "columns", dict(columns)
    else:
        label, content = _read_yaml(columns)
    if unknown := sorted(set(content) - KEYS):
        raise NaspError(
            f"{label}: unknown key {unknown[0]!r}; it may have {', '.join(sorted(KEYS))}"
        )
    if space is not None:
        content["space"] = _space_name(space)
    if not isinstance(content.get("space"), str):
        raise NaspError(f"{label}: space is missing, such as `space: nasbench201`")
    if not _is_map(content):
        raise NaspError(
            f"{label}: architecture.form must be one of {', '.join(FORMS)}, such as "
            "`architecture: {form: string, column: arch_str}`"
        )
    return content


def _is_map(content: Mapping[str, object]) -> TypeGuard[ColumnMap]:
    """Whether it says how an architecture is written."""
    architecture = content.get("architecture")
    return isinstance(architecture, Mapping) and architecture.get("form") in FORMS


def _read_yaml(columns: str | Path) -> tuple[str, dict[str, object]]:
    import yaml

    path = Path(columns).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        folder = columns_dir()
        path = folder / f"{columns}.yaml"
        if not path.is_file():
            have = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
            raise NaspError(
                f"no map of columns is called {str(columns)!r}: give a YAML file, or one of {have}"
            )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NaspError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise NaspError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise NaspError(f"{path} is no map of columns: it must have `space:` and `architecture:`")
    return str(path), content


def find_space(name: str) -> Space:
    """The space of that name in its default encoding.

    Args:
        name: stem of a module of :mod:`nasp_lightning.space`, or module and class of a space of
            one's own, such as ``my_space.Blocks``.

    Raises:
        NaspError: if there is none.
    """
    from nasp_lightning.space.base import Space

    if "." in name:
        return _own_space(name)
    try:
        module = import_module(f"nasp_lightning.space.{name}")
    except ModuleNotFoundError as error:
        raise NaspError(f"there is no space {name!r}; see conf/space/") from error
    for item in vars(module).values():
        if isinstance(item, type) and issubclass(item, Space) and vars(item).get("name") == name:
            return item()
    raise NaspError(f"there is no space {name!r}; see conf/space/")


def _own_space(name: str) -> Space:
    from nasp_lightning.space.base import Space

    module, _, attribute = name.rpartition(".")
    try:
        kind = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise NaspError(
            f"there is no space {name!r} ({error}): {module.split('.')[0]}.py must be in the "
            "folder where the command is typed, or on PYTHONPATH"
        ) from error
    if not isinstance(kind, type) or not issubclass(kind, Space):
        raise NaspError(f"{name} is no nasp_lightning.space.base.Space: name one's class")
    return kind()


def _space_name(name: str) -> str:
    """A space's stem where it is of this package, however it was named; else as it is."""
    own = name.removeprefix("nasp_lightning.space.")
    return name if own == name else own.split(".")[0]


def convert(
    path: Path, plan: ColumnMap, *, benchmark: str, source: str, sha256: str
) -> BenchmarkTable:
    """Read a CSV by a map of columns: see :func:`load_table`."""
    from nasp_lightning.space.base import Indexed

    space = find_space(plan["space"])
    content = read_csv(path, plan.get("delimiter", ","))
    operations, adjacency, keys = read_architectures(content, plan["architecture"], space, path)
    refuse_duplicates(operations, adjacency, path)
    groups = {
        group: {
            name: read_values(content, name, entry, group, path)
            for name, entry in (entries or {}).items()
        }
        for group, entries in (
            ("metrics", plan.get("metrics")),
            ("costs", plan.get("costs")),
            ("curves", plan.get("curves")),
        )
    }
    size = space.size
    table = BenchmarkTable(
        space=plan["space"],
        operations=operations,
        adjacency=adjacency,
        keys=keys,
        provenance={
            "benchmark": benchmark,
            "source": source,
            "file": path.name,
            "sha256": sha256,
            "version": CONVERTER,
            "count": len(operations),
            "size": size,
            "partial": size is not None and len(operations) < size,
            "reduction": plan.get("reduction", "runs"),
            "notes": plan.get("notes", ""),
        },
        **groups,
    )
    if not isinstance(space, Indexed):
        return table
    return reordered(table, np.argsort(space.index_of(operations)))


def joined(table: BenchmarkTable, other: BenchmarkTable) -> BenchmarkTable:
    """``table`` with the costs and curves of ``other`` for the same architectures.

    Zero-cost proxies come in a file of their own; this puts them beside the accuracies. Where
    ``other`` lacks an architecture, its values are NaN.

    Raises:
        NaspError: if the two are not of one space, or its architectures have a varying topology.
    """
    if table.space != other.space or table.adjacency is not None:
        raise NaspError(
            f"cannot join a table of {other.space} to one of {table.space}: both must be of one "
            "space with a fixed topology"
        )
    rows = {codes.tobytes(): row for row, codes in enumerate(other.operations)}
    found = np.array([rows.get(codes.tobytes(), -1) for codes in table.operations])

    def placed(array: Array) -> Array:
        values: Array = array[found]
        values[found < 0] = np.nan
        return values

    return replace(
        table,
        costs={**{name: placed(array) for name, array in other.costs.items()}, **table.costs},
        curves={**{name: placed(array) for name, array in other.curves.items()}, **table.curves},
        provenance={**table.provenance, "joined": other.provenance},
    )


def reordered(table: BenchmarkTable, rows: Array) -> BenchmarkTable:
    """The table with these rows, in this order."""
    return replace(
        table,
        operations=table.operations[rows],
        adjacency=None if table.adjacency is None else table.adjacency[rows],
        keys=None if table.keys is None else table.keys[rows],
        metrics={name: array[rows] for name, array in table.metrics.items()},
        costs={name: array[rows] for name, array in table.costs.items()},
        curves={name: array[rows] for name, array in table.curves.items()},
    )
