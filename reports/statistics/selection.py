"""Which trials count: the confirm trials of each cell's best configuration."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from reports.statistics.best_trial import best_trials
from reports.statistics.capacity import SIZE, with_capacity
from reports.store.schema import COMPLETE, CONFIRM, TUNE
from trainables import arms

LINE = ["dataset", "method", "line"]
"""The columns that name a line: the encoders over which a gain is followed (`capacity`)."""
LINE_ARM = [*LINE, "arm"]
"""The columns that name an arm on a line."""
CELL = ["dataset", "method", *SIZE, "arm"]
"""The columns that name a cell: one tuning problem."""
_PROBLEM = CELL[:-1]
BASELINE = arms.BASELINE
_TUNED = ["study", "cell", "width", "search"]


def with_keys(trials: pd.DataFrame) -> pd.DataFrame:
    """``trials`` with the columns that results do not record, or did not at first.

    These are the number of the search (0 where it was not recorded), the study's name (empty where
    there is none), and, unless they are there, the line and the capacity of the encoder
    (`capacity.with_capacity`).
    """
    if "line" not in trials:
        trials = with_capacity(trials)
    searches = trials["search"] if "search" in trials else pd.Series(None, trials.index)
    return trials.assign(
        search=pd.to_numeric(searches).fillna(0).astype(int), study=trials["study"].fillna("")
    )


@dataclass(frozen=True)
class Selection:
    """The confirm rows that count, and how many were left out and why.

    Attributes:
        confirm: complete confirm rows of each search's best configuration, one for each seed.
        superseded: number of complete confirm rows of a configuration that is no longer the best.
        duplicates: number of rows that a later row of the same cell, search and seed replaces.
        unfinished: confirm rows without a score (diverged, failed).
        overlaps: problems (dataset, method, encoder, width) that more than one study confirmed,
            with ``kept`` (the study whose rows count, the last in the table) and ``left_out`` (the
            other studies).
    """

    confirm: pd.DataFrame
    superseded: int
    duplicates: int
    unfinished: pd.DataFrame
    overlaps: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=[*_PROBLEM, "kept", "left_out"])
    )


def best_tune_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """The best tune trial of each search of each cell, by `best_trial.best_trials`.

    If a search also varied the width, this is the best trial at each width.
    """
    trials = with_keys(trials)
    tune = trials[trials["phase"] == TUNE]
    rows = tune[[*_TUNED, "status", "accuracy", "number"]].assign(place=range(len(tune)))
    best = best_trials(rows.to_dict("records"), key=lambda row: tuple(row[n] for n in _TUNED))
    return tune.iloc[[row["place"] for row in best.values()]]


def select(trials: pd.DataFrame) -> Selection:
    """Select the confirm rows that count towards gains.

    In a search with tune rows, only confirm trials of its best configuration (``tuned_from``)
    count. In a search without tune rows, all confirm trials count. The rows of one problem come
    from one study: a pair from two studies would also compare their budgets.
    """
    trials = with_keys(trials)
    confirm = trials[trials["phase"] == CONFIRM]
    scored = confirm["status"].eq(COMPLETE) & confirm["parameters"].notna()
    scored &= np.isfinite(confirm["accuracy"].astype(float))
    unfinished, done = confirm[~scored], confirm[scored]
    best = best_tune_trials(trials).set_index(_TUNED)["trial_id"].to_dict()
    cells = done[_TUNED].itertuples(index=False, name=None)
    current = np.asarray(
        [
            cell not in best or best[cell] == tuned_from
            for cell, tuned_from in zip(cells, done["tuned_from"], strict=True)
        ],
        dtype=bool,
    )
    kept, overlaps = _one_study_each(done[current])
    kept = kept.sort_values("finished_at", kind="stable", na_position="first")
    unique = kept.drop_duplicates([*CELL, "search", "seed"], keep="last")
    return Selection(
        confirm=unique.sort_values([*CELL, "search", "seed"]).reset_index(drop=True),
        superseded=int((~current).sum()),
        duplicates=len(kept) - len(unique),
        unfinished=unfinished,
        overlaps=overlaps,
    )


def _one_study_each(confirm: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """For each problem, the rows of the last study that has any; and the studies left out."""
    last = confirm.groupby(_PROBLEM)["study"].transform("last")
    overlaps = (
        confirm.assign(kept=last)[confirm["study"] != last]
        .groupby(_PROBLEM, as_index=False)
        .agg(kept=("kept", "last"), left_out=("study", lambda s: ", ".join(sorted(set(s)))))
    )
    return confirm[confirm["study"] == last], overlaps
