"""Anybody's table of evaluated architectures, from CSV (also ``.csv.gz``) and a map of columns.

The map is a short YAML file; those shipped are in ``conf/benchmark/columns``::

    space: nasbench201                                  # stem of a module in nasp_lightning.space
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

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasp_lightning.benchmark.cache import cached_table, table_path, tables_dir
from nasp_lightning.benchmark.table import Array, BenchmarkTable
from nasp_lightning.benchmark.unpickle import read_bytes
from nasp_lightning.error import NaspError
from nasp_lightning.storage import known_sha256

if TYPE_CHECKING:
    from nasp_lightning.space.base import Space

CONVERTER = 1
LIMIT = 2 << 30  # bytes of a table, decompressed
KEYS = {"space", "architecture", "metrics", "costs", "curves", "delimiter", "reduction", "notes"}
FORMS = ("string", "digits", "columns", "graph")

Columns = Mapping[str, Sequence[str]]


def load_table(
    path: str | Path | None = None,
    columns: str | Path | Mapping[str, Any] | None = None,
    space: str | None = None,
    *,
    name: str | None = None,
    source: str = "csv",
    partial: bool = True,
) -> BenchmarkTable:
    """A CSV as a benchmark table, converted once.

    Args:
        path: the file; None for a table imported before under ``name``
            (``python -m nasp_lightning.benchmark import``).
        columns: the map of columns: a YAML file, the stem of a shipped one
            (``nasbench201``), or the map itself.
        space: stem of the space; overrides the map's.
        name: what the benchmark is called (default: the file's stem).
        source: recorded in the provenance.
        partial: False demands every architecture of a space whose size is known.

    Raises:
        NaspError: if the file or map is absent or wrong; the message names row and column.
    """
    if path is None:
        return _imported(name)
    path = Path(path).expanduser()
    plan = read_columns(columns if columns is not None else path.name.split(".")[0])
    if space is not None:
        plan = {**plan, "space": space}
    title = name or path.name.split(".")[0]
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
    from nasp_lightning.cli import conf_dir

    return Path(conf_dir()) / "benchmark" / "columns"


def read_columns(columns: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """The map of columns from a file, a shipped map's stem, or as it is.

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
    if not isinstance(content.get("space"), str):
        raise NaspError(f"{label}: space is missing, such as `space: nasbench201`")
    architecture = content.get("architecture")
    if not isinstance(architecture, Mapping) or architecture.get("form") not in FORMS:
        raise NaspError(
            f"{label}: architecture.form must be one of {', '.join(FORMS)}, such as "
            "`architecture: {form: string, column: arch_str}`"
        )
    return content


def _read_yaml(columns: str | Path) -> tuple[str, dict[str, Any]]:
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

    Raises:
        NaspError: if no module of :mod:`nasp_lightning.space` defines it.
    """
    from nasp_lightning.space.base import Space

    try:
        module = import_module(f"nasp_lightning.space.{name}")
    except ModuleNotFoundError as error:
        raise NaspError(f"there is no space {name!r}; see conf/space/") from error
    for item in vars(module).values():
        if isinstance(item, type) and issubclass(item, Space) and vars(item).get("name") == name:
            return item()
    raise NaspError(f"there is no space {name!r}; see conf/space/")


def convert(
    path: Path, plan: Mapping[str, Any], *, benchmark: str, source: str, sha256: str
) -> BenchmarkTable:
    """Read a CSV by a map of columns: see :func:`load_table`."""
    space = find_space(plan["space"])
    content = read_csv(path, plan.get("delimiter", ","))
    operations, adjacency, keys = read_architectures(content, plan["architecture"], space, path)
    _refuse_duplicates(operations, adjacency, path)
    groups = {
        group: {
            name: _values(content, name, entry, group, path)
            for name, entry in (plan.get(group) or {}).items()
        }
        for group in ("metrics", "costs", "curves")
    }
    size = getattr(space, "size", None)
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
    index_of = getattr(space, "index_of", None)
    return table if index_of is None else reordered(table, np.argsort(index_of(operations)))


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


def read_csv(path: Path, delimiter: str = ",") -> dict[str, tuple[str, ...]]:
    """Column name to its cells, all as text.

    Raises:
        NaspError: if the file is absent, cut short, empty, no text, or a row's fields are not
            as many as the header's.
    """
    data = read_bytes(path, LIMIT, str(path))
    try:
        text = data.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise NaspError(f"{path} is no CSV text ({error})") from error
    if len(rows) < 2:
        raise NaspError(f"{path} is empty: expected a header and at least one architecture")
    header = [name.strip() for name in rows[0]]
    if len(set(header)) != len(header):
        raise NaspError(f"{path}: two columns have the same name in the header")
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise NaspError(
                f"{path}, row {number}: {len(row)} fields, the header has {len(header)}; "
                "the file may be cut short, or delimiter is wrong"
            )
    return dict(zip(header, zip(*rows[1:], strict=True), strict=True))


def _column(content: Columns, name: str, path: Path) -> Sequence[str]:
    if name not in content:
        raise NaspError(f"{path} has no column {name!r}; it has: {', '.join(content)}")
    return content[name]


def read_architectures(
    content: Columns, entry: Mapping[str, Any], space: Space, path: Path
) -> tuple[Array, Array | None, Array | None]:
    """Operations, adjacency and keys of every row: see the module's text for the forms.

    Raises:
        NaspError: if a column is absent, or a row is no architecture of the space.
    """
    form = entry["form"]
    if form == "graph":
        from nasp_lightning.benchmark.csv_graph import read_graphs

        cells = {
            key: _column(content, str(entry.get(key, key)), path)
            for key in ("adjacency", "operations")
        }
        if "hash" in entry:
            cells["hash"] = _column(content, str(entry["hash"]), path)
        operations, adjacency, keys = read_graphs(cells, entry, path)
        space.validate(operations, adjacency)
        return operations, adjacency, keys
    if form == "columns":
        names = _names(entry.get("columns"), "architecture", path)
        values = [_numbers(_column(content, name, path), name, path, False) for name in names]
        operations = _codes(np.stack(values, axis=1), path)
    elif form == "digits":
        operations = _digits(_column(content, str(entry.get("column")), path), path)
    else:
        operations = _strings(_column(content, str(entry.get("column")), path), space, path)
    try:
        space.validate(operations)
    except NaspError as error:
        raise NaspError(
            f"{path} (architectures counted from 0, after the header): {error}"
        ) from error
    return operations, None, None


def _strings(cells: Sequence[str], space: Space, path: Path) -> Array:
    operations = []
    for number, cell in enumerate(cells, 2):
        try:
            operations.append(space.from_string(cell)[0])
        except NaspError as error:
            raise NaspError(f"{path}, row {number}: {error}") from error
    return np.stack(operations)


def _digits(cells: Sequence[str], path: Path) -> Array:
    width = len(cells[0])
    for number, cell in enumerate(cells, 2):
        if len(cell) != width or not (cell.isascii() and cell.isdigit()):
            raise NaspError(
                f"{path}, row {number}: {cell[:40]!r} is no architecture; expected {width} digits "
                "(a leading zero is lost where the column was written as a number)"
            )
    codes = np.frombuffer("".join(cells).encode(), dtype=np.uint8) - ord("0")
    return codes.reshape(len(cells), width)


def _codes(values: Array, path: Path) -> Array:
    wrong = np.argwhere((values != np.round(values)) | (values < 0) | (values > 255))
    if len(wrong):
        row, column = wrong[0]
        raise NaspError(f"{path}, row {row + 2}: {values[row, column]} is no operation code")
    return values.astype(np.uint8)


def _names(value: Any, name: str, path: Path) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Sequence) and value and all(isinstance(item, str) for item in value):
        return list(value)
    raise NaspError(f"{path}: {name} in the map of columns must name its columns, not {value!r}")


def _values(content: Columns, name: str, entry: Any, group: str, path: Path) -> Array:
    """One metric ``[N, R]``, cost ``[N]`` or ``[N, R]``, or curve ``[N, 1, E]``."""
    options = entry if isinstance(entry, Mapping) else {"columns": entry}
    if unknown := sorted(set(options) - {"columns", "scale", "missing"}):
        raise NaspError(f"{path}: {name} in the map of columns has the unknown key {unknown[0]!r}")
    names = _names(options.get("columns"), name, path)
    missing = bool(options.get("missing", False))
    cells = [_numbers(_column(content, item, path), item, path, missing) for item in names]
    values = np.stack(cells, axis=1) * float(options.get("scale", 1.0))
    if "accuracy" in name:
        _check_fractions(values, name, path)
    if group == "curves":
        return values[:, None, :].astype(np.float32)
    if group == "metrics" or "train_seconds" in name or "latency" in name:
        return values.astype(np.float32)
    if len(names) != 1:
        raise NaspError(f"{path}: {name} in the map of columns takes one column, not {len(names)}")
    return values[:, 0].copy()


def _numbers(cells: Sequence[str], column: str, path: Path, missing: bool) -> Array:
    if missing:
        cells = [cell if cell.strip() else "nan" for cell in cells]
    try:
        values: Array = np.array(cells, dtype=np.float64)
    except ValueError as error:
        number = next(row for row, cell in enumerate(cells, 2) if not _is_number(cell))
        raise NaspError(
            f"{path}, row {number}, column {column}: {cells[number - 2][:40]!r} is no number"
        ) from error
    wrong = np.flatnonzero(np.isinf(values) | (np.isnan(values) & (not missing)))
    if len(wrong):
        raise NaspError(
            f"{path}, row {wrong[0] + 2}, column {column}: {cells[wrong[0]]!r} is no finite number "
            "(`missing: true` in the map of columns allows empty cells)"
        )
    return values


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_fractions(values: Array, name: str, path: Path) -> None:
    wrong = np.argwhere((values < 0) | (values > 1))
    if len(wrong):
        row, column = wrong[0]
        raise NaspError(
            f"{path}, row {row + 2}: {name} is {values[row, column]:g}, but accuracies are fractions "
            "from 0 to 1: for percent, set scale: 0.01 in the map of columns"
        )


def _refuse_duplicates(operations: Array, adjacency: Array | None, path: Path) -> None:
    flat = operations
    if adjacency is not None:
        flat = np.concatenate([operations, adjacency.reshape(len(operations), -1)], axis=1)
    flat = np.ascontiguousarray(flat)
    rows = flat.view(np.dtype((np.void, flat.shape[1]))).ravel()
    order = np.argsort(rows, kind="stable")
    same = np.flatnonzero(rows[order][1:] == rows[order][:-1])
    if len(same):
        first, second = order[same[0]] + 2, order[same[0] + 1] + 2
        raise NaspError(f"{path}: rows {first} and {second} are the same architecture")
