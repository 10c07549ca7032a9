"""Self-evolution's optimisation against independent solvers."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from nasp_lightning.error import NaspError
from nasp_lightning.framework.part.admm import (
    affine_calibration,
    closed_form_targets,
    constraint_values,
    evaluation_error,
    gradient_targets,
    initial_targets,
    linear_constraints,
    newest_constraints,
    update_multipliers,
)


def history(size: int, count: int, seed: int = 0, spread: float = 1.0) -> tuple[Tensor, ...]:
    """Hidden labels, present predictions, evaluated predictions and their errors."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randn(size, generator=generator, dtype=torch.float64)
    first = torch.randn(size, generator=generator, dtype=torch.float64)
    moves = torch.randn(count, size, generator=generator, dtype=torch.float64)
    predictions = first + spread * moves
    present = first + spread * torch.randn(size, generator=generator, dtype=torch.float64)
    errors = torch.stack([evaluation_error(row, truth) for row in predictions])
    return truth, present, predictions, errors


def test_evaluation_error_is_the_mean_square() -> None:
    assert float(evaluation_error(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0]))) == 2.5


def test_constraints_vanish_at_the_truth_only() -> None:
    truth, _, predictions, errors = history(20, 8)
    assert constraint_values(truth, predictions, errors).abs().max() < 1e-12
    assert constraint_values(truth + 0.5, predictions, errors).abs().max() > 1e-2


def test_linear_constraints_are_differences_of_the_quadratic_ones() -> None:
    truth, present, predictions, errors = history(20, 8)
    rows, offset = linear_constraints(predictions, errors)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(7, dtype=torch.float64))
    torch.testing.assert_close(rows @ truth, offset)
    # At any other point, the residual is the scaled difference h_k − h_0.
    values = constraint_values(present, predictions, errors)
    length = (predictions[0] - predictions[1:]).norm(dim=1)
    torch.testing.assert_close(
        (values[1:] - values[0]) * 20 / 2 / length, -(offset - rows @ present)
    )


def test_repeated_predictions_add_no_row() -> None:
    _, present, predictions, errors = history(10, 3)
    repeated = torch.cat([predictions, predictions[:1]])
    rows, _ = linear_constraints(repeated, torch.cat([errors, errors[:1]]))
    assert len(rows) == 2
    assert torch.isfinite(
        closed_form_targets(present, repeated, torch.cat([errors, errors[:1]]))
    ).all()


@pytest.mark.parametrize("count", [6, 9])
@pytest.mark.parametrize("quadratic", [False, True])
def test_determined_case_reaches_the_true_targets(count: int, quadratic: bool) -> None:
    truth, present, predictions, errors = history(5, count)
    found = closed_form_targets(present, predictions, errors, epsilon=1e-12, quadratic=quadratic)
    assert (found - truth).abs().max() < 1e-3


def test_underdetermined_case_is_the_nearest_point_of_the_affine_set() -> None:
    truth, present, predictions, errors = history(30, 8)
    found = closed_form_targets(present, predictions, errors, epsilon=0.0)
    rows, offset = linear_constraints(predictions, errors)
    shift, *_ = np.linalg.lstsq(
        rows.numpy(), (offset - rows @ present).numpy(), rcond=None
    )  # lstsq's answer to an underdetermined system is the shortest
    np.testing.assert_allclose(found.numpy(), present.numpy() + shift, atol=1e-9)
    assert (found - truth).norm() < (present - truth).norm()


def test_underdetermined_case_with_the_sphere_holds_every_constraint() -> None:
    _, present, predictions, errors = history(12, 5)
    found = closed_form_targets(present, predictions, errors, epsilon=1e-9, quadratic=True)
    assert constraint_values(found, predictions, errors).abs().max() < 1e-2
    # Oracle: the nearest point to f(v) under the quadratic constraints, by a general solver.
    solved = minimize(
        lambda y: np.square(y - present.numpy()).sum(),
        closed_form_targets(present, predictions, errors, epsilon=0.0).numpy(),
        jac=lambda y: 2 * (y - present.numpy()),
        constraints={
            "type": "eq",
            "fun": lambda y: constraint_values(torch.from_numpy(y), predictions, errors).numpy(),
        },
        options={"maxiter": 500, "ftol": 1e-14},
    )
    assert solved.success
    np.testing.assert_allclose(found.numpy(), solved.x, atol=1e-3)


def test_damping_is_the_formula_and_tends_to_the_exact_solution() -> None:
    _, present, predictions, errors = history(30, 8)
    rows, offset = linear_constraints(predictions, errors)
    exact = closed_form_targets(present, predictions, errors, epsilon=0.0)
    gaps = []
    for epsilon in (1e-1, 1e-3, 1e-6):
        gram = rows @ rows.T + epsilon * torch.eye(7, dtype=torch.float64)
        formula = present + rows.T @ torch.linalg.solve(gram, offset - rows @ present)
        found = closed_form_targets(present, predictions, errors, epsilon=epsilon)
        torch.testing.assert_close(found, formula)
        gaps.append(float((found - exact).norm()))
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-4
    far = closed_form_targets(present, predictions, errors, epsilon=1e9)
    torch.testing.assert_close(far, present, atol=1e-6, rtol=0)


def test_nearly_collinear_predictions_are_solved_accurately() -> None:
    generator = torch.Generator().manual_seed(3)
    truth = torch.randn(40, generator=generator, dtype=torch.float64)
    first = torch.randn(40, generator=generator, dtype=torch.float64)
    line = torch.randn(40, generator=generator, dtype=torch.float64)
    wiggle = torch.randn(6, 40, generator=generator, dtype=torch.float64)
    # Rows of D differ in the seventh digit: DDᵀ has condition number 1e14 and more.
    predictions = first + torch.arange(6)[:, None] * line + 1e-6 * wiggle
    errors = torch.stack([evaluation_error(row, truth) for row in predictions])
    found = closed_form_targets(first, predictions, errors, epsilon=0.0)
    rows, offset = linear_constraints(predictions, errors)
    singular = torch.linalg.svdvals(rows)
    assert singular[0] / singular[-1] > 1e6
    # The truth lies in the affine set, so the projection of f(v) is no farther from f(v) ...
    assert (found - first).norm() <= (truth - first).norm() * (1 + 1e-3)
    # ... and agrees with every equation.
    assert (rows @ found - offset).abs().max() < 1e-7
    damped = closed_form_targets(first, predictions, errors, epsilon=1e-3)
    assert (damped - truth).norm() < (first - truth).norm()


def test_nothing_evaluated_or_once_leaves_the_predictions() -> None:
    _, present, predictions, errors = history(10, 3)
    none = closed_form_targets(present, predictions[:0], errors[:0])
    once = closed_form_targets(present, predictions[:1], errors[:1])
    torch.testing.assert_close(none, present)
    torch.testing.assert_close(once, present)
    sphere = closed_form_targets(present, predictions[:1], errors[:1], quadratic=True)
    assert constraint_values(sphere, predictions[:1], errors[:1]).abs().max() < 1e-12


def test_prediction_in_the_span_stays_where_the_sphere_has_no_nearest_point() -> None:
    _, _, predictions, errors = history(10, 3)
    plain = closed_form_targets(predictions[0], predictions, errors)
    sphere = closed_form_targets(predictions[0], predictions, errors, quadratic=True)
    torch.testing.assert_close(plain, sphere)


def test_float32_in_float32_out() -> None:
    _, present, predictions, errors = history(30, 8)
    found = closed_form_targets(present.float(), predictions.float(), errors)
    assert found.dtype == torch.float32
    exact = closed_form_targets(present, predictions, errors)
    torch.testing.assert_close(found.double(), exact, atol=1e-4, rtol=0)


def test_gradient_iterates_approach_the_closed_form_on_the_linear_constraints() -> None:
    _, present, predictions, errors = history(30, 6)
    rows, offset = linear_constraints(predictions, errors)
    generator = torch.Generator().manual_seed(7)
    targets = initial_targets(generator, 30, 0.0, 1.0).double()
    multipliers = torch.zeros(0)
    residuals = []
    for _ in range(400):
        targets = gradient_targets(
            targets, present, predictions, errors, multipliers, mu=0.1, steps=10
        )
        values = constraint_values(targets, predictions, errors)
        multipliers = update_multipliers(multipliers, values, rho=1.0, clip=10.0)
        residuals.append(float((rows @ targets - offset).abs().max()))
    assert residuals[0] > 0.1
    assert residuals[-1] < 1e-2
    assert constraint_values(targets, predictions, errors).abs().max() < 1e-2
    exact = closed_form_targets(present, predictions, errors, epsilon=0.0)
    assert (rows @ (targets - exact)).abs().max() < 1e-2
    nearest = closed_form_targets(present, predictions, errors, epsilon=0.0, quadratic=True)
    assert (targets - nearest).norm() < 0.05 * nearest.norm()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_gradient_steps_descend_from_any_start(scale: float) -> None:
    _, present, predictions, errors = history(30, 6)
    start = scale * torch.randn(30, generator=torch.Generator().manual_seed(1)).double()
    multipliers = torch.zeros(6)

    def lagrangian(targets: Tensor) -> float:
        values = constraint_values(targets, predictions, errors)
        return float((targets - present).square().mean() + 0.5 * values.square().mean())

    trace = [lagrangian(start)]
    for _ in range(20):
        start = gradient_targets(start, present, predictions, errors, multipliers, steps=1)
        trace.append(lagrangian(start))
    assert all(after <= before + 1e-12 for before, after in pairwise(trace))


def test_gradient_step_follows_autograd() -> None:
    _, present, predictions, errors = history(15, 4)
    multipliers = torch.tensor([0.3, -0.2, 0.1, 0.0], dtype=torch.float64)
    start = torch.randn(15, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    start.requires_grad_()
    values = constraint_values(start, predictions, errors)
    augmented = multipliers * values + 0.5 * 2.0 * values.square()
    loss = 0.7 * (start - present).square().mean() + augmented.mean()
    (gradient,) = torch.autograd.grad(loss, start)
    moved = gradient_targets(
        start.detach(), present, predictions, errors, multipliers, rho=2.0, mu=0.7, steps=1
    )
    shift = start.detach() - moved
    cosine = torch.nn.functional.cosine_similarity(shift, gradient, dim=0)
    assert float(cosine) == pytest.approx(1.0, abs=1e-12)


def test_multipliers_step_clip_and_grow_with_the_constraints() -> None:
    values = torch.tensor([0.5, -0.5, 100.0])
    found = update_multipliers(torch.tensor([1.0, 1.0]), values, rho=2.0, clip=5.0)
    torch.testing.assert_close(found, torch.tensor([2.0, 0.0, 5.0], dtype=torch.float64))


def test_newest_constraints_keeps_the_last() -> None:
    predictions, errors = torch.arange(12.0).view(4, 3), torch.arange(4.0)
    kept, kept_errors = newest_constraints(predictions, errors, 2)
    torch.testing.assert_close(kept, predictions[2:])
    torch.testing.assert_close(kept_errors, errors[2:])
    assert len(newest_constraints(predictions, errors, None)[0]) == 4
    with pytest.raises(NaspError, match=r"framework.window=0"):
        newest_constraints(predictions, errors, 0)


def test_initial_targets_are_normal_and_repeatable() -> None:
    drawn = initial_targets(torch.Generator().manual_seed(0), 20_000, 3.0, 0.5)
    again = initial_targets(torch.Generator().manual_seed(0), 20_000, 3.0, 0.5)
    assert torch.equal(drawn, again)
    assert float(drawn.mean()) == pytest.approx(3.0, abs=0.02)
    assert float(drawn.std()) == pytest.approx(0.5, abs=0.02)


def test_affine_calibration_is_least_squares() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(50, generator=generator)
    labels = 3 * scores - 1 + 0.1 * torch.randn(50, generator=generator)
    slope, intercept = affine_calibration(scores, labels)
    expected = np.polyfit(scores.double().numpy(), labels.double().numpy(), 1)
    np.testing.assert_allclose([slope, intercept], expected, rtol=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.1, -12345.678])
def test_affine_calibration_of_equal_scores_is_the_labels_mean(level: float) -> None:
    labels = torch.tensor([1.0, 2.0, 6.0])
    assert affine_calibration(torch.full((3,), level), labels) == (0.0, pytest.approx(3.0))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["present", "past", "errors"])
def test_numbers_that_are_not_finite_are_refused(bad: float, where: str) -> None:
    _, present, predictions, errors = history(10, 4)
    {"present": present, "past": predictions[2], "errors": errors}[where][1] = bad
    with pytest.raises(NaspError, match="diverged"):
        closed_form_targets(present, predictions, errors)
    with pytest.raises(NaspError, match="diverged"):
        gradient_targets(present, present, predictions, errors, torch.zeros(4))


def test_settings_out_of_range_are_refused() -> None:
    _, present, predictions, errors = history(10, 4)
    with pytest.raises(NaspError, match=r"framework.step=0.5"):
        gradient_targets(present, present, predictions, errors, torch.zeros(4), step=0.5)
    with pytest.raises(NaspError, match=r"framework.rho=0"):
        gradient_targets(present, present, predictions, errors, torch.zeros(4), rho=0.0)
    with pytest.raises(NaspError, match=r"framework.epsilon=-1"):
        closed_form_targets(present, predictions, errors, epsilon=-1.0)
    with pytest.raises(NaspError, match="4 evaluated predictions but 3 errors"):
        closed_form_targets(present, predictions, errors[:3])
