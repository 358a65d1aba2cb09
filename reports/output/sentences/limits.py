"""What a study leaves open: it is too small for it, or was not designed for it."""

from __future__ import annotations

import pandas as pd

from reports.output.numbers import counted, probability, signed, span
from reports.output.sentences.missing_verdict import missing_verdict
from reports.output.sentences.verdict import course
from reports.statistics.capacity import kind_of
from reports.statistics.intervals import ALPHA, smallest_sign_flip_p
from reports.statistics.selection import LINE_ARM
from reports.statistics.shape import DIP, HUMP, TURNS
from reports.statistics.verdict import SUPPORTS


def limits(gains: pd.DataFrame, pooled: pd.DataFrame) -> list[str]:
    """What this study is too small to show, one sentence each.

    Args:
        gains: `gain.gain_table`.
        pooled: `pooled.pooled_trend`.
    """
    if gains.empty:
        return ["No pair of confirm trials is complete yet, so there is no gain to report."]
    notes = [*_few_units(gains), *_few_widths(gains)]
    for _, row in pooled.iterrows():
        of_arm = [*_records(row), *_unit(row), *missing_verdict(row), *_shape(row), *_others(row)]
        notes += [f"{row['arm']}: {note}" for note in of_arm]
    return notes


def _few_units(gains: pd.DataFrame) -> list[str]:
    repeated = gains["searches"] > 1
    fewest = int(gains["searches"].where(repeated, gains["pairs"]).min())
    floor = smallest_sign_flip_p(fewest)
    if fewest < 2:
        return ["Where there is one pair, a gain has no interval and no test: it shows no spread."]
    if floor > ALPHA:
        unit = "searches" if repeated.any() else "seeds"
        return [
            f"With {fewest} {unit} the exact sign-flip test cannot go below p = "
            f"{probability(floor)}, however large the gain: single gains rest on Student's "
            f"interval, which assumes normal differences. Six {unit} or more lift this limit."
        ]
    return []


def _few_widths(gains: pd.DataFrame) -> list[str]:
    lines = gains.groupby(LINE_ARM)
    widths = lines.size()
    kind = kind_of(gains["size"])
    if widths.min() < 2:
        return [
            f"Gains at one {kind} show no trend: that takes two {kind}s or more, and several "
            "searches of every cell."
        ]
    if (widths[lines["searches"].max() == 1] == 2).any():
        return [
            f"Two {kind}s always lie on a line: luck in the search of one of them cannot be told "
            "from a trend where every cell was searched once. The interval of the slope does not "
            "contain this luck, and there is no verdict. A verdict takes two searches or more "
            f"of every cell, or three {kind}s or more."
        ]
    return []


def _unit(row: pd.Series) -> list[str]:
    """What the verdict is judged over."""
    notes = []
    if row["searches"] > 1:
        notes.append(
            f"the slope is judged over {counted(row['searches'], 'search')} of every cell. Each "
            "gives one slope, so luck in a search is part of the interval."
        )
    else:
        notes.append(
            f"every cell was searched once. A lucky search at one {row['kind']} and an effect of "
            f"the {row['kind']} look the same then. A verdict assumes that the true course is "
            f"straight and that luck is equally large at every {row['kind']}. Several searches "
            "(searches: 3) need neither assumption."
        )
    if row["left_out"]:
        verb = "that was" if row["left_out"] == 1 else "that were"
        notes.append(
            f"{counted(row['left_out'], 'line')} {verb} searched once cannot count in the slope of "
            "all lines, since one search does not show how large its luck is."
        )
    return notes


def _records(row: pd.Series) -> list[str]:
    if not row["lost"]:
        return []
    repeated = row["searches"] > 1
    one, several = ("search of a cell", "searches of cells") if repeated else ("pair", "pairs")
    lost = f"{one} is" if row["lost"] == 1 else f"{several} are"
    return [
        f"{int(row['lost'])} {lost} missing. Each cell counts with what it has, and the errors are "
        "taken cell by cell."
    ]


def _shape(row: pd.Series) -> list[str]:
    unit = "searches" if row["searches"] > 1 else "seeds"
    if row["shape"] in (HUMP, DIP, TURNS):
        luck = f" Luck in the search of one {row['kind']} would look the same."
        return [
            f"a straight line does not describe the gain: {course(row)} (over {unit}, after "
            f"Bonferroni).{luck if row['searches'] == 1 else ''}"
        ]
    if row["p_straight"] < ALPHA:
        luck = ", or some searches had luck" if row["searches"] == 1 else ""
        return [
            f"the course over the {row['kind']}s is not straight (p "
            f"{probability(row['p_straight'])} over {unit}): it is curved{luck}. The slope is its "
            "average."
        ]
    return []


def _others(row: pd.Series) -> list[str]:
    if row["datasets"] == 1:
        return ["this is one data set: its slope says nothing about others."]
    if not row["like_p"] < ALPHA and row["verdict"] == SUPPORTS:
        return [
            f"the verdict holds for these {row['datasets']} data sets. For others like them the "
            f"slope may be anywhere from {span(row['like_low'], row['like_high'])}, so its sign is "
            "not known."
        ]
    return []


def ceiling_words(pooled: pd.DataFrame, log_odds: pd.DataFrame) -> list[str]:
    """Arms whose gain the ceiling at 100 % may lower, from `pooled_trend` in both scales."""
    other = log_odds.set_index("arm")
    notes = []
    for row in pooled[pooled["verdict"] == SUPPORTS].to_dict("records"):
        slope = other.loc[row["arm"]]
        if slope["verdict"] != SUPPORTS:
            notes.append(
                f"{row['arm']}: in log odds, which the ceiling at 100 % does not shrink, the fall "
                f"is not shown ({signed(slope['slope'], 3)} per doubling, 95 % interval "
                f"{span(slope['low'], slope['high'], 3)}): the ceiling may explain the "
                "fall in points."
            )
    return notes


def method_words(trends: pd.DataFrame) -> list[str]:
    """Arms whose slope has another sign with each method, from `trend.trend_table`."""
    notes = []
    for arm, rows in trends.groupby("arm", sort=True):
        slopes = rows.groupby("method", sort=True)["slope"].mean().dropna()
        if len(slopes) > 1 and slopes.min() < 0 < slopes.max():
            each = ", ".join(f"{signed(slope)} with {name}" for name, slope in slopes.items())
            notes.append(
                f"{arm}: the sign of the slope differs between methods ({each}); the slope of all "
                "lines is their mean."
            )
    return notes
