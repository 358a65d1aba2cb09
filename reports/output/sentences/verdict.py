"""The verdict on each arm, and what it rests on."""

from __future__ import annotations

import math

import pandas as pd

from reports.output.numbers import counted, needed, probability, signed, span
from reports.statistics.intervals import smallest_sign_flip_p
from reports.statistics.power import ALPHA
from reports.statistics.trend import CONTRADICTS, SUPPORTS


def headline(pooled: pd.Series) -> str:
    """The verdict on one arm in one sentence with its numbers, from a row of `pooled_trend`."""
    arm = pooled["arm"]
    ends = (
        f"{signed(pooled['smallest'])} points at the smallest encoder, "
        f"{signed(pooled['largest'])} at the largest"
    )
    rises = pooled["verdict"] == CONTRADICTS
    side = "rises" if rises else "falls"
    p = probability(pooled["p_rising_holm" if rises else "p_holm"])
    known = math.isfinite(pooled["low"])
    interval = f"95 % interval {span(pooled['low'], pooled['high'])}" if known else "no interval"
    numbers = (
        f"{ends}, {signed(pooled['slope'])} per doubling of the parameters "
        f"({interval}; one-sided p {p}; "
        f"{counted(pooled['datasets'], 'data set')}, {counted(pooled['lines'], 'line')}, "
        f"{counted(pooled['widths'], 'width')}, {counted(pooled['seeds'], 'seed')})"
    )
    if pooled["verdict"] == SUPPORTS:
        return f"The gain of {arm} {side} as the encoder grows: {numbers}."
    if rises:
        return f"The gain of {arm} {side} with the encoder, against the paper's claim: {numbers}."
    return f"These results cannot tell whether the gain of {arm} falls with capacity: {numbers}."


def limits(gains: pd.DataFrame, pooled: pd.DataFrame) -> list[str]:
    """What this study is too small to show, one sentence each."""
    notes = []
    if gains.empty:
        return ["No pair of confirm runs is complete yet, so there is no gain to report."]
    fewest = int(gains["pairs"].min())
    floor = smallest_sign_flip_p(fewest)
    if fewest < 2:
        notes.append(
            "Where there is one seed, a gain has no interval and no test: it is a single draw."
        )
    elif floor > ALPHA:
        notes.append(
            f"With {fewest} seeds the exact sign-flip test cannot go below p = "
            f"{probability(floor)}, however large the gain: single gains rest on "
            "Student's interval, which assumes normal differences. Six seeds or more lift this "
            "limit."
        )
    widths = int(gains.groupby(["dataset", "method", "encoder", "arm"])["width"].nunique().min())
    if widths < 2:
        notes.append("One width has no trend: a study needs three widths or more.")
    elif widths == 2:
        notes.append(
            "Two widths always lie on a line: luck in the search of one of them cannot be told "
            "from a trend. The interval of the slope does not contain it, and there is no verdict. "
            "It takes three widths or more."
        )
    for _, row in pooled.iterrows():
        notes += _limits_of_trend(row)
    return notes


def _limits_of_trend(row: pd.Series) -> list[str]:
    notes = []
    if row["seeds"] == 0:
        notes.append(
            f"{row['arm']}: on some line no seed has every width yet, so its slope is that of the "
            "widths' means."
        )
    if row["verdict"] not in (SUPPORTS, CONTRADICTS):
        if row["p_seeds"] < ALPHA <= row["p_widths"]:
            notes.append(
                f"{row['arm']}: the seeds agree on a falling gain "
                f"(p {probability(row['p_seeds'])}), but the widths scatter about "
                "the line, and few of them cannot rule out luck in "
                f"their searches (p {probability(row['p_widths'])}). More widths or data sets, not "
                "more seeds, would settle it."
            )
        if math.isfinite(row["p"]):
            notes += _takes(row)
        elif not math.isfinite(row["low"]):
            notes.append(
                f"{row['arm']}: the slope has no interval: there is one seed, or all of them gave "
                "the same gains."
            )
    if row["datasets"] == 1:
        notes.append(
            f"{row['arm']}: one data set says nothing about others; the verdict holds for this one."
        )
    elif not row["like_p"] < ALPHA and row["verdict"] == SUPPORTS:
        notes.append(
            f"{row['arm']}: the verdict holds for these {row['datasets']} data sets. For others "
            f"like them the slope may be anywhere from {span(row['like_low'], row['like_high'])}, "
            "so they cannot tell."
        )
    return notes


def _takes(row: pd.Series) -> list[str]:
    """What a verdict would take, from a row of `aggregate.pooled_trend` that has none."""
    parts = []
    if not math.isnan(row["seeds_needed"]):
        parts.append(
            f"{needed(row['seeds_needed'])} seeds for each line (now {int(row['seeds'])}), were no "
            "search lucky"
        )
    if not math.isnan(row["widths_needed"]):
        parts.append(
            f"{needed(row['widths_needed'])} widths over the same range (now {int(row['widths'])}) "
            "or more data sets, as widths scatter here"
        )
    if not parts:
        return []
    return [
        f"{row['arm']}: to tell a slope of {signed(row['slope'])} from none with 80 % power would "
        f"take {'; and '.join(parts)}."
    ]


def ceiling_words(pooled: pd.DataFrame, log_odds: pd.DataFrame) -> list[str]:
    """Where a falling gain may be the ceiling at 100 %, from `pooled_trend` in both scales."""
    other = log_odds.set_index("arm")
    notes = []
    for row in pooled[pooled["verdict"] == SUPPORTS].to_dict("records"):
        slope = other.loc[row["arm"]]
        if slope["verdict"] != SUPPORTS:
            notes.append(
                f"{row['arm']}: in log odds, which the ceiling at 100 % does not shrink, the fall "
                f"is not shown ({signed(slope['slope'], 3)} per doubling, 95 % interval "
                f"{span(slope['low'], slope['high'], 3)}): it may be the ceiling's."
            )
    return notes


def method_words(trends: pd.DataFrame) -> list[str]:
    """Arms whose slope has another sign with each method, from `trend.trend_table`."""
    notes = []
    for arm, rows in trends.groupby("arm", sort=True):
        slopes = rows.groupby("method", sort=True)["slope"].mean().dropna()
        if len(slopes) > 1 and slopes.min() < 0 < slopes.max():
            each = ", ".join(f"{signed(slope)} with {name}" for name, slope in slopes.items())
            notes.append(f"{arm}: methods differ in sign ({each}); the slope above is their mean.")
    return notes
