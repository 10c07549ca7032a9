"""TFRecord files without TensorFlow: the framing, read in large blocks, every checksum verified.

A record is stored as its length (uint64), the masked CRC32C of those eight bytes, the data, and
the masked CRC32C of the data, all little-endian. The mask rotates the checksum by 15 bits and
adds a constant, see ``tensorflow/core/lib/hash/crc32c.h``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np

from nasp_lightning.error import NaspError
from nasp_lightning.storage import atomic_path

BLOCK_BYTES = 1 << 18  # what is made of a block should fit the processor's caches
HEADER_BYTES = 12
FOOTER_BYTES = 4
_MASK_DELTA = 0xA282EAD8
_LENGTHS_REMEMBERED = 1 << 16
_REMEDY = "the file is damaged or its download was cut short: fetch it again"


def masked_crc32c(data: bytes) -> int:
    """CRC32C of ``data``, masked as TFRecord stores it."""
    crc = int(google_crc32c.value(data))
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """One record as it stands in a file: length, checksum, data, checksum."""
    length = struct.pack("<Q", len(data))
    return b"".join(
        (
            length,
            struct.pack("<I", masked_crc32c(length)),
            data,
            struct.pack("<I", masked_crc32c(data)),
        )
    )


def write_tfrecord(path: Path, records: Iterable[bytes]) -> None:
    """Write records to a TFRecord file, atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.writelines(map(frame, records))


def read_blocks(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[list[bytes], int]]:
    """Records of a TFRecord file, a block at a time.

    Args:
        path: the file.
        block_bytes: how much is read at once; memory stays at a small multiple of it.

    Yields:
        The data of the records in the block, and the bytes that they took in the file.

    Raises:
        NaspError: if the file cannot be read, ends inside a record, or a checksum differs; the
            message names the file, the record's number (from 0) and its byte offset.
    """
    try:
        with open(path, "rb") as file:
            yield from _blocks(file, Path(path), block_bytes)
    except OSError as error:
        raise NaspError(f"cannot read {path}: {error.strerror}") from error


def read_tfrecord(path: Path) -> Iterator[bytes]:
    """Records of a TFRecord file, one after another; see :func:`read_blocks`."""
    for records, _ in read_blocks(path):
        yield from records


def _blocks(file: BinaryIO, path: Path, block_bytes: int) -> Iterator[tuple[list[bytes], int]]:
    lengths: dict[bytes, int] = {}  # verified headers; real files have few distinct lengths
    size = os.fstat(file.fileno()).st_size  # no record may ask for more memory than that
    offset, number, rest, wanted = 0, 0, b"", 0
    while True:
        read = file.read(max(block_bytes, min(wanted - len(rest), size)))
        block = rest + read if rest else read
        if not read:
            if block:
                raise _broken(
                    path, number, offset, f"the file ends {wanted - len(block)} bytes early"
                )
            return
        records, footers, position, wanted = _split(block, lengths, path, number, offset)
        _verify(records, footers, path, number, offset)
        rest = block[position:]
        number += len(records)
        offset += position
        if records:
            yield records, position


def _split(
    block: bytes, lengths: dict[bytes, int], path: Path, number: int, offset: int
) -> tuple[list[bytes], list[bytes], int, int]:
    """Cut a block into whole records.

    Returns:
        The records, their stored checksums, the position after the last whole record, and the
        bytes that the record begun there needs at the least.
    """
    records: list[bytes] = []
    footers: list[bytes] = []
    position, size = 0, len(block)
    while True:
        start = position + HEADER_BYTES
        header = block[position:start]
        length = lengths.get(header)
        if length is None:
            if start > size:
                return records, footers, position, HEADER_BYTES
            length = _length(header)
            if length is None:
                _verify(records, footers, path, number, offset)  # the first fault comes first
                reason = "the checksum of its length differs"
                raise _broken(path, number + len(records), offset + position, reason)
            if len(lengths) < _LENGTHS_REMEMBERED:
                lengths[header] = length
        end = start + length
        if end + FOOTER_BYTES > size:
            return records, footers, position, HEADER_BYTES + length + FOOTER_BYTES
        records.append(block[start:end])
        position = end + FOOTER_BYTES
        footers.append(block[end:position])


def _length(header: bytes) -> int | None:
    length, crc = struct.unpack("<QI", header)
    return int(length) if masked_crc32c(header[:8]) == crc else None


def _verify(
    records: list[bytes], footers: list[bytes], path: Path, number: int, offset: int
) -> None:
    """Compare the checksums of all records of a block at once."""
    crc = np.fromiter(map(google_crc32c.value, records), dtype=np.uint32, count=len(records))
    masked = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(_MASK_DELTA)
    differs = masked != np.frombuffer(b"".join(footers), dtype="<u4")
    if differs.any():
        first = int(differs.argmax())
        before = sum(HEADER_BYTES + len(record) + FOOTER_BYTES for record in records[:first])
        raise _broken(path, number + first, offset + before, "the checksum of its data differs")


def _broken(path: Path, number: int, offset: int, reason: str) -> NaspError:
    return NaspError(f"{path}: record {number} at byte {offset}: {reason}; {_REMEDY}")
