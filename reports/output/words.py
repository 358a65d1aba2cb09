"""Findings as sentences: what the numbers say, and what they cannot."""

from __future__ import annotations

import math

import pandas as pd

from reports.statistics.intervals import smallest_sign_flip_p
from reports.statistics.power import ALPHA
from reports.statistics.trend import CONTRADICTS, SUPPORTS


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


def counted(number: float, noun: str) -> str:
    """A number with its noun, in the plural where it is not one."""
    plural = "es" if noun.endswith("ch") else "s"
    return f"{int(number)} {noun}" + ("" if number == 1 else plural)


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


def needed(count: float) -> str:
    """How many seeds or widths a verdict would take."""
    if math.isnan(count):
        return ""
    return f"about {int(count)}" if math.isfinite(count) else "more than 1,000"


def mixed_words(mixed: pd.DataFrame, overlaps: pd.DataFrame) -> list[str]:
    """What makes rows incomparable, from `fairness.mixed_runs` and `Selection.overlaps`."""
    notes = [
        f"{row['dataset']} {row['method']} {row['encoder']}: runs differ in {row['setting']} "
        f"({row['values']}); their accuracies are not comparable."
        for row in mixed.to_dict("records")
    ]
    for (kept, left_out), rows in overlaps.groupby(["kept", "left_out"]):
        notes.append(
            f"{counted(len(rows), 'problem')} (data set, method, encoder, width) in both {kept} "
            f"and {left_out}: only {kept} counts, the later given. Use --compare to see both."
        )
    return notes


def compute_match(pairs: pd.DataFrame) -> str:
    """Whether the arms were matched in epochs or in compute, from the pairs' own columns."""
    if pairs.empty:
        return ""
    parts: dict[str, list[str]] = {}
    for (method, arm), group in pairs.groupby(["method", "arm"]):
        ratio = group["compute_ratio"].median()
        same = bool((group["epochs"] == group["epochs_none"]).all())
        match = "equal epochs" if same else "different epochs"
        cost = (
            f"{ratio:.3g} times the baseline's training FLOPs"
            if math.isfinite(ratio)
            else ("training FLOPs not recorded")
        )
        parts.setdefault(f"on {method}: {match}, {cost}", []).append(str(arm))
    equal = pairs["compute_ratio"].between(0.98, 1.02).all()
    title = "Arms are matched in compute" if equal else "Arms are not matched in compute"
    each = "; ".join(f"{', '.join(arms)} {match}" for match, arms in parts.items())
    return f"{title} ({each})."


def equivalence_words(table: pd.DataFrame) -> str:
    """The capacity factors in words, a sentence an arm, from `equivalence.equivalence_table`."""
    sentences = []
    for arm, rows in table.groupby("arm", sort=True):
        within = rows.loc[rows["range"] == "within", "factor"]
        parts = []
        if len(within):
            low, high = f"{within.min():.2f}", f"{within.max():.2f}"
            parts.append(
                f"to match {arm} without mixing, the encoder would need "
                f"{low if low == high else f'{low} to {high}'} times the parameters"
            )
        for where, place, bound in (
            ("beyond", "better than the largest", "lower"),
            ("below", "worse than the smallest", "upper"),
        ):
            count = int((rows["range"] == where).sum())
            if count:
                parts.append(
                    f"at {count} of {len(rows)} points {arm} is {place} baseline measured, so the "
                    f"factor is only {'an' if bound == 'upper' else 'a'} {bound} bound"
                )
        text = "; ".join(parts)
        sentences.append(text[:1].upper() + text[1:] + ".")
    return " ".join(sentences)


def fairness_words(searches: pd.DataFrame, unequal: pd.DataFrame) -> list[str]:
    """Whether the searches were fair, from `fairness.search_table` and `unequal_budgets`."""
    if searches.empty:
        return ["No tune trial completed: what was confirmed ran as configured."]
    notes = []
    if unequal.empty:
        notes.append("Every arm had as many tune trials as the baseline on the same problem.")
    else:
        notes.append(
            f"In {counted(len(unequal), 'search')} an arm and its baseline had different numbers "
            "of tune trials: their gains are not to be trusted until both searches are finished."
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
            f"Partial results: of {counted(len(tuned | confirmed), 'cell')}, "
            f"{len(tuned - confirmed)} without a confirm run yet."
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
