"""Trials to a verdict: one full search against several cheaper ones, on measured learning curves.

    python -m benchmarks.equal_cost RESULTS [--arm NAME] [--slope POINTS] [--noise POINTS]
        [--studies N]

RESULTS holds a study of random configurations that were all trained to the end (``sampler:
random``, no stopping, ``knn_every: 1``), with the arms ``none`` and NAME at two widths or more.
Full and halved searches (`learning_curves`) are drawn from these configurations with replacement. A
study has 4 widths and 2 lines. Its widths draw from the measured ones in order: of two measured
widths, the smaller gives the two smaller ones. The course of the gain is set to a straight line;
what the curves give is how much the chosen configurations vary, what halving costs, and what it
saves.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmarks.learning_curves import (
    REDUCTION,
    Cell,
    Curves,
    Found,
    correlations,
    curves_of,
)
from reports.statistics.intervals import Floats
from reports.statistics.lines import Line
from reports.statistics.pooled import trend_of
from reports.statistics.selection import BASELINE
from reports.statistics.verdict import CANNOT_TELL, judge
from reports.store.tables import open_store

WIDTHS, LINES = 4, 2
"""Of a simulated study."""


@dataclass(frozen=True)
class Design:
    """How each cell of a study is searched and confirmed."""

    halved: bool
    trials: int
    """Configurations of each search."""
    searches: int
    seeds: int
    """Confirm seeds of each search."""

    @property
    def name(self) -> str:
        """Searches, trials and confirm seeds of a cell, such as "3 x (27 halved + 1)"."""
        kind = "halved" if self.halved else "full"
        return f"{self.searches} x ({self.trials} {kind} + {self.seeds})"

    def search(self, cell: Curves, rng: np.random.Generator, searches: int) -> Found:
        """Draws searches of a cell."""
        draw = cell.halved if self.halved else cell.full
        return draw(rng, self.trials, searches)


Pool = Mapping[Cell, Found]
"""Searches of each cell."""
FULL = Design(halved=False, trials=20, searches=1, seeds=6)
HALVED = Design(halved=True, trials=REDUCTION**3, searches=3, seeds=1)
DESIGNS = (
    *(replace(FULL, seeds=seeds) for seeds in (6, 12, 24)),
    *(replace(HALVED, halved=False, trials=8, searches=count) for count in (2, 3, 4, 6)),
    *(replace(HALVED, searches=count) for count in (2, 3, 4, 6)),
)


def found_accuracies(pools: Mapping[Design, Pool]) -> pd.DataFrame:
    """What each kind of search finds and takes, by cell.

    A kind of search that costs one arm more accuracy than the other is unfair to it.

    Columns: ``search``, ``width``, ``arm``, ``found`` and ``sd`` (mean final accuracy of the chosen
    configuration, percent, and its standard deviation over searches, points), ``cost`` (whole
    trainings of one search).
    """
    rows = [
        (design.name, width, arm, found.final.mean(), found.final.std(), found.cost.mean())
        for design, pool in pools.items()
        for (width, arm), found in sorted(pool.items())
    ]
    return pd.DataFrame(rows, columns=["search", "width", "arm", "found", "sd", "cost"])


def pool_of(curves: Mapping[Cell, Curves], design: Design, searches: int = 4000) -> Pool:
    """Searches of each cell, from which studies draw theirs."""
    rng = np.random.default_rng(1)
    return {cell: design.search(found, rng, searches) for cell, found in sorted(curves.items())}


def trials_of(pool: Pool, design: Design) -> float:
    """Trials of a study, in whole trainings."""
    search = np.mean([found.cost.mean() for found in pool.values()])
    return float(2 * WIDTHS * LINES * design.searches * (search + design.seeds))


def draw_study(
    pool: Pool, design: Design, course: Floats, noise: float, rng: np.random.Generator
) -> list[Line]:
    """The gains of one study.

    Args:
        pool: of `pool_of`.
        design: of the study.
        course: of `course_of`, what is added to the gain at each width, points.
        noise: standard deviation of an accuracy over seeds, points.
        rng: of the draws.
    """
    (arm,) = {arm for _, arm in pool} - {BASELINE}
    rows = design.searches if design.searches > 1 else design.seeds
    lines = []
    for _ in range(LINES):
        scores = np.empty((rows, WIDTHS))
        for place, width in enumerate(measured_widths(pool)):
            chosen = {
                name: rng.choice(pool[width, name].final, design.searches)
                + rng.normal(0, noise, rows)
                for name in (BASELINE, arm)
            }
            scores[:, place] = chosen[arm] - chosen[BASELINE]
        lines.append(scores)
    parameters = 4.0 ** np.arange(WIDTHS)  # they grow with the square of the width
    seeds = design.seeds if design.searches > 1 else None
    names = tuple(f"width {2**place}" for place in range(WIDTHS))
    return [Line("", names, parameters, scores + course, seeds) for scores in lines]


def measured_widths(pool: Pool) -> list[int]:
    """The measured width from which each of the `WIDTHS` draws."""
    widths = sorted({width for width, _ in pool})
    return [widths[place * len(widths) // WIDTHS] for place in range(WIDTHS)]


def course_of(pool: Pool, slope: float) -> Floats:
    """What makes the expected gain a straight line through zero, for each of the `WIDTHS`.

    Args:
        pool: whose own expected gain is taken off.
        slope: true slope of the gain, points per doubling of the width.
    """
    (arm,) = {arm for _, arm in pool} - {BASELINE}
    gains = [
        pool[width, arm].final.mean() - pool[width, BASELINE].final.mean()
        for width in measured_widths(pool)
    ]
    return slope * np.arange(WIDTHS) - gains


def verdicts(
    pools: Mapping[Design, Pool], slope: float, noise: float, studies: int
) -> pd.DataFrame:
    """Percent of studies with a verdict, by design, with the slope and without one.

    Columns: ``design``, ``trials`` (whole trainings of a study), ``verdicts`` (percent that are
    right, with the slope) and ``false`` (percent with any verdict, without a slope).
    """
    rows = []
    for design, pool in pools.items():
        shares = []
        for true in (slope, 0.0):
            rng, course = np.random.default_rng(2), course_of(pool, true)
            found = 0
            for _ in range(studies):
                lines = draw_study(pool, design, course, noise, rng)
                row = judge([trend_of(lines, lines, brief=True)])[0]
                right = true == 0 or row["slope"] * true > 0  # type: ignore[operator]
                found += row["verdict"] != CANNOT_TELL and right
            shares.append(100 * found / studies)
        rows.append((design.name, trials_of(pool, design), *shares))
    return pd.DataFrame(rows, columns=["design", "trials", "verdicts", "false"])


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results")
    parser.add_argument("--arm", default="mixco", help="that is compared with none")
    parser.add_argument("--slope", type=float, default=-0.5, help="points per doubling of width")
    parser.add_argument(
        "--noise", type=float, default=0.3, help="of an accuracy over seeds, points"
    )
    parser.add_argument("--studies", type=int, default=500)
    given = parser.parse_args()
    store = open_store(given.results)
    curves = curves_of(store.read("trials"), store.read("epochs"), given.arm)
    print(correlations(curves).round(2).to_string(index=False), "\n")
    pools = {design: pool_of(curves, design) for design in DESIGNS}
    print(found_accuracies(pools).round(2).to_string(index=False), "\n")
    found = verdicts(pools, given.slope, given.noise, given.studies)
    print(
        f"slope {given.slope:g} points per doubling of the width, noise {given.noise:g} points, "
        f"{given.studies} studies: standard error {50 / math.sqrt(given.studies):.1f} at 50 %"
    )
    print(found.round(1).to_string(index=False))


if __name__ == "__main__":
    main()
