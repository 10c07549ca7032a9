"""How well scores rank a benchmark."""

from __future__ import annotations

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import NaspError
from nasp_lightning.metric.functional import (
    best_in_top_k,
    best_percent_in_top_k,
    kendall_tau,
    kendall_tau_top_tenth,
    pearson,
    precision_at_k,
    regret_at_k,
    spearman,
)
from nasp_lightning.run.results import Scores


def rank_scores(scores: Array, data: ArchitectureData, top_k: int) -> Scores:
    """Rank metrics of ``[N]`` scores of the whole space on the split's test architectures.

    Args:
        scores: score of each row of the benchmark.
        data: the split and the true accuracies.
        top_k: predicted top architectures to look into.

    Raises:
        NaspError: if a score is not finite.
    """
    check_scores(scores)
    test = data.split.test
    unseen = test[~np.isin(test, data.train_indices)]
    predicted, true = scores[test], data.true_accuracy[test]
    k = min(top_k, len(test))
    return Scores(
        kendall_tau=kendall_tau(predicted, true),
        kendall_tau_excluding_train=(
            kendall_tau(scores[unseen], data.true_accuracy[unseen]) if len(unseen) > 1 else None
        ),
        spearman=spearman(predicted, true),
        pearson=pearson(predicted, true),
        top_k=k,
        best_in_top_k=best_in_top_k(predicted, true, k),
        regret_at_k=regret_at_k(predicted, true, k),
        precision_at_k=precision_at_k(predicted, true, k),
        best_percent_in_top_k=best_percent_in_top_k(predicted, true, k),
        kendall_tau_top_tenth=kendall_tau_top_tenth(predicted, true),
        train_labels=len(data.train_indices),
    )


def check_scores(scores: Array) -> Array:
    """Give ``[N]`` scores back if they are finite.

    Raises:
        NaspError: if one is not.
    """
    if not np.isfinite(scores).all():
        raise NaspError(
            f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not finite: the fit "
            "diverged; lower optimizer.lr, or check the labels"
        )
    return scores
