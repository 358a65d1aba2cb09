"""Records each trial that has ended: first in the results, then in the agenda."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from reports.store.files import StoreError
from reports.store.schema import COMPLETE, FAILED, PRUNED
from reports.store.tables import Store
from study.agenda import Agenda
from study.display import StudyDisplay
from study.looks import take_look
from study.on_ray.admission import Admission
from study.on_ray.carried import Carried
from study.on_ray.halt import Halt
from study.on_ray.seen_images import SeenImages
from study.plan import DueTrial
from trainables.errors import InputError
from trainables.on_ray.steps import Assignment, Row, StepReport, remove_group

MAX_FAILURES = 3
"""How often a trial may start again after its process or node has died."""
HOPELESS = 5
"""The study is given up once this many trials have failed and none is complete."""


class Recorder(tune.Callback):
    """Collects each trial's epochs, and records the trial when Tune says that the trial ended."""

    def __init__(
        self,
        agenda: Agenda,
        store: Store,
        admission: Admission,
        halt: Halt,
        display: StudyDisplay,
        carried: Carried,
        images: SeenImages,
    ) -> None:
        self.writing = threading.Lock()
        """Held while a trial is written to the results."""
        self._agenda, self._store, self._admission = agenda, store, admission
        self._halt, self._display, self._carried = halt, display, carried
        self._images = images
        self._complete = agenda.count(COMPLETE)
        self._failed = 0
        self._epochs: dict[str, dict[int, Row]] = {}
        self._deaths: Counter[str] = Counter()
        """How often the process or node of a trial has died, by trial."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles callbacks into its experiment folder, which nobody reads.
        return {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._agenda.started.add(assignment_of(trial)["trial_id"])

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        if row := result.get("row"):
            # A trial that starts again reports the same epochs again.
            epochs = self._epochs.setdefault(assignment_of(trial)["trial_id"], {})
            epochs[row["epoch"]] = row

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        report = _last_report(trial)
        process = trial.temporary_state.ray_actor
        if assignment_of(trial)["runner"] == "train" and process is not None:
            # Tune may keep the process for a further trial, and the process would keep the workers.
            process.end.remote()
        if "summary" not in report:
            return  # Tune stopped the trial before its first epoch.
        # A trial that ends by itself sends a last report with its status. If that report is
        # missing, the stopping rule ended the trial.
        status = report.get("status", PRUNED)
        columns = {**report["summary"], **report.get("trial", {}), "error": report.get("error")}
        self._record_trial(trial, status, columns, report.get("evaluations", []))

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self.on_trial_recover(iteration, trials, trial)
        due = self._due(trial)
        if due is None:
            return
        # If a kept process dies while Tune gives it a further trial, Tune counts two failures of
        # that trial, and gives the trial up at the second, whatever `max_failures` is. Tune counts
        # none if the process died with a node that was to be taken away (a spot instance's notice).
        is_too_soon = trial.num_failures <= MAX_FAILURES
        if trial.num_failures:
            self._deaths[due.trial_id] += max(1, trial.num_failures - is_too_soon)
        deaths = self._deaths[due.trial_id]
        if deaths <= MAX_FAILURES:
            self._admission.release(due.trial_id)
            self._agenda.give_back(due)
            return
        text = f"its process or node died {deaths} times, at last: {_last_words(trial)}"
        summary = _last_report(trial).get("summary", {})
        self._record_trial(trial, FAILED, {**summary, "error": text}, [])

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        # Without a dashboard Train does not clean up after a controller that was killed.
        if group := _last_report(trial).get("group"):
            remove_group(group)

    def record_refused(self, due: DueTrial) -> None:
        """Records a trial as failed whose configuration is not valid; it never starts."""
        config = due.config
        workers = self._agenda.spec.resources.of(config.encoder, config.width).workers
        self._record(due, FAILED, {"error": due.error, "workers": workers}, {}, [])

    def _due(self, trial: Trial) -> DueTrial | None:
        return self._agenda.running.get(assignment_of(trial)["trial_id"])

    def _record_trial(
        self, trial: Trial, status: str, columns: Mapping[str, Any], evaluations: list[Row]
    ) -> None:
        due = self._due(trial)
        if due is None or self._halt.over:
            return
        given = self._admission.given(due.trial_id)
        columns = {"workers": given.workers, **columns}
        if columns.get("gpu_hours"):
            # A trial counts one whole GPU for each worker; here it is charged for its share.
            columns["gpu_hours"] *= given.gpus
        self._record(due, status, columns, self._epochs.pop(due.trial_id, {}), evaluations)
        self._admission.release(due.trial_id)
        if trial.checkpoint:
            # Delete the checkpoints: those of thousands of trials would fill the disk.
            with suppress(OSError):
                self._store.filesystem.delete_dir(trial.path)

    def _record(
        self,
        due: DueTrial,
        status: str,
        columns: Mapping[str, Any],
        epochs: Mapping[int, Row],
        evaluations: list[Row],
    ) -> None:
        now = datetime.now(UTC)
        row = {
            "started_at": now,
            "finished_at": now,
            **columns,
            "runner": self._agenda.spec.runner_of((due.config.encoder, due.config.width)),
            **due.identity(),
            "study": self._agenda.spec.name,
            "status": status,
        }
        if difference := self._images.difference(row):
            self._halt.stop(difference)
            return
        try:
            with self.writing:
                self._store.append(row, [epochs[epoch] for epoch in sorted(epochs)], evaluations)
        except StoreError as error:
            self._halt.stop(str(error))
            return
        self._carried.drop(due.trial_id)
        self._store.compact_if_many()
        measured = {
            epoch: values["knn_accuracy"]
            for epoch, values in sorted(epochs.items())
            if values.get("knn_accuracy") is not None
        }
        self._agenda.record({"accuracy": None, **row, "knn_by_epoch": measured})
        self._admission.note(row)
        self._display.show_ended(row)
        self._look()
        self._give_up_if_hopeless(row)

    def _look(self) -> None:
        try:
            take_look(self._agenda, self._store, self._display.say)
        except (InputError, StoreError) as error:
            self._halt.stop(str(error))

    def _give_up_if_hopeless(self, row: Row) -> None:
        self._complete += row["status"] == COMPLETE
        self._failed += row["status"] == FAILED
        if self._failed >= HOPELESS and not self._complete:
            self._halt.stop(
                f"no trial has succeeded and {self._failed} failed, the last with: {row['error']} "
                "(once the cause is gone, run again with --retry-failed)"
            )


def assignment_of(trial: Trial) -> Assignment:
    """What the searcher handed to the process of ``trial``."""
    assignment: Assignment = trial.config["assignment"]
    return assignment


def _last_report(trial: Trial) -> StepReport:
    report: StepReport = trial.last_result or {}  # type: ignore[assignment]  # and Tune's own keys
    return report


def _last_words(trial: Trial) -> str:
    """The first line of what Tune noted of a trial's latest failure."""
    try:
        notes = Path(trial.error_file or "").read_text(errors="replace")
    except OSError:
        return "for reasons unknown"
    lines = notes.rpartition("Failure # ")[2].splitlines()[1:]
    return next((line.strip()[:300] for line in lines if line.strip()), "for reasons unknown")
