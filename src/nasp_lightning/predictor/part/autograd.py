"""What hand-written gradients use of PyTorch's context object, which has no public type."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Context(Protocol):
    """Kept from a forward to its backward; subclasses add what they keep beside tensors."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors, which then are ``saved_tensors``."""

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Outputs without a gradient."""

    def set_materialize_grads(self, value: bool) -> None:
        """Whether absent gradients come as zeros."""
