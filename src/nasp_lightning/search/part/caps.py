"""Hard limits on what an architecture may cost, and how strategies keep to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator

DRAWS = 20  # of as many architectures as are wanted, before mutants are tried
MUTATIONS = 100  # of those that were found


class Caps:
    """The most that an architecture may cost, such as ``{flops: 5e8, parameters: 6e6}``.

    Args:
        limits: cost to its largest value; a null is no limit.

    Raises:
        NaspError: if a limit is no positive number.
    """

    def __init__(self, limits: Mapping[str, float | None] | None = None) -> None:
        self.limits: dict[str, float] = {}
        for name, limit in (limits or {}).items():
            if limit is None:
                continue
            if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0:
                raise NaspError(f"search.caps.{name}={limit}: it must be a positive number")
            self.limits[str(name)] = float(limit)

    def within(self, evaluator: Evaluator, architectures: Sequence[Candidate]) -> Array:
        """``[n]`` bool: which architectures keep to every limit."""
        return self._share(evaluator, architectures) <= 1

    def check(self, evaluator: Evaluator, rng: np.random.Generator) -> None:
        """Refuse limits that no architecture keeps to.

        Raises:
            NaspError: that names the limit and the least cost in the space.
        """
        if self.limits:
            self._least(evaluator, rng)

    def sample(self, evaluator: Evaluator, rng: np.random.Generator, count: int) -> list[Candidate]:
        """``count`` distinct architectures within the limits that were not evaluated yet.

        Drawn uniformly and rejected; where hardly any keeps to the limits, mutants of those that
        do, from the cheapest on. Fewer where no more are found.
        """
        if not self.limits:
            return evaluator.sample(rng, count)
        if (listed := evaluator.everything) is not None:
            kept = np.flatnonzero(self.within(evaluator, listed))
            new = [listed[place] for place in kept if not evaluator.known(listed[place])]
            chosen = rng.permutation(len(new))[:count]
            return [new[place] for place in chosen]
        found: dict[object, Candidate] = {}

        def keep(drawn: list[Candidate]) -> None:
            for item, good in zip(drawn, self.within(evaluator, drawn), strict=True):
                if good and len(found) < count and not evaluator.known(item):
                    found.setdefault(item.key, item)

        for _ in range(DRAWS):
            if len(found) < count:
                keep(evaluator.draw(rng, count))
        parents = [*found.values()] or [self._least(evaluator, rng)]
        keep(parents)
        for _ in range(MUTATIONS):
            if len(found) >= count:
                break
            chosen = rng.integers(len(parents), size=count)
            keep([evaluator.mutate(rng, parents[place]) for place in chosen])
            parents = [*found.values()] or parents
        return list(found.values())

    def _share(self, evaluator: Evaluator, architectures: Sequence[Candidate]) -> Array:
        """``[n]`` the largest of cost over limit."""
        shares = [np.zeros(len(architectures))]
        for name, limit in self.limits.items():
            shares.append(np.asarray(evaluator.cost(name, architectures)) / limit)
        worst: Array = np.max(shares, axis=0)
        return worst

    def _least(self, evaluator: Evaluator, rng: np.random.Generator) -> Candidate:
        least = evaluator.least(rng, lambda items: self._share(evaluator, items))
        if self.within(evaluator, [least])[0]:
            return least
        for name, limit in self.limits.items():

            def costs(items: Sequence[Candidate], name: str = name) -> Array:
                return evaluator.cost(name, items)

            smallest = float(costs([evaluator.least(rng, costs)])[0])
            if smallest > limit:
                raise NaspError(
                    f"search.caps.{name}={limit:,.0f}: the smallest network of space "
                    f"{evaluator.space.name} has {smallest:,.0f}; raise the cap"
                )
        limits = ", ".join(f"{name}={limit:,.0f}" for name, limit in self.limits.items())
        raise NaspError(
            f"search.caps: no network of space {evaluator.space.name} keeps to all of {limits}; "
            "raise one of them"
        )
