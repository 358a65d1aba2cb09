"""The best trial of a search: the one rule that the search and the report share."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, TypeVar

from reports.store.schema import COMPLETE

Key = TypeVar("Key", bound=Hashable)
Row = TypeVar("Row", bound=Mapping[Any, Any])


def best_trials(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, Row]:
    """The best tune trial of each group: the highest accuracy, of equals the lowest number.

    Only complete trials with a finite accuracy count: a pruned trial has a truncated score.

    Args:
        rows: tune trials, each with ``status``, ``accuracy`` (percent; None or NaN where there is
            none) and ``number`` (the trial's place in its search).
        key: names the group of a row, such as its cell and width.

    Returns:
        The best row of each group that has one, in the order in which the groups first appear.

    >>> rows = [{"number": n, "status": "complete", "accuracy": a} for n, a in ((0, 70.0), (1, 80))]
    >>> best_trials(rows, key=lambda row: "one cell")["one cell"]["number"]
    1
    """
    best: dict[Key, Row] = {}
    for row in rows:
        if _counts(row):
            group = key(row)
            if group not in best or _rank(row) < _rank(best[group]):
                best[group] = row
    return best


def _counts(row: Mapping[Any, Any]) -> bool:
    accuracy = row["accuracy"]
    return row["status"] == COMPLETE and accuracy is not None and math.isfinite(accuracy)


def _rank(row: Mapping[Any, Any]) -> tuple[float, int]:
    return -row["accuracy"], row["number"]
