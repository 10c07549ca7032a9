"""``python -m nasp_lightning``."""

from nasp_lightning.cli import main

main()
