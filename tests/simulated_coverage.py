"""Simulated studies with known truth: how often intervals hold it and verdicts are false.

    python -m tests.simulated_coverage STUDIES [GROUP...]

prints the tables in docs/statistics.md: all groups, or those that are named. The slow tests run the
same functions.
"""

from __future__ import annotations

import gc
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from reports.statistics.capacity import with_capacity
from reports.statistics.equivalence import WITHIN, equivalence_table
from reports.statistics.hierarchy import bootstrap_lines
from reports.statistics.intervals import ALPHA, bca_interval, t_interval
from reports.statistics.lines import Line, contrast
from reports.statistics.looks import FUTILE, LookPlan, chance_of_verdict
from reports.statistics.pooled import over_datasets, trend_of
from reports.statistics.power import detectable_slope
from reports.statistics.scaling import scaling_table
from reports.statistics.selection import Selection
from reports.statistics.shape import monotone_p
from reports.statistics.units import by_unit
from reports.statistics.verdict import CANNOT_TELL, CONTRADICTS, SUPPORTS
from reports.statistics.verdict import judge as judge_trends
from tests.synthetic_study import Truth

STUDIES = 2000
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

NOISES: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy tails": lambda rng, shape: rng.standard_t(4, shape) / np.sqrt(2),
    "skewed": lambda rng, shape: rng.exponential(size=shape) - 1,
}


def draw_pairs(truth: Truth, rng: np.random.Generator) -> pd.DataFrame:
    """A `pairs` frame straight from the truth."""
    problems = list(itertools.product(truth.datasets, truth.methods, truth.widths))
    dataset, method, width = (np.array(column) for column in zip(*problems, strict=True))
    parameters = truth.parameters(1) * width**2
    x = 2 * np.log2(width / truth.widths[0])
    mean = truth.gain + truth.slope * x + rng.normal(0, truth.luck, len(problems))
    columns = {"dataset": dataset, "method": method, "width": width, "parameters": parameters}
    pairs = pd.DataFrame(
        {name: np.repeat(column, truth.seeds) for name, column in columns.items()}
        | {
            "encoder": truth.encoder,
            "arm": "mixco",
            "search": 0,
            "seed": np.tile(np.arange(truth.seeds), len(problems)),
            "gain": np.repeat(mean, truth.seeds)
            + rng.normal(0, truth.noise, truth.seeds * len(problems)),
        }
    )
    return with_capacity(pairs)


@dataclass(frozen=True)
class Trouble:
    """What a study may have that a straight line with equal, independent errors has not."""

    curve: Sequence[float] = (0.0, 0.0, 0.0, 0.0)
    """True gain at each width, points."""
    luck: Sequence[float] = (0.0, 0.0, 0.0, 0.0)
    """Standard deviation of each width's search, points."""
    noise: Sequence[float] = (0.3, 0.3, 0.3, 0.3)
    """Standard deviation of a gain over seeds at each width, points."""
    shared: float = 0.0
    """Correlation of the noise of one seed and width between lines."""
    lost: float = 0.0
    """Share of trials that were lost; a pair is lost with either half."""
    kind: str = "normal"
    """How luck is distributed, one of `NOISES`."""


def draw_lines(truth: Truth, trouble: Trouble, rng: np.random.Generator) -> list[Line]:
    """The lines of a study with the design of ``truth`` and the gains of ``trouble``.

    Rows are searches with one seed each where the truth has several searches, else seeds. They are
    arrays from the start: this takes a tenth of the time of `draw_pairs`.
    """
    names = [dataset for dataset in truth.datasets for _ in truth.methods]
    repeated = truth.searches > 1
    shape = (len(names), truth.searches if repeated else truth.seeds, len(truth.widths))
    own, common = rng.normal(size=shape), rng.normal(size=shape[1:])
    noise = math.sqrt(1 - trouble.shared) * own + math.sqrt(trouble.shared) * common
    fresh = shape if repeated else (len(names), 1, len(truth.widths))
    luck = NOISES[trouble.kind](rng, fresh) * np.array(trouble.luck)
    gains = np.array(trouble.curve) + luck + noise * np.array(trouble.noise)
    gains[rng.random(shape) > (1 - trouble.lost) ** 2] = np.nan
    lines = []
    for name, scores in zip(names, gains, strict=True):
        there = ~np.isnan(scores).all(axis=0)
        widths = np.array(truth.widths)[there]
        sizes = truth.parameters(1) * widths.astype(float) ** 2
        seeds = 1 if repeated else None
        lines.append(Line(name, tuple(widths.tolist()), sizes, scores[:, there], seeds))
    return lines


def judge(lines: list[Line], brief: bool = True) -> dict[str, Any]:
    """The mean trend of the lines of the only arm, as `pooled_trend` has it, with its verdict."""
    lines = [line for line in lines if len(line.capacities) > 1]
    return judge_trends([trend_of(lines, lines, brief)])[0]


def verdicts(truth: Truth, trouble: Trouble, studies: int) -> dict[str, float]:
    """Percent of verdicts of each kind on all lines together, and of intervals with the slope.

    The true slope is that of the least-squares line through the true course. "all along" counts
    the headlines that say that the gain falls from the smallest encoder to the largest.
    """
    rng = np.random.default_rng(truth.searches * truth.seeds)
    sizes = np.array([float(truth.parameters(width)) for width in truth.widths])
    slope = float(contrast(sizes) @ np.array(trouble.curve))
    curved = len(set(trouble.curve)) > 1
    names = ("coverage", SUPPORTS, CONTRADICTS, *(["supports, all along"] if curved else []))
    counts = dict.fromkeys(names, 0)
    for _ in range(studies):
        row = judge(draw_lines(truth, trouble, rng), brief=not curved)
        counts["coverage"] += held((row["low"], row["high"]), slope)
        if row["verdict"] != CANNOT_TELL:
            counts[row["verdict"]] += 1
        if curved:
            counts[names[-1]] += row["verdict"] == SUPPORTS and bool(row["all_along"])
    return {name: 100 * value / studies for name, value in counts.items()}


def any_verdict_of_many_looks(truth: Truth, studies: int) -> dict[str, float]:
    """Percent of studies without a trend that have a verdict at some look, one after each seed."""
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(("one look, at the end", "a look after each seed from 3 on"), 0)
    for _ in range(studies):
        lines = draw_lines(truth, Trouble(), rng)
        found = [
            judge([replace(line, scores=line.scores[:seeds]) for line in lines])["verdict"]
            != CANNOT_TELL
            for seeds in range(3, truth.seeds + 1)
        ]
        counts["one look, at the end"] += found[-1]
        counts["a look after each seed from 3 on"] += any(found)
    return {name: 100 * value / studies for name, value in counts.items()}


def of_looks(
    plan: LookPlan, studies: int, slope: float = 0.0, kind: str = "normal"
) -> dict[str, float]:
    """Verdicts of studies that grow search by search, in percent, and the searches they took.

    Args:
        plan: of the looks.
        studies: to draw.
        slope: true slope of every search, in standard deviations of a search's slope.
        kind: how searches are distributed, one of `NOISES`.

    Returns:
        "planned": studies with a verdict at some look at its own level. "futile": studies that
        were called futile at a look before the last. "stopped": verdicts of studies that stop where
        they are called futile. "searches": that such studies took, on average. "not planned":
        verdicts at some look at 5 %. "one look": verdicts at the end alone.
    """
    slopes = slope + NOISES[kind](np.random.default_rng(plan.last), (studies, plan.last))
    running = np.ones(studies, bool)
    any_planned, any_time, stopped, futile = (np.zeros(studies, bool) for _ in range(4))
    searches = np.zeros(studies)
    for look in range(plan.first, plan.last + 1):
        p = stats.ttest_1samp(slopes[:, :look], 0, axis=1).pvalue
        shown = p < plan.until(look).nominal()
        any_planned |= shown
        any_time |= p < ALPHA
        stopped |= running & shown
        searches[running] = look
        running &= ~shown
        if look < plan.last:
            hopeless = running & (chance_of_verdict(p, plan, look) < FUTILE)
            futile |= hopeless
            running &= ~hopeless
    shares = {
        "planned": any_planned,
        "stopped": stopped,
        "futile": futile,
        "not planned": any_time,
        "one look": p < ALPHA,
    }
    found = {name: 100 * float(share.mean()) for name, share in shares.items()}
    return found | {"searches": float(searches.mean())}


def held(interval: tuple[float, float], truth: float) -> bool:
    """Whether an interval holds the truth."""
    return interval[0] <= truth <= interval[1]


def gain_coverage(seeds: int, studies: int, noise: str = "normal") -> dict[str, float]:
    """Percent of intervals of one gain that hold it."""
    rng = np.random.default_rng(seeds)
    draws = NOISES[noise](rng, (studies, seeds))
    found = {"Student's t": np.mean([held(t_interval(row), 0) for row in draws])}
    if not np.isnan(bca_interval(draws[0])[0]):
        found["BCa, expanded"] = np.mean([held(bca_interval(r, resamples=1999), 0) for r in draws])
    plain = stats.bootstrap(
        (draws[: studies // 4, :],), np.mean, axis=-1, method="BCa", n_resamples=999, rng=rng
    ).confidence_interval
    found["BCa as scipy gives it"] = np.mean((plain.low <= 0) & (plain.high >= 0))
    return {name: 100 * float(value) for name, value in found.items()}


def plain(truth: Truth) -> Trouble:
    """Nothing but the luck and the noise of ``truth``; the true gain is the same everywhere."""
    sizes = len(truth.widths)
    return Trouble((0.0,) * sizes, (truth.luck,) * sizes, (truth.noise,) * sizes)


def slope_coverage(truth: Truth, studies: int, seed: int = 0) -> dict[str, float]:
    """Percent of intervals of the first line's slope that hold it, and of false verdicts.

    The slope must be zero: then every verdict is false, on either side.
    """
    rng = np.random.default_rng(seed)
    counts = dict.fromkeys(("over seeds", "over widths", "the wider"), 0)
    alarms = dict.fromkeys(("false, seeds only", "false", "false, any line after Holm"), 0)
    for _ in range(studies):
        lines = draw_lines(truth, plain(truth), rng)
        rows = judge_trends([trend_of([line], lines, brief=True) for line in lines])
        row = rows[0]
        counts["over seeds"] += held((row["seeds_low"], row["seeds_high"]), truth.slope)
        counts["over widths"] += held((row["widths_low"], row["widths_high"]), truth.slope)
        counts["the wider"] += held((row["low"], row["high"]), truth.slope)
        alarms["false, seeds only"] += row["p_seeds"] < ALPHA
        alarms["false"] += row["p"] < ALPHA
        alarms["false, any line after Holm"] += any(r["verdict"] != CANNOT_TELL for r in rows)
    return {name: 100 * value / studies for name, value in (counts | alarms).items()}


def pooled_coverage(
    truth: Truth, studies: int, spread: float = 0.0, seed: int = 0
) -> dict[str, float]:
    """Percent of pooled intervals that hold the mean slope, and of verdicts (of the pool).

    "pooled" speaks of the data sets drawn, the others of those they were drawn from.

    Args:
        truth: the design; its slope is the mean over all data sets there could be.
        studies: to draw.
        spread: standard deviation of a data set's own slope.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    names = ("pooled", "data sets like these", "hierarchical bootstrap", SUPPORTS, CONTRADICTS)
    counts = dict.fromkeys(names, 0)
    for _ in range(studies):
        own = truth.slope + rng.normal(0, spread, len(truth.datasets))
        slope_of = dict(zip(truth.datasets, own, strict=True))
        lines = [
            replace(line, scores=line.scores + slope_of[line.dataset] * np.log2(line.capacities))
            for line in draw_lines(truth, plain(truth), rng)
        ]
        row = judge(lines)
        slopes = [line.scores @ contrast(line.capacities) for line in lines]
        counts["pooled"] += held((row["low"], row["high"]), float(own.mean()))
        counts["data sets like these"] += held(over_datasets(lines).interval(), truth.slope)
        counts["hierarchical bootstrap"] += held(bootstrap_lines(slopes, rng, 499), truth.slope)
        if row["verdict"] != CANNOT_TELL:
            counts[row["verdict"]] += 1
    return {name: 100 * value / studies for name, value in counts.items()}


def verdict_power(truth: Truth, studies: int, luck: float = 0.0) -> dict[str, float]:
    """Percent of verdicts "supports" where the slope is what `mixco study plan` promises 80 % for.

    "one line": every other line is flat, the first step of Holm's correction.
    """
    rng = np.random.default_rng(truth.seeds)
    lines = len(truth.datasets) * len(truth.methods)
    sizes = [truth.parameters(width) for width in truth.widths]
    spread = truth.noise  # of a gain, as `draw_pairs` has it
    promise = [
        detectable_slope(
            sizes, truth.seeds, spread, lines, together, 1 if together else lines, luck
        )
        for together in (True, False)
    ]
    x = np.log2(np.array(sizes, dtype=float))
    truth = replace(truth, luck=luck)
    falling = replace(plain(truth), curve=-promise[0] * x)
    found = {"all lines": 0, "one line": 0}
    for _ in range(studies):
        found["all lines"] += judge(draw_lines(truth, falling, rng))["verdict"] == SUPPORTS
        first, *flat = draw_lines(truth, plain(truth), rng)
        drawn = [replace(first, scores=first.scores - promise[1] * x), *flat]
        rows = judge_trends([trend_of([line], drawn, brief=True) for line in drawn])
        found["one line"] += rows[0]["verdict"] == SUPPORTS
    return {name: 100 * count / studies for name, count in found.items()}


def exponent_coverage(truth: Truth, studies: int) -> dict[str, float]:
    """Percent of intervals of the scaling exponent that hold it, where error is a power law."""
    rng = np.random.default_rng(truth.seeds)
    truth = replace(truth, datasets=("digits",), methods=("moco",), ceiling=100.0)
    count = 0
    for _ in range(studies):
        selection = Selection(draw_confirm(truth, rng), 0, 0, pd.DataFrame())
        row = scaling_table(selection).set_index("arm").loc["none"]
        count += held((row["low"], row["high"]), truth.rate)
    return {"exponent": 100 * count / studies}


def monotone_alarms(truth: Truth, studies: int) -> float:
    """Percent of Page's tests below 5 %."""
    rng = np.random.default_rng(1)
    truth = replace(truth, methods=("moco",))
    return 100 * float(
        np.mean([monotone_p(by_unit(draw_pairs(truth, rng))) < ALPHA for _ in range(studies)])
    )


def true_factor(truth: Truth, doublings: float) -> float:
    """The factor by which the baseline must grow to match the arm, in closed form."""
    target = truth.baseline(doublings) + truth.gain + truth.slope * doublings
    left = (truth.ceiling - target) / (truth.ceiling - truth.floor)
    return float(2 ** (-np.log2(left) / truth.rate - doublings))


def factor_coverage(truth: Truth, studies: int) -> dict[str, float]:
    """Coverage (percent) and bias (median of found over true, percent) of the capacity factor."""
    rng = np.random.default_rng(truth.seeds)
    width = truth.widths[1]
    doublings = float(np.log2(truth.parameters(width) / truth.parameters(truth.widths[0])))
    factor = true_factor(truth, doublings)
    truth = replace(truth, datasets=("digits",), methods=("moco",))
    rows = []
    for _ in range(studies):
        selection = Selection(draw_confirm(truth, rng), 0, 0, pd.DataFrame())
        table = equivalence_table(selection)
        rows.append(table[table["width"] == width].iloc[0])
    found = pd.DataFrame(rows)
    assert (found["range"] == WITHIN).mean() > 0.95
    return {
        "coverage": 100 * float(((found["low"] <= factor) & (factor <= found["high"])).mean()),
        "bias": 100 * (float(found["factor"].median()) / factor - 1),
    }


def draw_confirm(truth: Truth, rng: np.random.Generator) -> pd.DataFrame:
    """Confirm rows of one line, with the columns that `equivalence_table` reads."""
    rows = []
    for width in truth.widths:
        x = float(np.log2(truth.parameters(width) / truth.parameters(truth.widths[0])))
        shared = rng.normal(0, truth.shared_noise, truth.seeds)
        for arm, lift in (("none", 0.0), ("mixco", truth.gain + truth.slope * x)):
            scores = truth.baseline(x) + lift + shared + rng.normal(0, truth.noise, truth.seeds)
            rows += [
                (
                    "digits",
                    "moco",
                    truth.encoder,
                    width,
                    arm,
                    0,
                    seed,
                    truth.parameters(width),
                    score,
                )
                for seed, score in enumerate(scores)
            ]
    columns = ["dataset", "method", "encoder", "width", "arm", "search", "seed"]
    return with_capacity(pd.DataFrame(rows, columns=[*columns, "parameters", "accuracy"]))


SEEDS = (3, 6, 10)
SEARCHES = (3, 5, 8)


def table(
    setting: str, measure: Callable[[int], dict[str, float]], counts: Sequence[int] = SEEDS
) -> None:
    """Print the rows of one setting, with a column for each number of seeds or searches."""
    columns = [measure(n) for n in counts]
    for name in dict.fromkeys(name for column in columns for name in column):
        cells = [f"{c[name]:.1f}" if name in c else "none" for c in columns]
        print(f"| {name} | {setting} | {' | '.join(cells)} |", flush=True)


def gains(studies: int) -> None:
    """Intervals of one gain."""
    for noise in NOISES:
        table(f"gain, {noise}", lambda n, noise=noise: gain_coverage(n, studies, noise))


def slopes(studies: int) -> None:
    """Intervals and verdicts of single lines."""
    for luck in (0.0, 0.5):
        for widths in ((4, 8, 16), (4, 8, 16, 32, 64)):
            truth = Truth(widths=widths, luck=luck, slope=0.0)
            setting = f"slope, {len(widths)} widths x 2 lines, luck {luck:g}"
            table(setting, lambda n, t=truth: slope_coverage(replace(t, seeds=n), studies))


def pools(studies: int) -> None:
    """Intervals and verdicts of all lines together."""
    for spread, luck in ((0.0, 0.0), (0.0, 0.5), (0.2, 0.0)):
        truth = Truth(datasets=("a", "b", "c", "d"), luck=luck, slope=0.0)
        setting = f"pooled slope, 4 data sets, luck {luck:g}, spread {spread:g}"
        table(
            setting, lambda n, t=truth, s=spread: pooled_coverage(replace(t, seeds=n), studies, s)
        )


TROUBLES: dict[str, tuple[Truth, Trouble]] = {
    "flat, 4 lines share seeds (0.3)": (Truth(datasets=("a", "b")), Trouble(shared=0.3)),
    "flat, 4 lines share seeds (0.3), luck 0.15": (
        Truth(datasets=("a", "b")),
        Trouble(shared=0.3, luck=(0.15,) * 4),
    ),
    "flat, luck 0.1, at the largest 0.9": (Truth(), Trouble(luck=(0.1, 0.1, 0.1, 0.9))),
    "flat, luck 0.1, at an isolated largest 0.9": (
        Truth(widths=(4, 8, 16, 128)),
        Trouble(luck=(0.1, 0.1, 0.1, 0.9)),
    ),
    "flat, noise 0.1, at the largest 0.9": (Truth(), Trouble(noise=(0.1, 0.1, 0.1, 0.9))),
    "flat, unequal spacing": (Truth(widths=(4, 8, 12)), Trouble((0,) * 3, (0,) * 3, (0.3,) * 3)),
    "flat, 5 % of trials lost": (Truth(), Trouble(lost=0.05)),
    "falls by 0.06 a doubling, all pairs": (Truth(), Trouble(curve=(0.36, 0.24, 0.12, 0.0))),
    "falls by 0.06 a doubling, 5 % of trials lost": (
        Truth(),
        Trouble(curve=(0.36, 0.24, 0.12, 0.0), lost=0.05),
    ),
    "step from 2 to 0.5": (Truth(), Trouble(curve=(2.0, 2.0, 0.5, 0.5))),
    "step from 2 to 0.5, 1 line": (
        Truth(methods=("moco",)),
        Trouble(curve=(2.0, 2.0, 0.5, 0.5)),
    ),
    "hump 1.0, 2.3, 0.6, 0.4, 0.2": (
        Truth(widths=(4, 8, 16, 32, 64)),
        Trouble((1.0, 2.3, 0.6, 0.4, 0.2), (0.0,) * 5, (0.3,) * 5),
    ),
}
"""Settings of two lines and four widths, where a name does not say otherwise."""


def troubles(studies: int) -> None:
    """Verdicts where the errors are not equal or not independent, or the course is not straight."""
    for setting, (truth, trouble) in TROUBLES.items():
        table(setting, lambda n, t=truth, e=trouble: verdicts(replace(t, seeds=n), e, studies))


OF_SEARCHES: dict[str, tuple[Truth, Trouble]] = {
    "flat, two widths, 1 line, luck 0.3": (
        Truth(methods=("moco",), widths=(4, 16)),
        Trouble((0.0,) * 2, (0.3,) * 2, (0.3,) * 2),
    ),
    "flat, luck 0.3": (Truth(), Trouble(luck=(0.3,) * 4)),
    "flat, skewed luck 0.5": (Truth(), Trouble(luck=(0.5,) * 4, kind="skewed")),
    "flat, luck with heavy tails 0.5": (Truth(), Trouble(luck=(0.5,) * 4, kind="heavy tails")),
    **{name: both for name, both in TROUBLES.items() if name.startswith("flat")},
    "flat, luck 0.1, at the largest 0.9, 5 % of trials lost": (
        Truth(),
        Trouble(luck=(0.1, 0.1, 0.1, 0.9), lost=0.05),
    ),
    "flat, luck 0.1, at the largest 0.9, 20 % of trials lost": (
        Truth(),
        Trouble(luck=(0.1, 0.1, 0.1, 0.9), lost=0.2),
    ),
    "hump 0, 1, 1, 0": (Truth(), Trouble(curve=(0.0, 1.0, 1.0, 0.0), luck=(0.3,) * 4)),
    **{name: both for name, both in TROUBLES.items() if not name.startswith("flat")},
    "optima drift: luck 0.3, mean +0.2 a doubling": (
        Truth(),
        Trouble(curve=(0.0, 0.4, 0.8, 1.2), luck=(0.3,) * 4),
    ),
}
"""Settings of several searches with one seed each. Where the truth is flat or has no mean slope,
every verdict is false. Drifting optima are a trend of what was measured, which no repetition of the
same search tells from one of the arm."""


def searches(studies: int) -> None:
    """Verdicts over searches, under the same troubles and more."""
    for setting, (truth, trouble) in OF_SEARCHES.items():
        table(
            setting,
            lambda n, t=truth, e=trouble: verdicts(replace(t, searches=n, seeds=1), e, studies),
            SEARCHES,
        )


LOOKS = (LookPlan(2, 6), LookPlan(3, 6), LookPlan(3, 8), LookPlan(3, 12))


def planned_looks(studies: int) -> None:
    """Verdicts of studies that grow search by search, flat and with a slope."""
    for plan in LOOKS:
        for setting, slope, kind in (
            ("flat", 0.0, "normal"),
            ("flat, heavy tails", 0.0, "heavy tails"),
            ("flat, skewed", 0.0, "skewed"),
            ("slope 1 sd", 1.0, "normal"),
            ("slope 2 sd", 2.0, "normal"),
        ):
            found = of_looks(plan, 20 * studies, slope, kind)
            cells = " | ".join(f"{found[name]:.1f}" for name in found)
            print(f"| {plan.first} to {plan.last} | {setting} | {cells} |", flush=True)


def looks(studies: int) -> None:
    """Verdicts where someone looks after each seed."""
    for name, share in any_verdict_of_many_looks(Truth(seeds=20), studies).items():
        print(f"| any verdict | flat, {name}, 20 seeds | {share:.1f} |", flush=True)


def capacities(studies: int) -> None:
    """Page's test, capacity factors and scaling exponents."""
    flat = Truth(slope=0.0)
    table(
        "Page's test, no trend",
        lambda n: {"false": monotone_alarms(replace(flat, seeds=n), studies)},
    )
    wide = Truth(widths=(4, 8, 16, 32, 64), slope=-0.2)
    table("capacity factor", lambda n: factor_coverage(replace(wide, seeds=n), studies))
    table("scaling", lambda n: exponent_coverage(replace(wide, seeds=n), studies))


def powers(studies: int) -> None:
    """Verdicts where `mixco study plan` promises 80 % power."""
    for luck in (0.0, 0.3):
        for widths in ((4, 8, 16), (4, 8, 16, 32, 64)):
            four = Truth(datasets=("a", "b"), widths=widths)
            for lines, truth in ((4, four), (1, replace(four, datasets=("a",), methods=("moco",)))):
                table(
                    f"power 80 promised, {len(widths)} widths x {lines} lines, luck {luck:g}",
                    lambda n, t=truth, s=luck: verdict_power(replace(t, seeds=n), studies, s),
                )


GROUPS = {
    group.__name__: group
    for group in (gains, slopes, pools, troubles, searches, planned_looks, looks)
} | {group.__name__: group for group in (capacities, powers)}


def main(studies: int, groups: Sequence[str]) -> None:
    """Print the figures of the groups as a Markdown table."""
    gc.freeze()  # statsmodels collects garbage at each call: leave it little to look at
    error = 100 * math.sqrt(0.05 * 0.95 / studies)
    half = 100 * math.sqrt(0.25 / studies)
    print(f"{studies} studies; standard error {error:.1f} at 5 and 95 %, {half:.1f} at 50 %\n")
    for name in groups:
        if name == "planned_looks":
            print(
                "| looks | setting | planned | stopped | futile | not planned | one look | "
                "searches |"
            )
            print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
        else:
            unit, counts = ("searches", SEARCHES) if name == "searches" else ("seeds", SEEDS)
            print(f"| what | setting | {' | '.join(f'{n} {unit}' for n in counts)} |")
            print("| --- | --- | --- | --- | --- |", flush=True)
        GROUPS[name](studies)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES, sys.argv[2:] or list(GROUPS))
