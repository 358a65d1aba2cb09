"""All lines of an arm as one answer: the slope over these lines, and over data sets like these."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reports.statistics.capacity import encoders_on, kind_of
from reports.statistics.estimate import Estimate
from reports.statistics.intervals import ALPHA
from reports.statistics.lines import Line, contrast, lines_of
from reports.statistics.looks import ONE_LOOK, Level
from reports.statistics.new_study import searches_needed, seeds_and_widths_needed
from reports.statistics.selection import LINE
from reports.statistics.shape import shape_of
from reports.statistics.slope import deciding_encoder, over_units, pooled_scatter, slope_of
from reports.statistics.units import REPEATED, by_unit
from reports.statistics.verdict import Trend, judge


def pooled_trend(
    pairs: pd.DataFrame, value: str = "gain", brief: bool = False, look: Level = ONE_LOOK
) -> pd.DataFrame:
    """One row for each arm: the mean slope of its lines, each counted once.

    Two questions are kept apart. *On these data sets*: the columns of `trend.trend_table`, for the
    mean of all lines; ``p_holm`` and the verdict are adjusted over the arms. *On data sets like
    these* (random effects): ``like_slope``, ``like_low``, ``like_high`` and ``like_p``, Student's t
    over the data sets' mean slopes, which needs two data sets at least.

    Where some lines of an arm were searched several times and others once, the mean is that of the
    former: the latter would bring luck into it that its error does not have. ``left_out`` counts
    them.

    Args:
        pairs: one row for each pair, from `gain.pairs`.
        value: ``gain`` (points) or ``logit_gain`` (log odds).
        brief: leave out what takes time and decides no verdict: the shape, ``seeds_needed``,
            ``widths_needed`` and ``searches_needed``.
        look: the level of the look that is taken.

    Returns:
        Beside the columns named above: ``lines``, ``datasets``, and ``smallest`` and ``largest``,
        the gain at each line's smallest and largest encoder, mean over lines.
    """
    groups = {}
    for arm, group in by_unit(pairs).groupby("arm", sort=True):
        lines, left_out = _lines(group, value)
        if lines:
            groups[arm] = (lines, left_out)
    judged = judge([trend_of(lines, lines, brief) for lines, _ in groups.values()], look)
    rows = [
        {"arm": arm, "left_out": left_out, **_pool(lines), **counts(lines), **row}
        for (arm, (lines, left_out)), row in zip(groups.items(), judged, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["arm", *_POOLED, *TREND, *([] if brief else SHAPE)])
    if brief:
        return table
    needed = [_needed(row, groups[row["arm"]][0]) for row in table.to_dict("records")]
    return table.assign(
        **{
            f"{what}_needed": [row[place] for row in needed]
            for place, what in enumerate(("seeds", "widths", "searches"))
        }
    )


TREND = [
    "kind", "measure", "widths", "searches", "seeds", "lost", "slope", "low", "high", "level",
    "seeds_low", "seeds_high", "p_seeds", "widths_low", "widths_high", "p_widths", "p", "tests",
    "p_holm", "deciding_width", "deciding_slope", "verdict",
]  # fmt: skip
SHAPE = ["fall", "fall_low", "fall_high", "p_straight", "shape", "turn", "all_along"]
_POOLED = [
    "lines", "left_out", "datasets", "smallest", "largest", "like_slope", "like_low", "like_high",
    "like_p",
]  # fmt: skip


def _lines(group: pd.DataFrame, value: str) -> tuple[list[Line], int]:
    """The lines of one arm whose mean is judged, and the number of those that are left out."""
    whole = [frame for _, frame in group.groupby(LINE, sort=True) if encoders_on(frame) > 1]
    repeated = [frame for frame in whole if frame[REPEATED].iloc[0]]
    chosen = repeated or whole
    return (lines_of(chosen, value) if chosen else []), len(whole) - len(chosen)


def counts(lines: Sequence[Line]) -> dict[str, object]:
    """The columns of a table of trends that say how much there is."""
    return {
        "kind": kind_of(name for line in lines for name in line.names),
        "measure": lines[0].measure,
        "widths": max(len(line.capacities) for line in lines),
        "searches": max(line.searches for line in lines),
        "seeds": max(line.seeds for line in lines),
        "lost": sum(line.lost for line in lines),
    }


def trend_of(lines: Sequence[Line], all_lines: Sequence[Line], brief: bool) -> Trend:
    """The mean trend of some lines; of one line, its own.

    Args:
        lines: whose mean slope is judged; all or none searched several times.
        all_lines: of the arm that are alike in that, over which the scatter of widths is pooled.
        brief: leave out the shape.
    """
    if all(len(line.capacities) < 2 for line in lines):
        return Trend(None)
    scatter = pooled_scatter(all_lines)
    slope = slope_of(lines, scatter)
    name, rest = deciding_encoder(lines, scatter, slope)
    return Trend(slope, name, rest, None if brief else shape_of(lines))


def _pool(lines: list[Line]) -> dict[str, object]:
    like = over_datasets(lines)
    like_low, like_high = like.interval()
    return {
        "lines": len(lines),
        "datasets": len({line.dataset for line in lines}),
        "smallest": float(np.mean([line.means[0] for line in lines])),
        "largest": float(np.mean([line.means[-1] for line in lines])),
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
        slopes.setdefault(line.dataset, []).append(float(contrast(line.capacities) @ line.means))
    means = np.array([np.mean(values) for values in slopes.values()])
    error = float(np.std(means, ddof=1)) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    return Estimate(float(means.mean()), error, len(means) - 1)


def _needed(row: dict[Hashable, Any], lines: list[Line]) -> tuple[float, float, float]:
    """Seeds, widths and searches of a new study (`new_study`)."""
    alpha = ALPHA / row["tests"]
    if lines[0].repeated:
        error = over_units(lines, [contrast(line.capacities) / len(lines) for line in lines]).error
        spread = error * math.sqrt(row["searches"])
        return math.nan, math.nan, searches_needed(row, spread, alpha)
    longest = max(lines, key=lambda line: len(line.capacities))
    seeds, widths = seeds_and_widths_needed(
        row, longest.capacities, pooled_scatter(lines), len(lines), alpha
    )
    return seeds, widths, math.nan
