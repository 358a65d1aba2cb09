"""Power of the report's own verdict, before a study runs and after it could not tell.

A verdict needs two tests to agree, over seeds and over widths (`trend`). Without luck in the
searches their two errors and the slope are independent, so the power is a mean over draws of the
errors alone, and smooth in the slope.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import optimize, stats

from reports.statistics.intervals import Floats

POWER = 0.8
ALPHA = 0.05
FEWEST_WIDTHS = 3
"""Two widths always lie on a line: they leave nothing to see the luck of a search by."""
MOST_NEEDED = 1000
_DRAWS = 4000


def detectable_slope(
    parameters: Sequence[int],
    seeds: int,
    spread: float,
    lines: int = 1,
    together: bool = True,
    tests: int = 1,
    luck: float = 0.0,
) -> float:
    """The smallest slope on which a report's verdict falls with 80 % power.

    Args:
        parameters: sizes of the encoders of one line.
        seeds: confirm seeds.
        spread: standard deviation of one paired gain over seeds, points.
        lines: of the study: data sets times methods times encoders.
        together: whether the mean slope of all lines is judged, or that of one of them.
        tests: size of the family that Holm's correction is over; the first step is assumed, as if
            no other test of it were significant.
        luck: standard deviation of a width's gain over searches, points.

    Returns:
        Points per doubling of the parameters, above zero. NaN below three widths or two seeds, for
        which no verdict falls.
    """
    x = np.log2(np.asarray(sorted(set(parameters)), dtype=float))
    if len(x) < FEWEST_WIDTHS or seeds < 2:
        return math.nan
    variance = spread**2 / seeds + luck**2
    judged = lines if together else 1
    share = math.sqrt(spread**2 / seeds / variance)
    freedom = lines * (len(x) - 2)
    limits = critical_values(seeds, judged, freedom, ALPHA / tests, share)
    effect = optimize.brentq(lambda e: power(e, limits) - POWER, 0.0, 1e4)
    return float(effect) * math.sqrt(variance / judged / squares(x))


def squares(x: Floats) -> float:
    """Sum of squares about the mean."""
    return float(np.sum((x - x.mean()) ** 2))


def power(effect: float, limits: Floats) -> float:
    """Chance of a verdict at a true slope of so many standard errors, given `critical_values`."""
    return float(np.mean(stats.norm.cdf(effect - limits)))


def critical_values(
    seeds: int, lines: int, scatter_freedom: int, alpha: float, share: float = 1.0
) -> Floats:
    """What a slope must exceed in both tests, in true standard errors: one value for each draw.

    Args:
        seeds: of each line.
        lines: whose mean slope is judged.
        scatter_freedom: degrees of freedom of the widths' scatter about the lines.
        alpha: level of the one-sided tests.
        share: standard error that the seeds see over the one that there is; 1 without luck.
    """
    rng = np.random.default_rng(0)
    freedom = seeds - 1
    seen = rng.chisquare(freedom, (_DRAWS, lines)) / freedom
    # Welch and Satterthwaite's degrees of freedom of the mean, as `aggregate.mean_of` has them.
    welch = seen.sum(axis=1) ** 2 / (np.sum(seen**2, axis=1) / freedom)
    over_seeds = stats.t.isf(alpha, welch) * np.sqrt(seen.mean(axis=1)) * share
    scatter = rng.chisquare(scatter_freedom, _DRAWS) / scatter_freedom
    over_widths = stats.t.isf(alpha, scatter_freedom) * np.sqrt(scatter)
    return np.asarray(np.maximum(over_seeds, over_widths))


def seeds_needed(
    slope: float, spread: float, lines: int, scatter_freedom: int, alpha: float
) -> float:
    """Seeds that would show a slope, were it the true one and no search lucky, with 80 % power.

    Args:
        slope: points per doubling, either sign.
        spread: standard deviation of one seed's slope on one line, same unit.
        lines: whose mean slope is judged.
        scatter_freedom: degrees of freedom of the widths' scatter about the lines.
        alpha: level of the one-sided tests.

    Returns:
        A whole number; infinity above `MOST_NEEDED`.
    """

    def enough(seeds: int) -> bool:
        effect = abs(slope) * math.sqrt(seeds * lines) / spread
        return power(effect, critical_values(seeds, lines, scatter_freedom, alpha)) >= POWER

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
        alpha: level of the one-sided test.

    Returns:
        A whole number; infinity above `MOST_NEEDED`.
    """

    def enough(count: int) -> bool:
        freedom = lines * (count - 2)
        error = scatter / math.sqrt(squares(np.linspace(0, span, count)))
        error /= math.sqrt(lines if together else 1)
        limit = stats.t.isf(alpha, freedom)
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
