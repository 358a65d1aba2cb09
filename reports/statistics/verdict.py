"""The verdict on the paper's claim that smaller encoders gain more: a slope below zero.

A verdict falls where the printed two-sided interval excludes zero. One level holds for everything:
5 % for all rows of a table together (Holm) and for all planned looks together (`looks`). The
interval of a row has the level that the row's test has after both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.statistics.intervals import ALPHA
from reports.statistics.looks import ONE_LOOK, Level
from reports.statistics.shape import Shape
from reports.statistics.slope import Slope

VERDICTS = ("supports", "contradicts", "cannot tell", "not yet")
SUPPORTS, CONTRADICTS, CANNOT_TELL, NOT_YET = VERDICTS


@dataclass(frozen=True)
class Trend:
    """The trend of one line, or the mean trend of several, before it is judged."""

    slope: Slope | None
    """None where there is one width."""
    deciding_width: str = ""
    """With ``deciding_slope`` the result of `slope.deciding_encoder`."""
    deciding_slope: float = math.nan
    shape: Shape | None = None
    """None where it was not asked for."""


def judge(trends: Sequence[Trend], look: Level = ONE_LOOK) -> list[dict[str, object]]:
    """The columns of each trend's slope, shape and verdict, for a table of trends.

    Args:
        trends: the rows of one table, over which Holm's correction goes.
        look: the level of the look that is taken. Where none is due, the verdict is `NOT_YET`, and
            intervals and p-values only describe what is there.
    """
    p_values = pd.Series([look.adjusted(t.slope.p) if t.slope else math.nan for t in trends])
    adjusted = holm(p_values)
    rows = []
    for trend, p, tests in zip(trends, adjusted, steps(p_values), strict=True):
        level = 1 - look.nominal(ALPHA / tests)
        slope = trend.slope.value if trend.slope else math.nan
        rows.append(
            {
                **(trend.slope.columns(level) if trend.slope else {}),
                "deciding_width": trend.deciding_width,
                "deciding_slope": trend.deciding_slope,
                **(trend.shape.columns(level) if trend.shape else {}),
                "tests": tests,
                "p_holm": p,
                "verdict": verdict(slope, p, trend.deciding_width) if look.due else NOT_YET,
            }
        )
    return rows


def verdict(slope: float, p: float, deciding_width: str) -> str:
    """The verdict of a look that is due.

    Args:
        slope: points per doubling.
        p: two-sided, adjusted for looks and by Holm: below `ALPHA` exactly where the interval
            excludes zero.
        deciding_width: of `slope.deciding_encoder`; a slope that one width decides has no verdict.
    """
    if not p < ALPHA or deciding_width:
        return CANNOT_TELL
    return SUPPORTS if slope < 0 else CONTRADICTS


def holm(p_values: pd.Series) -> pd.Series:
    """Holm's step-down adjustment over the p-values that exist; NaN stays NaN.

    Holm, S. (1979). A simple sequentially rejective multiple test procedure. Not statsmodels': it
    collects the process's garbage at each call, which takes up to half a second.
    """
    ordered = p_values.astype(float).dropna().sort_values()
    scaled = ordered * np.arange(len(ordered), 0, -1)
    return scaled.cummax().clip(upper=1.0).reindex(p_values.index)


def steps(p_values: pd.Series) -> list[int]:
    """The divisor of the level at the step of Holm's procedure that decides on each p-value.

    The p-values are tested in ascending order, at `ALPHA` over the number of those that are left.
    The first that is not significant decides on all that follow.
    """
    values = p_values.to_numpy(float)
    left = int(np.isfinite(values).sum())
    found = np.ones(len(values), int)
    for place in np.argsort(values)[:left]:  # NaN comes last
        found[place] = left
        if values[place] * left < ALPHA:
            left -= 1
    return found.tolist()
