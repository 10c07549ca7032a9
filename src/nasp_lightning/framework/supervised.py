"""Plain training on the labels: one phase."""

from __future__ import annotations

from typing import ClassVar

from nasp_lightning.framework.base import Framework


class Supervised(Framework):
    """Nothing but the supervised phase."""

    lockstep: ClassVar[bool] = True
    classical: ClassVar[bool] = True
