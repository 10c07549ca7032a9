"""What every job is: it prepares, describes itself, does its work, keeps the results, and tells.

A job is a choice of ``conf/job``: a module of this package, or of one's own, with a function
``run(config, folder)`` that ``job._target_`` names. :class:`Job` is the frame that the shipped
ones share; ``run`` makes one and calls :meth:`Job.once`.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.folder import finished_results
from nasp_lightning.run.json_form import Json
from nasp_lightning.run.process import quiet_lightning
from nasp_lightning.run.results import Results
from nasp_lightning.storage import locked

log = logging.getLogger(__name__)

Content = dict[str, Json]  # of results.json
R = TypeVar("R", bound=Results)


class Job(ABC, Generic[R]):
    """One run in its folder.

    Args:
        info: the resolved config, read once.
        folder: everything that the run writes goes here.

    Attributes:
        info: name, hash, seed and choices of the run.
        folder: the run's.
        writes_versions: whether ``versions.json`` is written when the run begins.
    """

    writes_versions: ClassVar[bool] = True

    def __init__(self, info: RunInfo, folder: Path) -> None:
        self.info, self.folder = info, folder

    @abstractmethod
    def prepare(self) -> None:
        """Build the parts and refuse what cannot be, before anything is written or spent."""

    @abstractmethod
    def describe(self) -> str:
        """One line that says what begins."""

    @abstractmethod
    def do(self) -> R:
        """Do the work; a run that was killed goes on from what its folder holds."""

    @abstractmethod
    def tell(self, results: R) -> None:
        """Print what was found."""

    def begin(self) -> None:
        """Write the resolved config and say what begins."""
        self.info.begin(self.folder, self.writes_versions)
        log.info("%s", self.describe())

    def keep(self, results: R) -> Content:
        """Write ``results.json``, last of all files; returns its content."""
        return results.write(self.folder)

    def run(self) -> Content:
        """All of it, in this order.

        Raises:
            NaspError: for whatever the user can put right.
        """
        quiet_lightning()
        self.prepare()
        self.begin()
        results = self.do()
        content = self.keep(results)
        self.tell(results)
        return content

    def once(self) -> Content:
        """Results of the folder: those that are there, or those of :meth:`run`.

        One process at a time works in a folder; the ones that waited find its results.
        """
        with locked(self.folder / ".run"):
            done = finished_results(self.folder, self.info.config_hash)
            return self.run() if done is None else done
