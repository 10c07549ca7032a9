"""Early stopping of a phase: when its loss has stopped falling, the next phase begins.

After BRP-NAS's published code (SamsungLabs/eagle): a training ends when ``task.patience`` epochs
have not lowered its loss, of which its first 21 epochs are none, and leaves the weights it has
then. The loss is that of the training set, so it costs no labels; that code holds a set out for
its regression alone, which is not here. Ours: the loss is the mean of the epoch's steps, with
dropout, instead of a further pass without it.
"""

from __future__ import annotations

import math

from nasp_lightning.framework.part.state import State, read_number

FIRST_COUNTED = 21  # epoch of a phase (published)


class Patience:
    """Counts the epochs of a phase that have not lowered its loss.

    Args:
        epochs: how many end the phase; None: it is never ended.
    """

    def __init__(self, epochs: int | None = None) -> None:
        self.epochs = epochs
        self.begin()

    def begin(self) -> None:
        """Forget what was: a phase begins."""
        self.lowest, self.waited = math.inf, 0

    def spent(self, epoch: int, loss: float) -> bool:
        """Whether the phase should end after this epoch of it, with this training loss."""
        if self.epochs is None or epoch < FIRST_COUNTED:
            return False
        if loss < self.lowest:
            self.lowest, self.waited = loss, 0
        else:
            self.waited += 1
        return self.waited >= self.epochs

    def state_dict(self) -> dict[str, object]:
        """What a resumed run needs."""
        return {"lowest": self.lowest, "waited": self.waited}

    def load_state_dict(self, state_dict: State) -> None:
        """Take the state of a killed run."""
        self.lowest = read_number(state_dict, "lowest")
        self.waited = int(read_number(state_dict, "waited"))
