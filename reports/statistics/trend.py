"""Trend: how the gain of each line changes with capacity, in points per doubling of the parameters.

`slope` explains the two errors, `verdict` the rule, `shape` what a straight line does not show.
"""

from __future__ import annotations

import pandas as pd

from reports.statistics.lines import lines_of
from reports.statistics.pooled import SHAPE, TREND, trend_columns
from reports.statistics.selection import LINE
from reports.statistics.shape import monotone_p
from reports.statistics.verdict import judged

LINE_ARM = [*LINE, "arm"]


def trend_table(pairs: pd.DataFrame, value: str = "gain", brief: bool = False) -> pd.DataFrame:
    """The trend of every (dataset, method, encoder, arm), from the result of `gain.pairs`.

    Args:
        pairs: one row for each pair.
        value: ``gain`` (points) or ``logit_gain`` (log odds, free of the ceiling at 100 %).
        brief: leave out what takes time and decides no verdict: the shape and ``p_monotone``.

    Returns:
        Columns beside the line's: ``widths``; ``seeds`` and ``lost``, the pairs that are missing;
        ``slope`` (per doubling of the parameters); ``low`` and ``high`` (the wider of the two 95 %
        intervals), ``seeds_low``, ``seeds_high``, ``p_seeds``, ``widths_low``, ``widths_high``,
        ``p_widths`` (two-sided p-values); ``p`` (the larger; NaN unless both are known) and
        ``p_holm`` (adjusted over all lines); ``deciding_width`` and ``deciding_slope``
        (`slope.deciding_width`); ``verdict``. Of the shape: ``fall`` (gain at the smallest minus
        gain at the largest encoder) with ``fall_low`` and ``fall_high``, ``p_straight``, ``shape``
        and ``turn`` (`shape.Shape`); ``p_monotone`` (Page's test, one-sided, of gains that fall
        with capacity).
    """
    rows = []
    for arm, group in pairs.groupby("arm", sort=True):
        frames = dict(list(group.groupby(LINE, sort=True)))
        lines = lines_of(list(frames.values()), value)
        for (key, frame), line in zip(frames.items(), lines, strict=True):
            row = dict(zip(LINE, key, strict=True)) | {"arm": arm}
            row |= trend_columns([line], lines, brief)
            rows.append(row if brief else row | {"p_monotone": monotone_p(frame, value)})
    extra = [] if brief else [*SHAPE, "p_monotone"]
    table = judged(pd.DataFrame(rows, columns=[*LINE_ARM, *TREND, *extra]))
    return table.sort_values(LINE_ARM, ignore_index=True)
