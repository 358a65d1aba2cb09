"""Capacity equivalence: how much larger the baseline must be to match an arm.

The baseline's accuracy over size is made monotone (isotonic regression of the means) and
interpolated in log2 of the size by a monotone cubic. Nothing is extrapolated: an arm that beats the
largest baseline is "beyond" the measured range, and the factor to its end is a lower bound.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression

from reports.statistics.intervals import LEVEL, ROUNDING, Floats
from reports.statistics.selection import BASELINE, LINE, Selection

WITHIN, BEYOND, BELOW = ("within", "beyond", "below")
GRID = 801


def equivalence_table(selection: Selection, size: str = "parameters") -> pd.DataFrame:
    """The factor in ``size`` (``parameters`` or ``encoder_flops``) at each width of each line.

    Returns:
        Columns beside the line's, ``arm`` and ``width``: the arm's size (under the name ``size``
        has), ``accuracy`` (mean) and ``seeds``; ``factor`` by which the baseline must grow to
        reach it, ``range`` (``within`` the sizes measured, or ``beyond`` or ``below`` them: the
        factor is then a bound, to the nearest size measured) and the 95 % interval ``low`` to
        ``high``, infinite or zero where it leaves the range.
    """
    rows = []
    confirm = selection.confirm[selection.confirm[size].gt(0)]
    for key, line in confirm.groupby(LINE, sort=True):
        by_arm = {
            arm: group.pivot_table(index="seed", columns=size, values="accuracy").dropna()
            for arm, group in line.groupby("arm")
        }
        baseline = by_arm.pop(BASELINE, pd.DataFrame())
        if baseline.shape[1] < 2 or baseline.empty:
            continue
        widths = dict(zip(line[size], line["width"], strict=True))
        for arm, treated in by_arm.items():
            seeds = baseline.index.intersection(treated.index)
            if seeds.empty:
                continue
            curves = _Curves(baseline.loc[seeds])
            for capacity in treated.columns:
                row = curves.match(treated.loc[seeds, capacity].to_numpy(float), float(capacity))
                identity = dict(zip(LINE, key, strict=True))
                rows.append(
                    identity | {"arm": arm, "width": widths[capacity], size: capacity} | row
                )
    return pd.DataFrame(rows, columns=[*LINE, "arm", "width", size, *_COLUMNS])


_COLUMNS = ["accuracy", "seeds", "factor", "range", "low", "high"]


class _Curves:
    """The baseline's accuracy over log2(size): the monotone mean, and every seed's own curve."""

    def __init__(self, baseline: pd.DataFrame) -> None:
        """Interpolate ``baseline``: one row a seed, one column a size, ascending."""
        x = np.log2(baseline.columns.to_numpy(float))
        scores = baseline.to_numpy(float)
        self.grid = np.linspace(x[0], x[-1], GRID)
        monotone = isotonic_regression(scores.mean(axis=0)).x
        self.mean: Floats = PchipInterpolator(x, monotone)(self.grid)
        self.seeds: Floats = PchipInterpolator(x, scores, axis=1)(self.grid)

    def match(self, accuracies: Floats, size: float) -> dict[str, object]:
        """Where the baseline reaches an arm's ``accuracies`` (one for each seed, same order)."""
        here, accuracy = math.log2(size), float(accuracies.mean())
        if accuracy > self.mean[-1]:
            where, place = BEYOND, self.grid[-1]
        elif accuracy < self.mean[0]:
            where, place = BELOW, self.grid[0]
        else:
            where, place = WITHIN, self._reached(accuracy, here)
        low, high = self._interval(accuracies)
        return {
            "accuracy": accuracy,
            "seeds": len(accuracies),
            "factor": 2.0 ** (place - here),
            "range": where,
            "low": 2.0 ** (low - here),
            "high": 2.0 ** (high - here),
        }

    def _reached(self, accuracy: float, here: float) -> float:
        """Where the mean curve first has this accuracy; of a flat piece, the size nearest here."""
        first = float(self.grid[np.searchsorted(self.mean, accuracy)])
        flat = self.grid[np.abs(self.mean - accuracy) < ROUNDING]
        return float(np.clip(here, flat[0], flat[-1])) if len(flat) else first

    def _interval(self, accuracies: Floats) -> tuple[float, float]:
        """Sizes at which a paired t test does not tell arm and baseline apart (Fieller's idea).

        Inverting a test covers at any number of seeds, where a bootstrap of three does not.
        """
        n = len(accuracies)
        if n < 2:
            return math.nan, math.nan
        differences = accuracies[:, None] - self.seeds
        mean = differences.mean(axis=0)
        half = stats.t.ppf(0.5 + LEVEL / 2, n - 1) * differences.std(axis=0, ddof=1) / math.sqrt(n)
        alike = np.flatnonzero(np.abs(mean) <= half)
        if len(alike) == 0:
            crossing = np.flatnonzero(np.diff(np.sign(mean)))
            if len(crossing) == 0:
                return (self.grid[-1], math.inf) if mean[-1] > 0 else (-math.inf, self.grid[0])
            alike = crossing
        # Ends lie between grid points: round outwards.
        low = -math.inf if alike[0] == 0 else float(self.grid[alike[0] - 1])
        high = math.inf if alike[-1] == GRID - 1 else float(self.grid[alike[-1] + 1])
        return low, high
