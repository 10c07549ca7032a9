from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.network.build import build_space
from nasp_lightning.network.create import create_network, export_onnx
from nasp_lightning.network.darts import DartsNetwork
from nasp_lightning.network.store import save_network
from nasp_lightning.space.darts import Darts
from tests.evaluator.fake_images import SPACE, supernet_file


def described(seed: int = 0) -> dict[str, Any]:
    """As ``best.json`` is."""
    operations, _ = build_space(SPACE).sample(np.random.default_rng(seed), 1)
    target = "nasp_lightning.network.mobilenet.MobileNetNetwork"
    return {
        "space": SPACE,
        "network": {"_target_": target, "classes": 3},
        "operations": operations[0].tolist(),
        "adjacency": None,
        "data": {"classes": 3, "side": 8},
    }


def trained(folder: Path) -> Path:
    torch.manual_seed(7)
    network = create_network(described())
    path = folder / "network.safetensors"
    save_network(path, network, {**described(), "kind": "network", "results": {}})
    return path


def test_from_a_file_its_content_and_a_checkpoint(tmp_path: Path):
    images = torch.randn(2, 3, 8, 8)
    file = tmp_path / "best.json"
    file.write_text(json.dumps(described()))
    path = trained(tmp_path)
    first = create_network(file, path)
    second = create_network(described(), checkpoint=path)
    third = create_network(path)
    assert not first.training
    for other in (second, third):
        torch.testing.assert_close(first(images), other(images))
    fresh = create_network(file)
    assert not torch.allclose(fresh(images), first(images))


def test_options_in_place_of_the_files():
    assert create_network(described(), classes=7)(torch.randn(1, 3, 8, 8)).shape == (1, 7)
    with pytest.raises(NaspError, match=r"network.wings: .* has no such option"):
        create_network(described(), wings=2)


def test_darts_cells_too():
    operations, adjacency = Darts().sample(np.random.default_rng(0), 1)
    network = create_network(
        {
            "space": {"_target_": "nasp_lightning.space.darts.Darts"},
            "network": {"_target_": "nasp_lightning.network.darts.DartsNetwork", "channels": 4},
            "operations": operations[0].tolist(),
            "adjacency": adjacency[0].tolist(),
        },
        layers=3,
        auxiliary=False,
    )
    assert isinstance(network, DartsNetwork)
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_bad_files_are_one_sentence(tmp_path: Path):
    with pytest.raises(NaspError, match=r"cannot be read .* give the best.json"):
        create_network(tmp_path / "absent.json")
    (tmp_path / "cut.json").write_text('{"space": ')
    with pytest.raises(NaspError, match="cannot be read"):
        create_network(tmp_path / "cut.json")
    with pytest.raises(NaspError, match="is no architecture: it needs space, network"):
        create_network({"space": SPACE})
    path = trained(tmp_path)
    other = described(1)
    with pytest.raises(NaspError, match="holds the weights of another architecture"):
        create_network(other, path)
    with pytest.raises(NaspError, match="do not fit the network with these options"):
        create_network(described(), path, classes=5)
    (tmp_path / "supernet").mkdir()
    with pytest.raises(NaspError, match="holds a supernet"):
        create_network(supernet_file(tmp_path / "supernet"))
    wrong = {**described(), "operations": [9, 9, 9, 9]}
    with pytest.raises(NaspError, match="operation 9 in layer 0"):
        create_network(wrong)


def test_onnx_gives_the_modules_logits(tmp_path: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = create_network(trained(tmp_path))
    path = tmp_path / "network.onnx"
    assert export_onnx(network, path, side=8) <= 1e-4
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    images = torch.randn(5, 3, 8, 8)
    (logits,) = session.run(None, {"images": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), network(images), atol=1e-4, rtol=1e-4)
    with pytest.raises(NaspError, match="differ from the module's"):
        export_onnx(network, tmp_path / "strict.onnx", side=8, tolerance=-1)
    assert not (tmp_path / "strict.onnx").exists()


def test_without_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(NaspError, match=r"pip install 'nasp-lightning\[onnx\]'"):
        export_onnx(create_network(described()), tmp_path / "network.onnx", side=8)
