"""What is missing from the records, and what in them must not be compared."""

from __future__ import annotations

import pandas as pd

from reports.output.numbers import counted
from reports.statistics.selection import with_keys
from reports.store.schema import CONFIRM, TUNE


def mixed_words(mixed: pd.DataFrame, overlaps: pd.DataFrame) -> list[str]:
    """What makes rows incomparable, from `comparable.mixed_runs` and `Selection.overlaps`."""
    notes = [
        f"{row['dataset']} {row['method']} {row['line']}: trials differ in {row['setting']} "
        f"({row['values']}); their accuracies are not comparable."
        for row in mixed.to_dict("records")
    ]
    for (kept, left_out), rows in overlaps.groupby(["kept", "left_out"]):
        notes.append(
            f"{kept} and {left_out} both hold {counted(len(rows), 'problem')} (data set, method, "
            f"encoder, width): only {kept}, which was given later, counts. Use --compare to see "
            "both."
        )
    return notes


def partial(trials: pd.DataFrame, gains: pd.DataFrame, unpaired: pd.DataFrame) -> list[str]:
    """What is missing of a study that is not finished or has lost trials."""
    notes = []
    tuned, confirmed = _searches(trials, TUNE), _searches(trials, CONFIRM)
    if tuned - confirmed:
        noun = "search" if any(search for _, search in tuned | confirmed) else "cell"
        notes.append(
            f"Partial results: of {counted(len(tuned | confirmed), noun)}, "
            f"{len(tuned - confirmed)} have no confirm trial yet."
        )
    if not unpaired.empty:
        notes.append(
            f"{counted(len(unpaired), 'confirm trial')} left out, because the other trial of the "
            "pair is missing; the table of trials without a partner names each."
        )
    if not gains.empty and gains["pairs"].nunique() > 1:
        notes.append(
            f"The number of pairs differs between gains: {gains['pairs'].min()} to "
            f"{gains['pairs'].max()}."
        )
    return notes


def _searches(trials: pd.DataFrame, phase: str) -> set[tuple[object, ...]]:
    """The searches of cells that have a trial in ``phase``: names of cells with numbers."""
    rows = with_keys(trials[(trials["phase"] == phase) & trials["cell"].notna()])
    return set(rows[["cell", "search"]].itertuples(index=False, name=None))
