"""Early stopping of a phase: what counts, and that a killed run counts on."""

from __future__ import annotations

from nasp_lightning.framework.part.patience import FIRST_COUNTED, Patience


def ends(patience: Patience, losses: list[float], first: int = FIRST_COUNTED) -> int | None:
    """Epoch of the phase that it ends after, or None."""
    for epoch, loss in enumerate(losses, first):
        if patience.spent(epoch, loss):
            return epoch - first
    return None


def test_epochs_without_a_lower_loss_end_a_phase() -> None:
    assert ends(Patience(2), [5.0, 4.0, 4.0, 4.5, 1.0]) == 3
    assert ends(Patience(2), [5.0, 4.0, 4.5, 3.9, 4.0]) is None
    assert ends(Patience(None), [1.0] * 100) is None


def test_the_first_epochs_of_a_phase_do_not_count() -> None:
    assert ends(Patience(1), [1.0] * FIRST_COUNTED, first=0) is None
    assert ends(Patience(1), [1.0] * 50, first=0) == FIRST_COUNTED + 1


def test_a_phase_begins_anew() -> None:
    patience = Patience(2)
    assert ends(patience, [1.0, 2.0]) is None
    patience.begin()
    assert ends(patience, [9.0, 9.0]) is None


def test_the_count_survives_a_kill() -> None:
    patience, other = Patience(2), Patience(2)
    assert ends(patience, [1.0, 2.0]) is None
    other.load_state_dict(patience.state_dict())
    assert ends(other, [2.0]) == 0
