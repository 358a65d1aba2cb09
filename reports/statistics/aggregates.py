"""Gains over many problems in one number: interquartile mean and probability of improvement."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from reports.statistics.capacity import SIZE
from reports.statistics.intervals import percentile_interval
from reports.statistics.selection import LINE
from reports.statistics.units import by_unit

_RESAMPLES = 2000
"""Fewer than elsewhere: a draw takes all pairs of two samples of a problem."""


def aggregates(pairs: pd.DataFrame) -> pd.DataFrame:
    """Interquartile mean of the gain and probability of improvement, for each method and arm.

    After Agarwal et al. 2021 ("Deep RL at the Edge of the Statistical Precipice"): the mean of the
    middle half of all gains, and the chance that a run with the arm beats a run without, averaged
    over problems (dataset, method, encoder, width), ties counted half. Intervals are percentiles of
    a bootstrap that resamples units (`units.by_unit`) within each problem.

    Returns:
        Columns ``method``, ``arm``, ``problems``, ``pairs``, ``iqm`` (points), ``iqm_low``,
        ``iqm_high``, ``improvement`` (0 to 1), ``improvement_low`` and ``improvement_high``.
    """
    rows = []
    number = pairs.groupby(["method", "arm"]).size().to_dict()
    for (method, arm), group in by_unit(pairs).groupby(["method", "arm"], sort=True):
        problems = [p for _, p in group.groupby([*LINE, *SIZE], sort=True)]
        rng = np.random.default_rng(0)
        gains, wins = [], []
        for problem in problems:
            with_arm = problem["accuracy"].to_numpy(float)
            without = problem["baseline"].to_numpy(float)
            n = len(problem)
            # The first row is the sample itself.
            drawn = np.vstack([np.arange(n), rng.integers(n, size=(_RESAMPLES, n))])
            gains.append((with_arm - without)[drawn])
            better = with_arm[:, None] > without[None, :]
            score = better + 0.5 * (with_arm[:, None] == without[None, :])
            wins.append(score[drawn[:, :, None], drawn[:, None, :]].mean(axis=(1, 2)))
        iqm = stats.trim_mean(np.concatenate(gains, axis=1), 0.25, axis=1)
        improvement = np.mean(wins, axis=0)
        row = {
            "method": method,
            "arm": arm,
            "problems": len(problems),
            "pairs": int(number[method, arm]),
        }
        for name, values in (("iqm", iqm), ("improvement", improvement)):
            low, high = percentile_interval(values[1:])
            row |= {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows, columns=_AGGREGATES)


_AGGREGATES = [
    "method", "arm", "problems", "pairs", "iqm", "iqm_low", "iqm_high",
    "improvement", "improvement_low", "improvement_high",
]  # fmt: skip
