from __future__ import annotations

import struct
from pathlib import Path

import pytest

from nasp_lightning.benchmark.format import tfrecord
from nasp_lightning.error import NaspError

RECORDS = [b"", b"one", b"x" * 5000, bytes(range(256)) * 40, b"last"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.tfrecord"
    tfrecord.write_tfrecord(path, RECORDS)
    return path


@pytest.mark.parametrize(
    ("data", "crc"),
    [(b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_checksum_is_crc32c_rotated_and_shifted(data: bytes, crc: int) -> None:
    # The values are those of RFC 3720, appendix B.4 (the first: of the usual catalogues).
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    assert tfrecord.masked_crc32c(data) == masked


def test_frame_is_length_checksum_data_checksum() -> None:
    framed = tfrecord.frame(b"hello")
    length, length_crc, data, data_crc = struct.unpack("<QI5sI", framed)
    assert (length, data) == (5, b"hello")
    assert length_crc == tfrecord.masked_crc32c(framed[:8])
    assert data_crc == tfrecord.masked_crc32c(b"hello")


@pytest.mark.parametrize("block", [1, 13, 100, 5000, 1 << 20])
def test_records_come_back_whatever_the_block(file: Path, block: int) -> None:
    blocks = list(tfrecord.read_blocks(file, block))
    assert [record for records, _ in blocks for record in records] == RECORDS
    assert sum(taken for _, taken in blocks) == file.stat().st_size


def test_read_tfrecord_gives_records_one_by_one(file: Path) -> None:
    assert list(tfrecord.read_tfrecord(file)) == RECORDS


def test_empty_file_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert list(tfrecord.read_tfrecord(tmp_path / "empty")) == []


@pytest.mark.parametrize("block", [64, 1 << 20])
@pytest.mark.parametrize(
    ("offset", "record", "start"),
    [
        (0, 0, 0),  # length of the first record
        (9, 0, 0),  # its checksum
        (13, 0, 0),  # checksum of the first record's (empty) data
        (16 + 13, 1, 16),  # data of the second
        (16 + 12 + 3 + 1, 1, 16),  # its checksum
        (16 + 19 + 2, 2, 35),  # length of the third: as if it were huge
        (16 + 19 + 3000, 2, 35),
    ],
)
def test_altered_byte_names_record_and_offset(
    file: Path, block: int, offset: int, record: int, start: int
) -> None:
    data = bytearray(file.read_bytes())
    data[offset] ^= 0x40
    file.write_bytes(data)
    with pytest.raises(NaspError, match=f"record {record} at byte {start}: the checksum") as error:
        list(tfrecord.read_blocks(file, block))
    assert str(file) in str(error.value)
    assert "fetch it again" in str(error.value)


def test_cut_file_is_refused_at_every_place(file: Path) -> None:
    data = file.read_bytes()
    ends, offset = {0}, 0
    for record in RECORDS:
        offset += len(record) + 16
        ends.add(offset)
    for size in [*range(60), *range(len(data) - 60, len(data))]:
        file.write_bytes(data[:size])
        if size in ends:
            list(tfrecord.read_tfrecord(file))
            continue
        with pytest.raises(
            NaspError, match=r"record \d+ at byte \d+: the file ends \d+ bytes early"
        ):
            list(tfrecord.read_tfrecord(file))


def test_record_said_to_be_huge_takes_no_memory(tmp_path: Path) -> None:
    length = struct.pack("<Q", 1 << 50)
    path = tmp_path / "huge.tfrecord"
    path.write_bytes(length + struct.pack("<I", tfrecord.masked_crc32c(length)) + b"abc")
    with pytest.raises(NaspError, match="bytes early"):
        list(tfrecord.read_tfrecord(path))


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NaspError, match=r"absent\.tfrecord"):
        list(tfrecord.read_tfrecord(tmp_path / "absent.tfrecord"))


def test_failed_writing_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"

    def records() -> object:
        yield b"one"
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        tfrecord.write_tfrecord(path, records())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_real_file_reads_whole(data_dir: Path) -> None:
    path = data_dir / "nasbench101" / "nasbench101_500_all_budgets.tfrecord"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    assert sum(1 for _ in tfrecord.read_tfrecord(path)) == 2000
