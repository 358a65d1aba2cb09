"""Power of the report's own verdict, before a study runs and after it could not tell.

Where every cell is searched several times, a verdict is Student's t over searches, and its power is
that of the noncentral t. Where every cell is searched once, a verdict needs both tests and every
width that may be left out (`slope`, `verdict`). Each of these demands is met from some true slope
on, whatever the errors of a study are. So the errors are drawn, the least slope that brings a
verdict is computed for each draw, and a quantile of these is what a design detects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from reports.statistics.intervals import ALPHA, Floats
from reports.statistics.lines import contrast
from reports.statistics.slope import STEADY, Scatter
from reports.statistics.verdict import CANNOT_TELL

POWER = 0.8
FEWEST_WIDTHS = 3
"""Of cells that are searched once. Two widths always lie on a line: they leave nothing to see the
luck of a search by."""
UNKNOWN = 3.0
"""A spread that was assumed may be wrong by this factor, up or down."""
MOST_NEEDED = 1000
_DRAWS = 4000


def detectable_slope(
    parameters: Sequence[int] | Floats,
    seeds: int,
    spread: float,
    lines: int = 1,
    together: bool = True,
    tests: int = 1,
    luck: float = 0.0,
    searches: int = 1,
) -> float:
    """The smallest slope on which a report's verdict falls with 80 % power.

    Args:
        parameters: sizes of the encoders of one line.
        seeds: confirm seeds of each search.
        spread: standard deviation of one paired gain over seeds, points.
        lines: of the study: data sets times methods times encoders.
        together: whether the mean slope of all lines is judged, or that of one of them.
        tests: size of the family that Holm's correction is over; the first step is assumed, as if
            no other test of it were significant.
        luck: standard deviation of a width's gain over searches, points.
        searches: of each cell; the looks at a growing study are not counted.

    Returns:
        Points per doubling of the parameters, above zero. NaN where no verdict can fall: with one
        width, or with one search and two widths or one seed.
    """
    sizes = np.unique(np.asarray(parameters, dtype=float))
    if searches > 1:
        if len(sizes) < 2:
            return math.nan
        of_search = math.hypot(spread / math.sqrt(seeds), luck)
        length = math.sqrt(float(np.sum(contrast(sizes) ** 2)) / (lines if together else 1))
        return _detectable(of_search * length, searches, ALPHA / tests)
    if len(sizes) < FEWEST_WIDTHS or seeds < 2:
        return math.nan
    least = least_slopes(sizes, seeds, spread, luck, lines, together, ALPHA / tests)
    return float(np.quantile(least, POWER))


def _detectable(spread: float, searches: int, alpha: float) -> float:
    """The slope that Student's t over searches shows with 80 % power.

    Args:
        spread: standard deviation of the slope over searches.
        searches: two or more.
        alpha: level of the two-sided test.
    """
    limit = stats.t.isf(alpha / 2, searches - 1)
    # At the limit the power is about a half; far above the limit it is one.
    excess = brentq(
        lambda over: stats.nct.sf(limit, searches - 1, limit + over) - POWER, -limit, limit + 10
    )
    return float(limit + excess) * spread / math.sqrt(searches)


def spread_range(spread: float, freedom: float) -> tuple[float, float]:
    """Standard deviations that a spread may stand for: its 80 % interval.

    Args:
        spread: as found, or as assumed.
        freedom: degrees of freedom of what it was found from; 0 where it was assumed.

    Returns:
        Least and largest. Of an assumed spread, it divided and multiplied by `UNKNOWN`.
    """
    if freedom < 1:
        return spread / UNKNOWN, spread * UNKNOWN
    low, high = (math.sqrt(freedom / stats.chi2.ppf(p, freedom)) for p in (0.9, 0.1))
    return spread * low, spread * high


def searches_needed(row: Mapping[Hashable, Any], spread: float, alpha: float) -> float:
    """Searches of a new study that would show the slope found with 80 % power.

    Args:
        row: of a table of trends.
        spread: standard deviation of the slope over searches.
        alpha: level of the two-sided test.

    Returns:
        A whole number; infinity above `MOST_NEEDED`; NaN where a verdict fell or there is no
        spread.
    """
    if row["verdict"] != CANNOT_TELL or not math.isfinite(row["p"]):
        return math.nan
    return _fewest(lambda count: _detectable(spread, count, alpha) <= abs(row["slope"]), 2)


def least_slopes(
    sizes: Floats,
    seeds: int,
    spread: float,
    luck: float,
    lines: int,
    together: bool,
    alpha: float,
) -> Floats:
    """For each of some drawn studies, the least true slope on which its verdict falls.

    Args:
        sizes: parameters of the encoders of a line.
        seeds: of each line.
        spread: standard deviation of one paired gain over seeds, points.
        luck: standard deviation of a width's gain over searches, points.
        lines: of the study.
        together: whether the mean slope of all lines is judged, or that of one of them.
        alpha: level of the two-sided tests.
    """
    rng = np.random.default_rng(0)
    judged = lines if together else 1
    whole, count = contrast(sizes), len(sizes)
    x = np.log2(sizes)
    errors = rng.normal(size=(_DRAWS, lines, count)) * math.hypot(spread / math.sqrt(seeds), luck)
    fitted = errors.mean(axis=2, keepdims=True) + (errors @ whole)[:, :, None] * (x - x.mean())
    freedom = lines * (count - 2)
    scatter = np.sqrt(np.sum((errors - fitted) ** 2, axis=(1, 2)) / freedom)
    noise = spread / math.sqrt(seeds) * np.sqrt(rng.chisquare(seeds - 1, _DRAWS) / (seeds - 1))
    means = errors[:, :judged].mean(axis=1)

    def least(places: list[int], by_seeds: float, by_widths: float) -> Floats:
        weights = contrast(sizes[places])
        length = math.sqrt(float(np.sum(weights**2)) / judged)
        needed = np.maximum(by_seeds * noise, by_widths * scatter) * length
        return np.asarray(needed - means[:, places] @ weights)

    everything = list(range(count))
    both = least(everything, stats.t.isf(alpha / 2, seeds - 1), stats.t.isf(alpha / 2, freedom))
    for left_out in everything:
        rest = [place for place in everything if place != left_out]
        both = np.maximum(both, least(rest, STEADY, STEADY))
    return both


def needed(
    row: Mapping[Hashable, Any],
    sizes: Floats,
    scatter: Scatter,
    lines: int,
    together: bool,
    alpha: float,
) -> tuple[float, float]:
    """Seeds and widths of a new study that would show the slope found with 80 % power.

    Args:
        row: of a table of trends.
        sizes: parameters of the encoders of a line.
        scatter: of the widths about the lines of the arm.
        lines: whose mean slope is judged.
        together: whether the mean slope of all lines is judged, or that of one of them.
        alpha: level of the tests.

    Returns:
        ``(seeds, widths)``; NaN where a verdict fell, or where they are not what is missing.
    """
    if row["verdict"] != CANNOT_TELL or not math.isfinite(row["p"]):
        return math.nan, math.nan
    seeds = widths = math.nan
    if row["p_seeds"] >= alpha:
        half = (row["seeds_high"] - row["seeds_low"]) / 2
        error = half / stats.t.isf(ALPHA / 2, row["seeds"] - 1)
        length = math.sqrt(float(np.sum(contrast(sizes) ** 2)) / lines)
        spread = error * math.sqrt(row["seeds"]) / length
        seeds = seeds_needed(row["slope"], sizes, spread, lines, alpha)
    if row["p_widths"] >= alpha:
        pooled = round(scatter.freedom / max(1, len(sizes) - 2))
        span = float(np.ptp(np.log2(sizes)))
        widths = widths_needed(
            row["slope"], math.sqrt(scatter.variance), span, len(sizes), pooled, together, alpha
        )
    return seeds, widths


def seeds_needed(slope: float, sizes: Floats, spread: float, lines: int, alpha: float) -> float:
    """Seeds that would show a slope, were it the true one and no search lucky, with 80 % power.

    Args:
        slope: points per doubling, either sign.
        sizes: parameters of the encoders of a line.
        spread: standard deviation of one paired gain over seeds, points.
        lines: whose mean slope is judged.
        alpha: level of the two-sided tests.

    Returns:
        A whole number; infinity above `MOST_NEEDED`.
    """

    def enough(seeds: int) -> bool:
        least = least_slopes(sizes, seeds, spread, 0.0, lines, True, alpha)
        return bool(np.quantile(least, POWER) <= abs(slope))

    return _fewest(enough, 2)


def widths_needed(
    slope: float,
    scatter: float,
    span: float,
    widths: int,
    lines: int,
    together: bool,
    alpha: float,
) -> float:
    """Widths, even over the same range, that would show a slope in spite of how widths scatter.

    Args:
        slope: points per doubling, either sign.
        scatter: standard deviation of a width's mean gain about the line, points.
        span: doublings of the parameters from the smallest encoder to the largest.
        widths: that there are already.
        lines: that the scatter is pooled over.
        together: whether their mean slope is judged, or that of one of them.
        alpha: level of the two-sided test.

    Returns:
        A whole number; infinity above `MOST_NEEDED`.
    """

    def enough(count: int) -> bool:
        freedom = lines * (count - 2)
        error = scatter / math.sqrt(count * float(np.var(np.linspace(0, span, count))))
        error /= math.sqrt(lines if together else 1)
        limit = stats.t.isf(alpha / 2, freedom)
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
