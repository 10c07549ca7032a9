from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.benchmark import load_benchmark
from nasp_lightning.benchmark.tiny_nasbench201 import load_table
from nasp_lightning.error import NaspError
from nasp_lightning.space.nasbench201 import all_operations
from tests.tiny import compose_config

CONVOLUTION = 3  # nor_conv_3x3


def test_the_architectures_under_the_cap() -> None:
    table = load_benchmark("tiny_nasbench201")
    operations = all_operations()
    light = (operations != CONVOLUTION).all(axis=1)
    assert len(table) == light.sum() == 4096
    assert (table.operations == operations[light]).all()
    assert table.costs["flops"].max() <= 35e6
    assert table.costs["flops"].max() == pytest.approx(31.37601e6)
    whole = load_benchmark("nasbench201")
    name = "cifar10/validation_accuracy/200"
    np.testing.assert_array_equal(table.metrics[name], whole.metrics[name][light])
    said = table.provenance
    assert said["benchmark"] == "tiny_nasbench201"
    assert (said["count"], said["size"], said["partial"]) == (4096, 4096, False)
    assert whole.provenance["count"] == 15_625  # it keeps its own


def test_the_cap_is_a_setting() -> None:
    assert len(load_table(max_mflops=30)) == 4095
    assert len(load_table(max_mflops=1000)) == 15_625
    with pytest.raises(NaspError, match=r"max_mflops=1: the cheapest .* costs [\d.]+ million"):
        load_table(max_mflops=1)
    with pytest.raises(NaspError, match=r"max_mflops=-1: give a positive number"):
        load_table(max_mflops=-1)


def test_the_count_of_the_real_csv(data_dir: Path) -> None:
    file = data_dir / "nasbench201" / "nasbench201_15625.csv.gz"
    if not file.is_file():
        pytest.skip(f"{file} is absent")
    table = load_table("csv", file)
    assert len(table) == 4096
    accuracy = table.metrics["cifar10/test_accuracy/200"]
    assert 0.88 < accuracy.max() < 0.945  # 94.37 % is the best with 3×3 convolutions


def test_the_config_passes_the_cap_on() -> None:
    config = compose_config("benchmark=tiny_nasbench201", "benchmark.max_mflops=20")
    assert config["benchmark"]["table"]["max_mflops"] == 20
    assert config["space"]["_target_"].endswith("NASBench201")
