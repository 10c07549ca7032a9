"""What ``torch.compile`` says, in the user's words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from nasp_lightning.error import NaspError


@contextlib.contextmanager
def compiling(subject: str, remedy: str) -> Iterator[None]:
    """Turn a failure of the compiler into one sentence; other errors pass.

    Args:
        subject: what is compiled, such as ``the network``.
        remedy: such as ``set task.compile=false``.

    Raises:
        NaspError: if ``torch.compile`` cannot compile what the block calls.
    """
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        told = str(error).strip().splitlines()[0]
        raise NaspError(
            f"torch.compile cannot compile {subject} here ({told}): {remedy}"
        ) from error
