from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.benchmark import load_benchmark, tinynano
from nasp_lightning.benchmark.__main__ import main
from nasp_lightning.benchmark.command.status import sources
from nasp_lightning.error import NaspError
from nasp_lightning.record.build import Build, pack, read_build
from nasp_lightning.space.tinynano import TinyNano
from tests.benchmark.tinynano_files import diverged, made_up, numbers, write

README = Path(__file__).resolve().parents[2] / "README.md"


def test_columns(tmp_path: Path) -> None:
    table = load_benchmark("tinynano", path=write(tmp_path, made_up([4, 0, 2])))
    space = TinyNano()
    operations, adjacency = space.members()
    assert (table.operations == operations[[0, 2, 4]]).all()
    assert table.adjacency is not None
    assert (table.adjacency == adjacency[[0, 2, 4]]).all()
    assert table.space == "tinynano"
    assert table.keys is not None
    assert (table.keys[1] == space.key(operations[2], adjacency[2])).all()
    depth = (operations[[0, 2, 4]] < 10).sum(axis=1)
    expected = numbers(0.3 + 0.05 * depth + 1e-5 * np.array([0, 2, 4]))[:, None]
    np.testing.assert_array_equal(table.metrics["cifar10/validation_accuracy/4"], expected)
    assert table.metrics["cifar10/test_accuracy/4"].shape == (3, 1)
    losses = table.curves["cifar10/train_loss/4"]
    assert losses.shape == (3, 1, 4)
    assert losses.dtype == np.float32
    code = table.curves["cifar10-code/train_loss/3"]
    np.testing.assert_allclose(code[:, 0], losses[:, 0, :3] + 0.3, atol=1e-6)
    np.testing.assert_allclose(table.costs["proxy/train_loss_2"], code[:, 0, 1], atol=1e-6)
    assert table.costs["cifar10/train_seconds/4"].ravel().tolist() == [10, 12, 14]
    costs = space.costs(operations[[0, 2, 4]], adjacency[[0, 2, 4]])
    for name in ("parameters", "flops", "macs"):
        assert (table.costs[name] == costs[name]).all()


def test_provenance(tmp_path: Path) -> None:
    build = made_up([0, 1, 2, 5])
    key = next(iter(build.records))
    build.records[key] = diverged(build.records[key])
    table = load_benchmark("tinynano", path=write(tmp_path, build))
    said = table.provenance
    assert said["partial"] is True
    assert (said["count"], said["size"], said["prefix"], said["diverged"]) == (4, 1120, 3, 1)
    assert (said["source"], said["fidelity"]) == ("cpu", "cpu")
    assert said["training"]["recipe"] == {"epochs": 4}
    assert "not published" in said["notes"]
    assert np.isnan(table.metrics["cifar10/test_accuracy/4"]).ravel().tolist() == [True] + 3 * [
        False
    ]
    assert np.isnan(table.curves["cifar10/train_loss/4"][0, 0]).tolist() == [False] * 2 + [True] * 2
    table.save(tmp_path / "table.safetensors")  # all of it can be stored


def test_a_packed_build_is_the_same_table(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder")
    pack(read_build(folder), tmp_path / "packed.json.gz")
    one, other = (
        load_benchmark("tinynano", path=path) for path in (folder, tmp_path / "packed.json.gz")
    )
    assert one.data_hash() == other.data_hash()


def test_all_members_are_not_partial(tmp_path: Path) -> None:
    pack(made_up(range(1120)), tmp_path / "all.json.gz")
    table = tinynano.load_table(path=tmp_path / "all.json.gz", partial=False)
    assert table.provenance["partial"] is False
    assert table.provenance["prefix"] == len(table) == 1120


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    with pytest.raises(NaspError, match=r"6 of 1,120 .*job\.members=null.*partial=true"):
        tinynano.load_table(path=folder, partial=False)
    with pytest.raises(NaspError, match=r"benchmark\.path=.*nowhere does not exist"):
        tinynano.load_table(path=tmp_path / "nowhere")
    with pytest.raises(NaspError, match=r"no table of fidelity 'paper'.*job/fidelity=paper"):
        tinynano.load_table("paper")
    write(tmp_path / "b", made_up(fidelity="official", epochs=80))
    with pytest.raises(NaspError, match=r"set benchmark\.source=official and benchmark\.epochs=80"):
        tinynano.load_table(path=tmp_path / "b")
    assert len(tinynano.load_table("official", tmp_path / "b")) == 6
    with pytest.raises(NaspError, match=r"no finished record yet"):
        tinynano.load_table(path=write(tmp_path / "c", made_up([])))
    build = made_up([0])
    record = next(iter(build.records.values()))
    strange = replace(build, records={"xyz": {**record, "operations": [9] * 7}})
    with pytest.raises(NaspError, match=r"of no member"):
        tinynano.load_table(path=write(tmp_path / "d", strange))
    other = {**build.manifest["identity"], "space": {"colour": "red"}}
    strange = Build({**build.manifest, "identity": other}, build.records)
    with pytest.raises(NaspError, match=r"another space than this version's"):
        tinynano.load_table(path=write(tmp_path / "e", strange))


def test_what_was_built_in_the_default_folder_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    write(tinynano.built_path("paper"), made_up(fidelity="paper", epochs=100))
    assert len(load_benchmark("tinynano", source="paper")) == 6
    found = {source.name: source.path for source in sources() if source.benchmark == "tinynano"}
    assert found["paper (built here: 6)"] == tinynano.built_path("paper")
    assert main(["status"]) == 0
    assert "tinynano: ready" in capsys.readouterr().out


def test_import_and_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "a", made_up([0, 1, 3]))
    assert main(["export", str(folder), str(tmp_path / "b.json.gz")]) == 0
    assert "3 of 1,120 members, the first 2 without a gap" in capsys.readouterr().out
    assert main(["export", str(folder), str(tmp_path / "p.json.gz"), "--prefix"]) == 0
    assert "2 of 1,120 members, the first 2 without a gap" in capsys.readouterr().out
    assert len(load_benchmark("tinynano", path=tmp_path / "p.json.gz")) == 2
    for path in (folder, tmp_path / "b.json.gz"):
        assert main(["import", str(path), "--name", "mine"]) == 0
        assert "mine: 3 architectures of tinynano" in capsys.readouterr().out
        table = load_benchmark("csv", benchmark="mine")
        assert table.data_hash() == load_benchmark("tinynano", path=folder).data_hash()
    assert main(["import", str(tmp_path / "x.csv"), "--name", "mine"]) == 2
    assert "a CSV needs --columns" in capsys.readouterr().err
    assert main(["export", str(tmp_path), str(tmp_path / "c.json.gz")]) == 2
    assert "holds no build.json" in capsys.readouterr().err


def test_the_shipped_table() -> None:
    table = load_benchmark("tinynano")
    space = TinyNano()
    operations, adjacency = space.members()
    count, said = len(table), table.provenance
    told = re.search(r"the first (\d+) members by graph hash", README.read_text(encoding="utf-8"))
    assert told is not None
    assert int(told[1]) == count, "the README says plainly what is shipped"
    assert said["prefix"] == count, "any prefix is a fair sample; holes are not"
    assert (table.operations == operations[:count]).all()
    assert table.adjacency is not None
    assert (table.adjacency == adjacency[:count]).all()
    assert said["partial"] is (count < 1120)
    test = table.metrics["cifar10/test_accuracy/4"]
    validation = table.metrics["cifar10/validation_accuracy/4"]
    assert np.isfinite(test).all()
    assert 0.3 < test.min() < test.max() < 0.95
    assert np.corrcoef(test.ravel(), validation.ravel())[0, 1] > 0.8
    assert np.isfinite(table.curves["cifar10-code/train_loss/3"]).all()
    assert said["training"]["recipe"]["images"] == 6000
    size = tinynano.shipped_path("cpu").stat().st_size
    assert size < 500_000, "the package stays small"
