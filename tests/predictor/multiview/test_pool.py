from __future__ import annotations

import numpy as np
import torch

from nasp_lightning.predictor.multiview.pool import Pool
from nasp_lightning.predictor.multiview.views import NAMES, Views
from tests.predictor.multiview.samples import SPACE, sample


def test_a_pool_keeps_what_it_knows() -> None:
    graphs = sample(SPACE, 40)
    views = Views(SPACE.shape, NAMES, 8, True, 0)
    described = views.fit(graphs)
    pool = Pool(views, described)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    for rows in (order[:3], order[:9], order[5:12], order[:9]):
        pool.reach(described[rows])
        columns = pool.columns(described)
        assert columns is not None
        for kept, fresh in zip(columns, views.squared(described, described[rows]), strict=True):
            np.testing.assert_array_equal(kept, fresh)
    assert pool.columns(described[order]) is None  # not the pool itself
