"""Two studies side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from reports.statistics.gain import WIDTH
from reports.statistics.intervals import LEVEL


def compare_gains(here: pd.DataFrame, there: pd.DataFrame) -> pd.DataFrame:
    """The gains of two studies at the widths that both measured, from their `gain.pairs`.

    Returns:
        Columns beside the width's: ``parameters``, ``gain``, ``other`` (means, points),
        ``difference`` (other minus this) with ``low`` and ``high``: Welch's 95 % interval, which
        takes the studies as independent.
    """
    others = {key: group["gain"].to_numpy(float) for key, group in there.groupby(WIDTH)}
    rows = []
    for key, group in here.groupby(WIDTH, sort=True):
        if key not in others:
            continue
        mine, other = group["gain"].to_numpy(float), others[key]
        low = high = np.nan
        if min(len(mine), len(other)) > 1:
            test = stats.ttest_ind(other, mine, equal_var=False)
            low, high = test.confidence_interval(LEVEL)
        difference = float(other.mean() - mine.mean())
        parameters = int(group["parameters"].iloc[0])
        rows.append(
            (*key, parameters, float(mine.mean()), float(other.mean()), difference, low, high)
        )
    columns = [*WIDTH, "parameters", "gain", "other", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)
