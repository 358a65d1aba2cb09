"""Two other estimates of the pooled trend: a hierarchical bootstrap and a mixed model."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
from statsmodels.regression.mixed_linear_model import MixedLM

from reports.statistics.estimate import Estimate
from reports.statistics.intervals import RESAMPLES, Floats, percentile_interval
from reports.statistics.lines import unit_slopes
from reports.statistics.selection import LINE
from reports.statistics.units import UNIT, by_unit


def hierarchical_bootstrap(lines: list[pd.DataFrame]) -> tuple[float, float]:
    """Percentile interval of the mean slope of the gain: lines and their units are resampled.

    The interval is too narrow with few lines or units (docs/statistics.md), so no verdict uses it.

    Args:
        lines: of `units.by_unit`.

    Returns:
        Points per doubling; NaN where no line has two units.
    """
    slopes = [s for s in map(unit_slopes, lines) if len(s)]
    if not slopes or max(map(len, slopes)) < 2:
        return math.nan, math.nan
    return bootstrap_lines(slopes, np.random.default_rng(0))


def bootstrap_lines(
    slopes: list[Floats], rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """`hierarchical_bootstrap` from the slopes of each line (units,)."""
    k = len(slopes)
    # If a line is drawn twice, each copy resamples its seeds separately.
    means = np.stack(
        [s[rng.integers(len(s), size=(resamples, k, len(s)))].mean(axis=2) for s in slopes], axis=2
    )
    drawn = rng.integers(k, size=(resamples, k))
    totals = np.take_along_axis(means, drawn[:, :, None], axis=2).mean(axis=(1, 2))
    return percentile_interval(totals)


def mixed_model(pairs: pd.DataFrame) -> Estimate:
    """Slope of the gain over log2(capacity) in a linear mixed model, fitted by REML.

    Each line has its own intercept and, with three lines or more, its own slope. Each width of a
    line has a random effect, because its search may have found a better or worse configuration than
    the other widths' searches. The interval is Wald's, with infinite degrees of freedom: too narrow
    in small studies.

    Args:
        pairs: of `units.by_unit`.

    Returns:
        Points per doubling; NaN where there are fewer than three capacities, one unit, no line of
        two encoders, or no solution.
    """
    data = pairs.assign(
        line=pairs[LINE].astype(str).agg("/".join, axis=1),
        doublings=np.log2(pairs["capacity"].astype(float)),
    ).dropna(subset=["gain"])
    data["doublings"] -= data["doublings"].mean()
    longest = data.groupby("line")["capacity"].nunique().max() if len(data) else 0
    if data["capacity"].nunique() < 3 or longest < 2 or data[UNIT].nunique() < 2:
        return Estimate(math.nan, math.nan, 0)
    slopes = data["line"].nunique() >= 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = MixedLM.from_formula(
                "gain ~ doublings",
                data,
                groups="line",
                re_formula="~doublings" if slopes else "1",
                vc_formula={"search": "0 + C(capacity)"},
            )
            fit = model.fit(reml=True, method="lbfgs")
        except (np.linalg.LinAlgError, ValueError):
            return Estimate(math.nan, math.nan, 0)
    return Estimate(float(fit.params["doublings"]), float(fit.bse["doublings"]), math.inf)


def second_opinions(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pooled slope of each arm, once by each of the two methods.

    Columns: ``arm``, ``method``, ``slope`` (points per doubling), ``low`` and ``high`` (95 %).
    """
    rows = []
    for arm, group in by_unit(pairs).groupby("arm", sort=True):
        lines = [line for _, line in group.groupby(LINE, sort=True)]
        slopes = [s.mean() for s in map(unit_slopes, lines) if len(s)]
        mean = float(np.mean(slopes)) if slopes else math.nan
        rows.append((arm, "hierarchical bootstrap", mean, *hierarchical_bootstrap(lines)))
        mixed = mixed_model(group)
        rows.append((arm, "mixed model", mixed.value, *mixed.interval()))
    return pd.DataFrame(rows, columns=["arm", "method", "slope", "low", "high"])
