"""Measured learning curves of the configurations that searches of a study trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from reports.statistics.intervals import LEVEL, Floats, percentile_interval
from reports.statistics.selection import BASELINE
from reports.store.schema import COMPLETE, TUNE
from trainables.errors import InputError

RUNGS = (1 / 9, 1 / 3)
"""Shares of the epochs at which a search may stop a configuration, where they were measured."""
FEWEST = 9
"""Configurations of a cell below which its curves are not resampled."""
Cell = tuple[int, str]
"""Width and arm."""


@dataclass(frozen=True)
class Curves:
    """The configurations of one cell.

    Attributes:
        shares: those of `RUNGS` at which a kNN accuracy was measured.
        rungs: kNN accuracy at each of ``shares`` (configurations, rungs), percent.
        final: validation accuracy after the last epoch (configurations,), percent.
        default: whether it is the default configuration (configurations,), which every search
            trains first.
    """

    shares: tuple[float, ...]
    rungs: Floats
    final: Floats
    default: npt.NDArray[np.bool_]


def curves_of(trials: pd.DataFrame, epochs: pd.DataFrame, arm: str) -> dict[Cell, Curves]:
    """The curves of each cell of ``arm`` and of the baseline, from the two tables of a study.

    Raises:
        InputError: no rung was measured, or the two arms have not the same two widths or more with
            `FEWEST` whole curves.
    """
    tune = trials[(trials["phase"] == TUNE) & (trials["status"] == COMPLETE)]
    tune = tune[tune["arm"].isin([BASELINE, arm])]
    tune = tune.dropna(subset="accuracy").set_index("trial_id")
    knn = epochs.dropna(subset="knn_accuracy")
    knn = knn.pivot(index="trial_id", columns="epoch", values="knn_accuracy")
    found = {}
    for (width, name), cell in tune.groupby(["width", "arm"]):
        last = int(cell["epochs"].max())
        at = {share: max(1, math.ceil(share * last)) for share in RUNGS}
        at = {share: epoch for share, epoch in at.items() if epoch in knn}
        whole = knn.reindex(index=cell.index, columns=list(at.values())).dropna()
        if at and len(whole) >= FEWEST:
            rows = cell.loc[whole.index]
            found[int(width), str(name)] = Curves(
                tuple(at), whole.to_numpy(float), rows["accuracy"].to_numpy(float),
                (rows["number"] == 0).to_numpy(bool),
            )  # fmt: skip
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
        for place, share in enumerate(next(iter(curves.values())).shares):
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
