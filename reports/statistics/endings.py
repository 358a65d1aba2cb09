"""How trials ended: counts of each status, and the errors of those that failed."""

from __future__ import annotations

import pandas as pd

from reports.store.schema import STATUSES


def endings_table(trials: pd.DataFrame) -> pd.DataFrame:
    """How trials ended, for each (method, arm, encoder, width): counts of each status.

    ``diverged_share`` is the percentage of trials that diverged. Read it beside the accuracies:
    they come from the other trials only, which flatters an arm that often diverges.
    """
    keys = ["method", "arm", "encoder", "width"]
    table = trials.groupby([*keys, "status"]).size().unstack(fill_value=0)
    table = table.reindex(columns=list(STATUSES), fill_value=0)
    table["trials"] = table.sum(axis=1)
    table["diverged_share"] = 100.0 * table["diverged"] / table["trials"]
    return table.reset_index().rename_axis(columns=None)


def errors_table(trials: pd.DataFrame) -> pd.DataFrame:
    """The distinct errors, most frequent first.

    Columns: ``error`` (first line, cut to 200 characters), ``trials`` (how many ended with it) and
    ``arms`` (of those trials).
    """
    failed = trials[trials["error"].notna() & (trials["error"] != "")]
    if failed.empty:
        return pd.DataFrame(columns=["error", "trials", "arms"])
    lines = failed.assign(error=failed["error"].str.split("\n").str[0].str.slice(0, 200))
    table = lines.groupby("error").agg(
        trials=("trial_id", "size"), arms=("arm", lambda arms: ", ".join(sorted(set(arms))))
    )
    return table.sort_values("trials", ascending=False, kind="stable").reset_index()
