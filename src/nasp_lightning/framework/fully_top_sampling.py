"""Fully Top Sampling: Batch Top Sampling that ranks the whole space at every update.

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), section 3.4 and Table 1, which compares the two.

Example:
    ``python -m nasp_lightning +experiment=nb201_siamese_bts framework=fully_top_sampling``
"""

from __future__ import annotations

from nasp_lightning.framework.batch_top_sampling import BatchTopSampling


class FullyTopSampling(BatchTopSampling):
    """Top sampling from the whole space.

    Args:
        initial: as in :class:`~nasp_lightning.framework.batch_top_sampling.BatchTopSampling`.
        updates: likewise, and all others.
        schedule: likewise.
        warm_up: likewise.
        replacement: likewise.
        final_factor: likewise.
        selection_epochs: likewise.
    """

    def __init__(
        self,
        initial: float = 0.3,
        updates: int = 10,
        schedule: str = "official",
        warm_up: float = 0.2,
        replacement: bool = True,
        final_factor: float = 0.1,
        selection_epochs: int = 0,
    ) -> None:
        super().__init__(
            initial,
            updates,
            1.0,
            schedule,
            warm_up,
            replacement,
            final_factor,
            selection_epochs,
        )
