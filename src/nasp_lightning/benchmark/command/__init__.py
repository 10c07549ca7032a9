"""Subcommands of ``python -m nasp_lightning.benchmark``."""
