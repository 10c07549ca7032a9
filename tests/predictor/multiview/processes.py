"""A regression on two views."""

from __future__ import annotations

from typing import Any

import numpy as np


def squared(left: Any, right: Any) -> Any:
    return ((left[:, None] - right[None]) ** 2).sum(2)


def problem(count: int = 40, seed: int = 0) -> tuple[list[Any], list[Any], Any]:
    """Two views' distances among training points and from new ones, and targets."""
    rng = np.random.default_rng(seed)
    views = [rng.standard_normal((count + 15, size)) / np.sqrt(size) for size in (3, 6)]
    signal = np.sin(2 * views[0][:, 0]) + 0.5 * views[1].sum(1)
    targets = (signal + 0.2 * rng.standard_normal(len(signal)))[:count]
    inside = [squared(view[:count], view[:count]) for view in views]
    return inside, [squared(view[count:], view[:count]) for view in views], targets
