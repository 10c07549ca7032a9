"""The optimisation of self-evolution, as pure functions of tensors.

TNASP's supplementary (A.3, A.4, B) says what self-evolution does: each past evaluation of the
predictions for m validation architectures is one hard constraint, the constrained problem
becomes a minimax problem, ȳ starts from a normal distribution, T = 100 iterations of ADMM. It
leaves the equations open. What follows is **our formulation**, consistent with all of that.

Evaluation k sees the predictions ŷ_k ∈ R^m alone and answers with one number,

    e_k = (1/m)·‖ŷ_k − y_v‖²                                      (1) evaluation_error

The labels y_v stay hidden; ȳ ∈ R^m stands for them. With training data (x, y) and θ the weights,

    min_{θ,ȳ} (1/n)·‖f(x;θ) − y‖² + (μ/m)·‖f(v;θ) − ȳ‖²           (2)
    s.t. h_k(ȳ) = (1/m)·‖ŷ_k − ȳ‖² − e_k = 0                      (3) constraint_values

    max_λ  (2) + (1/W)·Σ_k [λ_k·h_k(ȳ) + (ρ/2)·h_k(ȳ)²]           (4) the minimax form

Given θ, ȳ has a closed form: differences of two constraints are linear in ȳ,

    (ŷ_0 − ŷ_k)ᵀ ȳ = b_k                                          (5) linear_constraints
    ȳ = f(v) + Dᵀ(DDᵀ + εI)⁻¹(b − D·f(v))                         (6) closed_form_targets

the nearest point to the present predictions that agrees with every past evaluation. Gradient
steps on (4) are the alternative (:func:`gradient_targets`), with

    λ_k ← clip(λ_k + ρ·h_k)                                       (7) update_multipliers

Everything is computed in float64, since successive predictions are nearly collinear, and
returned in the dtype that came in.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nasp_lightning.error import NaspError

# Above this the step of (4) is no longer sure to descend; see gradient_targets.
MAXIMUM_STEP = 0.25


def evaluation_error(prediction: Tensor, truth: Tensor) -> Tensor:
    """e_k of (1): mean squared error of ``[m]`` predictions, the one number that is returned.

    Returns:
        scalar float64.
    """
    error: Tensor = (prediction.double() - truth.double()).square().mean()
    return error


def constraint_values(targets: Tensor, predictions: Tensor, errors: Tensor) -> Tensor:
    """h_k(ȳ) of (3) for every past evaluation.

    Args:
        targets: ȳ, ``[m]``.
        predictions: ŷ_k, ``[t, m]``.
        errors: e_k, ``[t]``.

    Returns:
        ``[t]`` float64; zero where ȳ agrees with the evaluation.
    """
    return (predictions.double() - targets.double()).square().mean(-1) - errors.double()


def newest_constraints(
    predictions: Tensor, errors: Tensor, window: int | None
) -> tuple[Tensor, Tensor]:
    """The newest W constraints of a history ``[t, m]`` and ``[t]``; None keeps all of them."""
    if window is None:
        return predictions, errors
    if window < 1:
        raise NaspError(f"framework.window={window}: keep at least 1 constraint, or null for all")
    return predictions[-window:], errors[-window:]


def linear_constraints(predictions: Tensor, errors: Tensor) -> tuple[Tensor, Tensor]:
    """The linear equations D ȳ = b of (5), each row of D of unit length.

    h_k − h_0 = 0 reads (2/m)(ŷ_0 − ŷ_k)ᵀȳ = e_k − e_0 − (‖ŷ_k‖² − ‖ŷ_0‖²)/m. It is computed
    about ŷ_0, where the squares of large norms do not cancel: with d_k = ŷ_0 − ŷ_k,
    d_kᵀ(ȳ − ŷ_0) = (m/2)(e_k − e_0) − ‖d_k‖²/2.

    Args:
        predictions: ŷ_k, ``[t, m]``.
        errors: e_k, ``[t]``.

    Returns:
        D ``[r, m]`` and b ``[r]`` in float64, r < t: a prediction equal to ŷ_0 says nothing.

    Raises:
        NaspError: if a prediction or an error is not a finite number.
    """
    rows, offset = _centred_constraints(predictions, errors)
    if len(rows) == 0:
        return rows, offset
    return rows, offset + rows @ predictions[0].double()


def closed_form_targets(
    prediction: Tensor,
    predictions: Tensor,
    errors: Tensor,
    epsilon: float = 1e-3,
    quadratic: bool = False,
) -> Tensor:
    """ȳ of (6): the nearest point to f(v) that agrees with every past evaluation.

    D = USVᵀ gives Dᵀ(DDᵀ + εI)⁻¹ = V·S/(S² + ε)·Uᵀ without forming DDᵀ, whose condition number
    is the square of D's: the solve stays accurate where successive predictions nearly coincide.

    Args:
        prediction: f(v), ``[m]``, the present predictions.
        predictions: ŷ_k, ``[t, m]``, those that were evaluated.
        errors: e_k, ``[t]``.
        epsilon: ε ≥ 0, damping relative to unit rows; 0 takes the pseudo-inverse.
        quadratic: whether to move ȳ on, along the directions that no linear equation speaks of,
            to the nearest point of the sphere ‖ŷ_0 − ȳ‖² = m·e_0, so that the h_k themselves
            vanish and not only their differences. Where f(v) lies in the span of the evaluated
            predictions no such direction is nearer than another, and ȳ stays.

    Returns:
        ``[m]`` in the dtype of ``prediction``.

    Raises:
        NaspError: if a prediction or an error is not a finite number, or ε is negative.
    """
    if epsilon < 0:
        raise NaspError(f"framework.epsilon={epsilon} is negative: use 0 or more, such as 1e-3")
    _check_finite("the present predictions", prediction)
    if len(predictions) == 0:
        return prediction.clone()
    rows, offset = _centred_constraints(predictions, errors)
    centre = predictions[0].double()
    start = prediction.double() - centre  # everything below is relative to ŷ_0
    left, singular, right = torch.linalg.svd(rows, full_matrices=False)
    kept = singular > _rank_tolerance(rows, singular)
    left, singular, right = left[:, kept], singular[kept], right[kept]
    residual = offset - rows @ start
    step = right.T @ (singular / (singular.square() + epsilon) * (left.T @ residual))
    targets = start + step
    if quadratic:
        radius_squared = len(prediction) * errors[0].double()
        targets = _onto_sphere(targets, right, radius_squared)
    found: Tensor = (centre + targets).to(prediction.dtype)
    return found


def gradient_targets(
    targets: Tensor,
    prediction: Tensor,
    predictions: Tensor,
    errors: Tensor,
    multipliers: Tensor,
    rho: float = 1.0,
    mu: float = 1.0,
    step: float = MAXIMUM_STEP,
    steps: int = 10,
) -> Tensor:
    """Gradient steps ȳ ← ȳ − η_y·∇_ȳ on the augmented Lagrangian (4), θ and λ fixed.

    η_y = c·m/(ρ·ē), since on the constraints the penalty's curvature is 4ρē/m, ē the mean of
    the e_k. Away from them it is (6·d_k − 2·e_k)·ρ/m with d_k = ‖ŷ_k − ȳ‖²/m, and μ and λ add
    2(μ + λ)/m: ē is enlarged by just that, so that c ≤ 0.25 descends from any start.

    Args:
        targets: ȳ, ``[m]``, where the steps begin.
        prediction: f(v), ``[m]``.
        predictions: ŷ_k, ``[t, m]``.
        errors: e_k, ``[t]``.
        multipliers: λ_k, ``[s]``, s ≤ t; those not given are zero.
        rho: ρ > 0, weight of the penalty.
        mu: μ ≥ 0, weight of ‖f(v) − ȳ‖².
        step: c, in (0, 0.25].
        steps: number of steps.

    Returns:
        ``[m]`` in the dtype of ``targets``.

    Raises:
        NaspError: if a number is not finite, or ρ or c is out of its range.
    """
    if not 0 < step <= MAXIMUM_STEP:
        raise NaspError(f"framework.step={step}: choose it above 0 and at most {MAXIMUM_STEP}")
    if rho <= 0:
        raise NaspError(f"framework.rho={rho}: the penalty's weight must be positive")
    _check_finite("the targets", targets)
    _check_finite("the present predictions", prediction)
    _check_history(predictions, errors)
    if len(predictions) == 0:
        return targets.clone()
    size = targets.shape[0]
    present, past = prediction.double(), predictions.double()
    errors, multipliers = errors.double(), _extended(multipliers, len(errors))
    now = targets.double()
    for _ in range(steps):
        distance = (past - now).square().mean(-1)  # d_k
        force = multipliers + rho * (distance - errors)  # λ_k + ρ·h_k
        gradient = (2 / size) * (mu * (now - present) + (force[:, None] * (now - past)).mean(0))
        enlarged = torch.maximum(errors, (3 * distance - errors) / 2).mean()
        curvature = rho * enlarged + (mu + multipliers.mean().clamp(min=0)) / 2
        now = now - step * size / curvature.clamp(min=1e-12) * gradient
    return now.to(targets.dtype)


def update_multipliers(multipliers: Tensor, values: Tensor, rho: float, clip: float) -> Tensor:
    """λ_k of (7) after a dual step, clipped to [−clip, clip].

    Args:
        multipliers: λ_k, ``[s]``; constraints appended since then (s < t) start from zero.
        values: h_k(ȳ), ``[t]``.
        rho: ρ, also the size of the step.
        clip: bound, since where h_k = 0 has no solution λ_k would grow for ever.

    Returns:
        ``[t]`` float64.
    """
    stepped = _extended(multipliers, len(values)) + rho * values.double()
    return stepped.clamp(-clip, clip)


def initial_targets(generator: torch.Generator, size: int, mean: float, std: float) -> Tensor:
    """ȳ ``[m]`` float32 drawn from a normal distribution (supplementary B)."""
    return mean + std * torch.randn(size, generator=generator)


def affine_calibration(scores: Tensor, labels: Tensor) -> tuple[float, float]:
    """Least-squares (a, b) of ``a·score + b ≈ label`` on the training architectures.

    A rank loss leaves scores on a scale of their own, and (1) needs them on the labels'.

    Args:
        scores: ``[n]``.
        labels: ``[n]``.

    Returns:
        a and b. Scores that are all equal carry nothing: a = 0 and b the labels' mean.

    Raises:
        NaspError: if a score or a label is not a finite number.
    """
    _check_finite("the training scores", scores)
    _check_finite("the training labels", labels)
    score, label = scores.double(), labels.double()
    centred = score - score.mean()
    spread = centred.square().sum()
    rounding = len(score) * (torch.finfo(scores.dtype).eps * score.abs().max()).square()
    if spread <= rounding:
        return 0.0, float(label.mean())
    slope = (centred * (label - label.mean())).sum() / spread
    return float(slope), float(label.mean() - slope * score.mean())


def _centred_constraints(predictions: Tensor, errors: Tensor) -> tuple[Tensor, Tensor]:
    """Unit rows d_k and d_kᵀ(ȳ − ŷ_0), the equations (5) about ŷ_0."""
    _check_history(predictions, errors)
    past, error = predictions.double(), errors.double()
    difference = past[:1] - past[1:]
    length = difference.norm(dim=-1)
    told = length > torch.finfo(torch.float64).eps * past[:1].norm()
    difference, length = difference[told], length[told]
    gain = (error[1:] - error[:1])[told]
    offset = 0.5 * (predictions.shape[-1] * gain / length - length)
    return difference / length[:, None], offset


def _extended(multipliers: Tensor, count: int) -> Tensor:
    """λ in float64 with zeros for the constraints appended since its last step."""
    given = multipliers.double()
    return torch.cat([given, given.new_zeros(count - len(given))])


def _onto_sphere(targets: Tensor, directions: Tensor, radius_squared: Tensor) -> Tensor:
    """Nearest point of the sphere about 0 that differs from ``targets`` off ``directions`` only."""
    bound = directions.T @ (directions @ targets)
    free = targets - bound
    length = free.norm()
    if length <= 1e-9 * targets.norm().clamp(min=1e-9):
        return targets
    left = (radius_squared - bound.square().sum()).clamp(min=0)
    moved: Tensor = bound + free * (left.sqrt() / length)
    return moved


def _rank_tolerance(rows: Tensor, singular: Tensor) -> float:
    if len(singular) == 0:
        return 0.0
    return float(singular[0]) * max(rows.shape) * torch.finfo(torch.float64).eps


def _check_history(predictions: Tensor, errors: Tensor) -> None:
    if len(predictions) != len(errors):
        raise NaspError(
            f"self-evolution: {len(predictions)} evaluated predictions but {len(errors)} errors; "
            "each evaluation needs both"
        )
    _check_finite("an evaluated prediction", predictions)
    _check_finite("an evaluation's error", errors)


def _check_finite(what: str, values: Tensor) -> None:
    if not torch.isfinite(values).all():
        raise NaspError(
            f"self-evolution: {what} holds NaN or infinity, so training has diverged; "
            "lower the learning rate of the framework or of the supervised fit"
        )
