"""Settings of tiny networks."""

from __future__ import annotations

from nasp_lightning.space.mobilenet import MobileNet

TINY = MobileNet(
    stem_width=4,
    first_width=4,
    widths=(6, 8),
    depths=(2, 2),
    strides=(2, 1),
    last_width=10,
    image=8,
)
