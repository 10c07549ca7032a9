"""What a method is called, and what a run of it does differently from its own recipe."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from nasp_lightning.report.collect import Run
from nasp_lightning.run.recipe import recipe

FRAMEWORK_ORDER = ("one_shot", "supervised", "brp_sampling", "seminas", "self_evolution")
ABBREVIATIONS = {
    "self_evolution": "SE",
    "seminas": "SM",
    "brp_sampling": "iterative sampling",
}
REPAIRED = "predictor.published_nb201=false"  # the published method, its branches mended
# Settings that make a method of the papers, or of ours, with a name of its own.
PHRASES = {
    "predictor.positional_branch=false": "operation branch only",
    "predictor.operation_branch=false": "positional branch only",
    "predictor.encoder=gcn": "GCN instead of transformer",
    "predictor.encoder=mlp": "MLP instead of transformer",
    "predictor.heads=4, predictor.invariant_heads=0": "self-attention heads only",
    REPAIRED: "repaired graph branches",
    "framework.accumulate=false, framework.amount=10000, framework.epochs=500, "
    "framework.iterations=3, framework.up_sample=10": "SemiNAS' own sizes",
    "predictor.nsam=true": "NSAM",
    "estimation_code=null": "naive",
    "estimation_code=proxy": "proxy as code",
    "estimation_code=table": "the table's losses as code",
    "estimation_code=train": "Estimation Code",
}
UNSAID_LOSSES = ("", "mse", "own")


def variant_text(variant: Mapping[str, Any]) -> str:
    """Deviating settings in one form: ``path=value``, sorted, joined by commas."""
    return ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in sorted(variant.items())
    )


def deviations(run: Run) -> dict[str, Any]:
    """What the run does differently from the predictor's own experiment, by dotted path.

    A run's ``variant`` counts from the shipped defaults. Where the predictor's experiment departs
    from these (NAO's epochs, PINAT's published branches on NAS-Bench-201), following it is no
    deviation, and keeping to the defaults is one.
    """
    return departures(run.benchmark, run.predictor, run.variant)


def departures(benchmark: str, predictor: str, variant: Mapping[str, Any]) -> dict[str, Any]:
    """:func:`deviations` of what a ``variant`` says."""
    own = recipe(benchmark, predictor)
    found = {
        name: value
        for name, value in variant.items()
        if name not in own or own[name].value != value
    }
    return found | {name: setting.default for name, setting in own.items() if name not in variant}


def method_name(
    predictor: str,
    framework: str,
    loss: str,
    variant: str = "",
    trained_on_validation: bool = False,
) -> str:
    """Name of a method for a reader; plain training, the MSE and a predictor's own loss go unsaid.

    Args:
        predictor: such as ``tnasp``.
        framework: such as ``self_evolution``.
        loss: such as ``logistic``; empty where a paper does not say.
        variant: :func:`variant_text` of the deviating settings.
        trained_on_validation: whether it is the control of self-evolution.
    """
    name = predictor
    if framework not in ("supervised", "one_shot"):
        name += f" + {ABBREVIATIONS.get(framework, framework.replace('_', ' '))}"
    if loss not in UNSAID_LOSSES:
        name += f" ({loss})"
    if trained_on_validation:
        name += ", control: n + validation labels"
    return f"{name}, {_phrased(variant)}" if variant else name


def has_own_name(variant: str) -> bool:
    """Whether the settings make another method, rather than the same one under other settings."""
    return variant != REPAIRED and _phrased(variant) != variant


def _phrased(variant: str) -> str:
    """The settings, the known ones in words and first."""
    said = []
    for settings, phrase in PHRASES.items():
        rest = re.sub(rf"(^|, ){re.escape(settings)}(?=, |$)", "", variant)
        if rest != variant:
            said.append(phrase)
            variant = rest.removeprefix(", ")
    return ", ".join([*said, variant] if variant else said)
