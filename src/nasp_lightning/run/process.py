"""The process of a run: its threads, and what it leaves unsaid."""

from __future__ import annotations

import logging
import os
import warnings

import torch

from nasp_lightning.run.sweep import available_cores


def set_threads(threads: int | None, fitting: bool) -> None:
    """Threads of the process: by default one for fitting (steps are tiny), all for ranking."""
    if threads is None:
        configured = os.environ.get("OMP_NUM_THREADS", "")
        most = int(configured) if configured.isdigit() and int(configured) > 0 else None
        threads = 1 if fitting else most or available_cores()
    torch.set_num_threads(threads)


def quiet_lightning() -> None:
    """Leave out Lightning's advice that does not apply to resident data."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (".*does not have many workers.*", ".*GPU available but not used.*"):
        warnings.filterwarnings("ignore", message)
    warnings.filterwarnings("ignore", ".*LeafSpec.*is deprecated.*")
    warnings.filterwarnings("ignore", ".*Checkpoint directory.*")
