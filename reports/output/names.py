"""What a line with an arm is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.statistics.selection import LINE_ARM


def arm_on_line(row: pd.Series | Mapping[Any, Any]) -> str:
    """The name of the arm's line and the arm, from the row of a table that has both."""
    return " ".join(str(row[name]) for name in LINE_ARM)
