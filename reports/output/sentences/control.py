"""What mixing gains beyond the extra compute that it takes, in words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.output.names import arm_on_line
from reports.output.numbers import signed, span
from reports.statistics.control import Control


def control_words(found: Control) -> list[str]:
    """The findings of `control.against_control`, a sentence for each line, arm and control."""
    return [_sentence(row) for _, row in found.lines.iterrows() if np.isfinite(row["beyond"])]


def _sentence(row: pd.Series) -> str:
    line = arm_on_line(row)
    gains = (
        f"{line}: gains {signed(row['beyond'])} beyond {row['control']}, which does the same work "
        f"without mixing (mean over {row['kind']}s"
    )
    if not np.isfinite(row["low"]):
        return f"{gains}; no interval)."
    if row["low"] > 0:
        verdict = "mixing brings more than the extra compute alone"
    elif row["high"] < 0:
        verdict = "mixing brings less than the extra compute alone"
    else:
        verdict = "mixing is not shown to bring more than the extra compute alone"
    return f"{gains}, 95 % interval {span(row['low'], row['high'])}): {verdict}."
