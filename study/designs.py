"""A study's design beside cheaper ones: trials, and the slope that each can detect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reports.statistics.power import detectable_slope
from reports.statistics.searches import FEWEST_SEARCHES
from reports.statistics.selection import BASELINE
from study.plan import planned_confirms, problems
from study.spec import StudySpec

_REPEATED = 3
"""Searches of the repeated design that is shown beside a study of one search."""


@dataclass(frozen=True)
class Design:
    """One way to set a study up."""

    change: str
    """What is changed in the study's file; empty for the study's own design."""
    spec: StudySpec

    @property
    def trials(self) -> int:
        """Tune and confirm trials of the whole study, at its last look."""
        spec = self.spec
        of_search = sum(spec.trials + planned_confirms(spec, one.widths) for one in problems(spec))
        return of_search * spec.most_searches

    def slope(self, sizes: Sequence[int], spread: float, luck: float) -> float:
        """The slope that the verdict on all lines together detects with 80 % power; NaN for none.

        Args:
            sizes: parameters of the encoders of a line.
            spread: standard deviation of one paired gain over seeds, points.
            luck: standard deviation of a width's gain over searches, points.
        """
        spec = self.spec
        arms = [arm for arm in spec.arms if arm != BASELINE]
        if not arms or BASELINE not in spec.arms:
            return math.nan
        return detectable_slope(
            sizes,
            spec.seeds_of_search,
            spread,
            lines=lines_in(spec),
            tests=len(arms),
            luck=luck,
            searches=spec.most_searches,
        )


def lines_in(spec: StudySpec) -> int:
    """Lines of a study: one for each data set and method over each group of encoders."""
    return len(spec.datasets) * len(spec.methods) * len(set(spec.line_of.values()))


def designs(spec: StudySpec) -> list[Design]:
    """The study's own design, then those that need fewer trials."""
    own = Design("", spec)
    changes: list[dict[str, Any]] = []
    searches, seeds = spec.most_searches, spec.seeds_of_search
    least = len(spec.widths) if spec.treat_width == "joint" else 1
    if searches > FEWEST_SEARCHES:
        changes.append({"searches": searches - 1})
    if searches == 1:
        trials = max(least, spec.trials // _REPEATED)
        changes.append({"searches": _REPEATED, "trials": trials, "seeds": 1})
    elif seeds > 1:
        changes.append({"seeds": 1})
    changes.append({"trials": max(least, spec.trials // 2)})
    # A study with looks is compared at its last one.
    at_the_end = {"until": "searches", "max_searches": None, "searches": searches}
    others = [
        Design(
            ", ".join(f"{name}: {value}" for name, value in change.items()),
            spec.model_copy(update={**at_the_end, **change}),
        )
        for change in changes
    ]
    return [own, *(other for other in others if other.trials < own.trials)]
