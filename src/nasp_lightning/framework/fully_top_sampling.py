"""Fully Top Sampling: Batch Top Sampling that ranks the whole space at every update.

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), section 3.4 and Table 1, which compares the two.

Example:
    ``python -m nasp_lightning +experiment=nb201_siamese_bts framework=fully_top_sampling``
"""

from __future__ import annotations

from typing import Any

from nasp_lightning.framework.batch_top_sampling import BatchTopSampling


class FullyTopSampling(BatchTopSampling):
    """Top sampling from the whole space.

    Args:
        settings: those of
            :class:`~nasp_lightning.framework.batch_top_sampling.BatchTopSampling` but ``share``.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(share=1.0, **settings)
