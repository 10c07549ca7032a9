from __future__ import annotations

import bz2
import gzip
import io
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.benchmark.format.unpickle import (
    PLAIN,
    TENSORS_DROPPED,
    load_sequence,
    loads,
    restricted_load,
)
from nasp_lightning.error import NaspError


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_content_comes_back(protocol: int) -> None:
    content = {
        "list": [1, 2.5, None, True, 10**30, -7],
        "text": "Grüße",
        "bytes": b"\x00\xff",
        ("a", 777): OrderedDict([("x", 1)]),
        "scalars": [np.float64(0.25), np.float32(1.5), np.int64(-3), np.bool_(True)],
    }
    found = loads(pickle.dumps(content, protocol=protocol))
    assert found == content
    assert type(found[("a", 777)]) is OrderedDict


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_sets_come_back(protocol: int) -> None:
    assert loads(pickle.dumps({1, 2}, protocol=protocol)) == {1, 2}


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array([1.5, -2.0], dtype=">f8"),
        np.zeros((0, 4), dtype=np.uint8),
        np.array(["ab", "c"]),
    ],
)
def test_arrays_come_back(array: np.ndarray, protocol: int) -> None:
    found = loads(pickle.dumps({"array": array}, protocol=protocol))["array"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")


def test_names_of_old_and_new_numpy_are_read() -> None:
    new = pickle.dumps(np.float64(0.5), protocol=2)
    other = (
        new.replace(b"numpy._core", b"numpy.core")
        if b"numpy._core" in new
        else new.replace(b"numpy.core", b"numpy._core")
    )
    assert other != new
    assert loads(new) == loads(other) == 0.5


def test_compressed_files(tmp_path: Path) -> None:
    data = pickle.dumps({"a": 1})
    for name, content in {
        "plain.pkl": data,
        "one.pkl.gz": gzip.compress(data),
        "two.pbz2": bz2.compress(data),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert restricted_load(tmp_path / name) == {"a": 1}
        with open(tmp_path / name, "rb") as file:
            assert restricted_load(file) == {"a": 1}


# Hostile pickles. Each would leave a file behind if anything of it ran.


class Reduce:
    def __init__(self, call: object, *arguments: object) -> None:
        self.parts = (call, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.parts  # type: ignore[return-value]


def hostile(mark: Path) -> dict[str, bytes]:
    command = f"touch {mark}"
    text = f"open({str(mark)!r}, 'w')"
    line = command.encode()
    short = b"\x8c" + bytes([len(line)]) + line
    return {
        "os.system": pickle.dumps(Reduce(os.system, command)),
        "eval": pickle.dumps(Reduce(eval, text)),
        "exec": pickle.dumps(Reduce(exec, text)),
        "open": pickle.dumps(Reduce(open, str(mark), "w")),
        "getattr": b"cbuiltins\ngetattr\n(cnumpy\ndtype\nS'mro'\ntR.",
        "import": b"c__builtin__\n__import__\n(S'os'\ntR.",
        "REDUCE, protocol 0": b"cos\nsystem\n(S'" + line + b"'\ntR.",
        "INST": b"(S'" + line + b"'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nS'" + line + b"'\no.",
        "STACK_GLOBAL": b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + short + b"\x85R.",
        "STACK_GLOBAL with dots": b"\x80\x04\x8c\x05numpy\x8c\x0bdtype.mro.x\x93.",
        "dotted in an allowed module": b"\x80\x04\x8c\x0bcollections\x8c\x10abc.sys.exitfunc\x93.",
        "submodule of an allowed class": (
            b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93."
        ),
        "NEWOBJ": b"\x80\x04\x8c\x0asubprocess\x8c\x05Popen\x93" + short + b"\x85\x81.",
        "EXT1": b"\x80\x02\x82\x01.",
        "persistent id": b"Pevil\n.",
        "binary persistent id": b"\x80\x02X\x04\x00\x00\x00evilQ.",
        "numpy's own loader": b"cnumpy\nload\n(S'" + str(mark).encode() + b"'\ntR.",
        "pickle in pickle": b"c_pickle\nloads\n(S'cos\\nsystem\\n'\ntR.",
        "functools.partial": b"cfunctools\npartial\n.",
        "torch.load": b"ctorch\nload\n.",
        "change of an allowed function": (
            b"cnumpy.core.multiarray\nscalar\n(N}S'__defaults__'\n(I1\ntstb."
        ),
        "change of an allowed class": b"ccollections\nOrderedDict\n(N}S'update'\nNstb.",
        "new object of an allowed function": b"\x80\x02cnumpy\ndtype\nS'f8'\n\x85\x81.",
        "object dtype": b"cnumpy\ndtype\n(S'O'\ntR.",
        "structured dtype": b"cnumpy\ndtype\n(S'f8,O'\ntR.",
        "bytes of a huge length": b"c__builtin__\nbytes\n(I9999999999\ntR.",
        "other codec": b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.",
    }


@pytest.mark.parametrize("name", sorted(hostile(Path("x"))))
def test_nothing_of_a_hostile_pickle_runs(name: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    file = tmp_path / "evil.pickle"
    file.write_bytes(hostile(mark)[name])
    functions = {key: getattr(call, "__defaults__", None) for key, call in PLAIN.items()}
    with pytest.raises(NaspError, match=r"evil\.pickle"):
        restricted_load(file)
    assert not mark.exists()
    assert functions == {key: getattr(call, "__defaults__", None) for key, call in PLAIN.items()}


def test_the_marks_would_be_set_by_plain_pickle(tmp_path: Path) -> None:
    for name in ("os.system", "eval", "REDUCE, protocol 0", "INST", "STACK_GLOBAL"):
        mark = tmp_path / "mark"
        pickle.loads(hostile(mark)[name])
        assert mark.exists(), name
        mark.unlink()


def test_a_refusal_names_the_file_and_the_global(tmp_path: Path) -> None:
    file = tmp_path / "000000.pickle.pbz2"
    file.write_bytes(bz2.compress(pickle.dumps(Reduce(os.system, "true"))))
    with pytest.raises(NaspError, match=r"000000\.pickle\.pbz2 was refused: .*(posix|nt)\.system"):
        restricted_load(file)


def test_tensors_are_dropped_only_where_asked() -> None:
    data = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n)Rs."
    assert loads(data, allowed=TENSORS_DROPPED) == {"w": None}
    with pytest.raises(NaspError, match="_rebuild_tensor_v2"):
        loads(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02]r\xff\xff\xff\x7f.",  # a memo slot of 2 billion: 16 GB in plain pickle
        b"(lp9999999999\n.",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"abc.",  # BINBYTES8
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"abc.",  # BYTEARRAY8
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N.",  # FRAME
        b"\x80\x02\x8b" + struct.pack("<i", -5) + b"abc.",  # LONG4
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I1000000000\nI1000000000\ntcnumpy\ndtype\n(S'f8'\ntRI00\nC\x01xtb.",
    ],
)
def test_bombs_are_refused_before_they_swell(data: bytes) -> None:
    with pytest.raises(NaspError):
        loads(data, name="bomb")


def test_decompression_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "bomb.pbz2"
    file.write_bytes(bz2.compress(pickle.dumps(b"\0" * (8 << 20))))
    assert file.stat().st_size < 10_000
    with pytest.raises(NaspError, match=r"bomb\.pbz2 holds more than 1 MiB"):
        restricted_load(file, limit=1 << 20)
    assert len(restricted_load(file)) == 8 << 20


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress])
def test_cut_files_are_no_files(compress: object, tmp_path: Path) -> None:
    content = {str(i): [float(i), np.float64(i)] for i in range(200)}
    data = compress(pickle.dumps(content))  # type: ignore[operator]
    file = tmp_path / "cut.pkl"
    for end in range(0, len(data) - 1, max(1, len(data) // 40)):
        file.write_bytes(data[:end])
        with pytest.raises(NaspError, match=r"cut\.pkl"):
            restricted_load(file)


def test_garbage_and_absence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        with pytest.raises(NaspError):
            loads(rng.bytes(rng.integers(1, 60)) + b"\xff", name="garbage")
    with pytest.raises(NaspError, match=r"cannot read .*absent\.pkl"):
        restricted_load(tmp_path / "absent.pkl")


def test_sequences_of_pickles() -> None:
    data = b"".join(pickle.dumps(item, protocol=2) for item in (1, "two", [3]))
    assert load_sequence(data, 3, allowed=PLAIN, name="x") == [1, "two", [3]]
    with pytest.raises(NaspError, match="x"):
        load_sequence(data, 4, allowed=PLAIN, name="x")


def test_file_objects_without_a_name() -> None:
    assert restricted_load(io.BytesIO(pickle.dumps([1])), name="memory") == [1]
