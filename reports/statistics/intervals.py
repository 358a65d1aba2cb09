"""Intervals and tests for the mean of a few paired differences."""

from __future__ import annotations

import math
import warnings

import numpy as np
import scipy  # loads `stats`, which takes a second, where it is first used
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

ALPHA = 0.05
"""Level of every test, two-sided."""
LEVEL = 1 - ALPHA
"""Level of every interval, so that the interval and the test of one estimate agree."""
ROUNDING = 1e-9
"""Values that differ by less than this count as equal: the difference is rounding."""
SMALLEST_BOOTSTRAP = 10
"""With fewer values there is no bootstrap interval: it would cover too rarely (docs/statistics.md).

A resample's mean never leaves the range of the values. With three values that range holds the true
mean in only 75 % of samples; with six, the expanded BCa interval holds it in only 92 %."""
RESAMPLES = 9999
"""Draws of a bootstrap or of a random test."""
EXACT_SIGN_FLIPS = 13
"""Up to this number of values the sign-flip test tries all signs; 2^14 would be more than the draws
of a random test."""


def t_quantile(freedom: float, level: float = LEVEL) -> float:
    """Half the width of Student's two-sided interval, in standard errors."""
    return float(special.stdtrit(freedom, 0.5 + level / 2))


def t_interval(values: Floats) -> tuple[float, float]:
    """Student's 95 % interval for the mean of ``values`` (n,).

    NaN if there are fewer than two values or all are equal: an interval of width zero would claim
    that the mean is known exactly.
    """
    n = len(values)
    if n < 2 or np.ptp(values) < ROUNDING:
        return math.nan, math.nan
    half = t_quantile(n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    mean = float(np.mean(values))
    return mean - half, mean + half


def percentile_interval(draws: Floats) -> tuple[float, float]:
    """The middle 95 % of the draws of a bootstrap (draws,)."""
    low, high = np.quantile(draws, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def expanded_level(n: int) -> float:
    """The level at which a percentile interval of n values is as wide as Student's at `LEVEL`.

    The spread of resamples is too small by sqrt((n-1)/n) and normal instead of t-distributed. The
    tails alpha/2 therefore become Phi(-sqrt(n/(n-1)) t_(1-alpha/2, n-1)).

    Source: Hesterberg 2015, "What Teachers Should Know About the Bootstrap", section 5.3.
    """
    return 1 - 2 * float(special.ndtr(-math.sqrt(n / (n - 1)) * t_quantile(n - 1)))


def bca_interval(values: Floats, resamples: int = RESAMPLES) -> tuple[float, float]:
    """BCa bootstrap interval for the mean of ``values`` (n,), at `expanded_level`.

    NaN if the values are equal or fewer than `SMALLEST_BOOTSTRAP`. Source: Efron 1987; scipy's
    implementation, with a fixed seed so that a report repeats exactly.
    """
    n = len(values)
    if n < SMALLEST_BOOTSTRAP or np.ptp(values) < ROUNDING:
        return math.nan, math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        result = scipy.stats.bootstrap(
            (values,),
            np.mean,
            confidence_level=expanded_level(n),
            n_resamples=resamples,
            method="BCa",
            rng=np.random.default_rng(0),
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def sign_flip_p(values: Floats) -> float:
    """Two-sided p-value of the hypothesis that the mean of ``values`` (n,) is zero.

    All 2^n sign flips are tried up to n = `EXACT_SIGN_FLIPS`, random ones above. The test is exact
    if the values are symmetric about zero. NaN below two values.
    """
    n = len(values)
    if n < 2:
        return math.nan
    result = scipy.stats.permutation_test(
        (values,),
        np.mean,
        vectorized=True,
        permutation_type="samples",
        n_resamples=np.inf if n <= EXACT_SIGN_FLIPS else RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def smallest_sign_flip_p(n: int) -> float:
    """The smallest p-value that `sign_flip_p` can give for n pairs."""
    return 2.0 / 2**n
