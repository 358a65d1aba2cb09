"""Power of the report's own verdict: the slope that a design can show.

Where every cell is searched several times, a verdict is Student's t over searches, and its power is
that of the noncentral t. Where every cell is searched once, a verdict needs both tests and every
width that may be left out (`slope`, `verdict`). Each of these demands is met from some true slope
on, whatever the errors of a study are. So the errors are drawn, the least slope that brings a
verdict is computed for each draw, and a quantile of these is what a design detects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from reports.statistics.intervals import ALPHA, Floats, t_quantile
from reports.statistics.lines import contrast
from reports.statistics.slope import STEADY

POWER = 0.8
FEWEST_WIDTHS = 3
"""Of cells that are searched once. Two widths always lie on a line: they leave nothing to see the
luck of a search by."""
UNKNOWN = 3.0
"""A spread that was assumed may be wrong by this factor, up or down."""
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
        parameters: of the encoders of one line.
        seeds: confirm seeds of each search.
        spread: standard deviation of one paired gain over seeds, points.
        lines: of the study: data sets times methods times encoders.
        together: whether the mean slope of all lines is judged, or that of one of them.
        tests: number of tests that Holm's correction is over; the first step is assumed, as if no
            other of these tests were significant.
        luck: standard deviation of a width's gain over searches, points.
        searches: of each cell; the looks at a growing study are not counted.

    Returns:
        Points per doubling of the parameters, above zero. NaN where no verdict can fall: with one
        width, or with one search and two widths or one seed.
    """
    capacities = np.unique(np.asarray(parameters, dtype=float))
    if searches > 1:
        if len(capacities) < 2:
            return math.nan
        of_search = math.hypot(spread / math.sqrt(seeds), luck)
        length = math.sqrt(float(np.sum(contrast(capacities) ** 2)) / (lines if together else 1))
        return detectable_over_searches(of_search * length, searches, ALPHA / tests)
    if len(capacities) < FEWEST_WIDTHS or seeds < 2:
        return math.nan
    least = least_slopes(capacities, seeds, spread, luck, lines, together, ALPHA / tests)
    return float(np.quantile(least, POWER))


def detectable_over_searches(spread: float, searches: int, alpha: float) -> float:
    """The slope that Student's t over searches shows with 80 % power.

    Args:
        spread: standard deviation of the slope over searches, points per doubling.
        searches: two or more.
        alpha: level of the two-sided test.

    Returns:
        Points per doubling, above zero.
    """
    freedom = searches - 1
    noncentrality = special.nctdtrinc(freedom, 1 - POWER, t_quantile(freedom, 1 - alpha))
    return float(noncentrality) * spread / math.sqrt(searches)


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
    low, high = (math.sqrt(freedom / special.chdtri(freedom, p)) for p in (0.1, 0.9))
    return spread * low, spread * high


def least_slopes(
    capacities: Floats,
    seeds: int,
    spread: float,
    luck: float,
    lines: int,
    together: bool,
    alpha: float,
) -> Floats:
    """For each of some drawn studies, the least true slope on which its verdict falls.

    Args:
        capacities: of the encoders of a line (encoders,).
        seeds: of each line.
        spread: standard deviation of one paired gain over seeds, points.
        luck: standard deviation of a width's gain over searches, points.
        lines: of the study.
        together: whether the mean slope of all lines is judged, or that of one of them.
        alpha: level of the two-sided tests.

    Returns:
        Points per doubling, below zero where luck alone would bring the verdict (studies,).
    """
    rng = np.random.default_rng(0)
    judged = lines if together else 1
    whole, count = contrast(capacities), len(capacities)
    x = np.log2(capacities)
    errors = rng.normal(size=(_DRAWS, lines, count)) * math.hypot(spread / math.sqrt(seeds), luck)
    fitted = errors.mean(axis=2, keepdims=True) + (errors @ whole)[:, :, None] * (x - x.mean())
    freedom = lines * (count - 2)
    scatter = np.sqrt(np.sum((errors - fitted) ** 2, axis=(1, 2)) / freedom)
    noise = spread / math.sqrt(seeds) * np.sqrt(rng.chisquare(seeds - 1, _DRAWS) / (seeds - 1))
    means = errors[:, :judged].mean(axis=1)

    def least(places: list[int], by_seeds: float, by_widths: float) -> Floats:
        weights = contrast(capacities[places])
        length = math.sqrt(float(np.sum(weights**2)) / judged)
        needed = np.maximum(by_seeds * noise, by_widths * scatter) * length
        return np.asarray(needed - means[:, places] @ weights)

    everything = list(range(count))
    both = least(everything, *(t_quantile(free, 1 - alpha) for free in (seeds - 1, freedom)))
    for left_out in everything:
        rest = [place for place in everything if place != left_out]
        both = np.maximum(both, least(rest, STEADY, STEADY))
    return both
