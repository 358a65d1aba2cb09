"""Whether the arms were treated alike: their searches and their compute."""

from __future__ import annotations

import math

import pandas as pd

from reports.output.numbers import counted


def compute_match(pairs: pd.DataFrame) -> str:
    """Whether the arms were matched in epochs or in compute, from the pairs' own columns."""
    if pairs.empty:
        return ""
    parts: dict[str, list[str]] = {}
    for (method, arm), group in pairs.groupby(["method", "arm"]):
        ratio = group["compute_ratio"].median()
        same = bool((group["epochs"] == group["epochs_none"]).all())
        match = "equal epochs" if same else "different epochs"
        cost = (
            f"{ratio:.3g} times the baseline's training FLOPs"
            if math.isfinite(ratio)
            else "training FLOPs not recorded"
        )
        parts.setdefault(f"on {method}: {match}, {cost}", []).append(str(arm))
    equal = pairs["compute_ratio"].between(0.98, 1.02).all()
    title = "Arms are matched in compute" if equal else "Arms are not matched in compute"
    each = "; ".join(f"{', '.join(arms)} {match}" for match, arms in parts.items())
    return f"{title} ({each})."


def fairness_words(searches: pd.DataFrame, unequal: pd.DataFrame) -> list[str]:
    """Whether the searches were fair, from `fairness.search_table` and `unequal_budgets`."""
    if searches.empty:
        return [
            "No tune trial is complete: confirm trials have the configuration of the study's file."
        ]
    notes = []
    if unequal.empty:
        notes.append("Every arm had as many tune trials as the baseline on the same problem.")
    else:
        notes.append(
            f"In {counted(len(unequal), 'search')} an arm and its baseline had different numbers "
            "of tune trials: do not trust their gains until both searches are finished."
        )
    late = searches[searches["late"]].groupby("arm").size()
    if len(late):
        each = ", ".join(f"{count} of {arm}" for arm, count in late.items())
        notes.append(
            f"In {counted(int(late.sum()), 'search')} ({each}) the best trial came in the last "
            "fifth of the search: a longer one may still find a better configuration."
        )
    return notes
