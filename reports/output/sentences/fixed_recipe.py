"""Whether a trend comes from the method or from the tuning, in words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.output.names import arm_on_line
from reports.output.numbers import counted, signed, span
from reports.statistics.fixed_recipe import FixedRecipe


def recipe_words(found: FixedRecipe) -> list[str]:
    """The findings of `fixed_recipe.fixed_recipe`, for each line and arm."""
    notes = []
    for _, row in found.slopes.iterrows():
        of_line = [_slopes(row), _drift(row)]
        notes += [f"{arm_on_line(row)}: {note}" for note in of_line if note]
    return notes


def _slopes(row: pd.Series) -> str:
    if not np.isfinite(row["tuning"]):
        return ""
    values = (
        f"the gain changes by {signed(row['fixed'])} per doubling of the {row['measure']} at the "
        f"fixed recipe, and by {signed(row['tuned'])} after tuning"
    )
    if not np.isfinite(row["tuning_low"]):
        return (
            f"{values}; tuning explains {signed(row['tuning'])}. An interval for this takes two "
            "searches or more."
        )
    zero = row["tuning_low"] <= 0 <= row["tuning_high"]
    verdict = (
        "an effect of tuning on the trend is not shown"
        if zero
        else "a part of the trend comes from the tuning, not from the method"
    )
    return (
        f"{values}; tuning explains {signed(row['tuning'])} (95 % interval "
        f"{span(row['tuning_low'], row['tuning_high'])} over "
        f"{counted(row['searches'], 'search')}): {verdict}."
    )


def _drift(row: pd.Series) -> str:
    if not (row["late_low"] > 0 or row["late_high"] < 0):
        return ""
    where = "larger" if row["late"] > 0 else "smaller"
    return (
        "the second half of the search still added more with the arm than without it, the more the "
        f"{where} the encoder ({signed(row['late'])} per doubling, 95 % interval "
        f"{span(row['late_low'], row['late_high'])}). The searches are not finished there, and "
        "unfinished searches can look like a trend."
    )
