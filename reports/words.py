"""Findings as sentences: what the numbers say, and what they cannot."""

from __future__ import annotations

import math

import pandas as pd

from reports.intervals import smallest_sign_flip_p
from reports.trend import ALPHA, CONTRADICTS, SUPPORTS


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, a real minus, or a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:+.{digits}f}".replace("-", "−")


def span(low: float, high: float, digits: int = 2) -> str:
    """An interval in words."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "no interval"
    return f"{signed(low, digits)} to {signed(high, digits)}"


def factor_span(low: float, high: float) -> str:
    """An interval of factors; an end outside the sizes measured is said in words."""
    if math.isnan(low) or math.isnan(high):
        return "no interval"
    left = f"{low:.2f}" if low > 0 else "below the range"
    right = f"{high:.2f}" if math.isfinite(high) else "beyond the range"
    return f"{left} to {right}"


def probability(p: float) -> str:
    """A p-value as it is printed."""
    if not math.isfinite(p):
        return "–"
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def headline(pooled: pd.Series) -> str:
    """The verdict on one arm in one sentence with its numbers, from a row of `pooled_trend`."""
    arm, slope = pooled["arm"], pooled["slope"]
    numbers = (
        f"{signed(slope)} points per doubling of the parameters "
        f"(95 % interval {span(pooled['low'], pooled['high'])}; "
        f"one-sided p {probability(pooled['p'])}; "
        f"{counted(pooled['datasets'], 'data set')}, {counted(pooled['lines'], 'line')}, "
        f"{counted(pooled['widths'], 'width')}, "
        f"{counted(pooled['seeds'], 'seed')})"
    )
    if pooled["verdict"] == SUPPORTS:
        return f"The gain of {arm} shrinks as the encoder grows: {numbers}."
    if pooled["verdict"] == CONTRADICTS:
        return f"The gain of {arm} grows with the encoder, against the paper's claim: {numbers}."
    return f"These results cannot tell whether the gain of {arm} changes with capacity: {numbers}."


def counted(number: float, noun: str) -> str:
    """A number with its noun, in the plural where it is not one."""
    return f"{int(number)} {noun}" + ("" if number == 1 else "s")


def limits(gains: pd.DataFrame, pooled: pd.DataFrame) -> list[str]:
    """What this study is too small to show, one sentence each."""
    notes = []
    if gains.empty:
        return ["No pair of confirm runs is complete yet, so there is no gain to report."]
    fewest = int(gains["pairs"].min())
    floor = smallest_sign_flip_p(fewest)
    if fewest < 2:
        notes.append("With one seed there is no interval and no test: the gain is a single draw.")
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
            "from a trend, and the interval of the slope does not contain it. Three widths or "
            "more can."
        )
    for _, row in pooled.iterrows():
        notes += _limits_of_trend(row)
    return notes


def _limits_of_trend(row: pd.Series) -> list[str]:
    notes = []
    if row["verdict"] not in (SUPPORTS, CONTRADICTS):
        if row["p_seeds"] < ALPHA <= row["p_widths"]:
            notes.append(
                f"{row['arm']}: the seeds agree on a falling gain "
                f"(p {probability(row['p_seeds'])}), but the widths scatter about "
                "the line, and few of them cannot rule out luck in "
                f"their searches (p {probability(row['p_widths'])}). More widths or data sets, not "
                "more seeds, would settle it."
            )
        elif not math.isfinite(row["p"]):
            notes.append(f"{row['arm']}: the slope has no interval; it takes two seeds or more.")
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


def compute_match(pairs: pd.DataFrame) -> str:
    """Whether the arms were matched in epochs or in compute, from the pairs' own columns."""
    if pairs.empty:
        return ""
    parts = []
    for (arm, method), group in pairs.groupby(["arm", "method"]):
        ratio = group["compute_ratio"].median()
        same = bool((group["epochs"] == group["epochs_none"]).all())
        match = "equal epochs" if same else "different epochs"
        cost = (
            f"{ratio:.3g} times the baseline's training FLOPs"
            if math.isfinite(ratio)
            else ("training FLOPs not recorded")
        )
        parts.append(f"{arm} on {method}: {match}, {cost}")
    equal = pairs["compute_ratio"].between(0.98, 1.02).all()
    title = "Arms are matched in compute" if equal else "Arms are not matched in compute"
    return f"{title} ({'; '.join(parts)})."


def equivalence_words(table: pd.DataFrame) -> str:
    """The capacity factors in one sentence, from `equivalence.equivalence_table`."""
    if table.empty:
        return ""
    within = table[table["range"] == "within"]
    beyond = int((table["range"] == "beyond").sum())
    parts = []
    if len(within):
        parts.append(
            f"without mixing, the encoder would need {within['factor'].min():.2f} to "
            f"{within['factor'].max():.2f} times the parameters to match the arm"
        )
    if beyond:
        parts.append(
            f"at {beyond} of {len(table)} points the arm is beyond the largest baseline measured, "
            "and the factor is only a lower bound"
        )
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "." if text else ""


def fairness_words(searches: pd.DataFrame, unequal: pd.DataFrame) -> list[str]:
    """Whether the searches were fair, from `fairness.search_table` and `unequal_budgets`."""
    if searches.empty:
        return ["Nothing was tuned: both arms ran as configured."]
    notes = []
    if unequal.empty:
        notes.append("Every arm had as many trials as the baseline on the same problem.")
    else:
        notes.append(
            f"In {counted(len(unequal), 'cell')} the arm and the baseline had different numbers of "
            "trials: their gains are not to be trusted until the search is finished."
        )
    late = searches[searches["late"]].groupby("arm").size()
    if len(late):
        each = ", ".join(f"{count} of {arm}" for arm, count in late.items())
        notes.append(
            f"In {counted(int(late.sum()), 'cell')} ({each}) the best trial came in the last fifth "
            "of the search, which a longer one may still improve."
        )
    return notes


def partial(trials: pd.DataFrame, gains: pd.DataFrame, unpaired: pd.DataFrame) -> list[str]:
    """What is still missing, where a study is not finished or lost trials."""
    notes = []
    tuned = set(trials.loc[trials["phase"] == "tune", "cell"].dropna())
    confirmed = set(trials.loc[trials["phase"] == "confirm", "cell"].dropna())
    if tuned - confirmed:
        notes.append(
            f"Partial results: {counted(len(tuned - confirmed), 'cell')} of "
            f"{len(tuned | confirmed)} have no confirm run yet."
        )
    if not unpaired.empty:
        notes.append(
            f"{counted(len(unpaired), 'confirm run')} without the other half of the pair; left out "
            "and named below."
        )
    if not gains.empty and gains["pairs"].nunique() > 1:
        notes.append(
            f"Gains rest on {gains['pairs'].min()} to {gains['pairs'].max()} pairs, not the same "
            "number everywhere."
        )
    return notes
