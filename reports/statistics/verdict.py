"""The verdict on the paper's claim that smaller encoders gain more: a slope below zero."""

from __future__ import annotations

import math

import pandas as pd
from statsmodels.stats.multitest import multipletests

from reports.statistics.intervals import ALPHA

SUPPORTS, CONTRADICTS, CANNOT_TELL = VERDICTS = ("supports", "contradicts", "cannot tell")


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` with ``p_holm``, its ``p`` adjusted over its rows, and ``verdict``.

    Args:
        table: with ``slope``, ``p`` (two-sided) and ``deciding_width`` (`slope.deciding_width`).
    """
    table = table.assign(p_holm=holm(table["p"]))
    columns = (table[name] for name in ("slope", "p_holm", "deciding_width"))
    return table.assign(verdict=[verdict(*row) for row in zip(*columns, strict=True)])


def verdict(slope: float, p: float, deciding_width: float) -> str:
    """One of `VERDICTS`.

    A verdict falls where the two-sided p-value is below `ALPHA` after Holm, that is, where the 95 %
    interval excludes zero by enough, and where no single width decides.
    """
    if not p < ALPHA or math.isfinite(deciding_width):
        return CANNOT_TELL
    return SUPPORTS if slope < 0 else CONTRADICTS


def holm(p_values: pd.Series) -> pd.Series:
    """Holm's step-down adjustment over the p-values that exist; NaN stays NaN."""
    known = p_values.notna()
    adjusted = p_values.astype(float)
    if known.sum() > 1:  # statsmodels collects all garbage at each call, which takes time
        adjusted[known] = multipletests(p_values[known].astype(float), method="holm")[1]
    return adjusted
