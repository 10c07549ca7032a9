"""Errors of what a config builds, in the user's words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from hydra.errors import InstantiationException
from lightning.fabric.utilities.exceptions import MisconfigurationException

from nasp_lightning.error import NaspError


@contextlib.contextmanager
def constructing(group: str) -> Iterator[None]:
    """Turn what goes wrong while a config group is built into one sentence.

    Hydra wraps what a constructor raises, and a partial raises it bare: both come out the same.

    Args:
        group: the config group, such as ``predictor``.

    Raises:
        NaspError: the constructor's own, or one that names the group and what it did not take.
    """
    try:
        yield
    except (
        *(InstantiationException, MisconfigurationException),
        *(TypeError, ValueError, ImportError),
    ) as error:
        cause = error.__cause__ if isinstance(error, InstantiationException) else error
        if isinstance(cause, NaspError):
            raise cause from error
        told = " ".join(str(cause or error).split())
        raise NaspError(
            f"{group}: {told} (see conf/{group}/; HYDRA_FULL_ERROR=1 shows where)"
        ) from error
