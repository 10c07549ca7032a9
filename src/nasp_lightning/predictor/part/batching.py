"""Whether predictors are being computed for many runs at once, by ``torch.vmap``.

A few things that a predictor does for one run have no rule there: a branch on a value, a
hand-written gradient. They ask here and take their other way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_active = False


@contextmanager
def batching() -> Iterator[None]:
    """Within it, calls of predictors are part of a computation of many runs."""
    global _active
    before, _active = _active, True
    try:
        yield
    finally:
        _active = before


def is_batching() -> bool:
    """Whether the caller computes many runs at once."""
    return _active
