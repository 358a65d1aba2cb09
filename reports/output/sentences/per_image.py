"""What single test images say: other images, and the classes that gain."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.output.names import arm_on_line
from reports.output.numbers import counted, signed, span
from reports.statistics.per_image import PerImage
from reports.statistics.selection import LINE_ARM


def image_words(found: PerImage) -> list[str]:
    """The findings of `per_image.per_image`, a sentence each; none without a pair."""
    if not found.all_pairs:
        return []
    if not found.pairs:
        return [
            "These trials did not record which test images were right (older versions did not), so "
            "the report cannot say what other test images would change, nor which classes gain."
        ]
    notes = []
    if found.pairs < found.all_pairs:
        notes.append(
            f"{found.pairs} of {counted(found.all_pairs, 'pair')} recorded which test images were "
            "right. The next sentences are about these."
        )
    for arm, gains in found.gains.groupby("arm", sort=True):
        notes += _noise(str(arm), gains)
    notes += [_slope(row) for _, row in found.slopes.iterrows()]
    notes += [_classes(rows) for _, rows in found.classes.groupby(LINE_ARM, sort=True)]
    return [note for note in notes if note]


def _noise(arm: str, gains: pd.DataFrame) -> list[str]:
    judged = gains.dropna(subset=["images_share", "low", "runs_low"])
    if judged.empty:
        return []
    shares = 100 * judged["images_share"]
    wider = (judged["high"] - judged["low"]) / (judged["runs_high"] - judged["runs_low"])
    low, high = f"{shares.min():.0f}", f"{shares.max():.0f}"
    notes = [
        f"{arm}: {low if low == high else f'{low} to {high}'} % of the variance of a gain comes "
        "from which images the test split holds, the rest from training. For other images of the "
        f"same kind the intervals are {np.median(wider):.2f} times as wide (median)."
    ]
    on_these = _excludes_zero(judged, "runs_low", "runs_high")
    lost = on_these & ~_excludes_zero(judged, "low", "high")
    if lost.any():
        notes.append(
            f"{arm}: the intervals of {int(lost.sum())} of {counted(len(judged), 'gain')} exclude "
            "0 for these test images, but not for others."
        )
    return notes


def _excludes_zero(rows: pd.DataFrame, low: str, high: str) -> pd.Series:
    return (rows[low] > 0) | (rows[high] < 0)


def _slope(row: pd.Series) -> str:
    if not np.isfinite(row["low"]):
        return ""
    return (
        f"{arm_on_line(row)}: slope {signed(row['slope'])} per doubling; 95 % interval over "
        f"training {span(row['runs_low'], row['runs_high'])} on these test images, "
        f"{span(row['low'], row['high'])} on others."
    )


def _classes(rows: pd.DataFrame) -> str:
    if len(rows) < 2:
        return ""
    by_gain = rows.sort_values("gain")
    least, most = by_gain.iloc[0], by_gain.iloc[-1]
    differ = (rows["family_low"] > rows["overall"]) | (rows["family_high"] < rows["overall"])
    return (
        f"{arm_on_line(most)}: gains most in class {most['class']} ({signed(most['gain'])}) and "
        f"least in class {least['class']} ({signed(least['gain'])}), mean over {most['kind']}s. In "
        f"{int(differ.sum())} of {counted(len(rows), 'class')} the interval (95 %, Bonferroni, "
        f"other images) does not contain the gain over all classes ({signed(most['overall'])})."
    )
