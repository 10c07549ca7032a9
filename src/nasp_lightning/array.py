"""The type of NumPy arrays; docstrings give their shapes and dtypes."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
