"""Cells of a CSV as arrays: architectures, metrics, costs and curves, with errors by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark.format.unpickle import read_bytes
from nasp_lightning.error import NaspError

if TYPE_CHECKING:
    from nasp_lightning.space.base import Space

LIMIT = 2 << 30  # bytes of a table, decompressed

Columns = Mapping[str, Sequence[str]]


class ArchitectureColumns(TypedDict, total=False):
    """How a CSV writes an architecture.

    Attributes:
        form: ``string``, ``digits``, ``columns`` or ``graph``.
        column: of ``string`` and ``digits``.
        columns: of ``columns``, in the space's order.
        adjacency: column of ``graph``: a row-major 0/1 string.
        operations: column of ``graph``: the inner vertices' digits.
        hash: column of ``graph``: 32 hexadecimal digits; left out where there is none.
        codes: of ``graph``: digit to the space's operation code.
        input: of ``graph``: code of the input, as the next three a number.
        output: code of the output.
        padding: code of a padded vertex.
        size: vertices with the padding.
    """

    form: str
    column: str
    columns: str | Sequence[str]
    adjacency: str
    operations: str
    hash: str
    codes: Mapping[str | int, int] | None
    input: int
    output: int
    padding: int
    size: int


class ValueColumns(TypedDict, total=False):
    """Columns of a metric, cost or curve.

    Attributes:
        columns: one for each run, or for each epoch of a curve.
        scale: factor of the cells, 1 by default.
        missing: whether cells may be empty, which gives NaN.
    """

    columns: str | Sequence[str]
    scale: float
    missing: bool


Values = Mapping[str, ValueColumns | str | Sequence[str]]


class ColumnMap(TypedDict, total=False):
    """What the columns of a CSV mean, as its YAML says: see :mod:`nasp_lightning.benchmark.csv`.

    Attributes:
        space: stem of the space, or module and class of one's own.
        architecture: ``form``, and the columns that it is in.
        metrics: name to its columns.
        costs: likewise.
        curves: likewise.
        delimiter: between cells; a comma by default.
        reduction: what the columns of a metric are: ``runs`` by default.
        notes: what a user should know of the numbers.
    """

    space: str
    architecture: ArchitectureColumns
    metrics: Values | None
    costs: Values | None
    curves: Values | None
    delimiter: str
    reduction: str
    notes: str


_NB101_CODES = {"0": 2, "1": 3, "2": 4}


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
    content: Columns, entry: ArchitectureColumns, space: Space, path: Path
) -> tuple[Array, Array | None, Array | None]:
    """Operations, adjacency and keys of every row: see the module's text for the forms.

    Raises:
        NaspError: if a column is absent, or a row is no architecture of the space.
    """
    form = entry["form"]
    if form == "graph":
        operations, adjacency = _graphs(content, entry, path)
        keys = _hashes(_column(content, entry["hash"], path), path) if "hash" in entry else None
        _validate(space, operations, adjacency, path)
        return operations, adjacency, keys
    if form == "columns":
        names = _names(entry.get("columns"), "architecture", path)
        values = [_numbers(_column(content, name, path), name, path, False) for name in names]
        operations = _codes(np.stack(values, axis=1), path)
    elif form == "digits":
        operations = _digits(_column(content, str(entry.get("column")), path), path)
    else:
        operations = _strings(_column(content, str(entry.get("column")), path), space, path)
    _validate(space, operations, None, path)
    return operations, None, None


def _validate(space: Space, operations: Array, adjacency: Array | None, path: Path) -> None:
    try:
        space.validate(operations, adjacency)
    except NaspError as error:
        raise NaspError(f"{path} (architecture 0 is row 2): {error}") from error


def _graphs(content: Columns, entry: ArchitectureColumns, path: Path) -> tuple[Array, Array]:
    """``[N, V]`` operations and ``[N, V, V]`` adjacencies, padded to the space's size.

    The defaults of ``codes``, ``input``, ``output``, ``padding`` and ``size`` are those of
    NAS-Bench-101: digits 0 conv3x3, 1 conv1x1, 2 maxpool become the codes 2, 3, 4.
    """
    size = int(entry.get("size", 7))
    codes = {str(key): int(code) for key, code in (entry.get("codes") or _NB101_CODES).items()}
    matrices = _column(content, str(entry.get("adjacency", "adjacency")), path)
    inner = _column(content, str(entry.get("operations", "operations")), path)
    operations = np.full((len(inner), size), int(entry.get("padding", 5)), dtype=np.uint8)
    adjacency = np.zeros((len(inner), size, size), dtype=np.uint8)
    ends = int(entry.get("input", 1)), int(entry.get("output", 0))
    for row, (matrix, digits) in enumerate(zip(matrices, inner, strict=True)):
        count = len(digits) + 2
        if count > size or len(matrix) != count * count or not set(matrix) <= {"0", "1"}:
            raise NaspError(
                f"{path}, row {row + 2}: adjacency {matrix[:60]!r} is not {count} by {count} "
                f"zeros and ones for operations {digits[:20]!r} (at most {size} vertices)"
            )
        if unknown := [digit for digit in digits if digit not in codes]:
            raise NaspError(
                f"{path}, row {row + 2}: unknown operation {unknown[0]!r}; "
                f"the map of columns knows {', '.join(codes)}"
            )
        operations[row, :count] = [ends[0], *(codes[digit] for digit in digits), ends[1]]
        bits = np.frombuffer(matrix.encode(), dtype=np.uint8) - ord("0")
        adjacency[row, :count, :count] = bits.reshape(count, count)
    return operations, adjacency


def _hashes(cells: Sequence[str], path: Path) -> Array:
    """``[N, 16]`` uint8 from 32 hexadecimal digits each."""
    try:
        keys = np.frombuffer(bytes.fromhex("".join(cells)), dtype=np.uint8)
        return keys.reshape(len(cells), 16)
    except ValueError as error:
        raise NaspError(f"{path}: hashes must be 32 hexadecimal digits each") from error


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


def _names(value: object, name: str, path: Path) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Sequence) and value and all(isinstance(item, str) for item in value):
        return list(value)
    raise NaspError(f"{path}: {name} in the map of columns must name its columns, not {value!r}")


def read_values(
    content: Columns, name: str, entry: ValueColumns | str | Sequence[str], group: str, path: Path
) -> Array:
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
            f"{path}, row {row + 2}: {name} is {values[row, column]:g}, but accuracies are "
            "fractions from 0 to 1: for percent, set scale: 0.01 in the map of columns"
        )


def refuse_duplicates(operations: Array, adjacency: Array | None, path: Path) -> None:
    """Raise :class:`NaspError` naming two rows that hold the same architecture."""
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
