"""Trend: how the gain changes with capacity, in points per doubling of the parameters.

Two sources of error are kept apart. A seed's slope varies with the noise of training; Student's t
over the slopes of the seeds sees that and nothing else. But each width was searched once, and the
luck of that search is shared by all its seeds: it shows as widths that scatter about the line by
more than the seeds explain. So the interval of a line is the wider of two, over seeds and over
widths, and its p-value the larger of two. Two widths have no scatter about a line, so they give an
interval over seeds, but no p-value and no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from reports.statistics import power
from reports.statistics.intervals import LEVEL, ROUNDING, Floats
from reports.statistics.power import ALPHA
from reports.statistics.selection import LINE

LINE_ARM = [*LINE, "arm"]
SUPPORTS, CONTRADICTS, CANNOT_TELL = VERDICTS = ("supports", "contradicts", "cannot tell")
"""Verdicts on the paper's claim that smaller encoders gain more, that is, a slope below zero."""


@dataclass(frozen=True)
class Estimate:
    """An estimate with its standard error and degrees of freedom; NaN and 0 where there is none.

    An error of zero is none either: equal values say nothing of their spread.
    """

    value: float
    error: float
    freedom: float

    @property
    def has_error(self) -> bool:
        """Whether there is an error to judge the value by."""
        return self.freedom > 0 and self.error > ROUNDING

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Student's interval."""
        if not self.has_error:
            return math.nan, math.nan
        half = float(stats.t.ppf(0.5 + level / 2, self.freedom)) * self.error
        return self.value - half, self.value + half

    def p_below(self) -> float:
        """One-sided p-value of the claim that the value is below zero."""
        if not self.has_error:
            return math.nan
        return float(stats.t.cdf(self.value / self.error, self.freedom))


def seed_slopes(line: pd.DataFrame, value: str = "gain") -> Floats:
    """Least-squares slope of ``value`` over log2(parameters) for each seed seen at every width.

    Returns:
        Points per doubling, one for each such seed; empty below two widths.
    """
    sizes, scores = by_seed(line, value)
    complete = scores[~np.isnan(scores).any(axis=1)]
    return complete @ _contrast(sizes) if len(sizes) >= 2 else np.empty(0)


def by_seed(line: pd.DataFrame, value: str) -> tuple[Floats, Floats]:
    """The line's sizes, ascending, and ``value`` as an array (seeds, sizes), NaN where missing."""
    seeds, row = np.unique(line["seed"], return_inverse=True)
    sizes, column = np.unique(line["parameters"].to_numpy(float), return_inverse=True)
    scores = np.full((len(seeds), len(sizes)), np.nan)
    scores[row, column] = line[value]
    return sizes, scores


def _contrast(parameters: Floats) -> Floats:
    """Weights whose dot product with values at these sizes is their least-squares slope."""
    x = np.log2(parameters)
    centred = x - x.mean()
    return centred / np.sum(centred**2)


def over_seeds(line: pd.DataFrame, value: str = "gain") -> Estimate:
    """The slope of one line, its error from the spread of the seeds' slopes."""
    slopes = seed_slopes(line, value)
    n = len(slopes)
    if n == 0:
        return Estimate(math.nan, math.nan, 0)
    error = float(np.std(slopes, ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return Estimate(float(slopes.mean()), error, n - 1)


@dataclass(frozen=True)
class Scatter:
    """Residuals of the widths' means about the lines: their mean square and degrees of freedom."""

    variance: float
    freedom: int


def pooled_scatter(lines: list[pd.DataFrame], value: str = "gain") -> Scatter:
    """Scatter of the widths' mean gains about a line each, pooled over the lines of an arm."""
    squares, freedom = 0.0, 0
    for line in lines:
        sizes, scores = by_seed(line, value)
        if len(sizes) < 3:
            continue
        means, x = np.nanmean(scores, axis=0), np.log2(sizes)
        fitted = means.mean() + (_contrast(sizes) @ means) * (x - x.mean())
        squares += float(np.sum((means - fitted) ** 2))
        freedom += len(sizes) - 2
    return Scatter(squares / freedom if freedom else math.nan, freedom)


def over_widths(line: pd.DataFrame, scatter: Scatter, value: str = "gain") -> Estimate:
    """The slope of one line, its error from how widths scatter about the lines of the same arm."""
    sizes, scores = by_seed(line, value)
    if len(sizes) < 2:
        return Estimate(math.nan, math.nan, 0)
    contrast = _contrast(sizes)
    error = math.sqrt(scatter.variance * float(np.sum(contrast**2)))
    return Estimate(float(contrast @ np.nanmean(scores, axis=0)), error, scatter.freedom)


def trend_table(pairs: pd.DataFrame, value: str = "gain", brief: bool = False) -> pd.DataFrame:
    """The trend of every (dataset, method, encoder, arm), from the result of `gain.pairs`.

    Args:
        pairs: one row for each pair.
        value: ``gain`` (points) or ``logit_gain`` (log odds, free of the ceiling at 100 %).
        brief: leave out what takes time and no verdict rests on: ``p_monotone``, ``seeds_needed``
            and ``widths_needed`` are then NaN.

    Returns:
        Columns beside the line's: ``widths``, ``seeds`` (that have every width), ``slope`` (per
        doubling of the parameters), ``low`` and ``high`` (the wider of the two 95 % intervals),
        ``seeds_low``, ``seeds_high``, ``p_seeds``, ``widths_low``, ``widths_high``, ``p_widths``
        (one-sided p-values of a slope below zero), ``p`` (the larger; NaN with two widths),
        ``p_holm`` (over all lines), ``p_rising`` and ``p_rising_holm`` (of a slope above zero),
        ``p_monotone`` (Page's test, one-sided, of gains that fall with capacity), ``verdict``, and
        where that cannot tell ``seeds_needed`` and ``widths_needed``: for 80 % power at the slope
        found, NaN where seeds or widths are not what is missing, infinite above a thousand.
    """
    groups = dict(list(pairs.groupby(LINE_ARM, sort=True)))
    scatters = {
        arm: pooled_scatter([line for key, line in groups.items() if key[-1] == arm], value)
        for arm in {key[-1] for key in groups}
    }
    rows = [_trend_row(key, line, scatters[key[-1]], value, brief) for key, line in groups.items()]
    table = judged(pd.DataFrame(rows, columns=[*LINE_ARM, *_TREND]))
    if brief:
        return table.assign(seeds_needed=math.nan, widths_needed=math.nan)
    level = ALPHA / max(1, table["p"].count())  # Holm's first step
    needed = [
        _needed(
            row, groups[tuple(row[name] for name in LINE_ARM)], scatters[row["arm"]], value, level
        )
        for row in table.to_dict("records")
    ]
    return table.assign(
        seeds_needed=[seeds for seeds, _ in needed], widths_needed=[widths for _, widths in needed]
    )


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` with ``p`` and ``p_rising`` adjusted by Holm over its rows, and the verdicts."""
    table = table.copy()
    table["p_holm"] = holm(table["p"])
    table["p_rising_holm"] = holm(table["p_rising"])
    table["verdict"] = [
        verdict(falling, rising)
        for falling, rising in zip(table["p_holm"], table["p_rising_holm"], strict=True)
    ]
    return table


_TREND = [
    "widths", "seeds", "slope", "low", "high", "seeds_low", "seeds_high", "p_seeds",
    "widths_low", "widths_high", "p_widths", "p", "p_rising", "p_monotone",
]  # fmt: skip


def _trend_row(
    key: tuple[Hashable, ...], line: pd.DataFrame, scatter: Scatter, value: str, brief: bool
) -> dict[str, Any]:
    seeds, widths = over_seeds(line, value), over_widths(line, scatter, value)
    slope = seeds.value if math.isfinite(seeds.value) else widths.value
    seeds_low, seeds_high = seeds.interval()
    widths_low, widths_high = widths.interval()
    p_seeds, p_widths = seeds.p_below(), widths.p_below()
    return dict(zip(LINE_ARM, key, strict=True)) | {
        "widths": line["parameters"].nunique(),
        "seeds": len(seed_slopes(line, value)),
        "slope": slope,
        "low": extreme(min, seeds_low, widths_low),
        "high": extreme(max, seeds_high, widths_high),
        "seeds_low": seeds_low,
        "seeds_high": seeds_high,
        "p_seeds": p_seeds,
        "widths_low": widths_low,
        "widths_high": widths_high,
        "p_widths": p_widths,
        "p": larger_p(p_seeds, p_widths),
        "p_rising": larger_p(1 - p_seeds, 1 - p_widths),
        "p_monotone": math.nan if brief else monotone_p(line, value),
    }


def _needed(
    row: dict[Hashable, Any], line: pd.DataFrame, scatter: Scatter, value: str, level: float
) -> tuple[float, float]:
    """``seeds_needed`` and ``widths_needed`` of one row of `trend_table`."""
    if row["verdict"] != CANNOT_TELL or not math.isfinite(row["p"]):
        return math.nan, math.nan
    seeds, sizes = over_seeds(line, value), by_seed(line, value)[0]
    return what_it_takes(
        row["slope"],
        seeds.error * math.sqrt(seeds.freedom + 1) if seeds.has_error else math.nan,
        scatter,
        sizes,
        (min(row["p_seeds"], 1 - row["p_seeds"]), min(row["p_widths"], 1 - row["p_widths"])),
        level,
        together=False,
    )


def what_it_takes(
    slope: float,
    spread: float,
    scatter: Scatter,
    sizes: Floats,
    p_values: tuple[float, float],
    alpha: float,
    lines: int = 1,
    together: bool = True,
) -> tuple[float, float]:
    """Seeds and widths that a verdict would take; NaN where they are not what is missing.

    Args:
        slope: that was found, points per doubling.
        spread: standard deviation of one seed's slope on one line, NaN where it is unknown.
        scatter: of the widths about the lines.
        sizes: parameters of the encoders of a line.
        p_values: one-sided, over seeds and over widths, of the sign that was found.
        alpha: level of the tests.
        lines: whose mean slope is judged.
        together: whether the mean slope of all lines is judged, or that of one of them.
    """
    seeds = widths = math.nan
    if p_values[0] >= alpha and spread > 0 and scatter.freedom:
        seeds = power.seeds_needed(slope, spread, lines, scatter.freedom, alpha)
    if p_values[1] >= alpha and scatter.variance > 0:
        x = np.log2(sizes)
        pooled = round(scatter.freedom / max(1, len(x) - 2))
        widths = power.widths_needed(
            slope, math.sqrt(scatter.variance), float(np.ptp(x)), len(x), pooled, together, alpha
        )
    return seeds, widths


def larger_p(p_seeds: float, p_widths: float) -> float:
    """The larger p-value; NaN without scatter of widths, since seeds cannot see a search's luck."""
    return extreme(max, p_seeds, p_widths) if math.isfinite(p_widths) else math.nan


def extreme(choose: Callable[[list[float]], float], *values: float) -> float:
    """The extreme of the values that exist; a line of two widths has no scatter about it."""
    finite = [value for value in values if math.isfinite(value)]
    return choose(finite) if finite else math.nan


def holm(p_values: pd.Series) -> pd.Series:
    """Holm's step-down adjustment over the p-values that exist; NaN stays NaN."""
    known = p_values.notna()
    adjusted = pd.Series(math.nan, index=p_values.index)
    if known.any():
        adjusted[known] = multipletests(p_values[known].astype(float), method="holm")[1]
    return adjusted


def verdict(p_falling: float, p_rising: float) -> str:
    """One of `VERDICTS`, from the two one-sided p-values."""
    if p_falling < ALPHA:
        return SUPPORTS
    if p_rising < ALPHA:
        return CONTRADICTS
    return CANNOT_TELL


def monotone_p(line: pd.DataFrame, value: str = "gain") -> float:
    """Page's one-sided test that ``value`` falls with capacity: ranks within seeds, no line.

    NaN below three widths or two seeds. It sees seeds only, not the luck of each width's search.
    """
    wide = line.pivot(index="seed", columns="parameters", values=value).dropna()
    if wide.shape[0] < 2 or wide.shape[1] < 3:
        return math.nan
    falling = wide.to_numpy(float)[:, ::-1]
    return float(stats.page_trend_test(falling, ranked=False).pvalue)
