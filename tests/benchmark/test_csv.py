from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nasp_lightning.benchmark import csv, load_benchmark
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.benchmark.csv import columns_dir, joined, load_table, read_columns
from nasp_lightning.error import NaspError
from nasp_lightning.space.nasbench201 import NASBench201, index_of
from tests.benchmark.csv_files import CODES, HEADER, rows, write

PLAN: dict[str, Any] = {
    "space": "nasbench201",
    "architecture": {"form": "digits", "column": "code"},
    "metrics": {
        "cifar10/test_accuracy/200": {"columns": ["a0", "a1"], "scale": 0.01, "missing": True}
    },
    "costs": {
        "parameters": "params",
        "flops": {"columns": ["mflops"], "scale": 1.0e6},
        "proxy/synflow": "synflow",
    },
    "curves": {"cifar10/train_loss/2": {"columns": ["l1", "l2"]}},
}


def plan(**changes: Any) -> dict[str, Any]:
    return {**PLAN, **changes}


@pytest.mark.parametrize("name", ["mine.csv", "mine.csv.gz"])
def test_a_table_of_ones_own(name: str, tmp_path: Path) -> None:
    table = load_table(write(tmp_path / name, rows()), PLAN)
    order = sorted(range(4), key=lambda row: CODES[row])
    assert ["".join(map(str, row)) for row in table.operations] == sorted(CODES)
    assert table.space == "nasbench201"
    accuracy = table.metric("cifar10/test_accuracy/200")
    assert accuracy.dtype == np.float32
    np.testing.assert_allclose(accuracy[:, 0], [(50 + row) / 100 for row in order], rtol=1e-6)
    assert np.isnan(accuracy[order.index(1), 1])
    assert np.isfinite(accuracy).sum() == 7
    assert table.costs["parameters"].tolist() == [1000 + row for row in order]
    assert table.costs["flops"].tolist() == [(row + 0.5) * 1e6 for row in order]
    assert table.costs["proxy/synflow"].dtype == np.float64
    assert table.costs["proxy/synflow"][order.index(3)] == -3e30
    assert table.curves["cifar10/train_loss/2"].shape == (4, 1, 2)
    provenance = table.provenance
    assert (provenance["benchmark"], provenance["count"], provenance["size"]) == ("mine", 4, 15_625)
    assert provenance["partial"] is True


def test_forms_of_an_architecture_agree(tmp_path: Path) -> None:
    header = [*HEADER, *(f"op{edge}" for edge in range(6))]
    file = write(tmp_path / "x.csv", [[*row, *row[0]] for row in rows()], header)
    names = [f"op{edge}" for edge in range(6)]
    tables = [
        load_table(file, plan(architecture=form))
        for form in (
            {"form": "digits", "column": "code"},
            {"form": "string", "column": "name"},
            {"form": "columns", "columns": names},
        )
    ]
    assert len({table.data_hash() for table in tables}) == 1
    assert load_table(file, PLAN, space="spikenas").space == "spikenas"


def test_graphs(tmp_path: Path) -> None:
    header = ["hash", "adjacency", "operations", "accuracy"]
    body = [
        ["00" * 15 + "01", "0110000100010000", "02", "0.5"],
        ["00" * 15 + "ff", "010001000", "1", "0.25"],
    ]
    form = {"form": "graph", "hash": "hash"}
    columns = {
        "space": "nasbench101",
        "architecture": form,
        "metrics": {"cifar10/validation_accuracy/108": "accuracy"},
    }
    table = load_table(write(tmp_path / "x.csv", body, header), columns)
    assert table.operations.tolist() == [[1, 2, 4, 0, 5, 5, 5], [1, 3, 0, 5, 5, 5, 5]]
    assert table.adjacency is not None
    assert table.adjacency.shape == (2, 7, 7)
    assert table.adjacency[0, :4, :4].tolist() == [
        [0, 1, 1, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 1],
        [0] * 4,
    ]
    assert table.adjacency.sum() == 4 + 2
    assert table.keys is not None
    assert table.keys[:, -1].tolist() == [1, 255]
    for row, message in [
        (["00" * 16, "0110", "02", "1"], "is not 4 by 4 zeros and ones"),
        (["00" * 16, "0110000100010000", "09", "1"], "row 3: unknown operation '9'"),
        (["00", "010001000", "1", "1"], "32 hexadecimal digits"),
    ]:
        with pytest.raises(NaspError, match=message):
            load_table(write(tmp_path / "x.csv", [body[0], row], header), columns)


def changed(row: int, column: str, value: str) -> list[list[str]]:
    body = rows()
    body[row][HEADER.index(column)] = value
    return body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (changed(2, "code", "00x000"), r"row 4: '00x000' is no architecture"),
        (changed(2, "code", "0"), r"row 4: '0' is no architecture.*leading zero"),
        (changed(2, "code", "000007"), r"architecture 2 has operation 7 on edge 5"),
        (changed(3, "code", CODES[0]), r"rows 2 and 5 are the same architecture"),
        (changed(1, "params", ""), r"row 3, column params: '' is no number"),
        (changed(1, "params", "many"), r"row 3, column params: 'many' is no number"),
        (changed(1, "params", "nan"), r"row 3, column params: 'nan' is no finite number"),
        (changed(1, "a0", "inf"), r"row 3, column a0: 'inf' is no finite number"),
        (changed(1, "a0", "9100"), r"row 3: .*accuracy/200 is 91, .*scale: 0\.01"),
        ([*rows(), ["1"]], r"row 6: 1 fields, the header has 9"),
        ([], "is empty"),
    ],
)
def test_errors_name_the_row(body: list[list[str]], message: str, tmp_path: Path) -> None:
    with pytest.raises(NaspError, match=message) as error:
        load_table(write(tmp_path / "x.csv", body), PLAN)
    assert "x.csv" in str(error.value)


def test_an_unknown_operation_is_named_with_its_row(tmp_path: Path) -> None:
    body = changed(2, "name", rows()[2][1].replace("none~0|+|none~0", "zero~0|+|none~0"))
    file = write(tmp_path / "x.csv", body)
    with pytest.raises(NaspError, match=r"row 4: .*unknown operation 'zero'"):
        load_table(file, plan(architecture={"form": "string", "column": "name"}))
    with pytest.raises(NaspError, match=r"row 2: 334\.5 is no operation code|is no number"):
        load_table(file, plan(architecture={"form": "columns", "columns": ["name"] * 6}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"costs": {"parameters": "size"}}, r"has no column 'size'; it has: code, name, a0"),
        ({"architecture": {"form": "digits"}}, r"has no column 'None'"),
        ({"architecture": {"form": "tree"}}, r"form must be one of string, digits"),
        ({"architecture": None}, r"architecture\.form"),
        ({"metric": {}}, r"unknown key 'metric'"),
        ({"space": None}, r"space is missing"),
        ({"space": "nowhere"}, r"no space 'nowhere'"),
        ({"space": "base"}, r"no space 'base'"),
        ({"costs": {"parameters": ["params", "mflops"]}}, r"takes one column, not 2"),
        ({"costs": {"parameters": 3}}, r"must name its columns"),
        ({"costs": {"parameters": {"column": "params"}}}, r"unknown key 'column'"),
    ],
)
def test_errors_in_the_map(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(NaspError, match=message):
        load_table(write(tmp_path / "x.csv", rows()), plan(**change))


def test_damaged_files(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv.gz", rows() * 50)
    whole = file.read_bytes()
    for end in (15, len(whole) // 2, len(whole) - 4):
        file.write_bytes(whole[:end])
        with pytest.raises(NaspError, match=r"x\.csv\.gz is cut short or damaged"):
            load_table(file, PLAN)
    file.write_bytes(b"")
    with pytest.raises(NaspError, match="is empty"):
        load_table(file, PLAN)
    file.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(NaspError, match="is no CSV text"):
        load_table(file, PLAN)
    with pytest.raises(NaspError, match="cannot read"):
        load_table(tmp_path / "absent.csv", PLAN)


def test_maps_from_files(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", rows())
    path = tmp_path / "map.yaml"
    path.write_text(yaml.safe_dump(PLAN))
    assert len(load_table(file, path)) == 4
    path.write_text("space: [")
    with pytest.raises(NaspError, match=r"map\.yaml is no valid YAML"):
        load_table(file, path)
    path.write_text("just text")
    with pytest.raises(NaspError, match="is no map of columns"):
        load_table(file, path)
    with pytest.raises(NaspError, match=r"cannot read .*absent\.yaml"):
        load_table(file, tmp_path / "absent.yaml")
    with pytest.raises(NaspError, match=r"'mine'.*one of .*nasbench201.*spikenas"):
        load_table(file, "mine")


def test_shipped_maps_are_well_formed() -> None:
    stems = {file.stem for file in columns_dir().glob("*.yaml")}
    assert {"nasbench201", "macro", "spikenas", "zero_cost_proxies", "nasbench101_graphs"} <= stems
    for stem in stems:
        csv.find_space(read_columns(stem)["space"])


def test_another_map_is_another_table(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", rows())
    first = load_table(file, PLAN)
    second = load_table(file, plan(costs={"parameters": "synflow"}))
    assert first.costs["parameters"][0] != second.costs["parameters"][0]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", rows())
    load_table(file, PLAN)
    write(file, changed(0, "params", "5"))
    os.utime(file, (1, 1))
    assert 5 in load_table(file, PLAN).costs["parameters"]


def test_partial_tables(tmp_path: Path) -> None:
    with pytest.raises(NaspError, match=r"4 of 15625 .*benchmark\.partial=true"):
        load_table(write(tmp_path / "x.csv", rows()), PLAN, partial=False)


def test_imported_tables(tmp_path: Path) -> None:
    table = load_table(write(tmp_path / "x.csv", rows()), PLAN)
    table.save(csv.imported_path("mine"))
    assert load_benchmark("csv", benchmark="mine").data_hash() == table.data_hash()
    with pytest.raises(NaspError, match=r"no table was imported as 'other'.*--name other"):
        load_table(benchmark="other")
    with pytest.raises(NaspError, match="letters, digits"):
        load_table(benchmark="../mine")
    with pytest.raises(NaspError, match="letters, digits"):
        load_table(tmp_path / "x.csv", PLAN, benchmark="../mine")
    with pytest.raises(NaspError, match=r"set benchmark\.path"):
        load_table()


def test_joining_proxies(tmp_path: Path) -> None:
    table = load_table(write(tmp_path / "x.csv", rows()), plan(costs={}, curves={}))
    extra = load_table(
        write(tmp_path / "y.csv", rows()[:2]), plan(metrics={}, costs={"proxy/synflow": "params"})
    )
    both = joined(table, extra)
    assert both.metrics.keys() == table.metrics.keys()
    values = dict(zip(index_of(both.operations).tolist(), both.costs["proxy/synflow"], strict=True))
    assert values[int(CODES[0], 5)] == 1000
    assert values[int(CODES[1], 5)] == 1001
    assert np.isnan([values[int(CODES[2], 5)], values[int(CODES[3], 5)]]).all()
    assert both.curves["cifar10/train_loss/2"].shape == (4, 1, 2)
    other = BenchmarkTable(space="macro", operations=np.zeros((1, 8), dtype=np.uint8))
    with pytest.raises(NaspError, match="cannot join"):
        joined(table, other)


def test_spaces_of_others_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    module = types.ModuleType("nasp_lightning.space.mine")
    module.Mine = type("Mine", (NASBench201,), {"name": "mine"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nasp_lightning.space.mine", module)
    assert load_table(write(tmp_path / "x.csv", rows()), PLAN, space="mine").space == "mine"


@pytest.mark.parametrize(
    ("benchmark", "count", "metric", "runs"),
    [
        ("macro", 6561, "cifar10/test_accuracy/50", 3),
        ("spikenas", 15_625, "cifar10/test_accuracy/final", 1),
    ],
)
def test_real_tables(
    benchmark: str,
    count: int,
    metric: str,
    runs: int,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(NaspError, match=f"benchmark {benchmark}: .*csv.gz is not in .*NASP_DATA"):
        load_benchmark(benchmark)
    monkeypatch.setenv("NASP_DATA", str(data_dir))
    table = load_benchmark(benchmark)
    assert table.metric(metric).shape == (count, runs)
    assert table.provenance["partial"] is False
    assert 0.05 < np.nanmin(table.metric(metric)) < np.nanmax(table.metric(metric)) < 1
    with pytest.raises(NaspError, match=r"benchmark\.source=csv"):
        load_benchmark(benchmark, source="web")


def test_real_values(data_dir: Path) -> None:
    macro = load_table(data_dir / "macro" / "nas_bench_macro_6561.csv.gz", "macro")
    row = int("02012100", 3)
    assert macro.operations[row].tolist() == [0, 2, 0, 1, 2, 1, 0, 0]
    np.testing.assert_allclose(
        macro.metric("cifar10/test_accuracy/50")[row], [0.8947, 0.8895, 0.8917], atol=1e-6
    )
    proxies = load_table(
        data_dir / "nasbench201" / "zero_cost_proxies_9445.csv.gz", "zero_cost_proxies"
    )
    assert len(proxies) == 9445
    assert len(proxies.costs) == 13
    row = int(np.flatnonzero(index_of(proxies.operations) == int("410242", 5))[0])
    assert proxies.costs["proxy/synflow"][row] == pytest.approx(44.48481149764257)
    assert proxies.costs["proxy/params"][row] == pytest.approx(0.129306)


BLOCKS = """
from nasp_lightning.space.chain import Chain

class Blocks(Chain):
    name = "own_blocks.Blocks"
    operation_names = ("skip", "conv3", "conv5")
    layers = 2

other = 3
"""


def test_a_space_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_blocks.py").write_text(BLOCKS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    texts = ["21", "00", "10"]
    body = [[text, f"{90 + row}"] for row, text in enumerate(texts)]
    columns: dict[str, Any] = {
        "space": "own_blocks.Blocks",
        "architecture": {"form": "string", "column": "blocks"},
        "metrics": {"toy/test_accuracy/5": {"columns": "accuracy", "scale": 0.01}},
    }
    file = write(tmp_path / "blocks.csv", body, ["blocks", "accuracy"])
    table = load_table(file, columns)
    assert table.space == "own_blocks.Blocks"
    assert table.operations.tolist() == [[0, 0], [1, 0], [2, 1]]
    assert (table.provenance["size"], table.provenance["partial"]) == (9, True)
    without = {key: value for key, value in columns.items() if key != "space"}
    same = load_table(file, without, space="own_blocks.Blocks")
    assert same.data_hash() == table.data_hash()
    for name, message in (
        ("own_blocks.Absent", r"no space 'own_blocks.Absent'.*own_blocks.py must be in"),
        ("absent_module.Blocks", r"absent_module.py must be in"),
        ("own_blocks.other", r"is no nasp_lightning.space.base.Space"),
        (".Blocks", r"no space '.Blocks'"),
    ):
        with pytest.raises(NaspError, match=message):
            load_table(file, without, space=name)


def test_a_shipped_spaces_class_is_named_by_its_stem(tmp_path: Path) -> None:
    without = {key: value for key, value in PLAN.items() if key != "space"}
    target = "nasp_lightning.space.nasbench201.NASBench201"
    table = load_table(write(tmp_path / "x.csv", rows()), without, space=target)
    assert table.space == "nasbench201"


@pytest.mark.parametrize("name", ["macro", "spikenas"])
def test_benchmarks_known_as_one_file(name: str) -> None:
    with pytest.raises(NaspError, match=rf"{name} has no source 'web'; set benchmark.source=csv"):
        load_benchmark(name, source="web")
    with pytest.raises(NaspError, match=rf"benchmark {name}: .*\.csv\.gz is not in .*NASP_DATA"):
        load_benchmark(name)


def test_the_config_of_anybodys_table(tmp_path: Path) -> None:
    from hydra.errors import ConfigCompositionException, InstantiationException
    from hydra.utils import instantiate

    from tests.tiny import compose_config

    with pytest.raises(ConfigCompositionException, match="must specify 'space"):
        compose_config("benchmark=csv")
    file = write(tmp_path / "x.csv", rows())
    plan_file = tmp_path / "plan.yaml"
    plan_file.write_text(yaml.safe_dump({**PLAN, "space": "spikenas"}), encoding="utf-8")
    words = [f"benchmark.path={file}", f"benchmark.columns={plan_file}", "benchmark.name=mine"]
    config = compose_config("benchmark=csv", "space=nasbench201", *words)
    table = instantiate(config["benchmark"]["table"])
    assert (table.space, table.provenance["benchmark"]) == ("nasbench201", "mine")
    config["benchmark"]["table"]["columns"] = PLAN  # the map itself
    assert instantiate(config["benchmark"]["table"]).data_hash() == table.data_hash()
    config["benchmark"]["table"]["partial"] = False
    with pytest.raises(InstantiationException, match=r"holds 4 of 15625 .*partial=true"):
        instantiate(config["benchmark"]["table"])
