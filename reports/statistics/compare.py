"""Compare the gains of two studies."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from reports.statistics.gain import WIDTH
from reports.statistics.intervals import LEVEL
from reports.statistics.units import by_unit

_KEY = [name for name in WIDTH if name != "line"]
"""Two studies may name their lines differently."""


def compare_gains(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """The gains of two studies at the widths that both measured.

    Args:
        ours: `gain.pairs` of the first study.
        theirs: `gain.pairs` of the second study.

    Returns:
        Columns beside the width's: ``capacity`` (in the first study), ``gain`` and ``other`` (mean
        gains of the first and second study, points), ``difference`` (``other`` minus ``gain``) with
        ``low`` and ``high`` (Welch's 95 % interval over the units of each study, `units.by_unit`,
        which assumes that the studies are independent).
    """
    others = {key: group["gain"].to_numpy(float) for key, group in by_unit(theirs).groupby(_KEY)}
    rows = []
    for key, group in by_unit(ours).groupby(WIDTH, sort=True):
        names = dict(zip(WIDTH, key, strict=True))
        same = tuple(names[name] for name in _KEY)
        if same not in others:
            continue
        mine, other = group["gain"].to_numpy(float), others[same]
        low = high = np.nan
        if min(len(mine), len(other)) > 1:
            test = stats.ttest_ind(other, mine, equal_var=False)
            low, high = test.confidence_interval(LEVEL)
        difference = float(other.mean() - mine.mean())
        capacity = float(group["capacity"].iloc[0])
        rows.append(
            (*key, capacity, float(mine.mean()), float(other.mean()), difference, low, high)
        )
    columns = [*WIDTH, "capacity", "gain", "other", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)
