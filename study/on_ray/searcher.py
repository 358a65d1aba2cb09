"""Hands the agenda's trials to Ray Tune."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from study.agenda import Agenda
from study.on_ray.admission import Admission
from study.on_ray.carried import Carried
from study.on_ray.halt import Halt
from study.on_ray.recorder import Recorder
from study.plan import DueTrial
from trainables.errors import cause
from trainables.on_ray.steps import Assignment

_NO_CPU = {"memory": 1.0}
"""Resources of the process that drives a trial's workers: one byte, since Tune wants at least one.

If these processes took CPUs, they could fill a cluster and wait for ever for room for workers.
"""


class AgendaSearcher(Searcher):
    """Suggests the next trial that is due, if its resources are free."""

    def __init__(
        self,
        agenda: Agenda,
        admission: Admission,
        recorder: Recorder,
        halt: Halt,
        carried: Carried,
    ) -> None:
        super().__init__()
        self._agenda, self._admission = agenda, admission
        self._recorder, self._halt, self._carried = recorder, halt, carried
        self._waiting: DueTrial | None = None  # until there is room for it

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles the searcher into its experiment folder, which nobody reads.
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Tune's configuration of the next trial; None if no trial may start now."""
        try:
            due = self._waiting or self._next()
        except Exception as error:  # the sampler's: Tune would end with a traceback
            self._halt.stop(f"the search cannot suggest a trial: {cause(error)}")
            return Searcher.FINISHED
        if self._halt.over or (due is None and self._agenda.finished):
            return Searcher.FINISHED
        if due is None:
            return None
        given = self._admission.admit(due)
        self._waiting = due if given is None else None
        if given is None:
            return None
        runner = self._agenda.spec.runner_of((due.config.encoder, due.config.width))
        assignment: Assignment = {
            "trial_id": due.trial_id,
            "cell": due.cell,
            "search": due.search,
            "phase": due.phase,
            "number": due.number,
            "split": due.split,
            "config": due.config.model_dump(mode="json"),
            "runner": runner,
            "workers": given.workers,
            "cpus": given.cpus,
            "gpus": given.gpus,
            "checkpoint": self._carried.path_of(due.trial_id),
        }
        resources = _NO_CPU if runner == "train" else given.total
        return {"assignment": assignment, "resources": resources}

    def _next(self) -> DueTrial | None:
        """The next trial that can run; records those whose suggestion is no valid configuration."""
        while not self._halt.over and (due := self._agenda.next()) is not None:
            if due.error is None:
                return due
            self._recorder.record_refused(due)
        return None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Does nothing: Tune gives the whole result to callbacks only, so `Recorder` takes it."""

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: a study goes on from its results, not from Tune's state."""

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError
