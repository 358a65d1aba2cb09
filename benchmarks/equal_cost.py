"""Trials to a verdict: one full search against several cheaper ones, on measured learning curves.

    python -m benchmarks.equal_cost RESULTS [--arm NAME] [--slope POINTS] [--studies N]

RESULTS holds a study of random configurations that were all trained to the end (``sampler:
random``, no stopping, several searches), with the arms ``none`` and NAME at two widths or more and
kNN accuracies at a ninth or a third of the epochs (``knn_every``). Full and halved searches
(`drawn_searches`) are drawn from these configurations. A study has 4 widths and 2 lines. The course
of the gain is set to a straight line; what the curves give is how much the chosen configurations
and the seeds vary, what halving costs, and what it saves.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmarks.drawn_searches import REDUCTION, Configurations, Found, configurations
from benchmarks.learning_curves import correlations, curves_of
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

    def search(self, arm: Configurations, rng: np.random.Generator, searches: int) -> Found:
        """Draws searches of a cell."""
        draw = arm.halved if self.halved else arm.full
        return draw(rng, self.trials, searches)


FULL = Design(halved=False, trials=20, searches=1, seeds=6)
HALVED = Design(halved=True, trials=REDUCTION**3, searches=3, seeds=1)
DESIGNS = (
    *(replace(FULL, seeds=seeds) for seeds in (6, 12, 24, 48)),
    *(
        replace(HALVED, halved=False, trials=trials, searches=count)
        for trials in (3, 4, 8)
        for count in (3, 4, 5, 6)
    ),
    *(replace(HALVED, trials=trials, searches=count) for trials in (9, 27) for count in (3, 5)),
)
Pool = Mapping[str, Found]
"""Searches of each arm."""
Noise = Mapping[str, float]
"""Standard deviation of an accuracy over seeds for each arm, points."""


def pool_of(arms: Mapping[str, Configurations], design: Design, searches: int = 4000) -> Pool:
    """Searches of each arm, from which studies draw theirs."""
    rng = np.random.default_rng(1)
    return {name: design.search(arm, rng, searches) for name, arm in sorted(arms.items())}


def found_accuracies(pools: Mapping[Design, Pool]) -> pd.DataFrame:
    """What each kind of search finds and takes, by arm.

    A kind of search that costs one arm more accuracy than the other is unfair to it.

    Columns: ``search``, ``arm``, ``found`` and ``sd`` (accuracy of the chosen configuration over
    seeds, relative to the mean of its cell: mean and standard deviation over searches, points),
    ``cost`` (whole trainings of one search).
    """
    kinds = {(design.halved, design.trials): pool for design, pool in pools.items()}
    rows = [
        (f"{trials} {'halved' if halved else 'full'}", arm, *_summary(found))
        for (halved, trials), pool in kinds.items()
        for arm, found in sorted(pool.items())
    ]
    return pd.DataFrame(rows, columns=["search", "arm", "found", "sd", "cost"])


def _summary(found: Found) -> tuple[float, float, float]:
    return found.expected.mean(), found.expected.std(), found.cost.mean()


def trials_of(pool: Pool, design: Design) -> float:
    """Trials of a study, in whole trainings."""
    search = np.mean([found.cost.mean() for found in pool.values()])
    return float(2 * WIDTHS * LINES * design.searches * (search + design.seeds))


def draw_study(
    pool: Pool, design: Design, course: Floats, noise: Noise, rng: np.random.Generator
) -> list[Line]:
    """The gains of one study.

    Args:
        pool: of `pool_of`.
        design: of the study.
        course: of `course_of`, what is added to the gain at each width, points.
        noise: of each arm.
        rng: of the draws.
    """
    (arm,) = set(pool) - {BASELINE}
    # With one search, all seeds of a width share the configuration that it chose. With several, the
    # seeds of each are averaged.
    several = design.searches > 1
    rows, averaged = (design.searches, design.seeds) if several else (design.seeds, 1)
    chosen = {
        name: rng.choice(found.expected, (LINES, design.searches, WIDTHS))
        + rng.normal(0, noise[name] / math.sqrt(averaged), (LINES, rows, WIDTHS))
        for name, found in pool.items()
    }
    parameters = 4.0 ** np.arange(WIDTHS)  # they grow with the square of the width
    seeds = design.seeds if several else None
    names = tuple(f"width {2**place}" for place in range(WIDTHS))
    gains = chosen[arm] - chosen[BASELINE] + course
    return [Line("", names, parameters, scores, seeds) for scores in gains]


def course_of(pool: Pool, slope: float) -> Floats:
    """What makes the expected gain a straight line through zero, for each of the `WIDTHS`.

    Args:
        pool: whose own expected gain is taken off.
        slope: true slope of the gain, points per doubling of the width.
    """
    (arm,) = set(pool) - {BASELINE}
    gain = pool[arm].expected.mean() - pool[BASELINE].expected.mean()
    return slope * np.arange(WIDTHS) - gain


def verdicts(
    pools: Mapping[Design, Pool], slope: float, noise: Noise, studies: int
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
    parser.add_argument("--slope", type=float, default=-1.0, help="points per doubling of width")
    parser.add_argument("--studies", type=int, default=500)
    given = parser.parse_args()
    store = open_store(given.results)
    curves = curves_of(store.read("trials"), store.read("epochs"), given.arm)
    print(correlations(curves).round(2).to_string(index=False), "\n")
    arms = configurations(curves)
    noise = {name: arm.noise for name, arm in arms.items()}
    pools = {design: pool_of(arms, design) for design in DESIGNS}
    print(found_accuracies(pools).round(2).to_string(index=False), "\n")
    found = verdicts(pools, given.slope, noise, given.studies)
    seeds = ", ".join(f"{value:.2f} for {name}" for name, value in noise.items())
    print(
        f"slope {given.slope:g} points per doubling of the width; standard deviation over seeds "
        f"{seeds}; {given.studies} studies: standard error {50 / math.sqrt(given.studies):.1f} at "
        "50 %"
    )
    print(found.round(1).to_string(index=False))


if __name__ == "__main__":
    main()
