"""The file of a benchmark table: named arrays and what is said of them, in safetensors.

The metadata hold a JSON header with the space, the provenance and a CRC32C of every array. A file
is written atomically, and every array is verified when it is opened.
"""

from __future__ import annotations

import json
import math
import mmap
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark.format.provenance import Provenance
from nasp_lightning.error import NaspError
from nasp_lightning.storage import atomic_path

FORMAT = "nasp_lightning.table/1"
_REMEDY = "delete it, and the next run converts the source again"
_DTYPES = {  # of safetensors
    **{f"U{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"I{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    "BOOL": "?",
}


@dataclass(frozen=True)
class Content:
    """What a table's file holds.

    Attributes:
        space: stem of the space.
        provenance: what the table says of itself.
        arrays: name to array; ``metrics:…``, ``costs:…`` and ``curves:…`` begin those of a group.
    """

    space: str
    provenance: Provenance
    arrays: dict[str, Array]


def write_content(path: Path, content: Content) -> None:
    """Write a table's content to one file, atomically.

    Raises:
        NaspError: if the folder cannot be written or the disk is full.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(array) for name, array in content.arrays.items()}
    header = {
        "format": FORMAT,
        "space": content.space,
        "provenance": content.provenance,
        "crc32c": checksums(arrays),
    }
    with atomic_path(path) as temporary:
        try:
            save_file(arrays, temporary, metadata={"table": json.dumps(header)})
        except SafetensorError as error:  # the system's refusal, as text
            found = re.search(r"os error (\d+)", str(error))
            raise OSError(int(found[1]) if found else 0, str(error)) from error


def read_content(path: Path) -> Content:
    """Open a table's file and verify every array against its checksum.

    Raises:
        NaspError: if the file is absent, cut short, altered, or of another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {}).get("table", "{}"))
            if header.get("format") != FORMAT:
                raise NaspError(f"{path} is not a benchmark table of this version: {_REMEDY}")
        arrays = _map_arrays(Path(path), header["crc32c"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        if isinstance(error, FileNotFoundError):
            raise NaspError(f"no benchmark table at {path}") from error
        raise NaspError(f"{path} is damaged ({error}): {_REMEDY}") from error
    for name, array in arrays.items():
        if _crc32c(array) != header["crc32c"][name]:
            raise NaspError(f"{path} is damaged (checksum of {name} differs): {_REMEDY}")
    return Content(header["space"], header["provenance"], arrays)


def read_provenance(path: Path) -> Provenance:
    """Provenance of a table's file without reading its arrays; empty if it is no table."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {}).get("table", "{}"))
    except (SafetensorError, OSError, ValueError):
        return {}
    found: Provenance = header.get("provenance", {}) if header.get("format") == FORMAT else {}
    return found


def checksums(arrays: Mapping[str, Array]) -> dict[str, int]:
    """Name to CRC32C of an array's bytes."""
    return {name: _crc32c(array) for name, array in arrays.items()}


def _map_arrays(path: Path, names: Iterable[str]) -> dict[str, Array]:
    """Arrays of a safetensors file without copying them: pages are read as they are used.

    The mapping is private: an array can be written to, and the file stays as it is.
    """
    with open(path, "rb") as file:
        begin = 8 + int.from_bytes(file.read(8), "little")
        described = json.loads(file.read(begin - 8))
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    arrays: dict[str, Array] = {}
    for name in names:
        shape, dtype = described[name]["shape"], np.dtype(_DTYPES[described[name]["dtype"]])
        first, _ = described[name]["data_offsets"]
        count = math.prod(shape)
        flat = np.frombuffer(mapped, dtype, count, begin + first) if count else np.empty(0, dtype)
        arrays[name] = flat.reshape(shape)
    return arrays


def _crc32c(array: Array) -> int:
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    # The C implementation takes an array as it is, the Python one wants bytes.
    return int(google_crc32c.value(data if google_crc32c.implementation == "c" else bytes(data)))
