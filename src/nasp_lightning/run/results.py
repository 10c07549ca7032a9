"""``results.json`` of every job, declared once: jobs write it, reports and dashboards read it.

Each job has its class. Keys keep their meaning within a version of the format; a later version of
the package may add some. A key with a default is left out where it does not apply.

They are read back by :mod:`~nasp_lightning.run.results_file`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

from nasp_lightning.run.json_form import Json, Key, Part, to_json
from nasp_lightning.storage import write_json

RESULTS = "results.json"

NO_CODE = "the cost of one is not stated"
ONE_REPEAT = "there is one repeat"
OLD = "an older version did not write it"


@dataclass(frozen=True, kw_only=True)
class Origin(Part):
    """Of which config and code a result is."""

    name: Annotated[str | None, Key("the experiment's name; first part of the run's folder", OLD)]
    config_hash: Annotated[str, Key("of all settings that can change the result")]
    seed: Annotated[int, Key("of the run")]
    versions: Annotated[
        dict[str, str | None], Key("of Python, the machine, the packages and the code's revision")
    ] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TableSource(Part):
    """The benchmark's table that a result rests on."""

    benchmark: Annotated[str, Key("the benchmark's name")]
    source: Annotated[str, Key("which of its sources was read")]
    source_file: Annotated[str | None, Key("file that was read", "there is none")]
    source_sha256: Annotated[str | None, Key("SHA-256 of that file", "there is none")]
    partial: Annotated[bool, Key("whether the file covers only a part of the space")]
    data_hash: Annotated[str, Key("of the table's content")]
    dataset: Annotated[str, Key("data set of the accuracies, such as ``cifar10``")]
    epochs: Annotated[int | str, Key("training budget of the labels, in epochs or by name")]
    space_size: Annotated[int, Key("architectures in the table (search: that can be evaluated)")]


@dataclass(frozen=True, kw_only=True)
class Scores(Part):
    """How well scores rank the test architectures."""

    kendall_tau: Annotated[float, Key("Kendall's tau with the true accuracy on the test set")]
    kendall_tau_excluding_train: Annotated[
        float | None, Key("the same without training architectures", "fewer than two are left")
    ]
    spearman: Annotated[float | None, Key("Spearman's rank correlation", "scores are constant")]
    pearson: Annotated[float | None, Key("Pearson's correlation", "scores are constant")]
    top_k: Annotated[int | None, Key("K of the four keys with ``_k`` in their names", OLD)]
    best_in_top_k: Annotated[
        float | None, Key("best true accuracy among the predicted top K, a fraction", OLD)
    ]
    regret_at_k: Annotated[
        float | None, Key("how far that is below the best of all, a fraction", OLD)
    ]
    precision_at_k: Annotated[
        float | None, Key("share of the true top K in the predicted top K", OLD)
    ]
    best_percent_in_top_k: Annotated[float | None, Key("share of it in the true best 1 %")] = None
    kendall_tau_top_tenth: Annotated[float | None, Key("tau within the true best tenth")] = None
    train_labels: Annotated[int, Key("labels that were fitted on")]


@dataclass(frozen=True, kw_only=True)
class Codes(Part):
    """What extra inputs, such as Estimation Codes, cost beside labels."""

    queried_codes: Annotated[float, Key("architectures whose extra inputs were used")] = 0
    code_cost: Annotated[float | None, Key("label equivalents of one code", NO_CODE)]
    code_labels: Annotated[float | None, Key("label equivalents of all codes", NO_CODE)]
    budget: Annotated[float | None, Key("labels and codes together, in labels", NO_CODE)]


@dataclass(frozen=True, kw_only=True)
class PhaseResults:
    """After one phase of a fit: a self-evolution run has its plain fit as the first."""

    scores: Scores
    queried_labels: Annotated[int, Key("all labels that the method asked for so far")]
    selection_labels: Annotated[int | None, Key("those that selected, as above")] = None
    codes: Codes
    ranking_seconds: Annotated[
        float | None, Key("seconds of rankings by which the framework chose what to label")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How honest prediction intervals are."""

    level: Annotated[float, Key("nominal coverage of the intervals")]
    coverage: Annotated[float, Key("share of held-out labels that lie in theirs")]
    mean_width: Annotated[float, Key("mean width, a fraction of accuracy")]
    metric: Annotated[str, Key("which accuracy the labels are")]
    architectures: Annotated[int, Key("held-out architectures that were looked at")]


class Results:
    """Base of every job's results.

    Attributes:
        FORMAT: name and version of the JSON form.
    """

    FORMAT: ClassVar[str]

    def to_json(self) -> dict[str, Json]:
        """The content of ``results.json``."""
        return {"format": self.FORMAT, **to_json(self)}

    def write(self, folder: Path) -> dict[str, Json]:
        """Write ``results.json``, atomically; returns its content."""
        content = self.to_json()
        write_json(folder / RESULTS, content)
        return content


@dataclass(frozen=True, kw_only=True)
class FitResults(Results):
    """``job=train_predictor``: a predictor was fitted and ranked the space."""

    FORMAT: ClassVar[str] = "nasp_lightning.results/1"

    origin: Origin
    method_hash: Annotated[str | None, Key("shared by all seeds of a method", OLD)]
    source: TableSource
    split: Annotated[str | None, Key("the split in words", OLD)]
    train_size: Annotated[int, Key("training architectures asked for")]
    test_size: Annotated[int | str, Key("test architectures asked for, or ``all``")]
    validation_size: Annotated[int, Key("architectures held out beside training")]
    pool_size: Annotated[int | None, Key("architectures of the training half")] = None
    train_on_validation: Annotated[bool, Key("whether those were trained on too (the control)")]
    predictor: Annotated[str, Key("the predictor")]
    framework: Annotated[str, Key("how it was trained")]
    estimation_code: Annotated[str | None, Key("which Estimation Code it read", "none")]
    encoding: Annotated[str | None, Key("the space's encoding of architectures", OLD)]
    loss: Annotated[str, Key("what was minimised")]
    variant: Annotated[
        dict[str, object], Key("settings that deviate from the shipped defaults")
    ] = field(default_factory=dict)
    train_metric: Annotated[str, Key("which accuracy the labels are")]
    train_reduction: Annotated[str, Key("how a label is made of several runs")]
    test_metric: Annotated[str, Key("which accuracy the ranking is compared with")]
    test_reduction: Annotated[str, Key("how that is made of several runs")]
    scores: Scores
    queried_labels: Annotated[int, Key("all labels that the method asked for")]
    selection_labels: Annotated[
        int | None,
        Key("those not fitted on that chose weights or settings"),
    ] = None
    codes: Codes
    fit_seconds: Annotated[float | None, Key("seconds of fitting, over all attempts", OLD)]
    rank_seconds: Annotated[float | None, Key("seconds of ranking the whole space", OLD)]
    code_seconds: Annotated[float, Key("seconds of finding or computing codes")] = 0.0
    phases: Annotated[dict[str, PhaseResults], Key("scores and labels after each phase")] = field(
        default_factory=dict
    )
    calibration: Annotated[
        Calibration | None, Key("of the prediction intervals, where the predictor gives them")
    ] = None
    threads: Annotated[int, Key("CPU threads of the process")] = 1


@dataclass(frozen=True, kw_only=True)
class Product:
    """What a stage of a chain leaves for the next."""

    stage: Annotated[str, Key("the stage")]
    name: Annotated[str, Key("its file or folder, relative to the run's")]


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best architecture that a search over a predictor's score found."""

    text: Annotated[str, Key("the space's text of it")]
    predicted: Annotated[float, Key("its score")]
    costs: Annotated[dict[str, int], Key("its costs by their names")]
    label: Annotated[float | None, Key("its accuracy among the labels", "it has none")]


@dataclass(frozen=True, kw_only=True)
class NetworkSearchResults(Results):
    """``job=search_network``: an evolution over a predictor's score."""

    FORMAT: ClassVar[str] = "nasp_lightning.search_network/1"

    origin: Origin
    benchmark: Annotated[str, Key("the benchmark's name")]
    source: Annotated[str, Key("which of its sources was read")]
    source_file: Annotated[str | None, Key("file of the labels", "there is none")]
    source_sha256: Annotated[str | None, Key("SHA-256 of that file", "there is none")]
    partial: Annotated[bool, Key("whether the labels cover only a part of the space")]
    data_hash: Annotated[str, Key("of the labels' table")]
    product: Product
    space: Annotated[str, Key("the space")]
    search: Annotated[str, Key("the strategy")]
    caps: Annotated[dict[str, object], Key("hard bounds of costs")]
    predictor: Annotated[str, Key("the predictor")]
    framework: Annotated[str, Key("how it was trained")]
    queried_labels: Annotated[int, Key("labels that it asked for")]
    kendall_tau: Annotated[float, Key("Kendall's tau of the predictor on its test set")]
    scored_architectures: Annotated[int, Key("architectures that were scored")]
    front_size: Annotated[int, Key("architectures on the front of score and costs")]
    fit_seconds: Annotated[float, Key("seconds of fitting the predictor")]
    search_seconds: Annotated[float, Key("seconds of the search")]
    best: Best


@dataclass(frozen=True, kw_only=True)
class SubnetsResults(Results):
    """``job=label_subnets``: subnets of a supernet were labelled."""

    FORMAT: ClassVar[str] = "nasp_lightning.subnets/1"

    origin: Origin
    benchmark: Annotated[str, Key("the benchmark's name")]
    supernet: Annotated[str, Key("file of the supernet")]
    supernet_sha256: Annotated[str, Key("SHA-256 of that file")]
    product: Product
    space: Annotated[str, Key("the space")]
    dataset: Annotated[str, Key("the images")]
    subnets: Annotated[int, Key("subnets that have a label")]
    accuracy_mean: Annotated[float, Key("mean accuracy on held-out images, a fraction")]
    accuracy_std: Annotated[float, Key("its standard deviation")]
    accuracy_best: Annotated[float, Key("the best")]
    seconds_mean: Annotated[float, Key("seconds of a label")]
    seconds_sum: Annotated[float, Key("seconds of all")]
    files: Annotated[dict[str, int], Key("files that the run rests on, and their sizes in bytes")]


@dataclass(frozen=True, kw_only=True)
class NetworkResults(Results):
    """``job=train_network``: a network or supernet was trained on images."""

    FORMAT: ClassVar[str] = "nasp_lightning.network_run/1"

    origin: Origin
    method_hash: Annotated[str, Key("shared by all seeds of a method")]
    kind: Annotated[str, Key("``network`` or ``supernet``")]
    network: Annotated[str, Key("the network")]
    space: Annotated[str, Key("the space")]
    architecture: Annotated[str | None, Key("the space's text of it", "a supernet")]
    data: Annotated[str, Key("the images")]
    data_hash: Annotated[str, Key("of the images")]
    train_images: Annotated[int, Key("images trained on")]
    held_out_images: Annotated[int, Key("images held out")]
    test_images: Annotated[int, Key("images tested on")]
    classes: Annotated[int, Key("classes")]
    side: Annotated[int, Key("pixels of an image's side")]
    epochs: Annotated[int, Key("epochs of training")]
    batch_size: Annotated[int, Key("images in a batch")]
    parameters: Annotated[int, Key("parameters without those of an auxiliary head")]
    macs: Annotated[int | None, Key("multiply-adds of an image", "a supernet")]
    train_loss: Annotated[float | None, Key("of the last epoch", "not known")]
    train_accuracy: Annotated[float | None, Key("of the last epoch, a fraction", "not known")]
    held_out_accuracy: Annotated[float | None, Key("on held-out images", "none was measured")]
    test_accuracy: Annotated[
        float, Key("on test images; of a supernet, the mean of the evaluated subnets")
    ]
    subnet_accuracies: Annotated[list[float] | None, Key("of those subnets", "a network")]
    product: Product
    fit_seconds: Annotated[float, Key("seconds of training, over all attempts")]
    images_per_second: Annotated[float, Key("training images in a second")]
    device: Annotated[str, Key("where it was trained")]
    devices: Annotated[int, Key("how many of them")]
    threads: Annotated[int, Key("CPU threads of the process")]


@dataclass(frozen=True, kw_only=True)
class BuildResults(Results):
    """``job=build_benchmark``: members of a space were trained."""

    FORMAT: ClassVar[str] = "nasp_lightning.build_run/1"

    origin: Origin
    benchmark: Annotated[str, Key("the benchmark's name")]
    fidelity: Annotated[str, Key("how its members are trained")]
    recipe_hash: Annotated[str, Key("of all that their numbers depend on")]
    epochs: Annotated[int, Key("epochs of a training")]
    path: Annotated[str, Key("folder of the records")]
    members: Annotated[int, Key("members in this shard")]
    first_member: Annotated[int, Key("the first of them")]
    diverged: Annotated[int, Key("trainings that diverged")]
    test_accuracy_mean: Annotated[float | None, Key("mean test accuracy", "all diverged")]
    test_accuracy_best: Annotated[float | None, Key("the best", "all diverged")]
    seconds_mean: Annotated[float, Key("seconds of a member")]
    seconds_sum: Annotated[float, Key("seconds of all")]
    files: Annotated[dict[str, int], Key("the records and their sizes in bytes")]
