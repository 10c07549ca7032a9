"""docs/extend: every example is written down as the page has it, and its commands are run."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from nasp_lightning.cli import experiment_first
from nasp_lightning.job.notebook import run_job
from tests.tiny import write_csv

PAGES = sorted((Path(__file__).resolve().parents[1] / "docs" / "extend").glob("*.md"))
PAGES = [page for page in PAGES if page.stem != "index"]
FILE = re.compile(r"^```\{code-block\} \w+\n:caption: (\S+)\n\n(.*?)^```\n", re.M | re.S)
BASH = re.compile(r"^```bash\n(.*?)^```\n", re.M | re.S)
AXES = ("predictor", "framework", "search", "evaluator", "estimation_code", "benchmark")


def small(words: list[str], table: Path) -> list[str]:
    """A page's words on a tiny table, for a moment of training; what the page says wins."""
    own = {word.split("=")[0].lstrip("+") for word in words}
    tiny = ["data.train_size=20", "data.validation_size=0", "data.monitor_size=20"]
    tiny += ["trainer.max_epochs=1"]
    if "benchmark" not in own:
        tiny += ["benchmark.source=csv", f"benchmark.path={table}", "benchmark.partial=true"]
    return [*words, *(word for word in tiny if word.split("=")[0] not in own)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        monkeypatch.delitem(sys.modules, name)
    files = FILE.findall(text)
    assert files, "a page has a whole example"
    for name, content in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    commands = [line for block in BASH.findall(text) for line in block.splitlines() if line]
    assert commands
    table = write_csv(tmp_path / "table.csv")
    for number, command in enumerate(commands):
        name, *words = shlex.split(command)
        assert name == "nasp"
        folder = None
        if "--config-dir" in words:
            place = words.index("--config-dir")
            folder, words = words[place + 1], words[:place] + words[place + 2 :]
        results = run_job(experiment_first(small(words, table)), f"run{number}", folder)
        chosen = dict(word.split("=", 1) for word in words if word.split("=")[0] in AXES)
        for axis, choice in chosen.items():
            if axis in results and choice != "csv":
                assert results[axis] == choice


def test_every_axis_has_a_page() -> None:
    index = (PAGES[0].parent / "index.md").read_text(encoding="utf-8")
    assert {page.stem for page in PAGES} == {*AXES, "space"}
    for page in PAGES:
        assert f"({page.name})" in index
        assert f"src/nasp_lightning/{page.stem}/base.py" in page.read_text(encoding="utf-8")
