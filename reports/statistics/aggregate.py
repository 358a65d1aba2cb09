"""Many lines as one answer: the slope over these lines, and over data sets like these."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from reports.statistics import trend
from reports.statistics.power import ALPHA
from reports.statistics.selection import LINE
from reports.statistics.trend import Estimate, Scatter, over_seeds, over_widths


def pooled_trend(pairs: pd.DataFrame, value: str = "gain", brief: bool = False) -> pd.DataFrame:
    """One row for each arm: the mean slope of its lines, each counted once.

    Two questions are kept apart. *On these data sets*: ``slope`` with ``low``, ``high``, ``p`` and
    ``verdict``, whose errors are the seeds' (Welch-Satterthwaite) and the widths', the wider of
    both. *On data sets like these* (random effects): ``like_low``, ``like_high``, ``like_p``,
    Student's t over the data sets' mean slopes, which needs two data sets at the least.
    ``p_holm`` and the verdict are adjusted over the arms. ``smallest`` and ``largest``: gain at
    each line's smallest and largest encoder, mean over lines, points. ``seeds_needed`` and
    ``widths_needed``: as in `trend.trend_table`, NaN where ``brief``.
    """
    groups = {}
    for arm, group in pairs.groupby("arm", sort=True):
        lines = [line for _, line in group.groupby(LINE, sort=True)]
        lines = [line for line in lines if line["parameters"].nunique() >= 2]
        if lines:
            groups[arm] = lines
    rows = [{"arm": arm} | _pool(lines, value) for arm, lines in groups.items()]
    table = trend.judged(pd.DataFrame(rows, columns=["arm", *_POOLED]))
    if brief:
        return table.assign(seeds_needed=math.nan, widths_needed=math.nan)
    level = ALPHA / max(1, table["p"].count())
    needed = [_needed(row, groups[row["arm"]], value, level) for row in table.to_dict("records")]
    return table.assign(
        seeds_needed=[seeds for seeds, _ in needed], widths_needed=[widths for _, widths in needed]
    )


_POOLED = [
    "lines", "datasets", "widths", "seeds", "smallest", "largest",
    "slope", "low", "high", "seeds_low", "seeds_high", "widths_low", "widths_high",
    "p_seeds", "p_widths", "p", "p_rising",
    "like_slope", "like_low", "like_high", "like_p",
]  # fmt: skip


def _pool(lines: list[pd.DataFrame], value: str) -> dict[str, object]:
    scatter = trend.pooled_scatter(lines, value)
    by_seeds = mean_of([over_seeds(line, value) for line in lines])
    widths = [over_widths(line, scatter, value) for line in lines]
    # One shared variance, so the degrees of freedom are the scatter's own.
    by_widths = Estimate(
        float(np.mean([e.value for e in widths])),
        math.sqrt(sum(e.error**2 for e in widths)) / len(widths),
        scatter.freedom,
    )
    slope = by_seeds.value if math.isfinite(by_seeds.value) else by_widths.value
    seeds_low, seeds_high = by_seeds.interval()
    widths_low, widths_high = by_widths.interval()
    p_seeds, p_widths = by_seeds.p_below(), by_widths.p_below()
    like = over_datasets(lines, value)
    like_low, like_high = like.interval()
    return {
        "lines": len(lines),
        "datasets": len({line["dataset"].iloc[0] for line in lines}),
        "widths": max(line["parameters"].nunique() for line in lines),
        "seeds": min(len(trend.seed_slopes(line, value)) for line in lines),
        "smallest": float(np.mean([_mean_at(line, value, min) for line in lines])),
        "largest": float(np.mean([_mean_at(line, value, max) for line in lines])),
        "slope": slope,
        "low": trend.extreme(min, seeds_low, widths_low),
        "high": trend.extreme(max, seeds_high, widths_high),
        "seeds_low": seeds_low,
        "seeds_high": seeds_high,
        "widths_low": widths_low,
        "widths_high": widths_high,
        "p_seeds": p_seeds,
        "p_widths": p_widths,
        "p": trend.larger_p(p_seeds, p_widths),
        "p_rising": trend.larger_p(1 - p_seeds, 1 - p_widths),
        "like_slope": like.value,
        "like_low": like_low,
        "like_high": like_high,
        "like_p": like.p_below(),
    }


def _mean_at(line: pd.DataFrame, value: str, choose: Callable[[pd.Series], float]) -> float:
    """Mean of ``value`` at the line's smallest or largest encoder."""
    return float(line.loc[line["parameters"] == choose(line["parameters"]), value].mean())


def _needed(
    row: dict[Hashable, Any], lines: list[pd.DataFrame], value: str, level: float
) -> tuple[float, float]:
    """``seeds_needed`` and ``widths_needed`` of one row of `pooled_trend`."""
    if row["verdict"] != trend.CANNOT_TELL or not math.isfinite(row["p"]):
        return math.nan, math.nan
    estimates = [over_seeds(line, value) for line in lines]
    spreads = [e.error**2 * (e.freedom + 1) for e in estimates if e.has_error]
    return trend.what_it_takes(
        row["slope"],
        math.sqrt(np.mean(spreads)) if spreads else math.nan,
        trend.pooled_scatter(lines, value),
        max((trend.by_seed(line, value)[0] for line in lines), key=len),
        (min(row["p_seeds"], 1 - row["p_seeds"]), min(row["p_widths"], 1 - row["p_widths"])),
        level,
        lines=len(lines),
    )


def mean_of(estimates: list[Estimate]) -> Estimate:
    """Mean of independent estimates, with Welch and Satterthwaite's degrees of freedom."""
    k = len(estimates)
    value = float(np.mean([e.value for e in estimates]))
    if any(not e.freedom > 0 for e in estimates):
        return Estimate(value, math.nan, 0)
    variances = np.array([e.error**2 for e in estimates]) / k**2
    total = float(variances.sum())
    freedoms = np.array([e.freedom for e in estimates])
    freedom = total**2 / float(np.sum(variances**2 / freedoms)) if total > 0 else freedoms.sum()
    return Estimate(value, math.sqrt(total), float(freedom))


def over_datasets(lines: list[pd.DataFrame], value: str = "gain") -> Estimate:
    """Mean slope over data sets, its error from how they differ: it speaks of others like them.

    Equal weights: with few seeds the variance of each slope is known too badly to weigh by it.
    """
    slopes: dict[str, list[float]] = {}
    for line in lines:
        by_seeds = over_seeds(line, value).value
        slope = (
            by_seeds if math.isfinite(by_seeds) else over_widths(line, Scatter(0, 0), value).value
        )
        if math.isfinite(slope):
            slopes.setdefault(str(line["dataset"].iloc[0]), []).append(slope)
    means = np.array([np.mean(values) for values in slopes.values()])
    if len(means) == 0:
        return Estimate(math.nan, math.nan, 0)
    error = float(np.std(means, ddof=1)) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    return Estimate(float(means.mean()), error, len(means) - 1)


def aggregates(pairs: pd.DataFrame, resamples: int = 2000) -> pd.DataFrame:
    """Interquartile mean of the gain and probability of improvement, for each method and arm.

    After Agarwal et al. 2021 ("Deep RL at the Edge of the Statistical Precipice"): the mean of the
    middle half of all gains, and the chance that a run with the arm beats a run without, averaged
    over problems (dataset, method, encoder, width), ties counted half. Intervals are percentiles of
    a bootstrap that resamples pairs within each problem.

    Returns:
        Columns ``method``, ``arm``, ``problems``, ``pairs``, ``iqm`` (points), ``iqm_low``,
        ``iqm_high``, ``improvement`` (0 to 1), ``improvement_low`` and ``improvement_high``.
    """
    rows = []
    for (method, arm), group in pairs.groupby(["method", "arm"], sort=True):
        problems = [p for _, p in group.groupby([*LINE, "width"], sort=True)]
        rng = np.random.default_rng(0)
        gains, wins = [], []
        for problem in problems:
            with_arm = problem["accuracy"].to_numpy(float)
            without = problem["baseline"].to_numpy(float)
            n = len(problem)
            # The first row is the sample itself.
            drawn = np.vstack([np.arange(n), rng.integers(n, size=(resamples, n))])
            gains.append((with_arm - without)[drawn])
            better = with_arm[:, None] > without[None, :]
            score = better + 0.5 * (with_arm[:, None] == without[None, :])
            wins.append(score[drawn[:, :, None], drawn[:, None, :]].mean(axis=(1, 2)))
        iqm = stats.trim_mean(np.concatenate(gains, axis=1), 0.25, axis=1)
        improvement = np.mean(wins, axis=0)
        row = {"method": method, "arm": arm, "problems": len(problems), "pairs": len(group)}
        for name, values in (("iqm", iqm), ("improvement", improvement)):
            low, high = np.quantile(values[1:], [0.025, 0.975])
            row |= {name: float(values[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
        rows.append(row)
    return pd.DataFrame(rows, columns=_AGGREGATES)


_AGGREGATES = [
    "method", "arm", "problems", "pairs", "iqm", "iqm_low", "iqm_high",
    "improvement", "improvement_low", "improvement_high",
]  # fmt: skip
