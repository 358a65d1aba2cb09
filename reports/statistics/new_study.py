"""What a new study would need to show the slope of a study that could not tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
from scipy import stats

from reports.statistics.intervals import Floats, t_quantile
from reports.statistics.lines import contrast
from reports.statistics.power import POWER, detectable_over_searches, least_slopes
from reports.statistics.slope import Scatter
from reports.statistics.verdict import CANNOT_TELL

MOST_NEEDED = 1000
"""Above this number a report says "more than" instead of a number."""


def searches_needed(row: Mapping[Hashable, Any], spread: float, alpha: float) -> float:
    """Searches of a new study that would show the slope found with 80 % power.

    Args:
        row: of a table of trends.
        spread: standard deviation of the slope over searches, points per doubling.
        alpha: level of the two-sided test.

    Returns:
        A whole number; infinity above `MOST_NEEDED`; NaN where a verdict fell or there is no
        spread.
    """
    if row["verdict"] != CANNOT_TELL or not math.isfinite(row["p"]):
        return math.nan
    return _fewest(
        lambda count: detectable_over_searches(spread, count, alpha) <= abs(row["slope"]), 2
    )


def seeds_and_widths_needed(
    row: Mapping[Hashable, Any], capacities: Floats, scatter: Scatter, lines: int, alpha: float
) -> tuple[float, float]:
    """Seeds and widths of a new study that would show the slope found with 80 % power.

    Args:
        row: of a table of trends.
        capacities: of the encoders of a line (encoders,).
        scatter: of the widths about the lines of the arm.
        lines: number of lines whose mean slope is judged.
        alpha: level of the tests.

    Returns:
        ``(seeds, widths)``; NaN where a verdict fell, or where they are not what is missing.
    """
    if row["verdict"] != CANNOT_TELL or not math.isfinite(row["p"]):
        return math.nan, math.nan
    seeds = widths = math.nan
    if row["p_seeds"] >= alpha:
        half = (row["seeds_high"] - row["seeds_low"]) / 2
        error = half / t_quantile(row["seeds"] - 1)
        length = math.sqrt(float(np.sum(contrast(capacities) ** 2)) / lines)
        spread = error * math.sqrt(row["seeds"]) / length
        seeds = seeds_needed(row["slope"], capacities, spread, lines, alpha)
    if row["p_widths"] >= alpha:
        pooled = round(scatter.freedom / max(1, len(capacities) - 2))
        span = float(np.ptp(np.log2(capacities)))
        widths = widths_needed(
            row["slope"], math.sqrt(scatter.variance), span, len(capacities), pooled, alpha
        )
    return seeds, widths


def seeds_needed(
    slope: float, capacities: Floats, spread: float, lines: int, alpha: float
) -> float:
    """Seeds that would show a slope, were it the true one and no search lucky, with 80 % power.

    Args:
        slope: points per doubling, either sign.
        capacities: of the encoders of a line (encoders,).
        spread: standard deviation of one paired gain over seeds, points.
        lines: number of lines whose mean slope is judged.
        alpha: level of the two-sided tests.

    Returns:
        A whole number; infinity above `MOST_NEEDED`.
    """

    def enough(seeds: int) -> bool:
        least = least_slopes(capacities, seeds, spread, 0.0, lines, True, alpha)
        return bool(np.quantile(least, POWER) <= abs(slope))

    return _fewest(enough, 2)


def widths_needed(
    slope: float, scatter: float, span: float, widths: int, lines: int, alpha: float
) -> float:
    """Widths, even over the same range, that would show a slope in spite of how widths scatter.

    Args:
        slope: points per doubling, either sign.
        scatter: standard deviation of a width's mean gain about the line, points.
        span: doublings of the parameters from the smallest encoder to the largest.
        widths: that there are already.
        lines: number of lines whose mean slope is judged, and over which the scatter is pooled.
        alpha: level of the two-sided test.

    Returns:
        A whole number; infinity above `MOST_NEEDED`.
    """

    def enough(count: int) -> bool:
        freedom = lines * (count - 2)
        error = scatter / math.sqrt(count * float(np.var(np.linspace(0, span, count))))
        error /= math.sqrt(lines)
        limit = t_quantile(freedom, 1 - alpha)
        # The noncentral t underflows far out, where nothing is in doubt.
        effect = min(abs(slope) / error, 30.0)
        return bool(stats.nct.sf(limit, freedom, effect) >= POWER)

    return _fewest(enough, widths + 1)


def _fewest(enough: Callable[[int], bool], least: int) -> float:
    """The smallest number from ``least`` on that is enough; infinity above `MOST_NEEDED`."""
    low, high = least - 1, least
    while not enough(high):
        low, high = high, 2 * high
        if low >= MOST_NEEDED:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return float(high) if high <= MOST_NEEDED else math.inf
