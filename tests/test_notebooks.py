"""Every notebook runs from top to bottom, and is committed without outputs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_without_outputs(path: Path) -> None:
    for cell in code_cells(read(path)):
        assert cell.outputs == []
        assert cell.execution_count is None


def test_methods_are_called_as_in_the_files_that_are_named() -> None:
    text = "".join(cell.source for path in NOTEBOOKS for cell in read(path).cells)
    named = re.findall(r"method `(\w+)`, as in `(nasp_lightning/[\w/]+\.py)`", text)
    assert named
    for method, file in named:
        assert f"def {method}(" in (ROOT / "src" / file).read_text(encoding="utf-8"), method


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASP_NOTEBOOK_EPOCHS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = read(path)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    shown = [
        kind
        for cell in code_cells(notebook)
        for out in cell.outputs
        for kind in out.get("data", {})
    ]
    assert "image/png" in shown
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "ipython"] == []
