"""What the package ships beside its code: the configs of every group."""

from __future__ import annotations

from pathlib import Path


def conf_dir() -> Path:
    """Folder of the configs: the copy in the wheel, else the clone's ``conf``."""
    packaged = Path(__file__).resolve().with_name("conf")
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "conf"
