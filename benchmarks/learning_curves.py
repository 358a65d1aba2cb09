"""Measured learning curves of random configurations, and searches that are drawn from them.

- full: every configuration is trained to the end; the best by validation accuracy is chosen.
- halved: ASHA (Li et al. 2020) with Ray's rule, one trial after another. At 1/9 and at 1/3 of the
  epochs a configuration goes on if its kNN accuracy is among the best third of those that came to
  this rung before it. The first trial, the default configuration in a study, always goes on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from reports.statistics.intervals import LEVEL, Floats, percentile_interval
from reports.statistics.selection import BASELINE
from reports.store.schema import COMPLETE, TUNE
from trainables.errors import InputError

RUNGS = (1 / 9, 1 / 3)
"""Shares of the epochs at which a search may stop a configuration."""
REDUCTION = 3
"""Of so many configurations at a rung, one goes on."""
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
                ends = percentile_interval(draws)
                rows.append((arm, width, len(cell.final), share, value, *ends))
                values.append(value)
                resampled.append(draws)
            every = sum(len(cell.final) for cell in cells.values())
            of_arm = percentile_interval(np.mean(resampled, axis=0))
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


def spearman(early: Floats, late: Floats, axis: int = -1) -> Floats:
    """Spearman's rank correlation along an axis."""
    ranks = [stats.rankdata(values, axis=axis) for values in (early, late)]
    a, b = (each - each.mean(axis=axis, keepdims=True) for each in ranks)
    return np.asarray((a * b).sum(axis) / np.sqrt((a**2).sum(axis) * (b**2).sum(axis)))
