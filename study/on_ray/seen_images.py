"""All trials of a study must see the same images under one name of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trainables.data.fingerprint import changed
from trainables.errors import shown


class SeenImages:
    """The fingerprint of each data set's contents, from the trials recorded so far."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """``rows``: of ``trials``. Of a data set that had several contents, the latest count."""
        self._known = {
            str(row["dataset"]): str(row["data_fingerprint"])
            for row in rows
            if row.get("data_fingerprint")
        }

    def difference(self, row: Mapping[str, Any]) -> str | None:
        """What a trial that has ended saw otherwise, in one line; None: nothing.

        A data set that no trial has seen before is known from then on.
        """
        dataset, now = str(row["dataset"]), row.get("data_fingerprint")
        if not now:
            return None
        change = changed(self._known.setdefault(dataset, str(now)), str(now))
        return change and (
            f"{shown(dataset)}: its contents are not those of the recorded trials ({change}), so "
            f"the trial {shown(str(row['trial_id']))} is not recorded: put the earlier files back, "
            "or pass --accept-mixed"
        )
