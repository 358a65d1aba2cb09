"""Fairness: did every arm get the same search budget, and was any search cut short?"""

from __future__ import annotations

import pandas as pd

from reports.statistics.selection import BASELINE, CELL, LINE, best_tune_trials, with_keys
from reports.store.schema import COMPLETE, TUNE

LATE = 0.8
"""A best trial in the last fifth of a search hints that more trials would find a better one."""
FEWEST = 5
"""Trials of a search that has a last fifth."""
OF_CELL = ["study", *CELL]
"""The columns that name a cell."""
SEARCH = [*OF_CELL, "search"]
"""The columns that name a search of a cell."""


def search_curves(trials: pd.DataFrame) -> pd.DataFrame:
    """The best validation accuracy after each trial of a search.

    Returns:
        ``study``, the columns of the cell, ``search``, ``size`` and ``capacity`` of the encoder,
        ``trial`` (place in the search, from 1) and ``best`` (highest accuracy up to that trial,
        percent; NaN before the first complete trial).
    """
    tune = tune_trials(trials)
    cells = [tune[name] for name in SEARCH]
    scores = tune["accuracy"].where(tune["status"] == COMPLETE)
    return tune[[*SEARCH, "size", "capacity", "trial"]].assign(
        best=scores.groupby(cells).cummax().groupby(cells).ffill()
    )


def mean_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """The mean over the searches of a cell of the best validation accuracy after each trial.

    A search that has fewer trials than another of its cell does not count: it is still under way
    or, if the width is searched too, chose this width less often.

    Args:
        curves: `search_curves`.

    Returns:
        The columns of ``curves`` but ``search``. ``best`` is NaN where it is NaN in some search.
    """
    longest = curves.groupby(OF_CELL)["trial"].transform("max")
    whole = curves[curves.groupby(SEARCH)["trial"].transform("max") == longest]
    by_trial = whole.groupby([*OF_CELL, "size", "capacity", "trial"])
    return by_trial["best"].mean(skipna=False).reset_index()


def tune_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """The tune trials, with ``trial``: the place (from 1) in a search of the cell and width."""
    tune = with_keys(trials[trials["phase"] == TUNE])
    tune = tune.sort_values([*SEARCH, "number"], kind="stable")
    return tune.assign(trial=tune.groupby(SEARCH).cumcount() + 1)


def search_table(trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each search of each cell: what it found, and after how many trials.

    Columns beside the cell's: ``search``, ``trials`` (their number), ``first`` (accuracy of trial
    number 0, percent: the default configuration; NaN if it is not complete), ``best`` (accuracy of
    the best trial, percent), ``lift`` (``best`` minus ``first``, points), ``found_at`` (place of
    the best trial in the search) and ``late`` (whether that place is in the last fifth, in a search
    of `FEWEST` trials or more).
    """
    tune = tune_trials(trials)
    best = best_tune_trials(tune)
    first = tune[(tune["status"] == COMPLETE) & (tune["number"] == 0)]
    table = best[[*SEARCH, "accuracy", "trial"]].sort_values(SEARCH).set_index(SEARCH)
    table = table.rename(columns={"accuracy": "best", "trial": "found_at"})
    table["trials"] = tune.groupby(SEARCH).size()
    table["first"] = first.set_index(SEARCH)["accuracy"]
    table["lift"] = table["best"] - table["first"]
    table["late"] = (table["found_at"] > LATE * table["trials"]) & (table["trials"] >= FEWEST)
    columns = ["trials", "first", "best", "lift", "found_at", "late"]
    return table[columns].reset_index()[[*CELL, "search", *columns]]


def budget_table(trials: pd.DataFrame) -> pd.DataFrame:
    """What each arm of each method spent in the tune phase and in the confirm phase.

    Columns: ``method``, ``arm``, ``phase``, ``trials``, ``epochs``, ``flops``, ``hours``,
    ``gpu_hours`` and ``flops_ratio`` (FLOPs over the baseline's in the same method and phase).
    """
    table = (
        trials.assign(hours=trials["seconds"] / 3600)
        .groupby(["method", "arm", "phase"], as_index=False)
        .agg(
            trials=("trial_id", "size"),
            epochs=("epochs_done", "sum"),
            flops=("flops", "sum"),
            hours=("hours", "sum"),
            gpu_hours=("gpu_hours", "sum"),
        )
    )
    baseline = table[table["arm"] == BASELINE].set_index(["method", "phase"])["flops"]
    own = pd.MultiIndex.from_frame(table[["method", "phase"]])
    table["flops_ratio"] = table["flops"] / baseline.reindex(own).to_numpy()
    return table


def unequal_budgets(trials: pd.DataFrame) -> pd.DataFrame:
    """The searches whose number of trials differs from the baseline's on the same problem.

    Columns: dataset, method, line, encoder, ``widths`` (one width, or all that a joint search
    tried, joined by dots), arm, ``search``, ``trials`` and ``baseline_trials`` (0 if the baseline
    was not searched).
    """
    tune = with_keys(trials[trials["phase"] == TUNE])
    columns = [*LINE, "encoder", "widths", "arm", "search", "trials", "baseline_trials"]
    if tune.empty:
        return pd.DataFrame(columns=columns)
    problem = ["study", *LINE, "encoder", "search"]
    # A cell with two widths or more is a joint search: its whole line is one problem.
    per_cell = tune.groupby([*problem, "cell"])["width"].nunique().rename("seen").reset_index()
    joint = per_cell.groupby(problem)["seen"].transform("max") > 1
    joint_cells = set(per_cell.loc[joint, "cell"])
    tune["problem"] = tune["width"].astype(str).mask(tune["cell"].isin(joint_cells), "joint")
    problem.append("problem")
    widths = tune.groupby(problem)["width"].agg(lambda w: ".".join(map(str, sorted(set(w)))))
    counts = tune.groupby([*problem, "arm"], as_index=False).agg(trials=("trial_id", "size"))
    own = pd.MultiIndex.from_frame(counts[problem])
    baseline = counts[counts["arm"] == BASELINE].set_index(problem)["trials"]
    counts["widths"] = widths.reindex(own).to_numpy()
    counts["baseline_trials"] = baseline.reindex(own).fillna(0).to_numpy(int)
    differ = (counts["arm"] != BASELINE) & (counts["trials"] != counts["baseline_trials"])
    return counts.loc[differ, columns].reset_index(drop=True)
