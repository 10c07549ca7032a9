"""Results that do not depend on what runs beside: one thread, fixed kernels, one device."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from nasp_lightning.error import NaspError


@contextlib.contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Run a block so that its results do not depend on what surrounds it, and restore what was.

    One thread: sums are then taken in one order, whatever runs beside. Gradients and full
    precision, whatever ranking asks for the code.
    """
    _reproducible_products(device)
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn = torch.is_deterministic_algorithms_warn_only_enabled()
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ),
    ):
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict, warn_only=warn)


def choose_device(name: str | None, setting: str) -> torch.device:
    """A device by name; None: a GPU where there is one.

    Raises:
        NaspError: if there is none of that name; the message names the setting.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise NaspError(f"{setting}={name}: choose cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise NaspError(f"{setting}={name}: PyTorch finds no GPU here; choose cpu")
    return device


def _reproducible_products(device: torch.device) -> None:
    """Make cuBLAS sum in one order; it reads this when a process first uses the GPU."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
