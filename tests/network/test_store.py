from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.network.build import build_network, build_space, build_supernet
from nasp_lightning.network.store import (
    FORMAT,
    architecture_of,
    load_network,
    read_manifest,
    save_network,
)

SPACE = {"_target_": "nasp_lightning.space.nasbench201.NASBench201", "encoding": None}
NETWORK = {
    "_target_": "nasp_lightning.network.nasbench201.NASBench201Network",
    "_partial_": True,
    "channels": 4,
    "cells": 1,
}
OPERATIONS = np.array([3, 0, 1, 2, 4, 3], dtype=np.uint8)
MANIFEST: dict[str, Any] = {
    "kind": "network",
    "network": NETWORK,
    "space": SPACE,
    "operations": OPERATIONS.tolist(),
    "adjacency": None,
    "data": {"name": "cifar10", "classes": 7, "side": 8},
    "results": {"test_accuracy": 0.5},
}


def saved(path: Path) -> torch.nn.Module:
    network = build_network(NETWORK, build_space(SPACE), (OPERATIONS, None), 7)
    save_network(path, network.to(memory_format=torch.channels_last), MANIFEST)
    return network


def test_a_network_comes_back_with_its_weights_and_its_manifest(tmp_path: Path) -> None:
    network = saved(tmp_path / "network.safetensors").eval()
    loaded, manifest = load_network(tmp_path / "network.safetensors", "network", SPACE)
    images = torch.randn(2, 3, 8, 8)
    assert not loaded.training
    # The memory format is another, and with it the order of sums; the weights are the same.
    torch.testing.assert_close(loaded(images), network(images), rtol=1e-4, atol=1e-5)
    for name, weight in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name
    assert loaded(images).shape == (2, 7)
    assert manifest == {"format": FORMAT, **MANIFEST}
    np.testing.assert_array_equal(architecture_of(manifest)[0], OPERATIONS)
    assert read_manifest(tmp_path / "network.safetensors") == manifest
    assert {path.name for path in tmp_path.iterdir()} == {"network.safetensors"}


def test_a_file_of_another_space_or_kind_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    saved(path)
    other = {"_target_": "nasp_lightning.space.macro.Macro"}
    with pytest.raises(NaspError, match=r"of the space nasbench201, not of macro: choose space="):
        load_network(path, space=other)
    with pytest.raises(NaspError, match="with layers=None, here it is 3: set space"):
        load_network(path, space={**SPACE, "layers": 3})
    load_network(path, space={**SPACE, "encoding": "node"})
    with pytest.raises(NaspError, match="holds a network, but a supernet is needed"):
        load_network(path, kind="supernet")


@pytest.mark.parametrize("damage", ["cut", "absent", "foreign", "weights"])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, damage: str) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "network.safetensors"
    saved(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "absent":
        path.unlink()
    elif damage == "foreign":
        save_file({"weight": torch.zeros(1)}, path)
    else:
        whole = {"manifest": json.dumps({"format": FORMAT, **MANIFEST})}
        save_file({"weight": torch.zeros(1)}, path, whole)
    with pytest.raises(NaspError, match=r"network\.safetensors"):
        load_network(path)


@pytest.mark.parametrize("target", ["os.system", "builtins.dict", "nothing.at.All", None])
def test_a_file_cannot_name_anything_but_networks(tmp_path: Path, target: str | None) -> None:
    path = tmp_path / "network.safetensors"
    network = build_network(NETWORK, None, (OPERATIONS, None), 7)
    save_network(path, network, {**MANIFEST, "network": {"_target_": target}})
    with pytest.raises(NaspError, match="network"):
        load_network(path)
    save_network(path, network, {**MANIFEST, "space": {"_target_": target}})
    with pytest.raises(NaspError, match="space"):
        load_network(path)


def test_a_manifest_must_be_whole(tmp_path: Path) -> None:
    network = build_network(NETWORK, None, (OPERATIONS, None), 7)
    for lacking in ("operations", "data", "kind"):
        part = {name: value for name, value in MANIFEST.items() if name != lacking}
        with pytest.raises(NaspError, match=f"lacks .*{lacking}"):
            save_network(tmp_path / "network.safetensors", network, part)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_built_is_one_sentence() -> None:
    space = build_space(SPACE)
    with pytest.raises(NaspError, match=r"network\.width: NASBench201Network has no such option"):
        build_network({**NETWORK, "width": 3}, space, (OPERATIONS, None), 7)
    with pytest.raises(NaspError, match="operation 9"):
        build_network(NETWORK, space, (OPERATIONS + 6, None), 7)
    with pytest.raises(NaspError, match="is the network of one architecture: choose a supernet"):
        build_supernet(NETWORK, space, 7)
