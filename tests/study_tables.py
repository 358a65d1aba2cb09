"""The tables of two studies are compared without what differs from run to run."""

from __future__ import annotations

import pandas as pd

from reports.store.tables import Store


def table(store: Store, name: str = "trials") -> pd.DataFrame:
    """A table's rows in one order, without the times."""
    rows = store.read(name).drop(columns=["started_at", "finished_at"], errors="ignore")
    keys = [key for key in ("trial_id", "epoch", "protocol") if key in rows]
    return rows.sort_values(keys, ignore_index=True)


def assert_same_tables(one: Store, other: Store) -> None:
    """Both studies have the same trials, with the same results."""
    for name in ("trials", "epochs", "evaluations"):
        pd.testing.assert_frame_equal(table(one, name), table(other, name))
