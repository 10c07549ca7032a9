from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.benchmark import load_benchmark, nasbench101
from nasp_lightning.benchmark.base import BenchmarkTable, OfficialFile
from nasp_lightning.benchmark.format import fetch as fetching
from nasp_lightning.benchmark.format import nasbench101_records
from nasp_lightning.benchmark.format.tfrecord import write_tfrecord
from nasp_lightning.benchmark.nasbench101 import OFFICIAL_FILES, load_table
from nasp_lightning.error import NaspError
from nasp_lightning.space.nasbench101 import NASBench101
from tests.benchmark.nasbench101_files import (
    EPOCH,
    TEST,
    VALIDATION,
    cells,
    message,
    record,
    run,
    varint,
    write_tiny,
)

QUANTITIES = ("train_accuracy", "validation_accuracy", "test_accuracy")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.tfrecord"
    write_tiny(path)
    return path


def write(path: Path, *records: bytes) -> Path:
    write_tfrecord(path, records)
    return path


def one(adjacency: str = "010001000", operations: str = "input,maxpool3x3,output") -> bytes:
    return record("ab" * 16, 108, adjacency, operations, run(108, [0.5] * 3))


# --- what a table holds


def test_table_of_a_tiny_file(tmp_path: Path) -> None:
    path = tmp_path / "tiny.tfrecord"
    accuracies = write_tiny(path, count=12, runs=3, epochs=(4, 108))
    table = load_table(path=path, partial=True)
    written = cells(12)
    assert (table.space, len(table)) == ("nasbench101", 12)
    assert table.keys is not None
    assert [key.tobytes().hex() for key in table.keys] == [cell[0] for cell in written]
    for budget, epochs in enumerate((4, 108)):
        for place, quantity in enumerate(QUANTITIES):
            expected = accuracies[budget, :, :, place].T  # [architecture, run], order of the file
            name = f"cifar10/{quantity}/{epochs}"
            np.testing.assert_array_equal(table.metric(name), expected)
            half = table.metric(f"cifar10/halfway_{quantity}/{epochs}")
            np.testing.assert_allclose(half, expected / 2, rtol=1e-6)
        assert (table.costs[f"cifar10/train_seconds/{epochs}"] == 1000).all()
    assert table.costs["parameters"].dtype == np.float64
    assert (table.costs["parameters"] == 1_000_000).all()
    assert all(array.dtype == np.float32 for array in table.metrics.values())


def test_graphs_are_padded_in_the_benchmarks_own_order(tmp_path: Path) -> None:
    table = load_table(path=write(tmp_path / "f", one()), partial=True)
    assert table.operations.tolist() == [[1, 4, 0, 5, 5, 5, 5]]
    assert table.adjacency is not None
    assert np.argwhere(table.adjacency[0]).tolist() == [[0, 1], [1, 2]]
    assert (table.operations.dtype, table.adjacency.dtype) == (np.uint8, np.uint8)


def test_graphs_are_cells_of_the_space(tiny: Path) -> None:
    table = load_table(path=tiny, partial=True)
    assert table.adjacency is not None
    assert table.keys is not None
    space = NASBench101()
    space.validate(table.operations, table.adjacency)
    for codes, matrix, key in zip(table.operations, table.adjacency, table.keys, strict=True):
        np.testing.assert_array_equal(space.key(codes, matrix), key)


def test_provenance(tiny: Path) -> None:
    provenance = load_table(path=tiny, partial=True).provenance
    assert provenance["sha256"] == hashlib.sha256(tiny.read_bytes()).hexdigest()
    expected = {
        "benchmark": "nasbench101",
        "source": "official",
        "file": "tiny.tfrecord",
        "partial": True,
        "official": False,
        "count": 8,
        "records": 24,
        "epochs": [108],
        "runs": 3,
    }
    assert expected.items() <= provenance.items()
    json.dumps(provenance)


def test_runs_that_are_missing_are_nan(tmp_path: Path) -> None:
    first, second = cells(2)
    records = [record(*cell_of(first), run(108, [value] * 3)) for value in (0.25, 0.5)]
    records.append(record(*cell_of(second), run(108, [0.75] * 3)))
    table = load_table(path=write(tmp_path / "f", *records), partial=True)
    values = table.metric("cifar10/test_accuracy/108")
    np.testing.assert_array_equal(values, [[0.25, 0.5], [0.75, np.nan]])


def cell_of(cell: tuple[str, str, str]) -> tuple[str, int, str, str]:
    return cell[0], 108, cell[1], cell[2]


def test_absent_accuracies_are_nan_and_empty_metrics_left_out(tmp_path: Path) -> None:
    first, second = cells(2)
    known = message([{EPOCH: 54.0}, {EPOCH: 108.0, VALIDATION: 0.5, TEST: 0.25}])
    absent = message([{EPOCH: 54.0}, {EPOCH: 108.0, VALIDATION: 0.0}], parameters=None)
    records = (record(*cell_of(first), known), record(*cell_of(second), absent))
    table = load_table(path=write(tmp_path / "f", *records), partial=True)
    assert sorted(table.metrics) == ["cifar10/test_accuracy/108", "cifar10/validation_accuracy/108"]
    np.testing.assert_array_equal(table.metric("cifar10/test_accuracy/108"), [[0.25], [np.nan]])
    np.testing.assert_array_equal(table.metric("cifar10/validation_accuracy/108"), [[0.5], [0.0]])
    np.testing.assert_array_equal(table.costs["parameters"], [1_000_000, np.nan])
    assert any("cifar10/test_accuracy/108: 1 runs" in note for note in table.provenance["notes"])


def test_written_nan_is_not_known(tmp_path: Path) -> None:
    values = record(*cell_of(cells(1)[0]), run(108, [0.5, float("nan"), 0.5]))
    table = load_table(path=write(tmp_path / "f", values), partial=True)
    assert "cifar10/validation_accuracy/108" not in table.metrics
    assert table.metric("cifar10/test_accuracy/108").tolist() == [[0.5]]


def test_extra_fields_and_evaluations_are_tolerated(tmp_path: Path) -> None:
    points = [{EPOCH: float(epoch), TEST: epoch / 1000} for epoch in (0, 27, 54, 81, 108)]
    data = message(points, extra=b"\x3a\x03new" + varint(9 << 3) + varint(300))
    table = load_table(
        path=write(tmp_path / "f", record(*cell_of(cells(1)[0]), data)), partial=True
    )
    assert table.metric("cifar10/test_accuracy/108")[0, 0] == np.float32(0.108)
    assert table.metric("cifar10/halfway_test_accuracy/108")[0, 0] == np.float32(0.054)


@pytest.mark.parametrize("together", [1, 5, 1 << 15])
def test_blocks_make_no_difference(
    tiny: Path, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = nasbench101_records.convert(tiny)
    read = nasbench101_records.read_blocks
    monkeypatch.setattr(nasbench101_records, "read_blocks", lambda path: read(path, 700))
    monkeypatch.setattr(nasbench101_records, "_DECODED_TOGETHER", together)
    assert nasbench101_records.convert(tiny).data_hash() == whole.data_hash()


def test_foreign_hashes_are_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = load_table(path=write(tmp_path / "f", one()), partial=True)
    assert any("1 of 1 hashes" in note for note in table.provenance["notes"])
    assert "looked up" in caplog.text


# --- what is refused


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (one(operations="input,conv5x5-bn-relu,output"), "unknown operation 'conv5x5-bn-relu'"),
        (one(operations="output,maxpool3x3,input"), "do not begin with the input"),
        (one(operations="input,output,output"), "do not begin with the input"),
        (one(operations="input,output"), "does not fit the operations"),
        (one("010001100"), "not upper triangular: a cyclic graph"),
        (one("110001000"), "not upper triangular: a cyclic graph"),
        (one("01000100"), "no square matrix"),
        (one("020001000"), "no square matrix"),
        (one("0" * 64, ",".join(["input", *["maxpool3x3"] * 6, "output"])), "8 vertices"),
        (one("1", "output"), "1 vertices"),
        (b"not json", "not JSON"),
        (b"[1, 2, 3]", "not of the form"),
        (b'{"a": 1}', "not of the form"),
        (b'["a", "108", "b", "c", "d"]', "not of the form"),
        (b'["a", true, "b", "c", "d"]', "not of the form"),
        (record("ab" * 16, 0, "0100", "input,output", b""), "0 is no number of epochs"),
        (record("ab" * 16, 1 << 40, "0100", "input,output", b""), "is no number of epochs"),
        (record("xy" * 16, 108, "0100", "input,output", b""), "32 hexadecimal digits"),
        (record("ab" * 15, 108, "0100", "input,output", b""), "32 hexadecimal digits"),
        (b'["' + b"ab" * 16 + b'", 108, "0100", "input,output", "a"]', "not base64"),
        (record("ab" * 16, 108, "0100", "input,output", b"\x0a\x7f"), "no ModelMetrics"),
        (record("ab" * 16, 108, "0100", "input,output", run(108, [93.4] * 3)), "93.4.*fraction"),
        (record("ab" * 16, 108, "0100", "input,output", run(108, [-0.1] * 3)), "fraction"),
        (
            record("ab" * 16, 108, "0100", "input,output", run(108, [0.1] * 3, float("inf"))),
            "train seconds is inf",
        ),
    ],
)
@pytest.mark.parametrize("position", [0, 3])
def test_bad_record_is_named(tmp_path: Path, bad: bytes, reason: str, position: int) -> None:
    good = [record(*cell_of(cell), run(108, [0.5] * 3)) for cell in cells(5)]
    path = write(tmp_path / "bad.tfrecord", *good[:position], bad, *good[position:])
    with pytest.raises(NaspError, match=f"record {position}: .*({reason})") as error:
        load_table(path=path, partial=True)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_too_many_edges(tmp_path: Path) -> None:
    matrix = np.triu(np.ones((5, 5), dtype=int), 1)
    operations = ",".join(["input", *["maxpool3x3"] * 3, "output"])
    bad = one("".join(map(str, matrix.flat)), operations)
    with pytest.raises(NaspError, match="10 edges, where 9 are allowed"):
        load_table(path=write(tmp_path / "f", bad), partial=True)


def test_one_hash_for_two_graphs(tmp_path: Path) -> None:
    other = one(operations="input,conv1x1-bn-relu,output")
    with pytest.raises(NaspError, match=r"record 1: hash abab.* another graph"):
        load_table(path=write(tmp_path / "f", one(), other), partial=True)


def test_fewer_architectures_need_consent(tiny: Path) -> None:
    with pytest.raises(NaspError, match=r"8 of NAS-Bench-101's 423,624.*benchmark.partial=true"):
        load_table(path=tiny)


def test_whole_space_is_not_partial(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nasbench101_records, "ARCHITECTURES", 8)
    assert load_table(path=tiny).provenance["partial"] is False
    monkeypatch.setattr(nasbench101_records, "ARCHITECTURES", 7)
    with pytest.raises(NaspError, match="more than the 7"):
        nasbench101_records.convert(tiny)


def test_file_without_records_or_accuracies(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(NaspError, match="no records"):
        load_table(path=tmp_path / "empty", partial=True)
    nothing = record("ab" * 16, 108, "0100", "input,output", message([{EPOCH: 108.0}]))
    with pytest.raises(NaspError, match="no accuracies"):
        load_table(path=write(tmp_path / "f", nothing), partial=True)


def test_cut_file_is_refused_and_not_remembered(tiny: Path, isolated_cache: Path) -> None:
    tiny.write_bytes(tiny.read_bytes()[:-3])
    with pytest.raises(NaspError, match="3 bytes early"):
        load_table(path=tiny, partial=True)
    assert not list(isolated_cache.glob("tables/*.safetensors"))


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(NaspError, match=r"no source 'nni'.*official"):
        load_table(source="nni")
    with pytest.raises(NaspError, match=r"benchmark.path=.*absent.tfrecord does not exist"):
        load_table(path=tmp_path / "absent.tfrecord")
    with pytest.raises(NaspError, match="is a folder"):
        load_table(path=tmp_path)
    with pytest.raises(NaspError, match=r"no file 'half'; choose only108\|full"):
        fetching.fetch_official(nasbench101.DECLARATION, "half")


# --- where files are looked for


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    (folder / "nasbench101").mkdir(parents=True)
    monkeypatch.setenv("NASP_DATA", str(folder))
    return folder


def seed_of(table: BenchmarkTable, seeds: int = 6) -> int:
    """Which of the seeds of :func:`write_tiny` the table was made with."""
    assert table.keys is not None
    first = table.keys[0].tobytes().hex()
    return next(seed for seed in range(seeds) if cells(4, seed)[0][0] == first)


def test_order_of_the_lookup(data: Path, isolated_cache: Path) -> None:
    downloads = isolated_cache / "downloads"
    places = [
        data / "nasbench_only108.tfrecord",
        data / "nasbench101" / "nasbench_full.tfrecord",
        downloads / "nasbench_only108.tfrecord",
        data / "nasbench101" / "nasbench101_20.tfrecord",
    ]
    for seed, path in reversed(list(enumerate(places))):
        write_tiny(path, count=4, runs=1, seed=seed)
        assert seed_of(load_table(partial=True, fetch=False)) == seed
    given = data / "given.tfrecord"
    write_tiny(given, count=4, runs=1, seed=5)
    assert seed_of(load_table(path=given, partial=True)) == 5


def test_other_files_only_with_consent_the_largest_first(data: Path) -> None:
    write_tiny(data / "nasbench101" / "nasbench101_4.tfrecord", count=4, runs=1, seed=0)
    write_tiny(data / "nasbench101_9.tfrecord", count=9, runs=1, seed=1)
    write_tiny(data / "nasbench101_20_all_budgets.tfrecord", count=20, runs=1, seed=2)
    assert len(load_table(partial=True, fetch=False)) == 9
    with pytest.raises(NaspError, match=r"benchmark.partial=true reads .*nasbench101_9.tfrecord"):
        load_table(fetch=False)


def test_nothing_found_is_one_message_with_both_ways_out() -> None:
    with pytest.raises(NaspError) as error:
        load_table(fetch=False)
    text = str(error.value)
    for official in OFFICIAL_FILES.values():
        assert official.url in text
        assert official.sha256 in text
        assert official.size in text
    for remedy in (
        "NASP_DATA",
        "benchmark.path=FILE",
        "nasp_lightning.benchmark fetch nasbench101",
    ):
        assert remedy in text
    assert "partial" not in text
    assert "\n" not in text


def test_failed_fetch_is_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(url: str, destination: Path, sha256: str) -> Path:
        raise NaspError(f"cannot fetch {url}: no route to host")

    monkeypatch.setattr(fetching, "fetch", no_network)
    with pytest.raises(NaspError, match=r"no route to host.*benchmark.path=FILE"):
        load_table()


def test_fetched_file_is_read(monkeypatch: pytest.MonkeyPatch, isolated_cache: Path) -> None:
    def fetched(url: str, destination: Path, sha256: str) -> Path:
        assert url.endswith("nasbench_only108.tfrecord")
        assert destination == isolated_cache / "downloads" / "nasbench_only108.tfrecord"
        write_tiny(destination)
        return destination

    monkeypatch.setattr(fetching, "fetch", fetched)
    with pytest.raises(NaspError, match="8 of NAS-Bench-101"):
        load_table()
    assert len(load_table(partial=True, fetch=False)) == 8


def test_converted_official_table_outlives_its_source(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    official = OfficialFile("nasbench_only108.tfrecord", digest, "small", "108 epochs", "web")
    monkeypatch.setattr(nasbench101, "OFFICIAL_FILES", {"only108": official})
    monkeypatch.setattr(nasbench101_records, "ARCHITECTURES", 8)
    first = load_table(path=tiny)
    assert (first.provenance["official"], first.provenance["version"]) == (True, "only108")
    tiny.unlink()
    assert load_table(fetch=False).data_hash() == first.data_hash()


def test_converted_once(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_table(path=tiny, partial=True)

    def never(file: Path) -> BenchmarkTable:
        raise AssertionError("converted again")

    monkeypatch.setattr(nasbench101, "convert", never)
    assert load_table(path=tiny, partial=True).data_hash() == first.data_hash()
    with pytest.raises(NaspError, match=r"benchmark\.partial=true"):
        load_table(path=tiny)


def test_writing_to_an_opened_table_leaves_the_file(tiny: Path) -> None:
    table = load_table(path=tiny, partial=True)
    before = table.operations.copy()
    table.operations[:] = 0
    np.testing.assert_array_equal(load_table(path=tiny, partial=True).operations, before)


def test_reading_needs_no_torch(tiny: Path) -> None:
    code = (
        "import sys; from nasp_lightning.benchmark.nasbench101 import load_table; "
        f"load_table(path={str(tiny)!r}, partial=True); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- real files


def test_real_20001(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASP_DATA", str(data_dir))
    if not (data_dir / "nasbench101" / "nasbench101_20001.tfrecord").is_file():
        pytest.skip("nasbench101_20001.tfrecord is absent")
    table = load_benchmark("nasbench101", partial=True, fetch=False)
    assert len(table) == 20_001
    assert table.datasets() == ["cifar10"]
    assert list(table.metrics) == ["cifar10/validation_accuracy/108"]
    accuracy = table.metric("cifar10/validation_accuracy/108")
    assert accuracy.shape == (20_001, 1)
    assert 0.9 < float(np.median(accuracy)) < 0.93
    assert accuracy[0, 0] == np.float32(0.9304887652397156)
    assert table.costs["parameters"][0] == 8_555_530
    seconds = table.costs["cifar10/train_seconds/108"]
    np.testing.assert_allclose(table.costs["cifar10/halfway_train_seconds/108"], seconds / 2)
    NASBench101().validate(table.operations, table.adjacency)
    assert not any("hashes" in note for note in table.provenance["notes"])


def test_real_budgets(data_dir: Path) -> None:
    path = data_dir / "nasbench101" / "nasbench101_500_all_budgets.tfrecord"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    table = load_table(path=path, partial=True)
    assert table.provenance["epochs"] == [4, 12, 36, 108]
    means = [
        float(np.mean(table.metric(f"cifar10/validation_accuracy/{epochs}")))
        for epochs in (4, 12, 36, 108)
    ]
    assert means == sorted(means)
    raw = json.loads(next(iter(nasbench101_records.read_blocks(path)))[0][0])
    assert base64.b64decode(raw[4])[-9:-8] == b"\x19"  # the layout that the README describes
