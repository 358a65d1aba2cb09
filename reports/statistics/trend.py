"""Trend: how the gain of each line changes with capacity, in points per doubling of the parameters.

`slope` explains the errors, `verdict` the rule, `shape` what a straight line does not show.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.statistics.capacity import OF_SIZE, SIZE
from reports.statistics.lines import lines_of
from reports.statistics.looks import ONE_LOOK, Level
from reports.statistics.pooled import SHAPE, TREND, counts, trend_of
from reports.statistics.selection import LINE, LINE_ARM
from reports.statistics.shape import monotone_p
from reports.statistics.units import REPEATED, by_unit
from reports.statistics.verdict import judge


def trend_table(
    pairs: pd.DataFrame, value: str = "gain", brief: bool = False, look: Level = ONE_LOOK
) -> pd.DataFrame:
    """The trend of every (dataset, method, encoder, arm), from the result of `gain.pairs`.

    A line that was searched several times is judged over its searches, a line that was searched
    once over its seeds and over the scatter of the widths (`slope`).

    Args:
        pairs: one row for each pair.
        value: ``gain`` (points) or ``logit_gain`` (log odds, free of the ceiling at 100 %).
        brief: leave out what takes time and decides no verdict: the shape and ``p_monotone``.
        look: the level of the look that is taken.

    Returns:
        Columns beside the line's: ``widths``; ``searches`` of each cell; ``seeds`` of each search;
        ``lost``, the values that are missing; ``slope`` (per doubling of the parameters); ``low``
        and ``high``, its interval at ``level`` (95 % after Holm and after earlier looks);
        ``seeds_low``, ``seeds_high``, ``p_seeds``, ``widths_low``, ``widths_high``, ``p_widths``,
        the two errors of a line that was searched once (else NaN); ``p`` (two-sided, of this look
        alone), ``tests`` (divisor of the level at Holm's step) and ``p_holm`` (adjusted over all
        lines and looks); ``deciding_width`` and ``deciding_slope`` (`slope.deciding_encoder`);
        ``verdict``. Of the shape: ``fall`` (gain at the smallest minus gain at the largest
        encoder) with ``fall_low`` and ``fall_high``, ``p_straight``, ``shape``, ``turn`` and
        ``all_along`` (`shape.Shape`); ``p_monotone`` (Page's test, one-sided, of gains that fall
        with capacity).
    """
    rows, trends = [], []
    for (arm, _), group in by_unit(pairs).groupby(["arm", REPEATED], sort=True):
        frames = dict(list(group.groupby(LINE, sort=True)))
        lines = lines_of(list(frames.values()), value)
        for (key, frame), line in zip(frames.items(), lines, strict=True):
            trends.append(trend_of([line], lines, brief))
            row = dict(zip(LINE, key, strict=True)) | {"arm": arm} | counts([line])
            rows.append(row if brief else row | {"p_monotone": monotone_p(frame, value)})
    judged = [row | columns for row, columns in zip(rows, judge(trends, look), strict=True)]
    extra = [] if brief else [*SHAPE, "p_monotone"]
    table = pd.DataFrame(judged, columns=[*LINE_ARM, *TREND, *extra])
    return table.sort_values(LINE_ARM, ignore_index=True)


def fitted_gains(gains: pd.DataFrame, trends: pd.DataFrame) -> pd.DataFrame:
    """The gain at each encoder by the line's slope, through the centre of the mean gains.

    Args:
        gains: `gain.gain_table`.
        trends: `trend_table`.

    Returns:
        Columns of the line, ``arm`` and the encoder, with ``gain`` (points); no rows where a line
        has no slope.
    """
    fitted = gains.merge(trends[[*LINE_ARM, "slope"]], on=LINE_ARM)
    doublings = fitted["capacity"].astype(float).map(np.log2)
    by_line = [fitted[column] for column in LINE_ARM]
    centre = doublings - doublings.groupby(by_line).transform("mean")
    level = fitted["gain"].groupby(by_line).transform("mean")
    fitted["gain"] = level + fitted["slope"] * centre
    return fitted[[*LINE_ARM, *SIZE, *OF_SIZE, "parameters", "gain"]].dropna()
