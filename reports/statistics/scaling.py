"""Scaling: error against capacity for each arm, as a power law."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
from scipy.optimize import OptimizeWarning, curve_fit

from reports.statistics.capacity import OF_SIZE, SIZE
from reports.statistics.intervals import Floats, t_interval, t_quantile
from reports.statistics.lines import contrast
from reports.statistics.selection import LINE_ARM, Selection
from reports.statistics.units import UNIT, by_unit

WIDTHS_FOR_OFFSET = 5
"""The fit has three parameters; five widths leave two degrees of freedom for its error."""


def scaling_table(selection: Selection) -> pd.DataFrame:
    """Fit error = scale x capacity^(-exponent); with five widths or more, also with an offset.

    For each unit (`units.by_unit`) that has every width, log(error) is regressed on log(capacity)
    by least squares. The exponent is minus the mean slope over these units, with Student's
    interval. The fit with an offset, error = offset + scale x capacity^(-exponent), uses the
    means over units.

    Returns:
        Columns beside the line's and ``arm``: ``widths``, ``units``, ``exponent``, ``low``,
        ``high``, ``scale`` (percent at a capacity of one), ``residual`` (root mean square over
        widths, percentage points of error), and ``offset`` (percent) with ``offset_low``,
        ``offset_high`` and ``offset_exponent`` (NaN below five widths, or if the fit does not
        converge).
    """
    rows = []
    for key, group in by_unit(selection.confirm).groupby(LINE_ARM, sort=True):
        errors = 100.0 - _by_capacity(group)
        if errors.shape[1] < 2 or errors.empty or (errors <= 0).any(axis=None):
            continue  # no slope, or an error of zero, which has no logarithm
        rows.append(dict(zip(LINE_ARM, key, strict=True)) | _fit(errors))
    return pd.DataFrame(rows, columns=[*LINE_ARM, *_COLUMNS])


def _by_capacity(group: pd.DataFrame) -> pd.DataFrame:
    """Accuracies of one line with one arm: a row for each unit that has every encoder."""
    columns = ["capacity", *SIZE]
    return group.pivot(index=UNIT, columns=columns, values="accuracy").sort_index(axis=1).dropna()


def residual_table(selection: Selection, fits: pd.DataFrame) -> pd.DataFrame:
    """The difference between the measured error and the fitted power law, at each width.

    Returns:
        Columns beside the line's, ``arm`` and the encoder's: ``parameters``, ``error`` (mean over
        all confirm trials, percent), ``fitted`` (without the offset) and ``residual`` (error minus
        fitted).
    """
    keys = [*LINE_ARM, *SIZE, *OF_SIZE, "parameters"]
    means = selection.confirm.groupby(keys)["accuracy"].mean().reset_index()
    means = means.sort_values([*LINE_ARM, "capacity"])
    table = means.merge(fits[[*LINE_ARM, "scale", "exponent"]], on=LINE_ARM)
    table["error"] = 100.0 - table["accuracy"]
    table["fitted"] = table["scale"] * table["capacity"] ** -table["exponent"]
    table["residual"] = table["error"] - table["fitted"]
    return table[[*keys, "error", "fitted", "residual"]]


_COLUMNS = [
    "widths", "units", "exponent", "low", "high", "scale", "residual",
    "offset", "offset_low", "offset_high", "offset_exponent",
]  # fmt: skip


def _fit(errors: pd.DataFrame) -> dict[str, float]:
    """The law of one line with one arm.

    Args:
        errors: percent, a row for each unit, a column for each encoder.
    """
    capacities = errors.columns.get_level_values("capacity").to_numpy(float)
    x, y = np.log2(capacities), np.log2(errors.to_numpy(float))
    slopes = y @ contrast(capacities)
    slope = float(slopes.mean())
    level = float(y.mean()) - slope * float(x.mean())
    low, high = t_interval(-slopes)
    mean = errors.to_numpy(float).mean(axis=0)
    residuals = mean - 2.0 ** (level + slope * x)
    row = {
        "widths": len(x),
        "units": len(errors),
        "exponent": -slope,
        "low": low,
        "high": high,
        "scale": 2.0**level,
        "residual": float(np.sqrt(np.mean(residuals**2))),
    }
    return row | (_fit_offset(capacities, mean) if len(x) >= WIDTHS_FOR_OFFSET else {})


def _fit_offset(capacities: Floats, error: Floats) -> dict[str, float]:
    """Fit the law with an offset, over capacities relative to their mean, for conditioning."""
    relative = capacities / np.exp(np.log(capacities).mean())

    def law(p: Floats, offset: float, scale: float, exponent: float) -> Floats:
        return offset + scale * p**-exponent

    start = (0.5 * error.min(), error.mean(), 0.3)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            best, covariance = curve_fit(
                law, relative, error, start, bounds=([0, 0, 0], [100, 1e4, 5])
            )
    except (OptimizeWarning, RuntimeError):
        return {}
    half = t_quantile(len(error) - 3) * math.sqrt(covariance[0, 0])
    return {
        "offset": float(best[0]),
        "offset_low": float(max(0.0, best[0] - half)),
        "offset_high": float(best[0] + half),
        "offset_exponent": float(best[2]),
    }
