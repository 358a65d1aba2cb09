"""Why a verdict is missing, and what a new study would need for one."""

from __future__ import annotations

import math

import pandas as pd

from reports.output.numbers import probability, signed
from reports.statistics.intervals import ALPHA
from reports.statistics.new_study import MOST_NEEDED
from reports.statistics.verdict import CANNOT_TELL


def missing_verdict(row: pd.Series) -> list[str]:
    """Why there is no verdict, from a row of `pooled.pooled_trend` that has none."""
    if row["verdict"] != CANNOT_TELL:
        return []
    if not math.isfinite(row["p_holm"]):
        return [_no_error(row)]
    notes = []
    if row["deciding_width"]:
        notes.append(
            f"there is no verdict, because {row['deciding_width']} alone decides: "
            f"without it the slope is {signed(row['deciding_slope'])}, which is less than one "
            "standard error from zero or of the other sign. Luck in the search of this one "
            f"{row['kind']} would look the same."
        )
    elif row["p"] < ALPHA <= row["p_holm"]:
        notes.append(
            f"for this arm alone, looked at once, p would be {probability(row['p'])}. All arms and "
            f"all planned looks are judged together, and so p is {probability(row['p_holm'])}."
        )
    elif row["p_seeds"] < ALPHA <= row["p_widths"]:
        notes.append(
            f"the seeds agree on a slope (p {probability(row['p_seeds'])}), but the "
            f"{row['kind']}s scatter about a straight line. Either the course is curved, or some "
            f"searches had luck: one search for each {row['kind']} cannot tell these apart. More "
            "searches, not more seeds, would settle it."
        )
    return notes + _takes(row)


def _no_error(row: pd.Series) -> str:
    """Why the slope has no p-value."""
    if row["searches"] > 1:
        return (
            "there is no verdict, because the slope has no interval over searches: on some line no "
            f"{row['kind']} has two searches with a pair, or all searches gave the same gains."
        )
    if row["seeds"] < 2:
        return (
            "there is no verdict, because there is one seed. A slope has no error over seeds then. "
            "A verdict takes two searches or more of every cell, or two seeds or more."
        )
    if not math.isfinite(row["p_seeds"]):
        return (
            "there is no verdict, because the slope has no interval over seeds: on some line no "
            f"{row['kind']} has two pairs, or all seeds gave the same gains."
        )
    return (
        f"there is no verdict, because two {row['kind']}s cannot show the luck of a single search."
    )


def _takes(row: pd.Series) -> list[str]:
    """What a new study would need; the sentence advises against seeds added to this study."""
    parts = []
    if not math.isnan(row["seeds_needed"]):
        parts.append(
            f"{_about(row['seeds_needed'])} seeds for each line (now {int(row['seeds'])}), if no "
            "search is lucky"
        )
    if not math.isnan(row["widths_needed"]):
        parts.append(
            f"{_about(row['widths_needed'])} {row['kind']}s over the same range (now "
            f"{int(row['widths'])}) or more data sets, if {row['kind']}s scatter as here"
        )
    if not math.isnan(row["searches_needed"]):
        parts.append(
            f"{_about(row['searches_needed'])} searches of every cell (now {int(row['searches'])})"
        )
    if not parts:
        return []
    return [
        f"a new study that is to show a slope of {signed(row['slope'])} with 80 % power would "
        f"take {'; and '.join(parts)}. Plan it with mixco study plan, or with looks as it grows "
        "(until: verdict). Do not add seeds or searches to this study and look again: each look "
        "that was not planned is another chance of a false verdict."
    ]


def _about(count: float) -> str:
    """A number of `new_study` as text; it is infinite above `MOST_NEEDED`."""
    return f"about {int(count)}" if math.isfinite(count) else f"more than {MOST_NEEDED:,}"
