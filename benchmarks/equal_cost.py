"""Trials to a verdict: one full search against several halved ones, on measured learning curves.

    python -m benchmarks.equal_cost RESULTS [--slope POINTS] [--noise POINTS] [--studies N]

RESULTS holds a study of random configurations that were all trained to the end (``sampler:
random``, no stopping, ``knn_every: 1``), with the arms ``none`` and one other at two widths.
Searches are drawn from these configurations with replacement:

- full: 20 configurations to the end, the best by validation accuracy; 6 confirm seeds; one search.
- halved: 27 configurations, of which a third goes on at 1/9 and at 1/3 of the epochs by kNN
  accuracy (successive halving, as ASHA with workers that never wait); 1 confirm seed; several
  searches.

A study has 4 widths and 2 lines: the two smaller widths draw from the smaller measured one, the two
larger from the larger. The course of the gain is set to a straight line; what the curves give is
how much the chosen configurations vary, and what halving costs.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Curves:
    """The configurations of one cell.

    Attributes:
        rungs: kNN accuracy at each of `RUNGS` (configurations, rungs), percent.
        final: validation accuracy after the last epoch (configurations,), percent.
    """

    rungs: Floats
    final: Floats

    def full(self, rng: np.random.Generator, searches: int) -> Floats:
        """Final accuracy of the best of 20 configurations, of each search."""
        drawn = rng.integers(len(self.final), size=(searches, 20))
        return np.asarray(self.final[drawn].max(axis=1))

    def halved(self, rng: np.random.Generator, searches: int) -> Floats:
        """Final accuracy of the best configuration that halving 27 leaves, of each search."""
        left = rng.integers(len(self.final), size=(searches, REDUCTION**3))
        for rung in range(len(RUNGS)):
            order = np.argsort(-self.rungs[left, rung], axis=1, kind="stable")
            left = np.take_along_axis(left, order[:, : left.shape[1] // REDUCTION], axis=1)
        return np.asarray(self.final[left].max(axis=1))


@dataclass(frozen=True)
class Design:
    """How each cell of a study is searched and confirmed."""

    name: str
    halved: bool
    searches: int
    seeds: int

    @property
    def trials(self) -> float:
        """Trials of a study, in whole trainings."""
        shares = (RUNGS[0], *np.diff((*RUNGS, 1.0)))
        kept = [REDUCTION**3 / REDUCTION**rung for rung in range(len(shares))]
        search = float(np.dot(kept, shares)) if self.halved else 20.0
        return 2 * WIDTHS * LINES * self.searches * (search + self.seeds)


DESIGNS = (
    *(Design(f"full, {seeds} seeds", False, 1, seeds) for seeds in (6, 12, 24)),
    *(Design(f"halved, {count} searches", True, count, 1) for count in (2, 3, 4, 6, 8)),
)


def curves_of(trials: pd.DataFrame, epochs: pd.DataFrame) -> dict[Cell, Curves]:
    """The curves of each cell, from the two tables of a study.

    Raises:
        InputError: there are not two widths and two arms with `FEWEST` whole curves each.
    """
    tune = trials[(trials["phase"] == TUNE) & (trials["status"] == COMPLETE)]
    tune = tune.dropna(subset="accuracy").set_index("trial_id")
    knn = epochs.pivot(index="trial_id", columns="epoch", values="knn_accuracy")
    found = {}
    for (width, arm), cell in tune.groupby(["width", "arm"]):
        last = int(cell["epochs"].max())
        at = [max(1, math.ceil(share * last)) for share in RUNGS]
        whole = knn.reindex(index=cell.index, columns=at).dropna()
        if len(whole) >= FEWEST:
            final = cell.loc[whole.index, "accuracy"].to_numpy(float)
            found[int(width), str(arm)] = Curves(whole.to_numpy(float), final)
    widths, arms = {width for width, _ in found}, {arm for _, arm in found}
    if len(found) != 4 or len(widths) != 2 or len(arms) != 2 or BASELINE not in arms:
        raise InputError(
            f"curves of {len(found)} cells: it takes two widths and two arms, {BASELINE} among "
            f"them, with {FEWEST} or more complete tune trials each and kNN accuracies at the rungs"
        )
    return found


def correlations(curves: Mapping[Cell, Curves], resamples: int = 2000) -> pd.DataFrame:
    """Spearman's correlation of each rung with the final accuracy, by cell.

    Columns: ``width``, ``arm``, ``configurations``, ``rung`` (share of the epochs),
    ``correlation``, ``low`` and ``high`` (percentiles of a bootstrap over configurations).
    """
    rows = []
    for (width, arm), cell in sorted(curves.items()):
        for place, share in enumerate(RUNGS):
            found = stats.bootstrap(
                (cell.rungs[:, place], cell.final),
                spearman,
                paired=True,
                vectorized=True,
                n_resamples=resamples,
                confidence_level=LEVEL,
                method="percentile",
                rng=np.random.default_rng(0),
            ).confidence_interval
            value = float(spearman(cell.rungs[:, place], cell.final))
            rows.append((width, arm, len(cell.final), share, value, found.low, found.high))
    columns = ["width", "arm", "configurations", "rung", "correlation", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def spearman(early: Floats, late: Floats, axis: int = -1) -> Floats:
    """Spearman's rank correlation along an axis."""
    ranks = [stats.rankdata(values, axis=axis) for values in (early, late)]
    a, b = (each - each.mean(axis=axis, keepdims=True) for each in ranks)
    return np.asarray((a * b).sum(axis) / np.sqrt((a**2).sum(axis) * (b**2).sum(axis)))


def found_accuracies(curves: Mapping[Cell, Curves], draws: int = 4000) -> pd.DataFrame:
    """What each kind of search finds, by cell. Where halving is unfair, ``cost`` differs by arm.

    Columns: ``width``, ``arm``, ``full`` and ``halved`` (mean final accuracy of the chosen
    configuration, percent), ``cost`` (full minus halved, points), ``full_sd`` and ``halved_sd``
    (over searches, points).
    """
    rng = np.random.default_rng(0)
    rows = []
    for (width, arm), cell in sorted(curves.items()):
        full, halved = cell.full(rng, draws), cell.halved(rng, draws)
        cost = full.mean() - halved.mean()
        rows.append((width, arm, full.mean(), halved.mean(), cost, full.std(), halved.std()))
    columns = ["width", "arm", "full", "halved", "cost", "full_sd", "halved_sd"]
    return pd.DataFrame(rows, columns=columns)


def draw_study(
    curves: Mapping[Cell, Curves],
    design: Design,
    course: Floats,
    noise: float,
    rng: np.random.Generator,
) -> list[Line]:
    """The gains of one study.

    Args:
        curves: of two widths and two arms.
        design: of the study.
        course: of `course_of`, what is added to the gain at each width, points.
        noise: standard deviation of an accuracy over seeds, points.
        rng: of the draws.
    """
    small, large = sorted({width for width, _ in curves})
    (arm,) = {arm for _, arm in curves} - {BASELINE}
    rows = design.searches if design.searches > 1 else design.seeds
    lines = []
    for _ in range(LINES):
        scores = np.empty((rows, WIDTHS))
        for place in range(WIDTHS):
            width = small if place < WIDTHS // 2 else large
            accuracy = {}
            for name in (BASELINE, arm):
                cell = curves[width, name]
                draw = cell.halved if design.halved else cell.full
                accuracy[name] = draw(rng, design.searches) + rng.normal(0, noise, rows)
            scores[:, place] = accuracy[arm] - accuracy[BASELINE]
        lines.append(scores)
    sizes = 4.0 ** np.arange(WIDTHS)  # parameters grow with the square of the width
    seeds = design.seeds if design.searches > 1 else None
    widths = tuple(2**place for place in range(WIDTHS))
    return [Line("", widths, sizes, scores + course, seeds) for scores in lines]


def course_of(
    curves: Mapping[Cell, Curves], design: Design, slope: float, draws: int = 4000
) -> Floats:
    """What makes the expected gain a straight line through zero, for each of the `WIDTHS`.

    Args:
        curves: of two widths and two arms.
        design: whose own expected gain is taken off.
        slope: true slope of the gain, points per doubling of the width.
        draws: searches of each cell, over which the expected gain is taken.
    """
    rng = np.random.default_rng(1)
    small, large = sorted({width for width, _ in curves})
    (arm,) = {arm for _, arm in curves} - {BASELINE}
    means = {
        cell: float((found.halved if design.halved else found.full)(rng, draws).mean())
        for cell, found in sorted(curves.items())
    }
    gains = [means[width, arm] - means[width, BASELINE] for width in (small, large)]
    return slope * np.arange(WIDTHS) - np.repeat(gains, WIDTHS // 2)


def verdicts(
    curves: Mapping[Cell, Curves],
    slope: float,
    noise: float,
    studies: int,
    designs: Sequence[Design] = DESIGNS,
) -> pd.DataFrame:
    """Percent of studies with a verdict, by design, with the slope and without one.

    Columns: ``design``, ``trials`` (whole trainings of a study), ``verdicts`` (percent that are
    right, with the slope) and ``false`` (percent with any verdict, without a slope).
    """
    rows = []
    for design in designs:
        shares = []
        for true in (slope, 0.0):
            rng, course = np.random.default_rng(2), course_of(curves, design, true)
            found = 0
            for _ in range(studies):
                lines = draw_study(curves, design, course, noise, rng)
                row = judge([trend_of(lines, lines, brief=True)])[0]
                right = true == 0 or row["slope"] * true > 0  # type: ignore[operator]
                found += row["verdict"] != CANNOT_TELL and right
            shares.append(100 * found / studies)
        rows.append((design.name, design.trials, *shares))
    return pd.DataFrame(rows, columns=["design", "trials", "verdicts", "false"])


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results")
    parser.add_argument("--slope", type=float, default=-0.5, help="points per doubling of width")
    parser.add_argument(
        "--noise", type=float, default=0.3, help="of an accuracy over seeds, points"
    )
    parser.add_argument("--studies", type=int, default=500)
    given = parser.parse_args()
    store = open_store(given.results)
    curves = curves_of(store.read("trials"), store.read("epochs"))
    print(correlations(curves).round(2).to_string(index=False), "\n")
    print(found_accuracies(curves).round(2).to_string(index=False), "\n")
    found = verdicts(curves, given.slope, given.noise, given.studies)
    print(
        f"slope {given.slope:g} points per doubling of the width, noise {given.noise:g} points, "
        f"{given.studies} studies: standard error {50 / math.sqrt(given.studies):.1f} at 50 %"
    )
    print(found.round(1).to_string(index=False))


if __name__ == "__main__":
    main()
