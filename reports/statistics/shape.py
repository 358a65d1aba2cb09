"""The shape of the gain over capacity: does it fall all along, or is there a hump?

Everything here rests on seeds alone. Where one search was lucky, its width stands out too, so a
shape is that of the configurations that were found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from reports.statistics.estimate import Estimate
from reports.statistics.intervals import ALPHA, Floats
from reports.statistics.lines import Line
from reports.statistics.slope import over_seeds

FALLS, RISES, HUMP, DIP, TURNS, FLAT = SHAPES = ("falls", "rises", "hump", "dip", "turns", "flat")
"""Shapes. ``hump``: an inner width has the largest gain, shown above both ends; ``dip``: the
smallest, below both ends; ``turns``: widths rise and fall otherwise; ``flat``: no two widths are
shown to differ."""


@dataclass(frozen=True)
class Shape:
    """How the mean gain of some lines goes over capacity."""

    fall: Estimate
    """Gain at the smallest encoder minus gain at the largest, points, its error over seeds."""
    p_straight: float
    """Of a straight course; NaN below three widths or two seeds."""
    name: str
    """One of `SHAPES`; empty where lines have different numbers of widths."""
    turn: float
    """Width of the hump or dip; NaN without one."""

    def columns(self) -> dict[str, object]:
        """The columns of a table of trends."""
        low, high = self.fall.interval()
        return {
            "fall": self.fall.value,
            "fall_low": low,
            "fall_high": high,
            "p_straight": self.p_straight,
            "shape": self.name,
            "turn": self.turn,
        }


def shape_of(lines: Sequence[Line]) -> Shape:
    """The shape of the mean course of ``lines``, each counted once."""
    fall = over_seeds(lines, [_ends(len(line.sizes)) / len(lines) for line in lines])
    counts = {len(line.sizes) for line in lines}
    if len(counts) > 1:
        return Shape(fall, math.nan, "", math.nan)
    name, turn = _named(lines, counts.pop())
    return Shape(fall, _p_straight(lines), name, turn)


def _ends(count: int) -> Floats:
    weights = np.zeros(count)
    weights[0] += 1
    weights[-1] -= 1
    return weights


def _p_straight(lines: Sequence[Line]) -> float:
    """The smallest p-value of the orthogonal polynomials above the line, after Bonferroni."""
    bends = [_bends(line.sizes) / len(lines) for line in lines]
    p_values = [over_seeds(lines, list(weights)).p() for weights in zip(*bends, strict=True)]
    return min([1.0, *(p * len(p_values) for p in p_values)]) if _known(p_values) else math.nan


def _known(p_values: Sequence[float]) -> bool:
    return bool(p_values) and all(map(math.isfinite, p_values))


def _bends(sizes: Floats) -> Floats:
    """Orthogonal polynomials of degree two and more over log2(sizes), one a row."""
    x = np.log2(sizes)
    powers = np.vander((x - x.mean()) / np.ptp(x), increasing=True)
    return np.asarray(np.linalg.qr(powers)[0].T[2:])


def _named(lines: Sequence[Line], count: int) -> tuple[str, float]:
    pairs = list(combinations(range(count), 2))
    steps = [over_seeds(lines, [_step(count, *pair) / len(lines)] * len(lines)) for pair in pairs]
    # Bonferroni over all pairs of widths; a p-value that does not exist shows nothing.
    signs = {
        pair: math.copysign(1, step.value) if step.p() * len(pairs) < ALPHA else 0.0
        for pair, step in zip(pairs, steps, strict=True)
    }
    means = np.mean([line.means for line in lines], axis=0)
    for name, place, sign in ((HUMP, means.argmax(), 1), (DIP, means.argmin(), -1)):
        turn, last = int(place), count - 1
        if 0 < turn < last and signs[0, turn] == sign and signs[turn, last] == -sign:
            return name, float(lines[0].widths[turn])
    match (1 in signs.values(), -1 in signs.values()):
        case (True, True):
            return TURNS, math.nan
        case (True, False):
            return RISES, math.nan
        case (False, True):
            return FALLS, math.nan
        case _:
            return FLAT, math.nan


def _step(count: int, first: int, second: int) -> Floats:
    weights = np.zeros(count)
    weights[first], weights[second] = -1, 1
    return weights


def monotone_p(frame: pd.DataFrame, value: str = "gain") -> float:
    """Page's one-sided test that ``value`` falls with capacity: ranks within seeds, no line.

    NaN below three widths or two seeds. It sees seeds only, not the luck of each width's search.
    """
    complete = frame.pivot(index="seed", columns="parameters", values=value).dropna()
    if complete.shape[0] < 2 or complete.shape[1] < 3:
        return math.nan
    falling = complete.to_numpy(float)[:, ::-1]
    return float(stats.page_trend_test(falling, ranked=False).pvalue)
