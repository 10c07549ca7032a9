"""What a method is called, and what a run of it does differently from its own recipe."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

import yaml

from nasp_lightning.report.collect import Run
from nasp_lightning.run.recipe import recipe

UNSAID_LOSSES = ("", "mse", "own")
LAST = 1_000  # place of a framework that names none


@dataclass(frozen=True)
class Words:
    """How a choice is named, as ``report/words/<group>/<name>.yaml`` says; it need not exist.

    Attributes:
        label: of the choice; None: its own name, empty: it goes unsaid.
        place: of a framework among those of one predictor.
        variants: settings that make a method with a name of its own, ``path=value`` sorted and
            joined by commas, and that name.
        repairs: likewise, where they only mend what was published.
    """

    label: str | None
    place: int
    variants: Mapping[str, str]
    repairs: Mapping[str, str]


def _folder(group: str) -> Traversable:
    return resources.files("nasp_lightning.report") / "words" / group


def worded(group: str) -> list[str]:
    """Names of a group's choices that have words of their own, sorted."""
    return sorted(item.name.removesuffix(".yaml") for item in _folder(group).iterdir())


@functools.cache
def words(group: str, name: str) -> Words:
    """Words for a choice of ``predictor``, ``framework`` or ``estimation_code``."""
    file = _folder(group) / f"{name}.yaml"
    content = (yaml.safe_load(file.read_text("utf-8")) or {}) if file.is_file() else {}
    label, place = content.get("label"), content.get("place", LAST)
    return Words(
        label=None if label is None else str(label),
        place=place if isinstance(place, int) else LAST,
        variants=_texts(content.get("variants")),
        repairs=_texts(content.get("repairs")),
    )


def _texts(content: object) -> dict[str, str]:
    if not isinstance(content, Mapping):
        return {}
    return {str(settings): str(said) for settings, said in content.items()}


def place(framework: str) -> int:
    """Of a framework among those of one predictor in a table."""
    return words("framework", framework).place


def variant_text(variant: Mapping[str, object]) -> str:
    """Deviating settings in one form: ``path=value``, sorted, joined by commas."""
    return ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in sorted(variant.items())
    )


def deviations(run: Run) -> dict[str, object]:
    """What the run does differently from the predictor's own experiment, by dotted path.

    A run's ``variant`` counts from the shipped defaults. Where the predictor's experiment departs
    from these (NAO's epochs, PINAT's published branches on NAS-Bench-201), following it is no
    deviation, and keeping to the defaults is one.
    """
    results = run.results
    return departures(results.source.benchmark, results.predictor, results.variant)


def departures(benchmark: str, predictor: str, variant: Mapping[str, object]) -> dict[str, object]:
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
    label = words("framework", framework).label
    if label != "":
        name += f" + {framework.replace('_', ' ') if label is None else label}"
    if loss not in UNSAID_LOSSES:
        name += f" ({loss})"
    if trained_on_validation:
        name += ", control: n + validation labels"
    return f"{name}, {_phrased(predictor, framework, variant)}" if variant else name


def has_own_name(predictor: str, framework: str, variant: str) -> bool:
    """Whether the settings make another method, rather than the same one under other settings."""
    repaired = variant in words("predictor", predictor).repairs
    return not repaired and _phrased(predictor, framework, variant) != variant


def _phrased(predictor: str, framework: str, variant: str) -> str:
    """The settings, the known ones in words and first."""
    said = []
    for settings, phrase in _phrases(predictor, framework):
        rest = re.sub(rf"(^|, ){re.escape(settings)}(?=, |$)", "", variant)
        if rest != variant:
            said.append(phrase)
            variant = rest.removeprefix(", ")
    return ", ".join([*said, variant] if variant else said)


def _phrases(predictor: str, framework: str) -> Iterator[tuple[str, str]]:
    for chosen in (words("predictor", predictor), words("framework", framework)):
        yield from chosen.variants.items()
        yield from chosen.repairs.items()
    for name in worded("estimation_code"):
        value = "null" if name == "none" else name
        yield f"estimation_code={value}", words("estimation_code", name).label or name
