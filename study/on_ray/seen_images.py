"""All trials of a study must see the same images under one name of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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
        was = self._known.setdefault(dataset, str(now))
        if was == now:
            return None
        return (
            f"{shown(dataset)}: its contents (fingerprint {str(now)[:8]}) are not those of the "
            f"recorded trials ({was[:8]}), so the trial {shown(str(row['trial_id']))} is not "
            "recorded: put the earlier files back, or pass --accept-mixed"
        )
