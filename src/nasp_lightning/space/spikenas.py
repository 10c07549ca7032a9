"""SpikeNAS-Bench's space: NAS-Bench-201's cell with a spiking network's operations.

The same four nodes and six edges as :mod:`nasp_lightning.space.nasbench201`; the operations are
zero, skip connection, and 3×3 convolution with a low, middle or high firing threshold.
"""

from __future__ import annotations

from typing import ClassVar

from nasp_lightning.space.nasbench201 import NASBench201


class SpikeNAS(NASBench201):
    """The space of SpikeNAS-Bench; encodings are those of NAS-Bench-201."""

    name: ClassVar[str] = "spikenas"
    operation_names = (
        "zero",
        "skip_connect",
        "conv_3x3_low",
        "conv_3x3_middle",
        "conv_3x3_high",
    )
