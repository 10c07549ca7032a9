"""Experiments' scripts, run with a stand-in for the command line."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


CALL = 'for word in "$@"; do printf "%s\\t" "$word" >>"$CALLS"; done; echo >>"$CALLS"\n'


def answer(after: str, folder: Path) -> None:
    """Let the ``python`` of ``calls`` end like this."""
    program = folder / "python"
    program.write_text(f"#!/usr/bin/env bash\n{CALL}{after}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def run(table: Path, calls: Path, **environment: str) -> tuple[int, list[list[str]]]:
    """Exit status, and the words of each call of ``python``."""
    done = subprocess.run(
        ["bash", str(table / "run.sh")],
        cwd=calls.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = calls.read_text(encoding="utf-8").splitlines()
    return done.returncode, [line.rstrip("\t").split("\t") for line in lines]


def word(call: list[str], name: str) -> str:
    return next(item.partition("=")[2] for item in call if item.startswith(f"{name}="))
