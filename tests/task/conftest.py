from __future__ import annotations

from pathlib import Path

import pytest

from tests.image.files import write_columns


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_columns(tmp_path_factory.mktemp("images"), count=40)
