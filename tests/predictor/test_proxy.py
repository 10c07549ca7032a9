from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.proxy import Proxy
from nasp_lightning.space.nasbench201 import NASBench201, all_operations

SPACE = NASBench201()


@pytest.mark.parametrize("descending", [False, True])
def test_ranks_by_its_one_input(descending: bool) -> None:
    values = torch.tensor([[0.5], [-1.0], [2.0]])
    graphs = replace(SPACE.encode(all_operations()[:3]), features=values)
    proxy = Proxy(replace(SPACE.shape, features=1), descending=descending)
    best = np.argsort(-proxy.score(graphs)).tolist()
    assert best == ([1, 0, 2] if descending else [2, 0, 1])


@pytest.mark.parametrize("features", [0, 2])
def test_needs_exactly_one(features: int) -> None:
    with pytest.raises(NaspError, match=r"set data.features=\[nwot\]"):
        Proxy(replace(SPACE.shape, features=features), name="nwot")
