"""The recorded trials of a study: rows for its agenda, and an overview for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from reports.store.schema import FAILED, PRUNED, STATUSES
from reports.store.tables import Store
from study import lock
from study.agenda import Agenda
from study.display import cell_table, duration
from study.looks import open_next
from study.pace import kind_of, seconds_left
from study.pareto import fronts
from study.plan import search_of
from study.provenance import stored_spec
from trainables.errors import InputError

_SHOWN_ERRORS = 5


def recorded_rows(store: Store, trials: pd.DataFrame | None = None) -> list[dict[str, Any]]:
    """The recorded trials as `Agenda` takes them: pruned ones with ``knn_by_epoch``.

    Args:
        store: the results.
        trials: the table ``trials`` of ``store`` where the caller has read it; default: read it.
    """
    if trials is None:
        trials = store.read("trials")
    trials = trials.astype(object).where(trials.notna(), None)
    rows: list[dict[str, Any]] = [
        {str(name): value for name, value in row.items()} for row in trials.to_dict("records")
    ]
    for row in rows:
        named = row["eval_datasets"]
        row["eval_datasets"] = () if named is None else tuple(named)
    pruned = {row["trial_id"]: row for row in rows if row["status"] == PRUNED}
    if pruned:
        for trial_id, epochs in knn_by_epoch(store, pruned).items():
            pruned[trial_id]["knn_by_epoch"] = dict(epochs)
    return rows


def missing_trials(store: Store, agenda: Agenda) -> list[str]:
    """The ids of trials that have ended, but whose rows are no longer in the results."""
    return sorted(set(agenda.ended) - store.ids())


def knn_by_epoch(store: Store, trial_ids: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
    """By trial: (epoch, kNN accuracy) for each epoch that measured it, in order."""
    epochs = store.read("epochs", ["trial_id", "epoch", "knn_accuracy"], trial_ids=trial_ids)
    epochs = epochs.dropna().sort_values(["trial_id", "epoch"])
    return {
        str(trial_id): [
            (int(epoch), float(accuracy))
            for epoch, accuracy in zip(group["epoch"], group["knn_accuracy"], strict=True)
        ]
        for trial_id, group in epochs.groupby("trial_id")
    }


class Overview:
    """The state of a study at one moment, from its results."""

    def __init__(self, store: Store) -> None:
        """Reads the stored study and its rows.

        Raises:
            InputError: no study was run there.
        """
        spec = stored_spec(store)
        if spec is None:
            raise InputError(f"{store.name}: no study.yaml: no study was run there")
        self.running = lock.running(store)
        trials = store.read("trials")
        self._rows = recorded_rows(store, trials)
        self._agenda = Agenda(spec, self._rows)
        open_next(self._agenda, trials)

    @property
    def finished(self) -> bool:
        """Whether nothing of the study is missing."""
        return self._agenda.finished

    def render(self) -> RenderableType:
        """The cells, the endings, the errors and the time left."""
        agenda = self._agenda
        table = cell_table(agenda) if self.running else cell_table(agenda, len(agenda.searches))
        counts = ", ".join(f"{agenda.count(status)} {status}" for status in STATUSES)
        state = "running" if self.running else ("complete" if self.finished else "not running")
        lines = [f"{agenda.spec.name}: {state}; {agenda.done} of {agenda.planned} trials; {counts}"]
        if left := self._time_left():
            lines.append(f"about {left} left at the pace so far")
        for point in fronts(agenda).to_pylist():
            lines.append(
                f"on the front of {search_of(point)}: width {point['width']}, "
                f"{point['accuracy']:.2f} %, {point['encoder_flops'] / 1e6:.3g} MFLOP an image"
            )
        lines += [f"not confirmed: {name}: no tune trial completed" for name in agenda.unconfirmed]
        failed = [row for row in self._rows if row["status"] == FAILED]
        lines += [f"failed: {row['trial_id']}: {row['error']}" for row in failed[:_SHOWN_ERRORS]]
        if len(failed) > _SHOWN_ERRORS:
            lines.append(f"and {len(failed) - _SHOWN_ERRORS} more failed")
        return Group(table, Text("\n".join(lines)))

    def _time_left(self) -> str | None:
        """From the pace of the latest quarter of the trials: earlier ones may be other runs'."""
        missing = self._agenda.missing
        ended = [row for row in self._rows if row["finished_at"] is not None]
        ended.sort(key=lambda row: row["finished_at"])
        if not self.running or not missing or len(ended) < 2:
            return None
        first, *recent = ended[-max(2, len(ended) // 4) :]
        since = (datetime.now(UTC) - first["finished_at"]).total_seconds()
        return duration(
            seconds_left(self._agenda.times, missing, Counter(map(kind_of, recent)), since)
        )
