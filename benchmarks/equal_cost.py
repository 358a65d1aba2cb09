"""Trials to a verdict: one full search against several cheaper ones, on measured learning curves.

    python -m benchmarks.equal_cost RESULTS [--arm NAME] [--slope POINTS] [--noise POINTS]
        [--studies N]

RESULTS holds a study of random configurations that were all trained to the end (``sampler:
random``, no stopping, ``knn_every: 1``), with the arms ``none`` and NAME at two widths or more.
Searches are drawn from these configurations with replacement:

- full: every configuration is trained to the end; the best by validation accuracy is chosen.
- halved: ASHA (Li et al. 2020) with Ray's rule, one trial after another. At 1/9 and at 1/3 of the
  epochs a configuration goes on if its kNN accuracy is among the best third of those that came to
  this rung before it. The first trial, the default configuration in a study, always goes on.

A study has 4 widths and 2 lines. Its widths draw from the measured ones in order: of two measured
widths, the smaller gives the two smaller ones. The course of the gain is set to a straight line;
what the curves give is how much the chosen configurations vary, what halving costs, and what it
saves.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from reports.statistics.intervals import LEVEL, Floats
from reports.statistics.lines import Line
from reports.statistics.pooled import trend_of
from reports.statistics.selection import BASELINE
from reports.statistics.verdict import CANNOT_TELL, judge
from reports.store.schema import COMPLETE, TUNE
from reports.store.tables import open_store
from trainables.errors import InputError

RUNGS = (1 / 9, 1 / 3)
REDUCTION = 3
WIDTHS, LINES = 4, 2
FEWEST = 9
"""Configurations of a cell below which its curves are not resampled."""
Cell = tuple[int, str]
"""Width and arm."""


class Found(NamedTuple):
    """What searches of one cell found and took.

    Attributes:
        final: final accuracy of the configuration that each search chose (searches,), percent.
        cost: whole trainings that each search took (searches,).
    """

    final: Floats
    cost: Floats


@dataclass(frozen=True)
class Curves:
    """The configurations of one cell.

    Attributes:
        rungs: kNN accuracy at each of `RUNGS` (configurations, rungs), percent.
        final: validation accuracy after the last epoch (configurations,), percent.
    """

    rungs: Floats
    final: Floats

    def full(self, rng: np.random.Generator, trials: int, searches: int) -> Found:
        """Searches that train each of ``trials`` configurations to the end."""
        drawn = rng.integers(len(self.final), size=(searches, trials))
        return Found(self.final[drawn].max(axis=1), np.full(searches, float(trials)))

    def halved(self, rng: np.random.Generator, trials: int, searches: int) -> Found:
        """Searches of ``trials`` configurations by ASHA, one trial after another."""
        drawn = rng.integers(len(self.final), size=(searches, trials))
        alive = np.ones(drawn.shape, bool)
        cost = np.zeros(drawn.shape)
        for rung, share in enumerate(np.diff((0, *RUNGS))):
            cost += share * alive
            reached = np.where(alive, self.rungs[drawn, rung], np.nan)
            for trial in range(1, trials):  # trial 0 has reached every rung
                cut = stats.quantile(
                    reached[:, :trial], 1 - 1 / REDUCTION, axis=1, nan_policy="omit"
                )
                alive[:, trial] &= reached[:, trial] >= cut
        cost += (1 - RUNGS[-1]) * alive
        final = np.where(alive, self.final[drawn], -np.inf).max(axis=1)
        return Found(final, cost.sum(axis=1))


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


def curves_of(trials: pd.DataFrame, epochs: pd.DataFrame, arm: str) -> dict[Cell, Curves]:
    """The curves of each cell of ``arm`` and of the baseline, from the two tables of a study.

    Raises:
        InputError: the two arms have not the same two widths or more with `FEWEST` whole curves.
    """
    tune = trials[(trials["phase"] == TUNE) & (trials["status"] == COMPLETE)]
    tune = tune[tune["arm"].isin([BASELINE, arm])]
    tune = tune.dropna(subset="accuracy").set_index("trial_id")
    knn = epochs.pivot(index="trial_id", columns="epoch", values="knn_accuracy")
    found = {}
    for (width, name), cell in tune.groupby(["width", "arm"]):
        last = int(cell["epochs"].max())
        at = [max(1, math.ceil(share * last)) for share in RUNGS]
        whole = knn.reindex(index=cell.index, columns=at).dropna()
        if len(whole) >= FEWEST:
            final = cell.loc[whole.index, "accuracy"].to_numpy(float)
            found[int(width), str(name)] = Curves(whole.to_numpy(float), final)
    widths, arms = {width for width, _ in found}, (BASELINE, arm)
    if len(widths) < 2 or set(found) != set(product(widths, arms)):
        raise InputError(
            f"curves of {len(found)} cells: it takes the arms {BASELINE} and {arm} at two widths "
            f"or more, with {FEWEST} or more complete tune trials each and kNN accuracies at the "
            "rungs"
        )
    return found


def correlations(curves: Mapping[Cell, Curves], resamples: int = 2000) -> pd.DataFrame:
    """Spearman's correlation of each rung with the final accuracy, by cell, and by arm.

    Columns: ``arm``, ``width`` (0: the mean over all widths), ``configurations``, ``rung`` (share
    of the epochs), ``correlation``, ``low`` and ``high`` (percentiles of a bootstrap over
    configurations).
    """
    rows = []
    for arm in sorted({name for _, name in curves}):
        cells = {width: cell for (width, name), cell in sorted(curves.items()) if name == arm}
        for place, share in enumerate(RUNGS):
            values, resampled = [], []
            for width, cell in cells.items():
                value, draws = _correlation(cell, place, resamples)
                rows.append((arm, width, len(cell.final), share, value, *_middle(draws)))
                values.append(value)
                resampled.append(draws)
            every = sum(len(cell.final) for cell in cells.values())
            of_arm = _middle(np.mean(resampled, axis=0))
            rows.append((arm, 0, every, share, float(np.mean(values)), *of_arm))
    columns = ["arm", "width", "configurations", "rung", "correlation", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _correlation(cell: Curves, rung: int, resamples: int) -> tuple[float, Floats]:
    """The correlation of a cell, and those of its bootstrap."""
    found = stats.bootstrap(
        (cell.rungs[:, rung], cell.final),
        spearman,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(spearman(cell.rungs[:, rung], cell.final)), found.bootstrap_distribution


def _middle(draws: Floats) -> tuple[float, float]:
    """The range of the middle `LEVEL` of ``draws``."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def spearman(early: Floats, late: Floats, axis: int = -1) -> Floats:
    """Spearman's rank correlation along an axis."""
    ranks = [stats.rankdata(values, axis=axis) for values in (early, late)]
    a, b = (each - each.mean(axis=axis, keepdims=True) for each in ranks)
    return np.asarray((a * b).sum(axis) / np.sqrt((a**2).sum(axis) * (b**2).sum(axis)))


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
    sizes = 4.0 ** np.arange(WIDTHS)  # parameters grow with the square of the width
    seeds = design.seeds if design.searches > 1 else None
    widths = tuple(2**place for place in range(WIDTHS))
    return [Line("", widths, sizes, scores + course, seeds) for scores in lines]


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
