"""The shape of the gain over capacity: does it fall all along, or is there a hump?

The error is that over units (`units`). Where every cell was searched once, these are seeds: a width
whose search was lucky stands out too then, and a shape is that of the configurations that were
found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import scipy  # loads `stats` where it is first used

from reports.statistics.capacity import SIZE
from reports.statistics.estimate import Estimate
from reports.statistics.intervals import ALPHA, LEVEL, Floats
from reports.statistics.lines import Line
from reports.statistics.slope import over_units
from reports.statistics.units import UNIT

FALLS, RISES, HUMP, DIP, TURNS, FLAT = SHAPES = ("falls", "rises", "hump", "dip", "turns", "flat")
"""Shapes. ``hump``: an inner width has the largest gain, shown above both ends; ``dip``: the
smallest, below both ends; ``turns``: widths rise and fall otherwise; ``flat``: no two widths are
shown to differ."""
HINT = 0.2
"""A step between two widths against the course counts as a hint below this two-sided p-value."""


@dataclass(frozen=True)
class Shape:
    """How the mean gain of some lines goes over capacity."""

    fall: Estimate
    """Gain at the smallest encoder minus gain at the largest, points, its error over units."""
    p_straight: float
    """Of a straight course; NaN below three widths or two units."""
    name: str
    """One of `SHAPES`; empty where lines have different numbers of widths."""
    turn: str
    """The encoder of the hump or dip; empty without one."""
    steps_back: bool
    """Whether some step between two widths goes against the fall from end to end, by a `HINT`."""

    def all_along(self, level: float = LEVEL) -> bool:
        """Whether the two ends are shown to differ, and no step hints at another course."""
        low, high = self.fall.interval(level)
        return (low > 0 or high < 0) and not self.steps_back and bool(self.name)

    def columns(self, level: float = LEVEL) -> dict[str, object]:
        """The columns of a table of trends."""
        low, high = self.fall.interval(level)
        return {
            "fall": self.fall.value,
            "fall_low": low,
            "fall_high": high,
            "p_straight": self.p_straight,
            "shape": self.name,
            "turn": self.turn,
            "all_along": self.all_along(level),
        }


def shape_of(lines: Sequence[Line]) -> Shape:
    """The shape of the mean course of ``lines``, each counted once."""
    fall = over_units(lines, [_step(len(line.capacities), -1, 0) / len(lines) for line in lines])
    counts = {len(line.capacities) for line in lines}
    if len(counts) > 1:
        return Shape(fall, math.nan, "", "", False)
    steps = _steps(lines, counts.pop())
    name, turn = _named(lines, steps)
    direction = math.copysign(1, fall.value)
    back = any(step.value * direction > 0 and step.p() < HINT for step in steps.values())
    return Shape(fall, _p_straight(lines), name, turn, back)


def _p_straight(lines: Sequence[Line]) -> float:
    """The smallest p-value of the orthogonal polynomials above the line, after Bonferroni."""
    bends = [_bends(line.capacities) / len(lines) for line in lines]
    p_values = [over_units(lines, list(weights)).p() for weights in zip(*bends, strict=True)]
    return min([1.0, *(p * len(p_values) for p in p_values)]) if _known(p_values) else math.nan


def _known(p_values: Sequence[float]) -> bool:
    return bool(p_values) and all(map(math.isfinite, p_values))


def _bends(capacities: Floats) -> Floats:
    """Orthogonal polynomials of degree two and more over log2(capacity), one a row."""
    x = np.log2(capacities)
    powers = np.vander((x - x.mean()) / np.ptp(x), increasing=True)
    return np.asarray(np.linalg.qr(powers)[0].T[2:])


def _steps(lines: Sequence[Line], count: int) -> dict[tuple[int, int], Estimate]:
    """Of each two widths, the gain at the larger minus that at the smaller."""
    return {
        (first, second): over_units(lines, [_step(count, first, second) / len(lines)] * len(lines))
        for first, second in combinations(range(count), 2)
    }


def _named(lines: Sequence[Line], steps: Mapping[tuple[int, int], Estimate]) -> tuple[str, str]:
    # Bonferroni over all pairs of widths; a p-value that does not exist shows nothing.
    signs = {
        pair: math.copysign(1, step.value) if step.p() * len(steps) < ALPHA else 0.0
        for pair, step in steps.items()
    }
    means = np.mean([line.means for line in lines], axis=0)
    for name, place, sign in ((HUMP, means.argmax(), 1), (DIP, means.argmin(), -1)):
        turn, last = int(place), len(means) - 1
        if 0 < turn < last and signs[0, turn] == sign and signs[turn, last] == -sign:
            return name, lines[0].names[turn]
    match (1 in signs.values(), -1 in signs.values()):
        case (True, True):
            return TURNS, ""
        case (True, False):
            return RISES, ""
        case (False, True):
            return FALLS, ""
        case _:
            return FLAT, ""


def _step(count: int, first: int, second: int) -> Floats:
    """Weights of the encoders in the gain at ``second`` minus the gain at ``first``."""
    weights = np.zeros(count)
    weights[first], weights[second] = -1, 1
    return weights


def monotone_p(frame: pd.DataFrame, value: str = "gain") -> float:
    """Page's one-sided test that ``value`` falls with capacity: ranks within units, no line.

    NaN below three widths or two units. Where a unit is a seed, the test does not see the luck of
    each width's search.

    Args:
        frame: of `units.by_unit`, the rows of one line with one arm.
        value: the column of the values.
    """
    complete = (
        frame.pivot(index=UNIT, columns=["capacity", *SIZE], values=value)
        .sort_index(axis=1)
        .dropna()
    )
    if complete.shape[0] < 2 or complete.shape[1] < 3:
        return math.nan
    falling = complete.to_numpy(float)[:, ::-1]
    return float(scipy.stats.page_trend_test(falling, ranked=False).pvalue)
