"""The verdict on each arm in one sentence with its numbers."""

from __future__ import annotations

import math

import pandas as pd

from reports.output.numbers import counted, percent, probability, signed, span
from reports.statistics.intervals import LEVEL
from reports.statistics.shape import DIP, FALLS, FLAT, HUMP, RISES, TURNS
from reports.statistics.verdict import CANNOT_TELL, CONTRADICTS, NOT_YET, SUPPORTS


def headline(pooled: pd.Series) -> str:
    """The verdict on one arm, from a row of `pooled.pooled_trend`."""
    cannot_tell = (
        f"These results cannot tell whether the gain of {pooled['arm']} falls with capacity"
    )
    sentences = {
        SUPPORTS: _course_of(pooled, "falls"),
        CONTRADICTS: f"{_course_of(pooled, 'rises')}, against the paper's claim",
        CANNOT_TELL: cannot_tell,
        NOT_YET: _not_yet(pooled),
    }
    return f"{sentences[pooled['verdict']]}: {_numbers(pooled)}."


def short_verdict(pooled: pd.Series) -> str:
    """The verdict on one arm with one number and its interval, from a row of `pooled_trend`."""
    arm = pooled["arm"]
    says = {
        SUPPORTS: f"The gain of {arm} falls with capacity",
        CONTRADICTS: f"The gain of {arm} rises with capacity, against the paper's claim",
        CANNOT_TELL: f"Cannot tell whether the gain of {arm} falls with capacity",
        NOT_YET: _not_yet(pooled),
    }
    slope = (
        f"{signed(pooled['slope'])} points per doubling of the {pooled['measure']} "
        f"({_interval(pooled)})"
    )
    return f"{says[pooled['verdict']]}: {slope}."


def _not_yet(pooled: pd.Series) -> str:
    return f"There is no verdict yet on whether the gain of {pooled['arm']} falls with capacity"


def _course_of(pooled: pd.Series, verb: str) -> str:
    """What the gain does, without a claim about every width where the course may differ."""
    if pooled["all_along"]:
        return f"The gain of {pooled['arm']} {verb} from the smallest encoder to the largest"
    average = f"The gain of {pooled['arm']} {verb} on average over the {pooled['kind']}s"
    if pooled["shape"] in (FALLS, RISES, FLAT):
        return f"{average}, but its course is not shown to be one-way"
    return f"{average}, but {course(pooled)}"


def course(row: pd.Series) -> str:
    """The shape of a course in words, from a row of a table of trends."""
    return _COURSES[row["shape"]].format(turn=row["turn"], kind=row["kind"])


_COURSES = {
    FALLS: "it falls",
    RISES: "it rises",
    FLAT: "no two {kind}s are shown to differ",
    HUMP: "it has a hump: {turn} gains more than the smallest and the largest",
    DIP: "it has a dip: {turn} gains less than the smallest and the largest",
    TURNS: "it turns: it falls between some {kind}s and rises between others",
    "": "its lines have different numbers of {kind}s, so their mean has no course",
}


def _numbers(pooled: pd.Series) -> str:
    ends = (
        f"{signed(pooled['smallest'])} points at the smallest encoder, "
        f"{signed(pooled['largest'])} at the largest"
    )
    if math.isfinite(pooled["fall_low"]):
        fall = span(pooled["fall_low"], pooled["fall_high"])
        ends += f" (difference {signed(pooled['fall'])}, {_level(pooled)} interval {fall})"
    return (
        f"{ends}; slope {signed(pooled['slope'])} per doubling of the {pooled['measure']} "
        f"({_interval(pooled)}; two-sided p {probability(pooled['p_holm'])}; "
        f"{counted(pooled['datasets'], 'data set')}, {counted(pooled['lines'], 'line')}, "
        f"{counted(pooled['widths'], pooled['kind'])}, {repeats(pooled)})"
    )


def repeats(row: pd.Series) -> str:
    """What was repeated, from a row of a table of trends: searches, or the seeds of one search."""
    seeds = counted(row["seeds"], "seed")
    if row["searches"] > 1:
        return f"{counted(row['searches'], 'search')} of every cell with {seeds} each"
    return f"one search of every cell with {seeds}"


def _interval(row: pd.Series) -> str:
    """The interval of the slope with its level."""
    if not math.isfinite(row["low"]):
        return "no interval"
    return f"{_level(row)} interval {span(row['low'], row['high'])}"


def _level(row: pd.Series) -> str:
    """The level of the interval, and what it makes up for where that is not 95 %."""
    if row["level"] >= LEVEL + 1e-9:
        return f"{percent(row['level'])} (in all {percent(LEVEL)})"
    return percent(LEVEL)
