"""Capacity equivalence: how much larger the baseline must be to match an arm.

The baseline's accuracy over capacity is made monotone (isotonic regression of the means) and
interpolated in log2 of the capacity by a monotone cubic. Nothing is extrapolated: if an arm beats
the largest baseline, it is "beyond" the measured range, and the factor up to the largest baseline
is a lower bound.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression

from reports.statistics.capacity import COLUMNS, MEASURES, SIZE, Measure
from reports.statistics.intervals import ROUNDING, Floats, t_quantile
from reports.statistics.selection import BASELINE, LINE, Selection
from reports.statistics.units import UNIT, by_unit

WITHIN, BEYOND, BELOW = "within", "beyond", "below"
GRID = 801
"""Capacities at which curves are compared, evenly spaced in log2 over the measured range."""


def equivalence_table(selection: Selection, measure: Measure = "parameters") -> pd.DataFrame:
    """By which factor the baseline must grow to match each arm, at each encoder of each line.

    Args:
        selection: the confirm rows that count.
        measure: what capacity is here, whatever orders the lines.

    Returns:
        Columns beside the line's, ``arm``, ``encoder``, ``width`` and ``size``: the capacity (in
        the column of the measure, and in ``capacity``); ``measure`` (in words); the ``accuracy``
        of the arm (mean, percent) and ``units`` (their number); ``factor`` (by which the baseline
        must grow to reach this accuracy); ``range`` (``within`` the measured capacities, ``beyond``
        or ``below`` them; in the last two cases ``factor`` leads to the nearest of them and is a
        bound); and ``low`` and ``high`` (95 % interval of the factor; infinite or zero where it
        leaves the measured range).
    """
    rows, column = [], COLUMNS[measure]
    confirm = by_unit(selection.confirm[selection.confirm[column].gt(0)])
    for key, line in confirm.groupby(LINE, sort=True):
        by_arm = {
            arm: group.pivot_table(index=UNIT, columns=column, values="accuracy").dropna()
            for arm, group in line.groupby("arm")
        }
        baseline = by_arm.pop(BASELINE, pd.DataFrame())
        if baseline.shape[1] < 2 or baseline.empty:
            continue
        names = line.drop_duplicates(column).set_index(column)[_NAMES].to_dict("index")
        for arm, treated in by_arm.items():
            units = baseline.index.intersection(treated.index)
            if units.empty:
                continue
            curves = _Curves(baseline.loc[units])
            for capacity in treated.columns:
                row = curves.match(treated.loc[units, capacity].to_numpy(float), float(capacity))
                identity = dict(zip(LINE, key, strict=True))
                rows.append(identity | {"arm": arm, **names[capacity], column: capacity} | row)
    table = pd.DataFrame(rows, columns=[*LINE, "arm", *_NAMES, column, *_COLUMNS])
    return table.assign(capacity=table[column].astype(float), measure=MEASURES[measure])


_NAMES = [*SIZE, "size"]
_COLUMNS = ["accuracy", "units", "factor", "range", "low", "high"]


class _Curves:
    """The baseline's accuracy over log2(capacity): the monotone mean, and a curve for each unit."""

    def __init__(self, baseline: pd.DataFrame) -> None:
        """Interpolate ``baseline``: a row for each unit, a column for each capacity, ascending."""
        x = np.log2(baseline.columns.to_numpy(float))
        scores = baseline.to_numpy(float)
        self.grid = np.linspace(x[0], x[-1], GRID)
        monotone = isotonic_regression(scores.mean(axis=0)).x
        self.mean: Floats = PchipInterpolator(x, monotone)(self.grid)
        self.units: Floats = PchipInterpolator(x, scores, axis=1)(self.grid)

    def match(self, accuracies: Floats, capacity: float) -> dict[str, object]:
        """The capacity at which the baseline reaches the arm's mean accuracy, and its interval.

        Args:
            accuracies: (units,) of the arm, in the order of the baseline's rows; percent.
            capacity: of the arm's encoder.
        """
        here, accuracy = math.log2(capacity), float(accuracies.mean())
        if accuracy > self.mean[-1]:
            where, place = BEYOND, self.grid[-1]
        elif accuracy < self.mean[0]:
            where, place = BELOW, self.grid[0]
        else:
            where, place = WITHIN, self._reached(accuracy, here)
        low, high = self._interval(accuracies)
        return {
            "accuracy": accuracy,
            "units": len(accuracies),
            "factor": 2.0 ** (place - here),
            "range": where,
            "low": 2.0 ** (low - here),
            "high": 2.0 ** (high - here),
        }

    def _reached(self, accuracy: float, here: float) -> float:
        """The first log2(capacity) with this accuracy; on a flat piece, the nearest to ``here``."""
        first = float(self.grid[np.searchsorted(self.mean, accuracy)])
        flat = self.grid[np.abs(self.mean - accuracy) < ROUNDING]
        return float(np.clip(here, flat[0], flat[-1])) if len(flat) else first

    def _interval(self, accuracies: Floats) -> tuple[float, float]:
        """The least and largest log2(capacity) at which a paired t test finds no difference.

        Source: Fieller's method. An inverted test keeps its coverage with three units; a bootstrap
        does not.
        """
        n = len(accuracies)
        if n < 2:
            return math.nan, math.nan
        differences = accuracies[:, None] - self.units
        mean = differences.mean(axis=0)
        half = t_quantile(n - 1) * differences.std(axis=0, ddof=1) / math.sqrt(n)
        alike = np.flatnonzero(np.abs(mean) <= half)
        if len(alike) == 0:
            crossing = np.flatnonzero(np.diff(np.sign(mean)))
            if len(crossing) == 0:
                return (self.grid[-1], math.inf) if mean[-1] > 0 else (-math.inf, self.grid[0])
            alike = crossing
        # The true ends lie between two grid points: take the outer one.
        low = -math.inf if alike[0] == 0 else float(self.grid[alike[0] - 1])
        high = math.inf if alike[-1] == GRID - 1 else float(self.grid[alike[-1] + 1])
        return low, high
