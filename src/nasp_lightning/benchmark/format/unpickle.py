"""Read pickles of plain containers and numbers without letting them run anything.

A pickle is a program: whatever callable it names, it may call. The benchmarks' files need a
handful of names (an ordered dict, numpy's scalars, dtypes and arrays, sets); each stands here for a
function of ours that checks its arguments, and every other name is refused before anything is
imported. A first pass over the bytes finds cut files, and sizes that would fill the memory.
"""

from __future__ import annotations

import bz2
import collections
import gzip
import io
import math
import pickle
import pickletools
import zlib
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import IO, NoReturn

import numpy as np

from nasp_lightning.error import NaspError

Allowed = Mapping[tuple[str, str], Callable[..., object]]

LIMIT = 256 << 20  # bytes of one pickle, decompressed
_BLOCK = 4 << 20

# Opcode to the length of its argument: >= 0 fixed, < 0 as pickletools names it (a line, or a
# length of 1, 4 or 8 bytes in front).
_ARGUMENT: dict[int, int] = {
    ord(code.code): 0 if code.arg is None else code.arg.n for code in pickletools.opcodes
}
_TWO_LINES = {ord("c"), ord("i")}  # GLOBAL, INST: module and name
_PREFIX = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_STOP, _PUT, _LONG_BINPUT = ord("."), ord("p"), ord("r")


class _Refused(pickle.UnpicklingError):
    """Something that a plain pickle does not contain."""


class _Dtype:
    """A dtype in the making: a plain number or text type; a pickle may set its byte order only."""

    __slots__ = ("dtype",)

    def __init__(self, kind: object, *_: object) -> None:
        if not isinstance(kind, str) or len(kind) > 12:
            raise _Refused("a numpy dtype that is no plain type")
        self.dtype = _plain(np.dtype(kind))

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray[tuple[int, ...], np.dtype[np.generic]]):
    """An array in the making; takes its content only if shape, type and bytes agree."""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple):
            raise _Refused("a numpy array without a shape")
        version, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
            raise _Refused("a numpy array of objects")
        if len(data) != math.prod(shape) * dtype.dtype.itemsize or min(shape, default=0) < 0:
            raise _Refused("a numpy array whose shape is not its content's")
        checked = (version, shape, dtype.dtype, bool(fortran), data)
        super().__setstate__(checked)  # type: ignore[arg-type]  # its stub asks for numpy's bool


def _plain(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    if dtype.kind not in "biufcSU":
        raise _Refused(f"a numpy dtype of kind {dtype.kind!r}")
    return dtype


def _scalar(dtype: object, data: object = None) -> object:
    raw = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
        raise _Refused("a numpy scalar that is no plain number")
    if len(raw) != dtype.dtype.itemsize:
        raise _Refused("a numpy scalar of the wrong length")
    scalar: object = np.frombuffer(raw, dtype=dtype.dtype)[0]
    return scalar


def _latin1(text: object, encoding: object = "latin1") -> bytes:
    """How pickles of protocol 2 write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _Refused("an encoding other than latin1")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    """How pickles of protocol 2 write no bytes."""
    return b""


def _nothing(*_: object) -> None:
    return None


# Older NumPy writes numpy.core, NumPy 2 numpy._core: the same functions.
PLAIN: Allowed = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): _empty_bytes,
    ("__builtin__", "set"): set,
    ("builtins", "set"): set,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _nothing,  # only an argument of _reconstruct
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array((0,)),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array((0,)),
}
"""Names that a pickle may use, each with the harmless function that stands for it."""

TENSORS_DROPPED: Allowed = {
    **PLAIN,
    ("torch._utils", "_rebuild_tensor_v2"): _nothing,
    **{("torch", f"{kind}Storage"): _nothing for kind in ("Float", "Double", "Long", "Int")},
}
"""As :data:`PLAIN`, for files written by ``torch.save``: every tensor in them becomes None."""


class _Name:
    """An allowed name as the pickle sees it: it can be called, and nothing of it can be set."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., object]) -> None:
        self._call = call

    def __call__(self, *arguments: object) -> object:
        return self._call(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise _Refused("an attempt to change a function")


class _Restricted(pickle.Unpickler):
    """An unpickler that knows the allowed names and no others."""

    def __init__(self, data: bytes, allowed: Allowed, name: str) -> None:
        super().__init__(io.BytesIO(data))
        self._names = {key: _Name(call) for key, call in allowed.items()}
        self._drops_tensors = ("torch._utils", "_rebuild_tensor_v2") in allowed
        self._file = name

    def find_class(self, module: str, name: str) -> _Name:
        found = self._names.get((module, name))
        if found is None:
            raise NaspError(
                f"{self._file} was refused: it asks for {module}.{name}, which no benchmark file "
                "needs (unpickling it could run code); get the file again from its official source"
            )
        return found

    def persistent_load(self, pid: object) -> None:
        if self._drops_tensors:
            return None
        raise _Refused("an object stored outside the pickle")


def restricted_load(
    source: Path | str | IO[bytes],
    *,
    allowed: Allowed = PLAIN,
    name: str | None = None,
    limit: int = LIMIT,
) -> object:
    """The object in a pickle of plain containers; ``.gz`` and ``.bz2`` content is decompressed.

    Args:
        source: a path, or a binary file object.
        allowed: names the pickle may use, with what stands for them.
        name: what error messages call the file (default: its path).
        limit: most bytes that it may have, decompressed.

    Raises:
        NaspError: if the file is absent, cut short, too large, no pickle, or asks for any name
            that is not allowed; nothing of it has run then.
    """
    label = name or str(getattr(source, "name", source))
    return loads(read_bytes(source, limit, label), allowed=allowed, name=label)


def read_bytes(source: Path | str | IO[bytes], limit: int, name: str) -> bytes:
    """Content of a file, decompressed if it is gzip or bzip2.

    Raises:
        NaspError: if it is absent, cut short, or larger than ``limit``.
    """
    try:
        if isinstance(source, str | Path):
            with open(source, "rb") as file:
                return _decompressed(file, limit, name)
        return _decompressed(source, limit, name)
    except MemoryError as error:
        raise NaspError(f"{name} does not fit into this machine's memory") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise NaspError(f"{name} is cut short or damaged ({error}): get it again") from error
    except OSError as error:
        if error.errno is None:  # bz2 reports bad data so
            raise NaspError(f"{name} is damaged ({error}): get it again") from error
        raise NaspError(f"cannot read {name}: {error.strerror}") from error


def _decompressed(file: IO[bytes], limit: int, name: str) -> bytes:
    magic = file.read(3)
    file.seek(-len(magic), io.SEEK_CUR)
    stream: IO[bytes] = file
    if magic[:2] == b"\x1f\x8b":
        stream = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]
    elif magic == b"BZh":
        stream = bz2.BZ2File(file)
    blocks: list[bytes] = []
    total = 0
    while block := stream.read(_BLOCK):  # one read of `limit` bytes would allocate them all
        blocks.append(block)
        total += len(block)
        if total > limit:
            raise NaspError(
                f"{name} holds more than {limit >> 20} MiB, which no file of this benchmark does: "
                "get it again from its official source"
            )
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def loads(data: bytes, *, allowed: Allowed = PLAIN, name: str = "pickle") -> object:
    """The object in the first pickle of ``data``: see :func:`restricted_load`."""
    return load_sequence(data, 1, allowed=allowed, name=name)[0]


def load_sequence(data: bytes, count: int, *, allowed: Allowed, name: str) -> list[object]:
    """The objects of the first ``count`` pickles that stand one after another in ``data``.

    Raises:
        NaspError: as :func:`restricted_load`.
    """
    objects: list[object] = []
    begin = 0
    for _ in range(count):
        try:
            end = _end_of_pickle(data, begin)
            whole = data if begin == 0 and end == len(data) else data[begin:end]
            objects.append(_Restricted(whole, allowed, name).load())
        except NaspError:
            raise
        except _Refused as error:
            raise NaspError(
                f"{name} was refused: it holds {error}, which no benchmark file needs; "
                "get the file again from its official source"
            ) from error
        except Exception as error:  # garbage can raise nearly anything
            raise NaspError(
                f"{name} is no readable pickle, or is cut short ({error}): get it again"
            ) from error
        begin = end
    return objects


def as_mapping(value: object) -> dict[Hashable, object]:
    """A value of a pickle that must be a dictionary.

    Raises:
        TypeError: if it is none.
    """
    if not isinstance(value, dict):
        raise TypeError(f"a {type(value).__name__} where a dictionary is expected")
    return value


def as_list(value: object) -> list[object]:
    """A value of a pickle that must be a list.

    Raises:
        TypeError: if it is none.
    """
    if not isinstance(value, list):
        raise TypeError(f"a {type(value).__name__} where a list is expected")
    return value


def as_number(value: object) -> float:
    """A value of a pickle that must be a number.

    Raises:
        TypeError: if it is none.
    """
    if not isinstance(value, int | float | np.number):
        raise TypeError(f"a {type(value).__name__} where a number is expected")
    return float(value)


def _end_of_pickle(data: bytes, position: int) -> int:
    """Where the pickle that begins at ``position`` ends, without executing it.

    Raises:
        EOFError: if it ends before its last opcode.
        _Refused: for an unknown opcode, or a memo slot beyond the file's length: a single
            such byte string makes the unpickler allocate gigabytes.
    """
    size = len(data)
    lengths = _ARGUMENT
    while position < size:
        code = data[position]
        position += 1
        length = lengths.get(code)
        if length is None:
            raise _Refused(f"the unknown opcode {code}")
        if length < 0:
            start = position
            position = _variable_end(data, position, code, length)
            if code == _PUT and int(data[start : position - 1]) > size:
                raise _Refused("a memo slot beyond its own length")
        else:
            if code == _LONG_BINPUT:
                if int.from_bytes(data[position : position + 4], "little") > size:
                    raise _Refused("a memo slot beyond its own length")
            elif code == _STOP:
                return position
            position += length
    raise EOFError("no end")


def _variable_end(data: bytes, position: int, code: int, length: int) -> int:
    if length == pickletools.UP_TO_NEWLINE:
        for _ in range(2 if code in _TWO_LINES else 1):
            position = data.find(b"\n", position) + 1
            if position == 0:
                raise EOFError("no end of line")
        return position
    width = _PREFIX[length]
    return position + width + int.from_bytes(data[position : position + width], "little")
