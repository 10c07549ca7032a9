"""``results.json`` of ``job=search`` and ``job=n_plus_k``: what repeats of a search found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from nasp_lightning.run.json_form import Key, Part
from nasp_lightning.run.results import ONE_REPEAT, Codes, Origin, Results, TableSource


@dataclass(frozen=True, kw_only=True)
class RegretAt:
    """Regret after a number of labels, a fraction of accuracy."""

    mean: Annotated[float, Key("mean over the repeats")]
    std: Annotated[float | None, Key("standard deviation over the repeats", ONE_REPEAT)]
    random_expected: Annotated[float, Key("what random search has in expectation")]


@dataclass(frozen=True, kw_only=True)
class FrontAt:
    """The Pareto front after a number of labels."""

    regret_mean: Annotated[float, Key("regret against the best that costs no more, a fraction")]
    regret_std: Annotated[float | None, Key("its standard deviation", ONE_REPEAT)]
    hypervolume_mean: Annotated[float, Key("hypervolume as a share of the true front's")]
    hypervolume_std: Annotated[float | None, Key("its standard deviation", ONE_REPEAT)]


@dataclass(frozen=True, kw_only=True)
class Front(Part):
    """Fronts of accuracy against a cost, where the table has costs."""

    front_cost: Annotated[str | None, Key("the cost")] = None
    front_at: Annotated[dict[str, FrontAt] | None, Key("the front at numbers of labels")] = None


@dataclass(frozen=True, kw_only=True)
class Found(Part):
    """What repeats of a search found; accuracies are fractions."""

    best_found_mean: Annotated[float, Key("mean test accuracy of what has the best label")]
    best_found_std: Annotated[float | None, Key("its standard deviation", ONE_REPEAT)]
    regret_mean: Annotated[float, Key("how far it is below the best reachable, in the mean")]
    regret_std: Annotated[float | None, Key("its standard deviation", ONE_REPEAT)]
    regret_at: Annotated[
        dict[str, RegretAt],
        Key("the regret at numbers of labels, or of label equivalents"),
    ]
    regret_of_best_label: Annotated[float, Key("regret of the best label of the whole space")]
    found_best_share: Annotated[float, Key("share of the repeats without regret")]
    training_seconds_mean: Annotated[
        float | None, Key("seconds of training that a repeat's labels stand for", "not known")
    ]
    wall_seconds_mean: Annotated[float, Key("seconds that a repeat took")]


@dataclass(frozen=True, kw_only=True)
class MeanAt:
    """A regret after a number of labels, a fraction of accuracy."""

    mean: Annotated[float, Key("mean over the repeats")]
    std: Annotated[float | None, Key("standard deviation over the repeats", ONE_REPEAT)]


@dataclass(frozen=True, kw_only=True)
class Recommended(Part):
    """``job=search`` alone: what the searches handed over; regrets are fractions."""

    recommend: Annotated[
        str | None, Key("rule of what is handed over: the best ``label``, or the ``posterior``")
    ] = None
    recommended_architecture: Annotated[
        str | None, Key("the space's text of what the first repeat handed over")
    ] = None
    recommended_architectures: Annotated[list[str] | None, Key("of every repeat")] = None
    recommended_regret_mean: Annotated[
        float | None, Key("how far these are below the best reachable, in the mean")
    ] = None
    recommended_regret_std: Annotated[float | None, Key("its standard deviation")] = None
    recommended_regret_at: Annotated[
        dict[str, MeanAt] | None, Key("regret of what would be handed over at numbers of labels")
    ] = None
    oracle_regret_mean: Annotated[
        float | None, Key("regret of the truly best evaluated, which no search knows: an oracle")
    ] = None
    oracle_regret_at: Annotated[dict[str, MeanAt] | None, Key("the same at numbers of labels")] = (
        None
    )


@dataclass(frozen=True, kw_only=True)
class Budgets(Part):
    """``job=search`` with labels at lower training budgets: what they are and what was bought."""

    fidelities: Annotated[
        dict[str, float] | None,
        Key("lower training budgets and the cost of a label there, in labels"),
    ] = None
    fidelity_metrics: Annotated[
        dict[str, str] | None, Key("which accuracy a label there is; it can be the test accuracy")
    ] = None
    fidelity_notes: Annotated[
        str | None, Key("what the source says of its accuracies, such as how many runs they are")
    ] = None
    fidelity_labels_mean: Annotated[
        dict[str, float] | None, Key("labels that a repeat bought there, in the mean")
    ] = None
    full_labels_mean: Annotated[
        float | None, Key("full labels that a repeat bought, in the mean")
    ] = None
    spent_mean: Annotated[
        float | None, Key("label equivalents that a repeat spent, in the mean")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Intervals(Part):
    """``job=n_plus_k`` alone: intervals over the repeats, and what was evaluated."""

    framework: Annotated[str | None, Key("how the predictor was trained")] = None
    batched: Annotated[bool | None, Key("whether repeats were one computation")] = None
    compiled: Annotated[bool | None, Key("whether its steps were compiled")] = None
    best_found_interval: Annotated[list[float] | None, Key("of ``best_found_mean``")] = None
    regret_interval: Annotated[list[float] | None, Key("of ``regret_mean``")] = None
    interval: Annotated[str | None, Key("what the intervals are")] = None
    best_true_in_all_mean: Annotated[
        float | None, Key("best true accuracy of all that was evaluated, in the mean")
    ] = None
    best_true_in_top_k_mean: Annotated[float | None, Key("the same of the predicted top K")] = None
    kendall_tau_mean: Annotated[float | None, Key("Kendall's tau of the ranking, in the mean")] = (
        None
    )
    kendall_tau_std: Annotated[float | None, Key("its standard deviation")] = None
    kendall_tau_interval: Annotated[list[float] | None, Key("of that mean")] = None
    best_percent_in_top_k_mean: Annotated[float | None, Key("as of a fit, in the mean")] = None
    kendall_tau_top_tenth_mean: Annotated[float | None, Key("as of a fit, in the mean")] = None


@dataclass(frozen=True, kw_only=True)
class SearchResults(Results):
    """``job=search`` and ``job=n_plus_k``: a benchmark was searched many times."""

    FORMAT: ClassVar[str] = "nasp_lightning.search/1"

    origin: Origin
    method_hash: Annotated[str, Key("shared by all seeds and numbers of repeats")]
    family_hash: Annotated[str, Key("shared by all numbers of labels too")]
    source: TableSource
    repeats: Annotated[int, Key("how often the search was run")]
    search: Annotated[str, Key("the strategy")]
    settings: Annotated[dict[str, object], Key("its settings")]
    anytime: Annotated[bool, Key("whether the best so far means something before the last label")]
    labels: Annotated[int, Key("labels, or label equivalents, of one repeat")]
    predictor: Annotated[str | None, Key("the surrogate", "the strategy has none")]
    estimation_code: Annotated[str | None, Key("which Estimation Code it read", "none")]
    loss: Annotated[str | None, Key("what it minimised", "nothing by gradients")]
    variant: Annotated[
        dict[str, object], Key("settings that deviate from the shipped defaults")
    ] = field(default_factory=dict)
    label_metric: Annotated[str, Key("which accuracy a label is")]
    label_reduction: Annotated[str, Key("how it is made of several runs")]
    test_metric: Annotated[str, Key("which accuracy judges what was found")]
    best_reachable: Annotated[float, Key("the best of that, a fraction")]
    found: Found
    budgets: Budgets = field(default_factory=Budgets)
    recommended: Recommended = field(default_factory=Recommended)
    front: Front = field(default_factory=Front)
    codes: Codes | None = None
    intervals: Intervals = field(default_factory=Intervals)
