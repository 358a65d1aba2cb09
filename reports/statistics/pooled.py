"""All lines of an arm as one answer: the slope over these lines, and over data sets like these."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reports.statistics import power
from reports.statistics.estimate import Estimate
from reports.statistics.intervals import ALPHA
from reports.statistics.lines import Line, contrast, lines_of
from reports.statistics.selection import LINE
from reports.statistics.shape import shape_of
from reports.statistics.slope import deciding_width, pooled_scatter, slope_of
from reports.statistics.verdict import judged


def pooled_trend(pairs: pd.DataFrame, value: str = "gain", brief: bool = False) -> pd.DataFrame:
    """One row for each arm: the mean slope of its lines, each counted once.

    Two questions are kept apart. *On these data sets*: the columns of `trend.trend_table`, for the
    mean of all lines; ``p_holm`` and the verdict are adjusted over the arms. *On data sets like
    these* (random effects): ``like_slope``, ``like_low``, ``like_high`` and ``like_p``, Student's t
    over the data sets' mean slopes, which needs two data sets at least.

    Args:
        pairs: one row for each pair, from `gain.pairs`.
        value: ``gain`` (points) or ``logit_gain`` (log odds).
        brief: leave out what takes time and decides no verdict: the shape, ``seeds_needed`` and
            ``widths_needed``.

    Returns:
        Beside the columns named above: ``lines``, ``datasets``, and ``smallest`` and ``largest``,
        the gain at each line's smallest and largest encoder, mean over lines.
    """
    groups = {}
    for arm, group in pairs.groupby("arm", sort=True):
        lines = lines_of([frame for _, frame in group.groupby(LINE, sort=True)], value)
        lines = [line for line in lines if len(line.sizes) >= 2]
        if lines:
            groups[arm] = lines
    rows = [{"arm": arm} | _pool(lines, brief) for arm, lines in groups.items()]
    table = judged(pd.DataFrame(rows, columns=["arm", *_columns(brief)]))
    if brief:
        return table
    tests = max(1, int(table["p"].count()))
    needed = [_needed(row, groups[row["arm"]], tests) for row in table.to_dict("records")]
    return table.assign(
        seeds_needed=[seeds for seeds, _ in needed], widths_needed=[widths for _, widths in needed]
    )


TREND = [
    "widths", "seeds", "lost", "slope", "low", "high", "seeds_low", "seeds_high", "p_seeds",
    "widths_low", "widths_high", "p_widths", "p", "deciding_width", "deciding_slope",
]  # fmt: skip
SHAPE = ["fall", "fall_low", "fall_high", "p_straight", "shape", "turn"]
_POOLED = ["like_slope", "like_low", "like_high", "like_p"]


def _columns(brief: bool) -> list[str]:
    shape = [] if brief else SHAPE
    return ["lines", "datasets", "smallest", "largest", *TREND, *shape, *_POOLED]


def trend_columns(
    lines: Sequence[Line], all_lines: Sequence[Line], brief: bool
) -> dict[str, object]:
    """The columns that a line's trend and the mean trend of all lines share.

    Args:
        lines: whose mean slope is judged.
        all_lines: of the arm, over which the scatter of widths is pooled.
        brief: leave out the shape.
    """
    if all(len(line.sizes) < 2 for line in lines):
        return {"widths": 1, "seeds": len(lines[0].scores), "lost": 0, "shape": ""}
    scatter = pooled_scatter(all_lines)
    slope = slope_of(lines, scatter)
    width, rest = deciding_width(lines, scatter, slope)
    return {
        "widths": max(len(line.sizes) for line in lines),
        "seeds": max(line.seeds for line in lines),
        "lost": sum(line.lost for line in lines),
        **slope.columns(),
        "deciding_width": width,
        "deciding_slope": rest,
        **({} if brief else shape_of(lines).columns()),
    }


def _pool(lines: list[Line], brief: bool) -> dict[str, object]:
    like = over_datasets(lines)
    like_low, like_high = like.interval()
    return {
        "lines": len(lines),
        "datasets": len({line.dataset for line in lines}),
        "smallest": float(np.mean([line.means[0] for line in lines])),
        "largest": float(np.mean([line.means[-1] for line in lines])),
        **trend_columns(lines, lines, brief),
        "like_slope": like.value,
        "like_low": like_low,
        "like_high": like_high,
        "like_p": like.p(),
    }


def over_datasets(lines: Sequence[Line]) -> Estimate:
    """Mean slope over data sets, its error from how they differ: it speaks of others like them.

    Equal weights: with few seeds the variance of each slope is known too badly to weigh by it.
    """
    slopes: dict[str, list[float]] = {}
    for line in lines:
        slopes.setdefault(line.dataset, []).append(float(contrast(line.sizes) @ line.means))
    means = np.array([np.mean(values) for values in slopes.values()])
    error = float(np.std(means, ddof=1)) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    return Estimate(float(means.mean()), error, len(means) - 1)


def _needed(row: dict[Hashable, Any], lines: list[Line], tests: int) -> tuple[float, float]:
    longest = max(lines, key=lambda line: len(line.sizes))
    return power.needed(row, longest.sizes, pooled_scatter(lines), len(lines), True, ALPHA / tests)
