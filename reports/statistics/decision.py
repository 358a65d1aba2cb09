"""Whether a study that grows search by search can stop: from its recorded rows and plan alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from reports.statistics.gain import pairs
from reports.statistics.intervals import ALPHA
from reports.statistics.looks import FUTILE, ONE_LOOK, Level, LookPlan, chance_of_verdict
from reports.statistics.pooled import pooled_trend
from reports.statistics.searches import FEWEST_SEARCHES
from reports.statistics.selection import CELL, select, with_keys
from reports.statistics.verdict import CANNOT_TELL
from reports.store.registration import Registration
from reports.store.schema import COMPLETE, CONFIRM, TUNE


class Outcome(StrEnum):
    """What a look says about going on."""

    VERDICT = "verdict"
    """Every arm has a verdict."""
    FUTILE = "futile"
    """Every arm has a verdict or is unlikely to get one; also at the last look, without one."""
    GO_ON = "go on"
    """Some arm may still get a verdict."""


@dataclass(frozen=True)
class Look:
    """A look at the results of a study.

    Attributes:
        searches: that are whole; rows of others do not count.
        level: two-sided level of this look for one arm; 0 before the first planned look.
        p: two-sided p-value of each arm's slope, of this look alone; None where there is none.
        outcome: what it says about going on.
    """

    searches: int
    level: float
    p: Mapping[str, float | None]
    outcome: Outcome


def decide(trials: pd.DataFrame, plan: LookPlan) -> Look:
    """The look that is due after the whole searches in ``trials``, and all planned before it.

    Futility is not binding: a study that goes on in spite of it keeps its level.

    Args:
        trials: the trials table, with rows of one study.
        plan: of the looks.
    """
    trials = with_keys(trials)
    whole = whole_searches(trials)
    searches = len(whole)
    if searches < plan.first:
        return Look(searches, 0.0, {}, Outcome.GO_ON)
    level = plan.until(searches)
    kept = trials[trials["search"].isin(whole)]
    table = pooled_trend(pairs(select(kept)), brief=True, look=level)
    rows = table.to_dict("records")
    p = {str(row["arm"]): float(row["p"]) for row in rows}
    decided = [row["verdict"] != CANNOT_TELL for row in rows]
    settled = [
        row["verdict"] != CANNOT_TELL or _hopeless(row["p"], plan, searches, ALPHA / row["tests"])
        for row in rows
    ]
    if decided and all(decided):
        outcome = Outcome.VERDICT
    elif searches >= plan.last or (settled and all(settled)):
        outcome = Outcome.FUTILE
    else:
        outcome = Outcome.GO_ON
    known = {arm: value if math.isfinite(value) else None for arm, value in p.items()}
    return Look(searches, level.nominal(), known, outcome)


def look_of(trials: pd.DataFrame, registration: Registration | None) -> Level:
    """The level of a report's look: after the looks that were planned and those that were taken.

    Where nothing was registered, or one search is planned, a report is taken as the only look.
    """
    if registration is None or registration.planned.last < FEWEST_SEARCHES:
        return ONE_LOOK
    planned = registration.planned
    plan = LookPlan(max(FEWEST_SEARCHES, planned.first), planned.last)
    searches = len(whole_searches(with_keys(trials)))
    return plan.until(searches, [look.searches for look in registration.looks])


def _hopeless(p: float, plan: LookPlan, searches: int, alpha: float) -> bool:
    """Whether a verdict is unlikely. More searches may give a p-value where there is none yet."""
    if searches >= plan.last or not math.isfinite(p):
        return False
    return bool(chance_of_verdict(p, plan, searches, alpha) < FUTILE)


def whole_searches(trials: pd.DataFrame) -> list[int]:
    """The searches in which every cell of the study has ended.

    A cell has ended in a search if it has as many confirm seeds of that search as the cells that
    have most, however these trials ended. A cell with nothing to confirm has ended if it has as
    many tune trials as the cells of the search that have most, and none of them is complete.

    Args:
        trials: of one study, with ``search``.
    """
    cells = trials.loc[trials["phase"].isin((TUNE, CONFIRM)), CELL].drop_duplicates()
    names = set(cells.itertuples(index=False, name=None))
    whole = []
    for search in sorted(set(trials["search"].tolist())):
        rows = trials[trials["search"] == search]
        tune = rows[rows["phase"] == TUNE]
        tried = tune.groupby(CELL).size()
        complete = tune[tune["status"] == COMPLETE]
        seeds = rows[rows["phase"] == CONFIRM].groupby(CELL)["seed"].nunique()
        ended = set(seeds[seeds == seeds.max()].index)
        ended |= set(tried[tried == tried.max()].index) - _cells(complete)
        if names <= ended:
            whole.append(search)
    return whole


def _cells(rows: pd.DataFrame) -> set[tuple[object, ...]]:
    return set(rows[CELL].itertuples(index=False, name=None))
