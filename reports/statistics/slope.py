"""The slope of one or several lines with its error: one rule for a line and for all of them.

A slope is a weighted sum of the mean gains of cells. What is repeated is the unit (`units`), and
lines share units: what a unit adds to the weighted sum is added up over widths and lines first.

- Where every cell was searched several times, a unit is a search. Each gives one slope, and
  Student's t over them is the whole rule. It takes neither a straight course nor equal luck for
  granted.
- Where every cell was searched once, a unit is a seed, and all seeds of a width share the luck of
  its search. A second error is needed then, over widths. The luck shows as widths that scatter
  about a straight line, and so does a course that is curved: one search for each width cannot tell
  these two apart. The interval is the wider of the two, the p-value the larger.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reports.statistics.estimate import Estimate
from reports.statistics.intervals import ALPHA, LEVEL, Floats
from reports.statistics.lines import Line, contrast

STEADY = 1.0
"""Standard errors by which a slope must keep its sign when any one width is left out."""


def over_units(lines: Sequence[Line], weights: Sequence[Floats]) -> Estimate:
    """A weighted sum of the cells' mean values, its error from how units differ.

    Without missing values this is Student's t over the units' own weighted sums, whatever the
    correlation between the widths and lines of one unit. A missing value is left out of its cell
    alone: each residual is scaled by sqrt(n / (n - 1)) of its cell, which keeps the variance
    unbiased (CR2, Bell and McCaffrey 2002), and the degrees of freedom are Satterthwaite's, with
    each line's own variance. A cell with one value takes the variance of its line.

    Args:
        lines: with common units, from `lines.lines_of`.
        weights: one array for each line, one weight for each of its encoders.

    Returns:
        The sum; it has no error where a line has no cell with two values.
    """
    scores, weight = np.hstack([line.scores for line in lines]), np.concatenate(weights)
    own = np.repeat(np.arange(len(lines)), [len(line.capacities) for line in lines])
    measured = ~np.isnan(scores)
    count = measured.sum(axis=0)
    means = np.nansum(scores, axis=0) / count
    value = float(weight @ means)
    residuals = np.where(measured, scores - means, 0.0)
    freedoms = np.bincount(own, count - 1)
    if (freedoms == 0).any():
        return Estimate(value, math.nan, 0)
    variance = (np.bincount(own, np.sum(residuals**2, axis=0)) / freedoms)[own]
    scale = np.where(count > 1, weight / count * np.sqrt(count / np.maximum(1, count - 1)), 0.0)
    variance_of_single = float(np.sum(np.where(count > 1, 0.0, weight**2 * variance)))
    error = math.sqrt(float(np.sum((residuals @ scale) ** 2)) + variance_of_single)
    spread = scale**2 * variance
    expected = np.diag(measured @ spread) - (measured * (spread / count)) @ measured.T
    total = float(np.sum(expected**2))
    return Estimate(value, error, float(np.trace(expected)) ** 2 / total if total > 0 else 0)


@dataclass(frozen=True)
class Scatter:
    """Residuals of the widths' means about the lines: their mean square and degrees of freedom."""

    variance: float
    freedom: int


def pooled_scatter(lines: Sequence[Line]) -> Scatter:
    """Scatter of the widths' mean values about a straight line each, pooled over the lines."""
    squares, freedom = 0.0, 0
    for line in lines:
        if len(line.capacities) < 3:
            continue
        means, x = line.means, np.log2(line.capacities)
        fitted = means.mean() + (contrast(line.capacities) @ means) * (x - x.mean())
        squares += float(np.sum((means - fitted) ** 2))
        freedom += len(line.capacities) - 2
    return Scatter(squares / freedom if freedom else math.nan, freedom)


@dataclass(frozen=True)
class Slope:
    """The mean slope of some lines, points per doubling, with its errors."""

    units: Estimate
    """With its error over units."""
    widths: Estimate | None
    """With its error over widths; None where a unit is a search, which makes it needless."""

    @property
    def value(self) -> float:
        """The slope."""
        return self.units.value

    @property
    def error(self) -> float:
        """The larger standard error."""
        return extreme(max, *(estimate.error for estimate in self._estimates))

    @property
    def p(self) -> float:
        """The larger two-sided p-value; NaN unless all errors are known."""
        p_values = [estimate.p() for estimate in self._estimates]
        return max(p_values) if all(map(math.isfinite, p_values)) else math.nan

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The wider interval; NaN without an error."""
        lows, highs = zip(*(each.interval(level) for each in self._estimates), strict=True)
        return extreme(min, *lows), extreme(max, *highs)

    def columns(self, level: float = LEVEL) -> dict[str, float]:
        """The columns of a table of trends; those of single errors only where there are two."""
        low, high = self.interval(level)
        row = {"slope": self.value, "low": low, "high": high, "level": level}
        for name, estimate in (("seeds", self.units), ("widths", self.widths)):
            known = estimate is not None and self.widths is not None
            ends = estimate.interval(level) if estimate and known else (math.nan, math.nan)
            row |= {f"{name}_low": ends[0], f"{name}_high": ends[1]}
            row[f"p_{name}"] = estimate.p() if estimate and known else math.nan
        return row | {"p": self.p}

    @property
    def _estimates(self) -> list[Estimate]:
        return [self.units] if self.widths is None else [self.units, self.widths]


def slope_of(lines: Sequence[Line], scatter: Scatter) -> Slope:
    """The mean slope of ``lines``, each counted once.

    Args:
        lines: with two encoders or more each.
        scatter: of all lines of the arm that were searched once: luck is taken to be as large on
            each of them.
    """
    weights = [contrast(line.capacities) / len(lines) for line in lines]
    units = over_units(lines, weights)
    if lines[0].repeated:
        return Slope(units, None)
    error = math.sqrt(scatter.variance * sum(float(np.sum(w**2)) for w in weights))
    return Slope(units, Estimate(units.value, error, scatter.freedom))


def deciding_encoder(lines: Sequence[Line], scatter: Scatter, slope: Slope) -> tuple[str, float]:
    """The encoder without which the slope is in doubt, and the slope of the other widths.

    Scatter is pooled over widths, as if luck were equally large at each of them. An end that lies
    apart pulls the line to itself and leaves no residual, so its luck is not seen. Therefore the
    slope of the other widths must have the same sign, by `STEADY` standard errors at least. Where
    a unit is a search, the luck of every width is in the error already.

    Returns:
        (its name, slope without it), of the encoder that matters most; empty and NaN where every
        encoder may be left out, where a unit is a search, or where the slope's p-value is not below
        `ALPHA`.
    """
    doubtful = (STEADY, "", math.nan)
    if slope.widths is None or not slope.p < ALPHA:
        return "", math.nan
    for name in sorted({name for line in lines for name in line.names}):
        rest = [line.without(name) for line in lines]
        rest = [line for line in rest if len(line.capacities) >= 2]
        if rest:
            other = slope_of(rest, scatter)
            errors = math.copysign(1.0, slope.value) * other.value / other.error
            doubtful = min(doubtful, (errors, name, other.value))
    return doubtful[1:]


def extreme(choose: Callable[[list[float]], float], *values: float) -> float:
    """The extreme of the values that exist; two widths, for example, have no scatter."""
    finite = [value for value in values if math.isfinite(value)]
    return choose(finite) if finite else math.nan
