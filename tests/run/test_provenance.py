from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from nasp_lightning.run import provenance


def test_versions_of_what_a_result_depends_on() -> None:
    import lightning
    import torch

    found = provenance.versions()
    assert found["torch"] == torch.__version__.split("+")[0] or found["torch"] == torch.__version__
    assert found["lightning"] == lightning.__version__
    assert {"python", "machine", "numpy", "nasp-lightning", "git_revision"} <= set(found)


def test_a_package_that_is_absent_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "PACKAGES", ("torch", "no-such-package"))
    assert "no-such-package" not in provenance.versions()


def make_clone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    source = folder / "src" / "nasp_lightning" / "job" / "provenance.py"
    source.parent.mkdir(parents=True)
    source.write_text("")
    monkeypatch.setattr(provenance, "__file__", str(source))
    return source


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def test_the_revision_and_whether_files_were_changed(tmp_path: Path, monkeypatch: Any) -> None:
    source = make_clone(tmp_path, monkeypatch)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    revision = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert provenance.git_revision() == revision
    source.write_text("# changed\n")
    assert provenance.git_revision() == f"{revision}+"


def test_an_installed_package_has_no_revision(tmp_path: Path, monkeypatch: Any) -> None:
    make_clone(tmp_path, monkeypatch)
    assert provenance.git_revision() is None


def test_without_git_there_is_no_revision(tmp_path: Path, monkeypatch: Any) -> None:
    make_clone(tmp_path, monkeypatch)
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert provenance.git_revision() is None
