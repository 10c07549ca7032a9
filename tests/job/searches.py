"""Configs of small searches."""

from __future__ import annotations

from typing import Any

from nasp_lightning.shipped import conf_dir
from tests.tiny import make_config

CLASSICAL = ("predictor=gaussian_process", "predictor.restarts=0")


def config_of(search: str, *words: str) -> dict[str, Any]:
    few = () if search == "ranking" else ("search.labels=30",)
    return make_words("job=search", f"search={search}", "search.repeats=3", *few, *words)


def make_words(*words: str) -> dict[str, Any]:
    """As make_config, without the settings that only TNASP has where another is chosen."""
    if any(word.startswith("predictor=") for word in words):
        from hydra import compose, initialize_config_dir
        from hydra.core.global_hydra import GlobalHydra

        from nasp_lightning.run.compose import register_resolvers
        from nasp_lightning.run.folder import resolved
        from tests.tiny import SMALL_DATA

        register_resolvers()
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return resolved(compose("config", [*SMALL_DATA, "trainer.max_epochs=2", *words]))
    return make_config(*words)
