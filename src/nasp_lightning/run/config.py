"""A resolved config, read once where a job begins, as small typed objects.

:class:`Component` is one choice of a config group, ready to be built; :class:`RunInfo` is what a
run is, whatever its job: name, hash, seed, its own settings. Functions below a job's door take
these, or plain values; none of them takes the whole config.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from hydra.utils import get_object, instantiate

from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import Config, config_hash, method_hash, stem
from nasp_lightning.run.provenance import versions
from nasp_lightning.run.results import Origin
from nasp_lightning.storage import write_json, write_text

log = logging.getLogger(__name__)

T = TypeVar("T")

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Component(Generic[T]):
    """One choice of a config group: a ``_target_`` with its settings; ``T`` is what it builds.

    Attributes:
        group: the config group, such as ``predictor``, for messages.
        settings: as the config has them.
    """

    group: str
    settings: Settings

    @property
    def target(self) -> str:
        """Dotted name of what is built."""
        return str(self.settings["_target_"])

    @property
    def name(self) -> str:
        """Name of the choice, such as ``tnasp``."""
        return stem(self.target)

    @property
    def word(self) -> str:
        """The choice as a word of the command line, such as ``predictor=tnasp``."""
        return f"{self.group}={self.name}"

    def kind(self) -> object:
        """The class of what is built, or the function that builds it.

        Raises:
            NaspError: if it cannot be imported.
        """
        with constructing(self.group):
            return get_object(self.target)

    def build(self, **further: object) -> T:
        """What the settings describe.

        Args:
            further: arguments that no config can hold.

        Raises:
            NaspError: in one sentence, for what cannot be.
        """
        with constructing(self.group):
            built: T = instantiate(dict(self.settings), _partial_=True)(**further)
        return built

    def changed(self, **settings: object) -> Component[T]:
        """The same choice with other settings."""
        return replace(self, settings={**self.settings, **settings})

    def seeded(self, seed: int) -> Component[T]:
        """The same with the seed of a run, where it has one of its own."""
        return self.changed(seed=seed) if "seed" in self.settings else self


@dataclass(frozen=True)
class RunInfo:
    """What a run is, whatever its job.

    Attributes:
        name: the experiment's name.
        seed: of the run, as the config has it.
        config_hash: of all that can change its result.
        method_hash: of what all seeds share.
        threads: CPU threads, or None for the default.
        chain: folder in which stages of a chain leave word, or None.
        job: settings of the group ``job``.
        plain: the resolved config, for the run's folder, checkpoints and dashboards.
    """

    name: str
    seed: int
    config_hash: str
    method_hash: str
    threads: int | None
    chain: Path | None
    job: Settings
    plain: Config

    @classmethod
    def of(cls, config: Config) -> RunInfo:
        """Read from a resolved config."""
        chain = (config.get("paths") or {}).get("chain")
        return cls(
            name=config["name"],
            seed=config["seed"],
            config_hash=config_hash(config),
            method_hash=method_hash(config),
            threads=config.get("threads"),
            chain=None if not chain else Path(str(chain)),
            job=config["job"],
            plain=config,
        )

    def settings(self, group: str) -> Settings:
        """Settings of a group; empty where the config has none."""
        found = self.plain.get(group)
        return found if isinstance(found, Mapping) else {}

    def component(self, group: str) -> Component[Any]:
        """The choice of a group.

        Raises:
            NaspError: if there is none.
        """
        found = self.optional(group)
        if found is None:
            raise NaspError(f"{group}: the config has none; choose one by {group}=…")
        return found

    def optional(self, group: str) -> Component[Any] | None:
        """The choice of a group, or None where it is empty but for settings of another choice."""
        settings = self.settings(group)
        return Component(group, settings) if settings.get("_target_") else None

    def changed_method_hash(self, **groups: Settings) -> str:
        """The method's hash if some settings of groups were others.

        Args:
            groups: to the settings in place of the config's; None leaves a setting out.
        """
        changed = {name: {**self.settings(name), **item} for name, item in groups.items()}
        return method_hash({**self.plain, **changed})

    def check_seed(self) -> int:
        """The seed, where it must be a whole number from 0.

        Raises:
            NaspError: if it is not.
        """
        return check_whole("seed", self.seed, 0)

    def origin(self) -> Origin:
        """Its entries in ``results.json``."""
        return Origin(
            name=self.name, config_hash=self.config_hash, seed=self.seed, versions=versions()
        )

    def begin(self, folder: Path, with_versions: bool = True) -> None:
        """Write the resolved config, and what it runs with, into the run's folder."""
        write_text(folder / "config.yaml", yaml.safe_dump(self.plain, sort_keys=False))
        if with_versions:
            write_json(folder / "versions.json", versions())
